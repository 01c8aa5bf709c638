# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From a pod template and what its containers should be to the template after, its patch, and what differs. Pure."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from . import redact
from .errors import InputError, RefusedError
from .kubernetes_quantity import amount, same
from .workload_set_options import Wanted

Container = dict[str, Any]
LISTS = ("containers", "initContainers")


@dataclass
class Row:
    """One container, before or after: only what is asked for. ``env`` maps to None what is not set."""

    name: str
    image: str | None = None
    env: dict[str, str | None] = field(default_factory=dict)
    requests: dict[str, str | None] = field(default_factory=dict)
    limits: dict[str, str | None] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Fit to be shown: values that may be secrets are struck out."""
        shown: dict[str, Any] = redact.structure(vars(self))
        return {key: value for key, value in shown.items() if value not in (None, {})}

    def as_option(self) -> dict[str, Any] | None:
        """In the shape of the option ``containers``, to be set again; None when a value may not be shown."""
        if redact.structure(self.env) != self.env:
            return None
        return {
            "name": self.name,
            **({"image": self.image} if self.image is not None else {}),
            "env": [{"name": name, "value": value} for name, value in self.env.items() if value is not None],
            "env_absent": [name for name, value in self.env.items() if value is None],
            "requests": self.requests,
            "limits": self.limits,
        }


@dataclass
class Change:
    """``template`` is what it would be; ``patch`` is a strategic merge patch for the template, empty when nothing differs."""

    template: dict[str, Any]
    patch: dict[str, Any]
    before: list[Row]
    after: list[Row]

    def __bool__(self) -> bool:
        return bool(self.patch)

    def text(self) -> str:
        """What changes, in one line: ``app: image a:1 -> a:2, env LOG_LEVEL``."""
        return "; ".join(_line(one, other) for one, other in zip(self.before, self.after, strict=True) if one != other)


def change(key: str, template: dict[str, Any], rows: list[Wanted]) -> Change:
    """The change of ``template`` of workload ``key``. InputError for a container that is not there, RefusedError for a
    variable whose value comes from elsewhere."""
    after = copy.deepcopy(template)
    patch: dict[str, list[Container]] = {}
    found = Change(after, {}, [], [])
    for row in rows:
        where, container = _container(key, after, row.name)
        one = _set(key, container, row)
        found.before.append(one.before)
        found.after.append(one.after)
        if len(one.patch) > 1:
            patch.setdefault(where, []).append(one.patch)
    if patch:
        found.patch = {"spec": patch}
    return found


@dataclass
class _Set:
    patch: Container
    before: Row
    after: Row


def _container(key: str, template: dict[str, Any], name: str) -> tuple[str, Container]:
    spec = template.get("spec") or {}
    for where in LISTS:
        for container in spec.get(where) or []:
            if container.get("name") == name:
                return where, container
    there = [str(container.get("name")) for where in LISTS for container in spec.get(where) or []]
    raise InputError(
        f"{key} has no container {name}; it has {', '.join(there)}. A sidecar that is injected into pods cannot be set here.",
        option="containers",
        containers=there,
    )


def _set(key: str, container: Container, row: Wanted) -> _Set:
    found = _Set({"name": row.name}, Row(row.name), Row(row.name))
    if row.image is not None:
        found.before.image, found.after.image = container.get("image"), row.image
        if container.get("image") != row.image:
            container["image"] = found.patch["image"] = row.image
    _set_env(key, container, row, found)
    _set_resources(container, row, found)
    return found


def _set_env(key: str, container: Container, row: Wanted, found: _Set) -> None:
    entries: list[dict[str, Any]] = container.get("env") or []
    asked: dict[str, str | None] = {**row.env, **dict.fromkeys(row.env_absent)}
    patch: list[dict[str, Any]] = []
    for name, value in asked.items():
        own = [entry for entry in entries if entry.get("name") == name]
        if len(own) > 1:
            raise RefusedError(
                f"{key}, container {row.name}: {name} is set {len(own)} times, so it is not clear which one is meant. "
                "Correct its manifest first."
            )
        if own and own[0].get("valueFrom"):
            raise RefusedError(
                f"{key}, container {row.name}: {name} is taken from {_source(own[0]['valueFrom'])}. That is left alone: "
                "change it there, or in the manifest."
            )
        before = str(own[0].get("value") or "") if own else None
        found.before.env[name], found.after.env[name] = before, value
        if before == value:
            continue
        entries = [entry for entry in entries if entry.get("name") != name]
        if value is None:
            patch.append({"name": name, "$patch": "delete"})
        else:
            entries.append({"name": name, "value": value})
            patch.append({"name": name, "value": value})
    if patch:
        container["env"], found.patch["env"] = entries, patch


def _source(value_from: dict[str, Any]) -> str:
    for kind, word in (("secretKeyRef", "Secret"), ("configMapKeyRef", "ConfigMap")):
        if kind in value_from:
            return f"key {value_from[kind].get('key')} of {word} {value_from[kind].get('name')}"
    return next(iter(value_from), "elsewhere")


def _set_resources(container: Container, row: Wanted, found: _Set) -> None:
    resources = container.setdefault("resources", {})
    for group in ("requests", "limits"):
        present = dict(resources.get(group) or {})
        asked: dict[str, str | None] = getattr(row, group)
        for resource, value in asked.items():
            before = present.get(resource)
            getattr(found.before, group)[resource] = before
            getattr(found.after, group)[resource] = before if same(before, value) else value
            if same(before, value):
                continue
            found.patch.setdefault("resources", {}).setdefault(group, {})[resource] = value
            if value is None:
                present.pop(resource, None)
            else:
                present[resource] = value
        if present:
            resources[group] = present
        else:
            resources.pop(group, None)
    _ordered(row, resources)


def _ordered(row: Wanted, resources: dict[str, Any]) -> None:
    """A request above the limit is refused by the API server too; here both numbers are named."""
    for resource, request in (resources.get("requests") or {}).items():
        limit = (resources.get("limits") or {}).get(resource)
        if limit is not None and amount(request) > amount(limit):
            raise RefusedError(
                f"container {row.name}: the request of {request} {resource} would be above the limit of {limit}. "
                "Set both."
            )


def _line(one: Row, other: Row) -> str:
    return f"{one.name}: {', '.join(_differences(one, other))}"


def _differences(one: Row, other: Row) -> Iterator[str]:
    if one.image != other.image:
        yield f"image {one.image} -> {other.image}"
    for name, value in other.env.items():
        if one.env.get(name) != value:
            yield f"env {name}{' removed' if value is None else ''}"
    for group in ("requests", "limits"):
        for resource, value in getattr(other, group).items():
            before = getattr(one, group).get(resource)
            if before != value:
                yield f"{group}.{resource} {before or 'none'} -> {value or 'none'}"
