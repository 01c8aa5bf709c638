# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Action groups: what a play sets for a group arrives in each of its modules, and each page names its groups."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.unit.plugins.action import collection_copy

GROUPS: dict[str, list[str]] = yaml.safe_load((collection_copy.ROOT / "meta" / "runtime.yml").read_text("utf-8"))[
    "action_groups"
]
CA = "/nowhere/ca-of-the-play.pem"
URL = "http://127.0.0.1:{port}"
MANIFEST = str(collection_copy.ROOT / "tests" / "fixtures" / "recovery" / "manifest.json")
SOURCE = {"database": "of_the_play", "query": "SELECT 1"}
NUMBER = {
    "name": "n",
    "database": "of_the_play",
    "current": "SELECT 1",
    "sources": [SOURCE],
    "statement": "SELECT %(value)s",
}
# What each module needs besides the options of its group.
TASKS: dict[str, dict[str, dict[str, Any]]] = {
    "postgresql": {
        "ecommerce_idempotency_prune": {"audit_directory": "/tmp"},
        "ecommerce_store": {"databases": [{"name": "customer_db"}]},
        "flyway_migrate": {
            "history": {"name": "one", "locations": ["filesystem:/nowhere"]},
            "command": "migrate",
            "tool": {"kind": "command", "executable": "true"},
        },
        "flyway_status": {"histories": [{"name": "one", "locations": ["filesystem:/nowhere"]}]},
        "pg_backup": {"set": "shop", "directory": "/tmp"},
        "pg_backup_info": {"set": "shop", "directory": "/tmp", "max_age_hours": 25, "sources": [{"name": "shop"}]},
        "pg_activity": {},
        "pg_idle_kill": {},
        "pg_marker": {},
        "pg_restore": {
            "set": "shop",
            "directory": "/tmp",
            "state": "absent",
            "drill_id": "one",
            "maintenance_db": "of_the_play",
        },
        "recovery_reconcile": {"numbers": [NUMBER]},
        "recovery_verify": {"manifest_path": MANIFEST},
    },
    "kafka": {"kafka_lag": {"groups": ["orders"]}, "kafka_status": {}},
    "http_client": {
        "backoffice_e2e": {"backoffice_url": URL, "gateway_url": URL, "account_id": "a", "symbol": "BTC_USDT"},
        "backoffice_gateway": {"url": URL},
        "backoffice_stats": {"url": URL, "account_id": "a"},
        "http_probe": {"requests": [{"id": "one", "url": URL}]},
        "recovery_history": {"system": "shop", "url": URL},
    },
    "kubernetes": {
        "hpa_limits": {"target": "web", "max_replicas": 20},
        "hpa_status": {},
        "rollout_history": {"names": ["web"]},
        "rollout_mark": {"names": ["web"]},
        "rollout_restart": {"names": ["web"], "restart_token": "one"},
        "rollout_status": {"names": ["web"]},
        "rollout_undo": {"name": "web", "to": "previous"},
        "workload_diagnosis": {"names": ["web"]},
        "workload_health": {"names": ["web"]},
        "workload_logs": {"names": ["web"]},
        "workload_scale": {"name": "web", "replicas": 3},
        "workload_set": {"name": "web", "containers": [{"name": "main", "image": "web:2"}]},
    },
}


@pytest.fixture(scope="module")
def collections(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return collection_copy.make(tmp_path_factory.mktemp("tree"), {})


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port that refuses connections: it is taken, and nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


def play(group: str, defaults: dict[str, Any], port: int) -> str:
    """A play that sets ``defaults`` for the group, runs each of its modules and writes the results to a file."""
    tasks: list[dict[str, Any]] = []
    for module, options in TASKS[group].items():
        arguments = json.loads(json.dumps(options).replace("{port}", str(port)))
        tasks.append({f"sre.runbooks.{module}": arguments, "register": module, "ignore_errors": True})
    results = "{{ {" + ", ".join(f"'{module}': {module}" for module in TASKS[group]) + "} | to_json }}"
    tasks.append(
        {"ansible.builtin.copy": {"content": results, "dest": "{{ playbook_dir }}/results.json", "mode": "600"}}
    )
    head = {"hosts": "localhost", "gather_facts": False, "module_defaults": {f"group/sre.runbooks.{group}": defaults}}
    return json.dumps([{**head, "tasks": tasks}])


def run(group: str, defaults: dict[str, Any], port: int, path: str, collections: Path, folder: Path) -> dict[str, Any]:
    """The result of each module of the group, through one of the two paths."""
    (folder / "play.yml").write_text(play(group, defaults, port), encoding="utf-8")
    done = collection_copy.ansible_playbook(
        "play.yml",
        "-e",
        f"runbooks_in_process={path}",
        "-vvv",
        env=collection_copy.environment(collections, folder),
        cwd=folder,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert ("because runbooks_in_process is false" in done.stdout) is (path == "false")
    results: dict[str, Any] = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    return results


@pytest.mark.parametrize("path", ["true", "false"])
def test_kafka(path: str, closed_port: int, collections: Path, tmp_path: Path) -> None:
    broker = f"127.0.0.1:{closed_port}"
    defaults = {"bootstrap_servers": [broker], "connect_timeout_seconds": 1, "timeout": 5}
    results = run("kafka", defaults, closed_port, path, collections, tmp_path)
    for module in GROUPS["kafka"]:
        assert broker in json.dumps(results[module]["checks"]), module
        assert results[module]["verdict"] != "pass"


@pytest.mark.parametrize("path", ["true", "false"])
def test_http_client(path: str, closed_port: int, collections: Path, tmp_path: Path) -> None:
    """No URL is common to its modules; the certificates of the authorities are."""
    results = run("http_client", {"ca_path": CA}, closed_port, path, collections, tmp_path)
    for module in GROUPS["http_client"]:
        assert CA in json.dumps(results[module]), module
        assert results[module].get("failed"), module


@pytest.mark.parametrize("path", ["true", "false"])
def test_kubernetes(path: str, closed_port: int, collections: Path, tmp_path: Path) -> None:
    """The server and the namespace of the play; the credentials are used, and never shown."""
    server, token = f"https://127.0.0.1:{closed_port}", "token-of-the-play"
    defaults = {"host": server, "api_key": token, "namespace": "space-of-the-play", "timeout": 5}
    results = run("kubernetes", defaults, closed_port, path, collections, tmp_path)
    for module in GROUPS["kubernetes"]:
        shown = json.dumps(results[module])
        assert server in shown, module
        assert "space-of-the-play" in shown, module
        assert token not in shown, module
        assert results[module].get("failed") or results[module]["verdict"] == "unverified", module


@pytest.mark.parametrize("path", ["true", "false"])
def test_postgresql(path: str, closed_port: int, collections: Path, tmp_path: Path) -> None:
    """The server of the play; its password is used, and never shown."""
    login = {"login_host": "127.0.0.1", "login_port": closed_port, "login_db": "of_the_play"}
    secret = {"login_user": "user", "login_password": "password-of-the-play"}
    results = run("postgresql", login | secret, closed_port, path, collections, tmp_path)
    for module in GROUPS["postgresql"]:
        shown = json.dumps(results[module])
        assert f"127.0.0.1:{closed_port}/of_the_play" in shown, module
        assert "password-of-the-play" not in shown, module
        assert results[module].get("failed") or results[module]["verdict"] != "pass", module


def test_every_module_of_a_connection_group_is_tried() -> None:
    assert {group: sorted(tasks) for group, tasks in TASKS.items()} == {
        group: modules for group, modules in GROUPS.items() if group != "runbooks"
    }


@pytest.fixture(scope="module")
def documented(collections: Path) -> dict[str, dict[str, Any]]:
    """Module to its documentation, fragments included, as ansible-doc reads it."""
    program = str(Path(sys.executable).with_name("ansible-doc"))
    names = [f"sre.runbooks.{module}" for module in GROUPS["runbooks"]]
    done = subprocess.run(
        [program, "--json", *names],
        env={**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(collections)},
        cwd=collections,
        capture_output=True,
        text=True,
        check=True,
        timeout=collection_copy.RUN_SECONDS,
    )
    return {name.removeprefix("sre.runbooks."): page["doc"] for name, page in json.loads(done.stdout).items()}


@pytest.mark.parametrize("module", GROUPS["runbooks"])
def test_the_page_of_a_module_names_its_groups(module: str, documented: dict[str, dict[str, Any]]) -> None:
    attribute = documented[module]["attributes"]["action_group"]
    groups = sorted(f"sre.runbooks.{group}" for group, modules in GROUPS.items() if module in modules)
    assert sorted(attribute["membership"]) == groups
    described = " ".join(attribute["description"])
    assert all(f"group/{group})" in described for group in groups)


def test_no_option_is_common_to_all_modules(documented: dict[str, dict[str, Any]]) -> None:
    """That is what the pages say of the group runbooks; where it changes, they have to."""
    assert set.intersection(*(set(page["options"]) for page in documented.values())) == set()
