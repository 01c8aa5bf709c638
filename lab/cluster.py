# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Kubernetes control plane of the lab: its programs, who may log in, what is in it from the start."""

from __future__ import annotations

import base64
import json
import ssl
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from string import Template

from lab import fake_pods, objects, tls
from lab.credentials import KUBERNETES_USERS
from lab.gobuild import ETCD, KUBERNETES, KWOK
from lab.layout import REPOSITORY, Paths, address, ports, write_private
from lab.runner import METRICS_IP, METRICS_PORT
from lab.supervisor import Program

PROGRAMS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kwok")
# Clients of the API server that wait longer and longer when it is away; runner does not.
PATIENT = ("kube-controller-manager", "kube-scheduler", "kwok")
FAKE_NODES = ("kwok-0", "kwok-1", "kwok-2")
RUNNER_NODE = "runner-0"
RIGHTS = REPOSITORY / "docs" / "rbac.yml"  # what users of the collection copy
MANIFESTS = Path(__file__).parent / "manifests"
_GROUPS = dict.fromkeys(("admin", "kwok", "runner"), "system:masters")
_PROGRAM_USERS = {
    "kube-controller-manager": "system:kube-controller-manager",
    "kube-scheduler": "system:kube-scheduler",
    "kwok": "kwok",
    "runner": "runner",
}
_CONTEXTS = {"lab": "sre-runbooks", "lab-admin": "admin", "lab-narrow": "sre-narrow"}
_HEALTH = {
    "etcd": ("http", "etcd", "/readyz"),
    "kube-apiserver": ("https", "kube_apiserver", "/readyz"),
    "kube-controller-manager": ("https", "kube_controller_manager", "/healthz"),
    "kube-scheduler": ("https", "kube_scheduler", "/readyz"),
    "kwok": ("https", "kwok", "/healthz"),
    "runner": ("https", "runner", "/healthz"),
}


def admin_kubeconfig(paths: Paths) -> Path:
    """Logs in with all rights."""
    return paths.kubernetes / "admin.kubeconfig"


def program_kubeconfig(paths: Paths, program: str) -> Path:
    """Logs in as one of the lab's own programs."""
    return paths.kubernetes / f"{program}.kubeconfig"


def prepare(paths: Paths) -> None:
    """Write the files that the programs read; credentials and certificates are there."""
    rows = [
        f'{paths.secret(secret)},{user},{user},"{_GROUPS.get(user, "")}"\n' for user, secret in KUBERNETES_USERS.items()
    ]
    write_private(_tokens(paths), "".join(rows))
    _write_kubeconfig(paths, admin_kubeconfig(paths), {"lab-admin": "admin"})
    _write_kubeconfig(paths, paths.kubeconfig, _CONTEXTS, expired="lab-expired")
    for program, user in _PROGRAM_USERS.items():
        _write_kubeconfig(paths, program_kubeconfig(paths, program), {"lab": user})
    if not _service_account_key(paths).exists():
        write_private(_service_account_key(paths), tls.signing_key())
    egress = {
        "apiVersion": "apiserver.k8s.io/v1beta1",
        "kind": "EgressSelectorConfiguration",
        "egressSelections": [
            {
                "name": "cluster",
                "connection": {
                    "proxyProtocol": "HTTPConnect",
                    "transport": {"uds": {"udsName": str(paths.egress_socket)}},
                },
            }
        ],
    }
    write_private(_egress(paths), json.dumps(egress, indent=1) + "\n")
    write_private(_kwok_configuration(paths), fake_pods.configuration())


def programs(paths: Paths) -> list[Program]:
    """The programs in the order of their start; they need what ``gobuild`` makes."""
    flags: Mapping[str, dict[str, object]] = {
        "etcd": _etcd(paths),
        "kube-apiserver": _api_server(paths),
        "kube-controller-manager": _controller_manager(paths),
        "kube-scheduler": _scheduler(paths),
        "kwok": _kwok(paths),
    }
    binaries = {"etcd": [str(ETCD.path)], "kwok": [str(KWOK.path)]}
    return [
        Program(
            name,
            [
                *binaries.get(name, [str(KUBERNETES.path), name]),
                *(f"--{flag}={_text(value)}" for flag, value in own.items()),
            ],
            paths.kubernetes,
        )
        for name, own in flags.items()
    ]


def answers(program: str, paths: Paths) -> bool:
    """True when the program says that it is ready."""
    scheme, port, path = _HEALTH[program]
    trusted = paths.root / "runner" / "kubelet.pem" if program == "runner" else paths.ca_file
    try:
        tls_settings = ssl.create_default_context(cafile=str(trusted)) if scheme == "https" else None
        handlers = (urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=tls_settings))
        with urllib.request.build_opener(*handlers).open(f"{scheme}://{address(port)}{path}", timeout=5) as answer:
            return int(answer.status) == 200
    except OSError:
        return False


def furnish(paths: Paths) -> None:
    """Put in what the other programs expect: the definition of logs, the fake nodes. The API server answers."""
    client = objects.Client(admin_kubeconfig(paths))
    client.apply(fake_pods.log_definition())
    client.apply(MANIFESTS / "nodes.yml")
    client.wait_defined("logs.kwok.x-k8s.io")


def grant(paths: Paths) -> None:
    """Give the users their rights; namespace hafnium is there."""
    client = objects.Client(admin_kubeconfig(paths))
    for path in (RIGHTS, MANIFESTS / "users.yml"):
        client.apply(path)


def measure(paths: Paths) -> None:
    """Give metrics.k8s.io to the runner, which is there."""
    import yaml

    authority = base64.b64encode(paths.ca_file.read_bytes()).decode()
    variables = {"address": METRICS_IP, "port": str(METRICS_PORT), "authority": authority}
    text = Template((MANIFESTS / "metrics.yml").read_text(encoding="utf-8")).substitute(variables)
    client = objects.Client(admin_kubeconfig(paths))
    for document in yaml.safe_load_all(text):
        client.apply_object(document, "metrics.yml")


def trouble(paths: Paths) -> list[str]:
    """What is wrong with the nodes of a running cluster, a line each."""
    unready = objects.Client(admin_kubeconfig(paths)).unready_nodes((*FAKE_NODES, RUNNER_NODE))
    return [f"kubernetes: node {name} is not ready" for name in unready]


def _tokens(paths: Paths) -> Path:
    return paths.kubernetes / "tokens.csv"


def _egress(paths: Paths) -> Path:
    return paths.kubernetes / "egress.json"


def _kwok_configuration(paths: Paths) -> Path:
    return paths.kubernetes / "kwok.yml"


def _service_account_key(paths: Paths) -> Path:
    return paths.secret_file("service_account_key")


def _etcd(paths: Paths) -> dict[str, object]:
    url, peer_url = f"http://{address('etcd')}", f"http://{address('etcd_peer')}"
    return {
        "name": "lab",
        "data-dir": paths.etcd / "data",
        "listen-client-urls": url,
        "advertise-client-urls": url,
        "listen-peer-urls": peer_url,
        "initial-advertise-peer-urls": peer_url,
        "initial-cluster": f"lab={peer_url}",
        "unsafe-no-fsync": True,
        "log-level": "warn",
    }


def _api_server(paths: Paths) -> dict[str, object]:
    certificate, client = tls.kubernetes_server(paths), tls.kubelet_client(paths)
    return {
        "etcd-servers": f"http://{address('etcd')}",
        **_listener(paths, "kube_apiserver"),
        "advertise-address": "127.0.0.1",
        "endpoint-reconciler-type": "none",
        "service-cluster-ip-range": "10.96.0.0/16",
        "authorization-mode": "RBAC",
        "token-auth-file": _tokens(paths),
        "service-account-issuer": "https://kubernetes.default.svc",
        "service-account-key-file": _service_account_key(paths),
        "service-account-signing-key-file": _service_account_key(paths),
        "api-audiences": "https://kubernetes.default.svc",
        "kubelet-client-certificate": client,
        "kubelet-client-key": client,
        "kubelet-preferred-address-types": "InternalIP",
        "egress-selector-config-file": _egress(paths),
        "enable-aggregator-routing": True,  # to the address of the metrics source: nothing serves cluster addresses
        "cert-dir": certificate.parent,
        "profiling": False,
        "shutdown-send-retry-after": True,  # open watches then hold up its end for two seconds instead of sixty
    }


def _controller_manager(paths: Paths) -> dict[str, object]:
    return {
        "kubeconfig": program_kubeconfig(paths, "kube-controller-manager"),
        **_listener(paths, "kube_controller_manager"),
        "use-service-account-credentials": True,
        "service-account-private-key-file": _service_account_key(paths),
        "root-ca-file": paths.ca_file,
        "leader-elect": False,
        "horizontal-pod-autoscaler-sync-period": "5s",
        "horizontal-pod-autoscaler-downscale-stabilization": "10s",
        "horizontal-pod-autoscaler-initial-readiness-delay": "5s",
        "horizontal-pod-autoscaler-cpu-initialization-period": "2m",  # so long the start of a service is no load
        "kube-api-qps": 200,
        "kube-api-burst": 400,
        "profiling": False,
    }


def _scheduler(paths: Paths) -> dict[str, object]:
    return {
        "kubeconfig": program_kubeconfig(paths, "kube-scheduler"),
        **_listener(paths, "kube_scheduler"),
        "leader-elect": False,
        "kube-api-qps": 200,
        "kube-api-burst": 400,
        "profiling": False,
    }


def _kwok(paths: Paths) -> dict[str, object]:
    return {
        "kubeconfig": program_kubeconfig(paths, "kwok"),
        "config": _kwok_configuration(paths),
        "manage-all-nodes": False,
        "manage-nodes-with-annotation-selector": "kwok.x-k8s.io/node=fake",
        "cidr": "10.244.128.1/17",
        "node-ip": "127.0.0.1",
        "node-name": "localhost",  # a node without a host name loses its address when it becomes ready again
        "node-port": ports()["kwok"],
        "server-address": address("kwok"),
        "tls-cert-file": tls.kubernetes_server(paths),
        "tls-private-key-file": tls.kubernetes_server(paths),
        "node-lease-duration-seconds": 0,  # a lease of a killed kwok would hold its nodes until it runs out
        "enable-crds": "Logs",
    }


def _listener(paths: Paths, port: str) -> dict[str, object]:
    certificate = tls.kubernetes_server(paths)
    return {
        "bind-address": "127.0.0.1",
        "secure-port": ports()[port],
        "tls-cert-file": certificate,
        "tls-private-key-file": certificate,
    }


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _write_kubeconfig(paths: Paths, path: Path, contexts: Mapping[str, str], expired: str | None = None) -> None:
    """Contexts by name with their users; the first one is the current one. ``expired``: one whose token is unknown."""
    tokens = {user: paths.secret(KUBERNETES_USERS[user]) for user in contexts.values()}
    known = dict(contexts)
    if expired:
        known[expired] = "expired"
        tokens["expired"] = "expired"
    cluster = {"server": f"https://{address('kube_apiserver')}", "certificate-authority": str(paths.ca_file)}
    text = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "lab", "cluster": cluster}],
        "users": [{"name": user, "user": {"token": token}} for user, token in tokens.items()],
        "contexts": [{"name": name, "context": {"cluster": "lab", "user": user}} for name, user in known.items()],
        "current-context": next(iter(known)),
    }
    import yaml

    write_private(path, yaml.safe_dump(text, sort_keys=False))
