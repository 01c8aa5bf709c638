# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The redaction filter: what it strikes out, what it leaves, and that it stays quick on hostile text."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ansible_collections.sre.runbooks.plugins.module_utils import redact
from ansible_collections.sre.runbooks.plugins.module_utils.redact import STRUCK, certain, data, observed

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhY2N0In0.c2lnbmF0dXJlLXNpZ25hdHVyZQ"
KEY = "-----BEGIN RSA PRIVATE KEY-----\nMIIEowIBAAKCAQEA\nabc\n-----END RSA PRIVATE KEY-----"


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (f"token was {JWT} here", f"token was {STRUCK} here"),
        (f"session_{JWT}", f"session_{STRUCK}"),
        (f"?jwt={JWT}&x=1", f"?jwt={STRUCK}&x=1"),
        (f"a\n{KEY}\nb", f"a\n{STRUCK}\nb"),
        (KEY[:50], STRUCK),
        ("-----BEGIN PRIVATE KEY-----" + "A" * 30_000 + "-----END PRIVATE KEY-----z", STRUCK + "z"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----\nb3Bl", STRUCK),
        ("postgresql://bo:s3cret@db:5432/x", f"postgresql://bo:{STRUCK}@db:5432/x"),
        ("redis://:s3cret@cache", f"redis://:{STRUCK}@cache"),
        ("amqp://u:p@ss@host/", f"amqp://u:{STRUCK}@host/"),
        ("Authorization: Bearer abc.def-123", f"Authorization: Bearer {STRUCK}"),
        ("curl -H 'authorization: basic dXNlcjpwYXNz='", f"curl -H 'authorization: basic {STRUCK}'"),
        ("id AKIAIOSFODNN7EXAMPLE.", f"id {STRUCK}."),
        ("ghp_" + "a1B2" * 9, STRUCK),
        ("glpat-" + "x1y2" * 5, STRUCK),
        ("xoxb-1234567890-abc", STRUCK),
    ],
)
def test_secrets_wherever_they_stand(text: str, wanted: str) -> None:
    assert certain(text) == wanted
    assert certain(wanted) == wanted
    assert STRUCK in observed(text, 50_000)


@pytest.mark.parametrize(
    "text",
    [
        "bearer token is missing",
        "Basic authentication failed",
        "http://localhost:8082/stats",
        "http://h:8082/a@b/c"[:20],
        "https://user@host/path",
        "eyJ is how a token begins",
        "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
        "2031-04-02T08:03:10Z INFO c.a.B -- 12 of 30 lines applied",
        '{"type":"Fill","at":"2031-04-02T08:03:11.500Z","accountId":"acct_k7","price":2500}',
        "",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert certain(text) == text
    assert observed(text) == text


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("password=hunter2", "password=[redacted]"),
        ("DB_PASSWORD: hunter2", "DB_PASSWORD: [redacted]"),
        ("spring.datasource.password = hunter2", "spring.datasource.password = [redacted]"),
        ("'api-key' => 'hunter2'", "'api-key' => '[redacted]'"),
        ('{"clientSecret":"hunter2","n":1}', '{"clientSecret":"[redacted]","n":1}'),
        ('{"access_token": "a\\"hunter2"}', '{"access_token": "[redacted]"}'),
        (
            "jdbc:postgresql://h/db?user=a&password=hunter2&ssl=true",
            "jdbc:postgresql://h/db?user=a&password=[redacted]&ssl=true",
        ),
        ("User=a;Password=hunter2;Pooling=true", "User=a;Password=[redacted];Pooling=true"),
        ("{password=hunter2, user=a}", "{password=[redacted], user=a}"),
        ("[token=hunter2]", "[token=[redacted]]"),
        ("password=hunter2,with;signs&in}it next", "password=[redacted] next"),
        ("password=hunter2,user=a", "password=[redacted],user=a"),
        ("Authorization: Token hunter2abc", "Authorization: [redacted]"),
        ('Authorization: Digest username="u", response="hunter2"', "Authorization: [redacted]"),
        ("authorization=AWS4-HMAC-SHA256 Credential=hunter2, Signature=hunter2", "authorization=[redacted]"),
        ("Cookie: a=hunter2; session=hunter2", "Cookie: [redacted]"),
        ("set-cookie: SID=hunter2; Path=/; HttpOnly", "set-cookie: [redacted]"),
        ("<dbPassword>hunter2</dbPassword>", "<dbPassword>[redacted]</dbPassword>"),
        ('<secret name="x">hunter2</secret>', '<secret name="x">[redacted]</secret>'),
        ("mysql --password hunter2 -h db", "mysql --password [redacted] -h db"),
        ("tool --api-token 'hunter2' go", "tool --api-token '[redacted]' go"),
        ("ALTER ROLE bo PASSWORD 'hunter2'", "ALTER ROLE bo PASSWORD '[redacted]'"),
        ("CREATE USER a IDENTIFIED BY 'it''s hunter2'", "CREATE USER a IDENTIFIED BY '[redacted]'"),
        ("\x1b[35mpassword\x1b[39m: hunter2", "password: [redacted]"),
        ("password='" + "hunter2" * 2000 + "'!", "password='[redacted]'!"),
        ('password="' + "hunter2" * 2000 + '" ok', 'password="[redacted]" ok'),
        ("x" * 80 + "_password=hunter2", "x" * 80 + "_password=[redacted]"),
        ("password_" + "x" * 80 + "=hunter2", "password_" + "x" * 80 + "=[redacted]"),
        ('"{\\"password\\":\\"hunter2\\"}"', '"{\\"password\\":[redacted]'),
    ],
)
def test_what_follows_a_secret_like_name(text: str, wanted: str) -> None:
    shown = observed(text, 60_000)
    assert "hunter2" not in shown
    assert shown == wanted
    assert observed(shown) == shown


@pytest.mark.parametrize("value", ["null", "None", "true", "false", "unset", "***", "[redacted]", '"null"', "'****'"])
def test_what_is_no_value_stays(value: str) -> None:
    assert observed(f"password={value}") == f"password={value}"
    assert observed(f"password: {value}, b=1") == f"password: {value}, b=1"


WORDS = ["password", "Passwd", "PWD", "passphrase", "secret", "token", "api_key", "apikey", "accessKey", "private-key"]
NAMES = st.builds(
    lambda before, word, after: before + word + after,
    st.sampled_from(["", "db_", "SPRING_DATASOURCE_", "my.app.", "x-", "client", "9"])
    | st.from_regex(r"[a-z_.]{1,90}", fullmatch=True),
    st.sampled_from(WORDS),
    st.sampled_from(["", "_value", "-1", "File", ".current"]),
)
# A secret holds a core that nothing else in the text has, and signs that do not end a value by any syntax.
CORES = st.from_regex(r"[A-Z][a-z0-9]{4,20}Q", fullmatch=True)
SIGNS = st.text(alphabet="abcXYZ0129!@#$%^*()_+-./?~|", max_size=12)
SECRETS = st.builds(lambda before, core, after: before + core + after, SIGNS, CORES, SIGNS)


@given(
    name=NAMES,
    join=st.sampled_from(["=", ":", ": ", " = ", "=>", " => ", '":"', '": "', "': '", "='", '="']),
    secret=SECRETS,
    core=st.data(),
    before=st.text(alphabet="abc \n{[,;&\"'", max_size=20),
    after=st.sampled_from(["", " ", "\n", ", next=1", "; next=1", "&next=1", "}", "]", '"', "'", '","n":1}', "',"]),
)
def test_a_secret_after_a_secret_like_name_never_survives(
    name: str, join: str, secret: str, core: Any, before: str, after: str
) -> None:
    text = f"{before} {name}{join}{secret}{after}"
    shown = observed(text)
    for piece in re.findall(r"[A-Za-z0-9]{6,}", secret):
        assert piece not in shown.replace(name, "")


@given(
    st.text(max_size=300)
    | st.lists(
        NAMES | SECRETS | st.sampled_from([*list("=:,;&'\" \n\\{}[]<>"), "[redacted]", "bearer "]), max_size=20
    ).map("".join)
)
@example("token='[redacted]")
@example('password="[redacted]"x')
def test_redacting_twice_is_redacting_once(text: str) -> None:
    once = observed(text, 100_000)
    assert observed(once, 100_000) == once
    assert certain(certain(text)) == certain(text)


@given(st.text(alphabet=st.characters(codec=None), max_size=5000) | st.binary(max_size=5000), st.integers(0, 300))
def test_what_is_shown_is_bounded_and_clean(text: bytes | str, limit: int) -> None:
    shown = observed(text, limit)
    assert len(shown) <= limit + len("... (12345 more characters)")
    shown.encode()
    assert "\x1b" not in shown


HOSTILE = {
    "names without values": "a=" * 500_000,
    "keywords": "password" * 125_000,
    "keywords and joins": "token=" * 170_000,
    "keywords and colons": "secret : " * 110_000,
    "open quotes": 'password="' * 100_000,
    "backslashes": "token" + "\\" * 1_000_000,
    "escaped quotes": 'password="' + '\\"' * 500_000,
    "begins of tokens": "eyJ" * 333_000,
    "begins of tokens, dotted": "eyJaaaa." * 125_000,
    "begins of keys": "-----BEGIN PRIVATE KEY-----" * 37_000,
    "schemes": "://" * 333_000,
    "users": "://a:" * 200_000,
    "bearers": "bearer " * 140_000,
    "bearer and letters": "bearer " + "a" * 1_000_000,
    "blanks": "bearer" + " " * 1_000_000,
    "name and blanks": "password" + " " * 1_000_000,
    "flags": "--token " * 125_000,
    "tags": "<password " * 100_000,
    "tag signs": "<" * 1_000_000,
    "cookies": "cookie: a=b; " * 77_000,
    "cookie with parts": "cookie: a=b" + "; c=d" * 200_000,
    "separators": "password=" + "," * 1_000_000,
    "separators and words": "password=" + ",a" * 500_000,
    "escapes": "\x1b[" * 500_000,
    "numbers in escapes": "\x1b[" + "1;" * 500_000,
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_text_ends_in_bounded_time(text: str) -> None:
    assert len(observed(text)) < 2100
    assert len(observed(text.encode())) < 2100
    certain(text)
    redact.misplaced({"url": "http://" + text[:100_000]})
    observed(text, 100_000)


def test_the_cut_is_counted() -> None:
    assert observed("x" * 30, 10) == "x" * 10 + "... (20 more characters)"
    shown = observed("x" * 100_000, 10)
    assert shown == "x" * 10 + "... (99990 more characters)"


def test_bytes() -> None:
    assert observed(b"caf\xc3\xa9 password=hunter2 \xff") == "caf\u00e9 password=[redacted] \ufffd"


def test_data_strikes_keys_and_values_and_keeps_the_rest() -> None:
    value = {"url": "http://u:pw@h", JWT: [1, None, True, 2.5, ("Bearer abc.123.def", {"deep": JWT})], 7: "x"}
    assert data(value) == {
        "url": f"http://u:{STRUCK}@h",
        STRUCK: [1, None, True, 2.5, [f"Bearer {STRUCK}", {"deep": STRUCK}]],
        7: "x",
    }
    json.dumps(data(value))


def test_structure_strikes_texts_under_secret_like_keys() -> None:
    value = {"user": "bo", "dbPassword": "hunter2", "tokens": {"api_key": "hunter2", "n": 5}, "list": ["token=hunter2"]}
    assert redact.structure(value) == {
        "user": "bo",
        "dbPassword": STRUCK,
        "tokens": {"api_key": STRUCK, "n": 5},
        "list": ["token=[redacted]"],
    }
    long_key = "x" * 80 + "_password"
    assert redact.structure({long_key: "hunter2"})[long_key] == STRUCK


def test_misplaced_finds_secrets_in_urls_and_headers() -> None:
    value = {
        "url": "http://u:hunter2@h/x?token=hunter3&n=1",
        "headers": {"Authorization": "Token hunter4", "X-Api-Key": "hunter5", "Accept": "text/html"},
        "list": ["redis://:hunter6@c"],
        "plain": "password=not-in-a-url",
    }
    assert redact.misplaced(value) == {"hunter2", "hunter3", "Token hunter4", "hunter5", "hunter6"}
    assert redact.misplaced({"a": 1, "b": None, "c": "http://h/?token=null"}) == set()
