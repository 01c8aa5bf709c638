# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Events in both forms of the API, the environment of a container, and the table of causes."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils import workload_causes, workload_environment, workload_events

ABOUT = {"kind": "Pod", "name": "p1", "uid": "u1", "fieldPath": "spec.containers{app}"}


def test_events_of_both_forms_of_the_api_are_one() -> None:
    old = {
        "involvedObject": ABOUT,
        "type": "Warning",
        "reason": "BackOff",
        "message": "restarting",
        "count": 3,
        "firstTimestamp": "2030-01-01T00:00:00Z",
        "lastTimestamp": "2030-01-01T00:01:00Z",
    }
    new = {
        "regarding": ABOUT,
        "type": "Warning",
        "reason": "BackOff",
        "note": "restarting",
        "eventTime": "2030-01-01T00:00:30.000000Z",
        "series": {"count": 5, "lastObservedTime": "2030-01-01T00:02:00.000000Z"},
    }
    (event,) = workload_events.by_object([old, new])["u1"]
    assert (event.count, event.container, event.time) == (8, "app", "2030-01-01T00:02:00Z")
    assert event.as_dict()["first"] == "2030-01-01T00:00:00Z"


def test_events_of_two_containers_stay_apart() -> None:
    rows = [
        {"involvedObject": {**ABOUT, "fieldPath": f"spec.containers{{{name}}}"}, "reason": "Unhealthy", "message": "no"}
        for name in "ab"
    ]
    assert len(workload_events.by_object(rows)["u1"]) == 2


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("DB_HOST", "postgres", "postgres"),
        ("DB_PASSWORD", "hunter22", None),
        (
            "SPRING_DATASOURCE_URL",
            "jdbc:postgresql://db/hafnium?password=hunter22",
            "jdbc:postgresql://db:5432/hafnium",
        ),
        ("SPRING_DATASOURCE_URL", "jdbc:mysql://u:hunter22@db/hafnium?password=hunter22", "jdbc:mysql://db/hafnium"),
        ("DATABASE_URL", "postgres://u:hunter22@db:5432/hafnium", "postgres://db:5432/hafnium"),
        ("KAFKA_BOOTSTRAP_SERVERS", "a:9092,b:9092", "a:9092,b:9092"),
    ],
)
def test_values_are_shown_without_credentials(name: str, value: str, shown: str | None) -> None:
    assert workload_environment.shown(name, value) == shown


def test_later_sources_win_and_prefixes_count() -> None:
    container: dict[str, Any] = {
        "envFrom": [{"prefix": "DB_", "configMapRef": {"name": "common"}}],
        "env": [
            {"name": "DB_PORT", "value": "6432"},
            {"name": "DB_NAME", "valueFrom": {"configMapKeyRef": {"name": "common", "key": "NAME"}}},
        ],
    }
    maps = {"common": {"HOST": "postgres", "PORT": "5432", "NAME": "hafnium"}}
    found = workload_environment.variables(container, maps, "database")
    assert [str(one) for one in found] == ["DB_HOST=postgres", "DB_NAME=hafnium", "DB_PORT=6432"]
    assert workload_environment.config_maps(container) == {"common"}


def test_a_process_that_follows_its_variables_is_not_blamed() -> None:
    found = [workload_environment.Variable("DB_HOST", "the pod template", "postgres")]
    assert "but the process asked" not in workload_environment.sentence(found, "database", "postgres")
    assert "but the process asked localhost" in workload_environment.sentence(found, "database", "localhost")


def test_nothing_is_concluded_while_a_value_is_not_known() -> None:
    found = [
        workload_environment.Variable("DB_HOST", "the pod template", "postgres"),
        workload_environment.Variable("SPRING_DATASOURCE_URL", "Secret db key url", None),
    ]
    assert "but the process asked" not in workload_environment.sentence(found, "database", "localhost")


def test_every_cause_has_advice_and_an_effect_for_its_playbook() -> None:
    for name, about in workload_causes.ABOUT.items():
        assert about.advice.endswith((".", "?")), name
        assert not about.then or about.then in workload_causes.EFFECTS, name
