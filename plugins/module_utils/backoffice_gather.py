# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ask a BackOffice: health first, then everything else at once, then again what one answer cannot settle."""

from __future__ import annotations

from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from . import backoffice_reconcile, backoffice_shape
from .backoffice_api import Api, Reply
from .backoffice_shape import Stats
from .operation import Context

LEDGER_MOST = 1000  # what /ledger gives at most
RECONCILE_MOST = 10_000  # what /reconcile sums at most
SETTLE_SECONDS = 0.5
SETTLE_TRIES = 3


@dataclass
class Seen:
    """The answers by name. ``unasked`` says why the rest was not asked, once the server turned out not to answer.

    ``entries`` is the exact number of the account's ledger entries, None when there are more than /ledger gives.
    ``covered`` tells whether the reconciliation summed all of them; None when there is no reconciliation.
    """

    replies: dict[str, Reply] = field(default_factory=dict)
    unasked: str = ""
    samples: list[Stats] = field(default_factory=list)
    sample_seconds: float = 0.0
    entries: int | None = None
    parts: dict[str, backoffice_reconcile.Part] | None = None
    limit: int = 0
    covered: bool | None = None


def gather(
    api: Api, context: Context, subset: Collection[str], *, limits: tuple[int, int], second_sample_after: float | None
) -> Seen:
    """``limits`` are those of /ledger and /reconcile; ``second_sample_after`` is None when one sample is enough."""
    seen = Seen(limit=limits[1])
    ledger_limit = LEDGER_MOST if "reconcile" in subset else limits[0]
    requests = {
        "stats": lambda: api.get("/stats"),
        "positions": lambda: api.get("/positions"),
        "balances": lambda: api.get("/balances"),
        "ledger": lambda: api.get("/ledger", limit=ledger_limit),
        "reconcile": lambda: api.get("/reconcile", limit=seen.limit),
    }
    if "health" in subset:
        health = api.get("/health", token=False)
        seen.replies["health"] = health
        if health.answer.status is None:
            seen.unasked = f"not asked, because health: {health.text}"
            return seen
    # the number of ledger entries decides whether a reconciliation covers them all
    wanted = [name for name in requests if name in subset or (name == "ledger" and "reconcile" in subset)]
    if wanted:
        with ThreadPoolExecutor(len(wanted), thread_name_prefix="backoffice") as pool:
            seen.replies |= zip(wanted, pool.map(lambda name: requests[name](), wanted), strict=True)
    _count_entries(seen, ledger_limit)
    _sample(seen, api, context, second_sample_after)
    _reconcile(seen, api, context)
    return seen


def entries_of(reply: Reply | None) -> list[dict[str, object]] | None:
    """The entries of a /ledger answer, None when there are none to be had."""
    return rows_of(reply, "entries")


def rows_of(reply: Reply | None, name: str) -> list[dict[str, object]] | None:
    """The list ``name`` of an answer, or None when the answer is not of that form."""
    if reply is None or reply.meaning != "ok" or not isinstance(reply.document, dict):
        return None
    rows = reply.document.get(name)
    return rows if isinstance(rows, list) and all(isinstance(row, dict) for row in rows) else None


def _count_entries(seen: Seen, asked: int) -> None:
    rows = entries_of(seen.replies.get("ledger"))
    if rows is not None and len(rows) < asked:
        seen.entries = len(rows)


def _sample(seen: Seen, api: Api, context: Context, second_after: float | None) -> None:
    first = seen.replies.get("stats")
    if first is None or first.meaning != "ok":
        return
    seen.samples = [backoffice_shape.parse(first.document)]
    if second_after is None or seen.samples[0].shape == "unknown":
        return
    pause = min(second_after, context.deadline.remaining() / 2)
    context.progress(f"waiting {pause:.0f} s for a second sample of the statistics")
    started = context.clock.monotonic()
    context.clock.sleep(pause)
    second = api.get("/stats")
    if second.meaning == "ok":
        seen.samples.append(backoffice_shape.parse(second.document))
        seen.sample_seconds = context.clock.monotonic() - started


def _reconcile(seen: Seen, api: Api, context: Context) -> None:
    """Widen the limit until it covers the account's entries, and let a booking that is under way settle."""
    first = seen.replies.get("reconcile")
    if first is None or first.meaning != "ok":
        return
    seen.parts = backoffice_reconcile.parts(first.document, api.who.account_id)
    if seen.parts is None:
        return
    seen.covered = seen.entries is not None and seen.entries <= seen.limit
    if not seen.covered:
        seen.limit = RECONCILE_MOST
        seen.parts = _ask(api, seen.limit) or seen.parts
        seen.covered = seen.entries is not None or _same_with_less(api, seen)
    tries = 1
    while seen.covered and tries < SETTLE_TRIES and any(part.diffs for part in seen.parts.values()):
        context.clock.sleep(min(SETTLE_SECONDS, context.deadline.remaining()))
        again = _ask(api, seen.limit)
        if again is None:
            return
        settled = _diffs(again) == _diffs(seen.parts)
        seen.parts = again
        if settled:
            return
        tries += 1


def _same_with_less(api: Api, seen: Seen) -> bool:
    """Whether a tenth less than the most entries sums up to the same: then there are not more than the most."""
    less = _ask(api, RECONCILE_MOST * 9 // 10)
    if less is None or seen.parts is None:
        return False
    return all(less[name].expected == part.expected for name, part in seen.parts.items())


def _ask(api: Api, limit: int) -> dict[str, backoffice_reconcile.Part] | None:
    reply = api.get("/reconcile", limit=limit)
    return backoffice_reconcile.parts(reply.document, api.who.account_id) if reply.meaning == "ok" else None


def _diffs(parts: dict[str, backoffice_reconcile.Part]) -> list[dict[str, float]]:
    return [part.diffs for part in parts.values()]
