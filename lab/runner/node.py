# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The node object, its conditions and its lease."""

from __future__ import annotations

import asyncio
import os
import platform
from contextlib import suppress

from lab.runner import CONDITIONS, HOST_IP, NODE, clock
from lab.runner.context import Context
from lab.runner.kube import MERGE, UNREACHABLE, Informer, Object, Refused, say

_LEASE_SECONDS = 10
_STATUS_EVERY = 30  # leases
_PATH = f"/api/v1/nodes/{NODE}"
_LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
_RESOURCES = {"cpu": "32", "memory": "64Gi", "ephemeral-storage": "100Gi", "pods": "110"}
_PRESSURES = {
    "MemoryPressure": ("KubeletHasSufficientMemory", "KubeletHasInsufficientMemory"),
    "DiskPressure": ("KubeletHasNoDiskPressure", "KubeletHasDiskPressure"),
    "PIDPressure": ("KubeletHasSufficientPID", "KubeletHasInsufficientPID"),
}


class Node:
    """Keeps runner-0 registered and alive. ``known`` is set once the API server has taken its status."""

    def __init__(self, context: Context, kubelet_port: int) -> None:
        self._context, self._port = context, kubelet_port
        self._pressures: set[str] = set()
        self._conditions: list[Object] = []
        self._due = asyncio.Event()
        self.known = asyncio.Event()
        query = {"fieldSelector": f"metadata.name={NODE}"}
        self.informer = Informer(context.api, "/api/v1/nodes", query, self._seen, self._gone)

    async def run(self) -> None:
        """Renew the lease every ten seconds, write the status when it changes and every few minutes."""
        count = 0
        while True:
            try:
                if self._due.is_set() or count % _STATUS_EVERY == 0:
                    self._due.clear()
                    await self._write_status()
                await self._renew()
                count += 1
            except Refused as refusal:
                say(f"node {NODE}: {refusal}")
                self._due.set()
                await asyncio.sleep(1)
                continue
            except UNREACHABLE as error:
                say(f"node {NODE}: {type(error).__name__} {error}")
                self._due.set()
                await asyncio.sleep(0.5)
                continue
            with suppress(TimeoutError):
                async with asyncio.timeout(_LEASE_SECONDS):
                    await self._due.wait()

    def _seen(self, node: Object) -> None:
        wanted = str((node["metadata"].get("annotations") or {}).get(CONDITIONS, ""))
        pressures = {part.strip() for part in wanted.split(",")} & set(_PRESSURES)
        if pressures != self._pressures:
            self._pressures = pressures
            self._due.set()

    def _gone(self, _node: Object) -> None:
        self._due.set()

    async def _write_status(self) -> None:
        status = self._status()
        try:
            await self._context.api.send("PATCH", f"{_PATH}/status", {"status": status}, MERGE)
        except Refused as refusal:
            if refusal.code != 404:
                raise
            await self._context.api.send("POST", "/api/v1/nodes", self._object())
            await self._context.api.send("PATCH", f"{_PATH}/status", {"status": status}, MERGE)
            self._context.events.node("NodeReady", f"Node {NODE} status is now: NodeReady")
        self._conditions = status["conditions"]
        self.known.set()

    def _object(self) -> Object:
        labels = {
            "kubernetes.io/hostname": NODE,
            "kubernetes.io/os": "linux",
            "kubernetes.io/arch": _architecture(),
            "type": "runner",
        }
        return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": NODE, "labels": labels}}

    def _status(self) -> Object:
        conditions = [
            self._condition(kind, kind in self._pressures, names[kind in self._pressures])
            for kind, names in _PRESSURES.items()
        ]
        conditions.append(self._condition("Ready", True, "KubeletReady"))
        return {
            "capacity": _RESOURCES,
            "allocatable": _RESOURCES,
            "addresses": [{"type": "InternalIP", "address": HOST_IP}, {"type": "Hostname", "address": NODE}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": self._port}},
            "conditions": conditions,
            "nodeInfo": {
                "machineID": NODE,
                "systemUUID": NODE,
                "bootID": str(os.getpid()),
                "kernelVersion": platform.release(),
                "osImage": "processes of the lab",
                "containerRuntimeVersion": "lab://1",
                "kubeletVersion": "v1.36.3",
                "kubeProxyVersion": "",
                "operatingSystem": "linux",
                "architecture": _architecture(),
            },
        }

    def _condition(self, kind: str, true: bool, reason: str) -> Object:
        value = str(true)
        before = next((each for each in self._conditions if each["type"] == kind and each["status"] == value), None)
        now = clock.now()
        return {
            "type": kind,
            "status": value,
            "reason": reason,
            "message": f"kubelet has {'' if true else 'no '}{kind}" if kind != "Ready" else "the runner takes pods",
            "lastHeartbeatTime": now,
            "lastTransitionTime": before["lastTransitionTime"] if before else now,
        }

    async def _renew(self) -> None:
        spec = {"holderIdentity": NODE, "leaseDurationSeconds": 40, "renewTime": clock.now_micro()}
        try:
            await self._context.api.send("PATCH", f"{_LEASES}/{NODE}", {"spec": spec}, MERGE)
        except Refused as refusal:
            if refusal.code != 404:
                raise
            lease = {
                "apiVersion": "coordination.k8s.io/v1",
                "kind": "Lease",
                "metadata": {"name": NODE, "namespace": "kube-node-lease"},
                "spec": spec,
            }
            await self._context.api.send("POST", _LEASES, lease)


def _architecture() -> str:
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
