# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The requests of a probe, checked as a whole before the first one is sent."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from . import http_captures, http_client
from .errors import InputError
from .http_expect import Expectation, Expression, expectation

METHODS = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE")
ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,99}")
SECRET_HEADERS = frozenset(
    {"authorization", "proxy-authorization", "cookie", "x-api-key", "api-key", "x-auth-token", "x-csrf-token"}
)
MOST_REQUESTS = 10_000

OPTIONS: dict[str, dict[str, Any]] = {
    "id": {"type": "str", "required": True},
    "title": {"type": "str"},
    "url": {"type": "str"},
    "path": {"type": "str"},
    "method": {"type": "str", "default": "GET", "choices": list(METHODS)},
    "query": {"type": "dict", "default": {}},
    "headers": {"type": "dict", "default": {}},
    "body": {"type": "raw"},
    "status": {"type": "list", "elements": "int", "default": [200]},
    "expect": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "jmespath": {"type": "str", "required": True},
            "equals": {"type": "raw"},
            "one_of": {"type": "list", "elements": "raw"},
            "at_least": {"type": "float"},
            "at_most": {"type": "float"},
            "matches": {"type": "str"},
            "present": {"type": "bool"},
        },
    },
    "capture": {"type": "dict", "default": {}},
    "until": {
        "type": "dict",
        "options": {
            "seconds": {"type": "float", "default": 30.0},
            "interval_seconds": {"type": "float", "default": 1.0},
        },
    },
    "timeout_seconds": {"type": "float"},
    "max_latency_ms": {"type": "int"},
    "read_only": {"type": "bool"},
    "runbook": {"type": "str", "default": ""},
    "hint": {"type": "str", "default": ""},
}


@dataclass(frozen=True)
class Until:
    """Ask again every ``interval_seconds`` until all is as expected, for at most ``seconds``."""

    seconds: float
    interval_seconds: float


@dataclass(frozen=True)
class Item:
    """One request of the probe. ``url`` may still hold placeholders; ``needs`` names them all."""

    id: str
    title: str
    method: str
    url: str
    query: Mapping[str, Any]
    headers: Mapping[str, str]
    body: Any
    status: tuple[int, ...]
    expectations: tuple[Expectation, ...]
    captures: Mapping[str, Expression]
    needs: frozenset[str]
    until: Until | None
    timeout_seconds: float | None
    max_latency_ms: int | None
    changes: bool
    runbook: str
    hint: str

    def request(self, captured: Mapping[str, Any], secret_headers: Mapping[str, str]) -> http_client.Request:
        """The request with captured values put in."""
        body = http_captures.fill(self.body, captured)
        return http_client.Request(
            method=self.method,
            url=http_client.join(
                http_captures.fill_url(self.url, captured), "", http_captures.fill(self.query, captured)
            ),
            headers={name: http_captures.as_text(http_captures.fill(v, captured)) for name, v in self.headers.items()},
            secret_headers=secret_headers,
            body=None if body is None else (body if isinstance(body, str) else json.dumps(body)).encode(),
            content_type="" if body is None else "application/json",
            repeatable=None if self.changes else True,
            timeout_seconds=self.timeout_seconds,
        )


def plan(params: Mapping[str, Any]) -> list[Item]:
    """The items in order. InputError names the request and the option that is wrong; nothing was sent then."""
    rows = params["requests"]
    if not rows:
        raise InputError("requests is empty: a probe that asks nothing proves nothing.", option="requests")
    if len(rows) > MOST_REQUESTS:
        raise InputError(f"requests has {len(rows)} items, more than {MOST_REQUESTS}.", option="requests")
    items: list[Item] = []
    ids: set[str] = set()
    known: set[str] = set()
    for number, row in enumerate(rows, start=1):
        item = _item(row, f"requests[{number}] ({row['id']!r})", params, known)
        if item.id in ids:
            raise InputError(f"requests has two items with the id {item.id!r}; each needs its own.", option="requests")
        ids.add(item.id)
        items.append(item)
        if params["mode"] == "sequence":
            known |= set(item.captures)
    return items


def _item(row: Mapping[str, Any], where: str, params: Mapping[str, Any], known: set[str]) -> Item:
    if not ID.fullmatch(row["id"]):
        raise InputError(f"{where}: an id has up to 100 letters, digits and ._:- and begins with a letter or digit.")
    url = _url(row, where, params["base_url"])
    changes = row["method"] not in http_client.READING_METHODS if row["read_only"] is None else not row["read_only"]
    if row["until"] and changes:
        raise InputError(f"{where}: 'until' repeats, so it needs a request that changes nothing; say read_only: true.")
    _refuse_secret_headers(row["headers"], where)
    for name in ("timeout_seconds", "max_latency_ms"):
        if row[name] is not None and not row[name] > 0:
            raise InputError(f"{where}: {name} is {row[name]:g}; it must be above 0.")
    if not row["status"] or any(not 100 <= code <= 599 for code in row["status"]):
        raise InputError(f"{where}: status is {row['status']}; give HTTP codes from 100 to 599.")
    in_url = http_captures.names_in([url, row["query"]])
    unknown = sorted(in_url - known)
    if unknown:
        earlier = f"captured so far: {', '.join(sorted(known))}" if known else "nothing is captured before it"
        raise InputError(f"{where}: <{unknown[0]}> stands in its URL, but {earlier}.")
    return Item(
        id=row["id"],
        title=row["title"] or f"{row['method']} {http_client.shown_url(url)}",
        method=row["method"],
        url=url,
        query=row["query"],
        headers=row["headers"],
        body=row["body"],
        status=tuple(row["status"]),
        expectations=tuple(expectation(item, f"{where}, expect[{n}]") for n, item in enumerate(row["expect"], 1)),
        captures={name: Expression(str(text), f"{where}, capture") for name, text in _captures(row, where).items()},
        needs=frozenset((in_url | http_captures.names_in([row["headers"], row["body"]])) & known),
        until=_until(row["until"], where),
        timeout_seconds=row["timeout_seconds"],
        max_latency_ms=row["max_latency_ms"],
        changes=changes,
        runbook=row["runbook"],
        hint=row["hint"],
    )


def _url(row: Mapping[str, Any], where: str, base_url: str | None) -> str:
    if bool(row["url"]) == bool(row["path"]):
        raise InputError(f"{where}: give either url, or path together with base_url.")
    if row["url"]:
        url = http_client.check_url(row["url"], f"{where}: url")
    elif not base_url:
        raise InputError(f"{where}: path {row['path']!r} needs the option base_url.", option="base_url")
    else:
        url = http_client.check_url(
            http_client.join(http_client.check_url(base_url, "base_url"), row["path"]), f"{where}: path"
        )
    if http_captures.names_in(urlsplit(url).netloc):
        raise InputError(f"{where}: a captured value must not decide which host is asked.")
    return url


def _captures(row: Mapping[str, Any], where: str) -> Mapping[str, Any]:
    for name in row["capture"]:
        if not http_captures.PLACEHOLDER.fullmatch(f"<{name}>"):
            raise InputError(f"{where}: {name!r} is no name for a capture; use letters, digits and underscores.")
    captures: Mapping[str, Any] = row["capture"]
    return captures


def _until(row: Mapping[str, Any] | None, where: str) -> Until | None:
    if row is None:
        return None
    if not 0 < row["seconds"] <= 86_400 or not 0.05 <= row["interval_seconds"] <= 3600:
        raise InputError(f"{where}: until needs seconds up to 86400 and interval_seconds from 0.05 to 3600.")
    return Until(row["seconds"], row["interval_seconds"])


def _refuse_secret_headers(headers: Mapping[str, Any], where: str) -> None:
    secret = sorted(name for name in headers if str(name).strip().lower() in SECRET_HEADERS)
    if secret:
        raise InputError(f"{where}: {secret[0]} belongs in the option secret_headers, which is kept out of all output.")
