# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""``python -m lab COMMAND``: start, stop, show, break and heal the embedded lab."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable

from lab import programs, supervisor
from lab.layout import PARTS, PROGRAMS, LabError, Paths, paths, ports
from lab.progress import say

NOT_UP = 3
_WIDTH = max(map(len, PROGRAMS))


def main(arguments: list[str] | None = None) -> int:
    """Exit code: 0 done, 1 could not be done, 3 something does not run (status)."""
    options = _parser().parse_args(arguments)
    command: Callable[[argparse.Namespace, Paths], int] = options.run
    try:
        return command(options, paths())
    except LabError as error:
        print(f"lab: {' '.join(str(error).split())}", file=sys.stderr)
    except Exception as error:
        if os.environ.get("SRE_LAB_DEBUG"):
            raise
        print(f"lab: unexpected {type(error).__name__}: {error} (SRE_LAB_DEBUG=1 shows where)", file=sys.stderr)
    except KeyboardInterrupt:
        print("lab: interrupted; `make lab` continues, `make lab-down` stops what was started", file=sys.stderr)
    return 1


def _up(options: argparse.Namespace, where: Paths) -> int:
    from lab import faultbook, lifecycle

    begun = time.monotonic()
    parts = options.parts or list(PARTS)
    unbuilt = lifecycle.build(where, parts)
    with lifecycle.alone(where):
        left = faultbook.active(where)
        running = supervisor.running(where)
        if running and left and set(parts) <= set(programs.started_parts(where)):
            say(f"faults are in the lab: {', '.join(left)}; `make lab-heal` takes them out")
            return _status(options, where)
        started = lifecycle.up(where, parts, bool(left), unbuilt, asked=bool(options.parts))
        if left and not running:
            say(f"faults were left in the lab when it was stopped: {', '.join(left)}")
            faultbook.heal(where)
    code = _status(options, where)
    say(f"the lab is up, started in {time.monotonic() - begun:.1f} s" if started else "the lab was up already")
    return code


def _down(options: argparse.Namespace, where: Paths) -> int:
    from lab import lifecycle

    if not where.root.exists():
        say("the lab is down: it was never started")
        return 0
    with lifecycle.alone(where):
        strays = lifecycle.down(where, options.parts or list(PARTS))
        stay = programs.started_parts(where)
        if options.purge and not stay:
            lifecycle.purge(where)
    if stay:
        say(
            f"{', '.join(options.parts)} is down, {', '.join(stay)} stays up"
            + (" with its data" if options.purge else "")
        )
        return 0
    extra = f" ({len(strays)} had lost their manager)" if strays else ""
    say(f"the lab is down, no process is left{extra}" + (", its data is deleted" if options.purge else ""))
    return 0


def _status(_options: argparse.Namespace, where: Paths) -> int:
    from lab import faultbook

    info = supervisor.programs_info(where)
    missing = programs.left_out(where)
    code = 0
    parts = programs.started_parts(where)
    for name in programs.of_parts(parts or PARTS):
        port = " ".join(str(ports()[each]) for each in programs.PORTS[name][:1])
        record = info.get(name)
        if record and record["statename"] == "RUNNING":
            since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(record["start"]))
            say(f"{name:<{_WIDTH}} running   pid {record['pid']:<7} port {port or '-':<6} since {since}")
        elif name in missing:
            say(f"{name:<{_WIDTH}} left out  {missing[name]}")
        else:
            code = NOT_UP
            say(f"{name:<{_WIDTH}} {_how(record) if record else 'stopped'}")
    for part in PARTS if parts else ():
        if part not in programs.whole_parts(where):
            say(f"{part:<{_WIDTH}} not started: `make lab` starts every part")
    for name, since in faultbook.active(where).items():
        say(f"{'fault':<{_WIDTH}} {name} since {since}")
    if not info:
        say("the lab is down; `make lab` starts it")
    return code


def _how(record: object) -> str:
    assert isinstance(record, dict)
    word = str(record["statename"]).lower()
    if word in ("exited", "fatal") and record["stop"]:
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(record["stop"]))
        end = f"status {record['exitstatus']}" if record["exitstatus"] >= 0 else "by a signal"
        return f"{word:<9} {end} at {when}"
    return word


def _env(_options: argparse.Namespace, where: Paths) -> int:
    from lab import environment

    print(environment.exports(where), end="")
    return 0


def _fault(options: argparse.Namespace, where: Paths) -> int:
    from lab import faultbook, lifecycle

    with lifecycle.alone(where):
        faultbook.put_in(where, options.name)
    return 0


def _heal(options: argparse.Namespace, where: Paths) -> int:
    from lab import faultbook, lifecycle

    with lifecycle.alone(where):
        faultbook.heal(where, options.name)
    return 0


def _faults(_options: argparse.Namespace, where: Paths) -> int:
    from lab import faultbook

    faults, active = faultbook.catalogue(), faultbook.active(where)
    width = max(map(len, faults), default=0)
    for name, fault in faults.items():
        say(f"{name:<{width}}  {fault.summary}" + (f"  [in the lab since {active[name]}]" if name in active else ""))
    return 0


def _orders(options: argparse.Namespace, where: Paths) -> int:
    from lab import seed

    sides = {"BUY": ["BUY"], "SELL": ["SELL"], "FLAT": ["BUY", "SELL"]}[options.side]
    orders = [
        seed.Order(options.symbol, side, options.qty, options.price) for _ in range(options.count) for side in sides
    ]
    ids = seed.put(where, orders, options.account)
    if not options.no_wait:
        seed.wait_booked(where, ids, orders, options.account)
    for order_id, order in zip(ids, orders, strict=True):
        say(f"{order_id} {order.side} {order.qty} {order.symbol}")
    return 0


def _positive(text: str) -> int:
    number = int(text)
    if not 1 <= number <= 10_000:
        raise argparse.ArgumentTypeError(f"{text}: expected a number from 1 to 10000")
    return number


def _part(text: str) -> str:
    if text not in PARTS:
        raise argparse.ArgumentTypeError(f"no part {text!r} in the lab; there are {', '.join(PARTS)}")
    return text


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="lab", description="The embedded lab: real servers on loopback.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, run: Callable[[argparse.Namespace, Paths], int], text: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=text, description=text)
        command.set_defaults(run=run)
        return command

    up = add("up", _up, "start it, or bring back what does not run")
    down = add("down", _down, "stop it; no process is left")
    for command, all_parts in ((up, "every part"), (down, "everything")):
        command.add_argument(
            "parts", nargs="*", type=_part, metavar="PART", help=f"{' or '.join(PARTS)}; {all_parts} when none is named"
        )
    down.add_argument("--purge", action="store_true", help="delete the data of the stopped lab as well")
    add("status", _status, "one line for each program and each active fault; exit code 3 when something does not run")
    add("env", _env, "export lines for a shell: everything another program needs to connect")
    add("faults", _faults, "list the faults that can be put in")
    add("fault", _fault, "put a fault in").add_argument("name", metavar="NAME")
    add("heal", _heal, "take out a fault, or all of them").add_argument("name", nargs="?", metavar="NAME")
    orders = add("orders", _orders, "put orders through the gateway and wait until BackOffice has booked them")
    orders.add_argument("--account", default="acct_demo")
    orders.add_argument("--symbol", default="BTC")
    orders.add_argument(
        "--side", choices=("BUY", "SELL", "FLAT"), default="FLAT", help="FLAT: each BUY is followed by its SELL"
    )
    orders.add_argument("--qty", type=_positive, default=1)
    orders.add_argument("--price", type=_positive, default=100)
    orders.add_argument("--count", type=_positive, default=1)
    orders.add_argument("--no-wait", action="store_true", help="return when the gateway has accepted them")
    return parser


if __name__ == "__main__":
    sys.exit(main())
