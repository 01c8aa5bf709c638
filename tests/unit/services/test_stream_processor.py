# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The stream processor: what it cannot read is put aside before the group goes on."""

from __future__ import annotations

from typing import Any

import pytest

from lab.services import stream_processor
from lab.services.traffic import transaction


class FakeMessage:
    def __init__(self, value: bytes) -> None:
        self._value = value

    def error(self) -> None:
        return None

    def value(self) -> bytes:
        return self._value

    def key(self) -> bytes:
        return b"key"

    def topic(self) -> str:
        return "in"

    def partition(self) -> int:
        return 0

    offset = partition


class FakeKafka:
    """Consumer and producer at once; ``left``: records that could not be written."""

    def __init__(self, values: list[bytes], left: int = 0) -> None:
        self._values, self._left = values, left
        self.aside: list[Any] = []
        self.commits = 0

    def consume(self, _count: int, _seconds: float) -> list[FakeMessage]:
        return [FakeMessage(value) for value in self._values]

    def produce(self, topic: str, value: bytes, _key: bytes) -> None:
        self.aside.append((topic, value))

    def flush(self, _seconds: float) -> int:
        return self._left

    def commit(self, asynchronous: bool) -> None:
        assert not asynchronous
        self.commits += 1


def test_what_traffic_sends_is_read() -> None:
    assert stream_processor.readable(transaction())


@pytest.mark.parametrize("value", [None, b"", b"<Transaction/>", b"[]", b"7", b'{"transactionId": 7}', b"\xff"])
def test_what_is_no_transaction_is_not(value: bytes | None) -> None:
    assert not stream_processor.readable(value)


@pytest.mark.parametrize(("values", "left", "commits"), [([b"<x/>"], 0, 1), ([b"<x/>"], 1, 0), ([], 0, 0)])
def test_the_group_goes_on_once_dead_letters_are_written(values: list[bytes], left: int, commits: int) -> None:
    fake: Any = FakeKafka(values, left)
    stream_processor.work(fake, fake, "dead")
    assert fake.aside == [("dead", value) for value in values]
    assert fake.commits == commits
