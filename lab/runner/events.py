# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Events as a kubelet records them: one object for the same thing, counted up when it happens again."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from typing import Any

from lab.runner import clock
from lab.runner.kube import MERGE, UNREACHABLE, Api, Object, Refused, say

_KEPT = 2000
_WAITING = 1000


class Recorder:
    """Takes events at once and sends them one after the other; events are lost rather than awaited for ever."""

    def __init__(self, api: Api, node: str) -> None:
        self._api, self._node = api, node
        self._queue: asyncio.Queue[tuple[tuple[str, ...], Object]] = asyncio.Queue(_WAITING)
        self._sent: OrderedDict[tuple[str, ...], tuple[str, int]] = OrderedDict()

    def pod(self, pod: Object, reason: str, message: str, container: str | None = None, warning: bool = False) -> None:
        """An event about a pod, or one of its containers."""
        meta = pod["metadata"]
        about = {
            "kind": "Pod",
            "apiVersion": "v1",
            "namespace": meta["namespace"],
            "name": meta["name"],
            "uid": meta["uid"],
        }
        if container:
            about["fieldPath"] = f"spec.containers{{{container}}}"
        self._take(about, meta["namespace"], reason, message, warning)

    def node(self, reason: str, message: str) -> None:
        """An event about the node."""
        about = {"kind": "Node", "name": self._node, "uid": self._node}
        self._take(about, "default", reason, message, False)

    def _take(self, about: dict[str, str], namespace: str, reason: str, message: str, warning: bool) -> None:
        now = clock.now()
        event: dict[str, Any] = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": f"{about['name']}.{time.time_ns():x}", "namespace": namespace},
            "involvedObject": about,
            "reason": reason,
            "message": message[:1024],
            "type": "Warning" if warning else "Normal",
            "source": {"component": "kubelet", "host": self._node},
            "reportingComponent": "kubelet",
            "reportingInstance": self._node,
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
        }
        key = (about["uid"], about.get("fieldPath", ""), reason, message)
        if not self._queue.full():
            self._queue.put_nowait((key, event))

    async def run(self) -> None:
        while True:
            key, event = await self._queue.get()
            try:
                await self._send(key, event)
            except Refused as refusal:
                if refusal.code not in (403, 404):  # a namespace that goes away takes no events
                    say(f"event {event['reason']} of {event['involvedObject']['name']}: {refusal}")
            except UNREACHABLE:
                await asyncio.sleep(1)

    async def _send(self, key: tuple[str, ...], event: Object) -> None:
        folder = f"/api/v1/namespaces/{event['metadata']['namespace']}/events"
        name, count = self._sent.pop(key, (event["metadata"]["name"], 0))
        if count:
            change = {"count": count + 1, "lastTimestamp": event["lastTimestamp"]}
            try:
                await self._api.send("PATCH", f"{folder}/{name}", change, MERGE)
            except Refused as refusal:
                if refusal.code != 404:
                    raise
                name, count = event["metadata"]["name"], 0
        if not count:
            await self._api.send("POST", folder, event)
        self._sent[key] = (name, count + 1)
        while len(self._sent) > _KEPT:
            self._sent.popitem(last=False)
