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

from lab import credentials, java, kafka, postgres, programs, supervisor, tls
from lab.control import start, state, wait_ready, wait_until
from lab.layout import PROGRAMS, SUPERVISED, LabError, Paths, ports, strict
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


def up(paths: Paths, faulty: bool = False) -> bool:
    """Bring the lab up from whatever state it is in. True when it was started, False when all of it ran already.

    ``faulty``: faults are left in it, so the services may not come up before they are taken out.
    """
    running = supervisor.running(paths)
    if running and paths.seeding.exists():
        supervisor.stop(paths, _STOP_SECONDS)
        running = False
    if not running:
        _clean_up(paths)
    credentials.ensure(paths)
    tls.ensure(paths)
    paths.ports_file.write_text("".join(f"{name}: {port}\n" for name, port in ports().items()), encoding="utf-8")
    parts, missing = _parts(paths)
    text = supervisor.configuration(paths, parts, root=os.geteuid() == 0)
    changed = not paths.supervisord_conf.exists() or paths.supervisord_conf.read_text(encoding="utf-8") != text
    if running and changed:
        say("the lab's configuration has changed: stopping it first")
        supervisor.stop(paths, _STOP_SECONDS)
        running = False
    states = {part.name: state(part.name) for part in parts} if running else {}
    asleep = [part.name for part in parts if states.get(part.name) not in ("RUNNING", "STARTING")]
    if not asleep and (missing or paths.seeded.exists()):
        for part in parts:
            wait_ready(part.name)
        return False
    _free_ports(asleep)
    paths.supervisord_conf.write_text(text, encoding="utf-8")
    programs.write_environments(paths)
    programs.record_left_out(paths, missing)
    if not running:
        supervisor.start(paths)
    _start_all(paths, [part.name for part in parts], faulty)
    return True


def down(paths: Paths) -> int:
    """Stop everything; the number of processes that had to be ended because they had lost their manager."""
    if supervisor.running(paths):
        supervisor.stop(paths, _STOP_SECONDS)
    return len(end_strays(paths))


def purge(paths: Paths) -> None:
    """Delete the state of a stopped lab: data, secrets, logs."""
    for folder in (*_data(paths), paths.root):
        shutil.rmtree(folder, ignore_errors=True)


def _parts(paths: Paths) -> tuple[list[supervisor.Program], dict[str, str]]:
    """The programs that can run on this machine, and why the others cannot. LabError in strict mode."""
    programs.check_services()
    missing: dict[str, str] = {}
    server: postgres.Server | None = None
    command: list[str] | None = None
    try:
        server = postgres.ensure(paths)
    except postgres.MissingPostgres as error:
        missing["postgresql"] = str(error)
    try:
        engine = java.ensure(paths)
        command = kafka.command(paths, engine, kafka.ensure(paths, engine))
    except java.MissingJava as error:
        missing["kafka"] = str(error)
    for name in PROGRAMS:
        for need in programs.NEEDS.get(name, ()):
            if need in missing and name not in missing:
                missing[name] = f"it needs {need}"
    for name, reason in missing.items():
        if strict():
            raise LabError(f"{name} cannot be left out in strict mode: {reason}")
        say(f"{name} is left out: {reason}")
    return [part for part in programs.table(paths, server, command) if part.name not in missing], missing


def _start_all(paths: Paths, names: Sequence[str], faulty: bool) -> None:
    """Servers side by side, then what is built on them, then the first orders, then the order flow."""
    _start(name for name in names if name in ("postgresql", "kafka"))
    if "postgresql" in names:
        postgres.configure(paths)
    if "kafka" in names:
        kafka.configure(paths)
    if faulty:
        return
    _start(name for name in names if name in ("backoffice", "gateway"))
    if set(names) == set(PROGRAMS):
        if not paths.seeded.exists():
            say("putting in the first orders ...")
            seed(paths)
    else:
        say("no first orders are put in: a part of their way is left out")
    _start(name for name in names if name == "market")


def _start(names: Iterator[str]) -> None:
    begun = time.monotonic()
    waiting = list(names)
    for name in waiting:
        start(name, wait=False)
    for name in waiting:
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
