# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules on recorded and made-up pages, one instance and several."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.sre.runbooks.plugins.module_utils import metrics_evaluate, metrics_judge, metrics_rules
from ansible_collections.sre.runbooks.plugins.module_utils.errors import InputError
from ansible_collections.sre.runbooks.plugins.module_utils.metrics_evaluate import Found, Reading
from ansible_collections.sre.runbooks.plugins.module_utils.metrics_judge import Seen
from ansible_collections.sre.runbooks.plugins.module_utils.metrics_rules import Rule
from ansible_collections.sre.runbooks.plugins.module_utils.metrics_text import NoMetrics, Wanted, is_counter

FIXTURES = Path(__file__).parents[3] / "fixtures" / "actuator"
DEFAULTS: dict[str, Any] = {
    name: option.get("default") for name, option in metrics_rules.OPTIONS.items() if name not in ("id", "metric")
}
SELECTOR = {"labels": {}, "labels_match": {}, "labels_exclude": {}}


def rule(metric: str, kind: str = "value", aliases: dict[str, Any] | None = None, **options: Any) -> Rule:
    row = {**DEFAULTS, "id": "r", "metric": metric, "kind": kind, **options}
    if row["divisor"]:
        row["divisor"] = {**SELECTOR, **row["divisor"]}
    return metrics_rules.rules([row], aliases or {}, ["t"])[0]


def reading(asked: Rule, page: str | bytes, at: float = 0.0, content_type: str = "text/plain") -> Reading:
    body = page.encode() if isinstance(page, str) else page
    wanted = Wanted(asked.sample_names(selector) for selector in asked.selectors)
    return metrics_evaluate.read(wanted.page(body, content_type), at)


def found(asked: Rule, *pages: str | bytes, seconds: float = 10.0) -> Found:
    """What a rule finds on one page, or on two that were read some seconds apart."""
    readings = [reading(asked, page, number * seconds) for number, page in enumerate(pages)]
    return metrics_evaluate.evaluate(asked, readings[0] if len(readings) > 1 else None, readings[-1])


def numbers(asked: Rule, *pages: str | bytes, seconds: float = 10.0) -> dict[str, float | None]:
    """Group to value."""
    parts = found(asked, *pages, seconds=seconds).parts
    return {
        ",".join(f"{name}={value}" for name, value in group): metrics_evaluate.value_of(asked, part).number
        for group, part in parts.items()
    }


def recorded(name: str = "prometheus") -> bytes:
    return (FIXTURES / f"{name}.200.txt").read_bytes()


# -- real pages


def test_pool_saturation_of_a_real_service() -> None:
    asked = rule("hikaricp.connections.active", "ratio", divisor={"metric": "hikaricp_connections_max"}, by=["pool"])
    assert numbers(asked, recorded()) == {"pool=HikariPool-1": 1.0}
    assert found(asked, recorded()).names == {"hikaricp.connections.active": "hikaricp_connections_active"}


def test_heap_of_a_real_service_leaves_out_what_has_no_maximum() -> None:
    asked = rule("jvm_memory_max_bytes", "sum", by=["area"])
    heap, other = 4.4761088e7 + 5570560 + 1.11869952e8, 5.0331648e7 + 1.073741824e9
    assert numbers(asked, recorded()) == {"area=heap": heap, "area=nonheap": other}
    undefined = rule("jvm_memory_max_bytes", labels={"id": "Metaspace"})
    assert found(undefined, recorded()).problem == "jvm_memory_max_bytes is -1, which means undefined"


@pytest.mark.parametrize(("page", "open_"), [("prometheus", 0), ("prometheus_breaker_forced_open", 1)])
@pytest.mark.parametrize("state", ["open", "OPEN"])
def test_a_breaker_that_was_forced_open_is_open(page: str, open_: int, state: str) -> None:
    asked = rule("resilience4j_circuitbreaker_state", "max", labels={"state": state})
    assert numbers(asked, recorded(page)) == {"": open_}
    assert found(asked, recorded(page)).notes == ["Its labels are state=open|forced_open."]


def test_labels_in_other_letters_are_found_and_said() -> None:
    asked = rule("resilience4j_circuitbreaker_state", labels={"state": "HALF_OPEN"})
    assert list(numbers(asked, recorded()).values()) == [0.0]
    assert found(asked, recorded()).notes == ["Its labels are state=half_open."]


def test_lag_under_the_name_that_it_really_has() -> None:
    asked = rule("kafka_consumer_records_lag_max", "max")
    assert numbers(asked, recorded()) == {"": 460.0}
    gone = found(asked, recorded("prometheus_consumer_stopped"))
    assert gone.problem.startswith("there is no kafka_consumer_records_lag_max (nor kafka_consumer_fetch_manager")
    assert "kafka_lag" in gone.hint


def test_no_buckets_no_quantile_but_an_offer() -> None:
    asked = rule("http_request_duration_seconds", "quantile", quantile=0.99)
    nothing = found(asked, recorded(), recorded())
    assert nothing.problem == "http_server_requests_seconds has no buckets, so it has no quantile"
    assert nothing.hint.startswith("There is kind mean and kind max of http_server_requests_seconds_max instead.")


def test_a_quantile_of_a_real_histogram() -> None:
    page = recorded("prometheus_histogram")
    asked = rule("http_server_requests_seconds", "quantile", quantile=0.5, over="lifetime", by=["uri"])
    counts = rule("http_server_requests_seconds_count", "sum", by=["uri"])
    values, counted = numbers(asked, page), numbers(counts, page)
    assert values.keys() == counted.keys()
    slowest = numbers(rule("http_server_requests_seconds_max", "max", by=["uri"]), page)
    for uri, value in values.items():
        assert value is not None
        assert 0 < value <= (slowest[uri] or 0) * 1.3 + 0.01


def test_openmetrics_says_the_same() -> None:
    for metric in (
        "http_server_requests_seconds_count",
        "hikaricp_connections_timeout_total",
        "process_uptime_seconds",
    ):
        asked = rule(metric, "sum")
        new = reading(asked, recorded("prometheus_openmetrics"), content_type="application/openmetrics-text")
        old = reading(asked, recorded())
        assert new.series[metric]
        assert {sample.key for sample in new.series[metric]} >= {sample.key for sample in old.series[metric]}


# -- counters between two samples

PAGE = """\
# TYPE process_start_time_seconds gauge
process_start_time_seconds {start}
# TYPE orders_total counter
orders_total{{region="eu",}} {orders}
orders_total{{region="us",}} 10
# TYPE temperature gauge
temperature {temperature}
"""


def page(orders: object = 10, start: object = 1000.5, temperature: object = 1) -> str:
    return PAGE.format(orders=orders, start=start, temperature=temperature)


def test_rates() -> None:
    asked = rule("orders_total", "rate", by=["region"])
    assert numbers(asked, page(10), page(35)) == {"region=eu": 2.5, "region=us": 0.0}
    assert numbers(rule("orders_total", "increase"), page(10), page(35)) == {"": 25}
    assert numbers(rule("orders", "rate"), page(10), page(35)) == {"": 2.5}


@given(st.integers(0, 10**6), st.integers(0, 10**6), st.floats(0.1, 1000))
def test_a_rate_is_never_negative(before: int, after: int, seconds: float) -> None:
    value = numbers(rule("orders_total", "rate"), page(before), page(after), seconds=seconds)[""]
    assert value is not None
    assert value >= 0
    if after >= before:
        assert value == pytest.approx((after - before) / seconds)


@pytest.mark.parametrize(
    ("first", "second", "reason"),
    [
        (page(10), page(20, start=2000), "the samples are of different processes"),
        (page(10, "NaN"), page(3, "NaN"), "orders_total went from 10 back to 3"),
        (page("NaN"), page(3), "its first value was nan"),
        (page(1), page("NaN"), "the value of region=eu is nan"),
        (page(1), page("+Inf"), "the value of region=eu is inf"),
    ],
)
def test_a_rate_that_cannot_be_known(first: str, second: str, reason: str) -> None:
    asked = rule("orders_total", "increase", at_most=1e9)
    (part,) = found(asked, first, second).parts.values()
    assert (part.number, part.reason) == (None, reason)


def test_what_was_counted_since_a_reset_is_a_lower_bound() -> None:
    asked = rule("orders_total", "increase", labels={"region": "eu"})
    value = metrics_evaluate.value_of(asked, found(asked, page(10), page(3)).parts[()])
    assert (value.number, value.lower_bound) == (3, True)
    ratio = rule("orders_total", "ratio", labels={"region": "eu"}, divisor={"metric": "orders_total"})
    assert numbers(ratio, page(10), page(3)) == {"": None}


RESTARTED = "orders_total 7\nprocess_uptime_seconds {uptime}\n"


def test_a_restart_between_the_samples() -> None:
    asked = rule("orders_total", "increase")
    value = metrics_evaluate.value_of(
        asked, found(asked, RESTARTED.format(uptime=500), RESTARTED.format(uptime=4)).parts[()]
    )
    assert (value.number, value.lower_bound) == (7, True)
    assert "restarted" in value.reason


@pytest.mark.parametrize(
    ("starts", "uptimes", "relation"),
    [
        ((5.0, 5.0), (None, None), "same"),
        ((5.0, 6.0), (None, None), "mixed"),
        ((5.0, 100.0), (300.0, 3.0), "restarted"),
        ((5.0, 100.0), (300.0, 200.0), "mixed"),
        ((100.0, 5.0), (3.0, 8.0), "mixed"),
        ((None, None), (100.0, 110.2), "same"),
        ((None, None), (100.0, 300.0), "mixed"),
        ((None, None), (100.0, 50.0), "mixed"),
        ((None, None), (100.0, 5.0), "restarted"),
        ((5.0, None), (None, 7.0), "unknown"),
        ((None, None), (None, None), "unknown"),
    ],
)
def test_whether_two_samples_are_of_one_process(
    starts: tuple[float | None, ...], uptimes: tuple[float | None, ...], relation: str
) -> None:
    asked = rule("x")
    pages = [
        "x 1\n"
        + (f"process_start_time_seconds {start}\n" if start else "")
        + (f"process_uptime_seconds {uptime}\n" if uptime else "")
        for start, uptime in zip(starts, uptimes, strict=True)
    ]
    first, second = (reading(asked, text, number * 10.0) for number, text in enumerate(pages))
    assert metrics_evaluate.between(first, second) == relation


def test_a_gauge_has_no_rate() -> None:
    assert found(rule("temperature", "rate"), page(), page()).problem == "temperature is no counter, so it has no rate"


def test_a_counter_that_appears_with_its_first_event() -> None:
    asked = rule("errors_total", "increase")
    start = "process_start_time_seconds 7\n"
    assert numbers(asked, start, f"{start}errors_total 3\n") == {"": 3}


# -- ratios and means

REQUESTS = """\
process_start_time_seconds 5
http_server_requests_seconds_count{{status="200",uri="/a"}} {good}
http_server_requests_seconds_sum{{status="200",uri="/a"}} {seconds}
"""
FAILED = 'http_server_requests_seconds_count{{status="500",uri="/a"}} {bad}\n'


def requests(good: int = 0, seconds: float = 0.0, bad: int | None = None) -> str:
    text = REQUESTS.format(good=good, seconds=seconds)
    return text if bad is None else text + FAILED.format(bad=bad)


def errors(**options: Any) -> Rule:
    return rule(
        "http_requests_total",
        "ratio",
        labels_match={"status": "5.."},
        divisor={"metric": "http_requests_total"},
        **options,
    )


def test_an_error_ratio() -> None:
    assert numbers(errors(), requests(100, bad=1), requests(109, bad=2)) == {"": 0.1}


def test_no_requests_is_no_ratio() -> None:
    assert numbers(errors(), requests(5, bad=1), requests(5, bad=1)) == {"": None}
    assert numbers(rule("http_server_requests_seconds", "mean"), requests(5, 1), requests(5, 1)) == {"": None}


def test_series_that_appear_with_their_first_event_are_zero_only_when_that_is_said() -> None:
    nothing = found(errors(), requests(5), requests(9))
    assert nothing.problem == "http_server_requests_seconds_count is there, but has no series with these labels"
    assert "status=200" in nothing.hint
    assert "no_series" in nothing.hint
    assert numbers(errors(no_series="zero"), requests(5), requests(9)) == {"": 0.0}
    assert found(errors(no_series="zero"), "x 1\n", "x 1\n").problem.startswith("there is no http_requests_total")


def test_groups_of_a_ratio() -> None:
    text = 'a{k="1"} 2\na{k="2"} 3\nb{k="1"} 4\nb{k="3"} 9\n'
    asked = rule("a", "ratio", divisor={"metric": "b"}, by=["k"])
    assert numbers(asked, text) == {"k=1": 0.5, "k=2": None, "k=3": None}
    asked = rule("a", "ratio", divisor={"metric": "b"}, by=["k"], no_series="zero")
    assert numbers(asked, text) == {"k=1": 0.5, "k=2": None, "k=3": 0.0}


def test_a_mean() -> None:
    asked = rule("http_server_requests_seconds", "mean")
    assert numbers(asked, requests(10, 1.0), requests(14, 3.0)) == {"": 0.5}
    asked = rule("http_server_requests_seconds", "mean", over="lifetime")
    assert numbers(asked, requests(10, 1.0)) == {"": 0.1}


HISTOGRAM = """\
process_start_time_seconds 5
h_seconds_bucket{{uri="/a",le="0.1"}} {a}
h_seconds_bucket{{uri="/a",le="1.0"}} {b}
h_seconds_bucket{{uri="/a",le="+Inf"}} {c}
h_seconds_count{{uri="/a"}} {c}
"""


def test_a_quantile_of_what_was_counted_between_the_samples() -> None:
    asked = rule("h_seconds", "quantile", quantile=0.5)
    first, second = HISTOGRAM.format(a=1000, b=1000, c=1000), HISTOGRAM.format(a=1000, b=1010, c=1010)
    assert numbers(asked, first, second)[""] == pytest.approx(0.55)
    assert numbers(asked, second, second) == {"": None}
    value = metrics_evaluate.value_of(asked, found(asked, first, HISTOGRAM.format(a=1000, b=1000, c=1010)).parts[()])
    assert (value.number, value.lower_bound) == (1.0, True)


def test_a_histogram_with_one_bucket_only() -> None:
    asked = rule("h_seconds", "quantile", quantile=0.5)
    only = 'h_seconds_bucket{le="+Inf"} 5\nh_seconds_count 5\n'
    assert found(asked, only, only).problem == "h_seconds has no bucket but +Inf, so it has no quantile"


def test_quantiles_that_the_service_computes_itself() -> None:
    asked = rule("s_seconds", "quantile", quantile=0.99)
    text = 's_seconds{uri="/a",quantile="0.99"} 0.2\ns_seconds{uri="/b",quantile="0.99"} 0.7\ns_seconds_count 5\n'
    assert numbers(asked, text, text) == {"": 0.7}
    assert "computes itself" in found(asked, text, text).notes[0]
    unknown = text.replace("0.2", "NaN")
    value = metrics_evaluate.value_of(asked, found(asked, unknown, unknown).parts[()])
    assert (value.number, value.lower_bound) == (0.7, True)


# -- labels and names


def test_labels() -> None:
    text = 'm{code="200",uri="/a"} 1\nm{code="500",uri="/actuator/health"} 2\nm{code="503",uri="/b"} 4\n'
    assert numbers(rule("m", "sum", labels={"code": 200}), text) == {"": 1}
    assert numbers(rule("m", "sum", labels={"code": [500, "503"]}), text) == {"": 6}
    assert numbers(rule("m", "sum", labels_match={"code": "5"}, no_series="zero"), text) == {"": 0}
    assert numbers(rule("m", "sum", labels_match={"code": "5.*"}, labels_exclude={"uri": "/actuator.*"}), text) == {
        "": 4
    }
    assert numbers(rule("m"), text) == {
        "code=200,uri=/a": 1,
        "code=500,uri=/actuator/health": 2,
        "code=503,uri=/b": 4,
    }


def test_similar_names_are_shown_when_one_is_absent() -> None:
    nothing = found(rule("checkout_sucess_total"), "checkout_success_total 4\n")
    assert "Similar names there: checkout_success_total" in nothing.hint


@pytest.mark.parametrize(
    ("metric", "page", "said"),
    [
        ("hikaricp_connections_activ", "hikaricp_connections_active 4\n", "Similar names"),
        ("hikaricp_connections_active", "x 4\n", "no Hikari pool"),
        ("resilience4j_circuitbreaker_state", "x 4\n", "No breaker is registered"),
        ("kafka_consumer_lag", "kafka_consumer_coordinator_heartbeat_rate 4\n", "a dead consumer looks like no lag"),
    ],
)
def test_what_an_absence_means(metric: str, page: str, said: str) -> None:
    hint = found(rule(metric), page).hint
    assert said in hint
    assert ("Similar names" in hint) != ("no Hikari pool" in hint or "No breaker" in hint or "dead consumer" in hint)


def test_own_aliases_come_before_the_well_known_ones() -> None:
    asked = rule("http_requests_total", "sum", {"http_requests_total": "our_requests_total"})
    assert numbers(asked, "our_requests_total 3\nhttp_server_requests_seconds_count 5\n") == {"": 3}
    asked = rule("latency_bucket", "sum", {"latency": ["our_latency"]})
    assert numbers(asked, "our_latency_bucket 3\n") == {"": 3}


def test_the_largest_of_known_and_unknown_is_a_lower_bound() -> None:
    asked = rule("lag", "max", at_most=10)
    part = found(asked, 'lag{p="0"} NaN\nlag{p="1"} 50\n').parts[()]
    value = metrics_evaluate.value_of(asked, part)
    assert (value.number, value.lower_bound, asked.bounds.holds(value)) == (50, True, False)
    assert numbers(rule("lag", "sum"), 'lag{p="0"} NaN\nlag{p="1"} 50\n') == {"": None}


# -- pages


@pytest.mark.parametrize(
    ("body", "content_type", "said"),
    [
        ("<html><p>Log in</p></html>", "text/html", "text/html"),
        ("\x0a\x05hello", "application/vnd.google.protobuf", "protobuf"),
        ('{"status": "UP"}', "application/json", "application/json"),
        ("", "text/plain", "the body is empty"),
        ("<html>\n<p>Log in</p>", "text/plain", "no series"),
        ('x{a="b"} many\n', "text/plain", "cannot be read"),
        ('x{a="b} 1\n', "text/plain", "cannot be read"),
    ],
)
def test_what_is_no_page_of_metrics(body: str, content_type: str, said: str) -> None:
    with pytest.raises(NoMetrics, match=said):
        reading(rule("x"), body, content_type=content_type)


def test_lines_that_nobody_asked_for_need_not_be_right() -> None:
    assert numbers(rule("x"), "y{ broken\nx 1 1700000000000\r\nxx 5\n") == {"": 1.0}


def test_too_many_series() -> None:
    text = "".join(f'x{{n="{number}"}} 1\n' for number in range(60_000))
    with pytest.raises(NoMetrics, match="60000 of its series are asked for"):
        reading(rule("x"), text)


@pytest.mark.parametrize(
    ("name", "types", "counts"),
    [
        ("a_total", {}, True),
        ("a_seconds_count", {"a_seconds": "summary"}, True),
        ("a_seconds_max", {"a_seconds": "summary"}, False),
        ("a", {"a": "counter"}, True),
        ("a", {}, False),
        ("a_count", {"a_count": "gauge"}, False),
    ],
)
def test_what_is_a_counter(name: str, types: dict[str, str], counts: bool) -> None:
    assert is_counter(name, types) is counts


# -- several instances


def judged(asked: Rule, *pages: str | None) -> metrics_judge.Judged:
    """One page per instance (two equal samples); None for one that was not read."""
    seen = [
        Seen(f"pod-{number}", found(asked, text, text) if text is not None else None, "refused", 10.0)
        for number, text in enumerate(pages)
    ]
    return metrics_judge.judge(asked, "t", seen)


def test_each_instance_is_judged_by_itself() -> None:
    result = judged(rule("x", at_most=5), "x 1\n", "x 7\n", "x 2\n")
    assert result.check.status == "fail"
    assert result.check.observed == "7 (pod-1); the worst of 3 values, 1 of them wrong, 0 unknown"
    assert result.check.id == "t.r"


@pytest.mark.parametrize(
    ("kind", "pages", "status"),
    [
        ("sum", ("x 1\n", "x 7\n"), "fail"),
        ("sum", ("x 1\n", "x 2\n"), "pass"),
        ("max", ("x 1\n", "x 2\n"), "pass"),
        ("sum", ("x 1\n", None), "unverified"),
        ("sum", ("x 9\n", None), "unverified"),  # what is not known may be negative
        ("max", ("x 9\n", None), "fail"),
        ("max", ("x 1\n", None), "unverified"),
        ("each", ("x 9\n", None), "fail"),
        ("each", ("x 1\n", None), "unverified"),
        ("each", (None, None), "unverified"),
        ("each", ("x 1\n", "y 1\n"), "unverified"),
        ("sum", ("x 1\n", "y 1\n"), "unverified"),
        ("each", (), "unverified"),
    ],
)
def test_aggregation(kind: str, pages: tuple[str | None, ...], status: str) -> None:
    assert judged(rule("x", instances=kind, at_most=5), *pages).check.status == status


def test_a_ratio_over_instances_is_that_of_all_requests() -> None:
    asked = rule("a", "ratio", divisor={"metric": "b"}, instances="sum", at_most=0.2)
    result = judged(asked, "a 1\nb 2\n", "a 0\nb 98\n")
    assert result.rows[0].value.number == pytest.approx(0.01)
    assert judged(asked, "a 1\nb 2\n", None).check.status == "unverified"


def test_counters_of_the_instances_that_were_read_are_enough_to_be_too_many() -> None:
    asked = rule("x_total", "increase", instances="sum", at_most=5)
    one = found(asked, "process_start_time_seconds 5\nx_total 0\n", "process_start_time_seconds 5\nx_total 9\n")
    seen = [Seen("a", one, "", 10.0), Seen("b", None, "refused")]
    assert metrics_judge.judge(asked, "t", seen).check.status == "fail"


def routes(**counts: int) -> str:
    rows = [
        f'h_seconds_count{{uri="{uri}"}} {count}\nh_seconds_sum{{uri="{uri}"}} {count / 10}\n'
        for uri, count in counts.items()
    ]
    return "process_start_time_seconds 5\n" + "".join(rows)


@pytest.mark.parametrize("instances", ["each", "sum"])
@pytest.mark.parametrize(
    ("before", "after", "status", "left_out"),
    [
        ({"a": 1, "b": 4}, {"a": 3, "b": 4}, "pass", 1),
        ({"a": 1, "b": 4}, {"a": 1, "b": 4}, "unverified", 0),
        ({"a": 1, "b": 4}, {"a": 3, "b": 5}, "pass", 0),
    ],
)
def test_routes_that_nobody_asked_for_say_nothing_of_the_others(
    instances: str, before: dict[str, int], after: dict[str, int], status: str, left_out: int
) -> None:
    asked = rule("h_seconds", "mean", by=["uri"], at_most=1, instances=instances)
    one = Seen("pod", found(asked, routes(**before), routes(**after)), "", 10.0)
    check = metrics_judge.judge(asked, "t", [one]).check
    assert check.status == status
    assert (f"nothing was counted are left out: {left_out}." in check.hint) is bool(left_out)


def test_an_instance_in_which_nothing_happened_is_not_left_out() -> None:
    asked = rule("h_seconds", "mean", by=["uri"], at_most=1)
    idle = Seen("idle", found(asked, routes(a=1), routes(a=1)), "", 10.0)
    busy = Seen("busy", found(asked, routes(a=1), routes(a=2)), "", 10.0)
    assert metrics_judge.judge(asked, "t", [idle, busy]).check.status == "unverified"


def test_a_pool_without_a_size_is_not_idle() -> None:
    text = 'active{pool="a"} 0\nactive{pool="b"} 1\nmost{pool="a"} 0\nmost{pool="b"} 4\n'
    asked = rule("active", "ratio", divisor={"metric": "most"}, by=["pool"], below=0.9)
    assert metrics_judge.judge(asked, "t", [Seen("", found(asked, text, text))]).check.status == "unverified"


def test_hints_say_what_was_not_observed() -> None:
    asked = rule("http_request_duration_seconds", "mean", for_minutes=5, at_most=1, hint="Ask the owner.")
    one = found(asked, requests(10, 1.0), requests(14, 3.0))
    check = metrics_judge.judge(asked, "t", [Seen("", one, "", 10.2)]).check
    assert check.status == "pass"
    assert check.observed == "0.5 s"
    assert check.expected == "at most 1 s"
    assert check.hint == (
        "http_request_duration_seconds is http_server_requests_seconds here. Seen over 10 s; the window of 5 minutes was "
        "not observed. Ask the owner."
    )


def test_the_smallest_is_the_worst_where_more_is_asked() -> None:
    result = judged(rule("x", at_least=5), "x 4\n", "x 1\n", "x 9\n")
    assert [row.value.number for row in result.rows] == [1, 4, 9]


def test_returned_rows_are_bounded() -> None:
    asked = rule("x")
    row = judged(asked, "".join(f'x{{n="{number}"}} {number}\n' for number in range(50))).as_dict(asked, "t", 3)
    assert [value["value"] for value in row["measurements"]] == [49, 48, 47]
    assert row["measurements_left_out"] == 47
    assert row["window_observed"] is False


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(1, 50)), min_size=1, max_size=5))
def test_adding_up_instances_does_not_depend_on_their_order(pairs: list[tuple[int, int]]) -> None:
    asked = rule("a", "ratio", divisor={"metric": "b"}, instances="sum")
    pages = [f"a {above}\nb {below}\n" for above, below in pairs]
    value = judged(asked, *pages).rows[0].value.number
    assert value == pytest.approx(sum(above for above, _below in pairs) / sum(below for _above, below in pairs))
    assert judged(asked, *reversed(pages)).rows[0].value.number == pytest.approx(value)
    assert not math.isnan(value or 0)


# -- rules that are wrong


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"kind": "ratio"}, "kind ratio needs a divisor"),
        ({"divisor": {"metric": "b"}}, "kind ratio needs a divisor"),
        ({"kind": "quantile"}, "needs the option quantile"),
        ({"quantile": 0.5}, "needs the option quantile"),
        ({"kind": "quantile", "quantile": 99.0}, "0.99 for p99"),
        ({"by": ["a"]}, "kind sum or max with by"),
        ({"metric": 'x{a="b"}'}, "labels belong in the option labels"),
        ({"metric": " "}, "is no name of a metric"),
        ({"at_least": 2, "at_most": 1}, "no value is"),
        ({"for_minutes": -1}, "for_minutes"),
        ({"over": "lifetime"}, "over lifetime"),
        ({"labels": {"a": None}}, "labels: a needs a text"),
        ({"labels": {"a": []}}, "labels: a needs a text"),
        ({"labels_match": {"a": "("}}, "no regular expression"),
        ({"id": "a b"}, "an id has"),
        ({"targets": ["other"]}, "'other', which is no target"),
        ({"aliases": {"a": 3}}, "needs a metric's name"),
    ],
)
def test_wrong_rules(options: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        rule(**{"metric": "x", **options})


def test_no_rules_and_two_of_one_id() -> None:
    row = {**DEFAULTS, "id": "r", "metric": "x"}
    for rows, said in (([], "rules is empty"), ([row, row], "two rules have this id"), ([row] * 501, "more than 500")):
        with pytest.raises(InputError, match=said):
            metrics_rules.rules(rows, {}, [])


def test_what_a_rule_is_about_in_words() -> None:
    asked = rule("a", "quantile", quantile=0.999, by=["uri"], labels={"k": ["1", "2"]}, labels_exclude={"u": "x.*"})
    assert asked.describe() == "p99.9 of a{k=1|2, u!~x.*} by uri"
    assert rule("a", "ratio", divisor={"metric": "b"}).describe() == "a / b"
