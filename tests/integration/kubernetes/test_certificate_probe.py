# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""certificate_probe on the lab's TLS servers and on Secrets of a real API server, with openssl as a second opinion."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils import certificate_probe
from lab.layout import address, paths
from tests.integration.kubernetes.probe_scene import check_of, operate, statuses
from tests.integration.kubernetes.rollout_scene import Scene
from tests.integration.test_backoffice_ledger import Tasks
from tests.unit.plugins.fake_certificates import Issued, bundle, issue, server_context
from tests.unit.plugins.fake_http import free_port, serving

pytestmark = [pytest.mark.lab]
ROOT = issue("Own Root", authority=True, days=3650)
HERE = ("localhost", "127.0.0.1")


@pytest.fixture
def scene(cluster: Any) -> Scene:
    return Scene(cluster.kubectl, cluster.kubeconfig, cluster.namespace())


def keep(scene: Scene, folder: Path, name: str, leaf: Issued, *chain: Issued) -> None:
    """A Secret as kubectl makes it."""
    cert, key = folder / f"{name}.crt", folder / f"{name}.key"
    cert.write_bytes(bundle(leaf, *chain))
    key.write_bytes(leaf.key_pem)
    scene.kubectl("create", "secret", "tls", name, f"--cert={cert}", f"--key={key}")


def on(scene: Scene, context: str = "lab-admin") -> dict[str, Any]:
    return {"kubernetes": {"kubeconfig": scene.kubeconfig, "context": context}}


def openssl(pem: bytes) -> dict[str, str]:
    """End and fingerprint of the first certificate, as openssl reads them."""
    if not shutil.which("openssl"):
        pytest.skip("openssl is not installed")
    words = ["openssl", "x509", "-noout", "-enddate", "-dateopt", "iso_8601", "-fingerprint", "-sha256"]
    text = subprocess.run(words, input=pem, capture_output=True, check=True, timeout=30).stdout.decode()
    rows = dict(line.split("=", 1) for line in text.splitlines())
    return {
        "not_after": rows["notAfter"].replace(" ", "T"),
        "fingerprint": rows["sha256 Fingerprint"].replace(":", "").lower(),
    }


def test_the_lab_s_own_servers_by_both_paths(cluster: Any, tmp_path: Path) -> None:
    endpoints = [
        {
            "address": address("ingress_tls"),
            "id": "ingress",
            "secret": {"namespace": "hafnium", "name": "hafnium-api-tls"},
        },
        {"address": f"https://{address('kube_apiserver')}", "id": "api"},
        {"address": address("postgresql"), "id": "database", "starttls": "postgresql"},
        {"address": f"127.0.0.1:{free_port()}", "id": "gone"},
    ]
    # the rights that are documented, and no more: this one Secret
    settings = {
        "endpoints": endpoints,
        "ca_path": str(paths().ca_file),
        "kubernetes": {"kubeconfig": str(cluster.kubeconfig), "context": "lab"},
    }
    results = [Tasks(tmp_path, path)(settings, module="certificate_probe") for path in (True, False)]
    assert statuses(results[0]) == statuses(results[1])
    found = statuses(results[0])
    assert found.pop("database.expiry") == "fail"
    assert "does not offer TLS" in check_of(results[0], "database.expiry")["observed"]
    assert found.pop("gone.expiry") == "unverified"
    assert set(found.values()) == {"pass"}, results[0]["checks"]
    assert {"ingress.served", "ingress.trust", "api.name", "hafnium/hafnium-api-tls.key"} <= found.keys()
    kept = json.loads(cluster.kubectl("get", "secret", "-n", "hafnium", "hafnium-api-tls", "-o", "json"))["data"]
    for result in results:
        assert kept["tls.key"][:60] not in json.dumps(result)
        by_openssl = openssl(base64.b64decode(kept["tls.crt"]))
        shown = result["certificates"][0]
        assert (shown["not_after"], shown["fingerprint_sha256"]) == (by_openssl["not_after"], by_openssl["fingerprint"])


def test_all_secrets_of_a_namespace(scene: Scene, tmp_path: Path) -> None:
    keep(scene, tmp_path, "good", issue("good", ROOT, names=HERE), ROOT)
    keep(scene, tmp_path, "ending", issue("ending", ROOT, names=HERE, days=5))
    keep(scene, tmp_path, "over", issue("over", ROOT, names=HERE, days=-1, since_days=30))
    scene.kubectl("create", "secret", "generic", "neighbour", "--from-literal=tls.crt=none")
    result = operate(certificate_probe, secrets=[{"namespace": scene.namespace}], owner="SecOps", **on(scene))
    place = scene.namespace
    assert {id_: status for id_, status in statuses(result).items() if id_.endswith("expiry")} == {
        f"{place}/ending.expiry": "fail",
        f"{place}/good.expiry": "pass",
        f"{place}/over.expiry": "fail",
    }
    assert [row["id"] for row in result["renewals"]] == [f"{place}/ending", f"{place}/over"]
    assert {row["owner"] for row in result["renewals"]} == {"SecOps"}
    assert result["requests"] == 1


def test_a_server_that_did_not_load_the_new_certificate(scene: Scene, tmp_path: Path) -> None:
    old, new = issue("old", ROOT, names=HERE, since_days=60), issue("new", ROOT, names=HERE)
    keep(scene, tmp_path, "api-tls", new)
    ca = tmp_path / "ca.pem"
    ca.write_bytes(ROOT.pem)
    with serving({}, tls=server_context(tmp_path, old)) as server:
        endpoint = {"id": "api", "address": server.url, "secret": {"namespace": scene.namespace, "name": "api-tls"}}
        result = operate(certificate_probe, endpoints=[endpoint], ca_path=str(ca), **on(scene))
    assert statuses(result)["api.served"] == "fail"
    assert "has not loaded it" in check_of(result, "api.served")["hint"]
    assert statuses(result)["api.trust"] == "pass"


@pytest.mark.parametrize(
    ("namespace", "name", "context", "status", "said"),
    [
        ("", "absent", "lab-admin", "fail", "it does not exist"),
        ("", None, "lab-admin", "fail", "no Secret of type kubernetes.io/tls"),
        ("no-such-namespace", None, "lab-admin", "fail", "no-such-namespace does not exist"),
        ("", "absent", "lab-narrow", "unverified", "lacks the verb 'get' on resource 'secrets'"),
    ],
)
def test_nothing_is_never_green(
    scene: Scene, namespace: str, name: str | None, context: str, status: str, said: str
) -> None:
    wanted = {"namespace": namespace or scene.namespace, **({"name": name} if name else {})}
    result = operate(certificate_probe, secrets=[wanted], **on(scene, context))
    assert result["verdict"] == status
    assert said in result["checks"][0]["observed"]


def test_a_thousand_endpoints_in_one_task(tmp_path: Path) -> None:
    ca = tmp_path / "ca.pem"
    ca.write_bytes(ROOT.pem)
    with serving({}, tls=server_context(tmp_path, issue("api", ROOT, names=HERE))) as server:
        endpoints = [{"address": server.url, "id": f"e{number}"} for number in range(1000)]
        endpoints[999]["address"] = f"127.0.0.1:{free_port()}"
        result = operate(certificate_probe, endpoints=endpoints, ca_path=str(ca), timeout=600.0)
    assert {id_ for id_, status in statuses(result).items() if status != "pass"} == {"e999.expiry"}
    assert len(result["checks"]) == 999 * 4 + 1
