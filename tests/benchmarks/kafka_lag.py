# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""kafka_lag against ConsumerGroupCommand (kafka-consumer-groups), on the lab's broker.

Ours is the best of some runs of ansible-playbook with the one task (which also asserts the right totals), less the best
of as many runs of a play without a task. Theirs is the best of some runs of the command alone, without Ansible and
without the shell script around it, with the Java options that kafka-run-class.sh gives it. All take turns. A loop over
500 groups takes minutes, so CALLS calls are measured and multiplied.

Run alone: ``make bench B=kafka_lag``.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lab import control, java, oracle
from tests.integration.kafka_scene import Scene
from tests.support.playbooks import lab_command

ROOT = Path(__file__).resolve().parents[2]
RUNS = 5
CALLS = 5
GROUPS, PARTITIONS = 500, 20
RECORDS, COMMITTED = 30, 25
RUN_SECONDS = 300
SCRIPT_OPTIONS = (
    "-Xmx256M",
    "-server",
    "-XX:+UseG1GC",
    "-XX:MaxGCPauseMillis=20",
    "-XX:InitiatingHeapOccupancyPercent=35",
    "-XX:+ExplicitGCInvokesConcurrent",
    "-Djava.awt.headless=true",
)


@contextmanager
def lab() -> Iterator[None]:
    """The lab's broker, left as it was found."""
    was_up = control.is_up("backoffice")
    if not was_up:
        lab_command("up", "backoffice")
    try:
        yield
    finally:
        if not was_up:
            lab_command("down", "backoffice")


@contextmanager
def scene() -> Iterator[Scene]:
    made = Scene(control.address("kafka"))
    try:
        yield made
    finally:
        made.close()


def once(folder: Path, tasks: list[dict[str, Any]]) -> float:
    """Seconds of one run of a play with these tasks; a failed run ends the benchmark."""
    book = folder / "play.yml"
    book.write_text(json.dumps([{"hosts": "localhost", "gather_facts": False, "tasks": tasks}]), encoding="utf-8")
    settings = {
        "ANSIBLE_CONFIG": str(folder / "ansible.cfg"),
        "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".build" / "collections"),
        "PYTHONDONTWRITEBYTECODE": "",  # compiled once, as for any user
    }
    begun = time.perf_counter()
    done = subprocess.run(
        [str(Path(sys.executable).with_name("ansible-playbook")), "-i", "localhost,", "-c", "local", str(book)],
        cwd=folder,
        env={**os.environ, **settings, "ANSIBLE_PYTHON_INTERPRETER": sys.executable},
        capture_output=True,
        text=True,
        check=False,
        timeout=RUN_SECONDS,
    )
    spent = time.perf_counter() - begun
    if done.returncode:
        sys.exit(f"the benchmark's own play failed:\n{done.stdout}{done.stderr}")
    return spent


def task(total: int, **selection: Any) -> list[dict[str, Any]]:
    """Read the lag and insist on the right answer."""
    options = {"bootstrap_servers": [control.address("kafka")], "min_members": 0, "max_lag": 10**6, **selection}
    right = [f"r.total_lag == {total}", "r.complete", "r.verdict == 'pass'"]
    return [{"sre.runbooks.kafka_lag": options, "register": "r", "failed_when": f"not ({' and '.join(right)})"}]


def command(*arguments: str) -> float:
    """Seconds of one run of ConsumerGroupCommand, which must print the group."""
    program, *rest = oracle.consumer_groups_command(["--describe", *arguments])
    line = [program, *SCRIPT_OPTIONS, *(word for word in rest if word not in java.QUICK_START)]
    begun = time.perf_counter()
    done = subprocess.run(line, capture_output=True, text=True, check=True, timeout=RUN_SECONDS)
    spent = time.perf_counter() - begun
    if "LOG-END-OFFSET" not in done.stdout:
        sys.exit(f"ConsumerGroupCommand {' '.join(arguments)} printed no table:\n{done.stdout}{done.stderr}")
    return spent


def one_group(made: Scene, folder: Path) -> dict[str, Any]:
    topic = made.topic("one", *[RECORDS] * 12)
    name = made.group("one", topic, dict.fromkeys(range(12), COMMITTED))
    tasks = task(12 * (RECORDS - COMMITTED), groups=[name])
    times = [(once(folder, []), once(folder, tasks), command("--group", name)) for _run in range(RUNS)]
    empty, ours, theirs = (min(column) for column in zip(*times, strict=True))
    return row("kafka_lag, 1 group of 12 partitions", ours - empty, theirs, 10)


def many_groups(made: Scene, folder: Path) -> dict[str, Any]:
    topic = made.topic("many", *[RECORDS] * PARTITIONS)
    names = [
        made.group(f"many-{number:03d}", topic, dict.fromkeys(range(PARTITIONS), COMMITTED)) for number in range(GROUPS)
    ]
    tasks = task(GROUPS * PARTITIONS * (RECORDS - COMMITTED), group_patterns=[made.name("many-*")])
    times = [(once(folder, []), once(folder, tasks)) for _run in range(RUNS)]
    empty, ours = (min(column) for column in zip(*times, strict=True))
    looped = sum(command("--group", name) for name in names[:CALLS]) / CALLS * GROUPS
    print(f"  one call of ConsumerGroupCommand --all-groups for all of them: {command('--all-groups'):.1f} s")
    name = f"kafka_lag, {GROUPS} groups x {PARTITIONS} partitions, against a loop ({CALLS} calls measured, multiplied)"
    return row(name, ours - empty, looped, 100)


def row(name: str, ours: float, theirs: float, target: float) -> dict[str, Any]:
    print(f"  {name}: {ours:.3f} s against {theirs:.2f} s, {theirs / ours:.1f}x (target {target:g}x)")
    return {"name": name, "ours_seconds": ours, "theirs_seconds": theirs, "ratio": theirs / ours, "target": target}


def rows() -> list[dict[str, Any]]:
    """The measurements; seconds above an empty play."""
    with lab(), scene() as made, tempfile.TemporaryDirectory(prefix="kafka-lag-") as name:
        folder = Path(name)
        (folder / "ansible.cfg").touch()
        once(folder, [{"sre.runbooks.kafka_lag": {"bootstrap_servers": ["127.0.0.1:1"], "groups": ["warm up"]}}])
        return [one_group(made, folder), many_groups(made, folder)]


def main() -> None:
    rows()


if __name__ == "__main__":
    main()
