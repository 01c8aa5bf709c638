# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The Kubernetes API for every operation: objects are dicts as the API server sends them, errors are ApiErrors.

Only the requests that are asked for are made: no discovery, since the paths of the kinds are known
(``kubernetes_kinds``). Reads are tried again when the server is briefly away; writes never are, because nobody knows
whether the first one arrived. Several threads may use one Cluster.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Literal

from . import http_client, kubernetes_connection
from .argspec import ArgumentSpec
from .errors import InputError, UnreachableError
from .http_client import Answer, Request
from .kubernetes_errors import ApiError, Attempted, ForbiddenError, NotFoundError, api_error
from .kubernetes_kinds import KINDS, Kind, kind_of
from .operation import Context

SPEC = ArgumentSpec(
    options={
        **kubernetes_connection.OPTIONS,
        "namespace": {"type": "str", "required": True},
        "timeout": {"type": "float", "default": 60.0},
    },
    required_by={"client_key": ("client_cert",)},
)

Object = dict[str, Any]
PatchType = Literal["json", "merge", "strategic", "apply"]
PATCH_TYPES: dict[PatchType, str] = {
    "json": "application/json-patch+json",
    "merge": "application/merge-patch+json",
    "strategic": "application/strategic-merge-patch+json",
    "apply": "application/apply-patch+yaml",
}
FIELD_MANAGER = "sre.runbooks"
PAGE_ITEMS = 500
MOST_ITEMS = 50_000
MOST_BODY_BYTES = 268_435_456
CONNECT_SECONDS = 5.0
REQUEST_SECONDS = 30.0
READ_RETRIES = 3
GONE = 410


class Cluster:
    """One API server. Close it, or use it as a context manager. ``requests`` counts what was sent to it.

    ``options`` are the connection options of ``SPEC`` (other keys are ignored). Every method raises ApiError (or one of
    its kinds) for what the server refuses and UnreachableError when it gives no answer within the context's deadline.
    """

    def __init__(self, options: Mapping[str, Any] | None, context: Context, connections: int = 8) -> None:
        self._connection = kubernetes_connection.connect(options)
        chosen = http_client.Settings(
            tls=self._connection.tls,
            connect_timeout_seconds=CONNECT_SECONDS,
            request_timeout_seconds=REQUEST_SECONDS,
            retries=READ_RETRIES,
            max_body_bytes=MOST_BODY_BYTES,
        )
        self._client = http_client.Client(chosen, context, connections=connections, cookies=False)
        self._count = 0
        self._lock = threading.Lock()

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        self._client.close()

    @property
    def url(self) -> str:
        return self._connection.url

    @property
    def user(self) -> str:
        """Where the credentials come from, for messages: ``user sre of context prod``."""
        return self._connection.user

    @property
    def requests(self) -> int:
        return self._count

    # -- reading

    def get(self, kind: str, namespace: str, name: str, subresource: str = "") -> Object:
        """One object; NotFoundError when it does not exist. ``namespace`` is empty for kinds that have none."""
        known = kind_of(kind)
        path = known.path(namespace, name, subresource)
        return self._object(self._attempt("get", known, namespace, name, subresource), Request("GET", self._url(path)))

    def find(self, kind: str, namespace: str, name: str) -> Object | None:
        """One object, or None when it does not exist."""
        try:
            return self.get(kind, namespace, name)
        except NotFoundError:
            return None

    def list(self, kind: str, namespace: str = "", labels: str = "", fields: str = "") -> list[Object]:
        """All objects of a kind in a namespace (or in all, when it is empty) that match both selectors.

        ``labels`` and ``fields`` are selectors as kubectl takes them. Read page by page. Each item has ``kind`` and
        ``apiVersion`` filled in, which the server leaves out in lists. A namespace that does not exist gives an empty
        list, as with kubectl: see ``require_namespace``.
        """
        known = kind_of(kind)
        attempted = self._attempt("list", known, namespace)
        for _try in range(2):
            try:
                return list(self._pages(known, attempted, namespace, labels, fields))
            except ApiError as error:
                if error.status != GONE:
                    raise
        raise ApiError(f"{attempted}: the list changed faster than it could be read, twice.", GONE, "Expired")

    def _pages(self, kind: Kind, attempted: Attempted, namespace: str, labels: str, fields: str) -> Iterator[Object]:
        query: dict[str, Any] = {"labelSelector": labels or None, "fieldSelector": fields or None, "limit": PAGE_ITEMS}
        count = 0
        while True:
            page = self._object(attempted, Request("GET", self._url(kind.path(namespace), query)))
            for item in page.get("items") or []:
                count += 1
                if count > MOST_ITEMS:
                    raise InputError(f"{attempted}: more than {MOST_ITEMS} objects; narrow the selector.")
                item.setdefault("kind", kind.name)
                item.setdefault("apiVersion", kind.api_version)
                yield item
            query["continue"] = (page.get("metadata") or {}).get("continue")
            if not query["continue"]:
                return

    def text(self, path: str, query: Mapping[str, Any] | None = None, attempted: Attempted | None = None) -> Answer:
        """The answer to GET ``path`` whatever it is: logs, and what a pod says through the API server's proxy.

        Answers are observations here; only with ``attempted`` does an error of the API server raise ApiError.
        """
        answer = self.send(Request("GET", self._url(path, query)))
        if attempted:
            self._checked(attempted, answer)
        return answer

    def pod_log(
        self,
        namespace: str,
        pod: str,
        container: str,
        *,
        previous: bool = False,
        tail_lines: int = 100,
        limit_bytes: int = 65_536,
        since_seconds: int | None = None,
    ) -> bytes:
        """The end of a container's log, or of the one before its last restart."""
        known = KINDS["Pod"]
        query = {
            "container": container,
            "previous": "true" if previous else None,
            "tailLines": tail_lines,
            "limitBytes": limit_bytes,
            "sinceSeconds": since_seconds,
        }
        attempted = self._attempt("get", known, namespace, pod, "log")
        return self.text(known.path(namespace, pod, "log"), query, attempted).body

    def require_namespace(self, namespace: str) -> None:
        """InputError when the namespace does not exist: an empty list would look like "nothing there".

        Rights to read namespaces are often not given; then nothing is said here, since nothing was seen.
        """
        try:
            found = self.find("Namespace", "", namespace)
        except ForbiddenError:
            return
        if found is None:
            raise InputError(
                f"namespace {namespace} does not exist on {self.url} (credentials: {self.user}). "
                "Is it the right cluster and context?",
                option="namespace",
            )

    # -- writing

    def patch(
        self,
        kind: str,
        namespace: str,
        name: str,
        body: Any,
        patch_type: PatchType,
        *,
        dry_run: bool = False,
        subresource: str = "",
    ) -> Object:
        """Patch one object and give it back as it is then. ``dry_run`` asks validation and admission, and stores nothing.

        For an optimistic lock: a JSON patch that begins with ``test /metadata/resourceVersion``, or a merge or strategic
        patch that holds ``metadata.resourceVersion``; ConflictError when it is not that any more.
        """
        known = kind_of(kind)
        query: dict[str, Any] = {"fieldManager": FIELD_MANAGER, "dryRun": "All" if dry_run else None}
        if patch_type == "apply":
            query["force"] = "true"
        request = Request(
            "PATCH",
            self._url(known.path(namespace, name, subresource), query),
            body=json.dumps(body).encode(),
            content_type=PATCH_TYPES[patch_type],
            repeatable=False,
        )
        attempted = self._attempt("patch", known, namespace, name, subresource, json_patch=patch_type == "json")
        return self._object(attempted, request)

    def create(self, kind: str, namespace: str, body: Object, *, dry_run: bool = False) -> Object:
        """Create one object and give it back."""
        known = kind_of(kind)
        query = {"fieldManager": FIELD_MANAGER, "dryRun": "All" if dry_run else None}
        request = Request(
            "POST",
            self._url(known.path(namespace), query),
            body=json.dumps(body).encode(),
            content_type="application/json",
            repeatable=False,
        )
        return self._object(self._attempt("create", known, namespace), request)

    def delete(
        self, kind: str, namespace: str, name: str, *, uid: str, resource_version: str = "", dry_run: bool = False
    ) -> Object:
        """Delete exactly the object with that uid (and resourceVersion); ConflictError when it is another one by now."""
        known = kind_of(kind)
        preconditions = {"uid": uid} | ({"resourceVersion": resource_version} if resource_version else {})
        body: dict[str, Any] = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": preconditions}
        if dry_run:
            body["dryRun"] = ["All"]
        request = Request(
            "DELETE",
            self._url(known.path(namespace, name)),
            body=json.dumps(body).encode(),
            content_type="application/json",
            repeatable=False,
        )
        return self._object(self._attempt("delete", known, namespace, name), request)

    # -- transport

    def send(self, request: Request) -> Answer:
        """Any request to the API server, with the credentials; the answer is an observation."""
        with self._lock:
            self._count += 1
        secret_headers = {**self._connection.headers(), **request.secret_headers}
        authorised = replace(request, secret_headers=secret_headers)
        answer = self._client.send(authorised)
        with self._lock:
            self._count += answer.attempts - 1
        return answer

    def proxy_url(self, kind: Literal["Pod", "Service"], namespace: str, name: str, port: int | str, path: str) -> str:
        """The URL of ``path`` on a pod or service through the API server (verb get on pods/proxy or services/proxy)."""
        base = KINDS[kind].path(namespace, f"{name}:{port}", "proxy")
        return self._url(f"{base}/{path.lstrip('/')}")

    def _url(self, path: str, query: Mapping[str, Any] | None = None) -> str:
        return http_client.join(self._connection.url, path, query)

    def _attempt(
        self,
        verb: str,
        kind: Kind,
        namespace: str = "",
        name: str = "",
        subresource: str = "",
        json_patch: bool = False,
    ) -> Attempted:
        resource = f"{kind.plural}/{subresource}" if subresource else kind.plural
        resource = f"{resource}.{kind.group}" if kind.group else resource
        return Attempted(verb, resource, namespace if kind.namespaced else "", name, self.user, json_patch)

    def _object(self, attempted: Attempted, request: Request) -> Object:
        answer = self.send(request)
        self._checked(attempted, answer)
        try:
            found: Object = answer.json()
        except ValueError as problem:
            raise UnreachableError(
                f"{attempted}: {self.url} answers, but not as an API server does: {problem}."
            ) from None
        return found

    def _checked(self, attempted: Attempted, answer: Answer) -> None:
        """UnreachableError when nothing (or not all) came; ApiError for what is not 2xx."""
        if answer.status is None or answer.problem:
            problem = answer.problem
            hint = f" {problem.hint}" if problem and problem.hint else ""
            raise UnreachableError(
                f"{attempted}: the API server {self.url}: {answer.summary()}.{hint}", server=self.url
            )
        if 200 <= answer.status < 300:
            return
        try:
            status = answer.json()
        except ValueError:
            status = {}
        raise api_error(attempted, answer.status, status if isinstance(status, dict) else {}, answer.excerpt(300))
