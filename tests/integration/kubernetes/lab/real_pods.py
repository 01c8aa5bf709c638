# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pods of the runner in a namespace of the test's own, and what kubectl says of them."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import yaml

from lab import control
from lab.layout import LabError
from lab.oracle import run_kubectl

SECONDS = 60
REGISTRY = "registry.lab/hafnium/case-service"
IDLE = "registry.lab/tools/idle:1"
ENVIRONMENT = {
    "SPRING_PROFILES_ACTIVE": "no-database",
    "SPRING_SECURITY_OAUTH2_RESOURCESERVER_JWT_JWK_SET_URI": "http://keycloak.invalid/certs",
}


def probe(path: str, **settings: int) -> dict[str, Any]:
    return {"httpGet": {"path": path, "port": 8080}, "periodSeconds": 1, **settings}


READINESS = probe("/actuator/health/readiness", failureThreshold=1)


class Namespace:
    """kubectl in one namespace, for objects whose pods are processes."""

    def __init__(self, name: str) -> None:
        self.name = name

    def kubectl(self, *words: str, stdin: str = "") -> str:
        return run_kubectl(["-n", self.name, *words], stdin=stdin)

    def refused(self, *words: str) -> str:
        """What kubectl says when the request is refused."""
        try:
            self.kubectl(*words)
        except LabError as error:
            return str(error)
        raise AssertionError(f"kubectl {' '.join(words)} was not refused")

    def get(self, what: str) -> Any:
        """An object; None when it is not there."""
        text = self.kubectl("get", what, "-o", "json", "--ignore-not-found")
        return json.loads(text) if text else None

    def container(self, pod: str) -> Any:
        """Status of the first container; empty before there is one."""
        found = self.get(f"pod/{pod}") or {}
        return next(iter(found.get("status", {}).get("containerStatuses", ())), {})

    def reason(self, pod: str) -> Any:
        """Why the container waits."""
        return self.container(pod).get("state", {}).get("waiting", {}).get("reason")

    def events(self, pod: str) -> dict[str, str]:
        """The latest message for each reason."""
        found = json.loads(self.kubectl("get", "events", "-o", "json", f"--field-selector=involvedObject.name={pod}"))
        return {event["reason"]: event["message"] for event in found["items"]}

    def ready(self, pod: str) -> bool:
        return bool(self.container(pod).get("ready"))

    def make(self, name: str, image: str, pod: dict[str, Any] | None = None, **container: Any) -> None:
        """A pod with one container, with the settings of the stand-in service unless they are given."""
        environment = container.pop("env", [{"name": key, "value": value} for key, value in ENVIRONMENT.items()])
        self.apply(
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"name": name},
                "spec": {
                    "nodeSelector": {"type": "runner"},
                    "terminationGracePeriodSeconds": 5,
                    "containers": [{"name": "app", "image": image, "env": environment, **container}],
                    **(pod or {}),
                },
            }
        )

    def deploy(self, name: str, tag: str, replicas: int = 2, **container: Any) -> None:
        """A Deployment of the stand-in service, with its Service."""
        environment = [{"name": key, "value": value} for key, value in ENVIRONMENT.items()]
        main = {
            "name": "app",
            "image": f"{REGISTRY}:{tag}",
            "env": environment,
            "readinessProbe": READINESS,
            **container,
        }
        labels = {"app": name}
        self.apply(
            {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "metadata": {"name": name},
                "spec": {
                    "replicas": replicas,
                    "selector": {"matchLabels": labels},
                    "template": {
                        "metadata": {"labels": labels},
                        "spec": {
                            "nodeSelector": {"type": "runner"},
                            "terminationGracePeriodSeconds": 5,
                            "containers": [main],
                        },
                    },
                },
            },
            {
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": {"name": name},
                "spec": {"selector": labels, "ports": [{"port": 8080}]},
            },
        )

    def apply(self, *documents: dict[str, Any]) -> None:
        self.kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all(documents))

    def pod_names(self, app: str) -> list[str]:
        return self.kubectl("get", "pods", "-l", f"app={app}", "-o", "jsonpath={.items[*].metadata.name}").split()

    def proxy(self, pod: str, path: str) -> str:
        """A GET to a pod through the API server."""
        return run_kubectl(["get", "--raw", f"/api/v1/namespaces/{self.name}/pods/{pod}:8080/proxy{path}"])


def wait(predicate: Any, what: str) -> Any:
    return control.wait_until(predicate, SECONDS, what)


@contextmanager
def namespace() -> Iterator[Namespace]:
    """A namespace that is gone at the end."""
    made = Namespace(f"runner-{secrets.token_hex(4)}")
    run_kubectl(["create", "namespace", made.name])
    try:
        wait(lambda: made.get("serviceaccount/default"), "the account that pods run as")
        yield made
    finally:
        run_kubectl(["delete", "namespace", made.name, "--wait=false"])
