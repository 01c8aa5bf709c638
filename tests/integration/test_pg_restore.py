# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Restores on a real server: drills beside, pairs that are swapped, and runs that are cut off."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pyrage
import pytest

from ansible_collections.sre.runbooks.plugins.module_utils import backup_load, backup_server, backup_swap
from ansible_collections.sre.runbooks.plugins.module_utils.errors import InputError, RefusedError, RunbookError
from tests.integration import backup_scene
from tests.integration.backup_scene import Scene
from tests.integration.throwaway_postgres import Throwaway, throwaway  # noqa: F401

PAIR = {"customer_db", "order_db"}


@pytest.fixture
def shop(throwaway: Throwaway, tmp_path: Path) -> Iterator[Scene]:  # noqa: F811
    with backup_scene.shop(throwaway, tmp_path) as scene:
        yield scene


def numbers(shop: Scene, suffix: str = "") -> tuple[int, int]:
    """Rows of the two databases."""
    ((customers,),) = shop.sql(f"customer_db{suffix}", "SELECT count(*) FROM customers")
    ((totals,),) = shop.sql(f"order_db{suffix}", 'SELECT count(*) FROM "ORDER_FILLED_TOTAL"')
    return customers, totals


def comment(shop: Scene, name: str) -> str:
    return str(
        shop.sql("postgres", f"SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = '{name}'")[
            0
        ][0]
    )


def lose(shop: Scene) -> None:
    shop.sql("customer_db", "DELETE FROM customers WHERE id > 100")
    shop.sql("order_db", 'TRUNCATE "ORDER_FILLED_TOTAL"')


def test_a_drill_beside_that_is_cleaned_up(shop: Scene) -> None:
    shop.backup()
    planned = shop.restore("scratch", check=True, drill_id="one")
    assert planned["changed"]
    assert shop.names() == PAIR
    done = shop.restore("scratch", drill_id="one", expected_plan=planned["plan_digest"])
    assert done["plan_digest"] == planned["plan_digest"]
    assert {row["database"] for row in done["restored"]} == {"customer_db_drill_one", "order_db_drill_one"}
    assert numbers(shop, "_drill_one") == (500, 300)
    assert comment(shop, "order_db_drill_one").startswith("sre.runbooks drill one by ")
    again = shop.restore("scratch", drill_id="one")
    assert (again["changed"], again["restored"]) == (False, [])
    shop.sql("postgres", "CREATE DATABASE decoy_drill_one")
    gone = shop.restore("absent", check=True, drill_id="one")
    assert (gone["changed"], len(shop.names())) == (True, 5)
    gone = shop.restore("absent", drill_id="one")
    assert sorted(gone["removed"]) == ["customer_db_drill_one", "order_db_drill_one"]
    assert shop.names() == {*PAIR, "decoy_drill_one"}
    assert not shop.restore("absent", drill_id="one")["changed"]


def test_nothing_is_dropped_without_our_comment(shop: Scene) -> None:
    shop.backup()
    into = [{"name": "customer", "into": "order_db"}]
    with pytest.raises(RefusedError, match="was not made by a drill"):
        shop.restore("scratch", databases=into)
    with pytest.raises(RefusedError, match="was not made by a drill"):
        shop.restore("absent", databases=into)
    with pytest.raises(InputError, match="database of PostgreSQL itself"):
        shop.restore("scratch", databases=[{"name": "customer", "into": "postgres"}])
    with pytest.raises(InputError, match="drops nothing that is not named"):
        shop.restore("absent")
    assert numbers(shop) == (500, 300)


@pytest.mark.parametrize("encrypted", [False, True])
def test_the_pair_is_replaced_and_put_back(shop: Scene, tmp_path: Path, encrypted: bool) -> None:
    key = pyrage.x25519.Identity.generate()
    identity = tmp_path / "identity"
    identity.write_text(str(key))
    shop.backup(recipients=[str(key.to_public())] if encrypted else [])
    shop.sql(
        "postgres", "COMMENT ON DATABASE order_db IS 'of the shop'", "ALTER DATABASE order_db SET work_mem = '7MB'"
    )
    shop.sql(
        "postgres",
        'ALTER DATABASE order_db SET search_path = "$user", public',
        "REVOKE CONNECT ON DATABASE order_db FROM PUBLIC",
    )
    lose(shop)
    options = {"drill_id": "now", "identity_file": str(identity) if encrypted else None, "end_sessions": True}
    planned = shop.restore("replaced", check=True, **options)
    assert [row["action"] for row in planned["plan"]["databases"]] == ["replace", "replace"]
    assert (shop.names(), numbers(shop)) == (PAIR, (100, 0))
    with closing(shop.server.connect("order_db")) as leaking:
        done = shop.restore("replaced", expected_plan=planned["plan_digest"], **options)
        with pytest.raises(Exception, match="terminat"):
            leaking.cursor().execute("SELECT 1")
    assert done["sessions_ended"] == 1
    assert numbers(shop) == (500, 300)
    assert shop.names() == PAIR | {"customer_db_before_now", "order_db_before_now"}
    assert comment(shop, "order_db").endswith("; of the shop")
    assert shop.sql("order_db", "SHOW work_mem")[0][0] == "7MB"
    assert shop.sql("order_db", "SHOW search_path")[0][0] == '"$user", public'
    assert shop.sql("postgres", "SELECT datacl::text LIKE '%=c/%' FROM pg_database WHERE datname = 'order_db'") == [
        (False,)
    ]
    assert not shop.restore("replaced", **options)["changed"]

    shop.sql("customer_db", "INSERT INTO customers (name) VALUES ('after')")
    assert shop.restore("undone", check=True, **options)["changed"]
    back = shop.restore("undone", **options)
    assert back["changed"]
    assert numbers(shop) == (100, 0)
    assert comment(shop, "order_db").startswith("sre.runbooks back now by ")
    assert comment(shop, "order_db").endswith("; of the shop")
    assert shop.names() == PAIR | {"customer_db_undone_now", "order_db_undone_now"}
    assert not shop.restore("undone", **options)["changed"]


def test_a_plan_that_is_no_longer_true_is_refused(shop: Scene) -> None:
    shop.backup()
    planned = shop.restore("replaced", check=True)
    shop.sql("postgres", "ALTER DATABASE customer_db RENAME TO other", "CREATE DATABASE customer_db")
    with pytest.raises(RefusedError, match="the plan is not the one"):
        shop.restore("replaced", expected_plan=planned["plan_digest"])
    assert shop.names() == {*PAIR, "other"}


def damage(path: Path, kind: str) -> None:
    content = path.read_bytes()
    if kind == "missing":
        path.unlink()
    elif kind == "truncated":
        path.write_bytes(content[: len(content) // 2])
    else:
        path.write_bytes(content[:1000] + bytes([content[1000] ^ 1]) + content[1001:])


@pytest.mark.parametrize("kind", ["missing", "truncated", "corrupt"])
def test_a_damaged_dump_is_refused_before_anything_is_touched(shop: Scene, kind: str) -> None:
    made = shop.backup()["backup"]
    damage(Path(made["folder"]) / "order.dump", kind)
    with pytest.raises(RunbookError) as error:
        shop.restore("replaced", backup=made["id"])
    assert "order.dump" in error.value.message
    assert (shop.names(), numbers(shop)) == (PAIR, (500, 300))


def test_a_wrong_key_is_refused(shop: Scene, tmp_path: Path) -> None:
    right, wrong = (pyrage.x25519.Identity.generate() for _ in range(2))
    shop.backup(recipients=[str(right.to_public())])
    with pytest.raises(InputError, match="give identity_file"):
        shop.restore("scratch")
    (tmp_path / "identity").write_text(f"# of another\n{wrong}\n")
    with pytest.raises(InputError, match="encrypted to other keys"):
        shop.restore("scratch", identity_file=str(tmp_path / "identity"))
    (tmp_path / "identity").write_text("AGE-SECRET-KEY-1NONSENSE")
    with pytest.raises(InputError, match="no private key of age") as error:
        shop.restore("scratch", identity_file=str(tmp_path / "identity"))
    assert "NONSENSE" not in error.value.message
    assert shop.names() == PAIR


def test_a_copy_that_differs_is_never_swapped_in(shop: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.backup()
    fill = backup_load.Loader._fill

    def one_row_short(loader: Any, target: Any) -> None:
        fill(loader, target)
        if target.saved.name == "order":
            shop.sql(target.staging, 'DELETE FROM "ORDER_FILLED_TOTAL" WHERE "ORDER_ID" = 7')

    monkeypatch.setattr(backup_load.Loader, "_fill", one_row_short)
    with pytest.raises(backup_load.DifferentError, match="ORDER_FILLED_TOTAL has 299 rows, not 300"):
        shop.restore("replaced")
    assert (shop.names(), numbers(shop)) == (PAIR, (500, 300))


def refusing(words: str) -> Any:
    """``Server.do``, but that it refuses the statements with these words."""
    do = backup_server.Server.do

    def refuse(server: Any, statement: Any) -> None:
        if words in str(statement):
            raise RunbookError("no")
        do(server, statement)

    return refuse


class KilledError(BaseException):
    """As if the process had ended here: nothing is cleaned up after it."""


@pytest.mark.parametrize("moment", range(14))
def test_a_swap_that_is_killed_is_settled_by_the_next_run(
    shop: Scene, monkeypatch: pytest.MonkeyPatch, moment: int
) -> None:
    """At each statement of the swap in turn; the undo of a living process is switched off."""
    shop.backup()
    lose(shop)
    done = backup_server.Server.do
    swapping = threading.Event()
    count = iter(range(1000))

    def killed(server: Any, *arguments: Any) -> None:
        if swapping.is_set() and next(count) >= moment:
            raise KilledError
        done(server, *arguments)

    swap = backup_swap.swap

    def begin(*arguments: Any) -> int:
        swapping.set()
        return swap(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(backup_server.Server, "do", killed)
        patch.setattr(backup_swap, "swap", begin)
        patch.setattr(backup_load.Loader, "drop", lambda *_: None)
        with pytest.raises(KilledError):
            shop.restore("replaced")
    planned = shop.restore("replaced", check=True)
    shop.restore("replaced", expected_plan=planned["plan_digest"])
    assert numbers(shop) == (500, 300)
    assert len(shop.names()) == 4
    assert not shop.restore("replaced")["changed"]
    shop.restore("undone")
    assert numbers(shop) == (100, 0)


def test_a_failure_within_the_swap_leaves_all_as_it_was(shop: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.backup()
    lose(shop)
    with monkeypatch.context() as patch:
        patch.setattr(backup_server.Server, "do", refusing('"order_db_new_x" RENAME'))
        with pytest.raises(RunbookError, match=r"^no$"):
            shop.restore("replaced", drill_id="x")
    assert (shop.names(), numbers(shop)) == (PAIR, (100, 0))
    assert comment(shop, "customer_db") == "None"
    shop.restore("replaced", drill_id="x", keep_old=False)
    assert (shop.names(), numbers(shop)) == (PAIR, (500, 300))


def test_a_killed_drill_is_removed_by_the_next_run(shop: Scene) -> None:
    """A process that is killed with -9 while it restores leaves databases with a comment, and no lock."""
    shop.backup()
    half = {"customer_db_drill_killed", "order_db_drill_killed"}
    child = os.fork()
    if child == 0:
        backup_load.Loader._fill = lambda *_: time.sleep(60)  # type: ignore[method-assign]  both are under way until the kill
        try:
            shop.restore("scratch", drill_id="killed")
        finally:
            os._exit(0)
    until = time.monotonic() + 60
    while not half <= shop.names() or any("None" in comment(shop, name) for name in half):
        assert time.monotonic() < until
        time.sleep(0.01)
    with pytest.raises(RefusedError, match="is alive"):
        shop.restore("absent", drill_id="killed")
    os.kill(child, 9)
    os.waitpid(child, 0)
    while shop.sql("postgres", "SELECT FROM pg_locks WHERE locktype = 'advisory'"):
        assert time.monotonic() < until
        time.sleep(0.05)
    planned = shop.restore("scratch", check=True, drill_id="next")
    assert set(planned["plan"]["remove"]) == half
    done = shop.restore("scratch", drill_id="next")
    assert set(done["removed"]) == half
    assert shop.names() == PAIR | {"customer_db_drill_next", "order_db_drill_next"}


def test_present_makes_a_new_database_only(shop: Scene) -> None:
    shop.backup()
    with pytest.raises(RefusedError, match="makes a new one only"):
        shop.restore("present")
    into = [{"name": "customer", "into": 'Copy "2"'}]
    assert shop.restore("present", databases=into)["changed"]
    assert shop.sql('Copy "2"', "SELECT count(*) FROM customers") == [(500,)]
    assert not shop.restore("present", databases=into)["changed"]


def test_owners_and_rights(shop: Scene) -> None:
    shop.sql("postgres", "CREATE ROLE shop_owner")
    shop.sql("order_db", 'ALTER TABLE "ORDER_FILLED_TOTAL" OWNER TO shop_owner')
    shop.backup()
    shop.restore("scratch", drill_id="a")
    owner = "SELECT tableowner FROM pg_tables WHERE tablename = 'ORDER_FILLED_TOTAL'"
    assert shop.sql("order_db_drill_a", owner) == [("shop_owner",)]
    shop.restore("absent", drill_id="a")
    shop.sql("order_db", 'ALTER TABLE "ORDER_FILLED_TOTAL" OWNER TO postgres')
    shop.sql("postgres", "DROP ROLE shop_owner")
    with pytest.raises(RefusedError, match="lacks the roles shop_owner"):
        shop.restore("replaced")
    done = shop.restore("scratch", drill_id="b")
    assert [row["owners"] for row in done["plan"]["databases"]] == ["keep", "none"]
    assert shop.sql("order_db_drill_b", owner) == [("postgres",)]


def test_limits_and_bad_input(shop: Scene) -> None:
    with pytest.raises(InputError, match="has no whole backup"):
        shop.restore("scratch")
    shop.backup()
    for options, told in (
        ({"backup": "shop-1"}, "give 'newest' or an id"),
        ({"backup": "shop-20200101T000000Z"}, "has no backup shop-20200101T000000Z"),
        ({"databases": [{"name": "other"}]}, "holds no database 'other'; it holds customer, order"),
        ({"drill_id": "No Id"}, "it becomes part of names"),
        ({"jobs": 0}, "from 1 to 64"),
        ({"bin_dir": "/nowhere"}, "pg_restore is not in /nowhere"),
        ({"server_free_bytes": 1000}, "has 0 MB free"),
    ):
        with pytest.raises(RunbookError, match=told):
            shop.restore("scratch", **options)
    assert shop.names() == PAIR


def test_jobs_restore_a_streamed_dump(shop: Scene) -> None:
    shop.backup()
    shop.restore("scratch", drill_id="jobs", jobs=3)
    assert numbers(shop, "_drill_jobs") == (500, 300)


def test_narrow_roles(shop: Scene) -> None:
    """Each database is backed up by its own user, and restored for a drill by one who may only make databases."""
    roles = ("customer_user", "order_user", "restorer")
    shop.sql("postgres", *(f"CREATE ROLE {role} LOGIN PASSWORD 'narrow-{role}'" for role in roles))
    shop.sql("postgres", "ALTER ROLE restorer CREATEDB")
    databases = []
    for name in ("customer", "order"):
        user = f"{name}_user"
        shop.sql("postgres", f"ALTER DATABASE {name}_db OWNER TO {user}")
        shop.sql(
            f"{name}_db",
            f"DO $$ DECLARE r record; BEGIN FOR r IN SELECT c.oid::regclass AS name, c.relkind FROM pg_class c WHERE "
            "c.relnamespace = 'public'::regnamespace AND (c.relkind = 'r' OR (c.relkind = 'S' AND c.relname LIKE 'order%')) "
            f"LOOP EXECUTE format('ALTER %s %s OWNER TO {user}', CASE r.relkind WHEN 'r' THEN 'TABLE' ELSE 'SEQUENCE' END, "
            "r.name); END LOOP; END $$",
        )
        login = {"login_user": user, "login_password": f"narrow-{user}"}
        databases.append({"name": name, "login_db": f"{name}_db", **login})
    made = shop.backup(databases=databases)["backup"]
    assert [row["marker"]["id"] for row in made["databases"]] == [1, 1]
    narrow = {"login_user": "restorer", "login_password": "narrow-restorer", "drill_id": "narrow"}
    done = shop.restore("scratch", **narrow)
    assert [row["owners"] for row in done["plan"]["databases"]] == ["none", "none"]
    assert done["plan"]["databases"][0]["missing_roles"] == ["customer_user"]
    assert numbers(shop, "_drill_narrow") == (500, 300)
    with pytest.raises(RefusedError, match=r"restorer does not own customer_db .* which belongs to customer_user"):
        shop.restore("replaced", **narrow)
    with pytest.raises(RefusedError, match="may not make databases: ALTER ROLE customer_user CREATEDB"):
        login = {"login_user": "customer_user", "login_password": "narrow-customer_user", "owners": "none"}
        shop.restore("scratch", databases=[{"name": "customer", "into": "another"}], **login)
    shop.restore("absent", **narrow)
    assert shop.names() == PAIR


def test_every_key_is_documented(shop: Scene) -> None:
    from ansible_collections.sre.runbooks.plugins.modules import pg_backup, pg_restore

    for module, results in (
        (pg_backup, (shop.backup(check=True), shop.backup())),
        (
            pg_restore,
            (shop.restore("scratch", check=True), shop.restore("scratch"), shop.restore("absent", drill_id="x")),
        ),
    ):
        judged = {"verdict", "checks", "findings"}  # of an exchange only
        documented = {line.rstrip(":") for line in module.RETURN.splitlines() if line and line[0].isalpha()} - judged
        for result in results:
            assert documented == set(result) - {"changed"}
