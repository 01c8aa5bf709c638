# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""All pods of this node, as the API server lists them."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator

from lab.runner import NODE
from lab.runner.container import Container
from lab.runner.context import Context
from lab.runner.kube import Informer, Object, say
from lab.runner.pod import Pod
from lab.runner.process import Process
from lab.runner.tasks import spawn


class Pods:
    """Starts a Pod for each object that is bound to the node and passes on what changes."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._pods: dict[str, Pod] = {}
        query = {"fieldSelector": f"spec.nodeName={NODE}"}
        self.informer = Informer(context.api, "/api/v1/pods", query, self._seen, self._gone)

    def container(self, namespace: str, name: str, container: str) -> tuple[Pod, Container | None] | None:
        """A container by name; None when the pod is not here."""
        for pod in self._pods.values():
            if pod.title == f"{namespace}/{name}":
                return pod, pod.container(container)
        return None

    async def tidy(self) -> None:
        """Remove the folders of pods that went while no runner was there."""
        await self.informer.synced.wait()
        for folder in (self._context.folder / "pods").glob("*"):
            if folder.name.rpartition("_")[2] not in self._pods:
                shutil.rmtree(folder, ignore_errors=True)

    def manifests(self) -> list[Object]:
        return [pod.manifest for pod in self._pods.values()]

    def processes(self) -> Iterator[tuple[str, str, Process]]:
        """Uid of the pod, name of the container and its process, of all that run."""
        for uid, pod in self._pods.items():
            for container in (*pod.inits, *pod.containers):
                if container.process is not None:
                    yield uid, container.name, container.process

    async def abandon(self, grace: float) -> None:
        """End all processes within the grace (seconds); the objects stay."""
        await asyncio.gather(*(pod.abandon(grace) for pod in self._pods.values()))

    def _seen(self, manifest: Object) -> None:
        uid = manifest["metadata"]["uid"]
        if uid in self._pods:
            self._pods[uid].update(manifest)
            return
        try:
            pod = Pod(self._context, manifest)
        except IndexError:
            say(f"pod {manifest['metadata']['name']}: no address is left on this node")
            return
        self._pods[uid] = pod
        spawn(self._live(pod), f"pod {pod.title}")

    def _gone(self, manifest: Object) -> None:
        pod = self._pods.get(manifest["metadata"]["uid"])
        if pod is not None:
            pod.gone()

    async def _live(self, pod: Pod) -> None:
        try:
            await pod.run()
        finally:
            self._pods.pop(pod.uid, None)
