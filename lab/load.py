# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Clients of one Hafnium service, who ask it through the ingress while something is done to it."""

from __future__ import annotations

import collections
import http.client
import threading
import time

from lab.layout import ports

EACH_SECONDS = 0.05
PATIENCE_SECONDS = 5.0
PATH = "api/items"


class Clients:
    """Asks twenty times a second from the moment it is made until ``stop``."""

    def __init__(self, service: str) -> None:
        self._service = service
        self.answers: collections.Counter[str] = collections.Counter()
        self.longest_gap_seconds = 0.0
        self._good = time.monotonic()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._ask, name="clients", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join(PATIENCE_SECONDS * 2)

    @property
    def failed(self) -> int:
        return sum(count for answer, count in self.answers.items() if not answer.startswith("2"))

    def told(self) -> str:
        """What they noticed so far, in one line."""
        total = sum(self.answers.values())
        kinds = ", ".join(f"{answer}: {count}" for answer, count in sorted(self.answers.items()))
        return (
            f"{total} requests to {self._service}, {self.failed} failed ({kinds}); "
            f"the longest time without a good answer was {self.longest_gap_seconds:.1f} s."
        )

    def _ask(self) -> None:
        while not self._stopping.wait(EACH_SECONDS):
            answer = self._once()
            self.answers[answer] += 1
            if answer.startswith("2"):
                now = time.monotonic()
                self.longest_gap_seconds = max(self.longest_gap_seconds, now - self._good)
                self._good = now

    def _once(self) -> str:
        connection = http.client.HTTPConnection("127.0.0.1", ports()["ingress"], timeout=PATIENCE_SECONDS)
        try:
            connection.request("GET", f"/{self._service}/{PATH}")
            return str(connection.getresponse().status)
        except (OSError, http.client.HTTPException) as error:
            return type(error).__name__
        finally:
            connection.close()
