# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Settings of one schema history, by Flyway's own names and with its defaults."""

from __future__ import annotations

import codecs
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from . import flyway_version
from .errors import InputError
from .flyway_patterns import Pattern
from .flyway_placeholders import as_text
from .flyway_version import CURRENT, LATEST, NEXT, Version

DEFAULT_LOCATION = "classpath:db/migration"

SUBOPTIONS: dict[str, dict[str, Any]] = {
    "schema": {"type": "str", "default": "public"},
    "table": {"type": "str", "default": "flyway_schema_history"},
    "locations": {"type": "list", "elements": "str", "default": [DEFAULT_LOCATION]},
    "jars": {"type": "list", "elements": "path", "default": []},
    "working_directory": {"type": "path"},
    "baseline_version": {"type": "str", "default": "1"},
    "baseline_on_migrate": {"type": "bool", "default": False},
    "target": {"type": "str"},
    "out_of_order": {"type": "bool", "default": False},
    "ignore_migration_patterns": {"type": "list", "elements": "str", "default": ["*:future"]},
    "placeholders": {"type": "dict", "default": {}},
    "placeholder_replacement": {"type": "bool", "default": True},
    "placeholder_prefix": {"type": "str", "default": "${"},
    "placeholder_suffix": {"type": "str", "default": "}"},
    "placeholder_separator": {"type": "str", "default": ":"},
    "sql_migration_prefix": {"type": "str", "default": "V"},
    "repeatable_sql_migration_prefix": {"type": "str", "default": "R"},
    "baseline_migration_prefix": {"type": "str", "default": "B"},
    "sql_migration_separator": {"type": "str", "default": "__"},
    "sql_migration_suffixes": {"type": "list", "elements": "str", "default": [".sql"]},
    "validate_migration_naming": {"type": "bool", "default": False},
    "encoding": {"type": "str", "default": "UTF-8"},
}
_NOT_EMPTY = ("schema", "table", "placeholder_prefix", "placeholder_suffix", "sql_migration_separator", "encoding")


@dataclass(frozen=True)
class Settings:
    """What Flyway is set to for one history. ``target`` None is the latest; ``target_required`` False is ``1.2?``."""

    name: str
    schema: str
    table: str
    locations: tuple[str, ...]
    jars: tuple[str, ...]
    working_directory: str | None
    baseline_version: Version
    baseline_on_migrate: bool
    target: Version | None
    target_required: bool
    out_of_order: bool
    ignore: tuple[Pattern, ...]
    placeholders: Mapping[str, str] = field(repr=False)
    placeholder_replacement: bool
    placeholder_prefix: str
    placeholder_suffix: str
    placeholder_separator: str
    sql_migration_prefix: str
    repeatable_sql_migration_prefix: str
    baseline_migration_prefix: str
    sql_migration_separator: str
    sql_migration_suffixes: tuple[str, ...]
    validate_migration_naming: bool
    encoding: str

    @staticmethod
    def of(item: Mapping[str, Any], name: str = "") -> Settings:
        """Settings of an item; what it leaves out has Flyway's default. Raises InputError."""
        given = {option: item[option] for option in SUBOPTIONS if item.get(option) is not None}
        values: dict[str, Any] = {option: given.get(option, how.get("default")) for option, how in SUBOPTIONS.items()}
        name = name or item.get("name") or str(values["schema"])
        for option in _NOT_EMPTY:
            if not values[option]:
                raise InputError(f"{name}: {option} is empty; leave it out to use Flyway's default")
        target, required = _target(name, values.pop("target"))
        patterns = values.pop("ignore_migration_patterns")
        return Settings(
            name=name,
            target=target,
            target_required=required,
            ignore=tuple(_pattern(name, text) for text in patterns),
            locations=tuple(values.pop("locations")),
            jars=tuple(values.pop("jars")),
            baseline_version=_version(name, "baseline_version", values.pop("baseline_version")),
            placeholders={str(key).lower(): as_text(value) for key, value in values.pop("placeholders").items()},
            sql_migration_suffixes=tuple(values.pop("sql_migration_suffixes")),
            encoding=_encoding(name, values.pop("encoding")),
            **values,
        )


def _target(name: str, text: str | None) -> tuple[Version | None, bool]:
    if not text:
        return None, False
    version = _version(name, "target", text.removesuffix("?"))
    if version is LATEST:
        return None, False
    return version, not text.endswith("?") and version not in (CURRENT, NEXT)


def _version(name: str, option: str, text: str) -> Version:
    try:
        return flyway_version.parse(text)
    except ValueError as error:
        raise InputError(f"{name}: {option}: {error}") from None


def _pattern(name: str, text: str) -> Pattern:
    try:
        return Pattern.of(text)
    except ValueError as error:
        raise InputError(f"{name}: ignore_migration_patterns: {error}") from None


def _encoding(name: str, text: str) -> str:
    try:
        return codecs.lookup(text).name
    except LookupError:
        raise InputError(f"{name}: encoding {text!r} is not known; UTF-8 is Flyway's default") from None
