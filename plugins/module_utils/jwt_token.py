# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""JSON Web Tokens: made from a secret (HS256), or looked into without knowing the secret. Never shown."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from . import libraries
from .errors import InputError

try:
    import jwt
except ImportError as error:
    libraries.record("PyJWT", error)

LONGEST_LIFETIME_SECONDS = 86_400


def mint(secret: str, claims: Mapping[str, Any], lifetime_seconds: int, now: float) -> str:
    """A token signed with HS256 that holds ``claims``, ``iat`` and ``exp``. InputError when it cannot be made.

    ``now`` is in seconds since the epoch. A secret shorter than the standard asks for is used all the same: which
    secret a server has is not decided here.
    """
    if not secret:
        raise InputError("the JWT secret is empty; nothing can be signed with it.")
    if not 1 <= lifetime_seconds <= LONGEST_LIFETIME_SECONDS:
        raise InputError(f"the lifetime of a token must be 1 to {LONGEST_LIFETIME_SECONDS} s, not {lifetime_seconds}.")
    times = {"iat": int(now), "exp": int(now) + lifetime_seconds}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return jwt.encode({**times, **claims}, secret, algorithm="HS256")
        except (jwt.PyJWTError, TypeError, ValueError) as error:
            raise InputError(f"no token can be made of these claims: {error}.") from None


@dataclass(frozen=True)
class Looked:
    """What a token says of itself, unverified. Times in seconds; ``problem`` is set when it is no token at all."""

    account: str | None = None
    expires_in_seconds: float | None = None
    valid_in_seconds: float | None = None
    problem: str = ""

    def validity(self) -> str:
        """In words: ``expired 40 s ago``, ``valid for 59 minutes``; empty when it does not say."""
        if self.problem:
            return self.problem
        if self.expires_in_seconds is None:
            return "it has no time of expiry"
        if self.expires_in_seconds <= 0:
            return f"it expired {in_words(-self.expires_in_seconds)} ago"
        if self.valid_in_seconds is not None and self.valid_in_seconds > 0:
            return f"it becomes valid in {in_words(self.valid_in_seconds)}"
        return f"it is valid for {in_words(self.expires_in_seconds)}"


def look(token: str, now: float) -> Looked:
    """Read a token without its secret. Never raises."""
    try:
        claims = jwt.decode(token, options={"verify_signature": False, "verify_exp": False, "verify_aud": False})
    except (jwt.PyJWTError, ValueError, RecursionError):
        return Looked(problem="it is no JSON Web Token")
    account = next((claims[name] for name in ("accountId", "sub") if _text(claims.get(name))), None)
    expires, begins = _number(claims.get("exp")), _number(claims.get("nbf"))
    return Looked(
        account=account,
        expires_in_seconds=None if expires is None else expires - now,
        valid_in_seconds=None if begins is None else begins - now,
    )


def in_words(seconds: float) -> str:
    """A duration: 40 s, 3 minutes, 2.5 hours, 12 days."""
    for size, name in ((86_400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:.3g} {name}"
    return f"{seconds:.3g} s"


def _text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _number(value: object) -> float | None:
    return None if isinstance(value, bool) or not isinstance(value, (int, float)) else float(value)
