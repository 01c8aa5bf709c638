# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What stands between a client and a PostgreSQL server: a pooler's keys, or silence after the login."""

from __future__ import annotations

import contextlib
import itertools
import socket
import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

SSL_REQUEST = 80877103
STARTUP = 196608  # protocol 3.0


@dataclass
class Proxy:
    """Passes everything on. ``own_keys``: answers with keys of its own, as a pooler does. ``silent_at``: passes no
    statement on that has these words, and so the client waits. ``said``: the statements of the clients."""

    targets: Iterator[int]
    own_keys: bool = False
    silent_at: str | None = None
    said: list[str] = field(default_factory=list)
    port: int = 0
    _open: list[socket.socket] = field(default_factory=list)
    _threads: list[threading.Thread] = field(default_factory=list)

    def serve(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _address = listener.accept()
                server = socket.create_connection(("127.0.0.1", next(self.targets)))
                self._open += [client, server]
                for pump in (self._from_client, self._from_server):
                    self._start(pump, client, server)

    def _start(self, pump: object, *sockets: socket.socket) -> None:
        thread = threading.Thread(target=self._quietly, args=(pump, *sockets), daemon=True)
        self._threads.append(thread)
        thread.start()

    @staticmethod
    def _quietly(pump: object, client: socket.socket, server: socket.socket) -> None:
        with contextlib.suppress(OSError, EOFError):
            pump(client, server)  # type: ignore[operator]
        for one in (client, server):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def _from_client(self, client: socket.socket, server: socket.socket) -> None:
        while True:
            head = _exactly(client, 8)
            length, code = struct.unpack("!II", head)
            if code != SSL_REQUEST:
                break
            client.sendall(b"N")
        server.sendall(head + _exactly(client, length - 8))
        while True:
            kind, body = _message(client)
            if kind == b"Q":
                words = body.rstrip(b"\0").decode()
                self.said.append(words)
                if self.silent_at is not None and self.silent_at in words:
                    continue
            server.sendall(_packed(kind, body))

    def _from_server(self, client: socket.socket, server: socket.socket) -> None:
        while True:
            kind, body = _message(server)
            if kind == b"K" and self.own_keys:
                (process,) = struct.unpack("!I", body[:4])
                body = struct.pack("!I", process ^ 0x7FFFFFF) + body[4:]
            client.sendall(_packed(kind, body))

    def close(self) -> None:
        for one in self._open:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
        for thread in self._threads:
            thread.join(10)


@contextlib.contextmanager
def proxy(*targets: int, own_keys: bool = False, silent_at: str | None = None) -> Iterator[Proxy]:
    """A proxy of the servers at these ports of 127.0.0.1, in turn; gone with its context."""
    made = Proxy(itertools.cycle(targets), own_keys, silent_at)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        made.port = listener.getsockname()[1]
        thread = threading.Thread(target=made.serve, args=(listener,), daemon=True)
        thread.start()
        try:
            yield made
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(10)
            made.close()


def _exactly(source: socket.socket, size: int) -> bytes:
    found = b""
    while len(found) < size:
        more = source.recv(size - len(found))
        if not more:
            raise EOFError
        found += more
    return found


def _message(source: socket.socket) -> tuple[bytes, bytes]:
    head = _exactly(source, 5)
    return head[:1], _exactly(source, struct.unpack("!I", head[1:])[0] - 4)


def _packed(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("!I", len(body) + 4) + body
