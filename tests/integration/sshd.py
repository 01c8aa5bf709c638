# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""An SSH server of a test's own on loopback: own keys, own port, everything in one folder, ended with the test."""

from __future__ import annotations

import contextlib
import grp
import os
import pwd
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support import debian

START_SECONDS = 20
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
    user: str

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


@dataclass(frozen=True)
class Program:
    """An sshd: its path and what it needs in its environment and configuration to run from where it lies."""

    path: Path
    environment: dict[str, str]
    settings: str = ""


def program(folder: Path) -> Program:
    """The machine's sshd; where there is none, one out of the Debian package, put into ``folder``. NoPackage."""
    places = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])
    found = shutil.which("sshd", path=places)
    return Program(Path(found), {}) if found else downloaded(folder)


def downloaded(folder: Path) -> Program:
    """The sshd of the Debian package, never installed. It lies in ``folder``: the cache may be closed to its user."""
    tree = Path(shutil.copytree(debian.unpacked("openssh-server"), folder / "openssh"))
    path = tree / "usr" / "sbin" / "sshd"
    copies = [
        str(shutil.copytree(found, folder / f"libraries-{number}", symlinks=True))
        for number, found in enumerate(debian.libraries(path, "openssh-server"))
    ]
    environment = {"LD_LIBRARY_PATH": os.pathsep.join(copies)} if copies else {}
    parts = {"SshdSessionPath": "sshd-session", "SshdAuthPath": "sshd-auth"}  # one program before OpenSSH 9.8
    lines = {name: tree / "usr" / "lib" / "openssh" / part for name, part in parts.items()}
    return Program(path, environment, "".join(f"{name} {part}\n" for name, part in lines.items() if part.exists()))


def me() -> str:
    """Name of the user who runs the tests, whatever the environment says."""
    return pwd.getpwuid(os.geteuid()).pw_name


def unprivileged() -> str:
    """Who the server runs as: the user of the tests, and nobody when that is root."""
    return "nobody" if os.geteuid() == 0 else me()


@contextlib.contextmanager
def serve(sshd: Program, folder: Path, user: str) -> Iterator[Server]:
    """Run a server as ``user``, who is the one that can log in, until the block ends. ``folder`` becomes theirs."""
    for name in ("host_key", "client_key"):
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)]
        subprocess.run(command, check=True, capture_output=True, timeout=START_SECONDS)
    shutil.copy(folder / "client_key.pub", folder / "authorized_keys")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (folder / "sshd_config").write_text(CONFIG.format(port=port, folder=folder) + sshd.settings, encoding="utf-8")
    key = " ".join((folder / "host_key.pub").read_text(encoding="utf-8").split()[:2])
    (folder / "known_hosts").write_text(f"[127.0.0.1]:{port} {key}\n", encoding="utf-8")
    made = os.geteuid() == 0 and user == "root" and not PRIVILEGE_SEPARATION.exists()
    if made:
        PRIVILEGE_SEPARATION.mkdir(mode=0o755)
    environment = {**os.environ, **sshd.environment}
    identity: dict[str, Any] = {}
    if pwd.getpwnam(user).pw_uid != os.geteuid():
        identity, more = _become(user, folder)
        environment |= more
    command = [str(sshd.path), "-D", "-e", "-f", str(folder / "sshd_config")]
    with (folder / "sshd.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment, cwd="/", **identity)
        try:
            _wait_for(process, port, folder / "sshd.log")
            yield Server(port, folder, user)
        finally:
            process.terminate()
            process.wait(START_SECONDS)
            if made:
                PRIVILEGE_SEPARATION.rmdir()


def _become(user: str, folder: Path) -> tuple[dict[str, Any], dict[str, str]]:
    """Arguments for Popen and the environment with which root starts a server as a user that has no login shell.

    The user database such a server sees is a copy with a shell for its own user; the machine's stays as it is.
    """
    entry = pwd.getpwnam(user)
    for name in ("host_key", "authorized_keys"):
        os.chown(folder / name, entry.pw_uid, entry.pw_gid)
    os.chown(folder, entry.pw_uid, entry.pw_gid)
    passwd = folder / "passwd"
    line = f"{user}:x:{entry.pw_uid}:{entry.pw_gid}::{folder}:/bin/sh\n"
    passwd.write_text(f"root:x:0:0::/root:/bin/sh\n{line}", encoding="utf-8")
    group = folder / "group"  # without a group tty: only root may give it a terminal
    group.write_text(f"{grp.getgrgid(entry.pw_gid).gr_name}:x:{entry.pw_gid}:\n", encoding="utf-8")
    wrapper = next(debian.unpacked("libnss-wrapper").rglob("libnss_wrapper.so"))
    library = str(shutil.copy(wrapper, folder))
    identity: dict[str, Any] = {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
    more = {"LD_PRELOAD": library, "NSS_WRAPPER_PASSWD": str(passwd), "NSS_WRAPPER_GROUP": str(group)}
    return identity, more


def owners(port: int) -> set[int]:
    """User ids of the sockets that listen on this port of loopback."""
    listening, address = "0A", f"0100007F:{port:04X}"
    rows = (line.split() for line in Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:])
    return {int(row[7]) for row in rows if row[1] == address and row[3] == listening}


def _wait_for(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    raise RuntimeError(f"sshd does not answer on port {port}: {log.read_text(errors='replace')[-2000:]}")
