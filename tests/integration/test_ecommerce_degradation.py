# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the procedure makes of databases and of a cluster in states that no lab brings about: their two modules are played."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.unit.plugins.action import collection_copy

ACTIVITY = """\
import json, os
from ansible.module_utils.basic import AnsibleModule

def main():
    names = "databases capture max_saturation_percent long_query_seconds slow_query_ms runbook sslmode ca_path"
    module = AnsibleModule({name: dict(type="raw") for name in names.split()}, supports_check_mode=True)
    with open(os.environ["PROBE_ACTIVITY"]) as file:
        module.exit_json(**json.load(file))

if __name__ == "__main__":
    main()
"""
SCALE = """\
import json, os
from ansible.module_utils.basic import AnsibleModule

def main():
    names = "name replicas limit_replicas expected_replicas wait_seconds kubeconfig context namespace timeout"
    module = AnsibleModule({name: dict(type="raw") for name in names.split()}, supports_check_mode=True)
    path, name, wanted = os.environ["PROBE_CLUSTER"], module.params["name"], int(module.params["replicas"])
    with open(path) as file:
        cluster = json.load(file)
    before = {"replicas": cluster[name]["replicas"]}
    if not module.check_mode:
        if cluster[name].get("refuses"):
            module.fail_json(msg="refused: its autoscaler sets 4")
        cluster[name]["replicas"] = wanted
        with open(path, "w") as file:
            json.dump(cluster, file)
    module.exit_json(changed=before["replicas"] != wanted, before=before)

if __name__ == "__main__":
    main()
"""
PLAY = """\
- name: Degradation
  hosts: shop
  gather_facts: false
  vars:
    ansible_python_interpreter: "{{ ansible_playbook_python }}"
    ecommerce_customer_database_url: jdbc:postgresql://db/customer_db
    ecommerce_order_database_url: jdbc:postgresql://db/order_db
    ecommerce_namespace: shop
  tasks:
    - name: Degradation
      ansible.builtin.include_role:
        name: sre.runbooks.ecommerce
        tasks_from: database_degradation
"""
QUIET: dict[str, Any] = {
    "verdict": "pass",
    "findings": [],
    "databases": [{"name": "customer_db", "answered": True}, {"name": "order_db", "answered": True}],
    "checks": [],
}


def check(name: str, status: str) -> dict[str, Any]:
    return {"id": name, "title": name, "status": status, "observed": "x", "expected": "y", "hint": "", "runbook": "5.4"}


@pytest.fixture(scope="module")
def collections(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = collection_copy.make(tmp_path_factory.mktemp("tree"), {})
    plugins = made / "ansible_collections" / "sre" / "runbooks" / "plugins"
    for name, source in (("pg_activity", ACTIVITY), ("workload_scale", SCALE)):
        (plugins / "action" / f"{name}.py").unlink()
        (plugins / "modules" / f"{name}.py").unlink()  # a link to the real one
        (plugins / "modules" / f"{name}.py").write_text(source, encoding="utf-8")
    return made


class Scene:
    """Runs the procedure; ``activity`` is what the databases show, ``cluster`` the workloads with their replicas."""

    def __init__(self, folder: Path, collections: Path) -> None:
        self.folder, self.collections = folder, collections
        self.activity: dict[str, Any] = {**QUIET, "checks": [check("connections.order_db", "pass")]}
        self.cluster: dict[str, dict[str, Any]] = {}

    def run(self, *arguments: str, **variables: Any) -> dict[str, dict[str, Any]]:
        """The checks by their ids."""
        play, activity, cluster = (self.folder / name for name in ("play.yml", "activity.json", "cluster.json"))
        play.write_text(PLAY)
        activity.write_text(json.dumps(self.activity))
        cluster.write_text(json.dumps(self.cluster))
        environment = collection_copy.environment(
            self.collections,
            self.folder,
            ANSIBLE_CALLBACKS_ENABLED="sre.runbooks.runbook_report",
            RUNBOOK_REPORT_DIR=str(self.folder / "reports"),
            PROBE_ACTIVITY=str(activity),
            PROBE_CLUSTER=str(cluster),
        )
        given = ("-i", "shop,", "-c", "local", "-e", json.dumps(variables))
        done = collection_copy.ansible_playbook("play.yml", *given, *arguments, env=environment, cwd=self.folder)
        self.cluster = json.loads(cluster.read_text())
        (report,) = (self.folder / "reports").glob("*/report.json")
        (deployment,) = json.loads(report.read_text())["deployments"]
        shutil.rmtree(self.folder / "reports")
        assert len(deployment["procedures"]) == 1, done.stdout + done.stderr
        (judged,) = deployment["procedures"]
        return {row["id"]: row for row in judged["checks"]}


@pytest.fixture
def scene(tmp_path: Path, collections: Path) -> Scene:
    return Scene(tmp_path, collections)


def test_nothing_is_handed_over_when_all_is_well(scene: Scene) -> None:
    found = scene.run()
    assert (found["failover"]["status"], found["query_review"]["status"]) == ("pass", "pass")


def test_queries_that_nobody_could_see_are_not_handed_over_as_runaway(scene: Scene) -> None:
    scene.activity["checks"] += [check("long_queries.order_db", "unverified"), check("blocked.customer_db", "pass")]
    found = scene.run()
    assert found["query_review"]["status"] == "unverified"
    assert "long_queries.order_db" in found["query_review"]["observed"]

    scene.activity["checks"][-1]["status"] = "fail"
    found = scene.run()
    assert found["query_review"]["status"] == "fail"
    assert found["query_review"]["observed"].startswith("blocked.customer_db; handed to")


def test_a_server_without_connections_needs_no_failover(scene: Scene) -> None:
    scene.activity["checks"] = [check("connections.order_db", "fail")]
    scene.activity["databases"][1] = {"name": "order_db", "answered": False}
    exhausted = {"cause": "connections_exhausted", "confidence": "seen", "evidence": ["connections.order_db"]}
    scene.activity["findings"] = [{**exhausted, "affects": ["order_db"]}]
    found = scene.run()
    assert (found["failover"]["status"], found["query_review"]["status"]) == ("pass", "unverified")
    assert "order_db runs, and has no connection left" in found["failover"]["observed"]
    assert "End sessions that are idle" in found["failover"]["hint"]

    scene.activity["findings"] = []
    found = scene.run()
    assert found["failover"]["status"] == "fail"
    assert found["failover"]["observed"].startswith("needed: order_db; handed to On-call")


def test_who_lets_nobody_in_is_not_known_to_be_away(scene: Scene) -> None:
    scene.activity["checks"] = [check("connections.order_db", "unverified")]
    scene.activity["databases"][1] = {"name": "order_db", "answered": False}
    found = scene.run()
    assert (found["failover"]["status"], found["query_review"]["status"]) == ("unverified", "unverified")


def test_the_way_back_is_kept_when_it_fails_half_way(scene: Scene) -> None:
    scene.cluster = {
        "customer": {"replicas": 3},
        "order": {"replicas": 4, "refuses": True},
        "mail": {"replicas": 5},
        "small": {"replicas": 1},
    }
    asked = {"ecommerce_workloads": list(scene.cluster), "ecommerce_scale_down_to": 2}
    planned = scene.run("--check", **asked)
    assert planned["scale_down.customer"]["observed"] == "3 before, 2 planned"

    found = scene.run(**asked)
    assert {name: one["replicas"] for name, one in scene.cluster.items()} == {
        "customer": 2,
        "order": 4,
        "mail": 2,
        "small": 1,
    }
    rows = {name: found[f"scale_down.{name}"] for name in scene.cluster}
    assert {name: row["status"] for name, row in rows.items()} == {
        "customer": "pass",
        "order": "fail",
        "mail": "pass",
        "small": "pass",
    }
    assert "refused: its autoscaler sets 4" in rows["order"]["observed"]
    assert rows["customer"]["hint"].endswith("scale deployment customer --replicas=3")
    assert rows["mail"]["hint"].endswith("scale deployment mail --replicas=5")
    assert "--replicas" not in rows["small"]["hint"]
    assert [name for name in found if name.startswith("ecommerce_scale")] == ["ecommerce_scale_result"]

    del scene.cluster["order"]["refuses"]
    again = scene.run(**asked)
    assert again["scale_down.order"]["hint"].endswith("scale deployment order --replicas=4")
    assert "--replicas" not in again["scale_down.customer"]["hint"]  # the smaller number is not the way back
    assert "report of that run has the way back" in again["scale_down.customer"]["hint"]
