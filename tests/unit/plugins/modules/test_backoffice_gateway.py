# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A gateway that answers is not one that publishes."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils import libraries
from ansible_collections.sre.runbooks.plugins.modules import backoffice_gateway
from tests.unit.plugins.fake_http import Send, answer, free_port, json_answer, serving
from tests.unit.plugins.module_runner import run_module

Capture = pytest.CaptureFixture[str]
HEALTH = json_answer({"status": "ok"})


def page(**series: Any) -> Send:
    lines = "".join(f"gateway_kafka_publisher_{name} {value}\n" for name, value in series.items())
    return answer(200, lines.encode(), Content_Type="text/plain; version=0.0.4")


def look(capsys: Capture, metrics: Send, health: Send = HEALTH, **options: Any) -> dict[str, str]:
    with serving({"/health": health, "/metrics": metrics}) as server:
        result = run_module(backoffice_gateway, capsys, url=server.url, retries=0, **options)
    return {check["id"]: check["status"] for check in result["checks"]}


@pytest.mark.parametrize(
    ("metrics", "expected"),
    [
        (page(enabled="1.0", queue_depth="0.0"), {"gateway.publisher": "pass", "gateway.queue": "pass"}),
        (page(enabled="0.0"), {"gateway.publisher": "fail"}),
        (page(enabled="1", queue_depth="101"), {"gateway.publisher": "pass", "gateway.queue": "fail"}),
        (page(enabled="1"), {"gateway.publisher": "pass", "gateway.queue": "unverified"}),
        (page(enabled="NaN"), {"gateway.publisher": "unverified"}),
        (page(queue_depth="1"), {"gateway.publisher": "unverified"}),
        (answer(401, b"no"), {"gateway.publisher": "unverified"}),
        (answer(200, b"<html>no metrics</html>"), {"gateway.publisher": "unverified"}),
        (answer(200, b""), {"gateway.publisher": "unverified"}),
    ],
)
def test_the_publisher(metrics: Send, expected: dict[str, str], capsys: Capture) -> None:
    assert look(capsys, metrics) == {"gateway.health": "pass", **expected}


def test_a_gateway_that_is_ill(capsys: Capture) -> None:
    assert look(capsys, page(enabled="1", queue_depth="0"), health=answer(503))["gateway.health"] == "fail"


@pytest.mark.parametrize("check", [False, True])
def test_refused(check: bool, capsys: Capture) -> None:
    result = run_module(backoffice_gateway, capsys, check, url=f"http://127.0.0.1:{free_port()}", retries=0)
    assert {row["id"]: row["status"] for row in result["checks"]} == {
        "gateway.health": "fail",
        "gateway.publisher": "unverified",
    }
    assert result["publisher"] is None


def test_a_missing_library_is_named(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(libraries._missing, "prometheus-client", ImportError("No module named 'prometheus_client'"))
    result = run_module(backoffice_gateway, capsys, url="http://127.0.0.1:1")
    assert result["missing_libraries"] == ["prometheus-client"]
