# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""actuator_health on answers recorded from a real Spring Boot service, and on all that can answer in its place."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.sre.runbooks.plugins.modules import actuator_health
from tests.unit.plugins.fake_http import Asked, Send, Server, answer, free_port, json_answer, serving
from tests.unit.plugins.module_runner import run_module

RECORDED = Path(__file__).parents[3] / "fixtures" / "actuator"
HEALTH, INFO = "/actuator/health", "/actuator/info"
Run = Callable[..., dict[str, Any]]


def recorded(name: str) -> Send:
    """A recorded answer; its file is called ``<name>.<HTTP code>.<type>``."""
    path = RECORDED / name
    kind = {".json": "application/vnd.spring-boot.actuator.v3+json", ".html": "text/html;charset=utf-8"}[path.suffix]
    return answer(int(name.split(".")[-2]), path.read_bytes(), Content_Type=kind)


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as made:
        yield made


@pytest.fixture
def run(server: Server, capsys: pytest.CaptureFixture[str]) -> Run:
    """One target, whose health is answered by ``health``."""

    def go(health: Send | Callable[[Asked], Send] | None = None, **options: Any) -> dict[str, Any]:
        server.routes.setdefault(HEALTH, health or recorded("health_up.200.json"))
        target = {"name": "identity", "url": server.url, **options.pop("target", {})}
        return run_module(actuator_health, capsys, targets=[target], **options)

    return go


def statuses(result: dict[str, Any]) -> dict[str, str]:
    return {check["id"]: check["status"] for check in result["checks"]}


def first(result: dict[str, Any]) -> dict[str, Any]:
    check: dict[str, Any] = result["checks"][0]
    return check


@pytest.mark.parametrize(
    ("name", "verdict", "observed"),
    [
        ("health_up.200.json", "pass", "UP (HTTP 200"),
        ("health_up_v2.200.json", "pass", "UP (HTTP 200"),
        ("health_up_without_components.200.json", "pass", "UP (HTTP 200"),
        ("health_up_breaker_open.200.json", "pass", "UP, but circuitBreakers UNKNOWN (downstream OPEN) (HTTP 200"),
        ("health_down.503.json", "fail", "DOWN: service (fault 'health' is set) (HTTP 503"),
        ("health_out_of_service.503.json", "fail", "OUT_OF_SERVICE: service"),
        ("health_unknown.200.json", "unverified", "UNKNOWN: service"),
        ("health_degraded.200.json", "fail", "DEGRADED: service"),
        ("health_breaker_forced_open.200.json", "unverified", "UNKNOWN: circuitBreakers (downstream FORCED_OPEN)"),
        (
            "health_pool_exhausted.503.json",
            "fail",
            "DOWN: db (org.springframework.jdbc.CannotGetJdbcConnectionException",
        ),
        ("health_database_gone.503.json", "fail", 'DOWN: db ({"database": "PostgreSQL"'),
        ("health_down_without_components.503.json", "fail", "DOWN (HTTP 503"),
        ("refused.401.json", "unverified", "not exposed: HTTP 401"),
        ("refused.403.json", "unverified", "not exposed: HTTP 403"),
        ("refused.404.json", "unverified", "not exposed: HTTP 404"),
        ("refused.500.json", "fail", "HTTP 500"),
        ("another_product.200.html", "fail", "no health: text/html: <!doctype html>"),
    ],
)
def test_the_status_in_the_json_decides(run: Run, name: str, verdict: str, observed: str) -> None:
    result = run(recorded(name))
    assert statuses(result) == {"identity": verdict}, result["checks"]
    assert observed in first(result)["observed"]
    assert (result["changed"], result["verdict"]) == (False, verdict)


@pytest.mark.parametrize(
    ("health", "verdict", "observed"),
    [
        (json_answer({"status": "UP"}, status=503), "unverified", "UP (HTTP 503"),
        (json_answer({"status": "DOWN"}), "fail", "DOWN (HTTP 200"),
        (json_answer({"status": "UP"}, status=404), "unverified", "not exposed: HTTP 404"),
        (json_answer({"status": "ok"}), "fail", "its status is 'ok'"),
        (json_answer({"status": 200}), "fail", "no health"),
        (json_answer({"status": ["UP"]}), "fail", "no health"),
        (json_answer(["UP"]), "fail", "no health"),
        (json_answer({"error": "RESTEASY003210: Could not find resource"}), "fail", "RESTEASY003210"),
        (answer(200, b"", Content_Type="application/json"), "fail", "no health: nothing"),
        (answer(200, b"UP", Content_Type="text/plain"), "fail", "no health: text/plain: UP"),
        (
            answer(302, Location="http://127.0.0.1:1/login?token=abcdef"),
            "unverified",
            "redirected to http://127.0.0.1:1/login",
        ),
        (answer(429), "unverified", "HTTP 429"),
        (answer(400), "fail", "HTTP 400"),
        (answer(502, b"<html>bad gateway</html>", Content_Type="text/html"), "fail", "bad gateway"),
        (Send(b"SSH-2.0-OpenSSH_9.2\r\n"), "fail", "did not answer in HTTP"),
        (Send(b""), "fail", "closed the connection"),
        (answer(200, b"[" * 100_000, Content_Type="application/json"), "fail", "no health"),
    ],
)
def test_what_else_may_answer(run: Run, health: Send, verdict: str, observed: str) -> None:
    result = run(health)
    assert statuses(result) == {"identity": verdict}, result["checks"]
    assert observed in first(result)["observed"]
    assert "abcdef" not in str(result)
    assert first(result)["hint"] or verdict == "fail"


def test_health_is_asked_once_whatever_it_says(run: Run, server: Server) -> None:
    run(recorded("health_down.503.json"))
    assert server.paths == [HEALTH]
    assert "spring-boot.actuator" in server.asked[0].headers["accept"]


def test_nobody_there_and_no_such_name(run: Run, server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    targets = [
        {"name": "refused", "url": f"http://127.0.0.1:{free_port()}", "identity": "x", "groups": ["readiness"]},
        {"name": "unknown", "url": "http://nosuch.invalid"},
    ]
    result = run_module(actuator_health, capsys, targets=targets, expect_components=["db"], max_latency_ms=50)
    assert statuses(result) == {
        "refused": "fail",
        "refused.latency": "unverified",
        "refused.components": "unverified",
        "refused.readiness": "unverified",
        "refused.identity": "unverified",
        "unknown": "unverified",
        "unknown.latency": "unverified",
        "unknown.components": "unverified",
    }


def test_a_service_that_hangs_is_given_up(run: Run) -> None:
    slow = Send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nwhatever.", drip_seconds=0.2)
    result = run(slow, request_timeout_seconds=0.4, max_latency_ms=10)
    assert statuses(result) == {"identity": "fail", "identity.latency": "unverified"}
    assert "no complete answer within 0.4 s" in first(result)["observed"]


def test_groups_are_asked_though_health_hangs(run: Run, server: Server) -> None:
    server.routes[f"{HEALTH}/liveness"] = recorded("liveness.200.json")
    slow = Send(b"HTTP/1.1 200 OK\r\n\r\n", drip_seconds=0.2)
    result = run(slow, request_timeout_seconds=0.4, groups=["liveness"])
    assert statuses(result) == {"identity": "fail", "identity.liveness": "pass"}


def test_the_answer_is_cut_at_the_limit(run: Run) -> None:
    result = run(answer(200, b" " * 5000, Content_Type="application/json"), max_body_bytes=1000)
    assert (first(result)["status"], "cut after 1000 bytes" in first(result)["observed"]) == ("unverified", True)


def test_a_status_may_be_accepted(run: Run, server: Server) -> None:
    result = run(recorded("health_degraded.200.json"), accept_status=["DEGRADED"])
    assert (result["verdict"], first(result)["expected"]) == ("pass", "UP or DEGRADED")
    server.routes[HEALTH] = json_answer({"status": "ok"})
    assert run(target={"accept_status": ["ok"]})["verdict"] == "pass"


def test_components_and_reasons_are_returned(run: Run) -> None:
    result = run(recorded("health_pool_exhausted.503.json"))
    row = result["services"][0]
    assert row["components"]["db"] == "DOWN"
    assert row["components"]["ping"] == "UP"
    assert set(row["reasons"]) == {"db"}
    assert (row["name"], row["instance"], row["ready"], row["http_status"]) == ("identity", "", None, 503)


def test_components_within_components_are_named_with_their_path(run: Run) -> None:
    inner = {"orders": {"status": "UP"}, "users": {"status": "DOWN", "details": {"error": "password=hunter2 is wrong"}}}
    result = run(json_answer({"status": "DOWN", "components": {"db": {"status": "DOWN", "components": inner}}}, 503))
    assert result["services"][0]["components"] == {"db.orders": "UP", "db.users": "DOWN"}
    assert "db.users" in first(result)["observed"]
    assert "hunter2" not in str(result)


@pytest.mark.parametrize(
    ("name", "expected", "verdict", "observed"),
    [
        ("health_up.200.json", ["db", "ping"], "pass", "db UP, ping UP"),
        ("health_up.200.json", ["db", "redis"], "fail", "redis absent"),
        ("health_up_breaker_open.200.json", ["circuitBreakers"], "fail", "circuitBreakers UNKNOWN"),
        ("health_up_without_components.200.json", ["db"], "unverified", "not shown"),
        ("refused.401.json", ["db"], "unverified", "no health to look at"),
    ],
)
def test_components_that_must_be_there(run: Run, name: str, expected: list[str], verdict: str, observed: str) -> None:
    result = run(recorded(name), expect_components=expected)
    assert statuses(result)["identity.components"] == verdict
    assert observed in result["checks"][1]["observed"]


def test_readiness_does_not_show_the_database(run: Run, server: Server) -> None:
    server.routes[f"{HEALTH}/readiness"] = recorded("readiness.200.json")
    result = run(recorded("health_database_gone.503.json"), groups=["readiness"])
    assert statuses(result) == {"identity": "fail", "identity.readiness": "pass"}
    assert "stays UP when a database" in result["checks"][1]["hint"]
    causes = [finding["cause"] for finding in result["findings"]]
    assert any(cause.startswith("db is DOWN in identity") for cause in causes)
    assert any(cause.startswith("readiness stays UP while") for cause in causes)


def test_readiness_that_holds_the_database(run: Run, server: Server) -> None:
    server.routes[f"{HEALTH}/readiness"] = recorded("readiness_with_db.503.json")
    server.routes["/readyz"] = recorded("readiness_with_db.200.json")
    result = run(recorded("health_database_gone.503.json"), groups=["readiness"], additional_paths=["/readyz"])
    assert statuses(result)["identity.readiness"] == "fail"
    assert result["checks"][2]["hint"] == "Covers db, readinessState; nothing else."
    assert result["services"][0]["groups"] == {"readiness": "DOWN", "readyz": "UP"}


def test_a_group_that_does_not_exist_is_unverified(run: Run) -> None:
    result = run(groups=["liveness"])
    assert statuses(result) == {"identity": "pass", "identity.liveness": "unverified"}
    assert "no health group liveness" in result["checks"][1]["hint"]


def test_liveness_that_holds_a_dependency_is_told(run: Run, server: Server) -> None:
    server.routes[f"{HEALTH}/liveness"] = recorded("readiness_with_db.503.json")
    result = run(recorded("health_database_gone.503.json"), groups=["liveness"])
    assert any("a restart does not mend" in finding["cause"] for finding in result["findings"])


@pytest.mark.parametrize(
    ("info", "identity", "verdict", "observed"),
    [
        (recorded("info.200.json"), "identity-service", "pass", "app.name identity-service"),
        (recorded("info.200.json"), "case-service", "fail", "build.artifact identity-service"),
        (json_answer({"spring": {"application": {"name": "x"}}}), "x", "pass", "spring.application.name x"),
        (json_answer({}), "x", "unverified", "does not say who it is"),
        (json_answer({"app": "text", "build": {"artifact": 7}}), "x", "unverified", "does not say who it is"),
        (recorded("info_not_exposed.404.json"), "x", "unverified", "not to be had: HTTP 404"),
        (recorded("another_product.200.html"), "x", "fail", "not JSON"),
    ],
)
def test_who_answers(run: Run, server: Server, info: Send, identity: str, verdict: str, observed: str) -> None:
    server.routes[INFO] = info
    result = run(target={"identity": identity})
    assert statuses(result) == {"identity": "pass", "identity.identity": verdict}
    assert observed in result["checks"][1]["observed"]


def test_another_product_fails_the_identity_without_being_asked_further(run: Run, server: Server) -> None:
    result = run(recorded("another_product.200.html"), target={"identity": "identity-service"})
    assert statuses(result) == {"identity": "fail", "identity.identity": "fail"}
    assert server.paths == [HEALTH]
    assert "something else than a Spring Boot actuator" in result["findings"][0]["cause"]


@pytest.mark.parametrize(("most_ms", "verdict"), [(60_000, "pass"), (20, "fail")])
def test_latency(run: Run, most_ms: int, verdict: str) -> None:
    def late(_asked: Asked) -> Send:
        time.sleep(0.05)
        return recorded("health_up.200.json")

    assert statuses(run(late, max_latency_ms=most_ms)) == {"identity": "pass", "identity.latency": verdict}


def test_a_target_overrides_what_is_said_for_all(run: Run, server: Server) -> None:
    server.routes["/manage/health"] = recorded("health_up.200.json")
    target = {"path": "/manage/health", "runbook": "2", "groups": []}
    result = run(target=target, groups=["readiness"], runbook="1")
    assert server.paths == ["/manage/health"]
    assert first(result)["runbook"] == "2"


def test_many_services_keep_their_order_and_share_their_causes(capsys: pytest.CaptureFixture[str]) -> None:
    with (
        serving({HEALTH: recorded("health_up.200.json")}) as good,
        serving({HEALTH: recorded("health_database_gone.503.json")}) as bad,
    ):
        targets = [{"name": f"s{n}", "url": (bad if n % 10 == 0 else good).url} for n in range(100)]
        result = run_module(actuator_health, capsys, targets=targets, concurrency=16)
    assert [check["id"] for check in result["checks"]] == [f"s{n}" for n in range(100)]
    assert [row["name"] for row in result["services"] if row["verdict"] == "fail"] == [
        f"s{n}" for n in range(0, 100, 10)
    ]
    shared = result["findings"][0]
    assert shared["cause"].startswith("db is DOWN in s0, s10, s20, s30, s40 and 5 more")
    assert (shared["confidence"], len(shared["evidence"])) == ("inferred", 10)


def test_credentials_go_along_and_stay_out_of_the_result(run: Run, server: Server) -> None:
    result = run(token="a-token-nobody-may-see")
    assert server.asked[0].headers["authorization"] == "Bearer a-token-nobody-may-see"
    assert "nobody-may-see" not in str(result)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"targets": []}, "targets is empty"),
        ({"targets": [{"name": "a b", "url": "http://h"}]}, "a name has up to 100"),
        ({"targets": [{"name": "a"}]}, "give exactly one of url, service, selector; it has none"),
        ({"targets": [{"name": "a", "url": "http://h", "selector": "x"}]}, "it has url and selector"),
        ({"targets": [{"name": "a", "namespace": "n", "selector": " "}]}, "it has none"),
        ({"targets": [{"name": "a", "url": "h:80"}]}, "has no scheme"),
        ({"targets": [{"name": "a", "url": "http://h", "namespace": "n"}]}, "namespace belongs to pods"),
        ({"targets": [{"name": "a", "service": "s"}]}, "pods need a namespace"),
        ({"targets": [{"name": "a", "url": "http://h", "min_instances": 0}]}, "min_instances is 0"),
        ({"targets": [{"name": "a", "url": "http://h"}] * 2}, "two items with the name 'a'"),
        ({"targets": [{"name": "a", "url": "http://h", "path": "health"}]}, "a path begins with /"),
        ({"accept_status": ["DOWN"]}, "accept_status has DOWN, which is never good"),
        ({"groups": ["a/b"]}, "no name of a group"),
        ({"groups": ["latency"]}, "must differ in their names"),
        ({"groups": ["livez"], "additional_paths": ["/livez"]}, "must differ in their names"),
        ({"max_latency_ms": 0}, "max_latency_ms is 0"),
        ({"concurrency": 0}, "concurrency is 0"),
        ({"request_timeout_seconds": 0}, "request_timeout_seconds is 0"),
    ],
)
def test_wrong_options_are_refused_in_one_line(
    capsys: pytest.CaptureFixture[str], options: dict[str, Any], says: str
) -> None:
    result = run_module(actuator_health, capsys, **{"targets": [{"name": "a", "url": "http://127.0.0.1:1"}], **options})
    assert result["failed"] is True
    assert says in result["msg"]
    assert "\n" not in result["msg"]


def test_an_api_server_that_is_away_is_one_line_for_all_pods(capsys: pytest.CaptureFixture[str]) -> None:
    url = f"https://127.0.0.1:{free_port()}"
    rows = [{"name": name, "namespace": "shop", "service": name, "runbook": "1.1"} for name in ("a", "b", "c")]
    result = run_module(
        actuator_health, capsys, targets=rows, groups=["readiness"], kubernetes={"host": url}, timeout=5
    )
    (check,) = result["checks"]
    assert (check["id"], check["status"], check["runbook"]) == ("cluster.reachable", "unverified", "1.1")
    assert url in check["observed"]
    assert "a, b, c" in check["hint"]
    assert (result["verdict"], result["services"]) == ("unverified", [])


def test_check_mode_is_the_same(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    server.routes[HEALTH] = recorded("health_up.200.json")
    result = run_module(actuator_health, capsys, check=True, targets=[{"name": "a", "url": server.url}])
    assert (result["verdict"], result["changed"], server.paths) == ("pass", False, [HEALTH])
