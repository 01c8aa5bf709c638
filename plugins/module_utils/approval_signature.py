# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who signed: SSH signatures (``ssh-keygen -Y sign``) checked by ssh-keygen against a file of allowed signers.

ssh-keygen decides whether a signature holds. What is read here beside it (the signature's key and namespace, the lines
of the file) says whether two signers are two people, and why a signature does not hold.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .approval_request import NotApprovedError
from .clock import Deadline
from .errors import InputError, RunbookError
from .redact import observed
from .text import clean, shorten

PROGRAM = "ssh-keygen"
CALL_SECONDS = 15.0
MOST_SIGNATURE_BYTES = 32 * 1024  # RSA of 16384 bits has 7 KB
MOST_SIGNATURES = 10

_KRL = b"SSHKRL\n\0"  # how a key revocation list begins
_BEGIN, _END = "-----BEGIN SSH SIGNATURE-----", "-----END SSH SIGNATURE-----"
_ARMOURED = re.compile(rf"{_BEGIN}(.*?){_END}", re.DOTALL)
_KEY_TYPE = re.compile(r"(?:sk-)?(?:ssh|ecdsa)-[A-Za-z0-9@.-]+")


@dataclass(frozen=True)
class Signature:
    """A signature as it was given. ``source`` names it in messages, ``key`` is the public key that it carries."""

    source: str
    armoured: str
    key: bytes
    key_type: str
    namespace: str

    @property
    def fingerprint(self) -> str:
        """As ``ssh-keygen -l`` shows it."""
        return f"SHA256:{base64.b64encode(hashlib.sha256(self.key).digest()).decode().rstrip('=')}"


@dataclass(frozen=True)
class Line:
    """A line of the allowed signers: who, on what conditions, with which key."""

    number: int
    principals: tuple[str, ...]
    options: str
    key: bytes

    @property
    def authority(self) -> bool:
        return bool(re.search(r"(?i)(?:^|,)cert-authority(?:,|$)", self.options))


@dataclass(frozen=True)
class Signer:
    """A person whose signature holds. ``people`` are all names that the file has for this person's keys."""

    principal: str
    people: frozenset[str]
    signature: Signature


def split(text: str, source: str) -> list[Signature]:
    """The signatures in a text, each between its two lines. NotApprovedError when there is none, or one is broken."""
    if len(text) > MOST_SIGNATURE_BYTES * MOST_SIGNATURES:
        raise NotApprovedError("malformed", f"{source} has {len(text)} characters: it is no signature")
    found = _ARMOURED.findall(text)
    if not found or text.count(_BEGIN) != len(found):
        raise NotApprovedError(
            "malformed",
            f"{source} holds no SSH signature: it begins with {_BEGIN!r} and ends with {_END!r}, as ssh-keygen -Y sign "
            "writes it",
        )
    if len(found) == 1:
        return [_signature(found[0], source)]
    return [_signature(body, f"{source}, signature {number}") for number, body in enumerate(found, start=1)]


def lines(text: str, source: str) -> list[Line]:
    """The lines of an allowed signers file. InputError names the line that is none."""
    found = []
    for number, raw in enumerate(text.splitlines(), start=1):
        if raw.strip() and not raw.lstrip().startswith("#"):
            found.append(_line(raw.strip(), number, source))
    if not found:
        raise InputError(f"allowed_signers_file {source} names nobody: give it a line 'NAME KEYTYPE KEY' per person")
    return found


class Verifier:
    """ssh-keygen with one allowed signers file, of which it sees a copy: the file is read once."""

    def __init__(
        self, allowed: str, revoked: bytes | None, namespace: str, deadline: Deadline, source: str = "the file"
    ) -> None:
        self._program = shutil.which(PROGRAM) or ""
        if not self._program:
            raise RunbookError(
                f"{PROGRAM} is not on PATH here; it checks the signatures. Install openssh-client (OpenSSH 8.2 or newer)."
            )
        self._allowed = allowed
        self._lines = lines(allowed, source)
        self._source = source
        self._revoked = revoked
        self._namespace = namespace
        self._deadline = deadline

    def signer(self, signature: Signature, texts: Sequence[bytes]) -> Signer:
        """Who made the signature over one of ``texts`` (forms of the same request). NotApprovedError says why not."""
        if "-cert-v01@openssh.com" in signature.key_type:
            raise NotApprovedError(
                "certificate",
                f"{signature.source} was made with a certificate: whoever holds its authority could be any two people. "
                "Sign with a key of your own that stands in the allowed signers.",
            )
        if signature.namespace != self._namespace:
            raise NotApprovedError(
                "namespace",
                f"{signature.source} was made in the namespace {observed(signature.namespace, 80)!r}, not "
                f"{self._namespace!r}: sign with -n {self._namespace}",
            )
        with tempfile.TemporaryDirectory(prefix="sre-approval-") as folder:
            place = Path(folder)
            (place / "allowed").write_text(self._allowed, encoding="utf-8")
            (place / "signature").write_text(signature.armoured, encoding="ascii")
            principal = self._principal(signature, place)
            good = next((text for text in texts if self._verified(principal, place, text)), None)
            if good is None:
                raise NotApprovedError("bad_signature", self._why_bad(signature, principal))
            if self._revoked is not None:
                (place / "revoked").write_bytes(self._revoked)
                if not self._verified(principal, place, good, "-r", str(place / "revoked")):
                    self._refuse_broken_revocations(place)
                    raise NotApprovedError(
                        "revoked", f"{signature.source}: the key {signature.fingerprint} of {principal} is revoked"
                    )
        return Signer(principal, self._people(principal), signature)

    def _principal(self, signature: Signature, place: Path) -> str:
        answer = self._run("-Y", "find-principals", "-f", str(place / "allowed"), "-s", str(place / "signature"))
        names = answer.stdout.decode("utf-8", errors="replace").splitlines() if answer.returncode == 0 else []
        if not names:
            raise NotApprovedError("unknown_signer", self._why_unknown(signature, answer))
        if any(re.search(r"[*?!]", name) for name in names):
            raise NotApprovedError(
                "unknown_signer",
                f"{signature.source}: the key {signature.fingerprint} stands for {observed(','.join(names), 200)!r} in "
                f"{self._source}, which names no person: give its line the name of one",
            )
        return clean(names[0])

    def _verified(self, principal: str, place: Path, text: bytes, *more: str) -> bool:
        answer = self._run(
            *(
                "-Y",
                "verify",
                "-f",
                str(place / "allowed"),
                "-I",
                principal,
                "-n",
                self._namespace,
                "-s",
                str(place / "signature"),
            ),
            *more,
            stdin=text,
        )
        return answer.returncode == 0

    def _refuse_broken_revocations(self, place: Path) -> None:
        """A key revocation list that cannot be read makes ssh-keygen refuse every signature, without a word."""
        content = self._revoked or b""
        if content.startswith(_KRL) and self._run("-Q", "-l", "-f", str(place / "revoked")).returncode:
            raise InputError(
                f"revoked_keys_file is broken: {PROGRAM} cannot read the key revocation list. Make it anew"
            )

    def _why_unknown(self, signature: Signature, answer: subprocess.CompletedProcess[bytes]) -> str:
        said = answer.stderr.decode("utf-8", errors="replace")
        if re.search(r"(?i)unknown option|usage:|illegal option", said):
            raise RunbookError(f"{PROGRAM} here cannot check signatures (-Y): OpenSSH 8.2 or newer is needed")
        own = [line for line in self._lines if line.key == signature.key]
        if not own:
            return (
                f"{signature.source}: nobody in {self._source} has the key {signature.fingerprint} "
                f"({signature.key_type}) that made it"
            )
        time = re.search(r"key (?:has expired|is not yet valid)[^\n]*", said)
        return (
            f"{signature.source}: the key {signature.fingerprint} of {_names(own[0])} may not sign now "
            f"({observed(time[0], 200) if time else shorten(clean(own[0].options), 200)}; line {own[0].number} of "
            f"{self._source})"
        )

    def _why_bad(self, signature: Signature, principal: str) -> str:
        barred = [
            line
            for line in self._lines
            if line.key == signature.key and "namespaces=" in line.options and self._namespace not in line.options
        ]
        if barred:
            return (
                f"{signature.source}: the key of {principal} may not sign in the namespace {self._namespace!r} "
                f"({shorten(clean(barred[0].options), 200)}; line {barred[0].number} of {self._source})"
            )
        return (
            f"{signature.source} of {principal} is not over this request: it belongs to another one, or the request was "
            "altered after it was signed"
        )

    def _people(self, principal: str) -> frozenset[str]:
        """All names that the file connects with ``principal``, by one line or by one key on several lines."""
        known = {principal.casefold()}
        plain = [line for line in self._lines if not line.authority]
        while True:
            keys = {line.key for line in plain if known & _folded(line)}
            more = known.union(*(_folded(line) for line in plain if line.key in keys))
            if more == known:
                return frozenset(known)
            known = more

    def _run(self, *arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        # run_command would need the module; what is run is a fixed program with fixed arguments
        try:
            return subprocess.run(  # pylint: disable=ansible-bad-function
                [self._program, *arguments],
                input=stdin,
                capture_output=True,
                timeout=self._deadline.within(CALL_SECONDS, "checking a signature"),
                env={**{name: os.environ[name] for name in ("PATH", "TZ") if name in os.environ}, "LC_ALL": "C"},
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise RunbookError(f"{PROGRAM} did not end within {CALL_SECONDS:g} s") from None
        except OSError as error:
            raise RunbookError(f"{PROGRAM} cannot be started: {error.strerror}") from None


def people(signers: Sequence[Signer], required: int) -> None:
    """NotApprovedError unless there are ``required`` different people among the signers, each of them once."""
    for number, one in enumerate(signers):
        for other in signers[:number]:
            if one.signature.key == other.signature.key or one.people & other.people:
                raise NotApprovedError(
                    "same_person",
                    f"{other.signature.source} and {one.signature.source} are of the same person ({one.principal}): "
                    f"{required} different people must sign",
                )
    if len(signers) < required:
        names = ", ".join(signer.principal for signer in signers) or "nobody"
        raise NotApprovedError(
            "too_few", f"signed by {names}: {required} different people must sign, {required - len(signers)} more"
        )


def refuse_unreadable_revocations(content: bytes, source: str) -> None:
    """InputError unless it is a key revocation list or a list of public keys: ssh-keygen would take it for 'revoked'."""
    if content.startswith(_KRL):
        return
    for number, raw in enumerate(content.decode("utf-8", errors="replace").splitlines(), start=1):
        words = raw.split()
        if words and not raw.lstrip().startswith("#") and not (_KEY_TYPE.fullmatch(words[0]) and len(words) > 1):
            raise InputError(
                f"revoked_keys_file {source}, line {number}: it is neither a key revocation list (ssh-keygen -k) nor a "
                "list of public keys"
            )


def _signature(body: str, source: str) -> Signature:
    try:
        blob = base64.b64decode("".join(body.split()), validate=True)
    except (binascii.Error, ValueError):
        blob = b""
    if len(blob) > MOST_SIGNATURE_BYTES:
        raise NotApprovedError("malformed", f"{source} has {len(blob)} bytes, no signature has more than 32 KiB")
    try:
        if blob[:6] != b"SSHSIG" or blob[6:10] != b"\0\0\0\1":
            raise ValueError
        key, rest = _take(blob[10:])
        namespace, _rest = _take(rest)
        key_type, _rest = _take(key)
        kind = key_type.decode("ascii")
    except ValueError:
        raise NotApprovedError("malformed", f"{source} is broken: it is no SSH signature of version 1") from None
    if not _KEY_TYPE.fullmatch(kind):
        raise NotApprovedError("malformed", f"{source} carries a key of a type that is not known")
    text = base64.b64encode(blob).decode("ascii")
    wrapped = "\n".join(text[start : start + 70] for start in range(0, len(text), 70))
    return Signature(source, f"{_BEGIN}\n{wrapped}\n{_END}\n", key, kind, namespace.decode("utf-8", errors="replace"))


def _take(data: bytes) -> tuple[bytes, bytes]:
    """A string of the SSH wire format and what follows it. ValueError when it is cut."""
    size = int.from_bytes(data[:4], "big")
    if len(data) < 4 + size:
        raise ValueError
    return data[4 : 4 + size], data[4 + size :]


def _line(raw: str, number: int, source: str) -> Line:
    """``principals [options] keytype key``; principals and options may hold quoted blanks."""
    words = re.findall(r'(?:"[^"]*"|[^\s"])+', raw)
    at = next((place for place, word in enumerate(words) if place and _KEY_TYPE.fullmatch(word)), 0)
    try:
        if not 1 <= at <= 2 or len(words) <= at + 1:
            raise ValueError
        key = base64.b64decode(words[at + 1], validate=True)
    except (binascii.Error, ValueError):
        raise InputError(
            f"allowed_signers_file {source}, line {number}: it is not 'NAME [OPTIONS] KEYTYPE KEY' (see ssh-keygen(1), "
            "ALLOWED SIGNERS)"
        ) from None
    names = tuple(name for name in words[0].strip('"').split(",") if name)
    return Line(number, names, words[1] if at == 2 else "", key)


def _names(line: Line) -> str:
    return observed(",".join(line.principals), 200)


def _folded(line: Line) -> set[str]:
    return {name.casefold() for name in line.principals}
