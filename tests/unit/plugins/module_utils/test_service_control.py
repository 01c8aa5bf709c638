# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plan and execution over a manager made of plain data, on a clock that only the code under test moves."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils import service_control
from ansible_collections.sre.runbooks.plugins.module_utils.errors import (
    DeadlineError,
    InputError,
    RefusedError,
    RunbookError,
)
from ansible_collections.sre.runbooks.plugins.module_utils.service_model import ManagerError, Status, with_exact_start
from tests.unit.plugins.module_runner import FakeClock, fake_context

NOW = 1_900_000_000.0
UP = Status("running", active=True, pid=100, since=NOW - 50, started=NOW - 50)
DOWN = Status("stopped", since=NOW - 9)
DEAD = Status("failed", exit_code=1, since=NOW - 9)


class FakeManager:
    """Services as data; ``life`` scripts what a service does so many reads after it was started."""

    name = "fake"

    def __init__(self, clock: FakeClock, **services: Status) -> None:
        self.clock, self.services = clock, dict(services)
        self.calls: list[str] = []
        self.life: dict[str, list[Status]] = {}
        self.stuck: set[str] = set()
        self.words = ""
        self.next_pid = 500

    def read(self, services: list[str]) -> dict[str, Status]:
        for name in services:
            if self.life.get(name) and f"start {name}" in self.calls:
                self.services[name] = self.life[name].pop(0)
        return {name: self.services.get(name, Status("unknown", problem=f"fake has no {name}")) for name in services}

    def start(self, service: str) -> None:
        self.calls.append(f"start {service}")
        self.next_pid += 1
        self.services[service] = Status(
            "running", active=True, pid=self.next_pid, since=self.clock.now(), started=self.clock.now()
        )

    def stop(self, service: str) -> None:
        self.calls.append(f"stop {service}")
        if service not in self.stuck:
            self.services[service] = Status("stopped", since=self.clock.now())

    def last_lines(self, service: str) -> str:
        return self.words


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(NOW)


@pytest.fixture
def control(monkeypatch: pytest.MonkeyPatch, clock: FakeClock) -> Callable[..., dict[str, Any]]:
    """Run service_control over a given fake manager."""

    def call(
        manager: FakeManager, state: str, services: list[str], check: bool = False, **params: Any
    ) -> dict[str, Any]:
        monkeypatch.setattr(service_control, "_manager", lambda _params, _context: manager)
        options = {name: spec.get("default") for name, spec in service_control.SPEC.options.items()}
        options.update(manager="supervisor", state=state, services=services, **params)
        return service_control.run(options, fake_context(clock, options["timeout"], check_mode=check))

    return call


def actions(result: dict[str, Any]) -> list[tuple[str, str, bool]]:
    return [(row["name"], row["action"], row["changed"]) for row in result["services"]]


def test_a_second_start_is_no_change(control: Any, clock: FakeClock) -> None:
    manager = FakeManager(clock, a=DOWN, b=UP)
    first = control(manager, "started", ["a", "b"])
    assert first["changed"] is True
    assert actions(first) == [("a", "start", True), ("b", "none", False)]
    assert first["services"][0]["before"]["state"] == "stopped"
    assert first["services"][0]["after"]["state"] == "running"
    assert manager.calls == ["start a"]
    second = control(manager, "started", ["a", "b"])
    assert second["changed"] is False
    assert manager.calls == ["start a"]


def test_started_in_order_and_stopped_in_reverse(control: Any, clock: FakeClock) -> None:
    manager = FakeManager(clock, kafka=DOWN, backoffice=DEAD)
    control(manager, "started", ["kafka", "backoffice"])
    control(manager, "stopped", ["kafka", "backoffice"])
    control(manager, "started", ["kafka", "backoffice"])
    assert manager.calls == [
        *("start kafka", "start backoffice"),
        *("stop backoffice", "stop kafka"),
        *("start kafka", "start backoffice"),
    ]
    control(manager, "restarted", ["kafka", "backoffice"])
    assert manager.calls[6:] == ["stop backoffice", "stop kafka", "start kafka", "start backoffice"]


def test_check_mode_gives_the_same_plan_and_touches_nothing(control: Any, clock: FakeClock) -> None:
    manager = FakeManager(clock, a=DOWN, b=UP)
    for state in ("started", "stopped", "restarted"):
        planned = control(manager, state, ["a", "b"], check=True)
        assert manager.calls == []
        assert planned["changed"] is True
        assert all(row["after"] is None and not row["changed"] for row in planned["services"])
        twin = FakeManager(clock, a=DOWN, b=UP)
        done = control(twin, state, ["a", "b"])
        for before, after in zip(planned["services"], done["services"], strict=True):
            assert [before[key] for key in ("name", "action", "reason", "before")] == [
                after[key] for key in ("name", "action", "reason", "before")
            ]
    nothing = control(FakeManager(clock, a=UP), "started", ["a"], check=True)
    assert nothing["changed"] is False


@pytest.mark.parametrize(
    ("since", "resolution", "action"),
    [
        *((NOW - 50, 1.0, "restart"), (NOW - 11, 1.0, "restart"), (NOW - 10, 1.0, "none"), (NOW, 1.0, "none")),
        *((NOW - 9.2, 0.05, "restart"), (NOW - 9.14, 0.05, "none"), (NOW - 9, 0.05, "none")),
    ],
)
def test_not_before_leaves_alone_what_is_newer(
    control: Any, clock: FakeClock, since: float, resolution: float, action: str
) -> None:
    manager = FakeManager(clock, a=replace(UP, since=since, resolution=resolution))
    result = control(manager, "restarted", ["a"], not_before="2030-03-17T17:46:30.900Z")  # NOW - 9.1
    assert result["services"][0]["action"] == action
    assert result["changed"] is (action == "restart")


def test_a_restart_is_repeated_without_harm(control: Any, clock: FakeClock) -> None:
    manager = FakeManager(clock, a=UP)
    observed_at = control(manager, "queried", ["a"])["observed_at"]
    assert control(manager, "restarted", ["a"], not_before=observed_at)["changed"] is True
    again = control(manager, "restarted", ["a"], not_before=observed_at)
    assert again["changed"] is False
    assert "not before" in again["services"][0]["reason"]
    assert manager.calls == ["stop a", "start a"]


def test_not_before_in_the_future_is_refused(control: Any, clock: FakeClock) -> None:
    manager = FakeManager(clock, a=UP)
    with pytest.raises(InputError, match="in the future: this machine's clock says 2030-03-17T17:46:40Z"):
        control(manager, "restarted", ["a"], not_before="2030-03-17T18:00:00Z")
    assert manager.calls == []


def test_a_service_that_dies_at_once_fails_with_its_status_and_words(control: Any, clock: FakeClock) -> None:
    manager = FakeManager(clock, a=DOWN)
    manager.words = "Starting\nException in thread main: no JWT, password=hunter2hunter2\n\tat Main.kt:12\n"
    manager.life["a"] = [replace(DOWN, state="starting", active=True), replace(DEAD, detail={"summary": "EXITED"})]
    with pytest.raises(RunbookError) as caught:
        control(manager, "started", ["a"])
    assert caught.value.message.startswith(
        "a was started and ended: it is failed (exit status 1, EXITED). Its last words:"
    )
    assert "Exception in thread main" in caught.value.message
    assert "hunter2" not in str(caught.value.details) + caught.value.message
    assert caught.value.details["log_tail"][-1].strip() == "at Main.kt:12"
    assert caught.value.details["changed"] is True
    assert caught.value.details["services"][0]["after"]["state"] == "failed"


def test_a_service_that_ends_while_it_settles_fails(control: Any, clock: FakeClock) -> None:
    manager = FakeManager(clock, a=DOWN)
    up = replace(UP, pid=501)
    manager.life["a"] = [up, up, up, replace(DEAD, exit_code=-9)]
    with pytest.raises(RunbookError, match=r"a came up and ended: it is failed \(signal 9\). It left no error output"):
        control(manager, "started", ["a"])


def test_a_service_that_comes_back_as_another_process_while_it_settles_fails(control: Any, clock: FakeClock) -> None:
    manager = FakeManager(clock, a=DOWN)
    manager.life["a"] = [replace(UP, pid=501)] * 4 + [replace(UP, pid=502)] * 9
    with pytest.raises(RunbookError, match="a came up and ended"):
        control(manager, "started", ["a"])


def test_what_ran_already_must_stay_up_too(control: Any, clock: FakeClock) -> None:
    manager = FakeManager(clock, kafka=UP, backoffice=DOWN)
    plain_start = manager.start

    def start(service: str) -> None:
        plain_start(service)
        manager.services["kafka"] = DEAD

    manager.start = start  # type: ignore[method-assign]
    with pytest.raises(RunbookError, match="kafka was running and ended"):
        control(manager, "started", ["kafka", "backoffice"])


def test_a_service_restarted_by_somebody_else_is_left_alone(control: Any, clock: FakeClock) -> None:
    manager = FakeManager(clock, a=UP)
    plain_read = manager.read

    def read(services: list[str]) -> dict[str, Status]:
        seen = plain_read(services)
        manager.services["a"] = replace(UP, pid=101)
        return seen

    manager.read = read  # type: ignore[method-assign]
    with pytest.raises(RefusedError, match="a was pid 100 when this was planned and is pid 101 now"):
        control(manager, "restarted", ["a"])
    assert manager.calls == []


def test_a_service_that_does_not_stop_is_named_with_its_state(control: Any, clock: FakeClock) -> None:
    manager = FakeManager(clock, a=UP)
    manager.stuck.add("a")
    with pytest.raises(DeadlineError, match=r"a did not stop within 5 s: it is running \(pid 100\)") as caught:
        control(manager, "stopped", ["a"], stop_timeout_seconds=5.0)
    assert caught.value.details["services"][0]["after"]["state"] == "running"


def test_the_total_time_ends_a_start_that_never_comes_up(control: Any, clock: FakeClock) -> None:
    manager = FakeManager(clock, a=replace(DOWN, state="starting", active=True, detail={"summary": "BACKOFF again"}))
    with pytest.raises(DeadlineError, match=r"start a: it is still starting \(BACKOFF again\) after 30 s"):
        control(manager, "started", ["a"], timeout=30.0)
    assert manager.calls == []  # its manager was starting it already
    assert clock.time <= NOW + 30
    assert len(clock.slept) < 100


def test_a_stop_that_is_under_way_is_waited_for(control: Any, clock: FakeClock) -> None:
    manager = FakeManager(clock, a=replace(UP, state="stopping"))
    reads = iter([replace(UP, state="stopping")] * 3 + [DOWN])
    plain_read = manager.read

    def read(services: list[str]) -> dict[str, Status]:
        if not manager.calls:
            manager.services["a"] = next(reads)
        return plain_read(services)

    manager.read = read  # type: ignore[method-assign]
    assert control(manager, "started", ["a"])["services"][0]["after"]["state"] == "running"


def test_query_gives_checks(control: Any, clock: FakeClock) -> None:
    manager = FakeManager(clock, up=UP, dead=replace(DEAD, logs={"stderr": "/log/dead.err"}))
    result = control(manager, "queried", ["up", "dead", "gone"])
    assert result["changed"] is False
    assert result["verdict"] == "fail"
    assert [(row["id"], row["status"]) for row in result["checks"]] == [
        ("service.up", "pass"),
        ("service.dead", "fail"),
        ("service.gone", "unverified"),
    ]
    assert "exit status 1" in result["checks"][1]["hint"]
    assert "/log/dead.err" in result["checks"][1]["hint"]
    assert result["checks"][2]["hint"] == "fake has no gone"
    assert [row["state"] for row in result["services"]] == ["running", "failed", "unknown"]


def test_query_for_stopped(control: Any, clock: FakeClock) -> None:
    manager = FakeManager(clock, up=UP, dead=DEAD, backoff=replace(DEAD, active=True))
    result = control(manager, "queried", ["up", "dead", "backoff"], expected="stopped")
    assert [row["status"] for row in result["checks"]] == ["fail", "pass", "fail"]


def test_a_manager_that_cannot_be_asked_leaves_the_checks_unverified(control: Any, clock: FakeClock) -> None:
    manager = FakeManager(clock)

    def read(services: list[str]) -> dict[str, Status]:
        raise ManagerError("systemctl is not on PATH")

    manager.read = read  # type: ignore[method-assign]
    result = control(manager, "queried", ["a", "b"])
    assert result["verdict"] == "unverified"
    assert [row["hint"] for row in result["checks"]] == ["systemctl is not on PATH"] * 2
    with pytest.raises(ManagerError, match="not on PATH"):
        control(manager, "started", ["a"])


def test_an_unknown_service_stops_everything_before_anything_is_done(control: Any, clock: FakeClock) -> None:
    manager = FakeManager(clock, a=DOWN)
    with pytest.raises(ManagerError, match=r"fake has no b\. Nothing was done"):
        control(manager, "started", ["a", "b"])
    assert manager.calls == []


@pytest.mark.parametrize(
    ("services", "words"),
    [
        ([], "empty"),
        (["a", " "], "empty name"),
        (["a", "b", "a"], "names a more than once"),
        (["--now"], "'--now' is not a name"),
        (["a b"], "'a b' is not a name"),
        (["group:*"], "is not a name of one service"),
        ([f"s{i}" for i in range(101)], "at most 100"),
    ],
)
def test_bad_selections_are_refused(control: Any, clock: FakeClock, services: list[str], words: str) -> None:
    with pytest.raises(InputError, match=words):
        control(FakeManager(clock), "stopped", services)


@pytest.mark.parametrize("name", ["settle_seconds", "stop_timeout_seconds", "timeout"])
def test_limits(control: Any, clock: FakeClock, name: str) -> None:
    with pytest.raises(InputError, match=f"{name} is -1; it must be from"):
        control(FakeManager(clock, a=UP), "started", ["a"], **{name: -1.0})


def test_the_exact_start_is_taken_from_proc_when_it_agrees_with_the_manager() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        told = float(int(time.time()))
        exact = with_exact_start(Status("running", active=True, pid=process.pid, since=told, started=told))
        assert exact.resolution < 1
        assert exact.since == exact.started
        assert abs((exact.since or 0) - told) < 2
        other = Status("running", active=True, pid=process.pid, since=told - 100, started=told - 100)
        assert with_exact_start(other) == other
        process.communicate(b"\n")
    gone = Status("running", active=True, pid=process.pid, since=told, started=told)
    assert with_exact_start(gone) == gone
