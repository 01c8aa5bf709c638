# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""``make demo`` and ``make demo-kubernetes``: the lab is verified, broken, diagnosed, healed and verified again.

Each step says what it expects; the demo ends with an error when the collection says something else. Each run leaves a
report.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from lab import load
from lab.layout import LabError

ROOT = Path(__file__).resolve().parent.parent
COLUMNS = 80
FRAME = ("PLAY [", "TASK [", "included:")  # of a run; what the tasks print stays


@dataclass(frozen=True)
class Step:
    """One act: what is told, the lab's or Ansible's command, whether it must fail, and what its output must say."""

    says: str
    command: tuple[str, ...]
    red: bool = False
    expects: str = ""


@dataclass(frozen=True)
class Demo:
    """A part of the lab and what is shown on it. ``load`` names a service that is used by clients meanwhile."""

    part: str
    steps: tuple[Step, ...]
    load: str = ""


VERIFY = "sre.runbooks.backoffice.verify"
BACKOFFICE = Demo(
    "backoffice",
    (
        Step(
            "A BackOffice with a real Kafka and a real PostgreSQL. Is it healthy?", ("playbook", VERIFY), expects="PASS"
        ),
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
    ),
)

IMAGE = "registry.lab/hafnium/case-service"
ONE = ("--limit", "hafnium-lab", "-e", "component=case-service")
BACK = ("-e", "hafnium_rollback_to=previous_image", "-e", f"hafnium_rollback_expected_image={IMAGE}:1.5.0")
KUBERNETES = Demo(
    "kubernetes",
    (
        Step(
            "Eight services on a real Kubernetes control plane. Are they healthy?",
            ("playbook", "sre.runbooks.hafnium.health"),
            expects="PASS",
        ),
        Step(
            "A release that cannot reach its database is deployed, while clients use the service.",
            ("playbook", "sre.runbooks.deploy", *ONE, "-e", f"hafnium_deploy_image={IMAGE}:1.5.0-bad-db"),
            red=True,
            expects="database_refused",
        ),
        Step("It was caught and rolled back. What did the clients notice?", ("load",)),
        Step(
            "A good release.",
            ("playbook", "sre.runbooks.deploy", *ONE, "-e", f"hafnium_deploy_image={IMAGE}:1.5.0"),
            expects="PASS",
        ),
        Step(
            "Back to the image before.",
            ("playbook", "sre.runbooks.rollback", *ONE, *BACK),
            expects="PASS",
        ),
        Step(
            "And once more, as a relaunched job would: nothing is changed. kubectl would roll forward again.",
            ("playbook", "sre.runbooks.rollback", *ONE, *BACK),
            expects="changed=0",
        ),
        Step("What did the clients notice of all this?", ("load",)),
    ),
    load="case-service",
)
DEMOS = {demo.part: demo for demo in (BACKOFFICE, KUBERNETES)}


def main(part: str = "backoffice") -> int:
    demo = DEMOS[part]
    begun = time.monotonic()
    _run_lab("up", demo.part, quiet=False)
    _run_lab("heal", quiet=True)  # what an earlier demo, or somebody's own fault, left in
    clients = load.Clients(demo.load) if demo.load else None
    try:
        for number, step in enumerate(demo.steps, 1):
            _title(f"{number}. {step.says}")
            _act(step, clients)
    except LabError as error:
        print(f"\ndemo: {error}", file=sys.stderr)
        return 1
    finally:
        if clients:
            clients.stop()
        _run_lab("heal", quiet=True)
    _title(f"Done in {time.monotonic() - begun:.0f} s")
    print(f"The reports of the runs, newest last (one page each, open them in a browser):\n{_reports(begun)}")
    print("The lab still runs: `make lab-fault FAULT=...` breaks it, `make lab-down` stops it.")
    return 0


def _act(step: Step, clients: load.Clients | None) -> None:
    kind, *words = step.command
    if kind == "load":
        assert clients is not None
        print(clients.told())
        return
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
        hidden = line.startswith(("[ERROR]", "fatal:")) or (
            hidden and not line.startswith(("TASK [", "PLAY RECAP", "Report:"))
        )
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
        sys.exit(main(*sys.argv[1:]))
    except LabError as error:
        sys.exit(f"demo: {error}")
