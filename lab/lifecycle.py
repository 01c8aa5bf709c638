# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Start and stop of the whole lab."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from lab import (
    cluster,
    credentials,
    databases,
    flyway,
    gobuild,
    hafnium,
    java,
    kafka,
    postgres,
    programs,
    supervisor,
    tls,
)
from lab.control import start, wait_ready, wait_until, wake_clients
from lab.layout import PARTS, SUPERVISED, LabError, Paths, ports, strict
from lab.progress import say
from lab.seed import seed

_STOP_SECONDS = 150
_LOCK_SECONDS = 300


@contextmanager
def alone(paths: Paths) -> Iterator[None]:
    """Only one command changes the lab at a time; another one waits for it."""
    paths.make()
    with (paths.root / "lock").open("w") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another command is changing the lab: waiting for it")
            wait_until(lambda: _locked(stream.fileno()), _LOCK_SECONDS, "end of the other command")
        yield


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def build(paths: Paths, parts: Sequence[str]) -> str:
    """Build what the parts need; minutes the first time, so before anything is locked. Why it cannot be had, or ""."""
    if "kubernetes" not in parts:
        return ""
    try:
        gobuild.ensure(paths)
    except LabError as error:
        return str(error)
    return ""


def up(paths: Paths, parts: Sequence[str], faulty: bool = False, unbuilt: str = "", asked: bool = False) -> bool:
    """Bring parts of the lab up from whatever state they are in; parts that run already stay up.

    ``faulty``: faults are left in it, so the services may not come up before they are taken out.
    ``unbuilt``: what ``build`` said. ``asked``: the parts were named, so none of their programs may be left out.
    True when something was started, False when all of it ran already.
    """
    running = supervisor.running(paths)
    if running and paths.seeding.exists():
        supervisor.stop(paths, _STOP_SECONDS)
        running = False
    if not running:
        _clean_up(paths)
    credentials.ensure(paths)
    new_certificates = tls.ensure(paths)
    paths.ports_file.write_text("".join(f"{name}: {port}\n" for name, port in ports().items()), encoding="utf-8")
    before = programs.started_parts(paths) if running else ()
    wanted = [part for part in PARTS if part in before or part in parts]
    table, missing = _parts(paths, programs.of_parts(wanted), unbuilt)
    for name in programs.of_parts(parts if asked else ()):
        if name in missing:
            raise LabError(f"{name} cannot be left out when it is asked for: {missing[name]}")
    if "kube-apiserver" in [program.name for program in table]:
        cluster.prepare(paths)
        hafnium.prepare(paths)
    text = supervisor.configuration(paths, table, root=os.geteuid() == 0)
    old = paths.supervisord_conf.read_text(encoding="utf-8") if paths.supervisord_conf.exists() else ""
    if running and (new_certificates or not supervisor.only_adds(old, text)):
        say("the lab's configuration has changed: stopping it first")
        supervisor.stop(paths, _STOP_SECONDS)
        running = False
    names = [program.name for program in table]
    states = {name: info["statename"] for name, info in supervisor.programs_info(paths).items()}
    asleep = [name for name in names if states.get(name) not in ("RUNNING", "STARTING")]
    complete = (
        paths.migrations.exists(),
        paths.seeded.exists() or "backoffice" not in wanted,
        paths.furnished.exists() or "kubernetes" not in wanted,
    )
    if not asleep and (missing or all(complete)):
        for name in names:
            wait_ready(name)
        programs.record_parts(paths, wanted)
        return False
    if "postgresql" in names:
        _tools(paths, needed=asked and "databases" in parts)
    _free_ports(asleep)
    paths.supervisord_conf.write_text(text, encoding="utf-8")
    programs.write_environments(paths)
    programs.record_left_out(paths, missing)
    programs.record_parts(paths, wanted)
    if running:
        supervisor.add(paths, [name for name in names if name not in states])
    else:
        supervisor.start(paths)
    if "kube-apiserver" in asleep:
        paths.furnished.unlink(missing_ok=True)
    _start_all(paths, names, faulty)
    return True


def down(paths: Paths, parts: Sequence[str]) -> list[str]:
    """Stop parts of the lab; what another part needs stays up. With the last part, everything stops.

    Names and pids of processes that had to be ended because they had lost their manager.
    """
    stay = [part for part in programs.started_parts(paths) if part not in parts]
    if stay and supervisor.running(paths):
        supervisor.remove(paths, set(programs.of_parts(parts)) - set(programs.of_parts(stay)))
        programs.record_parts(paths, stay)
        return []
    if supervisor.running(paths):
        supervisor.stop(paths, _STOP_SECONDS)
    paths.parts_file.unlink(missing_ok=True)
    return end_strays(paths)


def purge(paths: Paths) -> None:
    """Delete the state of a stopped lab: data, secrets, logs."""
    for folder in (*_data(paths), paths.root):
        shutil.rmtree(folder, ignore_errors=True)


def _parts(paths: Paths, names: Sequence[str], unbuilt: str = "") -> tuple[list[supervisor.Program], dict[str, str]]:
    """Those of the programs that can run on this machine, and why the others cannot. LabError in strict mode."""
    programs.check_services()
    missing: dict[str, str] = {}
    server: postgres.Server | None = None
    command: list[str] | None = None
    try:
        server = postgres.ensure(paths)
    except postgres.MissingPostgres as error:
        missing["postgresql"] = str(error)
    try:
        if "kafka" in names:
            engine = java.ensure(paths)
            command = kafka.command(paths, engine, kafka.ensure(paths, engine))
    except java.MissingJava as error:
        missing["kafka"] = str(error)
    if unbuilt:
        missing |= dict.fromkeys((name for name in cluster.PROGRAMS if name in names), unbuilt)
    for name in names:
        for need in programs.NEEDS.get(name, ()):
            if need in missing and name not in missing:
                missing[name] = f"it needs {need}"
    for reason in dict.fromkeys(missing.values()):
        which = ", ".join(name for name in missing if missing[name] == reason)
        if strict():
            raise LabError(f"{which} cannot be left out in strict mode: {reason}")
        say(f"{which} is left out: {reason}")
    table = programs.table(paths, server, command)
    return [program for program in table if program.name in names and program.name not in missing], missing


def _tools(paths: Paths, needed: bool) -> None:
    """PostgreSQL's programs and Flyway, for playbooks. LabError when they are needed, or in strict mode."""
    databases.ensure(paths)
    try:
        flyway.ensure(paths)
    except LabError as error:
        if needed or strict():
            raise
        say(f"flyway is left out: {error}")


def _start_all(paths: Paths, names: Sequence[str], faulty: bool) -> None:
    """Servers side by side, then what is built on them, then the first orders and objects, then the order flow."""

    def these(*wanted: str) -> list[str]:
        return [name for name in names if name in wanted]

    _start(these("postgresql", "kafka", "etcd"))
    for name in these("kube-apiserver"):  # it takes seconds: meanwhile the others go on
        start(name, wait=False)
    if "postgresql" in names:
        databases.configure(paths, faulty)
    if "kafka" in names:
        kafka.configure(paths)
    if "stream-processor" in names:
        kafka.ensure_topics(hafnium.TOPICS)
    if not faulty:
        _start(these("backoffice", "gateway"))
        _seed(paths, names)
    _start(these("kube-apiserver"))
    bare = not paths.furnished.exists()
    if bare and "kube-apiserver" in names:
        wake_clients()
    if "kube-apiserver" in names and bare:
        cluster.furnish(paths)
    _start(these("kube-controller-manager", "kube-scheduler", "kwok", "runner"))
    if "runner" in names and bare:
        _install(paths, faulty)
    if not faulty:
        _start(these("market", "traffic", "stream-processor"))


def _install(paths: Paths, faulty: bool) -> None:
    """Hafnium as its manifests have it, and the users' rights."""
    begun = time.monotonic()
    admin = cluster.admin_kubeconfig(paths)
    cluster.measure(paths)
    hafnium.install(paths, admin)
    cluster.grant(paths)
    if not faulty:
        hafnium.wait_ready(paths, admin)
        say(f"hafnium: ready after {time.monotonic() - begun:.1f} s")
    paths.furnished.touch()


def _seed(paths: Paths, names: Sequence[str]) -> None:
    """The first orders, when there is a BackOffice that has none yet."""
    if "backoffice" not in names or paths.seeded.exists():
        return
    if set(PARTS["backoffice"]) <= set(names):
        say("putting in the first orders ...")
        seed(paths)
    else:
        say("no first orders are put in: a part of their way is left out")


def _start(names: Sequence[str]) -> None:
    begun = time.monotonic()
    for name in names:
        start(name, wait=False)
    for name in names:
        wait_ready(name)
        say(f"{name}: ready after {time.monotonic() - begun:.1f} s")


def _clean_up(paths: Paths) -> None:
    """Make good what an earlier start or a killed manager left behind."""
    strays = end_strays(paths)
    if strays:
        say(f"an earlier start was left half-finished: ended {', '.join(strays)}")
    if paths.seeding.exists():
        say("an earlier first start was left half-finished: its data is removed and made anew")
        for folder in _data(paths):
            shutil.rmtree(folder, ignore_errors=True)
        paths.seeding.unlink()
        paths.make()


def _data(paths: Paths) -> list[Path]:
    """Folders with the data of servers and services."""
    folders = [paths.kafka, paths.backoffice, paths.gateway, paths.services]
    with suppress(postgres.MissingPostgres):
        folders.append(postgres.locate(paths).home)
    return folders


def end_strays(paths: Paths) -> list[str]:
    """End processes of this lab that its manager does not know (any more); their names and pids."""
    import psutil

    strays = []
    for process in psutil.process_iter(["name"]):
        try:
            if process.pid != os.getpid() and process.environ().get(SUPERVISED) == str(paths.root):
                strays.append(process)
        except (psutil.Error, OSError):
            continue
    for process in strays:
        _quietly(process.terminate)
    _, alive = psutil.wait_procs(strays, timeout=20)
    for process in alive:
        _quietly(process.kill)
    psutil.wait_procs(alive, timeout=10)
    return [f"{process.info['name']} (pid {process.pid})" for process in strays]


def _quietly(action: Callable[[], None]) -> None:
    import psutil

    with suppress(psutil.NoSuchProcess):
        action()


def _free_ports(names: Sequence[str]) -> None:
    """LabError naming the first port of these programs that somebody else holds."""
    for name in names:
        for port_name in programs.PORTS[name]:
            port = ports()[port_name]
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind(("127.0.0.1", port))
                except OSError as error:
                    if error.errno != errno.EADDRINUSE:
                        raise LabError(f"port {port} ({port_name}) cannot be used: {error.strerror}") from None
                    raise LabError(
                        f"port {port} ({port_name}) is in use by {port_holder(port)}: stop it, or change lab/ports.yml"
                    ) from None


def port_holder(port: int) -> str:
    """Who listens on a port, as far as this account may know."""
    import psutil

    try:
        for connection in psutil.net_connections(kind="tcp"):
            if (
                connection.laddr
                and connection.laddr.port == port
                and connection.status == psutil.CONN_LISTEN
                and connection.pid
            ):
                process = psutil.Process(connection.pid)
                home = process.environ().get(SUPERVISED)
                owner = f"the lab in {home}: " if home else ""
                return f"{owner}{process.name()} (pid {connection.pid})"
    except psutil.Error:
        pass
    return "a process of another user"
