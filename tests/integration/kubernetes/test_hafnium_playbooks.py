# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every Hafnium playbook, by its full name from the installed archive: in check mode, for real, and again."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from lab import cluster, hafnium, load
from lab.layout import LabError, paths
from lab.oracle import run_kubectl
from tests.integration.kubernetes.rollout_scene import eventually
from tests.support.playbooks import Playbooks, Run, lab_command

pytestmark = pytest.mark.lab

LAB = "hafnium-lab"
IMAGE = "registry.lab/hafnium/case-service"
ONE = ("--limit", LAB, "-e", "hafnium_service=case-service")
RIGHTS = ("-e", "hafnium_context=lab-admin")  # ConfigMaps are not among those of docs/rbac.yml
OTHERS = sorted(set(hafnium.SERVICES) - {"case-service"})


@pytest.fixture
def well(kubernetes_lab: None) -> Iterator[None]:
    """Every service as its manifest has it, before and after."""
    lab_command("heal")
    yield
    hafnium.install(paths(), cluster.admin_kubeconfig(paths()))
    hafnium.wait_ready(paths(), cluster.admin_kubeconfig(paths()))


def deployment(name: str = "case-service", namespace: str = "hafnium") -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run_kubectl(["-n", namespace, "get", "deployment", name, "-o", "json"]))
    return found


def image(name: str = "case-service") -> str:
    return str(deployment(name)["spec"]["template"]["spec"]["containers"][0]["image"])


def spec(name: str = "case-service") -> tuple[int, dict[str, Any]]:
    """What a change of the Deployment would show in: its generation and annotations."""
    found = deployment(name)["metadata"]
    return found["generation"], found.get("annotations", {})


def pods(*names: str) -> set[str]:
    """Names of the pods of services: a rollout gives others."""
    listed = run_kubectl(["-n", "hafnium", "get", "pods", "-l", f"app in ({','.join(names)})", "-o", "name"])
    return set(listed.split())


def configured() -> str:
    """The value of the ConfigMap that comes with the release of a test; empty where there is none."""
    path = "jsonpath={.data.mode}"
    return run_kubectl(["-n", "hafnium", "get", "configmap", "of-a-release", "--ignore-not-found", "-o", path])


def change_of(run: Run) -> dict[str, Any]:
    """What the verdict of a deploy says of the change of the case service."""
    rows = run.judgement("hafnium.deploy", LAB)["checks"]
    (found,) = [row for row in rows if row["id"] == "change.case-service"]
    return dict(found)


def checks(run: Run, procedure: str) -> dict[str, str]:
    return {check["id"]: check["status"] for check in run.judgement(procedure, LAB)["checks"]}


@pytest.mark.parametrize(
    "name",
    [
        "health",
        "diagnose_startup",
        "rollout_status",
        "rollout_history",
        "certificates",
        "memory",
        "verify",
        "hpa",
        "latency",
        "kafka_lag",
        "logs",
    ],
)
def test_what_reads_changes_nothing(name: str, well: None, playbooks: Playbooks) -> None:
    before, ran = {service: spec(service) for service in hafnium.SERVICES}, pods(*hafnium.SERVICES)
    selected = ("-e", "hafnium_service=case-service") if name == "logs" else ()
    for arguments in (("--check",), ()):
        run = playbooks.run(f"hafnium.{name}", *arguments, *selected)
        assert (run.code, run.changed()) == (0, 0), run.output
    assert {service: spec(service) for service in hafnium.SERVICES} == before
    assert pods(*hafnium.SERVICES) == ran


def test_the_database_is_part_of_the_one_verdict(well: None, playbooks: Playbooks) -> None:
    for name, also in (("hafnium.verify", "flyway.case"), ("hafnium.latency", "long_queries.hafnium")):
        seen = playbooks.run(name, "--limit", LAB)
        assert checks(seen, name)[also] == checks(seen, name)["connections.hafnium"] == "pass", seen.output
        unseen = playbooks.run(name, "--limit", LAB, "-e", "hafnium_database_host=")
        assert not {"connections.hafnium", also} & checks(unseen, name).keys()
        assert any("nobody looked at the database" in note for note in unseen.judgement(name, LAB)["notes"]), (
            unseen.output
        )
        away = playbooks.run(name, "--limit", LAB, "-e", "hafnium_database_port=9")
        assert (away.code, checks(away, name)["connections.hafnium"]) == (2, "fail"), away.output


def test_the_alert_of_latency_looks_at_the_database_and_says_which(well: None, playbooks: Playbooks) -> None:
    run = playbooks.run("hafnium.alert", "--limit", LAB, "-e", "alert=HighLatencyP99")
    assert "hafnium on 127.0.0.1" in run.output
    assert checks(run, "hafnium.latency")["connections.hafnium"] == "pass", run.output


def test_deploy_and_rollback_once_and_again(well: None, playbooks: Playbooks) -> None:
    old, before = image(), spec()
    new = ("-e", f"hafnium_deploy_image={IMAGE}:1.5.0")
    planned = playbooks.run("hafnium.deploy", *ONE, *new, "--check", "--diff")
    assert (planned.code, spec(), image()) == (0, before, old), planned.output
    assert "1.5.0" in planned.output

    done = playbooks.run("hafnium.deploy", *ONE, *new)
    assert (done.code, image()) == (0, f"{IMAGE}:1.5.0"), done.output
    assert "sre.runbooks/known-good" in spec()[1]
    deployed = spec()
    again = playbooks.run("hafnium.deploy", *ONE, *new)
    assert (again.code, again.changed(), spec()) == (0, 0, deployed), again.output

    back = ("-e", "hafnium_rollback_to=previous_image", "-e", f"hafnium_rollback_expected_image={IMAGE}:1.5.0")
    planned = playbooks.run("hafnium.rollback", *ONE, *back, "--check")
    assert (planned.code, spec()) == (0, deployed), planned.output
    done = playbooks.run("hafnium.rollback", *ONE, *back)
    assert (done.code, image()) == (0, old), done.output
    settled = spec()
    again = playbooks.run("hafnium.rollback", *ONE, *back)
    assert (again.code, again.changed(), spec()) == (0, 0, settled), again.output


def test_a_bad_release_under_load_is_rolled_back_and_the_others_are_left_alone(
    well: None, playbooks: Playbooks
) -> None:
    old, others = image(), pods(*OTHERS)
    clients = load.Clients("case-service")
    try:
        run = playbooks.run("hafnium.deploy", *ONE, "-e", f"hafnium_deploy_image={IMAGE}:1.5.0-bad-db")
    finally:
        clients.stop()
    assert run.code != 0, "a deploy that was rolled back is red"
    found = checks(run, "hafnium.deploy")
    assert (found["change.case-service"], found["recovery.case-service"]) == ("fail", "pass"), run.output
    causes = [finding["cause"] for finding in run.judgement("hafnium.deploy", LAB)["findings"]]
    assert "database_refused" in causes
    (recovery,) = [
        check for check in run.judgement("hafnium.deploy", LAB)["checks"] if check["id"] == "recovery.case-service"
    ]
    assert recovery["duration_ms"] > 0
    assert (image(), pods(*OTHERS)) == (old, others)
    assert sum(clients.answers.values()) > 20
    assert clients.failed == 0, clients.told()


def test_a_release_that_is_ready_but_not_well_is_rolled_back(well: None, playbooks: Playbooks) -> None:
    old = image()
    run = playbooks.run("hafnium.deploy", *ONE, "-e", f"hafnium_deploy_image={IMAGE}:1.5.0-bad-unhealthy")
    found = checks(run, "hafnium.deploy")
    assert (run.code != 0, found["change.case-service"], found["recovery.case-service"]) == (True, "fail", "pass")
    assert image() == old


def test_a_rollback_that_cannot_be_verified_goes_forward_again(well: None, playbooks: Playbooks) -> None:
    run_kubectl(
        ["-n", "hafnium", "set", "image", "deployment/case-service", f"case-service={IMAGE}:1.5.0-bad-unhealthy"]
    )
    run_kubectl(["-n", "hafnium", "rollout", "status", "deployment/case-service", "--timeout=60s"])
    run_kubectl(["-n", "hafnium", "set", "image", "deployment/case-service", f"case-service={IMAGE}:1.5.0"])
    run_kubectl(["-n", "hafnium", "rollout", "status", "deployment/case-service", "--timeout=60s"])
    back = ("-e", "hafnium_rollback_to=previous", "-e", f"hafnium_rollback_expected_image={IMAGE}:1.5.0")
    run = playbooks.run("hafnium.rollback", *ONE, *back)
    found = checks(run, "hafnium.rollback")
    assert (run.code != 0, found["change.case-service"], found["recovery.case-service"]) == (True, "fail", "pass")
    assert image() == f"{IMAGE}:1.5.0"


def test_a_manifest_keeps_the_number_of_replicas(well: None, playbooks: Playbooks, tmp_path: Path) -> None:
    run_kubectl(["-n", "hafnium", "patch", "hpa", "case-service-hpa", "-p", '{"spec": {"minReplicas": 4}}'])
    run_kubectl(
        [
            "-n",
            "hafnium",
            "wait",
            "deployment/case-service",
            "--for=jsonpath={.status.readyReplicas}=4",
            "--timeout=90s",
        ]
    )
    (wanted,) = [each for each in hafnium.service_documents("case-service") if each["kind"] == "Deployment"]
    wanted["spec"]["template"]["spec"]["containers"][0]["image"] = f"{IMAGE}:1.5.0"
    manifest = tmp_path / "case-service.yml"
    manifest.write_text(json.dumps(wanted))
    before = deployment()["spec"]
    planned = playbooks.run("hafnium.deploy", *ONE, "-e", f"hafnium_deploy_manifest={manifest}", "--check", "--diff")
    assert (planned.code, deployment()["spec"]) == (0, before), planned.output
    assert f"{IMAGE}:1.5.0" in planned.output
    run = playbooks.run("hafnium.deploy", *ONE, "-e", f"hafnium_deploy_manifest={manifest}")
    assert run.code == 0, run.output
    assert (image(), deployment()["spec"]["replicas"]) == (f"{IMAGE}:1.5.0", 4)

    wanted["metadata"]["name"] = "vault-service"
    manifest.write_text(json.dumps(wanted))
    refused = playbooks.run("hafnium.deploy", *ONE, "-e", f"hafnium_deploy_manifest={manifest}")
    assert refused.code != 0
    change = change_of(refused)
    assert change["observed"].startswith(f"not made: {manifest} must hold exactly the Deployment case-service")
    assert change["hint"] == "Nothing was changed."


@pytest.fixture
def release(tmp_path: Path) -> Iterator[Callable[..., Path]]:
    """A manifest of the case service: a ConfigMap of its own and its Deployment with a new image; the ConfigMap is taken away."""

    def write(**of_the_deployment: Any) -> Path:
        (wanted,) = [each for each in hafnium.service_documents("case-service") if each["kind"] == "Deployment"]
        wanted["spec"]["template"]["spec"]["containers"][0]["image"] = f"{IMAGE}:1.5.0"
        wanted["spec"] |= of_the_deployment
        config = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "of-a-release"},
            "data": {"mode": "new"},
        }
        manifest = tmp_path / "release.yml"
        manifest.write_text(yaml.safe_dump_all([wanted, config]))
        return manifest

    yield write
    run_kubectl(["-n", "hafnium", "delete", "configmap", "of-a-release", "--ignore-not-found"])


def test_of_a_manifest_that_the_api_server_refuses_nothing_is_applied(
    well: None, release: Callable[..., Path], playbooks: Playbooks
) -> None:
    before = deployment()["spec"]
    manifest = release(progressDeadlineSeconds=0)
    run = playbooks.run("hafnium.deploy", *ONE, *RIGHTS, "-e", f"hafnium_deploy_manifest={manifest}")
    assert run.code != 0
    change = change_of(run)
    assert change["observed"].startswith('not made: Deployment.apps "case-service" is invalid')
    assert "progressDeadlineSeconds" in change["observed"]
    assert change["hint"] == "Nothing was changed."
    assert (deployment()["spec"], configured()) == (before, "")


def in_force() -> bool:
    """Whether the policy of the next fixture is; it takes a moment."""
    try:
        run_kubectl(["-n", "hafnium", "annotate", "--overwrite", "deployment/vault-service", "refused=yes"])
    except LabError as error:
        return "it is in force" in str(error)
    run_kubectl(["-n", "hafnium", "annotate", "deployment/vault-service", "refused-"])
    return False


@pytest.fixture
def late_refusal() -> Iterator[None]:
    """The API server accepts a release of the case service in a dry run, and refuses it for real, as a quota or a webhook may."""
    policy = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": "late-refusal"},
        "spec": {
            "failurePolicy": "Fail",
            "matchConstraints": {
                "resourceRules": [
                    {
                        "apiGroups": ["apps"],
                        "apiVersions": ["v1"],
                        "operations": ["UPDATE"],
                        "resources": ["deployments"],
                    }
                ]
            },
            "validations": [
                {"expression": "!('refused' in object.metadata.?annotations.orValue({}))", "message": "it is in force"},
                {
                    "expression": "request.dryRun || !object.spec.template.spec.containers[0].image.endsWith(':1.5.0')",
                    "message": "no release today",
                },
            ],
        },
    }
    binding = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": "late-refusal"},
        "spec": {"policyName": "late-refusal", "validationActions": ["Deny"]},
    }
    try:
        for document in (policy, binding):
            run_kubectl(["apply", "-f", "-"], stdin=json.dumps(document))
        eventually("the policy is in force", in_force)
        yield
    finally:
        for kind in ("validatingadmissionpolicybinding", "validatingadmissionpolicy"):
            run_kubectl(["delete", kind, "late-refusal", "--ignore-not-found"])


def test_what_was_applied_of_a_manifest_before_it_failed_is_told(
    well: None, late_refusal: None, release: Callable[..., Path], playbooks: Playbooks
) -> None:
    old, manifest = image(), release()
    run = playbooks.run("hafnium.deploy", *ONE, *RIGHTS, "-e", f"hafnium_deploy_manifest={manifest}")
    assert run.code != 0
    change = change_of(run)
    assert change["observed"].startswith('made in part: deployments.apps "case-service" is forbidden')
    assert "no release today" in change["observed"]
    assert "not taken back by a rollback: ConfigMap of-a-release. Compare with kubectl diff" in change["hint"]
    assert (image(), configured()) == (old, "new")


def test_restart_once_for_a_token(well: None, playbooks: Playbooks) -> None:
    before, ran, others = spec(), pods("case-service"), pods(*OTHERS)
    token = ("-e", "hafnium_restart_id=job-4711")
    planned = playbooks.run("hafnium.restart", *ONE, *token, "--check")
    assert (planned.code, spec(), pods("case-service")) == (0, before, ran), planned.output
    done = playbooks.run("hafnium.restart", *ONE, *token)
    assert done.code == 0, done.output
    fresh = pods("case-service")
    assert not fresh & ran
    again = playbooks.run("hafnium.restart", *ONE, *token)
    assert (again.code, again.changed(), pods("case-service"), pods(*OTHERS)) == (0, 0, fresh, others), again.output


def test_restart_of_several_stops_at_the_first_that_fails(well: None, playbooks: Playbooks) -> None:
    run_kubectl(
        ["-n", "hafnium", "set", "image", "deployment/case-service", f"case-service={IMAGE}:1.5.0-bad-never-ready"]
    )
    untouched = pods("vault-service")
    run = playbooks.run(
        "hafnium.restart",
        *("--limit", LAB, "-e", "hafnium_service=case-service,vault-service", "-e", "hafnium_rollout_wait_seconds=8"),
    )
    assert run.code != 0
    assert pods("vault-service") == untouched


@pytest.mark.parametrize("selected", ["", "case", "all,case-service"])
def test_a_change_wants_a_service_that_exists(selected: str, kubernetes_lab: None, playbooks: Playbooks) -> None:
    for name in ("restart", "rollback", "deploy", "scale", "hpa_limits", "resources", "set_env"):
        run = playbooks.run(f"hafnium.{name}", "--limit", LAB, "-e", f"hafnium_service={selected}")
        assert run.code != 0
        assert "no service is" in run.output, f"{name}: {run.output}"


def test_the_inventory_bounds_what_a_run_may_touch(kubernetes_lab: None, playbooks: Playbooks) -> None:
    bounded = ("-e", '{"hafnium_limit_namespaces": ["hafnium"], "hafnium_namespace": "hafnium-decoy"}')
    run = playbooks.run("hafnium.restart", *ONE, *bounded)
    assert run.code != 0
    assert "namespace hafnium-decoy is not one that this inventory lets a run change" in run.output
    run = playbooks.run(
        "hafnium.restart", "--limit", LAB, "-e", "hafnium_service=all", "-e", "hafnium_limit_workloads_count=2"
    )
    assert run.code != 0
    assert "8 services are selected, and this inventory lets a run change 2" in run.output


def test_scale_beside_an_autoscaler(well: None, playbooks: Playbooks) -> None:
    refused = playbooks.run("hafnium.scale", *ONE, "-e", "hafnium_scale_at_least=3")
    assert (refused.code != 0, deployment()["spec"]["replicas"]) == (True, 2), refused.output
    assert "case-service-hpa" in refused.output
    adapt = ("-e", "hafnium_scale_at_least=3", "-e", "hafnium_scale_hpa=adapt")
    planned = playbooks.run("hafnium.scale", *ONE, *adapt, "--check")
    assert (planned.code, deployment()["spec"]["replicas"]) == (0, 2), planned.output
    done = playbooks.run("hafnium.scale", *ONE, *adapt)
    assert (done.code, deployment()["spec"]["replicas"]) == (0, 3), done.output
    again = playbooks.run("hafnium.scale", *ONE, *adapt)
    assert (again.code, again.changed(), deployment()["spec"]["replicas"]) == (0, 0, 3), again.output


def test_limits_of_an_autoscaler(well: None, playbooks: Playbooks) -> None:
    def most() -> int:
        path = "jsonpath={.spec.maxReplicas}"
        return int(run_kubectl(["-n", "hafnium", "get", "hpa", "case-service-hpa", "-o", path]))

    raised = ("-e", "hafnium_hpa_max=20")
    planned = playbooks.run("hafnium.hpa_limits", *ONE, *raised, "--check")
    assert (planned.code, most()) == (0, 10), planned.output
    assert (playbooks.run("hafnium.hpa_limits", *ONE, *raised).code, most()) == (0, 20)
    again = playbooks.run("hafnium.hpa_limits", *ONE, *raised)
    assert (again.code, again.changed()) == (0, 0)
    beyond = playbooks.run("hafnium.hpa_limits", *ONE, "-e", "hafnium_hpa_max=21")
    assert (beyond.code != 0, most()) == (True, 20)


def test_resources_and_environment_of_one_service(well: None, playbooks: Playbooks) -> None:
    def container() -> dict[str, Any]:
        return dict(deployment()["spec"]["template"]["spec"]["containers"][0])

    before = container()
    memory = ("-e", "hafnium_resources_memory_limit=192Mi")
    planned = playbooks.run("hafnium.resources", *ONE, *memory, "--check")
    assert (planned.code, container()) == (0, before), planned.output
    done = playbooks.run("hafnium.resources", *ONE, *memory)
    assert (done.code, container()["resources"]["limits"]["memory"]) == (0, "192Mi"), done.output
    again = playbooks.run("hafnium.resources", *ONE, *memory)
    assert (again.code, again.changed()) == (0, 0), again.output
    too_much = playbooks.run("hafnium.resources", *ONE, "-e", "hafnium_resources_memory_limit=5Gi")
    assert (too_much.code != 0, "hafnium_limit_memory" in too_much.output) == (True, True)

    threads = ("-e", "hafnium_set_env_name=KAFKA_CONCURRENCY", "-e", "hafnium_set_env_value=4")
    done = playbooks.run("hafnium.set_env", *ONE, *threads)
    assert done.code == 0, done.output
    assert {"name": "KAFKA_CONCURRENCY", "value": "4"} in container()["env"]
    breaks = ("-e", "hafnium_set_env_name=SERVICE_FAULTS", "-e", "hafnium_set_env_value=crash=1")
    good = container()
    run = playbooks.run("hafnium.set_env", *ONE, *breaks)
    assert (run.code != 0, container()) == (True, good), run.output


@pytest.mark.parametrize(
    ("alert", "procedure"),
    [
        ("ServiceDown", "diagnose_startup"),
        ("HighLatencyP99", "latency"),
        ("KafkaLagHigh", "kafka_lag"),
        ("MemoryPressure", "memory"),
        ("CertificateExpiring", "certificates"),
    ],
)
def test_an_alert_leads_to_its_procedure(alert: str, procedure: str, well: None, playbooks: Playbooks) -> None:
    labels = json.dumps({"alert_labels": {"namespace": "hafnium", "service": "case-service", "severity": "warning"}})
    run = playbooks.run("alert", "--limit", LAB, "-e", f"alert={alert}", "-e", labels)
    judged = run.judgement(f"hafnium.{procedure}", LAB)
    assert judged["checks"]
    assert "vault-service" not in json.dumps(judged["checks"])
    assert "PagerDuty" in run.output


def test_an_alert_proposes_to_scale_and_the_procedure_itself_does(well: None, playbooks: Playbooks) -> None:
    slow = ("-e", "hafnium_latency_ms=0", "-e", "hafnium_latency_scale_at_least=3", "-e", "hafnium_scale_hpa=adapt")
    run = playbooks.run(
        "alert", *ONE, *slow, "-e", "alert=HighLatencyP99", "-e", "alert_labels={'app': 'case-service'}"
    )
    assert "fail" in checks(run, "hafnium.latency").values(), run.output
    assert (run.changed(), deployment()["spec"]["replicas"]) == (0, 2), run.output
    playbooks.run("hafnium.latency", *ONE, *slow)
    assert deployment()["spec"]["replicas"] == 3


def test_an_alert_of_another_runbook_is_refused(kubernetes_lab: None, playbooks: Playbooks) -> None:
    run = playbooks.run("alert", "--limit", LAB, "-e", "alert=DiskFull")
    assert run.code != 0
    assert "no procedure belongs to the alert DiskFull; there are: CertificateExpiring" in run.output
    labels = json.dumps({"alert_labels": {"namespace": "elsewhere"}})
    run = playbooks.run("alert", "--limit", LAB, "-e", "alert=ServiceDown", "-e", labels)
    assert run.code != 0
    assert "the alert is of namespace elsewhere" in run.output


def test_one_component_of_one_deployment(well: None, playbooks: Playbooks) -> None:
    for name in ("deploy", "restart", "rollback"):
        for wrong in ((), ("-e", "component=all"), ("-e", "component=a,b")):
            run = playbooks.run(name, "--limit", LAB, *wrong)
            assert run.code != 0
            assert "acts on exactly one component" in run.output
    several = playbooks.run("restart", "-e", "component=case-service")
    assert several.code != 0
    assert "acts on exactly one deployment, and 2 are selected" in several.output
    done = playbooks.run("restart", "--limit", LAB, "-e", "component=case-service", "--check")
    assert done.code == 0, done.output
