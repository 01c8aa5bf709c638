# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lab import control, launch, programs
from lab.layout import LabError, Paths

SHOW = [sys.executable, "-c", "import json, os; print(json.dumps(dict(os.environ)))"]


def environment(*files: Path) -> dict[str, str]:
    command = [sys.executable, "-I", str(launch.__file__), *map(str, files), "--", *SHOW]
    answer = subprocess.run(command, capture_output=True, text=True, check=True, env={"PATH": os.defpath, "OWN": "1"})
    return dict(json.loads(answer.stdout))


def test_later_files_win_and_a_bare_name_removes(tmp_path: Path) -> None:
    base, override = tmp_path / "base", tmp_path / "override"
    programs.write_env(base, {"A": "1", "B": "x=y z", "C": "3"})
    programs.write_env(override, {"A": "2", "C": None, "OWN": None})
    seen = environment(base, override, tmp_path / "missing")
    assert (seen["A"], seen["B"]) == ("2", "x=y z")
    assert not {"C", "OWN"} & set(seen)


@pytest.mark.parametrize("variables", [{"A": "one\ntwo"}, {"no name": "x"}])
def test_what_no_file_can_hold_is_refused(tmp_path: Path, variables: dict[str, str | None]) -> None:
    with pytest.raises(LabError, match="cannot be written"):
        programs.write_env(tmp_path / "x.env", variables)


def test_overrides_add_up_and_are_cleared_by_name(lab: Paths) -> None:
    control.set_env("backoffice", A="1", B=None)
    control.set_env("backoffice", C="3")
    assert launch.read(str(lab.override_file("backoffice"))) == {"A": "1", "B": None, "C": "3"}
    control.clear_env("backoffice", "A", "unknown")
    assert launch.read(str(lab.override_file("backoffice"))) == {"B": None, "C": "3"}
    control.clear_env("backoffice")
    assert not lab.override_file("backoffice").exists()


def test_the_services_get_their_secrets_in_files_only(lab: Paths) -> None:
    programs.write_environments(lab)
    secret = lab.secret("jwt_hs256_secret")
    assert launch.read(str(lab.env_file("backoffice")))["JWT_HS256_SECRET"] == secret
    assert lab.env_file("backoffice").stat().st_mode & 0o077 == 0
    table = programs.table(lab, None, ["java"])
    assert not any(secret in word for program in table for word in program.command)
