# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module against a fake server, through its main()."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils import http_probe, libraries
from ansible_collections.sre.runbooks.plugins.modules import http_probe as module
from tests.unit.plugins.fake_http import Asked, Send, Server, answer, free_port, json_answer, serving
from tests.unit.plugins.module_runner import FakeClock, fake_context, run_module

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def server() -> Iterator[Server]:
    with serving({"/ok": json_answer({"status": "UP", "rows": [1, 2]})}) as made:
        yield made


def probe(capsys: Capture, *requests: dict[str, Any], check: bool = False, **options: Any) -> dict[str, Any]:
    limits = {"retries": 0, "request_timeout_seconds": 5, "use_proxy": False}
    return run_module(module, capsys, check, requests=list(requests), **{**limits, **options})


def statuses(result: dict[str, Any]) -> dict[str, str]:
    return {check["id"]: check["status"] for check in result["checks"]}


def test_a_service_that_is_as_expected(server: Server, capsys: Capture) -> None:
    result = probe(
        capsys,
        {
            "id": "svc",
            "url": f"{server.url}/ok",
            "max_latency_ms": 60_000,
            "expect": [{"jmespath": "status", "one_of": ["ok", "UP"]}, {"jmespath": "length(rows)", "at_least": 2}],
            "runbook": "2",
            "hint": "Ask the owner.",
        },
    )
    assert result["verdict"] == "pass"
    assert statuses(result) == {"svc": "pass", "svc.latency": "pass", "svc.1": "pass", "svc.2": "pass"}
    assert {check["runbook"] for check in result["checks"]} == {"2"}
    assert all("Ask the owner." in check["hint"] for check in result["checks"])
    (row,) = result["responses"]
    assert (row["status"], row["json"], row["content_type"]) == (
        200,
        {"status": "UP", "rows": [1, 2]},
        "application/json",
    )
    assert result["changed"] is False


@pytest.mark.parametrize(
    ("send", "own", "expectation", "words"),
    [
        (answer(503, b"busy"), "fail", "unverified", "HTTP 503"),
        (answer(302, Location="/ok"), "fail", "unverified", "HTTP 302"),
        (answer(200, b"<h1>x</h1>", Content_Type="text/html"), "pass", "fail", "not JSON but text/html"),
        (answer(200, b""), "pass", "fail", "body is empty"),
        (Send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}"), "fail", "unverified", "ended after 2 bytes"),
        (answer(200, b" " * 5000), "pass", "unverified", "longer than 1000 bytes"),
        (Send(b"nonsense\r\n"), "fail", "unverified", "did not answer in HTTP"),
        (json_answer({"status": "DOWN"}), "pass", "fail", "DOWN"),
    ],
)
def test_a_service_that_is_not(
    server: Server, capsys: Capture, send: Send, own: str, expectation: str, words: str
) -> None:
    server.routes["/x"] = send
    request = {"id": "x", "url": f"{server.url}/x", "expect": [{"jmespath": "status", "equals": "UP"}]}
    result = probe(capsys, request, max_body_bytes=1000)
    assert statuses(result) == {"x": own, "x.1": expectation}
    assert words in " ".join(str(check["observed"]) for check in result["checks"])
    assert "failed" not in result


def test_what_was_not_observed_is_unverified(server: Server, capsys: Capture) -> None:
    result = probe(
        capsys,
        {"id": "name", "url": "http://nosuch.invalid/"},
        {"id": "down", "url": f"http://127.0.0.1:{free_port()}/"},
        {"id": "redirect", "url": f"{server.url}/r", "status": [302]},
        mode="parallel",
    )
    assert statuses(result) == {"name": "unverified", "down": "fail", "redirect": "fail"}
    assert [row["problem_kind"] for row in result["responses"]] == ["name", "refused", ""]


def orders(request: Asked) -> Send:
    return json_answer({"orderId": "o/1", "n": 7, "token": "opaque-secret"}, 202)


SEQUENCE: list[dict[str, Any]] = [
    {
        "id": "order",
        "method": "POST",
        "path": "/orders",
        "body": {"qty": 1},
        "status": [202],
        "capture": {"order": "orderId", "n": "n", "token": "token"},
    },
    {"id": "one", "path": "/orders/<order>", "query": {"n": "<n>"}, "headers": {"X-Order": "<order>"}},
    {"id": "next", "method": "POST", "path": "/next", "body": {"n": "<n>", "text": "n <n>"}},
]


def test_captures_are_used_in_later_requests(server: Server, capsys: Capture) -> None:
    server.routes |= {"/orders": orders, "/orders/o%2F1": json_answer({}), "/next": json_answer({})}
    result = probe(capsys, *SEQUENCE, base_url=server.url)
    assert result["verdict"] == "pass"
    assert result["changed"] is True
    _, one, following = server.asked
    assert (one.query, one.headers["x-order"]) == ({"n": "7"}, "o/1")
    assert following.json() == {"n": 7, "text": "n 7"}
    assert result["responses"][0]["captured"] == {"order": "o/1", "n": 7, "token": "[redacted]"}
    assert "opaque-secret" not in json.dumps(result)


def test_what_needs_a_value_that_is_not_there_is_not_sent(server: Server, capsys: Capture) -> None:
    server.routes |= {"/orders": json_answer({"n": 1}, 202), "/next": json_answer({})}
    result = probe(capsys, *SEQUENCE, base_url=server.url)
    assert statuses(result) == {"order": "pass", "one": "unverified", "next": "unverified"}
    assert "<order> was not in the answer" in result["checks"][1]["observed"]
    assert "it may change something, and one was not as expected" in result["checks"][2]["observed"]
    assert server.paths == ["/orders"]


def test_check_mode_sends_nothing_that_changes(server: Server, capsys: Capture) -> None:
    server.routes |= {"/orders": orders}
    first = {"id": "health", "path": "/ok"}
    result = probe(capsys, first, *SEQUENCE, check=True, base_url=server.url)
    assert server.paths == ["/ok"]
    assert statuses(result) == {"health": "pass"}
    assert result["verdict"] == "pass"
    assert result["changed"] is True
    assert [(row["id"], row["reason"]) for row in result["planned"]] == [
        ("order", "check mode: it may change something"),
        ("one", "check mode: its answer depends on order, which was not sent"),
        ("next", "check mode: its answer depends on order, which was not sent"),
    ]


def test_check_mode_with_nothing_to_send_is_not_green(server: Server, capsys: Capture) -> None:
    result = probe(capsys, SEQUENCE[0], check=True, base_url=server.url)
    assert (result["verdict"], result["checks"], server.asked) == ("unverified", [], [])


def test_check_mode_in_parallel(server: Server, capsys: Capture) -> None:
    result = probe(
        capsys,
        {"id": "a", "path": "/ok"},
        {"id": "b", "path": "/orders", "method": "DELETE"},
        {"id": "c", "path": "/ok", "method": "POST", "read_only": True},
        check=True,
        base_url=server.url,
        mode="parallel",
    )
    assert statuses(result) == {"a": "pass", "c": "pass"}
    assert [row["id"] for row in result["planned"]] == ["b"]
    assert sorted(request.method for request in server.asked) == ["GET", "POST"]


def test_until_waits_and_tells_what_for(server: Server) -> None:
    server.routes["/job"] = [json_answer({"state": "RUNNING"})] * 3 + [json_answer({"state": "DONE"})]
    said: list[str] = []
    clock = FakeClock()
    request = {
        "id": "job",
        "url": f"{server.url}/job",
        "expect": [{"jmespath": "state", "equals": "DONE"}],
        "until": {"seconds": 20.0, "interval_seconds": 2.0},
    }
    result = http_probe.run(parameters(request), fake_context(clock, progress=said.append))
    assert result["verdict"] == "pass"
    assert result["responses"][0]["polls"] == 4
    assert clock.slept == [2.0, 2.0, 2.0]
    assert said[0].startswith("job: waiting, 20 s left: ")
    assert said[0].endswith("state equals DONE: RUNNING")


def test_until_ends(server: Server) -> None:
    request = {"id": "x", "url": f"{server.url}/none", "until": {"seconds": 3.0, "interval_seconds": 2.0}}
    result = http_probe.run(parameters(request), fake_context())
    assert result["verdict"] == "fail"
    assert result["responses"][0]["polls"] == 3


def parameters(*requests: dict[str, Any], **options: Any) -> dict[str, Any]:
    """Parameters as AnsibleModule hands them over, with all defaults."""
    params = {name: option.get("default") for name, option in http_probe.SPEC.options.items()}
    filled = []
    for request in requests:
        rows = {name: option.get("default") for name, option in http_probe.OPTIONS.items()}
        filled.append(rows | request)
    return params | {"retries": 0, "use_proxy": False, "requests": filled} | options


@pytest.mark.parametrize(
    ("request_", "options", "text"),
    [
        ({"id": "a"}, {}, "requests[1] ('a'): give either url, or path together with base_url"),
        ({"id": "a", "url": "http://h", "path": "/x"}, {}, "give either url"),
        ({"id": "a", "path": "/x"}, {}, "path '/x' needs the option base_url"),
        ({"id": "a", "url": "localhost:80"}, {}, "requests[1] ('a'): url is 'localhost:80', which has no scheme"),
        ({"id": "a b", "url": "http://h"}, {}, "an id has up to 100 letters"),
        ({"id": "a", "url": "http://h/<x>"}, {}, "<x> stands in its URL, but nothing is captured before it"),
        ({"id": "a", "url": "http://h", "capture": {"x y": "z"}}, {}, "'x y' is no name for a capture"),
        ({"id": "a", "url": "http://h", "capture": {"x": "]"}}, {}, "capture: ']' is no JMESPath expression"),
        ({"id": "a", "url": "http://h", "status": []}, {}, "status is []"),
        ({"id": "a", "url": "http://h", "status": [99]}, {}, "give HTTP codes"),
        ({"id": "a", "url": "http://h", "timeout_seconds": 0}, {}, "timeout_seconds is 0"),
        ({"id": "a", "url": "http://h", "method": "POST", "until": {}}, {}, "'until' repeats"),
        ({"id": "a", "url": "http://h", "until": {"interval_seconds": 0}}, {}, "until needs seconds"),
        ({"id": "a", "url": "http://h", "headers": {"authorization": "Bearer hunter2"}}, {}, "belongs in the option"),
        ({"id": "a", "url": "http://h", "expect": [{"jmespath": "a"}]}, {}, "expect[1]: an expectation needs"),
        ({"id": "a", "url": "http://h", "status": "many"}, {}, "status"),
        ({"id": "a", "url": "http://h"}, {"concurrency": 0, "mode": "parallel"}, "concurrency is 0"),
        ({"id": "a", "url": "http://h"}, {"token": "abc", "jwt_secret": "def"}, "mutually exclusive"),
        ({"id": "a", "url": "http://h"}, {"jwt_secret": "ab"}, "fewer than 3 characters"),
        ({"id": "a", "url": "http://h"}, {"timeout": ""}, "timeout"),
    ],
)
def test_bad_input_is_one_clear_line(
    capsys: Capture, request_: dict[str, Any], options: dict[str, Any], text: str
) -> None:
    result = probe(capsys, request_, **options)
    assert result["failed"] is True
    assert text in result["msg"]
    assert "\n" not in result["msg"]
    assert "hunter2" not in json.dumps(result)


def test_a_captured_host_is_refused(capsys: Capture) -> None:
    first = {"id": "a", "url": "http://h/", "capture": {"host": "host"}}
    result = probe(capsys, first, {"id": "b", "url": "http://<host>/"})
    assert "a captured value must not decide which host is asked" in result["msg"]


def test_ids_are_unique_and_nothing_is_refused(capsys: Capture) -> None:
    assert "two items with the id 'a'" in probe(capsys, *[{"id": "a", "url": "http://h/"}] * 2)["msg"]
    assert "requests is empty" in probe(capsys)["msg"]


def test_secrets_are_in_no_output(server: Server, capsys: Capture) -> None:
    def echo(request: Asked) -> Send:
        return json_answer({"headers": request.headers, "note": "hunter2", "accessToken": "opaque"}, 400)

    server.routes["/echo"] = echo
    url = server.url.replace("://", "://user:hunter3@") + "/echo?api_key=hunter4"
    result = probe(capsys, {"id": "a", "url": url}, secret_headers={"X-Thing": "hunter2"}, jwt_secret="hunter5")
    assert server.asked[0].headers["x-thing"] == "hunter2"
    assert server.asked[0].headers["authorization"].startswith("Bearer ey")
    for secret in ("hunter2", "hunter3", "hunter4", "hunter5", "opaque", server.asked[0].headers["authorization"]):
        assert secret not in json.dumps(result)


def test_yaml_strings_of_awx_are_understood(server: Server, capsys: Capture) -> None:
    result = probe(
        capsys,
        {"id": "a", "url": f"{server.url}/ok", "status": "200,204", "max_latency_ms": "60000"},
        validate_certs="yes",
        retries="0",
    )
    assert statuses(result) == {"a": "pass", "a.latency": "pass"}


def test_long_answers_are_cut(server: Server, capsys: Capture) -> None:
    server.routes["/long"] = json_answer(["x" * 100] * 100)
    (row,) = probe(capsys, {"id": "a", "url": f"{server.url}/long"}, max_json_chars=50)["responses"]
    assert (row["json"], row["cut"], len(row["text"])) == (None, True, 50)


def test_head_has_no_body(server: Server, capsys: Capture) -> None:
    server.routes["/ok"] = answer(200)
    result = probe(capsys, {"id": "a", "url": f"{server.url}/ok", "method": "HEAD"})
    assert (statuses(result), result["responses"][0]["json"]) == ({"a": "pass"}, None)


def test_a_thousand_targets_in_order_and_in_flat_memory(server: Server) -> None:
    server.routes["/big"] = json_answer({"data": "x" * 200_000})
    requests = [{"id": f"t{n}", "url": f"{server.url}/big?n={n}"} for n in range(1000)]
    params = parameters(*requests, mode="parallel", concurrency=8, max_json_chars=100)
    tracemalloc.start()
    result = http_probe.run(params, fake_context())
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert [row["id"] for row in result["responses"]] == [request["id"] for request in requests]
    assert result["verdict"] == "pass"
    assert peak < 60_000_000, "200 MB went over the wire"


def test_the_deadline_ends_a_probe(server: Server) -> None:
    clock = FakeClock()

    def slow(request: Asked) -> Send:
        clock.sleep(4)
        return json_answer({})

    server.routes["/slow"] = slow
    requests = [{"id": f"t{n}", "url": f"{server.url}/slow"} for n in range(5)]
    result = http_probe.run(parameters(*requests), fake_context(clock, timeout=10))
    assert list(statuses(result).values()) == ["pass", "pass", "pass", "unverified", "unverified"]
    assert "the total time of 10 s was used up" in result["checks"][-1]["observed"]


def test_a_missing_library_is_named(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(libraries._missing, "jmespath", ImportError("No module named 'jmespath'"))
    result = probe(capsys, {"id": "a", "url": "http://h/"})
    assert result["failed"] is True
    assert "pip install jmespath" in result["msg"]
