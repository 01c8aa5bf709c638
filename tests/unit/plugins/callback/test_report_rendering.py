# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reports of every kind of outcome: the schema, the verdict, the page, the test report and the timeline."""

from __future__ import annotations

import html.parser
import json
import re
import shlex
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import jsonschema
import pytest

from ansible_collections.sre.runbooks.plugins.plugin_utils import (
    report_command,
    report_html,
    report_junit,
    report_model,
    report_timeline,
    report_words,
)
from tests.unit.plugins.callback import samples

ROOT = Path(__file__).resolve().parents[4]
SCHEMA = json.loads((ROOT / "docs" / "report.schema.json").read_text(encoding="utf-8"))
VOID = {"meta", "br", "link", "img", "hr", "input"}


def report_of(name: str) -> dict[str, Any]:
    return report_model.build(samples.ALL[name](), samples.state_of(name))


class Page(html.parser.HTMLParser):
    """Collects what a page holds and proves that its elements are nested well."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] not in ("style", "script"):
            self.text += data

    @property
    def words(self) -> str:
        return " ".join(self.text.split())


@pytest.mark.parametrize("name", samples.ALL)
def test_report_follows_its_schema(name: str) -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    report = json.loads(json.dumps(report_of(name)))
    jsonschema.Draft202012Validator(SCHEMA).validate(report)


def test_schema_refuses_what_is_not_a_report() -> None:
    report = report_of("passed")
    report["verdict"] = "green"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(SCHEMA).validate(report)


def test_schema_documents_every_key_of_the_report() -> None:
    described = set(SCHEMA["properties"])
    assert described == set(report_of("failed"))


@pytest.mark.parametrize(
    ("name", "verdict", "verified"),
    [
        ("passed", "pass", True),
        ("failed", "fail", True),
        ("unverified", "unverified", True),
        ("several_systems", "fail", True),
        ("many_checks", "fail", True),
        ("check_mode", "pass", True),
        ("changed", "fail", True),
        ("nothing_verified", "unverified", False),
        ("no_hosts", "unverified", False),
        ("unreachable", "unverified", False),
        ("interrupted", "unverified", True),
    ],
)
def test_verdict(name: str, verdict: str, verified: bool) -> None:
    report = report_of(name)
    assert (report["verdict"], report["verified"]) == (verdict, verified)


def test_a_run_that_has_not_ended_is_not_green() -> None:
    assert report_model.build(samples.passed()[:-1], "running")["verdict"] == "unverified"


def test_deployments_come_worst_first() -> None:
    names = [item["name"] for item in report_of("several_systems")["deployments"]]
    assert names == ["hafnium-prod-eu", "durion-prod", "ecommerce-prod", "backoffice-prod-eu"]


def test_a_host_that_failed_after_a_green_gate_is_red() -> None:
    (deployment,) = report_of("changed")["deployments"]
    assert deployment["procedures"][0]["verdict"] == "pass"
    assert deployment["verdict"] == "fail"
    assert "The restart was undone" in deployment["reason"]


def test_a_rescued_task_does_not_make_a_green_host_red() -> None:
    log = samples.Log()
    log.task("bo", "try", "ansible.builtin.uri", "failed")
    log.verdict("bo", "backoffice.verify", [samples.check("a")])
    report = report_model.build(log.end(bo={"ok": 2, "rescued": 1}), "finished")
    assert report["verdict"] == "pass"
    assert report["deployments"][0]["problems"][0]["rescued"]


def test_a_host_of_other_modules_only_is_no_deployment() -> None:
    log = samples.Log()
    log.verdict("bo", "backoffice.verify", [samples.check("a")])
    log.task("localhost", "Make a folder", "ansible.builtin.file", "changed")
    report = report_model.build(log.end(bo={"ok": 2}, localhost={"ok": 1, "changed": 1}), "finished")
    assert [item["name"] for item in report["deployments"]] == ["bo"]
    assert report["verdict"] == "pass"


def test_a_host_that_ran_our_module_without_a_gate_is_unverified() -> None:
    log = samples.Log()
    log.verdict("bo-1", "backoffice.verify", [samples.check("a")])
    log.task("bo-2", "look", "sre.runbooks.kafka_lag", result={"verdict": "pass", "checks": [samples.check("a")]})
    report = report_model.build(log.end(**{"bo-1": {"ok": 2}, "bo-2": {"ok": 1}}), "finished")
    assert [(item["name"], item["verdict"]) for item in report["deployments"]] == [
        ("bo-2", "unverified"),
        ("bo-1", "pass"),
    ]
    assert report["verdict"] == "unverified"


def test_the_later_judgement_of_a_procedure_replaces_the_earlier() -> None:
    log = samples.Log()
    log.verdict("bo", "backoffice.verify", [samples.check("a", "fail")])
    log.verdict("bo", "backoffice.verify", [samples.check("a")])
    report = report_model.build(log.end(bo={"ok": 3, "rescued": 1}), "finished")
    assert report["verdict"] == "pass"
    assert [item["verdict"] for item in report["evidence"]] == ["fail"]


def test_a_published_verdict_without_its_gate_is_told() -> None:
    log = samples.Log()
    log.verdict("bo", "backoffice.verify", [samples.check("a")])
    events = log.end(bo={"ok": 1})
    del events[-2]
    report = report_model.build(events, "finished")
    assert not report["deployments"][0]["procedures"][0]["gated"]
    assert "the gate did not run" in Page(report_html.render(report)).words


@pytest.mark.parametrize("name", samples.ALL)
def test_page_is_self_contained_and_well_formed(name: str) -> None:
    page = Page(report_html.render(report_of(name)))
    assert page.open == []
    loads = [attributes for _, attributes in page.tags if {"src", "background", "action"} & attributes.keys()]
    links = [attributes["href"] for _, attributes in page.tags if "href" in attributes]
    assert loads == []
    assert all(str(link).startswith("#") for link in links)
    assert not re.search(r"url\(|@import|https?://", report_html.render(report_of(name)).split("</style>")[0])
    assert "link" not in {tag for tag, _ in page.tags}


@pytest.mark.parametrize("name", samples.ALL)
def test_every_link_of_the_page_has_its_target(name: str) -> None:
    page = Page(report_html.render(report_of(name)))
    identities = [attributes["id"] for _, attributes in page.tags if attributes.get("id")]
    assert len(identities) == len(set(identities))
    targets = {str(attributes["href"])[1:] for tag, attributes in page.tags if tag == "a"}
    assert targets <= set(identities)


def test_page_tells_the_verdict_the_checks_and_the_next_command() -> None:
    words = Page(report_html.render(report_of("failed"))).words
    command = "ansible-playbook sre.runbooks.backoffice.restart -i /srv/inventories/production --limit bo-eu"
    for text in (
        "FAIL",
        "bo-eu failed.",
        "last event 902 s ago",
        "at most 120 s",
        "Look at the log of the consumer.",
        "The consumer is dead",
        f"{command} -e backoffice_service=bo --check --diff",
        "A development machine Until 2026-12-31, owner team-bo.",
        "by asha",
        "/srv/inventories/production",
        "sre.runbooks 0.1.0",
    ):
        assert text in words
    assert words.index("Check of stats.fresh") < words.index("Check of replay.slo") < words.index("Check of positions")


def test_what_was_captured_is_kept_and_shown() -> None:
    report = report_of("captured")
    (evidence,) = report["evidence"]
    assert evidence["capture"][0]["sessions"][0]["pid"] == 4711
    assert "SELECT <b>count</b> FROM orders" in Page(report_html.render(report)).words


def test_page_of_check_mode_says_so() -> None:
    words = Page(report_html.render(report_of("check_mode"))).words
    assert "Check mode: nothing was changed." in words
    assert "What would be changed" in words
    assert "would change 6. Quarantine the bad lines bo-eu → bo-db-1" in words
    assert "line: 812, action: quarantine, reason: broken JSON" in words


@pytest.mark.parametrize("name", ["nothing_verified", "no_hosts", "unreachable"])
def test_every_rendering_says_that_nothing_was_verified(name: str) -> None:
    report = report_of(name)
    assert "NOTHING WAS VERIFIED" in Page(report_html.render(report)).words
    assert report_timeline.render(report).startswith("# NOTHING WAS VERIFIED")
    assert "nothing was verified" in report_junit.render(report)


def test_observed_text_is_text_in_the_page() -> None:
    page = Page(report_html.render(report_of("long_texts")))
    assert [tag for tag, _ in page.tags].count("script") == 1
    assert "<script>alert(1)</script>" in page.text


@pytest.mark.parametrize("name", samples.ALL)
def test_junit_counts_what_it_holds(name: str) -> None:
    root = ET.fromstring(report_junit.render(report_of(name)))
    for suite in [root, *root]:
        assert int(suite.get("tests", "")) == len(suite.findall(".//testcase")) > 0
        assert int(suite.get("failures", "")) == len(suite.findall(".//failure"))
    assert (root.get("failures") == "0") == (report_of(name)["verdict"] == "pass")


def test_junit_fails_what_is_unverified_and_skips_what_is_accepted() -> None:
    root = ET.fromstring(report_junit.render(report_of("failed")))
    kinds = {case.get("name", "").split(":")[0]: [item.tag for item in case] for case in root.iter("testcase")}
    assert kinds == {"stats.fresh": ["failure"], "replay.slo": ["failure"], "positions": [], "store": ["skipped"]}
    assert {item.get("type") for item in root.iter("failure")} == {"fail", "unverified"}


def test_timeline_is_one_row_a_step() -> None:
    report = report_of("long_texts")
    lines = report_timeline.render(report).splitlines()
    rows = [line for line in lines if line.startswith("| 0")]
    assert len(rows) == len(report["timeline"])
    assert all(len(re.findall(r"(?<!\\)\|", row)) == 6 for row in rows)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({}, []),
        ({"a": "plain", "b": "x-1.2"}, ["-e", "a=plain", "-e", "b=x-1.2"]),
        ({"a": "two words"}, ["-e", '{"a": "two words"}']),
        ({"a": "it's", "n": 5}, ["-e", '{"a": "it\'s", "n": 5}']),
        ({"a": "$(reboot)"}, ["-e", '{"a": "$(reboot)"}']),
        ({"a": [1, True]}, ["-e", '{"a": [1, true]}']),
    ],
)
def test_next_command_survives_the_shell(arguments: dict[str, Any], words: list[str]) -> None:
    step = {"playbook": "backoffice.stale_data", "args": arguments, "effect": "read"}
    (command,) = report_command.next_commands(step, ["inv one", "b,"], "bo 1")
    start = ["ansible-playbook", "sre.runbooks.backoffice.stale_data", "-i", "inv one", "-i", "b,", "--limit", "bo 1"]
    assert shlex.split(command["command"]) == [*start, *words]


@pytest.mark.parametrize("effect", ["change", "destroy"])
def test_what_changes_a_system_is_rehearsed_first(effect: str) -> None:
    commands = report_command.next_commands({"playbook": "a/b.yml", "effect": effect}, [], "bo")
    assert [command["command"] for command in commands] == [
        "ansible-playbook a/b.yml --limit bo --check --diff",
        "ansible-playbook a/b.yml --limit bo",
    ]


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [(None, ""), (0, "0 ms"), (999, "999 ms"), (1200, "1.2 s"), (200_000, "3 min 20 s"), (7_500_000, "2 h 5 min")],
)
def test_duration(milliseconds: int | None, text: str) -> None:
    assert report_words.duration(milliseconds) == text
