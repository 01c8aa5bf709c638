# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The HTTP API of BackOffice and its gateway: who asks, and what each kind of answer means."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime
from typing import Any, Literal

from ansible.module_utils.basic import env_fallback

from . import http_auth, http_client, jwt_token
from .argspec import ArgumentSpec
from .checks import FAIL, UNVERIFIED, Status
from .clock import Clock
from .errors import InputError
from .http_problems import NOTHING_OBSERVED

ACCOUNT = ArgumentSpec(
    options={
        "account_id": {"type": "str", "fallback": (env_fallback, ["BACKOFFICE_ACCOUNT_ID"])},
        "token": {"type": "str", "no_log": True, "fallback": (env_fallback, ["BACKOFFICE_JWT"])},
        "jwt_secret": {"type": "str", "no_log": True, "fallback": (env_fallback, ["JWT_HS256_SECRET"])},
        "jwt_issuer": {"type": "str"},
        "jwt_audience": {"type": "str"},
    }
)
TOKEN_SECONDS = 300
CLOCK_SKEW_SECONDS = 30  # what the server allows; beyond it tokens are refused

Meaning = Literal["ok", "refused", "unauthorized", "foreign_account", "other_server", "server_error", "error"]


@dataclass(frozen=True)
class Reply:
    """An answer and what it means. ``document`` is its JSON (None when it has none that can be used).

    ``reason`` is the server's code of a 401; ``clock_offset_seconds`` is its clock minus ours.
    """

    answer: http_client.Answer
    meaning: Meaning
    document: Any = None
    reason: str = ""
    text: str = ""
    hint: str = ""
    clock_offset_seconds: float | None = None

    @property
    def status(self) -> Status:
        """The status of a check that needed this answer and did not get it."""
        if self.meaning == "foreign_account":
            return UNVERIFIED
        if self.meaning == "unauthorized":
            return FAIL if self.reason == "JWT_SECRET_NOT_CONFIGURED" else UNVERIFIED
        if self.answer.more or (self.answer.problem and self.answer.problem.kind in NOTHING_OBSERVED):
            return UNVERIFIED
        return FAIL

    def as_dict(self) -> dict[str, Any]:
        return {
            "status": self.answer.status,
            "meaning": self.meaning,
            "reason": self.reason,
            "latency_ms": self.answer.latency_ms,
            "attempts": self.answer.attempts,
        }


@dataclass(frozen=True)
class Credentials:
    """The header that is sent, and what is needed to explain why a server refuses it."""

    header: Mapping[str, str]
    account_id: str | None
    looked: jwt_token.Looked | None
    made_here: bool
    line_break: bool = False


def credentials(params: Mapping[str, Any], clock: Clock) -> Credentials:
    """From the options of ACCOUNT. A token is used as it is; else one is made; with neither, requests carry none."""
    account = (params["account_id"] or "").strip() or None
    if params["token"] and params["token"].strip():
        header = http_auth.bearer(params["token"])
        looked = jwt_token.look(header["Authorization"].removeprefix("Bearer "), clock.now())
        return Credentials(header, account or looked.account, looked, made_here=False)
    secret = params["jwt_secret"]
    if not secret:
        return Credentials({}, account, None, made_here=False)
    if account is None:
        raise InputError("account_id is not set: a token that is made from jwt_secret must name an account.")
    claims = {"accountId": account, "sub": account}
    claims |= {
        claim: params[f"jwt_{name}"]
        for claim, name in (("iss", "issuer"), ("aud", "audience"))
        if params[f"jwt_{name}"]
    }
    token = jwt_token.mint(secret, claims, TOKEN_SECONDS, clock.now())
    line_break = secret != secret.strip()
    return Credentials(http_auth.bearer(token), account, None, made_here=True, line_break=line_break)


class Api:
    """One server: base URL, client, credentials."""

    def __init__(self, client: http_client.Client, base_url: str, who: Credentials, clock: Clock) -> None:
        self._client, self._base_url, self.who, self._clock = client, base_url, who, clock

    def get(self, path: str, *, token: bool = True, **query: Any) -> Reply:
        """Ask for one path; the token's account is named in the query, so that a token for another one shows."""
        if token and self.who.account_id:
            query["accountId"] = self.who.account_id
        return self._send(http_client.Request("GET", http_client.join(self._base_url, path, query)), token)

    def post(self, path: str, body: bytes, headers: Mapping[str, str]) -> Reply:
        """Send JSON that may be sent twice (it carries an idempotency key)."""
        url = http_client.join(self._base_url, path)
        request = http_client.Request("POST", url, headers, body=body, content_type="application/json", repeatable=True)
        return self._send(request, token=True)

    def page(self, path: str) -> http_client.Answer:
        """A page that is not JSON, asked without a token."""
        return self._client.send(
            http_client.Request("GET", http_client.join(self._base_url, path), {"Accept": "text/plain"})
        )

    def _send(self, request: http_client.Request, token: bool) -> Reply:
        answer = self._client.send(replace(request, secret_headers=self.who.header) if token else request)
        return _understand(answer, self.who, clock_offset(answer, self._clock.now()))


def clock_offset(answer: http_client.Answer, now: float) -> float | None:
    """The server's clock minus ours in seconds (its Date has whole seconds); None when it does not say."""
    try:
        return parsedate_to_datetime(answer.headers["Date"]).timestamp() + 0.5 - now
    except (KeyError, ValueError, TypeError, OverflowError):
        return None


def _understand(answer: http_client.Answer, who: Credentials, offset: float | None) -> Reply:
    if answer.problem:
        refused = answer.status is None and answer.problem.kind == "refused"
        return _reply(answer, offset, "refused" if refused else "error", answer.summary(), answer.problem.hint)
    if answer.status == 401:
        return _unauthorized(answer, who, offset)
    if answer.content_type == "text/html" or answer.status in http_client.REDIRECT_STATUS:
        text = f"HTTP {answer.status}, {answer.excerpt(60)}"
        hint = "This is no BackOffice, or the URL has a wrong path: check host, port and path."
        return _reply(answer, offset, "other_server", text, hint)
    if answer.status == 404:
        return _reply(answer, offset, "foreign_account", f"HTTP 404 {answer.excerpt(60)}", _foreign(who))
    if answer.status and answer.status >= 500:
        return _reply(
            answer,
            offset,
            "server_error",
            f"HTTP {answer.status} {answer.excerpt(60)}",
            "Its standard error has the trace.",
        )
    try:
        document = answer.json()
    except ValueError as error:
        hint = "Raise max_body_bytes." if answer.more else "This does not look like a BackOffice: check host and port."
        return _reply(answer, offset, "error", f"HTTP {answer.status}, {error}", hint)
    if answer.status not in (200, 202):
        return Reply(answer, "error", document, "", f"HTTP {answer.status} {answer.excerpt(80)}", "", offset)
    return Reply(answer, "ok", document, "", answer.summary(), "", offset)


def _reply(answer: http_client.Answer, offset: float | None, meaning: Meaning, text: str, hint: str) -> Reply:
    return Reply(answer, meaning, None, "", text, hint, offset)


def _foreign(who: Credentials) -> str:
    named = who.looked.account if who.looked else None
    if named and named != who.account_id:
        return f"The token is for the account {named}, not {who.account_id}: the server hides other accounts."
    return "The token is for another account, or the path is wrong: the server answers both with 404."


def _unauthorized(answer: http_client.Answer, who: Credentials, offset: float | None) -> Reply:
    try:
        document = answer.json()
    except ValueError:
        document = None
    reason = str(document.get("reason") or "") if isinstance(document, Mapping) else ""
    text = f"HTTP 401 {reason}".rstrip()
    return Reply(answer, "unauthorized", document, reason, text, hint_on_401(reason, who, offset), offset)


def hint_on_401(reason: str, who: Credentials, offset: float | None) -> str:
    """What a refused token means, in one or two sentences; a wrong clock is named where the Date header shows one."""
    hints = {
        "JWT_SECRET_NOT_CONFIGURED": "The server has no JWT_HS256_SECRET and refuses everyone: set it and restart.",
        "MISSING_BEARER_TOKEN": (
            "The token did not arrive: does a proxy drop the header Authorization?"
            if who.header
            else "No token was sent: give token, or jwt_secret and account_id."
        ),
        "INVALID_JWT_SIGNATURE": "The server has another secret than the one this token was made with.",
        "UNSUPPORTED_ALG": "The server takes HS256 only.",
        "MISSING_ALG": "The token's header names no algorithm; the server takes HS256 only.",
        "MISSING_EXP": "The token has no expiry that is a number (exp).",
        "INVALID_ISSUER": "The server wants another issuer: set jwt_issuer to its JWT_ISSUER.",
        "INVALID_AUDIENCE": "The server wants another audience: set jwt_audience to its JWT_AUDIENCE.",
        "TOKEN_EXPIRED": "The token is expired.",
        "TOKEN_NOT_YET_VALID": "The token is not valid yet (nbf).",
        "MISSING_ACCOUNT_ID": "The token names no account (claim accountId or sub).",
    }
    hint = hints.get(
        reason, "The token is cut, or is none." if reason.startswith("INVALID_JWT") else "The server refuses the token."
    )
    if reason == "INVALID_JWT_SIGNATURE" and who.line_break:
        hint += " jwt_secret has a blank or a line break at its end."
    if reason.startswith("TOKEN_") and who.looked:
        hint += f" By its own claims and this machine's clock {who.looked.validity()}."
    if reason.startswith("TOKEN_") and offset is not None and abs(offset) > CLOCK_SKEW_SECONDS:
        where = "ahead of" if offset > 0 else "behind"
        hint += (
            f" The server's clock is {jwt_token.in_words(abs(offset))} {where} this machine's: correct the wrong one."
        )
    return f"{hint} This says nothing about the data."
