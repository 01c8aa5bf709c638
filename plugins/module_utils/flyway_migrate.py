# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Migrate or repair one history with the project's own Flyway: planned before, done once, looked at afterwards."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from . import backup_catalog, backup_plan, databases, flyway_act_plan, flyway_tool, flyway_view, postgres
from .approval_request import differences
from .argspec import ArgumentSpec
from .databases import Database
from .errors import InputError, RefusedError, RunbookError
from .flyway_act_plan import INFO, MIGRATE, REPAIR, Allowed, Plan
from .flyway_files import TooBig
from .flyway_inspect import History, inspect
from .flyway_plan import CorruptHistory
from .flyway_settings import SUBOPTIONS, Settings
from .flyway_states import Info
from .flyway_tool import Answer
from .operation import Context
from .redact import observed

BACK_UP = "run the backup first, as sre.runbooks.hafnium.backup does"
AFTER_SECONDS = 20.0  # kept of the total time, to look at the history after the tool
INFO_SECONDS = 60.0
LEAST_TOOL_SECONDS = 5.0
PROGRESS_SECONDS = 5.0
# Statements that PostgreSQL does not run within a transaction, and endings of one in the middle of a script.
_OUTSIDE = re.compile(
    r"(?im)\b(concurrently|vacuum|alter\s+system|(?:create|drop)\s+(?:database|tablespace))\b|^\s*(commit|call)\b"
)

SPEC = ArgumentSpec(
    options={
        "history": {
            "type": "dict",
            "required": True,
            "options": {**databases.OPTIONS, **SUBOPTIONS},
            "mutually_exclusive": [("url", "login_host"), ("url", "login_port"), ("url", "login_db")],
        },
        "command": {"type": "str", "required": True, "choices": [INFO, MIGRATE, REPAIR]},
        "tool": {"type": "dict", "required": True, "options": flyway_tool.OPTIONS},
        "require_backup": {
            "type": "dict",
            "options": {
                "directory": {"type": "path", "required": True},
                "set": {"type": "str", "required": True},
                "database": {"type": "str"},
                "max_age_hours": {"type": "float", "default": 24.0},
                "verify": {"type": "bool", "default": True},
            },
        },
        "expected_pending": {"type": "list", "elements": "str"},
        "plan_digest": {"type": "str"},
        "max_deleted": {"type": "int", "default": 0},
        "allow_new_history": {"type": "bool", "default": False},
        "allow_passed_over": {"type": "bool", "default": False},
        "allow_unverifiable": {"type": "bool", "default": False},
        "timeout": {"type": "float", "default": 600.0},
    },
).merge(postgres.SPEC)


def run(params: dict[str, Any], context: Context) -> dict[str, Any]:
    """Plan, act on exactly that plan, and read the history again. Raises RefusedError before, RunbookError after."""
    if params["max_deleted"] < 0:
        raise InputError(f"max_deleted is {params['max_deleted']}; it must be 0 or more")
    (database,) = databases.of({**params, "history": [params["history"]]}, "history")
    settings = Settings.of(database.item, database.name)
    libpq = {**database.parameters, **postgres.tls(database.parameters, params)}
    tool = flyway_tool.of(params["tool"], params["command"], settings, database.item, libpq)
    before = _look(database, settings, params, context)
    if params["command"] == INFO:
        return _info(tool, before, params, context)
    plan = _plan(before, params)
    result: dict[str, Any] = {
        "changed": not plan.empty,
        "command": params["command"],
        "name": database.name,
        "plan": plan.as_dict(),
        "plan_summary": plan.lines(),
        "plan_digest": plan.digest,
        "before": flyway_act_plan.summary(before),
        "after": None,
        "applied": [],
        "repaired": None,
        "backup": None,
        "tool": None,
        "lock": before.lock.as_dict(),
        "still_running": [],
    }
    if plan.empty:
        word = "no migration is pending" if params["command"] == MIGRATE else "nothing is to be repaired"
        return {**result, "after": result["before"], "msg": f"{database.name}: {word}; the tool was not started"}
    _guards(params, plan, result)
    if params["require_backup"]:
        result["backup"] = _backup(params, before, database, context)
    if "CREATE" not in before.table_found.rights and before.exists == "present" and params["command"] == MIGRATE:
        context.warn(
            f"{database.name}: {before.table_found.user} may not make anything in schema {before.schema}: a migration that "
            "makes a table or an index will fail"
        )
    if context.check_mode:
        result["msg"] = f"{database.name}: would {'; '.join(plan.lines()[:5])}"
        return _with_diff(result, context, before, flyway_act_plan.planned_text(before, plan))
    if params["tool"]["kind"] == "cli":
        _refuse_other_view(
            flyway_tool.of(params["tool"], INFO, settings, database.item, libpq), before, context, result
        )
    answer = _start(tool, database.name, params["command"], context)
    return _judge(params, context, database, settings, before, plan, tool, answer, result)


def _info(tool: flyway_tool.Tool, before: History, params: Mapping[str, Any], context: Context) -> dict[str, Any]:
    """What the tool itself says, and where its command line says it otherwise than we do. Reads only."""
    answer = _start(tool, before.name, INFO, context)
    result = {
        "changed": False,
        "command": INFO,
        "name": before.name,
        "before": flyway_act_plan.summary(before),
        "tool": {"kind": params["tool"]["kind"], **answer.as_dict()},
        "differences": None,
    }
    if answer.code or answer.error or answer.timed_out:
        why = "did not end in time" if answer.timed_out else answer.error
        raise RunbookError(f"{before.name}: the tool's info failed (it ended with {answer.code}): {why}", **result)
    if not tool.speaks_json or before.exists == "denied":
        why = (
            before.problem if before.exists == "denied" else "only that of kind cli can be compared with flyway_status"
        )
        return {**result, "msg": f"{before.name}: what the tool says is in tool.output; {why}"}
    lines = flyway_view.differences(answer.told, before)
    if lines:
        context.warn(f"{before.name}: the tool sees another history or other files: {'; '.join(lines[:5])}")
    number = len(before.infos)
    said = (
        f"the tool sees it otherwise: {'; '.join(lines[:8])}"
        if lines
        else f"the tool sees the same {number} migrations"
    )
    return {**result, "differences": lines, "msg": f"{before.name}: {said}"}


def _refuse_other_view(tool: flyway_tool.Tool, before: History, context: Context, result: Mapping[str, Any]) -> None:
    """Ask the tool what it sees before it may act. RunbookError when it cannot say; nothing was changed then."""
    answer = _start(tool, before.name, INFO, context, INFO_SECONDS)
    shown = {**result, "changed": False, "tool": {"kind": "cli", **answer.as_dict()}}
    command = result["command"]
    if answer.code or answer.error or answer.timed_out:
        why = "did not end in time" if answer.timed_out else f"ended with {answer.code}: {answer.error}"
        raise RunbookError(f"{before.name}: {command} was not started, since the tool's info before it {why}", **shown)
    lines = flyway_view.differences(answer.told, before)
    if lines:
        raise RefusedError(
            f"{before.name}: {command} was not started: the tool sees another history or other files than were planned "
            f"with (- planned, + the tool): {'; '.join(lines[:8])}",
            refusal="tool_view",
            differences=lines,
            **shown,
        )


def _look(database: Database, settings: Settings, params: Mapping[str, Any], context: Context) -> History:
    with postgres.session(database.parameters, params, context.deadline, database.search_path) as session:
        return inspect(session, settings, context.deadline)


def _plan(history: History, params: Mapping[str, Any]) -> Plan:
    command = params["command"]
    try:
        refused = flyway_act_plan.refusals(history, command, params["tool"]["kind"], _allowed(params))
        plan = flyway_act_plan.of(history, command) if not refused else None
        refused = flyway_act_plan.lacking_rights(history, plan) if plan else refused
    except CorruptHistory as error:
        refused, plan = [("validation", str(error))], None
    if plan is not None and not refused:
        return plan
    raise RefusedError(
        f"{history.name}: {command} was not started: {'; '.join(observed(text, 600) for _id, text in refused[:3])}"
        f"{f' (and {len(refused) - 3} more reasons)' if len(refused) > 3 else ''}",
        refusal=refused[0][0],
        refusals=[{"id": reason, "reason": observed(text, 600)} for reason, text in refused[:50]],
        before=flyway_act_plan.summary(history),
    )


def _allowed(params: Mapping[str, Any]) -> Allowed:
    return Allowed(
        deleted=params["max_deleted"],
        unverifiable=params["allow_unverifiable"],
        new_history=params["allow_new_history"],
        passed_over=params["allow_passed_over"],
    )


def _guards(params: Mapping[str, Any], plan: Plan, result: Mapping[str, Any]) -> None:
    shown = {"plan": result["plan"], "plan_summary": result["plan_summary"], "plan_digest": result["plan_digest"]}
    expected = params["expected_pending"]
    if expected is not None and list(expected) != plan.names:
        lines = differences(expected, plan.names)
        raise RefusedError(
            f"the pending migrations are not those of expected_pending (- expected, + found): {'; '.join(lines[:8])}",
            refusal="expected_pending",
            differences=lines,
            **shown,
        )
    if params["plan_digest"] and params["plan_digest"] != plan.digest:
        raise RefusedError(
            f"the plan is not the one of plan_digest: it is now {'; '.join(plan.lines()[:5])}. Plan again in check mode",
            refusal="plan_digest",
            **shown,
        )


def _backup(params: Mapping[str, Any], history: History, database: Database, context: Context) -> dict[str, Any]:
    """The backup that is there for the case that this goes wrong. RefusedError when there is none."""
    wanted = params["require_backup"]
    if not wanted["max_age_hours"] > 0:
        raise InputError(f"require_backup.max_age_hours is {wanted['max_age_hours']:g}; it must be more than 0")
    now = context.clock.now()
    name = f"a backup of set {wanted['set']} in {wanted['directory']}"
    context.progress(f"{database.name}: looking for {name}")

    def step(_read: int) -> None:
        context.deadline.within(1.0, f"reading the files of {name}")

    found = backup_catalog.newest_good(wanted["directory"], wanted["set"], now, wanted["verify"], step)
    if found is None:
        raise RefusedError(f"{name} is asked for, and there is no good one: {BACK_UP}", refusal="backup")
    age = found.age_seconds(now) or 0.0
    if age > wanted["max_age_hours"] * 3600:
        raise RefusedError(
            f"{name} is asked for that is at most {wanted['max_age_hours']:g} hours old, the newest good one, {found.id}, "
            f"is {age / 3600:.1f} hours old: {BACK_UP}",
            refusal="backup",
        )
    saved = [
        each
        for each in found.databases
        if each.dbname == history.database and wanted["database"] in (None, each.name, each.dbname)
    ]
    if not saved:
        called = f" under the name {wanted['database']}" if wanted["database"] else ""
        held = ", ".join(f"{each.name} (of {each.dbname})" for each in found.databases)
        raise RefusedError(
            f"the backup {found.id} does not hold the database {history.database}{called}, it holds {held}",
            refusal="backup",
        )
    with postgres.session(database.parameters, params, context.deadline) as session:
        server = backup_plan.system_identifier(session)
    if server and all(each.system_identifier not in (None, server) for each in saved):
        raise RefusedError(
            f"the backup {found.id} is of a database {history.database} on another server (cluster "
            f"{saved[0].system_identifier}, here it is {server}): back this one up first",
            refusal="backup",
        )
    return {"id": found.id, "age_seconds": round(age), "verified": found.verified}


def _start(
    tool: flyway_tool.Tool, name: str, command: str, context: Context, most_seconds: float = float("inf")
) -> Answer:
    left = context.deadline.remaining()
    seconds = min(most_seconds, left - AFTER_SECONDS if left > 2 * AFTER_SECONDS else left / 2)
    if seconds < LEAST_TOOL_SECONDS:
        raise InputError(f"timeout leaves {seconds:.0f} s for the tool; give the task at least 30 s")
    told = 0.0

    def tick(now: float) -> None:
        nonlocal told
        if now - told >= PROGRESS_SECONDS:
            told = now
            context.progress(f"{name}: {command} has been running for {now:.0f} s")

    return flyway_tool.run(tool, seconds, tick)


def _judge(
    params: Mapping[str, Any],
    context: Context,
    database: Database,
    settings: Settings,
    before: History,
    plan: Plan,
    tool: flyway_tool.Tool,
    answer: Answer,
    result: dict[str, Any],
) -> dict[str, Any]:
    """What the history says now; the tool's own word counts only where it says that something went wrong."""
    result["tool"] = {"kind": params["tool"]["kind"], **answer.as_dict()}
    try:
        after = _look(database, settings, params, context)
        result["still_running"] = _still_running(tool, database, params, context) if answer.timed_out else []
    except RunbookError as error:
        raise RunbookError(
            f"{database.name}: {params['command']} was run and ended with {answer.code}, and the history could not be "
            f"read again, so what it did is not known: {error.message}",
            **{**result, "changed": True},
        ) from error
    rows = flyway_act_plan.applied(before, after)
    result["changed"] = not flyway_act_plan.same_rows(before, after)
    result["after"] = flyway_act_plan.summary(after)
    result["lock"] = after.lock.as_dict()
    result["applied"] = [
        {"version": row.version_text or "", "script": row.script, "milliseconds": row.execution_time}
        for row in rows
        if row.success
    ]
    migrating = params["command"] == MIGRATE
    if migrating:
        differs = flyway_act_plan.not_as_planned(plan, before, after, params["allow_unverifiable"])
    else:
        differs = flyway_act_plan.not_repaired(plan, before, after)
        result["repaired"] = None if differs else plan.repair.as_dict()
    ended_well = answer.code == 0 and not answer.error
    if differs or not (ended_well or params["tool"]["kind"] == "command") or answer.timed_out:
        message = _what_went_wrong(params, plan, rows, answer, differs, result["still_running"])
        raise RunbookError(
            f"{database.name}: {message}", **_with_diff(result, context, before, flyway_act_plan.text(after))
        )
    if not ended_well:
        context.warn(f"{database.name}: all planned was applied, and the tool ended with {answer.code}: {answer.error}")
    for warning in answer.warnings:
        context.warn(f"{database.name}: Flyway: {warning}")
    done = f"applied {', '.join(_names(rows)) or 'nothing'}" if migrating else "; ".join(plan.lines()[:5])
    result["msg"] = f"{database.name}: {done}"
    return _with_diff(result, context, before, flyway_act_plan.text(after))


def _still_running(
    tool: flyway_tool.Tool, database: Database, params: Mapping[str, Any], context: Context
) -> list[dict[str, Any]]:
    """Sessions of the tool that work on without it: PostgreSQL sees that a client is gone when it has an answer for it."""
    with postgres.session(database.parameters, params, context.deadline) as session:
        rows = session.rows(
            "SELECT a.pid, extract(epoch FROM clock_timestamp() - a.query_start)::float8,"
            " ARRAY(SELECT b.pid FROM pg_catalog.pg_stat_activity b WHERE a.pid = ANY (pg_blocking_pids(b.pid)) ORDER BY 1)"
            " FROM pg_catalog.pg_stat_activity a WHERE a.application_name = %s ORDER BY 1",
            [tool.application_name],
        )
    return [
        {
            "pid": int(pid),
            "seconds": None if age is None else round(age, 1),
            "blocked_pids": [int(each) for each in blocked],
        }
        for pid, age, blocked in rows
    ]


def _left_running(sessions: Sequence[Mapping[str, Any]]) -> str:
    if not sessions:
        return "No session of it is left on the server. "
    pids = ", ".join(str(each["pid"]) for each in sessions)
    blocked = ", ".join(map(str, sorted({pid for each in sessions for pid in each["blocked_pids"]})))
    cancel = "; ".join(f"SELECT pg_cancel_backend({each['pid']})" for each in sessions)
    blocks = f", and blocks {blocked}" if blocked else ""
    return f"Process {pids} of the server still runs its statement and keeps its locks{blocks}: end it with {cancel}. "


def _what_went_wrong(
    params: Mapping[str, Any],
    plan: Plan,
    rows: Sequence[Any],
    answer: Answer,
    differs: str,
    still_running: Sequence[Mapping[str, Any]],
) -> str:
    applied = f"Applied before that: {', '.join(_names(rows))}. " if _names(rows) else ""
    failed = [row for row in rows if not row.success]
    if answer.timed_out:
        return (
            f"{params['command']} did not end in time and was ended after {answer.seconds:.0f} s, with all its processes. "
            f"{_left_running(still_running)}"
            f"{applied}{f'Not as planned: {differs}. ' if differs else ''}Raise timeout, or see what it waited for"
        )
    if failed:
        return (
            f"{failed[0].script} failed and left a row with success=false, so it was not rolled back as a whole: see what "
            f"it left, clean that up, then repair. {applied}{answer.error}"
        )
    if answer.code == 0 and not answer.error:
        return (
            f"the tool ended well, and yet the history is not as planned: {differs}. {applied}"
            "Does it use another database, schema, table or other locations?"
        )
    if not differs:
        return f"the history is as planned, and yet the tool reports an error (it ended with {answer.code}): {answer.error}"
    if params["command"] == REPAIR:
        return f"repair failed: {answer.error}. {differs}"
    done = {row.script for row in rows}
    stopped = next((info for info in plan.apply if info.script not in done), None)
    if stopped is None:
        return f"migrate failed. {applied}{answer.error}"
    if not any(stopped.script in line for line in (answer.error, *answer.output)):
        return f"the tool ended with {answer.code}, and {stopped.script} has no row. {applied}{answer.error}"
    return f"{stopped.script} failed and left no row: {_left_behind(stopped)}. {applied}{answer.error}"


def _left_behind(info: Info) -> str:
    """What a migration without a row may have left in the database."""
    try:
        text = info.resolved.file.read().decode("utf-8", "replace") if info.resolved and info.resolved.file else ""
    except (OSError, TooBig):
        text = ""
    if not text:
        return "whether PostgreSQL rolled back all of it is not known, since its text is not"
    outside = info.resolved is not None and info.resolved.in_transaction is False
    if outside or (_OUTSIDE.search(text) and not (info.resolved and info.resolved.in_transaction)):
        return "it has statements that run outside of transactions, so see what they left (an invalid index, half the rows)"
    return "PostgreSQL rolled it back"


def _names(rows: Sequence[Any]) -> list[str]:
    return [row.version_text or row.description for row in rows if row.success]


def _with_diff(result: dict[str, Any], context: Context, before: History, after: str) -> dict[str, Any]:
    if not context.diff:
        return result
    head = f"{before.schema}.{before.table} in {before.database}"
    return {
        **result,
        "diff": {
            "before_header": head,
            "after_header": head,
            "before": flyway_act_plan.text(before),
            "after": after,
        },
    }
