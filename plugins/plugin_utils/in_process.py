# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The base of every in-process twin: run a module's own main() in a forked child of the worker.

A module task costs a process start, a zip and imports. Here the module is imported once, in the parent, before workers
fork; the action plugin of the same name forks its worker and lets the child *be* the module. An abort in C code, a hang
or a changed environment stays in that child. Where this cannot work, the ordinary path is taken and the reason is told
at -vvv. All private names of ansible-core that this relies on are imported or looked up here, in one try.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import selectors
import signal
import sys
import time
from types import ModuleType
from typing import Any, NoReturn

from ansible import constants as C
from ansible.errors import AnsibleActionFail
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ansible_collections.sre.runbooks.plugins.module_utils import libraries, progress


def _lacking(*needed: tuple[Any, tuple[str, ...]]) -> str:
    """Which of the names their owners lack, as a reason; empty when all are there."""
    absent = [f"{owner.__name__}.{name}" for owner, names in needed for name in names if not hasattr(owner, name)]
    return f"this ansible-core lacks {', '.join(absent)}" if absent else ""


try:
    from ansible.module_utils import _internal, basic
    from ansible.module_utils.common.json import Direction, get_module_decoder, get_module_encoder
except ImportError as _error:
    _CORE_ERROR = f"this ansible-core lacks a name: {_error}"
else:
    _CORE_ERROR = _lacking(
        (ActionBase, ("_update_module_args", "_compute_environment_string")),
        (basic, ("_ANSIBLE_ARGS", "_ANSIBLE_PROFILE")),
        (_internal, ("is_controller",)),
    )


def _preload() -> None:
    """Import once, before workers fork, the wire formats that core would import in each child: a quarter of its time."""
    with contextlib.suppress(Exception):  # a core without them is told of when a task runs
        for direction in Direction:
            get_module_encoder("legacy", direction)
            get_module_decoder("legacy", direction)


_preload()

MODULES = "ansible_collections.sre.runbooks.plugins.modules."
SWITCH = "runbooks_in_process"
PROGRESS = b"\0"
NEW_TEXT_SECONDS = 1.0
SAME_TEXT_SECONDS = 30.0

display = Display()


def in_process(name: str) -> type[ActionBase]:
    """The action plugin class for the module that has the last part of ``name`` (the twin passes its __name__)."""
    module_name = name.rsplit(".", 1)[-1]
    module, problem = _import_module(module_name)
    return type("ActionModule", (InProcessAction,), {"library": module, "problem": problem})


def _import_module(module_name: str) -> tuple[ModuleType | None, str]:
    # An exception here would end the whole run, so any error of the module's import is kept, and told when it is used.
    try:
        return importlib.import_module(MODULES + module_name), ""
    except Exception as error:  # noqa: BLE001
        return None, f"{module_name} cannot be imported in the controller: {type(error).__name__}: {error}"


class InProcessAction(ActionBase):  # type: ignore[misc]
    """Runs ``library.main()`` in a fork of the worker, or hands the task over to the ordinary path."""

    _supports_check_mode = True
    _supports_async = True

    library: ModuleType | None = None
    problem = ""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        variables = task_vars or {}
        reason = self._reason_for_a_process(variables)
        if reason:
            display.vvv(f"{self._task.action}: ordinary module process, because {reason}", host=_host(variables))
            return self._ordinary_path(variables)
        result: dict[str, Any] = super().run(tmp, variables)
        result.update(self._in_child(variables))
        return result

    def _ordinary_path(self, variables: dict[str, Any]) -> dict[str, Any]:
        normal = self._shared_loader_obj.action_loader.get(
            "ansible.legacy.normal",
            task=self._task,
            connection=self._connection,
            play_context=self._play_context,
            loader=self._loader,
            templar=self._templar,
            shared_loader_obj=self._shared_loader_obj,
        )
        outcome: dict[str, Any] = normal.run(task_vars=variables)
        return outcome

    def _reason_for_a_process(self, variables: dict[str, Any]) -> str:
        """Why the task needs a process of its own; empty when it can run here."""
        target = _target_variables(variables, self._task.delegate_to)
        if self.library is None:
            return self.problem
        if _CORE_ERROR:
            return _CORE_ERROR
        if sys.platform == "darwin":
            return "network calls after a fork abort on macOS"
        absent = libraries.missing(getattr(self.library, "REQUIRES", ()))
        if absent:
            return f"the controller's Python lacks {', '.join(absent)}"
        if self._connection.transport != "local":
            return f"the connection is {self._connection.transport}"
        if self._connection.become is not None:
            return "become is asked for"
        if self._task.async_val:
            return "async is asked for"
        if not self._switched_on(variables):
            return f"{SWITCH} is false"
        return self._reason_interpreter(target)

    def _switched_on(self, variables: dict[str, Any]) -> bool:
        wanted = self._templar.template(variables.get(SWITCH, True))
        try:
            return bool(boolean(wanted))
        except TypeError:
            raise AnsibleActionFail(f"{SWITCH} is {wanted!r}, not a boolean: set it to true or false.") from None

    def _reason_interpreter(self, target: dict[str, Any]) -> str:
        wanted = target.get("ansible_python_interpreter") or C.config.get_config_value("INTERPRETER_PYTHON")
        wanted = str(self._templar.template(wanted) or "auto")
        if wanted.startswith("auto") or wanted == sys.executable:
            return ""
        return f"the interpreter {wanted} is asked for, the controller runs {sys.executable}"

    def _in_child(self, variables: dict[str, Any]) -> dict[str, Any]:
        arguments = dict(self._task.args)
        self._update_module_args(self._task.action, arguments, variables)
        environment: dict[str, Any] = {}
        self._compute_environment_string(environment)
        silent = bool(self._task.no_log)
        read_end, write_end = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(read_end)
            _be_the_module(self.library, arguments, environment, write_end)
        os.close(write_end)
        child = _Child(pid)
        try:
            lines = _read(read_end, child, None if silent else _Printer(_host(variables)))
            exit_code = child.wait()
        finally:
            os.close(read_end)
            child.kill()
        return _result(lines, exit_code, str(self._task.action))


class _Child:
    """The forked child; waited for exactly once, whichever way it ends."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._exit_code: int | None = None

    def ended(self) -> bool:
        """Whether it has ended, without waiting."""
        if self._exit_code is None:
            pid, status = os.waitpid(self._pid, os.WNOHANG)
            if pid:
                self._exit_code = os.waitstatus_to_exitcode(status)
        return self._exit_code is not None

    def wait(self) -> int:
        """Wait for its end; returns the exit code, negative for a signal."""
        if self._exit_code is None:
            self._exit_code = os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])
        return self._exit_code

    def kill(self) -> None:
        """End it now, if it has not ended by itself (task timeout, Ctrl-C)."""
        if not self.ended():
            os.kill(self._pid, signal.SIGKILL)
            self.wait()


def _be_the_module(module: Any, arguments: dict[str, Any], environment: dict[str, Any], write_end: int) -> NoReturn:
    """The child: run main() with standard output going to the worker, then end without returning into its stack."""
    exit_code = 0
    try:
        gc.disable()
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number in (signal.SIGALRM, signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        os.environ.update({key: str(value) for key, value in environment.items()})
        _internal.is_controller = False
        pipe = os.fdopen(write_end, "w", encoding="utf-8", errors="replace", buffering=1)
        sys.stdout = pipe

        def send(text: str) -> None:
            pipe.write("\0" + " ".join(text.split()) + "\n")
            pipe.flush()

        progress.send = send
        try:
            _hand_over(arguments)
            module.main()
        except SystemExit as end:
            exit_code = end.code if isinstance(end.code, int) else int(end.code is not None)
        pipe.flush()
    except BaseException as error:  # noqa: BLE001
        # main() catches all; what arrives here is a defect of the hand-over itself, and must still become a result
        with contextlib.suppress(Exception):
            os.write(write_end, (json.dumps({"failed": True, "msg": f"in-process child: {error!r}"}) + "\n").encode())
    finally:
        os._exit(exit_code & 0xFF)


def _hand_over(arguments: dict[str, Any]) -> None:
    """Give AnsibleModule its arguments as they come over the wire: what ansible.module_utils.testing.patch_module_args
    does, without the time that importing unittest.mock takes."""
    encoder = get_module_encoder("legacy", Direction.CONTROLLER_TO_MODULE)
    basic._ANSIBLE_ARGS = json.dumps({"ANSIBLE_MODULE_ARGS": arguments}, cls=encoder).encode()
    basic._ANSIBLE_PROFILE = "legacy"


class _Printer:
    """Progress lines on standard error: at most one a second, an unchanged text every 30 s."""

    def __init__(self, host: str) -> None:
        self._prefix = f"[{host}] "
        self._last_text = ""
        self._last_time = 0.0
        self._held = ""

    def show(self, text: str) -> None:
        self._held = text
        self.flush()

    def flush(self) -> None:
        pause = SAME_TEXT_SECONDS if self._held == self._last_text else NEW_TEXT_SECONDS
        now = time.monotonic()
        if self._held and (not self._last_time or now - self._last_time >= pause):
            display.display(self._prefix + self._held, stderr=True)
            self._last_text, self._last_time, self._held = self._held, now, ""


def _read(read_end: int, child: _Child, printer: _Printer | None) -> list[bytes]:
    """All lines the child writes until it ends, without the progress lines, which are shown as they come.

    A process that the child left behind may hold the pipe open: the end of the child is the end, not that of the pipe.
    """
    lines: list[bytes] = []
    rest: list[bytes] = []
    with selectors.DefaultSelector() as selector:
        selector.register(read_end, selectors.EVENT_READ)
        while True:
            if not selector.select(timeout=NEW_TEXT_SECONDS):
                if child.ended() and not selector.select(timeout=0):
                    break
                if printer:
                    printer.flush()
                continue
            piece = os.read(read_end, 1 << 16)
            if not piece:
                break
            *complete, last = piece.split(b"\n")
            if complete:
                complete[0] = b"".join([*rest, complete[0]])
                rest = []
            rest.append(last)
            for line in complete:
                if not line.startswith(PROGRESS):
                    lines.append(line)
                elif printer:
                    printer.show(line[1:].decode("utf-8", errors="replace"))
    return [*lines, b"".join(rest)]


def _result(lines: list[bytes], exit_code: int, action: str) -> dict[str, Any]:
    """The last JSON object among the lines, or a failure that says how the child ended."""
    decoder = get_module_decoder("legacy", Direction.MODULE_TO_CONTROLLER)
    for line in reversed(lines):
        if line.lstrip().startswith(b"{"):
            try:
                data: dict[str, Any] = json.loads(line, cls=decoder)
            except ValueError:
                continue
            return _with_lines({key: value for key, value in data.items() if not key.startswith("_ansible_")})
    if exit_code < 0:
        ended = f"ended by signal {-exit_code} ({signal.strsignal(-exit_code)})"
    else:
        ended = f"ended with code {exit_code}"
    told = f"{action} {ended} before it gave a result; whether it changed anything is not known."
    return {"failed": True, "msg": told}


def _with_lines(data: dict[str, Any]) -> dict[str, Any]:
    """What core adds to the result of a module process."""
    for name in ("stdout", "stderr"):
        if name in data:
            data.setdefault(f"{name}_lines", (data[name] or "").splitlines())
    return data


def _target_variables(variables: dict[str, Any], delegate_to: str | None) -> dict[str, Any]:
    if not delegate_to:
        return variables
    delegated: dict[str, Any] = variables.get("ansible_delegated_vars", {}).get(delegate_to, {})
    return delegated


def _host(variables: dict[str, Any]) -> str:
    return str(variables.get("inventory_hostname", "localhost"))
