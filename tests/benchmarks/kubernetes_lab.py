# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's cluster for benchmarks: a namespace of their own, kubectl alone with its seconds, requests counted."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

from lab import control, oracle, tls
from lab.layout import paths
from tests.benchmarks.counting_proxy import counting_proxy
from tests.integration.kubernetes.rollout_scene import Scene
from tests.support.playbooks import lab_command

SECONDS = 300


class KubernetesLab:
    """``kubeconfig`` logs in with all rights; ``scene`` is a namespace that is gone at the end."""

    def __init__(self, scene: Scene, folder: Path) -> None:
        self.scene, self.kubeconfig, self._folder = scene, scene.kubeconfig, folder

    def kubectl(self, *arguments: str, kubeconfig: str = "") -> float:
        """Seconds of one run of kubectl alone, in the namespace; what it knows of the API stays in a cache of its own."""
        where = ["--kubeconfig", kubeconfig or self.kubeconfig, "-n", self.scene.namespace]
        command = [oracle.kubectl(), "--cache-dir", str(self._folder / "kubectl"), *where, *arguments]
        begun = time.perf_counter()
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=SECONDS)
        spent = time.perf_counter() - begun
        if done.returncode:
            sys.exit(f"kubectl {' '.join(arguments)} failed:\n{done.stdout}{done.stderr}")
        return spent

    def requests(self, work: Callable[[str], object]) -> list[str]:
        """The requests that ``work`` makes on the API server, which it is to reach by the kubeconfig that it is given.

        It is done twice, and the second counts: kubectl and others ask once what the API has, and keep that.
        """
        lab = paths()
        with counting_proxy(Path(self.kubeconfig), lab.ca_file, tls.kubernetes_server(lab), self._folder) as made:
            kubeconfig, requests = made
            work(str(kubeconfig))
            requests.clear()
            work(str(kubeconfig))
            return list(requests)


@contextmanager
def kubernetes_lab() -> Iterator[KubernetesLab]:
    """The lab's cluster; it is stopped at the end only when none of it ran at the beginning."""
    own = set(control.PARTS["kubernetes"]) - set(control.PARTS["backoffice"])
    found = any(control.state(program) not in ("DOWN", "STOPPED") for program in own)
    if not control.is_up("kubernetes"):
        lab_command("up", "kubernetes")
    folder = Path(tempfile.mkdtemp(prefix="kubernetes-benchmark-"))
    try:
        namespace = f"bench-{os.getpid()}"
        oracle.run_kubectl(["create", "namespace", namespace])
        try:
            scene = Scene(lambda *arguments: oracle.run_kubectl(arguments), _kubeconfig(folder), namespace)
            yield KubernetesLab(scene, folder)
        finally:
            oracle.run_kubectl(["delete", "namespace", "--wait=false", namespace])
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if not found:
            lab_command("down", "kubernetes")


def _kubeconfig(folder: Path) -> str:
    document = yaml.safe_load(paths().kubeconfig.read_text(encoding="utf-8"))
    document["current-context"] = "lab-admin"
    target = folder / "kubeconfig"
    target.touch(0o600)
    target.write_text(yaml.safe_dump(document), encoding="utf-8")
    return str(target)
