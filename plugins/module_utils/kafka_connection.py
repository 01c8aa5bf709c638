# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The connection options that all Kafka modules share, and the client configuration they become."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from typing import Any

from ansible.module_utils.basic import env_fallback

from .argspec import ArgumentSpec
from .errors import InputError

LONGEST_TIMEOUT_SECONDS = 3600
_SERVER = re.compile(r"^(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):(?P<port>[0-9]{1,5})$")
_SASL = ("sasl_mechanism", "sasl_username", "sasl_password")
_FILES = ("ssl_ca_path", "ssl_certificate_path", "ssl_key_path")


def _from_environment(name: str) -> tuple[Any, list[str]]:
    return env_fallback, [name]


SPEC = ArgumentSpec(
    options={
        "bootstrap_servers": {
            "type": "list",
            "elements": "str",
            "required": True,
            "fallback": _from_environment("KAFKA_BOOTSTRAP_SERVERS"),
        },
        "security_protocol": {
            "type": "str",
            "default": "PLAINTEXT",
            "choices": ["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"],
        },
        "sasl_mechanism": {"type": "str", "choices": ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]},
        "sasl_username": {"type": "str", "fallback": _from_environment("KAFKA_SASL_USERNAME")},
        "sasl_password": {"type": "str", "no_log": True, "fallback": _from_environment("KAFKA_SASL_PASSWORD")},
        "ssl_ca_path": {"type": "path"},
        "ssl_certificate_path": {"type": "path"},
        "ssl_key_path": {"type": "path", "no_log": False},
        "ssl_key_password": {"type": "str", "no_log": True},
        "ssl_endpoint_identification": {"type": "bool", "default": True},
        "connect_timeout_seconds": {"type": "float", "default": 5.0},
        "request_timeout_seconds": {"type": "float", "default": 10.0},
        "timeout": {"type": "float", "default": 60.0},
    },
    required_together=(("ssl_certificate_path", "ssl_key_path"),),
    required_if=(
        ("security_protocol", "SASL_PLAINTEXT", _SASL),
        ("security_protocol", "SASL_SSL", _SASL),
    ),
)


def servers(given: Iterable[str]) -> list[str]:
    """The bootstrap servers as host:port, without repetitions. InputError names the one that is wrong."""
    seen: dict[str, None] = {}
    for server in given:
        match = _SERVER.match(server.strip())
        if "://" in server:
            raise InputError(f"bootstrap_servers: '{server}' looks like a URL; write host:port, such as kafka-1:9092.")
        if not match:
            raise InputError(f"bootstrap_servers: '{server}' is not host:port; write for example kafka-1:9092.")
        if not 1 <= int(match["port"]) <= 65535:
            raise InputError(f"bootstrap_servers: the port of '{server}' is not between 1 and 65535.")
        seen[f"{match['host']}:{int(match['port'])}"] = None
    if not seen:
        raise InputError("bootstrap_servers is empty; give at least one host:port, or set KAFKA_BOOTSTRAP_SERVERS.")
    return list(seen)


def require_between(params: dict[str, Any], name: str, lowest: float, highest: float | None = None) -> None:
    """InputError when the number ``params[name]`` (None is fine) is outside the bounds; None = no upper bound."""
    value = params[name]
    if value is None:
        return
    if highest is None and value < lowest:
        raise InputError(f"{name} is {value:g}; it must be {lowest:g} or more.")
    if highest is not None and not lowest <= value <= highest:
        raise InputError(f"{name} is {value:g}; it must be between {lowest:g} and {highest:g}.")


def configuration(params: dict[str, Any]) -> dict[str, Any]:
    """Settings for librdkafka from the shared options. InputError when an option is wrong; nothing is contacted."""
    for name in ("connect_timeout_seconds", "request_timeout_seconds", "timeout"):
        require_between(params, name, 1, LONGEST_TIMEOUT_SECONDS)
    for name in _FILES:
        _require_readable(name, params[name])
    protocol = params["security_protocol"]
    settings: dict[str, Any] = {
        "bootstrap.servers": ",".join(servers(params["bootstrap_servers"])),
        "client.id": "sre.runbooks",
        "security.protocol": protocol,
        "socket.connection.setup.timeout.ms": max(1000, int(params["connect_timeout_seconds"] * 1000)),
        "socket.timeout.ms": max(1000, min(60000, int(params["request_timeout_seconds"] * 1000))),
        "reconnect.backoff.ms": 20,  # also half of it is the pause before the first use of a broker
        "reconnect.backoff.max.ms": 500,
        "enable.sparse.connections": False,  # connect at once: this client lives for a few requests
    }
    if protocol.startswith("SASL_"):
        settings["sasl.mechanism"] = params["sasl_mechanism"]
        settings["sasl.username"] = params["sasl_username"]
        settings["sasl.password"] = params["sasl_password"]
    if protocol.endswith("SSL"):
        settings["ssl.endpoint.identification.algorithm"] = "https" if params["ssl_endpoint_identification"] else "none"
        optional = {
            "ssl.ca.location": params["ssl_ca_path"],
            "ssl.certificate.location": params["ssl_certificate_path"],
            "ssl.key.location": params["ssl_key_path"],
            "ssl.key.password": params["ssl_key_password"],
        }
        settings.update({name: value for name, value in optional.items() if value})
    return settings


def _require_readable(name: str, path: str | None) -> None:
    if path and not os.path.exists(path):
        raise InputError(f"{name}: {path} does not exist on the machine that runs this task.")
    if path and not os.access(path, os.R_OK):
        raise InputError(f"{name}: {path} cannot be read by the user that runs this task.")
