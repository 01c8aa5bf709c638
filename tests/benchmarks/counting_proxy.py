# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A proxy before the API server that counts requests: the same measure for every client, whatever it says of itself."""

from __future__ import annotations

import http.client
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

SECONDS = 60.0
PIECE = 1 << 16
ONE_HOP = ("connection", "transfer-encoding", "content-length", "keep-alive")


class CountingProxy(ThreadingHTTPServer):
    """``requests`` are lines such as ``GET /api/v1/namespaces``; ``url`` is where it listens, with the certificate file.

    Every answer ends its connection, so that streams (watches, logs) need nothing special.
    """

    daemon_threads = True

    def __init__(self, server: str, ca_file: Path, certificate: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        parts = urlsplit(server)
        self.target = (parts.hostname or "", parts.port or 443)
        self.trust = ssl.create_default_context(cafile=str(ca_file))
        own = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        own.load_cert_chain(certificate)
        self.socket = own.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)
        self.requests: list[str] = []
        self.url = f"https://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away in the middle is no event."""


class _Handler(BaseHTTPRequestHandler):
    server: CountingProxy

    def _relay(self) -> None:
        self.server.requests.append(f"{self.command} {self.path}")
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)) or None
        upstream = http.client.HTTPSConnection(*self.server.target, timeout=SECONDS, context=self.server.trust)
        try:
            headers = {name: value for name, value in self.headers.items() if name.lower() not in (*ONE_HOP, "host")}
            upstream.request(self.command, self.path, body, headers)
            answer = upstream.getresponse()
            self.send_response_only(answer.status, answer.reason)
            for name, value in answer.getheaders():
                if name.lower() not in ONE_HOP:
                    self.send_header(name, value)
            self.send_header("Connection", "close")
            self.end_headers()
            while piece := answer.read1(PIECE):
                self.wfile.write(piece)
                self.wfile.flush()
        finally:
            upstream.close()

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _relay  # noqa: N815 - names of the interface

    def log_message(self, *_: object) -> None:
        """Nothing is logged."""


@contextmanager
def counting_proxy(
    kubeconfig: Path, ca_file: Path, certificate: Path, folder: Path
) -> Iterator[tuple[Path, list[str]]]:
    """A kubeconfig that goes through the proxy, and the requests that went through it so far."""
    document = yaml.safe_load(kubeconfig.read_text(encoding="utf-8"))
    (cluster,) = document["clusters"]
    proxy = CountingProxy(cluster["cluster"]["server"], ca_file, certificate)
    cluster["cluster"]["server"] = proxy.url
    counted = folder / "counted.kubeconfig"
    counted.touch(0o600)
    counted.write_text(yaml.safe_dump(document), encoding="utf-8")
    thread = threading.Thread(target=proxy.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield counted, proxy.requests
    finally:
        with suppress(FileNotFoundError):
            counted.unlink()
        proxy.shutdown()
        proxy.server_close()
        thread.join(5)
