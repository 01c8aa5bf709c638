# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's cluster for tests of modules: kubectl as its administrator, and namespaces of their own."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from lab.layout import paths
from lab.oracle import run_kubectl

_NUMBERS = itertools.count(1)


class TestCluster:
    """``kubeconfig`` has all contexts of the lab; its current one is the administrator's, with rights everywhere."""

    __test__ = False

    def __init__(self, kubeconfig: Path) -> None:
        self.kubeconfig = str(kubeconfig)
        self._made: list[str] = []

    def kubectl(self, *arguments: str) -> str:
        """What kubectl prints; fails the test when kubectl fails."""
        return run_kubectl(arguments)

    def namespace(self) -> str:
        """A new namespace, taken away when the test is over."""
        name = f"test-{os.getpid()}-{next(_NUMBERS)}"
        self.kubectl("create", "namespace", name)
        self._made.append(name)
        return name

    def clean(self) -> None:
        if self._made:
            self.kubectl("delete", "namespace", "--wait=false", *self._made)
        self._made.clear()


@pytest.fixture(scope="session")
def session_cluster(kubernetes_lab: None, tmp_path_factory: pytest.TempPathFactory) -> TestCluster:
    document = yaml.safe_load(paths().kubeconfig.read_text(encoding="utf-8"))
    document["current-context"] = "lab-admin"
    kubeconfig = tmp_path_factory.mktemp("cluster") / "kubeconfig"
    kubeconfig.write_text(yaml.safe_dump(document))
    kubeconfig.chmod(0o600)
    return TestCluster(kubeconfig)


@pytest.fixture(scope="module")
def cluster(session_cluster: TestCluster) -> Iterator[TestCluster]:
    """The cluster; the namespaces that the tests of a module made are gone after them."""
    yield session_cluster
    session_cluster.clean()
