# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Building the control plane, with a stand-in for the Go program."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab import gobuild, golang
from lab.gobuild import ETCD, KUBERNETES, KWOK, MODULES
from lab.golang import Go
from lab.layout import LabError, Paths

DOWNLOADS = "echo 'go: downloading k8s.io/api v0.36.3' >&2"
BUILDS = """
case "$1" in
  list) echo k8s.io/api ;;
  build) echo k8s.io/api >&2; while [ "$1" != -o ]; do shift; done; echo program > "$2" ;;
esac
"""


@pytest.fixture
def go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The stand-in's file; an empty cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    program = tmp_path / "go"
    monkeypatch.setattr(golang, "ensure", lambda _: Go(program, None, "linux", "amd64"))
    return program


def plays(program: Path, script: str) -> None:
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)


def test_versions_stand_in_the_modules() -> None:
    assert (ETCD.version, KWOK.version, KUBERNETES.version) == ("3.6.8", "0.8.0", "1.36.3")
    assert "version.gitVersion=v1.36.3" in KUBERNETES.linker_flags
    for module in MODULES:
        assert f"{module.carries} v{module.version} h1:" in (module.source / "go.sum").read_text()


def test_a_program_is_built_once(lab: Paths, go: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gobuild, "MODULES", (ETCD,))
    plays(go, BUILDS)
    gobuild.ensure(lab)
    assert ETCD.path.read_text() == "program\n"
    monkeypatch.setattr(golang, "ensure", lambda _: pytest.fail("a second build"))
    gobuild.ensure(lab)


def test_what_a_downloaded_go_collects_goes_after_the_build(
    lab: Paths, go: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setattr(golang, "ensure", lambda _: Go(go, home, "linux", "amd64"))
    monkeypatch.setattr(gobuild, "MODULES", (ETCD,))
    plays(go, f'test "$GOMODCACHE" = {home}/modules || exit 1\n{BUILDS}')
    gobuild.ensure(lab)
    assert not home.exists()


@pytest.mark.parametrize(
    ("complaint", "words"),
    [
        ("dial tcp: lookup proxy.example on 127.0.0.1:53: no such host", "no network: the sources of etcd 3.6.8"),
        ("verifying go.uber.org/zap@v1.27.0: checksum mismatch", "differs from what go.sum pins"),
        ("write /tmp/x.o: no space left on device", "no space left on the disk"),
        ("main.go:3: undefined: x", r"could not be built: main.go:3: undefined: x \(see .*failed-build.log\)"),
    ],
)
def test_a_failure_is_one_line_with_its_reason(
    lab: Paths, go: Path, monkeypatch: pytest.MonkeyPatch, complaint: str, words: str
) -> None:
    monkeypatch.setattr(gobuild, "MODULES", (ETCD,))
    plays(go, f"{DOWNLOADS}\necho '{complaint}' >&2\nexit 1")
    with pytest.raises(LabError, match=words) as caught:
        gobuild.ensure(lab)
    assert "\n" not in str(caught.value)
    assert not ETCD.folder.exists()


def test_the_callers_settings_do_not_change_a_build(lab: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"GOFLAGS": "-mod=mod", "GOARCH": "wasm", "GOROOT": "/x", "CGO_ENABLED": "1"}.items():
        monkeypatch.setenv(name, value)
    environment = Go(Path("go"), None, "linux", "amd64").environment(lab)
    assert environment["GOFLAGS"] == "-mod=readonly"
    assert (environment["GOARCH"], environment["CGO_ENABLED"], environment["GOTOOLCHAIN"]) == ("amd64", "0", "local")
    assert "GOROOT" not in environment


@pytest.mark.parametrize(
    ("answer", "version"),
    [
        ("go version go1.26.8 linux/amd64\n", ((1, 26), "linux", "amd64")),
        ("go version go1.27rc1 X:nodwarf5 darwin/arm64\n", ((1, 27), "darwin", "arm64")),
        ("command not found", None),
    ],
)
def test_the_version_of_go_is_read(answer: str, version: object) -> None:
    assert golang.parse_version(answer) == version
