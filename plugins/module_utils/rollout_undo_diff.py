# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an undo changes in a workload, as text to read: the pod template and the annotations, without secrets."""

from __future__ import annotations

from typing import Any

from . import kubernetes_objects as objects
from . import libraries, redact
from .kubernetes_history import without_hash
from .kubernetes_objects import Object
from .kubernetes_restart import RESTARTED_AT, TOKEN
from .rollout_undo_patch import KEPT

try:
    import yaml
except ImportError as error:
    libraries.record("PyYAML", error)

CONTAINERS = ("initContainers", "containers", "ephemeralContainers")
VALUE_CHARACTERS = 2000
RESTARTS = (RESTARTED_AT, TOKEN)
DIFFERS = "[redacted, differs]"

Secrets = dict[tuple[str, str], str]


def diff(before: Object, after: Object) -> dict[str, str]:
    """In the shape that Ansible shows with --diff."""
    old, new = _shown(before, {}), _shown(after, _struck(objects.template(before)))
    return {
        "before_header": f"{objects.key_of(before)} generation {objects.generation(before)}",
        "after_header": f"{objects.key_of(after)} generation {objects.generation(after)}",
        "before": _text(old),
        "after": _text(new),
    }


def only_restarted(one: Object, other: Object) -> bool:
    """Whether two templates differ in nothing but the time of a restart."""
    return _without_restart(one) == _without_restart(other)


def _without_restart(template: Object) -> Object:
    bare = without_hash(template)
    metadata = bare["metadata"]
    marks = {key: value for key, value in (metadata.get("annotations") or {}).items() if key not in RESTARTS}
    rest = {key: value for key, value in metadata.items() if key not in ("annotations", "creationTimestamp")}
    return {**bare, "metadata": {**rest, "annotations": marks}}


def _text(shown: Object) -> str:
    return str(yaml.safe_dump(shown, default_flow_style=False, sort_keys=True, allow_unicode=True, width=110))


def _shown(workload: Object, before: Secrets) -> Object:
    marks = {key: value for key, value in objects.annotations_of(workload).items() if key not in KEPT}
    template = without_hash(objects.template(workload))
    spec = {key: redact.structure(value, VALUE_CHARACTERS) for key, value in (template.get("spec") or {}).items()}
    for group in CONTAINERS:
        if group in spec:
            spec[group] = [_container(one, before) for one in template["spec"][group] or []]
    return {
        "metadata": {"annotations": redact.structure(marks, VALUE_CHARACTERS)},
        "spec": {
            "template": {"metadata": redact.structure(template.get("metadata") or {}, VALUE_CHARACTERS), "spec": spec}
        },
    }


def _container(container: Object, before: Secrets) -> Object:
    shown: Object = {key: redact.structure(value, VALUE_CHARACTERS) for key, value in container.items()}
    for key in ("command", "args"):
        if container.get(key):
            shown[key] = _words(container[key])
    if container.get("env"):
        shown["env"] = [_variable(str(container.get("name")), one, before) for one in container["env"]]
    return shown


def _variable(container: str, variable: Object, before: Secrets) -> Object:
    name, value = str(variable.get("name") or ""), variable.get("value")
    if not isinstance(value, str):
        return {key: redact.structure(item, VALUE_CHARACTERS) for key, item in variable.items()}
    shown = _value(name, value)
    old = before.get((container, name), value)
    return {"name": name, "value": DIFFERS if redact.STRUCK in shown and old != value else shown}


def _value(name: str, value: str) -> str:
    return str(redact.structure({name: value}, VALUE_CHARACTERS)[redact.observed(name, 200)])


def _struck(template: Object) -> Secrets:
    """The variables whose values are not shown, with these values: to say that one differs."""
    spec = template.get("spec") or {}
    return {
        (str(container.get("name")), str(one.get("name"))): one["value"]
        for group in CONTAINERS
        for container in spec.get(group) or []
        for one in container.get("env") or []
        if isinstance(one.get("value"), str) and redact.STRUCK in _value(str(one.get("name")), one["value"])
    }


def _words(words: list[Any]) -> list[str]:
    """Arguments, of which one may be the value that belongs to the flag before it."""
    shown: list[str] = []
    flag = ""
    for word in map(str, words):
        alone = redact.observed(word, VALUE_CHARACTERS)
        joined = redact.observed(f"{flag} {word}", VALUE_CHARACTERS) if flag else alone
        shown.append(redact.STRUCK if flag and joined == f"{flag} {redact.STRUCK}" else alone)
        flag = word if word.startswith("-") and "=" not in word else ""
    return shown
