# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The servers of the lab as their clients meet them: users and permissions, databases, listeners, secrets."""

from __future__ import annotations

import ipaddress
import os
import subprocess
import sys
from typing import Any

import psutil
import pytest
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from lab import credentials, environment, oracle, probes
from lab.layout import PARTS, SUPERVISED, address, paths

pytestmark = [pytest.mark.lab, pytest.mark.usefixtures("lab")]

GROUP = "backoffice"
LISTENERS = {"SASL_PLAINTEXT": "kafka_sasl", "SASL_SSL": "kafka_ssl"}


def client(user: str, protocol: str, mechanism: str, password: str | None = None) -> AdminClient:
    settings: dict[str, Any] = {
        "bootstrap.servers": address(LISTENERS[protocol]),
        "security.protocol": protocol,
        "sasl.mechanism": mechanism,
        "sasl.username": user,
        "sasl.password": password or paths().secret(credentials.KAFKA_USERS[user]),
        "log_level": 0,
        "error_cb": lambda _error: None,
    }
    if protocol == "SASL_SSL":
        settings["ssl.ca.location"] = str(paths().ca_file)
    return AdminClient(settings)


def describe(admin: AdminClient) -> Any:
    return admin.describe_consumer_groups([GROUP], request_timeout=10)[GROUP].result(timeout=12)


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-512"])
@pytest.mark.parametrize("protocol", LISTENERS)
def test_each_user_may_do_what_it_is_for(protocol: str, mechanism: str) -> None:
    for user in ("admin", "lag-reader"):
        admin = client(user, protocol, mechanism)
        assert "events" in admin.list_topics(timeout=10).topics
        assert describe(admin).state.name == "STABLE"
        assert len(admin.describe_cluster(request_timeout=10).result(timeout=12).nodes) == 1
    nobody = client("no-acl", protocol, mechanism)
    assert nobody.list_topics(timeout=10).topics == {}
    with pytest.raises(KafkaException) as refused:
        describe(nobody)
    assert refused.value.args[0].name() == "GROUP_AUTHORIZATION_FAILED"


def test_a_lag_reader_cannot_change_anything() -> None:
    admin = client("lag-reader", "SASL_PLAINTEXT", "PLAIN")
    with pytest.raises(KafkaException) as refused:
        admin.delete_consumer_groups([GROUP], request_timeout=10)[GROUP].result(timeout=12)
    assert refused.value.args[0].name() == "GROUP_AUTHORIZATION_FAILED"
    with pytest.raises(KafkaException) as refused:
        admin.delete_topics(["events"], request_timeout=10)["events"].result(timeout=12)
    assert refused.value.args[0].name() == "TOPIC_AUTHORIZATION_FAILED"


def test_a_wrong_password_is_no_way_in() -> None:
    with pytest.raises(KafkaException):
        client("admin", "SASL_PLAINTEXT", "SCRAM-SHA-512", "wrong").list_topics(timeout=3)


def test_kafkas_own_tool_sees_the_group_as_the_probe_does() -> None:
    state, members = probes.consumer_group()
    text = oracle.consumer_groups(["--describe", "--group", GROUP, "--state"])
    row = next(line.split() for line in text.splitlines() if line.startswith(GROUP))
    assert (row[0], row[-2].upper(), int(row[-1])) == (GROUP, state, members) == (GROUP, "STABLE", 1)


def psql(database: str, statement: str) -> str:
    variables = environment.variables(paths())
    connection = {name: value for name, value in variables.items() if name.startswith("PG")}
    answer = subprocess.run(
        [variables["PSQL"], "--no-password", "-XAtc", statement, database],
        env={"PATH": os.defpath, **connection},
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    return answer.stdout.strip()


def test_both_databases_are_migrated_and_only_one_is_used() -> None:
    for database in ("backoffice", "backoffice_decoy"):
        assert psql(database, "SELECT version, script, success FROM flyway_schema_history") == "1|V1__backoffice.sql|t"
    assert psql("backoffice", "SELECT net_qty FROM positions WHERE (account_id, symbol) = ('acct_demo', 'ADA')") == "3"
    assert psql("backoffice_decoy", "SELECT count(*) FROM order_meta") == "0"
    assert psql("backoffice", "SHOW listen_addresses") == "127.0.0.1"


def processes() -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(SUPERVISED) == str(paths().root):
                found.append(process)
        except psutil.Error:
            continue
    return found


def test_everything_listens_on_loopback_only() -> None:
    listening = {
        connection.laddr.ip.removeprefix("::ffff:")
        for process in processes()
        for connection in process.net_connections(kind="tcp")
        if connection.status == psutil.CONN_LISTEN
    }
    assert "127.0.0.1" in listening
    assert all(ipaddress.ip_address(address).is_loopback for address in listening)


def test_no_secret_stands_in_a_command_line_or_a_log() -> None:
    secrets = [paths().secret(name) for name in credentials.NAMES]
    lines = [" ".join(process.cmdline()) for process in processes()]
    assert len(lines) >= len(PARTS["backoffice"])
    texts = lines + [log.read_text("utf-8", "replace") for log in paths().logs.glob("*.log")]
    assert not any(secret in text for secret in secrets for text in texts)


def test_up_again_changes_nothing() -> None:
    before = {process.pid for process in processes()}
    answer = subprocess.run(
        [sys.executable, "-m", "lab", "up", "backoffice"], capture_output=True, text=True, timeout=60, check=False
    )
    assert answer.returncode == 0, answer.stderr
    assert "the lab was up already" in answer.stdout
    assert before <= {process.pid for process in processes()}
