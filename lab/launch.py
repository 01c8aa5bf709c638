# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Start a program with the environment that stands in files: ``launch.py FILE [FILE...] -- COMMAND [ARGUMENT...]``.

The process manager runs it, so that a changed file works from the next start on and no secret stands in a command line.
A later file wins. A line is ``NAME=value``, or ``NAME`` alone to remove the variable; a missing file is an empty one.
"""

import os
import sys


def read(path: str) -> dict[str, str | None]:
    """Variables of one file; None stands for "remove it"."""
    try:
        with open(path, encoding="utf-8") as stream:
            lines = stream.read().splitlines()
    except FileNotFoundError:
        return {}
    pairs = (line.partition("=") for line in lines if line and not line.startswith("#"))
    return {name: value if equals else None for name, equals, value in pairs}


def main(arguments: list[str]) -> None:
    divider = arguments.index("--")
    environment: dict[str, str] = dict(os.environ)
    for path in arguments[:divider]:
        for name, value in read(path).items():
            if value is None:
                environment.pop(name, None)
            else:
                environment[name] = value
    command = arguments[divider + 1 :]
    os.execvpe(command[0], command, environment)


if __name__ == "__main__":
    main(sys.argv[1:])
