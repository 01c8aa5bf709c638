# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The part of the kubelet's interface that the API server asks for: logs, and whether the node is well."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from aiohttp import web

from lab.runner import clock
from lab.runner.container import Container
from lab.runner.logs import Wanted
from lab.runner.pods import Pods

_FOLLOW_SECONDS = 0.2


class Kubelet:
    """`trouble`: why the node is not well yet; an empty text when it is."""

    def __init__(self, pods: Pods, trouble: Callable[[], str]) -> None:
        self._pods, self._trouble = pods, trouble

    def application(self) -> web.Application:
        application = web.Application()
        application.add_routes(
            [
                web.get("/healthz", self._health),
                web.get("/pods", self._list),
                web.get("/containerLogs/{namespace}/{pod}/{container}", self._logs),
            ]
        )
        return application

    async def _health(self, _request: web.Request) -> web.Response:
        trouble = self._trouble()
        return web.Response(text=trouble or "ok", status=503 if trouble else 200)

    async def _list(self, _request: web.Request) -> web.Response:
        return web.json_response({"kind": "PodList", "apiVersion": "v1", "items": self._pods.manifests()})

    async def _logs(self, request: web.Request) -> web.StreamResponse:
        namespace, name, wanted = (request.match_info[part] for part in ("namespace", "pod", "container"))
        found = self._pods.container(namespace, name, wanted)
        if found is None:
            return web.Response(status=404, text=f'pod "{name}" not found')
        container = found[1]
        if container is None:
            return web.Response(status=404, text=f'container "{wanted}" not found in pod "{name}"')
        try:
            path = _file(container, name, request.query.get("previous") == "true")
            options = _options(request)
        except ValueError as error:
            return web.Response(status=400, text=str(error))
        if request.query.get("follow") == "true":
            return await _follow(request, container, path, options)
        return web.Response(body=options.text(path), content_type="text/plain")


def _file(container: Container, pod: str, previous: bool) -> Path:
    """The log to read; ValueError in a kubelet's words when there is none."""
    waiting = container.state.get("waiting")
    if previous and not container.last:
        raise ValueError(f'previous terminated container "{container.name}" in pod "{pod}" not found')
    if waiting and not container.last:
        if waiting["reason"] in ("ErrImagePull", "ImagePullBackOff"):
            reason = "trying and failing to pull image"
            raise ValueError(f'container "{container.name}" in pod "{pod}" is waiting to start: {reason}')
        raise ValueError(f'container "{container.name}" in pod "{pod}" is waiting to start: {waiting["reason"]}')
    if previous and not waiting:
        path = container.previous_log
    else:
        path = container.log or container.previous_log  # while it waits, both are the log of the run that ended last
    if path is None or not path.exists():
        raise ValueError(f'the log of container "{container.name}" in pod "{pod}" is not kept any more')
    return path


def _options(request: web.Request) -> Wanted:
    query = request.query
    since = None
    if "sinceSeconds" in query:
        since = datetime.now(UTC) - timedelta(seconds=int(query["sinceSeconds"]))
    elif "sinceTime" in query:
        since = clock.parse(query["sinceTime"])
    return Wanted(
        tail=int(query["tailLines"]) if "tailLines" in query else None,
        since=since,
        timestamps=query.get("timestamps") == "true",
        limit_bytes=int(query["limitBytes"]) if "limitBytes" in query else None,
    )


async def _follow(request: web.Request, container: Container, path: Path, options: Wanted) -> web.StreamResponse:
    """What there is, then what comes, until this run of the container has ended."""
    response = web.StreamResponse(headers={"Content-Type": "text/plain"})
    await response.prepare(request)
    with path.open("rb") as stream:
        first = options.text(path)
        stream.seek(0, 2)
        await response.write(first)
        rest = b""
        while True:
            ended = container.log != path or "running" not in container.state
            data = rest + stream.read()
            *lines, rest = data.split(b"\n")
            if lines:
                await response.write(b"".join(options.shown(line + b"\n") for line in lines))
            elif ended:
                break
            await asyncio.sleep(_FOLLOW_SECONDS)
    await response.write_eof()
    return response
