# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""timeline.md: what happened when, to paste into an incident's record."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ansible_collections.sre.runbooks.plugins.plugin_utils import report_words


def render(report: Mapping[str, Any]) -> str:
    """The document of one report."""
    run = report["run"]
    took = report_words.duration(run["duration_ms"])
    lines = [
        f"# {report_words.word(report)}: {_cell(', '.join(run['playbooks']))}",
        "",
        _cell(report["headline"]),
        "",
        f"- Started: {report_words.clock(run['started'])}; {run['state']} after {took}",
        f"- By: {_cell(run['user'] or 'unknown')} on {_cell(run['controller'] or 'unknown')}",
        f"- Inventory: {_cell(', '.join(run['inventory']) or 'none')}; limit: {_cell(run['limit'] or 'none')}",
        f"- Mode: {'check mode, nothing was changed' if run['check_mode'] else 'real run'}",
        *(f"- {_cell(note)}" for note in report["notes"]),
        "",
        "## Verdicts",
        "",
    ]
    for deployment in report["deployments"]:
        reason = f": {_cell(deployment['reason'])}" if deployment["reason"] else ""
        lines.append(f"- **{deployment['verdict'].upper()}** {_cell(deployment['name'])}{reason}")
        for row in deployment["procedures"]:
            lines.append(f"  - {_cell(row['procedure'])}: {row['verdict'].upper()}, {report_words.counted(row)}")
            lines += [f"    - {check['status'].upper()} {_cell(check['title'])}" for check in _red(row)]
            lines += [f"    - cause ({item['confidence']}): {_cell(item['cause'])}" for item in row["findings"]]
    lines += [] if report["deployments"] else ["Nothing was verified."]
    lines += ["", "## Timeline (UTC)", "", "| Time | Host | Status | Took | Step |", "| --- | --- | --- | ---: | --- |"]
    for step in report["timeline"]:
        host = step["host"] + (f" → {step['delegated_to']}" if step["delegated_to"] else "")
        took = report_words.duration(step["duration_ms"])
        time = report_words.clock(step["time"], "time")
        lines.append(f"| {time} | {_cell(host)} | {step['status']} | {took} | {_cell(step['task'])} |")
    return "\n".join(lines) + "\n"


def _red(row: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [check for check in row["checks"] if check["status"] != "pass"]


def _cell(text: str) -> str:
    """Text that stays in its cell and is read as text: one line, with Markdown's own characters escaped."""
    return re.sub(r"([\\|*`<>\[\]])", r"\\\1", " ".join(text.split()))
