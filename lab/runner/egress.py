# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The way from the API server to pods and to this node: an HTTP CONNECT proxy on a unix socket.

Pod addresses lead to their loopback addresses, 127.0.0.1 and the node's name to this machine; all else is refused.
"""

from __future__ import annotations

import asyncio
import os
import re
from contextlib import suppress
from pathlib import Path

from lab.runner import HOST_IP, NODE
from lab.runner.addresses import loopback
from lab.runner.kube import say

_CONNECT = re.compile(rb"CONNECT ([0-9A-Za-z.-]+):([0-9]{1,5}) HTTP/1\.[01]\r?\n")
_CONNECT_SECONDS = 10
_HEAD_BYTES = 16 * 1024
_CHUNK = 64 * 1024


async def serve(path: Path) -> asyncio.Server:
    """Listen on the socket, for this account only."""
    path.unlink(missing_ok=True)
    before = os.umask(0o177)
    try:
        return await asyncio.start_unix_server(_connection, str(path), limit=_HEAD_BYTES)
    finally:
        os.umask(before)


async def _connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        async with asyncio.timeout(_CONNECT_SECONDS):
            head = await reader.readuntil(b"\r\n\r\n")
        match = _CONNECT.match(head)
        target = _target(match[1].decode()) if match else None
        if match is None or target is None:
            say(f"egress: refused {head.splitlines()[0]!r}")
            writer.write(b"HTTP/1.1 403 Forbidden\r\n\r\n")
            return
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                far = await asyncio.open_connection(target, int(match[2]))
        except (OSError, TimeoutError, OverflowError) as error:
            writer.write(f"HTTP/1.1 502 {str(error).splitlines()[0]}\r\n\r\n".encode())
            return
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        far_reader, far_writer = far
        await asyncio.gather(_pass(reader, far_writer), _pass(far_reader, writer))
    except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, asyncio.CancelledError):
        pass  # the other side went away, or the runner stops
    finally:
        with suppress(OSError):
            writer.close()


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Bytes from one side to the other, until that side has no more."""
    try:
        while data := await reader.read(_CHUNK):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    finally:
        with suppress(OSError):
            writer.close()


def _target(host: str) -> str | None:
    if host in (HOST_IP, NODE):
        return HOST_IP
    try:
        return loopback(host)
    except ValueError:
        return None
