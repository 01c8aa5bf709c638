# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys that are told apart, and files that are damaged."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

pytest.importorskip("pyrage")

import pyrage

from ansible_collections.sre.runbooks.plugins.module_utils import backup_age, libraries
from ansible_collections.sre.runbooks.plugins.module_utils.errors import InputError, LibraryError

PLAIN = b"PGDMP" + bytes(range(256)) * 2000


@pytest.fixture
def key(tmp_path: Path) -> tuple[str, str]:
    """A public key, and the file with the private one."""
    identity = pyrage.x25519.Identity.generate()
    (tmp_path / "identity").write_text(f"# created today\n{identity}\n\n")
    return str(identity.to_public()), str(tmp_path / "identity")


def encrypted(public: str) -> bytes:
    sink = io.BytesIO()
    backup_age.encrypt(io.BytesIO(PLAIN), sink, backup_age.recipients([public]))
    return sink.getvalue()


def test_there_and_back(key: tuple[str, str]) -> None:
    content, sink = encrypted(key[0]), io.BytesIO()
    assert PLAIN[:100] not in content
    backup_age.decrypt(io.BytesIO(content), sink, backup_age.identities(key[1]), "one.dump.age")
    assert sink.getvalue() == PLAIN


def test_what_is_no_whole_file_of_this_key(key: tuple[str, str], tmp_path: Path) -> None:
    content = encrypted(key[0])
    changed = content[:300_000] + bytes([content[300_000] ^ 1]) + content[300_001:]
    (tmp_path / "other").write_text(str(pyrage.x25519.Identity.generate()))
    mine, other = backup_age.identities(key[1]), backup_age.identities(str(tmp_path / "other"))
    for bad, identities, told in (
        (content, other, "encrypted to other keys"),
        (content[:300_000], mine, "one.dump.age is damaged"),
        (changed, mine, "one.dump.age is damaged"),
        (PLAIN, mine, "cannot be decrypted"),
        (b"", mine, r"cannot be decrypted|is damaged"),
    ):
        with pytest.raises(InputError, match=told):
            backup_age.decrypt(io.BytesIO(bad), io.BytesIO(), identities, "/srv/one.dump.age")


def test_keys_that_are_none(tmp_path: Path) -> None:
    secret = str(pyrage.x25519.Identity.generate())
    for keys, told in (
        (["age1x"], "no public key"),
        ([""], "no public key"),
        (["ssh-ed25519 nonsense"], "no public key"),
        ([secret], "is a private key"),
        (["age1x"] * 21, "at most 20"),
    ):
        with pytest.raises(InputError, match=told) as error:
            backup_age.recipients(keys)
        assert secret not in str(error.value)
    for text, told in (
        ("", "holds no private key"),
        ("# only\n", "holds no private key"),
        (secret[:-3], "a line that is no"),
    ):
        (tmp_path / "file").write_text(text)
        with pytest.raises(InputError, match=told) as error:
            backup_age.identities(str(tmp_path / "file"))
        assert secret[:30] not in str(error.value)
    (tmp_path / "file").write_bytes(b"x" * 70_000)
    with pytest.raises(InputError, match="larger than"):
        backup_age.identities(str(tmp_path / "file"))
    with pytest.raises(InputError, match="cannot be read: No such file"):
        backup_age.identities(str(tmp_path / "none"))


def test_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(libraries._missing, "pyrage", ImportError("No module named 'pyrage'"))
    assert backup_age.recipients([]) == []
    assert backup_age.identities(None) == []
    with pytest.raises(LibraryError, match="cannot import pyrage"):
        backup_age.recipients(["age1x"])
