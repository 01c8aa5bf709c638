# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The revisions of a workload, from objects as the API server gives them."""

from __future__ import annotations

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils import kubernetes_history as history
from ansible_collections.sre.runbooks.plugins.module_utils.kubernetes_kinds import WORKLOAD_KINDS
from tests.unit.plugins.fake_rollouts import FakeCluster, template

ALL_KINDS = pytest.mark.parametrize("kind", WORKLOAD_KINDS)


def scene(kind: str = "Deployment", *images: str) -> FakeCluster:
    cluster = FakeCluster(kind)
    for image in images or ("web:1", "web:2", "web:3"):
        cluster.deploy(template(image))
    return cluster


@ALL_KINDS
def test_lowest_number_first_and_the_current_one_last(kind: str) -> None:
    found = scene(kind).history()

    assert [(one.number, one.images["main"], one.current) for one in found.revisions] == [
        (1, "web:1", False),
        (2, "web:2", False),
        (3, "web:3", True),
    ]
    assert found.current is found.revisions[-1]
    assert [one.hash for one in found.revisions] == ["h1", "h2", "h3"]


@ALL_KINDS
def test_a_revision_that_comes_back_has_the_next_number(kind: str) -> None:
    found = scene(kind, "web:1", "web:2", "web:1").history()

    assert [(one.number, one.images["main"]) for one in found.revisions] == [(2, "web:2"), (3, "web:1")]
    assert found.revisions[-1].earlier == ((1,) if kind == "Deployment" else ())


@ALL_KINDS
def test_only_what_the_workload_controls_counts(kind: str) -> None:
    cluster = scene(kind)
    neighbour = FakeCluster(kind, "billing").deploy(template("billing:9"))
    stranger = neighbour.children()[0]
    stranger["metadata"]["ownerReferences"] = [{"uid": "uid-of-another", "controller": True}]
    orphan = FakeCluster(kind, "orphan").deploy(template("orphan:9")).children()[0]
    orphan["metadata"]["ownerReferences"] = []
    garbage = FakeCluster(kind, "garbage").deploy(template("garbage:9")).children()[0]
    garbage["metadata"]["ownerReferences"] = [{"uid": cluster.workload["metadata"]["uid"], "controller": False}]

    found = history.history_of(cluster.workload, [stranger, orphan, garbage, *cluster.children()])

    assert [one.images["main"] for one in found.revisions] == ["web:1", "web:2", "web:3"]


@pytest.mark.parametrize("number", [None, "", "three", "-1"])
def test_a_replica_set_without_a_number_stands_before_all_others(number: str | None) -> None:
    cluster = scene()
    marks = cluster.children()[1]["metadata"]["annotations"]
    marks.pop(history.REVISION)
    if number is not None:
        marks[history.REVISION] = number

    found = cluster.history()

    assert [(one.number, one.images["main"]) for one in found.revisions] == [
        (None, "web:2"),
        (1, "web:1"),
        (3, "web:3"),
    ]
    assert str(found.revisions[0]) == "without a number (web-h2, web:2)"


def test_numbers_that_were_had_before_survive_rubbish() -> None:
    cluster = scene()
    cluster.children()[0]["metadata"]["annotations"][history.EARLIER] = "3, 5,,x,7"

    assert cluster.history().revisions[0].earlier == (3, 5, 7)


def test_the_current_one_of_several_equal_replica_sets_is_the_oldest() -> None:
    cluster = scene()
    twin = cluster.children()[2]
    cluster.add("ReplicaSet", "web-twin", cluster.workload, spec=twin["spec"], metadata={"annotations": {}})

    found = cluster.history().current

    assert found is not None
    assert found.name == "web-h3"


@ALL_KINDS
def test_nothing_is_current_before_the_controller_has_made_it(kind: str) -> None:
    cluster = scene(kind)
    cluster.controllers = False
    cluster.deploy(template("web:4"))

    assert cluster.history().current is None
    assert not history.observed(cluster.workload)


@pytest.mark.parametrize("kind", ["StatefulSet", "DaemonSet"])
def test_the_current_one_is_known_although_an_older_server_wrote_other_defaults(kind: str) -> None:
    cluster = scene(kind)
    cluster.workload["spec"]["template"]["spec"]["newDefault"] = "Always"

    found = cluster.history().current

    assert found is not None
    assert found.number == 3


def test_marks_name_a_revision() -> None:
    cluster = scene()
    cluster.workload["metadata"]["annotations"][history.KNOWN_GOOD] = "web-h2"

    found = cluster.history()

    assert found.known_good is not None
    assert found.known_good.number == 2
    assert [one.known_good for one in found.revisions] == [False, True, False]


def test_a_mark_of_a_revision_that_is_gone_names_none() -> None:
    cluster = scene()
    cluster.workload["metadata"]["annotations"][history.KNOWN_GOOD] = "web-h0"

    assert cluster.history().known_good is None


@pytest.mark.parametrize(
    ("note", "known"),
    [
        ("", {}),
        ("1=web-h1", {1: "web-h1"}),
        ("1=web-h1, 4=web-h1", {1: "web-h1", 4: "web-h1"}),
        ("x=web-h1,2=,=web-h2,3", {}),
    ],
)
def test_notes_of_numbers_that_were_taken(note: str, known: dict[int, str]) -> None:
    cluster = scene("StatefulSet")
    cluster.workload["metadata"].setdefault("annotations", {})[history.RENUMBERED] = note

    assert history.renumbered(cluster.workload) == known
    assert cluster.history().revisions[0].earlier == tuple(known)


def test_a_change_cause_shows_no_secret() -> None:
    cluster = FakeCluster().deploy(
        template(), **{history.CHANGE_CAUSE: "kubectl set env deploy/web DB_PASSWORD=hunter2secret --record"}
    )

    cause = cluster.history().revisions[0].change_cause

    assert "hunter2secret" not in cause
    assert cause.startswith("kubectl set env deploy/web DB_PASSWORD=")


def test_templates_of_different_servers_are_the_same() -> None:
    old = template("web:1", creationTimestamp=None)
    new = template("web:1")
    new["metadata"]["labels"][history.HASH_LABEL] = "5"
    del new["spec"]["containers"][0]["resources"]

    assert history.same_template(old, new)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (template("web:1"), template("web:2")),
        (template(annotations={"a": "1"}), template()),
        (template(env={"A": ""}), template()),
    ],
)
def test_templates_that_differ(one: dict[str, object], other: dict[str, object]) -> None:
    assert not history.same_template(one, other)


def test_an_empty_label_selector_is_not_the_same_as_none() -> None:
    one, other = template(), template()
    one["spec"]["affinity"] = {"labelSelector": {}}
    other["spec"]["affinity"] = {"labelSelector": None}

    assert not history.same_template(one, other)


@ALL_KINDS
def test_replicas_are_counted_where_the_controller_counts_them(kind: str) -> None:
    found = scene(kind).history()

    expected = {"Deployment": [0, 0, 2], "StatefulSet": [None, None, 2], "DaemonSet": [None, None, 2]}
    assert [one.replicas for one in found.revisions] == expected[kind]


def test_a_stateful_set_between_two_revisions() -> None:
    cluster = scene("StatefulSet")
    cluster.workload["status"] |= {"currentRevision": "web-h2", "currentReplicas": 1, "updatedReplicas": 1}

    assert [one.replicas for one in cluster.history().revisions] == [None, 1, 1]


def test_the_text_of_a_long_history_ends() -> None:
    text = scene("Deployment", *(f"web:{number}" for number in range(30))).history().text()

    assert text.startswith("30 (web-h30, web:29), current; 29 (")
    assert text.endswith("; and 18 older")
