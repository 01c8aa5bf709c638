# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a service of the lab is told to stop, and how it ends."""

from __future__ import annotations

import os
import signal
import sys
import threading
from typing import NoReturn

TERMINATED = 143  # as a terminated JVM


def stop_requested() -> threading.Event:
    """An event that SIGTERM and SIGINT set. Until this call either signal ends the process at once."""
    stopping = threading.Event()

    def request_stop(*_: object) -> None:
        stopping.set()

    signal.signal(signal.SIGTERM, request_stop)
    signal.signal(signal.SIGINT, request_stop)
    return stopping


def end() -> NoReturn:
    """Ends the process without waiting for a client that still hopes for an absent broker."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(TERMINATED)
