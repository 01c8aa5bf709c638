# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The cookies of one session, by the rules of the standard library."""

from __future__ import annotations

import threading
import urllib.request
from collections.abc import Iterable
from email.message import Message
from http.cookiejar import CookieJar
from types import SimpleNamespace
from typing import Any, cast


class Cookies:
    """A jar that several threads may use."""

    def __init__(self) -> None:
        self._jar = CookieJar()
        self._lock = threading.Lock()

    def header(self, url: str) -> str:
        """The value of the header Cookie for a URL, empty when there is none."""
        request = _asked(url)
        with self._lock:
            self._jar.add_cookie_header(request)
        return request.get_header("Cookie") or ""

    def keep(self, url: str, set_cookie: Iterable[str]) -> None:
        """Keep what an answer of ``url`` set."""
        message = Message()
        for value in set_cookie:
            message["Set-Cookie"] = value
        if "Set-Cookie" in message:
            answer: Any = SimpleNamespace(info=lambda: message)
            with self._lock:
                self._jar.extract_cookies(cast(Any, answer), _asked(url))


def _asked(url: str) -> urllib.request.Request:
    """What the jar reads a URL from; it is never opened."""
    return urllib.request.Request(url)  # noqa: S310
