# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from datetime import UTC, datetime, timedelta

from cryptography import x509

from lab import tls
from lab.layout import Paths


def test_certificates_are_made_once_and_again_when_one_is_missing(lab: Paths) -> None:
    assert tls.ensure(lab)
    assert not tls.ensure(lab)
    tls.kubelet_client(lab).unlink()
    assert tls.ensure(lab)


def test_a_certificate_for_names_and_a_time(lab: Paths) -> None:
    tls.ensure(lab)
    certificate, ca = x509.load_pem_x509_certificates(tls.issue(lab, "api", ("api.example", "127.0.0.1"), 3).encode())
    certificate.verify_directly_issued_by(ca)
    assert timedelta(days=2.9) < certificate.not_valid_after_utc - datetime.now(UTC) < timedelta(days=3.1)
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["api.example"]
    expired = x509.load_pem_x509_certificate(tls.issue(lab, "api", ("api.example",), -3).encode())
    assert expired.not_valid_before_utc < expired.not_valid_after_utc < datetime.now(UTC)
