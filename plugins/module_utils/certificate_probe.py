# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Certificates in use, of many TLS endpoints, Secrets and files at once: options, what is read, and the result."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from . import (
    certificate_checks,
    certificate_parse,
    certificate_secrets,
    certificate_tls,
    http_tls,
    kubernetes_connection,
    libraries,
)
from .argspec import ArgumentSpec
from .certificate_checks import Limits, Seen
from .certificate_parse import NoCertificate, TooManyCertificates
from .errors import InputError, RunbookError
from .http_client import require_range
from .kubernetes_client import Cluster
from .kubernetes_errors import NotFoundError
from .operation import Context

_SECRET: dict[str, dict[str, Any]] = {
    "namespace": {"type": "str", "required": True},
    "name": {"type": "str"},
}
SPEC = ArgumentSpec(
    options={
        "endpoints": {
            "type": "list",
            "elements": "dict",
            "default": [],
            "options": {
                "id": {"type": "str"},
                "address": {"type": "str", "required": True},
                "server_name": {"type": "str"},
                "starttls": {"type": "str", "choices": ["postgresql"]},
                "secret": {
                    "type": "dict",
                    "no_log": False,
                    "options": {**_SECRET, "name": {"type": "str", "required": True}},
                },
                "owner": {"type": "str"},
            },
        },
        "secrets": {
            "type": "list",
            "elements": "dict",
            "default": [],
            "no_log": False,
            "options": {
                **_SECRET,
                "names": {"type": "list", "elements": "str", "default": []},
                "owner": {"type": "str"},
            },
        },
        "paths": {"type": "list", "elements": "path", "default": []},
        "kubeconfig_certificate": {"type": "bool", "default": False},
        "min_days": {"type": "float", "default": 14.0},
        "warn_days": {"type": "float", "default": 30.0},
        "check_trust": {"type": "bool", "default": True},
        "ca_path": {"type": "path"},
        "client_cert_path": {"type": "path"},
        "client_key_path": {"type": "path", "no_log": False},
        "owner": {"type": "str"},
        "renew_playbook": {"type": "str"},
        "connect_timeout_seconds": {"type": "float", "default": 5.0},
        "handshake_timeout_seconds": {"type": "float", "default": 10.0},
        "concurrency": {"type": "int", "default": 32},
        "timeout": {"type": "float", "default": 60.0},
        "runbook": {"type": "str", "default": ""},
    },
    required_by={"client_key_path": ("client_cert_path",)},
).merge(kubernetes_connection.NESTED)

MOST_PLACES = 10_000
MANY = 50  # places from which on it is told how far they are


def run(params: dict[str, Any], context: Context) -> dict[str, Any]:
    """Read all certificates and judge them; reads only, the same in check mode."""
    limits = _limits(params)
    concurrency = int(require_range(params, "concurrency", 1, 256))
    tls = http_tls.tls_settings({**params, "validate_certs": True})
    reader = certificate_tls.Reader(
        tls,
        require_range(params, "connect_timeout_seconds", 0.01, 600),
        require_range(params, "handshake_timeout_seconds", 0.01, 600),
    )
    work: list[Callable[[], list[Seen]]] = []
    work += [_endpoint_work(row, number, reader, params, context) for number, row in enumerate(params["endpoints"], 1)]
    work += [_file_work(path, params) for path in params["paths"]]
    if params["kubeconfig_certificate"]:
        libraries.require(("kubernetes",))
        work.append(lambda: [_kubeconfig(params)])
    wanted = _secrets(params)
    if len(work) + len(wanted) > MOST_PLACES:
        raise InputError(f"{len(work) + len(wanted)} certificates are asked for, more than {MOST_PLACES}.")
    if not wanted:
        return _report(_all(work, concurrency, context), limits, params, context, 0)
    libraries.require(("kubernetes",))
    with Cluster(params["kubernetes"], context, connections=concurrency) as cluster:
        work += [_secret_work(cluster, row, params) for row in wanted]
        seen = _all(work, concurrency, context)
        return _report(seen, limits, params, context, cluster.requests)


def _limits(params: Mapping[str, Any]) -> Limits:
    limits = Limits(
        fail=require_range(params, "min_days", 0, 36_500),
        warn=require_range(params, "warn_days", 0, 36_500),
        check_trust=params["check_trust"],
        renew_playbook=params["renew_playbook"] or "",
    )
    if limits.warn < limits.fail:
        raise InputError(f"warn_days is {limits.warn:g}, less than min_days, {limits.fail:g}.", option="warn_days")
    if not any((params["endpoints"], params["secrets"], params["paths"], params["kubeconfig_certificate"])):
        raise InputError("endpoints, secrets and paths are all empty: a probe of nothing proves nothing.")
    return limits


def _all(work: Sequence[Callable[[], list[Seen]]], concurrency: int, context: Context) -> list[Seen]:
    """What all of it sees, in order; a Secret that was read by its name and among others once."""
    found: list[Seen] = []
    secrets: set[str] = set()
    with ThreadPoolExecutor(min(concurrency, len(work)), thread_name_prefix="certificates") as pool:
        for done, seen in enumerate(pool.map(lambda one: one(), work), start=1):
            found += [one for one in seen if one.place != "secret" or one.id not in secrets]
            secrets |= {one.id for one in seen if one.place == "secret"}
            if len(work) >= MANY:
                context.progress(f"{done} of {len(work)} certificates read")
    return found


def _report(
    seen: list[Seen], limits: Limits, params: Mapping[str, Any], context: Context, requests: int
) -> dict[str, Any]:
    ids = [one.id for one in seen]
    twice = next((one for one in ids if ids.count(one) > 1), None) if len(set(ids)) < len(ids) else None
    if twice:
        raise InputError(f"{twice} is named twice; give each endpoint an id of its own.")
    result = certificate_checks.judge(seen, limits, context.clock.now(), params["runbook"])
    return {**result, "requests": requests}


def _endpoint_work(
    row: Mapping[str, Any], number: int, reader: certificate_tls.Reader, params: Mapping[str, Any], context: Context
) -> Callable[[], list[Seen]]:
    asked = certificate_tls.address(row["address"], row["server_name"], row["starttls"], f"endpoints[{number}]")
    secret = row["secret"]
    name = f" as {asked.server_name}" if asked.server_name != asked.host else ""
    seen = Seen(
        id=row["id"] or f"{asked.shown}{name.replace(' as ', '/')}",
        place="endpoint",
        where=f"{asked.shown}{name}",
        wanted=(asked.server_name,),
        secret=f"{secret['namespace']}/{secret['name']}" if secret else "",
        owner=row["owner"] or params["owner"] or "",
    )

    def work() -> list[Seen]:
        shown = reader.read(asked, context.deadline.remaining)
        seen.duration_ms, seen.version, seen.whole = shown.duration_ms, shown.version, shown.whole
        seen.trusted, seen.trust_problem = shown.trusted, shown.trust_problem
        if shown.problem:
            seen.problem, seen.hint = shown.problem.text, shown.problem.hint
            seen.absent = shown.problem.kind == "broken"
            return [seen]
        try:
            seen.sent = [certificate_parse.from_der(one) for one in shown.sent[: certificate_parse.MOST_CERTIFICATES]]
        except NoCertificate as problem:
            seen.problem, seen.absent = str(problem), True
        if not seen.sent and not seen.problem:
            seen.problem, seen.absent = "the server shows no certificate", True
        return [seen]

    return work


def _file_work(path: str, params: Mapping[str, Any]) -> Callable[[], list[Seen]]:
    seen = Seen(id=path, place="file", where=path, owner=params["owner"] or "")

    def work() -> list[Seen]:
        try:
            with Path(path).open("rb") as file:
                seen.sent = certificate_parse.from_pem(file.read(certificate_secrets.MOST_BYTES))
        except FileNotFoundError:
            seen.problem, seen.absent = "there is no such file", True
        except OSError as problem:
            seen.problem, seen.hint = (
                f"it cannot be read: {problem.strerror}",
                "Run the task as a user who may read it.",
            )
        except NoCertificate as problem:
            seen.problem, seen.absent = str(problem), not isinstance(problem, TooManyCertificates)
        return [seen]

    return work


def _kubeconfig(params: Mapping[str, Any]) -> Seen:
    data, whose = certificate_secrets.of_kubeconfig(params["kubernetes"])
    seen = Seen(id="kubeconfig", place="kubeconfig", where=f"kubeconfig, {whose}", owner=params["owner"] or "")
    try:
        seen.sent = certificate_parse.from_pem(data)
    except NoCertificate as problem:
        seen.problem, seen.absent = str(problem), True
        if not data:
            seen.problem, seen.absent = f"{whose} has no client certificate", False
            seen.hint = "A token or a credential plugin is used: leave kubeconfig_certificate out."
    return seen


def _secrets(params: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The Secrets of both options, each once."""
    found: dict[tuple[str, str], Mapping[str, Any]] = {}
    for row in params["secrets"]:
        key = (row["namespace"], row["name"] or "")
        if key in found:
            raise InputError(f"secrets names {'/'.join(key)} twice.", option="secrets")
        found[key] = row
    namespaces = {namespace for namespace, name in found if not name}
    for row in list(found.values()):
        if row["name"] and row["namespace"] in namespaces:
            raise InputError(
                f"secrets names all of namespace {row['namespace']} and {row['name']} again.", option="secrets"
            )
    for row in params["endpoints"]:
        secret = row["secret"]
        if secret:
            key = (secret["namespace"], secret["name"])
            found.setdefault(key, {**secret, "names": [], "owner": row["owner"]})
    return list(found.values())


def _secret_work(cluster: Cluster, row: Mapping[str, Any], params: Mapping[str, Any]) -> Callable[[], list[Seen]]:
    namespace, name = row["namespace"], row["name"] or ""
    owner = row["owner"] or params["owner"] or ""

    def work() -> list[Seen]:
        here = Seen(
            f"{namespace}/{name}" if name else namespace, "secret", f"Secret {namespace}/{name or '*'}", owner=owner
        )
        try:
            if name:
                return [_kept(cluster.get("Secret", namespace, name), owner, tuple(row["names"]))]
            found = cluster.list("Secret", namespace, fields=f"type={certificate_secrets.TYPE}")
            if not found:
                cluster.require_namespace(namespace)
        except NotFoundError:
            here.problem, here.absent = "it does not exist", True
            here.hint = "Is it the right cluster, namespace and name? What refers to it has no certificate."
        except InputError as problem:
            here.problem, here.absent = problem.message, True
        except RunbookError as problem:
            here.problem, here.hint = problem.message, "Nothing is known of its certificate."
        else:
            if found:
                return [_kept(secret, owner, tuple(row["names"])) for secret in found]
            here.problem, here.absent = f"no Secret of type {certificate_secrets.TYPE} in namespace {namespace}", True
        return [here]

    return work


def _kept(secret: Mapping[str, Any], owner: str, names: tuple[str, ...]) -> Seen:
    metadata = secret["metadata"]
    id_ = f"{metadata['namespace']}/{metadata['name']}"
    seen = Seen(id_, "secret", f"Secret {id_}", wanted=names, owner=owner)
    try:
        kept = certificate_secrets.kept(secret)
    except NoCertificate as problem:
        seen.problem, seen.absent = str(problem), True
        return seen
    seen.sent, seen.renewer = kept.certificates, kept.renewer
    seen.key_belongs, seen.key_problem = kept.key_belongs, kept.key_problem
    return seen
