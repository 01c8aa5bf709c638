# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The faults of Hafnium on Kubernetes."""

from __future__ import annotations

from lab.faults import kubernetes_rollouts, kubernetes_services, kubernetes_stream

FAULTS = (*kubernetes_services.FAULTS, *kubernetes_rollouts.FAULTS, *kubernetes_stream.FAULTS)
