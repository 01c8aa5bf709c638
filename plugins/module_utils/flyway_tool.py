# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The project's own Flyway: how it is started, with which settings, and what it says. Nothing secret is in its arguments."""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from . import flyway_locations, program_run
from .errors import InputError
from .flyway_placeholders import as_text
from .flyway_settings import SUBOPTIONS, Settings
from .redact import observed

KINDS = ("cli", "maven", "gradle", "command")
OPTIONS: dict[str, Any] = {
    "kind": {"type": "str", "required": True, "choices": list(KINDS)},
    "executable": {"type": "str"},
    "directory": {"type": "path"},
    "arguments": {"type": "list", "elements": "str", "default": []},
    "environment": {"type": "dict", "default": {}},
}
_PROGRAMS = {"cli": "flyway", "maven": "mvn", "gradle": "./gradlew"}
# What a Java tool needs of our own environment; all else stays here.
_KEPT = re.compile(
    r"PATH|HOME|USER|LOGNAME|SHELL|LANG|LC_\w+|TZ|TMPDIR|JAVA_\w+|JDK_\w+|JDK_JAVA_OPTIONS|LD_LIBRARY_PATH|PGPASSFILE|PGSSL\w+"
    r"|M2_HOME|MAVEN_\w+|GRADLE_\w+|https?_proxy|no_proxy|HTTPS?_PROXY|NO_PROXY|SSL_CERT_\w+|XDG_\w+"
)
_SECRET_ARGUMENT = re.compile(r"(?i)passw(?:or)?d\s*=|secret\s*=|token\s*=|\{password\}")
# Only given to the tool when they are not its default: older ones do not know all of them.
_RARE = (
    "placeholder_prefix",
    "placeholder_suffix",
    "placeholder_separator",
    "sql_migration_prefix",
    "repeatable_sql_migration_prefix",
    "baseline_migration_prefix",
    "sql_migration_separator",
    "placeholder_replacement",
    "validate_migration_naming",
)
_TOLD = re.compile(
    r"(?i)^(?:\[ERROR\]|ERROR:?|FAILURE|\* What went wrong|Caused by:|SQL State|Message\s*:|Location\s*:|Line\s*:"
    r'|\{.*"(?:log\.)?level"\s*:\s*"(?:ERROR|FATAL)")'
)
# What the history says, and what would have the tool work on something else: nobody else may set it, in whatever spelling.
_OURS = {name.replace("_", "") for name in SUBOPTIONS} - {"jars"} | {
    *("url", "user", "username", "password", "schemas", "defaultschema", "configfiles", "environment", "cleandisabled"),
    *("cleanonvalidationerror", "validateonmigrate", "baselinedescription", "cherrypick", "skipexecutingmigrations"),
}
_OURS_BELOW = ("placeholders.", "environments.")
# A setting in an argument: Flyway's command line knows no other, Maven and Gradle have it behind flyway.
_SETTING_OF = {
    "cli": re.compile(r"-+(?:flyway\.)?([\w.]+)"),
    "other": re.compile(r"(?:^|[^\w.]|[^\w.][DP])flyway\.([\w.]+)"),
}
_VERB_OF = {
    "cli": re.compile(r"[^-].*"),
    "maven": re.compile(r"(?:flyway|[\w.]+:flyway-maven-plugin(?::[^:]+)?):.*"),
    "gradle": re.compile(r"(?:.*:)?flyway[A-Z]\w*"),
}
MOST_LINES = 40
MOST_INFO_LINES = 400
LINE_CHARACTERS = 400
ERROR_CHARACTERS = 700


@dataclass(frozen=True)
class Tool:
    """A command line and its environment, which holds the password. Its sessions bear ``application_name``, and no other."""

    command: tuple[str, ...]
    directory: str | None
    environment: Mapping[str, str] = field(repr=False)
    application_name: str
    speaks_json: bool = False
    lines: int = MOST_LINES


@dataclass(frozen=True)
class Answer:
    """What the tool said. ``error`` is one line; ``output`` the end of what it printed, without secrets; ``told`` its JSON."""

    code: int
    timed_out: bool
    seconds: float
    error: str
    warnings: list[str]
    version: str | None
    output: list[str]
    told: list[dict[str, Any]] = field(default_factory=list, repr=False)

    def as_dict(self) -> dict[str, Any]:
        return {
            "exit_code": self.code,
            "timed_out": self.timed_out,
            "seconds": round(self.seconds, 1),
            "error": self.error,
            "warnings": self.warnings,
            "flyway_version": self.version,
            "output": self.output,
        }


def of(
    options: Mapping[str, Any], command: str, settings: Settings, item: Mapping[str, Any], parameters: Mapping[str, str]
) -> Tool:
    """The tool for ``command`` (info, migrate or repair) on one history. InputError when it cannot be started so.

    item: the history as the task names it, for the settings that it gives; parameters: libpq's, with the password.
    """
    kind = options["kind"]
    for argument in options["arguments"]:
        if _SECRET_ARGUMENT.search(argument):
            raise InputError(
                "tool.arguments holds a password or the like, which every user of the machine could see: the tool gets the "
                "password of the history in its environment"
            )
    _refuse_ours(kind, options)
    if kind == "command" and command != "migrate":
        raise InputError(f"tool.kind command migrates when it starts, it cannot {command}: use cli, maven or gradle")
    if kind in ("maven", "gradle") and not options["directory"]:
        raise InputError(f"tool.directory is needed for {kind}: the folder of the project")
    if options["directory"] and not os.path.isdir(options["directory"]):
        raise InputError(f"tool.directory {options['directory']} is no folder")
    program = _program(kind, options["executable"], options["directory"])
    words = {
        "cli": (program, command, "-outputType=json", *options["arguments"]),
        "maven": (program, "-B", "-Dstyle.color=never", *options["arguments"], f"flyway:{command}"),
        "gradle": (
            *(program, "--no-daemon", "--console=plain"),
            *options["arguments"],
            f"flyway{command.capitalize()}",
        ),
        "command": (program, *options["arguments"]),
    }
    name = f"sre.runbooks-flyway-{secrets.token_hex(4)}"
    environment = _environment(options, settings, item, jdbc_url(parameters, name), parameters)
    lines = MOST_INFO_LINES if command == "info" else MOST_LINES
    return Tool(words[kind], options["directory"], environment, name, kind == "cli", lines)


def _refuse_ours(kind: str, options: Mapping[str, Any]) -> None:
    """Another history than the one that was looked at, or another deed, must not come in through the tool's options."""
    said = "what it works on is said by history, which is what was looked at"
    setting, verb = _SETTING_OF["cli" if kind == "cli" else "other"], _VERB_OF.get(kind)
    for argument in options["arguments"]:
        name = setting.search(argument)
        if name and _is_ours(name[1]):
            raise InputError(f"tool.arguments sets Flyway's {name[1]}: {said}")
        if verb and verb.fullmatch(argument):
            raise InputError(
                f"tool.arguments has {observed(argument, 80)!r}: the tool is told what to do by command alone"
            )
    for name, value in options["environment"].items():
        key = str(name).upper()
        inner = [match[1] for match in _SETTING_OF["other"].finditer(as_text(value)) if _is_ours(match[1])]
        if inner or (key.startswith("FLYWAY_") and _is_ours(key.removeprefix("FLYWAY_"))):
            raise InputError(f"tool.environment sets Flyway's {inner[0] if inner else name} ({name}): {said}")


def _is_ours(name: str) -> bool:
    plain = name.lower().replace("placeholders_", "placeholders.").replace("environments_", "environments.")
    return plain.startswith(_OURS_BELOW) or re.sub(r"[_.-]", "", plain) in _OURS


def run(tool: Tool, seconds: float, tick: Callable[[float], None]) -> Answer:
    """Run it to its end, at most ``seconds``. Raises InputError when it cannot be started."""
    ended = program_run.run(tool.command, tool.environment, tool.directory, seconds, tick)
    hidden = [value for name, value in tool.environment.items() if re.search(r"(?i)passw", name) and len(value) > 2]

    def shown(text: str, limit: int = LINE_CHARACTERS) -> str:
        for secret in hidden:
            text = text.replace(secret, "[redacted]")
        return observed(text, limit)

    told = _json(ended.stdout) if tool.speaks_json else []
    spoken = (ended.stderr,) if told else (ended.stdout, ended.stderr)  # JSON was read, and is no text for people
    lines = [line for stream in spoken for line in stream.decode("utf-8", "replace").splitlines()]
    kept = [shown(line) for line in lines if line.strip()][-tool.lines :]
    error = _error(told, lines) if ended.code or _failed(told) else ""
    warnings = [shown(str(text)) for each in told for text in each.get("warnings") or []][:20]
    version = next((str(each["flywayVersion"]) for each in told if each.get("flywayVersion")), None)
    error = shown(error, ERROR_CHARACTERS)
    return Answer(ended.code, ended.timed_out, ended.seconds, error, warnings, version, kept, told)


def jdbc_url(parameters: Mapping[str, str], application_name: str = "") -> str:
    """The address of libpq's parameters for the Java driver. InputError for a socket, which Java cannot reach.

    Of several hosts the driver takes the primary, as nobody else can be written to.
    """
    hosts = parameters.get("host", "localhost").split(",")
    ports = parameters.get("port", "5432").split(",")
    if any(host.startswith("/") for host in hosts):
        raise InputError("login_host is the folder of a socket, which a Java tool cannot reach: give a host name")
    ports += ports[-1:] * (len(hosts) - len(ports))
    shown = ",".join(f"{f'[{host}]' if ':' in host else host}:{port}" for host, port in zip(hosts, ports, strict=False))
    given = {name: parameters.get(name, "") for name in ("sslmode", "sslrootcert", "sslcert", "sslkey")}
    if len(hosts) > 1 or parameters.get("target_session_attrs", "any") != "any":
        given["targetServerType"] = "primary"
    given["ApplicationName"] = application_name
    extra = "&".join(f"{name}={value}" for name, value in given.items() if value)
    return f"jdbc:postgresql://{shown}/{parameters.get('dbname', '')}{f'?{extra}' if extra else ''}"


def _program(kind: str, executable: str | None, directory: str | None) -> str:
    """The path of the program; one that is written with a folder is relative to ``directory``."""
    wanted = executable or _PROGRAMS.get(kind)
    if not wanted:
        raise InputError("tool.executable is needed for a command")
    if "/" in wanted:
        path = os.path.join(directory or "/", os.path.expanduser(wanted))
        if not os.path.isfile(path) or not os.access(path, os.X_OK):
            raise InputError(f"tool.executable {wanted} is not a program that may be started: {path}")
        return os.path.normpath(path)
    found = shutil.which(wanted)
    if not found:
        raise InputError(f"{wanted} is not on PATH here: install it, or give its path as tool.executable")
    return found


def _environment(
    options: Mapping[str, Any],
    settings: Settings,
    item: Mapping[str, Any],
    url: str,
    parameters: Mapping[str, str],
) -> dict[str, str]:
    """FLYWAY_* for the history, beside what the task adds; nothing of our own that the tool does not need."""
    login = {
        "url": url,
        "user": parameters.get("user", ""),
        "password": parameters.get("password", ""),
    }
    own = {name: value for name, value in os.environ.items() if _KEPT.fullmatch(name)}
    flyway = {f"FLYWAY_{name.upper()}": value for name, value in login.items() if value}
    flyway |= {
        "FLYWAY_LOCATIONS": ",".join(_location(text, settings.working_directory) for text in settings.locations),
        "FLYWAY_SCHEMAS": settings.schema,
        "FLYWAY_DEFAULT_SCHEMA": settings.schema,
        "FLYWAY_TABLE": settings.table,
        "FLYWAY_BASELINE_VERSION": str(settings.baseline_version),
        "FLYWAY_BASELINE_ON_MIGRATE": as_text(settings.baseline_on_migrate),
        "FLYWAY_OUT_OF_ORDER": as_text(settings.out_of_order),
        "FLYWAY_IGNORE_MIGRATION_PATTERNS": ",".join(_patterns(item)),
        "FLYWAY_SQL_MIGRATION_SUFFIXES": ",".join(settings.sql_migration_suffixes),
        "FLYWAY_ENCODING": str(item.get("encoding") or settings.encoding),
        "FLYWAY_CLEAN_DISABLED": "true",
        **{f"FLYWAY_PLACEHOLDERS_{name.upper()}": value for name, value in settings.placeholders.items()},
    }
    if item.get("target"):
        flyway["FLYWAY_TARGET"] = str(item["target"])
    for name in _RARE:
        if getattr(settings, name) != SUBOPTIONS[name]["default"]:
            flyway[f"FLYWAY_{name.upper()}"] = as_text(getattr(settings, name))
    if options["kind"] == "cli" and settings.jars:
        folders = dict.fromkeys(path if os.path.isdir(path) else os.path.dirname(path) for path in settings.jars)
        flyway["FLYWAY_JAR_DIRS"] = ",".join(folders)
    added = {str(name): _filled(as_text(value), login) for name, value in options["environment"].items()}
    return {**own, **flyway, **added}


def _filled(text: str, login: Mapping[str, str]) -> str:
    """``{url}``, ``{user}`` and ``{password}`` in a value stand for those of the history."""
    return re.sub(r"\{(url|user|password)\}", lambda match: login[match[1]], text)


def _location(text: str, working_directory: str | None) -> str:
    return flyway_locations.parse(text, working_directory).descriptor


def _patterns(item: Mapping[str, Any]) -> list[str]:
    given = item.get("ignore_migration_patterns")
    return list(SUBOPTIONS["ignore_migration_patterns"]["default"] if given is None else given)


def _json(stdout: bytes) -> list[dict[str, Any]]:
    """The JSON objects that the tool printed. On failure their shape is another one, and lines may stand before."""
    text = stdout.decode("utf-8", "replace")
    decoder, found, at = json.JSONDecoder(), [], 0
    for match in re.finditer(r"^[ \t]*[\[{]", text, re.MULTILINE):
        if match.start() < at:
            continue
        try:
            value, at = decoder.raw_decode(text, match.end() - 1)
        except (ValueError, RecursionError):
            continue
        found += [each for each in (value if isinstance(value, list) else [value]) if isinstance(each, dict)]
    return [inner for each in found for inner in (each, *_inner(each))]


def _inner(value: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [each for each in value.get("individualResults") or [] if isinstance(each, dict)]


def _failed(told: Sequence[Mapping[str, Any]]) -> bool:
    return any(each.get("error") or each.get("success") is False for each in told)


def _error(told: Sequence[Mapping[str, Any]], lines: Sequence[str]) -> str:
    """What went wrong, in one line: of the JSON where there is some, else the lines that speak of errors."""
    for each in told:
        error = each.get("error")
        message = error.get("message") if isinstance(error, Mapping) else error
        if message:
            return " ".join(re.sub(r"-{5,}", ":", str(message)).split())
    spoken = [
        line
        for number, line in enumerate(lines)
        if _TOLD.search(line) or (number and "went wrong" in lines[number - 1])
    ]
    spoken = [re.sub(r"^\[ERROR\]\s*", "", line).strip() for line in spoken]
    words = list(dict.fromkeys(line for line in spoken if line and not line.startswith(("->", "* What"))))
    return " | ".join(words[:6]) or next(
        (line.strip() for line in reversed(lines) if line.strip()), "it printed nothing"
    )
