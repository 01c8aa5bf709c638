# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What of a result is written: a fixed list of keys of our own modules' results, each in its own shape and bounded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ansible_collections.sre.runbooks.plugins.module_utils import redact, text
from ansible_collections.sre.runbooks.plugins.plugin_utils.report_secrets import is_secret_name

WORST_FIRST = {"fail": 0, "unverified": 1, "pass": 2}
WITHHELD = ("set, not shown", "not set")  # how the action settings tells of a secret
MAX_TEXT = 4000
MAX_CHECKS = 2000
MAX_ITEMS = 500
MAX_DEPTH = 8

Pick = Callable[[Any], Any]


def pick(result: Mapping[str, Any]) -> dict[str, Any]:
    """The keys of one result that may be written. Those of a loop come as ``items``, one such dictionary each."""
    picked = {key: shape(result[key]) for key, shape in _KEYS.items() if result.get(key) is not None}
    rows = result.get("checks")
    if isinstance(rows, (list, tuple)) and len(rows) > MAX_CHECKS:
        picked.setdefault("notes", []).append(f"{len(rows)} checks, the worst {MAX_CHECKS} are kept")
    items = result.get("results")
    if isinstance(items, list) and "verdict" not in result:
        picked["items"] = [pick(item) for item in items[:MAX_ITEMS] if isinstance(item, Mapping)]
    return picked


def bounded(value: Any, depth: int = 0) -> Any:
    """Any value in JSON types, of bounded size and depth; what stands under a secret-like name is struck out."""
    if isinstance(value, (str, bytes)):
        return text.shorten(text.clean(value), MAX_TEXT)
    if isinstance(value, Mapping):
        if depth >= MAX_DEPTH:
            return f"... ({len(value)} keys, nested too deep to show)"
        kept = list(value.items())[:MAX_ITEMS]
        shown = {text.shorten(text.clean(str(key)), 200): _named(key, item, depth) for key, item in kept}
        return shown if len(value) <= MAX_ITEMS else {**shown, "...": f"{len(value) - MAX_ITEMS} more"}
    if isinstance(value, (list, tuple, set, frozenset)):
        if depth >= MAX_DEPTH:
            return f"... ({len(value)} items, nested too deep to show)"
        items = [bounded(item, depth + 1) for item in list(value)[:MAX_ITEMS]]
        return items if len(value) <= MAX_ITEMS else [*items, f"... {len(value) - MAX_ITEMS} more"]
    return text.json_safe(value)


def _named(key: Any, item: Any, depth: int) -> Any:
    secret = is_secret_name(key) and item is not None and not isinstance(item, bool)
    return redact.STRUCK if secret else bounded(item, depth + 1)


def _line(value: Any) -> str:
    return text.shorten(text.clean(value if isinstance(value, (str, bytes)) else str(value)), MAX_TEXT)


def _status(value: Any) -> str:
    return value if isinstance(value, str) and value in WORST_FIRST else "unverified"


def _lines(value: Any) -> list[str]:
    return [_line(item) for item in value[:MAX_ITEMS]] if isinstance(value, (list, tuple)) else []


def _rows(row: Pick) -> Pick:
    def rows(value: Any) -> list[Any]:
        if not isinstance(value, (list, tuple)):
            return []
        return [row(item) for item in value[:MAX_ITEMS] if isinstance(item, Mapping)]

    return rows


def _checks(value: Any) -> list[dict[str, Any]]:
    if not isinstance(value, (list, tuple)):
        return []
    items = [item for item in value if isinstance(item, Mapping)]
    if len(items) > MAX_CHECKS:
        items = sorted(items, key=lambda item: WORST_FIRST[_status(item.get("status"))])[:MAX_CHECKS]
    return [_check(item) for item in items]


def _check(item: Mapping[str, Any]) -> dict[str, Any]:
    duration = item.get("duration_ms")
    identity = _line(item.get("id") or item.get("check") or "?")
    return {
        "id": identity,
        "title": _line(item.get("title") or identity),
        "status": _status(item.get("status")),
        "observed": bounded(item.get("observed")),
        "expected": bounded(item.get("expected")),
        "hint": _line(item.get("hint") or ""),
        "runbook": _line(item.get("runbook") or ""),
        "duration_ms": int(duration) if isinstance(duration, (int, float)) and not isinstance(duration, bool) else None,
    }


def _accepted(item: Mapping[str, Any]) -> dict[str, Any]:
    return {**_check(item), **{key: _line(item.get(key) or "") for key in ("reason", "owner", "until")}}


def _finding(item: Mapping[str, Any]) -> dict[str, Any]:
    step = item.get("next")
    return {
        "cause": _line(item.get("cause") or "?"),
        "confidence": "seen" if item.get("confidence") == "seen" else "inferred",
        "evidence": _lines(item.get("evidence")),
        "affects": _lines(item.get("affects")),
        "next": _next(step) if isinstance(step, Mapping) and step.get("playbook") else None,
    }


def _next(step: Mapping[str, Any]) -> dict[str, Any]:
    effect, arguments = step.get("effect"), step.get("args")
    return {
        "playbook": _line(step["playbook"]),
        "args": bounded(arguments) if isinstance(arguments, Mapping) else {},
        "effect": effect if isinstance(effect, str) and effect in ("read", "change", "destroy") else "change",
    }


def _setting(item: Mapping[str, Any]) -> dict[str, Any]:
    name, value = _line(item.get("name") or "?"), item.get("value")
    shown = value if value in WITHHELD else _named(name, value, 0)
    return {"name": name, "value": shown, "source": _line(item.get("source") or "")}


_KEYS: dict[str, Pick] = {
    "verdict": _status,
    "procedure": _line,
    "system": _line,
    "msg": _line,
    "changed": bool,
    "checks": _checks,
    "findings": _rows(_finding),
    "accepted": _rows(_accepted),
    "notes": _lines,
    "settings": _rows(_setting),
    "plan": bounded,
    "capture": bounded,
}
