#!/usr/bin/python
# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: recovery_history
author:
  - sre.runbooks developers (@sre-runbooks)
version_added: 0.1.0
short_description: Keep the records of recovery drills, and show how they develop
description:
  - Adds one record to those of earlier drills of the same system, one JSON object a line, and returns the trend.
  - They are kept in O(directory), in the file C(<system>.jsonl), or as the document at O(url), which is read with GET and
    replaced with PUT. A server that gives strong ETags keeps two drills from overwriting each other.
  - A history that could not be read is never overwritten. What was written is read back from a server.
  - The newest 1,000 lines are kept.
extends_documentation_fragment:
  - sre.runbooks.http_client
  - sre.runbooks.http_client.auth
  - sre.runbooks.attributes
attributes:
  check_mode:
    description: Can run in C(check_mode) and return the trend with the record, without writing it.
    support: full
  diff_mode:
    description: Returns details on what has changed when in diff mode.
    support: none
    details:
      - RV(records) ends with what was added.
  idempotent:
    description: When run twice in a row outside check mode, with the same arguments, the second run indicates no change.
    support: full
    details:
      - A record is known by its C(id).
options:
  system:
    description: Name of the system whose drills these are.
    type: str
    required: true
  record:
    description:
      - The record to add, with an C(id) of its own. The trend reads C(verdict), C(verified_at), C(rto_seconds) and
        C(rpo_seconds); of a record with C(left_out) that is not empty it takes no numbers, since only a part was recovered.
      - Without it the history is only read.
    type: dict
  directory:
    description:
      - Folder for the file of the history. It has to be there, so that a volume that is not mounted is noticed.
      - One on the root file system of a container is refused, since it is lost with the container.
    type: path
  may_be_lost:
    description: Whether O(directory) may lie on the root file system of a container all the same, such as in a test.
    type: bool
    default: false
  url:
    description: Address of the document with the history.
    type: str
  shown_records_count:
    description: How many of the newest records are returned, from 1 to 1,000.
    type: int
    default: 20
seealso:
  - module: sre.runbooks.recovery_objectives
"""

EXAMPLES = r"""
- name: Keep the record of this drill where it outlives the runner
  sre.runbooks.recovery_history:
    system: ecommerce
    url: https://evidence.example.com/drills/ecommerce.jsonl
    token: "{{ evidence_token }}"
    record:
      id: ecommerce-prod-20310402T080311Z
      verdict: pass
      verified_at: "2031-04-02T08:04:31+00:00"
      rto_seconds: 83.2
      rpo_seconds: 912.4
"""

RETURN = r"""
location:
  description: Where the history is.
  type: str
  returned: always
  sample: /srv/drills/ecommerce.jsonl
records:
  description: The newest records, oldest first.
  type: list
  elements: dict
  returned: always
  sample:
    - {id: ecommerce-prod-20310402T080311Z, system: ecommerce, verdict: pass, rto_seconds: 83.2, rpo_seconds: 912.4}
unreadable_lines:
  description: Lines of the history that are no record; they are kept.
  type: int
  returned: always
  sample: 0
trend:
  description:
    - C(runs), C(passed), C(last_passed_at), C(not_passed_in_a_row), and for C(rto_seconds) and C(rpo_seconds) the last and
      the previous value, their difference, the median and the worst; V(null) where there is no number.
  type: dict
  returned: always
  sample:
    runs: 4
    passed: 3
    last_passed_at: "2031-04-02T08:04:31+00:00"
    not_passed_in_a_row: 0
    rto_seconds: {last: 83.2, previous: 80.1, change: 3.1, median: 81.0, worst: 90.5}
    rpo_seconds: {last: 912.4, previous: 640.0, change: 272.4, median: 700.2, worst: 912.4}
"""

from ansible_collections.sre.runbooks.plugins.module_utils import operation, recovery_history

REQUIRES = ("urllib3",)


def main() -> None:
    operation.main(recovery_history.SPEC, recovery_history.run, REQUIRES)


if __name__ == "__main__":
    main()
