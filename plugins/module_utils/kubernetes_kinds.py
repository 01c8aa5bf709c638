# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where the API server keeps each kind of object that the modules look at. Source: the Kubernetes API reference, v1.36."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote

from .errors import InputError


@dataclass(frozen=True)
class Kind:
    """``group`` is empty for the core API; ``plural`` is the resource's name in URLs and in RBAC rules."""

    name: str
    group: str
    version: str
    plural: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def resource(self) -> str:
        """As RBAC and ``kubectl auth can-i`` write it: ``deployments.apps``, ``pods``."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    def path(self, namespace: str = "", name: str = "", subresource: str = "") -> str:
        """The URL path of the object, or of the collection when ``name`` is empty."""
        root = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        inside = f"/namespaces/{quote(namespace, safe='')}" if self.namespaced and namespace else ""
        parts = (quote(part, safe=":") for part in (self.plural, name, subresource) if part)
        return "/".join((root + inside, *parts))


_APPS = ("apps", "v1")
_CORE = ("", "v1")
KINDS: dict[str, Kind] = {
    name: Kind(name, group, version, plural, namespaced)
    for name, (group, version), plural, namespaced in (
        ("Deployment", _APPS, "deployments", True),
        ("StatefulSet", _APPS, "statefulsets", True),
        ("DaemonSet", _APPS, "daemonsets", True),
        ("ReplicaSet", _APPS, "replicasets", True),
        ("ControllerRevision", _APPS, "controllerrevisions", True),
        ("Pod", _CORE, "pods", True),
        ("Service", _CORE, "services", True),
        ("Event", _CORE, "events", True),
        ("Secret", _CORE, "secrets", True),
        ("ConfigMap", _CORE, "configmaps", True),
        ("ServiceAccount", _CORE, "serviceaccounts", True),
        ("ResourceQuota", _CORE, "resourcequotas", True),
        ("LimitRange", _CORE, "limitranges", True),
        ("PersistentVolumeClaim", _CORE, "persistentvolumeclaims", True),
        ("Namespace", _CORE, "namespaces", False),
        ("Node", _CORE, "nodes", False),
        ("HorizontalPodAutoscaler", ("autoscaling", "v2"), "horizontalpodautoscalers", True),
        ("PodDisruptionBudget", ("policy", "v1"), "poddisruptionbudgets", True),
        ("EndpointSlice", ("discovery.k8s.io", "v1"), "endpointslices", True),
        ("Ingress", ("networking.k8s.io", "v1"), "ingresses", True),
        ("SelfSubjectAccessReview", ("authorization.k8s.io", "v1"), "selfsubjectaccessreviews", False),
    )
}

WORKLOAD_KINDS = ("Deployment", "StatefulSet", "DaemonSet")


def kind_of(name: str) -> Kind:
    """The kind of that name; InputError for one that is not known here."""
    if name not in KINDS:
        raise InputError(f"kind {name!r} is not known here; known are {', '.join(sorted(KINDS))}.", option="kind")
    return KINDS[name]
