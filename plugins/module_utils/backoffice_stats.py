# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The recovery check of a BackOffice: ask its endpoints once (or its statistics twice) and judge them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible.module_utils.basic import env_fallback

from . import backoffice_api, backoffice_checks, backoffice_gather, checks, http_client, redact
from .argspec import ArgumentSpec
from .backoffice_checks import NotChecked, Rules
from .backoffice_gather import Seen
from .checks import FAIL, Check, Finding, Next
from .errors import InputError
from .operation import Context

SUBSETS = ("health", "stats", "positions", "balances", "ledger", "reconcile")
MINIMUM = ("health", "stats")

SPEC = ArgumentSpec(
    options={
        "url": {"type": "str", "required": True, "fallback": (env_fallback, ["BACKOFFICE_URL"])},
        "gather_subset": {"type": "list", "elements": "str", "default": ["all"], "choices": ["all", "min", *SUBSETS]},
        "stale_after_seconds": {"type": "float", "default": 120.0},
        "replay_slo_ms": {"type": "int", "default": 5000},
        "strict": {"type": "bool", "default": False},
        "consumer_caught_up": {"type": "bool"},
        "ledger_limit": {"type": "int", "default": 10},
        "reconcile_limit": {"type": "int", "default": 1000},
        "samples": {"type": "int", "default": 1, "choices": [1, 2]},
        "sample_interval_seconds": {"type": "float", "default": 5.0},
    }
).merge(backoffice_api.ACCOUNT, http_client.SPEC)


def run(params: dict[str, Any], context: Context) -> dict[str, Any]:
    """Gather and judge; see the module's RETURN."""
    settings = http_client.settings(params)
    url = http_client.check_url(params["url"], "url")
    rules = Rules(
        stale_after_seconds=http_client.require_range(params, "stale_after_seconds", 0, 31_536_000),
        replay_slo_ms=int(http_client.require_range(params, "replay_slo_ms", 0, 86_400_000)),
        strict=params["strict"],
        consumer_caught_up=params["consumer_caught_up"],
    )
    limits = (
        int(http_client.require_range(params, "ledger_limit", 1, backoffice_gather.LEDGER_MOST)),
        int(http_client.require_range(params, "reconcile_limit", 1, backoffice_gather.RECONCILE_MOST)),
    )
    interval = http_client.require_range(params, "sample_interval_seconds", 0.1, 3600)
    subset = _subset(params["gather_subset"])
    if params["samples"] == 2 and "stats" not in subset:
        raise InputError(
            "samples is 2, but gather_subset leaves out stats, which is what is sampled.", option="samples"
        )
    who = backoffice_api.credentials(params, context.clock)
    with http_client.Client(settings, context) as client:
        api = backoffice_api.Api(client, url, who, context.clock)
        second = interval if params["samples"] == 2 else None
        seen = backoffice_gather.gather(api, context, subset, limits=limits, second_sample_after=second)
    return _result(seen, rules, subset, params, who.account_id, context)


def _subset(chosen: list[str]) -> set[str]:
    subset = set(chosen)
    if "all" in subset or not subset:
        return set(SUBSETS)
    return (subset - {"min"}) | (set(MINIMUM) if "min" in subset else set())


def _result(
    seen: Seen, rules: Rules, subset: set[str], params: Mapping[str, Any], account_id: str | None, context: Context
) -> dict[str, Any]:
    offset = _clock_offset(seen)
    # what is measured against the server's events is measured by the server's clock where ours is off
    now = context.clock.now() + (offset if offset is not None and abs(offset) > 2 else 0)
    rows = _judge(seen, rules, subset, params["samples"] == 2, now)
    found = [row for row in rows if isinstance(row, Check)]
    entries = backoffice_gather.entries_of(seen.replies.get("ledger"))
    sample = seen.samples[-1] if seen.samples else None
    age = None if sample is None or sample.last_event_ms is None else round(now - sample.last_event_ms / 1000, 1)
    listed = {name: backoffice_gather.rows_of(seen.replies.get(name), name) for name in ("positions", "balances")}
    return checks.report(
        found,
        _findings(seen, found),
        not_checked=[row.as_dict() for row in rows if isinstance(row, NotChecked)],
        url=http_client.shown_url(params["url"]),
        account_id=account_id,
        http=_http(seen),
        auth_reason=next((reply.reason for reply in seen.replies.values() if reply.reason), None),
        clock_offset_seconds=None if offset is None else round(offset, 1),
        answers={name: reply.as_dict() for name, reply in seen.replies.items()},
        shape=sample.shape if sample else None,
        stats=None if sample is None else {**sample.as_dict(), "last_event_age_seconds": age},
        progress=backoffice_checks.progress_of(seen),
        **{name: redact.structure(listed[name]) for name in listed if name in subset},
        ledger=redact.structure(entries[-params["ledger_limit"] :])
        if entries is not None and "ledger" in subset
        else None,
        ledger_entries=seen.entries,
        state_empty=None if listed["positions"] is None else not (listed["positions"] or listed["balances"]),
        ledger_empty=None if entries is None else not entries,
        reconcile=_reconcile(seen),
    )


def _judge(seen: Seen, rules: Rules, subset: set[str], two_samples: bool, now: float) -> list[Check | NotChecked]:
    rows: list[Check | NotChecked] = []
    if "health" in subset:
        rows += backoffice_checks.health(seen)
    if "stats" in subset:
        rows += backoffice_checks.stats(seen)
        rows += backoffice_checks.last_event_age(seen, rules, now)
        rows += backoffice_checks.replay(seen, rules)
        rows += backoffice_checks.consumer_progress(seen, rules, two_samples)
    for name in ("positions", "balances", "ledger", "reconcile"):
        if name in subset:
            rows += getattr(backoffice_checks, name)(seen)
    return rows


def _http(seen: Seen) -> str:
    """ok, refused, unauthorized or error: the worst of what the endpoints said."""
    meanings = {reply.meaning for reply in seen.replies.values()}
    for name in ("refused", "unauthorized"):
        if name in meanings:
            return name
    return "ok" if meanings <= {"ok"} else "error"


def _clock_offset(seen: Seen) -> float | None:
    offsets = [r.clock_offset_seconds for r in seen.replies.values() if r.clock_offset_seconds is not None]
    return min(offsets, key=abs) if offsets else None


def _reconcile(seen: Seen) -> dict[str, Any] | None:
    if seen.parts is None:
        return None
    return {"limit": seen.limit, "covered": seen.covered, **{name: part.as_dict() for name, part in seen.parts.items()}}


def _findings(seen: Seen, found: list[Check]) -> list[Finding]:
    """What several checks mean together. What one check says, its hint says."""
    answered = {name for name, reply in seen.replies.items() if reply.meaning == "ok"}
    failed = {check.id for check in found if check.status == FAIL}
    errors = {name for name, reply in seen.replies.items() if reply.meaning == "server_error"}
    scan = Next("sre.runbooks.backoffice.ledger_repair", {}, "read")
    findings: list[Finding] = []
    if "ledger" in errors:
        findings.append(Finding("ledger_unreadable", "inferred", ["ledger"], ["ledger", "reconcile"], scan))
    elif errors & {"positions", "balances", "reconcile"}:
        evidence = sorted(failed & {"positions", "balances", "reconcile.balances", "reconcile.positions"})
        store = Next("sre.runbooks.backoffice.rdb_compliance", {}, "read")
        findings.append(Finding("store_down", "inferred", evidence, ["positions", "balances", "new events"], store))
    elif "ledger" in failed and {"ledger", "positions"} <= answered:
        findings.append(
            Finding("ledger_replaced_while_running", "inferred", ["ledger", "positions"], ["events since then"], scan)
        )
    elif "reconcile" in answered and failed & {"reconcile.balances", "reconcile.positions"}:
        evidence = sorted(
            failed & {"reconcile.balances", "reconcile.positions", "replay_lines", "positions", "balances"}
        )
        findings.append(Finding("ledger_and_store_differ", "seen", evidence, ["positions", "balances"], scan))
    if "replay_lines" in failed:
        findings.append(Finding("ledger_lines_skipped", "seen", ["replay_lines"], ["what those lines booked"], scan))
    return findings
