# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The probes of a running container, one after the other and side by side, and what follows from them."""

from __future__ import annotations

import asyncio
import random
import signal
from typing import TYPE_CHECKING

from lab.runner import probes
from lab.runner.kube import Object

if TYPE_CHECKING:
    from lab.runner.container import Container, Home

KILL = signal.SIGKILL
_QUICK_SECONDS = 0.2  # as a kubelet does, a container that is not ready is asked more often than its period says ...
_QUICK_FOR = 10.0  # ... at first


async def watch(container: Container, spec: Object, pod: Home) -> None:
    """Startup probe, then readiness and liveness for ever. Without a probe of a kind the answer is yes."""
    startup, readiness, liveness = (spec.get(f"{kind}Probe") for kind in ("startup", "readiness", "liveness"))
    if startup:
        await _Watch(container, spec, pod, startup, "Startup").until_good()
    container.serves(ready=not readiness)
    watches = []
    if readiness:
        watches.append(_Watch(container, spec, pod, readiness, "Readiness").readiness())
    if liveness:
        watches.append(_Watch(container, spec, pod, liveness, "Liveness").liveness())
    await asyncio.gather(*watches)


class _Watch:
    """One probe of one container. Attempts beyond its period count only when they are good."""

    def __init__(self, container: Container, spec: Object, pod: Home, probe: Object, kind: str) -> None:
        self._container, self._spec, self._pod, self._probe, self._kind = container, spec, pod, probe, kind
        self._period = float(probe.get("periodSeconds") or 10)
        self._begun = asyncio.get_running_loop().time()
        self._counted = self._begun  # a process that has just been started may still refuse
        self._good = self._bad = 0

    async def until_good(self) -> None:
        await self._delay()
        while not await self._attempt():
            if self._bad >= self._threshold("failureThreshold", 3):
                await self._kill()
            await asyncio.sleep(self._pause(hurry=True))

    async def readiness(self) -> None:
        await self._delay()
        while True:
            if await self._attempt():
                self._container.serves(ready=True)
            elif self._bad >= self._threshold("failureThreshold", 3):
                self._container.serves(ready=False)
            await asyncio.sleep(self._pause(hurry=not self._container.ready))

    async def liveness(self) -> None:
        await self._delay()
        await asyncio.sleep(random.random() * min(self._period, 1))  # the probes of many pods spread
        while True:
            await self._attempt()
            if self._bad >= self._threshold("failureThreshold", 3):
                break
            await asyncio.sleep(self._period)
        await self._kill()

    async def _delay(self) -> None:
        await asyncio.sleep(float(self._probe.get("initialDelaySeconds") or 0))

    async def _attempt(self) -> bool:
        """True when it is good as often as its threshold wants."""
        failure = await probes.attempt(self._probe, self._spec, self._pod.pod_ip, self._pod.address)
        now = asyncio.get_running_loop().time()
        if failure is None:
            self._good, self._bad = self._good + 1, 0
            return self._good >= self._threshold("successThreshold", 1)
        self._good = 0
        if now - self._counted >= self._period * 0.9:
            self._counted = now
            self._bad += 1
            self._container.unhealthy(self._kind, failure)
        return False

    async def _kill(self) -> None:
        name = self._container.name
        await self._container.kill(f"Container {name} failed {self._kind.lower()} probe, will be restarted")

    def _pause(self, hurry: bool) -> float:
        young = asyncio.get_running_loop().time() - self._begun < _QUICK_FOR
        return min(self._period, _QUICK_SECONDS) if hurry and young else self._period

    def _threshold(self, name: str, default: int) -> int:
        return int(self._probe.get(name) or default)
