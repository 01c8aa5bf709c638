# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The last lines of every container of many workloads, without secrets, as ``kubectl logs --prefix`` shows them.

Pods are a workload's own by their owner references. What kubectl leaves out is said: no pod at all, a container that has
no log.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from . import checks, kubernetes_client, kubernetes_logs, workload_presence, workload_view
from . import kubernetes_gather as gather
from . import kubernetes_objects as objects
from . import workload_logs_plan as plan
from .argspec import ArgumentSpec
from .bounded_regex import compiled, interrupted_after
from .checks import FAIL, PASS, UNVERIFIED, Check
from .clock import Deadline
from .errors import DeadlineError, InputError
from .kubernetes_client import Cluster
from .kubernetes_gather import Listed
from .kubernetes_logs import Log, Wanted
from .operation import Context
from .redact import certain, observed
from .text import clean
from .workload_logs_plan import Entry, Group

LINE_CHARACTERS = 2000
LEAST_BYTES = 1024
MOST_NAMED = 5
LIMITS: dict[str, tuple[int, int]] = {
    "tail_lines": (1, 5000),
    "limit_bytes": (LEAST_BYTES, 4 << 20),
    "since_seconds": (1, 30 * 86400),
    "max_pods": (1, 500),
    "max_bytes": (65536, 16 << 20),
}

SPEC = kubernetes_client.SPEC.merge(
    workload_view.SPEC,
    ArgumentSpec(
        options={
            "previous": {"type": "bool", "default": False},
            "init_containers": {"type": "bool", "default": False},
            "tail_lines": {"type": "int", "default": 100},
            "limit_bytes": {"type": "int", "default": 262144},
            "since_seconds": {"type": "int"},
            "contains": {"type": "str"},
            "regex": {"type": "str"},
            "max_pods": {"type": "int", "default": 50},
            "max_bytes": {"type": "int", "default": 2 << 20},
        },
        mutually_exclusive=(("contains", "regex"),),
    ),
)


def run(params: dict[str, Any], context: Context) -> dict[str, Any]:
    """Reads only; the same in check mode."""
    asked = workload_view.wanted(params)
    _check_limits(params)
    matches = _filter(params)
    namespace = params["namespace"]
    with Cluster(params, context) as cluster:
        listed = gather.namespace(cluster, namespace, workload_view.kinds_for(asked.kind))
        selection = workload_view.select(asked, listed)
        rows = list(workload_presence.checks_of(cluster, asked, listed, selection))
        groups = plan.groups_of(
            selection, params["max_pods"], previous=params["previous"], inits=params["init_containers"]
        )
        _read(cluster, groups, params, context)
        requests = cluster.requests
    rows += [_check(group, listed, params) for group in groups]
    for check in rows:
        check.runbook = params["runbook"]
    found = _rows(groups, matches, params, context.deadline)
    return checks.report(
        rows,
        namespace=namespace,
        selected_pods=len(selection.selected) if asked.selector and "Pod" not in listed.problems else None,
        logs=found,
        text="\n".join(line for row in found for line in _shown(row)),
        matched=sum(row["matched"] for row in found) if matches else None,
        pods_left_out=sum(len(group.pods) - len(group.chosen) for group in groups),
        requests=requests,
    )


def _check_limits(params: Mapping[str, Any]) -> None:
    for option, (least, most) in LIMITS.items():
        given = params[option]
        if given is not None and not least <= given <= most:
            raise InputError(f"{option} is {given}; it must be from {least} to {most}.", option=option)


def _filter(params: Mapping[str, Any]) -> Callable[[str], bool] | None:
    """Whether a line is wanted; None when all are."""
    for option in ("contains", "regex"):
        if params[option] == "":
            raise InputError(f"{option} is empty: every line would match. Was a variable empty?", option=option)
    if params["contains"] is not None:
        text = str(params["contains"])
        return lambda line: text in line
    if params["regex"] is not None:
        regex: re.Pattern[str] = compiled("regex", params["regex"])
        return lambda line: regex.search(line) is not None
    return None


def _read(cluster: Cluster, groups: list[Group], params: Mapping[str, Any], context: Context) -> None:
    """Every wanted log, a few at a time; each may take an equal share of the bytes in all."""
    entries = {entry.wanted: entry for group in groups for entry in group.entries if entry.wanted}
    if not entries:
        return
    context.progress(f"{params['namespace']}: reading {len(entries)} logs")
    share = min(params["limit_bytes"], max(LEAST_BYTES, params["max_bytes"] // len(entries)))

    def reader(wanted: Wanted) -> Callable[[], Log]:
        return lambda: kubernetes_logs.read(
            cluster,
            params["namespace"],
            wanted,
            params["tail_lines"],
            share,
            since_seconds=params["since_seconds"],
            lines_of=_lines_of,
        )

    for wanted, answer in gather.all_of({wanted: reader(wanted) for wanted in entries}).items():
        entries[wanted].log = answer.value
        entries[wanted].note = _why_no_lines(answer.value, params["since_seconds"])


def _lines_of(body: bytes) -> list[str]:
    """Lines without secrets, also those that go over several lines, such as keys."""
    text = certain(clean(body)).removesuffix("\n")
    return [observed(line, LINE_CHARACTERS) for line in text.split("\n")] if text else []


def _check(group: Group, listed: Listed, params: Mapping[str, Any]) -> Check:
    name = group.name if group.view else f"pods with {params['selector']} of no {params['kind']}"
    read = [entry for entry in group.entries if entry.log and entry.log.lines is not None]
    without = [entry for entry in group.entries if not entry.log or not entry.log.lines]
    lost = [entry for entry in group.entries if entry.lost]
    lines = sum(len(entry.log.lines or []) for entry in read if entry.log)
    check = Check(
        f"logs.{group.name}",
        f"Logs of {name} can be read",
        PASS,
        observed=f"{lines} lines of {len(read)} containers in {len(group.chosen)} pods{_without(without)}",
        expected=f"at least one pod, and the log of every container that {'restarted' if params['previous'] else 'runs'}",
        hint="That a log could be read says nothing about what stands in it.",
    )
    blind = listed.unseen("Pod") or ("" if group.pods else listed.unseen("ReplicaSet"))
    if blind:
        check.status, check.observed = UNVERIFIED, blind
        check.hint = "Which pods there are is not known."
    elif not group.pods:
        rollout = group.view.rollout if group.view else None
        why = f"; {rollout.desired} wanted; {rollout.message or rollout.reason}" if rollout else ""
        check.status, check.observed = FAIL, f"there is no pod{why}"
        check.hint = (
            "kubectl logs prints nothing and ends with 0 on this. "
            f"sre.runbooks.{params['system']}.diagnose_startup says why there is none."
        )
    elif lost:
        more = f" (and {len(lost) - 1} more logs)" if len(lost) > 1 else ""
        check.status, check.observed = UNVERIFIED, f"{lost[0].note}{more}"
        check.hint = f"{len(read)} of {len(group.entries)} logs could be read; what stands in the others is not known."
    elif len(group.chosen) < len(group.pods):
        check.status = UNVERIFIED
        check.observed = f"{check.observed}; {len(group.pods) - len(group.chosen)} pods were left out"
        check.hint = "Raise max_pods, or name fewer workloads: those that are not ready were taken first."
    elif not read and not params["previous"]:
        check.status = UNVERIFIED
        check.hint = f"Nothing has run yet. sre.runbooks.{params['system']}.diagnose_startup says why."
    return check


def _without(entries: list[Entry]) -> str:
    """Containers without a line, for a message."""
    if not entries:
        return ""
    named = [f"{objects.name(entry.pod)}/{entry.container.name} ({entry.note})" for entry in entries[:MOST_NAMED]]
    more = f" and {len(entries) - MOST_NAMED} more" if len(entries) > MOST_NAMED else ""
    return f"; no line of {', '.join(named)}{more}"


def _why_no_lines(log: Log | None, since_seconds: int | None) -> str:
    if log is None or log.lines:
        return ""
    if log.problem:
        return log.problem.message
    return f"has written nothing{f' in the last {since_seconds} s' if since_seconds else ''}"


def _rows(
    groups: list[Group], matches: Callable[[str], bool] | None, params: Mapping[str, Any], deadline: Deadline
) -> list[dict[str, Any]]:
    found = [{**_row(group, entry), "matched": 0 if matches else None} for group in groups for entry in group.entries]
    if matches and any(row["lines"] for row in found):
        try:
            with interrupted_after(deadline):
                for row in found:
                    row["lines"] = [line for line in row["lines"] if matches(line)]
                    row["matched"] = len(row["lines"])
                    if row["lines_read"] and not row["lines"]:
                        row["note"] = f"none of {row['lines_read']} lines matches"
        except DeadlineError as error:
            raise DeadlineError(
                f"the lines were not filtered within {deadline.seconds:g} s: raise timeout, or simplify the regex "
                f"{observed(str(params['regex'] or params['contains']), 200)!r}."
            ) from error
    return found


def _row(group: Group, entry: Entry) -> dict[str, Any]:
    log = entry.log
    lines = (log.lines or []) if log else []
    return {
        "workload": group.name if group.view else None,
        "pod": objects.name(entry.pod),
        "container": entry.container.name,
        "init": entry.container.init,
        "node": (entry.pod.get("spec") or {}).get("nodeName"),
        "previous": bool(entry.wanted and entry.wanted.previous),
        "lines": lines,
        "lines_read": None if log is None or log.lines is None else len(lines),
        "truncated": bool(log and log.cut),
        "note": entry.note or None,
    }


def _shown(row: Mapping[str, Any]) -> list[str]:
    """As ``kubectl logs --prefix`` writes it, with a word on what has no lines."""
    before = " previous" if row["previous"] else ""
    prefix = f"[pod/{row['pod']}/{row['container']}{before}]"
    return [f"{prefix} {line}" for line in row["lines"]] or [f"{prefix} ({row['note']})"]
