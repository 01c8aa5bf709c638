# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The virtual environment: made once, refreshed when a pin changes, refused in words."""

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from tools import environment


@pytest.fixture
def installs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """A checkout of requirement files only; returns the list of what is installed, in place of pip."""
    done: list[list[str]] = []
    for name in ("constraints.txt", "run.txt", "dev.txt"):
        (tmp_path / name).write_text("", encoding="utf-8")
    monkeypatch.setattr(environment, "ROOT", tmp_path)
    monkeypatch.setattr(environment, "CONSTRAINTS", tmp_path / "constraints.txt")
    levels = {"run": (tmp_path / "run.txt", tmp_path / "absent.txt"), "dev": (tmp_path / "dev.txt",)}
    monkeypatch.setattr(environment, "LEVELS", levels)
    monkeypatch.setattr(environment, "install", lambda venv, files: done.append([path.name for path in files]))
    monkeypatch.setattr(environment, "create", lambda venv: venv.mkdir(exist_ok=True))
    return done


def run(monkeypatch: pytest.MonkeyPatch, *args: str) -> None:
    monkeypatch.setattr(sys, "argv", ["environment.py", *args])
    environment.main()


def test_second_call_installs_nothing(installs: list[list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    run(monkeypatch, "--dev")
    assert installs == [["run.txt"], ["dev.txt"]]
    run(monkeypatch)
    run(monkeypatch, "--dev")
    assert installs == [["run.txt"], ["dev.txt"]]


def test_changed_pin_is_installed(installs: list[list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(monkeypatch)
    (tmp_path / "constraints.txt").write_text("x==1\n", encoding="utf-8")
    run(monkeypatch)
    assert installs == [["run.txt"], ["run.txt"]]


def test_failed_installation_is_one_line_and_tried_again(
    installs: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(venv: Path, files: list[Path]) -> None:
        raise SystemExit("no network")

    with monkeypatch.context() as broken:
        broken.setattr(environment, "install", fail)
        with pytest.raises(SystemExit, match="no network"):
            run(broken)
    run(monkeypatch)
    assert installs == [["run.txt"]]


def test_pip_error_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").write_text("#!/bin/sh\necho noise; echo 'ERROR: no such version'; exit 1\n")
    (tmp_path / "bin" / "python").chmod(0o755)
    with pytest.raises(SystemExit, match=r"could not be installed: ERROR: no such version \(what pip said: "):
        environment.install(tmp_path, [])


def test_offline_is_said_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the real pip, with an index on a port where nothing listens."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").symlink_to(sys.executable)
    (tmp_path / "pyvenv.cfg").write_text(Path(sys.prefix, "pyvenv.cfg").read_text(encoding="utf-8"), encoding="utf-8")
    (tmp_path / "lib").symlink_to(Path(sys.prefix, "lib"))
    (tmp_path / "wanted.txt").write_text("a-package-that-is-nowhere==1\n", encoding="utf-8")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    with pytest.raises(SystemExit, match=r"^no network: the package index cannot be reached") as end:
        environment.install(tmp_path, [tmp_path / "wanted.txt"])
    assert "\n" not in str(end.value)
    assert "No matching distribution found" in (tmp_path / "pip.log").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "complaint",
    [
        "  error: pg_config of libpq with ssl not found\nERROR: Failed building wheel for x",
        "ERROR: No matching distribution found for x==9",
    ],
)
def test_other_errors_are_not_blamed_on_the_network(complaint: str) -> None:
    assert environment.refusal(complaint, 1) == f"The packages could not be installed: {complaint.splitlines()[-1]}"


def test_without_a_reason_the_code_is_named() -> None:
    assert environment.refusal("noise", 7).endswith("pip ended with 7")


def test_prose_is_not_on_stdout(
    installs: list[list[str]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run(monkeypatch)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("Installing run-time and lab packages ")


def test_progress_is_shown_on_a_terminal(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").write_text("#!/bin/sh\necho progress; echo 'ERROR: no' >&2; exit 1\n")
    (tmp_path / "bin" / "python").chmod(0o755)
    script = f"from tools import environment; environment.install(environment.Path({str(tmp_path)!r}), [])"
    leader, follower = pty.openpty()
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=environment.ROOT, stdout=follower, stderr=subprocess.PIPE, check=False
    )
    os.close(follower)
    shown = os.read(leader, 1000)
    os.close(leader)
    assert shown == b"progress\r\n"
    assert done.stderr.startswith(b"The packages could not be installed: ERROR: no (")


def test_python_without_venv_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SystemExit, match=r"has no module venv: install it .*python3-venv"):
        environment.create(tmp_path / "venv")


def test_old_python_is_refused(tmp_path: Path) -> None:
    script = "import sys; sys.version_info = (3, 10, 1); exec(open(sys.argv[1]).read())"
    command = [sys.executable, "-c", script, environment.__file__]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("Python 3.11 or newer is needed, ")
    assert done.stderr.count("\n") == 1
