# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""JDBC URLs of PostgreSQL, read as the Java driver reads them, and said in libpq's words.

Where the driver would take a URL and mean something else than its writer (an IPv6 address without brackets, a login
before the host, a blank at the end), it is refused here, with the reason.
"""

from __future__ import annotations

import ipaddress
import re
import urllib.parse
from dataclasses import dataclass, field

from .errors import InputError
from .redact import observed

PREFIX = "jdbc:postgresql:"
FORM = "write jdbc:postgresql://host:port/database"
DEFAULT_HOST = "localhost"
DEFAULT_PORT = 5432

# The driver's parameters that libpq has too, by libpq's name.
_SAME = {
    "sslmode": "sslmode",
    "sslrootcert": "sslrootcert",
    "sslcert": "sslcert",
    "sslkey": "sslkey",
    "connectTimeout": "connect_timeout",
    "options": "options",
    "gssEncMode": "gssencmode",
    "channelBinding": "channel_binding",
}
_TARGETS = {
    "primary": "primary",
    "master": "primary",
    "secondary": "standby",
    "slave": "standby",
    "preferSecondary": "prefer-standby",
    "preferSlave": "prefer-standby",
}
# With these the driver goes another way than to the host in the address, which is localhost where it names none.
_ELSEWHERE = {
    "socketFactory": "a connector of a cloud (Cloud SQL, AlloyDB) finds the server: give the address of its Auth Proxy, or "
    "the instance's own",
    "cloudSqlInstance": "it is an instance of Cloud SQL: give the address of its Auth Proxy, or the instance's own",
    "alloydbInstanceName": "it is an instance of AlloyDB: give the address of its Auth Proxy, or the instance's own",
    "service": "the address stands in a pg_service.conf of the service: give that address here",
}


class ElsewhereError(InputError):
    """The driver understands the URL, and goes where we cannot follow."""


@dataclass(frozen=True)
class JdbcUrl:
    """A JDBC URL in parts. An empty ``database`` is the one named like the user; ``password`` is never shown. ``shown``
    is the URL for a message."""

    hosts: tuple[tuple[str, int], ...]
    database: str
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    parameters: dict[str, str] = field(default_factory=dict)
    shown: str = ""

    @property
    def schema(self) -> str | None:
        """The search path that the driver sets (currentSchema)."""
        return self.parameters.get("currentSchema") or None

    def libpq(self) -> dict[str, str]:
        """Connection parameters of libpq; only what is given, so that libpq's own defaults fill the rest.

        Raises ElsewhereError where the server is not at the host in the address."""
        for name, why in _ELSEWHERE.items():
            if name in self.parameters:
                raise ElsewhereError(
                    f"database URL {self.shown!r} has the parameter {name}, so that its host is not where the server is; {why}"
                )
        found = {
            "host": ",".join(host for host, _port in self.hosts),
            "port": ",".join(str(port) for _host, port in self.hosts),
        }
        found |= {name: value for name, value in self._named().items() if value}
        found |= {_SAME[name]: value for name, value in self.parameters.items() if name in _SAME and value}
        if "sslmode" not in found and self.parameters.get("ssl", "false").lower() in ("", "true"):
            found["sslmode"] = "require" if "NonValidating" in self.parameters.get("sslfactory", "") else "verify-full"
        if self.parameters.get("targetServerType") in _TARGETS:
            found["target_session_attrs"] = _TARGETS[self.parameters["targetServerType"]]
        if self.parameters.get("loadBalanceHosts", "").lower() == "true":
            found["load_balance_hosts"] = "random"
        return found

    def _named(self) -> dict[str, str | None]:
        return {"dbname": self.database, "user": self.user, "password": self.password}


def is_jdbc(url: str) -> bool:
    """Whether ``url`` means to be a JDBC URL."""
    return url.strip().lower().startswith("jdbc:")


def parse(url: str) -> JdbcUrl:
    """The parts of ``url``. Raises InputError, which never shows what follows the host's address."""
    _check_prefix(url)
    address, _mark, query = url.removeprefix(PREFIX).partition("?")
    parameters = _parameters(url, query)
    if address in ("//", "///"):
        address = ""
    if not address.startswith("//"):
        if address.startswith("/"):
            raise _wrong(url, f"has one slash where the driver wants two or none: {FORM}")
        hosts: tuple[tuple[str, int], ...] = ((DEFAULT_HOST, DEFAULT_PORT),)
        database = _decoded(url, address)
    else:
        hosts, database = _authority(url, address[2:])
    hosts = _overridden(url, hosts, parameters)
    return JdbcUrl(
        hosts=hosts,
        database=parameters.pop("PGDBNAME", database),
        user=parameters.pop("user", None),
        password=parameters.pop("password", None),
        parameters=parameters,
        shown=shown(url),
    )


def shown(url: str) -> str:
    """``url`` without parameters and logins, for a message."""
    head = url.partition("?")[0]
    return observed(re.sub(r"//[^/]*@", "//", head), 120)


def _wrong(url: str, why: str) -> InputError:
    return InputError(f"database URL {shown(url)!r} {why}")


def _check_prefix(url: str) -> None:
    if not url.strip():
        raise InputError(f"database URL is empty: {FORM}")
    if url != url.strip():
        raise _wrong(url, "has a blank at its beginning or end, which the driver takes as part of it: remove the blank")
    if url[0] in "\"'":
        raise _wrong(url, "stands in quotation marks, which became part of it: remove them where it is set")
    if url.startswith(PREFIX):
        return
    if url.startswith(("postgres://", "postgresql://")):
        raise _wrong(url, f"is in libpq's form, which a Java service does not take: {FORM}")
    if url.lower().startswith(PREFIX):
        raise _wrong(url, "must begin with jdbc:postgresql: in small letters")
    if url.lower().startswith("jdbc:postgres"):
        raise _wrong(url, f"has a prefix that no driver answers to: {FORM}")
    if is_jdbc(url):
        raise _wrong(url, f"is for another kind of database ({observed(url.split(':')[1], 20)}): {FORM}")
    raise _wrong(url, f"is no JDBC URL: {FORM}")


def _parameters(url: str, query: str) -> dict[str, str]:
    found = {}
    for part in filter(None, query.split("&")):
        name, _equals, value = part.partition("=")
        found[name] = _decoded(url, value)
    return found


def _authority(url: str, text: str) -> tuple[tuple[tuple[str, int], ...], str]:
    if "/" not in text:
        raise _wrong(
            url, "has no slash behind the host, and the driver refuses that: add one, with the database behind it"
        )
    addresses, _slash, database = text.partition("/")
    if "/" in database:
        raise _wrong(url, f"has too many slashes: {FORM}")
    if "@" in addresses:
        raise _wrong(
            url, "has a login before the host, which the driver takes as part of the name: use user= and password="
        )
    parts = addresses.split(",")
    while len(parts) > 1 and not parts[-1]:
        parts.pop()
    return tuple(_host(url, part) for part in parts), _decoded(url, database)


def _host(url: str, text: str) -> tuple[str, int]:
    colon = text.rfind(":")
    host, port = (text, None) if colon < 0 or text.rfind("]") > colon else (text[:colon], text[colon + 1 :])
    number = DEFAULT_PORT if port is None else _port(url, port)
    bracketed = re.fullmatch(r"\[(.*)\]", host)
    host = bracketed[1] if bracketed else host
    if ":" in host or bracketed:
        try:
            ipaddress.IPv6Address(host.partition("%")[0])
        except ValueError:
            raise _wrong(
                url, "has a host that is neither a name nor an address; IPv6 stands in brackets, [::1]:5432"
            ) from None
    if any(sign.isspace() for sign in host):
        raise _wrong(url, "has a blank in the host name")
    return host or DEFAULT_HOST, number


def _port(url: str, text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,5}", text) or not 1 <= int(text) <= 65535:
        raise _wrong(url, f"has the port {observed(text, 20)!r}, which is no number from 1 to 65535")
    return int(text)


def _overridden(
    url: str, hosts: tuple[tuple[str, int], ...], parameters: dict[str, str]
) -> tuple[tuple[str, int], ...]:
    """PGHOST and PGPORT among the parameters win over the address, as in the driver."""
    names = parameters.pop("PGHOST", None)
    ports = parameters.pop("PGPORT", None)
    if names is None and ports is None:
        return hosts
    new_hosts = names.split(",") if names else [host for host, _number in hosts]
    new_ports = [_port(url, port) for port in ports.split(",")] if ports else [port for _name, port in hosts]
    if len(new_ports) == 1:
        new_ports *= len(new_hosts)
    if len(new_hosts) != len(new_ports):
        raise _wrong(url, f"has {len(new_hosts)} hosts and {len(new_ports)} ports")
    return tuple(zip(new_hosts, new_ports, strict=True))


def _decoded(url: str, text: str) -> str:
    if re.search(r"%(?![0-9A-Fa-f]{2})", text):
        raise _wrong(url, "has a % that is not followed by two hexadecimal digits: write %25 for a percent sign")
    return urllib.parse.unquote_plus(text, errors="replace")
