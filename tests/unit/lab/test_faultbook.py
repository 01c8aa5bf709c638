# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
from dataclasses import dataclass, field

import pytest

from lab import control, faultbook, programs, supervisor
from lab.layout import LabError, Paths


@dataclass
class Recorder:
    """A fault that writes down what happens to it."""

    name: str
    events: list[str]
    breaks: bool = False
    summary: str = field(default="something is wrong")
    part: str = "backoffice"

    def apply(self) -> None:
        self.events.append(f"+{self.name}")
        if self.breaks:
            raise LabError(f"{self.name} broke")

    def undo(self) -> None:
        self.events.append(f"-{self.name}")


@pytest.fixture
def events(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A running, healthy lab with three faults to put in; what happens to them."""
    seen: list[str] = []
    faults = {name: Recorder(name, seen, breaks=name == "bad") for name in ("one", "two", "bad")}
    monkeypatch.setattr(faultbook, "catalogue", lambda: faults)
    monkeypatch.setattr(control, "is_up", lambda _: True)
    monkeypatch.setattr(supervisor, "running", lambda _: True)
    monkeypatch.setattr(faultbook, "prove_healthy", lambda _: seen.append("proof"))
    return seen


def test_faults_come_out_in_reverse_order_and_health_is_proven(lab: Paths, events: list[str]) -> None:
    faultbook.put_in(lab, "two")
    faultbook.put_in(lab, "one")
    assert list(json.loads(lab.faults_json.read_text())) == ["two", "one"]
    faultbook.heal(lab)
    assert events == ["+two", "+one", "-one", "-two", "proof"]
    assert faultbook.active(lab) == {}


def test_health_is_not_claimed_while_another_fault_is_in(lab: Paths, events: list[str]) -> None:
    faultbook.put_in(lab, "one")
    faultbook.put_in(lab, "two")
    faultbook.heal(lab, "one")
    assert events == ["+one", "+two", "-one"]
    assert list(faultbook.active(lab)) == ["two"]


def test_the_same_fault_twice_is_refused(lab: Paths, events: list[str]) -> None:
    faultbook.put_in(lab, "one")
    with pytest.raises(LabError, match=r"fault one is in the lab already, since .*make lab-heal FAULT=one"):
        faultbook.put_in(lab, "one")
    assert events == ["+one"]


def test_a_fault_that_fails_half_way_is_undone(lab: Paths, events: list[str]) -> None:
    with pytest.raises(LabError, match="bad broke"):
        faultbook.put_in(lab, "bad")
    assert events == ["+bad", "-bad"]
    assert faultbook.active(lab) == {}


def test_unknown_names_list_the_known_ones(lab: Paths, events: list[str]) -> None:
    with pytest.raises(LabError, match=r"no fault 'x'; there are one, two, bad"):
        faultbook.put_in(lab, "x")
    with pytest.raises(LabError, match=r"fault 'one' is not in the lab; active: none"):
        faultbook.heal(lab, "one")
    assert events == []


def test_a_lab_with_a_gap_takes_no_fault(lab: Paths, events: list[str]) -> None:
    programs.record_left_out(lab, {"kafka": "no Java"})
    with pytest.raises(
        LabError, match="fault one needs the whole part backoffice, and some of it is left out: kafka: no Java"
    ):
        faultbook.put_in(lab, "one")
    assert events == []


def test_a_lab_that_is_down_takes_none_and_heals_none(
    lab: Paths, events: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "is_up", lambda _: False)
    monkeypatch.setattr(supervisor, "running", lambda _: False)
    with pytest.raises(LabError, match="the lab's part backoffice is not up"):
        faultbook.put_in(lab, "one")
    with pytest.raises(LabError, match="the lab is down"):
        faultbook.heal(lab)


def test_a_broken_record_is_named(lab: Paths) -> None:
    lab.faults_json.write_text("{half")
    with pytest.raises(LabError, match=r"faults\.json is not JSON"):
        faultbook.active(lab)


def test_every_fault_of_the_lab_says_what_it_does() -> None:
    faults = faultbook.catalogue()
    assert len(faults) >= 20
    for name, fault in faults.items():
        assert name == name.lower()
        assert "\n" not in fault.summary
        assert len(fault.summary) > 10
