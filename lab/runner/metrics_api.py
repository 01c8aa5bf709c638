# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""metrics.k8s.io/v1beta1, as `kubectl top` and autoscalers ask for it: what the pods of this node and the node use.

The API server passes requests on to here and has checked the caller's rights. Selectors are left to it as well: it is
asked which pods are meant.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

from aiohttp import web

from lab.runner import NODE
from lab.runner.kube import UNREACHABLE, Api, Object, Refused
from lab.runner.usage import Usage, Used

GROUP, VERSION = "metrics.k8s.io", "v1beta1"
_API = f"{GROUP}/{VERSION}"
_ROOT = f"/apis/{_API}"
_GROUP_VERSION: Object = {"groupVersion": _API, "version": VERSION}
_RESOURCES = (("nodes", "NodeMetrics", False), ("pods", "PodMetrics", True))

Handler = Callable[[web.Request], Awaitable[Object]]


class MetricsApi:
    """Answers from the latest look at the processes."""

    def __init__(self, api: Api, usage: Usage) -> None:
        self._api, self._usage = api, usage

    def application(self) -> web.Application:
        application = web.Application()
        answers: dict[str, Handler] = {
            f"/apis/{GROUP}": _group,
            _ROOT: _resources,
            f"{_ROOT}/nodes": self._nodes,
            f"{_ROOT}/nodes/{{name}}": self._node,
            f"{_ROOT}/pods": self._pods,
            f"{_ROOT}/namespaces/{{namespace}}/pods": self._pods,
            f"{_ROOT}/namespaces/{{namespace}}/pods/{{name}}": self._pod,
        }
        application.add_routes([web.get(path, _json(handler)) for path, handler in answers.items()])
        return application

    async def _nodes(self, request: web.Request) -> Object:
        found = await self._listed("/api/v1/nodes", request, f"metadata.name={NODE}")
        known = self._usage.all()
        return _list("NodeMetricsList", [_node_metrics(node, known) for node in found if known])

    async def _node(self, request: web.Request) -> Object:
        return _one("nodes", request, (await self._nodes(request))["items"])

    async def _pods(self, request: web.Request) -> Object:
        namespace = request.match_info.get("namespace")
        path = f"/api/v1/namespaces/{namespace}/pods" if namespace else "/api/v1/pods"
        found = await self._listed(path, request, f"spec.nodeName={NODE}")
        metrics = (_pod_metrics(pod, self._usage.of(pod["metadata"]["uid"])) for pod in found)
        return _list("PodMetricsList", [each for each in metrics if each])

    async def _pod(self, request: web.Request) -> Object:
        return _one("pods", request, (await self._pods(request))["items"])

    async def _listed(self, path: str, request: web.Request, here: str) -> list[Object]:
        """The objects of this node that the request is about."""
        name = request.match_info.get("name")
        fields = [here, *([f"metadata.name={name}"] if name else []), request.query.get("fieldSelector", "")]
        selectors = {
            "fieldSelector": ",".join(filter(None, fields)),
            "labelSelector": request.query.get("labelSelector"),
        }
        query = {key: text for key, text in selectors.items() if text}
        found: list[Object] = (await self._api.get(path, resourceVersion="0", **query))["items"]
        return found


def _json(handler: Handler) -> Callable[[web.Request], Awaitable[web.Response]]:
    """What the handler gives; a refusal becomes a Status, as API servers answer."""

    async def answer(request: web.Request) -> web.Response:
        try:
            return web.json_response(await handler(request))
        except Refused as refusal:
            return web.json_response(_status(refusal.code, refusal.message), status=refusal.code)
        except UNREACHABLE as error:
            return web.json_response(_status(503, f"the API server is not reached: {error}"), status=503)

    return answer


def _status(code: int, message: str) -> Object:
    return {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "message": message}


async def _group(_request: web.Request) -> Object:
    known = {"name": GROUP, "versions": [_GROUP_VERSION], "preferredVersion": _GROUP_VERSION}
    return {"kind": "APIGroup", "apiVersion": "v1", **known}


async def _resources(_request: web.Request) -> Object:
    resources = [
        {"name": name, "singularName": "", "kind": kind, "namespaced": namespaced, "verbs": ["get", "list"]}
        for name, kind, namespaced in _RESOURCES
    ]
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": _API, "resources": resources}


def _list(kind: str, items: Sequence[Object]) -> Object:
    return {"kind": kind, "apiVersion": _API, "metadata": {}, "items": list(items)}


def _one(resource: str, request: web.Request, items: Sequence[Object]) -> Object:
    if not items:
        raise Refused(404, f'{resource}.{GROUP} "{request.match_info["name"]}" not found')
    return items[0]


def _pod_metrics(pod: Object, used: Mapping[str, Used]) -> Object | None:
    """None as long as a running container of the pod was not measured: half a pod would look idle."""
    statuses = (pod.get("status") or {}).get("containerStatuses") or ()
    running = [status["name"] for status in statuses if "running" in (status.get("state") or {})]
    if not running or not set(running) <= set(used):
        return None
    containers = [{"name": name, "usage": _usage([used[name]])} for name in running]
    return _measured("PodMetrics", pod, [used[name] for name in running], {"containers": containers})


def _node_metrics(node: Object, used: Sequence[Used]) -> Object:
    return _measured("NodeMetrics", node, used, {"usage": _usage(used)})


def _measured(kind: str, of: Object, used: Sequence[Used], values: Object) -> Object:
    kept = {key: of["metadata"][key] for key in ("name", "namespace", "labels") if key in of["metadata"]}
    at, window = max(each.at for each in used), max(each.window for each in used)
    return {
        "kind": kind,
        "apiVersion": _API,
        "metadata": {**kept, "creationTimestamp": at},
        "timestamp": at,
        "window": f"{window:.3f}s",
        **values,
    }


def _usage(used: Iterable[Used]) -> Object:
    known = list(used)
    cores, memory = sum(each.cores for each in known), sum(each.memory for each in known)
    return {"cpu": f"{round(cores * 1e9)}n", "memory": f"{memory // 1024}Ki"}
