# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Only named variables are read out of a process, and none whose value could be a secret."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils import process_environment
from ansible_collections.sre.runbooks.plugins.module_utils.errors import InputError


def test_named_variables_of_a_running_process() -> None:
    environment = {"TOPIC": "events", "URL": "jdbc:postgresql://u:hunter2@db/x", "OTHER": "no"}
    program = [sys.executable, "-c", "print('up', flush=True); input()"]
    child = subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)
    assert child.stdout is not None
    try:
        child.stdout.readline()  # before that, the kernel may not have given it its environment yet
        found = process_environment.read(child.pid, ["TOPIC", "URL", "ABSENT"])
    finally:
        child.kill()
        child.communicate()
    assert found == {"TOPIC": "events", "URL": "jdbc:postgresql://u:[redacted]@db/x"}


def test_a_process_that_is_gone_or_hidden(tmp_path: Path) -> None:
    assert process_environment.read(os.getpid(), ["TOPIC"], proc=tmp_path) is None


def test_what_is_not_utf8_or_has_no_value(tmp_path: Path) -> None:
    (tmp_path / "7").mkdir()
    (tmp_path / "7" / "environ").write_bytes(b"TOPIC=a\xff\x1b[31m\0EMPTY=\0NOEQUALS\0")
    assert process_environment.read(7, ["TOPIC", "EMPTY", "NOEQUALS"], proc=tmp_path) == {
        "TOPIC": "a\ufffd",
        "EMPTY": "",
    }


@pytest.mark.parametrize("name", ["JWT_HS256_SECRET", "DB_PASSWORD", "API_TOKEN", "AWS_ACCESS_KEY_ID", "KAFKA_JAAS"])
def test_secret_names_are_refused(name: str) -> None:
    with pytest.raises(InputError, match=name):
        process_environment.check_names(["KAFKA_TOPIC", name], "environment_names")
