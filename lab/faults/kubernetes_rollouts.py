# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults that come with a change of Hafnium's objects: a release, a quota, a certificate, a node."""

from __future__ import annotations

import socket
import ssl
from datetime import UTC, datetime, timedelta
from typing import Any

from lab import control, hafnium
from lab.faults.kubernetes_hands import (
    PART,
    SHOWN_SECONDS,
    client,
    merge,
    pods,
    restore,
    rolled_out,
    stuck,
    tagged,
)
from lab.faults.model import Fault
from lab.layout import paths, ports
from lab.runner import CONDITIONS, NODE

CERTIFICATE_DAYS = 5
_NODE = f"/api/v1/nodes/{NODE}"
_SIGNALS_HPA = f"/apis/autoscaling/v2/namespaces/{hafnium.NAMESPACE}/horizontalpodautoscalers/signals-service-hpa"
_QUOTA = f"/api/v1/namespaces/{hafnium.NAMESPACE}/resourcequotas/hafnium-quota"


def _missing_key(deployment: dict[str, Any]) -> None:
    reference = {"configMapKeyRef": {"name": "hafnium-common-config", "key": "SIGNING_KEY_ID"}}
    container = deployment["spec"]["template"]["spec"]["containers"][0]
    container["env"].append({"name": "HAFNIUM_SIGNING_KEY_ID", "valueFrom": reference})


def _out(service: str, tag: str) -> bool:
    """Every pod of the service has this tag and is ready."""
    found = pods(service)
    return bool(found) and all(
        status["ready"] and status["image"].endswith(f":{tag}")
        for pod in found
        for status in pod["status"].get("containerStatuses", [{"ready": False, "image": ""}])
    )


def _unready(service: str, tag: str) -> bool:
    """A pod with this tag runs and is not ready."""
    return any(
        "running" in status["state"] and not status["ready"] and status["image"].endswith(f":{tag}")
        for pod in pods(service)
        for status in pod["status"].get("containerStatuses", ())
    )


def _expiring() -> None:
    hafnium.renew_certificate(paths(), client(), CERTIFICATE_DAYS, always=True)
    control.wait_until(
        lambda: _not_after() < datetime.now(UTC) + timedelta(days=CERTIFICATE_DAYS + 1),
        SHOWN_SECONDS,
        "ingress with the new certificate",
    )


def _not_after() -> datetime:
    """When the certificate that the ingress shows runs out."""
    context = ssl.create_default_context(cafile=str(paths().ca_file))
    where = ("127.0.0.1", ports()["ingress_tls"])
    with (
        socket.create_connection(where, timeout=5) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as tls,
    ):
        certificate = tls.getpeercert() or {}
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(str(certificate["notAfter"])), UTC)


def _press() -> None:
    merge(_NODE, f"node {NODE}", {"metadata": {"annotations": {CONDITIONS: "MemoryPressure"}}})
    control.wait_until(_under_pressure, SHOWN_SECONDS, f"node {NODE} under memory pressure")


def _under_pressure() -> bool:
    node = client().call("GET", _NODE, f"node {NODE}")
    return any(each["type"] == "MemoryPressure" and each["status"] == "True" for each in node["status"]["conditions"])


def _relieve() -> None:
    merge(_NODE, f"node {NODE}", {"metadata": {"annotations": {CONDITIONS: None}}})


def _fill_quota() -> None:
    """No pod more than there is, and a Deployment that wants two more; its autoscaler too, which would take them back."""
    control.wait_until(_counted, SHOWN_SECONDS, "every pod of hafnium counted by its quota, and none that ends")
    merge(_QUOTA, "quota of hafnium", {"spec": {"hard": {"pods": str(len(_all_pods()))}}})
    path = f"/apis/apps/v1/namespaces/{hafnium.NAMESPACE}/deployments/signals-service"
    merge(_SIGNALS_HPA, "signals-service-hpa", {"spec": {"minReplicas": 4}})
    merge(path, "signals-service", {"spec": {"replicas": 4}})

    def refused() -> bool:
        conditions = client().call("GET", path, "signals-service")["status"].get("conditions", ())
        return any(each["type"] == "ReplicaFailure" and "exceeded quota" in each["message"] for each in conditions)

    control.wait_until(refused, SHOWN_SECONDS, "signals-service refused by the quota")


def _all_pods() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client().call(
        "GET", f"/api/v1/namespaces/{hafnium.NAMESPACE}/pods", "pods of hafnium"
    )["items"]
    return found


def _counted() -> bool:
    """Pods that end are counted for a while, and would leave room for the new ones."""
    found = _all_pods()
    used = client().call("GET", _QUOTA, "quota of hafnium")["status"]["used"]["pods"]
    return int(used) == len(found) and not any(pod["metadata"].get("deletionTimestamp") for pod in found)


def _free_quota() -> None:
    for document in hafnium.documents(paths()):
        if document["kind"] == "ResourceQuota":
            client().put(document)
    restore("signals-service")


FAULTS = (
    rolled_out(
        "hafnium-bad-image",
        "identity-service is being released with a tag that no registry has: ImagePullBackOff",
        "identity-service",
        tagged("9.9.9"),
        lambda: stuck("identity-service", "ImagePullBackOff"),
    ),
    rolled_out(
        "hafnium-crash-database",
        "case-service is being released with the address of a database that is not there: CrashLoopBackOff",
        "case-service",
        tagged("1.5.0-bad-db"),
        lambda: stuck("case-service", "CrashLoopBackOff"),
    ),
    rolled_out(
        "hafnium-crash-keycloak",
        "api-facade is being released with an issuer that does not answer: CrashLoopBackOff",
        "api-facade",
        tagged("1.5.0-bad-keycloak"),
        lambda: stuck("api-facade", "CrashLoopBackOff"),
    ),
    rolled_out(
        "hafnium-crash-oom",
        "signals-service is being released with a version that needs more memory than its limit: OOMKilled",
        "signals-service",
        tagged("1.5.0-bad-oom"),
        lambda: stuck("signals-service", "OOMKilled"),
    ),
    rolled_out(
        "hafnium-config-missing",
        "vault-service is being released with a setting that its ConfigMap lacks: CreateContainerConfigError",
        "vault-service",
        _missing_key,
        lambda: stuck("vault-service", "CreateContainerConfigError"),
    ),
    rolled_out(
        "hafnium-never-ready",
        "risk-engine-service is being released with a version that never gets ready",
        "risk-engine-service",
        tagged("1.5.0-bad-never-ready"),
        lambda: _unready("risk-engine-service", "1.5.0-bad-never-ready"),
    ),
    rolled_out(
        "hafnium-bad-release",
        "monitoring-service was released with a version that is ready, and DOWN",
        "monitoring-service",
        tagged("1.5.0-bad-unhealthy"),
        lambda: _out("monitoring-service", "1.5.0-bad-unhealthy"),
    ),
    Fault(
        "hafnium-certificate-expiring",
        f"the certificate of the ingress runs out in {CERTIFICATE_DAYS} days",
        _expiring,
        lambda: hafnium.renew_certificate(paths(), client(), always=True),
        PART,
    ),
    Fault("hafnium-node-pressure", f"node {NODE} is short of memory and takes no new pods", _press, _relieve, PART),
    Fault(
        "hafnium-quota-exceeded",
        "the namespace may have no more pods, and signals-service wants two more",
        _fill_quota,
        _free_quota,
        PART,
    ),
)
