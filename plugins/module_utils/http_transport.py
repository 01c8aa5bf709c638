# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""HTTP connections whose requests end in time, whatever the server or the resolver does.

The time-outs of HTTP libraries bound one ``recv``; a server that sends a byte a second, or a resolver that never
answers, outlives them. Here name resolution, connection, headers and body of one request share one end: the ``total``
of the Timeout that is handed to ``Session.send``.
"""

from __future__ import annotations

import http.client
import io
import socket
import ssl
import threading
import time
import warnings
from collections.abc import Callable, Mapping
from typing import Any

from . import http_cookies, http_proxies, libraries

try:
    from urllib3 import BaseHTTPResponse, PoolManager, ProxyManager
    from urllib3.connection import HTTPConnection, HTTPSConnection
    from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
    from urllib3.exceptions import (
        ConnectTimeoutError,
        HTTPError,
        InsecureRequestWarning,
        InvalidHeader,
        NewConnectionError,
    )
    from urllib3.util import Timeout, make_headers

    # What a request can raise, before and while its answer is read, and what a header that cannot be read raises.
    TRANSPORT_ERRORS: tuple[type[Exception], ...] = (HTTPError, http.client.HTTPException, OSError, ValueError)
    HEADER_ERRORS: tuple[type[Exception], ...] = (InvalidHeader, ValueError, OverflowError)
except ImportError as error:
    libraries.record("urllib3", error)
    HTTPConnection = HTTPSConnection = HTTPConnectionPool = HTTPSConnectionPool = object  # type: ignore[assignment, misc]


class TimedReader(io.RawIOBase):
    """Reads from a socket until a point in time, however slowly the bytes come; then raises TimeoutError."""

    def __init__(self, raw: Any, sock: socket.socket, end: float) -> None:
        self._raw, self._sock, self._end = raw, sock, end

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = self._end - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        self._sock.settimeout(left)
        count: int | None = self._raw.readinto(buffer)
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()


class TimedResponse(http.client.HTTPResponse):
    """An answer that is read through a TimedReader. The socket's time-out at this moment is what is left."""

    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        seconds = sock.gettimeout()
        if seconds is not None:
            raw = self.fp.detach()  # type: ignore[attr-defined]
            self.fp = io.BufferedReader(TimedReader(raw, sock, time.monotonic() + seconds))


class _Timed:
    """What both kinds of connection have in common."""

    _dns_host: str

    def _new_conn(self) -> socket.socket:
        """Connect to each address of the name in turn; resolving and connecting end within the connect time-out."""
        connection: Any = self
        name, seconds = self._dns_host, connection.timeout
        end = None if seconds is None else time.monotonic() + seconds
        problem: Exception | None = None
        for address in resolve(name, connection.port, seconds):
            left = None if end is None else end - time.monotonic()
            if left is not None and left <= 0:
                break
            try:
                return socket.create_connection((address, connection.port), left)
            except OSError as error:
                problem = error
        if problem is None or isinstance(problem, TimeoutError):
            raise ConnectTimeoutError(connection, f"no connection within {seconds:g} s") from problem
        raise NewConnectionError(connection, str(problem)) from problem

    def connect(self) -> None:
        super().connect()  # type: ignore[misc]
        connection: Any = self
        connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


class TimedHTTPConnection(_Timed, HTTPConnection):
    """http"""

    response_class = TimedResponse


class TimedHTTPSConnection(_Timed, HTTPSConnection):
    """https"""

    response_class = TimedResponse


class _HTTPPool(HTTPConnectionPool):
    ConnectionCls = TimedHTTPConnection  # type: ignore[assignment]


class _HTTPSPool(HTTPSConnectionPool):
    ConnectionCls = TimedHTTPSConnection  # type: ignore[assignment]


def resolve(name: str, port: int, seconds: float | None) -> list[str]:
    """The addresses of a name, in the resolver's order; socket.gaierror when there is none within the time.

    The resolver cannot be interrupted, so it is asked in a thread that is left behind when it does not answer.
    """
    answers: list[list[str] | OSError | UnicodeError] = []

    def look_up() -> None:
        try:
            found = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)
            answers.append(list(dict.fromkeys(str(entry[4][0]) for entry in found)))
        except (OSError, UnicodeError) as error:
            answers.append(error)

    thread = threading.Thread(target=look_up, name="resolver", daemon=True)
    thread.start()
    thread.join(seconds)
    if not answers:
        raise socket.gaierror(socket.EAI_AGAIN, f"the resolver gave no answer within {seconds:g} s")
    answer = answers[0]
    if isinstance(answer, UnicodeError):
        raise socket.gaierror(socket.EAI_NONAME, "no valid host name")
    if isinstance(answer, OSError):
        raise answer
    return answer


class Session:
    """Connections that are kept and shared by threads, at most ``connections`` to each host; with or without cookies.

    ``tls`` makes the context for https; it is called when the first such URL is asked. ``server_name`` is the name that
    certificates must bear when it is not that of the URL.
    """

    def __init__(
        self, connections: int, tls: Callable[[], ssl.SSLContext], cookies: bool, server_name: str = ""
    ) -> None:
        self._connections, self._tls, self._server_name = connections, tls, server_name
        self._cookies = http_cookies.Cookies() if cookies else None
        self._managers: dict[tuple[bool, str], PoolManager] = {}
        self._lock = threading.Lock()

    def send(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None, *, proxy: bool, timeout: Timeout
    ) -> BaseHTTPResponse:
        """Send and give back the answer with its body unread; raises one of TRANSPORT_ERRORS."""
        sent = dict(headers)
        if self._cookies and (cookie := self._cookies.header(url)):
            sent.setdefault("Cookie", cookie)
        manager = self._manager(url.startswith("https:"), http_proxies.proxy_for(url) if proxy else "")
        response = manager.request(
            method,
            url,
            body=body,
            headers=sent,
            redirect=False,
            retries=False,
            preload_content=False,
            decode_content=False,
            timeout=timeout,
        )
        if self._cookies:
            self._cookies.keep(url, response.headers.getlist("Set-Cookie"))
        return response

    def close(self) -> None:
        for manager in self._managers.values():
            manager.clear()

    def _manager(self, secure: bool, proxy: str) -> PoolManager:
        with self._lock:
            if (secure, proxy) not in self._managers:
                self._managers[secure, proxy] = self._made(secure, proxy)
            return self._managers[secure, proxy]

    def _made(self, secure: bool, proxy: str) -> PoolManager:
        options: dict[str, Any] = {"num_pools": self._connections, "maxsize": self._connections}
        if secure:
            options["ssl_context"] = self._tls()
            if self._server_name:
                options |= {"server_hostname": self._server_name, "assert_hostname": self._server_name}
            warnings.simplefilter("ignore", InsecureRequestWarning)  # validate_certs: false was the user's choice
        if proxy:
            url, credentials = http_proxies.address(proxy)
            manager: PoolManager = ProxyManager(
                url, proxy_headers=make_headers(proxy_basic_auth=credentials), **options
            )
        else:
            manager = PoolManager(**options)
        manager.pool_classes_by_scheme = {"http": _HTTPPool, "https": _HTTPSPool}
        return manager
