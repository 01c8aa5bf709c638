# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module against fake servers, through its main(), and its operation on a clock that does not wait."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils import libraries, metrics_probe
from ansible_collections.sre.runbooks.plugins.module_utils.operation import Context
from ansible_collections.sre.runbooks.plugins.modules import metrics_probe as module
from tests.unit.plugins.fake_http import Asked, Send, Server, answer, free_port, serving
from tests.unit.plugins.module_runner import run_module

Capture = pytest.CaptureFixture[str]
FIXTURES = Path(__file__).parents[3] / "fixtures" / "actuator"
PATH = "/actuator/prometheus"
ORDERS = {"id": "orders", "kind": "rate", "metric": "orders_total", "at_most": 1000}


def text(body: str | bytes, status: int = 200, content_type: str = "text/plain;version=0.0.4;charset=utf-8") -> Send:
    return answer(status, body.encode() if isinstance(body, str) else body, Content_Type=content_type)


def counter(orders: object, start: object = 1000.5) -> Send:
    return text(f"# TYPE orders_total counter\norders_total {orders}\nprocess_start_time_seconds {start}\n")


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as made:
        yield made


def probe(capsys: Capture, targets: dict[str, str], *rules: dict[str, Any], **options: Any) -> dict[str, Any]:
    chosen = {"sample_seconds": 0.1, "use_proxy": False, "request_timeout_seconds": 5, **options}
    named = [{"name": name, "url": url} for name, url in targets.items()]
    return run_module(module, capsys, targets=named, rules=list(rules), **chosen)


def checks_of(result: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {check["id"]: check for check in result["checks"]}


def statuses(result: dict[str, Any]) -> dict[str, str]:
    return {check["id"]: check["status"] for check in result["checks"]}


def test_a_real_page(server: Server, capsys: Capture) -> None:
    server.routes[PATH] = text((FIXTURES / "prometheus.200.txt").read_bytes())
    result = probe(
        capsys,
        {"identity": server.url},
        {
            "id": "pool",
            "kind": "ratio",
            "metric": "hikaricp_connections_active",
            "divisor": {"metric": "hikaricp_connections_max"},
            "below": 0.9,
            "runbook": "2.2",
        },
        {
            "id": "breaker",
            "kind": "max",
            "metric": "resilience4j_circuitbreaker_state",
            "labels": {"state": "OPEN"},
            "at_most": 0,
        },
        {"id": "lag", "kind": "max", "metric": "kafka_consumer_records_lag_max", "at_most": 1000, "runbook": "2.3"},
        {"id": "p99", "kind": "quantile", "quantile": 0.99, "metric": "http_request_duration_seconds", "at_most": 1},
        runbook="6",
    )
    assert statuses(result) == {
        "identity.metrics": "pass",
        "identity.pool": "fail",
        "identity.breaker": "pass",
        "identity.lag": "pass",
        "identity.p99": "unverified",
    }
    assert result["verdict"] == "fail"
    assert {check["id"]: check["runbook"] for check in result["checks"]}["identity.pool"] == "2.2"
    assert checks_of(result)["identity.metrics"]["runbook"] == "6"
    assert "http_server_requests_seconds is" not in checks_of(result)["identity.p99"]["observed"]
    assert "kind mean" in checks_of(result)["identity.p99"]["hint"]
    lag = next(row for row in result["results"] if row["rule"] == "lag")
    assert lag["names_used"] == {"kafka_consumer_records_lag_max": "kafka_consumer_fetch_manager_records_lag_max"}
    assert lag["measurements"] == [
        {"instance": "", "labels": {}, "value": 460.0, "lower_bound": False, "status": "pass", "reason": ""}
    ]
    (instance,) = result["targets"][0]["instances"]
    assert instance["url"] == f"{server.url}{PATH}"
    assert instance["samples"] == 1  # values of now need no second sample: the summary has no buckets to compare
    assert server.asked[0].headers["accept"] == "text/plain;version=0.0.4"
    assert result["changed"] is False


def test_a_rate_needs_two_samples(server: Server, capsys: Capture) -> None:
    server.routes[PATH] = [counter(100), counter(105)]
    result = probe(capsys, {"shop": server.url}, {**ORDERS, "at_least": 0.001, "for_minutes": 5})
    assert result["verdict"] == "pass"
    (row,) = result["results"]
    assert row["measurements"][0]["value"] > 0
    assert row["window_observed"] is False
    assert "the window of 5 minutes was not observed" in checks_of(result)["shop.orders"]["hint"]
    assert result["targets"][0]["instances"][0]["process"] == "same"


def test_a_load_balancer_is_noticed_and_named(server: Server, capsys: Capture) -> None:
    server.routes[PATH] = [counter(100, 1000.5), counter(40, 1700.5)]
    now: dict[str, Any] = {"id": "now", "kind": "ratio", "metric": "process_start_time_seconds"}
    now["divisor"] = {"metric": "process_start_time_seconds"}
    result = probe(capsys, {"shop": server.url}, ORDERS, now)
    assert statuses(result) == {"shop.metrics": "pass", "shop.orders": "unverified", "shop.now": "pass"}
    assert checks_of(result)["shop.orders"]["observed"] == "the samples are of different processes"
    assert checks_of(result)["shop.now"]["hint"] == "Seen at one moment."
    (finding,) = result["findings"]
    assert finding["evidence"] == ["shop.orders"]
    assert "load balancer" in finding["cause"]


@pytest.mark.parametrize(
    ("send", "said"),
    [
        (text("no", 401), "the page wants credentials (HTTP 401)"),
        (text("no", 403), "not allowed to read the page (HTTP 403)"),
        (text("no", 404), "there is no such page (HTTP 404)"),
        (text("boom", 500), "HTTP 500: text/plain: boom"),
        (answer(302, Location="/login"), "it redirects to /login"),
        (text("<html>Log in</html>", content_type="text/html"), "it is text/html"),
        (text(""), "the body is empty"),
        (text("orders_total x\n"), "a line on it cannot be read"),
        (text("orders_total 1\n" * 400), "longer than 4000 bytes"),
        (Send(b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\norders_total 1"), "the body ended after"),
    ],
)
def test_a_page_that_cannot_be_read_is_unverified(server: Server, capsys: Capture, send: Send, said: str) -> None:
    server.routes[PATH] = send
    result = probe(capsys, {"shop": server.url}, ORDERS, max_body_bytes=4000)
    assert statuses(result) == {"shop.metrics": "unverified", "shop.orders": "unverified"}
    assert said in checks_of(result)["shop.metrics"]["observed"]
    assert said in checks_of(result)["shop.orders"]["observed"]


def test_a_service_that_is_down_is_no_metric(capsys: Capture) -> None:
    result = probe(capsys, {"shop": f"http://127.0.0.1:{free_port()}"}, ORDERS)
    assert result["verdict"] == "unverified"
    assert "refused the connection" in checks_of(result)["shop.metrics"]["observed"]


def test_an_instance_that_dies_between_the_samples(server: Server, capsys: Capture) -> None:
    server.routes[PATH] = [counter(1), text("gone", 503)]
    result = probe(capsys, {"shop": server.url}, ORDERS)
    assert statuses(result) == {"shop.metrics": "unverified", "shop.orders": "unverified"}


def test_openmetrics_by_the_type_that_is_returned(server: Server, capsys: Capture) -> None:
    page = '# TYPE orders counter\norders_total 5 # {trace_id="a"} 1.0\n# TYPE x gauge\nx 3\n# EOF\n'
    server.routes["/metrics"] = text(page, content_type="application/openmetrics-text; version=1.0.0; charset=utf-8")
    result = probe(capsys, {"shop": f"{server.url}/metrics"}, {**ORDERS, "kind": "sum", "at_most": 5})
    assert result["verdict"] == "pass"


def test_rules_for_some_targets(server: Server, capsys: Capture) -> None:
    server.routes |= {"/a": text("x 1\n"), "/b": text("y 1\n")}
    result = probe(
        capsys,
        {"a": f"{server.url}/a", "b": f"{server.url}/b"},
        {"id": "x", "metric": "x", "targets": ["a"]},
        {"id": "y", "metric": "y", "targets": ["b"]},
    )
    assert statuses(result) == {"a.metrics": "pass", "a.x": "pass", "b.metrics": "pass", "b.y": "pass"}


def test_credentials_are_sent_and_not_shown(server: Server, capsys: Capture) -> None:
    def route(request: Asked) -> Send:
        return text("x 1\n") if request.headers.get("authorization") == "Bearer s3cr3t-t0ken" else text("no", 401)

    server.routes[PATH] = route
    result = probe(capsys, {"shop": server.url}, {"id": "x", "metric": "x"}, token="s3cr3t-t0ken")
    assert result["verdict"] == "pass"
    assert "s3cr3t-t0ken" not in str(result)


def test_secrets_in_labels_are_struck_out(server: Server, capsys: Capture) -> None:
    server.routes[PATH] = text('x{uri="/login?password=hunter22"} 1\n')
    result = probe(capsys, {"shop": server.url}, {"id": "x", "metric": "x", "at_most": 0})
    assert result["verdict"] == "fail"
    assert "hunter22" not in str(result)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"targets": []}, "targets is empty"),
        ({"rules": []}, "rules is empty"),
        ({"targets": [{"name": "a"}]}, "exactly one of url, service, selector"),
        ({"sample_seconds": 60}, "raise timeout"),
        ({"sample_seconds": 0}, "sample_seconds is 0"),
        ({"max_values": -1}, "max_values is -1"),
        ({"concurrency": 0}, "concurrency is 0"),
        ({"rules": [{"id": "metrics", "metric": "x"}]}, "there is a check 'a.metrics' already"),
        ({"rules": [{"id": "x", "metric": "x", "kind": "median"}]}, "median"),
        ({"token": "two words"}, "the token has blanks"),
    ],
)
def test_wrong_options(capsys: Capture, options: dict[str, Any], said: str) -> None:
    right = {"targets": [{"name": "a", "url": "http://127.0.0.1:1"}], "rules": [{"id": "x", "metric": "x"}]}
    result = run_module(module, capsys, **{**right, **options})
    assert result["failed"] is True
    assert said in result["msg"]


def test_a_missing_library_is_named(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(libraries._missing, "prometheus-client", ImportError("No module named 'prometheus_client'"))
    result = run_module(module, capsys, targets=[{"name": "a", "url": "http://127.0.0.1:1"}], rules=[])
    assert result["missing_libraries"] == ["prometheus-client"]


def test_many_targets_keep_little(server: Server) -> None:
    """A thousand pages of a hundred kilobytes each are never held together."""
    noise = "".join(f'noise{{n="{number}"}} 1\n' for number in range(5000))
    server.routes[PATH] = text(f"{noise}orders_total 7\nprocess_start_time_seconds 5\n")
    params = {name: option.get("default") for name, option in metrics_probe.SPEC.options.items()}
    rule = {name: option.get("default") for name, option in metrics_probe.metrics_rules.OPTIONS.items()}
    target = {name: option.get("default") for name, option in metrics_probe.instances.TARGET_OPTIONS.items()}
    params |= {
        "targets": [{**target, "name": f"t{number}", "url": server.url, "path": None} for number in range(300)],
        "rules": [{**rule, **ORDERS}],
        "sample_seconds": 0.1,
        "concurrency": 8,
        "use_proxy": False,
    }
    tracemalloc.start()
    result = metrics_probe.run(params, Context())
    _now, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert result["verdict"] == "pass"
    assert len(result["checks"]) == 600
    assert peak < 300 * len(noise) / 4
