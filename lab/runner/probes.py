# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Probes of a container, sent as a kubelet sends them: a new connection each time, 200 to 399 is good."""

from __future__ import annotations

import asyncio
import ssl

from lab.runner.kube import Object

_READ_BYTES = 10 * 1024


async def attempt(probe: Object, container: Object, pod_ip: str, address: str) -> str | None:
    """One attempt; None when it is good, else the reason in a kubelet's words. `address`: where the process listens."""
    limit = float(probe.get("timeoutSeconds") or 1)
    kind = next((kind for kind in ("httpGet", "tcpSocket") if kind in probe), None)
    if kind is None:
        return "this node knows httpGet and tcpSocket probes only"
    wanted = probe[kind]
    try:
        port = _port(wanted["port"], container)
        shown, address = wanted.get("host") or pod_ip, wanted.get("host") or address
        async with asyncio.timeout(limit):
            if kind == "tcpSocket":
                return await _connect(shown, address, port)
            return await _http(wanted, shown, address, port)
    except TimeoutError:
        if kind == "tcpSocket":
            return f"dial tcp {shown}:{port}: i/o timeout"
        url = _url(wanted, shown, port)
        return f'Get "{url}": context deadline exceeded (Client.Timeout exceeded while awaiting headers)'
    except ValueError as error:
        return str(error)


async def _connect(shown: str, address: str, port: int) -> str | None:
    try:
        _, writer = await asyncio.open_connection(address, port)
    except OSError as error:
        return f"dial tcp {shown}:{port}: {_reason(error)}"
    writer.close()
    return None


async def _http(wanted: Object, shown: str, address: str, port: int) -> str | None:
    url = _url(wanted, shown, port)
    try:
        reader, writer = await asyncio.open_connection(address, port, ssl=_unverified() if _secure(wanted) else None)
    except OSError as error:
        return f'Get "{url}": dial tcp {shown}:{port}: {_reason(error)}'
    headers = {"Host": f"{shown}:{port}", "User-Agent": "kube-probe/1.36", "Accept": "*/*", "Connection": "close"}
    headers |= {entry["name"]: entry["value"] for entry in wanted.get("httpHeaders") or ()}
    try:
        lines = [f"GET {wanted.get('path') or '/'} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
        writer.write("\r\n".join([*lines, "", ""]).encode())
        status = (await reader.readline()).split()
        if len(status) < 2 or not status[1].isdigit():
            return f'Get "{url}": EOF'
        await reader.read(_READ_BYTES)
    except OSError as error:
        return f'Get "{url}": {_reason(error)}'
    finally:
        writer.close()
    code = int(status[1])
    return None if 200 <= code < 400 else f"HTTP probe failed with statuscode: {code}"


def _secure(wanted: Object) -> bool:
    return str(wanted.get("scheme", "HTTP")).upper() == "HTTPS"


def _url(wanted: Object, shown: str, port: int) -> str:
    return f"{'https' if _secure(wanted) else 'http'}://{shown}:{port}{wanted.get('path') or '/'}"


def _port(wanted: int | str, container: Object) -> int:
    if isinstance(wanted, int) or wanted.isdigit():
        return int(wanted)
    for port in container.get("ports") or ():
        if port.get("name") == wanted:
            return int(port["containerPort"])
    raise ValueError(f'couldn\'t find port: "{wanted}" in container {container["name"]}')


def _unverified() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _reason(error: OSError) -> str:
    if isinstance(error, ConnectionRefusedError):
        return "connect: connection refused"
    if isinstance(error, ConnectionResetError):
        return "read: connection reset by peer"
    return str(error)
