#!/usr/bin/python
# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: rollout_undo
author:
  - sre.runbooks developers (@sre-runbooks)
version_added: 0.1.0
short_description: Roll a Deployment, StatefulSet or DaemonSet back to a revision, once
description:
  - Does what C(kubectl rollout undo) does, and can be run twice. A second run with the same options finds the workload
    where it should be, or finds that somebody else has moved it, and changes nothing.
  - Exactly one option says where to go, one of O(to), O(to_revision), O(to_name), O(to_hash), O(to_image) and
    O(to_change_cause). M(sre.runbooks.rollout_history) shows what there is.
  - Revision numbers change. A revision that comes back is given the next free number. A ReplicaSet remembers the numbers
    that it had, so that O(to_revision=3) means the same revision before and after. For the ControllerRevisions of
    StatefulSets and DaemonSets this module notes the numbers that it changes in the annotation
    C(sre.runbooks/earlier-revisions) of the workload; those that C(kubectl rollout undo) changed are lost, and then the
    task fails and lists what there is. Names and hashes are made from the pod template and never change.
  - Only ReplicaSets and ControllerRevisions that the workload itself controls are considered, whatever labels others have.
  - Before it changes anything, one pod of the target is tried with a dry run, so that a revision which Pod Security, a
    quota or a webhook forbids by now, or whose ServiceAccount is missing, is refused instead of getting stuck.
  - What is sent carries the resourceVersion that was read. When somebody else writes in between, everything is read and
    planned again.
  - Annotations of a Deployment are treated as C(kubectl) does, those of the revision come back and others are dropped,
    but for the marks of this collection, which stay. The number of replicas is never touched.
  - Waits for the rollout, and fails early where it is clear that it will not come to an end.
  - A paused Deployment is refused, also in check mode.
  - Needs the verbs get and patch on the workload, and list on C(replicasets.apps) (Deployment) or
    C(controllerrevisions.apps) (StatefulSet and DaemonSet) with get on them for the new number. With O(try_pod) create on
    C(pods) is used where granted, list on C(horizontalpodautoscalers.autoscaling) for a hint where granted. While it
    waits, list on C(pods), for the reason of a failure. O(recover_stuck_pods) needs list and delete on C(pods).
extends_documentation_fragment:
  - sre.runbooks.kubernetes_wait
  - sre.runbooks.kubernetes
  - sre.runbooks.attributes
attributes:
  check_mode:
    description: Can run in C(check_mode) and return the plan without acting on it.
    support: full
    details:
      - The API server is asked with a server-side dry run, so that its validation and admission have their say.
      - Nothing is waited for, and RV(resulting_revision) is V(null).
  diff_mode:
    description: Returns details on what has changed (or would change), when in diff mode.
    support: full
    details:
      - The pod template and the annotations, as the API server gives them back, without secrets.
  idempotent:
    description: Run twice in a row outside check mode, with the same arguments, it changes nothing the second time.
    support: full
    details:
      - That is why V(previous) and V(previous_image) of O(to) need a guard.
options:
  kind:
    description: Kind of the workload.
    type: str
    default: Deployment
    choices: [Deployment, StatefulSet, DaemonSet]
  name:
    description: Name of the workload.
    type: str
    required: true
  to:
    description:
      - V(previous) is the newest revision other than the current one. After two bad deployments that is the first bad one.
      - V(previous_image) is the newest revision with other images than the current one. It passes over restarts and
        changes of settings.
      - V(known_good) is the revision that M(sre.runbooks.rollout_mark) has marked.
      - What comes before V(previous) and V(previous_image) is another revision once the task has run, so these need one of
        O(expected_current_revision), O(expected_current_name) and O(expected_current_image) that says what is to be left.
        A guard that would hold after the rollback as well is refused.
    type: str
    choices: [previous, previous_image, known_good]
  to_revision:
    description: Number of the revision, also one that it had before.
    type: int
  to_name:
    description: Name of its ReplicaSet or ControllerRevision.
    type: str
  to_hash:
    description: Its pod-template-hash, or the hash in the name of its ControllerRevision.
    type: str
  to_image:
    description:
      - Image that one of its containers has, exactly as written there. The newest such revision is meant, or the current
        one when it has that image.
    type: str
  to_change_cause:
    description:
      - Regular expression that is searched in the annotation C(kubernetes.io/change-cause). The newest such revision is
        meant, or the current one when its matches.
    type: str
  expected_current_revision:
    description: Roll back only when the current revision has this number.
    type: int
  expected_current_name:
    description: Roll back only when the ReplicaSet or ControllerRevision of the current revision has this name.
    type: str
  expected_current_image:
    description: Roll back only when one of the containers of the current revision has exactly this image.
    type: str
  on_mismatch:
    description:
      - What to do when a guard does not hold and the workload is not where it should be either.
      - V(skip) changes nothing and returns RV(reason=already_moved), so that a job that is started again stays green.
      - V(fail) changes nothing and fails.
    type: str
    default: skip
    choices: [skip, fail]
  try_pod:
    description:
      - Whether to try one pod of the target with a dry run first, and to refuse the rollback when the API server would
        refuse the pod.
      - An exceeded quota is only a warning, since the old pods may make room.
    type: bool
    default: true
  retries:
    description: How often to read, plan and write again when somebody else was quicker. At most 20.
    type: int
    default: 5
  recover_stuck_pods:
    description:
      - With O(kind=StatefulSet), whether to delete pods that keep the rollback from rolling out. Its controller waits for
        a broken pod to become ready before it replaces it.
      - Only pods of the StatefulSet that are not ready and not of the target revision are deleted, after the template is
        back. Volumes stay.
    type: bool
    default: false
seealso:
  - module: sre.runbooks.rollout_history
  - module: sre.runbooks.rollout_mark
notes:
  - |
    Ids in RV(warnings_about): V(kubectl_apply), V(helm), V(argocd), V(flux), V(server_side_apply) and V(controller)
    (others that write this object and may undo the rollback), V(hpa), V(hpa_unverified), V(nothing_changes_image),
    V(leaves_known_good), V(annotations_dropped), V(on_delete), V(partition), V(quota), V(admission_unverified),
    V(not_observed), V(not_recovered) and V(schema).
"""

EXAMPLES = r"""
- name: Go back to what ran before, when the bad image still runs
  sre.runbooks.rollout_undo:
    namespace: hafnium
    name: identity-service
    to: previous
    expected_current_image: registry.example/identity-service:1.5.0

- name: Go back to a revision by its number, as often as the job is started
  sre.runbooks.rollout_undo:
    namespace: hafnium
    name: identity-service
    to_revision: 3
    wait_seconds: 600

- name: Go back to the revision that was verified last
  sre.runbooks.rollout_undo:
    namespace: hafnium
    name: identity-service
    to: known_good

- name: A StatefulSet whose new pod never becomes ready
  sre.runbooks.rollout_undo:
    namespace: data
    kind: StatefulSet
    name: redis
    to_name: redis-6d8b87f9bd
    recover_stuck_pods: true

- name: Only say what would be done
  sre.runbooks.rollout_undo:
    namespace: hafnium
    name: case-service
    to_change_cause: "^release 2026-10"
  check_mode: true
  diff: true
"""

RETURN = r"""
reason:
  description:
    - V(rolled_back), another template was written (in check mode, it would be).
    - V(already_there), the revision that is meant is the current one.
    - V(already_moved), a guard does not hold, so nothing was done.
  type: str
  returned: success, and when the rollout failed
  choices: [rolled_back, already_there, already_moved]
msg:
  description: The same as a sentence with names and numbers.
  type: str
  returned: always
  sample: >-
    Deployment hafnium/identity-service: rolled back from revision 5 (identity-service-796c87b989, web:2) to revision 4
    (identity-service-6597c57d6, web:1); it is revision 6 now
kind:
  description: Kind of the workload.
  type: str
  returned: success, and when the rollout failed
namespace:
  description: Its namespace.
  type: str
  returned: success, and when the rollout failed
name:
  description: Its name.
  type: str
  returned: success, and when the rollout failed
from:
  description: The revision that was current before.
  type: dict
  returned: success, and when the rollout failed
  contains:
    revision:
      description: Its number then; V(null) when the controller had not made a revision of the template.
      type: int
    name:
      description: Name of its ReplicaSet or ControllerRevision.
      type: str
    hash:
      description: Hash in that name.
      type: str
    images:
      description: Image of each container, init containers included.
      type: dict
    change_cause:
      description: Its change-cause; V(null) when there is none.
      type: str
to:
  description: The revision that is meant, with the keys of RV(from); V(null) with RV(reason=already_moved).
  type: dict
  returned: success, and when the rollout failed
resulting_revision:
  description:
    - The number that the revision has now, as it was observed. V(null) in check mode, with RV(reason=already_moved), and
      when the controller did not take it up within 10 seconds.
  type: int
  returned: success, and when the rollout failed
revisions:
  description: All revisions as they were before, with the keys of C(workloads[].revisions) of
    M(sre.runbooks.rollout_history).
  type: list
  elements: dict
  returned: success, and when the rollback was refused
attempts:
  description: One row for each time that something was sent to be written.
  type: list
  elements: dict
  returned: success, and when it was tried
  contains:
    outcome:
      description: V(stored), V(dry_run), V(conflict) or V(no_answer).
      type: str
    text:
      description: What the API server said to that; empty when it was accepted.
      type: str
warnings_about:
  description: What to know about this rollback. The ids are listed in the notes.
  type: list
  elements: dict
  returned: success, and when the rollout failed
  contains:
    id:
      description: Stable name of the warning.
      type: str
    text:
      description: One sentence.
      type: str
deleted_pods:
  description: Pods that O(recover_stuck_pods) deleted, or would delete, each with C(name), C(uid) and C(revision).
  type: list
  elements: dict
  returned: success, and when the rollout failed
rollout:
  description:
    - The state at the end of the wait, with C(state), C(reason), C(message), C(desired), C(updated), C(ready),
      C(available), C(unavailable), C(problems), C(timed_out) and C(waited_seconds).
    - V(null) when nothing was waited for.
  type: dict
  returned: success, and when the rollout failed
requests:
  description: How many requests were sent to the API server.
  type: int
  returned: success, and when it was tried
diff:
  description: Template and annotations before and after.
  type: dict
  returned: with --diff, when something was sent
"""

from ansible_collections.sre.runbooks.plugins.module_utils import operation, rollout_undo

REQUIRES = ("kubernetes",)


def main() -> None:
    operation.main(rollout_undo.SPEC, rollout_undo.run, REQUIRES)


if __name__ == "__main__":
    main()
