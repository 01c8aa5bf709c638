# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The operation of the module backoffice_replay: what would the next boot make of this ledger?"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from . import backoffice_api, http_client, http_tls, ledger_instance, ledger_replay_checks, ledger_scan, ledger_snapshot
from .argspec import ArgumentSpec
from .backoffice_shape import Replay, parse
from .errors import InputError
from .ledger_books import Books, of_accounts
from .ledger_file import Identity, LedgerError, LedgerFile
from .ledger_instance import HOST, Instance
from .ledger_scan import Scan
from .ledger_swap import blocks, require_space
from .operation import Context

PAUSE_SECONDS = 0.2
CLEANUP_SECONDS = 12.0
HARD_MAX_LEDGER_BYTES = 1 << 40
MOST_ACCOUNTS = 100
RECONCILE_MOST = 10_000
OWN_VARIABLES = re.compile(r"(?i)(BACKOFFICE|KAFKA|JWT|GATEWAY)_.*")
SECRET_NAME = re.compile(r"(?i)pass|secret|token|key|credential|auth|cookie|jaas")

SPEC = ArgumentSpec(
    options={
        "command": {"type": "list", "elements": "str", "required": True},
        "chdir": {"type": "path", "default": "/"},
        "ledger_path": {"type": "path", "required": True},
        "snapshot_path": {"type": "path"},
        "work_dir": {"type": "path"},
        "port": {"type": "int", "default": 18083},
        "accounts": {"type": "list", "elements": "str", "default": []},
        "replay_slo_ms": {"type": "int", "default": 5000},
        "max_ledger_bytes": {"type": "int", "default": 4 * 1024**3},
        "environment": {"type": "dict", "default": {}},
        "jwt_secret": {"type": "str", "no_log": True},
        "timeout": {"type": "int", "default": 300},
    }
)


@dataclass
class Run:
    """What was seen, filled step by step. None = not seen."""

    port_problem: str = ""
    scan: Scan | None = None
    books: dict[str, Books] = field(default_factory=dict)
    started: bool = False
    boot_seconds: float | None = None
    died: str = ""
    last_words: list[str] = field(default_factory=list)
    stats: backoffice_api.Reply | None = None
    replay: Replay | None = None
    reconciles: dict[str, backoffice_api.Reply] = field(default_factory=dict)
    before: tuple[Identity, Identity | None] | None = None
    after: tuple[Identity | None, Identity | None] | None = None
    port_left: str = ""


def run(params: dict[str, Any], context: Context) -> dict[str, Any]:
    """Plan, start, ask, stop; see the module's RETURN."""
    _check(params)
    accounts = sorted({account.strip() for account in params["accounts"] if account.strip()})
    ledger_instance.find_command(params["command"], params["chdir"])
    try:
        ledger = LedgerFile(params["ledger_path"])
    except LedgerError as error:
        return ledger_replay_checks.unreadable(error)
    with ledger:
        ledger.settle(context.clock)
        if ledger.size > params["max_ledger_bytes"]:
            raise InputError(
                f"{ledger.path} has {ledger.size} bytes, more than max_ledger_bytes ({params['max_ledger_bytes']}), and is "
                "copied as a whole. Raise the limit where there is room for it."
            )
        seen = Run(port_problem=ledger_instance.port_problem(params["port"]))
        seen.scan = _scan(ledger, context)
        if not context.check_mode and not seen.port_problem and ledger.size:
            _verify(ledger, params, accounts, seen, context)
    plan = _plan(params, ledger)
    return ledger_replay_checks.result(seen, params, accounts, plan, context.check_mode)


def _verify(ledger: LedgerFile, params: dict[str, Any], accounts: list[str], seen: Run, context: Context) -> None:
    snapshot = ledger_snapshot.read(params["snapshot_path"], ledger.path).path
    seen.before = (ledger.identity, _identity(snapshot))
    seen.books = of_accounts(ledger.fd, ledger.size, accounts, context)
    secret = params["jwt_secret"] or secrets.token_urlsafe(32)
    with Instance(context.clock, params["work_dir"]) as instance:
        require_space(instance.folder, ledger.size)
        context.progress(f"copying {ledger.size / 1e6:.0f} MB of ledger")
        ledger_instance.copy(
            ledger.fd, ledger.size, instance.ledger, lambda fd, begin, end: blocks(fd, begin, end, context, "copying")
        )
        extra = {name: str(value) for name, value in params["environment"].items()}
        variables = ledger_instance.environment(instance.ledger, instance.folder, params["port"], secret, extra)
        instance.start(params["command"], params["chdir"], variables)
        seen.started = True
        if _boot(instance, params["port"], seen, context):
            _ask(params["port"], secret, accounts, seen, context)
        seen.last_words = instance.last_words()
    seen.after = (_identity(ledger.path), _identity(snapshot))
    seen.port_left = ledger_instance.port_problem(params["port"])


def _boot(instance: Instance, port: int, seen: Run, context: Context) -> bool:
    """Wait until it answers. False when it died, or did not answer in time."""
    begun = context.clock.monotonic()
    url = f"http://{HOST}:{port}/health"
    with _client(context) as client:
        while context.deadline.remaining() > CLEANUP_SECONDS:
            if instance.exit_code is not None:
                seen.died = f"it ended with {ledger_instance.exit_text(instance.exit_code)} before its port opened"
                return False
            if instance.output_bytes() > ledger_instance.MOST_OUTPUT_BYTES:
                seen.died = "it wrote more than 256 MB of log before its port opened"
                return False
            answered = client.send(http_client.Request("GET", url, timeout_seconds=2.0)).status == 200
            if answered and instance.exit_code is None:
                seen.boot_seconds = context.clock.monotonic() - begun
                return True
            context.progress(f"replaying on port {port}: {context.clock.monotonic() - begun:.0f} s")
            context.clock.sleep(PAUSE_SECONDS)
    seen.died = f"its port did not open within {context.clock.monotonic() - begun:.0f} s"
    return False


def _ask(port: int, secret: str, accounts: list[str], seen: Run, context: Context) -> None:
    with _client(context) as client:

        def api(account: str) -> backoffice_api.Api:
            who = backoffice_api.credentials(
                {"account_id": account, "token": None, "jwt_secret": secret, "jwt_issuer": None, "jwt_audience": None},
                context.clock,
            )
            return backoffice_api.Api(client, f"http://{HOST}:{port}", who, context.clock)

        seen.stats = api(accounts[0] if accounts else "replay-verification").get("/stats")
        seen.replay = parse(seen.stats.document).replay
        for account in accounts:
            context.deadline.within(1.0, f"asking for the account {account}")
            seen.reconciles[account] = api(account).get("/reconcile", limit=RECONCILE_MOST)


def _client(context: Context) -> http_client.Client:
    settings = http_client.Settings(tls=http_tls.Tls(), connect_timeout_seconds=2.0, retries=0, use_proxy=False)
    return http_client.Client(settings, context)


def _scan(ledger: LedgerFile, context: Context) -> Scan:
    return ledger_scan.scan(ledger.fd, ledger.size, 20, seconds=context.deadline.remaining())


def _identity(path: str) -> Identity | None:
    try:
        return Identity.of(os.stat(path))
    except OSError:
        return None


def _plan(params: Mapping[str, Any], ledger: LedgerFile) -> dict[str, Any]:
    shown = ledger_instance.environment("(a copy in a private folder)", "(private folder)", params["port"], "", {})
    own = {name: value for name, value in shown.items() if OWN_VARIABLES.match(name) and name != "JWT_HS256_SECRET"}
    return {
        "command": params["command"],
        "chdir": params["chdir"],
        "ledger": ledger.path,
        "copy_bytes": ledger.size,
        "port": params["port"],
        "environment": {**{name: str(value) for name, value in params["environment"].items()}, **own},
    }


def _check(params: Mapping[str, Any]) -> None:
    for name in ("ledger_path", "snapshot_path", "work_dir", "chdir"):
        value = params[name]
        if name == "ledger_path" and not value:
            raise InputError("ledger_path is empty. Give the absolute path on the machine that holds the ledger.")
        if value and not os.path.isabs(value):
            raise InputError(
                f"{name} '{value}' is relative; give the absolute path on the machine that holds the ledger."
            )
    _check_numbers(params)
    for name in params["environment"]:
        if OWN_VARIABLES.fullmatch(name):
            raise InputError(
                f"environment names {name}, which this module sets itself to keep the two instances apart."
            )
        if SECRET_NAME.search(name):
            raise InputError(
                f"environment names {name}, whose value could be a secret; the second instance needs none."
            )
    if len(params["accounts"]) > MOST_ACCOUNTS:
        raise InputError(f"accounts has {len(params['accounts'])} names; it may have {MOST_ACCOUNTS}.")


def _check_numbers(params: Mapping[str, Any]) -> None:
    bounds: dict[str, tuple[int, int]] = {
        "port": (1, 65_535),
        "replay_slo_ms": (0, 86_400_000),
        "max_ledger_bytes": (1, HARD_MAX_LEDGER_BYTES),
        "timeout": (20, 86_400),
    }
    for name, (low, high) in bounds.items():
        if not low <= params[name] <= high:
            raise InputError(f"{name} is {params[name]}; it must be {low} to {high}.")
