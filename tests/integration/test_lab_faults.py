# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every fault of the lab's part backoffice: put in, seen at the service's own interface, taken out, healthy again."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import pytest

from lab import control, faultbook, kafka, lifecycle, postgres, probes, seed
from lab.faultbook import prove_healthy
from lab.faults import FAULTS as ALL_FAULTS
from lab.faults import books, bus
from lab.faults.kafka import FLAT_PAIR, MISSPELT, NOWHERE
from lab.layout import paths

pytestmark = [pytest.mark.lab, pytest.mark.slow]

FAULTS = {name: fault for name, fault in ALL_FAULTS.items() if fault.part == "backoffice"}
SEEN: dict[str, Callable[[], None]] = {}
Observation = Callable[[], None]


def sees(*names: str) -> Callable[[Observation], Observation]:
    """The decorated function asserts what the named faults look like."""

    def register(observation: Observation) -> Observation:
        SEEN.update(dict.fromkeys(names, observation))
        return observation

    return register


def get(path: str, service: str = "backoffice") -> tuple[int, Any]:
    return probes.request(service, path, probes.token(paths()))


def stats() -> dict[str, Any]:
    status, body = get("/stats")
    assert status == 200
    assert isinstance(body, dict)
    return body


def group() -> tuple[str, int]:
    return probes.consumer_group()


def wait(predicate: Callable[[], Any], what: str, seconds: float = 30) -> None:
    control.wait_until(predicate, seconds, what)


def refused() -> None:
    with pytest.raises(OSError, match="refused"):
        get("/health")


def log(program: str, stream: str = "stdout") -> str:
    path = paths().stdout_log(program) if stream == "stdout" else paths().stderr_log(program)
    return path.read_text("utf-8", "replace")[-20_000:]


def dead(*words: str) -> None:
    """Died at boot: the port is closed, the trace is on stderr, the exit status is not 0."""
    refused()
    assert control.state("backoffice") in ("EXITED", "FATAL")
    trace = log("backoffice", "stderr")
    assert "Traceback" in trace
    for word in words:
        assert word in trace


def reconcile(limit: int = 10_000) -> dict[str, Any]:
    status, body = get(f"/reconcile?limit={limit}")
    assert status == 200
    assert isinstance(body, dict)
    return body


def never_saw_an_event() -> None:
    body = stats()
    assert (body["processed"], body["skipped"]) == (0, 0)
    assert (body["lastEventAt"], body["lastKafkaOffset"]) == (None, None)


@sees("consumer-disabled")
def _() -> None:
    never_saw_an_event()
    wait(lambda: group() == ("EMPTY", 0), "a group without members")
    assert "BackOfficeConsumer disabled (BACKOFFICE_ENABLE=0)" in log("backoffice")


@sees("consumer-dead")
def _() -> None:
    assert get("/health")[0] == 200
    before = stats()
    assert group() == ("EMPTY", 0)
    wait(lambda: bus.lag() > 0, "a lag")
    assert stats() == before


@sees("consumer-slow")
def _() -> None:
    before, body = bus.lag(), stats()
    wait(lambda: stats()["lastKafkaOffset"] != body["lastKafkaOffset"], "a moving offset")
    wait(lambda: bus.lag() > before + 3, "a growing lag")
    assert group() == ("STABLE", 1)


@sees("topic-misspelt", "topic-empty")
def _() -> None:
    topics = kafka.admin().list_topics(timeout=10).topics
    other = MISSPELT if MISSPELT in topics else "events.empty"
    assert group() == ("STABLE", 1)
    assert sum(bus.offsets(other).values()) == 0
    never_saw_an_event()


@sees("gateway-never-published")
def _() -> None:
    seed.put(paths(), FLAT_PAIR, "acct_market")
    assert "gateway_kafka_publisher_enabled 0" in get("/metrics", "gateway")[1]
    assert sum(bus.offsets("events.empty").values()) == 0
    assert group() == ("STABLE", 1)
    never_saw_an_event()


@sees("kafka-stopped")
def _() -> None:
    assert not probes.port_open("kafka")
    assert get("/health")[0] == 200
    before = stats()
    seed.put(paths(), FLAT_PAIR, "acct_market")  # orders are still taken
    wait(lambda: "gateway_kafka_publisher_queue_depth 0" not in get("/metrics", "gateway")[1], "a filled queue")
    assert stats() == before


@sees("kafka-address-wrong")
def _() -> None:
    never_saw_an_event()
    assert get("/health")[0] == 200
    wait(lambda: "WARN" in log("backoffice") and NOWHERE in log("backoffice"), "a warning about the connection")
    assert group()[0] == "EMPTY"


@sees("kafka-host-unknown")
def _() -> None:
    dead("No resolvable bootstrap urls")


@sees("offsets-reset")
def _() -> None:
    body = stats()
    assert (body["processed"], body["lastEventAt"]) == (0, None)
    wait(lambda: stats()["lastKafkaOffset"] != body["lastKafkaOffset"], "a moving offset")
    assert stats()["skipped"] > body["skipped"]
    assert group() == ("STABLE", 1)
    assert reconcile()["positions"]["ok"] is True


@sees("backoffice-stopped")
def _() -> None:
    refused()
    assert control.state("backoffice") == "STOPPED"


@sees("backoffice-restarted")
def _() -> None:
    never_saw_an_event()
    assert group() == ("STABLE", 1)
    assert bus.lag() == 0
    assert sum(bus.offsets().values()) > 0
    assert reconcile()["positions"]["ok"] is True


@sees("backoffice-port-taken")
def _() -> None:
    assert control.state("backoffice") in ("EXITED", "FATAL")
    assert "Address already in use" in log("backoffice", "stderr")
    assert get("/health")[0] == 404


@sees("backoffice-bad-variable")
def _() -> None:
    dead("BACKOFFICE_FEE_BPS", '"ten"')


@sees("replay-slow")
def _() -> None:
    assert stats()["ledgerReplay"]["durationMs"] > 5000


@sees("replay-long")
def _() -> None:
    time.sleep(1)
    refused()
    assert control.state("backoffice") == "RUNNING"


@sees("replay-port-taken")
def _() -> None:
    status, body = probes.request("replay", "/reconcile", probes.token(paths()))
    assert status == 200
    assert (body["positions"]["ok"], body["balances"]["ok"]) == (True, True)
    assert get("/health")[0] == 200


@sees("jwt-secret-changed")
def _() -> None:
    assert get("/stats") == (401, {"status": "UNAUTHORIZED", "reason": "INVALID_JWT_SIGNATURE"})
    assert get("/health")[0] == 200


@sees("jwt-secret-missing")
def _() -> None:
    assert get("/stats") == (401, {"status": "UNAUTHORIZED", "reason": "JWT_SECRET_NOT_CONFIGURED"})


@sees("store-in-memory")
def _() -> None:
    positions = reconcile()["positions"]
    assert positions["ok"] is False
    assert positions["actual"][f"{probes.ACCOUNT}::ADA"] == 3
    assert positions["diffs"]["ADA"] == -3
    assert reconcile()["balances"]["ok"] is True


@sees("account-unknown")
def _() -> None:
    for path in ("positions", "balances", "fills", "pnl"):
        assert get(f"/{path}") == (200, {path: []})
    assert get("/ledger")[1]["entries"] == []
    assert reconcile()["positions"] == {"ok": True, "expected": {}, "actual": {}, "diffs": {}}
    assert reconcile()["balances"]["ok"] is True


@sees("ledger-lost-offsets-kept")
def _() -> None:
    SEEN["account-unknown"]()
    assert group() == ("STABLE", 1)
    wait(lambda: stats()["processed"] > 0, "later events booked")


@sees("reconcile-limit-exceeded")
def _() -> None:
    short = reconcile(1000)
    assert (short["positions"]["ok"], short["balances"]["ok"]) == (False, False)
    whole = reconcile(10_000)
    assert (whole["positions"]["ok"], whole["balances"]["ok"]) == (True, True)


@sees("ledger-broken-json", "ledger-unknown-type", "ledger-missing-field")
def _() -> None:
    assert stats()["ledgerReplay"]["skipped"] == 1
    assert reconcile()["positions"]["ok"] is True
    assert b"ord_fault_ledger" not in json.dumps(get("/ledger?limit=1000")[1]).encode()


@sees("ledger-number-as-text")
def _() -> None:
    assert stats()["ledgerReplay"]["skipped"] == 0
    assert b"ord_fault_ledger-number-as-text" in books.read()
    assert reconcile()["positions"]["ok"] is True
    entries = get("/ledger?limit=1000&orderId=ord_fault_ledger-number-as-text")[1]["entries"]
    assert [entry["filledQtyDelta"] for entry in entries] == [0]


@sees("ledger-torn-tail")
def _() -> None:
    assert stats()["ledgerReplay"]["skipped"] == 1
    wait(lambda: b'"ord_fault_ledger-torn-tail' in books.read(), "the torn line")
    wait(lambda: books.read().endswith(b"\n"), "an event glued to the torn line")
    assert stats()["processed"] > 0


@sees("ledger-bad-side")
def _() -> None:
    dead("Side.sell")


@sees("ledger-invalid-utf8")
def _() -> None:
    dead("UnicodeDecodeError")


@sees("ledger-bad-line-under-snapshot")
def _() -> None:
    replay = stats()["ledgerReplay"]
    assert (replay["applied"], replay["skipped"]) == (0, 0)
    assert replay["lines"] > 0
    bad = [line for line in books.read().splitlines() if not line.endswith(b"}")]
    assert len(bad) == 1
    assert reconcile()["balances"]["ok"] is True


@sees("ledger-bad-side-under-snapshot")
def _() -> None:
    assert get("/health")[0] == 200
    assert get("/ledger") == (500, "ERROR")
    assert get("/reconcile") == (500, "ERROR")
    assert get("/positions")[0] == 200
    assert "Side.x" in log("backoffice", "stderr")


@sees("writer-on-old-inode")
def _() -> None:
    order = seed.Order("DOT", "BUY", 1, 100), seed.Order("DOT", "SELL", 1, 100)
    ids = seed.put(paths(), order)
    seed.wait_booked(paths(), ids, order)
    assert get(f"/ledger?orderId={ids[0]}")[1]["entries"] == []
    wait(lambda: bus.lag() == 0, "all committed")


@sees("database-down-at-boot")
def _() -> None:
    dead("OperationalError")


@sees("database-schema-missing")
def _() -> None:
    assert get("/health")[0] == 200
    replay = stats()["ledgerReplay"]
    assert replay["applied"] == 0
    assert replay["skipped"] == replay["lines"] > 0
    assert get("/positions") == (500, "ERROR")
    assert get("/reconcile") == (500, "ERROR")
    assert get("/ledger")[0] == 200


@sees("gateway-publisher-off")
def _() -> None:
    assert "gateway_kafka_publisher_enabled 0" in get("/metrics", "gateway")[1]
    before = sum(bus.offsets().values())
    order_id = seed.put(paths(), FLAT_PAIR[:1])[0]
    wait(lambda: get(f"/orders/{order_id}", "gateway")[1]["status"] == "FILLED", "the order filled")
    assert sum(bus.offsets().values()) == before
    assert get(f"/ledger?orderId={order_id}")[1]["entries"] == []


@sees("gateway-stopped")
def _() -> None:
    with pytest.raises(OSError, match="refused"):
        get("/health", "gateway")
    assert get("/health")[0] == 200


@sees("gateway-port-taken")
def _() -> None:
    assert get("/health", "gateway")[0] == 404
    wait(lambda: "Address already in use" in log("gateway", "stderr"), "a trace of the gateway")
    assert control.state("gateway") == "RUNNING"


def last_event_age() -> float:
    return (datetime.now(UTC) - datetime.fromisoformat(stats()["lastEventAt"])).total_seconds()


@sees("events-from-future")
def _() -> None:
    wait(lambda: last_event_age() < -3_000_000, "an event from the future")


@sees("producer-clock-behind")
def _() -> None:
    wait(lambda: last_event_age() > 3_000, "an old event")
    before = stats()["processed"]
    wait(lambda: stats()["processed"] > before, "more events")


@sees("quiet-market")
def _() -> None:
    assert last_event_age() > 3_000
    before = stats()
    assert (group(), bus.lag()) == (("STABLE", 1), 0)
    assert stats() == before


@sees("orphan-events-only", "foreign-format")
def _() -> None:
    before = stats()
    wait(lambda: stats()["lastKafkaOffset"] != before["lastKafkaOffset"], "a moving offset")
    after = stats()
    assert (after["lastEventAt"], after["processed"]) == (before["lastEventAt"], before["processed"])
    assert after["skipped"] > before["skipped"]
    assert group() == ("STABLE", 1)


@sees("database-down")
def _() -> None:
    SEEN["consumer-dead"]()
    assert not probes.port_open("postgresql")
    begun = time.monotonic()
    assert get("/positions") == (500, "ERROR")
    assert time.monotonic() - begun > 3  # it waits for a connection before it gives up
    assert get("/ledger")[0] == 200


@sees("database-books-nothing")
def _() -> None:
    assert get("/positions") == (200, {"positions": []})
    assert get("/balances") == (200, {"balances": []})
    assert reconcile()["positions"]["ok"] is False
    assert stats()["ledgerReplay"]["skipped"] > 0
    SEEN["consumer-dead"]()


def test_every_fault_is_looked_at() -> None:
    assert set(SEEN) == set(FAULTS)
    for name, fault in FAULTS.items():
        assert fault.name == name
        assert fault.summary


@pytest.fixture(scope="module", autouse=True)
def alone(lab: None) -> Iterator[None]:
    """The running lab, for this module alone."""
    with lifecycle.alone(paths()):
        prove_healthy(paths())
        yield


@sees("backoffice-database-emptied")
def _() -> None:
    refused()
    with closing(postgres.connect(paths(), "backoffice")) as connection, connection.cursor() as cursor:
        for table in books.TABLES:
            cursor.execute(f"SELECT count(*) FROM {table}")
            assert cursor.fetchone() == (0,)


def healthy_books() -> None:
    """Nothing of a fault is left in the ledger, and ledger and store agree over all of it."""
    assert b"ord_fault" not in books.read()
    replay = stats()["ledgerReplay"]
    assert (replay["skipped"], replay["durationMs"] < 5000) == (0, True)
    for section in ("positions", "balances"):
        answer = reconcile()[section]
        assert (answer["ok"], answer["diffs"]) == (True, dict.fromkeys(answer["diffs"], 0))
    assert reconcile()["positions"]["actual"]["ADA"] == 3
    assert "gateway_kafka_publisher_enabled 1" in get("/metrics", "gateway")[1]


@pytest.mark.parametrize("name", sorted(FAULTS))
def test_fault_is_seen_and_undone(name: str) -> None:
    fault = FAULTS[name]
    try:
        fault.apply()
        SEEN[name]()
    finally:
        fault.undo()
    prove_healthy(paths())
    wait(lambda: bus.lag() <= 20, "no lag to speak of")
    healthy_books()


def test_undo_without_apply_leaves_a_healthy_lab() -> None:
    """A heal after a crash may meet a fault that was never put in, or one that somebody repaired."""
    for name in ("ledger-broken-json", "account-unknown", "writer-on-old-inode", "database-schema-missing"):
        FAULTS[name].undo()
    prove_healthy(paths())
    healthy_books()


def test_faults_at_once_and_a_stop_between() -> None:
    """Two faults, one of which kills the service at boot, survive a stop of the lab and are taken out at its start."""
    for name in ("quiet-market", "ledger-bad-side"):
        faultbook.put_in(paths(), name)
    lifecycle.down(paths(), ["backoffice"])
    assert list(faultbook.active(paths())) == ["quiet-market", "ledger-bad-side"]
    lifecycle.up(paths(), ["backoffice"], faulty=True)
    faultbook.heal(paths())
    assert faultbook.active(paths()) == {}
    healthy_books()
