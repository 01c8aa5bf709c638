# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Statements of logs, the most telling first."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as some

from ansible_collections.sre.runbooks.plugins.module_utils import log_failures

FRAME = "\tat a.b.C.d(C.java:1) ~[x.jar!/:1]"


def texts(log: str, kind: str = "") -> list[str]:
    found = log_failures.statements(log_failures.lines_of(log))
    return [one.text for one in found if not kind or one.kind == kind]


def test_causes_from_the_deepest_outwards() -> None:
    log = (
        f"a.OuterException: outer\n{FRAME}\nCaused by: a.MiddleException: middle\n{FRAME}\n"
        f"\t... 12 common frames omitted\nCaused by: a.InnerException: inner\n{FRAME}"
    )
    assert texts(log, "exception") == [
        "a.InnerException: inner",
        "a.MiddleException: middle",
        "a.OuterException: outer",
    ]


def test_where_the_root_is_printed_first_it_counts_first() -> None:
    log = f"a.InnerException: inner\n{FRAME}\nWrapped by: a.OuterException: outer\n{FRAME}"
    assert texts(log, "exception") == ["a.InnerException: inner", "a.OuterException: outer"]


def test_the_newest_trace_counts_first() -> None:
    log = f"a.OldException: old\n{FRAME}\n2026-01-01T00:00:00Z INFO on it goes\na.NewException: new\n{FRAME}"
    assert texts(log, "exception") == ["a.NewException: new", "a.OldException: old"]


def test_a_message_of_several_lines_is_one_statement() -> None:
    log = f"a.FlywayException: Script failed\n---\nSQL State : 42P01\nMessage : ERROR: no\n\n{FRAME}"
    (found,) = texts(log, "exception")
    assert found.startswith("a.FlywayException")
    assert "42P01" in found


def test_a_cause_whose_frames_were_cut_off() -> None:
    assert (
        texts(f"a.OuterException: outer\n{FRAME}\nCaused by: a.InnerException: inner", "exception")[0]
        == "a.InnerException: inner"
    )


def test_a_trace_without_any_frames_is_one_chain() -> None:
    log = "2026-01-01T00:00:00Z ERROR main failed\na.OuterException: Connection to db:5432 refused\nCaused by: a.InnerException: no\n"
    found = [one for one in log_failures.statements(log_failures.lines_of(log)) if one.kind == "exception"]
    assert [one.text for one in found] == ["a.InnerException: no", "a.OuterException: Connection to db:5432 refused"]
    assert found[0].chain == found[1].chain


def test_an_exception_without_frames_and_causes_is_an_error() -> None:
    (found,) = log_failures.statements(["java.lang.IllegalStateException: no"])
    assert found.kind == "error"


def test_the_failure_report_comes_before_everything() -> None:
    log = (
        f"a.BException: x\n{FRAME}\n\n***************************\nAPPLICATION FAILED TO START\n***************************\n\n"
        "Description:\n\nPort 8080 was already in use.\n\nAction:\n\nStop it.\n"
    )
    found = log_failures.statements(log_failures.lines_of(log))
    assert (found[0].kind, found[0].text) == ("report", "Port 8080 was already in use.")


def test_chained_tracebacks_of_python_are_one_breath_with_its_root_first() -> None:
    trace = 'Traceback (most recent call last):\n  File "a.py", line 1, in f\n    g()\n'
    log = f"{trace}ValueError: root\n\nDuring handling of the above exception, another exception occurred:\n\n{trace}RuntimeError: outer\n"
    found = [one for one in log_failures.statements(log_failures.lines_of(log)) if one.kind == "exception"]
    assert [one.text for one in found] == ["ValueError: root", "RuntimeError: outer"]
    assert found[0].chain == found[1].chain


def test_json_lines_are_put_into_words() -> None:
    row = {
        "@timestamp": "2026-01-01T00:00:00Z",
        "level": "ERROR",
        "message": "failed",
        "stack_trace": f"a.XException: no\n{FRAME}",
    }
    nested = {"log": {"level": "error"}, "message": "deep", "error": {"stack_trace": f"a.YException: no\n{FRAME}"}}
    assert texts(json.dumps(row), "exception") == ["a.XException: no"]
    assert texts(json.dumps(nested), "exception") == ["a.YException: no"]
    assert log_failures.lines_of('{"level": "warn", "msg": "slow"}') == ["WARN slow"]
    assert log_failures.lines_of("{not json") == ["{not json"]


def test_node_errors_are_exceptions() -> None:
    log = (
        "node:internal/modules:1\n  throw err;\n  ^\n\nError: connect ECONNREFUSED 127.0.0.1:1\n"
        "    at TCPConnectWrap.afterConnect [as oncomplete] (node:net:1)\n"
    )
    assert texts(log)[0] == "Error: connect ECONNREFUSED 127.0.0.1:1"


@given(some.text(max_size=400))
def test_any_text_is_read_without_an_error(text: str) -> None:
    lines = log_failures.lines_of(text)
    for one in log_failures.statements(lines):
        assert 0 <= one.line < len(lines)


def test_a_long_log_is_bounded() -> None:
    lines = log_failures.lines_of("\n".join(f"2026-01-01 ERROR number {number}" for number in range(5000)))
    found = log_failures.statements(lines)
    assert len(found) == log_failures.MOST_STATEMENTS
    assert found[0].text.endswith("number 4999")
