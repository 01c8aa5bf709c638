# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Names of migration files: which kind, which version, which description."""

from __future__ import annotations

from dataclasses import dataclass

from . import flyway_version
from .flyway_settings import Settings
from .flyway_version import Version

# A file whose name begins so is called at that moment; it is no migration.
CALLBACKS = (
    *(
        f"{moment}{what}"
        for what in ("Clean", "Migrate", "Undo", "Validate", "Baseline", "Repair", "Info")
        for moment in ("before", "after")
    ),
    *(f"after{what}Error" for what in ("Clean", "Migrate", "Undo", "Validate", "Baseline", "Repair", "Info")),
    *(
        f"{moment}Each{what}"
        for what in ("Migrate", "MigrateStatement", "Undo", "UndoStatement")
        for moment in ("before", "after")
    ),
    *(f"afterEach{what}Error" for what in ("Migrate", "MigrateStatement", "Undo", "UndoStatement")),
    "beforeRepeatables",
    "afterVersioned",
    "afterMigrateApplied",
    "afterMigrateOperationFinish",
    "afterInfoOperationFinish",
    "createSchema",
    "beforeCreateSchema",
    "beforeConnect",
    "afterConnect",
)

SCRIPT_ENDINGS = ("cmd", "bat", "ps1", "py", "sh", "bash")
SCRIPT_SUFFIXES = tuple(f".{ending}" for ending in SCRIPT_ENDINGS)
VERSIONED = "versioned"
REPEATABLE = "repeatable"
BASELINE = "baseline"
CALLBACK = "callback"


@dataclass(frozen=True)
class Name:
    """A file name in parts. ``problem`` says why it names no migration; ``version`` is None for a repeatable one."""

    kind: str = ""
    version: Version | None = None
    description: str = ""
    plain: str = ""
    problem: str = ""


def prefixes(settings: Settings) -> list[tuple[str, str]]:
    """Prefixes and the kinds they stand for, longest first: the first that fits decides."""
    known = [
        (settings.sql_migration_prefix, VERSIONED),
        (settings.repeatable_sql_migration_prefix, REPEATABLE),
        *((callback, CALLBACK) for callback in CALLBACKS),
        (settings.baseline_migration_prefix, BASELINE),
    ]
    return sorted(known, key=lambda pair: -len(pair[0]))


def parse(file: str, settings: Settings, suffixes: tuple[str, ...], known: list[tuple[str, str]]) -> Name:
    """What ``file`` (without folders) names; ``known`` are the prefixes()."""
    suffix = next((each for each in suffixes if file.upper().endswith(each.upper())), "")
    stem = file[: len(file) - len(suffix)]
    prefix, kind = next(((text, kind) for text, kind in known if stem.startswith(text)), ("", ""))
    if not kind:
        return Name(problem=f"{file}: begins with no prefix of a migration or callback")
    separator = settings.sql_migration_separator
    number, _separator, description = stem[len(prefix) :].partition(separator)
    example = (
        f"{prefix}{'1.2' if kind in (VERSIONED, BASELINE) else ''}{separator}{description or 'description'}{suffix}"
    )
    if kind in (REPEATABLE, CALLBACK):
        if number:
            return Name(kind, problem=f"{file}: a {kind} has no version; its name looks like {example}")
        version = None
    elif not number:
        return Name(kind, problem=f"{file}: has no version; its name looks like {example}")
    else:
        try:
            version = flyway_version.parse(number)
        except ValueError as error:
            return Name(kind, problem=f"{file}: {error}")
    words = description.replace("_", " ")
    plain = f"{prefix}{number}{suffix}" if not words else f"{prefix}{number}{separator}{description}{suffix}"
    return Name(kind, version, words, plain)


def is_among(file: str, prefix: str, suffixes: tuple[str, ...]) -> bool:
    """Whether a file is looked at for a prefix: it begins and ends so, and there is something between."""
    return file.startswith(prefix) and any(
        file.upper().endswith(suffix.upper()) and len(file) > len(prefix) + len(suffix) for suffix in suffixes
    )


def is_script(file: str) -> bool:
    """Whether Flyway would run the file as a program: by its ending, or because it has none."""
    parts = file.split(".")
    while len(parts) > 1 and not parts[-1]:
        parts.pop()
    return len(parts) < 2 or parts[-1].lower() in SCRIPT_ENDINGS


def of_class(name: str) -> Name:
    """What the name of a Java class (without package) says by Flyway's custom, where it keeps to it."""
    if name[:1] not in ("V", "R") or "$" in name:
        return Name(problem="not named like a migration")
    number, _separator, description = name[1:].partition("__")
    words = description.replace("_", " ")
    if name.startswith("R"):
        return Name(REPEATABLE, None, words) if not number else Name(problem="not named like a migration")
    try:
        return Name(VERSIONED, flyway_version.parse(number), words)
    except ValueError as error:
        return Name(problem=str(error))


def abbreviated(description: str) -> str:
    """A description as it stands in the table, which holds 200 characters (of UTF-16, as Java counts)."""
    units = description.encode("utf-16-be", "surrogatepass")
    if len(units) <= 400:
        return description
    return units[: 197 * 2].decode("utf-16-be", "replace") + "..."
