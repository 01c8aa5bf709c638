# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the parts of a runner share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lab.runner.addresses import AddressPool
from lab.runner.events import Recorder
from lab.runner.images import Registry
from lab.runner.kube import Api


@dataclass(frozen=True)
class Context:
    """`folder`: state of the runner; `variables`: environment of every container; backoffs in seconds."""

    api: Api
    events: Recorder
    images: Registry
    addresses: AddressPool
    folder: Path
    variables: Mapping[str, str]
    first_backoff: float = 1.0
    longest_backoff: float = 15.0
