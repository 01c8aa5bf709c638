# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's programs: their commands, their environment files, their ports."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from lab import cluster, hafnium, kafka
from lab.layout import PARTS, PROGRAMS, REPOSITORY, LabError, Paths, address, ports, write_private
from lab.postgres import Server
from lab.supervisor import Program

SERVICES = ("backoffice", "gateway", "market")
STREAM = ("traffic", "stream-processor")  # what flows through Hafnium, and what reads it
PORTS: Mapping[str, Sequence[str]] = {
    "postgresql": ("postgresql",),
    "kafka": ("kafka", "kafka_sasl", "kafka_ssl", "kafka_controller"),
    "backoffice": ("backoffice",),
    "gateway": ("gateway",),
    "market": (),
    "etcd": ("etcd", "etcd_peer"),
    "kube-apiserver": ("kube_apiserver",),
    "kube-controller-manager": ("kube_controller_manager",),
    "kube-scheduler": ("kube_scheduler",),
    "kwok": ("kwok",),
    "runner": ("runner", "ingress", "ingress_tls"),
    "traffic": (),
    "stream-processor": (),
}
# What a program cannot run without: it is left out when one of these is.
NEEDS: Mapping[str, Sequence[str]] = {
    "backoffice": ("postgresql",),
    "market": ("gateway", "kafka"),
    "runner": ("kube-apiserver", "postgresql"),
    "traffic": ("runner", "kafka"),
    "stream-processor": ("kafka",),
}
_OWN_PYTHON = REPOSITORY / ".venv" / "bin" / "python"
_LAUNCHER = Path(__file__).parent / "launch.py"


def interpreter() -> str:
    """The Python that runs the lab: the project's environment, whoever calls."""
    return str(_OWN_PYTHON) if _OWN_PYTHON.exists() else sys.executable


def service_command(name: str) -> list[str]:
    """Command of a reference service; it needs PYTHONPATH=<repository> in its environment."""
    return [interpreter(), "-m", f"lab.services.{name.replace('-', '_')}"]


def check_services() -> None:
    """LabError naming the first reference service whose module is not there."""
    for name in SERVICES:
        if importlib.util.find_spec(f"lab.services.{name}") is None:
            raise LabError(f"{name}: the module lab.services.{name} is missing from {REPOSITORY}")


def launched(paths: Paths, name: str, command: Sequence[str]) -> list[str]:
    """The command, started with the environment files of the program."""
    files = [str(paths.env_file(name)), str(paths.override_file(name))]
    return [interpreter(), "-I", str(_LAUNCHER), *files, "--", *command]


def table(paths: Paths, server: Server | None, kafka_command: Sequence[str] | None) -> list[Program]:
    """The programs in the order of their start; a part that is left out is given as None."""
    programs = []
    if server:
        programs.append(
            Program(
                "postgresql", server.command(), server.home, account=server.account, stop_signal="INT", stop_seconds=30
            )
        )
    if kafka_command:
        programs.append(Program("kafka", launched(paths, "kafka", kafka_command), paths.kafka, stop_seconds=45))
    programs += [Program(name, launched(paths, name, service_command(name)), paths.services) for name in SERVICES]
    programs += cluster.programs(paths)
    programs.append(Program("runner", launched(paths, "runner", [interpreter(), "-m", "lab.runner"]), paths.services))
    programs += [Program(name, launched(paths, name, service_command(name)), paths.services) for name in STREAM]
    return programs


def environments(paths: Paths) -> dict[str, dict[str, str]]:
    """The base environment of each program that reads one."""
    common = {"PYTHONPATH": str(REPOSITORY), "PYTHONUNBUFFERED": "1"}
    secret = {"JWT_HS256_SECRET": paths.secret("jwt_hs256_secret")}
    stream = {"KAFKA_BOOTSTRAP_SERVERS": address("kafka"), "KAFKA_TOPIC": kafka.TOPIC}
    transactions = {"KAFKA_BOOTSTRAP_SERVERS": address("kafka"), "KAFKA_TOPIC": hafnium.INGESTED}
    return {
        "kafka": {},
        "backoffice": {
            **common,
            **secret,
            **stream,
            "BACKOFFICE_PORT": str(ports()["backoffice"]),
            "BACKOFFICE_LEDGER_PATH": str(paths.ledger),
            "BACKOFFICE_SNAPSHOT_PATH": str(paths.snapshot),
            "BACKOFFICE_DB_URL": f"jdbc:postgresql://{address('postgresql')}/backoffice",
            "BACKOFFICE_DB_USER": "backoffice",
            "BACKOFFICE_DB_PASSWORD": paths.secret("backoffice_db_password"),
            "KAFKA_GROUP_ID": kafka.GROUP,
        },
        "gateway": {
            **common,
            **secret,
            **stream,
            "GATEWAY_PORT": str(ports()["gateway"]),
            "GATEWAY_AUDIT_PATH": str(paths.audit),
            "KAFKA_ENABLE": "1",
        },
        "market": {
            **common,
            **secret,
            "GATEWAY_URL": f"http://{address('gateway')}",
            "MARKET_ACCOUNT_ID": "acct_market",
        },
        "runner": {
            **common,
            "RUNNER_KUBECONFIG": str(cluster.program_kubeconfig(paths, "runner")),
            "RUNNER_EGRESS_SOCKET": str(paths.egress_socket),
        },
        "traffic": {
            **common,
            **transactions,
            "TRAFFIC_URL": f"http://{address('ingress')}",
            "TRAFFIC_SERVICES": ",".join(hafnium.SERVICES),
            "KAFKA_PARTITIONS": str(hafnium.TOPICS[hafnium.INGESTED]),
        },
        "stream-processor": {
            **common,
            **transactions,
            "KAFKA_GROUP_ID": hafnium.GROUP,
            "KAFKA_DLQ_TOPIC": hafnium.DEAD_LETTERS,
        },
    }


def write_environments(paths: Paths) -> None:
    for name, variables in environments(paths).items():
        write_env(paths.env_file(name), dict(variables))


def write_env(path: Path, variables: Mapping[str, str | None]) -> None:
    """Write an environment file; None removes a variable that an earlier file sets. LabError on a line break."""
    for name, value in variables.items():
        if "\n" in (value or "") or not name.isidentifier():
            raise LabError(
                f"{path.name}: variable {name!r} cannot be written: names are identifiers, values are one line"
            )
    write_private(
        path, "".join(name + "\n" if value is None else f"{name}={value}\n" for name, value in variables.items())
    )


def of_parts(names: Iterable[str]) -> tuple[str, ...]:
    """The programs of these parts, in the order of their start."""
    wanted = {program for name in names for program in PARTS[name]}
    return tuple(program for program in PROGRAMS if program in wanted)


def started_parts(paths: Paths) -> tuple[str, ...]:
    """The parts that were started since the lab was last down."""
    try:
        names = paths.parts_file.read_text(encoding="utf-8").split()
    except FileNotFoundError:
        return ()
    return tuple(name for name in PARTS if name in names)


def whole_parts(paths: Paths) -> tuple[str, ...]:
    """The parts that were started, and those of which every program was started with another one."""
    started = set(of_parts(started_parts(paths)))
    return tuple(part for part in PARTS if set(PARTS[part]) <= started)


def record_parts(paths: Paths, names: Iterable[str]) -> None:
    paths.parts_file.write_text("".join(f"{name}\n" for name in names), encoding="utf-8")


def left_out(paths: Paths) -> dict[str, str]:
    """Programs that the last start left out, and why."""
    try:
        reasons: dict[str, str] = json.loads((paths.run / "left_out.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    return reasons


def record_left_out(paths: Paths, reasons: Mapping[str, str]) -> None:
    (paths.run / "left_out.json").write_text(json.dumps(dict(reasons), indent=1) + "\n", encoding="utf-8")
