#!/usr/bin/python
# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: backoffice_ledger
short_description: Scan the ledger of a BackOffice for malformed lines, quarantine them, put them back
version_added: 0.1.0
author:
  - sre.runbooks developers (@sre-runbooks)
description:
  - Reads the ledger file of a BackOffice by the rules of its replay and names every bad line, with number, byte offset,
    reason and class. The service itself logs none of them.
  - Reads at close to the speed of the disk, in constant memory, on several processors.
  - Takes bad lines out of the ledger of a stopped service; every byte of them stands in a quarantine file afterwards,
    and the
    old ledger is kept as a backup.
  - Runs on the machine that holds the ledger; there it needs nothing but Python and ansible-core's module support.
options:
  path:
    description:
      - The ledger file, as an absolute path on the target machine. A symbolic link is followed.
      - It is what E(BACKOFFICE_LEDGER_PATH) of the service names; a relative value there is relative to the working
        directory of the service.
    type: path
    required: true
  state:
    description:
      - With V(scanned), reads only and returns a verdict.
      - With V(quarantined), removes the bad lines of O(classes) and ends a last line that lacks its newline with one.
      - With V(restored), puts the ledger back from O(backup). Events that were appended since the repair stay behind
        it.
      - V(quarantined) and V(restored) need the service to be stopped, see O(service_stopped).
    type: str
    choices: [scanned, quarantined, restored]
    default: scanned
  snapshot_path:
    description:
      - The snapshot of the in-memory store, as an absolute path.
      - A boot reads no line that the snapshot covers, so the snapshot is moved aside when a line that it covers is
        removed.
      - When it is not given, C(snapshot.json) beside the ledger is looked for.
    type: path
  classes:
    description:
      - Which bad lines V(state=quarantined) removes.
      - V(fatal) lines stop the boot.
      - V(skipped) lines are left out by every boot, so removing them changes no balance.
      - V(silent) lines count as applied although a part of them is read as another value or not at all. Something of
        them may
        have been booked, so they are removed only when this is asked for.
    type: list
    elements: str
    choices: [fatal, skipped, silent]
    default: [fatal, skipped]
  max_quarantined:
    description:
      - Refuse to remove more lines than this, 0 to 1000.
    type: int
    default: 10
  max_listed:
    description:
      - How many bad lines to return at most, 0 to 1000, the worst classes first. All are counted.
    type: int
    default: 50
  quarantine_dir:
    description:
      - An existing folder for the quarantine file. By default that of the ledger.
    type: path
  backup_dir:
    description:
      - An existing folder for the backup. By default that of the ledger, where a backup takes no room.
    type: path
  backup:
    description:
      - The backup to put back, as the repair returned it. Required when O(state=restored).
    type: path
  expected_plan:
    description:
      - The digest of the plan that was looked at, as check mode returned it. When the bad lines are others by now,
        nothing is done. Good events that were appended since do not change the digest.
    type: str
  check_writer:
    description:
      - With V(state=scanned), also check that no process writes to a file that stood at O(path) before, and was replaced
        or deleted under it. A restart would lose what it wrote.
      - Only root sees the open files of all processes.
    type: bool
    default: false
  service_stopped:
    description:
      - Say V(true) when the service manager has confirmed that the service is stopped.
      - It is needed only where the open files of other processes cannot be inspected. A process that is seen to have
        the ledger
        open for writing always leads to a refusal.
    type: bool
    default: false
  service_url:
    description:
      - The URL where the service listens when it runs. When something accepts a connection there, nothing is done.
    type: str
  timeout:
    description:
      - Seconds after which the operation gives up. A scan then returns what it has seen, with a verdict of
        C(unverified) at best.
    type: int
    default: 300
extends_documentation_fragment:
  - sre.runbooks.attributes
attributes:
  check_mode:
    support: full
    description: Can run in C(check_mode) and return changed status prediction without modifying the target.
    details:
      - Returns the same plan. That the service still runs is a warning in check mode, and a refusal outside of it.
  diff_mode:
    support: full
    description: Will return details on what has changed (or possibly needs changing in C(check_mode)), when in diff
      mode.
    details:
      - Shows the removed lines, without secrets.
  idempotent:
    support: full
    description: When run twice in a row outside check mode, with the same arguments, the second run indicates no
      change.
notes:
  - Replacing the file under a running service loses every later event, because the writer keeps the old file. Stop,
    quarantine,
    start.
"""

EXAMPLES = r"""
- name: 6 Inspect the ledger for malformed lines
  sre.runbooks.backoffice_ledger:
    path: /srv/backoffice/var/backoffice/ledger.log
  register: ledger

- name: 6 See what would be taken out
  sre.runbooks.backoffice_ledger:
    path: /srv/backoffice/var/backoffice/ledger.log
    state: quarantined
  check_mode: true
  diff: true
  register: plan

- name: 6 Take the bad lines out, exactly those of the plan (the service is stopped)
  sre.runbooks.backoffice_ledger:
    path: /srv/backoffice/var/backoffice/ledger.log
    state: quarantined
    expected_plan: "{{ plan.plan.digest }}"
    service_stopped: true
    service_url: http://127.0.0.1:8082
  register: repair

- name: 6 Undo the repair
  sre.runbooks.backoffice_ledger:
    path: /srv/backoffice/var/backoffice/ledger.log
    state: restored
    backup: "{{ repair.backup }}"
    service_stopped: true
"""

RETURN = r"""
verdict:
  description: The worst status of all checks.
  returned: when O(state=scanned)
  type: str
  sample: fail
checks:
  description: Each observation compared with what was expected.
  returned: when O(state=scanned)
  type: list
  elements: dict
  sample:
    - id: ledger.fatal_lines
      title: No line that stops the boot
      status: fail
      observed: 1 lines, first at line 17
      expected: 0 lines
      hint: The next boot dies before its port opens...
      runbook: '6'
      duration_ms: null
findings:
  description: What failed checks mean, and the next command.
  returned: when O(state=scanned)
  type: list
  elements: dict
  sample:
    - cause: ledger_fatal_line
      confidence: seen
      evidence: [ledger.fatal_lines]
      affects: [the next boot]
      next: {playbook: sre.runbooks.backoffice.ledger_repair, args: {}, effect: change}
ledger:
  description: The file that was read; V(null) when it could not be.
  returned: when O(state=scanned)
  type: dict
  sample:
    path: /srv/backoffice/var/backoffice/ledger.log
    size_bytes: 5120
    scanned_bytes: 5120
    complete: true
    first_at: '2031-04-02T08:03:10Z'
    last_at: '2031-04-02T09:12:44.120Z'
    last_line_terminated: true
counts:
  description:
    - Lines by what becomes of them. V(null) when the file could not be read.
    - Together RV(counts.good), RV(counts.blank) and RV(counts.bad) are RV(counts.lines).
    - With O(state=quarantined), before anything was removed.
  returned: when O(state=scanned) or O(state=quarantined)
  type: dict
  contains:
    lines:
      description: All lines, as the service counts them.
      type: int
    good:
      description: Lines a boot reads as they are written.
      type: int
    blank:
      description: Blank lines, which are counted and nothing else.
      type: int
    bad:
      description: All bad lines.
      type: int
    fatal:
      description: Lines that stop the boot.
      type: int
    skipped:
      description: Lines that a boot leaves out without a word.
      type: int
    silent:
      description: Lines that count as applied, but are not read as they are written.
      type: int
    unjudged:
      description: Lines that are too long to be judged (more than 1 MiB).
      type: int
  sample: {lines: 30, good: 28, blank: 0, bad: 2, fatal: 1, skipped: 1, silent: 0, unjudged: 0}
reasons:
  description:
    - Bad lines by reason.
    - Fatal are C(bad_side) and C(not_utf8).
    - Skipped are C(broken_json), C(torn_tail), C(glued), C(not_an_object), C(unknown_type), C(missing_field) and
      C(bad_at).
    - Silent are C(number_as_text), C(number_as_other), C(number_inexact) and C(trailing_data).
    - Unjudged is C(too_long).
  returned: when O(state=scanned)
  type: dict
  sample: {bad_side: 1, broken_json: 1}
bad_lines:
  description: Bad lines, at most O(max_listed), in file order.
  returned: when O(state=scanned)
  type: list
  elements: dict
  contains:
    line:
      description: Its number, from 1.
      type: int
    offset_bytes:
      description: Where it begins.
      type: int
    length_bytes:
      description: How long it is, with its terminator.
      type: int
    reason:
      description: Why it is bad, see RV(reasons).
      type: str
    class:
      description: What becomes of it, one of C(fatal), C(skipped), C(silent), C(unjudged).
      type: str
    detail:
      description: The reason in words.
      type: str
    excerpt:
      description: Its beginning, without secrets and control characters.
      type: str
    covered_by_snapshot:
      description: Whether the next boot takes its state from the snapshot and does not read it.
      type: bool
  sample:
    - line: 17
      offset_bytes: 2913
      length_bytes: 118
      reason: bad_side
      class: fatal
      detail: side 'buy'; only BUY and SELL, in capitals, are read
      excerpt: '{"type":"OrderAccepted","at":"2031-04-02T08:03:10Z","accountId":"acct_k7"...'
      covered_by_snapshot: false
snapshot:
  description: The snapshot that was looked at; C(used_at_boot) tells whether the next boot would start from
    it.
  returned: when O(state=scanned)
  type: dict
  sample:
    path: /srv/backoffice/var/backoffice/snapshot.json
    exists: true
    ledger_lines: 30
    used_at_boot: true
    problem: null
plan:
  description: What is done, or in check mode what would be done.
  returned: when O(state=quarantined) or O(state=restored)
  type: dict
  sample:
    digest: 5f1d7a84b3a9e2c0
    remove: [{line: 17, offset_bytes: 2913, length_bytes: 118, reason: bad_side, class: fatal}]
    remove_bytes: 118
    append_newline: false
    move_snapshot: false
    left_by_reason: {}
    size_before_bytes: 5120
    size_after_bytes: 5002
    lines_before: 30
    lines_after: 29
blockers:
  description: Why it would be refused outside check mode.
  returned: when O(state=quarantined) or O(state=restored)
  type: list
  elements: str
  sample: ["java (pid 4711) has it open for writing. Stop the service first"]
backup:
  description: The old ledger. V(null) when nothing was done.
  returned: when O(state=quarantined) or O(state=restored)
  type: str
  sample: /srv/backoffice/var/backoffice/ledger.log.20310402T091500Z.backup
quarantine:
  description: The file that holds the removed lines byte for byte. V(null) when nothing was done.
  returned: when O(state=quarantined) or O(state=restored)
  type: str
  sample: /srv/backoffice/var/backoffice/ledger.log.20310402T091500Z.quarantine.jsonl
snapshot_moved_to:
  description: Where the snapshot went; V(null) when it was not moved.
  returned: when O(state=quarantined) or O(state=restored)
  type: str
  sample: /srv/backoffice/var/backoffice/snapshot.json.20310402T091500Z.aside
cleared:
  description: What an earlier run that was killed half-way had left, and this one cleared away.
  returned: when O(state=quarantined) or O(state=restored)
  type: list
  elements: str
  sample: []
"""

from ansible_collections.sre.runbooks.plugins.module_utils import ledger_operation, operation

REQUIRES = ()  # it runs on machines that have nothing but Python


def main() -> None:
    operation.main(ledger_operation.SPEC, ledger_operation.run, REQUIRES)


if __name__ == "__main__":
    main()
