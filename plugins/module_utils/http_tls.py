# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""TLS options: files are tried before anything is contacted, so that a wrong one is named by its option."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import InputError


@dataclass(frozen=True)
class Tls:
    """What a connection trusts and shows. The files were found usable when this was made by ``tls_settings``.

    ``server_name`` is the name that the certificate must bear when it is not that of the URL.
    """

    validate: bool = True
    ca_path: str = ""
    cert_path: str = ""
    key_path: str = ""
    server_name: str = ""

    def context(self) -> ssl.SSLContext:
        """For client connections. Without ca_path the authorities of the system are trusted."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        if self.ca_path:
            _load_authorities(context, self.ca_path)
        elif self.validate:
            context.load_default_certs()
        if not self.validate:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if self.cert_path:
            _load_certificate(context, self.cert_path, self.key_path)
        return context


def tls_settings(params: Mapping[str, Any]) -> Tls:
    """From validate_certs, ca_path, client_cert_path and client_key_path; InputError names the file that is wrong."""
    paths = (params[name] or "" for name in ("ca_path", "client_cert_path", "client_key_path"))
    settings = Tls(params["validate_certs"], *paths)
    if settings.ca_path or settings.cert_path:
        settings.context()
    return settings


def _load_authorities(context: ssl.SSLContext, ca_path: str) -> None:
    try:
        if Path(ca_path).is_dir():
            context.load_verify_locations(capath=ca_path)
        else:
            context.load_verify_locations(cafile=ca_path)
    except OSError as error:
        raise InputError(f"ca_path {ca_path} cannot be used: {_reason(error)}.", option="ca_path") from None


def _load_certificate(context: ssl.SSLContext, cert_path: str, key_path: str) -> None:
    for option, path in (("client_cert_path", cert_path), ("client_key_path", key_path)):
        if path and not Path(path).is_file():
            raise InputError(f"{option} {path} is no file.", option=option)
    try:
        # an encrypted key would ask for its password on the terminal
        context.load_cert_chain(cert_path, key_path or None, password=lambda: b"")
    except (OSError, ValueError) as error:
        named = f"client_cert_path {cert_path}" + (f" with client_key_path {key_path}" if key_path else "")
        raise InputError(
            f"{named} cannot be used: {_reason(error)}. "
            "Both must be PEM and belong together, and the key must not be encrypted.",
            option="client_cert_path",
        ) from None


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return f"no valid PEM ({error.reason or error})"
    return getattr(error, "strerror", None) or str(error)
