# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A small asynchronous client of the Kubernetes API: JSON in, JSON out, and watches that go on."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import aiohttp

from lab.kubeconfig import Access

Object = dict[str, Any]
MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
UNREACHABLE = (aiohttp.ClientError, asyncio.TimeoutError, OSError)
_WATCH_SECONDS = 300
_LINE_BYTES = 2**24


class Refused(Exception):
    """The API server said no: its status code and its message."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"{code} {message}")
        self.code = code
        self.message = message


class Api:
    """One session with the API server. Requests raise Refused or one of UNREACHABLE."""

    def __init__(self, access: Access) -> None:
        self._server = access.server
        self._session = aiohttp.ClientSession(
            headers={**access.headers, "Accept": "application/json"},
            connector=aiohttp.TCPConnector(ssl=access.tls, limit=20),
            timeout=aiohttp.ClientTimeout(total=15),
            read_bufsize=2**20,
        )

    async def close(self) -> None:
        await self._session.close()

    async def get(self, path: str, **query: str) -> Object:
        return await self.send("GET", path, query=query)

    async def send(
        self,
        method: str,
        path: str,
        body: Object | None = None,
        content_type: str = "application/json",
        query: Mapping[str, str] | None = None,
    ) -> Object:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": content_type} if data else {}
        async with self._session.request(
            method, self._server + path, data=data, headers=headers, params=dict(query or {})
        ) as answer:
            text = await answer.read()
            if answer.status >= 400:
                raise Refused(answer.status, _message(text))
            found: Object = json.loads(text)
            return found

    async def watch(self, path: str, query: Mapping[str, str], version: str) -> AsyncIterator[Object]:
        """Events from a resource version on, until the server ends the watch; Refused 410 when it is too old."""
        params = {
            **query,
            "watch": "true",
            "resourceVersion": version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(_WATCH_SECONDS),
        }
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=_WATCH_SECONDS + 30)
        async with self._session.get(self._server + path, params=params, timeout=timeout) as answer:
            if answer.status >= 400:
                raise Refused(answer.status, _message(await answer.read()))
            pending = bytearray()
            async for chunk in answer.content.iter_any():
                pending += chunk
                if len(pending) > _LINE_BYTES:
                    raise aiohttp.ClientPayloadError("an event of the watch is too long")
                *lines, rest = pending.split(b"\n")
                pending = bytearray(rest)
                for line in lines:
                    event: Object = json.loads(line)
                    if event["type"] == "ERROR":
                        raise Refused(int(event["object"].get("code", 500)), str(event["object"].get("message")))
                    yield event


class Informer:
    """Keeps the objects of one list, by uid, and tells every change. It survives restarts of the API server."""

    def __init__(
        self,
        api: Api,
        path: str,
        query: Mapping[str, str],
        changed: Callable[[Object], None],
        gone: Callable[[Object], None],
    ) -> None:
        self._api, self._path, self._query = api, path, dict(query)
        self._changed, self._gone = changed, gone
        self.objects: dict[str, Object] = {}
        self.synced = asyncio.Event()

    async def run(self) -> None:
        pause = 0.1
        while True:
            try:
                version = await self._list()
                pause = 0.1
                while True:
                    version = await self._follow(version)
            except Refused as refusal:
                if refusal.code != 410:
                    say(f"{self._path}: {refusal}; again in {pause:g} s")
            except UNREACHABLE as error:
                say(f"{self._path}: {type(error).__name__} {error}; again in {pause:g} s")
            await asyncio.sleep(pause)
            pause = min(pause * 2, 2)

    async def _list(self) -> str:
        answer = await self._api.get(self._path, **self._query)
        found = {item["metadata"]["uid"]: item for item in answer.get("items") or ()}
        for uid in [uid for uid in self.objects if uid not in found]:
            self._gone(self.objects.pop(uid))
        for uid, item in found.items():
            known = self.objects.get(uid)
            self.objects[uid] = item
            if known is None or known["metadata"]["resourceVersion"] != item["metadata"]["resourceVersion"]:
                self._changed(item)
        self.synced.set()
        return str(answer["metadata"]["resourceVersion"])

    async def _follow(self, version: str) -> str:
        async for event in self._api.watch(self._path, self._query, version):
            item = event["object"]
            version = item["metadata"]["resourceVersion"]
            uid = item["metadata"].get("uid")
            if event["type"] == "DELETED":
                self.objects.pop(uid, None)
                self._gone(item)
            elif event["type"] != "BOOKMARK":
                self.objects[uid] = item
                self._changed(item)
        return version


def say(text: str) -> None:
    """One line in the runner's own log."""
    print(text, file=sys.stderr, flush=True)


def _message(body: bytes) -> str:
    try:
        return str(json.loads(body)["message"])
    except (ValueError, KeyError, TypeError):
        return body.decode("utf-8", "replace").strip()[:300]
