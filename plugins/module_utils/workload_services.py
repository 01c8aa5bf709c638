# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Services in front of workloads: who they select, which addresses are ready, and whether their ports lead anywhere. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from . import kubernetes_objects as objects
from . import kubernetes_selectors as selectors
from .kubernetes_objects import Object
from .workload_view import View

SERVICE_OF = "kubernetes.io/service-name"


@dataclass(frozen=True)
class Addresses:
    """What the EndpointSlices of one Service hold: distinct ready addresses, the others, the ports that are served."""

    slices: int
    ready: tuple[str, ...]
    not_ready: tuple[str, ...]
    ports: tuple[int, ...]

    def __str__(self) -> str:
        if not self.slices:
            return "no EndpointSlice"
        waiting = f", {len(self.not_ready)} not ready" if self.not_ready else ""
        return f"{len(self.ready)} ready addresses{waiting}"


def selects(service: Object, labels: Mapping[str, str]) -> bool:
    """A Service without a selector selects nothing: its addresses are written by someone else."""
    wanted: Mapping[str, str] = _spec(service).get("selector") or {}
    return bool(wanted) and all(labels.get(key) == value for key, value in wanted.items())


def services_of(view: View, services: Iterable[Object]) -> list[Object]:
    """Those that select the pods that the workload makes."""
    return [service for service in services if selects(service, view.template_labels)]


def addresses(service: Object, slices: Iterable[Object]) -> Addresses:
    """Ready as the EndpointSlice says, where an absent condition means ready."""
    own = [one for one in slices if objects.labels_of(one).get(SERVICE_OF) == objects.name(service)]
    ready: set[str] = set()
    others: set[str] = set()
    for endpoint in (endpoint for one in own for endpoint in one.get("endpoints") or ()):
        is_ready = (endpoint.get("conditions") or {}).get("ready") is not False
        (ready if is_ready else others).update(endpoint.get("addresses") or ())
    ports = {port["port"] for one in own for port in one.get("ports") or () if port.get("port")}
    return Addresses(len(own), tuple(sorted(ready)), tuple(sorted(others - ready)), tuple(sorted(ports)))


def mismatch(service: Object, view: View) -> str:
    """Why a Service does not select the workload's pods, in one phrase."""
    wanted = _spec(service).get("selector") or {}
    if not wanted:
        return "it has no selector"
    return f"it selects {selectors.text(wanted)}, the pods have {selectors.text(view.template_labels)}"


def dead_ports(service: Object, view: View) -> list[str]:
    """Ports whose targetPort names a port that no container of the workload has: they lead nowhere."""
    names = {port.get("name") for port in _container_ports(view)}
    return [
        f"{_port_text(port)} leads to the port named {target!r}, which no container has"
        for port, target in _targets(service)
        if isinstance(target, str) and not target.isdigit() and target not in names
    ]


def undeclared_ports(service: Object, view: View) -> list[str]:
    """Ports whose targetPort no container declares and no probe uses, while containers do declare others.

    Declaring is a habit, no rule: whether something listens there is not known.
    """
    declared = {int(port["containerPort"]) for port in _container_ports(view)}
    known = declared | set(probed_ports(view.template).values())
    return [
        f"{_port_text(port)} leads to {target}, the containers declare {', '.join(map(str, sorted(declared)))}"
        for port, target in _targets(service)
        if str(target).isdigit() and declared and int(target) not in known
    ]


def probed_ports(template: Object) -> dict[str, int]:
    """The port of each probe of the template, by ``container/probe``; named ports are resolved."""
    found = {}
    for container in _spec(template).get("containers") or ():
        names = {port.get("name"): port.get("containerPort") for port in container.get("ports") or ()}
        for kind in ("startupProbe", "livenessProbe", "readinessProbe"):
            probe = container.get(kind) or {}
            handler = probe.get("httpGet") or probe.get("tcpSocket") or probe.get("grpc") or {}
            port = names.get(handler.get("port"), handler.get("port"))
            if port and str(port).isdigit():
                found[f"{container.get('name')}/{kind}"] = int(port)
    return found


def ports_text(service: Object) -> str:
    return ", ".join(f"{_port_text(port)}->{target}" for port, target in _targets(service)) or "no port"


def _targets(service: Object) -> list[tuple[Mapping[str, Any], Any]]:
    return [(port, port.get("targetPort") or port.get("port")) for port in _spec(service).get("ports") or ()]


def _port_text(port: Mapping[str, Any]) -> str:
    return f"port {port.get('port')}" + (f" ({port['name']})" if port.get("name") else "")


def _container_ports(view: View) -> list[Mapping[str, Any]]:
    return [port for one in _spec(view.template).get("containers") or () for port in one.get("ports") or ()]


def _spec(found: Object) -> Mapping[str, Any]:
    return found.get("spec") or {}
