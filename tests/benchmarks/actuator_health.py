# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""actuator_health of a thousand services against a loop of uri, and the memory that it takes.

Each service listens on a loopback address of its own, so that no connection is shared between them. A uri loop over a
thousand takes minutes, so LOOPED are measured and multiplied; it needs an assert to judge the answers, which is left
out. Times are the best of some runs of ansible-playbook, less the best of as many runs of a play without a task. Memory
is the peak of a process that runs the operation alone, with all of them and with a tenth.

Run alone: ``make bench B=actuator_health``.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.benchmarks.plays import ROOT, Plays, Tasks, best, count_row, plays, time_row

ROUNDS = 2
TARGETS = 1000
LOOPED = 50
FLAT = 2 / 3  # at most 1.5 times as much
SECONDS = 120
HEALTH = b'{"status":"UP","components":{"db":{"status":"UP"},"diskSpace":{"status":"UP"}}}'
ANSWER = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/vnd.spring-boot.actuator.v3+json\r\n"
    b"Content-Length: %d\r\nConnection: close\r\n\r\n%s" % (len(HEALTH), HEALTH)
)

MEMORY = """
import json, sys
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.sre.runbooks.plugins.module_utils import actuator_health
from ansible_collections.sre.runbooks.plugins.module_utils.clock import Clock, Deadline
from ansible_collections.sre.runbooks.plugins.module_utils.operation import Context
validated = ArgumentSpecValidator(**actuator_health.SPEC.module_arguments()).validate(json.load(sys.stdin))
result = actuator_health.run(validated.validated_parameters, Context(deadline=Deadline(60, Clock())))
peak = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(result["verdict"], len(result["checks"]), peak / 1024)
"""


def rows() -> list[dict[str, Any]]:
    """The measurements; seconds above an empty play."""
    with services() as urls, plays() as runs:
        return [_time(runs, urls), _memory(urls)]


def _time(runs: Plays, urls: list[str]) -> dict[str, Any]:
    empty, ours, looped = best(
        ROUNDS,
        lambda: runs.seconds([]),
        lambda: runs.seconds(_ours(urls)),
        lambda: runs.seconds(_theirs(urls[:LOOPED])),
    )
    name = f"actuator_health, {TARGETS} targets, against a uri loop ({LOOPED} measured, multiplied)"
    return time_row(name, ours - empty, (looped - empty) * TARGETS / LOOPED, 100)


def _memory(urls: list[str]) -> dict[str, Any]:
    tenth = urls[: TARGETS // 10]
    return count_row(
        f"actuator_health, peak memory, {TARGETS} targets against {len(tenth)}", "MB", _peak(urls), _peak(tenth), FLAT
    )


def _peak(urls: list[str]) -> int:
    """MB of a process that asks these services."""
    done = subprocess.run(
        [sys.executable, "-c", MEMORY],
        cwd=ROOT,
        input=json.dumps(_options(urls)),
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
    )
    words = done.stdout.split()
    if done.returncode or words[:2] != ["pass", str(len(urls))]:
        sys.exit(f"asking {len(urls)} services did not end well:\n{done.stdout}{done.stderr}")
    return round(float(words[2]))


def _options(urls: list[str]) -> dict[str, Any]:
    return {"targets": [{"name": f"service-{number}", "url": url} for number, url in enumerate(urls)]}


def _ours(urls: list[str]) -> Tasks:
    right = f"r.verdict == 'pass' and r.checks | length == {len(urls)}"
    return [{"sre.runbooks.actuator_health": _options(urls), "register": "r", "failed_when": f"not ({right})"}]


def _theirs(urls: list[str]) -> Tasks:
    return [{"ansible.builtin.uri": {"url": "{{ item }}/actuator/health", "return_content": True}, "loop": urls}]


@contextmanager
def services() -> Iterator[list[str]]:
    """URLs of services that are up, each on an address of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    hosts = [f"127.1.{number // 250}.{number % 250 + 1}" for number in range(TARGETS)]
    try:
        servers = asyncio.run_coroutine_threadsafe(_listen(hosts), loop).result(SECONDS)
        try:
            yield [f"http://{host}:{port}" for host, port in (one.sockets[0].getsockname() for one in servers)]
        finally:
            asyncio.run_coroutine_threadsafe(_close(servers), loop).result(SECONDS)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(5)
        loop.close()


async def _listen(hosts: list[str]) -> list[asyncio.Server]:
    return [await asyncio.start_server(_answer, host, 0) for host in hosts]


async def _close(servers: list[asyncio.Server]) -> None:
    for server in servers:
        server.close()


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        asked = await reader.readuntil(b"\r\n\r\n")
        found = asked.startswith(b"GET /actuator/health ")
        writer.write(ANSWER if found else b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()
    except (OSError, asyncio.IncompleteReadError):
        pass
    finally:
        writer.close()
