# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ingress: a small reverse proxy that follows the EndpointSlices of one namespace and counts what it passes on.

`/<service>/<path>` goes to the ready pods of the Service in turn. `/-/counts` tells how often, and with which result.
"""

from __future__ import annotations

import base64
import binascii
import ssl
from collections import Counter
from pathlib import Path

import aiohttp
from aiohttp import web

from lab.layout import write_private
from lab.runner.addresses import loopback
from lab.runner.certificates import server_context
from lab.runner.kube import Api, Informer, Object, say

SECRET = "hafnium-api-tls"
COUNTS = "/-/counts"
_SECONDS = 30.0
_HOP_BY_HOP = frozenset(
    (
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    )
)
_SERVICE = "kubernetes.io/service-name"


class Backends:
    """Addresses of each Service: ``ready`` pods as (pod address, port), in turn."""

    def __init__(self, api: Api, namespace: str) -> None:
        path = f"/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices"
        self.informer = Informer(api, path, {}, self._changed, self._changed)
        self._ready: dict[str, list[tuple[str, int]]] = {}
        self._turn: Counter[str] = Counter()

    def known(self, service: str) -> bool:
        return service in self._ready

    def in_turn(self, service: str) -> list[tuple[str, int]]:
        """All ready addresses, beginning with the one whose turn it is."""
        ready = self._ready.get(service, [])
        if not ready:
            return []
        self._turn[service] += 1
        first = self._turn[service] % len(ready)
        return ready[first:] + ready[:first]

    def _changed(self, _slice: Object) -> None:
        ready: dict[str, list[tuple[str, int]]] = {}
        for item in self.informer.objects.values():
            service = (item["metadata"].get("labels") or {}).get(_SERVICE)
            if service is None:
                continue
            addresses = ready.setdefault(service, [])
            ports = [int(port["port"]) for port in item.get("ports") or () if port.get("port")]
            for endpoint in item.get("endpoints") or ():
                if (endpoint.get("conditions") or {}).get("ready") and ports:
                    addresses += [(address, ports[0]) for address in endpoint["addresses"]]
        self._ready = ready


class Certificate:
    """The TLS context of the ingress, renewed whenever the Secret changes."""

    def __init__(self, api: Api, namespace: str, file: Path) -> None:
        self._file = file
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        query = {"fieldSelector": f"metadata.name={SECRET}"}
        self.informer = Informer(api, f"/api/v1/namespaces/{namespace}/secrets", query, self._seen, self._gone)
        if file.exists():
            self._load()

    def _seen(self, secret: Object) -> None:
        data = secret.get("data") or {}
        try:
            text = "".join(base64.b64decode(data[key]).decode() for key in ("tls.key", "tls.crt"))
        except (KeyError, ValueError, binascii.Error) as error:
            say(f"secret {SECRET} holds no certificate: {error}")
            return
        write_private(self._file, text)
        self._load()

    def _gone(self, _secret: Object) -> None:
        say(f"secret {SECRET} is gone: the ingress keeps the certificate that it has")

    def _load(self) -> None:
        try:
            server_context(self._file)  # a bad pair must not spoil the context in use
            self.context.load_cert_chain(self._file)
        except (OSError, ssl.SSLError) as error:
            say(f"certificate of the ingress: {error}")


class Ingress:
    """Passes requests on. Several tries for a request that no pod has taken, one for any other."""

    def __init__(self, backends: Backends) -> None:
        self._backends = backends
        self._counts: dict[str, _Counts] = {}
        self._session: aiohttp.ClientSession | None = None

    def application(self) -> web.Application:
        application = web.Application(client_max_size=2**20)
        application.router.add_get(COUNTS, self._show)
        application.router.add_route("*", "/{service}{path:(/.*)?}", self._pass)
        application.on_startup.append(self._open)
        application.on_cleanup.append(self._close)
        return application

    async def _open(self, _application: web.Application) -> None:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, limit_per_host=50, keepalive_timeout=5),
            timeout=aiohttp.ClientTimeout(total=_SECONDS, sock_connect=2),
            auto_decompress=False,
        )

    async def _close(self, _application: web.Application) -> None:
        if self._session:
            await self._session.close()

    async def _show(self, _request: web.Request) -> web.Response:
        return web.json_response({name: counts.shown() for name, counts in sorted(self._counts.items())})

    async def _pass(self, request: web.Request) -> web.Response:
        service = request.match_info["service"]
        if not self._backends.known(service):
            return web.Response(status=404, text="default backend - 404\n")
        counts = self._counts.setdefault(service, _Counts())
        body = await request.read()
        for pod_ip, port in self._backends.in_turn(service):
            try:
                response = await self._send(request, body, pod_ip, port)
            except aiohttp.ClientConnectorError:
                continue  # it has not taken the request
            except TimeoutError:
                response = web.Response(status=504, text="504 Gateway Time-out\n")
            except (aiohttp.ClientError, OSError, ValueError):
                if request.method in ("GET", "HEAD"):
                    continue
                response = web.Response(status=502, text="502 Bad Gateway\n")
            counts.add(response.status, pod_ip)
            return response
        counts.add(503, None)
        return web.Response(status=503, text="503 Service Temporarily Unavailable\n")

    async def _send(self, request: web.Request, body: bytes, pod_ip: str, port: int) -> web.Response:
        assert self._session is not None
        url = f"http://{loopback(pod_ip)}:{port}{request.match_info['path'] or '/'}"
        if request.query_string:
            url += f"?{request.query_string}"
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _HOP_BY_HOP}
        headers["X-Forwarded-Proto"] = request.scheme
        async with self._session.request(
            request.method, url, data=body or None, headers=headers, allow_redirects=False
        ) as answer:
            passed = {name: value for name, value in answer.headers.items() if name.lower() not in _HOP_BY_HOP}
            passed.pop("Content-Length", None)
            return web.Response(status=answer.status, body=await answer.read(), headers=passed)


class _Counts:
    """What became of the requests for one Service."""

    def __init__(self) -> None:
        self._codes: Counter[int] = Counter()
        self._pods: Counter[str] = Counter()

    def add(self, code: int, pod_ip: str | None) -> None:
        self._codes[code] += 1
        if pod_ip:
            self._pods[pod_ip] += 1

    def shown(self) -> Object:
        return {
            "requests": self._codes.total(),
            "errors": sum(count for code, count in self._codes.items() if code >= 500),
            "by_code": {str(code): count for code, count in sorted(self._codes.items())},
            "by_pod": dict(sorted(self._pods.items())),
        }
