# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The token rules: every reason, the order of the checks, the tolerated oddities."""

from __future__ import annotations

import base64
import json
from typing import Any

import jwt
import pytest

from lab.services.jwt_auth import JwtAuth, Unauthorized

SECRET = "a-secret-of-the-right-length-for-tests"
NOW = 2_000_000_000.0
AUTH = JwtAuth(SECRET)


def bearer(claims: dict[str, Any], secret: str = SECRET, **header: Any) -> str:
    return "Bearer " + jwt.encode({"exp": NOW + 60, "sub": "acct", **claims}, secret, headers=header or None)


def raw(header: object, payload: object) -> str:
    def part(value: object) -> str:
        data = value if isinstance(value, bytes) else json.dumps(value).encode()
        return base64.urlsafe_b64encode(data).decode().rstrip("=")

    return f"Bearer {part(header)}.{part(payload)}.c2ln"


def reason(authorization: str | None, auth: JwtAuth = AUTH) -> str:
    with pytest.raises(Unauthorized) as refusal:
        auth.account(authorization, NOW)
    return str(refusal.value)


@pytest.mark.parametrize(
    ("authorization", "expected"),
    [
        (None, "MISSING_BEARER_TOKEN"),
        ("", "MISSING_BEARER_TOKEN"),
        ("Bearer ", "MISSING_BEARER_TOKEN"),
        (bearer({}).replace("Bearer", "bearer"), "MISSING_BEARER_TOKEN"),
        ("Bearer a.b", "INVALID_JWT_FORMAT"),
        (raw(b"{", {}), "INVALID_JWT_HEADER"),
        (raw([], {}), "INVALID_JWT_HEADER"),
        (raw({"alg": "HS256"}, b"no"), "INVALID_JWT_PAYLOAD"),
        (raw({}, {}), "MISSING_ALG"),
        (raw({"alg": "none"}, {}), "UNSUPPORTED_ALG"),
        (raw({"alg": "HS256"}, {}), "INVALID_JWT_SIGNATURE"),
        (bearer({}, "another-secret-of-the-right-length-0000"), "INVALID_JWT_SIGNATURE"),
        (bearer({})[:-2] + "!!", "INVALID_JWT_SIGNATURE"),
        ("Bearer " + jwt.encode({"sub": "acct"}, SECRET), "MISSING_EXP"),
        (bearer({"exp": "2000000060"}), "MISSING_EXP"),
        (bearer({"exp": True}), "MISSING_EXP"),
        (bearer({"exp": NOW - 40}), "TOKEN_EXPIRED"),
        (bearer({"nbf": NOW + 40}), "TOKEN_NOT_YET_VALID"),
        (bearer({"sub": " "}), "MISSING_ACCOUNT_ID"),
        (bearer({"sub": 5}), "MISSING_ACCOUNT_ID"),
    ],
)
def test_reasons(authorization: str | None, expected: str) -> None:
    assert reason(authorization) == expected


def test_without_a_secret_every_token_is_refused_alike() -> None:
    assert reason(bearer({}), JwtAuth("")) == "JWT_SECRET_NOT_CONFIGURED"
    assert reason(None, JwtAuth("")) == "JWT_SECRET_NOT_CONFIGURED"


@pytest.mark.parametrize(
    "claims", [{"exp": NOW - 20}, {"nbf": NOW + 20}, {"exp": (NOW - 9_000_000) * 1000}, {"iat": NOW + 999}]
)
def test_skew_milliseconds_and_a_future_issue_time_pass(claims: dict[str, Any]) -> None:
    assert AUTH.account(bearer(claims), NOW) == "acct"


def test_account_claim_wins_and_a_blank_one_falls_through() -> None:
    assert AUTH.account(bearer({"accountId": "a1"}), NOW) == "a1"
    assert AUTH.account(bearer({"accountId": " "}), NOW) == "acct"


def test_issuer_and_audience() -> None:
    auth = JwtAuth(SECRET, issuer="me", audience="them")
    assert reason(bearer({"aud": "them"}), auth) == "INVALID_ISSUER"
    assert reason(bearer({"iss": "me"}), auth) == "INVALID_AUDIENCE"
    assert reason(bearer({"iss": "me", "aud": ["x"]}), auth) == "INVALID_AUDIENCE"
    for audience in ("them", ["x", "them"]):
        assert auth.account(bearer({"iss": "me", "aud": audience}), NOW) == "acct"
    assert reason(bearer({"exp": NOW - 99}), auth) == "INVALID_ISSUER"  # checked before the expiry


def test_blank_issuer_and_audience_are_not_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("JWT_HS256_SECRET", SECRET), ("JWT_ISSUER", " "), ("JWT_AUDIENCE", "")):
        monkeypatch.setenv(name, value)
    assert JwtAuth.from_env().account(bearer({"aud": "any"}), NOW) == "acct"
