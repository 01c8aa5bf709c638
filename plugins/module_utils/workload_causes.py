# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Causes why a workload does not start or stay up: their names in order of precedence, what to do, what comes next.

Where several are found, the one that stands first is the one to mend first: what keeps pods from being made comes before
what keeps them from being placed, then from being started, then what their processes say, then what only shows as a
symptom.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from .checks import Effect

Family = Literal["", "database", "kafka", "redis", "identity", "port", "memory"]
Then = Literal["", "health", "rollback", "resources", "scale", "restart", "set_env"]

EFFECTS: dict[str, Effect] = {
    "health": "read",
    "rollback": "change",
    "resources": "change",
    "scale": "change",
    "restart": "change",
    "set_env": "change",
}


@dataclass(frozen=True)
class About:
    """What to do about a cause, and the procedure that does it or looks again (empty for none).

    ``of_revision``: a cause that comes with a revision, so that going back helps where the older one still works.
    ``family`` chooses the environment variables that are named with it.
    """

    advice: str
    then: Then = "health"
    of_revision: bool = False
    family: Family = ""


def _revision(advice: str, family: Family = "", then: Then = "health") -> About:
    return About(advice, then, of_revision=True, family=family)


ABOUT: dict[str, About] = {
    "workload_absent": About("Correct the name or the namespace, or deploy it."),
    "scaled_to_zero": About("Scale it up, if that is not meant.", "scale"),
    "rollout_paused": About("kubectl rollout resume lets it go on.", ""),
    "controller_behind": About("Is the controller manager of the cluster running?", ""),
    # pods cannot be made
    "admission_forbidden": _revision("Correct the pod template (the message says which field), or the policy."),
    "service_account_missing": About(
        "Create the ServiceAccount, then restart the workload: the controller tries again only after minutes.",
        "restart",
    ),
    "quota_exceeded": About(
        "Free quota in the namespace, or raise it; fewer replicas or smaller requests fit too.", "scale"
    ),
    "limit_range": _revision("Fit requests and limits into the LimitRange of the namespace.", then="resources"),
    "priority_class_missing": _revision("Create the PriorityClass, or correct priorityClassName."),
    "webhook_unreachable": About("Mend the admission webhook's own service; until then no pod can be made.", ""),
    "create_failed": _revision("The message of the controller says what it lacks."),
    # nodes
    "node_not_ready": About("Mend or replace the node; its pods are made anew elsewhere after some minutes.", ""),
    "evicted": About("The node ran short: set requests to what is really used, and look at the node.", "resources"),
    "node_pressure": About("The node runs short: free it, or let fewer pods land there.", ""),
    "preempted": About("Pods of higher priority took the place: more room, or a higher priority.", ""),
    "stuck_terminating": About("Its node does not confirm the end, or a finalizer is left: look at both.", ""),
    # placement
    "volume_unbound": About("The PersistentVolumeClaim is not bound: look at its events and storage class.", ""),
    "unschedulable": About("Make room, or ask for less: requests, node selector, tolerations, affinity.", "resources"),
    "scheduler_silent": About("Nobody has tried to place it: is the scheduler running, is schedulerName right?", ""),
    # images
    "image_name_invalid": _revision("Correct the image's name.", then="rollback"),
    "image_not_found": _revision("Push that tag, or name one that exists.", then="rollback"),
    "image_auth": About("Give the pod an imagePullSecret that may read the repository.", ""),
    "image_rate_limited": About("Wait, or pull with credentials or through a mirror.", ""),
    "registry_unreachable": About(
        "The node does not reach the registry: network, DNS, proxy or the registry itself.", ""
    ),
    "wrong_architecture": _revision("Build the image for the architecture of the node.", then="rollback"),
    "image_pull": _revision("The message of the node says why.", then="rollback"),
    # making the container
    "config_missing": _revision("Create what is missing, or correct the reference."),
    "volume_failed": About("The volume cannot be mounted: the message says which, and why.", ""),
    "sandbox_failed": About("The node cannot give the pod a network: look at the node's network plugin.", ""),
    "run_as_root_forbidden": _revision("Build the image with a numeric user, or set runAsUser."),
    "command_not_found": _revision("Correct command and args, or the image.", then="rollback"),
    "hook_failed": _revision("The container's lifecycle hook fails: correct it."),
    "container_not_made": _revision("The message of the node says why."),
    # memory
    "oom_killed": About(
        "Raise the container's memory limit, or let the process take less.", "resources", family="memory"
    ),
    "heap_exhausted": About(
        "The heap is full while the container's limit is not: raise the heap share or the limit, or find the leak.",
        "resources",
        family="memory",
    ),
    "threads_exhausted": About(
        "No further thread can be made: the limit of processes, or memory for stacks.", "resources"
    ),
    "file_limit": About("Too many open files: a leak of connections, or a limit that is too low.", ""),
    # what the process says
    "port_in_use": _revision("Two processes of the pod want one port: correct one of them.", "port", "set_env"),
    "database_auth_failed": About("Correct user and password where the pod takes them from.", family="database"),
    "database_missing": About("Create the database, or correct its name.", family="database"),
    "database_unknown_host": About(
        "Correct the host's name, or mend DNS for the pod (NetworkPolicy?).", family="database"
    ),
    "database_refused": About(
        "Is the database running at that address? Correct the address otherwise.", family="database"
    ),
    "database_timeout": About("Packets are dropped: NetworkPolicy, firewall, or a wrong address.", family="database"),
    "database_starting": About("It takes no connections yet: wait, then look again.", family="database"),
    "database_connections_exhausted": About("The server has no connection left: fewer pods or smaller pools.", "scale"),
    "connection_pool_exhausted": About("Connections are held too long, or the pool is too small.", family="database"),
    "database_url_invalid": _revision("Write it as jdbc:postgresql://host:port/database.", "database", "set_env"),
    "flyway_failed": _revision("Mend the migration first; going back with the code leaves the schema as it is."),
    "flyway_locked": About("Another session holds the migration lock: find it in pg_locks.", ""),
    "schema_mismatch": _revision("The schema is not the one that the code wants: run or correct the migrations."),
    "jwk_set_uri_missing": _revision(
        "Set SPRING_SECURITY_OAUTH2_RESOURCESERVER_JWT_JWK_SET_URI: the service refuses to start without it.",
        "identity",
        "set_env",
    ),
    "keycloak_unreachable": About("Is Keycloak running at that address, and the realm there?", family="identity"),
    "issuer_mismatch": _revision("Set the issuer exactly as the token server calls itself.", "identity", "set_env"),
    "kafka_auth_failed": About("Correct the credentials, or grant the ACL.", family="kafka"),
    "kafka_topic_missing": About("Create the topic, or correct its name.", family="kafka"),
    "kafka_unreachable": About(
        "Is the broker running at that address, and its advertised listener right?", family="kafka"
    ),
    "redis_auth_failed": About("Correct the password where the pod takes it from.", family="redis"),
    "redis_unreachable": About("Is Redis running at that address?", family="redis"),
    "config_invalid": _revision("Correct the value; the message names the property.", then="set_env"),
    "disk_full": About("The node or a volume is full: free it, or write less.", ""),
    "read_only_filesystem": _revision("Give the process a writable volume where it writes (emptyDir)."),
    "permission_denied": _revision("Correct the file's owner, runAsUser or fsGroup."),
    "jvm_options_invalid": _revision("Correct JAVA_TOOL_OPTIONS and the command line.", "memory", "set_env"),
    "java_version": _revision("The image's Java is older than the code: use a newer one.", then="rollback"),
    "artifact_missing": _revision("The image does not hold what it is told to start: build it anew.", then="rollback"),
    "code_missing": _revision("The image lacks code that it needs: build it anew.", then="rollback"),
    "tls_untrusted": About("Give the process the authority's certificate, or correct the server's chain."),
    "certificate_expired": About("Renew the certificate of the server that it calls."),
    "host_unknown": About("Correct the name, or mend DNS for the pod (NetworkPolicy?)."),
    "connection_refused": About("Find what it calls in the log, and whether that runs."),
    "bean_failed": _revision("The code's own wiring is wrong: go back, or mend it.", then="rollback"),
    "unhandled_exception": _revision("The log names the place in the code.", then="rollback"),
    # what shows from outside
    "wrong_port": _revision("Let the process listen where Service and probes look.", "port", "set_env"),
    "slow_start_killed": _revision("Add a startupProbe that allows for the longest start, or raise the delay."),
    "probe_failing": _revision("Ask the probe's address on the pod itself, and read its answer."),
    "readiness_gate": About("Something outside the pod sets its readiness gate, and has not.", ""),
    "completed": _revision("The process ends by itself with success: it has nothing to do, or goes to the background."),
    "killed": About("Somebody ended it from outside: see the events, and the node."),
    "process_crashed": _revision("The process broke down by itself, see its log and core files.", then="rollback"),
    "restarted": About("It came back by itself; the log of the previous run says more."),
    "starting": About("Look again when its probes have had their time.", "health"),
    "unknown_cause": About("Nothing known was seen; read the last lines."),
}
PRECEDENCE = {name: number for number, name in enumerate(ABOUT)}


@dataclass(frozen=True)
class Evidence:
    """One line that supports a cause. ``source`` is condition, event, status, log, previous log, node, spec or quota;
    ``object`` is ``Pod/name`` or ``Pod/name/container``; ``at`` is when, as told there; empty when not told."""

    source: str
    object: str
    text: str
    at: str = ""

    def as_dict(self) -> dict[str, Any]:
        return {"source": self.source, "object": self.object, "at": self.at or None, "text": self.text}


@dataclass
class Cause:
    """A named cause. ``sure`` when it was seen, not inferred; ``pods`` are those that show it."""

    name: str
    text: str
    evidence: list[Evidence]
    sure: bool = True
    pods: list[str] = field(default_factory=list)

    @property
    def about(self) -> About:
        return ABOUT[self.name]

    @property
    def of_process(self) -> bool:
        """It shows in the containers, not in what is around them."""
        return self.rank >= PRECEDENCE["config_missing"] and self.name not in (
            "starting",
            "restarted",
            "readiness_gate",
        )

    @property
    def rank(self) -> int:
        return PRECEDENCE[self.name]
