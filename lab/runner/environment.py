# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The environment of a container: values, references to ConfigMaps, Secrets and the pod itself, `$(NAME)` expanded."""

from __future__ import annotations

import base64
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from lab.runner.kube import Object, Refused

Fetch = Callable[[str], Awaitable[Object]]
_REFERENCE = re.compile(r"\$\$|\$\(([A-Za-z0-9_.-]+)\)")
_SUFFIXES = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30}


class ConfigError(Exception):
    """The container cannot be made as its pod says; the message is the kubelet's."""


async def resolve(fetch: Fetch, pod: Object, container: Object, pod_ip: str) -> dict[str, str]:
    """The variables of a container. `fetch` gets an object by its API path. ConfigError names what is missing."""
    sources = _Sources(fetch, pod["metadata"]["namespace"])
    found: dict[str, str] = {}
    for source in container.get("envFrom") or ():
        prefix = source.get("prefix", "")
        for kind, reference in source.items():
            if kind in ("configMapRef", "secretRef"):
                data = await sources.data(kind[:-3], reference)
                found |= {prefix + name: value for name, value in data.items()}
    for entry in container.get("env") or ():
        reference = entry.get("valueFrom")
        value: str | None
        if reference is None:
            value = expand(entry.get("value") or "", found)
        else:
            value = await _referenced(sources, pod, container, pod_ip, reference)
        if value is not None:
            found[entry["name"]] = value
    return found


def expand(text: str, known: Mapping[str, str]) -> str:
    """`$(NAME)` replaced by the variable when there is one, `$$` by one dollar sign."""

    def replaced(match: re.Match[str]) -> str:
        return "$" if match[0] == "$$" else known.get(match[1], match[0])

    return _REFERENCE.sub(replaced, text)


def quantity(text: str) -> float:
    """The number that a quantity such as 512Mi, 250m or 1 stands for; ValueError."""
    if text.endswith("m"):
        return float(text[:-1]) / 1000
    number = text.rstrip("kKMGi")
    return float(number) * _SUFFIXES[text[len(number) :]]


class _Sources:
    """ConfigMaps and Secrets of a namespace, each asked for once."""

    def __init__(self, fetch: Fetch, namespace: str) -> None:
        self._fetch, self._namespace = fetch, namespace
        self._known: dict[tuple[str, str], dict[str, str] | None] = {}

    async def data(self, kind: str, reference: Object) -> dict[str, str]:
        """All entries; none when the object is optional and absent."""
        name = str(reference.get("name", ""))
        data = await self._read(kind, name)
        if data is None and not reference.get("optional"):
            raise ConfigError(f'{kind.lower()} "{name}" not found')
        return data or {}

    async def value(self, kind: str, reference: Object) -> str | None:
        data = await self.data(kind, reference)
        key = reference["key"]
        if key not in data and not reference.get("optional"):
            what = "ConfigMap" if kind == "configMap" else "Secret"
            raise ConfigError(f"couldn't find key {key} in {what} {self._namespace}/{reference.get('name')}")
        return data.get(key)

    async def _read(self, kind: str, name: str) -> dict[str, str] | None:
        if (kind, name) not in self._known:
            try:
                found = await self._fetch(f"/api/v1/namespaces/{self._namespace}/{kind.lower()}s/{name}")
            except Refused as refusal:
                if refusal.code != 404:
                    raise
                self._known[kind, name] = None
            else:
                data = found.get("data") or {}
                if kind == "secret":
                    data = {key: base64.b64decode(value).decode("utf-8", "replace") for key, value in data.items()}
                self._known[kind, name] = data
        return self._known[kind, name]


async def _referenced(sources: _Sources, pod: Object, container: Object, pod_ip: str, reference: Object) -> str | None:
    if "configMapKeyRef" in reference:
        return await sources.value("configMap", reference["configMapKeyRef"])
    if "secretKeyRef" in reference:
        return await sources.value("secret", reference["secretKeyRef"])
    if "fieldRef" in reference:
        return _field(pod, pod_ip, reference["fieldRef"]["fieldPath"])
    if "resourceFieldRef" in reference:
        return _resource(container, reference["resourceFieldRef"])
    raise ConfigError(f"valueFrom {', '.join(reference)} is not known to this node")


def _field(pod: Object, pod_ip: str, path: str) -> str:
    named = re.fullmatch(r"metadata\.(labels|annotations)\['(.+)'\]", path)
    if named:
        return str((pod["metadata"].get(named[1]) or {}).get(named[2], ""))
    if path in ("status.podIP", "status.podIPs"):
        return pod_ip
    if path in ("status.hostIP", "status.hostIPs"):
        return "127.0.0.1"
    value: Any = pod
    for part in path.split("."):
        value = value.get(part, "") if isinstance(value, dict) else ""
    return str(value)


def _resource(container: Object, reference: Object) -> str:
    kind, _, name = reference["resource"].partition(".")
    amount = ((container.get("resources") or {}).get(kind) or {}).get(name)
    if amount is None:
        return "0"
    return str(int(-(-quantity(str(amount)) // quantity(str(reference.get("divisor") or "1")))))
