# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A small HTTP/1.1 server with the habits of the JVM's built-in one: prefix routing, HTML for what no route takes."""

from __future__ import annotations

import json
import re
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import Message
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import Any
from urllib.parse import unquote, unquote_plus

from lab.services.jwt_auth import JwtAuth, Unauthorized

BIND_ADDRESS = "127.0.0.1"
MAX_BODY_BYTES = 1_000_000
_LEGAL_TARGET = re.compile(r"(?:[A-Za-z0-9\-_.!~*'();/?:@&=+$,\[\]]|[^\x00-\x7f]|%[0-9A-Fa-f]{2})*")


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    query: Mapping[str, str]
    headers: Message
    body: bytes

    def parameter(self, name: str) -> str | None:
        """The value of a query parameter; None when absent, empty or blank."""
        value = self.query.get(name, "")
        return value if value.strip() else None


@dataclass(frozen=True)
class Reply:
    status: int
    body: bytes
    content_type: str
    headers: Mapping[str, str] = field(default_factory=dict)


Handler = Callable[[Request], Reply]


class HttpProblem(Exception):
    """Ends a request with a short text, e.g. 400 INVALID_LIMIT."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.reply = text_reply(status, text)


def json_reply(status: int, body: object) -> Reply:
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    return Reply(status, text.encode("utf-8", "replace"), "application/json; charset=utf-8")


def text_reply(status: int, text: str) -> Reply:
    return Reply(status, text.encode(), "text/plain; charset=utf-8")


def html_reply(status: int, message: str) -> Reply:
    return Reply(status, f"<h1>{status} {HTTPStatus(status).phrase}</h1>{message}".encode(), "text/html")


def unauthorized(reason: str) -> Reply:
    return json_reply(401, {"status": "UNAUTHORIZED", "reason": reason})


def authenticated(auth: JwtAuth, request: Request) -> str:
    """The account of the request's token; raises Unauthorized."""
    return auth.account(request.headers.get("Authorization"))


def parse_query(raw: str) -> dict[str, str]:
    """Last value wins; a pair without a name, without ``=`` or without a value counts as absent."""
    query: dict[str, str] = {}
    for pair in raw.split("&"):
        name, separator, value = pair.partition("=")
        if name and separator and value:
            query[unquote_plus(name)] = unquote_plus(value)
    return query


class HttpService(ThreadingHTTPServer):
    """Serves ``routes``; the longest prefix of the path wins. Binds at construction: a used port raises OSError."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, port: int, routes: Mapping[str, Handler], address: str = BIND_ADDRESS) -> None:
        self.routes = dict(sorted(routes.items(), key=lambda route: -len(route[0])))
        self._answering = 0
        self._answered = threading.Condition()
        super().__init__((address, port), _Connection)

    def server_bind(self) -> None:
        """As its parent, without asking the resolver for the address's name: that can take seconds."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def answer(self, request: Request) -> Reply:
        for prefix, handler in self.routes.items():
            if request.path.startswith(prefix):
                return _guarded(handler, request)
        return html_reply(404, "No context found for request")

    @contextmanager
    def answering(self) -> Iterator[None]:
        """A request counts from when it was read until its reply is on its way."""
        with self._answered:
            self._answering += 1
        try:
            yield
        finally:
            with self._answered:
                self._answering -= 1
                self._answered.notify_all()

    def drain(self, seconds: float) -> None:
        """Wait until no request is being answered."""
        with self._answered:
            self._answered.wait_for(lambda: not self._answering, seconds)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002
        """A client that went away is no event; anything else is one."""
        if not isinstance(sys.exc_info()[1], (ConnectionError, TimeoutError)):
            traceback.print_exc()


def _guarded(handler: Handler, request: Request) -> Reply:
    try:
        return handler(request)
    except HttpProblem as problem:
        return problem.reply
    except Unauthorized as refusal:
        return unauthorized(str(refusal))
    except Exception:  # noqa: BLE001 - the reply says no more than ERROR, the trace is on stderr
        traceback.print_exc()
        return text_reply(500, "ERROR")


class _Connection(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 64 * 1024  # one segment per reply: header and body leave together
    disable_nagle_algorithm = True
    timeout = 30
    server: HttpService

    def handle_request(self) -> None:
        with self.server.answering():
            self._answer()
            self.wfile.flush()

    def _answer(self) -> None:
        body = self._body()
        path, _, raw_query = self.path.partition("?")
        if not _LEGAL_TARGET.fullmatch(self.path):
            self._send(html_reply(400, "URISyntaxException thrown"))
            return
        query = parse_query(raw_query)
        self._send(self.server.answer(Request(self.command, unquote(path), query, self.headers, body)))

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_PATCH = do_OPTIONS = do_TRACE = handle_request  # noqa: N815

    def _body(self) -> bytes:
        length = self.headers.get("Content-Length", "0")
        if "Transfer-Encoding" in self.headers or not length.isdigit() or int(length) > MAX_BODY_BYTES:
            self.close_connection = True
            return b""
        return self.rfile.read(int(length))

    def _send(self, reply: Reply) -> None:
        if reply.content_type == "text/html":
            self.close_connection = True
        body = b"" if self.command == "HEAD" else reply.body
        self.send_response_only(reply.status)
        self.send_header("Date", self.date_time_string())
        self.send_header("Content-type", reply.content_type)
        self.send_header("Content-length", str(len(body)))
        for name, value in reply.headers.items():
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:  # noqa: ARG002
        self.close_connection = True
        self._send(html_reply(code if code < 500 else 400, "Bad request line"))

    def log_message(self, *_: Any) -> None:
        """The operated services keep no access log."""
