# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Looking into objects: selectors both ways, owners, times."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils import kubernetes_objects as objects

EXPRESSIONS = [
    {"key": "app", "operator": "In", "values": ["web", "api"]},
    {"key": "track", "operator": "NotIn", "values": ["canary"]},
    {"key": "tier", "operator": "Exists"},
    {"key": "old", "operator": "DoesNotExist"},
]


@pytest.mark.parametrize(
    ("selector", "text"),
    [
        (None, ""),
        ({}, ""),
        ({"matchLabels": {"b": "2", "a": "1"}}, "a=1,b=2"),
        ({"matchExpressions": EXPRESSIONS}, "app in (web,api),track notin (canary),tier,!old"),
        ({"matchLabels": {"a": "1"}, "matchExpressions": EXPRESSIONS[2:3]}, "a=1,tier"),
    ],
)
def test_selector_text(selector: Any, text: str) -> None:
    assert objects.selector_text(selector) == text


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ({"app": "web", "tier": "x"}, True),
        ({"app": "web"}, False),
        ({"app": "db", "tier": "x"}, False),
        ({"app": "web", "tier": "x", "track": "canary"}, False),
        ({"app": "web", "tier": "x", "old": ""}, False),
    ],
)
def test_selects(labels: dict[str, str], expected: bool) -> None:
    assert objects.selects({"matchExpressions": EXPRESSIONS}, labels) is expected


def test_an_absent_selector_selects_nothing_and_an_empty_one_everything() -> None:
    assert not objects.selects(None, {"app": "web"})
    assert objects.selects({}, {})
    assert not objects.selects({"matchLabels": {"app": "web"}}, {"app": "webshop"})
    assert not objects.selects({"matchExpressions": [{"key": "a", "operator": "Gt", "values": ["1"]}]}, {"a": "2"})


def test_only_the_controller_owns() -> None:
    owner = {"metadata": {"uid": "u1"}}
    own = {"metadata": {"name": "own", "ownerReferences": [{"uid": "u1", "controller": True}]}}
    held = {"metadata": {"name": "held", "ownerReferences": [{"uid": "u1"}]}}
    orphan = {"metadata": {"name": "orphan"}}
    assert objects.owned_by(owner, [own, held, orphan]) == [own]
    assert objects.owned_by({"metadata": {}}, [orphan]) == []


def test_names_in_messages() -> None:
    assert objects.key("Deployment", "hafnium", "web") == "Deployment hafnium/web"
    assert objects.key_of({"kind": "Node", "metadata": {"name": "n1"}}) == "Node n1"


def test_images_of_init_containers_come_last() -> None:
    spec = {"initContainers": [{"name": "wait", "image": "b"}], "containers": [{"name": "main", "image": "a"}]}
    assert list(objects.images({"spec": spec}).items()) == [("main", "a"), ("wait", "b")]
    assert objects.images({}) == {}


@pytest.mark.parametrize(("text", "number"), [("7", 7), ("", None), ("7a", None), ("-1", None)])
def test_annotation_as_number(text: str, number: int | None) -> None:
    assert objects.annotation_int({"metadata": {"annotations": {"r": text}}}, "r") == number


@pytest.mark.parametrize("text", [None, "", "yesterday", "2026-01-31T03:00:00"])
def test_times_that_are_none(text: str | None) -> None:
    assert objects.seconds(text) is None


def test_times() -> None:
    assert objects.seconds("2026-01-31T03:00:00Z") == objects.seconds("2026-01-31T04:00:00+01:00")
    assert objects.timestamp(objects.seconds("2026-01-31T03:00:00.75Z") or 0) == "2026-01-31T03:00:00Z"
    made = {"metadata": {"creationTimestamp": "2026-01-31T03:00:00Z"}}
    now = objects.seconds("2026-01-31T03:00:09Z") or 0
    assert objects.age(made, now) == 9
    assert objects.age(made, now - 60) == 0
    assert objects.age({}, now) is None
