# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The environment that a pod gives a container, by the dependency it is about. Values only where they are no secret.

Secrets are not read: that a variable comes from one is what is said. Services disagree on names (SPRING_DATASOURCE_URL,
DB_HOST), so a process may well ask another host than the variable beside it names; that is found here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from . import jdbc
from .errors import InputError
from .kubernetes_objects import Object
from .redact import STRUCK, observed
from .workload_causes import Family

MOST_VARIABLES = 20
FAMILIES: dict[Family, re.Pattern[str]] = {
    "database": re.compile(
        r"^(?:SPRING_(?:DATASOURCE|FLYWAY|R2DBC)|SPRING_DATASOURCE_HIKARI|DB|DATABASE|PG|POSTGRES(?:QL)?|MYSQL|MARIADB|MONGO(?:DB)?"
        r"|JDBC(?:_DATABASE)?)_?(?:JDBC_?)?(?:URL|URI|HOST(?:NAME)?|ADDR|ADDRESS|SERVER|PORT|NAME|DB|DATABASE|USER(?:NAME)?|PASS\w*)$"
    ),
    "kafka": re.compile(r"KAFKA|REDPANDA|BOOTSTRAP_SERVERS"),
    "redis": re.compile(r"REDIS"),
    "identity": re.compile(r"KEYCLOAK|ISSUER|JWK|OIDC|OAUTH"),
    "port": re.compile(r"^(?:SERVER_PORT|PORT|MANAGEMENT_SERVER_PORT|HTTP_PORT)$|_PORT$"),
    "memory": re.compile(r"^(?:JAVA_TOOL_OPTIONS|JDK_JAVA_OPTIONS|JAVA_OPTS|_JAVA_OPTIONS|NODE_OPTIONS|GOMEMLIMIT)$"),
}
SPRING: dict[Family, str] = {
    "database": "SPRING_DATASOURCE_URL",
    "kafka": "SPRING_KAFKA_BOOTSTRAP_SERVERS",
    "redis": "SPRING_DATA_REDIS_HOST",
    "identity": "SPRING_SECURITY_OAUTH2_RESOURCESERVER_JWT_JWK_SET_URI",
    "port": "SERVER_PORT",
}
_SECRET = re.compile(r"(?i)passw|secret|token|credential|private|api_?key")


@dataclass(frozen=True)
class Variable:
    """``value`` is None where it is secret or not known; ``source`` says where it comes from."""

    name: str
    source: str
    value: str | None

    def __str__(self) -> str:
        if self.value is not None:
            return f"{self.name}={self.value}"
        return f"{self.name} ({self.source})"

    def as_dict(self) -> dict[str, Any]:
        return {"name": self.name, "source": self.source, "value": self.value}


def config_maps(container: Object) -> set[str]:
    """The ConfigMaps that the container's environment is taken from."""
    found = {(row.get("configMapRef") or {}).get("name") for row in container.get("envFrom") or ()}
    for row in container.get("env") or ():
        found.add(((row.get("valueFrom") or {}).get("configMapKeyRef") or {}).get("name"))
    return {str(name) for name in found if name}


def variables(container: Object, maps: Mapping[str, Mapping[str, str]], family: Family) -> list[Variable]:
    """Those of one family, as they take effect. ``maps`` holds the data of the ConfigMaps that could be read."""
    if not family:
        return []
    found: dict[str, Variable] = {}
    for row in container.get("envFrom") or ():
        found |= _from_map(row, maps)
    for row in container.get("env") or ():
        name = str(row.get("name"))
        found[name] = _variable(name, row, maps)
    pattern = FAMILIES[family]
    return sorted((one for one in found.values() if pattern.search(one.name)), key=lambda one: one.name)[
        :MOST_VARIABLES
    ]


def _from_map(row: Object, maps: Mapping[str, Mapping[str, str]]) -> dict[str, Variable]:
    name = str((row.get("configMapRef") or {}).get("name") or "")
    prefix = str(row.get("prefix") or "")
    return {
        prefix + key: Variable(prefix + key, f"ConfigMap {name}", shown(prefix + key, value))
        for key, value in maps.get(name, {}).items()
    }


def _variable(name: str, row: Object, maps: Mapping[str, Mapping[str, str]]) -> Variable:
    origin = row.get("valueFrom") or {}
    if not origin:
        return Variable(name, "the pod template", shown(name, str(row.get("value") or "")))
    secret, config = origin.get("secretKeyRef"), origin.get("configMapKeyRef")
    if secret:
        return Variable(name, f"Secret {secret.get('name')} key {secret.get('key')}", None)
    if config:
        value = maps.get(str(config.get("name")), {}).get(str(config.get("key")))
        source = f"ConfigMap {config.get('name')} key {config.get('key')}"
        return Variable(name, source, None if value is None else shown(name, value))
    return Variable(name, "the pod", None)


def shown(name: str, value: str) -> str | None:
    """A value without credentials; None when it is one."""
    if _SECRET.search(name):
        return None
    if jdbc.is_jdbc(value):
        try:
            parsed = jdbc.parse(value)
        except InputError:
            return jdbc.shown(value)
        hosts = ",".join(f"{host}:{port}" for host, port in parsed.hosts)
        return f"jdbc:postgresql://{hosts}/{parsed.database}"
    text = observed(re.sub(r"(?<=://)[^/@\s]*@", "", value), 200)
    return None if STRUCK in text else text


def unread(container: Object, maps: Mapping[str, Mapping[str, str]]) -> list[str]:
    """Sources of whole sets of variables whose names are not known here: Secrets, and ConfigMaps that were not read."""
    found = []
    for row in container.get("envFrom") or ():
        config, secret = row.get("configMapRef"), row.get("secretRef")
        if config and config.get("name") not in maps:
            found.append(f"ConfigMap {config.get('name')}")
        if secret:
            found.append(f"Secret {secret.get('name')}")
    return found


def sentence(found: Iterable[Variable], family: Family, asked: str, sources: Iterable[str] = ()) -> str:
    """What the environment says about it: the names that are set, and whether the process follows them.

    ``asked`` is the host that the process called, empty when that is not known; ``sources`` those of ``unread``.
    """
    rows, more = list(found), ", ".join(sources)
    if not family:
        return ""
    reads = f"a Spring service reads {SPRING[family]}" if family in SPRING else ""
    if not rows and more:
        return f"its variables come from {more}, whose names were not read"
    if not rows:
        return "the pod sets no variable for it" + (f"; {reads}" if reads else "")
    said = f"the pod sets {', '.join(map(str, rows[:6]))}" + (f" and {len(rows) - 6} more" if len(rows) > 6 else "")
    known = [one.value for one in rows if one.value]
    all_seen = not more and all(one.value is not None or _SECRET.search(one.name) for one in rows)
    if asked and known and all_seen and not any(asked in value for value in known):
        said += f", but the process asked {asked}: it does not read these" + (f" ({reads})" if reads else "")
    return said
