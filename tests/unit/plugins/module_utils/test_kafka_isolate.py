# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A function in a forked child: its value, its errors, its death, its deadline, and that it never stays behind."""

from __future__ import annotations

import contextlib
import ctypes
import faulthandler
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils import isolate
from ansible_collections.sre.runbooks.plugins.module_utils.errors import DeadlineError, InputError, RunbookError


def gone(pid: int, seconds: float = 5.0) -> bool:
    """Whether the process has ended (a zombie has)."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return True
        if state == "Z":
            return True
        time.sleep(0.01)
    return False


def test_value_comes_back_as_json_from_another_process() -> None:
    value = isolate.call(lambda progress: {"pid": os.getpid(), "text": "ä\n", "pair": (1, None)}, 10, "work")
    assert value["pid"] != os.getpid()
    assert (value["text"], value["pair"]) == ("ä\n", [1, None])


def test_large_value() -> None:
    text = "x" * 3_000_000
    assert isolate.call(lambda progress: text, 10, "work") == text


def test_value_beyond_the_bound_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(isolate, "RESULT_BYTES", 100_000)
    with pytest.raises(isolate.ChildError, match="work: the result is larger than 100000 bytes"):
        isolate.call(lambda progress: "x" * 500_000, 10, "work")


def test_progress_arrives_before_the_value(tmp_path: Path) -> None:
    seen: list[str] = []
    proof = tmp_path / "seen"

    def work(progress: Any) -> str:
        progress("one\ntwo")
        while not proof.exists():  # written by the parent when the line has arrived
            time.sleep(0.005)
        progress("three")
        return "done"

    def show(text: str) -> None:
        seen.append(text)
        proof.touch()

    assert isolate.call(work, 10, "work", show) == "done"
    assert seen == ["one two", "three"]


def test_runbook_errors_keep_their_class_and_details() -> None:
    def work(progress: Any) -> None:
        raise InputError("port is wrong", port=99)

    with pytest.raises(InputError, match="port is wrong") as caught:
        isolate.call(work, 10, "work")
    assert caught.value.details == {"port": 99}


def test_defect_in_the_child_is_one_line() -> None:
    def work(progress: Any) -> float:
        return 1 / 0

    with pytest.raises(RunbookError, match=r"^defect: ZeroDivisionError: division by zero$"):
        isolate.call(work, 10, "work")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGABRT, signal.SIGSEGV, signal.SIGTERM])
def test_death_names_the_signal_and_the_last_words(number: signal.Signals) -> None:
    def work(progress: Any) -> None:
        faulthandler.disable()
        os.write(2, b"first line\nassert failed: eonce->refcnt > 0\n")
        os.kill(os.getpid(), number)
        time.sleep(10)

    with pytest.raises(isolate.ChildError, match=rf"work: its process was ended by signal {int(number)} ") as caught:
        isolate.call(work, 10, "work")
    assert caught.value.details["signal"] == number
    assert caught.value.message.endswith("assert failed: eonce->refcnt > 0")


def test_abort_in_c_code() -> None:
    def work(progress: Any) -> None:
        faulthandler.disable()
        ctypes.CDLL(None).abort()

    with pytest.raises(isolate.ChildError, match="signal 6"):
        isolate.call(work, 10, "work")


def test_exit_without_a_value() -> None:
    with pytest.raises(isolate.ChildError, match="ended with code 3 and no result"):
        isolate.call(lambda progress: os._exit(3), 10, "work")


def test_noise_is_bounded_and_without_secrets() -> None:
    def work(progress: Any) -> None:
        for _number in range(10_000):
            os.write(1, b"noise " * 20 + b"\n")
        print("password=hunter2hunter2", file=sys.stderr, flush=True)
        os._exit(1)

    with pytest.raises(isolate.ChildError) as caught:
        isolate.call(work, 10, "work")
    assert len(caught.value.details["noise"]) < 1100
    assert "hunter2" not in caught.value.message + caught.value.details["noise"]


def test_deadline_ends_the_child(tmp_path: Path) -> None:
    note = tmp_path / "pid"

    def work(progress: Any) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        note.write_text(str(os.getpid()), encoding="utf-8")
        time.sleep(100)

    with pytest.raises(DeadlineError, match=r"work: no result within 0\.5 s"):
        isolate.call(work, 0.5, "work")
    assert gone(int(note.read_text(encoding="utf-8")))


def test_child_ends_itself_when_nobody_stops_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(isolate, "GRACE_SECONDS", 0.1)
    ended: list[bool] = []

    def work(progress: Any) -> None:
        progress(str(os.getpid()))
        time.sleep(100)

    with pytest.raises(DeadlineError):
        # While it shows progress the parent cannot stop the child.
        isolate.call(work, 0.3, "work", lambda text: ended.append(gone(int(text))))
    assert ended == [True]


def test_child_dies_with_its_parent(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    middle = os.fork()
    if middle == 0:
        try:

            def work(progress: Any) -> None:
                note.write_text(str(os.getpid()), encoding="utf-8")
                time.sleep(100)

            isolate.call(work, 100, "work")
        finally:
            os._exit(0)
    while not note.exists() or not note.read_text(encoding="utf-8"):
        time.sleep(0.01)
    os.kill(middle, signal.SIGKILL)
    os.waitpid(middle, 0)
    assert gone(int(note.read_text(encoding="utf-8")))


def children() -> set[str]:
    """Process ids of this process's children, zombies included."""
    return set(Path(f"/proc/self/task/{os.getpid()}/children").read_text("ascii").split())


def test_no_descriptor_and_no_zombie_is_left() -> None:
    before = len(list(Path("/proc/self/fd").iterdir())), children()
    for _number in range(5):
        isolate.call(lambda progress: 1, 10, "work")
        with contextlib.suppress(isolate.ChildError):
            isolate.call(lambda progress: os._exit(1), 10, "work")
    assert (len(list(Path("/proc/self/fd").iterdir())), children()) == before


def test_parents_interrupt_stops_the_child() -> None:
    code = (
        "import os, signal, sys, time\n"
        "from ansible_collections.sre.runbooks.plugins.module_utils import isolate\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a background job inherits that it is ignored
        "def work(progress):\n"
        "    print(os.getpid(), file=real, flush=True)\n"
        "    time.sleep(100)\n"
        "real = os.fdopen(os.dup(1), 'w')\n"
        "isolate.call(work, 100, 'work')\n"
    )
    collections = str(Path(isolate.__file__).parents[5])
    with subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": collections},
    ) as process:
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        process.send_signal(signal.SIGINT)
        process.wait(10)
    assert gone(pid)
