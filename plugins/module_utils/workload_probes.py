# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Containers that run and are not taken for healthy: what their probes ask, what the process does. Pure.

The kubelet's defaults: no delay, every 10 s, 1 s for an answer, given up after 3 failures.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from . import kubernetes_objects as objects
from .kubernetes_objects import Object
from .kubernetes_pods import Container
from .workload_causes import Cause, Evidence
from .workload_events import Event
from .workload_states import as_evidence

KINDS = ("startupProbe", "livenessProbe", "readinessProbe")
_WORD = {"startupProbe": "startup", "livenessProbe": "liveness", "readinessProbe": "readiness"}
KILLED = re.compile(r"failed (liveness|startup) probe")
SLACK_SECONDS = 30.0

_LISTENS = (
    re.compile(r"\b(?:Tomcat|Netty|Undertow|Jetty) started on port(?:\(s\))?:? (?P<port>\d{2,5})"),
    re.compile(r"(?:Uvicorn running on|Listening at:|Running on) https?://\S+?:(?P<port>\d{2,5})"),
    re.compile(
        r"(?i)\b(?:listening|listens|server running|server started|started server)\b.{0,60}?(?:port:? |:)(?P<port>\d{2,5})\b"
    ),
)
_STARTED = re.compile(
    r"Started \w+ in (?P<seconds>[\d.]+) seconds|Application startup complete|Nest application successfully started"
    r"|(?:Tomcat|Netty|Undertow|Jetty) started on port"
)


@dataclass(frozen=True)
class Probe:
    """One probe of a container. ``asks`` says what, ``port`` where (None for a command)."""

    kind: str
    asks: str
    port: int | None
    delay: int
    period: int
    timeout: int
    failures: int

    @property
    def word(self) -> str:
        return _WORD[self.kind]

    @property
    def allows_seconds(self) -> int:
        """How long a start may take before the container is ended: delay + period x failures."""
        return self.delay + self.period * self.failures

    @property
    def terms(self) -> str:
        return f"{self.delay} s delay + {self.failures} x {self.period} s"


def probes_of(container: Object) -> dict[str, Probe]:
    """By kind: startupProbe, livenessProbe, readinessProbe."""
    names = {port.get("name"): port.get("containerPort") for port in container.get("ports") or ()}
    found = {}
    for kind in KINDS:
        raw = container.get(kind)
        if not raw:
            continue
        handler = raw.get("httpGet") or raw.get("tcpSocket") or raw.get("grpc") or {}
        port = names.get(handler.get("port"), handler.get("port"))
        number = int(str(port)) if str(port).isdigit() else None
        found[kind] = Probe(
            kind,
            _asks(raw, number or handler.get("port")),
            number,
            int(raw.get("initialDelaySeconds") or 0),
            int(raw.get("periodSeconds") or 10),
            int(raw.get("timeoutSeconds") or 1),
            int(raw.get("failureThreshold") or 3),
        )
    return found


def _asks(raw: Object, port: object) -> str:
    http = raw.get("httpGet")
    if http:
        return f"{str(http.get('scheme') or 'HTTP').lower()} :{port}{http.get('path') or '/'}"
    if raw.get("tcpSocket"):
        return f"tcp :{port}"
    if raw.get("grpc"):
        return f"grpc :{port}"
    return f"command {' '.join((raw.get('exec') or {}).get('command') or ())[:80]}"


def listening(lines: Iterable[str]) -> dict[int, str]:
    """Ports that the log says the process listens on, each with the line that says so."""
    found: dict[int, str] = {}
    for line in lines:
        for pattern in _LISTENS:
            match = pattern.search(line)
            if match:
                found.setdefault(int(match["port"]), line)
    return found


def started(lines: Iterable[str]) -> str:
    """The line that says that the start is done; empty when none does."""
    return next((line for line in lines if _STARTED.search(line)), "")


def killed_by(container: Container, events: Sequence[Event]) -> tuple[str, Event] | None:
    """Which probe made the kubelet end the container's newest run that has ended: its name, with the event."""
    end = container.latest_end
    begun = objects.seconds(end.started_at) if end else None
    for event in events:
        match = KILLED.search(event.message) if event.reason == "Killing" else None
        if match and event.container in ("", container.name) and not (begun and event.at and event.at < begun):
            return match[1], event
    return None


def failures(container: Container, events: Sequence[Event], word: str = "") -> list[Event]:
    """The events of failed probes of the container, the newest first; of one kind where ``word`` names it."""
    return [
        event
        for event in events
        if event.reason == "Unhealthy"
        and event.container in ("", container.name)
        and event.message.lower().startswith(word)
    ]


def wrong_port(
    pod: str, container: Container, lines: Sequence[str], source: str, events: Sequence[Event]
) -> list[Cause]:
    """The process listens, and on no port that a probe asks."""
    asking = [probe for probe in probes_of(container.spec).values() if probe.port]
    heard = listening(lines)
    if not heard or not asking or any(probe.port in heard for probe in asking):
        return []
    probe = asking[0]
    ports = ", ".join(map(str, sorted(heard)))
    text = f"the process listens on port {ports}, and the {probe.word} probe asks {probe.asks}"
    evidence = [Evidence(source, f"{pod}/{container.name}", line) for line in list(heard.values())[:1]]
    evidence += [as_evidence(event) for event in failures(container, events)[:1]]
    return [Cause("wrong_port", text, evidence)]


def slow_start(
    pod: str, container: Container, lines: Sequence[str] | None, source: str, events: Sequence[Event]
) -> list[Cause]:
    """A probe ended the container before its start was done. ``lines`` is None where the log could not be read."""
    killed = killed_by(container, events)
    end = container.latest_end
    if not killed or end is None or (lines is not None and started(lines)):
        return []
    probe = probes_of(container.spec).get(f"{killed[0]}Probe")
    if probe is None:
        return []
    lasted = end.seconds
    in_time = lasted is not None and lasted <= probe.allows_seconds + probe.period + SLACK_SECONDS + _grace(container)
    if not lines and not in_time:
        return []
    guard = "" if "startupProbe" in probes_of(container.spec) else ", and no startupProbe guards it"
    after = f"; its last run was ended after {lasted:.0f} s" if lasted is not None else ""
    text = (
        f"the start takes longer than the {probe.allows_seconds} s that the {probe.word} probe allows ({probe.terms})"
        f"{guard}{after}"
    )
    evidence = [as_evidence(killed[1])]
    if lines:
        evidence.append(Evidence(source, f"{pod}/{container.name}", f"the log ends while it starts: {lines[-1]}"))
    return [Cause("slow_start_killed", text, evidence, sure=bool(lines))]


def _grace(container: Container) -> float:
    probe = container.spec.get("livenessProbe") or {}
    return float(probe.get("terminationGracePeriodSeconds") or 30)


_MEANINGS = (
    (re.compile(r"statuscode: 404"), "there is no such path: are the health groups switched on?"),
    (re.compile(r"statuscode: 40[13]"), "the path asks for a login, which a probe does not have"),
    (re.compile(r"statuscode: 503"), "the service says itself that it is not ready: its health names the part"),
    (re.compile(r"statuscode: (\d+)"), "the service answers with an error"),
    (re.compile(r"connection refused"), "nothing listens on that port (yet)"),
    (re.compile(r"deadline exceeded|Client\.Timeout|i/o timeout|timeout"), "it does not answer within {timeout} s"),
    (re.compile(r"no route to host|unreachable"), "the pod's address is not reached"),
)


def failing(pod: str, container: Container, events: Sequence[Event], now: float) -> list[Cause]:
    """Which probe fails, and what its answer means; or that the start has not had its time."""
    probes = probes_of(container.spec)
    killed = killed_by(container, events)
    word = killed[0] if killed else ""
    told = failures(container, events, word) or failures(container, events)
    if told:
        word = word or told[0].message.split(" ", 1)[0].lower()
        probe = probes.get(f"{word}Probe")
        meaning = next((says for pattern, says in _MEANINGS if pattern.search(told[0].message)), "")
        asks = f" ({probe.asks})" if probe else ""
        text = f"the {word} probe{asks} fails"
        if meaning:
            text += f": {meaning.replace('{timeout}', str(probe.timeout if probe else 1))}"
        if killed:
            text += "; the container is ended for it"
        return [
            Cause("probe_failing", text, [as_evidence(event) for event in [*told[:1], *(killed[1:] if killed else ())]])
        ]
    return _silent(pod, container, probes, now)


def _silent(pod: str, container: Container, probes: dict[str, Probe], now: float) -> list[Cause]:
    """It runs, is not ready, and no event says why."""
    who = f"{pod}/{container.name}"
    since = objects.seconds(container.started_at)
    allowed = max((probe.allows_seconds for probe in probes.values()), default=0)
    if container.state == "running" and since is not None and now - since <= allowed:
        text = f"it runs for {max(0, now - since):.0f} s; its probes allow {allowed} s"
        return [Cause("starting", text, [Evidence("status", who, text)], sure=False)]
    if container.state != "running" or "readinessProbe" not in probes:
        return []
    text = f"the readiness probe ({probes['readinessProbe'].asks}) has not passed, and no event tells its answer"
    return [Cause("probe_failing", text, [Evidence("status", who, "running, not ready")], sure=False)]
