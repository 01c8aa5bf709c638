# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Objects of one kind by their names, in as few requests as may be."""

from __future__ import annotations

from collections.abc import Sequence

from . import kubernetes_objects as objects
from .kubernetes_client import Cluster
from .kubernetes_errors import ForbiddenError
from .kubernetes_objects import Object


class NamedReader:
    """One list request for several names. A Role may allow to get just these: then each is asked for."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._not_listed: set[tuple[str, str]] = set()

    def read(self, kind: str, namespace: str, names: Sequence[str], labels: str = "") -> dict[str, Object]:
        """Those that exist, by name. ``labels`` may narrow the list; it must match all that are wanted."""
        if len(names) > 1 and (kind, namespace) not in self._not_listed:
            try:
                listed = self._cluster.list(kind, namespace, labels)
            except ForbiddenError:
                self._not_listed.add((kind, namespace))
            else:
                wanted = set(names)
                return {objects.name(one): one for one in listed if objects.name(one) in wanted}
        found = (self._cluster.find(kind, namespace, name) for name in names)
        return {objects.name(one): one for one in found if one}
