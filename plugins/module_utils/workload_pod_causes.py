# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The causes of one pod's trouble, from its state, its events, its probes and its logs. Pure.

For each container, in this order: what the kernel or the node says; a port that nobody asks; an exception or an error at
the end of its log; a probe that ended it or is not passed; a warning in its log; its exit code; and last, honestly,
that nothing known was seen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from . import kubernetes_objects as objects
from . import kubernetes_pods as pods
from . import workload_environment as environment
from . import workload_log_rules as rules
from . import workload_probes as probes
from . import workload_states as states
from .kubernetes_logs import Log, Wanted
from .kubernetes_objects import Object
from .kubernetes_pods import Container, Termination
from .workload_causes import ABOUT, Cause, Evidence
from .workload_events import Event
from .workload_view import View

LAST_LINES = 5
LINE_CHARACTERS = 300

# Exit codes that say something by themselves: cause and words. 128 + n is the end by signal n.
EXITS: dict[int, tuple[str, str]] = {
    126: ("permission_denied", "the command may not be run (exit code 126)"),
    127: ("command_not_found", "the command is not in the image (exit code 127)"),
    132: ("process_crashed", "an illegal instruction ended it (SIGILL): another kind of processor?"),
    134: ("process_crashed", "it gave up by itself (SIGABRT, exit code 134)"),
    135: ("process_crashed", "a bus error ended it (SIGBUS, exit code 135)"),
    136: ("process_crashed", "an arithmetic error ended it (SIGFPE, exit code 136)"),
    137: ("killed", "it was killed (SIGKILL, exit code 137), and not for its own memory limit"),
    139: ("process_crashed", "it broke down with a segmentation fault (exit code 139)"),
    143: ("killed", "it was asked to end (SIGTERM, exit code 143)"),
}


@dataclass(frozen=True)
class Case:
    """One pod that stands for those with the same trouble, with all that was gathered about it.

    ``logs`` by what was wanted; ``maps`` holds the data of the ConfigMaps that were read.
    """

    view: View
    pod: Object
    events: Mapping[str, Sequence[Event]]
    node: Object | None
    logs: Mapping[Wanted, Log]
    maps: Mapping[str, Mapping[str, str]]
    now: float
    recent_seconds: float

    @property
    def name(self) -> str:
        return objects.name(self.pod)

    @property
    def own_events(self) -> Sequence[Event]:
        return self.events.get(objects.uid(self.pod), ())


def troubled(pod: Object, now: float, recent_seconds: float) -> list[Container]:
    """The containers that keep a pod from being ready, or have ended lately."""
    ends = {each.name for each, _end in pods.recent_ends(pod, now - recent_seconds)}
    found = []
    for each in pods.containers(pod):
        done = each.init and each.ended is not None and each.ended.exit_code == 0
        if not done and (not each.ready or each.name in ends):
            found.append(each)
    return found


def causes_of(case: Case) -> list[Cause]:
    """What is wrong with the pod, the first to mend first; empty when nothing is."""
    found = states.of_pod(case.view, case.pod, case.events, case.node, case.now)
    if not found:
        for container in troubled(case.pod, case.now, case.recent_seconds):
            found += _container(case, container)
            if found and container.init:
                break  # the others wait for this one
    if not found and not pods.is_ready(case.pod) and not pods.has_ended(case.pod):
        found = _waiting(case)
    if case.node is not None and found and found[0].name in ("killed", "oom_killed", "evicted", "unknown_cause"):
        evidence = list(states.pressure(case.node))
        if evidence:
            found.append(Cause("node_pressure", f"its node runs short: {evidence[0].text}", evidence))
    for cause in found:
        cause.pods = cause.pods or [case.name]
    return found


def _container(case: Case, container: Container) -> list[Cause]:
    who = f"Pod/{case.name}"
    crashed = container.latest_end if container.restarts or container.ended else None
    if crashed and crashed.reason == "OOMKilled":
        return [states.out_of_memory(case.pod, container), *_from_logs(case, container, strong=True)]
    log = _log_of_end(case, container) if crashed else case.logs.get(Wanted(case.name, container.name, False))
    lines = log.lines if log else None
    source = log.wanted.source if log else "log"
    killed = probes.killed_by(container, case.own_events)
    probed = bool(killed) or not container.ready
    if lines and probed:
        found = probes.wrong_port(who, container, lines, source, case.own_events)
        if found:
            return found
    found = _from_logs(case, container, strong=True)
    if found:
        return found
    if killed:
        found = probes.slow_start(who, container, lines, source, case.own_events)
        return found or _with_hint(case, container, probes.failing(who, container, case.own_events, case.now))
    if crashed:
        return _crash(case, container, crashed, log)
    if container.state == "running":
        return _with_hint(case, container, probes.failing(who, container, case.own_events, case.now))
    return []


def _log_of_end(case: Case, container: Container) -> Log | None:
    """The log of the run that ended: the one before, unless the container has ended and waits for nothing."""
    order = (False, True) if container.state == "terminated" else (True,)
    for previous in order:
        log = case.logs.get(Wanted(case.name, container.name, previous))
        if log and log.lines is not None:
            return log
    return None


def _from_logs(case: Case, container: Container, strong: bool) -> list[Cause]:
    """Causes that its logs name: ``strong`` for errors and exceptions only, else for what only hints."""
    order = (True, False) if container.restarts else (False, True)
    for previous in order:
        log = case.logs.get(Wanted(case.name, container.name, previous))
        if not log or not log.lines:
            continue
        statements = log.statements()
        chosen = [one for one in statements if (one.kind not in ("warning", "line")) == strong]
        readings = rules.read(chosen, len(log.lines))
        if strong and _recovered(log.lines, readings, previous or container.state != "running"):
            continue
        if readings:
            return [_said(case, container, log, reading) for reading in readings]
    return []


def _recovered(lines: Sequence[str], readings: Sequence[rules.Reading], ended: bool) -> bool:
    """A process that said that it is up, after the error, and runs: the error was not the end of it."""
    up = probes.started(lines)
    return not ended and bool(up) and all(reading.statement.line < lines.index(up) for reading in readings)


def _said(case: Case, container: Container, log: Log, reading: rules.Reading) -> Cause:
    """A reading of a log as a cause, with what the environment says about it."""
    family = ABOUT[reading.cause].family
    text = reading.text
    if family:
        found = environment.variables(container.spec, case.maps, family)
        unread = environment.unread(container.spec, case.maps)
        said = environment.sentence(found, family, reading.values.get("host", ""), unread)
        text = f"{text}; {said}" if said else text
    end = container.latest_end
    at = (end.finished_at if end else "") if log.wanted.previous or container.ended else container.started_at
    who = f"Pod/{case.name}/{container.name}"
    evidence = [Evidence(log.wanted.source, who, reading.statement.shown(LINE_CHARACTERS), at)]
    if end and container.restarts:
        evidence.append(Evidence("status", who, f"{end}, {container.restarts} restarts", end.finished_at))
    return Cause(reading.cause, text, evidence, sure=reading.sure)


def _with_hint(case: Case, container: Container, found: list[Cause]) -> list[Cause]:
    """A failing probe, after what a warning in the log may say about it."""
    if found and found[0].name == "starting":
        return found
    return [*_from_logs(case, container, strong=False), *found]


def _crash(case: Case, container: Container, end: Termination, log: Log | None) -> list[Cause]:
    """No error in the log: its exit code, what warnings hint at, or its last lines."""
    who = f"Pod/{case.name}/{container.name}"
    evidence = [Evidence("status", who, f"{end}, {container.restarts} restarts", end.finished_at)]
    if end.exit_code == 0:
        lines = _last_lines(who, log, 2)
        return [Cause("completed", "the process ended by itself with exit code 0", [*evidence, *lines])]
    hints = _from_logs(case, container, strong=False)
    if hints:
        return hints
    code = end.exit_code if not end.signal else 128 + end.signal
    if code in EXITS:
        name, text = EXITS[code]
        return [Cause(name, text, [*evidence, *_last_lines(who, log, 2)], sure=name != "killed")]
    if container.ready:
        return [Cause("restarted", f"it was started again and is ready now; it ended as {end}", evidence, sure=False)]
    return [_unknown(who, end, log, evidence)]


def _unknown(who: str, end: Termination, log: Log | None, evidence: list[Evidence]) -> Cause:
    if log is None:
        text = f"it ended as {end}, and its log could not be read"
    elif not log.lines:
        text = f"it ended as {end}, and wrote nothing"
    else:
        text = f"it ended as {end}, and its log holds nothing that is known here"
    if end.message:
        evidence = [*evidence, Evidence("status", who, f"termination message: {end.message[:LINE_CHARACTERS]}")]
    return Cause("unknown_cause", text, [*evidence, *_last_lines(who, log, LAST_LINES)], sure=False)


def _last_lines(who: str, log: Log | None, most: int) -> list[Evidence]:
    if log is None or not log.lines:
        return []
    lines = [line for line in log.lines if line.strip()][-most:]
    return [Evidence(log.wanted.source, who, states.line(line)) for line in lines]


def _waiting(case: Case) -> list[Cause]:
    """Nothing is wrong that can be named: a gate, or time."""
    who = f"Pod/{case.name}"
    ready = (objects.condition(case.pod, "ContainersReady") or {}).get("status") == "True"
    if ready and (case.pod.get("spec") or {}).get("readinessGates"):
        said = states.line((objects.condition(case.pod, "Ready") or {}).get("message"))
        return [
            Cause(
                "readiness_gate",
                "its containers are ready, its readiness gate is not",
                [Evidence("condition", who, said)],
            )
        ]
    age = objects.age(case.pod, case.now) or 0.0
    text = f"its containers are being made for {age:.0f} s, and nothing says what is in the way"
    newest = [states.as_evidence(event) for event in case.own_events[:2]]
    evidence = newest or [Evidence("status", who, pods.words(case.pod))]
    warned = any(event.type == "Warning" for event in case.own_events)
    name = "starting" if age <= case.recent_seconds and not warned else "unknown_cause"
    return [Cause(name, text, evidence, sure=False)]
