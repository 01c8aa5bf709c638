# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""rollout_status of 100 Deployments against kubectl rollout status in a loop, and against itself with one.

Ours is the best of some runs of ansible-playbook with the one task (which also insists on the verdict), less the best
of as many runs of a play without a task. A loop of kubectl over all of them takes long, so CALLS calls are measured and
multiplied. Requests are counted by a proxy; those of the loop are multiplied as well.

Run alone: ``make bench B=rollout_status``.
"""

from __future__ import annotations

from typing import Any

from tests.benchmarks.kubernetes_lab import KubernetesLab, kubernetes_lab
from tests.benchmarks.plays import Plays, Tasks, best, count_row, plays, time_row

ROUNDS = 4
DEPLOYMENTS = 100
CALLS = 10
FASTER = 10
FEWER = 10


def rows() -> list[dict[str, Any]]:
    """The measurements; seconds above an empty play."""
    with kubernetes_lab() as lab, plays() as runs:
        names = [f"web-{number:03d}" for number in range(DEPLOYMENTS)]
        _deploy(lab, names)
        return _compared(lab, runs, names)


def _compared(lab: KubernetesLab, runs: Plays, names: list[str]) -> list[dict[str, Any]]:
    some = names[:CALLS]
    empty, one, many, loop = best(
        ROUNDS,
        lambda: runs.seconds([]),
        lambda: runs.seconds(_task(lab, names[:1], lab.kubeconfig)),
        lambda: runs.seconds(_task(lab, names, lab.kubeconfig)),
        lambda: _kubectl(lab, some, lab.kubeconfig),
    )
    ours = len(lab.requests(lambda kubeconfig: runs.seconds(_task(lab, names, kubeconfig))))
    theirs = len(lab.requests(lambda kubeconfig: _kubectl(lab, some, kubeconfig))) * DEPLOYMENTS / CALLS
    what = f"rollout_status, {DEPLOYMENTS} Deployments"
    against = f"against a kubectl loop ({CALLS} calls measured, multiplied)"
    return [
        time_row(f"{what}, {against}", many - empty, loop * DEPLOYMENTS / CALLS, FASTER),
        count_row(f"{what}, {against}", "requests", ours, theirs, FEWER),
        time_row(f"{what}, against {DEPLOYMENTS} times its time for one", many - empty, (one - empty) * DEPLOYMENTS, 1),
    ]


def _deploy(lab: KubernetesLab, names: list[str]) -> None:
    for name in names:
        lab.scene.deploy("registry.example/web:1", name=name, replicas=1)
    for name in names:
        lab.scene.settle(name=name)


def _task(lab: KubernetesLab, names: list[str], kubeconfig: str) -> Tasks:
    options = {"kubeconfig": kubeconfig, "namespace": lab.scene.namespace, "names": names}
    return [{"sre.runbooks.rollout_status": options, "register": "r", "failed_when": "r.verdict != 'pass'"}]


def _kubectl(lab: KubernetesLab, names: list[str], kubeconfig: str) -> float:
    calls = (lab.kubectl("rollout", "status", f"deployment/{name}", kubeconfig=kubeconfig) for name in names)
    return sum(calls)
