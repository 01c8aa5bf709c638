# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which revision an undo means, and that it means nothing any more once it is done."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from ansible_collections.sre.runbooks.plugins.module_utils import kubernetes_history as history
from ansible_collections.sre.runbooks.plugins.module_utils.errors import InputError, RefusedError
from ansible_collections.sre.runbooks.plugins.module_utils.kubernetes_kinds import WORKLOAD_KINDS
from ansible_collections.sre.runbooks.plugins.module_utils.rollout_undo_patch import patch
from ansible_collections.sre.runbooks.plugins.module_utils.rollout_undo_plan import Goal, Plan, plan
from tests.unit.plugins.fake_rollouts import NAMESPACE, FakeCluster, template

ALL_KINDS = pytest.mark.parametrize("kind", WORKLOAD_KINDS)


def scene(*images: str, kind: str = "Deployment") -> FakeCluster:
    cluster = FakeCluster(kind)
    for image in images or ("web:1", "web:2", "web:3"):
        cluster.deploy(template(image), **{history.CHANGE_CAUSE: f"release {image}"})
    return cluster


def planned(cluster: FakeCluster, **options: Any) -> Plan:
    return plan(cluster.history(), Goal.of(options))


def target(cluster: FakeCluster, **options: Any) -> str:
    found = planned(cluster, **options)
    assert found.reason == "rolled_back"
    assert found.target is not None
    return found.target.images["main"]


def undo(cluster: FakeCluster, found: Plan) -> None:
    assert found.target is not None
    body, patch_type = patch(cluster.history(), found.target)
    cluster.patch(cluster.kind, NAMESPACE, cluster.name, body, patch_type)


GUARD = {"expected_current_image": "web:3"}


@pytest.mark.parametrize(
    ("options", "image"),
    [
        ({"to": "previous", **GUARD}, "web:2"),
        ({"to": "previous", "expected_current_revision": 3}, "web:2"),
        ({"to": "previous", "expected_current_name": "web-h3"}, "web:2"),
        ({"to": "previous_image", **GUARD}, "web:2"),
        ({"to_revision": 1}, "web:1"),
        ({"to_name": "web-h1"}, "web:1"),
        ({"to_hash": "h2"}, "web:2"),
        ({"to_image": "web:1"}, "web:1"),
        ({"to_change_cause": "release web:[12]"}, "web:2"),
    ],
)
@ALL_KINDS
def test_targets(kind: str, options: dict[str, Any], image: str) -> None:
    cluster = scene(kind=kind)
    if kind != "Deployment":
        for number, child in enumerate(cluster.children(), 1):
            child["metadata"]["annotations"] = {history.CHANGE_CAUSE: f"release web:{number}"}

    assert target(cluster, **options) == image


@ALL_KINDS
def test_the_known_good_one(kind: str) -> None:
    cluster = scene(kind=kind)
    cluster.workload["metadata"].setdefault("annotations", {})[history.KNOWN_GOOD] = "web-h1"

    assert target(cluster, to="known_good") == "web:1"


@pytest.mark.parametrize(
    "options", [{"to_revision": 3}, {"to_name": "web-h3"}, {"to_hash": "h3"}, {"to_image": "web:3"}]
)
@ALL_KINDS
def test_where_it_is_already(kind: str, options: dict[str, Any]) -> None:
    assert planned(scene(kind=kind), **options).reason == "already_there"


def test_two_bad_deployments_are_not_seen_by_previous() -> None:
    cluster = scene("web:good", "web:bad", "web:worse")

    assert target(cluster, to="previous", expected_current_image="web:worse") == "web:bad"


def test_previous_image_passes_over_a_restart() -> None:
    cluster = scene("web:1", "web:2")
    cluster.deploy(template("web:2", annotations={"kubectl.kubernetes.io/restartedAt": "2031-01-01T00:00:00Z"}))

    assert target(cluster, to="previous", expected_current_revision=3) == "web:2"
    assert target(cluster, to="previous_image", expected_current_revision=3) == "web:1"


def test_previous_image_where_all_have_the_same() -> None:
    cluster = scene("web:latest")
    cluster.deploy(template("web:latest", annotations={"a": "1"}))

    with pytest.raises(RefusedError, match=r"no revision with other images .* by its digest"):
        planned(cluster, to="previous_image", expected_current_revision=2)


def test_the_image_of_any_container_counts_and_exactly() -> None:
    cluster = scene("web:1")
    with_init = template("web:2")
    with_init["spec"]["initContainers"] = [{"name": "migrate", "image": "flyway:9"}]
    cluster.deploy(with_init)
    cluster.deploy(template("web:3"))

    assert target(cluster, to_image="flyway:9") == "web:2"
    with pytest.raises(RefusedError, match="no revision runs image flyway"):
        planned(cluster, to_image="flyway")


def test_the_newest_with_the_image_unless_the_current_one_has_it() -> None:
    cluster = scene("web:1", "web:2")
    cluster.deploy(template("web:1", annotations={"a": "1"})).deploy(template("web:3"))

    found = planned(cluster, to_image="web:1")
    assert found.target is not None
    assert found.target.number == 3

    undo(cluster, found)
    assert planned(cluster, to_image="web:1").reason == "already_there"


def test_a_number_is_followed_when_it_has_changed() -> None:
    cluster = scene("web:1", "web:2", "web:3")
    undo(cluster, planned(cluster, to_revision=1))

    found = planned(cluster, to_revision=1)
    assert found.reason == "already_there"
    assert found.text == "revision 4 (web-h1, web:1) is current already, which was revision 1"

    cluster.deploy(template("web:bad"))
    assert target(cluster, to_revision=1) == "web:1"
    assert target(cluster, to_revision=4) == "web:1"


@pytest.mark.parametrize("kind", ["StatefulSet", "DaemonSet"])
def test_a_number_that_kubectl_took_from_a_controller_revision_is_lost(kind: str) -> None:
    cluster = scene("web:1", "web:2", "web:1", kind=kind)

    with pytest.raises(RefusedError, match=r"unable to find specified revision 1 in history.*to_name or to_hash"):
        planned(cluster, to_revision=1)


@pytest.mark.parametrize("kind", ["StatefulSet", "DaemonSet"])
def test_a_number_that_this_module_took_is_known(kind: str) -> None:
    cluster = scene("web:1", "web:2", "web:3", kind=kind)
    undo(cluster, planned(cluster, to_revision=1))
    assert cluster.workload["metadata"]["annotations"][history.RENUMBERED] == "1=web-h1"
    assert planned(cluster, to_revision=1).reason == "already_there"

    undo(cluster, planned(cluster, to_revision=2))
    assert cluster.workload["metadata"]["annotations"][history.RENUMBERED] == "1=web-h1,2=web-h2"
    assert planned(cluster, to_revision=2).reason == "already_there"
    assert target(cluster, to_revision=1) == "web:1"
    assert target(cluster, to_revision=4) == "web:1"


def test_notes_of_revisions_that_are_not_kept_any_more_are_dropped() -> None:
    cluster = scene("web:1", "web:2", "web:3", kind="StatefulSet")
    cluster.workload["metadata"].setdefault("annotations", {})[history.RENUMBERED] = "1=web-gone,2=web-h2"
    undo(cluster, planned(cluster, to_revision=1))

    assert cluster.workload["metadata"]["annotations"][history.RENUMBERED] == "1=web-h1,2=web-h2"


@pytest.mark.parametrize("relative", ["previous", "previous_image"])
@ALL_KINDS
def test_previous_without_a_guard_gives_the_guard_to_paste(kind: str, relative: str) -> None:
    with pytest.raises(RefusedError) as refused:
        planned(scene(kind=kind), to=relative)

    assert "Add expected_current_name: web-h3 (or expected_current_revision: 3)" in refused.value.message
    assert "2 (web-h2, web:2)" in refused.value.message
    assert [row["revision"] for row in refused.value.details["revisions"]] == [1, 2, 3]


def test_a_guard_that_holds_for_the_target_as_well_is_refused() -> None:
    cluster = scene("web:latest")
    cluster.deploy(template("web:latest", annotations={"a": "1"}))

    with pytest.raises(RefusedError, match=r"holds for the current revision and for 1 .*expected_current_name: web-h2"):
        planned(cluster, to="previous", expected_current_image="web:latest")
    assert target(cluster, to="previous", expected_current_name="web-h2") == "web:latest"


@pytest.mark.parametrize(
    "guard",
    [
        {"expected_current_revision": 2},
        {"expected_current_name": "web-h2"},
        {"expected_current_image": "web:2"},
        {"expected_current_image": "web:3", "expected_current_revision": 2},
    ],
)
@ALL_KINDS
def test_a_guard_that_does_not_hold(kind: str, guard: dict[str, Any]) -> None:
    found = planned(scene(kind=kind), to="previous", **guard)

    assert found.reason == "already_moved"
    assert found.target is None
    assert "the current revision is 3 (web-h3, web:3)" in found.text


def test_being_there_counts_more_than_a_guard_that_does_not_hold() -> None:
    assert planned(scene(), to_revision=3, expected_current_image="web:9").reason == "already_there"


def test_a_guard_that_does_not_hold_counts_more_than_a_target_that_is_gone() -> None:
    assert planned(scene("web:1"), to="previous", expected_current_image="web:9").reason == "already_moved"
    assert planned(scene(), to_revision=99, expected_current_image="web:9").reason == "already_moved"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"to": "previous", "expected_current_revision": 1}, "there is no other revision to go back to"),
        ({"to": "known_good"}, "no revision is marked as known good"),
        ({"to_revision": 9}, "unable to find specified revision 9 in history"),
        ({"to_name": "web-h9"}, "none of its revisions is named web-h9"),
        ({"to_hash": "h9"}, "no revision has hash h9"),
        ({"to_image": "web:9"}, "no revision runs image web:9"),
        ({"to_change_cause": "9"}, "no revision has a change-cause that matches 9"),
    ],
)
def test_what_cannot_be_found(options: dict[str, Any], message: str) -> None:
    with pytest.raises(RefusedError) as refused:
        planned(scene("web:1"), **options)

    assert refused.value.message.startswith(f"Deployment hafnium/web: {message}")
    assert "Revisions that are kept: 1 (web-h1, web:1), current." in refused.value.message


def test_a_mark_of_a_revision_that_is_gone() -> None:
    cluster = scene()
    cluster.workload["metadata"]["annotations"][history.KNOWN_GOOD] = "web-h0"

    with pytest.raises(RefusedError, match="web-h0, which is marked as known good, is not kept any more"):
        planned(cluster, to="known_good")


def test_no_history_at_all() -> None:
    cluster = scene("web:1")
    del cluster.store["ReplicaSet", "web-h1"]

    with pytest.raises(RefusedError, match="has no rollout history"):
        planned(cluster, to_revision=1)


def test_two_revisions_with_one_number() -> None:
    cluster = scene()
    cluster.children()[0]["metadata"]["annotations"][history.REVISION] = "2"

    with pytest.raises(RefusedError, match=r"revision 2 is borne by web-h1, web-h2.*to_name"):
        planned(cluster, to_revision=2)


@pytest.mark.parametrize("options", [{"to_revision": 3}, {"to_revision": 1}, {"to": "previous", **GUARD}])
def test_paused_is_refused_first(options: dict[str, Any]) -> None:
    cluster = scene()
    cluster.workload["spec"]["paused"] = True

    with pytest.raises(RefusedError, match=r"is paused.*kubectl rollout resume deployment/web -n hafnium"):
        planned(cluster, **options)


@pytest.mark.parametrize("options", [{"to": "previous", **GUARD}, {"to_revision": 1, "expected_current_revision": 3}])
def test_guards_need_a_current_revision(options: dict[str, Any]) -> None:
    cluster = scene()
    cluster.controllers = False
    cluster.deploy(template("web:4"))

    with pytest.raises(RefusedError, match="nobody can say what is current"):
        planned(cluster, **options)
    assert target(cluster, to_revision=1) == "web:1"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"to_revision": 0}, "to_revision is 0"),
        ({"to_revision": -1}, "to_revision is -1"),
        ({"to_name": " "}, "to_name is empty"),
        ({"to_image": ""}, "to_image is empty"),
        ({"to_revision": 1, "expected_current_image": ""}, "expected_current_image is empty"),
        ({"to_revision": 1, "expected_current_revision": 0}, "expected_current_revision is 0"),
        ({"to_change_cause": "("}, "is no regular expression"),
    ],
)
def test_options_that_mean_nothing(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Goal.of(options)


IMAGES = ("web:1", "web:2", "web:3")
NAMES = tuple(f"web-h{number}" for number in range(1, 9))
NUMBERS = st.integers(1, 9)
GUARDS = st.sets(st.sampled_from(["expected_current_revision", "expected_current_name", "expected_current_image"]))
TARGETS = st.one_of(
    st.fixed_dictionaries({"to": st.sampled_from(["previous", "previous_image", "known_good"])}),
    st.fixed_dictionaries({"to_revision": NUMBERS}),
    st.fixed_dictionaries({"to_name": st.sampled_from(NAMES)}),
    st.fixed_dictionaries({"to_image": st.sampled_from(IMAGES)}),
    st.fixed_dictionaries({"to_change_cause": st.sampled_from(["release", "web:1", "0$"])}),
)
DEPLOYMENTS = st.lists(st.tuples(st.sampled_from(IMAGES), st.sampled_from(["0", "1"])), min_size=1, max_size=8)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
@given(
    kind=st.sampled_from(WORKLOAD_KINDS),
    deployments=DEPLOYMENTS,
    chosen=TARGETS,
    guarded=GUARDS,
    good=NUMBERS,
)
def test_what_was_rolled_back_is_not_rolled_back_again(
    kind: str, deployments: list[tuple[str, str]], chosen: dict[str, Any], guarded: set[str], good: int
) -> None:
    """The law of the module: whatever the history and the options, the second run changes nothing."""
    cluster = FakeCluster(kind)
    for image, setting in deployments:
        wanted = template(image, annotations={"setting": setting})
        cluster.deploy(copy.deepcopy(wanted), **{history.CHANGE_CAUSE: f"release {image} {setting}"})
    cluster.workload["metadata"]["annotations"][history.KNOWN_GOOD] = f"web-h{good}"
    before = cluster.history().current
    assert before is not None
    values = {"revision": before.number, "name": before.name, "image": before.images["main"]}
    options = {**chosen, **{name: values[name.rpartition("_")[2]] for name in guarded}}
    try:
        first = planned(cluster, **options)
    except RefusedError:
        assume(False)
        return
    if first.reason != "rolled_back":
        return

    undo(cluster, first)
    second = planned(cluster, **options)

    assert second.reason in ("already_there", "already_moved")
    assert first.target is not None
    current = cluster.history().current
    assert current is not None
    assert current.name == first.target.name
