# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""STRICT=1: what leaves itself out fails, but for tests that are for another user."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
HOOKS = "tests.support.strict"
TESTS = """\
import os
import pytest

def test_passes():
    pass

def test_skips():
    pytest.skip("no such tool")

@pytest.fixture
def tool():
    pytest.skip("no such server")

def test_fixture_skips(tool):
    pass

@pytest.mark.xfail(strict=True)
def test_known():
    assert False

@pytest.mark.needs_root
def test_root():
    assert os.geteuid() == 0

@pytest.mark.needs_no_root
def test_no_root():
    assert os.geteuid() != 0

@pytest.mark.needs_root
@pytest.mark.needs_no_root
def test_nobody():
    pass

@pytest.mark.needs_root if os.geteuid() == 0 else pytest.mark.needs_no_root
def test_right_user_skips():
    pytest.skip("no such tool for the right user")
"""
FILE = 'import pytest\npytest.importorskip("no_such_library_anywhere")\ndef test(): pass\n'


def outcome(folder: Path, strict: str) -> tuple[int, dict[str, int], str]:
    """Exit code, number of tests by outcome and the output of a pytest run of its own with the hooks."""
    (folder / "test_some.py").write_text(TESTS, encoding="utf-8")
    (folder / "test_file.py").write_text(FILE, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-ra", "-p", HOOKS, "-p", "no:cacheprovider", "--rootdir", "."]
    command += ["-W", "ignore", "-c", os.devnull, "--continue-on-collection-errors", "."]
    environment = {**os.environ, "STRICT": strict, "PYTHONPATH": str(ROOT), "PYTEST_ADDOPTS": ""}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=120
    )
    counts = re.findall(r"(\d+) (passed|failed|skipped|xfailed|error)", done.stdout.splitlines()[-1])
    return done.returncode, {name: int(number) for number, name in counts}, done.stdout + done.stderr


def test_without_strict_tests_may_leave_themselves_out(tmp_path: Path) -> None:
    code, counts, output = outcome(tmp_path, "0")
    assert (code, counts) == (0, {"passed": 2, "skipped": 6, "xfailed": 1}), output


def test_strict_turns_skips_into_failures_but_for_another_user(tmp_path: Path) -> None:
    code, counts, output = outcome(tmp_path, "1")
    assert (code, counts) == (1, {"passed": 2, "skipped": 2, "failed": 2, "xfailed": 1, "error": 2}), output
    for reason in ("no such tool", "no such server", "no such tool for the right user", "no_such_library_anywhere"):
        assert re.search(rf"STRICT=1 leaves nothing out: .*{reason}", output), output


def test_this_suite_has_the_hooks(pytestconfig: pytest.Config) -> None:
    names = {hook.plugin_name for hook in pytestconfig.hook.pytest_runtest_makereport.get_hookimpls()}
    assert any(str(name).endswith("tests/conftest.py") for name in names)
