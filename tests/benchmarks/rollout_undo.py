# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""rollout_undo against kubernetes.core.k8s_rollback and kubectl rollout undo: one rollback, and ten in one play.

Ours and k8s_rollback are the best of some runs of ansible-playbook, less the best of as many runs of a play without a
task; kubectl runs alone, without Ansible. Nobody waits for the rollout, and the Deployments have no pods, whose making
would take the processors from the tools. Each run brings back what the one before has left, once all is quiet. Requests
are counted by a proxy, once what can be kept between runs is there.

Run alone: ``make bench B=rollout_undo``.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from tests.benchmarks.kubernetes_lab import KubernetesLab, kubernetes_lab
from tests.benchmarks.plays import Plays, Tasks, best, count_row, plays, time_row
from tests.integration.kubernetes.rollout_scene import eventually

MANY = 10
IMAGES = ("registry.example/web:1", "registry.example/web:2")
WITHIN = 2 / 3  # at most 1.5 times as many
CHANGED = {"register": "r", "failed_when": "not r.changed"}
Tool = Callable[[str], float]  # kubeconfig -> seconds


def rows() -> list[dict[str, Any]]:
    """The measurements; seconds above an empty play."""
    with kubernetes_lab() as lab, plays() as runs:
        bench = Bench(lab, runs)
        return [*bench.compared(bench.names[:1], 5, rounds=8), *bench.compared(bench.names, 10, rounds=3)]


class Bench:
    """Deployments with two revisions, rolled back and forth by three tools."""

    def __init__(self, lab: KubernetesLab, runs: Plays) -> None:
        self._lab, self._runs = lab, runs
        self.names = [f"web-{number}" for number in range(MANY)]
        for image in IMAGES:
            for name in self.names:
                lab.scene.deploy(image, name=name, replicas=0)
            self._quiet(self.names)

    def compared(self, names: list[str], target: float, rounds: int) -> list[dict[str, Any]]:
        """The rows for rollbacks of these Deployments."""
        tools: list[Tool] = [
            lambda kubeconfig: self._runs.seconds(self._ours(names, kubeconfig)),
            lambda kubeconfig: self._runs.seconds(self._theirs(names, kubeconfig)),
            lambda kubeconfig: self._kubectl(names, kubeconfig),
        ]
        undone = [partial(self._undone, names, tool) for tool in tools]
        empty, ours, module, kubectl = best(rounds, lambda: self._runs.seconds([]), *undone)
        counts = [len(self._lab.requests(one)) for one in undone]
        what = f"rollout_undo, {len(names)} in a play"
        print(f"  {what}: kubectl alone {kubectl:.3f} s; requests: ours {counts[0]}, k8s_rollback {counts[1]}")
        return [
            time_row(f"{what}, against k8s_rollback", ours - empty, module - empty, target),
            count_row(f"{what}, against kubectl", "requests", counts[0], counts[2], WITHIN),
        ]

    def _ours(self, names: list[str], kubeconfig: str) -> Tasks:
        options = {
            "kubeconfig": kubeconfig,
            "namespace": self._lab.scene.namespace,
            "name": "{{ item }}",
            "to": "previous",
            "expected_current_image": self._lab.scene.image(name=names[0]),
            "wait_seconds": 0,
        }
        return [{"sre.runbooks.rollout_undo": options, "loop": names, **CHANGED}]

    def _theirs(self, names: list[str], kubeconfig: str) -> Tasks:
        options = {
            "kubeconfig": kubeconfig,
            "namespace": self._lab.scene.namespace,
            "api_version": "apps/v1",
            "kind": "Deployment",
            "name": "{{ item }}",
        }
        return [{"kubernetes.core.k8s_rollback": options, "loop": names, **CHANGED}]

    def _kubectl(self, names: list[str], kubeconfig: str) -> float:
        return sum(self._lab.kubectl("rollout", "undo", f"deployment/{name}", kubeconfig=kubeconfig) for name in names)

    def _undone(self, names: list[str], tool: Tool, kubeconfig: str = "") -> float:
        """The seconds that the tool takes, which must have brought back the other image everywhere."""
        scene = self._lab.scene
        (after,) = set(IMAGES) - {scene.image(name=names[0])}
        spent = tool(kubeconfig or self._lab.kubeconfig)
        eventually(f"{after} is back", lambda: all(scene.image(name=name) == after for name in names))
        self._quiet(names)
        return spent

    def _quiet(self, names: list[str]) -> None:
        for name in names:
            self._lab.scene.seen(name=name)
            self._lab.scene.settle(name=name)
