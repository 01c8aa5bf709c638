#!/usr/bin/python
# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: verdict
author:
  - sre.runbooks developers (@sre-runbooks)
version_added: 0.1.0
short_description: Judge the checks of a procedure, publish the verdict and gate on it
description:
  - Takes the registered results of a procedure's checks and gives one verdict for the deployment.
    V(fail) is observed and wrong, V(unverified) could not be observed, and only V(pass) is green.
  - A register that is missing, was skipped or failed is unverified. Nothing at all is unverified.
  - A procedure calls it twice, in the C(always) of the block that holds its checks. First with O(gate=false), which
    publishes and never fails (a failed task's stats are thrown away by ansible-core), then with O(gate=true), which
    prints the table of checks and findings and fails the host unless the verdict is V(pass).
  - What a deployment is known to lack is declared in O(accepted). It stays visible, and is red again after its date.
extends_documentation_fragment:
  - sre.runbooks.attributes
  - sre.runbooks.attributes.read_only
attributes:
  in_process:
    support: full
    details:
      - This action always runs in the controller; there is no ordinary path.
options:
  procedure:
    description: Name of the procedure as it stands in the report, for example V(backoffice.verify).
    type: str
    required: true
  registers:
    description: Names of the registered variables that hold the results to judge. All of them are expected.
    type: list
    elements: str
    required: true
  optional:
    description: Names of registered variables that may be absent, such as a diagnosis that runs only after a failure.
    type: list
    elements: str
    default: []
  steps:
    description:
      - Names of registered variables of actions, such as a restart. They hold no checks, and are judged only when the action
        failed; what it did is shown by the checks that follow it.
    type: list
    elements: str
    default: []
  accepted:
    description:
      - Declared lacks of this deployment, a list of dictionaries with the keys C(check) (id of a check), C(reason),
        C(owner) and C(until) (date YYYY-MM-DD, the last day on which it holds).
      - An entry that is not complete is itself an unverified check.
    type: raw
    default: []
  gate:
    description: Print the table and fail the host unless the verdict is V(pass). Without it only publish.
    type: bool
    default: true
"""

EXAMPLES = r"""
- name: A procedure
  block:
    - name: Look at the BackOffice
      sre.runbooks.backoffice_stats:
        url: "{{ backoffice_url }}"
        account_id: "{{ backoffice_account_id }}"
        jwt_secret: "{{ backoffice_jwt_secret }}"
      register: backoffice_checked
  always:
    - name: Publish the verdict
      sre.runbooks.verdict:
        procedure: backoffice.verify
        registers: [backoffice_checked]
        accepted: "{{ backoffice_accepted }}"
        gate: false
    - name: Fail unless everything passed
      sre.runbooks.verdict:
        procedure: backoffice.verify
        registers: [backoffice_checked]
        accepted: "{{ backoffice_accepted }}"
"""

RETURN = r"""
verdict:
  description: The worst status of all checks that are not accepted.
  type: str
  returned: always
  choices: [pass, fail, unverified]
  sample: fail
procedure:
  description: The procedure that was judged.
  type: str
  returned: always
  sample: backoffice.verify
checks:
  description: All checks that are not accepted, worst first.
  type: list
  elements: dict
  returned: when O(gate=false)
findings:
  description: What the checks mean, as the modules concluded.
  type: list
  elements: dict
  returned: when O(gate=false)
accepted:
  description: Checks whose lack was declared, with reason, owner and until.
  type: list
  elements: dict
  returned: when O(gate=false)
notes:
  description: Acceptances that match nothing, pass now or have expired, and whether evidence was kept.
  type: list
  elements: str
  returned: when O(gate=false)
"""
