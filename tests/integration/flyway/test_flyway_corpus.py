# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""flyway_status says what Flyway says: every field of info, every error of validate, in every history of the corpus."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ansible_collections.sre.runbooks.plugins.modules import flyway_status
from tests.integration.flyway import corpus
from tests.integration.flyway.cases import CORPUS, Case
from tests.integration.flyway.conftest import login
from tests.integration.throwaway_postgres import Throwaway
from tests.unit.plugins.module_runner import run_module

pytestmark = pytest.mark.slow
EVERY_STATE = {
    "Pending",
    "Above Target",
    "Below Baseline",
    "Ignored (Baseline)",
    "Baseline",
    "Ignored",
    "Missing",
    "Failed (Missing)",
    "Success",
    "Failed",
    "Out of Order",
    "Future",
    "Failed (Future)",
    "Outdated",
    "Superseded",
    "Deleted",
}


Ours = Callable[[str], dict[str, Any]]


@pytest.fixture(scope="module")
def ours_of() -> dict[str, dict[str, Any]]:
    return {}


@pytest.fixture
def ours(
    ours_of: dict[str, dict[str, Any]],
    built: dict[str, corpus.Built],
    throwaway: Throwaway,
    capsys: pytest.CaptureFixture[str],
) -> Ours:
    """What the module says of a case; it is asked for all of them in one task."""
    if not ours_of:
        names = list(built)
        for begin in range(0, len(names), 150):
            some = names[begin : begin + 150]
            items = [built[name].item for name in some]
            result = run_module(flyway_status, capsys, histories=items, **login(throwaway))
            ours_of.update(zip(some, result["histories"], strict=True))
    return ours_of.__getitem__


@pytest.mark.parametrize("case", CORPUS, ids=lambda case: case.name)
def test_the_module_says_what_flyway_says(case: Case, built: dict[str, corpus.Built], ours: Ours) -> None:
    assert corpus.differences(built[case.name], ours(case.name)) == list(case.otherwise)


@pytest.mark.parametrize("case", [case for case in CORPUS if case.shows], ids=lambda case: case.name)
def test_a_case_is_about_what_it_says(case: Case, built: dict[str, corpus.Built]) -> None:
    assert set(case.shows) <= built[case.name].states


def test_the_corpus_covers_every_state_and_is_large(built: dict[str, corpus.Built]) -> None:
    seen = set().union(*(each.states for each in built.values()))
    assert seen >= EVERY_STATE
    assert len({case.name for case in CORPUS}) == len(CORPUS) >= 60
