# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kafka's own group command and kubectl, as the tests' second opinion."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from lab import jars, java
from lab.layout import LabError, address, paths

_CLASS = "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand"


def consumer_groups_command(args: Sequence[str]) -> list[str]:
    """The command line of ``consumer_groups``, for a benchmark."""
    java_path = java.recorded(paths()) or java.ensure(paths())
    quiet = "-Dorg.slf4j.simpleLogger.defaultLogLevel=error"
    server = [] if "--bootstrap-server" in args else ["--bootstrap-server", address("kafka")]
    return [str(java_path), *java.QUICK_START, quiet, "-cp", f"{jars.KAFKA.ensure()}/*", _CLASS, *server, *args]


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


def kubectl() -> str:
    """Path of kubectl, from the development packages. LabError when they are not installed."""
    program = Path(sys.executable).with_name("kubectl")
    if not program.exists():
        raise LabError(f"kubectl is not in {program.parent}: `make dev` installs it")
    return str(program)


def run_kubectl(args: Sequence[str], context: str = "lab-admin", stdin: str = "", seconds: float = 60) -> str:
    """What ``kubectl ARGS`` prints, against the lab's cluster. LabError with its complaint."""
    environment = {**os.environ, "KUBECONFIG": str(paths().kubeconfig)}
    command = [kubectl(), "--context", context, *args]
    try:
        answer = subprocess.run(
            command, env=environment, input=stdin, capture_output=True, text=True, timeout=seconds, check=False
        )
    except subprocess.TimeoutExpired:
        raise LabError(f"kubectl {' '.join(args)} did not end within {seconds:g} s") from None
    if answer.returncode:
        complaint = (answer.stderr or answer.stdout).strip().splitlines() or ["no reason given"]
        raise LabError(f"kubectl {' '.join(args)} failed: {complaint[-1]}")
    return answer.stdout
