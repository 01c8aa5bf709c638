# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What containers use, as metrics.k8s.io tells it: rates over a window, no half-measured pods, refusals as Statuses."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from lab.runner import usage
from lab.runner.kube import Refused
from lab.runner.metrics_api import MetricsApi
from lab.runner.usage import Usage

PODS = "/apis/metrics.k8s.io/v1beta1/namespaces/hafnium/pods"


class FakeProcess:
    def __init__(self, pid: int, memory: int = 2**20) -> None:
        self.pid, self.seconds, self._memory = pid, 0.0, memory

    def cpu_seconds(self) -> float:
        return self.seconds

    def memory(self) -> int:
        return self._memory


class FakePods:
    def __init__(self) -> None:
        self.running: list[tuple[str, str, FakeProcess]] = []

    def processes(self) -> Iterator[tuple[str, str, FakeProcess]]:
        yield from self.running


class FakeApi:
    """Pods by name; it keeps what it was asked."""

    def __init__(self, *names: str) -> None:
        self._names = names
        self.queries: list[dict[str, str]] = []

    async def get(self, path: str, **query: str) -> Any:
        self.queries.append(query)
        if query.get("labelSelector") == "=":
            raise Refused(400, "unable to parse requirement")
        assert path == "/api/v1/namespaces/hafnium/pods"
        state = {"containerStatuses": [{"name": "app", "state": {"running": {}}}]}
        return {"items": [{"metadata": {"name": name, "uid": name}, "status": state} for name in self._names]}


@pytest.fixture
def pods() -> FakePods:
    return FakePods()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The monotonic time that Usage sees; tests move it."""
    now = [100.0]
    monkeypatch.setattr(usage.time, "monotonic", lambda: now[0])
    return now


def look(measured: Usage, clock: list[float], process: FakeProcess, *busy: float) -> None:
    """Look every two seconds, in each of which the process was busy for so many seconds."""
    for seconds in busy:
        clock[0] += 2
        process.seconds += seconds
        measured.sample()


def ask(api: FakeApi, measured: Usage, path: str) -> tuple[int, Any]:
    async def run() -> tuple[int, Any]:
        async with TestClient(TestServer(MetricsApi(api, measured).application())) as client:  # type: ignore[arg-type]
            answer = await client.get(path)
            return answer.status, await answer.json()

    return asyncio.run(run())


def test_usage_is_the_mean_of_the_last_eight_seconds(pods: FakePods, clock: list[float]) -> None:
    process, measured = FakeProcess(1), Usage(pods)  # type: ignore[arg-type]
    pods.running = [("uid", "app", process)]
    look(measured, clock, process, 2.0)
    assert measured.of("uid") == {}, "seen once: no rate yet"
    look(measured, clock, process, 0.5)
    assert measured.of("uid")["app"].cores == pytest.approx(0.25)
    look(measured, clock, process, 0.1, 0.1, 0.1, 0.1)
    used = measured.of("uid")["app"]
    assert (used.cores, used.window) == (pytest.approx(0.05), pytest.approx(8))


def test_a_new_process_begins_anew_and_one_that_ended_is_forgotten(pods: FakePods, clock: list[float]) -> None:
    first, second, measured = FakeProcess(1), FakeProcess(2), Usage(pods)  # type: ignore[arg-type]
    pods.running = [("uid", "app", first)]
    look(measured, clock, first, 1.0, 1.0)
    pods.running = [("uid", "app", second)]
    look(measured, clock, second, 0.0)
    assert measured.of("uid") == {}
    pods.running = []
    measured.sample()
    assert measured.all() == []


def test_pods_are_shown_in_nanocores_and_kibibytes_and_those_not_measured_are_left_out(
    pods: FakePods, clock: list[float]
) -> None:
    process, measured, api = FakeProcess(1, 32 * 2**20), Usage(pods), FakeApi("a", "b")  # type: ignore[arg-type]
    pods.running = [("a", "app", process)]
    look(measured, clock, process, 0.0, 0.5)
    status, answer = ask(api, measured, f"{PODS}?labelSelector=app%3Da")
    assert status == 200
    (item,) = answer["items"]
    assert item["metadata"]["name"] == "a"
    assert item["containers"] == [{"name": "app", "usage": {"cpu": "250000000n", "memory": "32768Ki"}}]
    assert item["window"] == "2.000s"
    assert api.queries[0]["labelSelector"] == "app=a"
    assert api.queries[0]["fieldSelector"] == "spec.nodeName=runner-0"


def test_absent_pods_and_bad_selectors_are_refused_as_an_api_server_does(pods: FakePods) -> None:
    measured = Usage(pods)  # type: ignore[arg-type]
    status, answer = ask(FakeApi(), measured, f"{PODS}/nothing")
    assert (status, answer["kind"], answer["message"]) == (404, "Status", 'pods.metrics.k8s.io "nothing" not found')
    assert ask(FakeApi(), measured, f"{PODS}?labelSelector=%3D")[0] == 400


def test_discovery_names_both_resources(pods: FakePods) -> None:
    measured = Usage(pods)  # type: ignore[arg-type]
    resources = ask(FakeApi(), measured, "/apis/metrics.k8s.io/v1beta1")[1]["resources"]
    assert {(each["name"], each["kind"], each["namespaced"]) for each in resources} == {
        ("nodes", "NodeMetrics", False),
        ("pods", "PodMetrics", True),
    }
    assert ask(FakeApi(), measured, "/apis/metrics.k8s.io")[1]["preferredVersion"]["version"] == "v1beta1"
