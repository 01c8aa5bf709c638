# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  histories:
    description:
      - Histories to look at, side by side. What an item does not say of its login comes from the options beside it.
      - Settings have Flyway's names in small letters with underscores, and its defaults.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the history in checks and messages, such as that of its service. Each needs one of its own.
        type: str
        required: true
      url:
        description: Address in JDBC's form (C(jdbc:postgresql://host:port/database)) or libpq's. Give user and password beside it.
        type: str
      login_host:
        description: Host name or address of the server, or the folder of its unix socket.
        type: str
      login_port:
        description: Port of the server.
        type: int
      login_db:
        description: Database to connect to.
        type: str
      login_user:
        description: User to connect as. SELECT on the table is enough, with USAGE on its schema.
        type: str
      login_password:
        description: Password of the user.
        type: str
      schema:
        description: Schema of the table, letter by letter. It is Flyway's C(defaultSchema).
        type: str
        default: public
      table:
        description: Name of the table, letter by letter.
        type: str
        default: flyway_schema_history
      locations:
        description:
          - Where the migrations lie, as Flyway writes it. V(filesystem:/srv/app/migrations) is a folder,
            V(classpath:db/migration) a folder within O(ignore:jars). Wildcards are those of Flyway, and C({vendor}), as
            Spring writes it, stands for C(postgresql).
        type: list
        elements: str
        default: ["classpath:db/migration"]
      jars:
        description:
          - Jars or folders of classes in which locations of the classpath are looked for, also in their
            C(BOOT-INF/classes), C(WEB-INF/classes) and in the jars in their C(lib) folders.
        type: list
        elements: path
        default: []
      working_directory:
        description: Folder in which Flyway is started, for relative locations. Without it they are refused.
        type: path
      baseline_version:
        description: Version of the row that a baseline would write.
        type: str
        default: "1"
      baseline_on_migrate:
        description: Whether migrate makes a baseline in a schema that is not empty and has no history.
        type: bool
        default: false
      target:
        description: Version up to which migrations are looked at, V(current), V(next) or V(latest). V(1.2?) may be missing.
        type: str
      out_of_order:
        description: Whether migrations older than what was applied may run.
        type: bool
        default: false
      ignore_migration_patterns:
        description: What validation overlooks, such as V(*:missing) or V(repeatable:pending).
        type: list
        elements: str
        default: ["*:future"]
      placeholders:
        description:
          - Values of placeholders by name, without prefix and suffix. They count in repeatable migrations only.
          - What Flyway fills in by itself, such as V(flyway:user), can be given too, where it cannot be told from outside.
        type: dict
        default: {}
      placeholder_replacement:
        description: Whether placeholders are replaced.
        type: bool
        default: true
      placeholder_prefix:
        description: Beginning of a placeholder.
        type: str
        default: "${"
      placeholder_suffix:
        description: End of a placeholder.
        type: str
        default: "}"
      placeholder_separator:
        description: What stands behind C(flyway) in the names of Flyway's own placeholders.
        type: str
        default: ":"
      sql_migration_prefix:
        description: Beginning of the names of versioned migrations.
        type: str
        default: V
      repeatable_sql_migration_prefix:
        description: Beginning of the names of repeatable migrations.
        type: str
        default: R
      baseline_migration_prefix:
        description: Beginning of the names of baseline migrations.
        type: str
        default: B
      sql_migration_separator:
        description: What stands between version and description.
        type: str
        default: "__"
      sql_migration_suffixes:
        description: Ends of the names of migrations.
        type: list
        elements: str
        default: [".sql"]
      validate_migration_naming:
        description: Whether a file that ends like a migration and is not named like one is an error.
        type: bool
        default: false
      encoding:
        description: Encoding of the migrations.
        type: str
        default: UTF-8
"""

    HISTORY = r"""
options:
  history:
    description:
      - The history that is worked on. What it does not say of its login comes from the options beside it.
      - Settings have Flyway's names in small letters with underscores, and its defaults.
    type: dict
    required: true
    suboptions:
      name:
        description: Name of the history in checks and messages, such as that of its service. Each needs one of its own.
        type: str
        required: true
      url:
        description: Address in JDBC's form (C(jdbc:postgresql://host:port/database)) or libpq's. Give user and password beside it.
        type: str
      login_host:
        description: Host name or address of the server, or the folder of its unix socket.
        type: str
      login_port:
        description: Port of the server.
        type: int
      login_db:
        description: Database to connect to.
        type: str
      login_user:
        description: User to connect as. SELECT on the table is enough, with USAGE on its schema.
        type: str
      login_password:
        description: Password of the user.
        type: str
      schema:
        description: Schema of the table, letter by letter. It is Flyway's C(defaultSchema).
        type: str
        default: public
      table:
        description: Name of the table, letter by letter.
        type: str
        default: flyway_schema_history
      locations:
        description:
          - Where the migrations lie, as Flyway writes it. V(filesystem:/srv/app/migrations) is a folder,
            V(classpath:db/migration) a folder within O(ignore:jars). Wildcards are those of Flyway, and C({vendor}), as
            Spring writes it, stands for C(postgresql).
        type: list
        elements: str
        default: ["classpath:db/migration"]
      jars:
        description:
          - Jars or folders of classes in which locations of the classpath are looked for, also in their
            C(BOOT-INF/classes), C(WEB-INF/classes) and in the jars in their C(lib) folders.
        type: list
        elements: path
        default: []
      working_directory:
        description: Folder in which Flyway is started, for relative locations. Without it they are refused.
        type: path
      baseline_version:
        description: Version of the row that a baseline would write.
        type: str
        default: "1"
      baseline_on_migrate:
        description: Whether migrate makes a baseline in a schema that is not empty and has no history.
        type: bool
        default: false
      target:
        description: Version up to which migrations are looked at, V(current), V(next) or V(latest). V(1.2?) may be missing.
        type: str
      out_of_order:
        description: Whether migrations older than what was applied may run.
        type: bool
        default: false
      ignore_migration_patterns:
        description: What validation overlooks, such as V(*:missing) or V(repeatable:pending).
        type: list
        elements: str
        default: ["*:future"]
      placeholders:
        description:
          - Values of placeholders by name, without prefix and suffix. They count in repeatable migrations only.
          - What Flyway fills in by itself, such as V(flyway:user), can be given too, where it cannot be told from outside.
        type: dict
        default: {}
      placeholder_replacement:
        description: Whether placeholders are replaced.
        type: bool
        default: true
      placeholder_prefix:
        description: Beginning of a placeholder.
        type: str
        default: "${"
      placeholder_suffix:
        description: End of a placeholder.
        type: str
        default: "}"
      placeholder_separator:
        description: What stands behind C(flyway) in the names of Flyway's own placeholders.
        type: str
        default: ":"
      sql_migration_prefix:
        description: Beginning of the names of versioned migrations.
        type: str
        default: V
      repeatable_sql_migration_prefix:
        description: Beginning of the names of repeatable migrations.
        type: str
        default: R
      baseline_migration_prefix:
        description: Beginning of the names of baseline migrations.
        type: str
        default: B
      sql_migration_separator:
        description: What stands between version and description.
        type: str
        default: "__"
      sql_migration_suffixes:
        description: Ends of the names of migrations.
        type: list
        elements: str
        default: [".sql"]
      validate_migration_naming:
        description: Whether a file that ends like a migration and is not named like one is an error.
        type: bool
        default: false
      encoding:
        description: Encoding of the migrations.
        type: str
        default: UTF-8
"""
