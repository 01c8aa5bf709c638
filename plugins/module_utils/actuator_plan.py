# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is looked at in the instances of each target, checked before anything is asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .actuator_answer import FAILED, Accepted
from .errors import InputError

# Said once for all targets, or by a target for itself.
EITHER: dict[str, dict[str, Any]] = {
    "path": {"type": "str"},
    "groups": {"type": "list", "elements": "str"},
    "additional_paths": {"type": "list", "elements": "str"},
    "expect_components": {"type": "list", "elements": "str"},
    "accept_status": {"type": "list", "elements": "str"},
    "info_path": {"type": "str"},
    "max_latency_ms": {"type": "int"},
    "runbook": {"type": "str"},
}
DEFAULTS: dict[str, Any] = {
    "path": "/actuator/health",
    "groups": [],
    "additional_paths": [],
    "expect_components": [],
    "accept_status": [],
    "info_path": "/actuator/info",
    "runbook": "",
}


@dataclass(frozen=True)
class Wanted:
    """What is looked at in the instances of one target."""

    path: str
    groups: tuple[str, ...]
    additional_paths: tuple[str, ...]
    expect_components: tuple[str, ...]
    accepted: Accepted
    info_path: str
    identity: str
    max_latency_ms: int | None
    runbook: str

    @property
    def further(self) -> dict[str, str]:
        """What is asked besides, by the end of its check's id: its path."""
        groups = {group: f"{self.path.rstrip('/')}/{group}" for group in self.groups}
        return groups | {path.strip("/").replace("/", "."): path for path in self.additional_paths}


def wanted(row: Mapping[str, Any], params: Mapping[str, Any], where: str) -> Wanted:
    chosen = {name: params[name] if row.get(name) is None else row[name] for name in EITHER}
    never = sorted(FAILED & set(chosen["accept_status"]))
    if never:
        raise InputError(f"{where}: accept_status has {never[0]}, which is never good.", option="accept_status")
    if chosen["max_latency_ms"] is not None and chosen["max_latency_ms"] < 1:
        raise InputError(f"{where}: max_latency_ms is {chosen['max_latency_ms']}; it must be above 0.")
    for name in ("path", "info_path"):
        _require_path(chosen[name], f"{where}: {name}")
    for path in chosen["additional_paths"]:
        _require_path(path, f"{where}: additional_paths")
    for group in chosen["groups"]:
        if not group or set(group) & set("/?#% "):
            raise InputError(f"{where}: groups has {group!r}, which is no name of a group.", option="groups")
    made = Wanted(
        path=chosen["path"],
        groups=tuple(dict.fromkeys(chosen["groups"])),
        additional_paths=tuple(dict.fromkeys(chosen["additional_paths"])),
        expect_components=tuple(dict.fromkeys(chosen["expect_components"])),
        accepted=Accepted(frozenset(chosen["accept_status"])),
        info_path=chosen["info_path"],
        identity=row.get("identity") or "",
        max_latency_ms=chosen["max_latency_ms"],
        runbook=chosen["runbook"],
    )
    own = {"latency", "components", "identity", ""}
    clash = sorted(own & made.further.keys())
    if clash or len(made.further) < len(made.groups) + len(made.additional_paths):
        raise InputError(
            f"{where}: groups and additional_paths must differ in their names from each other and from {', '.join(sorted(own - {''}))}."
        )
    return made


def _require_path(path: str, where: str) -> None:
    if not path.startswith("/") or any(ord(character) <= 32 for character in path):
        raise InputError(f"{where} is {path!r}; a path begins with / and has no blanks.")
