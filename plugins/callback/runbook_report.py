# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: runbook_report
type: notification
author:
  - sre.runbooks developers (@sre-runbooks)
version_added: 0.1.0
short_description: Keep the evidence of a run in one folder
description:
  - Writes one folder per run, named after its time and its playbook, with C(report.html) (one self-contained page),
    C(report.json), C(junit.xml), C(timeline.md) and C(events.jsonl).
  - Appends as the run goes, so that a run that was interrupted or lost a worker leaves its evidence as well. Says
    that nothing was verified when no verdict was given.
  - Writes a fixed list of keys of the results of this collection's own modules, and only the name, the status and the
    duration of all other tasks. Arguments, loop items and invocations are never written. Secret options of this
    collection's modules are struck out of everything.
  - A report that cannot be written is one warning. It never breaks a run.
requirements:
  - enabled in the configuration (C(callbacks_enabled = sre.runbooks.runbook_report))
options:
  runbook_report_dir:
    description: The folder that holds one folder per run. It is made when it is missing.
    type: path
    default: ./runbook-reports/
    env:
      - name: RUNBOOK_REPORT_DIR
    ini:
      - section: callback_runbook_report
        key: runbook_report_dir
"""

import atexit
import datetime
import functools
import getpass
import os
import platform
import re
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ansible import constants as C
from ansible import context
from ansible.plugins.callback import CallbackBase
from ansible.release import __version__ as core_version

# An exception while this file is imported would end the run: what is imported here is kept guarded, and told later.
try:
    from ansible_collections.sre.runbooks.plugins.plugin_utils import (
        report_files,
        report_folder,
        report_result,
        report_secrets,
        report_words,
    )

    _IMPORT_ERROR: Exception | None = None
except Exception as _error:
    _IMPORT_ERROR = _error

COLLECTION = "sre.runbooks."
REFRESH_SECONDS = 1.0
REFRESH_SHARE = 20
LAUNCHED_BY = ("awx_user_name", "tower_user_name")
_IN_COLLECTION = re.compile(r"/ansible_collections/([^/]+)/([^/]+)/playbooks/(.+)\.ya?ml$")


def guarded(hook: Callable[..., None]) -> Callable[..., None]:
    """A hook that never breaks a run: the first error is one warning and ends the report."""

    @functools.wraps(hook)
    def safe(self: CallbackModule, *args: Any, **kwargs: Any) -> None:
        if self.disabled_because is not None:
            return
        with self.lock:
            try:
                hook(self, *args, **kwargs)
            except Exception as error:
                self.give_up(error)

    return safe


class CallbackModule(CallbackBase):  # type: ignore[misc]
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "sre.runbooks.runbook_report"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.disabled_because: Exception | None = _IMPORT_ERROR
        self.lock = threading.RLock()
        self.folder: Path | None = None
        self.process = os.getpid()
        self.events: list[dict[str, Any]] = []
        self.started: dict[tuple[str, str], float] = {}
        self.play_name = ""
        self.state = "running"
        self.next_refresh = 0.0
        if _IMPORT_ERROR is None:
            self.secrets = report_secrets.Secrets()

    def give_up(self, error: Exception) -> None:
        """Tell the reason once and write no more."""
        self.disabled_because = error
        where = f" in {self.folder}" if self.folder else ""
        self._display.warning(f"No evidence of this run is kept{where}: {type(error).__name__}: {error}")

    # What happens, in the order in which it happens

    def v2_playbook_on_start(self, playbook: Any) -> None:
        if self.disabled_because is not None:
            self.give_up(self.disabled_because)
        self._begin(playbook)

    @guarded
    def _begin(self, playbook: Any) -> None:
        now = datetime.datetime.now(datetime.UTC)
        name = _playbook_name(str(playbook._file_name))
        if self.folder is None:
            self.folder = report_folder.create(Path(self.get_option("runbook_report_dir")), name, now)
            atexit.register(self._at_exit)
        self.state = "running"
        self._record({"event": "run", "playbook": name, **_circumstances()})
        self._refresh()

    @guarded
    def v2_playbook_on_play_start(self, play: Any) -> None:
        self.play_name = str(play.get_name()).strip()
        extra = play.get_variable_manager().extra_vars
        if self.secrets.learn_variables(extra):
            self._strike_again()
        launched = next((str(extra[name]) for name in LAUNCHED_BY if extra.get(name)), "")
        self._record({"event": "play", "name": self.play_name, **({"launched_by": launched} if launched else {})})
        self._refresh()

    @guarded
    def v2_playbook_on_no_hosts_matched(self) -> None:
        self._record({"event": "no_hosts", "play": self.play_name})

    @guarded
    def v2_runner_on_start(self, host: Any, task: Any) -> None:
        self.started[host.get_name(), task._uuid] = time.monotonic()

    @guarded
    def v2_runner_item_on_ok(self, result: Any) -> None:
        self._learn(result)

    @guarded
    def v2_runner_item_on_failed(self, result: Any) -> None:
        self._learn(result)

    @guarded
    def v2_runner_retry(self, result: Any) -> None:
        self._learn(result)

    @guarded
    def v2_runner_on_ok(self, result: Any) -> None:
        self._task(result, "changed" if result.is_changed() else "ok")

    @guarded
    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        self._task(result, "ignored" if ignore_errors else "failed")

    @guarded
    def v2_runner_on_skipped(self, result: Any) -> None:
        self._task(result, "skipped")

    @guarded
    def v2_runner_on_unreachable(self, result: Any) -> None:
        self._task(result, "ignored" if result.task.ignore_unreachable else "unreachable")

    @guarded
    def v2_playbook_on_stats(self, stats: Any) -> None:
        self.state = "finished"
        self._record({"event": "end", "recap": {host: dict(stats.summarize(host)) for host in sorted(stats.processed)}})
        report = self._refresh()
        self._display.display(_last_line(report, self.folder), stderr=True)

    def _at_exit(self) -> None:
        """After Ctrl-C or a dead worker no hook is called: the report is finished when the interpreter ends."""
        if os.getpid() == self.process and self.state == "running":
            self._interrupted()

    @guarded
    def _interrupted(self) -> None:
        self.state = "interrupted"
        self._record({"event": "interrupted"})
        report = self._refresh()
        self._display.display(_last_line(report, self.folder), stderr=True)

    # How it is kept

    def _task(self, result: Any, status: str) -> None:
        """Take in one task of one host: of our own modules the listed keys, of all others name, status and duration."""
        task, host = result.task, result.host.get_name()
        fields = result._task_fields  # its public twin is a deprecation warning on ansible-core 2.21
        action = str(task.resolved_action or task.action)
        began = self.started.pop((host, task._uuid), None)
        if action in C._ACTION_ALL_INCLUDES and status in ("ok", "skipped"):
            return
        # A task name is templated and may show what the task hides.
        hidden = fields.get("no_log") or task.no_log
        name = str((task.name if hidden else fields.get("name")) or task.name or action).strip()
        event = {
            "event": "task",
            "host": host,
            "task": name,
            "action": action,
            "status": status,
            "duration_ms": round((time.monotonic() - began) * 1000) if began is not None else None,
            "check_mode": bool(fields.get("check_mode")),
            "delegated_to": str(fields.get("delegate_to") or ""),
        }
        if action.startswith(COLLECTION):
            self._learn(result)
            event["result"] = report_result.pick(result.result)
        self._record(event)
        if time.monotonic() >= self.next_refresh:
            self._refresh()

    def _learn(self, result: Any) -> None:
        action = str(result.task.resolved_action or result.task.action)
        arguments = result._task_fields.get("args")
        if not action.startswith(COLLECTION) or not isinstance(arguments, dict):
            return
        if self.secrets.learn_arguments(action.removeprefix(COLLECTION), arguments):
            self._strike_again()

    def _strike_again(self) -> None:
        """What was written before a secret became known is struck as well."""
        struck = [self.secrets.strike(event) for event in self.events]
        if struck != self.events and self.folder:
            self.events = struck
            report_folder.rewrite(self.folder, self.events)
            self._refresh()

    def _record(self, event: dict[str, Any]) -> None:
        now = datetime.datetime.now(datetime.UTC)
        complete = self.secrets.strike({"time": now.isoformat(timespec="milliseconds"), **event})
        self.events.append(complete)
        if self.folder:
            report_folder.append(self.folder, complete)

    def _refresh(self) -> dict[str, Any]:
        """Write the readable files anew; the longer that takes the rarer it is done."""
        if self.folder is None:
            return {}
        began = time.monotonic()
        report = report_files.write(self.folder, self.events, self.state)
        now = time.monotonic()
        self.next_refresh = now + max(REFRESH_SECONDS, REFRESH_SHARE * (now - began))
        return report


def _last_line(report: dict[str, Any], folder: Path | None) -> str:
    return f"Report: {report_words.word(report)}. {report['headline']} {folder}/report.html"


def _circumstances() -> dict[str, Any]:
    """Who runs what with which settings; nothing of it is a variable of the run."""
    arguments = context.CLIARGS
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = str(os.getuid())
    return {
        "user": user,
        "controller": platform.node(),
        "inventory": [str(source) for source in arguments.get("inventory") or ()],
        "limit": str(arguments.get("subset") or ""),
        "tags": [str(tag) for tag in arguments.get("tags") or ()],
        "skip_tags": [str(tag) for tag in arguments.get("skip_tags") or ()],
        "check_mode": bool(arguments.get("check")),
        "diff_mode": bool(arguments.get("diff")),
        "versions": {
            "sre.runbooks": _collection_version(),
            "ansible-core": core_version,
            "python": platform.python_version(),
        },
    }


def _playbook_name(path: str) -> str:
    """The name by which a playbook of a collection is run, else its file name."""
    root = Path(__file__).resolve().parents[2] / "playbooks"
    for candidate in (os.path.abspath(path), os.path.realpath(path)):
        if match := _IN_COLLECTION.search(candidate):
            return ".".join((match[1], match[2], *match[3].split("/")))
        if Path(candidate).is_relative_to(root):
            return COLLECTION + ".".join(Path(candidate).relative_to(root).with_suffix("").parts)
    return Path(path).name


def _collection_version() -> str:
    """The version in MANIFEST.json of an installed collection, or in galaxy.yml of a checkout."""
    root = Path(__file__).resolve().parents[2]
    for name, pattern in (("MANIFEST.json", r'"version": "([^"]+)"'), ("galaxy.yml", r"(?m)^version: *(\S+)")):
        try:
            match = re.search(pattern, (root / name).read_text(encoding="utf-8"))
        except OSError:
            continue
        if match:
            return match[1]
    return "unknown"
