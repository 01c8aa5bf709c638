# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""supervisor's interface, spoken by a small server on a unix socket and on TCP; the real one is an integration test."""

from __future__ import annotations

import http.server
import socketserver
import threading
import xmlrpc.client
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils import service_supervisor
from ansible_collections.sre.runbooks.plugins.module_utils.clock import Deadline
from ansible_collections.sre.runbooks.plugins.module_utils.errors import InputError
from ansible_collections.sre.runbooks.plugins.module_utils.service_model import ManagerError
from ansible_collections.sre.runbooks.plugins.module_utils.service_supervisor import Supervisor
from tests.unit.plugins.module_runner import FakeClock

Answer = Callable[[str, tuple[Any, ...]], Any]


def row(name: str, statename: str, **values: Any) -> dict[str, Any]:
    """A record of getAllProcessInfo."""
    return {
        "name": name,
        "group": name,
        "statename": statename,
        "start": 1932883200,
        "stop": 0,
        "now": 1932883300,
        "pid": 0,
        "exitstatus": 0,
        "spawnerr": "",
        "description": "",
        "stdout_logfile": f"/log/{name}.out",
        "stderr_logfile": "",
        **values,
    }


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers XML-RPC through ``server.answer``; what that returns as bytes is sent as it is, an int as a status."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        arguments, method = xmlrpc.client.loads(body)
        self.server.seen.append((method, self.headers.get("Authorization")))  # type: ignore[attr-defined]
        try:
            answer = self.server.answer(str(method), arguments)  # type: ignore[attr-defined]
        except xmlrpc.client.Fault as fault:
            answer = xmlrpc.client.dumps(fault, methodresponse=True).encode()
        if isinstance(answer, int):
            self.send_response(answer)
            self.end_headers()
            return
        content = answer if isinstance(answer, bytes) else xmlrpc.client.dumps((answer,), methodresponse=True).encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/xml")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def address_string(self) -> str:
        return "local"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the interface's name
        return


class Served:
    """A server on a unix socket or on TCP whose answers are the test's."""

    def __init__(self, server: socketserver.BaseServer) -> None:
        self.server = server
        self.server.seen = []  # type: ignore[attr-defined]
        self.server.handle_error = lambda request, address: None  # type: ignore[method-assign] # a client that gave up
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()

    def answers(self, answer: Answer) -> None:
        self.server.answer = answer  # type: ignore[attr-defined]

    @property
    def seen(self) -> list[tuple[str, str | None]]:
        return self.server.seen  # type: ignore[attr-defined,no-any-return]


@pytest.fixture
def unix(tmp_path: Path) -> Iterator[Served]:
    with socketserver.ThreadingUnixStreamServer(str(tmp_path / "s.sock"), Handler) as server:
        server.daemon_threads = True
        yield Served(server)
        server.shutdown()


@pytest.fixture
def tcp() -> Iterator[Served]:
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        yield Served(server)
        server.shutdown()


def over(served: Served, **values: Any) -> Supervisor:
    address = served.server.server_address  # type: ignore[attr-defined]
    where = {"socket_path": address} if isinstance(address, str) else {"url": f"http://127.0.0.1:{address[1]}"}
    return Supervisor(Deadline(60, FakeClock()), **where, **values)


def test_every_state(unix: Served) -> None:
    rows = [
        row("runs", "RUNNING", pid=7, description="pid 7, uptime 0:01:40"),
        row("begins", "STARTING", pid=8),
        row("retries", "BACKOFF", stop=1932883250, spawnerr="Exited too quickly"),
        row("ends", "STOPPING", pid=9),
        row("never", "STOPPED", start=0, description="Not started"),
        row("halted", "STOPPED", stop=1932883250, exitstatus=-1),
        row("done", "EXITED", stop=1932883250),
        row("died", "EXITED", stop=1932883250, exitstatus=1),
        row(
            "gave_up",
            "FATAL",
            stop=1932883250,
            spawnerr="Exited too quickly (process log may have details)",
        ),
        row("odd", "UNKNOWN"),
    ]
    unix.answers(lambda method, _arguments: rows)
    seen = over(unix).read([entry["name"] for entry in rows])
    assert {name: (status.state, status.active, status.pid, status.exit_code) for name, status in seen.items()} == {
        "runs": ("running", True, 7, None),
        "begins": ("starting", True, 8, None),
        "retries": ("starting", True, None, None),
        "ends": ("stopping", True, 9, None),
        "never": ("stopped", False, None, None),
        "halted": ("stopped", False, None, -1),
        "done": ("stopped", False, None, 0),
        "died": ("failed", False, None, 1),
        "gave_up": ("failed", False, None, None),
        "odd": ("unknown", False, None, 0),
    }
    assert (seen["runs"].since, seen["died"].since, seen["died"].started) == (1932883200.0, 1932883250.0, 1932883200.0)
    assert (seen["never"].since, seen["never"].started) == (None, None)
    assert "Exited too quickly" in seen["gave_up"].in_words()
    assert seen["runs"].logs == {"stdout": "/log/runs.out"}
    assert "reports the state UNKNOWN" in seen["odd"].problem


def test_names_in_groups(unix: Served) -> None:
    rows = [
        row("web", "RUNNING", group="blue", pid=1),
        row("web", "RUNNING", group="green", pid=2),
        row("db", "RUNNING", group="blue", pid=3),
    ]
    unix.answers(lambda method, _arguments: rows)
    seen = over(unix).read(["green:web", "db", "web", "cache"])
    assert seen["green:web"].pid == 2
    assert seen["db"].pid == 3
    assert "several programs 'web': name one of blue:web, green:web" in seen["web"].problem
    assert "has no program 'cache'; it has: blue:db, blue:web, green:web" in seen["cache"].problem


def test_start_and_stop_do_not_wait_and_a_race_does_no_harm(unix: Served) -> None:
    asked: list[Any] = []

    def answer(method: str, arguments: tuple[Any, ...]) -> Any:
        asked.append((method, arguments))
        raise xmlrpc.client.Fault(60 if "start" in method else 70, "too late")

    unix.answers(answer)
    supervisor = over(unix)
    supervisor.start("a")
    supervisor.stop("a")
    assert asked == [("supervisor.startProcess", ("a", False)), ("supervisor.stopProcess", ("a", False))]


def test_a_refused_start_says_why(unix: Served) -> None:
    def answer(method: str, arguments: tuple[Any, ...]) -> Any:
        raise xmlrpc.client.Fault(20, "NO_FILE: can't find command '/opt/nowhere'")

    unix.answers(answer)
    with pytest.raises(ManagerError, match="could not start a: NO_FILE: can't find command '/opt/nowhere'"):
        over(unix).start("a")


def test_a_supervisor_that_is_shutting_down(unix: Served) -> None:
    def answer(method: str, arguments: tuple[Any, ...]) -> Any:
        raise xmlrpc.client.Fault(6, "SHUTDOWN_STATE")

    unix.answers(answer)
    with pytest.raises(ManagerError, match="is shutting down"):
        over(unix).read(["a"])


def test_last_words_come_from_stderr_else_stdout(unix: Served) -> None:
    def answer(method: str, arguments: tuple[Any, ...]) -> Any:
        if "Stderr" in method:
            raise xmlrpc.client.Fault(20, "NO_FILE")
        assert arguments == ("a", -service_supervisor.TAIL_BYTES, 0)
        return "the end\n"

    unix.answers(answer)
    assert over(unix).last_lines("a") == "the end\n"


def test_last_words_that_xml_cannot_carry_are_read_from_the_file(unix: Served, tmp_path: Path) -> None:
    log = tmp_path / "a.err"
    log.write_bytes(b"x" * 20_000 + b"\nbad \x1b[31mside\xff\n")
    rows = [row("a", "EXITED", stderr_logfile=str(log))]
    broken = b"<?xml version='1.0'?><methodResponse><params><param><value><string>bad \x1b[31m</string></value></param>"
    unix.answers(lambda method, _arguments: broken if "Log" in method else rows)
    text = over(unix).last_lines("a")
    assert text.endswith("bad \x1b[31mside\ufffd\n")
    assert len(text) <= service_supervisor.TAIL_BYTES
    log.unlink()
    assert over(unix).last_lines("a") == ""


def test_login(tcp: Served) -> None:
    tcp.answers(lambda method, _arguments: [row("a", "RUNNING", pid=1)])
    over(tcp, username="ops", password="s3cret").read(["a"])
    assert tcp.seen == [("supervisor.getAllProcessInfo", "Basic b3BzOnMzY3JldA==")]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (401, "asks for a login, or refuses this one"),
        (404, "answered HTTP 404"),
        (b"<html>hello", "not XML"),
        (b"<?xml version='1.0'?><methodResponse/>", "is not supervisor's XML-RPC interface"),
    ],
)
def test_what_answers_is_no_supervisor(tcp: Served, answer: Any, words: str) -> None:
    tcp.answers(lambda method, _arguments: answer)
    with pytest.raises(ManagerError) as caught:
        over(tcp).read(["a"])
    assert words in caught.value.message
    assert "\n" not in caught.value.message


def test_nothing_there(tmp_path: Path, unix: Served) -> None:
    deadline = Deadline(60, FakeClock())
    with pytest.raises(ManagerError, match="there is no such socket"):
        Supervisor(deadline, socket_path=str(tmp_path / "none.sock")).read(["a"])
    plain = tmp_path / "plain"
    plain.touch()
    with pytest.raises(ManagerError, match="nothing listens there"):
        Supervisor(deadline, socket_path=str(plain)).read(["a"])
    with pytest.raises(ManagerError, match="nothing listens there"):
        Supervisor(deadline, url="http://127.0.0.1:1").read(["a"])


def test_permission_denied_names_the_owner(monkeypatch: pytest.MonkeyPatch, unix: Served) -> None:
    def denied(connection: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(service_supervisor._UnixConnection, "connect", denied)
    with pytest.raises(
        ManagerError, match=r"permission denied on .*s\.sock \(owner uid \d+, mode 0\d{3}\): run the task as"
    ):
        over(unix).read(["a"])


def test_a_supervisor_that_does_not_answer_is_given_up(monkeypatch: pytest.MonkeyPatch, unix: Served) -> None:
    monkeypatch.setattr(service_supervisor, "CALL_SECONDS", 0.1)
    release = threading.Event()
    unix.answers(lambda method, _arguments: release.wait(30) and [])
    with pytest.raises(ManagerError, match=r"gave no answer within 0.1 s"):
        over(unix).read(["a"])
    release.set()


@pytest.mark.parametrize("url", ["127.0.0.1:9001", "ftp://h", "http://", "http://h:port", "http://u:pw@h:1"])
def test_bad_urls(url: str) -> None:
    with pytest.raises(InputError) as caught:
        Supervisor(Deadline(60, FakeClock()), url=url)
    assert "supervisor_url" in caught.value.message
    assert "pw@" not in caught.value.message
