# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the containers of this node use: processor time over the last seconds, and memory."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

from lab.runner import clock
from lab.runner.pods import Pods

_EVERY_SECONDS = 2.0
_SAMPLES = 5

Key = tuple[str, str, int]  # uid of the pod, container, pid


@dataclass(frozen=True)
class Used:
    """`cores`: mean of the window (seconds) that ends at `at`; `memory`: resident bytes at its end."""

    at: str
    window: float
    cores: float
    memory: int


class Usage:
    """Looks at every process of a pod in a steady rhythm, while ``run`` runs."""

    def __init__(self, pods: Pods) -> None:
        self._pods = pods
        self._samples: dict[Key, deque[tuple[float, float]]] = {}  # monotonic time, processor seconds since the start
        self._used: dict[str, dict[str, Used]] = {}

    def of(self, uid: str) -> Mapping[str, Used]:
        """By container. Empty for a pod that does not run, or was not seen twice yet."""
        return self._used.get(uid, {})

    def all(self) -> list[Used]:
        """Of every container of the node."""
        return [used for containers in self._used.values() for used in containers.values()]

    async def run(self) -> None:
        while True:
            self.sample()
            await asyncio.sleep(_EVERY_SECONDS)

    def sample(self) -> None:
        """Look once. What has ended is forgotten; a container that was started anew begins anew."""
        now, at = time.monotonic(), clock.now()
        samples: dict[Key, deque[tuple[float, float]]] = {}
        used: dict[str, dict[str, Used]] = {}
        for uid, container, process in self._pods.processes():
            key = uid, container, process.pid
            samples[key] = history = self._samples.get(key, deque(maxlen=_SAMPLES))
            history.append((now, process.cpu_seconds()))
            (begun, before), (_, after) = history[0], history[-1]
            if now > begun:
                cores = max(0.0, after - before) / (now - begun)
                used.setdefault(uid, {})[container] = Used(at, now - begun, cores, process.memory())
        self._samples, self._used = samples, used
