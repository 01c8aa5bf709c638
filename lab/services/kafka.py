# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What consumer and publisher share: the client settings and the boot check of the bootstrap hosts."""

from __future__ import annotations

import socket
import time
from typing import Any

from confluent_kafka import KafkaError

from lab.services import env, log

CONNECTION_ERRORS = frozenset(
    {KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN, KafkaError._RESOLVE, KafkaError._TIMED_OUT}
)


def client_settings(client_id: str, title: str) -> dict[str, Any]:
    """Settings of a client; raises ValueError when no bootstrap host resolves (an unreachable one is no error)."""
    servers = env.text("KAFKA_BOOTSTRAP_SERVERS", "localhost:9092")
    if not any(_resolves(server) for server in servers.split(",")):
        raise ValueError(f"No resolvable bootstrap urls given in bootstrap.servers (KAFKA_BOOTSTRAP_SERVERS={servers})")

    last_warning = float("-inf")

    def on_error(error: KafkaError) -> None:
        """One line a second at most: an absent broker is tried many times a second."""
        nonlocal last_warning
        if time.monotonic() - last_warning < 1:
            return
        last_warning = time.monotonic()
        text = error.str()
        if error.code() in CONNECTION_ERRORS:
            text = f"Connection to node could not be established. Node may not be available. ({text})"
        log.line("WARN", "org.apache.kafka.clients.NetworkClient", f"[{title}] {text}")

    return {
        "bootstrap.servers": servers,
        "client.id": client_id,
        "reconnect.backoff.max.ms": 1000,
        "log_level": 0,
        "error_cb": on_error,
    }


def _resolves(server: str) -> bool:
    host, separator, port = server.strip().rpartition(":")
    if not separator or not port.isdigit():
        raise ValueError(f"Invalid url in bootstrap.servers: {server}")
    try:
        return bool(socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM))
    except OSError:
        return False
