# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Instances of targets, with an API server that answers as a real one does."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils import instances, libraries
from ansible_collections.sre.runbooks.plugins.module_utils.errors import InputError, LibraryError
from ansible_collections.sre.runbooks.plugins.module_utils.http_problems import NOTHING_OBSERVED
from ansible_collections.sre.runbooks.plugins.module_utils.instances import Instances, Resolved, plan
from tests.support.certificates import self_signed
from tests.unit.plugins.fake_http import Asked, Send, Server, answer, free_port, json_answer, serving
from tests.unit.plugins.module_runner import fake_context

CORE = "/api/v1/namespaces/shop"
SLICES = "/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices"
TOKEN = "a-token-nobody-may-see"
Resolve = Callable[..., Resolved]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return self_signed(tmp_path_factory.mktemp("tls"), "127.0.0.1", "kubernetes")


@pytest.fixture
def server(certificate: Path) -> Iterator[Server]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")
    with serving({CORE: json_answer({"metadata": {"name": "shop"}})}, tls=context) as fake:
        yield fake


@pytest.fixture
def cluster(server: Server, certificate: Path) -> dict[str, str]:
    return {"host": server.url, "api_key": TOKEN, "ca_cert": str(certificate / "cert.pem")}


@pytest.fixture
def source(cluster: dict[str, str]) -> Iterator[Instances]:
    yield from _source(kubernetes=cluster)


def _source(**options: Any) -> Iterator[Instances]:
    params = {name: option.get("default") for name, option in instances.SPEC.options.items()}
    with Instances({**params, **options}, fake_context()) as made:
        yield made


@pytest.fixture
def resolve(source: Instances) -> Resolve:
    def go(**row: Any) -> Resolved:
        return source.resolve(plan([{"name": "web", "namespace": "shop", **row}]))[0]

    return go


def service(*ports: dict[str, Any], **spec: Any) -> Send:
    return json_answer({"metadata": {"name": "web"}, "spec": {"ports": list(ports) or [{"port": 80}], **spec}})


def endpoint(pod: str, ready: bool | None = True, **more: Any) -> dict[str, Any]:
    conditions = {} if ready is None else {"ready": ready}
    return {"addresses": ["10.244.0.5"], "conditions": conditions, "targetRef": {"kind": "Pod", "name": pod}, **more}


def slice_of(
    *endpoints: dict[str, Any], name: str = "web", ports: list[dict[str, Any]] | None = None
) -> dict[str, Any]:
    return {
        "metadata": {"name": f"{name}-x", "labels": {"kubernetes.io/service-name": name}},
        "ports": [{"name": "", "port": 8080}] if ports is None else ports,
        "endpoints": list(endpoints),
    }


def pod(name: str, phase: str = "Running", ready: bool = True, ports: tuple[Any, ...] = (8080,), **more: Any) -> Any:
    status = {"phase": phase, "conditions": [{"type": "Ready", "status": str(ready)}], **more.pop("status", {})}
    declared = [port if isinstance(port, dict) else {"containerPort": port} for port in ports]
    return {
        "metadata": {"name": name, **more},
        "spec": {"containers": [{"name": "main", "ports": declared}]},
        "status": status | ({"podIP": "10.244.0.5"} if phase == "Running" else {}),
    }


def items(*found: Any) -> Send:
    return json_answer({"items": list(found), "metadata": {}})


def refusal(code: int, message: str, reason: str = "ServiceUnavailable") -> Send:
    body = {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "message": message,
        "reason": reason,
        "code": code,
    }
    return json_answer(body, status=code)


def described(found: Resolved) -> list[tuple[str, int, bool]]:
    return [(one.id, one.pod.port, one.pod.ready) for one in found.instances if one.pod]


def test_pods_of_a_service_ready_or_not(server: Server, resolve: Resolve) -> None:
    server.routes[f"{CORE}/services/web"] = service({"port": 80, "name": "http"})
    named = [{"name": "metrics", "port": 9090}, {"name": "http", "port": 8080}]
    ending = endpoint("ending", conditions={"ready": False, "terminating": True})
    twice = slice_of(endpoint("b", None), ports=named)
    server.routes[SLICES] = items(slice_of(endpoint("b", False), endpoint("a", False), ending, ports=named), twice)
    found = resolve(service="web")
    assert described(found) == [("web.a", 8080, False), ("web.b", 8080, True)]
    assert found.check is not None
    assert (found.check.id, found.check.status, found.check.observed) == ("web.instances", "pass", "1 of 2 ready")
    assert server.asked[0].query["labelSelector"] == "kubernetes.io/service-name in (web)"


def test_too_few_are_ready(server: Server, resolve: Resolve) -> None:
    server.routes[f"{CORE}/services/web"] = service()
    server.routes[SLICES] = items(slice_of(endpoint("a"), endpoint("b", False)))
    check = resolve(service="web", min_instances=2).check
    assert check is not None
    assert (check.status, check.observed, check.expected) == ("fail", "1 of 2 ready", "at least 2 ready")


@pytest.mark.parametrize(
    ("found", "slices", "options", "status", "says"),
    [
        (refusal(404, "services web not found", "NotFound"), [], {}, "fail", "no Service web in namespace shop"),
        (service(), [], {}, "fail", "Service web has no endpoints"),
        (service(), [slice_of()], {}, "fail", "Service web has no endpoints"),
        (service(type="ExternalName", externalName="db.example"), [], {}, "fail", "mere name for db.example"),
        (service(), [slice_of({"addresses": ["192.0.2.7"]})], {}, "unverified", "are no pods: 192.0.2.7"),
        (service(), [slice_of(endpoint("a"))], {"port": "81"}, "fail", "has no port 81; there are unnamed (80)"),
        (service({"port": 80, "name": "a"}, {"port": 81, "name": "b"}), [], {}, "fail", "several ports"),
        (
            refusal(403, 'services "web" is forbidden: User "x" cannot get resource', "Forbidden"),
            [],
            {},
            "unverified",
            "lacks the verb 'get' on resource 'services'",
        ),
        (refusal(401, "Unauthorized", "Unauthorized"), [], {}, "unverified", "does not accept the credentials"),
    ],
)
def test_a_service_without_instances_says_why(
    server: Server, resolve: Resolve, found: Send, slices: list[Any], options: Any, status: str, says: str
) -> None:
    server.routes[f"{CORE}/services/web"] = found
    server.routes[SLICES] = items(*slices)
    result = resolve(service="web", **options)
    assert result.instances == []
    assert result.check is not None
    assert (result.check.status, says in result.check.observed) == (status, True), result.check
    assert TOKEN not in str(result.check)


def test_endpoint_slices_that_may_not_be_read(server: Server, resolve: Resolve) -> None:
    server.routes[f"{CORE}/services/web"] = service()
    server.routes[SLICES] = refusal(403, 'endpointslices is forbidden: User "x" cannot list resource', "Forbidden")
    check = resolve(service="web").check
    assert check is not None
    assert check.status == "unverified"
    assert "'list' on resource 'endpointslices" in check.observed


def test_the_port_of_a_service_by_name_or_number(server: Server, resolve: Resolve) -> None:
    server.routes[f"{CORE}/services/web"] = service({"port": 80, "name": "a"}, {"port": 81, "name": "b"})
    server.routes[SLICES] = items(
        slice_of(endpoint("p"), ports=[{"name": "a", "port": 8080}, {"name": "b", "port": 9090}])
    )
    assert described(resolve(service="web", port="b")) == [("web.p", 9090, True)]
    assert described(resolve(service="web", port="80")) == [("web.p", 8080, True)]


def test_pods_of_a_selector(server: Server, resolve: Resolve) -> None:
    waiting = {"containerStatuses": [{"name": "main", "state": {"waiting": {"reason": "ImagePullBackOff"}}}]}
    server.routes[f"{CORE}/pods"] = items(
        pod("c", "Pending", status=waiting),
        pod("b", ready=False),
        pod("a"),
        pod("old", "Succeeded"),
        pod("evicted", "Failed"),
        pod("ending", deletionTimestamp="2026-01-31T03:00:00Z"),
    )
    found = resolve(selector="app=web")
    assert described(found) == [("web.a", 8080, True), ("web.b", 8080, False), ("web.c", 8080, False)]
    assert [one.not_serving for one in found.instances] == ["", "", "Pending: ImagePullBackOff"]
    assert server.asked[0].query["labelSelector"] == "app=web"


@pytest.mark.parametrize(
    ("state", "says"),
    [
        ({"waiting": {"reason": "CrashLoopBackOff"}}, "CrashLoopBackOff"),
        ({"terminated": {"reason": "OOMKilled", "exitCode": 137}}, "OOMKilled (exit code 137)"),
        ({"running": {"startedAt": "2026-01-31T03:00:00Z"}}, ""),
        ({}, "not running"),
    ],
)
@pytest.mark.parametrize("row", [{"service": "web"}, {"selector": "app=web"}])
def test_why_a_pod_cannot_be_asked(
    server: Server, resolve: Resolve, state: dict[str, Any], says: str, row: dict[str, str]
) -> None:
    sidecar = {"name": "sidecar", "state": {"running": {}}}
    found = pod("a", ready=False, status={"containerStatuses": [{"name": "main", "state": state}, sidecar]})
    server.routes |= {
        f"{CORE}/pods": items(found),
        f"{CORE}/pods/a": json_answer(found),
        SLICES: items(slice_of(endpoint("a", False))),
    }
    server.routes[f"{CORE}/services/web"] = service()
    assert resolve(**row).instances[0].not_serving == says


def test_a_pod_that_went_meanwhile_or_may_not_be_read(server: Server, resolve: Resolve) -> None:
    server.routes |= {f"{CORE}/services/web": service(), SLICES: items(slice_of(endpoint("a", False)))}
    server.routes[f"{CORE}/pods/a"] = refusal(404, "not found", "NotFound")
    assert resolve(service="web").instances[0].not_serving == "gone"
    server.routes[f"{CORE}/pods/a"] = refusal(403, 'pods "a" is forbidden: cannot get resource "pods"', "Forbidden")
    assert resolve(service="web").instances[0].not_serving == ""


@pytest.mark.parametrize(
    ("found", "port", "says"),
    [
        ([], "", "no pod in namespace shop matches app=web"),
        ([pod("a", "Succeeded")], "", "no pod in namespace shop matches"),
        ([pod("a", ports=())], "", "does not declare exactly one port"),
        ([pod("a", ports=(1, 2))], "", "declared are unnamed (1), unnamed (2)"),
        ([pod("a", ports=(1,))], "http", "has no port named http"),
    ],
)
def test_a_selector_without_instances_says_why(
    server: Server, resolve: Resolve, found: list[Any], port: str, says: str
) -> None:
    server.routes[f"{CORE}/pods"] = items(*found)
    result = resolve(selector="app=web", port=port)
    assert result.check is not None
    assert (result.check.status, result.instances) == ("fail", [])
    assert says in result.check.observed


def test_the_port_of_a_selector(server: Server, resolve: Resolve) -> None:
    server.routes[f"{CORE}/pods"] = items(pod("a", ports=({"name": "http", "containerPort": 8080}, 9090)))
    assert described(resolve(selector="app=web", port="http")) == [("web.a", 8080, True)]
    assert described(resolve(selector="app=web", port="7070")) == [("web.a", 7070, True)]


@pytest.mark.parametrize("row", [{"service": "web"}, {"selector": "app=web"}])
def test_an_absent_namespace_is_told(server: Server, resolve: Resolve, row: dict[str, str]) -> None:
    server.routes[CORE] = refusal(404, "not found", "NotFound")
    server.routes[f"{CORE}/services/web"] = refusal(404, "not found", "NotFound")
    server.routes |= {SLICES: items(), f"{CORE}/pods": items()}
    check = resolve(**row).check
    assert check is not None
    assert check.status == "fail"
    assert "namespace shop does not exist" in check.observed


@pytest.mark.parametrize("others", [{"service": "b"}, {"selector": "app=b"}])
def test_an_api_server_that_is_away_is_told_once(others: dict[str, str]) -> None:
    url = f"https://127.0.0.1:{free_port()}"
    for source in _source(kubernetes={"host": url}):
        rows: list[dict[str, Any]] = [
            {"name": "url", "url": "http://127.0.0.1:1"},
            {"name": "a", "namespace": "shop", "service": "a"},
            {"name": "b", "namespace": "other", **others},
        ]
        found = source.resolve(plan(rows))
        (check,) = [one.check for one in found if one.check]
        assert (check.id, check.status) == ("cluster.reachable", "unverified")
        assert url in check.observed
        assert "a, b" in check.hint
        assert [len(one.instances) for one in found] == [1, 0, 0]


def test_credentials_that_are_not_accepted_are_told_once(server: Server, source: Instances) -> None:
    server.routes |= {SLICES: refusal(401, "Unauthorized", "Unauthorized")}
    found = source.resolve(plan([{"name": name, "namespace": "shop", "service": name} for name in ("a", "b")]))
    (check,) = [one.check for one in found if one.check]
    assert (check.id, check.status) == ("cluster.reachable", "unverified")
    assert "does not accept the credentials" in check.observed


def test_a_refusal_is_told_for_each_target(server: Server, source: Instances) -> None:
    """The server answers: each target lacks a right of its own."""
    for name in ("a", "b"):
        server.routes[f"{CORE}/services/{name}"] = refusal(403, "cannot get resource services", "Forbidden")
    server.routes[SLICES] = items()
    found = source.resolve(plan([{"name": name, "namespace": "shop", "service": name} for name in ("a", "b")]))
    assert [one.check.id if one.check else None for one in found] == ["a.instances", "b.instances"]
    assert {one.check.status for one in found if one.check} == {"unverified"}


def test_many_services_need_one_request_for_their_endpoints(server: Server, source: Instances) -> None:
    names = [f"s{number}" for number in range(60)]
    server.routes |= {f"{CORE}/services/{name}": service() for name in names}

    def some(asked: Asked) -> Send:
        wanted = asked.query["labelSelector"].split("(")[1].rstrip(")").split(",")
        return items(*(slice_of(endpoint(f"{name}-0"), name=name) for name in wanted))

    server.routes[SLICES] = some
    found = source.resolve(plan([{"name": name, "namespace": "shop", "service": name} for name in names]))
    assert [one.instances[0].id for one in found] == [f"{name}.{name}-0" for name in names]
    assert server.paths.count(SLICES) == 2


def fetch(server: Server, resolve: Resolve, proxied: Send, **row: Any) -> Any:
    server.routes[f"{CORE}/pods"] = items(pod("a"))
    scheme = "https:" if row.get("scheme") == "https" else ""
    server.routes[f"{CORE}/pods/{scheme}a:8080/proxy/health"] = proxied
    return resolve(selector="app=web", **row).instances[0].fetch("/health", {"Accept": "text/plain"})


def test_a_pod_is_asked_through_the_api_server(server: Server, resolve: Resolve) -> None:
    found = fetch(server, resolve, answer(503, b"down"))
    assert (found.status, found.body, found.problem) == (503, b"down", None)
    assert server.asked[-1].headers["authorization"] == f"Bearer {TOKEN}"
    assert server.asked[-1].headers["accept"] == "text/plain"
    assert server.paths.count(f"{CORE}/pods/a:8080/proxy/health") == 1


def test_a_pod_that_speaks_tls(server: Server, resolve: Resolve) -> None:
    assert fetch(server, resolve, answer(200), scheme="https").status == 200


@pytest.mark.parametrize(
    ("said", "kind", "nothing"),
    [
        (
            refusal(503, "error trying to reach service: dial tcp 10.244.0.5:8080: connect: connection refused"),
            "refused",
            False,
        ),
        (
            refusal(503, "error trying to reach service: dial tcp 10.244.0.5:8080: i/o timeout"),
            "connect_timeout",
            False,
        ),
        (refusal(503, "error trying to reach service: EOF"), "closed", False),
        (refusal(502, "error trying to reach service: no tunnel"), "proxy", True),
        (refusal(403, 'pods "a" is forbidden: cannot get resource "pods/proxy"', "Forbidden"), "proxy", True),
        (refusal(401, "Unauthorized", "Unauthorized"), "proxy", True),
        (refusal(404, 'pods "a" not found', "NotFound"), "proxy", True),
        (Send(b""), "proxy", True),
    ],
)
def test_what_the_api_server_says_is_not_taken_for_the_pod(
    server: Server, resolve: Resolve, said: Send, kind: str, nothing: bool
) -> None:
    found = fetch(server, resolve, said)
    assert (found.status, found.problem.kind) == (None, kind), found
    assert (found.problem.kind in NOTHING_OBSERVED) is nothing
    assert found.problem.hint or kind == "closed" or nothing


@pytest.mark.parametrize(
    "own", [json_answer({"kind": "Status"}, status=503), json_answer({"status": "DOWN"}, status=503), answer(500, b"{")]
)
def test_what_a_pod_says_is_not_taken_for_the_api_server(server: Server, resolve: Resolve, own: Send) -> None:
    found = fetch(server, resolve, own)
    assert (found.status, found.problem) == (503 if own.raw.startswith(b"HTTP/1.1 503") else 500, None)


def test_a_pod_gets_no_credentials_of_the_task(server: Server, cluster: dict[str, str]) -> None:
    for source in _source(kubernetes=cluster, token="the-actuators-own", ca_path=cluster["ca_cert"]):
        server.routes[f"{CORE}/pods"] = items(pod("a"))
        rows: list[Any] = [
            {"name": "pods", "namespace": "shop", "selector": "a"},
            {"name": "url", "url": f"{server.url}/base"},
        ]
        found = source.resolve(plan(rows))
        for one in found:
            one.instances[0].fetch("/health")
    assert [asked.headers["authorization"] for asked in server.asked[-2:]] == [
        f"Bearer {TOKEN}",
        "Bearer the-actuators-own",
    ]
    assert server.paths[-1] == "/base/health"


def test_the_library_is_needed_for_pods_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(libraries._missing, "kubernetes", ImportError("No module named 'kubernetes'"))
    for source in _source(kubernetes=None):
        assert len(source.resolve(plan([{"name": "url", "url": "http://127.0.0.1:1"}]))) == 1
        with pytest.raises(LibraryError, match="pip install kubernetes"):
            source.resolve(plan([{"name": "pods", "namespace": "n", "selector": "a"}]))


def test_too_many_targets_are_refused() -> None:
    with pytest.raises(InputError, match="more than 10000"):
        plan([{"name": "a", "url": "http://h"}] * 10_001)
