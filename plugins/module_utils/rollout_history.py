# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The revisions of many workloads, side by side, each with a check that says whether there is one to go back to."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from . import kubernetes_history, kubernetes_objects
from .argspec import ArgumentSpec
from .checks import FAIL, UNVERIFIED, Check, Status, report
from .errors import InputError
from .kubernetes_client import SPEC as CONNECTION
from .kubernetes_client import Cluster
from .kubernetes_errors import ApiError, NotFoundError
from .kubernetes_history import History
from .kubernetes_kinds import WORKLOAD_KINDS
from .operation import Context

MOST_NAMES = 500
AT_ONCE = 8

NOT_READ: dict[str, Any] = dict.fromkeys(
    ("exists", "observed", "paused", "current", "known_good", "known_good_marker", "known_good_at")
)

SPEC = CONNECTION.merge(
    ArgumentSpec(
        options={
            "kind": {"type": "str", "default": "Deployment", "choices": list(WORKLOAD_KINDS)},
            "names": {"type": "list", "elements": "str", "required": True},
            "min_revisions": {"type": "int", "default": 1},
            "runbook": {"type": "str", "default": ""},
        }
    )
)


def run(params: dict[str, Any], context: Context) -> dict[str, Any]:
    """Read the history of each workload. A server that cannot be asked at all fails the task."""
    names = workload_names(params["names"])
    if params["min_revisions"] < 1:
        raise InputError("min_revisions is below 1; a workload has at least its current one.", option="min_revisions")
    kind, namespace = params["kind"], params["namespace"]
    with Cluster(params, context, connections=AT_ONCE) as cluster:

        def read(name: str) -> History | ApiError:
            try:
                return kubernetes_history.read_existing(cluster, kind, namespace, name)
            except ApiError as error:
                return error

        with ThreadPoolExecutor(max_workers=min(AT_ONCE, len(names))) as pool:
            found = list(pool.map(read, names))
        if all(isinstance(one, NotFoundError) for one in found):
            cluster.require_namespace(namespace)
        pairs = list(zip(names, found, strict=True))
        return report(
            [_check(kind, namespace, name, one, params) for name, one in pairs],
            workloads=[_row(kind, namespace, name, one) for name, one in pairs],
            requests=cluster.requests,
        )


def workload_names(given: list[str]) -> list[str]:
    """The names without repetition; InputError for none, which would be a selection of nothing, and for too many."""
    names = list(dict.fromkeys(name.strip() for name in given))
    if not names or not all(names):
        raise InputError("names is empty, or has an empty name: say which workloads are meant.", option="names")
    if len(names) > MOST_NAMES:
        raise InputError(f"names has {len(names)} workloads; at most {MOST_NAMES} in one task.", option="names")
    return names


def _row(kind: str, namespace: str, name: str, found: History | ApiError) -> dict[str, Any]:
    row = {"kind": kind, "namespace": namespace, "name": name, **NOT_READ, "revisions": [], "error": ""}
    if isinstance(found, ApiError):
        return row | {"exists": False if isinstance(found, NotFoundError) else None, "error": str(found)}
    marks = kubernetes_objects.annotations_of(found.workload)
    return row | {
        "exists": True,
        "observed": kubernetes_history.observed(found.workload),
        "paused": bool((found.workload.get("spec") or {}).get("paused")),
        "current": found.current.brief() if found.current else None,
        "known_good": found.known_good.brief() if found.known_good else None,
        "known_good_marker": marks.get(kubernetes_history.KNOWN_GOOD),
        "known_good_at": marks.get(kubernetes_history.KNOWN_GOOD_AT),
        "revisions": [one.as_dict() for one in found.revisions],
    }


def _check(kind: str, namespace: str, name: str, found: History | ApiError, params: dict[str, Any]) -> Check:
    status, observed, hint = _judged(found, params["min_revisions"])
    return Check(
        id=f"history.{name}",
        title=f"revisions of {kubernetes_objects.key(kind, namespace, name)}",
        status=status,
        observed=observed,
        expected=f"a current revision, {params['min_revisions']} in all",
        hint=hint,
        runbook=params["runbook"],
    )


def _judged(found: History | ApiError, fewest: int) -> tuple[Status, str, str]:
    if isinstance(found, NotFoundError):
        return FAIL, "does not exist", "Is it another kind, another namespace or another context?"
    if isinstance(found, ApiError):
        return UNVERIFIED, str(found), "It could not be read; see what the API server said."
    count = len(found.revisions)
    said = f"{count} revision{'s' if count != 1 else ''}: {found.text()}"
    if found.current is None:
        return UNVERIFIED, said, "The controller has made no revision of the present template yet: is it running?"
    if count < fewest:
        return FAIL, said, "There is nothing to go back to: revisionHistoryLimit, or it was never changed."
    return (
        "pass",
        said,
        "Shows which revisions are kept, not whether they would run: images and Secrets may be gone by now.",
    )
