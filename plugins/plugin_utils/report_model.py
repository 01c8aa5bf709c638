# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From the events of a run to its report: the structure that docs/report.schema.json describes. Pure, no I/O."""

from __future__ import annotations

import datetime
import shlex
from collections.abc import Iterable, Mapping
from typing import Any

from ansible_collections.sre.runbooks.plugins.module_utils import checks
from ansible_collections.sre.runbooks.plugins.plugin_utils.report_command import next_commands

SCHEMA_VERSION = 1
GATE = "sre.runbooks.verdict"
RANK: dict[str, int] = {status: position for position, status in enumerate(checks.WORST_FIRST)}
NO_GATE = "No verdict was given: the gate of no procedure ran."
ENDED = {
    "running": "The run has not ended, or was killed. ",
    "interrupted": "The run ended early (interrupted, or stopped by an error). ",
    "finished": "",
}
RED = ("failed", "unreachable")

Event = dict[str, Any]


def build(events: Iterable[Event], state: str) -> dict[str, Any]:
    """The report of a run.

    events: in the order they happened, as the callback writes them to events.jsonl. state: ``running``, ``finished`` or
    ``interrupted`` (the run ended without its statistics: Ctrl-C, a dead worker, a killed controller).
    """
    log = list(events)
    run = _run(log, state)
    tasks = [event for event in log if event["event"] == "task"]
    recap: dict[str, dict[str, int]] = next((event["recap"] for event in reversed(log) if event["event"] == "end"), {})
    hosts = list(dict.fromkeys(task["host"] for task in tasks))
    deployments, evidence = [], []
    for host in hosts:
        own = [task for task in tasks if task["host"] == host]
        deployment, others = _deployment(host, own, recap.get(host, {}), run["inventory"])
        evidence += others
        if deployment:
            deployments.append(deployment)
    deployments.sort(key=lambda item: (RANK[item["verdict"]], item["name"]))
    evidence.sort(key=lambda item: item["time"])
    notes = _notes(log)
    verified = any(item["procedures"] for item in deployments)
    verdict = _verdict(deployments, verified, state)
    return {
        "schema_version": SCHEMA_VERSION,
        "verdict": verdict,
        "verified": verified,
        "headline": _headline(deployments, verified, state, notes),
        "counts": _counts(deployments),
        "run": run,
        "deployments": deployments,
        "changes": [change for task in tasks for change in _changes(task)],
        "evidence": evidence,
        "notes": notes,
        "settings": [
            {"host": task["host"], "settings": result["settings"]}
            for task in tasks
            for result in _results(task)
            if result.get("settings")
        ],
        "recap": recap,
        "timeline": [{key: value for key, value in task.items() if key not in ("event", "result")} for task in tasks],
    }


def _run(log: list[Event], state: str) -> dict[str, Any]:
    starts = [event for event in log if event["event"] == "run"]
    first = starts[0] if starts else {"time": ""}
    ended = log[-1]["time"] if log else first["time"]
    launched = next((event["launched_by"] for event in log if event.get("launched_by")), "")
    return {
        "playbooks": list(dict.fromkeys(event["playbook"] for event in starts)),
        "state": state,
        "started": first["time"],
        "ended": ended,
        "duration_ms": _milliseconds_between(first["time"], ended),
        "user": launched or first.get("user", ""),
        "controller": first.get("controller", ""),
        "inventory": first.get("inventory", []),
        "limit": first.get("limit", ""),
        "tags": first.get("tags", []),
        "skip_tags": first.get("skip_tags", []),
        "check_mode": bool(first.get("check_mode")),
        "diff_mode": bool(first.get("diff_mode")),
        "versions": first.get("versions", {}),
    }


def _milliseconds_between(start: str, end: str) -> int:
    try:
        span = datetime.datetime.fromisoformat(end) - datetime.datetime.fromisoformat(start)
    except ValueError:
        return 0
    return max(0, round(span.total_seconds() * 1000))


def _results(task: Event) -> list[dict[str, Any]]:
    """The results of our own module in a task: one, or one for each item of a loop."""
    result = task.get("result")
    if result is None:
        return []
    return list(result["items"]) if result.get("items") else [result]


def _deployment(
    host: str, tasks: list[Event], recap: Mapping[str, int], inventory: list[str]
) -> tuple[dict[str, Any] | None, list[dict[str, Any]]]:
    """The rows of one host and its evidence. None when the host neither ran a module of ours nor ended red."""
    procedures: dict[str, dict[str, Any]] = {}
    evidence: list[dict[str, Any]] = []
    for task in tasks:
        for result in _results(task):
            if task["action"] == GATE and result.get("procedure"):
                superseded = _judge(procedures, task, result)
                evidence += [superseded] if superseded else []
            elif "verdict" in result or "checks" in result:
                evidence.append(_evidence(task, result))
    problems = _problems(tasks, recap)
    ours = any("result" in task for task in tasks)
    if not (procedures or problems or ours):
        return None, evidence
    rows = list(procedures.values())
    for row in rows:
        _finish(row, host, inventory)
    verdict, reason = _verdict_of_host(rows, problems, recap)
    rows.sort(key=lambda row: RANK[row["verdict"]])
    return {"name": host, "verdict": verdict, "reason": reason, "procedures": rows, "problems": problems}, evidence


def _judge(procedures: dict[str, dict[str, Any]], task: Event, result: dict[str, Any]) -> dict[str, Any] | None:
    """Take in one result of the verdict action; returns the earlier judgement of the procedure that it replaces."""
    name = result["procedure"]
    row = procedures.get(name)
    if row is not None and "checks" not in result:
        verdict = result.get("verdict", checks.UNVERIFIED)
        row.update(verdict=verdict, gated=True, time=task["time"], msg=result.get("msg", ""))
        return None
    procedures[name] = {
        "procedure": name,
        "system": result.get("system") or name.split(".")[0],
        "verdict": result.get("verdict", checks.UNVERIFIED),
        "gated": "checks" not in result or task["status"] == "failed",
        "msg": result.get("msg", ""),
        "time": task["time"],
        "check_mode": task["check_mode"],
        "checks": list(result.get("checks", [])),
        "findings": [dict(item) for item in result.get("findings", [])],
        "accepted": list(result.get("accepted", [])),
        "notes": list(result.get("notes", [])),
    }
    return _evidence({**task, "time": row["time"]}, row) if row else None


def _finish(row: dict[str, Any], host: str, inventory: list[str]) -> None:
    row["checks"].sort(key=lambda check: RANK[check["status"]])
    for finding in row["findings"]:
        step = finding["next"]
        finding["commands"] = next_commands(step, inventory, host) if step else []


def _evidence(task: Event, result: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "host": task["host"],
        "task": task["task"],
        "action": task["action"],
        "time": task["time"],
        "status": task["status"],
        "duration_ms": task["duration_ms"],
        "verdict": result.get("verdict", checks.UNVERIFIED),
        "msg": result.get("msg", ""),
        "checks": sorted(result.get("checks", []), key=lambda check: RANK[check["status"]]),
        "findings": [{**item, "commands": []} for item in result.get("findings", [])],
        **({"capture": result["capture"]} if result.get("capture") is not None else {}),
    }


def _problems(tasks: list[Event], recap: Mapping[str, int]) -> list[dict[str, Any]]:
    """Failed and unreachable tasks outside the gate. ``rescued`` only where the host's statistics leave no doubt."""
    rescued = bool(recap) and not recap.get("failures") and not recap.get("unreachable")
    return [
        {
            "time": task["time"],
            "task": task["task"],
            "action": task["action"],
            "status": task["status"],
            "msg": "; ".join(result["msg"] for result in _results(task) if result.get("msg")),
            "rescued": rescued,
        }
        for task in tasks
        if task["status"] in RED and task["action"] != GATE
    ]


def _verdict_of_host(
    rows: list[dict[str, Any]], problems: list[dict[str, Any]], recap: Mapping[str, int]
) -> tuple[str, str]:
    """The verdict of one deployment and, where the checks alone do not say it, the reason."""
    unreachable = bool(recap.get("unreachable")) or any(item["status"] == "unreachable" for item in problems)
    last = problems[-1]["task"] if problems else ""
    if not rows:
        if unreachable:
            return checks.UNVERIFIED, f"Could not be reached in '{last}'."
        if problems:
            return checks.UNVERIFIED, f"'{last}' failed before any verdict."
        return checks.UNVERIFIED, NO_GATE
    verdict = checks.verdict_of(row["verdict"] for row in rows)
    if verdict == checks.FAIL:
        return verdict, ""
    if unreachable:
        return checks.UNVERIFIED, f"Could not be reached in '{last}'."
    red_gates = sum(row["verdict"] != checks.PASS for row in rows)
    if recap.get("failures", 0) > red_gates:
        where = f"'{last}' failed" if last else "A task failed"
        return checks.FAIL, f"{where}, and the run of this deployment ended there."
    return verdict, ""


def _verdict(deployments: list[dict[str, Any]], verified: bool, state: str) -> str:
    verdict = checks.verdict_of(item["verdict"] for item in deployments)
    return checks.UNVERIFIED if verdict == checks.PASS and (state != "finished" or not verified) else verdict


def _headline(deployments: list[dict[str, Any]], verified: bool, state: str, notes: list[str]) -> str:
    """One or two sentences that say what came out."""
    ended = ENDED[state]
    if not verified:
        reasons = list(dict.fromkeys(item["reason"] for item in deployments if item["reason"])) or notes
        return f"{ended}{reasons[0] if reasons else NO_GATE}"
    total = len(deployments)
    verdicts = [item["verdict"] for item in deployments]
    if total == 1:
        name, words = deployments[0]["name"], {"pass": "passed", "fail": "failed", "unverified": "is unverified"}
        return f"{ended}{name} {words[deployments[0]['verdict']]}."
    if verdicts.count("pass") == total:
        return f"{ended}All {total} deployments passed."
    parts = [
        f"{verdicts.count(status)} {word}"
        for status, word in (("fail", "failed"), ("unverified", "unverified"), ("pass", "passed"))
        if status in verdicts
    ]
    return f"{ended}{total} deployments: {', '.join(parts)}."


def _counts(deployments: list[dict[str, Any]]) -> dict[str, int]:
    rows = [row for item in deployments for row in item["procedures"]]
    statuses = [check["status"] for row in rows for check in row["checks"]]
    return {
        **{status: statuses.count(status) for status in checks.WORST_FIRST},
        "accepted": sum(len(row["accepted"]) for row in rows),
    }


def _changes(task: Event) -> list[dict[str, Any]]:
    """What a task changed, or would change in check mode; a foreign task's change is its name alone."""
    base = {key: task[key] for key in ("time", "host", "delegated_to", "task", "action", "status", "check_mode")}
    if "result" not in task:
        return [{**base, "msg": "", "plan": None}] if task["status"] == "changed" else []
    return [
        {**base, "msg": result.get("msg", ""), "plan": result.get("plan")}
        for result in _results(task)
        if result.get("changed") or (result.get("plan") and task["status"] in RED)
    ]


def _notes(log: list[Event]) -> list[str]:
    """What the run itself has to say, beside its deployments."""
    plays = [event["play"] for event in log if event["event"] == "no_hosts"]
    return [f"No hosts matched the play '{play}'." for play in plays]


def invocation(run: Mapping[str, Any]) -> str:
    """How the run was started, without its variables, which may be secret."""
    words = ["ansible-playbook", *run["playbooks"], *(part for source in run["inventory"] for part in ("-i", source))]
    words += ["--limit", run["limit"]] if run["limit"] else []
    words += [part for tag in run["tags"] if tag != "all" for part in ("--tags", tag)]
    words += [part for tag in run["skip_tags"] for part in ("--skip-tags", tag)]
    words += ["--check"] if run["check_mode"] else []
    return shlex.join(words)
