# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Modules run as in a process of their own, also after another test has loaded ansible-core's controller."""

from __future__ import annotations

import pytest
from ansible.module_utils import _internal
from ansible.module_utils.common import warnings


@pytest.fixture(autouse=True)
def outside_the_controller(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the controller core shows warnings itself, instead of putting them into the module's result.

    A process has one list of warnings; each test begins with an empty one.
    """
    warnings._global_warnings.clear()
    if request.path.parent.name in ("modules", "module_utils"):
        monkeypatch.setattr(_internal, "is_controller", False)
