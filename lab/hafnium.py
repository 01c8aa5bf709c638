# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hafnium in the lab: its namespaces, and whether it is well."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Any

from lab import tls
from lab.layout import LabError, Paths, address, write_private
from lab.objects import Absent, Client

NAMESPACE = "hafnium"
TLS_SECRET = "hafnium-api-tls"
INGESTED, DEAD_LETTERS = "hf.txn.ingested.v1", "hf.dlq.v1"
TOPICS = {INGESTED: 3, DEAD_LETTERS: 1}  # partitions by topic
GROUP = "hafnium-stream-processor"
HOSTS = ("api.hafnium.dev", "localhost", "127.0.0.1")
READY_SECONDS = 90
_DAYS = 200
_TOKEN = "hafnium_actuator_token"
_MANIFESTS = Path(__file__).parent / "manifests"
_BACKEND = (
    {"name": "identity-service", "cpu": "250m", "memory": "512Mi", "most": "10"},
    {"name": "risk-engine-service", "cpu": "500m", "memory": "768Mi", "most": "20"},
)
_DECOYS = (
    {"name": "identity-service", "app": "identity-service", "track": "stable"},
    {"name": "case-service", "app": "case-service", "track": "stable"},
    {"name": "case-service-canary", "app": "case-service", "track": "canary"},
)


@dataclass(frozen=True)
class Service:
    """One of the eight. `schema` is empty without a database; `strict`: its readiness also asks its dependencies."""

    name: str
    schema: str
    strict: bool = False
    memory: str = "128Mi"

    def variables(self) -> dict[str, str]:
        include = ["readinessState", *(["db", "service"] if self.strict else [])]
        return {
            "name": self.name,
            "schema": self.schema or "none",
            "profile": "default" if self.schema else "no-database",
            "readiness": ",".join(include),
            "memory": self.memory,
        }


SERVICES = {
    service.name: service
    for service in (
        Service("identity-service", "public", strict=True, memory="384Mi"),  # may be run as a real JVM
        Service("screening-service", "screening", strict=True),
        Service("monitoring-service", "monitoring"),
        Service("case-service", "cases"),
        Service("vault-service", "vault"),
        Service("risk-engine-service", "risk", strict=True),
        Service("signals-service", "signals"),
        Service("api-facade", ""),
    )
}


def prepare(paths: Paths) -> None:
    """The token of the actuator, when it is missing."""
    if not paths.secret_file(_TOKEN).exists():
        write_private(paths.secret_file(_TOKEN), secrets.token_urlsafe(32))


def token(paths: Paths) -> str:
    """The bearer token of the actuator."""
    return paths.secret(_TOKEN)


def install(paths: Paths, kubeconfig: Path) -> None:
    """Bring the namespaces to the state of the manifests, whatever was done to them since."""
    client = Client(kubeconfig)
    for document in documents(paths):
        client.put(document)
    renew_certificate(paths, client)


def documents(paths: Paths) -> Iterator[dict[str, Any]]:
    """Every object of the manifests, rendered, but for the certificate."""
    shared = {
        "postgresql": address("postgresql"),
        "kafka": address("kafka"),
        "database_password": paths.secret("hafnium_db_password"),
        "actuator_token": paths.secret(_TOKEN),
    }
    yield from _rendered("hafnium.yml", shared)
    for service in SERVICES.values():
        yield from service_documents(service.name)
    for name in ("hafnium-backend.yml", "hafnium-restricted.yml", "hafnium-decoy.yml"):
        yield from _rendered(name, {})
    for backend in _BACKEND:
        yield from _rendered("hafnium-backend-service.yml", backend)
    for decoy in _DECOYS:
        yield from _rendered("hafnium-decoy-service.yml", decoy)


def service_documents(name: str) -> list[dict[str, Any]]:
    """Deployment, Service, budget and autoscaler of one of the eight services."""
    return list(_rendered("hafnium-service.yml", SERVICES[name].variables()))


def renew_certificate(paths: Paths, client: Client, days: float = _DAYS, always: bool = False) -> None:
    """The certificate of the ingress: made when it is missing, runs out soon or was not signed by this lab's CA."""
    path = f"/api/v1/namespaces/{NAMESPACE}/secrets/{TLS_SECRET}"
    if not always and _good(paths, client.find(path, TLS_SECRET)):
        return
    key, begin, chain = tls.issue(paths, "hafnium-api", HOSTS, days).partition("-----BEGIN CERTIFICATE-----")
    client.put(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": TLS_SECRET, "namespace": NAMESPACE},
            "type": "kubernetes.io/tls",
            "stringData": {"tls.key": key, "tls.crt": begin + chain},
        }
    )


def wait_ready(paths: Paths, kubeconfig: Path, seconds: float = READY_SECONDS) -> None:
    """Wait until nothing is wrong with them. LabError says what is."""
    deadline = time.monotonic() + seconds
    while True:
        wrong = trouble(paths, kubeconfig)
        if not wrong:
            return
        if time.monotonic() > deadline:
            raise LabError(f"hafnium is not well within {seconds:g} s: {'; '.join(wrong)}")
        time.sleep(0.25)


def trouble(paths: Paths, kubeconfig: Path) -> list[str]:
    """What is wrong in namespace hafnium, one line each; empty when every service is well and was measured."""
    found = Client(kubeconfig).call(
        "GET", f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments", "Deployments of hafnium"
    )
    deployments = {item["metadata"]["name"]: item for item in found["items"]}
    wrong = []
    for name in SERVICES:
        reason = _incomplete(deployments.get(name)) or _unwell(name)
        if reason:
            wrong.append(f"{name}: {reason}")
    return wrong or _unmeasured(kubeconfig)


def replace_restarted(kubeconfig: Path) -> list[str]:
    """Delete the pods whose containers were restarted, as long as they are there: their names, and none at last.

    Their Deployments make new ones. The old ones would be told of as restarted for an hour.
    """
    client, path = Client(kubeconfig), f"/api/v1/namespaces/{NAMESPACE}/pods"
    names = []
    for pod in client.call("GET", path, "pods of hafnium")["items"]:
        if any(each["restartCount"] for each in pod["status"].get("containerStatuses") or ()):
            names.append(str(pod["metadata"]["name"]))
            if "deletionTimestamp" not in pod["metadata"]:
                with suppress(Absent):
                    client.call("DELETE", f"{path}/{names[-1]}", names[-1])
    return names


def _unmeasured(kubeconfig: Path) -> list[str]:
    """Autoscalers that do not know their metrics, one line each."""
    path = f"/apis/autoscaling/v2/namespaces/{NAMESPACE}/horizontalpodautoscalers"
    found = Client(kubeconfig).call("GET", path, "autoscalers of hafnium")
    wrong = []
    for item in found["items"]:
        conditions = {each["type"]: each for each in item.get("status", {}).get("conditions") or ()}
        active = conditions.get("ScalingActive", {"status": "Unknown", "message": "it has not looked yet"})
        if active["status"] != "True":
            wrong.append(f"{item['metadata']['name']}: {active['message']}")
    return wrong


def _incomplete(deployment: Mapping[str, Any] | None) -> str:
    if deployment is None:
        return "there is no such Deployment"
    status, wanted = deployment.get("status", {}), int(deployment["spec"]["replicas"])
    if status.get("observedGeneration") != deployment["metadata"]["generation"]:
        return "the last change was not seen yet"
    for count in ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas"):
        if status.get(count, 0) != wanted:
            return f"{count} {status.get(count, 0)} of {wanted}"
    return ""


def _unwell(name: str) -> str:
    """Its health as the ingress passes it on."""
    import json
    import urllib.error
    import urllib.request

    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(f"http://{address('ingress')}/{name}/actuator/health", timeout=5) as answer:
            status = json.load(answer).get("status")
    except urllib.error.HTTPError as error:
        return f"the ingress answers {error.code}"
    except (OSError, ValueError) as error:
        return f"the ingress does not answer: {error}"
    return "" if status == "UP" else f"health is {status}"


def _good(paths: Paths, secret: Mapping[str, Any] | None) -> bool:
    import base64
    from datetime import UTC, datetime, timedelta

    from cryptography import x509

    try:
        assert secret is not None
        chain = x509.load_pem_x509_certificates(base64.b64decode(secret["data"]["tls.crt"]))
        authority = x509.load_pem_x509_certificate(paths.ca_file.read_bytes())
    except (AssertionError, KeyError, ValueError, OSError):
        return False
    return chain[-1] == authority and chain[0].not_valid_after_utc - timedelta(days=60) > datetime.now(UTC)


def _rendered(name: str, variables: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    import yaml

    text = Template((_MANIFESTS / name).read_text(encoding="utf-8")).substitute(variables)
    yield from (document for document in yaml.safe_load_all(text) if document)
