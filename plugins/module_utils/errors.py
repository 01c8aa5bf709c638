# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The one exception family of the collection.

Domain code raises these; only the module's main() turns them into a failed task. A message names the input, what was
found and what to do next; ``details`` carries the same as data (JSON types only) and is returned beside the message.
"""

from __future__ import annotations

from typing import Any


class RunbookError(Exception):
    """The operation could not do what it was asked."""

    def __init__(self, message: str, **details: Any) -> None:
        super().__init__(message)
        self.message = message
        self.details = details


class InputError(RunbookError):
    """An argument is wrong; nothing was contacted."""


class RefusedError(RunbookError):
    """The action was understood and refused, because it would be unsafe. Nothing was changed."""


class UnreachableError(RunbookError):
    """A server could not be reached, or did not answer in time."""


class DeadlineError(RunbookError):
    """The total time of the operation is used up."""


class LibraryError(RunbookError):
    """A Python library that the module needs is missing or too old."""
