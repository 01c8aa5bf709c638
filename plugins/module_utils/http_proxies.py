# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The proxy that the environment names for a URL: http_proxy, https_proxy, all_proxy, no_proxy."""

from __future__ import annotations

import ipaddress
import urllib.request
from urllib.parse import unquote, urlsplit


def proxy_for(url: str) -> str:
    """URL of the proxy, empty when the URL is to be asked directly. no_proxy may hold names, addresses and networks."""
    proxies = urllib.request.getproxies()
    parts = urlsplit(url)
    proxy = proxies.get(parts.scheme) or proxies.get("all") or ""
    if not proxy or not parts.hostname:
        return ""
    if urllib.request.proxy_bypass(parts.netloc.rpartition("@")[2]) or _in_a_network(
        parts.hostname, proxies.get("no", "")
    ):
        return ""
    return proxy


def address(proxy: str) -> tuple[str, str | None]:
    """The proxy's URL without credentials, and these as ``user:password``."""
    url = proxy if "://" in proxy else f"http://{proxy}"
    parts = urlsplit(url)
    userinfo, _at, host = parts.netloc.rpartition("@")
    return f"{parts.scheme}://{host}", unquote(userinfo) or None


def _in_a_network(host: str, no_proxy: str) -> bool:
    try:
        asked = ipaddress.ip_address(host)
    except ValueError:
        return False
    for entry in no_proxy.split(","):
        try:
            if "/" in entry and asked in ipaddress.ip_network(entry.strip(), strict=False):
                return True
        except ValueError:
            continue
    return False
