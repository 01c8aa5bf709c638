# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where everything of the lab lies: its state folder, its caches, its ports."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
SUPERVISED = "SRE_LAB_SUPERVISED"  # in the environment of every process of the lab; its value is the state folder
PARTS = {
    "databases": ("postgresql",),  # every part with PostgreSQL has the databases of all systems
    "backoffice": ("postgresql", "kafka", "backoffice", "gateway", "market"),
    "kubernetes": (
        "postgresql",
        "kafka",
        "etcd",
        "kube-apiserver",
        "kube-controller-manager",
        "kube-scheduler",
        "kwok",
        "runner",
        "traffic",
        "stream-processor",
    ),
}
PROGRAMS = tuple(dict.fromkeys(name for names in PARTS.values() for name in names))  # in the order of their start
PORTS_APART = 1000
_LONGEST_SOCKET_PATH = 90  # the kernel takes 107 bytes, and supervisord binds a longer name first


class LabError(Exception):
    """Something the lab could not do, said in one line: what, what was found, what to do next."""


@dataclass(frozen=True)
class Paths:
    """The lab's folders and files, all below ``root``."""

    root: Path

    @property
    def supervisor_sock(self) -> Path:
        return self.root / "supervisor.sock"

    @property
    def ports_file(self) -> Path:
        """The ports of this lab, for inventories."""
        return self.root / "ports.yml"

    @property
    def supervisord_conf(self) -> Path:
        return self.root / "supervisord.conf"

    @property
    def run(self) -> Path:
        """Small files of the running lab: pid files, markers, generated server configuration."""
        return self.root / "run"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def env(self) -> Path:
        return self.root / "env"

    @property
    def secrets(self) -> Path:
        return self.root / "secrets"

    @property
    def tls(self) -> Path:
        return self.root / "tls"

    @property
    def ca_file(self) -> Path:
        return self.tls / "ca.pem"

    @property
    def faults_json(self) -> Path:
        return self.root / "faults.json"

    @property
    def backoffice(self) -> Path:
        return self.root / "backoffice"

    @property
    def ledger(self) -> Path:
        return self.backoffice / "ledger.log"

    @property
    def snapshot(self) -> Path:
        return self.backoffice / "snapshot.json"

    @property
    def gateway(self) -> Path:
        return self.root / "gateway"

    @property
    def audit(self) -> Path:
        return self.gateway / "audit.log"

    @property
    def services(self) -> Path:
        """Working folder of the reference services."""
        return self.root / "services"

    @property
    def kafka(self) -> Path:
        return self.root / "kafka"

    @property
    def kubernetes(self) -> Path:
        """Configuration and tokens of the control plane; only its owner may look."""
        return self.root / "kubernetes"

    @property
    def kubeconfig(self) -> Path:
        """For users: contexts lab (the default), lab-admin, lab-narrow, lab-expired."""
        return self.kubernetes / "config"

    @property
    def etcd(self) -> Path:
        return self.root / "etcd"

    @property
    def egress_socket(self) -> Path:
        """Where the runner takes the API server's connections to nodes, pods and services."""
        return self.run / "egress.sock"

    @property
    def migrations(self) -> Path:
        """Copies of every system's migrations, for playbooks and for faults to spoil."""
        return self.root / "migrations"

    @property
    def backups(self) -> Path:
        return self.root / "backups"

    @property
    def drills(self) -> Path:
        """Records of recovery drills."""
        return self.root / "drills"

    @property
    def tools(self) -> Path:
        """Folders of programs that playbooks run."""
        return self.root / "tools"

    @property
    def parts_file(self) -> Path:
        """Names of the parts that were started, one a line."""
        return self.run / "parts"

    @property
    def furnished(self) -> Path:
        """Marker: the first objects are in the cluster."""
        return self.run / "furnished"

    @property
    def seeding(self) -> Path:
        """Marker: the first orders are being put in."""
        return self.run / "seeding"

    @property
    def seeded(self) -> Path:
        """Marker: the first orders are booked."""
        return self.run / "seeded"

    def stdout_log(self, program: str) -> Path:
        return self.logs / f"{program}.stdout.log"

    def stderr_log(self, program: str) -> Path:
        return self.logs / f"{program}.stderr.log"

    def env_file(self, program: str) -> Path:
        return self.env / f"{program}.env"

    def override_file(self, program: str) -> Path:
        return self.env / f"{program}.override.env"

    def secret_file(self, name: str) -> Path:
        return self.secrets / name

    def secret(self, name: str) -> str:
        """The secret ``name`` as text. LabError when the lab was never started."""
        try:
            return self.secret_file(name).read_text(encoding="utf-8").strip()
        except OSError as error:
            raise LabError(
                f"secret {name}: {self.secret_file(name)} cannot be read ({error.strerror}); "
                "start the lab with `make lab`"
            ) from None

    def make(self) -> None:
        """Create the folders. LabError when the path is too long for a unix socket or cannot be written."""
        if len(os.fsencode(self.supervisor_sock)) > _LONGEST_SOCKET_PATH:
            raise LabError(
                f"the lab's folder {self.root} is too deep for a unix socket; "
                "set SRE_LAB_DIR to a shorter path, for example SRE_LAB_DIR=/tmp/sre-lab"
            )
        try:
            for folder in (
                self.root,
                self.run,
                self.logs,
                self.tls,
                self.backoffice,
                self.gateway,
                self.services,
                self.kafka,
                self.tools,
            ):
                folder.mkdir(parents=True, exist_ok=True)
            for folder in (self.secrets, self.env, self.kubernetes, self.etcd, self.backups, self.drills):
                folder.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise LabError(
                f"the lab's folder {self.root} cannot be made: {error.strerror} ({error.filename})"
            ) from None


def paths() -> Paths:
    """The paths of this lab: below SRE_LAB_DIR, or ``.lab`` in the repository."""
    return Paths(Path(os.environ.get("SRE_LAB_DIR") or REPOSITORY / ".lab").expanduser().absolute())


def number() -> int:
    """Which of several labs on one machine this is: SRE_LAB_NUMBER, 0 to 9. Each has ports of its own."""
    text = os.environ.get("SRE_LAB_NUMBER") or "0"
    if text not in set("0123456789"):
        raise LabError(f"SRE_LAB_NUMBER is {text!r}: a number from 0 to 9 is wanted")
    return int(text)


@cache
def ports() -> dict[str, int]:
    """The lab's ports by name: those of ports.yml, and 1000 higher for each further lab."""
    import yaml

    listed = yaml.safe_load((Path(__file__).parent / "ports.yml").read_text(encoding="utf-8"))
    return {name: port + PORTS_APART * number() for name, port in listed.items()}


def address(name: str) -> str:
    """``127.0.0.1:<port>`` of the named port."""
    return f"127.0.0.1:{ports()[name]}"


def cache_folder(part: str, version: str) -> Path:
    """Where downloads of one part and version are kept between labs and checkouts (not created)."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "sre-runbooks" / f"{part}-{version}"


def strict() -> bool:
    """True with LAB_STRICT=1: a part that has to be left out is an error."""
    return os.environ.get("LAB_STRICT", "") in ("1", "true", "yes")


def marked(where: Paths) -> dict[str, str]:
    """The variable by which a process is known as one of this lab, so that none is ever left behind."""
    return {SUPERVISED: str(where.root)}


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read, at once or not at all."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.write(text)
    draft.replace(path)
