# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The builder of the reference Spring service, with programs that stand in for JDK and Maven."""

from __future__ import annotations

import hashlib
import shutil
import zipfile
from pathlib import Path

import pytest

from lab import jars, maven, spring_build
from lab.layout import LabError

JAVAC = 'echo "javac 17.0.15"'
MAVEN_VERSION = '[ "$1" = -v ] && { echo "Apache Maven 3.8.7"; exit; }'
PACKAGE = "mkdir -p target; echo jar > target/service.jar"
JAVA = """case "$*" in
*jarmode=tools*) mkdir -p kept/lib; cp target/service.jar kept/ ;;
*ArchiveClassesAtExit=*) for word in $*; do case $word in *ArchiveClassesAtExit=*) echo jsa > ${word#*=} ;; esac; done ;;
esac"""


class Machine:
    """Programs of the machine, and the calls that were made to them."""

    def __init__(self, folder: Path) -> None:
        self.bin, self._calls = folder / "bin", folder / "calls"
        self.bin.mkdir()
        self._calls.touch()

    def has(self, name: str, script: str) -> None:
        program = self.bin / name
        program.write_text(f'#!/bin/sh\necho "{name} $*" >> {self._calls}\n{script}\n')
        program.chmod(0o755)

    def lacks(self, name: str) -> None:
        (self.bin / name).unlink()

    @property
    def calls(self) -> list[str]:
        return self._calls.read_text().splitlines()


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """A machine with a JDK and Maven, an empty cache, and sources of one file."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    sources = tmp_path / "sources"
    (sources / "src").mkdir(parents=True)
    (sources / "pom.xml").write_text("<project/>")
    (sources / "src" / "A.java").write_text("class A {}")
    monkeypatch.setattr(spring_build, "SOURCES", sources)
    made = Machine(tmp_path)
    monkeypatch.setenv("PATH", f"{made.bin}:/usr/bin:/bin")
    for name, script in (("javac", JAVAC), ("java", JAVA), ("mvn", f"{MAVEN_VERSION}\n{PACKAGE}")):
        made.has(name, script)
    return made


def test_it_is_built_once(machine: Machine) -> None:
    built = spring_build.ensure()
    assert built == spring_build.jar()
    assert built.read_text() == "jar\n"
    assert (built.parent / "lib").is_dir()
    assert [call.split()[-1] for call in machine.calls if "package" in call] == ["-o"]
    calls = machine.calls
    assert spring_build.ensure() == built
    assert machine.calls == calls
    assert [path.name for path in built.parent.parent.iterdir()] == [built.parent.name]


def test_other_sources_are_built_anew(machine: Machine) -> None:
    first = spring_build.ensure()
    (spring_build.SOURCES / "src" / "A.java").write_text("class A { int a; }")
    assert spring_build.jar() != first
    assert not spring_build.jar().exists()


def test_a_readme_is_no_source(machine: Machine) -> None:
    before = spring_build.jar()
    (spring_build.SOURCES / "README.md").write_text("words")
    assert spring_build.jar() == before


def test_what_is_not_there_yet_is_downloaded(machine: Machine) -> None:
    offline_fails = 'case "$*" in *-o*) echo "[ERROR] cannot resolve offline"; exit 1 ;; esac'
    machine.has("mvn", f"{MAVEN_VERSION}\n{offline_fails}\n{PACKAGE}")
    assert spring_build.ensure().exists()
    assert len([call for call in machine.calls if "package" in call]) == 2


def test_a_build_that_fails_says_why_and_leaves_nothing(machine: Machine, tmp_path: Path) -> None:
    machine.has(
        "mvn", f'{MAVEN_VERSION}\necho "[INFO] x"; echo "[ERROR] "; echo "[ERROR] A.java: no such symbol"; exit 1'
    )
    with pytest.raises(LabError, match=r"could not be built: A.java: no such symbol"):
        spring_build.ensure()
    assert list((tmp_path / "cache" / "sre-runbooks").iterdir()) == []


def test_a_build_that_hangs_is_ended(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    machine.has("mvn", f"{MAVEN_VERSION}\nsleep 60")
    for name in ("_BUILD_SECONDS", "_OFFLINE_SECONDS", "_TELL_SECONDS"):
        monkeypatch.setattr(spring_build, name, 0.1)
    with pytest.raises(LabError, match=r"mvn was not done within 0.1 s"):
        spring_build.ensure()


def test_without_an_archive_of_classes_it_runs_too(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    machine.has(
        "java", JAVA.replace("*ArchiveClassesAtExit=*) for", "*ArchiveClassesAtExit=*) echo no room; exit 1; for")
    )
    built = spring_build.ensure()
    assert "start more slowly, because its classes could not be archived: no room" in capsys.readouterr().out
    assert not any("SharedArchiveFile" in word for word in spring_build.command(Path("java")))
    assert spring_build.command(Path("java"))[-2:] == ["-jar", str(built)]


def test_the_command_uses_the_archive(machine: Machine) -> None:
    built = spring_build.ensure()
    command = spring_build.command(Path("/jdk/bin/java"), memory="-Xmx96m")
    assert command[:2] == ["/jdk/bin/java", "-Xmx96m"]
    assert f"-XX:SharedArchiveFile={built.with_name('service.jsa')}" in command


@pytest.mark.parametrize("answer", ["", 'echo "javac 11.0.2"', "exit 1", 'echo "openjdk"'])
def test_without_a_compiler_it_is_left_out(machine: Machine, answer: str) -> None:
    machine.has("javac", answer)
    with pytest.raises(spring_build.MissingJdk, match="no Java compiler of version 17 or newer"):
        spring_build.ensure()


def test_java_home_goes_before_the_path(machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "jdk"
    (home / "bin").mkdir(parents=True)
    (home / "bin" / "javac").write_text("#!/bin/sh\necho javac 21.0.1\n")
    (home / "bin" / "javac").chmod(0o755)
    monkeypatch.setenv("JAVA_HOME", str(home))
    assert maven.toolchain().jdk == home
    assert maven.toolchain().environment()["JAVA_HOME"] == str(home)


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A zip that is pinned as Maven's, and given out by what stands in for Maven Central."""
    path = tmp_path / "served.zip"
    with zipfile.ZipFile(path, "w") as made:
        made.writestr(f"apache-maven-{maven.ZIP.version}/bin/mvn", f"#!/bin/sh\n{PACKAGE}\n")
    content = path.read_bytes()
    pinned = jars.Jar(
        "org.apache.maven",
        "apache-maven",
        maven.ZIP.version,
        len(content),
        hashlib.sha256(content).hexdigest(),
        "bin",
        "zip",
        "maven.py",
    )
    monkeypatch.setattr(maven, "ZIP", pinned)
    monkeypatch.setattr(jars, "maven", lambda _folder: None)
    monkeypatch.setattr(jars, "fetch", lambda _context, jar, folder: shutil.copyfile(path, folder / jar.file_name))
    return path


@pytest.mark.parametrize("answer", ["exit 1", 'echo "Apache Maven 3.0.5"'])
def test_maven_is_downloaded_once_where_there_is_none(machine: Machine, archive: Path, answer: str) -> None:
    machine.has("mvn", answer)
    first = maven.toolchain().maven
    assert first.name == "mvn"
    assert first.parent.parent.name == f"apache-maven-{maven.ZIP.version}"
    archive.unlink()
    assert maven.toolchain().maven == first
    assert spring_build.ensure().exists()


def test_maven_is_pinned() -> None:
    assert (maven.ZIP.file_name, len(maven.ZIP.sha256)) == ("apache-maven-3.9.16-bin.zip", 64)
