#!/usr/bin/python
# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: log_search
author:
  - sre.runbooks developers (@sre-runbooks)
version_added: 0.1.0
short_description: Search log files for what should, or should not, be there, within bounds
description:
  - Searches the end of log files on the machine for several patterns in one pass, in constant memory.
  - Every pattern of which something is expected becomes a check. That a pattern is absent is only said of what was
    asked for and really searched. Where the searched part was smaller, the check is unverified and says why.
  - Excerpts are redacted. Bytes that are not UTF-8, NUL bytes, holes, lines without end, files that rotate or cannot be
    read are told in RV(files) and in a check for each file.
  - A restart looks only at what was written after its stop, with RV(end_offsets) of a search before it as
    O(from_offset).
extends_documentation_fragment:
  - sre.runbooks.attributes
  - sre.runbooks.attributes.read_only
options:
  paths:
    description:
      - Files to search, absolute. A name with V(*), V(?) or V([]) that is no file itself is a pattern of names.
      - Compressed files are not searched, and reported as such.
    type: list
    elements: path
    required: true
  patterns:
    description: What to look for. An empty list only takes RV(end_offsets).
    type: list
    elements: dict
    default: []
    suboptions:
      id:
        description: Name of the pattern in the result; its check is C(log.<id>).
        type: str
        required: true
      text:
        description: Text that a line holds, literally.
        type: str
      regex:
        description:
          - Regular expression of Python that is searched in each line. Named groups are returned.
          - One that does not end is interrupted when O(timeout) is over.
        type: str
      ignore_case:
        description: Whether upper and lower case are the same.
        type: bool
        default: false
      title:
        description: What the check is called.
        type: str
        default: ""
      expect:
        description:
          - Whether some line must match, or none may.
          - With V(any) there is a check only when a line matches, and it passes.
        type: str
        default: any
        choices: [present, absent, any]
      hint:
        description: What to do, shown with the check.
        type: str
        default: ""
      runbook:
        description: Section of the runbook that asks for it.
        type: str
        default: ""
  from_offset:
    description:
      - Path of a file to where its search begins, a number of bytes, or an entry of RV(end_offsets) of an earlier
        search.
      - With such an entry a rotation is noticed, and the rotated file is searched too when it is found beside the new
        one. A bare number cannot tell.
      - A path that is not named here is searched from its beginning.
    type: dict
    default: {}
  since:
    description:
      - ISO 8601 time. Lines that are older are not searched.
      - A file that was last written before is left out. In a file whose lines carry no time all lines are searched, and
        what is found there is marked RV(files[].dated=false).
    type: str
  time_regex:
    description:
      - Regular expression with a group that is the time of a line, an ISO 8601 time or a time of day. Times without an
        offset are local times of the machine, and the day of a time of day follows from the file's last write.
      - Without it an ISO 8601 time near the beginning of a line, or a time of day at its very beginning, is taken.
    type: str
  tail_bytes:
    description: Most bytes to search of each file, from its end. From 1024 to 1073741824.
    type: int
    default: 8388608
  max_matches:
    description:
      - Most lines to return for each pattern, the newest; all are counted. At most 200, and 2000 for all patterns.
    type: int
    default: 20
  max_files:
    description: Most files to search, the newest. At most 200.
    type: int
    default: 20
  timeout:
    description: Seconds that the whole search may take. At most 3600.
    type: float
    default: 60.0
"""

EXAMPLES = r"""
- name: Remember where the log ends
  sre.runbooks.log_search:
    paths: [/var/log/backoffice/stdout.log]
  register: before

- name: What the service said after its restart
  sre.runbooks.log_search:
    paths: [/var/log/backoffice/stdout.log]
    from_offset: "{{ before.end_offsets }}"
    patterns:
      - id: replay_statistics
        regex: 'Ledger replay: ReplayStats\(lines=(?P<lines>\d+)'
        title: Replay statistics in the log
        expect: present
        runbook: "1"
      - id: consumer_disabled
        text: BackOfficeConsumer disabled
        expect: absent

- name: Errors of the last hour, wherever they stand
  sre.runbooks.log_search:
    paths: ["/var/log/backoffice/*.log"]
    since: "{{ '%Y-%m-%dT%H:%M:%SZ' | ansible.builtin.strftime(now().timestamp() - 3600, utc=true) }}"
    patterns:
      - id: errors
        regex: '\bERROR\b'
"""

RETURN = r"""
verdict:
  description: The worst status of the checks.
  type: str
  returned: always
  choices: [pass, fail, unverified]
checks:
  description:
    - A check C(log.<id>) for each pattern of which something is expected, and C(log_file.<path>) for each file.
  type: list
  elements: dict
  returned: always
findings:
  description: Always empty.
  type: list
  elements: dict
  returned: always
found:
  description: What was found, by the id of the pattern.
  type: dict
  returned: always
  sample:
    replay_statistics:
      count: 1
      matches:
        - path: /var/log/backoffice/stdout.log
          offset: 81920
          line_from_end: 14
          dated: true
          excerpt: "Ledger replay: ReplayStats(lines=30, applied=28, skipped=2, durationMs=61)"
          groups: {lines: "30"}
files:
  description: What was searched of each file.
  type: list
  elements: dict
  returned: always
  contains:
    path:
      description: The file, or the pattern of names that matched none.
      type: str
    size_bytes:
      description: Its size.
      type: int
    from_offset:
      description: Byte at which the search began.
      type: int
    searched_bytes:
      description: Bytes that were searched.
      type: int
    truncated:
      description: Whether O(tail_bytes) left out a part that was asked for.
      type: bool
    complete:
      description: Whether all that was asked for was searched.
      type: bool
    dated:
      description: With O(since), whether its lines carry times.
      type: bool
    lines:
      description: Lines that were searched.
      type: int
    cut_lines:
      description: Lines of which only the first 65536 bytes were searched.
      type: int
    nul_lines:
      description: Lines with NUL bytes, and holes; the NUL bytes were removed.
      type: int
    invalid_utf8_lines:
      description: Lines that are not UTF-8; what cannot be read is replaced.
      type: int
    problem:
      description: Why it could not be searched; empty otherwise.
      type: str
    notes:
      description: Why absence cannot be claimed for all of it.
      type: list
      elements: str
searched_bytes:
  description: Bytes that were searched in all files.
  type: int
  returned: always
truncated:
  description: Whether O(tail_bytes) left out a part of some file that was asked for.
  type: bool
  returned: always
complete:
  description: Whether all that was asked for was searched.
  type: bool
  returned: always
end_offsets:
  description: Where each file ended, for O(from_offset) of a later search.
  type: dict
  returned: always
  sample:
    /var/log/backoffice/stdout.log: {offset: 81920, inode: 1311}
"""

from ansible_collections.sre.runbooks.plugins.module_utils import log_search, operation

REQUIRES = ()


def main() -> None:
    operation.main(log_search.SPEC, log_search.run, REQUIRES)


if __name__ == "__main__":
    main()
