# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Background tasks whose failure is said, not lost."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from lab.runner.kube import say

_RUNNING: set[asyncio.Task[Any]] = set()


def spawn(work: Coroutine[Any, Any, Any], name: str) -> asyncio.Task[Any]:
    """Start it; an exception that ends it is one line in the runner's log."""
    task = asyncio.create_task(work, name=name)
    _RUNNING.add(task)  # the event loop itself keeps no reference
    task.add_done_callback(_ended)
    return task


async def cancel(*tasks: asyncio.Task[Any]) -> None:
    """Cancel tasks and wait for their end."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _ended(task: asyncio.Task[Any]) -> None:
    _RUNNING.discard(task)
    error = None if task.cancelled() else task.exception()
    if error is not None:
        say(f"{task.get_name()} ended: {type(error).__name__}: {error}")
