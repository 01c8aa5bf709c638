# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""workload_diagnosis of a Deployment in a crash loop against the commands that the runbook has a person type.

Ours is the best of some runs of ansible-playbook with the one task, which must name the right cause, less the best of
as many runs of a play without a task. Theirs is the best of as many runs of the four commands, one after the other,
without Ansible and without the time in which a person copies the pod's name, reads, and thinks: no cause comes out.

Run alone: ``make bench B=workload_diagnosis``.
"""

from __future__ import annotations

from typing import Any

from tests.benchmarks.kubernetes_lab import KubernetesLab, kubernetes_lab
from tests.benchmarks.plays import Tasks, best, count_row, plays, time_row
from tests.integration.kubernetes.sick_scene import deployment, pods_of, process, restarted, says

ROUNDS = 6
NAME = "identity-service"
CAUSE = "database_refused"
WITHIN = 2 / 3  # at most 1.5 times as many


def rows() -> list[dict[str, Any]]:
    """The measurements; seconds above an empty play."""
    with kubernetes_lab() as lab, plays() as runs:
        deployment(lab.scene, NAME, process(says("spring_database_refused", "exit 1")))
        restarted(lab.scene, NAME)
        pod = str(pods_of(lab.scene, NAME)[0]["metadata"]["name"])
        empty, ours, theirs = best(
            ROUNDS,
            lambda: runs.seconds([]),
            lambda: runs.seconds(_task(lab, lab.kubeconfig)),
            lambda: _commands(lab, pod, lab.kubeconfig),
        )
        asked = lab.requests(lambda kubeconfig: runs.seconds(_task(lab, kubeconfig)))
        typed = lab.requests(lambda kubeconfig: _commands(lab, pod, kubeconfig))
    what = "workload_diagnosis of a crash loop, against the runbook's 4 commands"
    return [
        time_row(what, ours - empty, theirs, 1),
        count_row(what, "requests", len(asked), len(typed), WITHIN),
    ]


def _task(lab: KubernetesLab, kubeconfig: str) -> Tasks:
    options = {"kubeconfig": kubeconfig, "namespace": lab.scene.namespace, "names": [NAME]}
    wrong = f"'{CAUSE}' not in (r.findings | map(attribute='cause'))"
    return [{"sre.runbooks.workload_diagnosis": options, "register": "r", "failed_when": wrong}]


def _commands(lab: KubernetesLab, pod: str, kubeconfig: str) -> float:
    commands = (
        ("get", "pods", "-l", "tier=backend"),
        ("logs", pod, "--previous"),
        ("describe", "pod", pod),
        ("get", "events"),
    )
    return sum(lab.kubectl(*command, kubeconfig=kubeconfig) for command in commands)
