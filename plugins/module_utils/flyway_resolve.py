# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Migrations as they lie in the locations: what Flyway calls resolved."""

from __future__ import annotations

import codecs
import re
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from . import flyway_names as names
from . import flyway_script_conf as script_conf
from .clock import Deadline
from .flyway_checksum import checksum
from .flyway_files import File, Found, TooBig, gather
from .flyway_locations import distinct
from .flyway_placeholders import UnknownPlaceholder, replaced
from .flyway_settings import Settings
from .flyway_version import Version

# Placeholders within scripts that are programs are written in another way.
SCRIPT_PLACEHOLDER_PREFIX = "FP__"
SCRIPT_PLACEHOLDER_SUFFIX = "__"
_UNDO = re.compile(r"U[0-9][0-9._]*__")  # a name of the paid editions, which the free one passes over


@dataclass(frozen=True)
class Resolved:
    """A migration as its file says.

    ``checksum`` is the one that Flyway would book; ``raw`` that of a repeatable one before placeholders were replaced,
    which Flyway takes for the same; ``also`` are those it would have as another user. ``unknown`` says why the checksum
    cannot be told here. ``supposed`` stands for a program behind a row, which nobody can look at.
    """

    version: Version | None
    description: str
    script: str
    type: str
    checksum: int | None
    raw: int | None = None
    also: tuple[int, ...] = ()
    filepath: str = ""
    baseline_file: bool = False
    should_execute: bool = True
    expression: str | None = None
    moving: bool = False  # the time is in its text, so that its checksum is another one each time
    in_transaction: bool | None = None  # what the script's own configuration says of executeInTransaction
    unknown: str = ""
    supposed: bool = False
    file: File | None = field(default=None, compare=False, repr=False)

    def matches(self, applied: int | None) -> bool:
        """Whether a checksum in the table is this one's; what cannot be told is taken to be."""
        return (
            bool(self.unknown)
            or applied == self.checksum
            or (applied is not None and applied in (self.raw, *self.also))
        )

    def passes(self, applied: int | None) -> bool:
        """Whether validation accepts it: stricter about the raw text, and content where there is no checksum."""
        return bool(self.unknown) or None in (applied, self.checksum) or applied in (self.checksum, *self.also)

    def same_as_raw_only(self, applied: int | None) -> bool:
        """Whether the table has the checksum of the text before placeholders were replaced; repair renews it."""
        return not self.unknown and applied is not None and applied == self.raw and not self.passes(applied)

    @property
    def identity(self) -> tuple[object, ...]:
        """Two files that agree in all this are one to Flyway."""
        return (
            self.version,
            self.description,
            self.script,
            self.type,
            self.checksum,
            self.raw,
            self.unknown,
            self.baseline_file,
        )


@dataclass
class Resolution:
    """What lies in the locations. ``refusals`` are reasons for which Flyway itself would stop."""

    migrations: list[Resolved] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    absent: list[str] = field(default_factory=list)
    searched: list[str] = field(default_factory=list)
    ill_named: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Surroundings:
    """What placeholders of Flyway's own stand for. ``users`` are those it may connect as, the likeliest first."""

    database: str = ""
    users: tuple[str, ...] = ()


def resolve(settings: Settings, surroundings: Surroundings, deadline: Deadline | None = None) -> Resolution:
    """Read all locations. Raises InputError for a location that is none, DeadlineError; all else is in the result."""
    found = gather(distinct(settings.locations, settings.working_directory), settings.jars)
    result = Resolution(problems=found.problems, absent=found.absent, searched=found.searched)
    resolver = _Resolver(settings, surroundings, found, result, deadline)
    try:
        kept = {migration.identity: migration for migration in resolver.migrations()}
    finally:
        found.close()
    result.migrations = list(kept.values())
    result.refusals += _twice(result.migrations)
    return result


class _Resolver:
    def __init__(
        self,
        settings: Settings,
        surroundings: Surroundings,
        found: Found,
        result: Resolution,
        deadline: Deadline | None,
    ) -> None:
        self.settings = settings
        self.surroundings = surroundings
        self.files = found.files
        self.result = result
        self.deadline = deadline
        self.prefixes = names.prefixes(settings)
        self.companions = {
            file.relative.lower(): file for file in found.files if file.relative.lower().endswith(".conf")
        }

    def migrations(self) -> Iterator[Resolved]:
        sql, scripts = self.settings.sql_migration_suffixes, names.SCRIPT_SUFFIXES
        for file in self.files:
            if self.deadline:
                self.deadline.within(1, f"reading {file.shown}")
            self._judge_name(file)
            if file.name.endswith(".class"):
                yield from self._program(file)
                continue
            for prefix, kind in self._migration_prefixes():
                if names.is_among(file.name, prefix, sql):
                    yield from self._one(file, prefix, kind, sql, "SQL")
                if file.name.startswith(prefix) and len(file.name) > len(prefix) and names.is_script(file.name):
                    yield from self._one(file, prefix, kind, scripts, "SCRIPT")

    def _migration_prefixes(self) -> tuple[tuple[str, str], ...]:
        return (
            (self.settings.sql_migration_prefix, names.VERSIONED),
            (self.settings.repeatable_sql_migration_prefix, names.REPEATABLE),
            (self.settings.baseline_migration_prefix, names.BASELINE),
        )

    def _judge_name(self, file: File) -> None:
        suffixes = self.settings.sql_migration_suffixes
        if not names.is_among(file.name, "", suffixes):
            return
        problem = names.parse(file.name, self.settings, suffixes, self.prefixes).problem
        if problem and not _UNDO.match(file.name):
            self.result.ill_named.append(file.shown)
        if problem and self.settings.validate_migration_naming:
            self.result.refusals.append(f"invalid name: {problem}")

    def _program(self, file: File) -> Iterator[Resolved]:
        name = names.of_class(file.name.removesuffix(".class"))
        if not file.on_disk and not name.problem:
            script = file.shown.rpartition("!/")[2].removesuffix(".class").replace("/", ".")
            why = "a Java migration knows its checksum itself"
            yield Resolved(name.version, name.description, script, "JDBC", None, filepath=file.shown, unknown=why)

    def _one(self, file: File, prefix: str, kind: str, suffixes: tuple[str, ...], form: str) -> Iterator[Resolved]:
        name = names.parse(file.name, self.settings, suffixes, self.prefixes)
        if name.problem or name.kind != kind or not file.name.startswith(prefix):
            return
        conf = self._companion(file) if form == "SQL" else script_conf.NONE
        baseline = kind == names.BASELINE
        try:
            text = self._text(file, conf)
            own = Resolved(
                name.version,
                name.description,
                file.relative,
                "SQL_BASELINE" if baseline else form,
                checksum(text),
                filepath=file.shown,
                baseline_file=baseline and form == "SQL",
                file=file,
            )
            own = replace(self._expression(own, conf), in_transaction=conf.execute_in_transaction)
            yield self._with_placeholders(own, name, text, form, conf) if kind == names.REPEATABLE else own
        except (OSError, TooBig, UnicodeError, LookupError, zipfile.BadZipFile) as error:
            self.result.refusals.append(
                f"{file.shown}: cannot be read as {conf.encoding or self.settings.encoding}: {error}"
            )

    def _companion(self, file: File) -> script_conf.ScriptConf:
        companion = self.companions.get(f"{file.relative}.conf".lower())
        if companion is None:
            return script_conf.NONE
        try:
            conf = script_conf.parse(companion.read().decode(self.settings.encoding))
        except (OSError, TooBig, UnicodeError, zipfile.BadZipFile) as error:
            conf = script_conf.ScriptConf(problem=str(error))
        if conf.problem:
            self.result.refusals.append(f"{companion.shown}: {conf.problem}")
        return conf

    def _text(self, file: File, conf: script_conf.ScriptConf) -> str:
        encoding = conf.encoding if conf.encoding and file.on_disk else self.settings.encoding
        return file.read().decode(codecs.lookup(encoding).name)

    def _expression(self, own: Resolved, conf: script_conf.ScriptConf) -> Resolved:
        if conf.should_execute is None:
            return own
        text = conf.should_execute
        try:
            value = script_conf.evaluated(self._replaced(text, "", self.surroundings.users[:1], "SQL"))
        except UnknownPlaceholder:
            value = None
        if value is None:
            self.result.problems.append(f"{own.filepath}: whether it is to run depends on {text!r}, unknown here")
        return replace(own, expression=text, should_execute=value is not False)

    def _with_placeholders(
        self, own: Resolved, name: names.Name, text: str, form: str, conf: script_conf.ScriptConf
    ) -> Resolved:
        on = self.settings.placeholder_replacement
        if form == "SQL" and conf.placeholder_replacement is not None:
            on = conf.placeholder_replacement
        own = replace(own, raw=own.checksum)
        if not on:
            return own
        separator = self.settings.placeholder_separator if form == "SQL" else "_"
        own = replace(own, moving=f"flyway{separator}timestamp" in text.lower())
        users = self.surroundings.users or ("",)
        try:
            sums = [checksum(self._replaced(text, name.plain, (user,), form)) for user in users]
        except UnknownPlaceholder as error:
            why = f"no value is given for the placeholder {error.name!r}"
            return replace(own, unknown=why)
        return replace(own, checksum=sums[0], also=tuple(dict.fromkeys(sums[1:])))

    def _replaced(self, text: str, file: str, users: tuple[str, ...], form: str) -> str:
        settings = self.settings
        separator = settings.placeholder_separator if form == "SQL" else "_"
        own: dict[str, str | None] = {
            "defaultschema": settings.schema,
            "database": self.surroundings.database or None,
            "user": users[0] if users and users[0] else None,
            "timestamp": time.strftime("%Y-%m-%d %H:%M:%S"),
            "filename": file,
            "workingdirectory": settings.working_directory,
            "table": settings.table,
            "environment": "default",
        }

        def value_of(name: str) -> str | None:
            begin = f"flyway{separator}"
            if name in settings.placeholders or not name.startswith(begin):
                return settings.placeholders.get(name)
            return own.get(name.removeprefix(begin))

        if form == "SQL":
            return replaced(text, settings.placeholder_prefix, settings.placeholder_suffix, value_of)
        return replaced(text, SCRIPT_PLACEHOLDER_PREFIX, SCRIPT_PLACEHOLDER_SUFFIX, value_of)


def _twice(migrations: list[Resolved]) -> list[str]:
    """Migrations of one version, or repeatable ones of one description: Flyway does nothing at all then."""
    seen: dict[tuple[bool, Version | str], Resolved] = {}
    found = []
    for migration in sorted(migrations, key=lambda each: each.filepath):
        key = (migration.baseline_file, migration.version or migration.description)
        if key in seen:
            what = f"version {migration.version}" if migration.version else f"description {migration.description!r}"
            first = seen[key]
            found.append(
                f"Found more than one migration with {what}: {first.filepath} ({first.type}) and "
                f"{migration.filepath} ({migration.type}); Flyway's info, validate, migrate and repair all stop at this"
            )
        else:
            seen[key] = migration
    return found
