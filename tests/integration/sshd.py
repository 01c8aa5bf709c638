# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""An SSH server of a test's own on loopback: own keys, own port, everything in one folder, ended with the test."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

START_SECONDS = 20
INSTALL_SECONDS = 300
CONFIG = """\
ListenAddress 127.0.0.1
Port {port}
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/authorized_keys
PidFile none
UsePAM no
StrictModes no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
PrintMotd no
Subsystem sftp internal-sftp
"""
# As root, sshd of Debian shuts its unprivileged part into this empty folder.
PRIVILEGE_SEPARATION = Path("/run/sshd")


@dataclass(frozen=True)
class Server:
    """A running server; ``known_hosts`` holds its true host key."""

    port: int
    folder: Path

    @property
    def known_hosts(self) -> Path:
        return self.folder / "known_hosts"

    def client_arguments(self, known_hosts: Path) -> str:
        """Arguments for ssh: this server's key and nothing of the user's, host key checked, no process left behind."""
        options = {
            "UserKnownHostsFile": known_hosts,
            "GlobalKnownHostsFile": "none",
            "StrictHostKeyChecking": "yes",
            "IdentityFile": self.folder / "client_key",
            "IdentitiesOnly": "yes",
            "IdentityAgent": "none",
            "ControlMaster": "no",
            "ControlPath": "none",
        }
        return " ".join(
            ["-F", "none", *(part for name, value in options.items() for part in ("-o", f"{name}={value}"))]
        )


def program() -> str | None:
    """The path of sshd, installed as a Debian package when we are root; None when it cannot be had."""
    places = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])
    found = shutil.which("sshd", path=places)
    if found or os.geteuid() != 0 or not shutil.which("apt-get"):
        return found
    command = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", "openssh-server"]
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    with contextlib.suppress(subprocess.TimeoutExpired):
        subprocess.run(
            ["apt-get", "update", "-qq"], env=quiet, capture_output=True, check=False, timeout=INSTALL_SECONDS
        )
        subprocess.run(command, env=quiet, capture_output=True, check=False, timeout=INSTALL_SECONDS)
    return shutil.which("sshd", path=places)


@contextlib.contextmanager
def serve(sshd: str, folder: Path) -> Iterator[Server]:
    """Run a server until the block ends."""
    for name in ("host_key", "client_key"):
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)]
        subprocess.run(command, check=True, capture_output=True, timeout=START_SECONDS)
    shutil.copy(folder / "client_key.pub", folder / "authorized_keys")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (folder / "sshd_config").write_text(CONFIG.format(port=port, folder=folder), encoding="utf-8")
    key = " ".join((folder / "host_key.pub").read_text(encoding="utf-8").split()[:2])
    (folder / "known_hosts").write_text(f"[127.0.0.1]:{port} {key}\n", encoding="utf-8")
    made = os.geteuid() == 0 and not PRIVILEGE_SEPARATION.exists()
    if made:
        PRIVILEGE_SEPARATION.mkdir(mode=0o755)
    with (folder / "sshd.log").open("wb") as log:
        process = subprocess.Popen([sshd, "-D", "-e", "-f", str(folder / "sshd_config")], stdout=log, stderr=log)
        try:
            _wait_for(process, port, folder / "sshd.log")
            yield Server(port, folder)
        finally:
            process.terminate()
            process.wait(START_SECONDS)
            if made:
                PRIVILEGE_SEPARATION.rmdir()


def _wait_for(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    raise RuntimeError(f"sshd does not answer on port {port}: {log.read_text(errors='replace')[-2000:]}")
