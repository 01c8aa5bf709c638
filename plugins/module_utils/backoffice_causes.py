# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Telling causes apart: what the observations of one BackOffice mean. Pure rules over an Evidence object.

The rules stand in order of precedence: what makes everything else unknowable (not running, refused token, broker gone)
comes before what is read from the counters. Each rule gives a Cause or None; the first one is the cause, because one
fault usually shows in many checks. Independent facts (a lost ledger, a publisher that is off) are added beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from .checks import FAIL, PASS, UNVERIFIED, Check, Effect, Finding, Next, Status

RESTART = "sre.runbooks.backoffice.restart"
REPAIR = "sre.runbooks.backoffice.ledger_repair"
STORE = "sre.runbooks.backoffice.rdb_compliance"
VERIFY = "sre.runbooks.backoffice.verify"
E2E = "sre.runbooks.backoffice.e2e"
START = "sre.runbooks.backoffice.start"


@dataclass
class Evidence:
    """What was observed; None means not observed. Times in seconds, offsets as Kafka counts them.

    ``http`` is ok, refused, unauthorized, or error. ``*_moved`` compare two samples. ``log`` holds the ids of the log
    patterns that matched. ``service`` is the state that the service manager gives.
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
    group_exists: bool | None = None
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
    database: bool | None = None

    @property
    def counters_null(self) -> bool | None:
        """Nothing was consumed since boot, and no event was ever seen."""
        if self.processed is None or self.offset_seen is None:
            return None
        return not self.offset_seen

    @property
    def group_stable(self) -> bool:
        return self.group_state == "stable" and bool(self.members)


@dataclass
class Cause:
    """A named cause: how sure, which checks show it, what it breaks, and what to do next."""

    name: str
    status: Status
    text: str
    seen: bool
    evidence: list[str]
    affects: list[str]
    playbook: str | None = None
    args: dict[str, str] = field(default_factory=dict)
    effect: Effect = "read"

    def finding(self) -> Finding:
        step = Next(self.playbook, self.args, self.effect) if self.playbook else None
        return Finding(self.name, "seen" if self.seen else "inferred", self.evidence, self.affects, step)


Rule = Callable[[Evidence], Cause | None]

# Log patterns of a boot that failed, each with the cause it names and what to do.
BOOT_DEATHS: dict[str, tuple[str, str, str | None, Effect]] = {
    "boot_bad_side": ("ledger_fatal_line", "a ledger line with a side other than BUY or SELL stops the boot", REPAIR, "change"),
    "boot_bad_bytes": ("ledger_fatal_line", "a ledger line that is not UTF-8 stops the boot", REPAIR, "change"),
    "boot_port": ("port_in_use", "another process holds the port of BackOffice", None, "read"),
    "boot_database": ("database_down", "the database could not be reached at boot", STORE, "read"),
    "boot_variable": ("variable_not_numeric", "a numeric variable of the service is not a number", None, "read"),
    "boot_bootstrap": ("broker_address_unresolvable", "the Kafka bootstrap host cannot be resolved", None, "read"),
}


def service_down(e: Evidence) -> Cause | None:
    """/stats and health refused: stopped, still replaying, or died at boot."""
    if e.http != "refused":
        return None
    if e.service in ("stopped", "failed", "unknown", None):
        for pattern, (name, text, playbook, effect) in BOOT_DEATHS.items():
            if pattern in e.log:
                return Cause(name, FAIL, f"it died at boot: {text}", True, ["health", f"log.{pattern}"], ["everything"], playbook, {}, effect)
    if e.service == "failed":
        code = "" if e.exit_code is None else f" with exit code {e.exit_code}"
        return Cause("died_at_boot", FAIL, f"the process ended{code}; its standard error names the reason", True, ["health", "service"], ["everything"], RESTART, {}, "change")
    if e.service == "stopped":
        return Cause("service_stopped", FAIL, "the service manager says that it is stopped", True, ["health", "service"], ["everything"], START, {}, "change")
    if e.service in ("running", "starting"):
        return Cause("replay_in_progress", FAIL, "the process runs and its port is closed: HTTP opens only after the ledger is replayed", False, ["health", "service"], ["everything until the replay ends"], VERIFY)
    return Cause("service_down", FAIL, "the port is closed; ask its service manager whether it is stopped, replaying or dead", False, ["health"], ["everything"], START, {}, "change")


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
    name, text = AUTH.get(e.auth_reason or "", ("token_refused", f"the token is refused: {e.auth_reason or 'no reason given'}"))
    return Cause(name, UNVERIFIED, f"{text}; this says nothing about the data", True, ["stats"], ["what this run can see"])


def broker_down(e: Evidence) -> Cause | None:
    """The broker itself does not answer."""
    if e.broker is not False:
        return None
    return Cause("kafka_down", FAIL, "no broker answers at the address of the inventory", True, ["kafka.reachable"], ["new events", "end-to-end orders"], START, {}, "change")


def consumer_disabled(e: Evidence) -> Cause | None:
    """The log line says it; without the log, no member and nothing consumed."""
    if "consumer_disabled" in e.log:
        return Cause("consumer_disabled", FAIL, "BACKOFFICE_ENABLE is off: the log says so", True, ["log.consumer_disabled", "freshness"], ["new events"], RESTART, {}, "change")
    return None


def broker_address(e: Evidence) -> Cause | None:
    """The service cannot reach a broker that answers here."""
    if e.broker and e.counters_null and not e.members and "kafka_connection" in e.log:
        return Cause("broker_address_wrong", FAIL, "the broker answers here, the service logs that it cannot connect: its KAFKA_BOOTSTRAP_SERVERS is wrong", True, ["log.kafka_connection", "freshness"], ["new events"], RESTART, {}, "change")
    return None


def topic_wrong(e: Evidence) -> Cause | None:
    """The group reads another topic than the one of the inventory."""
    if e.group_stable and e.group_topics and e.topic and e.topic not in e.group_topics:
        return Cause("topic_wrong", FAIL, f"the group reads {', '.join(e.group_topics)}, not {e.topic}", True, ["freshness", "kafka.topic"], ["new events"], RESTART, {}, "change")
    if e.broker and e.topic_exists is False:
        return Cause("topic_missing", FAIL, f"the topic {e.topic} does not exist on the broker", True, ["kafka.topic"], ["new events"])
    return None


def consumer_dead(e: Evidence) -> Cause | None:
    """No member, commits behind the end: the thread died silently and is never restarted in the process."""
    if e.http == "ok" and e.group_state in ("empty", "dead") and not e.members and e.lag and e.committed:
        why = "; the database is down, mend it first" if e.database is False else ""
        playbook, effect = (STORE, "read") if e.database is False else (RESTART, "change")
        return Cause("consumer_dead", FAIL, f"health is ok, the group has no member and {e.lag} offsets wait{why}", True, ["freshness", "lag"], ["every event since it died"], playbook, {}, effect)  # type: ignore[arg-type]
    return None


def consumer_absent(e: Evidence) -> Cause | None:
    """No member although the service answers, and nothing proves which of the reasons it is."""
    if e.http == "ok" and e.broker and e.members == 0 and e.group_state not in (None, "stable"):
        if e.lag == 0 and e.committed:
            return Cause("consumer_gone", FAIL, "the group has no member; nothing waits yet, the next event will not be booked", False, ["freshness", "lag"], ["the next event"], RESTART, {}, "change")
        return Cause("consumer_never_joined", FAIL, "the group has no member and never committed: consumer off, or its broker address or group differs", False, ["freshness", "lag"], ["new events"], RESTART, {}, "change")
    return None


def producer_clock(e: Evidence) -> Cause | None:
    """Events from the future: the age cannot tell anything."""
    if e.age_seconds is not None and e.age_seconds < -60:
        return Cause("producer_clock_ahead", FAIL, f"the last applied event is {-e.age_seconds:.0f} s in the future: a producer's clock is wrong, the age says nothing", True, ["freshness"], ["staleness checks"])
    return None


def ledger_lost(e: Evidence) -> Cause | None:
    """Nothing booked although the group has read the topic: the offsets survived, the ledger did not."""
    if e.http == "ok" and e.state_empty and e.ledger_empty and e.committed and e.topic_end and not e.event_moved:
        return Cause("ledger_lost", FAIL, "the group has read the topic and nothing is booked for the account: ledger lost with offsets kept, or an account without orders", False, ["freshness", "ledger"], ["all data of the account"])
    return None


def everything_skipped(e: Evidence) -> Cause | None:
    """Records are read and none is applied."""
    if e.group_stable and e.offset_moved and e.event_moved is False:
        return Cause("everything_skipped", FAIL, "records are read and none is applied: orphan reports, a re-read after an offset reset, or a foreign format", True, ["freshness"], ["new events"])
    if e.group_stable and e.processed == 0 and (e.skipped or 0) > 0 and not e.event_seen:
        return Cause("everything_skipped", FAIL, f"{e.skipped} records were read since the boot and none was applied: a re-read after an offset reset, orphan reports, or a foreign format", True, ["freshness"], ["new events"])
    return None


def publisher_off(e: Evidence) -> Cause | None:
    """The gateway accepts orders and publishes nothing."""
    if e.publisher is False:
        return Cause("publisher_off", FAIL, "the gateway's Kafka publisher is off: orders are accepted and never arrive", True, ["gateway.publisher"], ["every order since the gateway's start"])
    if e.gateway is False:
        return Cause("gateway_down", FAIL, "the gateway does not answer, so no order can arrive", True, ["gateway.health"], ["new orders"], START, {}, "change")
    return None


def consumer_slow(e: Evidence) -> Cause | None:
    """Lag grows while the counters move."""
    if e.group_stable and e.lag and e.lag_growing and e.offset_moved is not False:
        return Cause("consumer_slow", FAIL, f"{e.lag} offsets wait and the number grows while records are read", True, ["lag"], ["latency of new events"])
    return None


def topic_empty(e: Evidence) -> Cause | None:
    """Stable, nothing consumed, and there is nothing to consume."""
    if e.group_stable and e.counters_null and e.topic_end == 0:
        return Cause("topic_empty", FAIL, "the group is stable on a topic without a record: wrong topic name, or nothing publishes", False, ["freshness", "kafka.topic"], ["new events"])
    return None


def quiet_after_restart(e: Evidence) -> Cause | None:
    """All counters null and everything read: healthy, the service was restarted and nothing happened since."""
    if e.group_stable and e.counters_null and e.lag == 0 and e.topic_end:
        return Cause("restarted_on_quiet_market", PASS, "restarted, and no event since: the group is stable and has read everything", True, ["freshness"], [])
    return None


def quiet_market(e: Evidence) -> Cause | None:
    """Old events, nothing waits, the consumer is there."""
    if e.group_stable and e.lag == 0 and _stale(e) and e.topic_end:
        sure = e.publisher is not None
        text = f"no event for {e.age_seconds:.0f} s, and nothing waits on the topic" + ("" if sure else "; the gateway was not looked at")
        return Cause("quiet_market", PASS if sure else UNVERIFIED, text, sure, ["freshness", "lag"], [], None if sure else E2E, {}, "change")
    return None


RULES: tuple[Rule, ...] = (
    service_down,
    unauthorized,
    broker_down,
    consumer_disabled,
    broker_address,
    topic_wrong,
    consumer_dead,
    consumer_absent,
    producer_clock,
    publisher_off,
    ledger_lost,
    everything_skipped,
    consumer_slow,
    topic_empty,
    quiet_after_restart,
    quiet_market,
)


def _stale(e: Evidence) -> bool:
    return e.age_seconds is not None and e.stale_after_seconds > 0 and e.age_seconds > e.stale_after_seconds


def causes(e: Evidence) -> Iterator[Cause]:
    """The first cause in order of precedence, and nothing when everything is as it should be."""
    for rule in RULES:
        cause = rule(e)
        if cause:
            yield cause
            return


def freshness(e: Evidence, cause: Cause | None) -> Check:
    """The check that the age of the last event alone cannot give: are the data of this BackOffice current?"""
    expected = f"events booked as they come, last one at most {e.stale_after_seconds:g} s old" if e.stale_after_seconds else "events booked as they come"
    hint = "The age alone cannot tell a quiet market from a dead consumer; group, lag and counters are judged together."
    if cause:
        return Check("freshness", "Data are current", cause.status, f"{cause.name}: {cause.text}", expected, hint, "5")
    if e.http is None or e.processed is None:
        return Check("freshness", "Data are current", UNVERIFIED, "the statistics could not be read", expected, hint, "5")
    if e.group_state is None or e.lag is None:
        observed = "the consumer group could not be observed" + ("" if e.age_seconds is None else f", last event {e.age_seconds:.0f} s old")
        return Check("freshness", "Data are current", UNVERIFIED, observed, expected, hint, "5")
    if e.group_stable and e.event_seen and not _stale(e):
        return Check("freshness", "Data are current", PASS, f"last event {e.age_seconds or 0:.0f} s old, group stable, {e.lag} waiting", expected, hint, "5")
    observed = f"group {e.group_state}, {e.members} members, {e.lag} waiting" + ("" if e.age_seconds is None else f", last event {e.age_seconds:.0f} s old")
    return Check("freshness", "Data are current", UNVERIFIED, f"no rule fits: {observed}", expected, hint, "5")
