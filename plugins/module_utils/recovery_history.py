# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The record of one drill, added to those of earlier ones, and what they show together.

Records are JSON lines, in a file of a folder or behind a URL that is read with GET and replaced with PUT. Nothing that
is there is lost: an answer that cannot be read ends the operation before anything is written, and a line that is no
record is kept as it is.
"""

from __future__ import annotations

from typing import Any

from . import http_auth, http_client
from .argspec import ArgumentSpec
from .errors import InputError
from .operation import Context
from .recovery_records import MOST_RECORDS, Records, trend
from .recovery_storage import FileStore, HttpStore

MOST_RECORD_BYTES = 65_536

SPEC = http_client.SPEC.merge(
    http_auth.SPEC,
    ArgumentSpec(
        options={
            "system": {"type": "str", "required": True},
            "record": {"type": "dict"},
            "directory": {"type": "path"},
            "may_be_lost": {"type": "bool", "default": False},
            "url": {"type": "str"},
            "shown_records_count": {"type": "int", "default": 20},
        },
        mutually_exclusive=(("directory", "url"),),
        required_one_of=(("directory", "url"),),
    ),
)


def run(params: dict[str, Any], context: Context) -> dict[str, Any]:
    """Add ``record`` unless one of its id is there; without a record only read."""
    system, record = params["system"].strip(), params["record"]
    if not system or not all(character.isalnum() or character in "._-" for character in system) or system[0] == ".":
        raise InputError(f"system is {params['system']!r}; use letters, digits, dots, underscores and hyphens")
    if not 1 <= params["shown_records_count"] <= MOST_RECORDS:
        raise InputError(f"shown_records_count is {params['shown_records_count']}; it must be from 1 to {MOST_RECORDS}")
    if record is not None:
        record = {"system": system, **record}
        if not str(record.get("id") or "").strip():
            raise InputError("record has no id: it is what keeps a drill from being written twice", option="record")
    if params["directory"]:
        store = FileStore(params["directory"], system, context.deadline, params["may_be_lost"])
        return _run(store, record, params, context)
    settings = http_client.settings(params)
    headers = http_auth.authorization(params, context.clock)
    with http_client.Client(settings, context) as client:
        return _run(HttpStore(client, http_client.check_url(params["url"], "url"), headers), record, params, context)


def _run(
    store: FileStore | HttpStore, record: dict[str, Any] | None, params: dict[str, Any], context: Context
) -> dict[str, Any]:
    changed = False
    with store.held(write=record is not None and not context.check_mode):
        records = Records.of(store.read())
        if record is not None and not records.has(str(record["id"])):
            records, line = records.plus(record)
            if len(line.encode()) > MOST_RECORD_BYTES:
                raise InputError(f"record has {len(line.encode())} bytes; at most {MOST_RECORD_BYTES}", option="record")
            if not context.check_mode:
                store.write(records.text())
            changed = True
    count: int = params["shown_records_count"]
    return {
        "changed": changed,
        "location": store.location,
        "records": records.parsed[-count:],
        "unreadable_lines": records.unreadable,
        "trend": trend(records.parsed),
    }
