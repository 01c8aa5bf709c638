# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""``make demo``: the lab is verified, broken, diagnosed, healed and verified again, with a report of each run.

Each step says what it expects; the demo ends with an error when the collection says something else.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from lab.layout import LabError

ROOT = Path(__file__).resolve().parent.parent
VERIFY = "sre.runbooks.backoffice.verify"
COLUMNS = 80
FRAME = ("PLAY [", "TASK [", "included:")  # of a run; what the tasks print stays


@dataclass(frozen=True)
class Step:
    """One act: what is told, the lab's or Ansible's command, whether it must fail, and what its output must say."""

    says: str
    command: tuple[str, ...]
    red: bool = False
    expects: str = ""


STEPS = (
    Step("A BackOffice with a real Kafka and a real PostgreSQL. Is it healthy?", ("playbook", VERIFY), expects="PASS"),
    Step(
        "Now its Kafka consumer dies, silently: health stays ok, statistics answer 200.",
        ("lab", "fault", "consumer-dead"),
    ),
    Step(
        "What does the checklist say, and what is the cause?",
        ("playbook", VERIFY),
        red=True,
        expects="consumer_dead",
    ),
    Step("The fault is taken out.", ("lab", "heal")),
    Step("Is it healthy again?", ("playbook", VERIFY), expects="PASS"),
)


def main() -> int:
    begun = time.monotonic()
    _run_lab("up", "backoffice", quiet=False)
    _run_lab("heal", quiet=True)  # what an earlier demo, or somebody's own fault, left in
    try:
        for number, step in enumerate(STEPS, 1):
            _title(f"{number}. {step.says}")
            _act(step)
    except LabError as error:
        print(f"\ndemo: {error}", file=sys.stderr)
        return 1
    finally:
        _run_lab("heal", quiet=True)
    _title(f"Done in {time.monotonic() - begun:.0f} s")
    print(f"The reports of the three runs, newest last (one page each, open them in a browser):\n{_reports(begun)}")
    print("The lab still runs: `make lab-fault FAULT=...` breaks it, `make lab-down` stops it.")
    return 0


def _act(step: Step) -> None:
    kind, *words = step.command
    if kind == "lab":
        _run_lab(*words, quiet=False)
        return
    print(f"$ ansible-playbook {' '.join(words)}\n", flush=True)
    code, output = _playbook(words)
    if (code != 0) != step.red:
        raise LabError(f"ansible-playbook ended with {code}, expected {'a failure' if step.red else '0'}")
    if step.expects not in output:
        raise LabError(f"the output does not say {step.expects}")


def _playbook(words: list[str]) -> tuple[int, str]:
    """Run a playbook against the lab's inventory; its output is shown as it comes, without the tasks that were fine."""
    environment = {
        **os.environ,
        "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
        "ANSIBLE_DISPLAY_OK_HOSTS": "false",
        "ANSIBLE_DISPLAY_SKIPPED_HOSTS": "false",
        "ANSIBLE_FORCE_COLOR": "1" if sys.stdout.isatty() else "0",
        "PYTHONUNBUFFERED": "1",
    }
    program = Path(sys.executable).with_name("ansible-playbook")
    process = subprocess.Popen(
        [str(program), *words], cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    lines: list[str] = []
    hidden = False
    assert process.stdout is not None
    for line in process.stdout:
        lines.append(line)
        # ansible-core repeats the gate's message with its place in the role: the table has said it
        hidden = line.startswith(("[ERROR]", "fatal:")) or (hidden and not line.startswith(("PLAY RECAP", "Report:")))
        if line.strip() and not hidden and not line.startswith(FRAME):
            print(line, end="", flush=True)
    return process.wait(), "".join(lines)


def _run_lab(*words: str, quiet: bool) -> None:
    done = subprocess.run([sys.executable, "-m", "lab", *words], cwd=ROOT, capture_output=quiet, check=False)
    if done.returncode != 0:
        raise LabError(f"lab {' '.join(words)} failed")


def _reports(begun: float) -> str:
    since = time.time() - (time.monotonic() - begun)
    folder = ROOT / "runbook-reports"
    pages = [page for page in folder.glob("*/report.html") if page.stat().st_mtime >= since]
    return "\n".join(f"  {page}" for page in sorted(pages, key=lambda page: page.stat().st_mtime)) or "  none"


def _title(text: str) -> None:
    bold, plain = ("\033[1m", "\033[0m") if sys.stdout.isatty() else ("", "")
    print(f"\n{'─' * COLUMNS}\n{bold}{text}{plain}\n", flush=True)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except LabError as error:
        sys.exit(f"demo: {error}")
