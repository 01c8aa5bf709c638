# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Event logs of runs as the callback writes them, one for each kind of outcome."""

from __future__ import annotations

import datetime
from typing import Any

Event = dict[str, Any]
START = datetime.datetime(2026, 9, 30, 3, 15, tzinfo=datetime.UTC)
GATE = "sre.runbooks.verdict"
LONG = "ERROR o.a.kafka.clients.NetworkClient Connection to node -1 could not be established. " * 30


class Log:
    """Writes events with a clock of its own: one second a step."""

    def __init__(self, playbook: str = "sre.runbooks.verify", **run: Any) -> None:
        self.events: list[Event] = []
        self._now = START
        self.check_mode = bool(run.get("check_mode"))
        self.add(
            "run",
            playbook=playbook,
            **{
                "user": "asha",
                "controller": "bastion-1",
                "inventory": ["/srv/inventories/production"],
                "limit": "",
                "tags": ["all"],
                "skip_tags": [],
                "check_mode": False,
                "diff_mode": False,
                "versions": {"sre.runbooks": "0.1.0", "ansible-core": "2.19.14", "python": "3.11.7"},
                **run,
            },
        )

    def add(self, kind: str, **data: Any) -> Log:
        self._now += datetime.timedelta(seconds=1)
        self.events.append({"time": self._now.isoformat(timespec="milliseconds"), "event": kind, **data})
        return self

    def task(self, host: str, name: str, action: str, status: str = "ok", result: Any = None, **more: Any) -> Log:
        event = {
            "host": host,
            "task": name,
            "action": action,
            "status": status,
            "duration_ms": 40,
            "check_mode": self.check_mode,
            "delegated_to": "",
            **more,
        }
        return self.add("task", **event, **({} if result is None else {"result": result}))

    def verdict(self, host: str, procedure: str, checks: list[Event], **result: Any) -> Log:
        """Publish and gate, as a procedure ends."""
        statuses = {item["status"] for item in checks}
        word = "fail" if "fail" in statuses else "pass" if statuses == {"pass"} else "unverified"
        told = {"verdict": word, "procedure": procedure, "msg": f"{word.upper()}: {len(checks)} checks"}
        extra = {"findings": [], "accepted": [], "notes": [], **result}
        self.task(host, "Publish the verdict", GATE, result={**told, "checks": checks, **extra})
        return self.task(host, "Fail unless everything passed", GATE, "ok" if word == "pass" else "failed", told)

    def end(self, **recap: dict[str, int]) -> list[Event]:
        names = ("ok", "changed", "failures", "unreachable", "skipped", "rescued", "ignored")
        full = {host: {**dict.fromkeys(names, 0), **counts} for host, counts in recap.items()}
        return self.add("end", recap=full).events


def check(identity: str, status: str = "pass", **more: Any) -> Event:
    return {
        "id": identity,
        "title": f"Check of {identity}",
        "status": status,
        "observed": 3,
        "expected": "at most 5",
        "hint": "Look at the log of the consumer.",
        "runbook": "5",
        "duration_ms": 12,
        **more,
    }


def finding(cause: str = "The consumer is dead", effect: str = "change", **more: Any) -> Event:
    return {
        "cause": cause,
        "confidence": "seen",
        "evidence": ["stats.fresh", "positions"],
        "affects": ["positions"],
        "next": {"playbook": "sre.runbooks.backoffice.restart", "args": {"backoffice_service": "bo"}, "effect": effect},
        **more,
    }


def passed() -> list[Event]:
    log = Log().add("play", name="BackOffice, checklist")
    log.task(
        "bo-eu",
        "2. Recovery check",
        "sre.runbooks.backoffice_stats",
        result={"verdict": "pass", "checks": [check("stats.fresh")]},
    )
    log.verdict(
        "bo-eu", "backoffice.verify", [check("stats.fresh"), check("positions", observed={"status": 200, "rows": 12})]
    )
    return log.end(**{"bo-eu": {"ok": 3}})


def failed() -> list[Event]:
    log = Log("sre.runbooks.backoffice.stale_data", limit="bo-eu").add("play", name="BackOffice, stale data")
    rows = [
        check("positions"),
        check("replay.slo", "unverified", observed=None, expected="durationMs at most 5000", runbook="3.5"),
        check("stats.fresh", "fail", observed="last event 902 s ago", expected="at most 120 s"),
    ]
    lacking = check("store", "fail", observed="in-memory", expected="postgres")
    accepted = [{**lacking, "reason": "A development machine", "owner": "team-bo", "until": "2026-12-31"}]
    log.verdict(
        "bo-eu",
        "backoffice.stale_data",
        rows,
        findings=[finding(), finding("A quiet market", "read")],
        accepted=accepted,
    )
    return log.end(**{"bo-eu": {"ok": 3, "failures": 1}})


def unverified() -> list[Event]:
    log = Log().add("play", name="BackOffice, checklist")
    log.verdict("bo-eu", "backoffice.verify", [check("lag", "unverified", observed=None), check("positions")])
    return log.end(**{"bo-eu": {"ok": 1, "failures": 1}})


def several_systems() -> list[Event]:
    log = Log().add("play", name="Every system of the inventory")
    log.verdict("backoffice-prod-eu", "backoffice.verify", [check("stats.fresh"), check("positions")])
    log.verdict(
        "hafnium-prod-eu", "hafnium.verify", [check("pods", "fail", observed="2 of 3 ready", expected="3 of 3")]
    )
    log.verdict("durion-prod", "durion.verify", [check("lag.orders", "unverified", observed=None, expected="0")])
    log.task(
        "ecommerce-prod",
        "2. Health of the services",
        "sre.runbooks.http_probe",
        "unreachable",
        {"msg": "No route to host"},
    )
    return log.end(
        **{
            "backoffice-prod-eu": {"ok": 2},
            "hafnium-prod-eu": {"ok": 1, "failures": 1},
            "durion-prod": {"ok": 1, "failures": 1},
            "ecommerce-prod": {"unreachable": 1},
        }
    )


def many_checks() -> list[Event]:
    log = Log().add("play", name="ECommerce, checklist")
    rows = [check(f"health.service-{number}", "fail" if number % 20 == 7 else "pass") for number in range(60)]
    log.verdict("ecommerce-prod", "ecommerce.verify", rows)
    return log.end(**{"ecommerce-prod": {"ok": 1, "failures": 1}})


def long_texts() -> list[Event]:
    log = Log("/srv/site/playbooks/a-very-long-name-of-a-playbook-that-somebody-wrote-at-three-in-the-morning.yml")
    rows = [
        check("log", "fail", title=LONG[:200], observed=LONG, expected={"a": [{"b": list(range(20))}]}, hint=LONG),
        check("x" * 120, "unverified", observed={"rows": [{"partition": n, "lag": n * 1000} for n in range(12)]}),
        check("<script>alert(1)</script>", "fail", observed="<b>&amp;\"'", expected="\u0001\ud800 | *", hint="</pre>"),
        check("lines", "fail", observed="first line\nsecond line\n  third line\n", expected=""),
    ]
    log.verdict(
        "host-" + "n" * 60,
        "backoffice.verify",
        rows,
        findings=[finding(LONG[:300], "destroy", evidence=["log", "gone"])],
    )
    return log.end(**{"host-" + "n" * 60: {"failures": 1}})


def check_mode() -> list[Event]:
    log = Log("sre.runbooks.backoffice.ledger_repair", check_mode=True).add("play", name="BackOffice, ledger repair")
    plan = [
        {"line": 812, "action": "quarantine", "reason": "broken JSON"},
        {"line": 911, "action": "keep", "reason": "unknown type, skipped by the replay"},
    ]
    result = {"changed": True, "msg": "1 of 2 bad lines would be quarantined", "plan": plan}
    log.task(
        "bo-eu",
        "6. Quarantine the bad lines",
        "sre.runbooks.backoffice_ledger",
        "changed",
        result,
        delegated_to="bo-db-1",
    )
    log.task("bo-eu", "6. Stop the service", "ansible.builtin.systemd_service", "changed", delegated_to="bo-db-1")
    log.verdict("bo-eu", "backoffice.ledger_repair", [check("plan")])
    return log.end(**{"bo-eu": {"ok": 4, "changed": 2}})


def changed() -> list[Event]:
    log = Log("sre.runbooks.backoffice.restart").add("play", name="BackOffice, restart")
    result = {
        "changed": True,
        "msg": "restarted, ready after 41 s",
        "plan": {"service": "backoffice", "action": "restart"},
    }
    log.task("bo-eu", "1. Restart", "sre.runbooks.service_control", "changed", result)
    log.task(
        "bo-eu", "1. Wait for the replay", "sre.runbooks.backoffice_stats", "failed", {"msg": "no answer in 300 s"}
    )
    log.verdict("bo-eu", "backoffice.restart", [check("stats.fresh")])
    log.task("bo-eu", "1. The restart was undone", "ansible.builtin.fail", "failed")
    return log.end(**{"bo-eu": {"ok": 3, "changed": 1, "failures": 1, "rescued": 1}})


def captured() -> list[Event]:
    log = Log("sre.runbooks.ecommerce.database_degradation").add("play", name="E-commerce, degradation")
    rows = [check("long_queries.order_db", "fail", observed="1 query for 412 s")]
    sessions = [{"pid": 4711, "state": "active", "query": "SELECT <b>count</b> FROM orders WHERE email = ?"}]
    result = {"verdict": "fail", "checks": rows, "capture": [{"name": "order_db", "sessions": sessions}]}
    log.task("shop", "5.4 Capture", "sre.runbooks.pg_activity", "ok", result)
    log.verdict("shop", "ecommerce.database_degradation", rows)
    return log.end(shop={"failures": 1})


def nothing_verified() -> list[Event]:
    log = Log("site.yml").add("play", name="Something else")
    log.task("web-1", "Install a package", "ansible.builtin.apt")
    return log.end(**{"web-1": {"ok": 1}})


def no_hosts() -> list[Event]:
    log = Log(limit="bo-us").add("play", name="BackOffice, checklist").add("no_hosts", play="BackOffice, checklist")
    return log.end()


def unreachable() -> list[Event]:
    log = Log().add("play", name="BackOffice, checklist")
    log.task("bo-eu", "6. Scan the ledger", "sre.runbooks.backoffice_ledger", "unreachable", {"msg": "ssh: timed out"})
    return log.end(**{"bo-eu": {"unreachable": 1}})


def interrupted() -> list[Event]:
    log = Log().add("play", name="BackOffice, checklist")
    log.verdict("bo-eu", "backoffice.verify", [check("stats.fresh")])
    return log.add("interrupted").events


ALL = {
    function.__name__: function
    for function in (
        passed,
        failed,
        unverified,
        several_systems,
        many_checks,
        long_texts,
        check_mode,
        changed,
        captured,
        nothing_verified,
        no_hosts,
        unreachable,
        interrupted,
    )
}


def state_of(name: str) -> str:
    return "interrupted" if name == "interrupted" else "finished"
