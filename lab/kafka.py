# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Apache Kafka of the lab: one KRaft node with an authorizer, SASL and TLS listeners, its topic, users and ACLs."""

from __future__ import annotations

import base64
import os
import shutil
import subprocess
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lab import jars, tls
from lab.credentials import KAFKA_USERS
from lab.java import QUICK_START
from lab.layout import LabError, Paths, address, marked, write_private

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from concurrent.futures import Future

    from confluent_kafka.admin import AdminClient

TOPIC, PARTITIONS = "events", 3
GROUP = "backoffice"  # the consumer group of BackOffice
_MECHANISM = "SCRAM-SHA-512"
_SECONDS = 20


def properties_file(paths: Paths) -> Path:
    return paths.run / "kafka.properties"


def properties(paths: Paths) -> dict[str, str]:
    """The broker's configuration."""
    users = {user: paths.secret(name) for user, name in KAFKA_USERS.items()}
    plain = "org.apache.kafka.common.security.plain.PlainLoginModule required"
    plain += "".join(f' user_{user}="{password}"' for user, password in users.items()) + ";"
    scram = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
    settings = {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.voters": f"1@{address('kafka_controller')}",
        "listeners": f"PLAINTEXT://{address('kafka')},SASL_PLAINTEXT://{address('kafka_sasl')},"
        f"SASL_SSL://{address('kafka_ssl')},CONTROLLER://{address('kafka_controller')}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT,"
        "SASL_SSL:SASL_SSL,CONTROLLER:PLAINTEXT",
        "inter.broker.listener.name": "PLAINTEXT",
        "controller.listener.names": "CONTROLLER",
        "log.dirs": str(paths.kafka / "data"),
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:ANONYMOUS;User:admin",
        "allow.everyone.if.no.acl.found": "false",
        "auto.create.topics.enable": "true",
        "num.partitions": "1",
        "offsets.topic.replication.factor": "1",
        "offsets.topic.num.partitions": "4",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "transaction.state.log.num.partitions": "4",
        "group.initial.rebalance.delay.ms": "0",
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(tls.key_store(paths)),
    }
    for listener in ("sasl_plaintext", "sasl_ssl"):
        prefix = f"listener.name.{listener}"
        settings[f"{prefix}.sasl.enabled.mechanisms"] = f"PLAIN,{_MECHANISM}"
        settings[f"{prefix}.plain.sasl.jaas.config"] = plain
        settings[f"{prefix}.{_MECHANISM.lower()}.sasl.jaas.config"] = scram
    return settings


def properties_text(settings: Mapping[str, str]) -> str:
    """A Java properties file; backslashes are escaped as that format wants it."""
    lines = (f"{name}={value}\n".replace("\\", "\\\\") for name, value in settings.items())
    return "".join(lines)


def command(paths: Paths, java: Path, libs: Path) -> list[str]:
    logging = [
        f"-Dorg.slf4j.simpleLogger.{name}"
        for name in ("showDateTime=true", "dateTimeFormat=HH:mm:ss.SSS", "logFile=System.out")
    ]
    return [
        str(java),
        "-Xmx384m",
        *QUICK_START,
        *logging,
        "-cp",
        f"{libs}/*",
        "kafka.Kafka",
        str(properties_file(paths)),
    ]


def ensure(paths: Paths, java: Path) -> Path:
    """Jars, configuration and a formatted log folder; the folder of the jars. LabError."""
    libs = jars.KAFKA.ensure()
    write_private(properties_file(paths), properties_text(properties(paths)))
    formatted = paths.kafka / "formatted"
    if not formatted.exists():
        shutil.rmtree(paths.kafka / "data", ignore_errors=True)
        _format(paths, java, libs)
        formatted.touch()
    return libs


def _format(paths: Paths, java: Path, libs: Path) -> None:
    cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
    if cluster.startswith("-"):
        cluster = f"A{cluster[1:]}"  # the tool would take it for an option
    tool = [str(java), *QUICK_START, "-Dorg.slf4j.simpleLogger.defaultLogLevel=error", "-cp", f"{libs}/*"]
    tool += ["kafka.tools.StorageTool", "format", "-t", cluster, "-c", str(properties_file(paths))]
    try:
        answer = subprocess.run(
            tool, capture_output=True, text=True, timeout=120, check=False, env={**os.environ, **marked(paths)}
        )
    except subprocess.TimeoutExpired:
        raise LabError("kafka: its log folder was not formatted within 120 s") from None
    if answer.returncode:
        lines = (answer.stderr or answer.stdout).strip().splitlines() or ["no reason given"]
        raise LabError(f"kafka: its log folder {paths.kafka / 'data'} could not be formatted: {lines[0].strip()}")


def admin() -> AdminClient:
    """A client of the lab's broker, as super user."""
    from confluent_kafka.admin import AdminClient

    return AdminClient({"bootstrap.servers": address("kafka"), "log_level": 0, "error_cb": lambda _error: None})


def configure(paths: Paths) -> None:
    """Topic, SCRAM users and ACLs: made when missing, so that it can be run at each start."""
    ensure_topics({TOPIC: PARTITIONS})
    from confluent_kafka import KafkaException
    from confluent_kafka.admin import (
        AclBinding,
        AclOperation,
        AclPermissionType,
        ResourcePatternType,
        ResourceType,
        ScramCredentialInfo,
        ScramMechanism,
        UserScramCredentialUpsertion,
    )

    client = admin()
    try:
        scram = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4096)
        passwords = {user: paths.secret(name).encode() for user, name in KAFKA_USERS.items()}
        known = client.describe_user_scram_credentials(list(passwords), request_timeout=_SECONDS)
        missing = [user for user, future in known.items() if future.exception(timeout=_SECONDS)]
        changes = [UserScramCredentialUpsertion(user, scram, passwords[user]) for user in missing]
        if changes:
            _wait(client.alter_user_scram_credentials(changes, request_timeout=_SECONDS).values())
        everything = [(ResourceType.GROUP, "*"), (ResourceType.TOPIC, "*"), (ResourceType.BROKER, "kafka-cluster")]
        acls = [
            AclBinding(
                kind,
                name,
                ResourcePatternType.LITERAL,
                "User:lag-reader",
                "*",
                AclOperation.DESCRIBE,
                AclPermissionType.ALLOW,
            )
            for kind, name in everything
        ]
        _wait(client.create_acls(acls, request_timeout=_SECONDS).values())
    except KafkaException as error:
        raise LabError(f"kafka: users and ACLs could not be made: {error.args[0].str()}") from None


def ensure_topics(topics: Mapping[str, int]) -> None:
    """Make those of the topics (partitions by name) that are missing."""
    from confluent_kafka import KafkaException
    from confluent_kafka.admin import NewTopic

    client = admin()
    try:
        known = client.list_topics(timeout=_SECONDS).topics
        missing = [NewTopic(name, partitions, 1) for name, partitions in topics.items() if name not in known]
        if missing:
            _wait(client.create_topics(missing, request_timeout=_SECONDS).values())
    except KafkaException as error:
        raise LabError(f"kafka: {', '.join(topics)} could not be made: {error.args[0].str()}") from None


def _wait(futures: Iterable[Future[Any]]) -> None:
    for future in futures:
        future.result(timeout=_SECONDS)


def answers(seconds: float = 2) -> bool:
    """True when the broker answers a metadata request."""
    from confluent_kafka import KafkaException

    try:
        return bool(admin().list_topics(timeout=seconds).brokers)
    except KafkaException:
        return False
