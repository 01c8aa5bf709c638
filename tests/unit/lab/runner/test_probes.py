# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Probes as a kubelet sends them."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from lab.runner import probes

HERE, SHOWN = "127.0.0.1", "10.244.0.7"
Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def replies(text: str) -> Answer:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(text.encode())
        writer.close()

    return answer


async def silent(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    await reader.read()


def attempt(answer: Answer, probe: dict[str, Any], ports: list[dict[str, Any]] | None = None) -> str | None:
    async def run() -> str | None:
        server = await asyncio.start_server(answer, HERE, 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            wanted = json.loads(json.dumps(probe).replace('"PORT"', str(port)))
            named = [{**each, "containerPort": port} for each in ports or ()]
            return await probes.attempt(wanted, {"name": "app", "ports": named}, SHOWN, HERE)

    return asyncio.run(run())


def http_probe(**settings: Any) -> dict[str, Any]:
    return {"httpGet": {"path": "/live", "port": "PORT", **settings}, "timeoutSeconds": 1}


@pytest.mark.parametrize(
    ("line", "failure"),
    [
        ("200 OK", None),
        ("302 Found", None),
        ("399 x", None),
        ("404 Not Found", "HTTP probe failed with statuscode: 404"),
        ("503 Service Unavailable", "HTTP probe failed with statuscode: 503"),
    ],
)
def test_200_to_399_is_good(line: str, failure: str | None) -> None:
    assert attempt(replies(f"HTTP/1.1 {line}\r\n\r\n"), http_probe()) == failure


def test_a_port_has_a_name() -> None:
    named = {"httpGet": {"path": "/", "port": "http"}}
    assert attempt(replies("HTTP/1.1 200 OK\r\n\r\n"), named, [{"name": "http"}]) is None
    assert attempt(replies(""), named) == 'couldn\'t find port: "http" in container app'


def test_no_answer_in_time() -> None:
    failure = attempt(silent, http_probe())
    assert failure is not None
    assert failure.startswith(f'Get "http://{SHOWN}:')
    assert failure.endswith("context deadline exceeded (Client.Timeout exceeded while awaiting headers)")


def test_an_answer_that_is_not_http() -> None:
    failure = attempt(replies("hello\r\n"), http_probe())
    assert failure is not None
    assert failure.endswith(": EOF")


def test_nobody_listens() -> None:
    with socket.socket() as taken:
        taken.bind((HERE, 0))
        port = taken.getsockname()[1]
        http = {"httpGet": {"path": "/live", "port": port}}
        failure = asyncio.run(probes.attempt(http, {"name": "app"}, SHOWN, HERE))
        assert failure == f'Get "http://{SHOWN}:{port}/live": dial tcp {SHOWN}:{port}: connect: connection refused'
        tcp = {"tcpSocket": {"port": port}}
        failure = asyncio.run(probes.attempt(tcp, {"name": "app"}, SHOWN, HERE))
        assert failure == f"dial tcp {SHOWN}:{port}: connect: connection refused"


def test_a_connection_is_enough_for_tcp() -> None:
    assert attempt(silent, {"tcpSocket": {"port": "PORT"}}) is None


def test_other_kinds_are_said_to_be_unknown() -> None:
    assert attempt(silent, {"exec": {"command": ["true"]}}) == "this node knows httpGet and tcpSocket probes only"
