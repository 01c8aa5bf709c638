# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which sessions a plan ends; the servers are integration tests."""

from __future__ import annotations

import datetime
from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.sre.runbooks.plugins.module_utils import pg_idle_cure, pg_idle_kill, pg_sessions
from ansible_collections.sre.runbooks.plugins.module_utils.errors import InputError, RefusedError, RunbookError
from ansible_collections.sre.runbooks.plugins.module_utils.pg_idle_plan import (
    KEEP,
    TERMINATE,
    WITHHOLD,
    Wish,
    joined,
    pooler_hints,
    steps_of,
    superuser_hints,
)
from ansible_collections.sre.runbooks.plugins.module_utils.pg_sessions import Backend

DEFAULTS = {name: option.get("default") for name, option in pg_idle_kill.SPEC.options.items()}
WHEN = datetime.datetime(2031, 1, 1, tzinfo=datetime.UTC)


def backend(pid: int = 1, age: float = 7200.0, **other: Any) -> Backend:
    values: dict[str, Any] = {
        "pid": pid,
        "backend_start": WHEN,
        "usename": "app",
        "datname": "shop",
        "application_name": "jdbc",
        "client_addr": "10.0.0.7",
        "state": "idle",
        "state_change": WHEN,
        "state_seconds": age,
        "xact_seconds": None,
        "query_seconds": None,
        "backend_type": "client backend",
        **other,
    }
    return Backend(**values)


def wish(**options: Any) -> Wish:
    return Wish.of({**DEFAULTS, **options})


def actions(backends: list[Backend], advisory: frozenset[int] = frozenset(), **options: Any) -> dict[int, str]:
    chosen = wish(**options)
    plan = joined([steps_of("shop", backends, chosen, advisory)], chosen)
    return {step.backend.pid: step.reason or step.action for step in plan.steps}


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (backend(), TERMINATE),
        (backend(age=3599.0), None),
        (backend(state="active"), None),
        (backend(state="disabled", state_seconds=None), None),
        (backend(state="fastpath function call"), None),
        (backend(state="idle in transaction"), None),
        (backend(state=None, backend_type=None, state_seconds=None), None),
        (backend(superuser=True), "superuser"),
        (backend(listens=True), "listens for notifications"),
        (backend(pid=9), "holds an advisory lock, as a running migration does"),
        (backend(usename="vip"), "exclude_users"),
        (backend(application_name="pg_dump-7"), "exclude_application_names"),
        (backend(client_addr="192.168.1.5"), "exclude_addresses"),
        (backend(client_addr="local"), "exclude_addresses"),
        (backend(client_addr="fe80::1%eth0"), TERMINATE),
    ],
)
def test_who_is_ended(one: Backend, expected: str | None) -> None:
    found = actions(
        [one],
        frozenset({9}),
        exclude_users=["vip"],
        exclude_application_names=["pg_dump*"],
        exclude_addresses=["192.168.0.0/16", "local"],
    )
    assert found.get(one.pid) == expected


def test_open_transactions_have_their_own_age() -> None:
    both = [backend(1, 100.0, state="idle in transaction"), backend(2, 100.0, state="idle in transaction (aborted)")]
    assert actions([*both, backend(3, 100.0)], idle_in_transaction_seconds=90.0) == {1: TERMINATE, 2: TERMINATE}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"idle_seconds": 59.0}, "idle_seconds is 59; below floor_seconds"),
        ({"idle_in_transaction_seconds": 1.0}, "idle_in_transaction_seconds is 1"),
        ({"idle_seconds": -1.0, "floor_seconds": 0.0}, "idle_seconds is -1"),
        ({"idle_seconds": float("nan")}, "idle_seconds is nan"),
        ({"floor_seconds": -5.0}, "floor_seconds is -5"),
        ({"idle_seconds": 0.0}, "both off"),
        ({"max_kill": 0}, "max_kill is 0"),
        ({"max_kill": 1001}, "from 1 to 1000"),
        ({"max_percent": 0.0}, "max_percent is 0"),
        ({"users": [""]}, "users has an empty entry"),
        ({"exclude_addresses": ["10.0.0.0/99"]}, "exclude_addresses has '10.0.0.0/99'"),
    ],
)
def test_wrong_options(options: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        wish(**options)


def test_a_lower_floor_is_said_on_purpose() -> None:
    assert wish(idle_seconds=5.0, floor_seconds=5.0).idle_seconds == 5.0


def test_max_kill_is_for_all_databases_and_takes_the_oldest() -> None:
    chosen = wish(max_kill=2)
    lists = [steps_of(name, [backend(pid, 4000.0 + pid)], chosen) for name, pid in (("a", 1), ("b", 3), ("c", 2))]
    plan = joined(lists, chosen)
    assert [(step.database, step.action) for step in plan.steps] == [
        ("b", TERMINATE),
        ("c", TERMINATE),
        ("a", WITHHOLD),
    ]
    assert plan.of(WITHHOLD)[0].reason == "max_kill is 2"


def test_percent_counts_all_sessions_of_the_role() -> None:
    busy = [backend(pid, state="active") for pid in range(10, 14)]
    idle = [backend(pid) for pid in range(4)]
    assert Counter(actions([*busy, *idle], max_percent=25.0).values()) == {
        TERMINATE: 2,
        "max_percent is 25, of 8 sessions of app": 2,
    }


def test_a_plan_beyond_its_limits_can_be_refused() -> None:
    with pytest.raises(RefusedError, match="1 of 2 idle sessions are beyond the limits"):
        actions([backend(1), backend(2)], max_kill=1, beyond_limits="refuse")


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["idle", "active"]), st.floats(0, 9999)), max_size=40),
    st.integers(1, 20),
    st.floats(1, 100),
)
def test_no_plan_is_beyond_its_limits(rows: list[tuple[str, str, float]], most: int, percent: float) -> None:
    backends = [backend(pid, age, usename=user, state=state) for pid, (user, state, age) in enumerate(rows)]
    chosen = wish(max_kill=most, max_percent=percent)
    plan = joined([steps_of("shop", backends, chosen)], chosen)
    ended = plan.of(TERMINATE)
    assert len(ended) <= most
    assert all(step.backend.state == "idle" and (step.backend.state_seconds or 0) >= 3600 for step in ended)
    total, by_user = Counter(one.usename for one in backends), Counter(step.backend.usename for step in ended)
    assert all(by_user[user] <= total[user] * percent / 100 for user in by_user)
    assert len(plan.steps) == sum(state == "idle" and age >= 3600 for _user, state, age in rows)


def test_poolers_are_told_of() -> None:
    chosen = wish()
    named = steps_of("shop", [backend(application_name="PgBouncer")], chosen)
    assert "are server connections of a pooler" in pooler_hints(named)[0]
    many = steps_of("shop", [backend(pid) for pid in range(20)], chosen)
    assert "20 idle sessions of app come from one address (10.0.0.7); these may be" in pooler_hints(many)[0]
    assert pooler_hints(many[:19]) == []


def test_a_service_that_is_a_superuser_is_told_of() -> None:
    steps = steps_of("shop", [backend(1, superuser=True), backend(2, superuser=True), backend(3)], wish())
    (hint,) = superuser_hints(steps)
    assert hint.startswith("shop: 2 idle sessions stay, since app is a superuser")
    assert superuser_hints(steps_of("shop", [backend(superuser=True)], wish(include_superusers=True))) == []
    (meant,) = steps_of("shop", [backend(superuser=True)], wish(exclude_users=["app"]))
    assert meant.reason == "exclude_users"  # kept on purpose, not left because nobody may end it


def test_cures_that_are_in_place_are_not_told() -> None:
    steps = steps_of(
        "shop", [backend(), backend(2, state="idle in transaction")], wish(idle_in_transaction_seconds=60.0)
    )
    off = {"app": {"idle_session_timeout": "0", "idle_in_transaction_session_timeout": "0"}}
    on = {"app": {"idle_session_timeout": "1h", "idle_in_transaction_session_timeout": "300000"}}
    old = {"app": {"idle_in_transaction_session_timeout": "1min"}}
    assert len(pg_idle_cure.hints("shop", steps, off)) == 3
    assert ["maxLifetime" in hint for hint in pg_idle_cure.hints("shop", steps, on)] == [True]
    assert len(pg_idle_cure.hints("shop", steps, old)) == 1, "13 has no idle_session_timeout to set"


@pytest.mark.parametrize(("version", "number"), [("14.24 (Debian 14.24-1)", 14), ("18beta1", 18), ("13.0", 13)])
def test_the_major_of_a_server(version: str, number: int) -> None:
    assert pg_sessions.major(SimpleNamespace(server_version=version, where="db/shop")) == number  # type: ignore[arg-type]


@pytest.mark.parametrize("version", ["9.6.24", "12.22", ""])
def test_a_server_that_is_too_old_is_said(version: str) -> None:
    with pytest.raises(RunbookError, match=r"PostgreSQL at db/shop is version .* 13 is the oldest"):
        pg_sessions.major(SimpleNamespace(server_version=version, where="db/shop"))  # type: ignore[arg-type]


def test_only_clients_of_the_database_are_its_sessions() -> None:
    walsender, worker = backend(1, backend_type="walsender"), backend(2, backend_type="parallel worker", leader_pid=9)
    leader = backend(3, leader_pid=9)
    hidden, hidden_process = backend(4, backend_type=None), backend(5, backend_type=None, usename="")
    other = backend(6, datname="other")
    found = pg_sessions.of_database([walsender, worker, leader, hidden, hidden_process, other, backend(7)], "shop")
    assert [one.pid for one in found] == [4, 7]
    assert pg_sessions.states(found) == {"hidden": 1, "idle": 1}


def test_kept_is_said_of_those_that_are_kept() -> None:
    step = steps_of("shop", [backend(superuser=True)], wish())[0]
    assert (step.action, step.as_dict(False)["reason"]) == (KEEP, "superuser")
    assert "query" not in step.as_dict(False)
