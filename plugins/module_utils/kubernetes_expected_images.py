# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which image a workload is expected to have, by the workload's name: one image, or one for each container."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .errors import InputError

Expected = dict[str, Any]  # by the name of the workload: an image, or {container: image}


def parse(given: Mapping[str, Any], names: Iterable[str] | None) -> Expected:
    """The option ``expected_images``. InputError for another shape, and for a name that is not among ``names``."""
    for name, wanted in given.items():
        images = list(wanted.values()) if isinstance(wanted, dict) else [wanted]
        if not images or not all(isinstance(one, str) and one.strip() for one in images):
            raise InputError(
                f"expected_images: {name} is {wanted!r}; give an image, or a dictionary of container and image.",
                option="expected_images",
            )
    strange = sorted(given.keys() - set(names)) if names is not None else []
    if strange:
        raise InputError(f"expected_images: {', '.join(strange)} is not among names.", option="expected_images")
    return dict(given)


def mismatch(wanted: str | Mapping[str, str], images: Mapping[str, str]) -> str:
    """What differs, in one line; empty when ``images`` (by container) hold what is wanted.

    An image without the name of a container may be that of any container.
    """
    if isinstance(wanted, str):
        return "" if wanted in images.values() else f"it has {', '.join(images.values()) or 'none'}, not {wanted}"
    differing = [
        f"{container} has {images.get(container) or 'no such container'}, not {image}"
        for container, image in wanted.items()
        if images.get(container) != image
    ]
    return "; ".join(differing)
