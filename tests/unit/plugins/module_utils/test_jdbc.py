# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""JDBC URLs. What the driver (pgjdbc 42.7.4, Driver.parseURL) makes of each URL was recorded and is compared here."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.sre.runbooks.plugins.module_utils import jdbc
from ansible_collections.sre.runbooks.plugins.module_utils.errors import InputError

# URL: (hosts, ports, database) as the driver reads them
RECORDED = {
    "jdbc:postgresql://localhost:5432/backoffice": ("localhost", "5432", "backoffice"),
    "jdbc:postgresql://localhost/backoffice": ("localhost", "5432", "backoffice"),
    "jdbc:postgresql://localhost:5432/": ("localhost", "5432", ""),
    "jdbc:postgresql:backoffice": ("localhost", "5432", "backoffice"),
    "jdbc:postgresql:": ("localhost", "5432", ""),
    "jdbc:postgresql://": ("localhost", "5432", ""),
    "jdbc:postgresql:///": ("localhost", "5432", ""),
    "jdbc:postgresql://:5433/db": ("localhost", "5433", "db"),
    "jdbc:postgresql://[::1]:5740/accounting": ("::1", "5740", "accounting"),
    "jdbc:postgresql://[::1]/accounting": ("::1", "5432", "accounting"),
    "jdbc:postgresql://::1:5432/accounting": ("::1", "5432", "accounting"),
    "jdbc:postgresql://h1:1,h2:2/db": ("h1,h2", "1,2", "db"),
    "jdbc:postgresql://h1,h2:2/db": ("h1,h2", "5432,2", "db"),
    "jdbc:postgresql://h1:1,/db": ("h1", "1", "db"),
    "jdbc:postgresql://h/a%20b": ("h", "5432", "a b"),
    "jdbc:postgresql://h/a+b": ("h", "5432", "a b"),
    "jdbc:postgresql://h/db?": ("h", "5432", "db"),
    "jdbc:postgresql://h/db?PGDBNAME=other": ("h", "5432", "other"),
    "jdbc:postgresql:?PGHOST=h&PGPORT=5&PGDBNAME=z": ("h", "5", "z"),
    "jdbc:postgresql://h/db#x": ("h", "5432", "db#x"),
    "jdbc:postgresql://h/db;user=x": ("h", "5432", "db;user=x"),
}
# The driver refuses these (parseURL gives null); the words are ours.
REFUSED = {
    "jdbc:postgresql://localhost:5432": "no slash behind the host",
    "jdbc:postgresql://localhost": "no slash behind the host",
    "jdbc:postgresql://h?user=x": "no slash behind the host",
    "jdbc:postgresql:/": "one slash",
    "jdbc:postgresql:/x": "one slash",
    "jdbc:postgresql:/?user=x": "one slash",
    "jdbc:postgresql://h:99999/db": "port '99999'",
    "jdbc:postgresql://h:0/db": "port '0'",
    "jdbc:postgresql://h:x/db": "port 'x'",
    "jdbc:postgresql://h:/db": "port ''",
    "jdbc:postgresql://h:-1/db": "port '-1'",
    "jdbc:postgresql://h/db/x": "too many slashes",
    "jdbc:postgresql://h//db": "too many slashes",
    "JDBC:POSTGRESQL://h/db": "small letters",
    "jdbc:postgres://h/db": "prefix that no driver answers to",
    "postgresql://h/db": "libpq's form",
    " jdbc:postgresql://h/db": "blank at its beginning",
    "jdbc:postgresql://h/db?a=%zz": "two hexadecimal digits",
}
# The driver takes these and means something that nobody meant.
MISREAD = {
    "jdbc:postgresql://::1/accounting": "IPv6 stands in brackets",
    "jdbc:postgresql://h:1:2/db": "IPv6 stands in brackets",
    "jdbc:postgresql://[h]:2/db": "neither a name nor an address",
    "jdbc:postgresql://u:p4ssw0rd@h:1/db": "login before the host",
    "jdbc:postgresql://h/db ": "blank at its beginning or end",
    "jdbc:postgresql://h_1 x/db": "blank in the host name",
    '"jdbc:postgresql://h/db"': "quotation marks",
    "jdbc:mysql://h/db": r"another kind of database \(mysql\)",
    "h:5432/db": "no JDBC URL",
    "": "is empty",
    "  ": "is empty",
}


@pytest.mark.parametrize(("url", "read"), RECORDED.items())
def test_as_the_driver_reads_it(url: str, read: tuple[str, str, str]) -> None:
    found = jdbc.parse(url).libpq()
    assert (found["host"], found["port"], found.get("dbname", "")) == read


@pytest.mark.parametrize(("url", "words"), [*REFUSED.items(), *MISREAD.items()])
def test_what_is_wrong_is_named(url: str, words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        jdbc.parse(url)
    assert "p4ssw0rd" not in caught.value.message
    assert "\n" not in caught.value.message


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ("cloudSqlInstance=p:r:i&socketFactory=com.google.SocketFactory", "parameter socketFactory.*Auth Proxy"),
        ("cloudSqlInstance=p:r:i", "parameter cloudSqlInstance.*Auth Proxy"),
        ("alloydbInstanceName=projects/p", "parameter alloydbInstanceName.*Auth Proxy"),
        ("service=orders&password=p4ssw0rd", r"parameter service.*pg_service\.conf"),
    ],
)
def test_a_server_that_is_not_at_the_address_is_never_localhost(parameters: str, words: str) -> None:
    url = jdbc.parse(f"jdbc:postgresql:///order_db?{parameters}")
    with pytest.raises(jdbc.ElsewhereError, match=words) as caught:
        url.libpq()
    assert "'jdbc:postgresql:///order_db'" in caught.value.message
    assert "p4ssw0rd" not in caught.value.message


def test_login_and_parameters() -> None:
    url = jdbc.parse("jdbc:postgresql://h/db?user=a&password=b%26c&currentSchema=bo&ApplicationName=x+y&&flag&a=b=c")
    assert (url.user, url.password, url.schema) == ("a", "b&c", "bo")
    assert url.parameters == {"currentSchema": "bo", "ApplicationName": "x y", "flag": "", "a": "b=c"}
    assert url.libpq() == {"host": "h", "port": "5432", "dbname": "db", "user": "a", "password": "b&c"}
    assert "b&c" not in repr(url)
    assert jdbc.parse("jdbc:postgresql://h/db?user").user == ""


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("sslmode=require", {"sslmode": "require"}),
        ("ssl=true", {"sslmode": "verify-full"}),
        ("ssl", {"sslmode": "verify-full"}),
        ("ssl=false", {}),
        ("ssl=true&sslmode=verify-ca&sslrootcert=/ca.pem", {"sslmode": "verify-ca", "sslrootcert": "/ca.pem"}),
        ("ssl=true&sslfactory=org.postgresql.ssl.NonValidatingFactory", {"sslmode": "require"}),
        ("targetServerType=master", {"target_session_attrs": "primary"}),
        ("targetServerType=preferSecondary", {"target_session_attrs": "prefer-standby"}),
        ("targetServerType=any", {}),
        ("loadBalanceHosts=true", {"load_balance_hosts": "random"}),
        ("connectTimeout=3&socketTimeout=9", {"connect_timeout": "3"}),
        ("gssEncMode=disable&channelBinding=require", {"gssencmode": "disable", "channel_binding": "require"}),
    ],
)
def test_parameters_in_libpqs_words(query: str, wanted: dict[str, str]) -> None:
    assert (
        jdbc.parse(f"jdbc:postgresql://h:1/db?{query}").libpq() == {"host": "h", "port": "1", "dbname": "db"} | wanted
    )


def test_hosts_among_the_parameters() -> None:
    assert jdbc.parse("jdbc:postgresql://a/db?PGHOST=x,y&PGPORT=7").hosts == (("x", 7), ("y", 7))
    with pytest.raises(InputError, match="3 hosts and 2 ports"):
        jdbc.parse("jdbc:postgresql://a/db?PGHOST=x,y,z&PGPORT=7,8")
    with pytest.raises(InputError, match="port 'many'"):
        jdbc.parse("jdbc:postgresql://a/db?PGPORT=many")


def test_shown_has_no_parameters_and_no_login() -> None:
    assert jdbc.shown("jdbc:postgresql://u:pw@h:1/db?password=secret") == "jdbc:postgresql://h:1/db"


@given(st.text(max_size=60))
def test_any_text_gives_parts_or_one_clear_line(text: str) -> None:
    for url in (text, "jdbc:postgresql:" + text, "jdbc:postgresql://" + text):
        message = ""
        try:
            assert jdbc.parse(url).hosts
        except InputError as error:
            message = error.message
        assert "\n" not in message
        assert len(message) < 400
