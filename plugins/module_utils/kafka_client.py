# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read-only requests to Kafka, as plain data. A Client is made and used only inside a child process (see isolate).

It never asks for a topic's metadata by name through a call that lets the broker create the topic.
"""

from __future__ import annotations

import concurrent.futures
import logging
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from . import kafka_errors, libraries, redact
from .clock import Deadline
from .errors import InputError, UnreachableError
from .kafka_errors import Error, Trouble

try:
    import confluent_kafka
    from confluent_kafka import admin
except ImportError as _error:
    libraries.record("confluent-kafka", _error)

LIBRARY = "confluent-kafka"
Partition = tuple[str, int]

IN_FLIGHT = 8  # librdkafka may abort when many coordinator requests time out together
ATTEMPTS = 4
FIRST_PAUSE_SECONDS = 0.2
SETTLE_SECONDS = 1.0  # after every broker has failed once: time for a second address or a restart
POLL_SECONDS = 0.02
PROGRESS_EVERY = 50

_STATES = {
    "PREPARING_REBALANCING": "PreparingRebalance",
    "COMPLETING_REBALANCING": "CompletingRebalance",
    "STABLE": "Stable",
    "DEAD": "Dead",
    "EMPTY": "Empty",
}


@dataclass
class Answer:
    """The value of one request, or its error (then the value is None)."""

    value: Any = None
    error: Error | None = None


class Client:
    """One connection to a cluster. ``deadline`` bounds everything; ``progress`` takes lines of text."""

    def __init__(
        self,
        settings: dict[str, Any],
        request_seconds: float,
        deadline: Deadline,
        progress: Callable[[str], None] = lambda text: None,
    ) -> None:
        self._request_seconds = request_seconds
        self._deadline = deadline
        self._progress = progress
        self._troubles: dict[str, Trouble] = {}
        self._bootstrap = settings["bootstrap.servers"].split(",")
        own = {"error_cb": lambda event: self._note(event.str()), "logger": self._logger()}
        try:
            self._admin = admin.AdminClient({**settings, **own})
        except (confluent_kafka.KafkaException, ValueError, TypeError) as refused:
            raise InputError(
                f"the Kafka client refuses its settings: {redact.observed(_text(refused), limit=300)}"
            ) from refused

    def _logger(self) -> logging.Logger:
        logger = logging.getLogger("sre.runbooks.kafka")
        logger.propagate = False
        logger.setLevel(logging.DEBUG)
        handler = logging.Handler()
        handler.emit = self._take_log  # type: ignore[method-assign]
        logger.handlers = [handler]
        return logger

    def _take_log(self, record: logging.LogRecord) -> None:
        # "FAIL [rdkafka#producer-1] [thrd:host:9092/bootstrap]: host:9092/bootstrap: Disconnected ..."
        self._note(record.getMessage().partition("]: ")[2])

    def _note(self, text: str) -> None:
        noticed = kafka_errors.trouble(text)
        if noticed:
            known = self._troubles.get(noticed.broker)
            if known is None or not known.final:
                self._troubles[noticed.broker] = noticed

    def metadata(self) -> dict[str, Any]:
        """Cluster id, controller id, brokers, and all topics that the user may see, with their partitions.

        The first request of all: raises UnreachableError, with what each broker did, as soon as that is certain.
        """
        seconds = self._deadline.within(max(self._request_seconds, 1.0), "connecting to Kafka")
        pool = concurrent.futures.ThreadPoolExecutor(1)
        reason = ""
        for pause in self._tries():
            self._deadline.clock.sleep(pause)
            future = pool.submit(self._admin.list_topics, timeout=seconds)
            self._wait(future, seconds)
            try:
                return _metadata(future.result())
            except confluent_kafka.KafkaException as failed:
                # A connection that closes under the request fails it at once: another broker may answer the next one.
                self._admin.poll(POLL_SECONDS)
                reason = _text(failed)
        raise self._unreachable(reason)

    def _wait(self, future: concurrent.futures.Future[Any], seconds: float) -> None:
        clock = self._deadline.clock
        end = clock.monotonic() + seconds
        all_failed_at: float | None = None
        while not future.done() and clock.monotonic() < end:
            concurrent.futures.wait([future], timeout=POLL_SECONDS)
            self._admin.poll(0)
            failed = [self._troubles.get(server) for server in self._bootstrap]
            if not all(failed):
                all_failed_at = None
                continue
            all_failed_at = all_failed_at or clock.monotonic()
            if all(one and one.final for one in failed) or clock.monotonic() - all_failed_at > SETTLE_SECONDS:
                raise self._unreachable("")
        if not future.done():
            raise self._unreachable(f"no answer within {seconds:g} s")

    def _unreachable(self, fallback: str) -> UnreachableError:
        told = [self._troubles[server].text for server in self._bootstrap if server in self._troubles]
        silent = [server for server in self._bootstrap if server not in self._troubles]
        if silent:
            told.append(f"{', '.join(silent)}: {redact.observed(fallback, limit=200) or 'no answer'}")
        return UnreachableError(f"Kafka cannot be reached: {'; '.join(told)}.", brokers=self._bootstrap)

    def list_groups(self) -> tuple[list[dict[str, Any]], list[Error]]:
        """Consumer groups that the user may see ({group, state, type, is_simple_consumer_group}), and errors."""
        answer = self._result(self._admin.list_consumer_groups(request_timeout=self._seconds()))
        if answer.error:
            return [], [answer.error]
        rows = [
            {
                "group": listing.group_id,
                "state": _state(listing),
                "type": _type(listing),
                "is_simple_consumer_group": bool(listing.is_simple_consumer_group),
            }
            for listing in answer.value.valid
        ]
        return rows, [self._error(failed) for failed in answer.value.errors or []]

    def foreign_groups(self) -> dict[str, str]:
        """All groups by name with their protocol type, share and connect groups too; empty when it cannot be had."""
        listing = getattr(self._admin, "list_groups", None)
        if listing is None:
            return {}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            try:
                return {row.id: row.protocol_type or "" for row in listing(timeout=self._seconds())}
            except confluent_kafka.KafkaException:
                return {}

    def describe_groups(self, groups: Iterable[str]) -> dict[str, Answer]:
        """State, type, coordinator and members of each group. One request per group, at most IN_FLIGHT at a time."""

        def start(group: str, seconds: float) -> concurrent.futures.Future[Any]:
            future: concurrent.futures.Future[Any] = self._admin.describe_consumer_groups(
                [group], request_timeout=seconds
            )[group]
            return future

        answers = self._each(list(groups), start, "groups described")
        for answer in answers.values():
            if answer.value is not None:
                answer.value = _description(answer.value)
        return answers

    def commits(self, groups: Iterable[str]) -> dict[str, Answer]:
        """Committed offsets of each group: [{topic, partition, offset|None, leader_epoch, metadata, error}].

        One OffsetFetch per group (the client library takes no more), at most IN_FLIGHT at a time.
        """

        def start(group: str, seconds: float) -> concurrent.futures.Future[Any]:
            wanted = [confluent_kafka.ConsumerGroupTopicPartitions(group)]
            future: concurrent.futures.Future[Any] = self._admin.list_consumer_group_offsets(
                wanted, request_timeout=seconds
            )[group]
            return future

        answers = self._each(list(groups), start, "groups read")
        for answer in answers.values():
            if answer.value is not None:
                answer.value = [self._commit(row) for row in answer.value.topic_partitions or []]
        return answers

    def _commit(self, row: Any) -> dict[str, Any]:
        return {
            "topic": row.topic,
            "partition": row.partition,
            "offset": row.offset if row.offset >= 0 else None,
            "leader_epoch": row.leader_epoch,
            "metadata": row.metadata,
            "error": self._error(row.error) if row.error else None,
        }

    def offsets(self, partitions: Iterable[Partition]) -> dict[Partition, dict[str, Any]]:
        """Log start, last stable offset and high watermark of each partition: {start, lso, hw, error}.

        Three ListOffsets per leader broker for all partitions together. The high watermark is asked for last, so that
        it is never below the others.
        """
        wanted = list(partitions)
        start = self._list_offsets(wanted, admin.OffsetSpec.earliest(), committed=False)
        lso = self._list_offsets(wanted, admin.OffsetSpec.latest(), committed=True)
        high = self._list_offsets(wanted, admin.OffsetSpec.latest(), committed=False)
        return {
            key: {
                "start": start[key].value,
                "lso": lso[key].value,
                "hw": high[key].value,
                "error": high[key].error or lso[key].error or start[key].error,
            }
            for key in wanted
        }

    def _list_offsets(self, partitions: list[Partition], spec: Any, committed: bool) -> dict[Partition, Answer]:
        level = confluent_kafka.IsolationLevel
        isolation = level.READ_COMMITTED if committed else level.READ_UNCOMMITTED
        answers: dict[Partition, Answer] = {}
        for pause in self._tries():
            missing = [key for key in partitions if key not in answers or _again(answers[key])]
            if not missing:
                break
            self._deadline.clock.sleep(pause)
            if self._deadline.expired:
                answers.update({key: self._too_late() for key in missing if key not in answers})
                break
            request = {confluent_kafka.TopicPartition(*key): spec for key in missing}
            seconds = self._seconds()
            futures = self._admin.list_offsets(request, isolation_level=isolation, request_timeout=seconds)
            for asked, future in futures.items():
                answer = self._result(future)
                if answer.value is not None:
                    answer.value = answer.value.offset
                answers[asked.topic, asked.partition] = answer
        return answers

    def topic_errors(self, topics: Iterable[str]) -> dict[str, Error]:
        """Why each of these topics is not in the metadata: it does not exist, or the user may not see it."""
        names = list(topics)
        if not names:
            return {}
        wanted = confluent_kafka.TopicCollection(names)
        futures = self._admin.describe_topics(wanted, request_timeout=self._seconds())
        answers = {name: self._result(future) for name, future in futures.items()}
        return {name: answer.error for name, answer in answers.items() if answer.error}

    def configs(self, broker: int, topics: Iterable[str]) -> dict[str, Answer]:
        """Configuration values (name: text) of one broker (key "") and of topics (key: name)."""
        kind = admin.ConfigResource.Type
        resources = [
            admin.ConfigResource(kind.BROKER, str(broker)),
            *(admin.ConfigResource(kind.TOPIC, name) for name in topics),
        ]
        futures = self._admin.describe_configs(resources, request_timeout=self._seconds())
        answers = {}
        for resource, future in futures.items():
            answer = self._result(future)
            if answer.value is not None:
                answer.value = {name: entry.value for name, entry in answer.value.items()}
            answers["" if resource.restype == kind.BROKER else resource.name] = answer
        return answers

    def _each(
        self,
        keys: list[str],
        start: Callable[[str, float], concurrent.futures.Future[Any]],
        what: str,
    ) -> dict[str, Answer]:
        """One request per key, IN_FLIGHT at a time, with retries of what Kafka calls temporary."""
        answers: dict[str, Answer] = {}
        for pause in self._tries():
            missing = [key for key in keys if key not in answers or _again(answers[key])]
            if not missing:
                break
            self._deadline.clock.sleep(pause)
            for key, answer in self._window(missing, start):
                answers[key] = answer
                if len(answers) % PROGRESS_EVERY == 0 and len(answers) < len(keys):
                    self._progress(f"{len(answers)} of {len(keys)} {what}")
        return {key: answers[key] for key in keys}

    def _window(
        self, keys: list[str], start: Callable[[str, float], concurrent.futures.Future[Any]]
    ) -> Iterator[tuple[str, Answer]]:
        waiting = iter(keys)
        pending: dict[concurrent.futures.Future[Any], str] = {}
        while True:
            while len(pending) < IN_FLIGHT and not self._deadline.expired and (key := next(waiting, None)) is not None:
                try:
                    pending[start(key, self._seconds())] = key
                except (confluent_kafka.KafkaException, ValueError, TypeError) as refused:
                    yield key, Answer(error=kafka_errors.error("_INVALID_ARG", _text(refused)))
            if not pending:
                break
            done, _rest = concurrent.futures.wait(
                pending, timeout=self._request_seconds + SETTLE_SECONDS, return_when=concurrent.futures.FIRST_COMPLETED
            )
            if not done:
                break
            for future in done:
                yield pending.pop(future), self._result(future)
        yield from ((key, self._too_late()) for key in [*pending.values(), *waiting])

    def _tries(self) -> Iterator[float]:
        """Pauses before each attempt, in seconds: 0, 0.2, 0.4, ... as long as there is time."""
        yield 0.0
        pause = FIRST_PAUSE_SECONDS
        for _attempt in range(ATTEMPTS - 1):
            if self._deadline.remaining() <= pause:
                return
            yield pause
            pause *= 2

    def _seconds(self) -> float:
        """The time for the next request; a moment even at the very end, so that its answer says what happened."""
        return max(0.1, min(self._request_seconds, self._deadline.remaining()))

    def _too_late(self) -> Answer:
        return Answer(
            error=kafka_errors.error("_TIMED_OUT", "it was not read before the time was used up; raise 'timeout'")
        )

    def _result(self, future: concurrent.futures.Future[Any]) -> Answer:
        try:
            return Answer(value=future.result(timeout=self._request_seconds + SETTLE_SECONDS))
        except confluent_kafka.KafkaException as failed:
            return Answer(error=self._error(failed))
        except concurrent.futures.TimeoutError:
            return Answer(error=kafka_errors.error("_TIMED_OUT", f"no answer within {self._request_seconds:g} s"))

    def _error(self, failed: Any) -> Error:
        cause = failed.args[0] if isinstance(failed, confluent_kafka.KafkaException) else failed
        if not isinstance(cause, confluent_kafka.KafkaError):
            return kafka_errors.error("_FAIL", str(cause))
        message = cause.str()
        if cause.name() in ("_TIMED_OUT", "_TRANSPORT", "_RESOLVE"):
            # Often an advertised address that cannot be reached from here: say which broker it is about.
            self._admin.poll(0)
            told = "; ".join(sorted(noticed.text for noticed in self._troubles.values())[:3])
            message = f"{message}; {told}" if told else message
        return kafka_errors.error(cause.name(), message, code=cause.code())


def _again(answer: Answer) -> bool:
    return answer.error is not None and bool(answer.error["retriable"])


def _text(failed: BaseException) -> str:
    cause = failed.args[0] if failed.args else failed
    return str(cause.str() if hasattr(cause, "str") else cause)


def _metadata(listed: Any) -> dict[str, Any]:
    """Cluster metadata as plain data."""
    topics: dict[str, Any] = {}
    for name, topic in listed.topics.items():
        partitions = {
            number: {"leader": row.leader, "replicas": list(row.replicas), "in_sync": list(row.isrs)}
            for number, row in sorted(topic.partitions.items())
        }
        problem = (
            kafka_errors.error(topic.error.name(), topic.error.str(), code=topic.error.code()) if topic.error else None
        )
        topics[name] = {"partitions": partitions, "error": problem}
    return {
        "cluster_id": listed.cluster_id,
        "controller_id": listed.controller_id,
        "brokers": [{"id": row.id, "host": row.host, "port": row.port} for _id, row in sorted(listed.brokers.items())],
        "topics": topics,
    }


def _node(node: Any) -> dict[str, Any] | None:
    return {"id": node.id, "host": node.host, "port": node.port} if node else None


def _state(row: Any) -> str:
    return _STATES.get(getattr(getattr(row, "state", None), "name", ""), "Unknown")


def _type(row: Any) -> str:
    name: str = getattr(getattr(row, "type", None), "name", "unknown")
    return name.lower()


def _assignment(assignment: Any) -> list[Partition] | None:
    return [(row.topic, row.partition) for row in assignment.topic_partitions] if assignment else None


def _description(described: Any) -> dict[str, Any]:
    return {
        "state": _state(described),
        "type": _type(described),
        "is_simple_consumer_group": bool(described.is_simple_consumer_group),
        "assignor": described.partition_assignor or None,
        "coordinator": _node(described.coordinator),
        "members": [
            {
                "member_id": member.member_id,
                "group_instance_id": member.group_instance_id,
                "client_id": member.client_id,
                "host": member.host,
                "assigned": _assignment(member.assignment) or [],
                "target": _assignment(getattr(member, "target_assignment", None)),
            }
            for member in described.members
        ],
    }
