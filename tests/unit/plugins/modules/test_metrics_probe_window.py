# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module on a Prometheus server's query API, as Prometheus 2.42 answers: what is asked, and what is made of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils import metrics_promql, metrics_rules
from ansible_collections.sre.runbooks.plugins.modules import metrics_probe as module
from tests.unit.plugins.fake_http import Asked, Send, Server, answer, free_port, json_answer, serving
from tests.unit.plugins.module_runner import run_module
from tests.unit.plugins.module_utils.test_metrics_evaluate import rule

Capture = pytest.CaptureFixture[str]
SERIES = {"job": "shop", "zone": 'a"b'}
METRIC = {"instance": "10.0.0.1:8080", "job": "shop"}
NAN = float("nan")


def vector(*rows: tuple[dict[str, str], float | str]) -> Send:
    result = [{"metric": metric, "value": [1_900_000_000, str(value)]} for metric, value in rows]
    return json_answer({"status": "success", "data": {"resultType": "vector", "result": result}})


class Prometheus:
    """Answers by the query's text: ``names`` for which names are there, ``value`` for what is asked of a rule.

    In ranges ``points`` are the values, the latest last; None for one that is missing.
    """

    def __init__(self, *names: str) -> None:
        self.names = names
        self.up: list[float] = [1]
        self.value: dict[str, float | str] = {}
        self.points: list[float | None] = []
        self.limits: list[str] = []
        self.asked: list[str] = []

    def query(self, request: Asked) -> Send:
        text = request.query["query"]
        self.asked.append(text)
        if text.startswith("up{"):
            return vector(*(({**METRIC, "instance": str(number)}, value) for number, value in enumerate(self.up)))
        if text.startswith("count by (__name__)"):
            return vector(*(({"__name__": name}, 1) for name in self.names))
        if text.startswith("count by (le)"):
            return vector(*(({"le": limit}, 1) for limit in self.limits))
        return vector(*(({**METRIC, "uri": uri}, value) for uri, value in self.value.items()))

    def range(self, request: Asked) -> Send:
        self.asked.append(request.query["query"])
        start, end, step = (float(request.query[name]) for name in ("start", "end", "step"))
        count = round((end - start) / step) + 1
        known = [None] * (count - len(self.points)) + self.points if len(self.points) < count else self.points[-count:]
        values = [
            [round(start + step * number, 3), str(value)] for number, value in enumerate(known) if value is not None
        ]
        result = [{"metric": METRIC, "values": values}] if values else []
        return json_answer({"status": "success", "data": {"resultType": "matrix", "result": result}})


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as made:
        yield made


def probe(
    capsys: Capture, server: Server, prometheus: Prometheus, *rules: dict[str, Any], **options: Any
) -> dict[str, Any]:
    server.routes |= {"/api/v1/query": prometheus.query, "/api/v1/query_range": prometheus.range}
    chosen = {
        "prometheus_url": server.url,
        "targets": [{"name": "shop", "series": {"job": "shop"}}],
        "use_proxy": False,
        **options,
    }
    return run_module(module, capsys, rules=list(rules), **chosen)


def statuses(result: dict[str, Any]) -> dict[str, str]:
    return {check["id"]: check["status"] for check in result["checks"]}


GAUGE = {"id": "lag", "kind": "max", "metric": "kafka_consumer_lag", "at_most": 10}
LAG = "kafka_consumer_fetch_manager_records_lag"


def test_the_latest_value_under_its_real_name(server: Server, capsys: Capture) -> None:
    prometheus = Prometheus(LAG)
    prometheus.value = {"/a": 4, "/b": 12}
    result = probe(capsys, server, prometheus, GAUGE, runbook="2.3")
    assert statuses(result) == {"shop.instances": "pass", "shop.lag": "fail"}
    (row,) = result["results"]
    assert row["names_used"] == {"kafka_consumer_lag": LAG}
    assert row["window_observed"] is False
    assert [value["value"] for value in row["measurements"]] == [12, 4]
    assert row["measurements"][0]["instance"] == "10.0.0.1:8080"
    check = result["checks"][1]
    assert (check["runbook"], f"kafka_consumer_lag is {LAG} there." in check["hint"]) == ("2.3", True)


@pytest.mark.parametrize(
    ("points", "status", "said"),
    [
        ([20.0] * 21, "fail", "20: wrong for all of 5 minutes (10.0.0.1:8080)"),
        ([*[20.0] * 20, 3.0], "pass", "3 (10.0.0.1:8080)"),
        ([*[3.0] * 16, *[20.0] * 5], "pass", "20: wrong for the last 1 of 5 minutes (10.0.0.1:8080)"),
        ([20.0] * 5, "unverified", "20: wrong for the last 1 of 5 minutes (10.0.0.1:8080)"),
        ([*[20.0] * 10, None, *[20.0] * 10], "unverified", "20: wrong for the last 2.25 of 5 minutes (10.0.0.1:8080)"),
        ([*[20.0] * 20, None], "unverified", "there is no value now (10.0.0.1:8080)"),
        ([*[20.0] * 20, NAN], "unverified", "the value is nan (10.0.0.1:8080)"),
        ([], "unverified", "there are no such series now"),
    ],
)
def test_a_window_is_wrong_only_when_all_of_it_is(
    server: Server, capsys: Capture, points: list[float | None], status: str, said: str
) -> None:
    prometheus = Prometheus(LAG)
    prometheus.points = points
    result = probe(capsys, server, prometheus, {**GAUGE, "for_minutes": 5})
    assert statuses(result)["shop.lag"] == status
    assert result["checks"][1]["observed"] == said
    assert result["results"][0]["window_observed"] is True


def test_a_quantile_beyond_the_largest_bucket_is_a_lower_bound(server: Server, capsys: Capture) -> None:
    prometheus = Prometheus("h_seconds_bucket", "h_seconds_count")
    prometheus.limits, prometheus.value = ["0.1", "2", "+Inf"], {"": 2.0}
    quantile = {"id": "p99", "kind": "quantile", "quantile": 0.99, "metric": "h_seconds"}
    result = probe(capsys, server, prometheus, {**quantile, "at_most": 3}, {**quantile, "id": "low", "at_most": 1})
    assert statuses(result) == {"shop.instances": "pass", "shop.p99": "unverified", "shop.low": "fail"}


def test_no_buckets_and_no_metric(server: Server, capsys: Capture) -> None:
    quantile = {"id": "p99", "kind": "quantile", "quantile": 0.99, "metric": "h_seconds"}
    result = probe(capsys, server, Prometheus("h_seconds_count"), quantile, {"id": "x", "metric": "x"})
    observed = {check["id"]: check["observed"] for check in result["checks"]}
    assert observed["shop.p99"] == "h_seconds has no buckets, so it has no quantile"
    assert observed["shop.x"] == "there is no x under any known name"
    assert result["verdict"] == "unverified"


def test_routes_that_nobody_asked_for_are_left_out(server: Server, capsys: Capture) -> None:
    prometheus = Prometheus("h_seconds_count")
    prometheus.value = {"/a": 0.1, "/idle": "NaN"}
    mean = {"id": "mean", "kind": "mean", "metric": "h_seconds", "by": ["uri"], "at_most": 1}
    result = probe(capsys, server, prometheus, mean)
    assert statuses(result)["shop.mean"] == "pass"
    assert "nothing was counted are left out: 1." in result["checks"][1]["hint"]
    prometheus.value = {"/idle": "NaN"}
    assert statuses(probe(capsys, server, prometheus, mean))["shop.mean"] == "unverified"


@pytest.mark.parametrize(
    ("up", "least", "status"), [([1, 1], 2, "pass"), ([1, 0], 1, "fail"), ([1], 2, "fail"), ([], 1, "unverified")]
)
def test_instances(server: Server, capsys: Capture, up: list[float], least: int, status: str) -> None:
    prometheus = Prometheus("x")
    prometheus.up, prometheus.value = up, {"": 1}
    targets = [{"name": "shop", "series": {"job": "shop"}, "min_instances": least}]
    result = probe(capsys, server, prometheus, {"id": "x", "metric": "x"}, targets=targets)
    assert statuses(result)["shop.instances"] == status


@pytest.mark.parametrize(
    ("send", "said"),
    [
        (
            json_answer({"status": "error", "errorType": "bad_data", "error": "parse error"}, 400),
            "HTTP 400: parse error",
        ),
        (answer(401, b"no", Content_Type="text/plain"), "HTTP 401"),
        (answer(200, b"<html>", Content_Type="text/html"), "the body is not JSON"),
        (json_answer({"status": "success", "data": {"resultType": "scalar", "result": [1, "2"]}}), "not known"),
        (
            json_answer(
                {"status": "success", "warnings": ["store down"], "data": {"resultType": "vector", "result": []}}
            ),
            "has parts only",
        ),
        (
            json_answer(
                {
                    "status": "success",
                    "data": {"resultType": "vector", "result": [{"metric": {}, "value": [1, "many"]}]},
                }
            ),
            "no number",
        ),
    ],
)
def test_a_server_that_does_not_answer_leaves_all_unverified(
    server: Server, capsys: Capture, send: Send, said: str
) -> None:
    server.routes["/api/v1/query"] = send
    targets = [{"name": "shop", "series": {"job": "shop"}}]
    result = run_module(module, capsys, prometheus_url=server.url, targets=targets, rules=[GAUGE], use_proxy=False)
    assert statuses(result) == {"shop.lag": "unverified"}
    assert said in result["checks"][0]["observed"]


def test_a_server_that_is_down(capsys: Capture) -> None:
    settings = {"prometheus_url": f"http://127.0.0.1:{free_port()}", "use_proxy": False, "timeout": 5}
    result = run_module(module, capsys, targets=[{"name": "shop", "series": {"a": "b"}}], rules=[GAUGE], **settings)
    assert "refused the connection" in result["checks"][0]["observed"]
    assert result["verdict"] == "unverified"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"targets": [{"name": "a", "url": "http://127.0.0.1:1"}]}, "and no url"),
        ({"targets": [{"name": "a"}]}, "a target has series"),
        ({"targets": [{"name": "a", "series": {"a-b": "c"}}]}, "'a-b' is no name of a label"),
        ({"targets": [{"name": "a", "series": {"a": "b"}}] * 2}, "a name of its own"),
        ({"targets": []}, "targets is empty"),
        ({"prometheus_url": None}, "give prometheus_url"),
        ({"prometheus_url": "localhost"}, "has no scheme"),
        ({"instance_label": "a b"}, "no name of a label"),
        ({"rate_minutes": 0}, "rate_minutes is 0"),
    ],
)
def test_wrong_options(capsys: Capture, options: dict[str, Any], said: str) -> None:
    right = {"prometheus_url": "http://127.0.0.1:1", "targets": [{"name": "a", "series": {"a": "b"}}], "rules": [GAUGE]}
    result = run_module(module, capsys, **{**right, **options})
    assert result["failed"] is True
    assert said in result["msg"]


# -- what is asked


def asked(made: metrics_rules.Rule, name: str = "", divisor: str = "") -> str:
    used = name or made.selector.metric
    below = divisor or (made.divisor.metric if made.divisor else used)
    return metrics_promql.question(made, {"job": "shop"}, used, below, "instance", 300).value


@pytest.mark.parametrize(
    ("made", "text"),
    [
        (rule("x"), 'x{job="shop"}'),
        (rule("x", instances="sum"), 'sum without (instance) (x{job="shop"})'),
        (rule("x", "sum", by=["a"]), 'sum by (a, instance) (x{job="shop"})'),
        (rule("x", "max", instances="max"), 'max by () (max by (instance) (x{job="shop"}))'),
        (rule("x", "max", instances="sum"), 'max by () (x{job="shop"})'),
        (
            rule("x_total", "rate", instances="sum", no_series="zero"),
            '(sum by () (rate(x_total{job="shop"}[300s])) or on() vector(0))',
        ),
        (
            rule("h", "quantile", quantile=0.99, instances="sum"),
            'histogram_quantile(0.99, sum by (le) (rate(h_bucket{job="shop"}[300s])))',
        ),
        (
            rule("h", "mean", by=["uri"], instances="sum"),
            'sum by (uri) (rate(h_sum{job="shop"}[300s])) / sum by (uri) (rate(h_count{job="shop"}[300s]))',
        ),
        (
            rule("h", "mean", over="lifetime", instances="sum"),
            'sum by () (h_sum{job="shop"}) / sum by () (h_count{job="shop"})',
        ),
        (
            rule("jvm_memory_used_bytes", "ratio", divisor={"metric": "jvm_memory_max_bytes"}),
            'sum by (instance) (jvm_memory_used_bytes{job="shop"}) / sum by (instance) ((jvm_memory_max_bytes{job="shop"} != -1))',
        ),
        (
            rule(
                "r_total",
                "ratio",
                labels_match={"s": "5.."},
                divisor={"metric": "r_total"},
                no_series="zero",
                instances="sum",
            ),
            '(sum by () (rate(r_total{job="shop", s=~"5.."}[300s])) or 0 * sum by () (rate(r_total{job="shop"}[300s]))) '
            '/ sum by () (rate(r_total{job="shop"}[300s]))',
        ),
        (
            rule("x", labels={"a": ["1.0", "2"]}, labels_exclude={"b": "c\\d"}),
            'x{job="shop", a=~"1\\\\.0|2", b!~"c\\\\d"}',
        ),
        (
            rule("resilience4j_circuitbreaker_state", labels={"state": "OPEN"}),
            'resilience4j_circuitbreaker_state{job="shop", state=~"open|forced_open"}',
        ),
    ],
)
def test_what_is_asked(made: metrics_rules.Rule, text: str) -> None:
    assert asked(made) == text


def test_labels_of_a_target_are_quoted() -> None:
    assert metrics_promql.up_of(SERIES) == 'up{job="shop", zone="a\\"b"}'
    assert (
        metrics_promql.names_of(SERIES, ["b", "a"])
        == 'count by (__name__) ({__name__=~"a|b", job="shop", zone="a\\"b"})'
    )
