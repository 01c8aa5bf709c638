# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Packages are unpacked into the cache and never installed; stand-ins play apt-get, dpkg-deb and ldd."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import debian

APT = """\
echo "apt-get $*" >> "$LOG"
case "$*" in
  *--print-uris*) echo "'http://d.example/p/tool_1.2_all.deb' tool_1.2_all.deb 10 SHA256:00";;
  *download*) echo deb > tool_1.2_all.deb;;
esac
"""
NO_LISTS = """\
echo "apt-get $*" >> "$LOG"
case "$*" in
  *update*) echo "W: a detail" >&2; echo "E: Could not resolve 'd.example'" >&2; exit 100;;
  *) echo "E: No packages found" >&2; exit 100;;
esac
"""
DPKG = 'echo "dpkg-deb $1" >> "$LOG"; mkdir -p "$3/usr/sbin" && echo program > "$3/usr/sbin/tool"\n'


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of stand-ins, before everything else on PATH; calls are noted in its file log."""
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setenv("LOG", str(tmp_path / "log"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    script(tmp_path, "dpkg-deb", DPKG)
    return tmp_path


def script(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\n{text}", encoding="utf-8")
    (folder / name).chmod(0o755)


def test_a_package_is_unpacked_once_and_not_installed(machine: Path) -> None:
    script(machine, "apt-get", APT)
    folder = debian.unpacked("tool")
    assert folder == machine / "cache" / "sre-runbooks" / "debian-tool_1.2_all"
    assert (folder / "usr/sbin/tool").read_text() == "program\n"
    assert debian.unpacked("tool") == folder
    calls = (machine / "log").read_text().splitlines()
    assert [call.split()[0] for call in calls] == ["apt-get", "apt-get", "dpkg-deb", "apt-get"]
    assert not any("install" in call or "update" in call for call in calls)


def test_without_lists_they_are_fetched_into_a_folder_of_its_own_and_a_refusal_is_one_line(machine: Path) -> None:
    script(machine, "apt-get", NO_LISTS)
    with pytest.raises(debian.NoPackage, match=r"^apt-get .* update: E: Could not resolve 'd\.example'$"):
        debian.unpacked("tool")
    update = (machine / "log").read_text().splitlines()[-1]
    assert "Dir::State::lists=" in update
    assert "/var/lib" not in update


def test_libraries_that_are_missing_come_from_packages_that_are_not_installed(machine: Path) -> None:
    script(machine, "ldd", 'echo "	libhave.so.1 => /lib/libhave.so.1 (0x0)"; echo "	libwant.so.0 => not found"\n')
    script(machine, "apt-cache", 'echo "Depends: adduser, libhave1 (>= 1.0), libwant0 (>= 7.6-4~) | other"\n')
    script(machine, "dpkg-query", 'case "$*" in *libhave1) echo "install ok installed";; *) exit 1;; esac\n')
    script(machine, "apt-get", APT.replace("tool", "libwant0"))
    script(machine, "dpkg-deb", 'mkdir -p "$3/usr/lib/triplet" && echo library > "$3/usr/lib/triplet/libwant.so.0"\n')
    found = debian.libraries(Path("/usr/sbin/tool"), "tool")
    assert found == [machine / "cache" / "sre-runbooks" / "debian-libwant0_1.2_all" / "usr/lib/triplet"]
    assert "libhave" not in (machine / "log").read_text()
    script(machine, "ldd", 'echo "	libhave.so.1 => /lib/libhave.so.1 (0x0)"\n')
    assert debian.libraries(Path("/usr/sbin/tool"), "tool") == []
