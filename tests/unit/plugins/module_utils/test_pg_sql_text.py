# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Statements without the values that were written into them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.sre.runbooks.plugins.module_utils.pg_sql_text import LONGEST, shape

SECRET = "hunter2"


@pytest.mark.parametrize(
    ("statement", "shown"),
    [
        ("SELECT * FROM t WHERE a = 'hunter2' AND b = 4711", "SELECT * FROM t WHERE a = ? AND b = ?"),
        ("select 'it''s hunter2', x", "select ?, x"),
        ("SELECT E'hunter2', U&'hunter2', B'01', 1.5e10, .5", "SELECT ?, ?, ?, ?, ?"),
        ('SELECT "Name""s" FROM "T"', 'SELECT "Name""s" FROM "T"'),
        ("SELECT $1, t1.c2 FROM t1", "SELECT $1, t1.c2 FROM t1"),
        ("DO $$ hunter2 $$; SELECT $a$ hunter2 $$ $a$, 1", "DO ?; SELECT ?, ?"),
        ("SELECT 1 -- hunter2\nFROM t /* hunter2\n * x */ WHERE b", "SELECT ? FROM t WHERE b"),
        ("SELECT 'cut off hunter2", "SELECT ?"),
        ("SELECT $tag$ cut off hunter2", "SELECT ?"),
        ("SELECT 1 /* cut off hunter2", "SELECT ?"),
        ("SELECT 1 /* one /* within */ hunter2 */ FROM t", "SELECT ?"),
        ("SELECT 1 /* a */ FROM /**/ t", "SELECT ? FROM t"),
        ("ALTER ROLE app PASSWORD 'hunter2'", "ALTER ROLE app PASSWORD ?"),
        (r"SELECT a, 'x\' , hunter2 , 'y'", "SELECT a, ? ..."),
        (None, ""),
    ],
)
def test_shapes(statement: str | None, shown: str) -> None:
    assert shape(statement) == shown


def test_what_is_long_is_cut() -> None:
    assert len(shape("SELECT " + "a, " * 10_000)) < LONGEST + 60


@given(st.text(alphabet="abc '\"$-/*\n\\E0", max_size=40), st.text(alphabet='xyz $-/*"0', max_size=20))
def test_a_literal_is_never_shown_after_a_balanced_begin(before: str, within: str) -> None:
    """Whatever stands in a literal, in a statement whose begin opens nothing, is not shown."""
    balanced = "".join(sign for sign in before if sign not in "'\"$-/*\\")
    assert SECRET not in shape(f"{balanced} '{within}{SECRET}{within}'")
    assert SECRET not in shape(f"{balanced} $t${within}{SECRET}{within.replace('$', '')}$t$ tail")
