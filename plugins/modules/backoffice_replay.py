#!/usr/bin/python
# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: backoffice_replay
short_description: Replay a copy of the ledger in a second BackOffice and verify the result
version_added: 0.1.0
author:
  - sre.runbooks developers (@sre-runbooks)
description:
  - Answers, before the live service is restarted, what its next boot would make of its ledger - whether it boots, how long the
    replay takes, which lines it leaves out, and whether the books of the named accounts agree with the ledger.
  - Starts a second instance on the machine that holds the ledger. It cannot touch the live one. It gets a copy of the ledger in
    a private folder, a port of its own, its own snapshot path, a secret of its own, no database, a broker address where nobody
    listens, and the consumer switched off, so it never joins the group.
  - Nothing is left behind. The process group is ended and the folder removed in every case, also when this module is killed.
  - When anything answers on the port already, nothing is started, because that server would be tested instead.
options:
  command:
    description:
      - The command that starts BackOffice on that machine, as a list. No shell is involved.
      - It must not detach itself, and must take its settings from the environment.
    type: list
    elements: str
    required: true
  chdir:
    description: The folder it is started in, as an absolute path.
    type: path
    default: /
  ledger_path:
    description: The live ledger, as an absolute path. It is only read.
    type: path
    required: true
  snapshot_path:
    description:
      - The live snapshot, of which only the time of the last change is looked at.
      - When it is not given, C(snapshot.json) beside the ledger is looked for.
    type: path
  work_dir:
    description:
      - The folder in which the private folder is made. It needs room for a copy of the ledger.
      - On a file system that can share blocks between files, a folder beside the ledger makes the copy free.
      - When it is not given, the system's folder for temporary files is used.
    type: path
  port:
    description: The port of the second instance. It must be free.
    type: int
    default: 18083
  accounts:
    description:
      - Accounts whose positions and balances are compared with the sums of their ledger lines. At most 100.
      - Without one, the books are not verified.
    type: list
    elements: str
    default: []
  replay_slo_ms:
    description: The replay may take this many milliseconds. With V(0) this is not checked.
    type: int
    default: 5000
  max_ledger_bytes:
    description: Refuse to copy a ledger that is larger than this.
    type: int
    default: 4294967296
  environment:
    description:
      - Further variables for the second instance, such as C(JAVA_OPTS).
      - It inherits only C(PATH), C(HOME), the locale, the time zone, C(JAVA_HOME) and C(LD_LIBRARY_PATH).
      - Names that this module sets itself, and names of secrets, are refused.
    type: dict
    default: {}
  jwt_secret:
    description:
      - The JWT secret of the second instance. It is handed over in its environment only.
      - Normally left out; a secret is then made for this run. Give it when O(command) itself sets C(JWT_HS256_SECRET).
    type: str
  timeout:
    description: Seconds for everything, 20 to 86400. About twelve of them are kept for cleaning up.
    type: int
    default: 300
extends_documentation_fragment:
  - sre.runbooks.attributes
attributes:
  check_mode:
    support: full
    description: Can run in C(check_mode) and return changed status prediction without modifying the target.
    details:
      - In check mode nothing is copied and nothing is started. The plan is returned, with the checks that need no second
        instance - the port is free, the ledger can be read and holds no bad line.
  diff_mode:
    support: N/A
    description: Will return details on what has changed (or possibly needs changing in C(check_mode)), when in diff mode.
    details:
      - This module changes nothing.
  idempotent:
    support: full
    description: When run twice in a row outside check mode, with the same arguments, the second run indicates no change.
    details:
      - This module changes nothing.
requirements:
  - requests
  - PyJWT
notes:
  - The service listens on all interfaces of the machine while it is verified. Its secret is made for the run and known to nobody.
  - The time is that of the in-memory store on a machine where the live service runs too. A replay into a database takes longer.
"""

EXAMPLES = r"""
- name: 3.5 Replay a copy of the ledger
  sre.runbooks.backoffice_replay:
    command: [/srv/backoffice/bin/backoffice]
    chdir: /srv/backoffice
    ledger_path: /srv/backoffice/var/backoffice/ledger.log
    port: 18083
    accounts: [acct_demo]
    replay_slo_ms: 5000
  register: replay
"""

RETURN = r"""
verdict:
  description: The worst status of all checks.
  returned: success
  type: str
  sample: pass
checks:
  description: Each observation compared with what was expected.
  returned: success
  type: list
  elements: dict
  sample:
    - id: replay.slo
      title: The replay is within its limit
      status: pass
      observed: 382 ms
      expected: at most 5000 ms
      hint: In memory, on this machine as busy as it is now; a database store is several times slower.
      runbook: '3.5'
      duration_ms: null
findings:
  description: What failed checks mean, and the next command.
  returned: success
  type: list
  elements: dict
  sample: []
plan:
  description: What is started, or in check mode would be started. Its C(environment) holds no secret.
  returned: success
  type: dict
  sample:
    command: [/srv/backoffice/bin/backoffice]
    chdir: /srv/backoffice
    ledger: /srv/backoffice/var/backoffice/ledger.log
    copy_bytes: 5120
    port: 18083
    environment: {BACKOFFICE_ENABLE: '0', BACKOFFICE_DB_ENABLE: '0', KAFKA_BOOTSTRAP_SERVERS: '127.0.0.1:1'}
started:
  description: Whether a second instance was started.
  returned: success
  type: bool
  sample: true
boot_seconds:
  description: From the start to the first answer. V(null) when it did not answer.
  returned: success
  type: float
  sample: 3.4
replay:
  description: What the second instance says of its replay. V(null) when it said nothing.
  returned: success
  type: dict
  sample: {lines: 30, applied: 30, skipped: 0, duration_ms: 61}
scan:
  description: What M(sre.runbooks.backoffice_ledger) counts in the same ledger. V(null) when it could not be read.
  returned: success
  type: dict
  sample: {lines: 30, good: 30, blank: 0, bad: 0, fatal: 0, skipped: 0, silent: 0, unjudged: 0}
last_words:
  description: When it did not boot, the end of what it wrote, without secrets; at most 40 lines.
  returned: success
  type: list
  elements: str
  sample: []
"""

from ansible_collections.sre.runbooks.plugins.module_utils import backoffice_replay, operation

REQUIRES = ("urllib3", "PyJWT")


def main() -> None:
    operation.main(backoffice_replay.SPEC, backoffice_replay.run, REQUIRES)


if __name__ == "__main__":
    main()
