# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""backoffice_e2e through the lab's gateway, broker, BackOffice and database."""

from __future__ import annotations

import json
import time
import urllib.request
import uuid
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils.jwt_token import mint
from lab import control
from tests.integration.test_backoffice_ledger import BOTH_PATHS, Tasks
from tests.support.playbooks import lab_command

pytestmark = pytest.mark.lab


class Scene:
    """The lab, and an account that only one test uses."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.account = f"acct_{uuid.uuid4().hex[:12]}"
        self.secret = (control.paths().root / "secrets" / "jwt_hs256_secret").read_text().strip()

    def order(self, *words: str, in_process: bool = True, **options: Any) -> dict[str, Any]:
        given = {
            "gateway_url": f"http://{control.address('gateway')}",
            "backoffice_url": f"http://{control.address('backoffice')}",
            "account_id": self.account,
            "jwt_secret": self.secret,
            "symbol": "ADA",
            "quantity": 3,
            "price": 2500,
            "wait_seconds": 20,
        }
        result = Tasks(self.folder, in_process)({**given, **options}, *words, module="backoffice_e2e")
        assert self.secret not in json.dumps(result)
        return result

    def get(self, path: str) -> Any:
        token = mint(self.secret, {"accountId": self.account}, 60, time.time())
        url = f"http://{control.address('backoffice')}{path}"
        request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"})
        with urllib.request.urlopen(request, timeout=10) as reply:
            return json.load(reply)

    def entries(self) -> list[dict[str, Any]]:
        entries: list[dict[str, Any]] = self.get("/ledger?limit=1000")["entries"]
        return entries

    def held(self) -> dict[str, int]:
        return {row["symbol"]: row["netQty"] for row in self.get("/positions")["positions"]}


@pytest.fixture
def scene(lab: None, tmp_path: Path) -> Scene:
    return Scene(tmp_path)


def bad(result: dict[str, Any]) -> dict[str, str]:
    return {check["id"]: check["status"] for check in result["checks"] if check["status"] != "pass"}


@BOTH_PATHS
def test_the_cycle(scene: Scene, in_process: bool) -> None:
    planned = scene.order("--check", in_process=in_process, run_id="cycle")
    assert (planned["changed"], planned["verdict"], planned["orders"]) == (True, "pass", [])
    assert scene.entries() == []

    done = scene.order(in_process=in_process, run_id="cycle")
    assert (done["changed"], bad(done)) == (True, {}), done["checks"]
    assert done["plan"] == planned["plan"]
    assert scene.held() == {"ADA": 3}
    assert {entry["orderId"] for entry in scene.entries()} == {done["orders"][0]["order_id"]}

    before = scene.entries()
    again = scene.order(in_process=in_process, run_id="cycle")
    assert (again["changed"], again["verdict"], again["orders"][0]["known_before"]) == (False, "pass", True)
    assert scene.entries() == before

    back = scene.order(in_process=in_process, side="SELL", run_id="undo")
    assert back["verdict"] == "pass"
    assert scene.held() == {"ADA": 0}


def test_flatten(scene: Scene) -> None:
    scene.order(quantity=1)
    result = scene.order(flatten=True)
    assert bad(result) == {}, result["checks"]
    assert scene.held() == {"ADA": 1}
    assert [order["side"] for order in result["orders"]] == ["BUY", "SELL"]


def test_an_order_that_the_gateway_rejects(scene: Scene) -> None:
    result = scene.order(symbol="ADA", quantity=1000, max_quantity=1000, price=2500)
    assert bad(result) == {}  # the lab's risk limit is higher: this one is taken
    refused = scene.order(jwt_secret="another secret")
    assert refused["verdict"] == "unverified"
    assert refused["changed"] is False


def test_a_publisher_that_is_off_places_nothing(scene: Scene) -> None:
    lab_command("fault", "gateway-publisher-off")
    try:
        result = scene.order()
    finally:
        lab_command("heal")
    assert result["verdict"] == "fail"
    assert [finding["cause"] for finding in result["findings"]] == ["publisher_off"]
    assert (result["changed"], scene.entries()) == (False, [])


def test_a_consumer_that_is_dead_books_nothing(scene: Scene) -> None:
    lab_command("fault", "consumer-dead")
    try:
        result = scene.order(wait_seconds=3, flatten=True)
    finally:
        lab_command("heal")
    assert bad(result) == {"booked": "fail"}
    assert [finding["cause"] for finding in result["findings"]] == ["not_arrived"]
    assert len(result["orders"]) == 1
