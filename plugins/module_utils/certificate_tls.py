# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a TLS server shows: the certificates that it sends, and whether this machine would trust them.

The first handshake verifies as any client does. Only when it fails is there a second one that accepts anything, in order
to read what is wrong. No byte of an application is sent in either.
"""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from . import http_problems, http_transport
from .certificate_parse import is_address
from .errors import InputError
from .http_problems import Problem
from .http_tls import Tls

POSTGRESQL_REQUEST = b"\x00\x00\x00\x08\x04\xd2\x16\x2f"
NOT_TLS = frozenset({"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST", "UNEXPECTED_RECORD"})


class _NoTls(Exception):
    """The server speaks, but not TLS."""


@dataclass(frozen=True)
class Address:
    """Where a TLS server listens, and the name that it is asked for. ``starttls`` is empty or ``postgresql``."""

    host: str
    port: int
    server_name: str
    starttls: str = ""

    @property
    def shown(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass
class Shown:
    """What came of the handshakes. ``sent`` is DER, the server's own certificate first.

    ``trusted`` is None when it was not seen; ``trust_problem`` says why a client refuses. ``problem`` is set when no
    certificate was seen at all (kind ``broken``: what answers does not speak TLS). ``whole`` is False when only the first certificate could be read.
    """

    sent: list[bytes] = field(default_factory=list)
    whole: bool = True
    trusted: bool | None = None
    trust_problem: str = ""
    version: str = ""
    problem: Problem | None = None
    duration_ms: int = 0


def address(text: str, server_name: str | None, starttls: str | None, where: str) -> Address:
    """From ``host:port``, ``host`` (port 443, PostgreSQL 5432) or a URL; InputError when it is none of these."""
    named = text.strip()
    url = named if "://" in named else f"tls://{named}"
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise InputError(f"{where}: {text!r} is no address: {error}.", option="endpoints") from None
    if not host or any(character.isspace() for character in named) or (parts.path.strip("/") and "://" not in named):
        raise InputError(f"{where}: {text!r} is no address; give host:port or a URL.", option="endpoints")
    if parts.scheme == "http":
        raise InputError(f"{where}: {text!r} begins with http, which has no certificate.", option="endpoints")
    if port == 0:
        raise InputError(f"{where}: {text!r} has no usable port.", option="endpoints")
    usual = 5432 if starttls == "postgresql" else 443
    return Address(host, port or usual, (server_name or host).rstrip("."), starttls or "")


class Reader:
    """Reads what servers show; several threads may. ``tls`` holds the trusted authorities and a client certificate."""

    def __init__(self, tls: Tls, connect_seconds: float, total_seconds: float) -> None:
        self._connect_seconds, self._total_seconds = connect_seconds, total_seconds
        self._verifying = tls.context()
        self._verifying.check_hostname = False  # names are compared apart, so that both problems show
        self._reading = Tls(False, "", tls.cert_path, tls.key_path).context()
        self._reading.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
        self._reading.set_ciphers("ALL:@SECLEVEL=0")  # what is weak shall be seen, not refused

    def read(self, asked: Address, left: Callable[[], float]) -> Shown:
        """Both handshakes, as far as they are needed. ``left`` gives the seconds that the whole operation has."""
        started = time.monotonic()
        shown = self._handshake(asked, self._verifying, left)
        if shown.problem and shown.problem.kind == "tls" and left() > 0:
            refused = shown.problem
            shown = self._handshake(asked, self._reading, left)
            shown.trusted, shown.trust_problem = (None, "") if shown.problem else (False, refused.text)
        elif not shown.problem:
            shown.trusted = True
        shown.duration_ms = round((time.monotonic() - started) * 1000)
        return shown

    def _handshake(self, asked: Address, context: ssl.SSLContext, left: Callable[[], float]) -> Shown:
        seconds = min(self._total_seconds, left())
        if seconds <= 0:
            return Shown(problem=Problem("deadline", "not asked: the total time was used up", "Raise 'timeout'."))
        end = time.monotonic() + seconds
        try:
            with self._connected(asked, seconds) as plain:
                if asked.starttls:
                    _ask_postgresql(plain, end)
                plain.settimeout(_left(end))
                name = None if is_address(asked.server_name) else asked.server_name
                with context.wrap_socket(plain, server_hostname=name, suppress_ragged_eofs=False) as secure:
                    sent, whole = _sent(secure)
                    return Shown(sent, whole, version=secure.version() or "")
        except ssl.SSLCertVerificationError as error:
            return Shown(problem=Problem("tls", str(error.verify_message)))
        except _NoTls as error:
            return Shown(problem=Problem("broken", f"{asked.shown}: {error}"))
        except (OSError, ValueError) as error:
            if isinstance(error, ssl.SSLError) and error.reason in NOT_TLS:
                hint = "Another port, or a protocol that begins without TLS (see starttls)."
                return Shown(problem=Problem("broken", f"{asked.shown} does not speak TLS", hint))
            return Shown(problem=http_problems.classify(error, asked.shown, seconds))

    def _connected(self, asked: Address, seconds: float) -> socket.socket:
        """Connect to each address of the name in turn, within the time for connections."""
        end = time.monotonic() + min(seconds, self._connect_seconds)
        problem: OSError = TimeoutError("no connection in time")
        for found in http_transport.resolve(asked.host, asked.port, _left(end)):
            try:
                return socket.create_connection((found, asked.port), _left(end))
            except OSError as error:
                problem = error
        raise problem


def _left(end: float) -> float:
    left = end - time.monotonic()
    if left <= 0:
        raise TimeoutError("timed out")
    return left


def _ask_postgresql(plain: socket.socket, end: float) -> None:
    plain.settimeout(_left(end))
    plain.sendall(POSTGRESQL_REQUEST)
    answer = plain.recv(1)
    if answer != b"S":
        raise _NoTls("the server does not offer TLS" if answer == b"N" else "no PostgreSQL server answers")


def _sent(secure: ssl.SSLSocket) -> tuple[list[bytes], bool]:
    """All certificates that the server sent, DER; and whether these are all.

    Public since Python 3.13; before that the same method is on the object below.
    """
    source: Any = secure if hasattr(secure, "get_unverified_chain") else getattr(secure, "_sslobj", None)
    if hasattr(source, "get_unverified_chain"):
        found = [one if isinstance(one, bytes) else _der(one) for one in source.get_unverified_chain() or ()]
        if found:
            return found, True
    own = secure.getpeercert(binary_form=True)
    return [own] if own else [], False


def _der(certificate: Any) -> bytes:
    encoded: bytes = ssl.PEM_cert_to_DER_cert(certificate.public_bytes())
    return encoded
