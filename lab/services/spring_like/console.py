# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Log lines on stdout as Spring Boot prints them."""

from __future__ import annotations

import os
import threading
import time
from collections import Counter

LOGGED: Counter[str] = Counter()
_application = "service"


def application(name: str) -> None:
    """The name that every line carries."""
    global _application  # noqa: PLW0603 - one process, one service
    _application = name


def info(logger: str, message: str) -> None:
    _line("INFO", logger, message)


def warn(logger: str, message: str) -> None:
    _line("WARN", logger, message)


def error(logger: str, message: str, trace: str = "") -> None:
    _line("ERROR", logger, message + (f"\n\n{trace}" if trace else ""))


def plain(text: str) -> None:
    print(text, flush=True)


def _line(level: str, logger: str, message: str) -> None:
    LOGGED[level.lower()] += 1
    now = time.time()
    stamp = f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(now))}.{int(now % 1 * 1000):03d}Z"
    thread = {"MainThread": "main"}.get(threading.current_thread().name, threading.current_thread().name)[-15:]
    print(
        f"{stamp} {level:>5} {os.getpid()} --- [{_application}] [{thread:>15}] {logger[-40:]:<40} : {message}",
        flush=True,
    )
