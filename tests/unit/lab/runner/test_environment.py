# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The environment of a container."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import pytest

from lab.runner import environment
from lab.runner.environment import ConfigError
from lab.runner.kube import Refused

POD: dict[str, Any] = {
    "metadata": {
        "name": "web-1",
        "namespace": "shop",
        "uid": "u-1",
        "labels": {"app": "web"},
        "annotations": {"a/b": "c"},
    },
    "spec": {"nodeName": "runner-0", "serviceAccountName": "default"},
}
STORED = {
    "/api/v1/namespaces/shop/configmaps/settings": {"data": {"colour": "green", "SHAPE": "round"}},
    "/api/v1/namespaces/shop/secrets/keys": {"data": {"key": base64.b64encode(b"open sesame").decode()}},
}
asked: list[str] = []


async def fetch(path: str) -> dict[str, Any]:
    asked.append(path)
    if path not in STORED:
        raise Refused(404, "not found")
    return STORED[path]


def resolve(container: dict[str, Any]) -> dict[str, str]:
    asked.clear()
    return asyncio.run(environment.resolve(fetch, POD, container, "10.244.0.7"))


def from_(**reference: Any) -> dict[str, Any]:
    return {"env": [{"name": "X", "valueFrom": reference}]}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$(A)-$(B)", "1-2"),
        ("$(A", "$(A"),
        ("$$(A)", "$(A)"),
        ("$(NONE)", "$(NONE)"),
        ("cost $5", "cost $5"),
        ("$$$(A)", "$1"),
    ],
)
def test_references_in_text(text: str, expected: str) -> None:
    assert environment.expand(text, {"A": "1", "B": "2"}) == expected


@pytest.mark.parametrize(
    ("text", "number"),
    [("1", 1), ("250m", 0.25), ("64Mi", 64 * 2**20), ("1.5Gi", 1.5 * 2**30), ("10k", 10_000), ("2M", 2e6), ("0", 0)],
)
def test_quantities(text: str, number: float) -> None:
    assert environment.quantity(text) == number


def test_later_entries_win_and_see_earlier_ones() -> None:
    found = resolve(
        {
            "envFrom": [{"configMapRef": {"name": "settings"}}, {"prefix": "K_", "secretRef": {"name": "keys"}}],
            "env": [
                {"name": "SHAPE", "value": "square"},
                {"name": "BOTH", "value": "$(SHAPE) $(K_key)"},
                {"name": "EMPTY"},
            ],
        }
    )
    assert found == {
        "colour": "green",
        "SHAPE": "square",
        "K_key": "open sesame",
        "BOTH": "square open sesame",
        "EMPTY": "",
    }


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("metadata.name", "web-1"),
        ("metadata.namespace", "shop"),
        ("metadata.labels['app']", "web"),
        ("metadata.annotations['a/b']", "c"),
        ("metadata.labels['none']", ""),
        ("spec.nodeName", "runner-0"),
        ("status.podIP", "10.244.0.7"),
        ("status.hostIP", "127.0.0.1"),
    ],
)
def test_fields_of_the_pod(path: str, expected: str) -> None:
    assert resolve(from_(fieldRef={"fieldPath": path})) == {"X": expected}


@pytest.mark.parametrize(
    ("resource", "divisor", "expected"),
    [
        ("limits.memory", "1Mi", "96"),
        ("limits.memory", None, str(96 * 2**20)),
        ("limits.cpu", None, "1"),
        ("requests.cpu", "1", "0"),
    ],
)
def test_resources_are_rounded_up(resource: str, divisor: str | None, expected: str) -> None:
    reference = {"resource": resource, **({"divisor": divisor} if divisor else {})}
    limits = {"limits": {"memory": "96Mi", "cpu": "250m"}}
    assert resolve({**from_(resourceFieldRef=reference), "resources": limits}) == {"X": expected}


@pytest.mark.parametrize(
    ("container", "message"),
    [
        ({"envFrom": [{"configMapRef": {"name": "none"}}]}, 'configmap "none" not found'),
        ({"envFrom": [{"secretRef": {"name": "none"}}]}, 'secret "none" not found'),
        (from_(configMapKeyRef={"name": "none", "key": "k"}), 'configmap "none" not found'),
        (from_(configMapKeyRef={"name": "settings", "key": "k"}), "couldn't find key k in ConfigMap shop/settings"),
        (from_(secretKeyRef={"name": "keys", "key": "k"}), "couldn't find key k in Secret shop/keys"),
        (from_(somethingNew={}), "valueFrom somethingNew is not known to this node"),
    ],
)
def test_what_is_missing_is_named_as_a_kubelet_does(container: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        resolve(container)
    assert str(refusal.value) == message


def test_what_is_optional_may_be_missing() -> None:
    container = {
        "envFrom": [{"configMapRef": {"name": "none", "optional": True}}],
        **from_(secretKeyRef={"name": "keys", "key": "k", "optional": True}),
    }
    assert resolve(container) == {}


def test_an_object_is_asked_for_once() -> None:
    reference = {"configMapKeyRef": {"name": "settings", "key": "colour"}}
    resolve({"env": [{"name": name, "valueFrom": reference} for name in "ABC"]})
    assert asked == ["/api/v1/namespaces/shop/configmaps/settings"]


def test_another_refusal_is_passed_on() -> None:
    async def forbidden(_path: str) -> dict[str, Any]:
        raise Refused(403, "no")

    with pytest.raises(Refused, match="403 no"):
        asyncio.run(environment.resolve(forbidden, POD, {"envFrom": [{"configMapRef": {"name": "x"}}]}, ""))
