# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From targets to the instances behind them, each of which is asked on its own.

A target is a URL, or the pods of a Service or of a label selector; pods are asked through the API server's proxy, so that
a load balancer neither hides the one that is ill nor mixes the counters of several. A target without instances is an
explicit result, never nothing. See ``instances_pods`` for how pods are found.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, TypeVar

from . import checks, http_auth, http_client, instances_pods, kubernetes_connection, libraries
from .argspec import ArgumentSpec
from .checks import Check
from .errors import InputError
from .http_client import Answer
from .instances_pods import Pod, Pods
from .instances_proxy import through_proxy
from .kubernetes_client import Cluster
from .operation import Context

_OF_HTTP = (
    "validate_certs",
    "ca_path",
    "client_cert_path",
    "client_key_path",
    "connect_timeout_seconds",
    "request_timeout_seconds",
    "max_body_bytes",
    "use_proxy",
    "timeout",
)
SPEC = ArgumentSpec(
    options={
        **{name: http_client.SPEC.options[name] for name in _OF_HTTP},
        "concurrency": {"type": "int", "default": 32},
    },
    required_by=http_client.SPEC.required_by,
).merge(http_auth.SPEC, kubernetes_connection.NESTED)

# Suboptions of a target; a module adds its own.
TARGET_OPTIONS: dict[str, dict[str, Any]] = {
    "name": {"type": "str", "required": True},
    "url": {"type": "str"},
    "namespace": {"type": "str"},
    "service": {"type": "str"},
    "selector": {"type": "str"},
    "port": {"type": "str"},
    "scheme": {"type": "str", "default": "http", "choices": ["http", "https"]},
    "min_instances": {"type": "int", "default": 1},
}

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,99}")
MOST_TARGETS = 10_000
MOST_NAMED = 20
MANY = 50  # instances from which on it is told how far they are

_T = TypeVar("_T")
_R = TypeVar("_R")


@dataclass(frozen=True)
class Target:
    """One target, checked. ``row`` is what the caller wrote, with a module's own suboptions."""

    name: str
    url: str = ""
    namespace: str = ""
    service: str = ""
    selector: str = ""
    port: str = ""
    scheme: str = "http"
    min_instances: int = 1
    row: Mapping[str, Any] = field(default_factory=dict)

    @property
    def in_kubernetes(self) -> bool:
        return not self.url

    @property
    def described(self) -> str:
        if self.url:
            return http_client.shown_url(self.url)
        what = f"Service {self.service}" if self.service else f"pods with {self.selector}"
        return f"{what} in namespace {self.namespace}"


def plan(rows: Sequence[Mapping[str, Any]]) -> list[Target]:
    """The targets in order; InputError names the one that is wrong. Nothing was asked then."""
    if not rows:
        raise InputError("targets is empty: a check that asks nobody proves nothing.", option="targets")
    if len(rows) > MOST_TARGETS:
        raise InputError(f"targets has {len(rows)} items, more than {MOST_TARGETS}.", option="targets")
    targets: dict[str, Target] = {}
    for number, row in enumerate(rows, start=1):
        target = _target(row, f"targets[{number}] ({row['name']!r})")
        if target.name in targets:
            raise InputError(f"targets has two items with the name {target.name!r}; each needs its own.")
        targets[target.name] = target
    return list(targets.values())


def _target(row: Mapping[str, Any], where: str) -> Target:
    if not NAME.fullmatch(row["name"]):
        raise InputError(f"{where}: a name has up to 100 letters, digits and ._:- and begins with a letter or digit.")
    given = [name for name in ("url", "service", "selector") if (row.get(name) or "").strip()]
    if len(given) != 1:
        raise InputError(
            f"{where}: give exactly one of url, service, selector; it has {' and '.join(given) or 'none'}."
        )
    if row.get("min_instances", 1) < 1:
        raise InputError(f"{where}: min_instances is {row['min_instances']}; expect at least 1.")
    if row.get("url"):
        beside = [name for name in ("namespace", "port") if row.get(name)]
        if beside:
            raise InputError(f"{where}: {beside[0]} belongs to pods, and this target is a url.")
        return Target(row["name"], http_client.check_url(row["url"], f"{where}: url"), row=row)
    if not row.get("namespace"):
        raise InputError(f"{where}: pods need a namespace; it is never taken from a context.")
    return Target(
        name=row["name"],
        namespace=row["namespace"],
        service=row.get("service") or "",
        selector=row.get("selector") or "",
        port=row.get("port") or "",
        scheme=row.get("scheme") or "http",
        min_instances=row.get("min_instances", 1),
        row=row,
    )


@dataclass
class Instance:
    """One process that answers. ``pod`` is None behind a URL.

    ``id`` is the part of check ids that names it: the target's name, and for pods the pod's name after a dot.
    """

    id: str
    target: Target
    pod: Pod | None
    _send: Callable[[str, Mapping[str, str], float | None], Answer]

    @property
    def not_serving(self) -> str:
        """Why it cannot answer, as Kubernetes says (``Pending: ImagePullBackOff``); empty when it can be asked."""
        return self.pod.not_serving if self.pod else ""

    def fetch(
        self, path: str, headers: Mapping[str, str] | None = None, timeout_seconds: float | None = None
    ) -> Answer:
        """The answer to one GET below the instance's root. It is asked once: what is seen then is the observation."""
        return self._send(path, headers or {}, timeout_seconds)


@dataclass
class Resolved:
    """A target and its instances, which are none when ``check`` says why.

    ``check`` judges their number (id ``<name>.instances``); None for a URL, whose instances nobody can count. When the
    API server is ``unreachable`` for all targets, the first one bears the check ``cluster.reachable``, the others none.
    """

    target: Target
    instances: list[Instance] = field(default_factory=list)
    check: Check | None = None
    unreachable: bool = False


class Instances:
    """The way to all instances. Close it, or use it as a context manager; several threads may fetch.

    ``params`` are the options of SPEC. InputError when they are wrong, LibraryError when pods are asked for without the
    library kubernetes.
    """

    def __init__(self, params: Mapping[str, Any], context: Context) -> None:
        settings = http_client.settings({**params, "retries": 0, "follow_redirects": False})
        self.concurrency = int(http_client.require_range(params, "concurrency", 1, 256))
        self._params, self._context = params, context
        self._max_body_bytes = settings.max_body_bytes
        self._request_seconds = settings.request_timeout_seconds
        self._secret_headers = http_auth.authorization(params, context.clock)
        self._http = http_client.Client(settings, context, connections=self.concurrency, cookies=False)
        self._cluster: Cluster | None = None

    def __enter__(self) -> Instances:
        return self

    def __exit__(self, *exc: object) -> None:
        self._http.close()
        if self._cluster:
            self._cluster.close()

    def resolve(self, targets: list[Target]) -> list[Resolved]:
        """Every target with its instances, in order."""
        pods: Pods | None = None
        in_kubernetes = [target for target in targets if target.in_kubernetes]
        if in_kubernetes:
            libraries.require(("kubernetes",))
            self._cluster = Cluster(self._params["kubernetes"], self._context, connections=self.concurrency)
            wanted = [(target.namespace, target.service) for target in in_kubernetes if target.service]
            pods = Pods(self._cluster, wanted)
        found = list(self.each(targets, lambda target: self._resolved(target, pods)))
        _say_once([one for one in found if one.target.in_kubernetes])
        return found

    def each(self, items: Iterable[_T], work: Callable[[_T], _R], told: str = "") -> Iterator[_R]:
        """The results of ``work`` in the order of the items, at most ``concurrency`` at a time."""
        rows = list(items)
        if not rows:
            return
        with ThreadPoolExecutor(min(self.concurrency, len(rows)), thread_name_prefix="instances") as pool:
            for done, result in enumerate(pool.map(work, rows), start=1):
                if told and len(rows) >= MANY:
                    self._context.progress(f"{done} of {len(rows)} {told}")
                yield result

    def _resolved(self, target: Target, pods: Pods | None) -> Resolved:
        if pods is None or not target.in_kubernetes:
            return Resolved(target, [Instance(target.name, target, None, partial(self._ask_url, target))])
        found = pods.of(target.namespace, target.service, target.selector, target.port)
        ask = partial(self._ask_pod, pods.cluster, target)
        instances = [Instance(f"{target.name}.{pod.name}", target, pod, partial(ask, pod)) for pod in found.pods]
        return Resolved(target, instances, _enough(target, found), found.unreachable)

    def _ask_url(self, target: Target, path: str, headers: Mapping[str, str], seconds: float | None) -> Answer:
        request = self._request(http_client.join(target.url, path), headers, seconds)
        return self._http.send(replace(request, secret_headers=self._secret_headers))

    def _ask_pod(
        self, cluster: Cluster, target: Target, pod: Pod, path: str, headers: Mapping[str, str], seconds: float | None
    ) -> Answer:
        """Without the credentials of the options: the API server takes ``Authorization`` for its own."""
        name = f"https:{pod.name}" if target.scheme == "https" else pod.name
        url = cluster.proxy_url("Pod", target.namespace, name, pod.port, path)
        return through_proxy(cluster.send(self._request(url, headers, seconds)), pod, cluster.user)

    def _request(self, url: str, headers: Mapping[str, str], seconds: float | None) -> http_client.Request:
        return http_client.Request(
            "GET",
            url,
            headers=headers,
            repeatable=False,
            timeout_seconds=seconds or self._request_seconds,
            max_body_bytes=self._max_body_bytes,
        )


def _say_once(resolved: Sequence[Resolved]) -> None:
    """An API server that answers nobody is one thing that could not be observed, not one for each target."""
    if not resolved or not all(one.unreachable for one in resolved):
        return
    names = [one.target.name for one in resolved]
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    first = resolved[0]
    observed = first.check.observed if first.check else None
    for one in resolved:
        one.check = None
    first.check = Check(
        id="cluster.reachable",
        title="The API server answers, and accepts the credentials",
        status=checks.UNVERIFIED,
        observed=observed,
        expected="the pods of each target",
        hint=f"Nothing is known of {', '.join(names[:MOST_NAMED])}{more}: this is no word on whether they run.",
    )


def _enough(target: Target, found: instances_pods.Found) -> Check:
    ready = sum(pod.ready for pod in found.pods)
    check = Check(
        id=f"{target.name}.instances",
        title=f"{target.name}: instances of {target.described}",
        status=checks.status_of(ready >= target.min_instances),
        observed=f"{ready} of {len(found.pods)} ready",
        expected=f"at least {target.min_instances} ready",
        hint="Pods that have not been made do not show here: rollout_status and workload_diagnosis tell of them.",
    )
    if found.problem:
        check.observed, check.hint = found.problem, found.hint
        check.status = checks.UNVERIFIED if found.unknown else checks.FAIL
    return check
