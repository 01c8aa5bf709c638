# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  databases:
    description:
      - Databases to ask, side by side. What an item does not say comes from the options of the same name beside it.
      - If not set, there is one database, that of the login options.
    type: list
    elements: dict
    suboptions:
      name:
        description: Name of the database in checks and messages; each item needs one of its own.
        type: str
        required: true
      url:
        description:
          - Address in JDBC's form (C(jdbc:postgresql://host:port/database)) or libpq's. Give user and password beside it.
          - One with a C(socketFactory) (Cloud SQL, AlloyDB) or a C(service) is refused, since its server stands elsewhere.
        type: str
      login_host:
        description: Host name or address of the server itself, not of a pooler, or the folder of its unix socket.
        type: str
      login_port:
        description: Port of the server.
        type: int
      login_db:
        description: Database to connect to.
        type: str
      login_user:
        description: User to connect as.
        type: str
      login_password:
        description: Password of the user.
        type: str
"""

    CONCURRENCY = r"""
options:
  concurrency:
    description: Most databases that are asked at the same time, from 1 to 64.
    type: int
    default: 8
"""
