# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  login_host:
    description:
      - Host name or address of the server itself, or the folder of its unix socket.
      - The address of a pooler such as PgBouncer is refused before anything is set. Its connections are shared, so that the
        service's clients would get the settings of this one, such as being read-only.
      - If not set, the environment variable E(PGHOST) is used, and without it the local socket.
    type: str
  login_port:
    description:
      - Port of the server.
      - If not set, the environment variable E(PGPORT) is used, and without it 5432.
    type: int
  login_db:
    description:
      - Database to connect to.
      - If not set, the environment variable E(PGDATABASE) is used, and without it the database named like the user.
    type: str
  login_user:
    description:
      - User to connect as.
      - If not set, the environment variable E(PGUSER) is used, and without it the name of the system's user.
    type: str
  login_password:
    description:
      - Password of O(login_user).
      - If not set, the environment variable E(PGPASSWORD) is used, and without it the file that E(PGPASSFILE) names.
    type: str
"""

    SESSION = r"""
options:
  sslmode:
    description:
      - Whether the connection is encrypted, and how the server's certificate is checked.
      - If not set, the database URL or E(PGSSLMODE) decides. Without them it is V(verify-full) with O(ca_path), and else
        encryption is used where it is offered.
    type: str
    choices: [disable, allow, prefer, require, verify-ca, verify-full]
  ca_path:
    description:
      - File with the certificates of the authorities that are trusted, PEM. The server's certificate and name are checked
        against it, unless O(sslmode) says otherwise.
    type: path
  connect_timeout_seconds:
    description: Time for making the connection, at least 2 seconds for each host that is tried. At most 120.
    type: float
    default: 5.0
  statement_timeout_ms:
    description:
      - Milliseconds after which the server breaks off a statement. At most 600000.
      - A server that does not is given 5 seconds more; then the connection is shut.
    type: int
    default: 10000
requirements:
  - psycopg2 (PyPI package C(psycopg2-binary))
"""
