# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Proof that a BackOffice runs on PostgreSQL, and that it books there what it should.

Configuration alone proves nothing: a store that was configured and books nothing, or a process that was started without
the variable, looks the same. So what is declared, what the process has, what it leaves behind and what stands in the
database are looked at one by one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ansible.module_utils.basic import env_fallback

from . import backoffice_store_env as env
from . import backoffice_store_traces as traces
from . import jdbc, postgres, redact, service_time
from .argspec import ArgumentSpec
from .backoffice_store_tables import TABLES, Content, Schema, read_content, read_schema
from .checks import FAIL, PASS, UNVERIFIED, Check, Confidence, Finding, Next, Status, report, status_of
from .errors import InputError
from .operation import Context
from .postgres import PostgresError

RUNBOOK = "4"
STORE = "sre.runbooks.backoffice.rdb_compliance"
RESTART = "sre.runbooks.backoffice.restart"
MOST_SECONDS_BEHIND = 60.0
CLOCK_SECONDS = 1.0

SPEC = ArgumentSpec(
    options={
        "database_url": {"type": "str", "no_log": True, "fallback": (env_fallback, [env.URL])},
        "login_user": {"type": "str", "fallback": (env_fallback, [env.USER])},
        "login_password": {"type": "str", "no_log": True, "fallback": (env_fallback, ["BACKOFFICE_DB_PASSWORD"])},
        "required": {"type": "bool", "default": True},
        "service_environment": {"type": "dict", "default": {}},
        "service_environment_source": {"type": "str", "default": "declared", "choices": ["declared", "process"]},
        "service_pid": {"type": "int"},
        "snapshot_path": {"type": "path"},
        "log_paths": {"type": "list", "elements": "path", "default": []},
        "expected_fills_at_least": {"type": "int"},
        "last_fill_at": {"type": "str"},
        "last_event_at": {"type": "str"},
        "timeout": {"type": "float", "default": 60.0},
    },
).merge(postgres.SESSION)


@dataclass
class Evidence:
    """All that was observed; None means that it was not asked for, or could not be seen."""

    required: bool
    now: float
    declared: dict[str, str] = field(default_factory=dict)
    process: env.Process | None = None
    given_url: str = ""
    url: str = ""
    on: bool | None = None
    log: traces.LogTrace | None = None
    snapshot: traces.SnapshotTrace | None = None
    connected: bool | None = None
    connect_problem: str = ""
    read_problem: str = ""
    schema: Schema | None = None
    content: Content | None = None
    expected_fills: int | None = None
    last_fill: float | None = None
    last_event: float | None = None
    unreadable_event: str = ""

    @property
    def variables(self) -> dict[str, str]:
        """The variables of the process where they could be read, else the declared ones."""
        return self.process.variables if self.process and not self.process.problem else self.declared

    @property
    def from_process(self) -> bool:
        return bool(self.process and not self.process.problem)


def run(params: dict[str, Any], context: Context) -> dict[str, Any]:
    """Observe, then judge."""
    evidence = _observe(params, context)
    database: dict[str, Any] = {}
    if evidence.on and evidence.url:
        database = _look_into_database(evidence, params, context)
    rows = [check for check in _checks(evidence) if check]
    return report(
        rows,
        _findings(evidence, {check.id: check.status for check in rows}),
        mode={True: "postgresql", False: "memory", None: "unknown"}[evidence.on],
        environment=env.shown(evidence.variables),
        environment_source="process" if evidence.from_process else "declared",
        database=database,
        tables=evidence.content.as_dict() if evidence.content else {},
        newest_fill_at=service_time.iso(evidence.content.newest_fill) if evidence.content else None,
        migrations=(evidence.schema.migrations or []) if evidence.schema else [],
    )


def _observe(params: dict[str, Any], context: Context) -> Evidence:
    expected = params["expected_fills_at_least"]
    if expected is not None and expected < 0:
        raise InputError(f"expected_fills_at_least is {expected}; it must be 0 or more")
    seen = Evidence(
        required=params["required"],
        now=context.clock.now(),
        declared=env.declared(params["service_environment"]),
        process=_process(params),
        expected_fills=expected,
        last_fill=service_time.option("last_fill_at", params["last_fill_at"]),
        last_event=service_time.parse(params["last_event_at"] or ""),
    )
    if params["last_event_at"] and seen.last_event is None:
        seen.unreadable_event = redact.observed(params["last_event_at"], 60)
    seen.given_url = given = params["database_url"] or ""
    if given.strip():
        postgres.parameters_of_url(given)
    if seen.variables:
        seen.on = env.is_on(seen.variables)
        own = seen.variables.get(env.URL, "").strip()
        # read on its machine, the service's own address is the one; from elsewhere it may mean another server
        seen.url = (own or given if params["service_pid"] is not None else given.strip() or own) or env.DEFAULT_URL
        if not seen.from_process and not seen.on and given.strip() and env.URL not in seen.variables:
            seen.on = True  # the address was declared apart from the other variables
    elif given.strip():
        seen.on, seen.url = True, given
    if params["log_paths"]:
        seen.log = traces.read_log(params["log_paths"], context.deadline)
    if params["snapshot_path"]:
        seen.snapshot = traces.read_snapshot(params["snapshot_path"])
    return seen


def _process(params: dict[str, Any]) -> env.Process | None:
    """The process as this module reads it, or as the caller read it on the machine that runs the service."""
    if params["service_pid"] is not None:
        return env.of_process(params["service_pid"])
    if params["service_environment_source"] == "process" and params["service_environment"]:
        return env.Process(0, variables=env.declared(env.without_password(params["service_environment"])))
    return None


def _look_into_database(seen: Evidence, params: dict[str, Any], context: Context) -> dict[str, Any]:
    try:
        settings, schema = postgres.parameters_of_url(seen.url)
    except jdbc.ElsewhereError as error:
        seen.connect_problem = error.message
        return {}
    except InputError as error:
        seen.connected, seen.connect_problem = False, error.message
        return {}
    if seen.given_url.strip():  # a login stands there rather than in the variables
        login = postgres.parameters_of_url(seen.given_url)[0]
        settings = {name: login[name] for name in ("user", "password") if name in login} | settings
    user = params["login_user"] or settings.get("user") or seen.variables.get(env.USER) or env.DEFAULT_USER
    settings["user"] = user
    if params["login_password"]:
        settings["password"] = params["login_password"]
    database: dict[str, Any] = {
        key: settings.get(name) for key, name in (("host", "host"), ("port", "port"), ("name", "dbname"))
    }
    database |= {"user": user, "server_version": None}
    try:
        with postgres.session(settings, params, context.deadline, schema) as session:
            seen.connected = True
            database["server_version"] = session.server_version
            _read(seen, session)
    except PostgresError as error:
        seen.connected, seen.connect_problem = (False if error.observed_fault else None), error.message
    return database


def _read(seen: Evidence, session: postgres.Session) -> None:
    try:
        seen.schema = read_schema(session)
        if not seen.schema.missing:
            seen.content = read_content(session)
    except PostgresError as error:
        if error.kind == "lost":
            raise
        seen.read_problem = error.message


def _checks(seen: Evidence) -> list[Check | None]:
    rows = [_configured(seen), _environment(seen), _numbers(seen), _in_use(seen), _snapshot(seen)]
    if seen.on:
        rows += [_reachable(seen), _schema(seen), _fills(seen), _orders_without_fills(seen)]
    return rows


def _check(name: str, title: str, status: Status, observed: Any, expected: Any, hint: str) -> Check:
    return Check(f"store.{name}", title, status, observed, expected, hint, RUNBOOK)


def _configured(seen: Evidence) -> Check:
    title = "PostgreSQL is configured"
    source = "read from the process" if seen.from_process else "as declared, not read from the process"
    expected = "on" if seen.required else "on, or in memory for development"
    if seen.on is None:
        hint = "Nothing is known of the service's variables: give service_pid, service_environment or database_url."
        return _check("configured", title, UNVERIFIED, None, expected, hint)
    enable = seen.variables.get(env.ENABLE)
    if not seen.on:
        hint = "Set BACKOFFICE_DB_URL, and restart." if seen.required else "In memory, which is allowed here."
        if enable and enable != "0":
            hint = f"{env.ENABLE} is {enable[:20]!r}; only 1 and true are on. {hint}"
        return _check("configured", title, FAIL if seen.required else PASS, f"off ({source})", expected, hint)
    if seen.variables.get(env.URL, "").strip():
        try:
            jdbc.parse(seen.variables[env.URL])
        except InputError as error:
            return _check(
                "configured", title, FAIL, f"on ({source})", "a JDBC URL", f"The next boot ends: {error.message}"
            )
    where = jdbc.shown(seen.url).rpartition("//")[2]
    hint = f"{source.capitalize()}. Whether it has effect is for the other checks to say."
    if enable is not None and not env.flag(enable):
        hint = f"{env.ENABLE} is {enable[:20]!r}, and the URL wins over it. {hint}"
    return _check("configured", title, PASS, f"on: {where} ({source})", expected, hint)


def _environment(seen: Evidence) -> Check | None:
    """Declared and real variables agree: else the next restart changes the store."""
    if seen.process is None:
        return None
    title = "the process has the declared variables"
    if seen.process.problem:
        return _check(
            "environment", title, UNVERIFIED, seen.process.problem, "readable", "Run the task as root (become)."
        )
    ours = {name: value for name, value in seen.declared.items() if name.startswith(("BACKOFFICE_", "KAFKA_"))}
    other = sorted(name for name, value in ours.items() if seen.process.variables.get(name, "") != value)
    if env.URL not in other and _other_database(seen):
        other.append(f"{env.URL} and database_url name different databases")
    observed = f"differ: {', '.join(other)}" if other else f"{len(ours)} declared variables agree"
    hint = "The next restart may change it: settle which is right." if other else "Secrets are not compared."
    return _check("environment", title, status_of(not other), observed, "the same", hint)


def _other_database(seen: Evidence) -> bool:
    """Whether process and caller name different databases. Hosts may differ: each is an address from its own place."""
    running = seen.variables.get(env.URL, "").strip()
    if not (running and seen.given_url.strip()):
        return False
    try:
        names = [postgres.parameters_of_url(url)[0].get("dbname") for url in (running, seen.given_url)]
    except InputError:
        return False
    return names[0] != names[1]


def _numbers(seen: Evidence) -> Check | None:
    if not seen.variables:
        return None
    wrong = env.wrong_numbers(seen.variables)
    observed = "; ".join(f"{name}: {why}" for name, why in wrong.items()) or "all numeric"
    hint = (
        "Correct it before the next restart: the service would die at boot." if wrong else "Unset ones have defaults."
    )
    return _check("numbers", "numeric variables are numbers", status_of(not wrong), observed, "numbers", hint)


def _in_use(seen: Evidence) -> Check | None:
    """What shows that the running process uses PostgreSQL, rather than that it should."""
    if not seen.required and not seen.on:
        return None
    title = "the running service uses PostgreSQL"
    for_it: list[str] = []
    against: list[str] = []
    if seen.from_process:
        (for_it if env.is_on(seen.variables) else against).append("variables of the process")
    if seen.log and seen.log.store != "unknown":
        (for_it if seen.log.store == "postgresql" else against).append(f"log: {seen.log.reason}")
    if _snapshot_is_written(seen):
        against.append("it writes snapshots")
    if _newest_is_there(seen):
        for_it.append("the newest fill is in the database")
    if against:
        hint = "It runs in memory, and everything it books is lost with its ledger. Restart it with BACKOFFICE_DB_URL."
        return _check("in_use", title, FAIL, "; ".join(against), "PostgreSQL", hint)
    if not for_it:
        hint = "Give service_pid, log_paths or last_fill_at: what is declared does not show what runs."
        if seen.log:
            hint = f"{seen.log.reason}. {hint}"
        return _check("in_use", title, UNVERIFIED, "no trace of the running service", "PostgreSQL", hint)
    return _check("in_use", title, PASS, "; ".join(for_it), "PostgreSQL", "Whether it books right is checked apart.")


def _snapshot_is_written(seen: Evidence) -> bool:
    if seen.snapshot is None:
        return False
    interval = traces.snapshot_interval(seen.variables.get(env.SNAPSHOT_SECONDS))
    started = seen.process.started if seen.process else None
    return traces.is_being_written(seen.snapshot, seen.now, interval, started)


def _snapshot(seen: Evidence) -> Check | None:
    if seen.snapshot is None:
        return None
    title = "no snapshot is written" if seen.on or seen.required else "snapshots are written"
    if seen.snapshot.problem:
        return _check("snapshot", title, UNVERIFIED, seen.snapshot.problem, None, "Run the task as root (become).")
    age = None if seen.snapshot.written_at is None else max(0, round(seen.now - seen.snapshot.written_at))
    observed = "none" if age is None else f"{age} s old"
    writing = _snapshot_is_written(seen)
    if seen.on or seen.required:
        hint = f"{seen.snapshot.path} is of an earlier run in memory." if age is not None else "As it should be."
        if writing:
            hint = f"{seen.snapshot.path} was written by the running service: it is in memory."
        return _check("snapshot", title, status_of(not writing), observed, "absent or old", hint)
    if not env.flag(seen.variables.get(env.SNAPSHOT_ENABLE, "1")):
        return _check("snapshot", title, PASS, observed, "switched off", "Every boot replays the whole ledger.")
    hint = "A failed write ends the snapshots without a word; none is written in the first interval after a boot."
    return _check("snapshot", title, PASS if writing else UNVERIFIED, observed, "recent", hint)


def _reachable(seen: Evidence) -> Check:
    observed = "connected" if seen.connected else seen.connect_problem
    hint = "Connected as a client; the service has its own pool." if seen.connected else seen.connect_problem
    return _check("reachable", "the database answers", status_of(seen.connected), observed, "connected", hint)


def _schema(seen: Evidence) -> Check:
    title, expected = "the six tables are there", f"{len(TABLES)} tables with their columns"
    schema = seen.schema
    if schema is None:
        return _check(
            "schema", title, UNVERIFIED, None, expected, seen.read_problem or "The database could not be read."
        )
    if schema.missing:
        hint = "The service never creates them: run its migration. Until then it boots and skips every line."
        if schema.elsewhere:
            hint = f"Such tables are in the schemas {', '.join(schema.elsewhere)}: is currentSchema missing in the URL? {hint}"
        return _check("schema", title, FAIL, f"missing: {', '.join(schema.missing[:20])}", expected, hint)
    if schema.failed:
        hint = "A migration failed half-way: repair it with Flyway."
        return _check("schema", title, FAIL, f"failed migrations: {', '.join(schema.failed[:20])}", expected, hint)
    hint = "There is no history of migrations: it was made by other means."
    if schema.history_problem:
        hint = schema.history_problem
    elif schema.migrations is not None:
        hint = f"{len(schema.migrations)} migrations are recorded, the newest {(schema.migrations or [{}])[0].get('version')}."
    return _check("schema", title, PASS, "all there", expected, hint)


def _newest_is_there(seen: Evidence) -> bool | None:
    """Whether the newest fill that is known elsewhere stands in the database; None when none is known."""
    newest = seen.content.newest_fill if seen.content else None
    if seen.content is None or seen.last_fill is None:
        return None
    return newest is not None and newest >= seen.last_fill - CLOCK_SECONDS


def _fills(seen: Evidence) -> Check:
    title = "fills are booked"
    expected = "rows in fills" if seen.expected_fills is None else f"at least {seen.expected_fills} rows in fills"
    if seen.content is None:
        hint = seen.read_problem or "The tables could not be read."
        return _check("fills", title, UNVERIFIED, None, expected, hint)
    rows = seen.content.rows["fills"]
    newest = service_time.iso(seen.content.newest_fill)
    observed = f"{rows} rows, the newest of {newest}" if rows else "no row"
    behind = _newest_is_there(seen) is False
    if behind or (seen.expected_fills is not None and rows < seen.expected_fills):
        hint = "The ledger has fills that the database lacks. Is its consumer alive, and is this the database that it uses?"
        if behind:
            hint = f"The newest fill elsewhere is of {service_time.iso(seen.last_fill)}. {hint}"
        return _check("fills", title, FAIL, observed, expected, hint)
    if not rows and seen.expected_fills is None:
        hint = "Nothing was ever booked here, which proves nothing: place an order and look again."
        return _check("fills", title, UNVERIFIED, observed, expected, hint)
    if seen.unreadable_event and seen.last_fill is None:
        hint = f"The last event is of {seen.unreadable_event!r}, which is no time that can be compared."
        return _check("fills", title, UNVERIFIED, observed, expected, hint)
    last = seen.content.newest_fill
    if seen.last_fill is None and seen.last_event is not None and (last or 0) < seen.last_event - MOST_SECONDS_BEHIND:
        hint = (
            f"The last event is of {service_time.iso(seen.last_event)}: an order without a fill, or a fill not booked."
        )
        return _check("fills", title, UNVERIFIED, observed, expected, hint)
    return _check(
        "fills", title, PASS, observed, expected, "Rows that are there; reconcile compares them with the ledger."
    )


def _orders_without_fills(seen: Evidence) -> Check:
    """Orders and not one fill: the store as it was written books none, because it asks for a table in capitals."""
    title, expected = "orders have fills", "rows in order_filled_total and fills where there are orders"
    if seen.content is None:
        return _check("orders_without_fills", title, UNVERIFIED, None, expected, "The tables could not be read.")
    orders, totals, fills = (seen.content.rows[name] for name in ("order_meta", "order_filled_total", "fills"))
    observed = f"{orders} orders, {totals} filled totals, {fills} fills"
    if bool(totals) != bool(fills):
        hint = "Both are written in one transaction: one of the tables was changed by other hands."
        return _check("orders_without_fills", title, FAIL, observed, expected, hint)
    if orders and not fills and seen.expected_fills != 0:
        hint = 'The log has: relation "ORDER_FILLED_TOTAL" does not exist? Then this version cannot book on PostgreSQL.'
        return _check("orders_without_fills", title, FAIL, observed, expected, hint)
    if not orders:
        return _check("orders_without_fills", title, UNVERIFIED, observed, expected, "No order was ever booked here.")
    return _check("orders_without_fills", title, PASS, observed, expected, "Totals are not compared order by order.")


def _findings(seen: Evidence, status: dict[str, Status]) -> list[Finding]:
    failed = {name for name, value in status.items() if value == FAIL}
    found = []
    memory = sorted(failed & {"store.configured", "store.in_use", "store.snapshot"})
    malformed = "store.configured" in failed and seen.on
    if malformed or "store.numbers" in failed:
        evidence = sorted(failed & {"store.configured", "store.numbers"})
        found.append(Finding("next_boot_fails", "seen", evidence, ["the next restart"], Next(STORE)))
    if memory and not (malformed and memory == ["store.configured"]):
        step = Next(RESTART, {}, "change")
        found.append(Finding("in_memory_store", "seen", memory, ["durability of every booking"], step))
    if "store.reachable" in failed:
        found.append(
            Finding("database_down", "seen", ["store.reachable"], ["every booking", "the next boot"], Next(STORE))
        )
    if "store.schema" in failed:
        found.append(Finding("schema_missing", "seen", ["store.schema"], ["every booking"], Next(STORE)))
    if "store.orders_without_fills" in failed:
        sure: Confidence = "seen" if seen.expected_fills or seen.last_fill is not None else "inferred"
        evidence = sorted(failed & {"store.orders_without_fills", "store.fills"})
        found.append(Finding("cannot_book_fills", sure, evidence, ["positions", "balances", "reconcile"], Next(STORE)))
    elif "store.fills" in failed:
        step = Next("sre.runbooks.backoffice.stale_data")
        found.append(Finding("fills_missing", "seen", ["store.fills"], ["positions", "balances"], step))
    return found
