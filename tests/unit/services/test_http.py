# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""BackOffice over HTTP, in this process: routes, order of checks, bodies, parameters."""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import jwt
import pytest
import requests

from lab.services.backoffice import Api
from lab.services.book import Book
from lab.services.entries import Fill, OrderAccepted
from lab.services.jwt_auth import JwtAuth
from lab.services.ledger import Ledger, ReplayStats
from lab.services.stats import Stats
from lab.services.web import HttpService, html_reply, json_reply

SECRET = "a-secret-of-the-right-length-for-tests"


class Client:
    def __init__(self, url: str) -> None:
        self.url = url
        self.session = requests.Session()
        self.session.trust_env = False
        self.token = jwt.encode({"sub": "acct", "exp": time.time() + 60}, SECRET)

    def call(self, path: str, method: str = "GET", auth: bool = True) -> requests.Response:
        headers = {"Authorization": f"Bearer {self.token}"} if auth else {}
        return self.session.request(method, self.url + path, headers=headers, timeout=10)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "ledger.log")


@pytest.fixture
def client(ledger: Ledger) -> Iterator[Client]:
    book = Book(10)
    for number, at in enumerate((1_000, 2_000, 3_000)):
        order = OrderAccepted(at * 1_000_000_000, "acct", f"o{number}", "ADA", "BUY")
        fill = Fill(*order, delta=1, total=1, price=100, quote_ccy="JPY", cash_delta=-100, fee=0)
        for entry in (order, fill):
            ledger.append(entry)
        book.apply_order(order)
        book.apply_fill(fill)
    server = HttpService(0, Api(book, ledger, Stats(ReplayStats(6, 6, 0, 1)), JwtAuth(SECRET)).routes())
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield Client(f"http://127.0.0.1:{server.server_address[1]}")
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize("path", ["/health", "/stats", "/positions", "/ledger", "/reconcile"])
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD"])
def test_the_method_is_checked_first(client: Client, path: str, method: str) -> None:
    answer = client.call(path, method, auth=False)
    assert answer.status_code == 405
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert answer.text == ("" if method == "HEAD" else "METHOD_NOT_ALLOWED")


def test_then_the_token_then_the_account_then_the_parameters(client: Client) -> None:
    refused = client.call("/ledger?accountId=other&limit=x", auth=False)
    assert (refused.status_code, refused.json()) == (401, {"status": "UNAUTHORIZED", "reason": "MISSING_BEARER_TOKEN"})
    assert refused.headers["Content-Type"] == "application/json; charset=utf-8"
    foreign = client.call("/ledger?accountId=other&limit=x")
    assert (foreign.status_code, foreign.text) == (404, "NOT_FOUND")
    assert foreign.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert client.call("/ledger?accountId=%20&limit=1").status_code == 200


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("/ledger?limit=ten", "INVALID_LIMIT"),
        ("/ledger?limit=1.5", "INVALID_LIMIT"),
        ("/ledger?limit=2147483648", "INVALID_LIMIT"),
        ("/reconcile?limit=x", "INVALID_LIMIT"),
        ("/ledger?since=yesterday", "INVALID_SINCE"),
        ("/ledger?since=2031-04-02T08:03:10+09:00", "INVALID_SINCE"),
        ("/ledger?after=x", "INVALID_AFTER"),
        ("/ledger?type=orders", "INVALID_TYPE"),
        ("/ledger?type=fill,x", "INVALID_TYPE"),
    ],
)
def test_bad_parameters(client: Client, path: str, text: str) -> None:
    answer = client.call(path)
    assert (answer.status_code, answer.text) == (400, text)


@pytest.mark.parametrize(
    ("query", "entries"),
    [
        ("", 6), ("?limit=", 6), ("?limit=0", 1), ("?limit=-5", 1), ("?limit=2147483647", 6), ("?limit=2", 2),
        ("?orderId=o1", 2), ("?type=FILL", 3), ("?type=fill;OrderAccepted", 6), ("?type=,", 6),
        ("?since=2000", 4), ("?after=2000", 2), ("?since=2000000", 0), ("?since=00002000000", 4),
        ("?since=1970-01-01T00:33:20%2B00:00", 4), ("?after=1970-01-01T00:50:00Z", 0),
    ],
)  # fmt: skip
def test_ledger_filters(client: Client, query: str, entries: int) -> None:
    answer = client.call("/ledger" + query).json()
    assert answer["accountId"] == "acct"
    assert len(answer["entries"]) == entries
    assert all(list(entry)[-1] == "type" for entry in answer["entries"])


def test_bodies(client: Client) -> None:
    assert client.call("/healthz", auth=False).json() == {"status": "ok"}
    assert client.call("/positions").json() == {
        "positions": [{"accountId": "acct", "symbol": "ADA", "netQty": 3, "avgPrice": 100.0}]
    }
    assert client.call("/balances").json() == {"balances": [{"accountId": "acct", "currency": "JPY", "amount": -300}]}
    assert client.call("/pnl").json() == {"pnl": []}
    assert client.call("/fills").json()["fills"][0] == {
        "at": "1970-01-01T00:16:40Z", "accountId": "acct", "orderId": "o0", "symbol": "ADA", "side": "BUY",
        "filledQtyDelta": 1, "filledQtyTotal": 1, "price": 100, "quoteCcy": "JPY", "quoteCashDelta": -100,
        "feeQuote": 0,
    }  # fmt: skip
    stats = client.call("/statsfoo?accountId=acct").json()
    assert list(stats) == ["startedAt", "processed", "skipped", "lastEventAt", "lastKafkaOffset", "ledgerReplay"]
    assert stats["ledgerReplay"] == {"lines": 6, "applied": 6, "skipped": 0, "durationMs": 1}
    assert (stats["processed"], stats["lastEventAt"], stats["lastKafkaOffset"]) == (0, None, None)


def test_reconcile_over_the_last_entries(client: Client) -> None:
    assert client.call("/reconcile").json()["balances"]["ok"] is True
    few = client.call("/reconcile?limit=2&quoteCcy=EUR").json()["balances"]
    assert few == {
        "ok": False,
        "expected": {"EUR": 0, "JPY": -100},
        "actual": {"JPY": -300},
        "diffs": {"EUR": 0, "JPY": -200},
    }


@pytest.mark.parametrize(
    ("path", "status"), [("/", 404), ("/x", 404), ("/stats?a=%zz", 400), ("/%zz", 400), ("/stats|", 400)]
)
def test_unknown_paths_and_bad_escapes_are_html(client: Client, path: str, status: int) -> None:
    connection = http.client.HTTPConnection(client.url.removeprefix("http://"), timeout=10)
    connection.request("GET", path)
    answer = connection.getresponse()
    assert (answer.status, answer.headers["Content-Type"]) == (status, "text/html")
    assert answer.read().startswith(f"<h1>{status} ".encode())
    connection.close()


def test_a_ledger_that_cannot_be_read_is_500_and_says_no_more(client: Client, ledger: Ledger) -> None:
    with ledger.path.open("ab") as stream:
        stream.write(b'{"type":"OrderAccepted","at":"2031-04-02T08:03:10Z","accountId":"x","orderId":"o",')
        stream.write(b'"symbol":"ADA","side":"buy"}\n')
    for path in ("/ledger", "/reconcile"):
        answer = client.call(path)
        assert (answer.status_code, answer.text) == (500, "ERROR")
    assert client.call("/positions").status_code == 200


def test_stats_follow_records() -> None:
    stats = Stats(ReplayStats())
    stats.record(5_000_000_000, "events", 2, 41)
    stats.record(None, "events", 0, 7)
    body = stats.body()
    assert (body["processed"], body["skipped"], body["lastKafkaOffset"]) == (1, 1, "events:0:7")
    assert body["lastEventAt"] == "1970-01-01T00:00:05Z"


def test_replies() -> None:
    assert json_reply(200, {"a": "é"}).body == '{"a":"é"}'.encode()
    assert html_reply(404, "x").body == b"<h1>404 Not Found</h1>x"
