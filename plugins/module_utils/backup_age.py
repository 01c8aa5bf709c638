# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Encryption to age recipients: public keys when a backup is made, an identity file when it is read.

Streams only: nothing plain is written beside an encrypted file.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import IO, Any, Protocol

from . import libraries
from .errors import InputError

try:
    import pyrage
except ImportError as _error:
    libraries.record("pyrage", _error)

LIBRARY = "pyrage"
MOST_RECIPIENTS = 20
IDENTITY_BYTES = 64 * 1024


class Sink(Protocol):
    """Where decrypted or encrypted bytes go."""

    def write(self, piece: bytes, /) -> int: ...


def recipients(keys: Sequence[str]) -> list[Any]:
    """age's public keys (age1...), or SSH's (ssh-ed25519 or ssh-rsa). Raises InputError naming the bad one."""
    if not keys:
        return []
    libraries.require([LIBRARY])
    if len(keys) > MOST_RECIPIENTS:
        raise InputError(f"recipients names {len(keys)} keys; at most {MOST_RECIPIENTS} are taken")
    return [_recipient(key.strip(), number) for number, key in enumerate(keys)]


def _recipient(key: str, number: int) -> Any:
    if key.upper().startswith("AGE-SECRET-KEY-"):
        raise InputError(f"recipients[{number}] is a private key: give its public key, which begins with age1")
    try:
        return pyrage.ssh.Recipient.from_str(key) if key.startswith("ssh-") else pyrage.x25519.Recipient.from_str(key)
    except pyrage.RecipientError as error:
        raise InputError(
            f"recipients[{number}] {key[:20]!r} is no public key ({error}): give one that begins with age1 or ssh-"
        ) from error


def identities(path: str | None) -> list[Any]:
    """The private keys in a file: age's, one a line, or one SSH key without passphrase. InputError for anything else."""
    if path is None:
        return []
    libraries.require([LIBRARY])
    try:
        with open(path, "rb") as file:
            content = file.read(IDENTITY_BYTES + 1)
    except OSError as error:
        raise InputError(f"identity_file {path} cannot be read: {error.strerror}") from error
    if len(content) > IDENTITY_BYTES:
        raise InputError(f"identity_file {path} is larger than {IDENTITY_BYTES} bytes: is it a file of keys?")
    try:
        if b"PRIVATE KEY-----" in content:
            return [pyrage.ssh.Identity.from_buffer(content)]
        lines = [line.strip() for line in content.decode("ascii").splitlines()]
        found = [pyrage.x25519.Identity.from_str(line) for line in lines if line and not line.startswith("#")]
    except (pyrage.IdentityError, UnicodeError) as error:
        raise InputError(
            f"identity_file {path} has a line that is no private key of age (AGE-SECRET-KEY-1...)"
        ) from error
    if not found:
        raise InputError(f"identity_file {path} holds no private key")
    return found


def encrypt(source: IO[bytes], sink: Sink, keys: Sequence[Any]) -> None:
    """Everything that can be read from ``source``, encrypted. What reading or writing raises, ``sink`` has to keep."""
    pyrage.encrypt_io(source, sink, list(keys))


def decrypt(source: IO[bytes], sink: Sink, keys: Sequence[Any], path: str) -> None:
    """The plain content of ``source``. Raises InputError for a wrong key or a damaged file, named ``path``."""
    try:
        pyrage.decrypt_io(source, sink, list(keys))
    except pyrage.DecryptError as error:
        if "no matching keys" in str(error).lower():
            raise InputError(
                f"{os.path.basename(path)} cannot be decrypted with this identity_file: it is encrypted to other keys"
            ) from error
        raise InputError(f"{os.path.basename(path)} cannot be decrypted: {str(error)[:200]}") from error
    except OSError as error:
        if error.errno is None:
            raise InputError(f"{os.path.basename(path)} is damaged: {str(error)[:200]}") from error
        raise
