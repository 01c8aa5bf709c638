# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Objects of manifest files, put into the lab's cluster by server-side apply: a second time changes nothing."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lab import kubeconfig
from lab.layout import LabError

_SECONDS = 20
_WAIT_SECONDS = 20
_ATTEMPTS = 5
_JSON = "application/json"
_CONTROLLERS = "deployment.kubernetes.io/"  # annotations of the Deployment controller: the revision is one


class Absent(LabError):
    """The API server knows no such object."""


class Conflict(LabError):
    """Somebody else has changed the object at the same time, or made it."""


class Client:
    """A client of the API server that a kubeconfig's current context names. Its methods raise LabError."""

    def __init__(self, path: Path) -> None:
        access = kubeconfig.read(path)
        self._server, self._headers = access.server, dict(access.headers)
        self._opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=access.tls)
        )
        self._kinds: dict[tuple[str, str], tuple[str, bool]] = {}

    def apply(self, path: Path) -> None:
        """Apply all objects of a file in their order."""
        import yaml

        for document in yaml.safe_load_all(path.read_text(encoding="utf-8")):
            for each in document["items"] if document and document["kind"] == "List" else [document]:
                if each:
                    self.apply_object(each, path.name)

    def apply_object(self, document: Mapping[str, Any], source: str) -> None:
        """Apply one object; ``source`` is named when it is refused."""
        path = f"{self._path(document)}?fieldManager=lab&force=true"
        self.call("PATCH", path, f"{source}: {document['kind']} {document['metadata']['name']}", document)

    def put(self, document: Mapping[str, Any]) -> None:
        """Make the object, or put it in the place of what is there: what others added to it goes."""
        what = f"{document['kind']} {document['metadata']['name']}"
        path = self._path(document)
        for attempts_left in reversed(range(_ATTEMPTS)):
            live = self.find(path, what)
            try:
                if live is None:
                    self.call("POST", path.rpartition("/")[0], what, document, _JSON)
                else:
                    self.call("PUT", path, what, _in_place_of(live, document), _JSON)
                return
            except Conflict:
                if not attempts_left:
                    raise

    def wait_defined(self, name: str) -> None:
        """Wait until a custom resource is served."""
        path = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}"
        deadline = time.monotonic() + _WAIT_SECONDS
        while time.monotonic() < deadline:
            status = self.call("GET", path, f"definition {name}").get("status", {})
            if any(each["type"] == "Established" and each["status"] == "True" for each in status.get("conditions", ())):
                return
            time.sleep(0.1)
        raise LabError(f"definition {name} is not established within {_WAIT_SECONDS} s")

    def unready_nodes(self, names: Sequence[str]) -> list[str]:
        """Those of the nodes that are absent or not ready."""
        nodes = self.call("GET", "/api/v1/nodes", "nodes")["items"]
        ready = {
            node["metadata"]["name"]
            for node in nodes
            for each in node["status"].get("conditions", ())
            if each["type"] == "Ready" and each["status"] == "True"
        }
        return [name for name in names if name not in ready]

    def _path(self, document: Mapping[str, Any]) -> str:
        group = _root(document["apiVersion"])
        plural, namespaced = self._kind(group, document["kind"])
        folder = f"{group}/namespaces/{document['metadata']['namespace']}" if namespaced else group
        return f"{folder}/{plural}/{document['metadata']['name']}"

    def _kind(self, group: str, kind: str) -> tuple[str, bool]:
        """Name of a kind in paths, and whether it lives in namespaces."""
        if (group, kind) not in self._kinds:
            found = self.call("GET", group, f"resources of {group}")
            self._kinds |= {
                (group, each["kind"]): (each["name"], each["namespaced"])
                for each in found["resources"]
                if "/" not in each["name"]
            }
        try:
            return self._kinds[group, kind]
        except KeyError:
            raise LabError(f"the API server knows no {kind} in {group}") from None

    def find(self, path: str, what: str) -> dict[str, Any] | None:
        """An object or a list by its path; None when it is not there."""
        try:
            return self.call("GET", path, what)
        except Absent:
            return None

    def call(
        self, method: str, path: str, what: str, body: object = None, content_type: str = "application/apply-patch+yaml"
    ) -> dict[str, Any]:
        """One request; ``what`` begins the message of an error. Absent for a 404."""
        headers = {**self._headers, "Accept": "application/json"}
        data = None
        if body is not None:
            data = json.dumps(body).encode()
            headers["Content-Type"] = content_type
        request = urllib.request.Request(self._server + path, data, headers, method=method)
        try:
            with self._opener.open(request, timeout=_SECONDS) as answer:
                found: dict[str, Any] = json.load(answer)
        except urllib.error.HTTPError as error:
            kind = {404: Absent, 409: Conflict}.get(error.code, LabError)
            raise kind(f"{what}: the API server answers {error.code}: {_message(error)}") from None
        except (OSError, ValueError) as error:
            raise LabError(f"{what}: no usable answer from the API server ({error})") from None
        return found


def _in_place_of(live: Mapping[str, Any], document: Mapping[str, Any]) -> dict[str, Any]:
    """The document with what an object keeps for its life, and the version that it replaces."""
    old = live["metadata"]
    annotations = {name: text for name, text in (old.get("annotations") or {}).items() if name.startswith(_CONTROLLERS)}
    metadata = {
        **document["metadata"],
        "resourceVersion": old["resourceVersion"],
        "annotations": annotations | dict(document["metadata"].get("annotations", {})),
    }
    spec = dict(document.get("spec", {}))
    for kept in {"Service": ("clusterIP", "clusterIPs"), "Namespace": ("finalizers",)}.get(document["kind"], ()):
        spec[kept] = live["spec"][kept]
    if document["kind"] == "Namespace":
        metadata["labels"] = {"kubernetes.io/metadata.name": old["name"], **document["metadata"].get("labels", {})}
    return {**document, "metadata": metadata, **({"spec": spec} if spec else {})}


def _root(api_version: str) -> str:
    return f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"


def _message(error: urllib.error.HTTPError) -> str:
    try:
        return str(json.load(error)["message"])
    except (OSError, TypeError, ValueError, KeyError):
        return str(error.reason)
