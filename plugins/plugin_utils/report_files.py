# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The files of a report, written from the events of its run. Can be repeated at any time."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ansible_collections.sre.runbooks.plugins.plugin_utils import (
    report_folder,
    report_html,
    report_junit,
    report_model,
    report_timeline,
)


def write(folder: Path, events: list[dict[str, Any]], state: str) -> dict[str, Any]:
    """Write report.json, report.html, junit.xml and timeline.md into ``folder``; returns the report."""
    report = report_model.build(events, state)
    report_folder.write(folder / "report.json", json.dumps(report, indent=2, ensure_ascii=False) + "\n")
    report_folder.write(folder / "report.html", report_html.render(report))
    report_folder.write(folder / "junit.xml", report_junit.render(report))
    report_folder.write(folder / "timeline.md", report_timeline.render(report))
    return report
