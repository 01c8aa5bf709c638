# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What runbooks call a metric, and what services really call it.

A runbook often has a name of another library, of an older version, or the meter's name with dots. Only names of the same
thing stand here: a counter that is merely similar would answer another question.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

SUFFIXES = ("_total", "_bucket", "_count", "_sum")
_LAG = ("kafka_consumer_fetch_manager_records_lag", "kafka_consumer_records_lag_records", "kafka_consumer_records_lag")
_LAG_MAX = (
    "kafka_consumer_fetch_manager_records_lag_max",
    "kafka_consumer_records_lag_max_records",
    "kafka_consumer_records_lag_max",
)
ALIASES: Mapping[str, Sequence[str]] = {
    "http_request_duration_seconds": ("http_server_requests_seconds",),
    "http_server_request_duration_seconds": ("http_server_requests_seconds",),
    "http_requests_total": ("http_server_requests_seconds_count",),
    "kafka_consumer_lag": _LAG,
    "kafka_consumer_records_lag": _LAG,
    "kafka_consumer_records_lag_max": _LAG_MAX,
    "kafka_consumer_lag_max": _LAG_MAX,
    "checkout_attempt_total": ("checkout_attempts_total",),
}

# Values of labels that mean the same for a runbook: a breaker that was forced open blocks calls too.
LABEL_VALUES: Mapping[tuple[str, str, str], Sequence[str]] = {
    ("resilience4j_circuitbreaker_state", "state", "open"): ("open", "forced_open"),
}

# A value that stands for "there is none".
UNDEFINED: Mapping[str, float] = {"jvm_memory_max_bytes": -1.0, "jvm_buffer_total_capacity_bytes": -1.0}

_LAG_HINT = (
    "This series is there only while a consumer runs whose factory has the meter binding, so a dead consumer looks like "
    "no lag: the broker knows (module kafka_lag)."
)
# By the beginning of a name: what no series with the second beginning on the page says.
ABSENT_HINTS: Mapping[str, tuple[str, str]] = {
    "kafka_consumer": ("kafka_consumer_fetch_manager_records_lag", _LAG_HINT),
    "resilience4j": ("resilience4j", "No breaker is registered, or its metrics binding is not on the class path."),
    "hikaricp": ("hikaricp", "The service has no Hikari pool, or it is not bound to the registry."),
}


def candidates(name: str, aliases: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """The names to look for, best first: the runbook's own, those of ``aliases``, the well-known ones.

    A suffix such as ``_bucket`` stays with the name it belongs to; ``a.b`` is Micrometer's meter name of ``a_b``.
    """
    plain = name.replace(".", "_").replace("-", "_")
    found = [plain, *_named(name, aliases), *_named(plain, aliases), *_named(plain, ALIASES)]
    if plain != name:
        found += [f"{plain}{unit}" for unit in ("_seconds", "_bytes", "_total")]
    elif not plain.endswith(SUFFIXES):
        found.append(f"{plain}_total")
    return tuple(dict.fromkeys(found))


def _named(name: str, aliases: Mapping[str, Sequence[str]]) -> list[str]:
    found = list(aliases.get(name, ()))
    for suffix in SUFFIXES:
        if name.endswith(suffix):
            found += [f"{alias}{suffix}" for alias in aliases.get(name.removesuffix(suffix), ())]
    return found


def label_values(metric: str, label: str, wanted: Sequence[str]) -> tuple[str, ...]:
    """The values of a label that a runbook means."""
    meant = (LABEL_VALUES.get((metric, label, value.lower()), (value,)) for value in wanted)
    return tuple(dict.fromkeys(value for values in meant for value in values))


def absent_hint(name: str, there: Iterable[str]) -> str:
    """What the absence of a metric says, where more is known of it than its name. ``there`` are the names on the page."""
    for beginning, (absent, hint) in ABSENT_HINTS.items():
        if name.startswith(beginning) and not any(other.startswith(absent) for other in there):
            return hint
    return ""
