# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Regular expressions that a user gives: checked before they are used, and interrupted when they do not end."""

from __future__ import annotations

import contextlib
import re
import signal
import threading
from collections.abc import Iterator
from types import FrameType

from .clock import Deadline
from .errors import DeadlineError, InputError

MOST_PATTERN_CHARACTERS = 2000


def compiled(name: str, text: str, ignore_case: bool = False) -> re.Pattern[str]:
    """The regular expression of the option ``name``; InputError for one that is none, or is too long."""
    if len(text) > MOST_PATTERN_CHARACTERS:
        raise InputError(f"{name} has {len(text)} characters, at most {MOST_PATTERN_CHARACTERS} are taken")
    try:
        return re.compile(text, re.IGNORECASE if ignore_case else 0)
    except (re.error, OverflowError, RecursionError) as error:
        raise InputError(f"{name} is not a valid regular expression: {error}") from error


@contextlib.contextmanager
def interrupted_after(deadline: Deadline) -> Iterator[None]:
    """DeadlineError inside the block when the time is up, even within one regex that never ends.

    Python's regex engine looks for signals while it works. Elsewhere than in the main thread only the looks between
    lines bound the time.
    """
    left = deadline.within(deadline.seconds, "searching the logs")
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise DeadlineError("the time for the search is used up")

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, left)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
