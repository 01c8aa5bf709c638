# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names and comments by which a restore knows its own databases, and takes no other for them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.sre.runbooks.plugins.module_utils import backup_marks
from ansible_collections.sre.runbooks.plugins.module_utils.errors import InputError, RefusedError

ID = "shop-20310402T080311Z"


@given(st.sampled_from(["drill", "restore", "restored", "before", "undone", "back"]), st.text(max_size=200))
def test_a_mark_reads_what_it_wrote(kind: backup_marks.Kind, rest: str) -> None:
    mark = backup_marks.new(kind, "april", ID, 1_900_000_000.0, backup_marks.RESTORING, rest)
    assert backup_marks.of(mark.text()) == mark
    assert mark.age_seconds(1_900_000_060.0) == 60


@pytest.mark.parametrize(
    "comment",
    [
        None,
        "",
        "of the shop",
        "sre.runbooks",
        "sre.runbooks drill",
        "about sre.runbooks drill a by b at c: ready d",
        "sre.runbooks drill a by b at c: done d",
        "sre.runbooks other a by b at c: ready d",
    ],
)
def test_the_comments_of_others(comment: str | None) -> None:
    assert backup_marks.of(comment) is None


@given(st.text(max_size=200).filter(lambda text: backup_marks.of(text) is None))
def test_a_database_that_was_put_back_is_what_it_was_before(words: str) -> None:
    """Its comment differs each time, does not grow, and lets neither its owners' words nor an older mark be lost."""
    restored = backup_marks.new("restored", "march", ID, 1_900_000_000.0, rest=words).text()
    for old in (words, restored):
        once = backup_marks.back(old, "april", ID, 1_900_000_001.0).text()
        twice = backup_marks.back(once, "april", ID, 1_900_000_002.0).text()
        assert len({old, once, twice}) == 3
        assert len(twice) == len(once)
        assert backup_marks.standing(twice) == backup_marks.of(old)
        assert backup_marks.words(twice) == words


def test_a_mark_without_a_time_has_no_age() -> None:
    mark = backup_marks.of("sre.runbooks drill a by b at noon: ready d")
    assert mark is not None
    assert mark.age_seconds(0) is None


@given(st.text(min_size=1, max_size=63), st.sampled_from(["drill", "before", "undone", "new"]))
def test_derived_names_fit(name: str, word: str) -> None:
    derived = backup_marks.derived(name, word, "x" * 24)
    assert len(derived.encode(errors="ignore")) <= backup_marks.LONGEST_NAME
    assert derived.endswith(f"_{word}_{'x' * 24}")


def test_names_that_are_refused() -> None:
    assert backup_marks.run_id(None, ID) == "20310402t080311z"
    for run in ("", "A", "a-b", "x" * 25, "a b"):
        with pytest.raises(InputError, match="drill_id"):
            backup_marks.run_id(run, ID)
    for name in ("", "x" * 64, "a%b", "a\nb", "postgres", "template0", "template1"):
        with pytest.raises(InputError, match="into"):
            backup_marks.check_database_name(name, "into")
    assert backup_marks.check_database_name('My "DB"', "into")


def test_identifiers_are_quoted() -> None:
    from ansible_collections.sre.runbooks.plugins.module_utils.backup_server import ident

    assert ident('a"; DROP DATABASE b; --') == '"a""; DROP DATABASE b; --"'
    with pytest.raises(RefusedError):
        ident("a%s")
