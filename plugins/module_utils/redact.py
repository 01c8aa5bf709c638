# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The one redaction filter between what was observed and every result, message and report.

Two strengths. ``certain`` strikes out what is a secret wherever it stands: JSON Web Tokens, private keys, passwords in
URLs, bearer and basic credentials, well-known key formats. ``observed`` is for text that comes from outside (logs, query
text, ledger lines, boot output): it also strikes out whatever follows a secret-like name.
"""

from __future__ import annotations

import functools
import re
from typing import Any

from .text import clean, shorten

STRUCK = "[redacted]"

_KEY_LINE = r"(?:[A-Z0-9]+ ){0,3}PRIVATE KEY-----"
_CERTAIN: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(rf"-----BEGIN {_KEY_LINE}.*?(?:-----END {_KEY_LINE}|\Z)", re.DOTALL), STRUCK),
    (re.compile(r"(?<=://)([^\s/@:'\"]{0,200}):([^\s/'\"]{1,500})@"), rf"\1:{STRUCK}@"),
    (
        re.compile(r"(?i)\b(bearer|basic)(\s+)(?=[A-Za-z0-9._~+/-]*[0-9._~+/=-])[A-Za-z0-9._~+/-]{8,}=*"),
        rf"\1\2{STRUCK}",
    ),
    (re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"), STRUCK),
    (re.compile(r"\b(?:gh[pousr]_[A-Za-z0-9]{20,}|glpat-[A-Za-z0-9_-]{16,}|xox[abprs]-[A-Za-z0-9-]{10,})"), STRUCK),
)
# Takes the whole run of characters even where it is no token, so that each is looked at once.
_JWT = re.compile(r"eyJ[A-Za-z0-9_-]*(?P<rest>\.[A-Za-z0-9_-]{4,}(?:\.[A-Za-z0-9_-]*)?)?")

_WORD = (
    r"(?:passw(?:or)?d|passwd|pwd|passphrase|secret|token|api[_-]?key|access[_-]?key|private[_-]?key"
    r"|credentials?|authorization|cookie|session[_-]?id)"
)
_REST = r"[A-Za-z0-9_.-]{0,200}"  # what may follow the word within a name
_JOIN = r"\\{0,3}[\"']?\s{0,3}(?:=>|[:=])\s{0,3}"
_QUOTED = r"\\{0,3}\"(?:[^\"\\]|\\(?s:.))*\\?\"?|'(?:[^']|'')*'?"
# A separator ends a value only where a further field, a blank or a closing sign follows: passwords hold separators too.
_PLAIN = r"(?:[^\s,;&}\]]|[,;&}\]](?!\s|\Z|[,;&}\])\"']|[A-Za-z_][A-Za-z0-9_.-]{0,60}\\{0,3}[\"']?\s{0,3}[:=]))+"
_NAMED = re.compile(rf"(?i)(?P<name>{_WORD}{_REST}{_JOIN})(?P<value>{_QUOTED}|(?:bearer|basic)\s+\S+|{_PLAIN})")
_HEADER = re.compile(
    rf"(?i)(?P<name>(?:authorization|cookie){_REST}{_JOIN})(?!\\*[\"'])"
    r"(?P<value>(?:[a-z][a-z0-9-]{0,40}\s{1,3}(?=\S))?\S+(?:(?<=[,;])\s{1,3}\S+)*)"
)
_TAG = re.compile(rf"(?i)(?P<name><[\w:.-]{{0,100}}{_WORD}[\w:.-]{{0,100}}(?:\s[^<>]{{0,300}})?>)(?P<value>[^<]+)")
_FLAG = re.compile(
    rf"(?i)(?P<name>(?<![\w-])--?[\w.-]{{0,60}}{_WORD}[\w.-]{{0,60}}\s{{1,3}})(?P<value>{_QUOTED}|(?![-=:>])\S+)"
)
_SQL = re.compile(r"(?i)(?P<name>\b(?:password|identified by)\s{1,20})(?P<value>'(?:[^']|'')*(?:'|\Z))")
_KEY = re.compile(rf"(?i){_WORD}")
_NOT_SECRET = re.compile(r"(?i)^[\"']?(?:null|none|true|false|unset|not set|\*+|\[redacted\]?)[\"']?$")


def _strike_named(match: re.Match[str]) -> str:
    value = match["value"]
    if _NOT_SECRET.match(value):
        return match[0]
    quote = value[0] if value[0] in "\"'" else ""
    return f"{match['name']}{quote}{STRUCK}{quote}"


def certain(text: str) -> str:
    """``text`` without what is a secret wherever it stands."""
    for pattern, replacement in _CERTAIN:
        text = pattern.sub(replacement, text)
    return _JWT.sub(
        lambda match: STRUCK if match["rest"] and match.start("rest") - match.start() >= 7 else match[0], text
    )


def observed(text: bytes | str, limit: int = 2000) -> str:
    """Text from outside, fit to be shown: decoded, without control characters and secrets, at most ``limit`` characters.

    What is far beyond the limit is cut before it is searched, so that the time is bounded by the limit.
    """
    raw = text[: limit * 4 + 4096] if len(text) > limit * 4 + 4096 else text
    cut = len(text) - len(raw)
    shown = certain(clean(raw))
    for pattern in (_TAG, _FLAG, _HEADER, _NAMED, _SQL):
        shown = pattern.sub(_strike_named, shown)
    return (
        shorten(shown, limit) if not cut else f"{shown[:limit]}... ({cut + max(0, len(shown) - limit)} more characters)"
    )


# In long lists the same short texts, such as keys and states, come again and again.
SHORT = 64
_again = functools.lru_cache(maxsize=4096)(certain)


def data(value: Any) -> Any:
    """A structure of JSON types with ``certain`` applied to every text in it, keys included."""
    if isinstance(value, str):
        return _again(value) if len(value) <= SHORT else certain(value)
    if isinstance(value, dict):
        return {data(key) if isinstance(key, str) else key: data(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [data(item) for item in value]
    return value


def structure(value: Any, limit: int = 2000) -> Any:
    """A structure from outside, fit to be shown: texts under secret-like keys are struck out, others as ``observed``."""
    if isinstance(value, dict):
        return {
            observed(str(key), 200): STRUCK if _is_secret(str(key), item) else structure(item, limit)
            for key, item in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [structure(item, limit) for item in value]
    return observed(value, limit) if isinstance(value, str) else value


_USERINFO = re.compile(r"://[^\s/@:'\"]{0,200}:([^\s/'\"]{1,500})@")
_SECRET_HEADER = re.compile(r"(?i)(?:proxy-)?authorization|cookie|(?:x-)?(?:api-key|auth-token|csrf-token)")


def misplaced(value: Any) -> set[str]:
    """Secrets in options that are not secret themselves: in URLs, and as values of headers such as Authorization."""
    if isinstance(value, str):
        named = (match["value"] for match in _NAMED.finditer(value)) if "://" in value else ()
        return {text for text in (*_USERINFO.findall(value), *named) if not _NOT_SECRET.match(text)}
    if isinstance(value, dict):
        own = {str(item) for key, item in value.items() if item and _SECRET_HEADER.fullmatch(str(key))}
        return own.union(*(misplaced(item) for item in value.values()))
    if isinstance(value, (list, tuple)):
        return set().union(*(misplaced(item) for item in value))
    return set()


def _is_secret(key: str, value: Any) -> bool:
    return isinstance(value, str) and bool(value) and not _NOT_SECRET.match(value) and bool(_KEY.search(key))
