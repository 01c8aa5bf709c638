# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""One pod on this node: its containers, its status, its end."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

from lab.runner import clock, status
from lab.runner.addresses import loopback
from lab.runner.container import Container
from lab.runner.context import Context
from lab.runner.kube import STRATEGIC, UNREACHABLE, Object, Refused, say
from lab.runner.tasks import cancel, spawn

FINAL = ("Succeeded", "Failed")
_ASLEEP = "asleep"  # file in a pod's folder: its processes were ended because the runner was, and are to go on
_RETRY_SECONDS = 0.5
_GONE_GRACE = 2.0  # for a pod that was deleted without waiting for its end
_VOLUME_RETRY_SECONDS = 2.0


class Pod:
    """Runs from ``run`` on until its object is deleted; ``update`` and ``gone`` tell what the API server says."""

    def __init__(self, context: Context, manifest: Object) -> None:
        meta, known = manifest["metadata"], manifest.get("status") or {}
        self.context = context
        self.manifest = manifest
        self.uid = str(meta["uid"])
        self.title = f"{meta['namespace']}/{meta['name']}"
        self.pod_ip = context.addresses.take(known.get("podIP"))
        self.address = loopback(self.pod_ip)
        self.folder: Path = context.folder / "pods" / f"{meta['namespace']}_{meta['name']}_{self.uid}"
        self.folder.mkdir(parents=True, exist_ok=True)
        self.asleep = (self.folder / _ASLEEP).exists()
        (self.folder / _ASLEEP).unlink(missing_ok=True)
        spec = manifest["spec"]
        self.inits = self._containers(spec.get("initContainers"), known.get("initContainerStatuses"), init=True)
        self.containers = self._containers(spec["containers"], known.get("containerStatuses"), init=False)
        self._start = known.get("startTime") or clock.now()
        self._conditions = known.get("conditions") or []
        self._final = known.get("phase") in FINAL
        self._dirty = asyncio.Event()
        self._ending = asyncio.Event()
        self._deleted = False
        self._tasks: list[asyncio.Task[None]] = []
        self.update(manifest)

    def container(self, name: str) -> Container | None:
        return next((each for each in (*self.containers, *self.inits) if each.name == name), None)

    def changed(self) -> None:
        """Something in the status is new."""
        self._dirty.set()

    def update(self, manifest: Object) -> None:
        """The object as it is now: it may have to end."""
        self.manifest = manifest
        if manifest["metadata"].get("deletionTimestamp"):
            self._ending.set()

    def gone(self) -> None:
        """The object is not there any more."""
        self._deleted = True
        self._ending.set()

    async def run(self) -> None:
        """Its whole life."""
        if not self._final:
            self._tasks += [
                spawn(self._work(), f"pod {self.title}"),
                spawn(self._write_statuses(), f"status of {self.title}"),
            ]
            self.changed()
        await self._ending.wait()
        await cancel(*self._tasks)
        await self._stop(_GONE_GRACE if self._deleted else self._grace())
        if not self._deleted:
            await self._finish()
        self.context.addresses.give_back(self.pod_ip)
        shutil.rmtree(self.folder, ignore_errors=True)

    async def abandon(self, grace: float) -> None:
        """End its processes, and leave its object to the next runner."""
        await cancel(*self._tasks)
        (self.folder / _ASLEEP).touch()
        await asyncio.gather(*(each.stop(grace, told=False) for each in (*self.inits, *self.containers)))

    async def _work(self) -> None:
        await self._volumes()
        for container in self.inits:
            if await container.run():
                return
        for container in self.containers:
            if "waiting" in container.state:
                container.waits("ContainerCreating")
        await asyncio.gather(*(container.run() for container in self.containers))

    async def _volumes(self) -> None:
        """Nothing is mounted, but what a volume refers to has to be there, as for a kubelet."""
        for volume in self.manifest["spec"].get("volumes") or ():
            for kind, key in (("configMap", "name"), ("secret", "secretName")):
                reference = volume.get(kind)
                if reference and not reference.get("optional"):
                    await self._present(str(volume["name"]), kind.lower(), str(reference[key]))

    async def _present(self, volume: str, kind: str, name: str) -> None:
        namespace = self.manifest["metadata"]["namespace"]
        while True:
            try:
                await self.context.api.get(f"/api/v1/namespaces/{namespace}/{kind}s/{name}")
                return
            except (*UNREACHABLE, Refused) as error:
                reason = (
                    f'{kind} "{name}" not found' if isinstance(error, Refused) and error.code == 404 else str(error)
                )
                message = f'MountVolume.SetUp failed for volume "{volume}" : {reason}'
                self.context.events.pod(self.manifest, "FailedMount", message, warning=True)
            await asyncio.sleep(_VOLUME_RETRY_SECONDS)

    async def _stop(self, grace: float) -> None:
        await asyncio.gather(*(each.stop(grace) for each in (*self.inits, *self.containers)))

    def _grace(self) -> float:
        return float(self.manifest["metadata"].get("deletionGracePeriodSeconds") or _GONE_GRACE)

    async def _write_statuses(self) -> None:
        while True:
            await self._dirty.wait()
            self._dirty.clear()
            if not await self._write():
                return

    async def _write(self) -> bool:
        """Write the status until the API server has taken it; False when the pod is not there any more."""
        meta = self.manifest["metadata"]
        path = f"/api/v1/namespaces/{meta['namespace']}/pods/{meta['name']}/status"
        while True:
            found = self._status()
            try:
                answer = await self.context.api.send(
                    "PATCH", path, {"metadata": {"uid": self.uid}, "status": found}, STRATEGIC
                )
            except Refused as refusal:
                if refusal.code in (404, 409):  # gone, or another pod of the same name
                    return False
                say(f"status of {self.title}: {refusal}")
            except UNREACHABLE as error:
                say(f"status of {self.title}: {type(error).__name__} {error}")
            else:
                self._conditions = answer["status"].get("conditions") or []
                return True
            await asyncio.sleep(_RETRY_SECONDS)

    def _status(self) -> Object:
        return status.build(
            self.manifest,
            self.pod_ip,
            self._start,
            [each.status() for each in self.inits],
            [each.status() for each in self.containers],
            self._conditions,
        )

    async def _finish(self) -> None:
        """Say how it ended and remove its object, as nobody else may do before the processes have ended."""
        if not self._final and not await self._write():
            return
        meta = self.manifest["metadata"]
        body: Object = {"gracePeriodSeconds": 0, "preconditions": {"uid": self.uid}}
        while not self._deleted:
            try:
                await self.context.api.send(
                    "DELETE", f"/api/v1/namespaces/{meta['namespace']}/pods/{meta['name']}", body
                )
                return
            except Refused as refusal:
                if refusal.code in (404, 409):
                    return
                say(f"end of {self.title}: {refusal}")
            except UNREACHABLE as error:
                say(f"end of {self.title}: {type(error).__name__} {error}")
            await asyncio.sleep(_RETRY_SECONDS)

    def _containers(self, specs: list[Object] | None, known: list[Object] | None, init: bool) -> list[Container]:
        before = {each["name"]: each for each in known or ()}
        return [Container(self, str(spec["name"]), before.get(spec["name"]), init) for spec in specs or ()]
