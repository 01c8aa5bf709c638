# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The client against a server that answers as an API server does, and the many ways to name a cluster wrongly."""

from __future__ import annotations

import base64
import json
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.sre.runbooks.plugins.module_utils import kubernetes_connection
from ansible_collections.sre.runbooks.plugins.module_utils.errors import InputError, UnreachableError
from ansible_collections.sre.runbooks.plugins.module_utils.kubernetes_client import Cluster
from ansible_collections.sre.runbooks.plugins.module_utils.kubernetes_errors import (
    ConflictError,
    ForbiddenError,
    InvalidError,
    NotFoundError,
    UnauthorizedError,
)
from ansible_collections.sre.runbooks.plugins.module_utils.kubernetes_kinds import kind_of
from tests.support.certificates import self_signed
from tests.unit.plugins.fake_http import Asked, Send, Server, answer, json_answer, serving
from tests.unit.plugins.module_runner import fake_context

WEB = "/apis/apps/v1/namespaces/shop/deployments/web"
TOKEN = "a-token-nobody-may-see"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Key and certificate of 127.0.0.1 in one folder."""
    return self_signed(tmp_path_factory.mktemp("tls"), "127.0.0.1", "kubernetes")


@pytest.fixture
def server(certificate: Path) -> Iterator[Server]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")
    with serving(tls=context) as fake:
        yield fake


@pytest.fixture(autouse=True)
def _no_cluster_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("KUBECONFIG", "KUBERNETES_SERVICE_HOST"):
        monkeypatch.delenv(name, raising=False)


def kubeconfig(tmp_path: Path, server: Server, certificate: Path, **user: Any) -> Path:
    """A kubeconfig with embedded certificates, and one whose context has a namespace that must not be used."""
    authority = base64.b64encode((certificate / "cert.pem").read_bytes()).decode()
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": server.url, "certificate-authority-data": authority}}],
        "users": [{"name": "u", "user": user or {"token": TOKEN}}],
        "contexts": [{"name": "prod", "context": {"cluster": "c", "user": "u", "namespace": "elsewhere"}}],
        "current-context": "prod",
    }
    path = tmp_path / "kubeconfig"
    path.write_text(yaml.safe_dump(document))
    return path


@pytest.fixture
def cluster(tmp_path: Path, server: Server, certificate: Path) -> Iterator[Cluster]:
    with Cluster({"kubeconfig": str(kubeconfig(tmp_path, server, certificate))}, fake_context()) as client:
        yield client


def status(code: int, reason: str, message: str, **details: Any) -> Send:
    return json_answer({"kind": "Status", "reason": reason, "message": message, "details": details}, status=code)


def test_an_object_is_read_with_the_credentials_of_the_kubeconfig(cluster: Cluster, server: Server) -> None:
    server.routes[WEB] = json_answer({"metadata": {"name": "web"}})
    assert cluster.get("Deployment", "shop", "web") == {"metadata": {"name": "web"}}
    assert server.asked[0].headers["authorization"] == f"Bearer {TOKEN}"
    assert (cluster.requests, cluster.user) == (1, "user u of context prod")


def test_no_file_with_a_key_is_left_behind(tmp_path: Path, server: Server, certificate: Path, monkeypatch: Any) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    data = {
        "client-certificate-data": base64.b64encode((certificate / "cert.pem").read_bytes()).decode(),
        "client-key-data": base64.b64encode((certificate / "key.pem").read_bytes()).decode(),
    }
    path = kubeconfig(tmp_path, server, certificate, **data)
    server.routes[WEB] = json_answer({"metadata": {}})
    for _again in range(2):
        with Cluster({"kubeconfig": str(path)}, fake_context()) as client:
            client.get("Deployment", "shop", "web")
    assert list(scratch.iterdir()) == []


def test_lists_are_read_page_by_page_and_know_their_kind(cluster: Cluster, server: Server) -> None:
    def pages(asked: Asked) -> Send:
        if "continue" in asked.query:
            return json_answer({"items": [{"metadata": {"name": "b"}}], "metadata": {}})
        assert asked.query == {"labelSelector": "app=web,tier in (a,b)", "limit": "500"}
        return json_answer({"items": [{"metadata": {"name": "a"}}], "metadata": {"continue": "next"}})

    server.routes["/api/v1/namespaces/shop/pods"] = pages
    found = cluster.list("Pod", "shop", labels="app=web,tier in (a,b)")
    assert [(item["kind"], item["apiVersion"], item["metadata"]["name"]) for item in found] == [
        ("Pod", "v1", "a"),
        ("Pod", "v1", "b"),
    ]


def test_a_list_that_expired_while_it_was_read_is_read_again(cluster: Cluster, server: Server) -> None:
    gone = status(410, "Expired", "The provided continue parameter is too old")
    first = json_answer({"items": [{"metadata": {"name": "a"}}], "metadata": {"continue": "next"}})
    server.routes["/api/v1/namespaces/shop/pods"] = [first, gone, json_answer({"items": [], "metadata": {}})]
    assert cluster.list("Pod", "shop") == []


@pytest.mark.parametrize(
    ("sent", "error", "message"),
    [
        (
            status(403, "Forbidden", 'User "sre" cannot patch resource "deployments" in API group "apps"'),
            ForbiddenError,
            r"user u of context prod lacks the verb 'patch' on resource 'deployments\.apps' in namespace shop",
        ),
        (
            status(403, "Forbidden", 'pods "x" is forbidden: exceeded quota: q'),
            ForbiddenError,
            "refused by a ResourceQuota",
        ),
        (status(403, "Forbidden", "admission webhook denied the request"), ForbiddenError, "refused by the admission"),
        (status(401, "Unauthorized", "Unauthorized"), UnauthorizedError, "token may have expired"),
        (
            status(404, "NotFound", "not found"),
            NotFoundError,
            "patch deployments.apps/web in namespace shop: not found",
        ),
        (status(409, "Conflict", "the object has been modified"), ConflictError, "changed by someone else"),
        (status(422, "Invalid", "the server rejected our request"), ConflictError, "changed by someone else"),
        (
            status(422, "Invalid", "spec.replicas: Invalid value: -2", name="web", causes=[{"field": "spec.replicas"}]),
            InvalidError,
            "finds it invalid: spec.replicas",
        ),
        (answer(200, b"<html>hello</html>", Content_Type="text/html"), UnreachableError, "not as an API server does"),
    ],
)
def test_a_refusal_names_the_request_and_what_to_do(
    cluster: Cluster, server: Server, sent: Send, error: type[Exception], message: str
) -> None:
    server.routes[WEB] = sent
    with pytest.raises(error, match=message) as raised:
        cluster.patch("Deployment", "shop", "web", [{"op": "test", "path": "/x", "value": 1}], "json")
    assert TOKEN not in str(raised.value)


def test_a_write_is_never_sent_twice_and_a_read_is(cluster: Cluster, server: Server) -> None:
    busy = answer(503, b"busy", Content_Type="text/plain")
    server.routes[WEB] = [busy, json_answer({"metadata": {}})]
    with pytest.raises(Exception, match="HTTP 503"):
        cluster.patch("Deployment", "shop", "web", {}, "merge")
    server.routes[WEB] = [busy, json_answer({"metadata": {}})]
    cluster.get("Deployment", "shop", "web")
    assert [request.method for request in server.asked] == ["PATCH", "GET", "GET"]
    assert cluster.requests == 3


def test_a_patch_says_its_type_its_author_and_that_it_is_a_rehearsal(cluster: Cluster, server: Server) -> None:
    server.routes[f"{WEB}/scale"] = json_answer({"spec": {"replicas": 3}})
    cluster.patch("Deployment", "shop", "web", {"spec": {"replicas": 3}}, "merge", dry_run=True, subresource="scale")
    (asked,) = server.asked
    assert asked.query == {"fieldManager": "sre.runbooks", "dryRun": "All"}
    assert asked.headers["content-type"] == "application/merge-patch+json"
    assert json.loads(asked.body) == {"spec": {"replicas": 3}}


def test_a_delete_is_for_exactly_one_object(cluster: Cluster, server: Server) -> None:
    server.routes["/api/v1/namespaces/shop/pods/web-1"] = json_answer({"kind": "Status"})
    cluster.delete("Pod", "shop", "web-1", uid="u-1", resource_version="7")
    assert server.asked[0].json()["preconditions"] == {"uid": "u-1", "resourceVersion": "7"}


def test_a_namespace_that_does_not_exist_is_said(cluster: Cluster, server: Server) -> None:
    server.routes["/api/v1/namespaces/shop"] = json_answer({"metadata": {}})
    cluster.require_namespace("shop")
    with pytest.raises(
        InputError, match=r"namespace nope does not exist on https://127.0.0.1:\d+ \(credentials: user u"
    ):
        cluster.require_namespace("nope")
    server.routes["/api/v1/namespaces/hidden"] = status(403, "Forbidden", "cannot get resource")
    cluster.require_namespace("hidden")


def test_a_server_that_is_away_is_said_with_its_address(tmp_path: Path, server: Server, certificate: Path) -> None:
    path = kubeconfig(tmp_path, server, certificate)
    text = path.read_text().replace(server.url, "https://127.0.0.1:1")
    path.write_text(text)
    with pytest.raises(UnreachableError, match=r"API server https://127.0.0.1:1: 127.0.0.1:1 refused the connection"):
        Cluster({"kubeconfig": str(path)}, fake_context()).get("Deployment", "shop", "web")


def test_a_certificate_that_nobody_knows_is_refused_unless_switched_off(server: Server) -> None:
    given = {"host": server.url, "api_key": TOKEN}
    server.routes[WEB] = json_answer({"metadata": {}})
    with pytest.raises(UnreachableError, match="certificate"):
        Cluster(given, fake_context()).get("Deployment", "shop", "web")
    Cluster({**given, "validate_certs": False}, fake_context()).get("Deployment", "shop", "web")
    assert len(server.asked) == 1


def test_a_certificate_may_bear_the_name_that_the_kubeconfig_says(
    tmp_path: Path, server: Server, certificate: Path
) -> None:
    path = kubeconfig(tmp_path, server, certificate)
    document = yaml.safe_load(path.read_text())
    server.routes[WEB] = json_answer({"metadata": {}})
    for name, reached in (("kubernetes", True), ("another", False)):
        document["clusters"][0]["cluster"]["tls-server-name"] = name
        path.write_text(yaml.safe_dump(document))
        with Cluster({"kubeconfig": str(path)}, fake_context()) as client:
            if reached:
                client.get("Deployment", "shop", "web")
            else:
                with pytest.raises(UnreachableError, match="hostname 'another' does"):
                    client.get("Deployment", "shop", "web")


def test_a_token_of_a_plugin_is_used(tmp_path: Path, server: Server, certificate: Path) -> None:
    plugin = tmp_path / "plugin"
    credential = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "kind": "ExecCredential",
        "status": {"token": "made"},
    }
    plugin.write_text(f"#!/bin/sh\ncat <<'END'\n{json.dumps(credential)}\nEND\n")
    plugin.chmod(0o755)
    run = {"apiVersion": "client.authentication.k8s.io/v1", "command": str(plugin), "interactiveMode": "Never"}
    path = kubeconfig(tmp_path, server, certificate, exec=run)
    server.routes[WEB] = json_answer({"metadata": {}})
    Cluster({"kubeconfig": str(path)}, fake_context()).get("Deployment", "shop", "web")
    assert server.asked[0].headers["authorization"] == "Bearer made"


def test_a_plugin_that_hangs_is_left_behind(
    tmp_path: Path, server: Server, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kubernetes_connection, "CREDENTIAL_SECONDS", 0.3)
    run = {"apiVersion": "client.authentication.k8s.io/v1", "command": "/bin/sleep", "args": ["5"]}
    path = kubeconfig(tmp_path, server, certificate, exec={**run, "interactiveMode": "Never"})
    with pytest.raises(UnreachableError, match="a credential plugin hangs"):
        Cluster({"kubeconfig": str(path)}, fake_context())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "no cluster is named: give kubeconfig"),
        ({"kubeconfig": "/nowhere/config"}, "kubeconfig /nowhere/config is no file"),
        ({"host": "http://127.0.0.1:8080", "api_key": TOKEN}, "not asked without TLS"),
        ({"host": "https://127.0.0.1", "ca_cert": "/nowhere/ca.pem"}, "ca_cert /nowhere/ca.pem is no file"),
    ],
)
def test_a_cluster_that_cannot_be_meant_is_an_input_error(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Cluster(options, fake_context())


@pytest.mark.parametrize("text", ["", "- a\n- b\n", "{: nonsense", "apiVersion: v1\nkind: Config\n"])
def test_a_kubeconfig_that_is_none_is_one_clear_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "broken"
    path.write_text(text)
    with pytest.raises(InputError, match=f"kubeconfig {path} can") as raised:
        Cluster({"kubeconfig": str(path)}, fake_context())
    assert "\n" not in str(raised.value)


def test_a_context_that_does_not_exist_is_named(tmp_path: Path, server: Server, certificate: Path) -> None:
    path = kubeconfig(tmp_path, server, certificate)
    with pytest.raises(InputError, match=r"with context nope: .*nope"):
        Cluster({"kubeconfig": str(path), "context": "nope"}, fake_context())


def test_kinds_know_their_paths_and_their_names_in_rbac() -> None:
    assert kind_of("Deployment").path("shop", "web", "scale") == f"{WEB}/scale"
    assert kind_of("Node").path("", "n1") == "/api/v1/nodes/n1"
    assert kind_of("Pod").path("", "") == "/api/v1/pods"
    assert (kind_of("EndpointSlice").resource, kind_of("Pod").resource) == ("endpointslices.discovery.k8s.io", "pods")
    with pytest.raises(InputError, match="kind 'deployment' is not known"):
        kind_of("deployment")
