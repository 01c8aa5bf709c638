# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    # Where this fragment stands before sre.runbooks.kubernetes, its description of timeout is the one that holds.
    DOCUMENTATION = r"""
options:
  wait_seconds:
    description:
      - Longest time to wait for a rollout, in seconds. V(0) does not wait.
      - While it waits, a line of progress is shown. An API server that is away meanwhile is asked again.
    type: float
    default: 300.0
  fail_fast:
    description:
      - Reasons that end the wait before its time. Only pods of the new revision are looked at.
      - V(image_pull), the image cannot be pulled; V(config_error), the container cannot be made, for instance since a
        ConfigMap or Secret is missing; V(crash_loop), a container ends again and again (see O(crash_loop_restarts));
        V(failed_create), the API server refuses the pods (quota, admission, Pod Security, missing service account);
        V(unschedulable), no node takes them (see O(unschedulable_seconds)).
      - A progress deadline that is exceeded, a rollout that is paused, and an object that is deleted, made again or given
        another template by somebody else always end the wait.
    type: list
    elements: str
    choices: [image_pull, config_error, crash_loop, failed_create, unschedulable]
    default: [image_pull, config_error, crash_loop, failed_create, unschedulable]
  fail_after_seconds:
    description: Seconds that a reason of O(fail_fast) must stand, while no pod moves on, before the wait ends.
    type: float
    default: 10.0
  unschedulable_seconds:
    description: The same for pods that no node takes; a cluster autoscaler needs time to add one.
    type: float
    default: 60.0
  crash_loop_restarts:
    description: Number of restarts of a container from which on it counts as a crash loop.
    type: int
    default: 3
  timeout:
    description: Seconds for the whole task, to which O(wait_seconds) is added.
    type: float
    default: 60.0
"""
