# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Python libraries that a module needs, imported behind a guard.

A file of module_utils imports its library in try/except and records the failure here::

    try:
        import confluent_kafka
    except ImportError as exc:
        libraries.record("confluent-kafka", exc)

A module names what it cannot do without in ``REQUIRES``; the main function of the module refuses to start when one is
missing, and the in-process twin hands over to the ordinary path (another interpreter may have the library).
"""

from __future__ import annotations

import sys
from collections.abc import Iterable

from .errors import LibraryError

_missing: dict[str, ImportError] = {}


def record(package: str, error: ImportError) -> None:
    """Remember that ``package`` (its name on PyPI) could not be imported."""
    _missing[package] = error


def missing(packages: Iterable[str]) -> list[str]:
    """Those of ``packages`` that could not be imported."""
    return [package for package in packages if package in _missing]


def require(packages: Iterable[str]) -> None:
    """Raise LibraryError naming every package that could not be imported, and the interpreter that lacks it."""
    absent = missing(packages)
    if absent:
        reasons = "; ".join(f"{package}: {_missing[package]}" for package in absent)
        raise LibraryError(
            f"{sys.executable} cannot import {reasons}. Install it there (pip install {' '.join(absent)}), "
            "or set ansible_python_interpreter to a Python that has it.",
            missing_libraries=absent,
        )
