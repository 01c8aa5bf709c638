# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From the results of the modules that looked at a BackOffice to one check and the causes behind it."""

from __future__ import annotations

from typing import Any

from . import backoffice_causes, checks
from .argspec import ArgumentSpec
from .backoffice_causes import Cause
from .backoffice_evidence import evidence_of
from .checks import Finding
from .operation import Context

RESULTS = ("stats", "kafka", "lag", "gateway", "service", "log", "database")

SPEC = ArgumentSpec(
    options={
        **{name: {"type": "dict", "default": {}} for name in RESULTS},
        "topic": {"type": "str", "required": True},
        "group": {"type": "str", "required": True},
        "stale_after_seconds": {"type": "float", "default": 120.0},
    }
)


def run(params: dict[str, Any], context: Context) -> dict[str, Any]:
    """Nothing is contacted: what the results hold is judged. What they do not hold is not observed."""
    evidence = evidence_of(params)
    cause = backoffice_causes.cause_of(evidence)
    found = ([cause] if cause else []) + backoffice_causes.facts_of(evidence)
    check = backoffice_causes.freshness(evidence, cause)
    return checks.report(
        [check], [_finding(each, _names(params)) for each in found], cause=cause.name if cause else None
    )


def _finding(cause: Cause, names: dict[str, str]) -> Finding:
    finding = cause.finding()
    finding.evidence = [names.get(item, item) for item in finding.evidence]
    return finding


def _names(params: dict[str, Any]) -> dict[str, str]:
    """What the rules call a check, to the id that the check has."""
    services: list[dict[str, Any]] = params["service"].get("services") or [{}]
    service = services[0].get("name", "service")
    return {"lag": f"lag.{params['group']}", "kafka.topic": f"topic.{params['topic']}", "service": f"service.{service}"}
