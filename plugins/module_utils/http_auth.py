# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How a request says who it is: a bearer token, a user with a password, or a token that is made here."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from . import jwt_token
from .argspec import ArgumentSpec
from .clock import Clock
from .errors import InputError

SPEC = ArgumentSpec(
    options={
        "token": {"type": "str", "no_log": True},
        "username": {"type": "str"},
        "password": {"type": "str", "no_log": True},
        "jwt_secret": {"type": "str", "no_log": True},
        "jwt_claims": {"type": "dict", "default": {}},
        "jwt_lifetime_seconds": {"type": "int", "default": 300},
    },
    mutually_exclusive=(("token", "username", "jwt_secret"),),
    required_together=(("username", "password"),),
)


def authorization(params: Mapping[str, Any], clock: Clock) -> dict[str, str]:
    """The header Authorization for the options of SPEC, or nothing when none of them is set."""
    if params["token"]:
        return bearer(params["token"])
    if params["username"]:
        pair = f"{params['username']}:{params['password'] or ''}".encode()
        return {"Authorization": f"Basic {base64.b64encode(pair).decode()}"}
    if params["jwt_secret"]:
        token = jwt_token.mint(params["jwt_secret"], params["jwt_claims"], params["jwt_lifetime_seconds"], clock.now())
        return bearer(token)
    return {}


def bearer(token: str) -> dict[str, str]:
    """The header for a token; surrounding blanks and line breaks (of a file it was read from) are dropped."""
    bare = token.strip().removeprefix("Bearer ").strip()
    if not bare.isascii() or any(character.isspace() for character in bare):
        raise InputError("the token has blanks, line breaks or other characters that no token has.", option="token")
    return {"Authorization": f"Bearer {bare}"}
