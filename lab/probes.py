# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Is a program ready, and is the whole lab healthy?"""

from __future__ import annotations

import json
import socket
import time
import urllib.error
import urllib.request
from datetime import UTC, datetime
from typing import Any

from lab import cluster, hafnium, kafka, postgres
from lab.layout import Paths, address, paths, ports

ACCOUNT = "acct_demo"
_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def token(where: Paths, account: str = ACCOUNT) -> str:
    """A JWT for the account, good for five minutes."""
    import jwt

    return jwt.encode(
        {"accountId": account, "exp": int(time.time()) + 300}, where.secret("jwt_hs256_secret"), algorithm="HS256"
    )


def request(
    service: str, path: str, bearer: str | None = None, body: object = None, headers: dict[str, str] | None = None
) -> tuple[int, Any]:
    """Status and body (JSON, else text) of a request to ``gateway`` or ``backoffice``; OSError when not reached."""
    headers = dict(headers or {})
    if bearer:
        headers["Authorization"] = f"Bearer {bearer}"
    data = None if body is None else json.dumps(body).encode()
    question = urllib.request.Request(f"http://{address(service)}{path}", data, headers)
    try:
        with _direct.open(question, timeout=10) as answer:
            status, text = answer.status, answer.read().decode("utf-8", "replace")
    except urllib.error.HTTPError as error:
        status, text = error.code, error.read().decode("utf-8", "replace")
    try:
        return status, json.loads(text)
    except ValueError:
        return status, text


def port_open(name: str) -> bool:
    """True when something listens on the named port."""
    try:
        socket.create_connection(("127.0.0.1", ports()[name]), timeout=2).close()
    except OSError:
        return False
    return True


def ready(program: str) -> bool:
    """True when the program answers what it is there for."""
    if program == "postgresql":
        return port_open("postgresql") and _postgres_answers()
    if program == "kafka":
        return port_open("kafka") and kafka.answers()
    if program in ("backoffice", "gateway"):
        try:
            return request(program, "/health")[0] == 200
        except OSError:
            return False
    if program in cluster.PROGRAMS or program == "runner":
        return cluster.answers(program, paths())
    if program == "stream-processor":
        return consumer_group(hafnium.GROUP) == ("STABLE", 1) and _commits(hafnium.GROUP, hafnium.INGESTED)
    return True


def _postgres_answers() -> bool:
    import psycopg2

    try:
        postgres.connect(paths(), seconds=2).close()
    except psycopg2.Error:
        return False
    return True


def _commits(group: str, topic: str) -> bool:
    """True when the group has committed an offset in each partition of a topic of Hafnium."""
    from confluent_kafka import ConsumerGroupTopicPartitions, KafkaException

    client = kafka.admin()
    try:
        answer = client.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)], request_timeout=5)
        found = answer[group].result(timeout=6).topic_partitions or []
    except (KafkaException, TimeoutError):
        return False
    return {each.partition for each in found if each.topic == topic} == set(range(hafnium.TOPICS[topic]))


def consumer_group(group: str = "backoffice") -> tuple[str, int]:
    """State and number of members of a consumer group; ``("UNKNOWN", 0)`` when the broker does not tell."""
    from confluent_kafka import KafkaException

    client = kafka.admin()  # it must outlive its answer
    try:
        description = client.describe_consumer_groups([group], request_timeout=5)[group].result(timeout=6)
    except (KafkaException, TimeoutError):
        return "UNKNOWN", 0
    return description.state.name, len(description.members)


def trouble(where: Paths, quiet_seconds: float = 20) -> list[str]:
    """What is wrong with the data flow of a running lab, a line each; empty when it is healthy.

    Healthy: BackOffice answers with the lab's secret, its consumer is a member of its group, and the last booked event
    is younger than ``quiet_seconds`` and not from the future.
    """
    try:
        bearer = token(where)
        status, stats = request("backoffice", "/stats", bearer)
        if status != 200 or not isinstance(stats, dict):
            return [f"backoffice: GET /stats answers {status}, 200 was expected"]
        wrong = [
            f"backoffice: GET {path} answers {status}, 200 was expected"
            for path in ("/positions", "/reconcile?limit=10000")
            for status, _ in [request("backoffice", path, bearer)]
            if status != 200
        ]
    except OSError as error:
        return [f"backoffice: not reached on port {ports()['backoffice']} ({error})"]
    state, members = consumer_group()
    if (state, members) != ("STABLE", 1):
        wrong.append(f"kafka: consumer group backoffice is {state} with {members} members, STABLE with 1 was expected")
    age = _age_seconds(stats.get("lastEventAt"))
    if age is None:
        wrong.append("backoffice: no event was booked since its start")
    elif not -5 <= age <= quiet_seconds:
        wrong.append(f"backoffice: the last booked event is {age:.0f} s old, at most {quiet_seconds:g} s was expected")
    return wrong


def _age_seconds(instant: str | None) -> float | None:
    try:
        return (datetime.now(UTC) - datetime.fromisoformat(instant)).total_seconds() if instant else None
    except ValueError:
        return None
