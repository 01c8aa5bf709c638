# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tokens: made, and looked into."""

from __future__ import annotations

import base64
import json
import warnings
from typing import Any

import jwt
import pytest

from ansible_collections.sre.runbooks.plugins.module_utils import http_auth, jwt_token
from ansible_collections.sre.runbooks.plugins.module_utils.errors import InputError
from tests.unit.plugins.module_runner import FakeClock

NOW = 1_900_000_000.0
SECRET = "a secret that is as long as the standard wants it"
AUTH: dict[str, Any] = {
    "token": None,
    "username": None,
    "password": None,
    "jwt_secret": None,
    "jwt_claims": {},
    "jwt_lifetime_seconds": 60,
}


def test_mint_and_look() -> None:
    token = jwt_token.mint(SECRET, {"accountId": "a", "aud": ["x", "y"]}, 60, NOW)
    unchecked: Any = {"verify_exp": False, "verify_iat": False}
    claims = jwt.decode(token, SECRET, algorithms=["HS256"], options=unchecked, audience="x")
    assert claims == {"accountId": "a", "aud": ["x", "y"], "iat": NOW, "exp": NOW + 60}
    looked = jwt_token.look(token, NOW)
    assert (looked.account, looked.expires_in_seconds, looked.validity()) == ("a", 60, "it is valid for 60 s")


def test_a_short_secret_is_used_without_a_word() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert jwt_token.mint("abc", {}, 60, NOW)


@pytest.mark.parametrize(("secret", "lifetime"), [("", 60), ("abc", 0), ("abc", 10**9)])
def test_what_cannot_be_made(secret: str, lifetime: int) -> None:
    with pytest.raises(InputError) as caught:
        jwt_token.mint(secret, {}, lifetime, NOW)
    assert "abc" not in caught.value.message


def test_claims_that_are_no_json() -> None:
    with pytest.raises(InputError, match="no token can be made"):
        jwt_token.mint("abc", {"x": {1, 2}}, 60, NOW)


@pytest.mark.parametrize(
    ("claims", "words"),
    [
        ({"exp": NOW - 40}, "it expired 40 s ago"),
        ({"exp": NOW - 90_000 * 3}, "it expired 3.12 days ago"),
        ({"exp": NOW + 7200}, "it is valid for 2 hours"),
        ({"exp": NOW + 600, "nbf": NOW + 300}, "it becomes valid in 5 minutes"),
        ({}, "it has no time of expiry"),
        ({"exp": "soon"}, "it has no time of expiry"),
        ({"exp": True}, "it has no time of expiry"),
    ],
)
def test_validity(claims: dict[str, object], words: str) -> None:
    head, body = (base64.urlsafe_b64encode(part).rstrip(b"=") for part in (b'{"alg":"HS256"}', _json(claims)))
    assert jwt_token.look(b".".join((head, body, b"eA")).decode(), NOW).validity() == words


def _json(claims: dict[str, object]) -> bytes:
    return json.dumps(claims).encode()


@pytest.mark.parametrize("token", ["", "abc", "a.b.c", "....", "eyJ.eyJ.x", "\ud800.\ud800.x"])
def test_what_is_no_token(token: str) -> None:
    assert jwt_token.look(token, NOW).validity() == "it is no JSON Web Token"


@pytest.mark.parametrize(
    ("claims", "account"),
    [({"accountId": "a", "sub": "b"}, "a"), ({"accountId": " ", "sub": "b"}, "b"), ({"accountId": 7}, None)],
)
def test_the_account_of_a_token(claims: dict[str, object], account: str | None) -> None:
    assert jwt_token.look(jwt_token.mint("abc", claims, 60, NOW) if account else "x.y.z", NOW).account == account


def test_authorization() -> None:
    clock = FakeClock(NOW)
    assert http_auth.authorization(AUTH, clock) == {}
    assert http_auth.authorization(AUTH | {"token": " Bearer abc\n"}, clock) == {"Authorization": "Bearer abc"}
    basic = http_auth.authorization(AUTH | {"username": "me", "password": "ö"}, clock)["Authorization"]
    assert base64.b64decode(basic.removeprefix("Basic ")).decode() == "me:ö"
    made = http_auth.authorization(AUTH | {"jwt_secret": "abc", "jwt_claims": {"sub": "a"}}, clock)["Authorization"]
    assert jwt_token.look(made.removeprefix("Bearer "), NOW).account == "a"


@pytest.mark.parametrize("token", ["a b", "a\nb", "ä"])
def test_a_token_that_is_none(token: str) -> None:
    with pytest.raises(InputError, match="that no token has"):
        http_auth.bearer(token)
