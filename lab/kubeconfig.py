# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the lab's own programs reach an API server: the current context of a kubeconfig file."""

from __future__ import annotations

import base64
import ssl
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.layout import LabError


@dataclass(frozen=True)
class Access:
    """Address of the server, the TLS settings and the headers that log in."""

    server: str
    tls: ssl.SSLContext
    headers: Mapping[str, str]


def read(path: Path) -> Access:
    """The current context of the file. LabError when it cannot be read or names nothing usable."""
    import yaml

    try:
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
        context = _named(config, "contexts", config["current-context"])["context"]
        cluster = _named(config, "clusters", context["cluster"])["cluster"]
        user = _named(config, "users", context["user"])["user"]
        tls = _trust(cluster, path.parent)
        _certificate(user, path.parent, tls)
        headers = {"Authorization": f"Bearer {user['token']}"} if user.get("token") else {}
        return Access(str(cluster["server"]).rstrip("/"), tls, headers)
    except OSError as error:
        raise LabError(f"kubeconfig {path} cannot be used: {error.strerror} ({error.filename or path})") from None
    except (KeyError, TypeError, ValueError, yaml.YAMLError) as error:
        raise LabError(f"kubeconfig {path} is incomplete: {type(error).__name__} {error}") from None


def _named(config: Any, group: str, name: str) -> Any:
    for entry in config[group]:
        if entry["name"] == name:
            return entry
    raise KeyError(f"{group}: no entry {name!r}")


def _trust(cluster: Mapping[str, Any], folder: Path) -> ssl.SSLContext:
    authority = cluster.get("certificate-authority-data")
    text = base64.b64decode(authority).decode() if authority else None
    file = cluster.get("certificate-authority")
    context = ssl.create_default_context(cafile=str(folder / file) if file else None, cadata=text)
    if cluster.get("insecure-skip-tls-verify"):
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _certificate(user: Mapping[str, Any], folder: Path, context: ssl.SSLContext) -> None:
    if user.get("client-certificate"):
        context.load_cert_chain(folder / user["client-certificate"], folder / user["client-key"])
    elif user.get("client-certificate-data"):
        with (
            tempfile.NamedTemporaryFile() as pem
        ):  # the ssl module reads files only; this one is private and short-lived
            for key in ("client-certificate-data", "client-key-data"):
                pem.write(base64.b64decode(user[key]))
            pem.flush()
            context.load_cert_chain(pem.name)
