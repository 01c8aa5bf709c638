# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What libpq says, as it says it, in one clear line; the real server is an integration test."""

from __future__ import annotations

from typing import Any

import pytest

psycopg2 = pytest.importorskip("psycopg2")

from ansible_collections.sre.runbooks.plugins.doc_fragments.postgres import ModuleDocFragment  # noqa: E402
from ansible_collections.sre.runbooks.plugins.module_utils import libraries, postgres  # noqa: E402
from ansible_collections.sre.runbooks.plugins.module_utils.clock import Deadline  # noqa: E402
from ansible_collections.sre.runbooks.plugins.module_utils.errors import (  # noqa: E402
    DeadlineError,
    InputError,
    LibraryError,
)
from tests.unit.plugins.module_runner import FakeClock  # noqa: E402

AT = 'connection to server at "db.example" (10.0.0.5), port 5432 failed: '
SESSION = {name: spec.get("default") for name, spec in postgres.SESSION.options.items()}
TARGET = {"host": "db.example", "port": "5432", "dbname": "backoffice"}


def connect(monkeypatch: pytest.MonkeyPatch, said: str, **params: Any) -> None:
    """Open a session whose connect() fails with what libpq said."""

    def refuse(**settings: Any) -> None:
        raise psycopg2.OperationalError(said)

    monkeypatch.setattr(postgres.psycopg2, "connect", refuse)
    with postgres.session(TARGET, {**SESSION, **params}, Deadline(60, FakeClock())):
        raise AssertionError("it must not open")


@pytest.mark.parametrize(
    ("said", "kind", "words"),
    [
        (
            AT + "Connection refused\n\tIs the server running on that host and accepting TCP/IP connections?\n",
            "refused",
            'PostgreSQL at db.example:5432/backoffice: "db.example": Connection refused. Is the server running, and is',
        ),
        (
            'could not translate host name "db.exmple" to address: Name or service not known\n',
            "unknown_host",
            "Check the host",
        ),
        (AT + "timeout expired\n", "timeout", "Check the network"),
        (AT + "No route to host\n", "timeout", "Check the network"),
        (AT + 'FATAL:  password authentication failed for user "bo"\n', "password", "Check the user and the password"),
        (AT + "fe_sendauth: no password supplied\n", "password", "give login_password"),
        (AT + 'FATAL:  role "bo" does not exist\n', "password", "Check the user"),
        (AT + 'FATAL:  Peer authentication failed for user "bo"\n', "password", "pg_hba.conf"),
        (AT + 'FATAL:  database "backofice" does not exist\n', "database", "Check the database's name"),
        (AT + 'FATAL:  database "x" is not currently accepting connections\n', "database", "datallowconn"),
        (AT + "FATAL:  sorry, too many clients already\n", "too_many", "pg_stat_activity"),
        (
            AT + "FATAL:  remaining connection slots are reserved for roles with SUPERUSER\n",
            "too_many",
            "pg_stat_activity",
        ),
        (AT + 'FATAL:  too many connections for role "bo"\n', "too_many", "pg_stat_activity"),
        (
            AT + 'FATAL:  no pg_hba.conf entry for host "10.0.0.9", user "bo"\n',
            "access",
            "has no line that lets this in",
        ),
        (
            AT + 'FATAL:  permission denied for database "x"\nDETAIL:  User does not have CONNECT privilege.\n',
            "permission",
            "GRANT CONNECT ON DATABASE",
        ),
        (AT + "FATAL:  the database system is starting up\n", "starting", "Try again"),
        (AT + "server does not support SSL, but SSL was required\n", "tls", "Check sslmode and ca_path"),
        (AT + "SSL error: certificate verify failed\n", "tls", "Check sslmode and ca_path"),
        (AT + "server closed the connection unexpectedly\n\tThis probably means\n", "protocol", "may be no PostgreSQL"),
        (AT + "Connection reset by peer\n", "protocol", "a proxy without a server"),
        (AT + "SSL SYSCALL error: EOF detected\n", "protocol", "a proxy without a server"),
        (AT + "FATAL:  no more connections allowed (max_client_conn)\n", "too_many", "A pooler says so"),
        (AT + "FATAL:  query_wait_timeout\n", "too_many", "A pooler says so"),
        (
            AT + "FATAL:  server login has been failing, cached error: connect failed (server_login_retry)\n",
            "protocol",
            "A pooler says so",
        ),
        (
            AT + 'FATAL:  server login has been failing, cached error: password authentication failed for user "bo"\n',
            "password",
            "Check the user",
        ),
        (AT + "FATAL:  no such database: bo\n", "database", "A pooler says so"),
        (
            AT + "FATAL:  the database system is not accepting connections\nDETAIL:  Hot standby mode is disabled.\n",
            "starting",
            "the address of the primary",
        ),
        (AT + "FATAL:  the database system is not yet accepting connections\n", "starting", "Try again"),
        (AT + "FATAL:  Passwort-Authentifizierung für Benutzer »bo« fehlgeschlagen\n", "other", "lc_messages"),
        (
            AT + "Connection refused\n" + AT + 'FATAL:  password authentication failed for user "bo"\n',
            "password",
            "Check the user and the password",
        ),
        (AT + "timeout expired\n" + AT + "FATAL:  no pg_hba.conf entry for host\n", "access", "has no line"),
        (AT + "FATAL:  sorry, too many clients already\n" + AT + "Connection refused\n", "too_many", "max_connections"),
        (AT + "something quite new\n", "other", "something quite new"),
        ("", "other", "no reason given"),
    ],
)
def test_each_failure_to_connect(monkeypatch: pytest.MonkeyPatch, said: str, kind: str, words: str) -> None:
    with pytest.raises(postgres.PostgresError) as caught:
        connect(monkeypatch, said)
    assert caught.value.kind == kind
    assert words in caught.value.message
    assert "\n" not in caught.value.message
    assert "FATAL" not in caught.value.message
    assert caught.value.details == {"postgres_error": kind}


def test_which_failures_are_faults_of_the_server() -> None:
    faults = {kind for _, kind, _ in postgres._CONNECT_ERRORS if postgres.PostgresError(kind, "").observed_fault}
    assert faults == {"refused", "unknown_host", "timeout", "database", "too_many", "starting", "protocol"}


def test_the_settings_of_a_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, Any] = {}

    def refuse(**settings: Any) -> None:
        seen.update(settings)
        raise psycopg2.OperationalError("no")

    monkeypatch.setattr(postgres.psycopg2, "connect", refuse)
    params = {**SESSION, "sslmode": "verify-full", "ca_path": "/ca.pem", "connect_timeout_seconds": 3.2}
    for left, seconds in ((60.0, "4"), (1.0, "2")):
        with pytest.raises(postgres.PostgresError), postgres.session(TARGET, params, Deadline(left, FakeClock())):
            pass
        assert seen["connect_timeout"] == seconds
    assert seen["application_name"] == "sre.runbooks"
    assert (seen["sslmode"], seen["sslrootcert"]) == ("verify-full", "/ca.pem")
    assert seen["tcp_user_timeout"] == "15000"
    assert (seen["keepalives_idle"], seen["keepalives_interval"], seen["keepalives_count"]) == ("60", "10", "6")


def test_authorities_that_are_trusted_are_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    def chosen(mode: str | None, ca_path: str | None, **parameters: str) -> dict[str, str]:
        return postgres.tls({**TARGET, **parameters}, {"sslmode": mode, "ca_path": ca_path})

    monkeypatch.delenv("PGSSLMODE", raising=False)
    assert chosen(None, None) == {}
    assert chosen(None, "/ca.pem") == {"sslmode": "verify-full", "sslrootcert": "/ca.pem"}
    assert chosen("require", "/ca.pem") == {"sslmode": "require", "sslrootcert": "/ca.pem"}
    assert chosen(None, "/ca.pem", sslmode="verify-ca") == {"sslrootcert": "/ca.pem"}
    monkeypatch.setenv("PGSSLMODE", "verify-ca")
    assert chosen(None, "/ca.pem") == {"sslrootcert": "/ca.pem"}


def test_no_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = FakeClock()
    deadline = Deadline(1, clock)
    clock.sleep(2)
    with (
        pytest.raises(DeadlineError, match=r"connecting to PostgreSQL at db\.example"),
        postgres.session(TARGET, SESSION, deadline),
    ):
        pass


@pytest.mark.parametrize(("name", "value"), [("connect_timeout_seconds", 0.0), ("statement_timeout_ms", 0)])
def test_limits(monkeypatch: pytest.MonkeyPatch, name: str, value: float) -> None:
    with pytest.raises(InputError, match=f"{name} is 0; it must be from"):
        connect(monkeypatch, "", **{name: value})


def test_urls_of_both_kinds() -> None:
    assert postgres.parameters_of_url("jdbc:postgresql://h:1/db?currentSchema=bo") == (
        {"host": "h", "port": "1", "dbname": "db"},
        "bo",
    )
    assert postgres.parameters_of_url("postgresql://u:pw@h:1/db?sslmode=require") == (
        {"user": "u", "password": "pw", "host": "h", "port": "1", "dbname": "db", "sslmode": "require"},
        None,
    )
    assert postgres.parameters_of_url("host=h dbname=db")[0] == {"host": "h", "dbname": "db"}
    for wrong in ("mysql://u:p4ssw0rd@h/db", "h:5432", "postgresql://u:p4ssw0rd@h/db?nosuch=1"):
        with pytest.raises(InputError) as caught:
            postgres.parameters_of_url(wrong)
        assert "p4ssw0rd" not in caught.value.message


def test_login_options_that_are_not_given_are_left_to_libpq() -> None:
    options = {"login_host": "h", "login_port": 7, "login_db": None, "login_user": "", "login_password": "pw"}
    assert postgres.parameters_of_login(options) == {"host": "h", "port": "7", "password": "pw"}


def test_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(libraries._missing, "psycopg2-binary", ImportError("No module named 'psycopg2'"))
    with pytest.raises(LibraryError, match=r"No module named 'psycopg2'\. Install it there"):
        postgres.parameters_of_url("postgresql://h/db")
    with pytest.raises(LibraryError), postgres.session(TARGET, SESSION, Deadline(9, FakeClock())):
        pass


def test_the_fragment_is_the_twin_of_the_options() -> None:
    import yaml

    for text, spec in (
        (ModuleDocFragment.DOCUMENTATION, postgres.TARGET),
        (ModuleDocFragment.SESSION, postgres.SESSION),
    ):
        documented = yaml.safe_load(text)["options"]
        assert set(documented) == set(spec.options)
        for name, option in spec.options.items():
            assert documented[name]["type"] == option["type"]
            assert documented[name].get("default") == option.get("default")
            assert documented[name].get("choices") == option.get("choices")
    assert postgres.TARGET.options["login_password"]["no_log"] is True
