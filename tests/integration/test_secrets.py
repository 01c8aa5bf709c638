# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A secret in every option that is marked no_log, in headers and in URLs: it is in no output and in no file.

The options are found in the specifications of the modules, so that a new module is tested without a word here. The
server they talk to gives back all that it is told, credentials included, as a careless error page does.
"""

from __future__ import annotations

import base64
import importlib
import json
import re
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.sre.runbooks.plugins.module_utils import operation
from ansible_collections.sre.runbooks.plugins.module_utils.argspec import ArgumentSpec
from tests.unit.plugins.action import collection_copy

MODULES = collection_copy.ROOT / "plugins" / "modules"
PACKAGE = "ansible_collections.sre.runbooks.plugins.modules."
# Every secret begins so; what follows is made to be quoted, escaped and encoded on its way.
SECRET = re.compile(r"Zx9\d{3}-")
TAIL = "\"q/é@&<'%"
PLAIN_TAIL = "abcdefgh"  # for what has to look like a token
# What a module needs to get as far as its server, beside the options that its specification requires.
LOGIN = {"login_host": "127.0.0.1", "login_port": 1, "login_db": "x"}
NEEDS: dict[str, dict[str, Any]] = {
    "http_probe": {"requests": [{"id": "echo", "url": "URL/echo"}]},
    "service_control": {"manager": "supervisor", "supervisor_url": "URL", "supervisor_username": "user"},
    "kafka_lag": {"groups": ["orders"]},
    "backoffice_replay": {"command": ["/bin/cat"], "timeout": 30},
    "backoffice_stats": {"account_id": "acct"},
    "backoffice_e2e": {"account_id": "acct", "wait_seconds": 1},
    "metrics_probe": {
        "rules": [{"id": "up", "metric": "up"}],
        "targets": [{"name": "t", "url": "URL"}],
        "sample_seconds": 0.1,
    },
    "certificate_probe": {"endpoints": [{"address": "127.0.0.1:1"}]},
    "ecommerce_idempotency_prune": {**LOGIN, "audit_directory": "/tmp"},
    "ecommerce_store": {**LOGIN, "databases": [{"name": "customer_db"}]},
    "flyway_migrate": {
        **LOGIN,
        "history": {"name": "one", "locations": ["filesystem:/nowhere"]},
        "command": "migrate",
        "tool": {"kind": "command", "executable": "true"},
    },
    "flyway_status": {"histories": [{"name": "one", "locations": ["filesystem:/nowhere"]}]},
    "hpa_limits": {"name": "web-hpa", "max_replicas": 3},
    "hpa_status": {},
    "pg_backup": {**LOGIN, "set": "shop", "directory": "/tmp"},
    "pg_backup_info": {**LOGIN, "set": "shop", "directory": "/tmp", "max_age_hours": 25, "sources": [{"name": "shop"}]},
    "pg_activity": LOGIN,
    "pg_idle_kill": {**LOGIN, "wait_seconds": 1},
    "pg_marker": LOGIN,
    "pg_restore": {**LOGIN, "set": "shop", "directory": "/tmp", "state": "absent", "drill_id": "one"},
    "recovery_history": {"system": "shop", "url": "URL/history.jsonl"},
    "recovery_reconcile": {
        **LOGIN,
        "numbers": [
            {
                "name": "n",
                "database": "x",
                "current": "SELECT 1",
                "sources": [{"database": "x", "query": "SELECT 1"}],
                "statement": "SELECT %(value)s",
            }
        ],
    },
    "recovery_verify": {
        **LOGIN,
        "manifest_path": str(collection_copy.ROOT / "tests" / "fixtures" / "recovery" / "manifest.json"),
    },
    "rollout_history": {"names": ["web"]},
    "rollout_mark": {"names": ["web"]},
    "rollout_restart": {"names": ["web"], "restart_token": "job-1"},
    "rollout_status": {"names": ["web"]},
    "rollout_undo": {"name": "web", "to_revision": 1},
    "workload_diagnosis": {"names": ["web"]},
    "workload_health": {"names": ["web"]},
    "workload_logs": {"names": ["web"]},
    "workload_scale": {"name": "web", "replicas": 2},
    "workload_set": {"name": "web", "containers": [{"name": "web", "image": "web:2"}]},
}
# Modules that change things, and the one that cannot do without a workload, give no checks then: what they say of the API
# server shows that they got to their work.
NO_CHECKS = {
    "ecommerce_idempotency_prune",
    "flyway_migrate",
    "hpa_limits",
    "rollout_history",
    "rollout_mark",
    "rollout_restart",
    "rollout_undo",
    "workload_scale",
    "workload_set",
    "pg_backup",
    "pg_idle_kill",
    "pg_marker",
    "pg_restore",
    "recovery_history",
    "recovery_reconcile",
}
# What those of them say that have another server.
SAYS = {
    "ecommerce_idempotency_prune": "PostgreSQL at 127.0.0.1",
    "flyway_migrate": "PostgreSQL at 127.0.0.1",
    "pg_backup": "PostgreSQL at 127.0.0.1",
    "pg_idle_kill": "PostgreSQL at 127.0.0.1",
    "pg_marker": "PostgreSQL at 127.0.0.1",
    "pg_restore": "PostgreSQL at 127.0.0.1",
    "recovery_history": "the history at http://",
    "recovery_reconcile": "PostgreSQL at 127.0.0.1",
}
# Options that go together with a secret one.
PARTNERS: dict[str, dict[str, Any]] = {
    "sasl_password": {"security_protocol": "SASL_PLAINTEXT", "sasl_mechanism": "PLAIN", "sasl_username": "user"},
    "password": {"username": "user"},
}
SECONDS = {"timeout": 2, "connect_timeout_seconds": 1, "request_timeout_seconds": 1, "request_timeout": 1}

PATHS = ("in process", "ordinary")
RUN_SECONDS = 840  # a few hundred tasks, each a program of its own on the ordinary path
pytestmark = pytest.mark.timeout(900)

Route = tuple[str, ...]
Options = Mapping[str, Mapping[str, Any]]


@dataclass
class Tasks:
    """The tasks of one run; the secrets stand in variables, as the playbook itself is quoted by ansible-core."""

    tasks: list[dict[str, Any]] = field(default_factory=list)
    secrets: dict[str, str] = field(default_factory=dict)

    def secret(self, tail: str = TAIL) -> str:
        """A template that gives a new secret."""
        name = f"value_{len(self.secrets):03d}"
        self.secrets[name] = f"Zx9{len(self.secrets):03d}-{tail}"
        return f"{{{{ {name} }}}}"

    def url_secret(self) -> str:
        """The same, as it stands in a URL."""
        return self.secret().replace(" }}", " | urlencode | replace('/', '%2F') }}")

    def add(self, module: str, variant: str, arguments: dict[str, Any]) -> None:
        self.tasks.append({"name": f"{module}: {variant}", f"sre.runbooks.{module}": arguments})


class Reflecting(BaseHTTPRequestHandler):
    """Answers every request with all of its own headers and its body, as JSON and in headers."""

    def do_GET(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        told = {
            "headers": dict(self.headers),
            "body": self.rfile.read(length).decode(errors="replace"),
            "path": self.path,
        }
        content = json.dumps({"error": "you said", **told}).encode()
        self.send_response(200 if "echo" in self.path else 500)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.send_header("WWW-Authenticate", f"Basic realm={self.headers.get('Authorization', 'none')}")
        self.end_headers()
        self.wfile.write(content)

    do_POST = do_PUT = do_DELETE = do_HEAD = do_GET  # noqa: N815 - names of the interface

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Reflecting)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def specifications() -> dict[str, ArgumentSpec]:
    """Module name to specification, as each module gives it to its main function."""
    found: dict[str, ArgumentSpec] = {}
    for path in sorted(MODULES.glob("*.py")):
        module = importlib.import_module(PACKAGE + path.stem)
        if not hasattr(module, "operation"):
            continue  # the module file of an action that runs in the controller only: it documents
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(operation, "main", lambda spec, *rest, name=path.stem: found.update({name: spec}))
            module.main()
    return found


SPECIFICATIONS = specifications()


def secret_options(options: Options, above: Route = ()) -> Iterator[Route]:
    """The paths of the options marked no_log, suboptions included."""
    for name, option in options.items():
        if option.get("no_log"):
            yield (*above, name)
        yield from secret_options(option.get("options") or {}, (*above, name))


def is_url(name: str) -> bool:
    return name == "url" or name.endswith(("_url", "_urls", "_servers"))


def sample(name: str, option: Mapping[str, Any], url: str) -> Any:
    """A harmless value for an option."""
    if option.get("choices"):
        value: Any = option["choices"][0]
    elif option.get("options"):
        value = {key: sample(key, item, url) for key, item in option["options"].items() if item.get("required")}
    elif name.endswith("_servers"):
        value = "127.0.0.1:1"
    elif is_url(name):
        value = url
    else:
        kind = option.get("elements") if option.get("type") == "list" else option.get("type", "str")
        value = {"int": 1, "float": 1.0, "bool": False, "dict": {}, "path": "/nonexistent/file"}.get(str(kind), "x")
    return [value] if option.get("type") == "list" else value


def base(module: str, options: Options, url: str) -> dict[str, Any]:
    arguments = {name: sample(name, option, url) for name, option in options.items() if option.get("required")}
    arguments |= {name: value for name, value in SECONDS.items() if name in options}
    needs: dict[str, Any] = json.loads(json.dumps(NEEDS.get(module, {})).replace("URL", url))
    server = {"host": url.replace("http:", "https:")} if "api_key" in options else {}
    return arguments | server | needs


def put(arguments: dict[str, Any], options: Options, path: Route, value: Any, url: str) -> None:
    """Set the option at a path; folders on the way are made."""
    name, *rest = path
    option = options[name]
    if not rest:
        kind = option.get("elements") if option.get("type") == "list" else option.get("type", "str")
        value = {"X-Api-Key": value, "Authorization": f"Bearer {value}", "Cookie": value} if kind == "dict" else value
        arguments[name] = [value] if option.get("type") == "list" else value
        arguments.update(PARTNERS.get(name, {}))
        return
    if name not in arguments:
        arguments[name] = sample(name, option, url)
    inner = arguments[name][0] if isinstance(arguments[name], list) else arguments[name]
    put(inner, option["options"], tuple(rest), value, url)


def variants(tasks: Tasks, module: str, spec: ArgumentSpec, address: str) -> None:
    """The tasks of one module: each secret option alone, all at once, secrets in URLs and in plain headers."""
    url, options = f"http://{address}", spec.options
    paths = list(secret_options(options))
    for path in paths:
        arguments = base(module, options, url)
        put(arguments, options, path, tasks.secret(), url)
        tasks.add(module, ".".join(path), arguments)
        tasks.add(module, f"{'.'.join(path)}, refused", {**arguments, "nonsense": 1})
        arguments = base(module, options, url)
        put(arguments, options, path, tasks.secret(PLAIN_TAIL), url)
        tasks.add(module, f"{'.'.join(path)}, plain", arguments)
    arguments = base(module, options, url)
    for path in paths:
        new = {path[0], *PARTNERS.get(path[-1], {})}
        if not any(new & set(group) and arguments.keys() & set(group) for group in spec.mutually_exclusive):
            put(arguments, options, path, tasks.secret(), url)
    tasks.add(module, "all at once", arguments)
    for place in ("userinfo", "query"):
        arguments = base(module, options, url)
        for name in list(url_options(options)):
            secret = tasks.url_secret()
            value = f"http://user:{secret}@{address}/echo" if place == "userinfo" else f"{url}/echo?api_token={secret}"
            put(arguments, options, name, value, url)
        tasks.add(module, f"URL, {place}", arguments)
    for name in header_options(options):
        arguments = base(module, options, url)
        put(arguments, options, name, tasks.secret(), url)
        tasks.add(module, ".".join(name), arguments)


def url_options(options: Options, above: Route = ()) -> Iterator[Route]:
    for name, option in options.items():
        if is_url(name):
            yield (*above, name)
        yield from url_options(option.get("options") or {}, (*above, name))


def header_options(options: Options, above: Route = ()) -> Iterator[Route]:
    for name, option in options.items():
        if name == "headers":
            yield (*above, name)
        yield from header_options(option.get("options") or {}, (*above, name))


@dataclass
class Kept:
    """All that one run left: what it printed and every file it wrote."""

    output: str
    files: dict[str, str]
    tasks: Tasks
    report: dict[str, Any]


def run(folder: Path, collections: Path, inputs: Path, in_process: bool) -> tuple[str, dict[str, str]]:
    """Run the tasks of ``inputs`` through one path; returns what was printed and what was written, by file name."""
    done = collection_copy.ansible_playbook(
        str(inputs / "play.yml"),
        *("-i", str(inputs / "inventory"), "-e", f"@{inputs / 'secrets.json'}", "-vvv", "--diff"),
        *("-e", f"runbooks_in_process={'true' if in_process else 'false'}"),
        env=collection_copy.environment(
            collections,
            folder,
            ANSIBLE_CALLBACKS_ENABLED="sre.runbooks.runbook_report",
            ANSIBLE_LOG_PATH=str(folder / "ansible.log"),
        ),
        cwd=folder,
        seconds=RUN_SECONDS,
    )
    files = {
        str(path.relative_to(folder)): path.read_text(encoding="utf-8", errors="replace")
        for path in folder.rglob("*")
        if path.is_file()
    }
    return done.stdout + done.stderr, files


@pytest.fixture(scope="module")
def both(address: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Kept]:
    collections = collection_copy.make(tmp_path_factory.mktemp("tree"), {})
    inputs = tmp_path_factory.mktemp("inputs")
    tasks = Tasks()
    for module, spec in SPECIFICATIONS.items():
        variants(tasks, module, spec, address)
    play = [{"hosts": "all", "gather_facts": False, "ignore_errors": True, "tasks": tasks.tasks}]
    (inputs / "play.yml").write_text(yaml.safe_dump(play, allow_unicode=True, sort_keys=False), encoding="utf-8")
    (inputs / "secrets.json").write_text(json.dumps(tasks.secrets), encoding="utf-8")
    (inputs / "inventory").write_text(
        "bo ansible_connection=local ansible_python_interpreter={{ansible_playbook_python}}\n", encoding="utf-8"
    )
    kept: dict[str, Kept] = {}
    with ThreadPoolExecutor(2) as pool:
        waiting = {
            path: pool.submit(run, tmp_path_factory.mktemp("secrets"), collections, inputs, path == "in process")
            for path in PATHS
        }
        for path, future in waiting.items():
            output, files = future.result()
            (report,) = (json.loads(text) for name, text in files.items() if name.endswith("report.json"))
            kept[path] = Kept(output, files, tasks, report)
    return kept


@pytest.fixture(params=PATHS)
def kept(request: pytest.FixtureRequest, both: dict[str, Kept]) -> Kept:
    return both[request.param]


def test_there_is_something_to_hide() -> None:
    assert {"http_probe", "backoffice_stats"} <= set(SPECIFICATIONS)
    assert any(list(secret_options(spec.options)) for spec in SPECIFICATIONS.values())


def test_every_module_did_its_work_with_its_secrets(kept: Kept) -> None:
    """Arguments that are refused hide a module's own output: at least one task of each has to come to its checks."""
    worked = {item["action"].removeprefix("sre.runbooks.") for item in kept.report["evidence"] if item["checks"]}
    secretive = {name for name, spec in SPECIFICATIONS.items() if list(secret_options(spec.options))}
    for module in NO_CHECKS:
        said = [task for task in kept.output.split("TASK [") if task.startswith(f"{module}: ")]
        assert any(SAYS.get(module, "the API server https://") in task for task in said), module
    assert secretive <= worked | NO_CHECKS, "NEEDS has to say what the modules that are missing here want"
    assert len(kept.report["timeline"]) == len(kept.tasks.tasks)


def test_no_secret_in_the_output(kept: Kept) -> None:
    assert leaks(kept.output) == []


def test_no_secret_in_any_file(kept: Kept) -> None:
    assert {name: leaks(text) for name, text in kept.files.items() if leaks(text)} == {}
    assert any(name.endswith("report.html") for name in kept.files)
    assert "ansible.log" in kept.files


def test_no_secret_in_disguise(kept: Kept) -> None:
    """As part of base64, at each of its three alignments."""
    everything = kept.output + "".join(kept.files.values())
    for secret in kept.tasks.secrets.values():
        start = secret.encode()[:7]
        for pad in range(3):
            whole = base64.b64encode(b"\0" * pad + start).decode()
            assert whole[(pad * 8 + 5) // 6 : len(start + b"\0" * pad) * 8 // 6] not in everything


def leaks(text: str) -> list[str]:
    """The lines that hold a secret, with the lines before them."""
    lines = text.splitlines()
    return [
        "\n".join(lines[max(0, number - 2) : number + 1])[-600:]
        for number, line in enumerate(lines)
        if SECRET.search(line)
    ]
