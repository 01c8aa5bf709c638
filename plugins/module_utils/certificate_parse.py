# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Certificates from PEM and DER: what they say, which names they are for, and how they hang together.

Nothing here tells whether a certificate is trusted. Of a private key one thing only is ever asked: whether it belongs to
a certificate.
"""

from __future__ import annotations

import contextlib
import datetime
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from . import libraries
from .text import clean, shorten

try:
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa
except ImportError as error:
    libraries.record("cryptography", error)

try:
    from urllib3.util.ssl_match_hostname import CertificateError, match_hostname
except ImportError as error:
    libraries.record("urllib3", error)

MOST_CERTIFICATES = 50
MOST_NAMES = 100
NAME_CHARACTERS = 300
_BEGIN = b"-----BEGIN CERTIFICATE-----"


class NoCertificate(Exception):
    """The data is no certificate; the text says what it is instead, without showing it."""


class TooManyCertificates(NoCertificate):
    """There are more than are looked at."""


@dataclass(frozen=True)
class Certificate:
    """What one certificate says. Times in seconds since the epoch. ``names`` are its SANs: DNS names and addresses."""

    subject: str
    issuer: str
    names: tuple[str, ...]
    serial: str
    not_before: float
    not_after: float
    fingerprint: str
    key: str
    signature: str
    is_authority: bool
    self_signed: bool
    raw: Any = field(repr=False, compare=False)

    @property
    def short(self) -> str:
        """Its common name or first SAN, for people."""
        names = self.raw.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
        name = str(names[0].value) if names else self.names[0] if self.names else self.subject or self.serial
        return shorten(clean(name), NAME_CHARACTERS)

    def as_dict(self, now: float) -> dict[str, Any]:
        return {
            "subject": self.subject,
            "issuer": self.issuer,
            "serial": self.serial,
            "not_before": utc(self.not_before),
            "not_after": utc(self.not_after),
            "days_left": days(self.not_after - now),
            "fingerprint_sha256": self.fingerprint,
        }


def from_pem(data: bytes) -> list[Certificate]:
    """All certificates of a PEM text in their order; raises NoCertificate when there is none, or one that is broken."""
    count = data.count(_BEGIN)
    if not count:
        what = "a private key" if b"PRIVATE KEY-----" in data else "no PEM certificate" if data.strip() else "nothing"
        raise NoCertificate(f"it holds {what}")
    if count > MOST_CERTIFICATES:
        raise TooManyCertificates(
            f"it holds {count} certificates, more than {MOST_CERTIFICATES}; is it a bundle of authorities?"
        )
    try:
        return [_described(found) for found in x509.load_pem_x509_certificates(data)]
    except (ValueError, UnsupportedAlgorithm) as problem:
        raise NoCertificate(f"it holds a broken certificate: {_one_line(problem)}") from None


def from_der(data: bytes) -> Certificate:
    """One certificate as TLS sends it; raises NoCertificate when it is broken."""
    try:
        return _described(x509.load_der_x509_certificate(data))
    except (ValueError, UnsupportedAlgorithm) as problem:
        raise NoCertificate(f"it is broken: {_one_line(problem)}") from None


def covers(certificate: Certificate, name: str) -> bool:
    """Whether the certificate is for a host name or address, as TLS clients see it: by its SANs, never by its CN."""
    listed = []
    for own in certificate.names:
        kind = "IP Address" if is_address(own) else "DNS"
        listed.append((kind, own))
    try:
        match_hostname({"subjectAltName": tuple(listed)}, name.rstrip("."))
    except (CertificateError, ValueError):
        return False
    return True


def issued(issuer: Certificate, certificate: Certificate) -> bool:
    """Whether ``issuer`` signed ``certificate``; by the signature, where its algorithm is known."""
    if issuer.raw.subject != certificate.raw.issuer:
        return False
    try:
        certificate.raw.verify_directly_issued_by(issuer.raw)
    except InvalidSignature:
        return False
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return True  # the names agree, and more cannot be seen
    return True


def chain(certificates: Sequence[Certificate]) -> tuple[list[Certificate], list[Certificate]]:
    """From the first certificate as far as issuers are found among the others; and those that do not belong to it."""
    linked = [certificates[0]]
    rest = list(certificates[1:])
    while not linked[-1].self_signed:
        following = next((other for other in rest if issued(other, linked[-1])), None)
        if following is None:
            break
        rest.remove(following)
        linked.append(following)
    return linked, rest


def key_belongs(certificate: Certificate, key: bytes) -> bool | None:
    """Whether a private key (PEM) is that of the certificate; None when the key cannot be read."""
    form = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    with contextlib.suppress(ValueError, TypeError, UnsupportedAlgorithm):
        own = serialization.load_pem_private_key(key, None).public_key().public_bytes(*form)
        return bool(own == certificate.raw.public_key().public_bytes(*form))
    return None


def utc(seconds: float) -> str:
    """Seconds since the epoch as ``2026-01-31T03:00:00Z``."""
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def days(seconds: float) -> float:
    return round(seconds / 86_400, 2)


def _described(found: Any) -> Certificate:
    return Certificate(
        subject=_shown(found.subject.rfc4514_string()),
        issuer=_shown(found.issuer.rfc4514_string()),
        names=_names(found),
        serial=f"{found.serial_number:x}",
        not_before=found.not_valid_before_utc.timestamp(),
        not_after=found.not_valid_after_utc.timestamp(),
        fingerprint=found.fingerprint(hashes.SHA256()).hex(),
        key=_key(found),
        signature=_signature(found),
        is_authority=_is_authority(found),
        self_signed=found.subject == found.issuer,
        raw=found,
    )


def _names(found: Any) -> tuple[str, ...]:
    try:
        extension = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError, x509.DuplicateExtension):
        return ()
    names = [_shown(name) for name in extension.get_values_for_type(x509.DNSName)]
    names += [str(address) for address in extension.get_values_for_type(x509.IPAddress)]
    return tuple(names[:MOST_NAMES])


def _is_authority(found: Any) -> bool:
    try:
        return bool(found.extensions.get_extension_for_class(x509.BasicConstraints).value.ca)
    except (x509.ExtensionNotFound, ValueError, x509.DuplicateExtension):
        return False


def _key(found: Any) -> str:
    try:
        key = found.public_key()
    except (ValueError, UnsupportedAlgorithm):
        return "unknown"
    if isinstance(key, rsa.RSAPublicKey):
        return f"RSA {key.key_size}"
    if isinstance(key, ec.EllipticCurvePublicKey):
        return f"EC {key.curve.name}"
    if isinstance(key, dsa.DSAPublicKey):
        return f"DSA {key.key_size}"
    return type(key).__name__.removesuffix("PublicKey").lstrip("_")


def _signature(found: Any) -> str:
    try:
        algorithm = found.signature_hash_algorithm
    except UnsupportedAlgorithm:
        return "unknown"
    return str(algorithm.name) if algorithm else "none of its own"


def is_address(name: str) -> bool:
    """Whether it is an IP address, and no host name."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _shown(text: str) -> str:
    return shorten(clean(text), NAME_CHARACTERS)


def _one_line(problem: Exception) -> str:
    return shorten(" ".join(clean(str(problem)).split()), 160)
