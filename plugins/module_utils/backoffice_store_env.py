# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The environment of a BackOffice, declared or read from its process, and what its variables make it do."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from . import jdbc, process_environment
from .errors import InputError
from .redact import observed
from .service_time import process_start

URL = "BACKOFFICE_DB_URL"
ENABLE = "BACKOFFICE_DB_ENABLE"
USER = "BACKOFFICE_DB_USER"
SNAPSHOT_ENABLE = "BACKOFFICE_SNAPSHOT_ENABLE"
SNAPSHOT_SECONDS = "BACKOFFICE_SNAPSHOT_SEC"
DEFAULT_URL = "jdbc:postgresql://localhost:5432/backoffice"
DEFAULT_USER = "backoffice"

_INT = (-(2**31), 2**31 - 1)
_LONG = (-(2**63), 2**63 - 1)
NUMBERS = {
    "BACKOFFICE_PORT": (0, 65535),
    SNAPSHOT_SECONDS: _LONG,
    "BACKOFFICE_FEE_BPS": _INT,
    "BACKOFFICE_MAX_FILLS": _INT,
    "BACKOFFICE_DB_POOL": _INT,
    "JWT_CLOCK_SKEW_SEC": _LONG,
}
_PASSWORD_PARAMETER = re.compile(r"([?&])password=[^&]*&?")
_OURS = re.compile(r"(BACKOFFICE|KAFKA)_[A-Z0-9_]+")
_SECRET = re.compile(r"PASSWORD|PASSWD|SECRET|TOKEN|CREDENTIAL|JAAS|_KEY(_|$)")


@dataclass(frozen=True)
class Process:
    """A running process: when it was started (epoch seconds), its variables, or the ``problem`` of reading them."""

    pid: int
    started: float | None = None
    variables: dict[str, str] = field(default_factory=dict)
    problem: str = ""


def declared(given: Mapping[str, object]) -> dict[str, str]:
    """The variables that the caller knows. Raises InputError for secrets, which do not belong in this option."""
    secrets = sorted(name for name in given if _SECRET.search(str(name).upper()))
    if secrets:
        raise InputError(
            f"service_environment holds {', '.join(secrets)}: leave secrets out of it. The password of the database is "
            "login_password."
        )
    variables = {str(name): "" if value is None else str(value) for name, value in given.items()}
    if re.search(r"password=|//[^/?]*@", variables.get(URL, "")):
        raise InputError(f"service_environment holds a password in {URL}: give that URL as database_url")
    return {name: ("true" if value == "True" else value) for name, value in variables.items()}


def without_password(variables: Mapping[str, object]) -> dict[str, object]:
    """The variables with what was struck out of the database URL, or would have to be, left out of it."""
    url = str(variables.get(URL) or "")
    if not url:
        return dict(variables)
    return {**variables, URL: re.sub(r"//[^/@?]*@", "//", _PASSWORD_PARAMETER.sub(r"\1", url))}


def of_process(pid: int) -> Process:
    """The variables of the process whose names begin with BACKOFFICE_ or KAFKA_, secrets left out."""
    started = process_start(pid)
    if started is None:
        return Process(pid, problem=f"there is no process {pid} here")
    try:
        variables = process_environment.given(pid)
    except PermissionError:
        return Process(
            pid, started, problem=f"permission denied: only its user and root may read the variables of {pid}"
        )
    except OSError as error:
        return Process(pid, started, problem=f"its variables cannot be read: {error.strerror}")
    ours = {name: value for name, value in variables.items() if _OURS.fullmatch(name) and not _SECRET.search(name)}
    if URL in ours:
        ours[URL] = _PASSWORD_PARAMETER.sub(r"\1", ours[URL])
    return Process(pid, started, ours)


def is_on(variables: Mapping[str, str]) -> bool:
    """Whether these variables switch PostgreSQL on: any URL that is not blank, or 1 or true in any case."""
    return bool(variables.get(URL, "").strip()) or flag(variables.get(ENABLE, "0"))


def flag(value: str) -> bool:
    """As the service reads switches: only 1 and true, in any case, are on."""
    return value == "1" or value.lower() == "true"


def wrong_numbers(variables: Mapping[str, str]) -> dict[str, str]:
    """The numeric variables that would end the next boot, each with what is wrong with its value."""
    found = {}
    for name, (least, most) in NUMBERS.items():
        value = variables.get(name)
        if value is None:
            continue
        if not re.fullmatch(r"[+-]?[0-9]{1,20}", value):
            found[name] = f"{observed(value, 40)!r} is no integer"
        elif not least <= int(value) <= most:
            found[name] = f"{value} is out of range"
    return found


def shown(variables: Mapping[str, str]) -> dict[str, str]:
    """The variables for a result: the database URL without login and parameters, everything redacted."""
    return {
        name: jdbc.shown(value) if name == URL else observed(value, 200)
        for name, value in sorted(variables.items())
        if _OURS.fullmatch(name) and not _SECRET.search(name)
    }
