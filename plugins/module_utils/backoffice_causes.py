# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Telling causes apart: what the observations of one BackOffice mean. Pure rules over an Evidence object.

The rules stand in order of precedence: what makes everything else unknowable (not running, refused token, broker gone)
comes before what is read from the counters. Each rule gives a Cause or None; the first one is the cause, because one
fault usually shows in many checks. Facts that stand on their own (lines that a replay skipped) are given beside it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Optional

from .checks import FAIL, PASS, UNVERIFIED, Check, Effect, Finding, Next, Status

RESTART = "sre.runbooks.backoffice.restart"
REPAIR = "sre.runbooks.backoffice.ledger_repair"
START = "sre.runbooks.backoffice.start"
E2E = "sre.runbooks.backoffice.e2e"
STORE = "sre.runbooks.backoffice.rdb_compliance"
VERIFY = "sre.runbooks.backoffice.verify"
EFFECTS: dict[str, Effect] = {
    RESTART: "change",
    REPAIR: "change",
    START: "change",
    E2E: "change",
    STORE: "read",
    VERIFY: "read",
}
CLOCK_TOLERANCE_SECONDS = 60


@dataclass
class Evidence:
    """What was observed; None means not observed. Times in seconds, offsets as Kafka counts them.

    ``http`` is ok, refused, unauthorized, or error. ``*_moved`` compare two samples. ``log`` holds the ids of the log
    patterns that matched, ``last_death`` the newest of a failed boot. ``service`` is the state that its manager gives;
    ``enabled`` and ``env_*`` are read from the environment of its process. ``replay_lines`` counts those of the boot.
    """

    http: str | None = None
    auth_reason: str | None = None
    processed: int | None = None
    skipped: int | None = None
    age_seconds: float | None = None
    stale_after_seconds: float = 0
    event_seen: bool | None = None
    offset_seen: bool | None = None
    offset_moved: bool | None = None
    event_moved: bool | None = None
    state_empty: bool | None = None
    ledger_empty: bool | None = None
    broker: bool | None = None
    topic: str = ""
    topic_exists: bool | None = None
    topic_end: int | None = None
    group_state: str | None = None
    members: int | None = None
    group_topics: list[str] = field(default_factory=list)
    committed: bool | None = None
    lag: int | None = None
    lag_growing: bool | None = None
    gateway: bool | None = None
    publisher: bool | None = None
    service: str | None = None
    exit_code: int | None = None
    log: frozenset[str] = frozenset()
    last_death: str | None = None
    replay_lines: int | None = None
    database: bool | None = None
    books_nothing: bool | None = None
    enabled: bool | None = None
    env_topic: str | None = None
    env_bootstrap: str | None = None

    @property
    def counters_null(self) -> bool | None:
        """Nothing was consumed since boot, and no event was ever seen."""
        if self.processed is None or self.offset_seen is None:
            return None
        return not self.offset_seen

    @property
    def group_stable(self) -> bool:
        return self.group_state == "stable" and bool(self.members)

    @property
    def stale(self) -> bool:
        """The last event is older than what was asked for; False when nothing was asked."""
        return self.age_seconds is not None and 0 < self.stale_after_seconds < self.age_seconds


@dataclass
class Cause:
    """A named cause: what it means in words, which checks show it, what it breaks, and the playbook that comes next.

    ``seen`` is False when it is inferred from what is missing. ``status`` is what the data are worth.
    """

    name: str
    text: str
    evidence: list[str]
    affects: list[str]
    then: str | None = None
    seen: bool = True
    status: Status = FAIL

    def finding(self) -> Finding:
        step = Next(self.then, {}, EFFECTS[self.then]) if self.then else None
        return Finding(self.name, "seen" if self.seen else "inferred", self.evidence, self.affects, step)


Rule = Callable[[Evidence], Optional[Cause]]  # noqa: UP045  (evaluated at import, which ansible-test checks for older Pythons)

EVERYTHING = ["everything"]
NEW_EVENTS = ["new events"]

# Log patterns of a boot that failed: the cause, its words, and what comes next.
BOOT_DEATHS: dict[str, tuple[str, str, str | None]] = {
    "boot_bad_side": ("ledger_fatal_line", "a ledger line whose side is not BUY or SELL stops the boot", REPAIR),
    "boot_bad_bytes": ("ledger_fatal_line", "a ledger line that is not UTF-8 stops the boot", REPAIR),
    "boot_port": ("port_in_use", "another process holds the port of BackOffice", None),
    "boot_database": ("database_down", "the database could not be reached at boot", STORE),
    "boot_variable": ("variable_not_numeric", "a numeric variable of the service is not a number", None),
    "boot_bootstrap": ("broker_address_unresolvable", "the Kafka bootstrap host cannot be resolved", None),
}


def service_down(e: Evidence) -> Cause | None:
    """/stats and health refused: stopped, still replaying, or died at boot."""
    if e.http != "refused":
        return None
    evidence = ["health", "service"]
    if e.service in ("running", "starting"):
        text = "the process runs and its port is closed: HTTP opens only after the ledger is replayed"
        return Cause("replay_in_progress", text, evidence, EVERYTHING, VERIFY, seen=False)
    if e.service == "stopped":
        return Cause("service_stopped", "the service manager says that it is stopped", evidence, EVERYTHING, START)
    for pattern, (name, text, then) in BOOT_DEATHS.items():
        if e.last_death == pattern:
            return Cause(name, f"it died at boot: {text}", ["health", f"log.{pattern}"], EVERYTHING, then)
    if e.service == "failed":
        code = "" if e.exit_code is None else f" with exit code {e.exit_code}"
        text = f"the process ended{code}; its standard error names the reason"
        return Cause("died_at_boot", text, evidence, EVERYTHING, START)
    text = "the port is closed; ask its service manager whether it is stopped, replaying or dead"
    return Cause("service_down", text, ["health"], EVERYTHING, START, seen=False)


def impostor(e: Evidence) -> Cause | None:
    """Something answers, and it is not the service: its manager says that it does not run."""
    if e.http in ("ok", "error", "unauthorized") and e.service in ("stopped", "failed"):
        text = f"something answers at its address, and its manager says that it is {e.service}: another process has the port"
        return Cause("port_in_use", text, ["health", "service"], EVERYTHING)
    return None


AUTH = {
    "JWT_SECRET_NOT_CONFIGURED": ("jwt_secret_missing", "the server has no JWT secret"),
    "INVALID_JWT_SIGNATURE": ("jwt_secret_differs", "the server has another JWT secret than this run"),
    "TOKEN_EXPIRED": ("jwt_expired", "the token is expired, or the clocks differ"),
    "TOKEN_NOT_YET_VALID": ("clock_skew", "the server's clock is behind this one"),
}


def unauthorized(e: Evidence) -> Cause | None:
    """401 says nothing about the data."""
    if e.http != "unauthorized":
        return None
    name, text = AUTH.get(
        e.auth_reason or "", ("token_refused", f"the token is refused: {e.auth_reason or 'no reason'}")
    )
    return Cause(name, f"{text}; this says nothing about the data", ["stats"], ["what can be seen"], status=UNVERIFIED)


def broker_down(e: Evidence) -> Cause | None:
    """The broker itself does not answer."""
    if e.broker is not False:
        return None
    text = "no broker answers at the address of the inventory"
    return Cause("kafka_down", text, ["kafka.reachable"], [*NEW_EVENTS, "end-to-end orders"], START)


def consumer_disabled(e: Evidence) -> Cause | None:
    """The environment of the process says it; the log says it of some boot, so that counts only without a member."""
    if e.enabled is False:
        text = "BACKOFFICE_ENABLE is off in the environment of the process: set it to 1, then restart"
        return Cause("consumer_disabled", text, ["service", "freshness"], NEW_EVENTS, RESTART)
    if e.enabled is None and "consumer_disabled" in e.log and e.members == 0 and not e.offset_seen:
        text = "its log says that the consumer is off"
        return Cause("consumer_disabled", text, ["log.consumer_disabled", "freshness"], NEW_EVENTS, RESTART, seen=False)
    return None


def broker_address(e: Evidence) -> Cause | None:
    """The service cannot reach a broker that answers here."""
    if e.broker and not e.members and not e.offset_moved and "kafka_connection" in e.log:
        where = f" ({e.env_bootstrap})" if e.env_bootstrap else ""
        text = (
            f"the broker answers here, the service cannot connect: correct its KAFKA_BOOTSTRAP_SERVERS{where}, restart"
        )
        return Cause("broker_address_wrong", text, ["log.kafka_connection", "freshness"], NEW_EVENTS, RESTART)
    return None


def topic_wrong(e: Evidence) -> Cause | None:
    """The group reads another topic than the one of the inventory."""
    if e.group_stable and e.topic and e.group_topics and e.topic not in e.group_topics:
        text = f"the group reads {', '.join(e.group_topics)}, not {e.topic}: correct KAFKA_TOPIC, then restart"
        return Cause("topic_wrong", text, ["freshness", "lag"], NEW_EVENTS, RESTART)
    if e.topic and e.env_topic and e.env_topic != e.topic:
        text = f"the process reads {e.env_topic}, not {e.topic}: correct its KAFKA_TOPIC, then restart"
        return Cause("topic_wrong", text, ["service", "freshness"], NEW_EVENTS, RESTART)
    if e.broker and e.topic_exists is False:
        text = f"the topic {e.topic} does not exist on the broker"
        return Cause("topic_missing", text, ["kafka.topic"], NEW_EVENTS)
    return None


REBALANCING = ("preparingrebalance", "completingrebalance", "assigning", "reconciling")


def rebalancing(e: Evidence) -> Cause | None:
    """A member came or went a moment ago; nothing is consumed until the group is stable again."""
    if e.group_state in REBALANCING:
        text = f"the group is {e.group_state} with {e.members} members: look again when it is stable"
        return Cause(
            "group_rebalancing", text, ["freshness", "lag"], ["new events until then"], VERIFY, status=UNVERIFIED
        )
    return None


def consumer_dead(e: Evidence) -> Cause | None:
    """No member, commits behind the end: the thread died silently and is never restarted in the process."""
    if e.http == "ok" and e.group_state in ("empty", "dead") and not e.members and e.lag and e.committed:
        text = f"health is ok, the group has no member and {e.lag} offsets wait"
        if e.database is False:
            text += "; the database is down, mend it before a restart"
        then = STORE if e.database is False else RESTART
        return Cause("consumer_dead", text, ["freshness", "lag"], ["every event since it died"], then)
    return None


def database_down(e: Evidence) -> Cause | None:
    """The consumer is still there; the next acting event kills it."""
    if e.database is False:
        text = "the database does not answer: positions and reconcile fail, and the next event kills the consumer"
        return Cause("database_down", text, ["store.reachable"], ["positions", "balances", "the next event"], STORE)
    return None


def consumer_absent(e: Evidence) -> Cause | None:
    """No member although the service answers, and nothing proves which of the reasons it is."""
    if e.http == "ok" and e.broker and e.members == 0 and e.group_state not in (None, "stable"):
        evidence = ["freshness", "lag"]
        if e.lag == 0 and e.committed:
            text = "the group has no member; nothing waits yet, and the next event will not be booked"
            return Cause("consumer_gone", text, evidence, ["the next event"], RESTART, seen=False)
        text = "the group has no member and never committed: consumer off, or its broker address or group differs"
        return Cause("consumer_never_joined", text, evidence, NEW_EVENTS, RESTART, seen=False)
    return None


def producer_clock(e: Evidence) -> Cause | None:
    """Events from the future: the age cannot tell anything."""
    if e.age_seconds is not None and e.age_seconds < -CLOCK_TOLERANCE_SECONDS:
        text = f"the last applied event is {-e.age_seconds:.0f} s in the future: a producer's clock is wrong"
        return Cause("producer_clock_ahead", text, ["freshness"], ["staleness checks"])
    return None


def producer_clock_behind(e: Evidence) -> Cause | None:
    """Events come and are applied, and every one of them looks old."""
    if e.group_stable and e.stale and e.event_moved:
        text = f"events are applied as they come, dated {e.age_seconds:.0f} s ago: a producer's clock is behind"
        return Cause("producer_clock_behind", text, ["freshness"], ["staleness checks"])
    return None


def publisher_off(e: Evidence) -> Cause | None:
    """The gateway accepts orders and publishes nothing, or is not there."""
    if e.publisher is False:
        text = "the gateway's Kafka publisher is off: orders are accepted and never arrive"
        return Cause("publisher_off", text, ["gateway.publisher"], ["every order since the gateway's start"])
    if e.gateway is False:
        text = "the gateway does not answer, so no order can arrive"
        return Cause("gateway_down", text, ["gateway.health"], ["new orders"], START)
    return None


def ledger_lost(e: Evidence) -> Cause | None:
    """Nothing is booked although the group has read the topic: the offsets survived, the ledger did not."""
    if e.http == "ok" and e.state_empty and e.ledger_empty and e.replay_lines == 0 and e.committed and e.topic_end:
        text = "the group has read the topic and the ledger was empty at boot: ledger lost, offsets kept"
        return Cause("ledger_lost", text, ["freshness", "ledger"], ["all data before the boot"])
    return None


def everything_skipped(e: Evidence) -> Cause | None:
    """Records are read and none is applied."""
    reasons = "orphan reports, a re-read after an offset reset, or a foreign format"
    if e.group_stable and e.offset_moved and e.event_moved is False:
        return Cause(
            "everything_skipped", f"records are read and none is applied: {reasons}", ["freshness"], NEW_EVENTS
        )
    if e.group_stable and e.processed == 0 and e.skipped and not e.event_seen:
        text = f"{e.skipped} records were read since the boot and none was applied: {reasons}"
        return Cause("everything_skipped", text, ["freshness"], NEW_EVENTS)
    return None


def consumer_slow(e: Evidence) -> Cause | None:
    """Lag grows while the counters move."""
    if e.group_stable and e.lag and e.lag_growing and e.offset_moved is not False:
        text = f"{e.lag} offsets wait and the number grows while records are read"
        return Cause("consumer_slow", text, ["lag"], ["latency of new events"])
    return None


def consumer_stuck(e: Evidence) -> Cause | None:
    """A member is there, records wait, and nothing moves."""
    if e.group_stable and e.lag and e.offset_moved is False:
        text = f"the group has a member, {e.lag} offsets wait, and nothing was read between two samples"
        return Cause("consumer_stuck", text, ["lag", "freshness"], NEW_EVENTS, RESTART)
    return None


def topic_empty(e: Evidence) -> Cause | None:
    """Stable, nothing consumed, and there is nothing to consume."""
    if e.group_stable and e.counters_null and e.topic_end == 0:
        text = "the group is stable on a topic without a record: wrong topic name, or nothing publishes"
        return Cause("topic_empty", text, ["freshness", "kafka.topic"], NEW_EVENTS, seen=False)
    return None


def quiet_after_restart(e: Evidence) -> Cause | None:
    """All counters null and everything read: healthy, the service was restarted and nothing happened since."""
    if e.group_stable and e.counters_null and e.lag == 0 and e.topic_end:
        text = "restarted, and no event since: the group is stable and has read everything"
        return Cause("restarted_on_quiet_market", text, ["freshness"], [], status=PASS)
    return None


def quiet_market(e: Evidence) -> Cause | None:
    """Old events, nothing waits, the consumer is there. Without the gateway's word the producer may be broken."""
    if not (e.group_stable and e.lag == 0 and e.topic_end and e.stale):
        return None
    text = f"no event for {e.age_seconds:.0f} s, nothing waits on the topic, the consumer is there"
    if e.publisher is None:
        text += "; whether the gateway publishes is not known"
        return Cause("quiet_market", text, ["freshness", "lag"], [], E2E, seen=False, status=UNVERIFIED)
    return Cause("quiet_market", text, ["freshness", "lag"], [], status=PASS)


RULES: tuple[Rule, ...] = (
    service_down,
    impostor,
    unauthorized,
    broker_down,
    consumer_disabled,
    broker_address,
    topic_wrong,
    rebalancing,
    consumer_dead,
    database_down,
    consumer_absent,
    producer_clock,
    producer_clock_behind,
    publisher_off,
    ledger_lost,
    everything_skipped,
    consumer_slow,
    consumer_stuck,
    topic_empty,
    quiet_after_restart,
    quiet_market,
)


def store_books_nothing(e: Evidence) -> Cause | None:
    """Orders stand in the database and fills do not: the store cannot book a fill."""
    if not e.books_nothing:
        return None
    text = "the database has orders and no fills: this release cannot book a fill on PostgreSQL"
    return Cause("store_books_nothing", text, ["store.orders_without_fills"], ["positions", "balances"], STORE)


FACTS: tuple[Rule, ...] = (store_books_nothing,)


def facts_of(e: Evidence) -> list[Cause]:
    """What is wrong beside the cause, and would be wrong without it."""
    return [cause for rule in FACTS if (cause := rule(e))]


def cause_of(e: Evidence) -> Cause | None:
    """The first cause in order of precedence; None when everything is as it should be, or nothing is known."""
    return next((cause for rule in RULES if (cause := rule(e))), None)


def freshness(e: Evidence, cause: Cause | None) -> Check:
    """The check that the age of the last event alone cannot give: are the data of this BackOffice current?"""
    expected = "events are booked as they come"
    if e.stale_after_seconds:
        expected += f", the last one at most {e.stale_after_seconds:g} s old or the market quiet"
    status, observed = _current(e, cause)
    hint = "The age alone cannot tell a quiet market from a dead consumer; group, lag and counters are judged together."
    if cause and cause.affects:
        hint = f"Affects {', '.join(cause.affects)}." + (f" Next: {cause.then}." if cause.then else "")
    return Check("freshness", "Data are current", status, observed, expected, hint, "5")


def _current(e: Evidence, cause: Cause | None) -> tuple[Status, str]:
    age = "" if e.age_seconds is None else f", last event {e.age_seconds:.0f} s old"
    if cause:
        return cause.status, f"{cause.name}: {cause.text}"
    if e.http is None or e.processed is None:
        return UNVERIFIED, "the statistics could not be read"
    if e.group_state is None or e.lag is None:
        return UNVERIFIED, f"the consumer group could not be observed{age}"
    group = f"group {e.group_state}, {e.members} members, {e.lag} waiting{age}"
    if e.group_stable and e.event_seen and not e.stale:
        return PASS, group
    return UNVERIFIED, f"no rule fits: {group}"
