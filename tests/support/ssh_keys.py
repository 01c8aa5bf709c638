# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real SSH keys and signatures of people, made by ssh-keygen in a folder of the test."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass, field
from pathlib import Path

NAMESPACE = "sre.runbooks"


def keygen(*arguments: str, stdin: bytes | None = None) -> bytes:
    done = subprocess.run(["ssh-keygen", *arguments], input=stdin, capture_output=True, check=True, timeout=60)
    return done.stdout


@dataclass
class People:
    """Keys by name in ``folder``, and the file of allowed signers."""

    folder: Path
    lines: list[str] = field(default_factory=list)

    @property
    def allowed(self) -> Path:
        path = self.folder / "allowed_signers"
        path.write_text("# who may approve\n\n" + "".join(f"{line}\n" for line in self.lines), encoding="utf-8")
        return path

    def key(self, name: str, kind: str = "ed25519", bits: str = "") -> Path:
        """A new key pair; the path of the private half."""
        path = self.folder / name
        keygen("-q", "-t", kind, *(["-b", bits] if bits else []), "-N", "", "-C", name, "-f", str(path))
        return path

    def public(self, name: str) -> str:
        return " ".join((self.folder / f"{name}.pub").read_text(encoding="ascii").split()[:2])

    def allow(self, principals: str, key: str, options: str = "") -> None:
        self.lines.append(" ".join(filter(None, (principals, options, self.public(key)))))

    def person(self, name: str, kind: str = "ed25519", bits: str = "") -> None:
        """A person with one key of the same name, allowed to sign."""
        self.key(name, kind, bits)
        self.allow(f"{name}@example.org", name)

    def sign(self, key: str, text: str, namespace: str = NAMESPACE) -> str:
        """The signature of the text, as the documented command makes it."""
        arguments = ("-Y", "sign", "-n", namespace, "-f", str(self.folder / key))
        return keygen(*arguments, stdin=text.encode()).decode("ascii")
