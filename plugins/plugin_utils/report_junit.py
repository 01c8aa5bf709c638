# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""junit.xml: one test case for each check, so that any CI shows the verdict. Unverified is a failure as well."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any
from xml.etree import ElementTree as ET  # only written, never read: nothing from outside is parsed

_NOT_XML = re.compile(r"[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def render(report: Mapping[str, Any]) -> str:
    """The document of one report."""
    root = ET.Element("testsuites", name=_text(", ".join(report["run"]["playbooks"])))
    for deployment in report["deployments"]:
        for row in deployment["procedures"]:
            _procedure(root, deployment["name"], row)
        if deployment["reason"]:
            suite = _suite(root, deployment["name"], report["run"]["started"])
            case = _case(suite, deployment["name"], "the run of this deployment")
            _failure(case, deployment["verdict"], deployment["reason"])
    if report["run"]["state"] != "finished" or not report["verified"]:
        suite = _suite(root, "run", report["run"]["started"])
        told = report["headline"] if report["verified"] else f"nothing was verified: {report['headline']}"
        _failure(_case(suite, "run", "the run verified something and ended"), "unverified", told)
    for suite in [*root, root]:
        suite.set("tests", str(len(suite.findall(".//testcase"))))
        suite.set("failures", str(len(suite.findall(".//failure"))))
        suite.set("skipped", str(len(suite.findall(".//skipped"))))
        suite.set("errors", "0")
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _procedure(root: ET.Element, host: str, row: Mapping[str, Any]) -> None:
    suite = _suite(root, f"{host} {row['procedure']}", row["time"])
    classname = f"{row['procedure']}.{host}"
    for check in row["checks"]:
        case = _case(suite, classname, f"{check['id']}: {check['title']}", check["duration_ms"])
        if check["status"] != "pass":
            _failure(case, check["status"], _told(check))
    for check in row["accepted"]:
        case = _case(suite, classname, f"{check['id']}: {check['title']}", check["duration_ms"])
        reason = f"accepted until {check['until']} by {check['owner']}: {check['reason']}"
        ET.SubElement(case, "skipped", message=_text(reason)).text = _text(_told(check))
    if not row["checks"]:
        _failure(_case(suite, classname, "checks"), "unverified", "no checks")
    causes = [f"{finding['cause']} ({finding['confidence']})" for finding in row["findings"]]
    if causes:
        ET.SubElement(suite, "system-out").text = _text("causes: " + "; ".join(causes))


def _suite(root: ET.Element, name: str, time: str) -> ET.Element:
    return ET.SubElement(root, "testsuite", name=_text(name), timestamp=_text(time[:19]))


def _case(suite: ET.Element, classname: str, name: str, milliseconds: int | None = None) -> ET.Element:
    return ET.SubElement(
        suite, "testcase", classname=_text(classname), name=_text(name), time=f"{(milliseconds or 0) / 1000:.3f}"
    )


def _failure(case: ET.Element, kind: str, told: str) -> None:
    ET.SubElement(case, "failure", type=kind, message=_text(told.split("\n", 1)[0])).text = _text(told)


def _told(check: Mapping[str, Any]) -> str:
    lines = [f"{check['status']}: observed {_value(check['observed'])}, expected {_value(check['expected'])}"]
    lines += [check["hint"]] if check["hint"] else []
    return "\n".join(lines)


def _value(value: Any) -> str:
    return value if isinstance(value, str) else "nothing" if value is None else json.dumps(value, ensure_ascii=False)


def _text(value: str) -> str:
    return _NOT_XML.sub("\ufffd", value)
