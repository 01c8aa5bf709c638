# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The bearer-token rules that both services share. Only HS256; every refusal has its own reason."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import time
from dataclasses import dataclass
from typing import Any

from lab.services import env


class Unauthorized(Exception):
    """A refused token; the message is the reason code of the 401 body."""


@dataclass(frozen=True)
class JwtAuth:
    secret: str
    issuer: str | None = None
    audience: str | None = None
    skew_seconds: int = 30

    @classmethod
    def from_env(cls) -> JwtAuth:
        return cls(
            secret=env.text("JWT_HS256_SECRET", ""),
            issuer=env.not_blank("JWT_ISSUER"),
            audience=env.not_blank("JWT_AUDIENCE"),
            skew_seconds=env.integer("JWT_CLOCK_SKEW_SEC", 30, env.LONG_RANGE),
        )

    def account(self, authorization: str | None, now: float | None = None) -> str:
        """The account of a valid ``Authorization`` header; raises Unauthorized with the first reason that applies."""
        if not self.secret:
            raise Unauthorized("JWT_SECRET_NOT_CONFIGURED")
        token = (authorization or "").removeprefix("Bearer ").strip()
        if not (authorization or "").startswith("Bearer ") or not token:
            raise Unauthorized("MISSING_BEARER_TOKEN")
        parts = token.split(".")
        if len(parts) != 3:
            raise Unauthorized("INVALID_JWT_FORMAT")
        header = _json_object(parts[0], "INVALID_JWT_HEADER")
        claims = _json_object(parts[1], "INVALID_JWT_PAYLOAD")
        self._check_signature(header, parts)
        self._check_claims(claims, time.time() if now is None else now)
        for claim in ("accountId", "sub"):
            value = claims.get(claim)
            if isinstance(value, str) and value.strip():
                return value
        raise Unauthorized("MISSING_ACCOUNT_ID")

    def _check_signature(self, header: dict[str, Any], parts: list[str]) -> None:
        algorithm = header.get("alg")
        if not isinstance(algorithm, str):
            raise Unauthorized("MISSING_ALG")
        if algorithm != "HS256":
            raise Unauthorized("UNSUPPORTED_ALG")
        signed = f"{parts[0]}.{parts[1]}".encode()
        expected = hmac.new(self.secret.encode(), signed, hashlib.sha256).digest()
        try:
            given = _decode(parts[2])
        except ValueError:
            raise Unauthorized("INVALID_JWT_SIGNATURE") from None
        if not hmac.compare_digest(expected, given):
            raise Unauthorized("INVALID_JWT_SIGNATURE")

    def _check_claims(self, claims: dict[str, Any], now: float) -> None:
        expires = _number(claims.get("exp"))
        if expires is None:
            raise Unauthorized("MISSING_EXP")
        if self.issuer is not None and claims.get("iss") != self.issuer:
            raise Unauthorized("INVALID_ISSUER")
        if self.audience is not None:
            audience = claims.get("aud")
            if self.audience not in (audience if isinstance(audience, list) else [audience]):
                raise Unauthorized("INVALID_AUDIENCE")
        if now > expires + self.skew_seconds:
            raise Unauthorized("TOKEN_EXPIRED")
        not_before = _number(claims.get("nbf"))
        if not_before is not None and now + self.skew_seconds < not_before:
            raise Unauthorized("TOKEN_NOT_YET_VALID")


def _number(value: object) -> float | None:
    """JSON numbers only: a text or a boolean is no time."""
    return None if isinstance(value, bool) or not isinstance(value, (int, float)) else value


def _decode(part: str) -> bytes:
    """Base64url without padding; ValueError on any other character."""
    if not part.isascii() or "+" in part or "/" in part:
        raise ValueError("not base64url")
    try:
        padded = part.rstrip("=") + "=" * (-len(part.rstrip("=")) % 4)
        return base64.b64decode(padded, altchars=b"-_", validate=True)
    except binascii.Error as error:
        raise ValueError(str(error)) from None


def _json_object(part: str, reason: str) -> dict[str, Any]:
    try:
        value = json.loads(_decode(part))
    except ValueError:
        raise Unauthorized(reason) from None
    if not isinstance(value, dict):
        raise Unauthorized(reason)
    return value
