# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Place an order at the gateway and follow that very order into the books of BackOffice."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field, replace
from typing import Any

from ansible.module_utils.basic import env_fallback

from . import (
    backoffice_api,
    backoffice_checks,
    backoffice_gateway,
    backoffice_gather,
    backoffice_order,
    checks,
    http_client,
)
from .argspec import ArgumentSpec
from .backoffice_api import Api, Reply
from .backoffice_books import Books, read_books
from .backoffice_order import Entry, Order
from .checks import FAIL, PASS, UNVERIFIED, Check, Finding, Next
from .errors import InputError
from .operation import Context

HARD_MAX_QUANTITY = 1000
POLL_SECONDS = (0.1, 1.0)
SETTLE_SECONDS = 5.0
STALE_DATA = Next("sre.runbooks.backoffice.stale_data", {}, "read")

SPEC = ArgumentSpec(
    options={
        "gateway_url": {"type": "str", "required": True, "fallback": (env_fallback, ["GATEWAY_URL"])},
        "backoffice_url": {"type": "str", "required": True, "fallback": (env_fallback, ["BACKOFFICE_URL"])},
        "symbol": {"type": "str", "default": "BTC"},
        "side": {"type": "str", "default": "BUY", "choices": ["BUY", "SELL"]},
        "order_type": {"type": "str", "default": "LIMIT", "choices": ["LIMIT", "MARKET"]},
        "quantity": {"type": "int", "default": 1},
        "price": {"type": "int", "default": 100},
        "quote_currency": {"type": "str", "default": "JPY"},
        "fee_bps": {"type": "int", "default": 10},
        "flatten": {"type": "bool", "default": False},
        "wait_seconds": {"type": "float", "default": 30.0},
        "run_id": {"type": "str"},
        "max_quantity": {"type": "int", "default": 10},
    }
).merge(backoffice_api.ACCOUNT, http_client.SPEC)


@dataclass
class Placed:
    """An order that the gateway took, or may have taken. Times in milliseconds from its answer."""

    order: Order
    order_id: str
    accepted_ms: int
    booked_ms: int | None = None
    filled: int = 0
    known_before: bool = False

    def as_dict(self) -> dict[str, Any]:
        return {
            "role": self.order.role,
            "order_id": self.order_id,
            "side": self.order.side,
            "quantity": self.order.quantity,
            "filled": self.filled,
            "accepted_ms": self.accepted_ms,
            "booked_ms": self.booked_ms,
            "known_before": self.known_before,
        }


def run(params: dict[str, Any], context: Context) -> dict[str, Any]:
    """Look, place, follow, compare; see the module's RETURN."""
    settings = http_client.settings(params)
    urls = [http_client.check_url(params[name], name) for name in ("gateway_url", "backoffice_url")]
    who = backoffice_api.credentials(params, context.clock)
    order = _order(params, who)
    with http_client.Client(settings, context) as client:
        gateway, backoffice = (Api(client, url, who, context.clock) for url in urls)
        check = EndToEnd(gateway, backoffice, context, params, order)
        check.run()
    plan = [order.as_dict()] + ([order.opposite(order.quantity).as_dict()] if params["flatten"] else [])
    result = checks.report(
        check.rows,
        check.findings,
        plan=plan,
        run_id=order.run_id,
        orders=[placed.as_dict() for placed in check.placed],
        before=check.before.as_dict() if check.before else None,
        after=check.after.as_dict() if check.after else None,
    )
    ready = all(row.status == PASS for row in check.rows)
    result["changed"] = ready if context.check_mode else any(not placed.known_before for placed in check.placed)
    return result


def _order(params: dict[str, Any], who: backoffice_api.Credentials) -> Order:
    most = int(http_client.require_range(params, "max_quantity", 1, HARD_MAX_QUANTITY))
    if not 1 <= params["quantity"] <= most:
        raise InputError(f"quantity is {params['quantity']}; it must be 1 to {most} (max_quantity).", option="quantity")
    http_client.require_range(params, "wait_seconds", 0.1, 3600)
    http_client.require_range(params, "fee_bps", 0, 10_000)
    http_client.require_range(params, "price", 1, 10**15)
    if not params["symbol"].strip():
        raise InputError("symbol is empty; name what is bought or sold.", option="symbol")
    if not who.header or not who.account_id:
        raise InputError("an order needs an account and its token: give account_id with jwt_secret, or token.")
    return Order(
        account_id=who.account_id,
        symbol=params["symbol"].strip(),
        side=params["side"],
        order_type=params["order_type"],
        quantity=params["quantity"],
        price=params["price"] if params["order_type"] == "LIMIT" else None,
        run_id=params["run_id"] or str(uuid.uuid4()),
    )


@dataclass
class EndToEnd:
    """One run: collects checks, findings and what was placed."""

    gateway: Api
    backoffice: Api
    context: Context
    params: dict[str, Any]
    order: Order
    rows: list[Check] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    placed: list[Placed] = field(default_factory=list)
    before: Books | None = None
    after: Books | None = None

    def run(self) -> None:
        """Every step runs only when those before it leave something for it to do."""
        self._look()
        unready = [row.id for row in self.rows if row.status != PASS]
        if unready:
            self._row(
                "order", "Order is accepted", UNVERIFIED, f"not placed, because of {', '.join(unready)}", "HTTP 202"
            )
            return
        if self.context.check_mode or self.before is None:
            return
        placed = self._place(self.order, "order", "Order")
        if placed is None:
            return
        if self._follow(placed, "booked", "Order is booked"):
            self._compare(placed, self.before)
            self._reconcile()
        if self.params["flatten"] and placed.filled:
            self._flatten(placed, self.before)

    def _row(self, name: str, title: str, status: checks.Status, observed: Any, expected: Any, hint: str = "") -> None:
        self.rows.append(Check(name, title, status, observed, expected, hint, "3"))

    def _look(self) -> None:
        """Whether an order can arrive at all, and the state before it."""
        self.rows += [replace(row, runbook="3") for row in backoffice_gateway.look(self.gateway)[0]]
        if any(row.id == "gateway.publisher" and row.status == FAIL for row in self.rows):
            self.findings.append(
                Finding("publisher_off", "seen", ["gateway.publisher"], ["every order since its start"])
            )
        seen = backoffice_gather.gather(
            self.backoffice, self.context, {"health", "stats"}, limits=(1, 1), second_sample_after=None
        )
        for row in (*backoffice_checks.health(seen), *backoffice_checks.stats(seen)):
            self.rows.append(replace(row, id=f"backoffice.{row.id}", runbook="3"))
        if seen.unasked:
            return
        self.before, problem = self._books()
        observed = problem or f"{self.before}"
        self._row(
            "before", "State before the order", checks.status_of(True if self.before else None), observed, "readable"
        )

    def _books(self) -> tuple[Books | None, str]:
        return read_books(self.backoffice, self.context, self.order.symbol, self.params["quote_currency"])

    def _place(self, order: Order, name: str, title: str) -> Placed | None:
        """Send the order; None when it was not taken, with the reason as a check and a finding."""
        reply = self.gateway.post("/orders", order.body(), {"Idempotency-Key": order.key})
        document = reply.document if isinstance(reply.document, dict) else {}
        order_id = document.get("orderId")
        taken = reply.meaning == "ok" and reply.answer.status == 202 and isinstance(order_id, str) and order_id
        if taken and document.get("status", "ACCEPTED") == "ACCEPTED":
            placed = Placed(order, str(order_id), reply.answer.latency_ms)
            placed.known_before = bool(self.before and self.before.knows(placed.order_id))
            observed = f"{order_id} in {reply.answer.latency_ms} ms" + (", known before" if placed.known_before else "")
            hint = "Accepted only means that the gateway has it."
            self._row(name, f"{title} is accepted", PASS, observed, "HTTP 202 with an orderId", hint)
            self.placed.append(placed)
            return placed
        self._refused(reply, document, name, title)
        return None

    def _refused(self, reply: Reply, document: dict[str, Any], name: str, title: str) -> None:
        reason = str(document.get("reason") or reply.reason or "")
        observed = f"HTTP {reply.answer.status} {reason}".strip() if reply.answer.status else reply.text
        status, hint, cause = FAIL, reply.hint, "order_refused"
        if reply.answer.status is None and reply.meaning != "refused":
            status, cause = UNVERIFIED, "placement_unknown"
            hint = f"It may have been placed. With run_id {self.order.run_id} another run finds it, or places it once."
        elif reply.answer.status == 422:
            cause, hint = (
                "order_rejected",
                "The gateway's own rules refuse it: symbol, quantity, price or a risk limit.",
            )
        elif reply.answer.status in (429, 503):
            cause, hint = (
                "gateway_overloaded",
                "Its rate limit or its full queue refuses orders: look at what sends so many.",
            )
        elif reply.meaning == "unauthorized":
            status, cause = reply.status, "token_refused"
        self._row(name, f"{title} is accepted", status, observed, "HTTP 202 with an orderId", hint)
        self.findings.append(Finding(cause, "seen" if status == FAIL else "inferred", [name], ["new orders"]))

    def _follow(self, placed: Placed, name: str, title: str) -> bool:
        """Wait until BackOffice has booked the whole order; False when it has not in time."""
        clock = self.context.clock
        started = clock.monotonic()
        pause, longest = POLL_SECONDS
        wait = min(self.params["wait_seconds"], self.context.deadline.remaining())
        last: Reply | None = None
        while True:
            last = self.backoffice.get("/ledger", orderId=placed.order_id, limit=backoffice_gather.LEDGER_MOST)
            entries = backoffice_gather.entries_of(last) or []
            placed.filled = backoffice_order.filled(entries, placed.order_id)
            waited = clock.monotonic() - started
            if placed.filled >= placed.order.quantity:
                placed.booked_ms = round(waited * 1000)
                break
            if waited >= wait:
                self._not_booked(placed, entries, last, (name, title), waited)
                return False
            self.context.progress(
                f"{placed.order_id}: {placed.filled} of {placed.order.quantity} booked, {wait - waited:.0f} s left"
            )
            clock.sleep(min(pause, max(0.0, wait - waited)))
            pause = min(longest, pause * 1.5)
        booked = backoffice_order.fills(entries, placed.order_id)
        wrong = backoffice_order.mistakes(placed.order, booked, self.params["fee_bps"])
        observed = "; ".join(wrong[:3]) or f"{placed.filled} in {len(booked)} fills after {placed.booked_ms} ms"
        hint = "Time from the gateway's answer to the ledger, as seen by asking."
        if wrong:
            hint = "Fee = floor(quantity x price x fee_bps / 10000). Is fee_bps that of this deployment?"
        self._row(name, title, checks.status_of(not wrong), observed, f"{placed.order.quantity} filled", hint)
        return not wrong

    def _not_booked(
        self, placed: Placed, entries: list[dict[str, object]], last: Reply, row: tuple[str, str], waited: float
    ) -> None:
        """Name where the order got stuck: what the gateway says of it, and what its publisher holds back."""
        name, title = row
        expected = f"{placed.order.quantity} filled"
        if last.meaning != "ok":
            self._row(name, title, UNVERIFIED, f"the ledger could not be read: {last.text}", expected, last.hint)
            return
        reply = self.gateway.get(f"/orders/{placed.order_id}")
        state = str(reply.document.get("status")) if reply.meaning == "ok" and isinstance(reply.document, dict) else ""
        backlog = backoffice_gateway.backlog(self.gateway)
        if state in ("REJECTED", "CANCELED"):
            cause, hint, where = "rejected_by_exchange", "The exchange did not take it; nothing is to be booked.", None
        elif state in ("ACCEPTED", "SENT"):
            cause, hint, where = (
                "not_filled",
                "The exchange has not filled it: the price, or the exchange itself.",
                None,
            )
        elif backlog:
            cause, hint, where = "broker_unreachable_from_gateway", f"The gateway's publisher: {backlog}.", None
        elif placed.filled:
            cause, where = "partly_arrived", STALE_DATA
            hint = "A fill that was jumped over is never booked; look for lost records."
        else:
            cause, where = "not_arrived", STALE_DATA
            hint = "The gateway has it, BackOffice has not: consumer, topic or broker."
        known = f"the gateway says {state}" if state else f"the gateway does not tell: {reply.text}"
        arrived = f"{placed.filled} filled" if placed.filled else "accepted, no fill" if entries else "nothing"
        self._row(name, title, FAIL, f"{arrived} in the ledger after {waited:.1f} s; {known}", expected, hint)
        affects = ["new orders", f"order {placed.order_id} stands"]
        self.findings.append(Finding(cause, "seen" if state else "inferred", [name], affects, where))

    def _compare(self, placed: Placed, before: Books) -> None:
        """Position and balance moved by what was booked since, this order's part and that of others."""
        after, problem = self._settled(before)
        if after is None:
            for name, title in (("position", "Position moved as booked"), ("balance", "Balance moved as booked")):
                self._row(name, title, UNVERIFIED, problem, "readable")
            return
        self.after = after
        new = backoffice_order.added(before.entries, after.entries)
        own = [entry for entry in new if entry.get("orderId") == placed.order_id]
        parts = zip(
            ("position", "balance"),
            (after.position - before.position, after.balance - before.balance),
            backoffice_order.effect(new, before.symbol, before.currency),
            backoffice_order.effect(own, before.symbol, before.currency),
            strict=True,
        )
        for name, moved, wanted, mine in parts:
            unit = before.symbol if name == "position" else before.currency
            observed = f"{unit} {moved:+}" + (f"; this order booked {mine:+}" if moved != mine else "")
            status = checks.status_of(None if before.overrun(new) else moved == wanted)
            hint = "Other orders of the account are taken into account by their own fills."
            if before.overrun(new):
                hint = "Too many other orders were booked meanwhile to tell them apart: use an account of its own."
            self._row(name, f"{name.capitalize()} moved as booked", status, observed, f"{unit} {wanted:+}", hint)

    def _settled(self, before: Books) -> tuple[Books | None, str]:
        """The books once they agree with what the ledger added; the store is written a moment after the ledger."""
        clock = self.context.clock
        end = clock.monotonic() + min(SETTLE_SECONDS, self.context.deadline.remaining())
        while True:
            after, problem = self._books()
            if after is None:
                return None, problem
            new = backoffice_order.added(before.entries, after.entries)
            moved = (after.position - before.position, after.balance - before.balance)
            if moved == backoffice_order.effect(new, before.symbol, before.currency) or clock.monotonic() >= end:
                return after, ""
            clock.sleep(POLL_SECONDS[0])

    def _reconcile(self) -> None:
        subset = {"positions", "ledger", "reconcile"}
        seen = backoffice_gather.gather(
            self.backoffice, self.context, subset, limits=(1, 1000), second_sample_after=None
        )
        self.rows += [replace(row, runbook="3") for row in backoffice_checks.reconcile(seen)]

    def _flatten(self, placed: Placed, before: Books) -> None:
        """Take the position back with the opposite order, and see that it is as before."""
        opposite = self._place(placed.order.opposite(placed.filled), "flatten.order", "Opposite order")
        if opposite is None or not self._follow(opposite, "flatten.booked", "Opposite order is booked"):
            self.findings.append(
                Finding("position_left_open", "seen", [self.rows[-1].id], [f"{before.symbol} position"])
            )
            return
        after, problem = self._settled(before)
        if after is None:
            self._row("flat", "Position is as before", UNVERIFIED, problem, f"{before.symbol} {before.position}")
            return
        self.after = after
        mine = {placed.order_id, opposite.order_id}
        new = backoffice_order.added(before.entries, after.entries)
        # an earlier run of the same name may have booked one or both orders already
        counted = (_of(before.entries, mine), new, _of(new, mine))
        earlier, moved, own = (backoffice_order.effect(e, before.symbol, before.currency)[0] for e in counted)
        wanted = before.position - earlier + moved - own
        status = checks.status_of(after.position == wanted)
        observed, expected = (f"{before.symbol} {quantity}" for quantity in (after.position, wanted))
        self._row("flat", "Position is as before", status, observed, expected, "The fees of both orders stay.")


def _of(entries: list[Entry], order_ids: set[str]) -> list[Entry]:
    return [entry for entry in entries if entry.get("orderId") in order_ids]
