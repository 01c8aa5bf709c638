# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Endpoints, files and kubeconfigs through the module's main(); Secrets on a fake API server."""

from __future__ import annotations

import base64
import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.sre.runbooks.plugins.module_utils import libraries
from ansible_collections.sre.runbooks.plugins.modules import certificate_probe as module
from tests.unit.plugins.fake_certificates import Issued, bundle, issue, server_context
from tests.unit.plugins.fake_http import Asked, Send, Server, free_port, json_answer, serving
from tests.unit.plugins.module_runner import run_module

Capture = pytest.CaptureFixture[str]

ROOT = issue("Lab Root", authority=True, days=3650)
MIDDLE = issue("Lab Intermediate", ROOT, authority=True, days=1000)
HERE = ("localhost", "127.0.0.1")
LEAF = issue("api", MIDDLE, names=HERE, days=90.5)


@pytest.fixture
def ca(tmp_path: Path) -> str:
    path = tmp_path / "ca.crt"
    path.write_bytes(ROOT.pem)
    return str(path)


@contextmanager
def showing(
    folder: Path, leaf: Issued, *chain: Issued, change: Callable[[ssl.SSLContext], None] | None = None
) -> Iterator[str]:
    """The address of a server that shows these certificates."""
    context = server_context(folder, leaf, *chain)
    if change:
        change(context)
    with serving({}, tls=context) as server:
        yield server.url.removeprefix("https://")


def probe(capsys: Capture, *endpoints: dict[str, Any] | str, **options: Any) -> dict[str, Any]:
    rows = [{"address": row} if isinstance(row, str) else row for row in endpoints]
    return run_module(module, capsys, endpoints=rows, **{"handshake_timeout_seconds": 5, "timeout": 20, **options})


def statuses(result: dict[str, Any]) -> dict[str, str]:
    """Status by the last part of the check's id; for one place."""
    return {check["id"].rsplit(".", 1)[1]: check["status"] for check in result["checks"]}


def check_of(result: dict[str, Any], part: str) -> dict[str, Any]:
    return next(check for check in result["checks"] if check["id"].endswith(f".{part}"))


# -- endpoints


def test_a_certificate_in_good_order(tmp_path: Path, ca: str, capsys: Capture) -> None:
    with showing(tmp_path, LEAF, MIDDLE) as address:
        result = probe(capsys, address, ca_path=ca, runbook="6")
    assert result["verdict"] == "pass"
    assert statuses(result) == {"expiry": "pass", "name": "pass", "trust": "pass", "chain": "pass"}
    assert {check["runbook"] for check in result["checks"]} == {"6"}
    (row,) = result["certificates"]
    assert row["id"] == address
    assert row["days_left"] == pytest.approx(90.5, abs=0.1)
    assert row["names"] == ["localhost", "127.0.0.1"]
    assert [one["subject"] for one in row["chain"]] == ["CN=api", "CN=Lab Intermediate"]
    assert row["tls_version"] == "TLSv1.3"
    assert row["chain_complete"] is True
    assert row["trusted"] is True
    assert (result["findings"], result["renewals"]) == ([], [])
    assert result["changed"] is False


def test_a_name_that_is_asked_for(tmp_path: Path, ca: str, capsys: Capture) -> None:
    with showing(tmp_path, LEAF, MIDDLE) as address:
        result = probe(capsys, {"address": address, "server_name": "api.example", "id": "api"}, ca_path=ca)
    assert statuses(result) == {"expiry": "pass", "name": "fail", "trust": "pass", "chain": "pass"}
    assert check_of(result, "name")["observed"] == "localhost, 127.0.0.1"
    assert check_of(result, "name")["id"] == "api.name"
    assert result["certificates"][0]["name_matches"] == {"api.example": False}


@pytest.mark.parametrize(
    ("leaf", "chain", "trust", "hint"),
    [
        (LEAF, (), "unable to get local issuer certificate", "The server sends no certificate of CN=Lab Intermediate"),
        (issue("self", names=HERE), (), "self-signed certificate", "It signed itself"),
        (
            issue("api", issue("Own Root", authority=True), names=HERE),
            (),
            "unable to get local issuer certificate",
            "CN=Own Root",
        ),
    ],
)
def test_what_clients_do_not_trust(
    tmp_path: Path, ca: str, capsys: Capture, leaf: Issued, chain: tuple[Issued, ...], trust: str, hint: str
) -> None:
    with showing(tmp_path, leaf, *chain) as address:
        result = probe(capsys, address, ca_path=ca)
    assert statuses(result) == {"expiry": "pass", "name": "pass", "trust": "fail", "chain": "pass"}
    assert trust in check_of(result, "trust")["observed"]
    assert hint in check_of(result, "trust")["hint"]
    assert result["certificates"][0]["trusted"] is False


def test_an_own_root_that_is_sent(tmp_path: Path, ca: str, capsys: Capture) -> None:
    root = issue("Own Root", authority=True)
    with showing(tmp_path, issue("api", root, names=HERE), root) as address:
        result = probe(capsys, address, ca_path=ca)
    assert "Its root Own Root is not trusted here" in check_of(result, "trust")["hint"]


def test_trust_that_is_not_asked_for_is_no_check(tmp_path: Path, capsys: Capture) -> None:
    with showing(tmp_path, issue("self", names=HERE)) as address:
        result = probe(capsys, address, check_trust=False)
    assert statuses(result) == {"expiry": "pass", "name": "pass", "chain": "pass"}


@pytest.mark.parametrize(
    ("days", "since", "status", "said", "renew"),
    [
        (-2, 30, "fail", "expired 2 days ago", True),
        (10, 30, "fail", "10 days, until", True),
        (20, 30, "pass", "20 days, until", True),
        (31, 30, "pass", "31 days, until", False),
        (100, -3, "fail", "is not valid before", False),
    ],
)
def test_days(
    tmp_path: Path, ca: str, capsys: Capture, days: float, since: float, status: str, said: str, renew: bool
) -> None:
    leaf = issue("api", MIDDLE, names=HERE, days=days, since_days=since)
    with showing(tmp_path, leaf, MIDDLE) as address:
        result = probe(
            capsys, {"address": address, "owner": "Platform team"}, ca_path=ca, renew_playbook="site.certificates.renew"
        )
    expiry = check_of(result, "expiry")
    assert expiry["status"] == status
    assert said in expiry["observed"]
    assert statuses(result)["trust"] == ("fail" if days < 0 or since < 0 else "pass")
    assert bool(result["renewals"]) is renew
    if renew:
        (renewal,) = result["renewals"]
        (finding,) = result["findings"]
        assert renewal["owner"] == "Platform team"
        assert finding["evidence"] == [expiry["id"]]
        assert "Platform team" in finding["cause"]
        assert finding["next"] == {
            "playbook": "site.certificates.renew",
            "args": {"certificate": address},
            "effect": "change",
        }


def test_an_intermediate_that_ends_first(tmp_path: Path, ca: str, capsys: Capture) -> None:
    middle = issue("Old Intermediate", ROOT, authority=True, days=5)
    with showing(tmp_path, issue("api", middle, names=HERE, days=300), middle) as address:
        result = probe(capsys, address, ca_path=ca)
    assert statuses(result)["expiry"] == "fail"
    assert "of the intermediate Old Intermediate" in check_of(result, "expiry")["observed"]


def test_certificates_in_the_wrong_order(tmp_path: Path, ca: str, capsys: Capture) -> None:
    with showing(tmp_path, LEAF, ROOT, MIDDLE) as address:
        result = probe(capsys, address, ca_path=ca)
    assert statuses(result)["chain"] == "fail"
    assert check_of(result, "chain")["observed"] == "wrong order: api, Lab Root, Lab Intermediate"


def test_a_certificate_that_does_not_belong(tmp_path: Path, ca: str, capsys: Capture) -> None:
    with showing(tmp_path, LEAF, MIDDLE, issue("stranger")) as address:
        result = probe(capsys, address, ca_path=ca)
    assert check_of(result, "chain")["observed"] == "stranger did not issue any of the others"


def test_a_server_that_wants_a_client_certificate(tmp_path: Path, ca: str, capsys: Capture) -> None:
    def require(context: ssl.SSLContext) -> None:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(ca)

    with showing(tmp_path, LEAF, MIDDLE, change=require) as address:
        result = probe(capsys, address, ca_path=ca)
    assert result["verdict"] == "pass"


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1 is deprecated")
def test_an_old_server_is_read_and_not_trusted(tmp_path: Path, ca: str, capsys: Capture) -> None:
    def old(context: ssl.SSLContext) -> None:
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1
        context.set_ciphers("ALL:@SECLEVEL=0")

    with showing(tmp_path, LEAF, MIDDLE, change=old) as address:
        result = probe(capsys, address, ca_path=ca)
    assert result["certificates"][0]["tls_version"] == "TLSv1"
    assert statuses(result) == {"expiry": "pass", "name": "pass", "trust": "fail", "chain": "pass"}


def test_no_tls_and_nobody_there(capsys: Capture) -> None:
    with serving({}) as plain:
        port = free_port()
        address = plain.url.removeprefix("http://")
        result = probe(capsys, {"address": address, "id": "plain"}, {"address": f"127.0.0.1:{port}", "id": "gone"})
    found = {check["id"]: (check["status"], check["observed"]) for check in result["checks"]}
    assert found["plain.expiry"] == ("fail", f"{address} does not speak TLS")
    assert found["gone.expiry"] == ("unverified", f"127.0.0.1:{port} refused the connection")
    assert result["verdict"] == "fail"


@contextmanager
def silent() -> Iterator[str]:
    """A server that accepts and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"127.0.0.1:{listener.getsockname()[1]}"


def test_a_server_that_says_nothing_does_not_hold_the_others(tmp_path: Path, ca: str, capsys: Capture) -> None:
    with silent() as quiet, showing(tmp_path, LEAF, MIDDLE) as address:
        result = probe(capsys, quiet, address, ca_path=ca, handshake_timeout_seconds=0.3)
    found = {check["id"]: check["status"] for check in result["checks"]}
    assert found[f"{quiet}.expiry"] == "unverified"
    assert found[f"{address}.expiry"] == "pass"


@contextmanager
def postgresql(folder: Path, answer: bytes) -> Iterator[str]:
    """A server that answers the request for TLS as PostgreSQL does."""
    context = server_context(folder, LEAF, MIDDLE)
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _peer = listener.accept()
            with connection:
                assert connection.recv(8) == b"\x00\x00\x00\x08\x04\xd2\x16\x2f"
                connection.sendall(answer)
                if answer == b"S":
                    with context.wrap_socket(connection, server_side=True):
                        pass

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        thread.join(5)


@pytest.mark.parametrize(("answer", "status"), [(b"S", "pass"), (b"N", "fail")])
def test_postgresql(tmp_path: Path, ca: str, capsys: Capture, answer: bytes, status: str) -> None:
    with postgresql(tmp_path, answer) as address:
        result = probe(capsys, {"address": address, "starttls": "postgresql"}, ca_path=ca)
    assert check_of(result, "expiry")["status"] == status
    if status == "fail":
        assert "does not offer TLS" in check_of(result, "expiry")["observed"]


# -- files


def test_files(tmp_path: Path, capsys: Capture) -> None:
    good, key, gone = tmp_path / "good.pem", tmp_path / "key.pem", tmp_path / "gone.pem"
    good.write_bytes(bundle(LEAF, MIDDLE))
    key.write_bytes(LEAF.key_pem)
    result = probe(capsys, paths=[str(good), str(key), str(gone)])
    found = {check["id"]: (check["status"], check["observed"]) for check in result["checks"]}
    assert found[f"{good}.expiry"][0] == "pass"
    assert found[f"{good}.chain"] == ("pass", "2 certificates, issued by CN=Lab Root")
    assert found[f"{key}.expiry"] == ("fail", "it holds a private key")
    assert found[f"{gone}.expiry"] == ("fail", "there is no such file")


# -- kubeconfig


def kubeconfig(folder: Path, **user: Any) -> str:
    path = folder / "config"
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "prod",
        "contexts": [{"name": "prod", "context": {"cluster": "c", "user": "admin"}}],
        "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:1"}}],
        "users": [{"name": "admin", "user": user}],
    }
    path.write_text(yaml.safe_dump(document))
    return str(path)


def test_the_certificate_of_a_kubeconfig(tmp_path: Path, capsys: Capture) -> None:
    soon = issue("admin", ROOT, days=3)
    for user in (
        {"client-certificate-data": base64.b64encode(soon.pem).decode()},
        {"client-certificate": "admin.crt"},
    ):
        (tmp_path / "admin.crt").write_bytes(soon.pem)
        path = kubeconfig(tmp_path, **user)
        result = probe(capsys, kubeconfig_certificate=True, kubernetes={"kubeconfig": path})
        assert check_of(result, "expiry")["status"] == "fail"
        assert result["certificates"][0]["where"] == "kubeconfig, user admin of context prod"


def test_a_kubeconfig_with_a_token(tmp_path: Path, capsys: Capture) -> None:
    path = kubeconfig(tmp_path, token="abcdef-secret")
    result = probe(capsys, kubeconfig_certificate=True, kubernetes={"kubeconfig": path})
    assert result["verdict"] == "unverified"
    assert "abcdef-secret" not in str(result)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"kubeconfig": "/nowhere/config"}, "is no file"),
        ({"context": "other"}, "Expected object with name other"),
        ({"client_cert": "/nowhere/cert"}, "client_cert: /nowhere/cert cannot be read"),
    ],
)
def test_wrong_kubeconfigs(tmp_path: Path, capsys: Capture, options: dict[str, Any], said: str) -> None:
    result = probe(capsys, kubeconfig_certificate=True, kubernetes={"kubeconfig": kubeconfig(tmp_path), **options})
    assert result["failed"] is True
    assert said in result["msg"]


# -- Secrets


def secret(name: str, leaf: Issued, *chain: Issued, key: Issued | None = None, **metadata: Any) -> dict[str, Any]:
    data = {"tls.crt": bundle(leaf, *chain), "tls.key": (key or leaf).key_pem}
    return {
        "kind": "Secret",
        "metadata": {"name": name, "namespace": "shop", **metadata},
        "type": "kubernetes.io/tls",
        "data": {part: base64.b64encode(value).decode() for part, value in data.items()},
    }


def status(code: int, reason: str, message: str) -> Send:
    return json_answer({"kind": "Status", "apiVersion": "v1", "reason": reason, "message": message}, code)


@pytest.fixture
def api(tmp_path: Path, ca: str) -> Iterator[Server]:
    with serving({}, tls=server_context(tmp_path, LEAF, MIDDLE)) as server:
        yield server


def cluster(api: Server, ca: str) -> dict[str, Any]:
    return {"host": api.url, "api_key": "an-api-token", "ca_cert": ca}


SECRETS = "/api/v1/namespaces/shop/secrets"
CERT_MANAGER = {
    "cert-manager.io/certificate-name": "api",
    "cert-manager.io/issuer-name": "letsencrypt",
    "cert-manager.io/issuer-kind": "ClusterIssuer",
}


def test_a_secret_and_who_renews_it(api: Server, ca: str, capsys: Capture) -> None:
    leaf = issue("api", MIDDLE, names=HERE, days=20)
    api.routes[f"{SECRETS}/api-tls"] = json_answer(secret("api-tls", leaf, MIDDLE, annotations=CERT_MANAGER))
    wanted = [{"namespace": "shop", "name": "api-tls", "names": ["localhost", "shop.example"]}]
    result = probe(capsys, secrets=wanted, kubernetes=cluster(api, ca), owner="SecOps")
    found = {check["id"]: check["status"] for check in result["checks"]}
    assert found == {
        "shop/api-tls.expiry": "pass",
        "shop/api-tls.name.localhost": "pass",
        "shop/api-tls.name.shop.example": "fail",
        "shop/api-tls.chain": "pass",
        "shop/api-tls.key": "pass",
    }
    (renewal,) = result["renewals"]
    assert (renewal["renewed_by"], renewal["renewed_by_name"]) == ("cert-manager", "Certificate api")
    assert (renewal["issuer"], renewal["owner"]) == ("ClusterIssuer letsencrypt", "SecOps")
    assert "should have been renewed by now" in check_of(result, "expiry")["hint"]
    assert result["requests"] == 1
    text = json.dumps(result)
    assert "PRIVATE KEY" not in text
    assert base64.b64encode(leaf.key_pem).decode()[:40] not in text


@pytest.mark.parametrize(
    ("metadata", "by"),
    [
        ({}, ""),
        ({"ownerReferences": [{"kind": "ExternalSecret", "name": "api"}]}, "ExternalSecret"),
        (
            {
                "labels": {"app.kubernetes.io/managed-by": "Helm"},
                "annotations": {"meta.helm.sh/release-name": "shop", "meta.helm.sh/release-namespace": "shop"},
            },
            "helm",
        ),
    ],
)
def test_others_who_renew(api: Server, ca: str, capsys: Capture, metadata: dict[str, Any], by: str) -> None:
    api.routes[f"{SECRETS}/api-tls"] = json_answer(secret("api-tls", LEAF, MIDDLE, **metadata))
    result = probe(capsys, secrets=[{"namespace": "shop", "name": "api-tls"}], kubernetes=cluster(api, ca))
    assert result["certificates"][0]["renewed_by"] == by
    assert result["verdict"] == "pass"


def test_a_key_of_another_certificate(api: Server, ca: str, capsys: Capture) -> None:
    api.routes[f"{SECRETS}/api-tls"] = json_answer(secret("api-tls", LEAF, MIDDLE, key=MIDDLE))
    result = probe(capsys, secrets=[{"namespace": "shop", "name": "api-tls"}], kubernetes=cluster(api, ca))
    assert check_of(result, "key")["status"] == "fail"


@pytest.mark.parametrize(
    ("send", "status_", "said"),
    [
        (status(404, "NotFound", "secrets not found"), "fail", "it does not exist"),
        (
            status(403, "Forbidden", 'secrets "api-tls" is forbidden: User "u" cannot get resource "secrets"'),
            "unverified",
            "lacks the verb 'get' on resource 'secrets'",
        ),
        (json_answer({"metadata": {"name": "api-tls", "namespace": "shop"}, "type": "Opaque"}), "fail", "no tls.crt"),
        (
            json_answer({"metadata": {"name": "api-tls", "namespace": "shop"}, "data": {"tls.crt": "%%"}}),
            "fail",
            "not base64",
        ),
    ],
)
def test_secrets_without_a_certificate(
    api: Server, ca: str, capsys: Capture, send: Send, status_: str, said: str
) -> None:
    api.routes[f"{SECRETS}/api-tls"] = send
    result = probe(capsys, secrets=[{"namespace": "shop", "name": "api-tls"}], kubernetes=cluster(api, ca))
    assert check_of(result, "expiry")["status"] == status_
    assert said in check_of(result, "expiry")["observed"]


def test_all_secrets_of_a_namespace(api: Server, ca: str, capsys: Capture) -> None:
    def listing(request: Asked) -> Send:
        assert request.query["fieldSelector"] == "type=kubernetes.io/tls"
        return json_answer({"items": [secret("a", LEAF, MIDDLE), secret("b", LEAF, MIDDLE)], "metadata": {}})

    api.routes |= {SECRETS: listing, f"{SECRETS}/b": json_answer(secret("b", LEAF, MIDDLE))}
    result = probe(capsys, secrets=[{"namespace": "shop"}], kubernetes=cluster(api, ca))
    assert [row["id"] for row in result["certificates"]] == ["shop/a", "shop/b"]
    assert result["verdict"] == "pass"
    endpoint = {"address": api.url, "secret": {"namespace": "shop", "name": "b"}}
    result = probe(capsys, endpoint, secrets=[{"namespace": "shop"}], kubernetes=cluster(api, ca), ca_path=ca)
    assert [row["id"] for row in result["certificates"]][1:] == ["shop/a", "shop/b"]
    assert check_of(result, "served")["status"] == "pass"


@pytest.mark.parametrize(
    ("namespace", "said"),
    [
        (json_answer({"metadata": {"name": "shop"}}), "no Secret of type kubernetes.io/tls in namespace shop"),
        (status(404, "NotFound", "namespaces not found"), "namespace shop does not exist"),
    ],
)
def test_a_namespace_without_secrets_is_never_green(
    api: Server, ca: str, capsys: Capture, namespace: Send, said: str
) -> None:
    api.routes |= {SECRETS: json_answer({"items": [], "metadata": {}}), "/api/v1/namespaces/shop": namespace}
    result = probe(capsys, secrets=[{"namespace": "shop"}], kubernetes=cluster(api, ca))
    assert result["verdict"] == "fail"
    assert said in check_of(result, "expiry")["observed"]


@pytest.mark.parametrize(
    ("held", "status_", "hint"),
    [
        ((LEAF, MIDDLE), "pass", "One connection"),
        ((issue("api", MIDDLE, names=HERE, since_days=0.5), MIDDLE), "fail", "The Secret is newer"),
        ((issue("api", MIDDLE, names=HERE, since_days=9), MIDDLE), "fail", "somewhere else"),
    ],
)
def test_whether_the_server_shows_what_the_secret_holds(
    api: Server, tmp_path: Path, ca: str, capsys: Capture, held: tuple[Issued, ...], status_: str, hint: str
) -> None:
    api.routes[f"{SECRETS}/api-tls"] = json_answer(secret("api-tls", *held))
    with showing(tmp_path, LEAF, MIDDLE) as address:
        endpoint = {"address": address, "secret": {"namespace": "shop", "name": "api-tls"}}
        result = probe(capsys, endpoint, ca_path=ca, kubernetes=cluster(api, ca))
    served = check_of(result, "served")
    assert served["status"] == status_
    assert hint in served["hint"]
    assert [row["place"] for row in result["certificates"]] == ["endpoint", "secret"]


def test_one_certificate_in_many_places_is_one_hand_off(api: Server, tmp_path: Path, ca: str, capsys: Capture) -> None:
    leaf = issue("api", MIDDLE, names=HERE, days=20)
    api.routes[f"{SECRETS}/api-tls"] = json_answer(secret("api-tls", leaf, MIDDLE, annotations=CERT_MANAGER))
    with showing(tmp_path, leaf, MIDDLE) as address:
        row = {"address": address, "secret": {"namespace": "shop", "name": "api-tls"}, "owner": "Platform"}
        result = probe(capsys, row, {**row, "id": "again", "owner": None}, ca_path=ca, kubernetes=cluster(api, ca))
    (renewal,) = result["renewals"]
    assert renewal["id"] == "shop/api-tls"
    assert renewal["places"] == [address, "again", "shop/api-tls"]
    assert (renewal["renewed_by"], renewal["owner"]) == ("cert-manager", "Platform")
    assert len(result["findings"]) == 1
    assert result["verdict"] == "pass"


def test_a_bundle_of_authorities_is_not_looked_at(tmp_path: Path, capsys: Capture) -> None:
    path = tmp_path / "authorities.pem"
    path.write_bytes(ROOT.pem * 51)
    assert probe(capsys, paths=[str(path)])["verdict"] == "unverified"


def test_a_secret_that_was_not_seen_is_not_compared(api: Server, tmp_path: Path, ca: str, capsys: Capture) -> None:
    with showing(tmp_path, LEAF, MIDDLE) as address:
        endpoint = {"address": address, "secret": {"namespace": "shop", "name": "api-tls"}}
        result = probe(capsys, endpoint, ca_path=ca, kubernetes=cluster(api, ca))
    assert check_of(result, "served")["status"] == "unverified"


# -- options


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "a probe of nothing proves nothing"),
        ({"endpoints": [{"address": "http://a"}]}, "begins with http"),
        ({"endpoints": [{"address": "a b:443"}]}, "is no address"),
        ({"endpoints": [{"address": "a:99999"}]}, "is no address"),
        ({"endpoints": [{"address": "a:0"}]}, "no usable port"),
        ({"endpoints": [{"address": "a/b"}]}, "is no address"),
        ({"paths": ["/x"], "min_days": 40}, "warn_days is 30, less than min_days, 40"),
        ({"paths": ["/x"], "min_days": -1}, "min_days is -1"),
        ({"paths": ["/x", "/x"]}, "/x is named twice"),
        ({"paths": ["/x"], "ca_path": "/nowhere"}, "ca_path /nowhere cannot be used"),
        ({"secrets": [{"namespace": "a", "name": "b"}] * 2}, "secrets names a/b twice"),
        ({"secrets": [{"namespace": "a"}, {"namespace": "a", "name": "b"}]}, "all of namespace a and b again"),
    ],
)
def test_wrong_options(capsys: Capture, options: dict[str, Any], said: str) -> None:
    result = run_module(module, capsys, **options)
    assert result["failed"] is True
    assert said in result["msg"]


def test_a_missing_library_is_named(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(libraries._missing, "cryptography", ImportError("No module named 'cryptography'"))
    assert run_module(module, capsys, paths=["/x"])["missing_libraries"] == ["cryptography"]


def test_check_mode_is_the_same(tmp_path: Path, capsys: Capture) -> None:
    path = tmp_path / "a.pem"
    path.write_bytes(LEAF.pem)
    results = [run_module(module, capsys, check, paths=[str(path)]) for check in (False, True)]
    assert results[0]["certificates"][0]["subject"] == results[1]["certificates"][0]["subject"]
    assert results[0]["verdict"] == results[1]["verdict"] == "pass"
