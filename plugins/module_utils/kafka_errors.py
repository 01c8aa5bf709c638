# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What Kafka's errors mean and what to do next. Pure text: nothing here needs the client library.

An error is a dictionary ``{code, name, retriable, message}``; ``name`` is Kafka's own (GROUP_AUTHORIZATION_FAILED), or
the client's when it begins with an underscore (_TIMED_OUT).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from . import redact

Error = dict[str, Any]

# Worth another try within the deadline: the coordinator or leader is moving or loading, or offsets are pending.
RETRIABLE = frozenset(
    {
        "COORDINATOR_LOAD_IN_PROGRESS",
        "COORDINATOR_NOT_AVAILABLE",
        "NOT_COORDINATOR",
        "REBALANCE_IN_PROGRESS",
        "UNSTABLE_OFFSET_COMMIT",
        "LEADER_NOT_AVAILABLE",
        "NOT_LEADER_FOR_PARTITION",
        "OFFSET_NOT_AVAILABLE",
        "FENCED_LEADER_EPOCH",
        "UNKNOWN_LEADER_EPOCH",
        "REPLICA_NOT_AVAILABLE",
    }
)

# error name -> the operation that the user may not do, and the resource it is on
_MISSING_ACL = {
    "GROUP_AUTHORIZATION_FAILED": ("Describe", "Group"),
    "TOPIC_AUTHORIZATION_FAILED": ("Describe", "Topic"),
    "CLUSTER_AUTHORIZATION_FAILED": ("Describe", "Cluster"),
}

_CODES = {"LEADER_NOT_AVAILABLE": 5, "UNKNOWN_TOPIC_OR_PART": 3, "_TIMED_OUT": -185}


def error(name: str, message: str, code: int | None = None) -> Error:
    """An error as data; ``message`` comes from outside and is made fit to be shown."""
    return {
        "code": _CODES.get(name, 0) if code is None else code,
        "name": name,
        "retriable": name in RETRIABLE,
        "message": redact.observed(message, limit=300),
    }


def explain(problem: Error, resource: str) -> str:
    """One line: what went wrong for ``resource`` (the name of a group or topic) and what to do."""
    if problem["name"] in _MISSING_ACL:
        operation, kind = _MISSING_ACL[problem["name"]]
        named = kind if kind == "Cluster" else f"{kind} '{resource}'"
        return f"missing ACL: the user needs {operation} on {named} ({problem['name']})."
    again = " Kafka calls this temporary: run it again." if problem["retriable"] else ""
    return f"{resource}: {problem['message'].rstrip('.')} ({problem['name']}).{again}"


@dataclass(frozen=True)
class Trouble:
    """Why one broker could not be used. ``final`` = trying again would not help."""

    broker: str
    text: str
    final: bool = False


_BROKER = re.compile(
    r"^(?:(?P<protocol>[a-z_]+)://)?(?P<broker>[^\s/]+:\d+)/(?P<id>bootstrap|\d+): (?P<said>.*)$", re.DOTALL
)
_STATE = re.compile(r" \(after \d+ms in state (?P<state>[A-Z_]+)(?:, [^)]*)?\)")


@dataclass(frozen=True)
class Meaning:
    """``part`` of librdkafka's text (lower case), what it means, and whether its own words add anything."""

    part: str
    text: str
    final: bool = False
    quote: bool = False


# The first that fits wins.
_MEANINGS = (
    Meaning("failed to resolve", "the host name cannot be resolved"),
    Meaning("connection refused", "nothing listens there (connection refused)"),
    Meaning("no route to host", "there is no route to the host"),
    Meaning("network is unreachable", "the network is unreachable"),
    Meaning("invalid response size", "what answers there does not speak Kafka's protocol; check the port"),
    Meaning(
        "ssl connection closed by peer",
        "it closed the connection in the TLS handshake: it does not speak TLS (then security_protocol is PLAINTEXT or "
        "SASL_PLAINTEXT), or it wants a client certificate",
    ),
    Meaning(
        "not valid in current sasl state",
        "the listener does not use SASL; security_protocol should be PLAINTEXT or SSL, or the port is wrong",
        final=True,
    ),
    Meaning("unsupported sasl mechanism", "the listener does not offer this sasl_mechanism", final=True, quote=True),
    Meaning(
        "sasl",
        "SASL authentication failed; check sasl_username, sasl_password and sasl_mechanism",
        final=True,
        quote=True,
    ),
    Meaning(
        "certificate verify failed",
        "TLS failed, the broker's certificate could not be verified; check ssl_ca_path, and whether it is issued for "
        "this host name (ssl_endpoint_identification)",
        final=True,
    ),
    Meaning("ssl", "TLS failed", quote=True),
    Meaning(
        "connection setup timed out",
        "the connection was not set up in time: no route, a port that is not Kafka's, or a broker that hangs",
        quote=True,
    ),
    Meaning("timed out", "it did not answer in time", quote=True),
)
_WRONG_PROTOCOL = "security_protocol does not fit this listener (does it want TLS, or SASL?)"
_PROTOCOL_STATES = ("APIVERSION_QUERY", "UP", "SSL_HANDSHAKE", "AUTH_HANDSHAKE")


def trouble(text: str) -> Trouble | None:
    """What librdkafka says of one broker, in plain words. None when the text is not about a broker."""
    match = _BROKER.match(text)
    if not match:
        return None
    broker, said = match["broker"], match["said"]
    lower = said.lower()
    state = _STATE.search(said)
    shown = redact.observed(_STATE.sub("", said), limit=300).strip()
    for meaning in _MEANINGS:
        if meaning.part in lower:
            quoted = f" ({shown})" if meaning.quote else ""
            return Trouble(broker, f"{broker}: {meaning.text}{quoted}", meaning.final)
    if "disconnected" in lower and state and state["state"] in _PROTOCOL_STATES:
        return Trouble(broker, f"{broker}: it closed the connection at the first request; {_WRONG_PROTOCOL}")
    return Trouble(broker, f"{broker}: {shown}")
