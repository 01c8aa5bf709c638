# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A benchmark stops the lab's cluster only when it found none of it running."""

from __future__ import annotations

from typing import Any

import pytest

from tests.benchmarks import kubernetes_lab


@pytest.mark.parametrize(
    ("states", "commands"),
    [
        ({}, ["up", "down"]),
        ({"etcd": "RUNNING"}, ["up"]),
        (dict.fromkeys(kubernetes_lab.control.PARTS["kubernetes"], "RUNNING"), []),
    ],
    ids=["nothing ran", "a part of it ran", "all of it ran"],
)
def test_what_ran_goes_on(monkeypatch: pytest.MonkeyPatch, states: dict[str, str], commands: list[str]) -> None:
    done: list[str] = []
    wanted = kubernetes_lab.control.PARTS["kubernetes"]
    monkeypatch.setattr(kubernetes_lab.control, "state", lambda program: states.get(program, "DOWN"))
    monkeypatch.setattr(kubernetes_lab.control, "is_up", lambda part: all(name in states for name in wanted))
    monkeypatch.setattr(kubernetes_lab, "lab_command", lambda verb, part: done.append(verb))

    def refused(*_arguments: Any) -> None:
        raise RuntimeError("no cluster")

    monkeypatch.setattr(kubernetes_lab.oracle, "run_kubectl", refused)
    with pytest.raises(RuntimeError), kubernetes_lab.kubernetes_lab():
        pass
    assert done == commands
