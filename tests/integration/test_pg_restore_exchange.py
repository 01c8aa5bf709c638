# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The moment at which databases change places: time, sessions, numbers, rights, replays, and what is left to a person."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils import (
    backup_load,
    backup_numbers,
    backup_server,
    backup_swap,
)
from ansible_collections.sre.runbooks.plugins.module_utils.clock import Deadline
from ansible_collections.sre.runbooks.plugins.module_utils.errors import (
    DeadlineError,
    InputError,
    RefusedError,
    RunbookError,
)
from tests.integration import backup_scene
from tests.integration.backup_scene import Scene
from tests.integration.throwaway_postgres import Throwaway, throwaway  # noqa: F401

PAIR = {"customer_db", "order_db"}
RULE: dict[str, Any] = {
    "name": "order_number",
    "database": "customer",
    "current": "SELECT last_value FROM order_number_sequence",
    "sources": [
        {"database": "customer", "query": "SELECT max(order_number) FROM outbox"},
        {"database": "order", "query": 'SELECT max("ORDER_ID") FROM "ORDER_FILLED_TOTAL"'},
    ],
    "statement": "SELECT setval('order_number_sequence', %(value)s)",
}


@pytest.fixture
def shop(throwaway: Throwaway, tmp_path: Path) -> Iterator[Scene]:  # noqa: F811
    with backup_scene.shop(throwaway, tmp_path) as scene:
        scene.sql("customer_db", "SELECT setval('order_number_sequence', 300)")
        yield scene


def state(shop: Scene) -> list[tuple[Any, ...]]:
    """Each database with all that an exchange changes of it."""
    return shop.sql(
        "postgres",
        "SELECT datname, oid, datallowconn, shobj_description(oid, 'pg_database') FROM pg_database ORDER BY datname",
    )


def given_out(shop: Scene, number: int) -> None:
    """Numbers that are given out after the backup."""
    shop.sql("customer_db", f"SELECT setval('order_number_sequence', {number})")


def sequence(shop: Scene) -> int:
    return int(shop.sql("customer_db", "SELECT last_value FROM order_number_sequence")[0][0])


def statuses(result: dict[str, Any]) -> dict[str, str]:
    return {check["id"]: check["status"] for check in result["checks"]}


@pytest.mark.parametrize("direction", ["replaced", "undone"])
@pytest.mark.parametrize("moment", range(12))
def test_time_that_runs_out_within_the_exchange_leaves_all_as_it_was(
    shop: Scene, monkeypatch: pytest.MonkeyPatch, direction: str, moment: int
) -> None:
    """At each statement in turn the whole time is used up; what takes it back has time of its own."""
    shop.backup()
    if direction == "undone":
        shop.restore("replaced")
    before = state(shop)
    do, drawn, count = backup_server.Server.do, backup_swap._all_or_none, iter(range(1000))
    exchanging: list[Any] = []

    def late(server: Any, statement: Any) -> None:
        if exchanging and next(count) == moment:
            exchanging[0]._end = exchanging[0].clock.monotonic() - 1
        do(server, statement)

    def begin(job: Any) -> Any:
        exchanging.append(job.deadline)
        return drawn(job)

    with monkeypatch.context() as patch:
        patch.setattr(backup_server.Server, "do", late)
        patch.setattr(backup_swap, "_all_or_none", begin)
        failed = False
        try:
            shop.restore(direction)
        except DeadlineError:
            failed = True
    if failed:
        assert state(shop) == before
    assert {name for name, _oid, allowed, _comment in state(shop) if name in PAIR and allowed} == PAIR
    assert shop.sql("order_db", "SELECT 1") == [(1,)]


def test_an_exchange_is_not_begun_without_time_for_it(shop: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.backup()
    before = state(shop)
    load = backup_load.Loader.load

    def slow(loader: Any, targets: Any) -> Any:
        rows = load(loader, targets)
        loader.context.deadline._end = loader.context.clock.monotonic() + 59
        return rows

    monkeypatch.setattr(backup_load.Loader, "load", slow)
    with pytest.raises(DeadlineError, match="it was not begun"):
        shop.restore("replaced")
    assert state(shop) == before


def test_copies_are_dropped_when_the_time_is_used_up(shop: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.backup()
    before = state(shop)
    fill = backup_load.Loader._fill

    def slow(loader: Any, target: Any) -> None:
        fill(loader, target)
        loader.context.deadline._end = loader.context.clock.monotonic() - 1

    monkeypatch.setattr(backup_load.Loader, "_fill", slow)
    with pytest.raises(DeadlineError):
        shop.restore("replaced")
    assert state(shop) == before


def test_what_cannot_be_taken_back_is_left_to_a_person_in_words(shop: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.backup()
    before = state(shop)
    do = backup_server.Server.do
    broken: list[str] = []

    def breaks(server: Any, statement: Any) -> None:
        if broken or '"order_db_new_x" RENAME' in str(statement):
            broken.append(str(statement))
            raise RunbookError("no")
        do(server, statement)

    with monkeypatch.context() as patch:
        patch.setattr(backup_server.Server, "do", breaks)
        patch.setattr(backup_load.Loader, "drop", lambda *_: None)
        with pytest.raises(RunbookError, match="Putting everything back failed as well") as error:
            shop.restore("replaced", drill_id="x")
    statements = error.value.details["to_run"].rsplit(" (server ", 1)[0]
    assert statements in error.value.message
    for statement in filter(None, statements.split("; ")):
        shop.sql("postgres", statement)
    assert [row for row in state(shop) if "_new_" not in row[0]] == before


def test_a_used_plan_is_no_plan_again_after_an_undo(shop: Scene) -> None:
    """What two people signed once must not hold for the state that an undo brings back."""
    shop.backup()
    shop.sql("postgres", "COMMENT ON DATABASE order_db IS 'of the shop'")
    signed = shop.restore("replaced", check=True)["plan_digest"]
    shop.restore("replaced", expected_plan=signed)
    shop.restore("undone")
    with pytest.raises(RefusedError, match="is there from an earlier undo"):
        shop.restore("replaced", expected_plan=signed)
    (stamp,) = {name.removeprefix("order_db_undone_") for name in shop.names() if name.startswith("order_db_undone_")}
    for name in PAIR:
        shop.sql("postgres", f"DROP DATABASE {name}_undone_{stamp}")
    before = state(shop)
    with pytest.raises(RefusedError, match="the plan is not the one"):
        shop.restore("replaced", expected_plan=signed)
    assert state(shop) == before
    anew = shop.restore("replaced", check=True)["plan_digest"]
    shop.restore("replaced", expected_plan=anew)
    shop.restore("undone")
    (text,) = {text for name, _oid, _open, text in state(shop) if name == "order_db"}
    assert (text.count("sre.runbooks back"), text.endswith("; of the shop")) == (1, True)


def test_a_database_that_was_put_back_is_not_ours_to_drop(shop: Scene) -> None:
    shop.backup()
    shop.restore("replaced")
    shop.restore("undone")
    with pytest.raises(RefusedError, match="was not made by a drill"):
        shop.restore("absent", databases=[{"name": "order", "into": "order_db"}])
    with closing(shop.server.connect()), pytest.raises(RefusedError, match="is there"):
        shop.restore("present")


@pytest.mark.parametrize("direction", ["replaced", "undone"])
def test_sessions_are_a_warning_for_the_plan_and_a_refusal_for_the_act(shop: Scene, direction: str) -> None:
    shop.backup()
    if direction == "undone":
        shop.restore("replaced")
    before = state(shop)
    with closing(shop.server.connect("order_db")) as somebody:
        planned = shop.restore(direction, check=True)
        assert any(row["sessions"] == 1 for row in planned["observed"]["databases"])
        assert planned["plan"]["end_sessions"] is False
        with pytest.raises(RefusedError, match=r"not to be ended: 1 to order_db\. Nothing was exchanged"):
            shop.restore(direction, expected_plan=planned["plan_digest"])
        assert state(shop) == before
        somebody.cursor().execute("SELECT 1")
    with pytest.raises(RefusedError, match="the plan is not the one"):
        shop.restore(direction, expected_plan=planned["plan_digest"], end_sessions=True)
    assert shop.restore(direction, expected_plan=planned["plan_digest"])["changed"]


@pytest.mark.parametrize("direction", ["replaced", "undone"])
def test_a_session_that_comes_while_the_backup_is_loaded(
    shop: Scene, monkeypatch: pytest.MonkeyPatch, direction: str
) -> None:
    shop.backup()
    if direction == "undone":
        shop.restore("replaced")
    before = state(shop)
    drawn = backup_swap._all_or_none
    with monkeypatch.context() as patch, Connections() as stack:

        def begin(job: Any) -> Any:
            stack.append(shop.server.connect("customer_db"))
            return drawn(job)

        patch.setattr(backup_swap, "_all_or_none", begin)
        with pytest.raises(RefusedError, match="not to be ended: 1 to customer_db"):
            shop.restore(direction)
        stack[0].cursor().execute("SELECT 1")
    assert state(shop) == before


class Connections(list[Any]):
    """Connections that are closed at the end."""

    def __enter__(self) -> Connections:
        return self

    def __exit__(self, *_: Any) -> None:
        for connection in self:
            connection.close()


def test_a_database_that_was_closed_stays_so(shop: Scene) -> None:
    shop.backup()
    shop.sql("postgres", "ALTER DATABASE order_db ALLOW_CONNECTIONS false")

    def opened() -> dict[str, bool]:
        return {name: allowed for name, _oid, allowed, _comment in state(shop) if name in PAIR}

    shop.restore("replaced")
    assert opened() == {"customer_db": True, "order_db": False}
    assert not shop.restore("replaced")["changed"]
    shop.restore("undone")
    assert opened() == {"customer_db": True, "order_db": False}


def test_an_undo_is_all_or_none(shop: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.backup()
    shop.restore("replaced")
    before = state(shop)
    end = backup_server.Server.end_sessions

    def refused(server: Any, name: str, spare: Any = ()) -> int:
        if name == "order_db":
            raise RefusedError("postgres may not end the sessions of database order_db")
        return end(server, name, spare)

    with monkeypatch.context() as patch:
        patch.setattr(backup_server.Server, "end_sessions", refused)
        with pytest.raises(RefusedError, match="may not end"):
            shop.restore("undone", end_sessions=True)
    assert state(shop) == before
    assert shop.restore("undone", end_sessions=True)["changed"]


@pytest.mark.parametrize("moment", range(12))
def test_an_undo_that_is_killed_is_completed_by_the_next_run(
    shop: Scene, monkeypatch: pytest.MonkeyPatch, moment: int
) -> None:
    class KilledError(BaseException):
        pass

    shop.backup()
    given_out(shop, 320)
    old = {name: oid for name, oid, _open, _comment in state(shop)}
    shop.restore("replaced", numbers=[RULE])
    given_out(shop, 350)
    do, count = backup_server.Server.do, iter(range(1000))

    def killed(server: Any, statement: Any) -> None:
        if next(count) >= moment:
            raise KilledError
        do(server, statement)

    with monkeypatch.context() as patch:
        patch.setattr(backup_server.Server, "do", killed)
        with pytest.raises(KilledError):
            shop.restore("undone", numbers=[RULE])
    done = shop.restore("undone", numbers=[RULE])
    now = {name: oid for name, oid, allowed, _comment in state(shop) if allowed}
    assert {name: now[name] for name in PAIR} == {name: old[name] for name in PAIR}
    assert len(shop.names()) == 4
    # Databases that the killed run closed cannot be asked any more: then that is said
    known = (sequence(shop), statuses(done)["numbers.order_number"])
    assert known in ((350, "pass"), (350, "unverified"), (320, "unverified"))
    assert known[0] == 350 or moment in (1, 2, 3)


def test_no_number_is_given_out_twice(shop: Scene) -> None:
    shop.backup()
    given_out(shop, 341)
    planned = shop.restore("replaced", check=True, numbers=[RULE])
    assert planned["plan"]["numbers"][0]["highest_before"] == "known"
    assert (sequence(shop), planned["numbers"]) == (341, [])
    given_out(shop, 342)  # while people sign
    done = shop.restore("replaced", numbers=[RULE], expected_plan=planned["plan_digest"])
    assert sequence(shop) == 342
    assert (done["numbers"][0]["current"], done["numbers"][0]["after"]) == (300, 342)
    assert done["verdict"] == "pass"
    assert statuses(done) == {"replaced.customer": "pass", "replaced.order": "pass", "numbers.order_number": "pass"}
    given_out(shop, 377)
    back = shop.restore("undone", numbers=[RULE])
    assert (sequence(shop), back["numbers"][0]["before"], back["verdict"]) == (377, 377, "pass")
    assert statuses(back) == {"undone.customer": "pass", "undone.order": "pass", "numbers.order_number": "pass"}


def test_the_highest_is_read_when_nobody_can_take_another(shop: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """A session that is ended by the restore may still have taken a number at the last moment."""
    shop.backup()
    end = backup_server.Server.end_sessions

    def at_the_last_moment(server: Any, name: str, spare: Any = ()) -> int:
        if name == "customer_db" and not taken:
            taken.append(1)
            with last.cursor() as cursor:
                cursor.execute("SELECT setval('order_number_sequence', 366)")
        return end(server, name, spare)

    taken: list[int] = []
    with closing(shop.server.connect("customer_db")) as last:
        monkeypatch.setattr(backup_server.Server, "end_sessions", at_the_last_moment)
        shop.restore("replaced", numbers=[RULE], end_sessions=True)
    assert sequence(shop) == 366


def test_numbers_are_lifted_before_anybody_is_let_in(shop: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.backup()
    given_out(shop, 341)
    lift = backup_numbers.Keeper.lift
    seen: list[set[str]] = []

    def watched(keeper: Any, *arguments: Any) -> None:
        seen.append({name for name, _oid, allowed, _comment in state(shop) if allowed and name in PAIR})
        lift(keeper, *arguments)
        seen.append({name for name, _oid, allowed, _comment in state(shop) if allowed and name in PAIR})

    monkeypatch.setattr(backup_numbers.Keeper, "lift", watched)
    shop.restore("replaced", numbers=[RULE])
    assert seen == [set(), set()]
    assert sequence(shop) == 341


def test_a_highest_number_that_is_not_known_is_said(shop: Scene) -> None:
    """customer_db is closed, and nobody knows which numbers it gave out; order_db has some of them."""
    shop.backup()
    shop.sql("order_db", 'INSERT INTO "ORDER_FILLED_TOTAL" VALUES (333, 1)')
    shop.sql("postgres", "ALTER DATABASE customer_db ALLOW_CONNECTIONS false")
    planned = shop.restore("replaced", check=True, numbers=[RULE])
    assert planned["plan"]["numbers"][0]["highest_before"] == "not known, customer cannot be asked"
    before = state(shop)
    with pytest.raises(InputError, match="at_least has 'many'"):
        shop.restore("replaced", numbers=[RULE], at_least={"order_number": "many"})
    assert state(shop) == before
    done = shop.restore("replaced", numbers=[RULE])
    assert (done["numbers"][0]["before"], done["numbers"][0]["after"]) == (333, 333)
    assert (statuses(done)["numbers.order_number"], done["verdict"]) == ("unverified", "unverified")
    assert "customer: " in done["numbers"][0]["not_read"][0]
    again = shop.restore("replaced", numbers=[RULE])
    assert (again["changed"], statuses(again)["numbers.order_number"]) == (False, "unverified")


def test_a_number_that_is_known_from_elsewhere(shop: Scene) -> None:
    shop.backup()
    shop.sql("postgres", "ALTER DATABASE order_db ALLOW_CONNECTIONS false")
    done = shop.restore("replaced", numbers=[RULE], at_least={"order_number": 420})
    assert done["plan"]["numbers"][0]["highest_before"] == "order cannot be asked; at least 420, as was said"
    assert (sequence(shop), statuses(done)["numbers.order_number"]) == (420, "pass")


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        ({"max_lift": 3}, "would go from 300 to 341"),
        ({"statement": "SELECT %(value)s"}, "is 300 after its statement"),
        ({"statement": "UPDATE nowhere SET x = %(value)s"}, "was not lifted to 341"),
    ],
)
def test_numbers_that_cannot_be_lifted_undo_everything(shop: Scene, rule: dict[str, Any], told: str) -> None:
    shop.backup()
    given_out(shop, 341)
    before = state(shop)
    with pytest.raises(RunbookError, match=told):
        shop.restore("replaced", numbers=[{**RULE, **rule}])
    assert (state(shop), sequence(shop)) == (before, 341)


def test_a_number_that_could_be_read_for_the_plan_only(shop: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.backup()
    before = state(shop)
    load = backup_load.Loader.load

    def loses(loader: Any, targets: Any) -> Any:
        shop.sql("customer_db", "ALTER TABLE outbox RENAME TO other")
        return load(loader, targets)

    monkeypatch.setattr(backup_load.Loader, "load", loses)
    with pytest.raises(RefusedError, match="could be read when the plan was made, and no longer"):
        shop.restore("replaced", numbers=[RULE])
    assert state(shop) == before


def test_numbers_belong_to_an_exchange(shop: Scene) -> None:
    shop.backup()
    with pytest.raises(InputError, match="are lifted with state replaced or undone"):
        shop.restore("scratch", numbers=[RULE])
    with pytest.raises(InputError, match="names other, which databases does not have"):
        shop.restore("replaced", numbers=[{**RULE, "database": "other"}])


def test_half_a_set_is_refused(shop: Scene) -> None:
    shop.backup()
    part = [{"name": "order"}]
    before = state(shop)
    for direction in ("replaced", "undone"):
        for check in (True, False):
            with pytest.raises(InputError, match=f"also holds customer: databases of a set are {direction} together"):
                shop.restore(direction, check, databases=part)
    assert state(shop) == before
    assert shop.restore("replaced", databases=part, allow_part=True)["changed"]
    assert shop.restore("undone", databases=part, allow_part=True)["changed"]


@pytest.mark.parametrize("lost", [{"order_db"}, PAIR])
def test_lost_databases_are_made_with_the_others(shop: Scene, lost: set[str]) -> None:
    shop.backup()
    given_out(shop, 341)
    for name in lost:
        shop.sql("postgres", f"DROP DATABASE {name}")
    planned = shop.restore("replaced", check=True, numbers=[RULE])
    actions = {row["database"]: row["action"] for row in planned["plan"]["databases"]}
    assert actions == {name: "create" if name in lost else "replace" for name in PAIR}
    assert shop.names() == PAIR - lost
    done = shop.restore("replaced", expected_plan=planned["plan_digest"], numbers=[RULE])
    assert shop.sql("order_db", 'SELECT count(*) FROM "ORDER_FILLED_TOTAL"') == [(300,)]
    assert sequence(shop) == (300 if "customer_db" in lost else 341)
    assert statuses(done)["numbers.order_number"] == "unverified"
    assert not shop.restore("replaced")["changed"]
    with pytest.raises(RefusedError, match="There is nothing to bring back"):
        shop.restore("undone")


def test_copies_of_a_restore_that_was_killed_are_told(shop: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """A later restore with another id does not know whether they are still wanted."""
    shop.backup()
    with monkeypatch.context() as patch:
        patch.setattr(backup_swap, "_rename", lambda *_: 1 / 0)
        patch.setattr(backup_swap.Rollback, "run", lambda *_: None)
        patch.setattr(backup_load.Loader, "drop", lambda *_: None)
        with pytest.raises(ZeroDivisionError):
            shop.restore("replaced", drill_id="one")
    done = shop.restore("replaced", drill_id="two")
    assert {row["database"] for row in done["leftovers"]} == {f"{name}_new_one" for name in PAIR}
    assert {name for name, _oid, allowed, _comment in state(shop) if name in PAIR and allowed} == PAIR


@pytest.mark.parametrize("moment", range(0, 13, 2))
def test_a_swap_that_makes_a_lost_database_and_is_killed(
    shop: Scene, monkeypatch: pytest.MonkeyPatch, moment: int
) -> None:
    class KilledError(BaseException):
        pass

    shop.backup()
    shop.sql("postgres", "DROP DATABASE customer_db")
    shop.sql("order_db", 'TRUNCATE "ORDER_FILLED_TOTAL"')
    do, swap, count = backup_server.Server.do, backup_swap.swap, iter(range(1000))
    exchanging: list[int] = []

    def killed(server: Any, statement: Any) -> None:
        if exchanging and next(count) >= moment:
            raise KilledError
        do(server, statement)

    def begin(*arguments: Any) -> int:
        exchanging.append(1)
        return swap(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(backup_server.Server, "do", killed)
        patch.setattr(backup_swap, "swap", begin)
        patch.setattr(backup_load.Loader, "drop", lambda *_: None)
        with suppress(KilledError):
            shop.restore("replaced")
    planned = shop.restore("replaced", check=True)
    shop.restore("replaced", expected_plan=planned["plan_digest"])
    assert shop.sql("order_db", 'SELECT count(*) FROM "ORDER_FILLED_TOTAL"') == [(300,)]
    assert shop.sql("customer_db", "SELECT count(*) FROM customers") == [(500,)]
    assert len(shop.names()) == 3


def test_what_a_restore_renamed_away_is_no_lost_database(shop: Scene) -> None:
    """Also where the name is so long that the derived one is cut."""
    long = "order_db_" + "x" * 50
    databases = [{"name": "customer"}, {"name": "order", "into": long}]
    shop.backup()
    shop.sql("postgres", f"CREATE DATABASE {long}")
    shop.restore("replaced", databases=databases, drill_id="one")
    shop.sql("postgres", f"DROP DATABASE {long}")
    with pytest.raises(RefusedError, match=r"is what a restore renamed away: .*drill_id one"):
        shop.restore("replaced", databases=databases, drill_id="two")


def test_hidden_sessions_are_not_none(shop: Scene) -> None:
    """An owner who may not see the sessions of others: they count, and are no surprise after the load."""
    shop.sql("postgres", "CREATE ROLE keeper LOGIN CREATEDB PASSWORD 'keeper-of-shops'", "CREATE ROLE stranger")
    for name in PAIR:
        shop.sql("postgres", f"ALTER DATABASE {name} OWNER TO keeper")
    shop.backup()
    narrow: dict[str, Any] = {"login_user": "keeper", "login_password": "keeper-of-shops", "owners": "none"}
    before = state(shop)
    with closing(shop.server.connect("order_db")):
        for check in (True, False):
            with pytest.raises(
                RefusedError, match=r'cannot see 1 of the sessions .* GRANT pg_read_all_stats.* "keeper"'
            ):
                shop.restore("replaced", check, end_sessions=True, **narrow)
        shop.sql("postgres", "GRANT pg_read_all_stats TO keeper")
        assert shop.restore("replaced", True, end_sessions=True, **narrow)["changed"]
        with pytest.raises(RefusedError, match="keeper may not end the sessions of database order_db: GRANT"):
            shop.restore("replaced", end_sessions=True, **narrow)
    assert state(shop) == before


def test_a_role_that_may_only_be_given_is_none_to_act_as(shop: Scene) -> None:
    """ADMIN OPTION alone makes no owner, on PostgreSQL 16 and newer."""
    shop.sql("postgres", "CREATE ROLE shop_owner", "CREATE ROLE keeper LOGIN CREATEDB PASSWORD 'keeper-of-shops'")
    shop.sql("postgres", "GRANT shop_owner TO keeper WITH ADMIN TRUE, INHERIT FALSE, SET FALSE")
    for name in PAIR:
        shop.sql("postgres", f"ALTER DATABASE {name} OWNER TO shop_owner")
        shop.sql(name, "CREATE TABLE owned ()", "ALTER TABLE owned OWNER TO shop_owner")
    shop.backup()
    narrow: dict[str, Any] = {"login_user": "keeper", "login_password": "keeper-of-shops"}
    with pytest.raises(RefusedError, match="keeper does not own"):
        shop.restore("replaced", True, **narrow)
    shop.sql("postgres", "GRANT shop_owner TO keeper WITH INHERIT TRUE, SET FALSE")
    with pytest.raises(RefusedError, match=r"lacks the roles .*shop_owner"):
        shop.restore("replaced", True, **narrow)


def test_signers_see_whose_backup_it_is(shop: Scene) -> None:
    made = shop.backup()["backup"]
    (row, _other) = shop.restore("replaced", True)["plan"]["databases"]
    assert (row["backup_of"], row["source_system_identifier"]) == ("this server", row["system_identifier"])
    manifest = Path(made["folder"]) / "manifest.json"
    manifest.write_text(manifest.read_text().replace(row["system_identifier"], "7000000000000000001"))
    (row, _other) = shop.restore("replaced", True)["plan"]["databases"]
    assert (row["backup_of"], row["source_system_identifier"]) == ("another server", "7000000000000000001")


def test_a_deadline_of_its_own_ends_with_its_use(shop: Scene) -> None:
    """What mends has time of its own; what comes after it has not."""
    from ansible_collections.sre.runbooks.plugins.module_utils import postgres
    from ansible_collections.sre.runbooks.plugins.module_utils.clock import Clock

    clock = Clock()
    spent = Deadline(60.0, clock)
    login = {"host": "127.0.0.1", "port": str(shop.server.port), "user": "postgres", "password": shop.server.password}
    params = {"sslmode": None, "ca_path": None, "connect_timeout_seconds": 5.0, "statement_timeout_ms": 10_000}
    with postgres.session({**login, "dbname": "postgres"}, params, spent, None, False) as session:
        server = backup_server.Server(session, spent, clock)
        spent._end = clock.monotonic() - 1
        with pytest.raises(DeadlineError):
            server.do(backup_server.comment("order_db", "x"))
        with server.mending():
            server.do(backup_server.comment("order_db", "x"))
        with pytest.raises(DeadlineError):
            server.do(backup_server.comment("order_db", None))
