# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Workloads with a history in a namespace of their own, kubectl as second opinion, and a server that can be lost."""

from __future__ import annotations

import contextlib
import itertools
import json
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible_collections.sre.runbooks.plugins.module_utils.clock import Clock, Deadline
from ansible_collections.sre.runbooks.plugins.module_utils.kubernetes_client import Cluster
from ansible_collections.sre.runbooks.plugins.module_utils.kubernetes_history import observed
from ansible_collections.sre.runbooks.plugins.module_utils.kubernetes_kinds import KINDS
from ansible_collections.sre.runbooks.plugins.module_utils.kubernetes_rollout import rollout_of
from ansible_collections.sre.runbooks.plugins.module_utils.operation import Context

Object = dict[str, Any]
KWOK = {
    "nodeSelector": {"type": "kwok"},
    "tolerations": [{"key": "kwok.x-k8s.io/node", "operator": "Exists", "effect": "NoSchedule"}],
    "terminationGracePeriodSeconds": 0,
}
NOWHERE = {**KWOK, "nodeSelector": {"type": "nowhere"}}
RESOURCES = {"Deployment": "deployment", "StatefulSet": "statefulset", "DaemonSet": "daemonset"}
SECONDS = 60.0


def eventually(what: str, look: Callable[[], Any]) -> Any:
    """The first true answer of ``look``; an assertion after a while."""
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        found = look()
        if found:
            return found
        time.sleep(0.1)
    raise AssertionError(f"not within {SECONDS:g} s: {what}")


class Scene:
    """``kubectl`` runs kubectl with these arguments and gives what it prints; it fails when kubectl does."""

    def __init__(self, kubectl: Callable[..., str], kubeconfig: str, namespace: str) -> None:
        self._kubectl = kubectl
        self.kubeconfig = str(kubeconfig)
        self.namespace = str(namespace)
        self._cluster = self._connect()

    def kubectl(self, *arguments: str) -> str:
        return self._kubectl("-n", self.namespace, *arguments)

    def beside(self, namespace: str) -> Scene:
        """The same cluster, another namespace."""
        return Scene(self._kubectl, self.kubeconfig, namespace)

    # -- workloads

    def deploy(
        self,
        image: str,
        kind: str = "Deployment",
        name: str = "web",
        pod: Object | None = None,
        labels: dict[str, str] | None = None,
        annotations: dict[str, str] | None = None,
        settle: bool = False,
        **spec: Any,
    ) -> None:
        """Give the workload this image, as a deployment does, and wait until its controller has made the revision (with
        ``settle``: until its pods run). It is made when it is not there."""
        marks = labels or {"app": name}
        wanted: Object = {
            "selector": {"matchLabels": marks},
            "template": {
                "metadata": {"labels": marks},
                "spec": {**KWOK, "containers": [{"name": "main", "image": image}], **(pod or {})},
            },
            **({} if kind == "DaemonSet" else {"replicas": 2}),
            **({"serviceName": name} if kind == "StatefulSet" else {}),
            **spec,
        }
        if self.get(kind, name) is None:
            metadata = {"name": name, "annotations": annotations or {}}
            self.create(kind, {"apiVersion": "apps/v1", "metadata": metadata, "spec": wanted})
        else:
            # The pods' spec as a whole, and nothing else: marks and history stay.
            pods = {"spec": {**wanted["template"]["spec"], "$patch": "replace"}}
            change = {"metadata": {"annotations": annotations or {}}, "spec": {**spec, "template": pods}}
            self._cluster.patch(kind, self.namespace, name, change, "strategic")
        self.seen(kind, name)
        if settle:
            self.settle(kind, name)

    def create(self, kind: str, wanted: Object) -> None:
        self._cluster.create(kind, self.namespace, {"kind": kind, **wanted})

    def apply(self, wanted: Object) -> None:
        """With kubectl, which remembers what it applied."""
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            json.dump(wanted, file)
            file.flush()
            self.kubectl("apply", "-f", file.name)

    def seen(self, kind: str = "Deployment", name: str = "web") -> None:
        """Wait until the controller has seen the workload as it is."""
        eventually(f"{kind} {name} is seen by its controller", lambda: observed(self.one(kind, name)))

    def settle(self, kind: str = "Deployment", name: str = "web") -> None:
        """Wait until all pods run."""
        eventually(f"{kind} {name} is rolled out", lambda: rollout_of(self.one(kind, name)).complete)

    def get(self, kind: str, name: str) -> Object | None:
        return self._cluster.find(kind, self.namespace, name)

    def one(self, kind: str, name: str = "web") -> Object:
        found = self.get(kind, name)
        assert found is not None
        return found

    def all(self, kind: str, labels: str = "") -> list[Object]:
        return self._cluster.list(kind, self.namespace, labels=labels)

    def image(self, kind: str = "Deployment", name: str = "web") -> str:
        return str(self.one(kind, name)["spec"]["template"]["spec"]["containers"][0]["image"])

    def snapshot(self) -> dict[str, tuple[int, Object]]:
        """Generation and spec of every workload, with its marks: what a run without effect leaves alone."""
        return {
            f"{kind}/{one['metadata']['name']}": (
                one["metadata"]["generation"],
                {"spec": one["spec"], "annotations": one["metadata"].get("annotations")},
            )
            for kind in RESOURCES
            for one in self.all(kind)
        }

    # -- modules

    def run(
        self,
        module: Any,
        check: bool = False,
        diff: bool = False,
        progress: Callable[[str], None] = lambda text: None,
        **options: Any,
    ) -> dict[str, Any]:
        """The module's operation with options as a task gives them."""
        given = {"kubeconfig": self.kubeconfig, "namespace": self.namespace, **options}
        validated = ArgumentSpecValidator(**module.SPEC.module_arguments()).validate(given)
        assert not validated.error_messages, validated.error_messages
        params = validated.validated_parameters
        clock = Clock()
        context = Context(
            check_mode=check,
            diff=diff,
            clock=clock,
            deadline=Deadline(params["timeout"], clock),
            progress=progress,
        )
        result: dict[str, Any] = module.run(params, context)
        return result

    def server(self) -> str:
        return self._cluster.url

    def user(self, name: str, rules: list[tuple[str, str]]) -> str:
        """The token of a service account with exactly these rights: (verbs, resources), both with commas."""
        self.kubectl("create", "serviceaccount", name)
        for number, (verbs, resources) in enumerate(rules):
            role = f"{name}-{number}"
            self.kubectl("create", "role", role, f"--verb={verbs}", f"--resource={resources}")
            account = f"--serviceaccount={self.namespace}:{name}"
            self.kubectl("create", "rolebinding", role, f"--role={role}", account)
        token = self.kubectl("create", "token", name).strip()
        own = self._connect(api_key=token)
        for verbs, resources in rules:
            for verb, resource in itertools.product(verbs.split(","), resources.split(",")):
                eventually("the rights are in force", lambda verb=verb, of=resource: self._may(own, verb, of))
        return token

    def _connect(self, **options: Any) -> Cluster:
        clock = Clock()
        context = Context(clock=clock, deadline=Deadline(600, clock))
        return Cluster({"kubeconfig": self.kubeconfig, **options}, context)

    def _may(self, own: Cluster, verb: str, resource: str) -> bool:
        """``resource`` as kubectl takes it: ``pods``, ``pods/log``, ``deployments.apps/scale``."""
        whole, _slash, part = resource.partition("/")
        plural, _dot, group = whole.partition(".")
        group = group or next((kind.group for kind in KINDS.values() if kind.plural == plural), "")
        wanted = {"namespace": self.namespace, "verb": verb, "resource": plural, "group": group, "subresource": part}
        kind = "SelfSubjectAccessReview"
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": kind,
            "spec": {"resourceAttributes": wanted},
        }
        return bool(own.create(kind, "", review)["status"]["allowed"])


class Relay:
    """A TCP relay before the API server that can be cut."""

    def __init__(self, server: str) -> None:
        parts = urlsplit(server)
        self._target = (parts.hostname or "", parts.port or 443)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._cut = False
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self._listener.getsockname()[1]}"

    def cut(self) -> None:
        """From now on connections are closed as soon as they are made; those that are there are closed."""
        with self._lock:
            self._cut = True
            for one in self._open:
                with contextlib.suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)

    def mend(self) -> None:
        with self._lock:
            self._cut = False

    def close(self) -> None:
        self.cut()
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _address = self._listener.accept()
            except OSError:
                return
            with self._lock:
                if self._cut:
                    client.close()
                    continue
                server = socket.create_connection(self._target)
                self._open |= {client, server}
            for source, sink in ((client, server), (server, client)):
                threading.Thread(target=self._copy, args=(source, sink), daemon=True).start()

    def _copy(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
        for one in (source, sink):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        with self._lock:
            self._open -= {source, sink}
        source.close()


@contextlib.contextmanager
def relay(scene: Scene) -> Iterator[Relay]:
    """A relay before the API server of ``scene``."""
    made = Relay(scene.server())
    try:
        yield made
    finally:
        made.close()
