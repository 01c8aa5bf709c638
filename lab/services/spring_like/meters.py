# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Micrometer would count and measure, as Prometheus text and as the metrics endpoint has it."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from lab.services.spring_like import console
from lab.services.spring_like.faults import Faults
from lab.services.spring_like.health import BREAKER
from lab.services.spring_like.memory import Heap
from lab.services.spring_like.pool import NAME, Pool
from lab.services.spring_like.settings import Settings
from lab.services.spring_like.timer import BUCKETS, Timer

STATES = ("closed", "open", "half_open", "forced_open", "disabled", "metrics_only")
_OUTCOMES = {2: "SUCCESS", 3: "REDIRECTION", 4: "CLIENT_ERROR", 5: "SERVER_ERROR"}

Labels = Mapping[str, str]
Sample = tuple[str, Labels, float]


class Meters:
    """All meters of one service."""

    def __init__(self, settings: Settings, pool: Pool | None, heap: Heap, faults: Faults) -> None:
        self._settings, self._pool, self._heap, self._faults = settings, pool, heap, faults
        self._requests: dict[tuple[str, str, str, str], Timer] = {}
        self._calls = {kind: Timer() for kind in ("failed", "ignored", "successful")}
        self._refused = 0
        self.active = 0  # requests that are being answered
        self._lock = threading.Lock()
        self._begun = time.time()
        self.started_seconds = 0.0

    def request(self, method: str, uri: str, status: int, exception: str, seconds: float) -> None:
        with self._lock:
            self._requests.setdefault((method, uri, str(status), exception), Timer()).record(seconds)

    def call(self, good: bool, seconds: float) -> None:
        """A call behind the circuit breaker."""
        with self._lock:
            self._calls["successful" if good else "failed"].record(seconds)

    def call_refused(self) -> None:
        with self._lock:
            self._refused += 1

    def prometheus(self) -> str:
        """Text format 0.0.4, every family with its help and type."""
        common = {"application": self._settings.name}
        lines: list[str] = []
        for name, kind, about, samples in self._families():
            lines += [f"# HELP {name} {about}", f"# TYPE {name} {kind}"]
            for sample, labels, value in samples:
                inner = ",".join(f'{key}="{text}"' for key, text in sorted({**common, **labels}.items()))
                shown = str(value) if sample.endswith(("_count", "_bucket")) else _number(value)
                lines.append(f"{sample}{{{inner}}} {shown}")
        return "\n".join(lines) + "\n"

    def names(self) -> list[str]:
        """Meter names of the metrics endpoint, with dots."""
        return sorted(_METERS)

    def meter(self, name: str) -> dict[str, Any] | None:
        """One meter as the metrics endpoint shows it; None when there is none of that name."""
        families = _METERS.get(name)
        if families is None:
            return None
        samples = [sample for family in self._families() if family[0] in families for sample in family[3]]
        if not samples:
            return None
        measured: dict[str, float] = {}
        tags: dict[str, set[str]] = {}
        for sample, labels, value in samples:
            statistic = {"_count": "COUNT", "_sum": "TOTAL_TIME", "_max": "MAX"}.get(
                sample[sample.rfind("_") :], "VALUE"
            )
            measured[statistic] = measured.get(statistic, 0.0) + value
            for key, text in labels.items():
                tags.setdefault(key, set()).add(text)
        return {
            "name": name,
            "measurements": [{"statistic": key, "value": value} for key, value in measured.items()],
            "availableTags": [{"tag": key, "values": sorted(values)} for key, values in sorted(tags.items())],
        }

    def _families(self) -> Iterator[tuple[str, str, str, list[Sample]]]:
        started: list[Sample] = [("application_started_time_seconds", {}, self.started_seconds)]
        yield "application_started_time_seconds", "gauge", "Time taken to start the application", [*started]
        if self._pool:
            yield from _pool_families(self._pool)
        with self._lock:
            yield self._request_family()
            yield self._request_maxima()
            yield self._active_family()
            calls = list(self._calls.items())
        yield from _jvm_families(self._heap)
        events: list[Sample] = [
            ("logback_events_total", {"level": level}, float(console.LOGGED[level])) for level in _LEVELS
        ]
        yield (
            "logback_events_total",
            "counter",
            "Number of log events that were enabled by the effective log level",
            events,
        )
        yield from _process_families(self._begun)
        yield from self._breaker_families(calls)

    def _request_family(self) -> tuple[str, str, str, list[Sample]]:
        name = "http_server_requests_seconds"
        samples: list[Sample] = []
        for key, timer in self._requests.items():
            labels = _request_labels(*key)
            if self._settings.histogram:
                below = 0
                for bound, count in zip((*map(_number, BUCKETS), "+Inf"), timer.buckets, strict=True):
                    below += count
                    samples.append((f"{name}_bucket", {**labels, "le": bound}, below))
            samples += [(f"{name}_count", labels, timer.count), (f"{name}_sum", labels, timer.total)]
        return name, "histogram" if self._settings.histogram else "summary", "", samples

    def _active_family(self) -> tuple[str, str, str, list[Sample]]:
        name, labels = "http_server_requests_active_seconds", _request_labels("GET", "UNKNOWN", "200", "none")
        return name, "summary", "", [(f"{name}_count", labels, self.active), (f"{name}_sum", labels, 0.0)]

    def _request_maxima(self) -> tuple[str, str, str, list[Sample]]:
        name = "http_server_requests_seconds_max"
        return name, "gauge", "", [(name, _request_labels(*key), timer.max()) for key, timer in self._requests.items()]

    def _breaker_families(self, calls: list[tuple[str, Timer]]) -> Iterator[tuple[str, str, str, list[Sample]]]:
        prefix, breaker = "resilience4j_circuitbreaker", {"name": BREAKER}
        now = self._faults.get("breaker") or "closed"
        states: list[Sample] = [(f"{prefix}_state", {**breaker, "state": each}, float(each == now)) for each in STATES]
        yield f"{prefix}_state", "gauge", "The states of the circuit breaker", states
        timers = [({**breaker, "kind": kind}, timer) for kind, timer in calls]
        yield from _timer_families(f"{prefix}_calls_seconds", "Total number of calls by kind", timers)
        refused: list[Sample] = [
            (f"{prefix}_not_permitted_calls_total", {**breaker, "kind": "not_permitted"}, self._refused)
        ]
        yield f"{prefix}_not_permitted_calls_total", "counter", "Total number of not permitted calls", refused
        rate: list[Sample] = [(f"{prefix}_failure_rate", breaker, -1.0)]
        yield f"{prefix}_failure_rate", "gauge", "The failure rate of the circuit breaker", rate


def _pool_families(pool: Pool) -> Iterator[tuple[str, str, str, list[Sample]]]:
    labels = {"pool": NAME}
    gauges: tuple[tuple[str, str, float], ...] = (
        ("hikaricp_connections", "Total connections", pool.active + pool.idle),
        ("hikaricp_connections_active", "Active connections", pool.active),
        ("hikaricp_connections_idle", "Idle connections", pool.idle),
        ("hikaricp_connections_max", "Max connections", pool.size),
        ("hikaricp_connections_min", "Min connections", pool.minimum),
        ("hikaricp_connections_pending", "Pending threads", pool.waiting),
    )
    for name, about, value in gauges:
        yield name, "gauge", about, [(name, labels, value)]
    for what, about, timer in (
        ("acquire", "Connection acquire time", pool.acquired),
        ("creation", "Connection creation time", pool.created),
        ("usage", "Connection usage time", pool.used),
    ):
        yield from _timer_families(f"hikaricp_connections_{what}_seconds", about, [(labels, timer)])
    name = "hikaricp_connections_timeout_total"
    yield name, "counter", "Connection timeout total count", [(name, labels, pool.timeouts)]
    for name, value in (
        ("jdbc_connections_active", float(pool.active)),
        ("jdbc_connections_idle", float(pool.idle)),
        ("jdbc_connections_max", float(pool.size)),
        ("jdbc_connections_min", float(pool.minimum)),
    ):
        yield name, "gauge", "", [(name, {"name": "dataSource"}, value)]


def _timer_families(
    name: str, about: str, timers: Iterable[tuple[Labels, Timer]]
) -> Iterator[tuple[str, str, str, list[Sample]]]:
    """The summary of timers without buckets, and their maxima."""
    known = list(timers)
    samples: list[Sample] = []
    for labels, timer in known:
        samples += [(f"{name}_count", labels, timer.count), (f"{name}_sum", labels, timer.total)]
    yield name, "summary", about, samples
    yield f"{name}_max", "gauge", about, [(f"{name}_max", labels, timer.max()) for labels, timer in known]


def _jvm_families(heap: Heap) -> Iterator[tuple[str, str, str, list[Sample]]]:
    info = {"runtime": "OpenJDK Runtime Environment", "vendor": "Eclipse Adoptium", "version": "21.0.9+10-LTS"}
    yield "jvm_info", "gauge", "JVM version info", [("jvm_info", info, 1)]
    areas = heap.areas()
    for what, about in (
        ("used", "amount of used memory"),
        ("committed", "committed"),
        ("max", "maximum amount of memory"),
    ):
        name = f"jvm_memory_{what}_bytes"
        samples: list[Sample] = [
            (name, {"area": area, "id": part}, values[what]) for (area, part), values in areas.items()
        ]
        yield name, "gauge", f"The {about} in bytes", samples
    collections = {"action": "end of minor GC", "cause": "G1 Evacuation Pause", "gc": "G1 Young Generation"}
    count, total = heap.collections()
    name = "jvm_gc_pause_seconds"
    yield (
        name,
        "summary",
        "Time spent in GC pause",
        [(f"{name}_count", collections, count), (f"{name}_sum", collections, total)],
    )
    live, most = heap.live()
    for name, about, size in (
        ("jvm_gc_live_data_size_bytes", "Size of long-lived heap memory pool after reclamation", live),
        ("jvm_gc_max_data_size_bytes", "Max size of long-lived heap memory pool", most),
    ):
        yield name, "gauge", about, [(name, {}, size)]
    name = "jvm_memory_usage_after_gc"  # no collection of the old generation yet: not a number
    yield name, "gauge", "", [(name, {"area": "heap", "pool": "long-lived"}, heap.after_collection())]
    name = "jvm_threads_live_threads"
    yield name, "gauge", "The current number of live threads", [(name, {}, threading.active_count() + 18)]


def _process_families(begun: float) -> Iterator[tuple[str, str, str, list[Sample]]]:
    used = os.times()
    for name, kind, about, value in (
        ("process_cpu_time_ns_total", "counter", "The CPU time used by the process", (used.user + used.system) * 1e9),
        ("process_files_open_files", "gauge", "The open file descriptor count", len(os.listdir("/proc/self/fd"))),
        ("process_start_time_seconds", "gauge", "Start time of the process since unix epoch", begun),
        ("process_uptime_seconds", "gauge", "The uptime of the process", time.time() - begun),
        ("system_cpu_count", "gauge", "The number of processors available", float(os.cpu_count() or 1)),
        ("system_load_average_1m", "gauge", "Runnable entities averaged over a minute", os.getloadavg()[0]),
    ):
        yield name, kind, about, [(name, {}, value)]


def _request_labels(method: str, uri: str, status: str, exception: str) -> Labels:
    outcome = _OUTCOMES.get(int(status) // 100, "UNKNOWN")
    return {
        "error": exception,
        "exception": exception,
        "method": method,
        "outcome": outcome,
        "status": status,
        "uri": uri,
    }


def _number(value: float) -> str:
    if value != value:  # noqa: PLR0124 - what is not equal to itself is not a number
        return "NaN"
    return repr(float(value)).replace("e+", "E").replace("e-", "E-")


_LEVELS = ("debug", "error", "info", "trace", "warn")
# Meters by their names with dots, and the Prometheus families that hold their samples.
_METERS: Mapping[str, tuple[str, ...]] = {
    "application.started.time": ("application_started_time_seconds",),
    "hikaricp.connections": ("hikaricp_connections",),
    "hikaricp.connections.acquire": ("hikaricp_connections_acquire_seconds",),
    "hikaricp.connections.active": ("hikaricp_connections_active",),
    "hikaricp.connections.creation": ("hikaricp_connections_creation_seconds",),
    "hikaricp.connections.idle": ("hikaricp_connections_idle",),
    "hikaricp.connections.max": ("hikaricp_connections_max",),
    "hikaricp.connections.min": ("hikaricp_connections_min",),
    "hikaricp.connections.pending": ("hikaricp_connections_pending",),
    "hikaricp.connections.timeout": ("hikaricp_connections_timeout_total",),
    "hikaricp.connections.usage": ("hikaricp_connections_usage_seconds",),
    "http.server.requests": ("http_server_requests_seconds", "http_server_requests_seconds_max"),
    "jvm.gc.live.data.size": ("jvm_gc_live_data_size_bytes",),
    "jvm.gc.max.data.size": ("jvm_gc_max_data_size_bytes",),
    "jvm.gc.pause": ("jvm_gc_pause_seconds",),
    "jvm.memory.committed": ("jvm_memory_committed_bytes",),
    "jvm.memory.max": ("jvm_memory_max_bytes",),
    "jvm.memory.used": ("jvm_memory_used_bytes",),
    "jvm.threads.live": ("jvm_threads_live_threads",),
    "logback.events": ("logback_events_total",),
    "process.files.open": ("process_files_open_files",),
    "process.start.time": ("process_start_time_seconds",),
    "process.uptime": ("process_uptime_seconds",),
    "resilience4j.circuitbreaker.calls": ("resilience4j_circuitbreaker_calls_seconds",),
    "resilience4j.circuitbreaker.failure.rate": ("resilience4j_circuitbreaker_failure_rate",),
    "resilience4j.circuitbreaker.state": ("resilience4j_circuitbreaker_state",),
    "system.cpu.count": ("system_cpu_count",),
    "system.load.average.1m": ("system_load_average_1m",),
}
