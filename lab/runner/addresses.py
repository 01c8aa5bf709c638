# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Addresses of pods: what the cluster sees, and the loopback address on which the process really listens.

10.244.x.y is 127.(64 + number of the lab).x.y, so that the pods of several labs do not meet.
"""

from __future__ import annotations

import ipaddress
from collections import deque

from lab.layout import number

_CLUSTER = ipaddress.IPv4Network("10.244.0.0/16")
_FIRST_LOOPBACK = ipaddress.IPv4Address("127.64.0.0")


def loopback(pod_ip: str) -> str:
    """The loopback address of a pod address; ValueError for any other address."""
    address = ipaddress.IPv4Address(pod_ip)
    if address not in _CLUSTER:
        raise ValueError(f"{pod_ip} is not a pod address ({_CLUSTER})")
    return str(_FIRST_LOOPBACK + 2**16 * number() + int(address) - int(_CLUSTER.network_address))


class AddressPool:
    """Hands out the addresses of one range in turn, so that one that was given back rests as long as possible."""

    def __init__(self, cidr: str) -> None:
        network = ipaddress.IPv4Network(cidr)
        if not network.subnet_of(_CLUSTER):
            raise ValueError(f"{cidr} is not a part of {_CLUSTER}")
        self._free = deque(str(address) for address in network.hosts())

    def take(self, wanted: str | None = None) -> str:
        """The wanted address when it is free, else the one that rested longest; IndexError when none is left."""
        if wanted is not None and wanted in self._free:
            self._free.remove(wanted)
            return wanted
        return self._free.popleft()

    def give_back(self, address: str) -> None:
        self._free.append(address)
