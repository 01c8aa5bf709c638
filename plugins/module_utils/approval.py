# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The gate before a destructive step: a plan that two people have signed, and nothing else."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from . import approval_files, approval_request, approval_signature, checks
from .approval_request import NotApprovedError, Request, Subject
from .approval_signature import Signer
from .argspec import ArgumentSpec
from .errors import InputError
from .operation import Context

LEAST_PEOPLE, MOST_PEOPLE = 2, 10
MOST_VALIDITY_HOURS = 168.0
USUAL_VALIDITY_HOURS = 4.0
MOST_SKEW_SECONDS = 900
MOST_ALLOWED_BYTES = 1024 * 1024
MOST_REVOKED_BYTES = 16 * 1024 * 1024

SPEC = ArgumentSpec(
    options={
        "procedure": {"type": "str", "required": True},
        "target": {"type": "str", "required": True},
        "inventory": {"type": "str", "required": True},
        "parameters": {"type": "dict", "default": {}},
        "plan": {"type": "raw", "required": True},
        "plan_summary": {"type": "list", "elements": "str"},
        "target_state": {"type": "raw", "required": True},
        "requested_by": {"type": "str"},
        "reason": {"type": "str"},
        "valid_hours": {"type": "float"},
        "request": {"type": "raw"},
        "request_file": {"type": "path"},
        "request_path": {"type": "path"},
        "write_request": {"type": "bool", "default": False},
        "signatures": {"type": "list", "elements": "str", "default": []},
        "signature_files": {"type": "list", "elements": "path", "default": []},
        "allowed_signers_file": {"type": "path"},
        "revoked_keys_file": {"type": "path"},
        "namespace": {"type": "str", "default": "sre.runbooks"},
        "required_signatures": {"type": "int", "default": LEAST_PEOPLE},
        "max_validity_hours": {"type": "float", "default": 24.0},
        "clock_skew_seconds": {"type": "int", "default": 120},
        "reversible": {"type": "bool", "default": False},
        "break_glass": {
            "type": "dict",
            "options": {"by": {"type": "str", "required": True}, "reason": {"type": "str", "required": True}},
        },
        "timeout": {"type": "float", "default": 60.0},
    },
    mutually_exclusive=(("request", "request_file"), ("break_glass", "request"), ("break_glass", "request_file")),
    required_if=(("write_request", True, ("request_path",)),),
)


@dataclass
class _Outcome:
    """What was decided, and the request that is to be signed or was."""

    what: Subject
    approved_by: str | None = None
    signers: Sequence[Signer] = ()
    request: Request | None = None
    written: bool = False
    told: str = ""
    break_glass: Mapping[str, str] = field(default_factory=dict)


def run(params: dict[str, Any], context: Context) -> dict[str, Any]:
    """Approve, or refuse with one reason (NotApprovedError). In check mode nothing that is yet to be signed is refused."""
    _limits(params)
    outcome = _Outcome(approval_request.subject(params))
    given = _given_request(params)
    if given is not None:
        outcome.request = approval_request.read(given)
        outcome.signers = _judge(params, context, outcome.what, outcome.request, given)
        outcome.approved_by = "signatures"
        outcome.told = f"approved by {_names(outcome.signers)} until {outcome.request.fields['expires_at']}"
    elif params["break_glass"]:
        _break_glass(params, context, outcome)
    else:
        _ask(params, context, outcome)
    return _result(params, outcome)


def _limits(params: dict[str, Any]) -> None:
    if params["valid_hours"] is None:
        params["valid_hours"] = min(USUAL_VALIDITY_HOURS, params["max_validity_hours"])
    for name, least, most in (
        ("required_signatures", LEAST_PEOPLE, MOST_PEOPLE),
        ("max_validity_hours", 0.1, MOST_VALIDITY_HOURS),
        ("valid_hours", 0.1, params["max_validity_hours"]),
        ("clock_skew_seconds", 0, MOST_SKEW_SECONDS),
    ):
        if not least <= params[name] <= most:
            raise InputError(f"{name} is {params[name]:g}; it must be from {least:g} to {most:g}")
    if not re.fullmatch(r"[A-Za-z0-9._@-]{1,80}", params["namespace"]):
        raise InputError("namespace must be 1 to 80 letters, digits and the signs . _ @ -")
    for name in ("requested_by", "reason"):
        if params[name] is not None and not params[name].strip():
            params[name] = None  # a survey answers what was left empty with an empty text


def _given_request(params: Mapping[str, Any]) -> Any:
    """The request as it was given; None without one."""
    if params["request_file"]:
        return approval_files.read("request_file", params["request_file"], approval_request.MOST_BYTES)
    given = params["request"]
    if isinstance(given, str) and len(given) > approval_request.MOST_BYTES:
        raise InputError(f"request has {len(given)} characters, at most {approval_request.MOST_BYTES} are read")
    if given not in (None, "", {}):
        return given
    if params["signatures"] or params["signature_files"]:
        raise InputError("signatures are given without the request they are over: give request or request_file")
    return None


def _judge(
    params: Mapping[str, Any], context: Context, what: Subject, request: Request, given: Any
) -> Sequence[Signer]:
    approval_request.compare(request, what)
    approval_request.check_time(
        request, context.clock.now(), params["max_validity_hours"], params["clock_skew_seconds"]
    )
    signatures = _signatures(params)
    verifier = _verifier(params, context)
    signers = [verifier.signer(signature, _forms(request, given)) for signature in signatures]
    approval_signature.people(signers, params["required_signatures"])
    return signers


def _forms(request: Request, given: Any) -> list[bytes]:
    """The request as bytes that people may have signed: each says the same, as the JSON is the same."""
    own = request.text.encode("ascii")
    raw = given if isinstance(given, bytes) else given.encode("utf-8", "replace") if isinstance(given, str) else own
    return list(dict.fromkeys((own, own.rstrip(b"\n"), raw, raw.rstrip(b"\r\n") + b"\n")))


def _signatures(params: Mapping[str, Any]) -> list[approval_signature.Signature]:
    texts = [(f"signatures[{number}]", text) for number, text in enumerate(params["signatures"]) if text.strip()]
    most = approval_signature.MOST_SIGNATURE_BYTES
    if len(texts) + len(params["signature_files"]) <= approval_signature.MOST_SIGNATURES:
        texts += [
            (path, approval_files.read("signature_files:", path, most).decode("ascii", errors="replace"))
            for path in params["signature_files"]
        ]
        found = [signature for source, text in texts for signature in approval_signature.split(text, source)]
        if len(found) <= approval_signature.MOST_SIGNATURES:
            return found
    raise InputError(f"more than {approval_signature.MOST_SIGNATURES} signatures are given")


def _verifier(params: Mapping[str, Any], context: Context) -> approval_signature.Verifier:
    path = params["allowed_signers_file"]
    if not path:
        raise InputError("allowed_signers_file is not set: it says whose signatures count")
    approval_files.refuse_writable("allowed_signers_file", path)
    allowed = approval_files.read("allowed_signers_file", path, MOST_ALLOWED_BYTES)
    revoked = None
    if params["revoked_keys_file"]:
        approval_files.refuse_writable("revoked_keys_file", params["revoked_keys_file"])
        # empty: no key was revoked yet
        revoked = approval_files.read("revoked_keys_file", params["revoked_keys_file"], MOST_REVOKED_BYTES, True)
        approval_signature.refuse_unreadable_revocations(revoked, params["revoked_keys_file"])
    try:
        text = allowed.decode("utf-8")
    except UnicodeDecodeError:
        raise InputError(f"allowed_signers_file {path} is not UTF-8 text") from None
    return approval_signature.Verifier(text, revoked or None, params["namespace"], context.deadline, path)


def _break_glass(params: Mapping[str, Any], context: Context, outcome: _Outcome) -> None:
    by, reason = (str(params["break_glass"][name]).strip() for name in ("by", "reason"))
    if not by or not reason:
        raise NotApprovedError("break_glass", "break-glass needs a name and a reason, one of them is empty")
    if not params["reversible"]:
        raise NotApprovedError(
            "break_glass",
            f"break-glass is for steps that can be undone, {outcome.what.procedure} cannot: "
            f"{params['required_signatures']} people must sign",
        )
    outcome.approved_by = "break_glass"
    outcome.break_glass = {"by": by, "reason": reason}
    outcome.told = f"NOT APPROVED BY ANYBODY ELSE: break-glass by {by}, because: {reason}"
    context.warn(f"{outcome.what.procedure} on {outcome.what.target}: {outcome.told}")


def _ask(params: Mapping[str, Any], context: Context, outcome: _Outcome) -> None:
    """Make the request that people are to sign, and write it where that is wished."""
    lacking = [name for name in ("requested_by", "reason") if not params[name]]
    if lacking:
        outcome.told = f"not approved; for a request to sign give {' and '.join(lacking)}"
    else:
        kept = _kept(params, outcome.what, context) if params["write_request"] else None
        outcome.request = kept or approval_request.make(
            outcome.what, params["requested_by"], params["reason"], context.clock.now(), params["valid_hours"]
        )
        if params["write_request"] and kept is None:
            approval_files.write(params["request_path"], outcome.request.text)
            outcome.written = True
        outcome.told = (
            f"not approved; {params['required_signatures']} people sign the request until "
            f"{outcome.request.fields['expires_at']}: {_command(params)}"
        )
    if not context.check_mode:
        raise NotApprovedError("no_request", outcome.told, **_shown(params, outcome))


def _kept(params: Mapping[str, Any], what: Subject, context: Context) -> Request | None:
    """The request in the file, when it asks for the same and still holds; people may have signed it already."""
    path = params["request_path"]
    if not os.path.lexists(path):
        return None
    content = approval_files.read("request_path", path, approval_request.MOST_BYTES)
    try:
        found = approval_request.read(content)
    except NotApprovedError:
        raise InputError(f"request_path {path} holds something else than a request; name another file") from None
    asked_alike = all(found.fields[name] == params[name] for name in ("requested_by", "reason"))
    try:
        approval_request.check_time(
            found, context.clock.now(), params["max_validity_hours"], params["clock_skew_seconds"]
        )
    except NotApprovedError:
        return None
    return found if asked_alike and approval_request.same_subject(found, what) else None


def _command(params: Mapping[str, Any]) -> str:
    """What each of the people types. The signature goes to a file of their own."""
    file = params["request_path"] if params["write_request"] else "request.json"
    return f"ssh-keygen -Y sign -n {params['namespace']} -f ~/.ssh/id_ed25519 < {shlex.quote(file)} > YOURNAME.sig"


def _names(signers: Sequence[Signer]) -> str:
    return " and ".join(signer.principal for signer in signers)


def _shown(params: Mapping[str, Any], outcome: _Outcome) -> dict[str, Any]:
    return {
        "changed": outcome.written,
        "plan_digest": outcome.what.plan_digest,
        "plan_summary": list(outcome.what.summary),
        "request": outcome.request.text if outcome.request else None,
        "sign_command": _command(params),
    }


def _result(params: Mapping[str, Any], outcome: _Outcome) -> dict[str, Any]:
    approved = outcome.approved_by is not None
    signed = outcome.approved_by == "signatures"
    hints = {
        None: "Check mode shows the plan and the request; the run needs it signed.",
        "break_glass": "Nobody but the person named has looked at this step. Have it reviewed.",
        "signatures": "",
    }
    check = checks.Check(
        "approval",
        f"{outcome.what.procedure} is approved",
        checks.PASS if signed else checks.UNVERIFIED,
        outcome.told,
        f"signatures of {params['required_signatures']} people over this plan",
        hints[outcome.approved_by],
    )
    findings = []
    if outcome.approved_by == "break_glass":
        cause = f"approved by break-glass: {outcome.break_glass['by']}, {outcome.break_glass['reason']}"
        findings.append(checks.Finding(cause, "seen", ["approval"], [outcome.what.target]))
    fields = outcome.request.fields if outcome.request else {}
    return {
        **checks.report([check], findings),
        **_shown(params, outcome),
        "approved": approved,
        "approved_by": outcome.approved_by,
        "break_glass": dict(outcome.break_glass) or None,
        "signers": [
            {
                "principal": signer.principal,
                "fingerprint": signer.signature.fingerprint,
                "key_type": signer.signature.key_type,
            }
            for signer in outcome.signers
        ],
        "expires_at": fields.get("expires_at"),
        "msg": outcome.told,
    }
