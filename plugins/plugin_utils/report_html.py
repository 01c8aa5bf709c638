# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""report.html: one self-contained page that a person can read at 3 a.m., on a phone, in the dark and on paper."""

from __future__ import annotations

import base64
import functools
import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

import jinja2
from markupsafe import Markup

from ansible_collections.sre.runbooks.plugins.plugin_utils import report_model, report_page, report_style, report_words

TIMELINE_ROWS = 5000
OPEN_ROWS = 25
SHORT_VALUE = 120


def render(report: Mapping[str, Any]) -> str:
    """The page of one report."""
    return _template().render(
        report,
        word=report_words.word(report),
        invocation=report_model.invocation(report["run"]),
        style=Markup(report_style.STYLE),  # noqa: S704 - our own constant
        script=Markup(report_style.SCRIPT),  # noqa: S704 - our own constant
        style_hash=_sha256(report_style.STYLE),
        script_hash=_sha256(report_style.SCRIPT),
        timeline_rows=TIMELINE_ROWS,
        open_rows=OPEN_ROWS,
    )


@functools.cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    environment.filters.update(
        anchor=_anchor,
        changed_word=report_words.changed_word,
        clock=report_words.clock,
        colour=_colour,
        counted=report_words.counted,
        duration=report_words.duration,
        plan=_plan,
        section=report_words.section,
        shown=_shown,
        statuses=_statuses,
        tally=report_words.tally,
        words=_words,
    )
    return environment.from_string(report_page.PAGE)


def _sha256(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _anchor(prefix: str, identity: str) -> str:
    digest = hashlib.sha256(identity.encode()).hexdigest()[:6]
    return f"{prefix}-{re.sub(r'[^A-Za-z0-9]+', '-', identity)[:40]}-{digest}"


def _statuses(row: Mapping[str, Any]) -> dict[str, str]:
    found = {check["id"]: check["status"] for check in row["checks"]}
    return {**found, **{check["id"]: "accepted" for check in row["accepted"]}}


def _shown(value: Any) -> Markup:
    """A value as a reader wants it: text as it is, short structures on one line, long ones as indented JSON."""
    if value is None:
        return Markup('<span class="soft">nothing</span>')
    if isinstance(value, bool):
        return Markup("yes") if value else Markup("no")
    if isinstance(value, (dict, list)):
        if not value:
            return Markup('<span class="soft">none</span>')
        line = report_words.flat(value)
        if line is not None and len(line) <= SHORT_VALUE:
            return Markup.escape(line)
        return Markup("<pre>{}</pre>").format(json.dumps(value, indent=2, ensure_ascii=False))
    if value == "":
        return Markup('<span class="soft">empty</span>')
    text = str(value)
    long = text.count("\n") > 1 or len(text) > 4 * SHORT_VALUE
    return Markup("<pre>{}</pre>").format(text) if long else Markup.escape(text)


def _colour(status: str) -> str:
    known = {"ok": "pass", "changed": "unverified", "failed": "fail", "unreachable": "fail"}
    return known.get(status, "accepted")


def _plan(plan: Any) -> Markup:
    """A plan: a list of steps becomes one line each, anything else is shown as a value."""
    if not isinstance(plan, list):
        return _shown(plan)
    lines = [Markup("<li>{}</li>").format(_shown(step)) for step in plan]
    return Markup("<ol>{}</ol>").format(Markup("").join(lines))


def _words(line: str) -> Markup:
    """A command that is broken between its words only, never after a hyphen; copied it is the same text."""
    return Markup(" ").join(Markup("<span>{}</span>").format(word) for word in line.split(" "))
