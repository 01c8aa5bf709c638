# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a runner is told where everything is."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from lab.layout import LabError, paths, ports


@dataclass(frozen=True)
class Settings:
    """`folder`: its state; `egress`: unix socket for the API server; ports on 127.0.0.1."""

    kubeconfig: Path
    folder: Path
    egress: Path
    pod_cidr: str
    namespace: str
    kubelet_port: int
    ingress_port: int
    ingress_tls_port: int


def read() -> Settings:
    """From the environment, with the lab's own places for what is not set. LabError without a kubeconfig."""
    if not sys.platform.startswith("linux"):
        raise LabError(f"the runner needs Linux, where all of 127.0.0.0/8 is this machine; this is {sys.platform}")
    where, known = paths(), ports()
    kubeconfig = os.environ.get("RUNNER_KUBECONFIG") or os.environ.get("KUBECONFIG")
    if not kubeconfig:
        raise LabError("the runner needs RUNNER_KUBECONFIG: a kubeconfig file with full rights")
    return Settings(
        kubeconfig=Path(kubeconfig),
        folder=where.root / "runner",
        egress=Path(os.environ.get("RUNNER_EGRESS_SOCKET") or where.run / "egress.sock"),
        pod_cidr=os.environ.get("RUNNER_POD_CIDR", "10.244.0.0/24"),
        namespace=os.environ.get("RUNNER_INGRESS_NAMESPACE", "hafnium"),
        kubelet_port=int(os.environ.get("RUNNER_PORT") or known["runner"]),
        ingress_port=int(os.environ.get("RUNNER_INGRESS_PORT") or known["ingress"]),
        ingress_tls_port=int(os.environ.get("RUNNER_INGRESS_TLS_PORT") or known["ingress_tls"]),
    )
