# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults of the gateway and its publisher."""

from __future__ import annotations

from lab import control, probes
from lab.faults import bus, stray
from lab.faults.kafka import EMPTY
from lab.faults.model import Fault, overridden, start, wait_consumer
from lab.layout import ports


def _never_published() -> None:
    """A system whose publisher was never switched on: its topic has no record."""
    bus.create_topic(EMPTY)
    control.set_env("gateway", KAFKA_ENABLE="0", KAFKA_TOPIC=EMPTY)
    control.set_env("backoffice", KAFKA_TOPIC=EMPTY)
    control.restart("gateway")
    control.restart("backoffice")
    wait_consumer("STABLE")


def _published() -> None:
    control.clear_env("gateway", "KAFKA_ENABLE", "KAFKA_TOPIC")
    control.clear_env("backoffice", "KAFKA_TOPIC")
    control.stop("backoffice")
    control.stop("gateway")
    bus.delete_topic(EMPTY)
    start("backoffice")
    start("gateway")


def _port_taken() -> None:
    """With its publisher on, the gateway lives on without a listener."""
    control.stop("gateway")
    stray.listen("gateway-port-taken", "gateway", ["lab.faults.squatter", str(ports()["gateway"])], {})
    start("gateway")
    control.wait_until(lambda: probes.port_open("gateway"), 10, "somebody else on the gateway's port")


def _port_free() -> None:
    control.stop("gateway")
    stray.end("gateway-port-taken")
    start("gateway")


FAULTS = (
    overridden(
        "gateway-publisher-off",
        "KAFKA_ENABLE is off (its default): orders are accepted and go nowhere",
        "gateway",
        {"KAFKA_ENABLE": "0"},
    ),
    Fault(
        "gateway-never-published",
        "the publisher was never on: an empty topic, orders accepted",
        _never_published,
        _published,
    ),
    Fault("gateway-stopped", "the gateway is stopped", lambda: control.stop("gateway"), lambda: start("gateway")),
    Fault("gateway-port-taken", "somebody else has the gateway's port; its process lives on", _port_taken, _port_free),
)
