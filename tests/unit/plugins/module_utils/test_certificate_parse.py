# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What certificates say, how they hang together, and whose key it is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.sre.runbooks.plugins.module_utils import certificate_parse
from ansible_collections.sre.runbooks.plugins.module_utils.certificate_parse import Certificate, NoCertificate
from tests.unit.plugins.fake_certificates import Issued, bundle, issue

ROOT = issue("Lab Root", authority=True)
MIDDLE = issue("Lab Intermediate", ROOT, authority=True)
LEAF = issue("api", MIDDLE, names=("api.example", "*.shop.example", "10.0.0.7", "2001:db8::1"))
OTHER = issue("other", ROOT)


def parsed(*issued: Issued) -> list[Certificate]:
    return certificate_parse.from_pem(bundle(*issued))


def test_what_a_certificate_says() -> None:
    (leaf,) = parsed(LEAF)
    assert (leaf.subject, leaf.issuer, leaf.short) == ("CN=api", "CN=Lab Intermediate", "api")
    assert leaf.names == ("api.example", "*.shop.example", "10.0.0.7", "2001:db8::1")
    assert (leaf.key, leaf.signature, leaf.is_authority, leaf.self_signed) == ("EC secp256r1", "sha256", False, False)
    row = leaf.as_dict(leaf.not_after - 86_400)
    assert row["days_left"] == 1.0
    assert row["not_after"].endswith("Z")
    assert len(row["fingerprint_sha256"]) == 64
    (root,) = parsed(ROOT)
    assert root.is_authority
    assert root.self_signed


@pytest.mark.parametrize(
    ("name", "right"),
    [
        ("api.example", True),
        ("API.example", True),
        ("api.example.", True),
        ("a.shop.example", True),
        ("a.b.shop.example", False),
        ("shop.example", False),
        ("api", False),  # only the common name says so
        ("10.0.0.7", True),
        ("10.0.0.8", False),
        ("2001:db8:0::1", True),
    ],
)
def test_names(name: str, right: bool) -> None:
    assert certificate_parse.covers(parsed(LEAF)[0], name) is right


def test_no_names_cover_nothing() -> None:
    assert not certificate_parse.covers(parsed(OTHER)[0], "other")


@given(st.permutations([MIDDLE, ROOT]))
def test_a_chain_is_found_in_any_order(others: list[Issued]) -> None:
    linked, rest = certificate_parse.chain(parsed(LEAF, *others))
    assert [one.short for one in linked] == ["api", "Lab Intermediate", "Lab Root"]
    assert not rest


def test_a_chain_that_is_broken() -> None:
    linked, rest = certificate_parse.chain(parsed(LEAF, OTHER))
    assert [one.short for one in linked] == ["api"]
    assert [one.short for one in rest] == ["other"]


def test_an_authority_of_the_same_name_with_another_key_is_another() -> None:
    impostor = issue("Lab Intermediate", ROOT, authority=True)
    assert not certificate_parse.issued(parsed(impostor)[0], parsed(LEAF)[0])
    assert certificate_parse.issued(parsed(MIDDLE)[0], parsed(LEAF)[0])


def test_whose_key_it_is() -> None:
    (leaf,) = parsed(LEAF)
    assert certificate_parse.key_belongs(leaf, LEAF.key_pem) is True
    assert certificate_parse.key_belongs(leaf, OTHER.key_pem) is False
    assert certificate_parse.key_belongs(leaf, b"no key") is None


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "it holds nothing"),
        (b"hello", "it holds no PEM certificate"),
        (LEAF.key_pem, "it holds a private key"),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "broken certificate"),
        (LEAF.pem * 51, "51 certificates"),
    ],
)
def test_what_is_no_certificate(data: bytes, said: str) -> None:
    with pytest.raises(NoCertificate, match=said) as raised:
        certificate_parse.from_pem(data)
    assert "PRIVATE" not in str(raised.value)


@given(st.binary(max_size=200))
def test_anything_may_be_sent(data: bytes) -> None:
    with pytest.raises(NoCertificate):
        certificate_parse.from_der(data)
    with pytest.raises(NoCertificate):
        certificate_parse.from_pem(b"-----BEGIN CERTIFICATE-----\n" + data)
