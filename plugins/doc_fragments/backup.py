# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  set:
    description:
      - Name of the backup set, such as the name of the deployment (C(inventory_hostname)). Databases that belong together
        are one set; two deployments of a system are two.
      - Letters, digits, C(.), C(_) and C(-), at most 63.
    type: str
    required: true
  directory:
    description:
      - Folder that holds the sets, absolute. It has to be there, so that a disk that is not mounted is noticed.
      - A set is the folder C(<directory>/<set>/<set>-<yyyymmddThhmmssZ>) with one dump for each database and
        C(manifest.json).
    type: path
    required: true
"""

    PROGRAMS = r"""
options:
  bin_dir:
    description:
      - Folder of C(pg_dump) and C(pg_restore), such as C(/usr/lib/postgresql/16/bin). If not set, they are looked for in E(PATH).
      - Best are those of the server's own major version. Older ones cannot read the server; newer ones from 16 or 17 on write
        archives that the server's own C(pg_restore) cannot read, of which M(sre.runbooks.pg_backup) warns.
    type: path
requirements:
  - PostgreSQL's client programs, of the server's major version or newer
  - pyrage (PyPI), only for encrypted backups
"""
