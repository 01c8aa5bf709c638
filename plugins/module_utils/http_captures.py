# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Values of one answer used in later requests: ``<name>`` in a path, a query, a header or a body.

Ansible's own templates are long rendered when the answer comes, so captures need a syntax that Jinja leaves alone.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

PLACEHOLDER = re.compile(r"<([A-Za-z_][A-Za-z0-9_]{0,63})>")


def names_in(value: Any) -> set[str]:
    """The names of all placeholders in a text or a structure of texts (keys of mappings are not looked at)."""
    if isinstance(value, str):
        return set(PLACEHOLDER.findall(value))
    if isinstance(value, Mapping):
        return set().union(*(names_in(item) for item in value.values()))
    if isinstance(value, (list, tuple)):
        return set().union(*(names_in(item) for item in value))
    return set()


def fill(value: Any, captured: Mapping[str, Any]) -> Any:
    """The same structure with captured values put in. A text that is one placeholder takes the value with its type."""
    if isinstance(value, str):
        whole = PLACEHOLDER.fullmatch(value)
        if whole and whole[1] in captured:
            return captured[whole[1]]
        return PLACEHOLDER.sub(lambda match: as_text(captured[match[1]]) if match[1] in captured else match[0], value)
    if isinstance(value, Mapping):
        return {key: fill(item, captured) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [fill(item, captured) for item in value]
    return value


def fill_url(url: str, captured: Mapping[str, Any]) -> str:
    """A URL with captured values put in, each quoted: a value can neither leave its place nor change the host."""
    return PLACEHOLDER.sub(
        lambda match: quote(as_text(captured[match[1]]), safe="") if match[1] in captured else match[0], url
    )


def as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
