# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The recovery check against a fake BackOffice: what is green, what is red, and what is neither."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils import backoffice_stats, jwt_token, libraries
from ansible_collections.sre.runbooks.plugins.modules import backoffice_stats as module
from tests.unit.plugins.fake_backoffice import ACCOUNT, NOW, FakeBackOffice, accepted, fill, iso
from tests.unit.plugins.fake_http import Send, answer, free_port, json_answer, serving
from tests.unit.plugins.module_runner import FakeClock, fake_context, run_module

Capture = pytest.CaptureFixture[str]
Check = Callable[..., dict[str, Any]]


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("BACKOFFICE_URL", "BACKOFFICE_ACCOUNT_ID", "BACKOFFICE_JWT", "JWT_HS256_SECRET"):
        monkeypatch.delenv(name, raising=False)


@contextmanager
def running(fake: FakeBackOffice) -> Iterator[Check]:
    """A function that runs the check against the fake, on a clock that stands at NOW."""
    with serving(fake.routes()) as server:

        def check(clock: FakeClock | None = None, **options: Any) -> dict[str, Any]:
            params = {name: option.get("default") for name, option in backoffice_stats.SPEC.options.items()}
            chosen = {
                "url": server.url,
                "account_id": ACCOUNT,
                "jwt_secret": "s3cret",
                "retries": 0,
                "use_proxy": False,
            }
            result = backoffice_stats.run(params | chosen | options, fake_context(clock or FakeClock(NOW)))
            # the fake sends no Date, so nothing shifts the clock
            assert result["clock_offset_seconds"] is None
            return result

        yield check


def look(fake: FakeBackOffice, **options: Any) -> dict[str, Any]:
    with running(fake) as check:
        return check(**options)


def statuses(result: dict[str, Any]) -> dict[str, str]:
    return {check["id"]: check["status"] for check in result["checks"]}


def row(result: dict[str, Any], name: str) -> dict[str, Any]:
    (found,) = [check for check in result["checks"] if check["id"] == name]
    return dict(found)


def bad(result: dict[str, Any]) -> dict[str, str]:
    """The checks that did not pass."""
    return {name: status for name, status in statuses(result).items() if status != "pass"}


def test_a_healthy_system_is_green() -> None:
    fake = FakeBackOffice.healthy()
    result = look(fake)
    assert result["verdict"] == "pass"
    assert list(statuses(result)) == [
        *("health", "stats", "last_event_age", "replay_slo", "replay_lines"),
        *("positions", "balances", "ledger", "reconcile.balances", "reconcile.positions"),
    ]
    assert (result["http"], result["shape"], result["state_empty"], result["ledger_empty"]) == (
        "ok",
        "kotlin",
        False,
        False,
    )
    assert result["stats"]["last_event_age_seconds"] == 10.0
    assert (result["changed"], result["findings"], result["not_checked"]) == (False, [], [])
    # one token for all, none for health
    assert len(set(fake.tokens)) == 2
    assert jwt_token.look(max(fake.tokens).removeprefix("Bearer "), NOW).account == ACCOUNT
    assert sorted(fake.limits) == [("/ledger", 1000), ("/reconcile", 1000)]


def test_only_what_was_asked_for_is_asked() -> None:
    result = look(FakeBackOffice.healthy(), gather_subset=["min"])
    assert list(result["answers"]) == ["health", "stats"]
    assert "reconcile.balances" not in statuses(result)
    only = look(FakeBackOffice.healthy(), gather_subset=["ledger"], ledger_limit=2)
    assert (list(only["answers"]), len(only["ledger"])) == (["ledger"], 2)
    assert "positions" not in only


# Freshness


@pytest.mark.parametrize(
    ("last_event", "options", "status", "words"),
    [
        (iso(NOW - 10, 0), {}, "pass", "10 s old"),
        (iso(NOW - 10, 6), {}, "pass", "10 s old"),
        ("2030-03-17T19:46:30.000000001+02:00", {}, "pass", "10 s old"),
        (iso(NOW - 3600), {}, "fail", "60 minutes old"),
        (iso(NOW - 3600), {"consumer_caught_up": False}, "fail", "60 minutes old"),
        (iso(NOW - 3600), {"consumer_caught_up": True}, "pass", "a quiet market"),
        (iso(NOW - 3600), {"consumer_caught_up": True, "strict": True}, "fail", "60 minutes old"),
        (iso(NOW - 3600), {"stale_after_seconds": 7200.0}, "pass", "60 minutes old"),
        (iso(NOW + 20), {}, "pass", "0 s old"),
        (iso(NOW + 600), {}, "fail", "10 minutes in the future"),
        ("+58862-09-23T09:15:12Z", {}, "fail", "+58862-09-23T09:15:12Z"),
        ("yesterday", {}, "fail", "no point in time"),
        (int((NOW - 10) * 1000), {}, "pass", "10 s old"),
        (None, {}, "unverified", "no event since the last start"),
        (None, {"strict": True, "consumer_caught_up": True}, "unverified", "no event since the last start"),
        (None, {"consumer_caught_up": True}, "pass", "nothing left to read"),
    ],
)
def test_the_last_event(last_event: Any, options: dict[str, Any], status: str, words: str) -> None:
    result = look(FakeBackOffice.healthy(stats={"lastEventAt": last_event}), **options)
    check = row(result, "last_event_age")
    assert (check["status"], words in check["observed"]) == (status, True), check
    assert bad(result) == ({} if status == "pass" else {"last_event_age": status})


def test_hints_of_times_that_cannot_be() -> None:
    future = row(look(FakeBackOffice.healthy(stats={"lastEventAt": iso(NOW + 600)})), "last_event_age")
    assert "producer's clock is ahead" in future["hint"]
    seconds = row(look(FakeBackOffice.healthy(stats={"lastEventAt": "+58862-09-23T09:15:12Z"})), "last_event_age")
    assert "milliseconds" in seconds["hint"]


def test_zero_is_not_checked_and_says_so() -> None:
    quiet = FakeBackOffice.healthy(stats={"lastEventAt": None})
    result = look(quiet, stale_after_seconds=0.0, replay_slo_ms=0, samples=2)
    assert {"last_event_age", "replay_slo", "consumer_progress"}.isdisjoint(statuses(result))
    assert [entry["id"] for entry in result["not_checked"]] == ["last_event_age", "replay_slo", "consumer_progress"]
    assert row(result, "replay_lines")["status"] == "pass"


# Replay


@pytest.mark.parametrize(
    ("replay", "bad_checks", "words"),
    [
        (
            {"lines": 30, "applied": 30, "skipped": 0, "durationMs": 5001},
            {"replay_slo": "fail"},
            "5001 ms for 30 lines",
        ),
        ({"lines": 30, "applied": 3, "skipped": 0, "durationMs": 1}, {}, "1 ms for 3 lines"),
        ({"lines": 30, "applied": 28, "skipped": 2, "durationMs": 1}, {"replay_lines": "fail"}, "1 ms for 30 lines"),
        ({"lines": 30, "applied": 0, "skipped": 0, "durationMs": 0}, {"replay_slo": "unverified"}, "none of 30 lines"),
        ({"lines": 0, "applied": 0, "skipped": 0, "durationMs": 0}, {"replay_slo": "unverified"}, "was empty"),
        ({"lines": 30, "applied": 30, "skipped": 0}, {"replay_slo": "unverified"}, "duration not reported"),
        (None, {"replay_slo": "unverified"}, "reports no replay"),
        ({"lines": "many"}, {"replay_slo": "unverified"}, "reports no replay"),
    ],
)
def test_the_replay(replay: Any, bad_checks: dict[str, str], words: str) -> None:
    result = look(FakeBackOffice.healthy(stats={"ledgerReplay": replay}))
    assert bad(result) == bad_checks
    assert words in row(result, "replay_slo")["observed"]


def test_skipped_lines_are_a_finding() -> None:
    replay = {"lines": 30, "applied": 28, "skipped": 2, "durationMs": 1}
    result = look(FakeBackOffice.healthy(stats={"ledgerReplay": replay}))
    assert [finding["cause"] for finding in result["findings"]] == ["ledger_lines_skipped"]
    assert result["findings"][0]["next"]["playbook"] == "sre.runbooks.backoffice.ledger_repair"


# Shapes of the statistics

JAVA = {
    "enabled": True,
    "state": "RUNNING",
    "startedAt": int(NOW * 1000),
    "processed": 5,
    "skipped": 1,
    "sequenceGaps": 0,
    "lastEventAt": int((NOW - 5) * 1000),
    "currentOffset": 900,
    "currentAuditSize": 1000,
    "deadLetterCount": 0,
    "pendingOrphanCount": 0,
}


def java(*samples: dict[str, Any], **options: Any) -> dict[str, Any]:
    """The check of the other implementation; its reconciliation is a list of issues."""
    fake = FakeBackOffice.healthy()
    fake.bent = {
        "/stats": [json_answer(JAVA | sample) for sample in samples or ({},)],
        "/reconcile": json_answer({"issues": []}),
    }
    return look(fake, **{"replay_slo_ms": 0, **options})


def test_the_java_shape_is_green() -> None:
    result = java()
    assert result["verdict"] == "pass"
    assert (result["shape"], result["stats"]["behind_bytes"], result["stats"]["last_event_age_seconds"]) == (
        "java",
        100,
        5.0,
    )
    assert row(java(replay_slo_ms=5000), "replay_slo")["status"] == "unverified"


@pytest.mark.parametrize(
    ("samples", "status", "words"),
    [
        ([{"state": "IDLE"}], "pass", "state IDLE"),
        ([{"state": "ERROR"}], "fail", "state ERROR"),
        ([{"state": "ERROR"}, {"state": "RUNNING"}], "fail", "state ERROR"),
        ([{"state": "REPLAYING"}], "unverified", "state REPLAYING"),
        ([{"state": "DISABLED", "enabled": False}], "fail", "not enabled"),
        ([{"state": None}], "fail", "state None"),
        ([{"sequenceGaps": 2}], "fail", "sequenceGaps 2"),
        ([{"deadLetterCount": 1}], "fail", "deadLetterCount 1"),
    ],
)
def test_states_of_the_java_shape(samples: list[dict[str, Any]], status: str, words: str) -> None:
    check = row(java(*samples, samples=len(samples)), "stats")
    assert (check["status"], words in check["observed"]) == (status, True), check


@pytest.mark.parametrize(
    ("document", "words"),
    [({"uptime": 5}, "keys: uptime"), ({}, "keys: none"), ([], "keys: none"), ("ok", "keys: none")],
)
def test_an_unknown_shape_is_not_healthy(document: Any, words: str) -> None:
    fake = FakeBackOffice.healthy(bent={"/stats": json_answer(document)})
    result = look(fake, samples=2)
    assert bad(result) == {
        "stats": "fail",
        "last_event_age": "unverified",
        "replay_slo": "unverified",
        "consumer_progress": "unverified",
    }
    assert words in row(result, "stats")["observed"]
    assert result["shape"] == "unknown"


# Two samples


@pytest.mark.parametrize(
    ("second", "options", "status", "words"),
    [
        ({"processed": 9, "skipped": 11}, {}, "pass", "2 applied, 2 skipped"),
        ({}, {}, "unverified", "nothing moved"),
        ({}, {"consumer_caught_up": True}, "pass", "nothing left to read"),
        ({}, {"consumer_caught_up": True, "strict": True}, "unverified", "nothing moved"),
        ({"skipped": 10}, {}, "unverified", "1 records skipped and none applied"),
        ({"skipped": 20}, {}, "fail", "11 records skipped and none applied"),
        ({"skipped": 20}, {"consumer_caught_up": True}, "fail", "11 records skipped"),
        ({"startedAt": "2030-03-17T17:46:35Z", "processed": 0}, {}, "fail", "restarted between the samples"),
    ],
)
def test_two_samples(second: dict[str, Any], options: dict[str, Any], status: str, words: str) -> None:
    fake = FakeBackOffice.healthy()
    fake.bent = {"/stats": [json_answer(fake.stats), json_answer(fake.stats | second)]}
    clock = FakeClock(NOW)
    result = look(fake, clock=clock, samples=2, **options)
    check = row(result, "consumer_progress")
    assert (check["status"], words in check["observed"]) == (status, True), check
    assert clock.slept == [5.0]
    assert result["progress"]["seconds"] == 5.0
    assert result["progress"]["restarted"] == ("startedAt" in second)


@pytest.mark.parametrize(
    ("second", "status"),
    [
        ({"currentOffset": 1000}, "pass"),
        ({"currentOffset": 950}, "unverified"),
        ({}, "fail"),
        ({"processed": 6}, "pass"),
    ],
)
def test_two_samples_of_the_java_shape(second: dict[str, Any], status: str) -> None:
    assert row(java({}, second, samples=2), "consumer_progress")["status"] == status


def test_a_second_sample_that_fails() -> None:
    fake = FakeBackOffice.healthy()
    fake.bent = {"/stats": [json_answer(fake.stats), answer(500, b"ERROR")]}
    assert bad(look(fake, samples=2)) == {"consumer_progress": "unverified"}


# Books


def test_an_empty_system_is_never_green() -> None:
    result = look(FakeBackOffice())
    assert bad(result) == dict.fromkeys(
        ["positions", "balances", "ledger", "reconcile.balances", "reconcile.positions"], "unverified"
    )
    assert (result["state_empty"], result["ledger_empty"]) == (True, True)


def test_positions_of_an_in_memory_store_are_no_false_red() -> None:
    result = look(FakeBackOffice.healthy(in_memory=True))
    assert result["verdict"] == "pass"
    assert result["reconcile"]["positions"] == {"ok": True, "server_ok": False, "diffs": {}, "entries": 1}
    assert "keys its store account::SYMBOL" in row(result, "reconcile.positions")["hint"]


def test_a_flat_account_is_something_to_compare() -> None:
    flat = [accepted("o1", "BUY"), fill("o1", "BUY", 2, 2), accepted("o2", "SELL"), fill("o2", "SELL", 2, 2)]
    assert look(FakeBackOffice(entries=flat))["verdict"] == "pass"


def test_a_difference_is_red_even_when_the_server_says_ok() -> None:
    fake = FakeBackOffice.healthy(store=(5, -10_020))
    part = {"ok": True, "expected": {"ADA": 4}, "actual": {"ADA": 5}, "diffs": {}}
    same = {"ok": True, "expected": {"JPY": -10020}, "actual": {"JPY": -10020}, "diffs": {}}
    fake.bent = {"/reconcile": json_answer({"accountId": ACCOUNT, "positions": part, "balances": same})}
    result = look(fake)
    assert bad(result) == {"reconcile.positions": "fail"}
    check = row(result, "reconcile.positions")
    assert check["observed"] == "store minus ledger: ADA +1"
    assert check["hint"].endswith("The server says ok.")
    assert [finding["cause"] for finding in result["findings"]] == ["ledger_and_store_differ"]


def test_a_booking_under_way_settles() -> None:
    fake = FakeBackOffice.healthy()
    right = fake._reconcile
    answers = iter([(5, 0), (5, 1), None])

    def settle(request: Any) -> Send:
        fake.store = next(answers, None)
        return right(request)

    fake.bent = {"/reconcile": settle}
    clock = FakeClock(NOW)
    assert look(fake, clock=clock)["verdict"] == "pass"
    assert clock.slept == [0.5, 0.5]


def many(pairs: int) -> list[dict[str, Any]]:
    """Orders that leave one ADA each."""
    return [entry for n in range(pairs) for entry in (accepted(f"o{n}", "BUY"), fill(f"o{n}", "BUY", 1, 1))]


def test_more_entries_than_the_limit_are_no_false_red() -> None:
    fake = FakeBackOffice(entries=many(600))
    result = look(fake)
    assert result["verdict"] == "pass"
    assert result["reconcile"]["limit"] == 10_000
    assert result["ledger_entries"] is None
    assert [limit for path, limit in fake.limits if path == "/reconcile"] == [1000, 10_000, 9000]


def test_a_small_limit_grows_by_itself() -> None:
    result = look(FakeBackOffice.healthy(), reconcile_limit=2)
    assert (result["verdict"], result["reconcile"]["limit"]) == ("pass", 10_000)


def test_more_entries_than_can_be_summed_are_unverified() -> None:
    result = look(FakeBackOffice(entries=many(5200)))
    assert bad(result) == {"reconcile.balances": "unverified", "reconcile.positions": "unverified"}
    assert "more entries than can be summed (10000)" in row(result, "reconcile.positions")["observed"]


def test_a_difference_within_many_entries_is_red() -> None:
    fake = FakeBackOffice(entries=many(600), store=(601, -1_501_200))
    assert bad(look(fake)) == {"reconcile.positions": "fail"}


def test_a_store_that_books_nothing() -> None:
    fake = FakeBackOffice.healthy()
    fake.bent = {"/positions": json_answer({"positions": []}), "/balances": json_answer({"balances": []})}
    result = look(fake)
    assert bad(result) == {"positions": "fail", "balances": "fail"}
    assert "although the ledger has 2 fills" in row(result, "positions")["observed"]


def test_a_ledger_that_was_moved_away() -> None:
    fake = FakeBackOffice.healthy(bent={"/ledger": json_answer({"accountId": ACCOUNT, "entries": []})})
    result = look(fake)
    assert statuses(result)["ledger"] == "fail"
    assert [finding["cause"] for finding in result["findings"]] == ["ledger_replaced_while_running"]


@pytest.mark.parametrize(
    ("paths", "cause", "words"),
    [
        (["/ledger", "/reconcile"], "ledger_unreadable", "bad side or bad bytes"),
        (["/positions", "/reconcile"], "store_down", "is the database up"),
    ],
)
def test_server_errors_are_told_apart(paths: list[str], cause: str, words: str) -> None:
    fake = FakeBackOffice.healthy(bent=dict.fromkeys(paths, answer(500, b"ERROR", Content_Type="text/plain")))
    result = look(fake)
    assert result["http"] == "error"
    assert [finding["cause"] for finding in result["findings"]] == [cause]
    for path in paths:
        found = [check for check in result["checks"] if check["id"].partition(".")[0] == path[1:]]
        assert {check["status"] for check in found} == {"fail"}
        assert words in found[0]["hint"]


# Not there, or not allowed


def test_a_refused_connection_is_red_and_the_rest_is_not_asked() -> None:
    result = look(FakeBackOffice(), url=f"http://127.0.0.1:{free_port()}")
    assert row(result, "health")["status"] == "fail"
    assert "A long replay looks the same" in row(result, "health")["hint"]
    assert set(statuses(result).values()) == {"fail", "unverified"}
    assert (result["http"], list(result["answers"])) == ("refused", ["health"])


def test_a_name_that_does_not_resolve_proves_nothing() -> None:
    result = look(FakeBackOffice(), url="http://nosuch.invalid")
    assert set(statuses(result).values()) == {"unverified"}


def refusing(reason: str) -> FakeBackOffice:
    refusal = json_answer({"status": "UNAUTHORIZED", "reason": reason}, 401)
    paths = ("/stats", "/positions", "/balances", "/ledger", "/reconcile")
    return FakeBackOffice.healthy(bent=dict.fromkeys(paths, refusal))


@pytest.mark.parametrize(
    ("reason", "options", "words"),
    [
        ("INVALID_JWT_SIGNATURE", {}, "another secret"),
        ("INVALID_JWT_SIGNATURE", {"jwt_secret": "s3cret\n"}, "line break at its end"),
        ("JWT_SECRET_NOT_CONFIGURED", {}, "has no JWT_HS256_SECRET"),
        ("MISSING_BEARER_TOKEN", {}, "does a proxy drop the header"),
        ("MISSING_BEARER_TOKEN", {"jwt_secret": None}, "No token was sent"),
        ("INVALID_ISSUER", {}, "jwt_issuer"),
        ("INVALID_AUDIENCE", {}, "jwt_audience"),
        ("MISSING_ACCOUNT_ID", {}, "names no account"),
        ("MISSING_EXP", {}, "no expiry"),
        ("UNSUPPORTED_ALG", {}, "HS256 only"),
        ("INVALID_JWT_FORMAT", {}, "cut, or is none"),
        ("SOMETHING_NEW", {}, "refuses the token"),
    ],
)
def test_refused_tokens(reason: str, options: dict[str, Any], words: str) -> None:
    result = look(refusing(reason), **options)
    assert (result["http"], result["auth_reason"]) == ("unauthorized", reason)
    check = row(result, "stats")
    assert words in check["hint"]
    assert check["observed"] == f"HTTP 401 {reason}"
    assert check["status"] == ("fail" if reason == "JWT_SECRET_NOT_CONFIGURED" else "unverified")
    assert row(result, "health")["status"] == "pass"
    assert row(result, "last_event_age")["status"] == "unverified"


def test_an_expired_token_says_since_when() -> None:
    token = jwt_token.mint("s3cret", {"accountId": ACCOUNT}, 60, NOW - 100)
    result = look(refusing("TOKEN_EXPIRED"), token=token, account_id=None)
    assert "By its own claims and this machine's clock it expired 40 s ago." in row(result, "stats")["hint"]
    assert result["account_id"] == ACCOUNT
    assert token not in json.dumps(result)


def test_a_clock_that_is_off_is_named() -> None:
    refusal = json_answer({"reason": "TOKEN_EXPIRED"}, 401, Date="Sun, 17 Mar 2030 18:46:40 GMT")
    fake = FakeBackOffice.healthy(bent={"/stats": refusal})
    with serving(fake.routes()) as server:
        params = {name: option.get("default") for name, option in backoffice_stats.SPEC.options.items()}
        chosen = {"url": server.url, "account_id": ACCOUNT, "jwt_secret": "s3cret", "gather_subset": ["stats"]}
        result = backoffice_stats.run(params | chosen, fake_context(FakeClock(NOW)))
    assert "The server's clock is 60 minutes ahead of this machine's" in row(result, "stats")["hint"]
    assert result["clock_offset_seconds"] == 3600.5


def test_the_age_is_measured_by_the_server_s_clock_when_ours_is_off() -> None:
    fake = FakeBackOffice.healthy()
    fake.bent = {
        "/stats": json_answer(fake.stats | {"lastEventAt": iso(NOW + 3590)}, Date="Sun, 17 Mar 2030 18:46:40 GMT")
    }
    with serving(fake.routes()) as server:
        params = {name: option.get("default") for name, option in backoffice_stats.SPEC.options.items()}
        chosen = {"url": server.url, "gather_subset": ["stats"]}
        result = backoffice_stats.run(params | chosen, fake_context(FakeClock(NOW)))
    assert row(result, "last_event_age")["observed"] == "10.5 s old"


def test_another_account_is_hidden() -> None:
    token = jwt_token.mint("s3cret", {"accountId": "acct_other"}, 60, NOW)
    hidden = answer(404, b"NOT_FOUND", Content_Type="text/plain")
    result = look(FakeBackOffice.healthy(bent={"/positions": hidden}), token=token)
    check = row(result, "positions")
    assert check["status"] == "unverified"
    assert f"The token is for the account acct_other, not {ACCOUNT}" in check["hint"]


def test_another_server_is_told_from_a_hidden_account() -> None:
    page = answer(404, b"<h1>404 Not Found</h1>", Content_Type="text/html")
    result = look(FakeBackOffice.healthy(bent={"/health": page, "/stats": answer(302, Location="/login")}))
    assert row(result, "health")["status"] == "fail"
    assert "This is no BackOffice" in row(result, "health")["hint"]
    assert row(result, "stats")["status"] == "fail"


@pytest.mark.parametrize("body", [b"<html>", b"[]", b'{"status":"DOWN"}', b"7"])
def test_a_health_that_is_none(body: bytes) -> None:
    fake = FakeBackOffice.healthy(bent={"/health": answer(200, body, Content_Type="application/json")})
    assert bad(look(fake)) == {"health": "fail"}


@pytest.mark.parametrize("path", ["/stats", "/positions", "/balances", "/ledger", "/reconcile"])
@pytest.mark.parametrize(
    "send",
    [
        json_answer({"x": 1}),
        json_answer({"positions": "x", "balances": 1, "entries": [1], "issues": None}),
        json_answer(None),
        answer(200, b"{", Content_Type="application/json"),
        Send(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{}"),
    ],
)
def test_answers_of_another_form_are_red_and_no_traceback(path: str, send: Send) -> None:
    result = look(FakeBackOffice.healthy(bent={path: send}))
    assert result["verdict"] == "fail"
    assert any(name.partition(".")[0] == path[1:] and status == "fail" for name, status in statuses(result).items())


# The module


def module_run(capsys: Capture, **arguments: Any) -> dict[str, Any]:
    return run_module(module, capsys, **{"retries": 0, "use_proxy": False, **arguments})


def test_the_module_and_its_environment(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeBackOffice.healthy()
    fake.stats["lastEventAt"] = None
    with serving(fake.routes()) as server:
        monkeypatch.setenv("BACKOFFICE_URL", server.url)
        monkeypatch.setenv("BACKOFFICE_ACCOUNT_ID", ACCOUNT)
        monkeypatch.setenv("JWT_HS256_SECRET", "hunter2")
        result = module_run(capsys, consumer_caught_up="yes", samples="1")
        token = jwt_token.mint("other", {"accountId": ACCOUNT}, 10**4, NOW)
        monkeypatch.setenv("BACKOFFICE_JWT", token)
        module_run(capsys)
    assert result["verdict"] == "pass"
    assert f"Bearer {token}" in fake.tokens
    assert "hunter2" not in json.dumps(result)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({}, "missing required arguments: url"),
        ({"url": ""}, "url is empty"),
        ({"url": "localhost:8082"}, "did you mean http://localhost:8082?"),
        ({"url": "http://h", "jwt_secret": "hunter2"}, "account_id is not set"),
        ({"url": "http://h", "token": "a b c"}, "that no token has"),
        ({"url": "http://h", "stale_after_seconds": -1}, "stale_after_seconds is -1"),
        ({"url": "http://h", "stale_after_seconds": ""}, "stale_after_seconds"),
        ({"url": "http://h", "replay_slo_ms": -1}, "replay_slo_ms is -1"),
        ({"url": "http://h", "ledger_limit": 0}, "ledger_limit is 0"),
        ({"url": "http://h", "reconcile_limit": 10_001}, "reconcile_limit is 10001"),
        ({"url": "http://h", "sample_interval_seconds": 0}, "sample_interval_seconds is 0"),
        ({"url": "http://h", "samples": 3}, "samples"),
        ({"url": "http://h", "gather_subset": ["fills"]}, "gather_subset"),
        ({"url": "http://h", "gather_subset": ["ledger"], "samples": 2}, "leaves out stats"),
        ({"url": "http://h", "ca_path": "/nowhere.pem"}, "ca_path /nowhere.pem cannot be used"),
    ],
)
def test_bad_input_is_one_clear_line(capsys: Capture, arguments: dict[str, Any], text: str) -> None:
    result = module_run(capsys, **arguments)
    assert result["failed"] is True
    assert text in result["msg"]
    assert "\n" not in result["msg"]
    assert "hunter2" not in json.dumps(result)


def test_the_module_is_the_same_in_check_mode(capsys: Capture) -> None:
    with serving(FakeBackOffice.healthy().routes()) as server:
        arguments: dict[str, Any] = {"url": server.url, "account_id": ACCOUNT, "jwt_secret": "s3cret"}
        plain = run_module(module, capsys, **arguments)
        checked = run_module(module, capsys, check=True, **arguments)
    assert statuses(plain) == statuses(checked)


def test_a_missing_library_is_named(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(libraries._missing, "urllib3", ImportError("No module named 'urllib3'"))
    result = module_run(capsys, url="http://h")
    assert "pip install urllib3" in result["msg"]


def test_what_the_documentation_promises_is_returned() -> None:
    import yaml

    promised = yaml.safe_load(module.RETURN)
    assert set(look(FakeBackOffice.healthy())) - {"changed"} == set(promised)
    assert set(promised["stats"]["contains"]) == set(look(FakeBackOffice.healthy())["stats"])
