# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who else writes an object, told from the object alone."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils import kubernetes_owners as owners

APPLIED = owners.LAST_APPLIED


def deployment(**metadata: Any) -> dict[str, Any]:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "shop", **metadata},
        "spec": {"replicas": 2},
    }


def hpa(name: str, kind: str = "Deployment", target: str = "web", **reference: Any) -> dict[str, Any]:
    return {
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": name, "namespace": reference.pop("namespace", "shop")},
        "spec": {
            "minReplicas": 2,
            "maxReplicas": 10,
            "scaleTargetRef": {"apiVersion": reference.pop("api", "apps/v1"), "kind": kind, "name": target},
        },
    }


def ids(target: dict[str, Any], what: owners.What = "template") -> list[str]:
    return [row["id"] for row in owners.warnings_about(target, what)]


def text(target: dict[str, Any], what: owners.What = "template") -> str:
    (row,) = owners.warnings_about(target, what)
    return row["text"]


def test_nobody() -> None:
    assert owners.warnings_about(deployment(labels={"app.kubernetes.io/instance": "web"}), "template") == []
    assert owners.warnings_about({}, "replicas") == []


def test_helm_release_is_named() -> None:
    annotations = {"meta.helm.sh/release-name": "shop", "meta.helm.sh/release-namespace": "prod"}
    assert "Helm release prod/shop" in text(deployment(annotations=annotations))
    assert ids(deployment(labels={"app.kubernetes.io/managed-by": "Helm"})) == ["helm"]
    assert ids(deployment(labels={"app.kubernetes.io/managed-by": "somebody"})) == []


@pytest.mark.parametrize(
    "metadata",
    [
        {"annotations": {"argocd.argoproj.io/tracking-id": "hafnium:apps/Deployment:shop/web"}},
        {"labels": {"argocd.argoproj.io/instance": "hafnium"}},
    ],
)
def test_argo_application_is_named(metadata: dict[str, Any]) -> None:
    told = text(deployment(**metadata))
    assert "application hafnium" in told
    assert "selfHeal" in told


def test_argo_by_its_manager_also_where_it_renders_a_chart() -> None:
    managed = [{"manager": "argocd-controller", "operation": "Apply"}]
    assert ids(deployment(managedFields=managed, labels={"app.kubernetes.io/managed-by": "Helm"})) == ["argocd"]


def test_flux_is_named_unless_it_was_told_to_leave_the_object_alone() -> None:
    labels = {"kustomize.toolkit.fluxcd.io/name": "apps", "kustomize.toolkit.fluxcd.io/namespace": "flux-system"}
    assert "Flux Kustomization flux-system/apps" in text(deployment(labels=labels))
    off = {"kustomize.toolkit.fluxcd.io/reconcile": "disabled"}
    assert ids(deployment(labels=labels, annotations=off)) == []
    release = {"helm.toolkit.fluxcd.io/name": "shop", "helm.toolkit.fluxcd.io/namespace": "prod"}
    assert "Flux HelmRelease prod/shop" in text(deployment(labels=release))


def test_an_operator_owns_it() -> None:
    owner = {"kind": "Kafka", "name": "bus", "controller": True}
    assert "Kafka bus owns it" in text(deployment(ownerReferences=[owner, {"kind": "Node", "name": "n"}]))


def test_server_side_apply_names_its_manager_once() -> None:
    managed = [
        {"manager": "kubectl", "operation": "Apply"},
        {"manager": "kubectl", "operation": "Apply"},
        {"manager": "kube-controller-manager", "operation": "Apply", "subresource": "status"},
        {"manager": "sre.runbooks", "operation": "Update"},
    ]
    assert "kubectl applies it server-side" in text(deployment(managedFields=managed))


def test_last_applied_counts_for_what_its_manifest_says() -> None:
    annotations = {APPLIED: json.dumps({"spec": {"replicas": 2, "template": {}}})}
    assert "last-applied-configuration" in text(deployment(annotations=annotations))
    assert "says replicas 2" in text(deployment(annotations=annotations), "replicas")
    silent = {APPLIED: json.dumps({"spec": {"template": {}}})}
    assert ids(deployment(annotations=silent), "replicas") == []
    limits = {APPLIED: json.dumps({"spec": {"minReplicas": 2, "maxReplicas": 10}})}
    assert "minReplicas 2 and maxReplicas 10" in text(deployment(annotations=limits), "limits")


@pytest.mark.parametrize("broken", ["{", "[]", '"x"', '{"spec": []}', ""])
def test_an_unreadable_memory_is_still_a_memory(broken: str) -> None:
    assert ids(deployment(annotations={APPLIED: broken})) == ["kubectl_apply"]
    assert ids(deployment(annotations={APPLIED: broken}), "replicas") == []


def test_autoscalers_are_matched_by_their_target_not_by_their_name() -> None:
    all_of_them = [
        hpa("web", target="other"),
        hpa("odd-name"),
        hpa("set", kind="StatefulSet"),
        hpa("elsewhere", namespace="billing"),
        hpa("custom", api="example.org/v1"),
    ]
    assert [one["metadata"]["name"] for one in owners.autoscalers_of(deployment(), all_of_them)] == ["odd-name"]
    (row,) = owners.warnings_about(deployment(), "replicas", all_of_them)
    assert row["id"] == "hpa"
    assert "odd-name" in row["text"]
    assert "2 to 10" in row["text"]
    assert owners.warnings_about(deployment(), "template", all_of_them) == []


def test_names_from_the_cluster_are_bounded_and_clean() -> None:
    told = text(deployment(labels={"argocd.argoproj.io/instance": "a\x1b[31m" + "b" * 9000}))
    assert "\x1b" not in told
    assert len(told) < 600
