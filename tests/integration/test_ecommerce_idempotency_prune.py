# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""ecommerce_idempotency_prune on real servers, the oldest and the newest major: what it deletes, what it leaves, what it copies."""

from __future__ import annotations

import hashlib
import json
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils import ecommerce_idempotency_prune as prune_module
from ansible_collections.sre.runbooks.plugins.module_utils.clock import Clock, Deadline
from ansible_collections.sre.runbooks.plugins.module_utils.errors import InputError, RefusedError, RunbookError
from ansible_collections.sre.runbooks.plugins.module_utils.operation import Context
from tests.integration import ecommerce_scene
from tests.integration.ecommerce_scene import CUSTOMER, DECOY, READER, Shop
from tests.support import postgres_majors

DEFAULTS = {name: option.get("default") for name, option in prune_module.SPEC.options.items()}
DAY = 86_400
Result = dict[str, Any]


@pytest.fixture(scope="module", params=[postgres_majors.MAJORS[0], postgres_majors.NEWEST])
def made(request: pytest.FixtureRequest) -> Iterator[Shop]:
    with ecommerce_scene.running(request.param) as shop:
        yield shop


@pytest.fixture
def shop(made: Shop) -> Shop:
    made.clear()
    return made


@pytest.fixture
def audit(tmp_path: Path) -> Path:
    folder = tmp_path / "audit"
    folder.mkdir()
    return folder


def prune(shop: Shop, audit: Path, check: bool = False, diff: bool = False, **options: Any) -> Result:
    warned: list[str] = []
    params = {**DEFAULTS, **shop.owner(audit_directory=str(audit)), **options}
    context = Context(check_mode=check, diff=diff, deadline=Deadline(60.0, Clock()), warn=warned.append)
    return {**prune_module.run(params, context), "warned": warned}


def keys(shop: Shop, database: str = CUSTOMER) -> list[str]:
    return [
        key for (key,) in shop.run("SELECT idempotency_key FROM checkout_idempotency ORDER BY 1", database=database)
    ]


def outcomes(result: Result) -> dict[str, str]:
    return {row["key_sha256"]: row["outcome"] for row in result["rows"]}


def name(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()[:16]


def some(shop: Shop) -> None:
    shop.answer("old-1", expired=3 * DAY)
    shop.answer("old-2", expired=2 * DAY)
    shop.answer("young", expired=3600)
    shop.answer("alive", expired=-3600)
    shop.answer("old-1", expired=3 * DAY, database=DECOY)


def test_it_copies_and_deletes_what_expired_and_nothing_else(shop: Shop, audit: Path) -> None:
    some(shop)
    whole = dict(shop.run("SELECT idempotency_key, to_jsonb(t) FROM checkout_idempotency t"))
    before = shop.content()
    planned = prune(shop, audit, check=True, diff=True)
    assert (planned["changed"], planned["planned"], planned["deleted"], planned["audit"]) == (True, 2, 0, None)
    assert outcomes(planned) == {name("old-1"): "would_delete", name("old-2"): "would_delete"}
    assert (planned["diff"]["before"].count("\n"), planned["diff"]["after"]) == (2, "")
    assert shop.content() == before
    assert list(audit.iterdir()) == []

    done = prune(shop, audit, diff=True)
    assert (done["changed"], done["planned"], done["deleted"], done["left"]) == (True, 2, 2, 0)
    assert [{**row, "outcome": ""} for row in done["rows"]] == [{**row, "outcome": ""} for row in planned["rows"]]
    assert done["diff"] == planned["diff"]
    assert keys(shop) == ["alive", "young"]
    assert keys(shop, DECOY) == ["old-1"]
    (copy,) = audit.iterdir()
    content = copy.read_bytes()
    assert done["audit"] == {
        "path": str(copy),
        "rows": 2,
        "size_bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    header, *rows = [json.loads(line) for line in content.splitlines()]
    assert (header["database"], header["time_zone"], header["responses"]) == (CUSTOMER, "UTC", True)
    assert rows == [whole["old-1"], whole["old-2"]]
    assert "old-1" not in json.dumps(done["rows"])

    again = prune(shop, audit, diff=True)
    assert (again["changed"], again["planned"], again["audit"]) == (False, 0, None)
    assert "diff" not in again
    assert list(audit.iterdir()) == [copy]


def test_answers_can_be_left_out_of_the_copy(shop: Shop, audit: Path) -> None:
    shop.answer("old", expired=2 * DAY)
    prune(shop, audit, audit_responses=False)
    (copy,) = audit.iterdir()
    row = json.loads(copy.read_text().splitlines()[1])
    assert "response_body" not in row
    assert row["idempotency_key"] == "old"


def test_without_a_copy_nothing_is_deleted(shop: Shop, audit: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.answer("old", expired=2 * DAY)
    with pytest.raises(InputError, match="is no folder"):
        prune(shop, audit / "missing")

    def full(*args: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(RunbookError, match=r"No space left on device\. Nothing was deleted"):
        prune(shop, audit)
    monkeypatch.undo()
    assert keys(shop) == ["old"]
    assert list(audit.iterdir()) == []


def between(monkeypatch: pytest.MonkeyPatch, function: str, act: Any) -> None:
    """Does something just before this function of the module is called for the first time."""
    original = getattr(prune_module, function)
    calls: list[Any] = []

    def first(*args: Any) -> Any:
        if not calls:
            calls.append(act())
        return original(*args)

    monkeypatch.setattr(prune_module, function, first)


def test_what_was_renewed_after_it_was_read_stays(shop: Shop, audit: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(4):
        shop.answer(f"old-{number}", expired=2 * DAY)

    def before_the_copy() -> None:
        shop.run(
            "UPDATE checkout_idempotency SET expires_at = now() + interval '1 day' WHERE idempotency_key = 'old-0'"
        )

    def before_the_end() -> None:
        shop.run("DELETE FROM checkout_idempotency WHERE idempotency_key = 'old-1'")
        shop.run("UPDATE checkout_idempotency SET response_body = 'another' WHERE idempotency_key = 'old-2'")

    between(monkeypatch, "_copy", before_the_copy)
    between(monkeypatch, "_delete", before_the_end)
    done = prune(shop, audit)
    assert outcomes(done) == {
        name("old-0"): "changed",
        name("old-1"): "gone",
        name("old-2"): "changed",
        name("old-3"): "deleted",
    }
    assert keys(shop) == ["old-0", "old-2"]
    assert (done["deleted"], done["audit"]["rows"], done["left"]) == (1, 3, 1)


def test_when_all_were_renewed_nothing_has_changed(shop: Shop, audit: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.answer("old", expired=2 * DAY)
    between(
        monkeypatch, "_copy", lambda: shop.run("UPDATE checkout_idempotency SET expires_at = now() + interval '1 day'")
    )
    done = prune(shop, audit)
    assert (done["changed"], done["planned"], done["deleted"], done["audit"]) == (False, 1, 0, None)
    assert list(audit.iterdir()) == []


def test_a_row_that_a_checkout_holds_is_not_waited_for(shop: Shop, audit: Path) -> None:
    shop.answer("old-1", expired=3 * DAY)
    shop.answer("old-2", expired=2 * DAY)
    with closing(shop.server.connect(CUSTOMER)) as connection, connection.cursor() as cursor:
        cursor.execute("BEGIN; SELECT * FROM checkout_idempotency WHERE idempotency_key = 'old-1' FOR UPDATE")
        done = prune(shop, audit)
    assert outcomes(done) == {name("old-1"): "in_use", name("old-2"): "deleted"}
    assert (keys(shop), done["left"]) == (["old-1"], 1)


def test_a_table_that_is_locked_is_waited_for_shortly(shop: Shop, audit: Path) -> None:
    shop.answer("old", expired=2 * DAY)
    with closing(shop.server.connect(CUSTOMER)) as connection, connection.cursor() as cursor:
        cursor.execute("BEGIN; LOCK TABLE checkout_idempotency IN SHARE MODE")
        with pytest.raises(RunbookError, match=r"lock timeout.*run again") as failed:
            prune(shop, audit, lock_timeout_ms=50)
    assert (failed.value.details["changed"], failed.value.details["deleted"]) == (False, 0)
    assert keys(shop) == ["old"]
    assert prune(shop, audit)["deleted"] == 1


def test_a_connection_that_is_lost_leaves_nothing_half_done(
    shop: Shop, audit: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.answer("old", expired=2 * DAY)
    own = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'sre.runbooks'"
    between(monkeypatch, "_delete", lambda: shop.run(own, database="postgres"))
    with pytest.raises(RunbookError, match=r"the connection was lost.*run again") as failed:
        prune(shop, audit)
    told = failed.value.details
    assert (told["changed"], told["deleted"], told["audit"]["rows"]) == (False, 0, 1)
    assert [row["outcome"] for row in told["rows"]] == ["unknown"]
    monkeypatch.undo()
    assert prune(shop, audit)["deleted"] == 1


def test_batches(shop: Shop, audit: Path) -> None:
    for number in range(5):
        shop.answer(f"old-{number}", expired=2 * DAY + number)
    assert prune(shop, audit, batch_rows=2)["deleted"] == 5
    assert keys(shop) == []


def test_more_than_a_run_may_prune(shop: Shop, audit: Path) -> None:
    for number in range(3):
        shop.answer(f"old-{number}", expired=2 * DAY + number)
    for check in (True, False):
        with pytest.raises(RefusedError, match="3 rows expired, and max_rows is 2"):
            prune(shop, audit, check=check, max_rows=2)
    assert len(keys(shop)) == 3
    done = prune(shop, audit, max_rows=2, beyond_limits="withhold")
    assert (done["deleted"], done["withheld"], done["left"]) == (2, 1, 1)
    assert keys(shop) == ["old-0"], "those that expired first are gone"
    assert "1 more rows" in done["warned"][0]
    assert prune(shop, audit, max_rows=2)["deleted"] == 1


def test_a_wrong_zone_deletes_no_valid_answer(shop: Shop, audit: Path) -> None:
    """Written in a zone 11 hours behind: by UTC it has expired, and it is valid for an hour yet."""
    shop.answer("valid", expired=-3600, zone="Pacific/Pago_Pago")
    assert prune(shop, audit)["planned"] == 0
    with pytest.raises(InputError, match="time_zone is not set"):
        prune(shop, audit, grace_seconds=60)
    assert prune(shop, audit, grace_seconds=60, time_zone="Pacific/Pago_Pago")["planned"] == 0
    shop.clear()
    shop.answer("ahead", expired=2 * DAY)
    shop.answer("new", expired=-DAY, zone="Asia/Tokyo")
    with pytest.raises(RefusedError, match="ahead of the server's clock"):
        prune(shop, audit)
    assert prune(shop, audit, time_zone="Asia/Tokyo")["deleted"] == 1


def test_rights_are_asked_for_before_anything_is_copied(shop: Shop, audit: Path) -> None:
    shop.answer("old", expired=2 * DAY)
    for check in (True, False):
        with pytest.raises(RefusedError, match="GRANT SELECT, UPDATE, DELETE ON checkout_idempotency TO sre_runbooks"):
            prune(shop, audit, check=check, login_user=READER, login_password=shop.secret)
    with pytest.raises(RunbookError, match="does not exist"):
        prune(shop, audit, databases=[{"name": CUSTOMER, "login_db": "postgres"}])
    with pytest.raises(RunbookError, match="Nothing was deleted"):
        prune(shop, audit, login_port=1)
    assert keys(shop) == ["old"]
    assert list(audit.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"max_rows": 0}, "max_rows is 0"),
        ({"batch_rows": 0}, "batch_rows is 0"),
        ({"grace_seconds": -1}, "grace_seconds is -1"),
        ({"time_zone": "UTC-3"}, "give UTC or a name"),
        ({"databases": [{"name": "one"}, {"name": "two"}]}, "databases names 2"),
    ],
)
def test_wrong_options(shop: Shop, audit: Path, options: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        prune(shop, audit, **options)
