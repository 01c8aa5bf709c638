# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a pod answers through the API server's proxy, told apart from what the API server says in its place."""

from __future__ import annotations

import json

from . import redact
from .http_client import Answer
from .http_problems import Kind, Problem
from .instances_pods import Pod

LONGEST_STATUS_BYTES = 16_384
# Words of the API server when it could not reach the pod: problem, and the hint that goes with it.
_UNREACHED: tuple[tuple[str, Kind, str], ...] = (
    ("connection refused", "refused", "Nothing listens on that port of the pod: still starting, or another port."),
    ("no route to host", "unreachable", "The pod's address is not reachable from the API server."),
    ("i/o timeout", "connect_timeout", "The pod did not take the connection: hung, or a NetworkPolicy drops packets."),
    ("deadline exceeded", "timeout", "The pod is slow or stuck."),
    ("timeout", "timeout", "The pod is slow or stuck."),
    ("EOF", "closed", "The process closed the connection: it may be ending."),
    ("connection reset", "closed", "The process closed the connection: it may be ending."),
    ("malformed HTTP", "broken", "The port speaks another protocol; for TLS say scheme: https."),
    ("HTTP response to HTTPS", "broken", "The port does not speak TLS; say scheme: http."),
)


def through_proxy(answer: Answer, pod: Pod, user: str) -> Answer:
    """The answer of the pod; with ``problem`` set and no status where the API server itself answered instead."""
    if answer.problem:
        if answer.status is None and answer.problem.kind not in ("timeout", "deadline"):
            answer.problem = Problem("proxy", f"the API server: {answer.problem.text}", answer.problem.hint)
        return answer
    status = _status(answer)
    if status is None:
        return answer
    said = " ".join(redact.observed(str(status.get("message") or "no message"), 300).split())
    answer.problem = _problem(answer.status or 0, said, pod, user)
    answer.status, answer.body = None, b""
    return answer


def _status(answer: Answer) -> dict[str, object] | None:
    """The Status object of an API server, when the answer is one."""
    if answer.status is None or answer.status < 400 or answer.more or len(answer.body) > LONGEST_STATUS_BYTES:
        return None
    try:
        found = json.loads(answer.body)
    except (ValueError, RecursionError):
        return None
    mine = isinstance(found, dict) and found.get("kind") == "Status" and found.get("apiVersion") == "v1"
    return found if mine else None


def _problem(code: int, said: str, pod: Pod, user: str) -> Problem:
    where = f"pod {pod.name}:{pod.port}"
    if code == 401:
        return Problem("proxy", f"the API server does not accept the credentials ({user})", "Log in again.")
    if code == 403:
        hint = f"Grant {user} the verb 'get' on resource 'pods/proxy', or give the URL of the service instead."
        return Problem("proxy", f"the API server refuses the way to {where}: {said}", hint)
    if code == 404:
        return Problem("proxy", f"{where} is gone: {said}", "It was replaced meanwhile: ask again.")
    for words, kind, hint in _UNREACHED:
        if words in said:
            return Problem(kind, f"{where}: {said}", hint)
    return Problem("proxy", f"the API server did not reach {where}: {said}", "Is its way to the pods in order?")
