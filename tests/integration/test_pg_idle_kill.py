# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""pg_idle_kill on real servers of several majors, among sessions that it has to leave alone."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from typing import Any

import psycopg2
import pytest

from ansible_collections.sre.runbooks.plugins.module_utils import databases, pg_idle_kill
from ansible_collections.sre.runbooks.plugins.module_utils.clock import Clock, Deadline
from ansible_collections.sre.runbooks.plugins.module_utils.errors import RefusedError, RunbookError
from ansible_collections.sre.runbooks.plugins.module_utils.operation import Context
from ansible_collections.sre.runbooks.plugins.modules import pg_idle_kill as module
from lab.layout import LabError
from tests.integration import postgres_scene as scene
from tests.integration.postgres_scene import APP, DATABASE, OTHER, OTHER_APP, Scene
from tests.support import postgres_majors
from tests.support.postgres_proxy import proxy
from tests.unit.plugins.module_runner import run_module

AGE = 0.5
TASK_SECONDS = 30.0
DEFAULTS = {name: option.get("default") for name, option in pg_idle_kill.SPEC.options.items()}
Run = dict[str, Any]


@pytest.fixture(scope="module", params=postgres_majors.MAJORS)
def prepared(request: pytest.FixtureRequest) -> Iterator[Scene]:
    try:
        with postgres_majors.server(request.param, {"max_connections": "30"}) as server:
            made = Scene(server)
            made.prepare()
            yield made
    except LabError as error:
        pytest.skip(str(error))


@pytest.fixture
def here(prepared: Scene) -> Iterator[Scene]:
    with scene.opened(prepared) as made:
        yield made


def kill(here: Scene, check: bool = False, user: str = scene.OPERATOR, **options: Any) -> Run:
    """The module's own run, with a short age."""
    params = {**DEFAULTS, **here.options(user), "floor_seconds": 0.0, "idle_seconds": AGE, **options}
    warned: list[str] = []
    context = Context(check_mode=check, deadline=Deadline(TASK_SECONDS, Clock()), warn=warned.append)
    return {**pg_idle_kill.run(params, context), "warned": warned}


def outcomes(result: Run) -> dict[int, str]:
    return {row["pid"]: row["outcome"] or row["reason"] for row in result["sessions"]}


def test_it_ends_what_is_idle_and_nothing_else(here: Scene) -> None:
    leaked, never_used = here.open(), here.open(statement=None)
    other_database = here.open(database=OTHER)
    open_transaction = here.open(transaction=True)
    aborted = here.open("SELECT 1/0", transaction=True)
    superuser = here.open(user="second_superuser")
    migration = here.open("SELECT pg_advisory_lock(4711)", application="Flyway")
    listener = here.open("LISTEN orders")
    walsender = here.replication()
    decoys = [other_database, open_transaction, aborted, superuser, migration, listener, walsender]
    here.age(AGE, leaked, never_used, other_database, open_transaction, aborted, superuser, migration, listener)

    planned = kill(here, check=True)
    assert planned["changed"] is True
    assert planned["terminated"] == 0
    assert outcomes(planned) == {
        here.pid(leaked): "would_terminate",
        here.pid(never_used): "would_terminate",
        here.pid(superuser): "superuser",
        here.pid(migration): "holds an advisory lock, as a running migration does",
        here.pid(listener): "listens for notifications",
    }
    assert all(here.alive(one) for one in (leaked, never_used, *decoys))

    done = kill(here)
    assert (done["changed"], done["planned"], done["terminated"], done["kept"]) == (True, 2, 2, 3)
    assert "second_superuser is a superuser" in done["hints"][0]
    identity = ("pid", "backend_start", "state_change", "action", "reason")
    assert [[row[key] for key in identity] for row in done["sessions"]] == [
        [row[key] for key in identity] for row in planned["sessions"]
    ]
    assert not here.alive(leaked)
    assert not here.alive(never_used)
    assert all(here.alive(one) for one in decoys)
    with pytest.raises(psycopg2.OperationalError), leaked.cursor() as cursor:
        cursor.execute("SELECT 1")
    (told,) = done["databases"]
    assert told["states"]["idle"] - told["states_after"]["idle"] == 2

    again = kill(here)
    assert (again["changed"], again["planned"], again["terminated"]) == (False, 0, 0)


def test_open_transactions_have_an_age_of_their_own(here: Scene) -> None:
    idle, waiting = here.open(), here.open("UPDATE item SET name = 'two' WHERE id = 1", transaction=True)
    aborted = here.open("SELECT 1/0", transaction=True)
    blocked = here.open(statement=None)
    thread = threading.Thread(target=_update, args=(blocked,))
    thread.start()
    try:
        here.wait_for(blocked, "wait_event_type = 'Lock'")
        here.age(AGE, idle, waiting, aborted)
        done = kill(here, idle_seconds=0.0, idle_in_transaction_seconds=AGE)
        assert outcomes(done) == {here.pid(waiting): "terminated", here.pid(aborted): "terminated"}
        row = next(row for row in done["sessions"] if row["pid"] == here.pid(waiting))
        assert row["blocked_count"] == 1
        assert row["xact_age_seconds"] >= AGE
        assert here.alive(idle)
        assert any("has no idle_in_transaction_session_timeout" in hint for hint in done["hints"])
    finally:
        thread.join(20)
    assert not thread.is_alive()


def _update(connection: Any) -> None:
    with contextlib.suppress(psycopg2.Error), connection.cursor() as cursor:
        cursor.execute("UPDATE item SET name = 'three' WHERE id = 1")


@pytest.mark.parametrize("meanwhile", ["used", "active", "closed", "another session"])
def test_a_session_that_is_another_by_then_stays(here: Scene, meanwhile: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between plan and act: used once more, active, gone, or its pid taken by another session."""
    victim, bystander = here.open(), here.open()
    here.age(AGE, victim, bystander)
    real = pg_idle_kill.joined
    threads: list[threading.Thread] = []

    def change(*args: Any) -> Any:
        plan = real(*args)
        step = next(step for step in plan.steps if step.backend.pid == here.pid(victim))
        if meanwhile == "closed":
            victim.close()
            here.wait_until_gone(victim_pid)
        elif meanwhile == "another session":
            before = step.backend.backend_start
            assert before
            object.__setattr__(
                step.backend, "backend_start", before.replace(microsecond=(before.microsecond + 1) % 10**6)
            )
        elif meanwhile == "active":
            threads.append(threading.Thread(target=_sleep, args=(victim,)))
            threads[0].start()
            here.wait_for(victim, "state = 'active'")
        else:
            with victim.cursor() as cursor:
                cursor.execute("SELECT 2")
        return plan

    victim_pid = here.pid(victim)
    monkeypatch.setattr(pg_idle_kill, "joined", change)
    done = kill(here)
    for thread in threads:
        thread.join(20)
    expected = "changed" if meanwhile in ("used", "active") else "gone"
    assert outcomes(done) == {victim_pid: expected, here.pid(bystander): "terminated"}
    assert done["terminated"] == 1
    if meanwhile != "closed":
        assert here.alive(victim)
        with victim.cursor() as cursor:
            cursor.execute("SELECT 3")


def _sleep(connection: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_sleep(2)")


def test_who_does_not_see_states_is_told_so(here: Scene) -> None:
    leaked = here.open()
    here.age(AGE, leaked)
    for check in (True, False):
        with pytest.raises(RefusedError, match=r"does not see the state of 1 of 1 sessions.*GRANT pg_read_all_stats"):
            kill(here, check, user=scene.SEES_NOTHING)
    assert here.alive(leaked)


def test_one_that_is_denied_does_not_save_the_others(here: Scene) -> None:
    """Its own sessions a user may end without any right; those of others it may not."""
    foreign, own = here.open(), here.open(user=scene.SIGNALS_NOTHING)
    here.age(AGE, foreign, own)
    for check, ending in ((True, "would_terminate"), (False, "terminated")):
        with pytest.raises(RunbookError, match="GRANT pg_signal_backend TO no_signal") as caught:
            kill(here, check, user=scene.SIGNALS_NOTHING)
        assert outcomes(caught.value.details) == {here.pid(foreign): "denied", here.pid(own): ending}
    assert here.alive(foreign)
    assert not here.alive(own)


def test_a_session_that_does_not_end_is_not_told_as_ended(here: Scene) -> None:
    """Its process is stopped: the signal has been sent, and has no effect yet."""
    stuck = here.open()
    here.age(AGE, stuck)
    pid = here.pid(stuck)
    os.kill(pid, signal.SIGSTOP)
    try:
        with pytest.raises(RunbookError, match="were told to end and were not seen to") as caught:
            kill(here, wait_seconds=0.2)
        assert outcomes(caught.value.details) == {pid: "timeout"}
        assert (caught.value.details["changed"], caught.value.details["terminated"]) == (False, 0)
    finally:
        os.kill(pid, signal.SIGCONT)


def test_without_time_left_nothing_is_tried(here: Scene) -> None:
    leaked = here.open()
    here.age(AGE, leaked)
    with pytest.raises(RunbookError, match=r"1 of 1 sessions \(app\) were not tried") as caught:
        kill(here, wait_seconds=TASK_SECONDS)
    assert outcomes(caught.value.details) == {here.pid(leaked): "not_tried"}
    assert here.alive(leaked)


@pytest.fixture
def two() -> Iterator[tuple[Scene, Scene]]:
    """Two servers that are alike."""
    try:
        with (
            postgres_majors.server(postgres_majors.NEWEST) as one,
            postgres_majors.server(postgres_majors.NEWEST) as two,
        ):
            first = Scene(one)
            second = Scene(two, first.secret)
            for made in (first, second):
                made.prepare()
            with scene.opened(first), scene.opened(second):
                yield first, second
    except LabError as error:
        pytest.skip(str(error))


def test_another_server_under_the_name_is_not_acted_on(two: tuple[Scene, Scene]) -> None:
    """The plan is made on one server; the connection to act goes to the other, on which nobody looked."""
    victims = {one: one.open() for one in two}
    for one, victim in victims.items():
        one.age(AGE, victim)
    with (
        proxy(two[0].port, two[1].port) as name,
        pytest.raises(RunbookError, match=r"another server answers under .* Give the address of one server") as caught,
    ):
        kill(two[0], login_port=name.port)
    assert [one.alive(victim) for one, victim in victims.items()] == [True, True]
    assert [row["outcome"] for row in caught.value.details["sessions"]] == ["not_tried"]
    assert caught.value.details["changed"] is False


def test_superusers_only_when_told_and_by_a_superuser(here: Scene) -> None:
    superuser = here.open(user="second_superuser")
    here.age(AGE, superuser)
    with pytest.raises(RunbookError, match="only a superuser may end those"):
        kill(here, include_superusers=True)
    assert here.alive(superuser)
    done = kill(here, user="second_superuser", include_superusers=True)
    assert outcomes(done) == {here.pid(superuser): "terminated"}


def test_names_and_addresses_choose(here: Scene) -> None:
    shop, report, batch = here.open(), here.open(application="report-7"), here.open(user=OTHER_APP)
    here.age(AGE, shop, report, batch)
    chosen = kill(here, True, users=[APP], application_names=["shop", "nothing*"], addresses=["127.0.0.0/8"])
    assert set(outcomes(chosen)) == {here.pid(shop)}
    left = kill(here, True, exclude_users=[OTHER_APP], exclude_application_names=["report-*"])
    assert outcomes(left) == {
        here.pid(shop): "would_terminate",
        here.pid(report): "exclude_application_names",
        here.pid(batch): "exclude_users",
    }
    assert kill(here, True, exclude_addresses=["127.0.0.1"])["planned"] == 0


def test_limits_withhold_or_refuse(here: Scene) -> None:
    sessions = [here.open() for _ in range(4)]
    here.age(AGE, *sessions)
    half = kill(here, True, max_percent=50.0)
    assert (half["planned"], half["withheld"]) == (2, 2)
    assert half["sessions"][-1]["reason"] == "max_percent is 50, of 4 sessions of app"
    with pytest.raises(RefusedError, match=r"3 of 4 idle sessions are beyond the limits \(3: max_kill is 1\)"):
        kill(here, max_kill=1, beyond_limits="refuse")
    assert all(here.alive(one) for one in sessions)
    one = kill(here, max_kill=1)
    assert (one["terminated"], one["withheld"]) == (1, 3)
    assert "3 more idle sessions were left" in one["warned"][0]
    assert [here.alive(session) for session in sessions] == [False, True, True, True]


def test_many_databases_in_one_task(here: Scene) -> None:
    first, second = here.open(), here.open(database=OTHER)
    here.age(AGE, first, second)
    both = [{"name": "one", "login_db": DATABASE}, {"name": "two", "login_db": OTHER}]
    items = [dict.fromkeys(databases.OPTIONS) | item for item in both]
    absent = {**items[0], "name": "gone", "login_db": "absent"}
    with pytest.raises(RefusedError, match=r'gone: .*database "absent" does not exist.*Nothing was ended'):
        kill(here, databases=[*items, absent])
    assert here.alive(first)
    done = kill(here, databases=items)
    assert {row["database"]: row["outcome"] for row in done["sessions"]} == {"one": "terminated", "two": "terminated"}


def test_prepared_transactions_are_told_of(here: Scene) -> None:
    holder = here.open("UPDATE item SET name = 'p' WHERE id = 1", transaction=True)
    try:
        with holder.cursor() as cursor:
            cursor.execute("PREPARE TRANSACTION 'orphan'")
        holder.commit()
        here.age(AGE, holder)
        done = kill(here)
        (told,) = done["databases"][0]["prepared_transactions"]
        assert (told["gid"], told["owner"]) == ("orphan", APP)
        assert "1 prepared transactions" in done["warned"][0]
        assert kill(here)["databases"][0]["prepared_transactions"]
    finally:
        here.server.run("ROLLBACK PREPARED 'orphan'", database=DATABASE)


def test_a_session_that_does_not_tell_its_state(here: Scene) -> None:
    here.server.run(f"ALTER ROLE {OTHER_APP} SET track_activities = off")
    try:
        silent = here.open(user=OTHER_APP)
        here.wait_for(silent, "state = 'disabled'")
        done = kill(here)
        assert done["databases"][0]["unclassified"] == 1
        assert "track_activities is off" in done["warned"][0]
        assert here.alive(silent)
    finally:
        here.server.run(f"ALTER ROLE {OTHER_APP} RESET track_activities")


def test_all_connections_taken(here: Scene) -> None:
    with pytest.raises(psycopg2.OperationalError):
        for _ in range(40):
            here.open()
    with pytest.raises(RefusedError, match="A superuser still gets in"):
        kill(here)
    here.age(AGE, here.opened[0])
    done = kill(here, user="second_superuser", idle_seconds=0.01)
    assert done["terminated"] == done["planned"] >= 20


def test_timeouts_of_a_role_are_seen(here: Scene) -> None:
    leaked = here.open(transaction=True)
    here.age(AGE, leaked)
    options: dict[str, Any] = {"idle_in_transaction_seconds": AGE, "check": True}
    assert any("app has no idle_in_transaction" in hint for hint in kill(here, **options)["hints"])
    here.server.run(f"ALTER ROLE {APP} IN DATABASE {DATABASE} SET idle_in_transaction_session_timeout = '5min'")
    try:
        assert not any("app has no idle_in_transaction" in hint for hint in kill(here, **options)["hints"])
    finally:
        here.server.run(f"ALTER ROLE {APP} IN DATABASE {DATABASE} RESET idle_in_transaction_session_timeout")


def test_statements_only_when_asked_and_without_values(here: Scene) -> None:
    session = here.open("SELECT 'hunter2-secret', 4711 AS number")
    here.age(AGE, session)
    assert "SELECT" not in str(kill(here, True))
    (row,) = kill(here, True, show_query=True)["sessions"]
    assert row["query"] == "SELECT ?, ? AS number"


def test_the_module_with_its_documented_keys(here: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    session = here.open()
    here.age(AGE, session)
    options = here.options(floor_seconds=0, idle_seconds=AGE)
    planned = run_module(module, capsys, True, **options)
    done = run_module(module, capsys, **options)
    documented = {line.rstrip(":") for line in module.RETURN.splitlines() if line and line[0].isalpha()}
    for result in (planned, done):
        assert documented == set(result) - {"changed", "invocation"}
        assert here.secret not in str(result)
    assert done["terminated"] == 1
