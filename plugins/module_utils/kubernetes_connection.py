# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which API server, and with which credentials: from options, a kubeconfig, or the service account of a pod.

The kubeconfig is read by the official client library, with its exec plugins and its refresh of tokens; what it finds is
turned into a TLS context and headers for ``http_client``. Files that the library writes for embedded keys are gone
before the first request.
"""

from __future__ import annotations

import os
import ssl
import tempfile
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import env_fallback

from . import libraries
from .argspec import ArgumentSpec
from .errors import InputError, UnreachableError
from .http_tls import Tls

try:
    import yaml
    from kubernetes import client as kubernetes_client
    from kubernetes import config as kubernetes_config
    from kubernetes.config import kube_config
except ImportError as error:
    libraries.record("kubernetes", error)

CREDENTIAL_SECONDS = 30.0
REFRESH_SECONDS = 60.0


def _option(environment: str, **spec: Any) -> dict[str, Any]:
    return {**spec, "fallback": (env_fallback, [environment])}


OPTIONS: dict[str, dict[str, Any]] = {
    "kubeconfig": _option("K8S_AUTH_KUBECONFIG", type="path"),
    "context": _option("K8S_AUTH_CONTEXT", type="str"),
    "host": _option("K8S_AUTH_HOST", type="str"),
    "api_key": _option("K8S_AUTH_API_KEY", type="str", no_log=True),
    "ca_cert": _option("K8S_AUTH_SSL_CA_CERT", type="path"),
    "client_cert": _option("K8S_AUTH_CERT_FILE", type="path"),
    "client_key": _option("K8S_AUTH_KEY_FILE", type="path", no_log=False),
    "validate_certs": _option("K8S_AUTH_VERIFY_SSL", type="bool"),
}

# For modules whose other options would clash with these: the same, inside one option named kubernetes.
NESTED = ArgumentSpec(options={"kubernetes": {"type": "dict", "options": OPTIONS, "apply_defaults": True}})


@dataclass
class Connection:
    """``url`` of the API server, ``tls``, and how the caller is called in messages (``user``, no secret)."""

    url: str
    tls: Tls
    user: str
    _token: Callable[[], str] = field(default=lambda: "")

    def headers(self) -> dict[str, str]:
        """The secret headers of a request; a token that can expire is fetched anew when it is time."""
        token = self._token()
        return {"Authorization": token} if token else {}


@dataclass(frozen=True)
class _ReadyTls(Tls):
    """A TLS context that was made while its key files were there."""

    ready: ssl.SSLContext = field(default_factory=ssl.create_default_context)

    def context(self) -> ssl.SSLContext:
        return self.ready


def connect(options: Mapping[str, Any] | None) -> Connection:
    """From the connection options (see ``OPTIONS``); InputError says which source of credentials is wrong, and how."""
    given = {name: (options or {}).get(name) for name in OPTIONS}
    found: list[Connection | Exception] = []

    def look() -> None:
        try:
            found.append(_connect(given))
        except Exception as problem:  # noqa: BLE001  handed over to the caller's thread
            found.append(problem)

    # A credential plugin can hang and cannot be interrupted, so it is asked in a thread that is left behind.
    thread = threading.Thread(target=look, name="credentials", daemon=True)
    thread.start()
    thread.join(CREDENTIAL_SECONDS)
    if not found:
        raise UnreachableError(
            f"the credentials were not to be had within {CREDENTIAL_SECONDS:g} s: a credential plugin hangs?"
        )
    if isinstance(found[0], Exception):
        raise found[0]
    return found[0]


def _connect(given: dict[str, Any]) -> Connection:
    with tempfile.TemporaryDirectory(prefix="sre-runbooks-") as scratch:
        try:
            configuration, source = _configuration(given, scratch)
            tls = _tls(configuration)
        finally:
            kube_config._cleanup_temp_files()
    return Connection(_server(configuration.host, source), tls, source, _token_source(configuration))


def _configuration(given: dict[str, Any], scratch: str) -> tuple[Any, str]:
    """The client library's configuration and the name of its source."""
    configuration = kubernetes_client.Configuration()
    configuration.host = ""
    configuration.api_key = {}
    source = _loaded(configuration, given, scratch)
    if given["host"]:
        configuration.host = given["host"]
    if given["api_key"]:
        configuration.api_key = {"BearerToken": f"Bearer {given['api_key']}"}
        configuration.refresh_api_key_hook = None
        source = "the token of api_key"
    for option, attribute in (("ca_cert", "ssl_ca_cert"), ("client_cert", "cert_file"), ("client_key", "key_file")):
        if given[option]:
            if not Path(given[option]).is_file():
                raise InputError(f"{option} {given[option]} is no file.", option=option)
            setattr(configuration, attribute, given[option])
    if given["validate_certs"] is not None:
        configuration.verify_ssl = given["validate_certs"]
    return configuration, source


def _loaded(configuration: Any, given: dict[str, Any], scratch: str) -> str:
    """Fill in from the kubeconfig or from the pod's service account; gives the source's name."""
    environment = os.environ
    named = given["kubeconfig"] or environment.get("KUBECONFIG") or ""
    default = Path(environment.get("HOME") or "~").expanduser() / ".kube" / "config"
    if given["host"] and not given["kubeconfig"] and not given["context"]:
        return "no credentials"
    if named or default.is_file():
        return _from_kubeconfig(configuration, named or str(default), given["context"], scratch)
    if environment.get("KUBERNETES_SERVICE_HOST"):
        try:
            kubernetes_config.load_incluster_config(client_configuration=configuration)
        except kubernetes_config.ConfigException as problem:
            raise InputError(f"the service account of this pod cannot be used: {problem}.") from None
        return "the service account of this pod"
    raise InputError(
        "no cluster is named: give kubeconfig (or the variable KUBECONFIG), or host with api_key "
        f"(K8S_AUTH_HOST, K8S_AUTH_API_KEY); {default} does not exist, and this is no pod."
    )


def _from_kubeconfig(configuration: Any, paths: str, context: str | None, scratch: str) -> str:
    files = [path for path in paths.split(kube_config.ENV_KUBECONFIG_PATH_SEPARATOR) if path]
    if not any(Path(path).expanduser().is_file() for path in files):
        raise InputError(f"kubeconfig {paths} is no file.", option="kubeconfig")
    try:
        loader = kube_config._get_kube_config_loader(filename=paths, active_context=context, temp_file_path=scratch)
        loader.load_and_set(configuration)
    except kubernetes_config.ConfigException as problem:
        text = " ".join(str(problem).split())
        raise InputError(f"kubeconfig {paths} cannot be used{_for(context)}: {text}.", option="kubeconfig") from None
    except (OSError, ValueError, TypeError, KeyError, AttributeError, yaml.YAMLError) as problem:
        kind = type(problem).__name__
        raise InputError(
            f"kubeconfig {paths} cannot be read{_for(context)}: {kind}: {' '.join(str(problem).split())[:300]}.",
            option="kubeconfig",
        ) from None
    current = loader.current_context or {}
    user = (current.get("context") or {}).get("user") or "no user"
    return f"user {user} of context {current.get('name')}"


def _for(context: str | None) -> str:
    return f" with context {context}" if context else ""


def _server(host: str, source: str) -> str:
    if not host:
        raise InputError(f"{source} names no API server.", option="host")
    if host.startswith("http://"):
        raise InputError(
            f"the API server {host} is not asked without TLS: credentials would be sent in the clear.", option="host"
        )
    return (host if host.startswith("https://") else f"https://{host}").rstrip("/")


def _tls(configuration: Any) -> Tls:
    settings = Tls(
        validate=bool(configuration.verify_ssl),
        ca_path=configuration.ssl_ca_cert or "",
        cert_path=configuration.cert_file or "",
        key_path=configuration.key_file or "",
        server_name=configuration.tls_server_name or "",
    )
    return _ReadyTls(validate=settings.validate, server_name=settings.server_name, ready=settings.context())


def _token_source(configuration: Any) -> Callable[[], str]:
    lock = threading.Lock()

    def token() -> str:
        with lock:
            key = configuration.get_api_key_with_prefix("BearerToken")
        return str(key or "")

    return token
