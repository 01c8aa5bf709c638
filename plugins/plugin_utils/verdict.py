# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The judgement of a procedure: which checks there are, which are accepted, what the verdict is. Pure, no I/O."""

from __future__ import annotations

import datetime
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from ansible_collections.sre.runbooks.plugins.module_utils import checks, redact, text
from ansible_collections.sre.runbooks.plugins.plugin_utils.report_command import next_commands

WIDTH = 80
MOST_LINES = 6  # of one check
MOST_GREEN = 24
MARK = {checks.FAIL: "FAIL", checks.UNVERIFIED: "????", checks.PASS: "ok", "accepted": "acc."}
ACCEPTANCE_KEYS = ("check", "reason", "owner", "until")


@dataclass
class Judgement:
    """What a procedure ends with, for one deployment.

    ``checks`` are in worst-first order. ``accepted`` holds those whose lack was declared, with reason, owner and until;
    they stay visible and are left out of the verdict.
    """

    verdict: str
    checks: list[dict[str, Any]]
    findings: list[dict[str, Any]]
    accepted: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def judge(
    registers: Mapping[str, Any],
    accepted: Any,
    today: datetime.date,
    optional: frozenset[str] = frozenset(),
    steps: frozenset[str] = frozenset(),
) -> Judgement:
    """Judge the registered results of a procedure.

    registers: name of the register to its result, None when the task never ran. accepted: the deployment's declared
    lacks. optional: registers that may be absent (a diagnosis that runs only after a failure). steps: registers of
    actions, which hold no checks and count only when they failed.
    """
    rows: list[dict[str, Any]] = []
    findings: list[dict[str, Any]] = []
    for name, result in registers.items():
        if name in optional and not _ran(result):
            continue
        if name in steps and not (_ran(result) and result.get("failed")):
            continue
        new_rows, new_findings = _rows_of(name, _failed_items(result) if name in steps else result)
        new_rows = [row for row in new_rows if not _said_before(row, rows)]
        renamed = _rename_twins(name, new_rows, {row["id"] for row in rows})
        rows += new_rows
        for finding in new_findings:
            finding["evidence"] = [renamed.get(item, item) for item in finding.get("evidence", [])]
            if finding not in findings:
                findings.append(finding)
    switched_off = [note for result in registers.values() for note in _not_checked(result)]
    acceptances, wrong = _acceptances(accepted)
    rows += wrong
    taken, notes = _accept(rows, acceptances, today)
    left = [row for row in rows if row["id"] not in {item["id"] for item in taken}]
    rank = {status: position for position, status in enumerate(checks.WORST_FIRST)}
    left.sort(key=lambda row: rank[row["status"]])
    return Judgement(checks.verdict_of(row["status"] for row in left), left, findings, taken, [*switched_off, *notes])


def _not_checked(result: Any) -> list[str]:
    """Checks that were switched off: never green, and never silent."""
    rows = result.get("not_checked") if isinstance(result, Mapping) else None
    return [f"not checked: {row['id']} ({row['reason']})" for row in rows or () if isinstance(row, Mapping)]


def _said_before(row: dict[str, Any], rows: list[dict[str, Any]]) -> bool:
    """Two modules that look at the same thing and see the same are one row."""
    same = ("id", "title", "status", "observed")
    return any(all(row[key] == other[key] for key in same) for other in rows)


def _ran(result: Any) -> bool:
    return isinstance(result, Mapping) and not result.get("skipped")


def _failed_items(result: Mapping[str, Any]) -> Mapping[str, Any]:
    """Of an action in a loop what failed; the others hold no checks, and did what they should."""
    items = result.get("results")
    failed = (
        [item for item in items if isinstance(item, Mapping) and item.get("failed")] if isinstance(items, list) else []
    )
    return {**result, "results": failed} if failed else result


def _rows_of(name: str, result: Any) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    if not _ran(result):
        return [_unverified(name, "did not run", "An earlier step failed, or its condition was not met.")], []
    if isinstance(result.get("results"), list) and "verdict" not in result:
        pairs = [_rows_of(name, item) for item in result["results"]]
        if not pairs:
            return [_unverified(name, "ran over nothing", "The list it loops over is empty.")], []
        return [row for pair in pairs for row in pair[0]], [finding for pair in pairs for finding in pair[1]]
    rows = [_row(item) for item in result.get("checks") or () if isinstance(item, Mapping)]
    findings = [dict(item) for item in result.get("findings") or () if isinstance(item, Mapping)]
    if result.get("failed") or result.get("unreachable"):
        message = text.shorten(redact.observed(str(result.get("msg", "no message"))), 600)
        rows.append(_unverified(name, f"could not do what it was asked: {message}", "The message says what to mend."))
    elif not rows:
        rows.append(_unverified(name, "returned no checks", "A result without checks proves nothing."))
    return rows, findings


def _row(item: Mapping[str, Any]) -> dict[str, Any]:
    known = {name: item.get(name) for name in checks.Check.__dataclass_fields__}
    row = {**known, "id": str(item.get("id", "?")), "title": str(item.get("title") or item.get("id", "?"))}
    row["hint"], row["runbook"] = str(item.get("hint") or ""), str(item.get("runbook") or "")
    if row["status"] not in checks.WORST_FIRST:
        row["status"], row["hint"] = checks.UNVERIFIED, f"unknown status {item.get('status')!r}"
    return row


def _unverified(name: str, observed: str, hint: str) -> dict[str, Any]:
    return checks.Check(name, name.replace("_", " "), checks.UNVERIFIED, observed, "a result", hint).as_dict()


def _rename_twins(name: str, rows: list[dict[str, Any]], taken: set[str]) -> dict[str, str]:
    """Give every row an id of its own; returns old id to new id."""
    renamed: dict[str, str] = {}
    for row in rows:
        old = row["id"]
        candidate, number = old, 1
        while candidate in taken:
            candidate = f"{name}.{old}" if number == 1 else f"{name}.{old}.{number}"
            number += 1
        row["id"] = candidate
        taken.add(candidate)
        if candidate != old:
            renamed[old] = candidate
    return renamed


def _acceptances(declared: Any) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The declared acceptances that are complete, and an unverified row for each that is not."""
    if declared in (None, ""):
        return [], []
    if not isinstance(declared, (list, tuple)):
        return [], [_bad_acceptance(0, f"is {text.shorten(redact.observed(str(declared)), 60)!r}, not a list")]
    good: list[dict[str, Any]] = []
    wrong: list[dict[str, Any]] = []
    for number, item in enumerate(declared, 1):
        missing = [
            key for key in ACCEPTANCE_KEYS if not (isinstance(item, Mapping) and str(item.get(key) or "").strip())
        ]
        if missing:
            wrong.append(_bad_acceptance(number, f"lacks {', '.join(missing)}"))
            continue
        try:
            until = datetime.date.fromisoformat(str(item["until"])[:10])
        except ValueError:
            wrong.append(_bad_acceptance(number, f"has until={item['until']!r}, which is not a date YYYY-MM-DD"))
            continue
        good.append({**{key: str(item[key]) for key in ACCEPTANCE_KEYS}, "until": until})
    return good, wrong


def _bad_acceptance(number: int, observed: str) -> dict[str, Any]:
    return checks.Check(
        f"accepted.{number}",
        f"declared acceptance {number}",
        checks.UNVERIFIED,
        observed,
        "check, reason, owner, until",
        "Complete or remove the entry of the <system>_accepted list in the inventory.",
    ).as_dict()


def _accept(
    rows: list[dict[str, Any]], acceptances: list[dict[str, Any]], today: datetime.date
) -> tuple[list[dict[str, Any]], list[str]]:
    by_id = {row["id"]: row for row in rows}
    taken: list[dict[str, Any]] = []
    notes: list[str] = []
    for item in acceptances:
        row = by_id.get(item["check"])
        label = f"{item['check']} (until {item['until']}, {item['owner']})"
        if row is None:
            notes.append(f"accepted but not among the checks of this run: {label}")
        elif row["status"] == checks.PASS:
            notes.append(f"accepted but passes now, remove the entry: {label}")
        elif today > item["until"]:
            notes.append(f"acceptance has expired: {label}")
            row["hint"] = f"Acceptance expired on {item['until']} (owner {item['owner']}). {row['hint']}".strip()
        else:
            taken.append({**row, **{k: str(v) for k, v in item.items() if k != "check"}})
    return taken, notes


def summary(judgement: Judgement) -> str:
    """One line: the verdict and how many checks there were of each kind."""
    total = len(judgement.checks)
    count = {status: sum(row["status"] == status for row in judgement.checks) for status in checks.WORST_FIRST}
    parts = [f"{count[checks.PASS]} of {total} checks pass"]
    words = ((checks.FAIL, "failed"), (checks.UNVERIFIED, "unverified"))
    parts += [f"{count[status]} {word}" for status, word in words if count[status]]
    parts += [f"{len(judgement.accepted)} accepted"] if judgement.accepted else []
    return f"{judgement.verdict.upper()}: {', '.join(parts)}"


def causes(judgement: Judgement) -> str:
    """The named causes, for the end of a message; empty when there are none."""
    named = ", ".join(dict.fromkeys(finding["cause"] for finding in judgement.findings if finding.get("cause")))
    return f"; cause: {named}" if named else ""


def table(host: str, procedure: str, judgement: Judgement, inventory: Sequence[str] = ()) -> str:
    """Checks and findings, worst first, 80 columns: one line for what is green, the whole story for what is not."""
    lines = [_fit(f"{host}  {procedure}"), _fit(f"  {summary(judgement)}")]
    width = min(26, max((len(row["id"]) for row in judgement.checks + judgement.accepted), default=0))
    green = 0
    for row in judgement.checks:
        line = f"  {MARK[row['status']]:<4}  {row['id']:<{width}}  {_what(row)}"
        if row["status"] == checks.PASS:
            green += 1
            lines += [_fit(line)] if green <= MOST_GREEN else []
            continue
        lines += textwrap.wrap(line, WIDTH, subsequent_indent=" " * 8, drop_whitespace=True)[:MOST_LINES]
        if row["hint"]:
            lines += textwrap.wrap(row["hint"], WIDTH, initial_indent="        -> ", subsequent_indent="           ")
    if green > MOST_GREEN:
        lines.append(_fit(f"  {MARK[checks.PASS]:<4}  and {green - MOST_GREEN} more pass; the report lists them all"))
    for row in judgement.accepted:
        said = f"accepted until {row['until']} by {row['owner']}: {row['reason']}"
        lines.append(_fit(f"  {MARK['accepted']:<4}  {row['id']:<{width}}  {said}"))
    for finding in judgement.findings:
        evidence = ", ".join(finding.get("evidence", []))
        lines.append(_fit(f"  why   {finding.get('cause')} ({finding.get('confidence')}: {evidence})"))
        if finding.get("next"):
            commands = next_commands(finding["next"], inventory, host)
            lines += [
                line for each in commands for line in (f"        {each['label']}:", f"          {each['command']}")
            ]
    lines += [_fit(f"  note  {note}") for note in judgement.notes]
    return "\n".join(lines)


def _what(row: Mapping[str, Any]) -> str:
    seen = _short(row.get("observed"))
    if row["status"] == checks.PASS or row.get("expected") in (None, ""):
        return seen or row["title"]
    return f"{seen or 'nothing observed'}; expected {_short(row['expected'])}"


def _short(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, Mapping):
        return ", ".join(f"{key}={_short(item)}" for key, item in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(_short(item) for item in value) or "none"
    return " ".join(str(value).split())


def _fit(line: str) -> str:
    return line if len(line) <= WIDTH else line[: WIDTH - 1] + "\u2026"
