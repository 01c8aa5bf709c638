# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults between BackOffice's consumer and Kafka."""

from __future__ import annotations

import resource

from lab import control, probes, seed, supervisor
from lab.faults import bus
from lab.faults.model import Fault, dead_with, overridden, restart, start, wait_consumer
from lab.layout import LabError, paths

MISSPELT, EMPTY = "evnets", "events.empty"
NOWHERE = "127.0.0.1:1"  # resolvable, and nothing listens there
RE_READ_MS = 120_000
FLAT_PAIR = tuple(seed.Order("XRP", side, 1, 100) for side in ("BUY", "SELL"))


def _consumer_dies() -> None:
    """The ledger cannot grow any more (as on a full disk), and an order comes in."""
    pid = supervisor.programs_info(paths())["backoffice"]["pid"]
    size = paths().ledger.stat().st_size
    try:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, resource.prlimit(pid, resource.RLIMIT_FSIZE)[1]))
    except OSError as error:
        raise LabError(
            f"consumer-dead: the file size of process {pid} could not be limited: {error.strerror}"
        ) from None
    seed.put(paths(), FLAT_PAIR, "acct_market")
    wait_consumer("EMPTY")


def _other_topic(name: str, summary: str, topic: str) -> Fault:
    """BackOffice listens to another topic, which is removed again at the end."""
    fault = overridden(name, summary, "backoffice", {"KAFKA_TOPIC": topic}, joins=True)

    def apply() -> None:
        if topic == EMPTY:
            bus.create_topic(topic)
        fault.apply()

    def undo() -> None:
        control.clear_env("backoffice", "KAFKA_TOPIC")
        control.stop("backoffice")
        bus.delete_topic(topic)
        start("backoffice")

    return Fault(name, summary, apply, undo)


def _stop_kafka() -> None:
    control.stop("kafka")


def _start_kafka() -> None:
    control.start("kafka")


def _re_read() -> None:
    """No new orders; the offsets go back to the start, and the reading takes about two minutes."""
    control.stop("market")
    bus.wait_caught_up()
    control.stop("backoffice")
    wait_consumer("EMPTY")
    delay = max(20, min(1000, RE_READ_MS // max(1, bus.rewind())))
    control.set_env("backoffice", LAB_CONSUME_DELAY_MS=str(delay))
    control.start("backoffice")
    control.wait_until(_something_skipped, 60, "records skipped by backoffice")


def _something_skipped() -> bool:
    status, stats = probes.request("backoffice", "/stats", probes.token(paths()))
    return status == 200 and stats["skipped"] > 0


def _read_to_the_end() -> None:
    control.clear_env("backoffice", "LAB_CONSUME_DELAY_MS")
    restart("backoffice")
    start("market")


FAULTS = (
    overridden(
        "consumer-disabled",
        "BACKOFFICE_ENABLE is off: BackOffice never reads Kafka",
        "backoffice",
        {"BACKOFFICE_ENABLE": "0"},
    ),
    Fault(
        "consumer-dead",
        "the ledger file cannot grow: the consumer died silently, BackOffice still answers",
        _consumer_dies,
        lambda: restart("backoffice"),
    ),
    overridden(
        "consumer-slow",
        "BackOffice takes a second for each record: the lag grows",
        "backoffice",
        {"LAB_CONSUME_DELAY_MS": "1000"},
        joins=True,
    ),
    _other_topic(
        "topic-misspelt", f"KAFKA_TOPIC is misspelt ({MISSPELT}): the broker made that topic, silence", MISSPELT
    ),
    _other_topic("topic-empty", f"BackOffice reads another topic ({EMPTY}) that nobody writes", EMPTY),
    Fault("kafka-stopped", "the Kafka broker is stopped", _stop_kafka, _start_kafka),
    overridden(
        "kafka-address-wrong",
        f"KAFKA_BOOTSTRAP_SERVERS is {NOWHERE}, where nothing listens: BackOffice boots and only warns",
        "backoffice",
        {"KAFKA_BOOTSTRAP_SERVERS": NOWHERE},
    ),
    dead_with(
        "kafka-host-unknown",
        "the Kafka host name does not resolve: BackOffice dies at boot",
        {"KAFKA_BOOTSTRAP_SERVERS": "kafka.invalid:9092"},
    ),
    Fault(
        "offsets-reset",
        "the group's offsets were reset: a slow re-read of a quiet topic, everything is skipped",
        _re_read,
        _read_to_the_end,
    ),
)
