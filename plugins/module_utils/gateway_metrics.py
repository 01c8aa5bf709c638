# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The gateway's Kafka publisher, as its /metrics page shows it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from . import libraries

try:
    from prometheus_client.parser import text_string_to_metric_families
except ImportError as error:
    libraries.record("prometheus-client", error)

PREFIX = "gateway_kafka_publisher_"


@dataclass(frozen=True)
class Publisher:
    """The four series; None where one is absent or not a number. Counts since the gateway's start."""

    enabled: bool | None = None
    queue_depth: int | None = None
    dropped: int | None = None
    errors: int | None = None


def publisher(page: str) -> Publisher:
    """Read the Prometheus text; raises ValueError when it is not such text."""
    values: dict[str, float] = {}
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            if sample.name.startswith(PREFIX) and math.isfinite(sample.value):
                values[sample.name.removeprefix(PREFIX)] = sample.value
    enabled = values.get("enabled")
    return Publisher(
        enabled=None if enabled is None else enabled == 1,
        queue_depth=_count(values, "queue_depth"),
        dropped=_count(values, "dropped_total"),
        errors=_count(values, "errors_total"),
    )


def _count(values: dict[str, float], name: str) -> int | None:
    value = values.get(name)
    return None if value is None else int(value)
