#!/usr/bin/python
# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: approval
author:
  - sre.runbooks developers (@sre-runbooks)
version_added: 0.1.0
short_description: Let a destructive step through only when different people have signed its plan
description:
  - What is approved is a plan. Its digest comes from a run in check mode, and a run whose plan has changed since is refused
    and shows what differs.
  - People sign the request, one JSON text, with their SSH keys (C(ssh-keygen -Y sign)). The signatures are checked by
    C(ssh-keygen) against O(allowed_signers_file). Nothing is sent anywhere.
  - Two signatures of one person count once, whichever keys they are made with. Names that share a line or a key in the file
    are one person. A line whose name is a pattern names nobody.
  - A request holds for one procedure, target, inventory, set of parameters, plan and state of the target, until it expires.
    As O(target_state) is what the step changes, a request that was used does not fit any more. No local file is kept.
  - A signature made with a certificate is refused, as whoever holds its authority could be any two people.
  - Signatures over the request without its final newline hold as well, and so does a request that was indented anew, as it
    is compared as JSON.
  - Every signature that is given has to hold. One that does not is refused with its reason, even where enough others do.
  - Runs where C(ssh-keygen) (OpenSSH 8.2 or newer) is, usually the controller. In a playbook use the role
    C(sre.runbooks.approval), which also refuses values that were slipped in as extra variables.
extends_documentation_fragment:
  - sre.runbooks.attributes
attributes:
  check_mode:
    description: Can run in C(check_mode) and return the request that is to be signed.
    support: full
    details:
      - Without a request the task does not fail in check mode. It returns RV(approved=false) and the request.
      - With a request it is judged as in a run, so that a refusal is known before.
      - The request is written in check mode as well when O(write_request=true), since its plan comes from check mode. This
        is the only thing that is written.
  diff_mode:
    description: Returns details on what has changed when in diff mode.
    support: none
  idempotent:
    description: When run twice in a row outside check mode, with the same arguments, the second run indicates no change.
    support: full
    details:
      - A request in O(request_path) that asks for the same and still holds is left as it is.
options:
  procedure:
    description: Name of the procedure.
    type: str
    required: true
  target:
    description: What is acted on, usually the inventory host.
    type: str
    required: true
  inventory:
    description: Name of the inventory, so that an approval for staging is none for production.
    type: str
    required: true
  parameters:
    description: Parameters of this run that people should see when they sign.
    type: dict
    default: {}
  plan:
    description: What will be done, as the acting module returns it in check mode. Its digest is approved.
    type: raw
    required: true
  plan_summary:
    description:
      - The plan in lines that people can read. They are part of the request, and the digest covers them.
      - If not set, the plan is written as lines of path and value.
    type: list
    elements: str
  target_state:
    description:
      - State of the target before the step, of things that the step changes, such as the object id of a database.
      - A request for another state is refused, so that one approval is one act.
    type: raw
    required: true
  requested_by:
    description: Who asks for approval. Needed to make a request.
    type: str
  reason:
    description: Why it is asked for. Needed to make a request.
    type: str
  valid_hours:
    description: How long a request that is made holds; 4 hours unless O(max_validity_hours) is less.
    type: float
  request:
    description: The request that was signed, as text or as data.
    type: raw
  request_file:
    description: File with the request that was signed.
    type: path
  request_path:
    description: File to write the request to, see O(write_request).
    type: path
  write_request:
    description:
      - Write the request that is to be signed to O(request_path), B(in check mode too).
      - A file that holds something else than a request is never overwritten.
    type: bool
    default: false
  signatures:
    description:
      - Signatures as text, for job templates where they are pasted into a survey. One text may hold several.
      - Line breaks may be lost on the way.
    type: list
    elements: str
    default: []
  signature_files:
    description: Files that hold signatures.
    type: list
    elements: path
    default: []
  allowed_signers_file:
    description:
      - Whose signatures count, in the format of C(ssh-keygen), a line C(NAME KEYTYPE KEY) per person. C(valid-after),
        C(valid-before) and C(namespaces) are honoured.
      - Needed when a request is given. A file that everybody may write is refused.
    type: path
  revoked_keys_file:
    description:
      - Keys that no longer count, a key revocation list (C(ssh-keygen -k)) or a list of public keys. It may be empty.
      - A file that everybody may write is refused.
    type: path
  namespace:
    description: Namespace of the signatures, so that those for other uses do not count.
    type: str
    default: sre.runbooks
  required_signatures:
    description: How many different people must sign, from 2 to 10.
    type: int
    default: 2
  max_validity_hours:
    description: A request that holds longer is refused. At most 168.
    type: float
    default: 24.0
  clock_skew_seconds:
    description: How far the clock where the request was made may be ahead, at most 900.
    type: int
    default: 120
  reversible:
    description:
      - Whether what was done can be undone. Only then O(break_glass) counts.
      - Write it into the playbook as it is, never as a variable, which extra variables would outrank.
    type: bool
    default: false
  break_glass:
    description:
      - Act without signatures. It is warned of, and the check V(approval) stays V(unverified), so that the verdict of the
        procedure is not green.
    type: dict
    suboptions:
      by:
        description: Who decides this.
        type: str
        required: true
      reason:
        description: Why it cannot wait.
        type: str
        required: true
  timeout:
    description: Seconds for the whole task.
    type: float
    default: 60.0
requirements:
  - ssh-keygen of OpenSSH 8.2 or newer, to check signatures
"""

EXAMPLES = r"""
- name: Plan the restore
  sre.runbooks.pg_restore:
    directory: /srv/backups
    set: hafnium
    state: replaced
  check_mode: true
  register: restore_planned

- name: Go on only when two people have signed that plan
  sre.runbooks.approval:
    procedure: dr_restore
    target: "{{ inventory_hostname }}"
    inventory: production
    plan: "{{ restore_planned.plan }}"
    target_state: "{{ restore_planned.target_state }}"
    requested_by: "{{ restore_requested_by | default(omit) }}"
    reason: "{{ restore_reason | default(omit) }}"
    request_path: /srv/approvals/restore.json
    write_request: "{{ ansible_check_mode }}"
    request_file: "{{ restore_request_file | default(omit) }}"
    signature_files: "{{ restore_signature_files | default([]) }}"
    allowed_signers_file: /etc/sre/allowed_signers
  delegate_to: localhost
"""

RETURN = r"""
approved:
  description: Whether the step may be done.
  type: bool
  returned: success
approved_by:
  description: V(signatures) or V(break_glass); V(null) in check mode while nothing is signed.
  type: str
  returned: success
  sample: signatures
break_glass:
  description: Who broke the glass and why; V(null) otherwise.
  type: dict
  returned: success
signers:
  description: Who signed.
  type: list
  elements: dict
  returned: success
  contains:
    principal:
      description: Name of the person in the allowed signers.
      type: str
    fingerprint:
      description: Fingerprint of the key.
      type: str
    key_type:
      description: Type of the key.
      type: str
plan_digest:
  description: What stands for the plan and its summary. The acting step compares it with its own.
  type: str
  returned: success, and when there is no request
  sample: "sha256:5f0c1b7e2d3a4956877869f0e1d2c3b4a5968778695a4b3c2d1e0f9a8b7c6d5e"
plan_summary:
  description: The plan in lines, as it stands in the request.
  type: list
  elements: str
  returned: success, and when there is no request
request:
  description: The request, to be signed or as it was signed; V(null) without O(requested_by) and O(reason).
  type: str
  returned: success, and when there is no request
sign_command:
  description: What each of the people runs to sign the request, with a key and a file of their own.
  type: str
  returned: success, and when there is no request
  sample: ssh-keygen -Y sign -n sre.runbooks -f ~/.ssh/id_ed25519 < request.json > YOURNAME.sig
expires_at:
  description: Until when the request holds, UTC; V(null) without a request.
  type: str
  returned: success
refusal:
  description:
    - Why the step is not approved. V(no_request), V(malformed), V(procedure_differs), V(target_differs),
      V(inventory_differs), V(parameters_differs), V(target_state_differs), V(plan_differs), V(not_yet_valid), V(expired),
      V(valid_too_long), V(unknown_signer), V(namespace), V(certificate), V(bad_signature), V(revoked), V(same_person),
      V(too_few) or V(break_glass).
  type: str
  returned: when it is refused
  sample: plan_differs
differences:
  description: Lines that only the request has (C(-)) and only this run (C(+)).
  type: list
  elements: str
  returned: when the request is for something else
verdict:
  description: V(pass) with signatures, V(unverified) without.
  type: str
  returned: success
checks:
  description: The one check V(approval).
  type: list
  elements: dict
  returned: success
findings:
  description: That the glass was broken, by whom and why; empty otherwise.
  type: list
  elements: dict
  returned: success
msg:
  description: The outcome as a sentence.
  type: str
  returned: always
"""

from ansible_collections.sre.runbooks.plugins.module_utils import approval, operation

REQUIRES = ()


def main() -> None:
    operation.main(approval.SPEC, approval.run, REQUIRES)


if __name__ == "__main__":
    main()
