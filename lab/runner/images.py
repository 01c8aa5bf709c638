# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Images: what a registry would hold. An image name leads to the program that runs in its place."""

from __future__ import annotations

import asyncio
import hashlib
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_TABLE = Path(__file__).with_name("images.yml")


@dataclass(frozen=True)
class Image:
    """A program: its command and the variables that the image sets. `built`: name of what makes it."""

    name: str
    command: Sequence[str] = ()
    variables: Mapping[str, str] = field(default_factory=dict)
    built: str = ""

    @property
    def digest(self) -> str:
        """The image's identity, as in a container's status."""
        repository = self.name.rpartition(":")[0]
        return f"{repository}@sha256:{hashlib.sha256(self.name.encode()).hexdigest()}"

    async def entrypoint(self) -> Sequence[str]:
        """Its command; what is built is built when it was not yet, which takes minutes. LabError."""
        return await asyncio.to_thread(_BUILDERS[self.built]) if self.built else self.command


class Registry:
    """All images of the table."""

    def __init__(self, table: Path = _TABLE) -> None:
        import yaml

        self._images: dict[str, Image] = {}
        for entry in yaml.safe_load(table.read_text(encoding="utf-8")):
            self._read(entry)

    def find(self, name: str) -> Image | None:
        """The image of this name, with the tag `latest` when it has none; None when the registry has no such image."""
        return self._images.get(name if ":" in name.rpartition("/")[2] else f"{name}:latest")

    def _read(self, entry: Mapping[str, Any]) -> None:
        tags: list[tuple[str, str, Mapping[str, str]]] = [
            (str(version), str(version), {}) for version in entry["versions"]
        ]
        for version, _, _ in list(tags):
            faults = entry.get("faults", {}).items()
            tags += [(f"{version}-bad-{fault}", version, variables) for fault, variables in faults]
        for repository in entry["repositories"]:
            for tag, version, variables in tags:
                known = {
                    "python": sys.executable,
                    "name": repository.rpartition("/")[2],
                    "tag": tag,
                    "version": version,
                }
                values = {**entry.get("variables", {}), **variables}
                self._images[f"{repository}:{tag}"] = Image(
                    f"{repository}:{tag}",
                    [part.format(**known) for part in entry.get("command", ())],
                    {name: str(value).format(**known) for name, value in values.items()},
                    entry.get("built", ""),
                )


def _spring() -> Sequence[str]:
    from lab import java, spring_build
    from lab.layout import paths

    spring_build.ensure()
    return spring_build.command(java.recorded(paths()) or java.ensure(paths()))


_BUILDERS = {"spring": _spring}
