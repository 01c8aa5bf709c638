# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The gate, with real keys and ssh-keygen: what opens it, and each thing that does not."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils import approval as operation_module
from ansible_collections.sre.runbooks.plugins.module_utils import approval_request
from ansible_collections.sre.runbooks.plugins.modules import approval
from tests.support.ssh_keys import People, keygen
from tests.unit.plugins.module_runner import run_module

pytestmark = pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="there is no ssh-keygen")

SUBJECT: dict[str, Any] = {
    "procedure": "dr_restore",
    "target": "hafnium-prod-eu",
    "inventory": "production",
    "parameters": {"backup": "newest"},
    "plan": {"drop": ["hafnium"], "restore": [{"name": "hafnium", "rows": 12}]},
    "target_state": {"oid": 16401},
}
Run = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> People:
    """Keys are made once; each test names those that it allows."""
    made = People(tmp_path_factory.mktemp("keys"))
    for name in ("alice", "bob", "bob-second", "mallory", "authority"):
        made.key(name)
    made.key("carol", "ecdsa", "256")
    made.key("dave", "rsa", "2048")
    keygen(
        *("-q", "-s", str(made.folder / "authority"), "-I", "erin", "-n", "erin@example.org", "-V", "-1m:+1d"),
        str(made.folder / "mallory.pub"),
    )
    return made


@pytest.fixture
def signers(people: People, tmp_path: Path) -> People:
    """Alice, Bob, Carol and Dave may sign; the lines are the test's own."""
    own = tmp_path / "keys"
    shutil.copytree(people.folder, own)
    for line in ("alice", "bob", "carol", "dave"):
        (own / line).chmod(0o600)
    mine = People(own)
    for name in ("alice", "bob", "carol", "dave"):
        mine.allow(f"{name}@example.org", name)
    return mine


@pytest.fixture
def run(signers: People, capsys: pytest.CaptureFixture[str]) -> Run:
    def call(check: bool = False, **options: Any) -> dict[str, Any]:
        return run_module(
            approval, capsys, check, **{**SUBJECT, "allowed_signers_file": str(signers.allowed), **options}
        )

    return call


@pytest.fixture
def request_text(run: Run) -> str:
    return str(run(check=True, requested_by="alice", reason="the primary's disk is gone")["request"])


def test_check_mode_gives_the_request_and_writes_nothing(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "request.json"
    result = run(check=True, requested_by="alice", reason="the disk is gone", request_path=str(path))
    assert not result.get("failed")
    assert (result["approved"], result["changed"], result["verdict"]) == (False, False, "unverified")
    assert not path.exists()
    fields = json.loads(result["request"])
    assert fields["plan_summary"] == ["drop[0]: hafnium", "restore[0].name: hafnium", "restore[0].rows: 12"]
    assert (
        fields["plan_digest"]
        == result["plan_digest"]
        == approval_request.digest(SUBJECT["plan"], fields["plan_summary"])
    )
    assert result["sign_command"].startswith("ssh-keygen -Y sign -n sre.runbooks -f ~/.ssh/id_ed25519 < request.json")


def test_check_mode_without_a_reason_still_ends_well(run: Run) -> None:
    result = run(check=True, reason="  ")
    assert not result.get("failed")
    assert result["request"] is None
    assert "give requested_by and reason" in result["msg"]


def test_the_request_is_written_in_check_mode_when_that_is_wished(run: Run, tmp_path: Path, signers: People) -> None:
    path = tmp_path / "a folder" / "request.json"
    path.parent.mkdir()
    options = {"requested_by": "alice", "reason": "r", "request_path": str(path), "write_request": True}
    first = run(check=True, **options)
    assert first["changed"] is True
    assert path.read_text() == first["request"]
    again = run(check=True, **options)
    assert again["changed"] is False
    assert again["request"] == first["request"]
    assert f"< '{path}'" in first["sign_command"]
    other = run(check=True, **{**options, "reason": "another"})
    assert other["changed"] is True
    signatures = [signers.sign(name, path.read_text()) for name in ("alice", "bob")]
    assert run(request_file=str(path), signatures=signatures)["approved"] is True


def test_a_file_that_is_no_request_is_never_overwritten(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("mine")
    result = run(check=True, requested_by="a", reason="r", request_path=str(path), write_request=True)
    assert result["failed"]
    assert "holds something else than a request" in result["msg"]
    assert path.read_text() == "mine"


def test_without_a_request_a_run_is_refused(run: Run) -> None:
    result = run(requested_by="alice", reason="r")
    assert result["failed"]
    assert result["refusal"] == "no_request"
    assert json.loads(result["request"])["requested_by"] == "alice"


@pytest.mark.parametrize("pair", [("alice", "bob"), ("carol", "dave"), ("dave", "alice")])
@pytest.mark.parametrize("check", [False, True])
def test_two_people_open_the_gate(
    run: Run, request_text: str, signers: People, pair: tuple[str, str], check: bool
) -> None:
    result = run(check=check, request=request_text, signatures=[signers.sign(name, request_text) for name in pair])
    assert not result.get("failed"), result
    assert (result["approved"], result["approved_by"], result["verdict"]) == (True, "signatures", "pass")
    assert [signer["principal"] for signer in result["signers"]] == [f"{name}@example.org" for name in pair]
    assert result["signers"][0]["fingerprint"] in keygen("-lf", str(signers.folder / f"{pair[0]}.pub")).decode()
    assert result["changed"] is False


def test_signatures_come_as_files_and_as_one_pasted_text(
    run: Run, request_text: str, signers: People, tmp_path: Path
) -> None:
    request = tmp_path / "request.json"
    request.write_text(request_text)
    alice = tmp_path / "alice.sig"
    alice.write_text(signers.sign("alice", request_text))
    bob = signers.sign("bob", request_text)
    assert run(request_file=str(request), signature_files=[str(alice)], signatures=[bob])["approved"]
    pasted = f"Alice:\n{alice.read_text()}\nBob: {' '.join(bob.split(chr(10)))}"
    assert run(request=json.loads(request_text), signatures=[pasted])["approved"]


@pytest.mark.parametrize(
    "form",
    [
        lambda text: text.rstrip("\n"),
        lambda text: json.dumps(json.loads(text)),
        lambda text: json.dumps(json.loads(text), indent=8) + "\n",
    ],
)
def test_a_request_that_was_laid_out_anew_is_the_same(
    run: Run, request_text: str, signers: People, form: Callable[[str], str]
) -> None:
    text = form(request_text)
    assert run(request=text, signatures=[signers.sign("alice", text), signers.sign("bob", request_text)])["approved"]


def refused(result: dict[str, Any], refusal: str, told: str) -> None:
    assert result.get("failed"), result
    assert result.get("refusal") == refusal, result
    assert re.search(told, result["msg"]), result["msg"]
    assert "\n" not in result["msg"]
    assert "/sre-approval-" not in json.dumps(result)


def test_one_person_is_too_few(run: Run, request_text: str, signers: People) -> None:
    refused(run(request=request_text, signatures=[signers.sign("alice", request_text)]), "too_few", "1 more")
    refused(run(request=request_text), "too_few", "signed by nobody: 2 different people must sign")


def test_more_people_can_be_asked_for(run: Run, request_text: str, signers: People) -> None:
    given = [signers.sign(name, request_text) for name in ("alice", "bob")]
    refused(run(request=request_text, signatures=given, required_signatures=3), "too_few", "3 different people")
    assert run(request=request_text, signatures=[*given, signers.sign("carol", request_text)], required_signatures=3)[
        "approved"
    ]


def test_one_person_never_counts_twice(run: Run, request_text: str, signers: People) -> None:
    bob = signers.sign("bob", request_text)
    refused(run(request=request_text, signatures=[bob, bob]), "same_person", "bob@example.org")
    signers.allow("BOB@example.org", "bob-second")
    second = signers.sign("bob-second", request_text)
    again = {"allowed_signers_file": str(signers.allowed), "request": request_text, "signatures": [bob, second]}
    refused(run(**again), "same_person", "2 different people must sign")


@pytest.mark.parametrize(
    "more",
    [
        [("bob@example.org,robert@example.org", "bob-second")],  # a second name on one line
        [("robert@example.org", "bob-second"), ("robert@example.org,bob@example.org", "dave")],  # through a third key
        [("robert@example.org", "bob-second"), ("robert@example.org", "bob")],  # one key on two lines
    ],
)
def test_two_names_of_one_person_are_one_person(
    run: Run, request_text: str, signers: People, more: list[tuple[str, str]]
) -> None:
    signers.lines = signers.lines[:3]
    for principals, key in more:
        signers.allow(principals, key)
    given = [signers.sign(name, request_text) for name in ("bob", "bob-second")]
    result = run(request=request_text, signatures=given, allowed_signers_file=str(signers.allowed))
    refused(result, "same_person", "same person")


def test_an_unknown_signer(run: Run, request_text: str, signers: People) -> None:
    given = [signers.sign(name, request_text) for name in ("alice", "mallory")]
    refused(run(request=request_text, signatures=given), "unknown_signer", r"signatures\[1\]: nobody in .* SHA256:")


def test_every_signature_has_to_hold(run: Run, request_text: str, signers: People) -> None:
    given = [signers.sign(name, request_text) for name in ("alice", "bob", "mallory")]
    refused(run(request=request_text, signatures=given), "unknown_signer", "nobody in")


def test_the_wrong_namespace(run: Run, request_text: str, signers: People) -> None:
    given = [signers.sign("alice", request_text), signers.sign("bob", request_text, namespace="git")]
    refused(run(request=request_text, signatures=given), "namespace", "namespace 'git', not 'sre.runbooks'")
    signers.lines[1] = signers.lines[1].replace("bob@example.org ", 'bob@example.org namespaces="git,file" ')
    given = [signers.sign(name, request_text) for name in ("alice", "bob")]
    result = run(request=request_text, signatures=given, allowed_signers_file=str(signers.allowed))
    refused(result, "bad_signature", "may not sign in the namespace")


def test_a_signature_of_another_request(run: Run, request_text: str, signers: People) -> None:
    other = run(check=True, requested_by="alice", reason="another reason")["request"]
    given = [signers.sign("alice", request_text), signers.sign("bob", other)]
    refused(run(request=request_text, signatures=given), "bad_signature", "not over this request")


@pytest.mark.parametrize(
    ("field", "value"), [("reason", "nothing to see"), ("requested_by", "bob"), ("expires_at", None)]
)
def test_an_altered_request(run: Run, request_text: str, signers: People, field: str, value: Any) -> None:
    fields = json.loads(request_text)
    given = [signers.sign(name, request_text) for name in ("alice", "bob")]
    fields[field] = value or re.sub(r"..Z$", "58Z" if fields[field].endswith("59Z") else "59Z", fields[field])
    refused(run(request=fields, signatures=given), "bad_signature", "altered after it was signed")


def test_a_plan_that_changed_since(run: Run, request_text: str, signers: People) -> None:
    given = [signers.sign(name, request_text) for name in ("alice", "bob")]
    changed = {"drop": ["hafnium", "customer_db"], "restore": [{"name": "hafnium", "rows": 12}]}
    result = run(request=request_text, signatures=given, plan=changed)
    refused(result, "plan_differs", r"\+ drop\[1\]: customer_db")
    assert result["differences"] == ["+ drop[1]: customer_db"]


def test_a_request_is_used_once_because_the_target_has_changed(run: Run, request_text: str, signers: People) -> None:
    given = [signers.sign(name, request_text) for name in ("alice", "bob")]
    result = run(request=request_text, signatures=given, target_state={"oid": 16999})
    refused(result, "target_state_differs", "has this been done already")


@pytest.mark.parametrize(("hours", "refusal"), [(-5.0, "expired"), (5.0, "not_yet_valid")])
def test_requests_of_other_times(run: Run, signers: People, hours: float, refusal: str) -> None:
    made = approval_request.make(
        approval_request.subject({**SUBJECT, "plan_summary": None}),
        "alice",
        "r",
        operation_module.Context().clock.now() + hours * 3600,
        4,
    )
    given = [signers.sign(name, made.text) for name in ("alice", "bob")]
    refused(run(request=made.text, signatures=given), refusal, "it is .* here")


def test_a_request_that_holds_too_long(run: Run, request_text: str, signers: People) -> None:
    given = [signers.sign(name, request_text) for name in ("alice", "bob")]
    refused(run(request=request_text, signatures=given, max_validity_hours=1), "valid_too_long", "4.0 hours")


def test_a_revoked_key(run: Run, request_text: str, signers: People, tmp_path: Path) -> None:
    given = [signers.sign(name, request_text) for name in ("alice", "bob")]
    revoked = tmp_path / "revoked.krl"
    keygen("-k", "-q", "-f", str(revoked), str(signers.folder / "bob.pub"))
    result = run(request=request_text, signatures=given, revoked_keys_file=str(revoked))
    refused(result, "revoked", r"signatures\[1\]: the key SHA256:\S+ of bob@example.org is revoked")
    revoked.write_text("# gone\n" + signers.public("alice") + "\n")
    refused(run(request=request_text, signatures=given, revoked_keys_file=str(revoked)), "revoked", "alice")
    keygen("-k", "-q", "-f", str(revoked), str(signers.folder / "mallory.pub"))
    assert run(request=request_text, signatures=given, revoked_keys_file=str(revoked))["approved"]
    revoked.write_bytes(revoked.read_bytes()[:60])
    result = run(request=request_text, signatures=given, revoked_keys_file=str(revoked))
    assert result["failed"]
    assert "revoked_keys_file is broken" in result["msg"]
    revoked.write_text(signers.public("mallory") + "\n")
    assert run(request=request_text, signatures=given, revoked_keys_file=str(revoked))["approved"]
    revoked.write_text("hello\n")
    result = run(request=request_text, signatures=given, revoked_keys_file=str(revoked))
    assert result["failed"]
    assert "line 1: it is neither a key revocation list" in result["msg"]


@pytest.mark.parametrize("bound", ['valid-before="20200101"', 'valid-after="20990101"'])
def test_a_key_that_may_not_sign_now(run: Run, request_text: str, signers: People, bound: str) -> None:
    signers.lines[1] = signers.lines[1].replace("bob@example.org ", f"bob@example.org {bound} ")
    given = [signers.sign(name, request_text) for name in ("alice", "bob")]
    result = run(request=request_text, signatures=given, allowed_signers_file=str(signers.allowed))
    refused(result, "unknown_signer", "of bob@example.org may not sign now")


def test_a_certificate_is_no_person(run: Run, request_text: str, signers: People) -> None:
    signers.allow("*@example.org", "authority", "cert-authority")
    allowed = str(signers.allowed)
    given = [signers.sign("alice", request_text), signers.sign("mallory-cert.pub", request_text)]
    result = run(request=request_text, signatures=given, allowed_signers_file=allowed)
    refused(result, "certificate", "any two people")
    given = [signers.sign(name, request_text) for name in ("alice", "authority")]
    result = run(request=request_text, signatures=given, allowed_signers_file=allowed)
    refused(result, "unknown_signer", "may not sign now|nobody in")


def test_a_pattern_is_no_name(run: Run, request_text: str, signers: People) -> None:
    signers.allow("*@example.org", "mallory")
    given = [signers.sign(name, request_text) for name in ("alice", "mallory")]
    result = run(request=request_text, signatures=given, allowed_signers_file=str(signers.allowed))
    refused(result, "unknown_signer", "names no person")


def armoured(blob: bytes) -> str:
    return f"-----BEGIN SSH SIGNATURE-----\n{base64.b64encode(blob).decode()}\n-----END SSH SIGNATURE-----\n"


@pytest.mark.parametrize(
    "text",
    [
        "hello",
        "-----BEGIN SSH SIGNATURE-----\nU1NI",
        armoured(b""),
        armoured(b"SSHSIG\0\0\0\2"),
        armoured(b"SSHSIG\0\0\0\1\0\0\xff\xff"),
        armoured(b"SSHSIG\0\0\0\1\0\0\0\7\0\0\0\3foo\0\0\0\0"),
        armoured(b"SSHSIG\0\0\0\1" + b"x" * 40_000),
        "-----BEGIN SSH SIGNATURE-----\n!!!!\n-----END SSH SIGNATURE-----",
        "x" * 400_000,
    ],
)
def test_what_is_no_signature(run: Run, request_text: str, text: str) -> None:
    refused(run(request=request_text, signatures=[text]), "malformed", r"signatures\[0\]")


def test_a_signature_with_its_end_cut(run: Run, request_text: str, signers: People) -> None:
    body = base64.b64decode("".join(signers.sign("alice", request_text).splitlines()[1:-1]))
    result = run(request=request_text, signatures=[armoured(body[:-30])])
    assert result["failed"]
    assert result["refusal"] in ("unknown_signer", "bad_signature", "malformed")


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"required_signatures": 1}, "required_signatures is 1; it must be from 2 to 10"),
        ({"max_validity_hours": 1000}, "it must be from 0.1 to 168"),
        ({"valid_hours": 100}, "it must be from 0.1 to 24"),
        ({"clock_skew_seconds": 86400}, "it must be from 0 to 900"),
        ({"namespace": "a b"}, "namespace must be"),
        ({"plan": {}}, "plan is empty"),
        ({"target_state": {}}, "target_state is empty"),
        ({"signatures": ["x"]}, "without the request"),
        ({"request": {"a": 1}, "break_glass": {"by": "a", "reason": "b"}}, "mutually exclusive"),
        ({"request_file": "/nonexistent/request"}, "request_file /nonexistent/request cannot be read: No such file"),
        ({"request_file": "/dev/zero"}, "is not a regular file"),
        ({"write_request": True}, "request_path"),
    ],
)
def test_bad_options(run: Run, options: dict[str, Any], told: str) -> None:
    result = run(**options)
    assert result["failed"]
    assert told in result["msg"]


def test_files_are_bounded(run: Run, request_text: str, tmp_path: Path) -> None:
    big = tmp_path / "big"
    with big.open("wb") as file:
        file.truncate(1 << 30)
    for options in (
        {"request_file": str(big)},
        {"request": request_text, "signature_files": [str(big)]},
        {"request": request_text, "allowed_signers_file": str(big)},
        {"request": request_text, "revoked_keys_file": str(big)},
        {"request": "x" * 300_000},
    ):
        result = run(**options)
        assert result["failed"]
        assert "at most" in result["msg"]
    assert "more than 10 signatures" in run(request=request_text, signatures=["x"] * 11)["msg"]


@pytest.mark.parametrize(
    ("content", "told"),
    [("# nobody\n", "names nobody"), ("alice ssh-ed25519\n", "line 1"), ("\nalice nonsense\n", "line 2")],
)
def test_a_broken_file_of_signers(run: Run, request_text: str, tmp_path: Path, content: str, told: str) -> None:
    path = tmp_path / "signers"
    path.write_text(content)
    result = run(request=request_text, allowed_signers_file=str(path))
    assert result["failed"]
    assert told in result["msg"]


def test_signers_that_everybody_may_name(run: Run, request_text: str, signers: People) -> None:
    path = signers.allowed
    path.chmod(0o666)
    result = run(request=request_text, allowed_signers_file=str(path))
    assert "can be written by everybody" in result["msg"]


def test_a_list_of_revoked_keys_that_is_empty_or_everybodys(
    run: Run, request_text: str, signers: People, tmp_path: Path
) -> None:
    given = [signers.sign(name, request_text) for name in ("alice", "bob")]
    revoked = tmp_path / "revoked"
    revoked.touch(0o644)
    assert run(request=request_text, signatures=given, revoked_keys_file=str(revoked))["approved"] is True
    revoked.chmod(0o646)
    result = run(request=request_text, signatures=given, revoked_keys_file=str(revoked))
    assert result["failed"]
    assert f"revoked_keys_file {revoked} can be written by everybody: chmod o-w it" in result["msg"]
    revoked.unlink()
    result = run(request=request_text, signatures=given, revoked_keys_file=str(revoked))
    assert result["failed"]
    assert f"revoked_keys_file {revoked} cannot be read" in result["msg"]


def test_a_request_that_cannot_be_moved_to_its_place_leaves_nothing_beside(run: Run, tmp_path: Path) -> None:
    options = {"requested_by": "alice", "reason": "r", "write_request": True}
    missing = tmp_path / "none" / "request.json"
    assert "cannot be written" in run(check=True, request_path=str(missing), **options)["msg"]
    run(check=True, request_path=str(tmp_path / "request.json"), **options)
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["request.json"]


def test_no_file_of_signers(run: Run, request_text: str) -> None:
    assert "allowed_signers_file is not set" in run(request=request_text, allowed_signers_file=None)["msg"]


@pytest.mark.parametrize("check", [False, True])
def test_break_glass_is_for_what_can_be_undone_and_is_never_green(run: Run, check: bool) -> None:
    glass = {"by": "alice", "reason": "nobody answers"}
    refused(run(check=check, break_glass=glass), "break_glass", "can be undone, dr_restore cannot: 2 people must sign")
    result = run(check=check, break_glass=glass, reversible=True)
    assert (result["approved"], result["approved_by"], result["verdict"]) == (True, "break_glass", "unverified")
    assert result["findings"][0]["cause"] == "approved by break-glass: alice, nobody answers"
    assert any("break-glass by alice" in str(warning) for warning in result["warnings"])
    assert result["break_glass"] == glass
    refused(run(break_glass={"by": " ", "reason": "x"}, reversible=True), "break_glass", "one of them is empty")


def test_without_ssh_keygen(
    run: Run, request_text: str, signers: People, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = [signers.sign(name, request_text) for name in ("alice", "bob")]
    monkeypatch.setenv("PATH", str(tmp_path))
    result = run(request=request_text, signatures=given)
    assert "ssh-keygen is not on PATH here" in result["msg"]
    old = tmp_path / "ssh-keygen"
    old.write_text("#!/bin/sh\necho 'unknown option -- Y' >&2\nexit 1\n")
    old.chmod(0o755)
    result = run(request=request_text, signatures=given)
    assert "OpenSSH 8.2 or newer is needed" in result["msg"]


def test_nothing_private_is_shown(run: Run, request_text: str, signers: People) -> None:
    given = [signers.sign(name, request_text) for name in ("alice", "bob")]
    result = run(request=request_text, signatures=given)
    result.pop("invocation", None)
    shown = json.dumps(result)
    assert str(signers.folder) not in shown
    assert os.path.expanduser("~") + "/" not in shown
