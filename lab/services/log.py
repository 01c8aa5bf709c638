# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Log lines on stdout in the shape of the operated services, which run without a logging configuration."""

from __future__ import annotations

import threading
import time


def line(level: str, logger: str, message: str) -> None:
    now = time.time()
    clock = f"{time.strftime('%H:%M:%S', time.localtime(now))}.{int(now % 1 * 1000):03d}"
    print(f"{clock} [{threading.current_thread().name}] {level} {logger} -- {message}", flush=True)
