# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who else writes an object, and would put back what a runbook changes: read from the object, nothing is asked.

Labels, annotations and managedFields tell of Helm, Argo CD, Flux and ``kubectl apply``; an ownerReference tells of a
controller; the autoscalers of the namespace tell who sets the number of replicas.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from .redact import observed

What = Literal["replicas", "template", "limits"]
WORDS: dict[What, str] = {
    "replicas": "the number of replicas",
    "template": "the pod template",
    "limits": "minReplicas and maxReplicas",
}

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
MOST_NAME = 200

_HELM_RELEASE = "meta.helm.sh/release-name"
_HELM_NAMESPACE = "meta.helm.sh/release-namespace"
_MANAGED_BY = "app.kubernetes.io/managed-by"
_ARGO_ID = "argocd.argoproj.io/tracking-id"
_ARGO_LABEL = "argocd.argoproj.io/instance"
_FLUX = {"kustomize.toolkit.fluxcd.io": "Kustomization", "helm.toolkit.fluxcd.io": "HelmRelease"}
_FLUX_LEAVES_ALONE = (
    ("kustomize.toolkit.fluxcd.io/reconcile", ("disabled",)),
    ("kustomize.toolkit.fluxcd.io/ssa", ("ignore", "ifnotpresent")),
)
_TOOL_MANAGERS = ("argocd", "helm", "kustomize-controller")


@dataclass(frozen=True)
class Writer:
    """Somebody who writes the object beside us.

    ``id`` is one of helm, argocd, flux, kubectl_apply, server_side_apply, controller, hpa; ``name`` says which one, in
    the words of its tool; ``text`` is one sentence: what it will do to the change, and what to do about that.
    """

    id: str
    name: str
    text: str

    def as_dict(self) -> dict[str, str]:
        return {"id": self.id, "text": self.text}


def warnings_about(
    workload: Mapping[str, Any], what: What, hpas: Iterable[Mapping[str, Any]] = ()
) -> list[dict[str, str]]:
    """``writers`` as data for a result: a list of {id, text}."""
    return [writer.as_dict() for writer in writers(workload, what, hpas)]


def writers(target: Mapping[str, Any], what: What, hpas: Iterable[Mapping[str, Any]] = ()) -> list[Writer]:
    """All who would undo a change of ``what`` on ``target`` (a workload, or an autoscaler for ``limits``).

    ``hpas`` are the autoscalers of its namespace; they matter for replicas only.
    """
    thing = WORDS[what]
    gitops = [*_argocd(target, thing), *_flux(target, thing)]
    found = [*gitops, *([] if gitops else _helm(target, thing))]
    found += _controller(target, thing)
    found += [*_server_side(target, thing), *_last_applied(target, what)]
    if what == "replicas":
        found += [_autoscaled(hpa) for hpa in autoscalers_of(target, hpas)]
    return found


def autoscalers_of(workload: Mapping[str, Any], hpas: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Those of ``hpas`` whose scaleTargetRef is this workload (of the same namespace, kind, name and API group)."""
    metadata = workload.get("metadata") or {}
    group = _group(workload.get("apiVersion") or "apps/v1")
    wanted = (workload.get("kind"), metadata.get("name"), group)
    return [
        hpa
        for hpa in hpas
        if target_of(hpa) == wanted and (hpa.get("metadata") or {}).get("namespace") == metadata.get("namespace")
    ]


def target_of(hpa: Mapping[str, Any]) -> tuple[str, str, str]:
    """Kind, name and API group of what an autoscaler scales."""
    reference = (hpa.get("spec") or {}).get("scaleTargetRef") or {}
    return reference.get("kind") or "", reference.get("name") or "", _group(reference.get("apiVersion") or "")


def applied(target: Mapping[str, Any]) -> dict[str, Any]:
    """The manifest that ``kubectl apply`` has remembered on the object; empty when there is none, or none to be read."""
    try:
        found = json.loads(_annotations(target).get(LAST_APPLIED) or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) and isinstance(found.get("spec") or {}, dict) else {}


def _argocd(target: Mapping[str, Any], thing: str) -> list[Writer]:
    application = (_annotations(target).get(_ARGO_ID) or "").split(":", 1)[0] or _labels(target).get(_ARGO_LABEL) or ""
    if not application and not any(name.startswith("argocd") for name in _managers(target)):
        return []
    name = f"Argo CD application {_shown(application)}" if application else "Argo CD"
    text = f"{name} deploys it: with selfHeal it puts {thing} back at once, else at its next sync."
    return [Writer("argocd", name, f"{text} Change git as well, or switch its automated sync off first.")]


def _flux(target: Mapping[str, Any], thing: str) -> list[Writer]:
    labels = _labels(target)
    told = {**labels, **_annotations(target)}
    if any(str(told.get(key, "")).lower() in values for key, values in _FLUX_LEAVES_ALONE):
        return []
    found = []
    for domain, kind in _FLUX.items():
        own = labels.get(f"{domain}/name")
        if own:
            name = f"Flux {kind} {_shown(labels.get(f'{domain}/namespace') or '?')}/{_shown(own)}"
            text = (
                f"{name} deploys it: it puts {thing} back when it reconciles. Change git as well, or suspend it first."
            )
            found.append(Writer("flux", name, text))
    return found


def _helm(target: Mapping[str, Any], thing: str) -> list[Writer]:
    annotations = _annotations(target)
    release = annotations.get(_HELM_RELEASE)
    if not release and _labels(target).get(_MANAGED_BY) != "Helm":
        return []
    name = f"Helm release {_shown(annotations.get(_HELM_NAMESPACE) or '?')}/{_shown(release)}" if release else "Helm"
    text = f"{name} installed it: the next helm upgrade or rollback may put {thing} back. Change its values as well."
    return [Writer("helm", name, text)]


def _controller(target: Mapping[str, Any], thing: str) -> list[Writer]:
    references = (target.get("metadata") or {}).get("ownerReferences") or []
    return [
        Writer(
            "controller",
            name := f"{_shown(owner.get('kind'))} {_shown(owner.get('name'))}",
            f"{name} owns it: its controller may put {thing} back. Change it there.",
        )
        for owner in references
        if owner.get("controller")
    ]


def _server_side(target: Mapping[str, Any], thing: str) -> list[Writer]:
    """Managers that apply server-side, other than the tools that are named by their labels."""
    managers = [
        str(entry.get("manager") or "?")
        for entry in (target.get("metadata") or {}).get("managedFields") or []
        if entry.get("operation") == "Apply" and not entry.get("subresource")
    ]
    return [
        Writer(
            "server_side_apply",
            _shown(manager),
            f"{_shown(manager)} applies it server-side: its next apply puts {thing} back or stops at a conflict. "
            "Change its manifest as well.",
        )
        for manager in dict.fromkeys(managers)
        if not manager.startswith(_TOOL_MANAGERS)
    ]


def _last_applied(target: Mapping[str, Any], what: What) -> list[Writer]:
    if LAST_APPLIED not in _annotations(target):
        return []
    manifest = applied(target).get("spec") or {}
    if what == "template":
        text = (
            "it was deployed with kubectl apply, whose memory of the manifest (last-applied-configuration) is not "
            "rewritten: the next apply puts the pod template of its manifest back, and may mix both."
        )
    else:
        keys = ("replicas",) if what == "replicas" else ("minReplicas", "maxReplicas")
        fixed = [f"{key} {manifest[key]}" for key in keys if isinstance(manifest.get(key), int)]
        if not fixed:
            return []
        text = (
            f"it was deployed with kubectl apply from a manifest that says {' and '.join(fixed)}: the next apply resets"
        )
        text += " it to that. Change the manifest as well."
    return [Writer("kubectl_apply", "kubectl apply", text)]


def _autoscaled(hpa: Mapping[str, Any]) -> Writer:
    name = _shown((hpa.get("metadata") or {}).get("name"))
    spec = hpa.get("spec") or {}
    low, high = spec.get("minReplicas", 1), spec.get("maxReplicas")
    return Writer(
        "hpa",
        f"HorizontalPodAutoscaler {name}",
        f"HorizontalPodAutoscaler {name} sets the number of replicas ({low} to {high}): it changes it again by its "
        "metrics, and at once when it is outside of these.",
    )


def _managers(target: Mapping[str, Any]) -> list[str]:
    return [str(entry.get("manager") or "") for entry in (target.get("metadata") or {}).get("managedFields") or []]


def _labels(target: Mapping[str, Any]) -> dict[str, str]:
    return (target.get("metadata") or {}).get("labels") or {}


def _annotations(target: Mapping[str, Any]) -> dict[str, str]:
    return (target.get("metadata") or {}).get("annotations") or {}


def _group(api_version: str) -> str:
    return api_version.rpartition("/")[0]


def _shown(name: Any) -> str:
    return observed(str(name or "?"), MOST_NAME)
