# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import requests

from lab import jars
from lab.layout import LabError

CONTENT = b"a jar"
BUNDLE = jars.KAFKA
JAR = jars.Jar("org.example", "thing", "1.0", len(CONTENT), hashlib.sha256(CONTENT).hexdigest())


def lock_of(*entries: jars.Jar) -> str:
    return "# comment\n" + "".join(f"{e.sha256} {e.size} {e.group}:{e.artifact}:{e.version}\n" for e in entries)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache whose lock file pins one small jar."""
    lock = tmp_path / "kafka.lock"
    lock.write_text(lock_of(JAR))
    monkeypatch.setattr(jars.Bundle, "lock", lock)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(jars, "_TRIES", 1)
    return BUNDLE.libs().with_name(f"{BUNDLE.libs().name}.partial")


def serve(monkeypatch: pytest.MonkeyPatch, resolve: Callable[[], Path]) -> None:
    artifact = SimpleNamespace(cached_path=None, resolve=resolve)
    component = SimpleNamespace(artifact=lambda *_: artifact)
    project = SimpleNamespace(at_version=lambda _version: component)
    context = SimpleNamespace(project=lambda _group, _artifact: project)
    monkeypatch.setattr(jars, "maven", lambda *_: context)


def test_the_lock_file_pins_the_broker_and_the_group_command() -> None:
    pinned = jars.parse(jars.KAFKA.lock.read_text(), jars.KAFKA.lock.name)
    assert {"kafka_2.13", "kafka-tools", "kafka-clients"} <= {jar.artifact for jar in pinned}
    assert {jar.version for jar in pinned if jar.group == "org.apache.kafka"} == {jars.KAFKA.version}


def test_the_lock_file_pins_flyway_with_its_command_line() -> None:
    pinned = jars.parse(jars.FLYWAY.lock.read_text(), jars.FLYWAY.lock.name)
    assert {"flyway-core", "flyway-commandline", "flyway-database-postgresql", "postgresql"} <= {
        jar.artifact for jar in pinned
    }
    assert {jar.version for jar in pinned if jar.group == "org.flywaydb"} == {jars.FLYWAY.version}


@pytest.mark.parametrize("bundle", jars.BUNDLES.values(), ids=list(jars.BUNDLES))
def test_every_line_of_a_lock_file_is_another_jar(bundle: jars.Bundle) -> None:
    pinned = jars.parse(bundle.lock.read_text(), bundle.lock.name)
    assert len({jar.file_name for jar in pinned}) == len(pinned)
    assert all(jar.size > 0 for jar in pinned)


@pytest.mark.parametrize("line", ["abc 1 a:b:c", "f" * 64 + " x a:b:c", "f" * 64 + " 1 a:b", "nonsense"])
def test_a_bad_line_of_the_lock_file_is_named(line: str) -> None:
    with pytest.raises(LabError, match="line 2: expected"):
        jars.parse(f"# comment\n{line}\n", "kafka.lock")


@pytest.mark.parametrize(("content", "same"), [(CONTENT, True), (b"a j4r", False), (b"a ja", False), (None, False)])
def test_a_file_matches_only_when_it_is_whole_and_the_pinned_one(
    tmp_path: Path, content: bytes | None, same: bool
) -> None:
    path = tmp_path / JAR.file_name
    if content is not None:
        path.write_bytes(content)
    assert JAR.matches(path) is same


def test_a_download_is_checked_and_then_kept(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def resolve() -> Path:
        path = tmp_path / "downloaded"
        path.write_bytes(CONTENT)
        return path

    serve(monkeypatch, resolve)
    assert (BUNDLE.ensure() / JAR.file_name).read_bytes() == CONTENT
    serve(monkeypatch, lambda: pytest.fail("downloaded twice"))
    assert BUNDLE.ensure() == BUNDLE.libs()
    assert not cache.exists()


def test_what_was_downloaded_before_an_interruption_is_used(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.mkdir(parents=True)
    (cache / JAR.file_name).write_bytes(CONTENT)
    serve(monkeypatch, lambda: pytest.fail("downloaded again"))
    assert (BUNDLE.ensure() / JAR.file_name).read_bytes() == CONTENT


def test_another_file_than_the_pinned_one_is_refused(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def resolve() -> Path:
        path = tmp_path / "downloaded"
        path.write_bytes(b"evil!")
        return path

    serve(monkeypatch, resolve)
    with pytest.raises(LabError, match=r"thing-1.0.jar is not the file that kafka.lock pins"):
        BUNDLE.ensure()
    assert not BUNDLE.libs().exists()


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            requests.exceptions.ConnectionError("refused"),
            "no network: Maven Central cannot be reached for thing-1.0.jar",
        ),
        (requests.exceptions.ConnectTimeout("slow"), "no network"),
        (requests.exceptions.SSLError("bad"), "certificate is not trusted .*REQUESTS_CA_BUNDLE"),
        (RuntimeError("not found"), "gave no usable answer"),
    ],
)
def test_a_failed_download_says_what_to_do(
    cache: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, message: str
) -> None:
    def resolve() -> Any:
        raise error

    serve(monkeypatch, resolve)
    with pytest.raises(LabError, match=message):
        BUNDLE.ensure()
    assert not BUNDLE.libs().exists()
