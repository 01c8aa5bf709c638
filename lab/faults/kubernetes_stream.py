# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults of the stream that Hafnium's transactions take."""

from __future__ import annotations

from lab import control, hafnium, probes
from lab.faults import bus
from lab.faults.kubernetes_hands import PART, SHOWN_SECONDS
from lab.faults.model import Fault, start

PROGRAM = "stream-processor"
UNREADABLE = tuple((f"txn_{number}", b"<Transaction xmlns='urn:example'/>") for number in range(5))


def _stop() -> None:
    control.stop(PROGRAM)
    control.wait_until(
        lambda: probes.consumer_group(hafnium.GROUP)[0] == "EMPTY" and bus.lag(hafnium.INGESTED, hafnium.GROUP) > 0,
        SHOWN_SECONDS,
        f"group {hafnium.GROUP} without a member, and a lag that grows",
    )


def _dead_letters() -> None:
    bus.publish(UNREADABLE, hafnium.INGESTED)
    control.wait_until(
        lambda: bus.count(hafnium.DEAD_LETTERS) == len(UNREADABLE), SHOWN_SECONDS, "dead letters put aside"
    )


FAULTS = (
    Fault(
        "hafnium-stream-processor-stopped",
        "the stream processor is stopped: its group has no member and its lag grows",
        _stop,
        lambda: start(PROGRAM),
        PART,
    ),
    Fault(
        "hafnium-dead-letters",
        f"{len(UNREADABLE)} records cannot be read: the stream processor has put them into {hafnium.DEAD_LETTERS}",
        _dead_letters,
        lambda: bus.empty(hafnium.DEAD_LETTERS),
        PART,
    ),
)
