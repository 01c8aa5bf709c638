# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an API server refuses, as the collection's errors: the request, what the server said, what to do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from . import redact
from .errors import RunbookError

MESSAGE_CHARACTERS = 1500


class ApiError(RunbookError):
    """The API server answered with an error. ``status`` is the HTTP code, ``reason`` the server's StatusReason."""

    def __init__(self, message: str, status: int, reason: str = "", **details: Any) -> None:
        super().__init__(message, status=status, reason=reason, **details)
        self.status = status
        self.reason = reason


class NotFoundError(ApiError):
    """404: no such object (or no such API)."""


class UnauthorizedError(ApiError):
    """401: the credentials are not accepted: absent, wrong, or a token that has expired."""


class ForbiddenError(ApiError):
    """403: RBAC lacks a verb (named in the message), or admission refused (quota, Pod Security, a webhook)."""


class ConflictError(ApiError):
    """409, or 422 for the failed test of a JSON patch: the object changed since it was read. Read again and plan again."""


class InvalidError(ApiError):
    """422: the object as it would be is not valid."""


@dataclass(frozen=True)
class Attempted:
    """A request, in the words of RBAC. ``user`` is how the connection names its credentials."""

    verb: str
    resource: str
    namespace: str = ""
    name: str = ""
    user: str = ""
    json_patch: bool = False

    def __str__(self) -> str:
        target = f"{self.resource}/{self.name}" if self.name else self.resource
        return f"{self.verb} {target}" + (f" in namespace {self.namespace}" if self.namespace else "")


def api_error(attempted: Attempted, status: int, answer: Mapping[str, Any], text: str) -> ApiError:
    """The error for an answer that is not 2xx. ``answer`` is its Status object (empty when it sent none)."""
    said = redact.observed(str(answer.get("message") or text or "no message"), MESSAGE_CHARACTERS)
    reason = str(answer.get("reason") or "")
    said = " ".join(said.split())
    details = {"request": str(attempted), "server_message": said}
    if status == 401:
        return UnauthorizedError(
            f"{attempted}: the API server does not accept the credentials ({attempted.user}): {said}. A token may have "
            "expired: log in again, or give other credentials.",
            status,
            reason,
            **details,
        )
    if status == 403:
        return ForbiddenError(_forbidden(attempted, said), status, reason, **details)
    if status == 404:
        return NotFoundError(f"{attempted}: not found: {said}.", status, reason, **details)
    if status == 409 or (status == 422 and attempted.json_patch and not _causes(answer)):
        return ConflictError(
            f"{attempted}: it was changed by someone else meanwhile: {said}.", status, reason, **details
        )
    if status == 422:
        return InvalidError(f"{attempted}: the API server finds it invalid: {said}.", status, reason, **details)
    return ApiError(f"{attempted}: HTTP {status} {reason}: {said}.", status, reason, **details)


def _forbidden(attempted: Attempted, said: str) -> str:
    if "exceeded quota" in said:
        return f"{attempted}: refused by a ResourceQuota: {said}. Free some, or raise the quota."
    if "cannot" in said and "resource" in said:
        where = f"namespace {attempted.namespace}" if attempted.namespace else "the cluster"
        return (
            f"{attempted}: {attempted.user} lacks the verb '{attempted.verb}' on resource '{attempted.resource}' in {where}: "
            f"{said}. Grant it in a Role; the module's notes list the rights it needs."
        )
    return f"{attempted}: refused by the admission of the API server: {said}."


def _causes(answer: Mapping[str, Any]) -> list[Any]:
    details = answer.get("details") or {}
    return list(details.get("causes") or []) if details.get("name") or details.get("kind") else []
