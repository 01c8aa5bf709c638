# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Certificates that Kubernetes keeps: Secrets of type kubernetes.io/tls, and the caller's own in a kubeconfig.

The key of a Secret is compared with its certificate here and goes no further.
"""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import certificate_parse, kubernetes_objects, kubernetes_owners, libraries
from .certificate_parse import Certificate, NoCertificate
from .errors import InputError

try:
    import yaml
    from kubernetes import config as kubernetes_config
    from kubernetes.config import kube_config
except ImportError as error:
    libraries.record("kubernetes", error)

TYPE = "kubernetes.io/tls"
MOST_BYTES = 1_048_576
_CERT_MANAGER = "cert-manager.io/"
_DEPLOYERS = frozenset({"helm", "argocd", "flux", "controller"})


@dataclass(frozen=True)
class Renewer:
    """Who renews a certificate. ``by`` is ``cert-manager``, another controller, a deployment tool, or empty: nobody known."""

    by: str = ""
    name: str = ""
    issuer: str = ""

    def __str__(self) -> str:
        issuer = f" with {self.issuer}" if self.issuer else ""
        return f"{self.by} ({self.name}{issuer})" if self.by else "nobody that is known: by hand"


@dataclass(frozen=True)
class Kept:
    """The certificates of a Secret. ``key_belongs`` is None when the key is absent or cannot be read."""

    certificates: list[Certificate]
    key_belongs: bool | None
    key_problem: str
    renewer: Renewer


def kept(secret: Mapping[str, Any]) -> Kept:
    """What a Secret holds; raises NoCertificate when it is none with a certificate."""
    data = secret.get("data") or {}
    if "tls.crt" not in data:
        raise NoCertificate(f"it has no tls.crt; it is of type {secret.get('type') or 'unknown'}, not {TYPE}")
    certificates = certificate_parse.from_pem(_decoded(data["tls.crt"]))
    belongs, problem = None, "it has no tls.key"
    if data.get("tls.key"):
        belongs = certificate_parse.key_belongs(certificates[0], _decoded(data["tls.key"]))
        problem = "" if belongs is not None else "its tls.key cannot be read"
    return Kept(certificates, belongs, problem, renewer(secret))


def renewer(secret: Mapping[str, Any]) -> Renewer:
    """Who renews it: what cert-manager notes on its Secrets, the object's controller, or the tool that deploys it."""
    notes = kubernetes_objects.annotations_of(dict(secret))
    name = notes.get(f"{_CERT_MANAGER}certificate-name")
    if name:
        issuer = notes.get(f"{_CERT_MANAGER}issuer-name", "")
        kind = notes.get(f"{_CERT_MANAGER}issuer-kind", "Issuer")
        return Renewer("cert-manager", f"Certificate {name}", f"{kind} {issuer}" if issuer else "")
    for owner in (secret.get("metadata") or {}).get("ownerReferences") or []:
        return Renewer(str(owner.get("kind") or "a controller"), str(owner.get("name") or ""))
    for writer in kubernetes_owners.writers(secret, "template"):
        if writer.id in _DEPLOYERS:
            return Renewer(writer.id, writer.name)
    return Renewer()


def of_kubeconfig(options: Mapping[str, Any] | None) -> tuple[bytes, str]:
    """The client certificate (PEM) of the options or of the kubeconfig's user, and whose it is.

    Empty when the user has other credentials. InputError when there is no such file or no such user.
    """
    given = options or {}
    if given.get("client_cert"):
        return _file(Path(str(given["client_cert"])), "client_cert"), f"client_cert {given['client_cert']}"
    paths = given.get("kubeconfig") or os.environ.get("KUBECONFIG") or str(Path.home() / ".kube" / "config")
    try:
        merged = kube_config.KubeConfigMerger(str(paths)).config
        if merged is None:
            raise InputError(f"kubeconfig {paths} is no file.", option="kubeconfig")
        context = given.get("context") or merged.safe_get("current-context") or ""
        name = merged["contexts"].get_with_name(context)["context"]["user"]
        node = merged["users"].get_with_name(name)["user"]
        whose = f"user {name} of context {context}"
        if node.safe_get("client-certificate-data"):
            return base64.b64decode(node["client-certificate-data"]), whose
        if node.safe_get("client-certificate"):
            folder = Path(node.path or str(paths)).expanduser().parent
            return _file(folder / node["client-certificate"], "kubeconfig"), whose
    except kubernetes_config.ConfigException as problem:
        raise InputError(f"kubeconfig {paths}: {' '.join(str(problem).split())}.", option="kubeconfig") from None
    except (OSError, ValueError, TypeError, KeyError, AttributeError, yaml.YAMLError) as problem:
        kind = type(problem).__name__
        raise InputError(f"kubeconfig {paths} cannot be read: {kind}.", option="kubeconfig") from None
    return b"", whose


def _file(path: Path, option: str) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MOST_BYTES)
    except OSError as problem:
        raise InputError(f"{option}: {path} cannot be read: {problem.strerror}.", option=option) from None


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise NoCertificate("its data is not base64") from None
