# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checksums and versions are Flyway's, whatever somebody writes."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from ansible_collections.sre.runbooks.plugins.module_utils import flyway_version
from ansible_collections.sre.runbooks.plugins.module_utils.flyway_checksum import checksum
from lab.flyway_oracle import Oracle

pytestmark = pytest.mark.slow
often = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

ENDS = [
    "\n",
    "\r",
    "\r\n",
    "\n\r",
    "\u2028",
    "\u2029",
    "\x85",
    "\x0b",
    "\x0c",
    "\x1c",
    "\x1d",
    "\x1e",
    "\ufeff",
    "\x00",
    "\x1a",
]
WORDS = st.one_of(st.sampled_from(ENDS), st.text(st.characters(codec="utf-8"), max_size=8))
TEXTS = st.lists(WORDS, max_size=12).map("".join)
NUMBERS = st.from_regex(r"0{0,3}[0-9]{1,22}", fullmatch=True)
VERSIONS = st.lists(st.tuples(NUMBERS, st.sampled_from("._")), min_size=1, max_size=5).map(
    lambda parts: "".join(number + sign for number, sign in parts)[:-1]
)
NEARLY = st.text("0123456789._- +ax\u0663", min_size=1, max_size=8)


@often
@given(text=TEXTS)
@example(text="")
@example(text="\ufeff")
@example(text="\ufeff\ufeffSELECT 1;\r\n")
@example(text="a\r\r\n\n\rb")
def test_checksums_are_flyways(text: str, oracle: Oracle, tmp_path: Path) -> None:
    script = tmp_path / "V1__x.sql"
    script.write_bytes(text.encode())
    assert checksum(script.read_bytes().decode()) == oracle.checksum(script)


@often
@given(one=VERSIONS, other=VERSIONS)
@example(one="1", other="1_0_0")
@example(one="010", other="10")
@example(one="1.10", other="1.9")
@example(one="1.0.1", other="1")
@example(one="9223372036854775807", other="9223372036854775808")
def test_versions_are_in_flyways_order(one: str, other: str, oracle: Oracle) -> None:
    mine, theirs = flyway_version.parse(one), flyway_version.parse(other)
    assert (mine > theirs) - (mine < theirs) == oracle.order(one, other)
    assert (mine == theirs) is (oracle.order(one, other) == 0)


@often
@given(text=NEARLY)
@example(text="1.")
@example(text=".1")
@example(text="1..2")
@example(text="1._2")
@example(text="-1")
@example(text="\u0663")
def test_what_flyway_does_not_take_for_a_version_is_none(text: str, oracle: Oracle) -> None:
    try:
        oracle.order(text, "1")
    except ValueError:
        with pytest.raises(ValueError, match="is no version"):
            flyway_version.parse(text)
    else:
        flyway_version.parse(text)
