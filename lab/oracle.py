# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kafka's own group command, as the tests' second opinion."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence

from lab import jars, java
from lab.layout import LabError, address, paths

_CLASS = "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand"


def consumer_groups_command(args: Sequence[str]) -> list[str]:
    """The command line of ``consumer_groups``, for a benchmark."""
    java_path = java.recorded(paths()) or java.ensure(paths())
    quiet = "-Dorg.slf4j.simpleLogger.defaultLogLevel=error"
    server = [] if "--bootstrap-server" in args else ["--bootstrap-server", address("kafka")]
    return [str(java_path), *java.QUICK_START, quiet, "-cp", f"{jars.ensure()}/*", _CLASS, *server, *args]


def consumer_groups(args: Sequence[str], seconds: float = 60) -> str:
    """What ``kafka-consumer-groups ARGS`` prints, against the lab's broker. LabError with its complaint.

    The tool exits 0 on many errors and prints them instead: ``Error: ...`` in the text.
    """
    try:
        answer = subprocess.run(
            consumer_groups_command(args), capture_output=True, text=True, timeout=seconds, check=False
        )
    except subprocess.TimeoutExpired:
        raise LabError(f"ConsumerGroupCommand {' '.join(args)} did not end within {seconds:g} s") from None
    if answer.returncode:
        complaint = (answer.stderr or answer.stdout).strip().splitlines() or ["no reason given"]
        raise LabError(f"ConsumerGroupCommand {' '.join(args)} failed: {complaint[0]}")
    return answer.stdout
