# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a history means: checks that pass only where something was looked at, and the causes behind those that fail."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from . import flyway_types as types
from .checks import FAIL, PASS, UNVERIFIED, Check, Finding, Status
from .flyway_inspect import History
from .flyway_states import Info
from .flyway_validate import MISMATCHES
from .flyway_version import Version
from .redact import observed

MOST_SHOWN = 20


def checks_of(history: History, pending: str, max_lock_seconds: float, runbook: str) -> list[Check]:
    """All checks of one history. ``pending`` is allow or fail."""
    rows = [_readable(history), _locations(history), _lock(history, max_lock_seconds)]
    if history.exists == "present":
        rows += [
            _validate(history),
            _failed(history),
            _changed(history),
            _order(history),
            _pending(history, pending),
            *_baseline(history),
            *_unverifiable(history),
        ]
    for row in rows:
        row.runbook = runbook
    return rows


def unreachable(name: str, message: str, fault: bool, runbook: str) -> Check:
    """The check of a history whose database could not be asked."""
    hint = "Nothing is known of its migrations until the database answers."
    return Check(
        f"flyway.{name}",
        f"{name}: the history can be read",
        FAIL if fault else UNVERIFIED,
        message,
        None,
        hint,
        runbook,
    )


def _check(history: History, part: str, title: str, status: Status, seen: Any, expected: Any, hint: str) -> Check:
    suffix = f".{part}" if part else ""
    return Check(f"flyway.{history.name}{suffix}", f"{history.name}: {title}", status, seen, expected, hint)


def _some(items: Sequence[Any]) -> list[Any]:
    """At most MOST_SHOWN of them; the rest is counted."""
    texts = [observed(item, 600) if isinstance(item, str) else item for item in items[:MOST_SHOWN]]
    return [*texts, f"and {len(items) - MOST_SHOWN} more"] if len(items) > MOST_SHOWN else texts


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _or(lines: list[Any], nothing: str) -> Any:
    """The lines, or a word that says there are none."""
    return lines or nothing


def _names(infos: Sequence[Info]) -> list[str]:
    return _some([info.name for info in infos])


def _readable(history: History) -> Check:
    title = "the history can be read"
    if history.exists == "present":
        seen = (
            f"{_count(len(history.rows), 'row')}, {f'version {history.current}' if history.current else 'no version'}"
        )
        hint = f"Read from {history.schema}.{history.table} of {history.database}. Times are taken as UTC."
        return _check(history, "", title, PASS, seen, "a table of Flyway", hint)
    if history.exists == "denied":
        return _check(
            history, "", title, UNVERIFIED, history.problem, "the right to read it", "Grant it, then look again."
        )
    others = history.table_found.elsewhere
    hint = (
        f"Histories of other schemas or names: {', '.join(_some(others))}. Set schema and table to the right one."
        if others
        else "No migration was ever run here, or the service keeps its history in another database."
    )
    return _check(history, "", title, FAIL, history.problem, "a table of Flyway", hint)


def _locations(history: History) -> Check:
    title, expected = "the locations hold its migrations", "migrations, and no folder missing"
    applied = [row for row in history.rows if row.type not in types.SYNTHETIC | types.PROGRAMS]
    problems, count = history.location_problems, len(history.resolved)
    seen = "; ".join([f"{_count(count, 'migration')} there, {len(applied)} applied", *map(str, _some(problems))])
    if history.nothing_resolved and not problems:
        hint = "The folders are there, but no migration lies in them: are locations, prefixes and suffixes right?"
        return _check(history, "locations", title, FAIL, seen, expected, hint)
    if history.resolution.absent:
        hint = "Flyway passes over a missing folder and calls its rows Future or Missing, and repair would delete them."
        return _check(history, "locations", title, FAIL, seen, expected, hint)
    gone = _without_file(history)
    if gone:
        seen = f"{seen}; no file for {', '.join(map(str, _names(gone)))}"
        return _check(history, "locations", title, UNVERIFIED, seen, expected, _NO_FILE)
    hint = "Files in other places, and Java migrations outside of the jars, are not seen."
    if history.resolution.ill_named:
        hint = f"Flyway passes over files that are not named like a migration: {', '.join(_some(history.resolution.ill_named))}."
    return _check(history, "locations", title, UNVERIFIED if problems else PASS, seen, expected, hint)


def _lock(history: History, most: float) -> Check:
    title, lock = "no migration hangs", history.lock
    expected = f"no lock, or one of at most {most:g} s that blocks nobody"
    if not lock.known:
        hint = "The lock of a migration is known to the primary only: ask it there."
        return _check(history, "lock", title, UNVERIFIED, "the server is a standby", expected, hint)
    if not lock.held:
        return _check(history, "lock", title, PASS, "free", expected, "No migration is under way now.")
    seen = f"held by process {lock.holder_pid}"
    seen += f" for {lock.age_seconds:.0f} s" if lock.age_seconds is not None else ", for how long is hidden"
    if lock.blocked_pids:
        seen += f", which blocks {', '.join(map(str, _some(lock.blocked_pids)))}"
    if lock.blocks_itself:
        hint = (
            "The migration waits for its own transaction: CREATE INDEX CONCURRENTLY needs "
            "flyway.postgresql.transactional.lock=false. End the service, set it, start again."
        )
        return _check(history, "lock", title, FAIL, seen, expected, hint)
    hint = f"Process {lock.holder_pid} migrates now; what else is said here may change. Do not start another migration."
    if lock.age_seconds is None:
        grant = " Its age is hidden: GRANT pg_read_all_stats to the user."
        return _check(history, "lock", title, UNVERIFIED, seen, expected, hint + grant)
    wrong = lock.age_seconds > most or bool(lock.blocked_pids)
    return _check(history, "lock", title, FAIL if wrong else PASS, seen, expected, hint)


def _validate(history: History) -> Check:
    title, expected = "validation passes", "what migrate asks for before it runs"
    wrong = [*history.resolution.refusals, *(error.message for error in history.migrate_errors)]
    if wrong:
        hint = "No service that migrates at its start can start like this. See blocked_by for each reason."
        return _check(history, "validate", title, FAIL, _some(wrong), expected, hint)
    hint = (
        "Checksums, types and descriptions of rows and files agree. What migrations did to the tables is not looked at."
    )
    unclear = bool(_unclear(history)) or history.nothing_resolved or bool(history.location_problems)
    if unclear:
        hint = "Nothing wrong was seen, but not everything could be looked at: see the other checks."
    return _check(history, "validate", title, UNVERIFIED if unclear else PASS, "no error", expected, hint)


def _unclear(history: History) -> list[Info]:
    return [
        info for info in history.infos if info.checksum_status == "indeterminate" and info.state != types.SUPERSEDED
    ]


def _failed(history: History) -> Check:
    failed = [info for info in history.infos if info.row and not info.row.success]
    hint = (
        "PostgreSQL rolls a failed migration back without leaving a row: no failed row does not prove that none failed."
        if not failed
        else "Undo by hand what it left half-done, then repair removes the row, and migrate runs it again."
    )
    return _check(
        history, "failed", "no migration failed", FAIL if failed else PASS, _or(_names(failed), "none"), "none", hint
    )


def _changed(history: History) -> Check:
    title = "no migration was changed after it was applied"
    changed = changed_of(history)
    lines = [
        f"{info.filepath}: {info.row.checksum if info.row else None} was applied, the file has "
        f"{info.resolved.checksum if info.resolved else None} now"
        for info in changed
    ]
    if changed:
        hint = "Never change a migration that was applied: take the change back and put it into a new version."
        return _check(history, "changed", title, FAIL, _some(lines), "none", hint)
    compared = sum(1 for info in history.infos if info.checksum_status == "match")
    seen = f"{_count(compared, 'checksum')} compared, all the same"
    if _doubled(history):
        names = ", ".join(_some(sorted(map(str, _doubled(history)))))
        hint = f"Several files have the version {names}: which one was applied has to be settled first."
        return _check(history, "changed", title, UNVERIFIED, seen, "none", hint)
    if _unclear(history):
        hint = f"Placeholders of {', '.join(_names(_unclear(history)))} are unknown: give their values in placeholders."
        return _check(history, "changed", title, UNVERIFIED, seen, "none", hint)
    gone = _without_file(history)
    if gone:
        seen = f"{seen}; no file to compare with for {', '.join(map(str, _names(gone)))}"
        return _check(history, "changed", title, UNVERIFIED, seen, "none", _NO_FILE)
    hint = f"Checksums of {compared} migrations were compared."
    return _check(history, "changed", title, PASS, seen, "none", hint)


_NO_FILE = (
    "Are the locations those of the release that ran these migrations? After a rollback of the application it is normal that "
    "newer rows have no file: look with the files of the newer release, or accept this check for as long as the rollback lasts."
)


def _without_file(history: History) -> list[Info]:
    """Applied migrations that are files, and whose files lie in none of the locations: Flyway calls them Future or Missing."""
    files = ("SQL", "SCRIPT", "SQL_BASELINE")
    return [info for info in history.of_state(*types.NOT_FOUND) if info.row and info.type in files]


def _doubled(history: History) -> set[Version]:
    """Versions that several files have; none of them can be said to be the one that was applied."""
    counted = Counter((each.version, each.baseline_file) for each in history.resolved if each.version is not None)
    return {version for (version, _baseline), times in counted.items() if times > 1 and version is not None}


def changed_of(history: History) -> list[Info]:
    """Versioned migrations whose files differ from what was applied; a repeatable one may be changed."""
    doubled = _doubled(history)
    return [
        info
        for info in history.infos
        if info.version is not None
        and info.checksum_status == "mismatch"
        and info.version not in doubled
        and info.state not in (types.DELETED, types.UNDONE)
    ]


def _order(history: History) -> Check:
    late = [
        info
        for info in history.of_state(types.IGNORED)
        if info.resolved and info.resolved.should_execute and not info.resolved.baseline_file
    ]
    ran = history.of_state(types.OUT_OF_ORDER)
    if late:
        hint = (
            "They came after a newer version was applied, and will not run while out_of_order is off: give them a newer "
            "version, or allow it for one run."
        )
        return _check(history, "order", "migrations came in their order", FAIL, _names(late), "none", hint)
    hint = (
        f"Ran out of order before: {', '.join(_names(ran))}. Another database may have run them in order."
        if ran
        else ""
    )
    hint = hint or "No migration is older than what was applied."
    return _check(history, "order", "migrations came in their order", PASS, _or(_names(ran), "none"), "none late", hint)


def _pending(history: History, policy: str) -> Check:
    waiting = history.of_state(types.PENDING, types.OUTDATED)
    names = list(dict.fromkeys(info.name for info in waiting))
    blind = history.nothing_resolved or bool(history.location_problems)
    status: Status = FAIL if names and policy == "fail" else UNVERIFIED if blind else PASS
    hint = "All that lies in the locations was applied." if not names else "The next migrate runs them."
    if blind and not names:
        hint = "Not all locations could be looked at, so what waits there is not known."
    expected = "none" if policy == "fail" else "said, not judged"
    title = "nothing is pending" if policy == "fail" else "what is pending is known"
    return _check(history, "pending", title, status, _or(_some(names), "none"), expected, hint)


def _baseline(history: History) -> list[Check]:
    if not history.skipped:
        return []
    title = "what the baseline passed over is there"
    absent = [each for each in history.skipped if each.absent]
    if absent:
        lines = [f"{each.info.filepath}: {', '.join(_some(each.absent))} not there" for each in absent]
        hint = (
            "A baseline row made Flyway skip these files and report success (baseline-on-migrate on a schema that was not "
            "empty). Their tables were never made."
        )
        return [_check(history, "baseline", title, FAIL, _some(lines), "none", hint)]
    blind = [each.info.name for each in history.skipped if not each.tables]
    hint = "Tables that the skipped files create were looked for by name; their columns and rows were not."
    if blind:
        hint = f"No table to look for in {', '.join(_some(blind))}: look whether what it does has been done."
    seen = f"passed over: {', '.join(_names([each.info for each in history.skipped]))}"
    return [_check(history, "baseline", title, UNVERIFIED if blind else PASS, seen, "none missing", hint)]


def _unverifiable(history: History) -> list[Check]:
    programs = [info for info in history.infos if info.checksum_status == "unverifiable"]
    if not programs:
        return []
    title = "Java migrations are what they were"
    hint = "Their checksums are known to the programs only: ask Flyway in the service itself."
    return [_check(history, "unverifiable", title, UNVERIFIED, _names(programs), "only Flyway itself can tell", hint)]


def findings_of(history: History, rows: Sequence[Check]) -> list[Finding]:
    """The causes behind checks that fail."""
    failed = {row.id.removeprefix(f"flyway.{history.name}").removeprefix(".") for row in rows if row.status == FAIL}
    found = [
        Finding(cause, "seen", [f"flyway.{history.name}.{part}"], [history.name])
        for part, cause in (
            ("changed", "migration_changed_after_applied"),
            ("failed", "migration_failed"),
            ("order", "migration_out_of_order"),
            ("baseline", "baseline_skipped_migrations"),
            ("locations", "locations_wrong"),
        )
        if part in failed
    ]
    own = [error for error in history.migrate_errors if error.code not in MISMATCHES]
    if "validate" in failed:
        if any("more than one" in text for text in history.resolution.refusals):  # the cause of much else
            found.insert(0, Finding("duplicate_versions", "seen", [f"flyway.{history.name}.validate"], [history.name]))
        if any(error.info.state in types.NOT_FOUND for error in own):
            found.append(
                Finding("migration_files_missing", "seen", [f"flyway.{history.name}.validate"], [history.name])
            )
    if "lock" in failed:
        cause = "migration_blocks_itself" if history.lock.blocks_itself else "migration_hangs"
        found.append(Finding(cause, "inferred", [f"flyway.{history.name}.lock"], [history.name]))
    return found
