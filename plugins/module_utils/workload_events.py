# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Events about the objects of a workload: repeated ones told once, the newest first. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from . import kubernetes_objects as objects
from .kubernetes_objects import Object
from .redact import observed

MESSAGE_CHARACTERS = 1000
_CONTAINER = re.compile(r"^spec\.(?:initC|c)ontainers\{(.*)\}$")


@dataclass(frozen=True)
class Event:
    """``at`` is when it happened last, in seconds since the epoch (0 when not told); ``object`` is ``Pod/name``,
    ``container`` that of the pod, where it is about one."""

    at: float
    type: str
    reason: str
    object: str
    message: str
    count: int
    uid: str
    first: float
    container: str = ""

    @property
    def time(self) -> str:
        return objects.timestamp(self.at) if self.at else ""

    def as_dict(self) -> dict[str, Any]:
        return {
            "last": self.time or None,
            "first": objects.timestamp(self.first) if self.first else None,
            "type": self.type,
            "reason": self.reason,
            "object": self.object,
            "count": self.count,
            "message": self.message,
        }


def by_object(events: Iterable[Object]) -> dict[str, list[Event]]:
    """Events by the uid of the object that they are about, merged, the newest first. Both forms of the API are read."""
    merged: dict[tuple[str, str, str], Event] = {}
    for raw in events:
        event = _event(raw)
        key = (event.uid, event.reason, f"{event.container} {event.message}")
        known = merged.get(key)
        merged[key] = event if known is None else _together(known, event)
    found: dict[str, list[Event]] = {}
    for event in sorted(merged.values(), key=lambda event: event.at, reverse=True):
        found.setdefault(event.uid, []).append(event)
    return found


def _together(one: Event, other: Event) -> Event:
    newest, count = max((one, other), key=lambda event: event.at), one.count + other.count
    return replace(newest, count=count, first=min(filter(None, (one.first, other.first)), default=0.0))


def _event(raw: Object) -> Event:
    about: Mapping[str, Any] = raw.get("involvedObject") or raw.get("regarding") or {}
    series: Mapping[str, Any] = raw.get("series") or {}
    times = (series.get("lastObservedTime"), raw.get("lastTimestamp"), raw.get("deprecatedLastTimestamp"))
    made = (raw.get("eventTime"), raw.get("firstTimestamp"), (raw.get("metadata") or {}).get("creationTimestamp"))
    seen = [at for at in map(objects.seconds, (*times, *made)) if at]
    return Event(
        at=max(seen, default=0.0),
        type=str(raw.get("type") or ""),
        reason=str(raw.get("reason") or ""),
        object=f"{about.get('kind')}/{about.get('name')}",
        message=observed(" ".join(str(raw.get("message") or raw.get("note") or "").split()), MESSAGE_CHARACTERS),
        count=int(series.get("count") or raw.get("count") or raw.get("deprecatedCount") or 1),
        uid=str(about.get("uid") or ""),
        first=min(seen, default=0.0),
        container=_CONTAINER.sub(r"\1", str(about.get("fieldPath") or "")),
    )
