# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Records of drills: nothing that is there is lost, and what they show together."""

from __future__ import annotations

from ansible_collections.sre.runbooks.plugins.module_utils.recovery_records import MOST_RECORDS, Records, trend


def test_a_record_is_added_to_those_that_are_there() -> None:
    records, line = Records.of('{"id":"a"}\nnot json\n\n[1]\n{"id": "cut').plus({"id": "b", "text": "x\u2028y"})
    assert line == '{"id":"b","text":"x\\u2028y"}'
    assert records.text() == '{"id":"a"}\nnot json\n[1]\n{"id": "cut\n' + line + "\n"
    assert [found["id"] for found in records.parsed] == ["a", "b"]
    assert records.unreadable == 3
    assert records.has("b")
    assert not records.has("c")


def test_the_oldest_are_dropped() -> None:
    records = Records.of("".join(f'{{"id":"{number}"}}\n' for number in range(MOST_RECORDS)))
    more, _ = records.plus({"id": "new"})
    assert len(more.lines) == MOST_RECORDS
    assert not more.has("0")
    assert more.has("1")
    assert more.has("new")


def test_trend() -> None:
    assert trend([]) == {
        "runs": 0,
        "passed": 0,
        "last_passed_at": None,
        "not_passed_in_a_row": 0,
        "rto_seconds": None,
        "rpo_seconds": None,
    }
    found = trend(
        [
            {"verdict": "pass", "verified_at": "t1", "rto_seconds": 10, "rpo_seconds": 5.5},
            {"verdict": "pass", "verified_at": "t2", "rto_seconds": 14},
            {"verdict": "fail", "verified_at": None, "rto_seconds": None},
            {"verdict": "unverified", "rto_seconds": True},
        ]
    )
    assert (found["runs"], found["passed"], found["last_passed_at"], found["not_passed_in_a_row"]) == (4, 2, "t2", 2)
    assert found["rto_seconds"] == {"last": 14, "previous": 10, "change": 4, "median": 12, "worst": 14}
    assert found["rpo_seconds"] == {"last": 5.5, "previous": None, "change": None, "median": 5.5, "worst": 5.5}
