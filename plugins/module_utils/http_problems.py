# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What can go wrong with an HTTP request, as a short classified observation instead of an exception."""

from __future__ import annotations

import http.client
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from . import libraries, redact

try:
    import urllib3.exceptions as u3
except ImportError as error:
    libraries.record("urllib3", error)

Kind = Literal[
    "deadline",  # the total time was used up before the request could be sent
    "name",  # the host name does not resolve
    "refused",  # nothing listens there
    "unreachable",  # no route, or the connection was lost while it was made
    "connect_timeout",  # nobody answered the connection request
    "proxy",  # the proxy, not the server
    "tls",  # the TLS handshake failed
    "timeout",  # connected, but no complete answer in time
    "closed",  # closed or reset before an answer came
    "truncated",  # the body ended early
    "broken",  # not HTTP, or a body that cannot be decoded
    "redirects",  # too many redirects, or one that must not be followed
    "request",  # the request itself cannot be sent
]

# The kinds after which nothing is known of the server, not even that it is down.
NOTHING_OBSERVED: frozenset[Kind] = frozenset({"deadline", "name", "proxy", "request"})
# The kinds that a second try can mend.
PASSING: frozenset[Kind] = frozenset({"refused", "unreachable", "closed"})


@dataclass(frozen=True)
class Problem:
    """One short line (no secrets), and what to do about it."""

    kind: Kind
    text: str
    hint: str = ""


def classify(error: BaseException, target: str, seconds: float) -> Problem:
    """The problem behind an exception of the transport. ``target`` is host:port, ``seconds`` what the request was given."""
    failure = _Failure(list(_causes(error)), target, seconds)
    for rule in (_proxy, _name, _tls, _connection, _time, _request, _body):
        problem = rule(failure)
        if problem is not None:
            return problem
    return Problem("broken", redact.observed(f"{type(error).__name__}: {error}", 200))


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The exception and all that it wraps, each once, outermost first."""
    waiting: list[Any] = [error]
    seen: set[int] = set()
    while waiting:
        current = waiting.pop(0)
        if not isinstance(current, BaseException) or id(current) in seen:
            continue
        seen.add(id(current))
        yield current
        waiting += [*current.args, getattr(current, "reason", None), current.__cause__, current.__context__]


@dataclass(frozen=True)
class _Failure:
    chain: list[BaseException]
    target: str
    seconds: float

    def first(self, *types: type[BaseException]) -> Any:
        return next((error for error in self.chain if isinstance(error, types)), None)


def _proxy(failure: _Failure) -> Problem | None:
    error = failure.first(u3.ProxyError)
    if error is None:
        return None
    hint = "The environment names it (http_proxy, https_proxy). Add the host to no_proxy, or set use_proxy: false."
    reason = redact.observed(str(failure.chain[-1]), 160)
    return Problem("proxy", f"the proxy on the way to {failure.target} failed: {reason}", hint)


def _name(failure: _Failure) -> Problem | None:
    error = failure.first(socket.gaierror)
    if error is None:
        return None
    text = f"the name {failure.target.rpartition(':')[0]} does not resolve: {error.strerror or error}"
    return Problem("name", text, "Check the spelling of the host name, and the name server of this machine.")


def _tls(failure: _Failure) -> Problem | None:
    verification = failure.first(ssl.SSLCertVerificationError)
    if verification is not None:
        text = f"the certificate of {failure.target} was refused: {verification.verify_message}"
        return Problem("tls", text, "Give the authority that signed it in ca_path, or use a name that stands in it.")
    error = failure.first(ssl.SSLError) or failure.first(u3.SSLError)
    if error is None:
        return None
    reason = str(getattr(error, "reason", None) or error)
    hints = {
        "WRONG_VERSION_NUMBER": "The port does not speak TLS: is the URL meant to begin with http://?",
        "RECORD_LAYER_FAILURE": "The port does not speak TLS: is the URL meant to begin with http://?",
        "CERTIFICATE_REQUIRED": "The server wants a client certificate: client_cert_path and client_key_path.",
    }
    hint = next((hint for part, hint in hints.items() if part in reason), "")
    return Problem(
        "tls", f"TLS with {failure.target} failed: {redact.observed(reason.lower().replace('_', ' '), 160)}", hint
    )


def _time(failure: _Failure) -> Problem | None:
    if failure.first(u3.ConnectTimeoutError):
        text = f"{failure.target} did not take the connection in time"
        return Problem("connect_timeout", text, "Host down, or a firewall that drops packets.")
    if failure.first(u3.ReadTimeoutError, TimeoutError):
        text = f"{failure.target} gave no complete answer within {failure.seconds:.3g} s"
        return Problem("timeout", text, "Slow or stuck; request_timeout_seconds is the limit.")
    return None


def _connection(failure: _Failure) -> Problem | None:
    if failure.first(ConnectionRefusedError):
        text = f"{failure.target} refused the connection"
        return Problem("refused", text, "Nothing listens there: not started, still starting, or another port.")
    made = failure.first(u3.NewConnectionError)
    if made is not None:
        cause = failure.first(OSError)
        reason = getattr(cause, "strerror", "") or str(cause or made)
        return Problem(
            "unreachable", f"{failure.target} cannot be reached: {reason}", "Check the route and the address."
        )
    if failure.first(ConnectionError, http.client.RemoteDisconnected):
        return Problem("closed", f"{failure.target} closed the connection before a complete answer")
    return None


def _body(failure: _Failure) -> Problem | None:
    short = failure.first(u3.IncompleteRead, http.client.IncompleteRead)
    if isinstance(short, u3.InvalidChunkLength) or failure.first(u3.InvalidChunkLength):
        return Problem("broken", "the body broke off: its chunks are malformed", "A proxy or a crash cut the answer.")
    if short is not None:
        got = short.partial if isinstance(short.partial, int) else len(short.partial)
        expected = f", {short.expected} more were announced" if short.expected else ""
        return Problem("truncated", f"the body ended after {got} bytes{expected}", "A proxy or a crash cut the answer.")
    if failure.first(u3.DecodeError):
        return Problem("broken", "the body cannot be decoded: its content encoding is not what the header says")
    if failure.first(http.client.HTTPException, u3.ProtocolError, u3.HTTPError):
        inner = failure.first(http.client.HTTPException) or failure.chain[-1]
        text = redact.observed(f"{type(inner).__name__} {inner}".strip(), 160)
        return Problem(
            "broken", f"{failure.target} did not answer in HTTP: {text}", "Is this the port of another protocol?"
        )
    return None


def _request(failure: _Failure) -> Problem | None:
    error = failure.chain[0]
    if isinstance(error, (u3.LocationParseError, http.client.InvalidURL, UnicodeError)):
        return Problem("request", f"no request can be made for {failure.target}: URL or header has a bad character")
    if isinstance(error, ValueError) and not isinstance(error, (u3.HTTPError, http.client.HTTPException)):
        return Problem("request", "a header cannot be sent: it has a line break or a character that is not allowed")
    return None
