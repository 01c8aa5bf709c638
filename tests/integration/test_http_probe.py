# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""http_probe through Ansible, in process and not: the same answers, the same refusals, the same silence on secrets."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lab import control
from tests.integration.test_backoffice_ledger import ACCOUNT, BOTH_PATHS, ROOT, SECRET, Service, Tasks
from tests.unit.plugins.fake_http import Server, answer, json_answer, serving
from tests.unit.plugins.module_utils.test_ledger_rules import FILL, ORDER, line


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    folder = tmp_path / "backoffice"
    folder.mkdir()
    instance = Service(folder)
    instance.ledger.write_bytes(b"\n".join([line(ORDER), line(FILL), b""]))
    assert instance.start()
    yield instance
    instance.stop()


@pytest.fixture
def server() -> Iterator[Server]:
    with serving(
        {"/ok": json_answer({"status": "UP"}), "/busy": [answer(503, Retry_After="0"), json_answer({})]}
    ) as made:
        yield made


def statuses(result: dict[str, Any]) -> dict[str, str]:
    return {check["id"]: check["status"] for check in result["checks"]}


def comparable(result: dict[str, Any]) -> dict[str, Any]:
    """A result without what differs from run to run."""
    dropped = {"latency_ms", "duration_ms", "invocation", "observed", "deprecations", "warnings"}

    def strip(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: strip(item) for key, item in value.items() if key not in dropped}
        return [strip(item) for item in value] if isinstance(value, list) else value

    stripped: dict[str, Any] = strip(result)
    return stripped


@BOTH_PATHS
def test_a_sequence_with_a_token_that_is_made(service: Service, tmp_path: Path, in_process: bool) -> None:
    order = {
        "id": "ledger",
        "path": "/ledger",
        "query": {"limit": 1},
        "capture": {"order": "entries[0].orderId"},
    }
    same = {
        "id": "same",
        "path": "/ledger?orderId=<order>",
        "expect": [
            {"jmespath": "length(entries)", "at_least": 2},
            {"jmespath": "entries[0].type", "equals": "OrderAccepted"},
        ],
        "max_latency_ms": 10_000,
    }
    options = {
        "base_url": f"http://127.0.0.1:{service.port}",
        "jwt_secret": SECRET,
        "jwt_claims": {"accountId": ACCOUNT},
        "requests": [{"id": "health", "path": "/health"}, order, same],
    }
    result = Tasks(tmp_path, in_process)(options, module="http_probe")
    assert result["verdict"] == "pass", result
    assert set(statuses(result)) == {"health", "ledger", "same", "same.1", "same.2", "same.latency"}
    assert SECRET not in json.dumps(result)


def test_both_paths_give_the_same(server: Server, tmp_path: Path) -> None:
    options: dict[str, Any] = {
        "mode": "parallel",
        "retries": 1,
        "secret_headers": {"X-Api-Key": "hunter2"},
        "requests": [
            {"id": "ok", "url": f"{server.url}/ok", "expect": [{"jmespath": "status", "equals": "UP"}]},
            {"id": "none", "url": f"{server.url}/none"},
            {"id": "down", "url": "http://127.0.0.1:1/"},
            {"id": "name", "url": "http://nosuch.invalid/"},
            {"id": "post", "url": f"{server.url}/ok", "method": "POST", "body": {"a": 1}},
        ],
    }
    for words in ((), ("--check",)):
        results = [Tasks(tmp_path, in_process)(options, *words, module="http_probe") for in_process in (True, False)]
        assert comparable(results[0]) == comparable(results[1])
        assert results[0]["verdict"] == "fail"
        assert results[0]["changed"] is True
        assert "hunter2" not in json.dumps(results)
    assert {request.headers["x-api-key"] for request in server.asked} == {"hunter2"}
    assert [request.method for request in server.asked].count("POST") == 2


@BOTH_PATHS
def test_a_busy_server_is_asked_again(server: Server, tmp_path: Path, in_process: bool) -> None:
    result = Tasks(tmp_path, in_process)(
        {"requests": [{"id": "busy", "url": f"{server.url}/busy"}]}, module="http_probe"
    )
    assert (result["verdict"], result["responses"][0]["attempts"]) == ("pass", 2)


@BOTH_PATHS
@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"requests": [{"id": "a", "url": "localhost:80"}]}, "which has no scheme"),
        ({"requests": []}, "requests is empty"),
        ({"requests": [{"id": "a"}]}, "give either url, or path"),
        ({"requests": [{"id": "a", "url": "http://h", "method": "FETCH"}]}, "FETCH"),
    ],
)
def test_bad_input(tmp_path: Path, in_process: bool, options: dict[str, Any], says: str) -> None:
    result = Tasks(tmp_path, in_process)(options, module="http_probe")
    assert result["failed"] is True
    assert says in result["msg"]
    assert "\n" not in result["msg"]


@BOTH_PATHS
def test_secrets_are_silent_at_the_highest_verbosity(server: Server, tmp_path: Path, in_process: bool) -> None:
    secrets = {"word": "hunter2-word", "key": "hunter2-key", "userinfo": "hunter2-userinfo", "header": "hunter2-header"}
    (tmp_path / "secrets.json").write_text(json.dumps(secrets))
    host = server.url.removeprefix("http://")
    tasks = [
        {
            "sre.runbooks.http_probe": {
                "username": "me",
                "password": "{{ word }}",
                "secret_headers": {"X-Api-Key": "{{ key }}"},
                "requests": [{"id": "a", "url": "http://me:{{ userinfo }}@" + host + "/ok?token={{ key }}"}],
            }
        },
        {
            "sre.runbooks.http_probe": {
                "requests": [{"id": "a", "url": server.url, "headers": {"Authorization": "Bearer {{ header }}"}}]
            },
            "ignore_errors": True,
        },
    ]
    (tmp_path / "play.yml").write_text(json.dumps([{"hosts": "localhost", "gather_facts": False, "tasks": tasks}]))
    (tmp_path / "ansible.cfg").write_text(f"[defaults]\ncollections_path = {ROOT / '.build' / 'collections'}\n")
    done = subprocess.run(
        [
            Path(sys.executable).with_name("ansible-playbook"),
            *("-vvv", str(tmp_path / "play.yml"), "-e", f"@{tmp_path / 'secrets.json'}"),
            *("-e", json.dumps({"runbooks_in_process": in_process})),
        ],
        env={**os.environ, "ANSIBLE_CONFIG": str(tmp_path / "ansible.cfg")},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert "ignored=1" in done.stdout, done.stdout + done.stderr
    assert "hunter2" not in done.stdout + done.stderr
    assert server.asked[0].headers["x-api-key"] == "hunter2-key"


@pytest.mark.lab
def test_the_services_of_the_lab_at_once(lab: None, tmp_path: Path) -> None:
    requests = [
        {
            "id": name,
            "url": f"http://{control.address(name)}/health",
            "expect": [{"jmespath": "status", "equals": "ok"}],
        }
        for name in ("backoffice", "gateway")
    ]
    result = Tasks(tmp_path, True)({"mode": "parallel", "requests": requests}, module="http_probe")
    assert result["verdict"] == "pass"
