# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Is the service that writes the ledger stopped? Replacing the file under a running writer loses every later event."""

from __future__ import annotations

import contextlib
import fcntl
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

from .errors import InputError, RefusedError
from .ledger_file import Identity, LedgerFile
from .ledger_holders import Holder, Holders, holders_of

CONNECT_SECONDS = 3.0
DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class Guard:
    """``service_stopped``: the caller had it from the service manager. ``address``: where the service would listen."""

    service_stopped: bool
    address: tuple[str, int] | None

    def blockers(self, identity: Identity) -> list[str]:
        """Why the file must not be replaced now; empty when nothing speaks against it."""
        holders = holders_of(identity.device, identity.inode)
        return [*self._open_files(holders), *self._listener()]

    def writers(self, identity: Identity) -> list[Holder]:
        """Processes that hold the file open for writing, as far as they can be seen."""
        return holders_of(identity.device, identity.inode).writers

    def _open_files(self, holders: Holders) -> Iterator[str]:
        if holders.writers:
            names = ", ".join(map(str, holders.writers))
            yield f"{names} has it open for writing. Stop the service first"
        elif holders.hidden and not self.service_stopped:
            yield (
                f"whether a process has it open cannot be told: {holders.hidden}. Stop the service, let its "
                "service manager confirm it, and pass service_stopped=true (or run with become)"
            )

    def _listener(self) -> Iterator[str]:
        if self.address is None:
            return
        host, port = self.address
        try:
            socket.create_connection(self.address, timeout=CONNECT_SECONDS).close()
        except ConnectionRefusedError:
            return
        except OSError as error:
            reason = error.strerror or error
            yield f"whether the service listens on {host}:{port} cannot be told: {reason}. Correct service_url"
            return
        yield f"something still listens on {host}:{port}. Stop the service first"


def address_of(url: str | None) -> tuple[str, int] | None:
    """Host and port of a URL; InputError when it is none."""
    if not url:
        return None
    parts = urlsplit(url)
    try:
        port = parts.port or DEFAULT_PORTS.get(parts.scheme)
    except ValueError:
        port = None
    if parts.scheme not in DEFAULT_PORTS or not parts.hostname or port is None:
        raise InputError(
            "service_url is no http or https URL with a host and a valid port; write it like http://127.0.0.1:8082"
        )
    return parts.hostname, port


def refuse(ledger: LedgerFile, blockers: list[str]) -> None:
    if blockers:
        raise RefusedError(f"{ledger.path} was left as it is: {'; '.join(blockers)}.", blockers=blockers)


def unchanged(ledger: LedgerFile) -> None:
    """RefusedError when the file was written or replaced since it was opened."""
    if ledger.replaced():
        raise RefusedError(f"another file was put at {ledger.path} meanwhile. Nothing was changed; run it again.")
    if ledger.now() != ledger.identity:
        raise RefusedError(
            f"{ledger.path} was written while it was worked on (it had {ledger.identity.size} bytes, it has "
            f"{ledger.now().size}). Nothing was changed; stop what writes it and run it again."
        )


@contextlib.contextmanager
def alone(ledger: LedgerFile) -> Iterator[None]:
    """Keep a second repair of the same ledger away. The lock goes with the process."""
    try:
        fcntl.flock(ledger.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise RefusedError(f"another repair of {ledger.path} is under way. Nothing was changed; wait for it.") from None
    except OSError:  # a file system without locks: what follows notices a change of the file
        yield
        return
    try:
        unchanged(ledger)
        yield
    finally:
        fcntl.flock(ledger.fd, fcntl.LOCK_UN)
