# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Looking into Kubernetes objects, which are dicts as the API server sends them. Pure: nothing is asked here.

The API server leaves out what is empty or zero, so everything here reads an absent field as such.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Object = dict[str, Any]


def key(kind_name: str, inside: str, called: str) -> str:
    """How an object is called in messages: ``Deployment hafnium/identity-service``; ``inside`` is the namespace."""
    return f"{kind_name} {inside}/{called}" if inside else f"{kind_name} {called}"


def key_of(found: Object) -> str:
    return key(kind(found) or "object", namespace(found), name(found))


def _metadata(found: Object) -> Mapping[str, Any]:
    return found.get("metadata") or {}


def kind(found: Object) -> str:
    return str(found.get("kind") or "")


def name(found: Object) -> str:
    return str(_metadata(found).get("name") or "")


def namespace(found: Object) -> str:
    return str(_metadata(found).get("namespace") or "")


def uid(found: Object) -> str:
    return str(_metadata(found).get("uid") or "")


def resource_version(found: Object) -> str:
    return str(_metadata(found).get("resourceVersion") or "")


def generation(found: Object) -> int:
    return int(_metadata(found).get("generation") or 0)


def labels_of(found: Object) -> dict[str, str]:
    return dict(_metadata(found).get("labels") or {})


def annotations_of(found: Object) -> dict[str, str]:
    return dict(_metadata(found).get("annotations") or {})


def annotation_int(found: Object, annotation: str) -> int | None:
    """The annotation as a number; None when it is absent or is none."""
    text = annotations_of(found).get(annotation, "")
    return int(text) if text.isdecimal() else None


def template(workload: Object) -> Object:
    """The pod template of a Deployment, ReplicaSet, StatefulSet or DaemonSet."""
    return (workload.get("spec") or {}).get("template") or {}


def images(pod_template: Object) -> dict[str, str]:
    """Container to image, in the template's order; init containers come last."""
    spec = pod_template.get("spec") or {}
    containers = [*(spec.get("containers") or []), *(spec.get("initContainers") or [])]
    return {str(one.get("name")): str(one.get("image") or "") for one in containers}


def condition(found: Object, wanted: str) -> Object | None:
    """The condition of that type in the object's status, or None."""
    known = (found.get("status") or {}).get("conditions") or []
    return next((one for one in known if one.get("type") == wanted), None)


def owned_by(owner: Object, objects: Iterable[Object]) -> list[Object]:
    """Those of ``objects`` whose controller is ``owner``: same labels alone do not make an object its own."""
    return [one for one in objects if controller_uid(one) == uid(owner) != ""]


def controller_uid(found: Object) -> str:
    """The uid of the object's controller; empty when it has none."""
    references = _metadata(found).get("ownerReferences") or []
    return next((str(one.get("uid") or "") for one in references if one.get("controller")), "")


def selector_text(selector: Mapping[str, Any] | None) -> str:
    """``spec.selector`` (matchLabels and matchExpressions) as the label selector of a list request.

    An empty selector gives an empty text, which in a request means everything.
    """
    chosen = selector or {}
    parts = [f"{label}={value}" for label, value in sorted((chosen.get("matchLabels") or {}).items())]
    return ",".join([*parts, *map(_requirement, chosen.get("matchExpressions") or [])])


def _requirement(expression: Mapping[str, Any]) -> str:
    label, operator = expression["key"], expression["operator"]
    values = ",".join(expression.get("values") or [])
    forms = {"In": f"{label} in ({values})", "NotIn": f"{label} notin ({values})", "Exists": label}
    return str(forms.get(operator, f"!{label}"))


def selects(selector: Mapping[str, Any] | None, own: Mapping[str, str]) -> bool:
    """Whether a selector matches these labels. One that is absent matches nothing, an empty one everything."""
    if selector is None:
        return False
    wanted = selector.get("matchLabels") or {}
    return all(own.get(label) == value for label, value in wanted.items()) and all(
        _meets(expression, own) for expression in selector.get("matchExpressions") or []
    )


def _meets(expression: Mapping[str, Any], own: Mapping[str, str]) -> bool:
    value = own.get(expression["key"])
    values: Sequence[str] = expression.get("values") or []
    return {
        "In": value in values,
        "NotIn": value not in values,
        "Exists": value is not None,
        "DoesNotExist": value is None,
    }.get(str(expression["operator"]), False)


def seconds(time: str | None) -> float | None:
    """An RFC 3339 time, as in objects, in seconds since the epoch; None for what is none (or has no time zone)."""
    if not time:
        return None
    try:
        read = datetime.datetime.fromisoformat(time)
    except ValueError:
        return None
    return read.timestamp() if read.tzinfo else None


def timestamp(now: float) -> str:
    """Seconds since the epoch as objects write them: ``2026-01-31T03:00:00Z``."""
    return datetime.datetime.fromtimestamp(int(now), datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def age(found: Object, now: float) -> float | None:
    """Seconds since the object was made; never below zero, since clocks differ. None when it does not say."""
    made = seconds(_metadata(found).get("creationTimestamp"))
    return None if made is None else max(0.0, now - made)
