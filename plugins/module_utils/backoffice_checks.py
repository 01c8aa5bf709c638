# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Judge what a BackOffice answered. Pure rules: no network, no clock of their own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from . import backoffice_gather, backoffice_shape, checks, jwt_token, redact
from .backoffice_api import CLOCK_SKEW_SECONDS, Reply
from .backoffice_gather import Seen
from .backoffice_shape import HEALTHY_STATES, Stats
from .checks import FAIL, PASS, UNVERIFIED, Check, Status

DIFFS_SHOWN = 5
SKIPPED_IN_A_ROW = 6  # more than one order's own skipped events, none applied between them
EMPTY_HINT = (
    "An empty system, a lost ledger and an account that nobody has look the same: ask for an account with orders."
)


@dataclass(frozen=True)
class Rules:
    """What is expected. A number that is 0 is not checked."""

    stale_after_seconds: float = 120
    replay_slo_ms: int = 5000
    strict: bool = False
    consumer_caught_up: bool | None = None

    @property
    def quiet(self) -> bool:
        """The broker showed that there is nothing left to read, and the caller takes that for an answer."""
        return bool(self.consumer_caught_up) and not self.strict


@dataclass(frozen=True)
class NotChecked:
    """A check that was switched off."""

    id: str
    reason: str

    def as_dict(self) -> dict[str, str]:
        return vars(self)


def health(seen: Seen) -> Iterator[Check]:
    """/health answers, and as a BackOffice does."""
    reply = seen.replies.get("health")
    if reply is None:
        return
    hint = "It says nothing about consumer, database or ledger."
    status: Status = PASS
    observed, document = reply.text, reply.document
    if reply.meaning != "ok" or not isinstance(document, dict):
        status = FAIL if reply.meaning == "ok" else reply.status
        hint = reply.hint
        if reply.meaning == "refused":
            hint = "A long replay looks the same: HTTP opens only after it. Ask the service manager before saying down."
    elif str(document.get("status", "ok")).lower() not in ("ok", "up"):
        status, observed = FAIL, f"status {text_of(document['status'])}"
    yield Check(
        "health", "BackOffice answers", status, observed, "HTTP 200, status ok", hint, "2", reply.answer.latency_ms
    )


def stats(seen: Seen) -> Iterator[Check]:
    """/stats answers in a known shape, and names no state that is wrong."""
    missing = _missing(seen, "stats", "stats", "Statistics", "statistics of a known shape")
    if missing:
        yield missing
        return
    sample = seen.samples[-1]
    status: Status = PASS
    hint = "Counters are those since the last start; a consumer that died leaves them frozen and the answer good."
    observed = f"{sample.shape}: processed {sample.processed}, skipped {sample.skipped}"
    if sample.shape == "unknown":
        keys = ", ".join(sample.keys) or "none"
        status, observed = FAIL, f"an unknown shape (keys: {keys})"
        hint = "Neither ledgerReplay nor currentAuditSize is there: another program, or a newer version."
    elif sample.shape == "java":
        bad = [f"state {s.state}" for s in seen.samples if s.state not in HEALTHY_STATES]
        if sample.enabled is False:
            bad.append("not enabled")
        bad += sample.losses
        replaying = bad and all(text == "state REPLAYING" for text in bad)
        status = PASS if not bad else UNVERIFIED if replaying else FAIL
        observed = ", ".join(dict.fromkeys(bad)) or f"{observed}, state {sample.state}"
        hint = "ERROR is retried and flips back to RUNNING: take two samples."
    duration = seen.replies["stats"].answer.latency_ms
    yield Check(
        "stats", "Statistics", status, observed, "statistics of a known shape, a healthy state", hint, "2", duration
    )


def last_event_age(seen: Seen, rules: Rules, now: float) -> Iterator[Check | NotChecked]:
    """The age of the last applied event. ``now`` is the time in seconds by which it is measured."""
    name = "last_event_age"
    if "stats" not in seen.replies and not seen.unasked:
        return
    if rules.stale_after_seconds <= 0:
        yield NotChecked(name, "stale_after_seconds is 0")
        return
    title, expected = "Last event is recent", f"at most {rules.stale_after_seconds:g} s old"
    missing = _missing(seen, "stats", name, title, expected) or _unknown(seen, name, title, expected)
    if missing:
        yield missing
        return
    sample = seen.samples[-1]
    status, observed, hint = _age(sample, rules, now)
    yield Check(name, title, status, observed, expected, hint, "Checklist")


def _age(sample: Stats, rules: Rules, now: float) -> tuple[Status, str, str]:
    if sample.last_event is None:
        observed = "no event since the last start"
        if rules.quiet:
            return PASS, f"{observed}; the consumer group has nothing left to read", "Seen on the broker, not here."
        hint = (
            "Counters start at zero with every start: a quiet market, a dead consumer and a wrong topic look the same. "
            "Ask the consumer group (members, lag)."
        )
        return UNVERIFIED, observed, hint
    if sample.last_event_ms is None:
        return FAIL, f"lastEventAt is {text_of(sample.last_event)}, no point in time", "Look at the producer's events."
    age = now - sample.last_event_ms / 1000
    if sample.last_event_ms > backoffice_shape.YEAR_3000_MS:
        hint = "A producer writes `at` as a number of milliseconds, which is read as seconds."
        return FAIL, f"lastEventAt is {text_of(sample.last_event)}", hint
    if age < -CLOCK_SKEW_SECONDS:
        hint = "A producer's clock is ahead (or this machine's behind); until then the age says nothing."
        return FAIL, f"{jwt_token.in_words(-age)} in the future", hint
    observed = f"{jwt_token.in_words(max(0.0, age))} old"
    if age <= rules.stale_after_seconds:
        return PASS, observed, "The time is the producer's, of the last applied event of any account."
    if rules.quiet:
        return PASS, f"{observed}; the consumer group has nothing left to read: a quiet market", "Seen on the broker."
    return FAIL, observed, "A dead consumer, or a quiet market: the consumer group on the broker (members, lag) tells."


def replay(seen: Seen, rules: Rules) -> Iterator[Check | NotChecked]:
    """How long the boot took to read the ledger, and whether it could read all of it."""
    name, title, expected = "replay_slo", "Replay is within its limit", f"at most {rules.replay_slo_ms} ms"
    if "stats" not in seen.replies and not seen.unasked:
        return
    checked = rules.replay_slo_ms > 0
    if not checked:
        yield NotChecked(name, "replay_slo_ms is 0")
    missing = _missing(seen, "stats", name, title, expected) or _unknown(seen, name, title, expected)
    if missing:
        if checked:
            yield missing
        return
    sample = seen.samples[-1]
    if checked:
        status, observed, hint = _replay(sample, rules.replay_slo_ms)
        yield Check(name, title, status, observed, expected, hint, "3.5")
    if sample.replay and sample.replay.measured:
        lost = sample.replay.skipped
        observed = (
            f"{lost} of {sample.replay.lines} lines skipped" if lost else f"none of {sample.replay.lines} lines skipped"
        )
        hint = "Skipped lines are lost orders or fills, and are never logged: scan the ledger file (backoffice_ledger)."
        yield Check(
            "replay_lines",
            "Replay read every ledger line",
            checks.status_of(not lost),
            observed,
            "none skipped",
            hint,
            "6",
        )


def _replay(sample: Stats, slo_ms: int) -> tuple[Status, str, str]:
    run = sample.replay
    if run is None:
        why = "this implementation does not report it" if sample.shape == "java" else "the server reports no replay"
        return UNVERIFIED, why, "Set replay_slo_ms to 0 where there is nothing to measure."
    if not run.measured:
        if run.lines:
            hint = "A snapshot was restored instead. The time without it is not known, nor are bad lines below it."
            return UNVERIFIED, f"none of {run.lines} lines was replayed", hint
        return UNVERIFIED, "the ledger was empty at the last start", "An empty ledger proves nothing; was it lost?"
    if run.duration_ms is None:
        return UNVERIFIED, f"{run.measured} lines, duration not reported", "Older servers do not measure it."
    observed = f"{run.duration_ms} ms for {run.measured} lines"
    rest = run.lines - run.measured
    hint = f"{rest} more lines were blank or covered by a snapshot, and were not measured." if rest else ""
    if run.duration_ms <= slo_ms:
        return PASS, observed, hint
    return (
        FAIL,
        observed,
        hint or "The service is down for that long at each start: shorten the ledger, or raise the limit.",
    )


def positions(seen: Seen) -> Iterator[Check]:
    yield from _rows(seen, "positions", "Positions of the account", ("symbol", "netQty"))


def balances(seen: Seen) -> Iterator[Check]:
    yield from _rows(seen, "balances", "Balances of the account", ("currency", "amount"))


def _rows(seen: Seen, name: str, title: str, keys: tuple[str, str]) -> Iterator[Check]:
    expected = "HTTP 200 with rows"
    missing = _missing(seen, name, name, title, expected)
    if missing:
        yield missing
        return
    rows = backoffice_gather.rows_of(seen.replies.get(name), name)
    fills = [row for row in backoffice_gather.entries_of(seen.replies.get("ledger")) or [] if row.get("type") == "Fill"]
    duration = seen.replies[name].answer.latency_ms
    if rows is None or any(row.get(keys[0]) is None or keys[1] not in row for row in rows):
        status, observed, hint = (
            FAIL,
            f"no list of {name}",
            "This does not look like a BackOffice: check host and port.",
        )
    elif rows:
        shown = ", ".join(f"{row[keys[0]]} {row[keys[1]]}" for row in rows[:DIFFS_SHOWN])
        more = f", and {len(rows) - DIFFS_SHOWN} more" if len(rows) > DIFFS_SHOWN else ""
        status, observed, hint = (
            PASS,
            shown + more,
            "That they are there does not show that they are right: see reconcile.",
        )
    elif fills:
        status, observed = FAIL, f"none, although the ledger has {len(fills)} fills"
        hint = "The store books nothing: look at its schema and at the log of the last start."
    else:
        status, observed, hint = UNVERIFIED, "none", EMPTY_HINT
    yield Check(name, title, status, observed, expected, hint, "2", duration)


def ledger(seen: Seen) -> Iterator[Check]:
    """/ledger has entries of the account."""
    title, expected = "Ledger has entries of the account", "at least one entry"
    missing = _missing(seen, "ledger", "ledger", title, expected)
    if missing:
        yield missing
        return
    reply = seen.replies["ledger"]
    entries = backoffice_gather.entries_of(reply)
    booked = backoffice_gather.rows_of(seen.replies.get("positions"), "positions")
    if entries is None:
        status, observed, hint = (
            FAIL,
            "no list of entries",
            "This does not look like a BackOffice: check host and port.",
        )
    elif entries:
        counted = str(seen.entries) if seen.entries is not None else f"{len(entries)} or more"
        status, observed = PASS, f"{counted} entries, the last one {text_of(entries[-1].get('at'))}"
        hint = "What is there can be read; lines that cannot are not listed here."
    elif booked:
        status, observed = FAIL, "none, although there are positions"
        hint = (
            "The file was moved or replaced under the running service, which writes to the old one: stop, edit, start."
        )
    else:
        status, observed, hint = UNVERIFIED, "none", EMPTY_HINT
    yield Check("ledger", title, status, observed, expected, hint, "2", reply.answer.latency_ms)


def reconcile(seen: Seen) -> Iterator[Check]:
    """Ledger and store agree, by our own sums."""
    for part, title in (
        ("balances", "Balances agree with the ledger"),
        ("positions", "Positions agree with the ledger"),
    ):
        name = f"reconcile.{part}"
        missing = _missing(seen, "reconcile", name, title, "no difference")
        if missing:
            yield missing
        elif "reconcile" in seen.replies:
            status, observed, hint = _reconciled(seen, part)
            duration = seen.replies["reconcile"].answer.latency_ms
            yield Check(name, title, status, observed, "no difference", hint, "2", duration)


def _reconciled(seen: Seen, name: str) -> tuple[Status, str, str]:
    if seen.parts is None:
        return _issues(seen)
    part = seen.parts[name]
    if not seen.covered:
        hint = "/reconcile sums the last entries only; compare the ledger file with the store instead."
        return UNVERIFIED, f"the account has more entries than can be summed ({seen.limit})", hint
    if part.empty:
        return UNVERIFIED, "nothing on both sides", EMPTY_HINT
    if part.diffs:
        shown = ", ".join(f"{key} {difference:+}" for key, difference in list(part.diffs.items())[:DIFFS_SHOWN])
        more = f", and {len(part.diffs) - DIFFS_SHOWN} more" if len(part.diffs) > DIFFS_SHOWN else ""
        says = " The server says ok." if part.server_ok else ""
        return (
            FAIL,
            f"store minus ledger: {shown}{more}",
            f"A skipped ledger line, a store that missed fills, or a stale snapshot.{says}",
        )
    hint = "Ledger and store have one origin: events that never arrived are missing in both."
    if part.server_ok is False:
        why = "because it keys its store account::SYMBOL" if part.prefixed else "over fewer entries"
        hint = f"The server says not ok, {why}. {hint}"
    counted = f"{seen.entries} entries" if seen.entries is not None else f"up to {seen.limit} entries"
    sums = len(part.expected | part.actual)
    return PASS, f"{sums} {'sum agrees' if sums == 1 else 'sums agree'} over {counted}", hint


def _issues(seen: Seen) -> tuple[Status, str, str]:
    """The other shape of /reconcile: a list of issues, empty when there is none."""
    document = seen.replies["reconcile"].document
    issues = document.get("issues") if isinstance(document, dict) else None
    if not isinstance(issues, list):
        return FAIL, "neither sums nor a list of issues", "This does not look like a BackOffice: check host and port."
    if issues:
        return FAIL, f"{len(issues)} issues, the first one: {text_of(issues[0])}", "The server's own words."
    booked = backoffice_gather.rows_of(seen.replies.get("positions"), "positions")
    if not booked:
        return UNVERIFIED, "no issue, and nothing to compare", EMPTY_HINT
    return PASS, "no issue", "The server's own words; this shape gives no sums to check them with."


def consumer_progress(seen: Seen, rules: Rules, wanted: bool) -> Iterator[Check | NotChecked]:
    """What moved between two samples."""
    name, title, expected = "consumer_progress", "Events are consumed", "events applied between two samples"
    if not wanted:
        return
    missing = _missing(seen, "stats", name, title, expected) or _unknown(seen, name, title, expected)
    if missing:
        yield missing
        return
    if len(seen.samples) < 2:
        yield Check(name, title, UNVERIFIED, "the second sample failed", expected, "Look again.", "5")
        return
    status, observed, hint = _progress(seen.samples[0], seen.samples[1], seen.sample_seconds)
    if status == UNVERIFIED and "nothing" in observed and rules.quiet:
        status, observed = PASS, f"{observed}; the consumer group has nothing left to read"
    elif status == UNVERIFIED and "nothing" in observed and rules.stale_after_seconds <= 0:
        yield NotChecked(name, f"{observed}, and stale_after_seconds is 0")
        return
    yield Check(name, title, status, observed, expected, hint, "5")


def _progress(first: Stats, second: Stats, seconds: float) -> tuple[Status, str, str]:
    span = f"in {seconds:.1f} s"
    if first.started_at_ms != second.started_at_ms:
        return (
            FAIL,
            "it was restarted between the samples",
            "Look again; when it happens again, read its standard error.",
        )
    if second.behind_bytes is not None and second.behind_bytes == 0:
        return PASS, "nothing left to read in the gateway's audit file", ""
    applied = (second.processed or 0) - (first.processed or 0)
    skipped = (second.skipped or 0) - (first.skipped or 0)
    if applied > 0:
        return (
            PASS,
            f"{applied} applied, {skipped} skipped {span}",
            "Skipped is normal: each order has events that book nothing.",
        )
    if second.behind_bytes:
        moved = first.last_offset != second.last_offset
        status: Status = UNVERIFIED if moved else FAIL
        return (
            status,
            f"{second.behind_bytes} bytes behind, {'moving' if moved else 'standing still'}",
            "See its state in stats.",
        )
    if skipped >= SKIPPED_IN_A_ROW:
        hint = "Orphan reports, a foreign format, or the topic is read again after an offset reset."
        return FAIL, f"{skipped} records skipped and none applied {span}", hint
    if skipped > 0:
        return (
            UNVERIFIED,
            f"{skipped} records skipped and none applied {span}",
            "Too few to judge: take the samples further apart.",
        )
    hint = "A quiet market, or a consumer that is dead or off: the consumer group on the broker (members, lag) tells."
    return UNVERIFIED, f"nothing moved {span}", hint


def progress_of(seen: Seen) -> dict[str, Any] | None:
    """The differences between the two samples, None when there are not two."""
    if len(seen.samples) < 2:
        return None
    first, second = seen.samples
    return {
        "seconds": round(seen.sample_seconds, 1),
        "restarted": first.started_at_ms != second.started_at_ms,
        "processed": _difference(first.processed, second.processed),
        "skipped": _difference(first.skipped, second.skipped),
        "offset_moved": first.last_offset != second.last_offset,
        "event_moved": first.last_event != second.last_event,
    }


def _difference(first: int | None, second: int | None) -> int | None:
    return None if first is None or second is None else second - first


def text_of(value: Any) -> str:
    """A value of the server in a few characters, without secrets."""
    return redact.observed(str(value), 60)


def _missing(seen: Seen, endpoint: str, name: str, title: str, expected: str) -> Check | None:
    """The check for an answer that is not there; None when it is, or when it was not asked for."""
    reply: Reply | None = seen.replies.get(endpoint)
    if reply is None:
        return Check(name, title, UNVERIFIED, seen.unasked, expected, "See health.", "2") if seen.unasked else None
    if reply.meaning == "ok":
        return None
    # what is derived from an answer is unverified without it; the endpoint's own check says what was seen
    own = name == endpoint or name.startswith(f"{endpoint}.")
    status = reply.status if own else UNVERIFIED
    hint = _server_error_hint(endpoint, seen) if reply.meaning == "server_error" else reply.hint
    return Check(name, title, status, reply.text, expected, hint, "2", reply.answer.latency_ms)


def _unknown(seen: Seen, name: str, title: str, expected: str) -> Check | None:
    if seen.samples and seen.samples[-1].shape != "unknown":
        return None
    return Check(name, title, UNVERIFIED, "the shape of the statistics is not known", expected, "See stats.", "2")


def _server_error_hint(endpoint: str, seen: Seen) -> str:
    ledger_reply = seen.replies.get("ledger")
    if endpoint == "ledger" or (ledger_reply and ledger_reply.meaning == "server_error"):
        return (
            "A ledger line with a bad side or bad bytes makes every read of it fail: scan the file (backoffice_ledger)."
        )
    return "The ledger can be read, so it is the store: is the database up, and has it its schema?"
