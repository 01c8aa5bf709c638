# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What was seen of certificates as checks, findings and hand-offs. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from . import certificate_parse, checks
from .certificate_parse import Certificate, covers, days, utc
from .certificate_secrets import Renewer
from .checks import FAIL, PASS, UNVERIFIED, Check, Finding, Next

Place = Literal["endpoint", "secret", "file", "kubeconfig"]
DAY = 86_400


@dataclass
class Seen:
    """One place where a certificate is kept or shown.

    ``sent`` are its certificates in their order, none when ``problem`` says why; then ``absent`` tells whether that is
    an observation (there is none) or a gap (nobody could see). ``wanted`` are the names that it must be for.
    """

    id: str
    place: Place
    where: str
    sent: list[Certificate] = field(default_factory=list)
    problem: str = ""
    hint: str = ""
    absent: bool = False
    whole: bool = True
    wanted: tuple[str, ...] = ()
    trusted: bool | None = None
    trust_problem: str = ""
    version: str = ""
    key_belongs: bool | None = None
    key_problem: str = ""
    renewer: Renewer = field(default_factory=Renewer)
    secret: str = ""
    owner: str = ""
    duration_ms: int | None = None

    @property
    def leaf(self) -> Certificate | None:
        return self.sent[0] if self.sent else None

    def first_to_end(self) -> Certificate:
        """The certificate that ends first, of those that clients need from here: roots they have themselves."""
        needed = [one for number, one in enumerate(self.sent) if not number or not one.self_signed]
        return min(needed, key=lambda one: one.not_after)


@dataclass(frozen=True)
class Limits:
    """Days that a certificate must still be valid (``fail``), and from which on it is to be renewed (``warn``)."""

    fail: float = 14.0
    warn: float = 30.0
    check_trust: bool = True
    renew_playbook: str = ""


def judge(all_seen: list[Seen], limits: Limits, now: float, runbook: str) -> dict[str, Any]:
    """The report on all places. ``now`` is this machine's clock, seconds since the epoch."""
    found: list[Check] = []
    due: dict[str, list[Seen]] = {}
    by_id = {seen.id: seen for seen in all_seen}
    for seen in all_seen:
        own = [check for check in _checks(seen, limits, now) if check]
        if seen.place == "endpoint" and seen.secret:
            own.append(_served(seen, by_id.get(seen.secret)))
        for check in own:
            check.runbook, check.duration_ms = runbook, seen.duration_ms
        found += own
        if seen.sent and days(seen.first_to_end().not_after - now) < limits.warn:
            due.setdefault(seen.first_to_end().fingerprint, []).append(seen)
    renewals = [_renewal(places, limits, now) for places in due.values()]
    findings = [_renew(renewal, limits) for renewal in renewals]
    rows = [_row(seen, now) for seen in all_seen]
    return checks.report(found, findings, certificates=rows, renewals=renewals)


def _checks(seen: Seen, limits: Limits, now: float) -> Iterator[Check | None]:
    if not seen.sent:
        yield Check(
            f"{seen.id}.expiry",
            f"{seen.where}: how long its certificate is valid",
            FAIL if seen.absent else UNVERIFIED,
            observed=seen.problem,
            expected=f"at least {limits.fail:g} days",
            hint=seen.hint or "The certificate was not seen.",
        )
        return
    yield _expiry(seen, limits, now)
    yield from (_name(seen, name) for name in seen.wanted)
    if seen.place == "endpoint" and limits.check_trust:
        yield _trust(seen)
    yield _chain(seen)
    if seen.place == "secret":
        yield _key(seen)


def _expiry(seen: Seen, limits: Limits, now: float) -> Check:
    ending = seen.first_to_end()
    left = ending.not_after - now
    early = next((one for one in seen.sent if one.not_before > now), None)
    which = "" if ending is seen.leaf else f", of the intermediate {ending.short}"
    check = Check(
        f"{seen.id}.expiry",
        f"{seen.where}: how long its certificate is valid",
        PASS if left >= limits.fail * DAY else FAIL,
        observed=f"{days(left):g} days, until {utc(ending.not_after)}{which}",
        expected=f"at least {limits.fail:g} days",
        hint="By the clock of this machine.",
    )
    if left < 0:
        check.observed = f"expired {days(-left):g} days ago, at {utc(ending.not_after)}{which}"
    if left < limits.warn * DAY:
        check.hint = (
            f"Renewed by {seen.renewer}." if seen.place == "secret" else "Renew it where it is kept, and reload."
        )
        if seen.renewer.by == "cert-manager":
            check.hint += " It should have been renewed by now: see the conditions of that Certificate."
    if early:
        check.status = FAIL
        check.observed = f"{early.short} is not valid before {utc(early.not_before)}"
        check.hint = f"Here it is {utc(now)}: compare the clocks of this machine, of the clients and of the authority."
    return check


def _name(seen: Seen, name: str) -> Check:
    leaf = seen.sent[0]
    right = covers(leaf, name)
    names = ", ".join(leaf.names[:10]) + (f" and {len(leaf.names) - 10} more" if len(leaf.names) > 10 else "")
    return Check(
        f"{seen.id}.name.{name}" if len(seen.wanted) > 1 else f"{seen.id}.name",
        f"{seen.where}: its certificate is for {name}",
        PASS if right else FAIL,
        observed=names or f"no names (subject alternative names); its subject {leaf.subject} does not count",
        expected=name,
        hint="By its subject alternative names, as clients look at it."
        if right
        else "Clients refuse it: another host's, a default certificate, or a name that was forgotten.",
    )


def _trust(seen: Seen) -> Check:
    check = Check(
        f"{seen.id}.trust",
        f"{seen.where}: clients trust its certificate",
        checks.status_of(seen.trusted),
        observed="a client of this machine accepts it" if seen.trusted else seen.trust_problem or "not seen",
        expected="an accepted handshake",
        hint="With the authorities that this machine trusts, or those of ca_path.",
    )
    if seen.trusted is False:
        check.hint = _why_untrusted(seen)
    return check


def _why_untrusted(seen: Seen) -> str:
    linked, _rest = certificate_parse.chain(seen.sent)
    last = linked[-1]
    if "expired" in seen.trust_problem or "not yet valid" in seen.trust_problem:
        return (
            "See the check of its expiry, which also looks at the intermediates; a root of this machine can expire too."
        )
    if last is seen.leaf and last.self_signed:
        return "It signed itself: a default certificate of the server, or one for tests. Or name it in ca_path."
    if last.self_signed:
        return f"Its root {last.short} is not trusted here; give it in ca_path if it is your own authority."
    return (
        f"The server sends no certificate of {last.issuer}: an intermediate is missing on the server, or that is an "
        "authority of your own; then give it in ca_path."
    )


def _chain(seen: Seen) -> Check:
    """Whether the certificates hang together in the order in which they are sent."""
    linked, rest = certificate_parse.chain(seen.sent)
    ordered = seen.sent[: len(linked)] == linked
    last = linked[-1]
    complete = last.self_signed or seen.trusted is True
    end = f"up to {last.short}" if last.self_signed else f"issued by {last.issuer}"
    check = Check(
        f"{seen.id}.chain",
        f"{seen.where}: its certificates hang together",
        PASS,
        observed=f"{len(seen.sent)} certificates, {end}" if len(seen.sent) > 1 else f"1 certificate, {end}",
        expected="each issued by the next",
        hint="Whether clients trust that root is another question."
        if complete
        else "Whether clients know that issuer shows at an endpoint.",
    )
    if rest:
        check.status = FAIL
        check.observed = f"{rest[0].short} did not issue any of the others"
        check.hint = "A wrong file in the bundle, or an old intermediate: clients may fail to build the chain."
    elif not ordered:
        check.status = FAIL
        check.observed = f"wrong order: {', '.join(one.short for one in seen.sent)}"
        check.hint = "Each certificate must be followed by the one that issued it; some clients accept no other order."
    elif not seen.whole:
        check.status = UNVERIFIED
        check.hint = "This Python shows the first certificate only; 3.13 shows all that were sent."
    return check


def _key(seen: Seen) -> Check:
    told = {True: "it is", False: "it is another key"}
    return Check(
        f"{seen.id}.key",
        f"{seen.where}: its key is that of its certificate",
        checks.status_of(seen.key_belongs),
        observed=seen.key_problem if seen.key_belongs is None else told[seen.key_belongs],
        expected="it is",
        hint="Compared with the certificate here, and not returned."
        if seen.key_belongs
        else "Servers that read this Secret refuse it: replace both parts together.",
    )


def _served(seen: Seen, secret: Seen | None) -> Check:
    """Whether the server shows what the Secret holds."""
    check = Check(
        f"{seen.id}.served",
        f"{seen.where}: it shows the certificate of Secret {seen.secret}",
        UNVERIFIED,
        observed="one of both was not seen",
        expected="the same certificate",
        hint="See the check of the other one's expiry.",
    )
    shown, held = seen.leaf, secret.leaf if secret else None
    if shown is None or held is None:
        return check
    check.status = PASS if shown.fingerprint == held.fingerprint else FAIL
    check.observed = "the same certificate"
    check.hint = "One connection; other instances behind the address may show another."
    if check.status == FAIL:
        check.observed = f"{_told(shown)}; the Secret holds {_told(held)}"
        newer = held.not_before > shown.not_before
        check.hint = (
            "The Secret is newer: the server has not loaded it; reload or restart it."
            if newer
            else "The server has its certificate from somewhere else: another Secret, or its default."
        )
    return check


def _told(certificate: Certificate) -> str:
    return f"{certificate.short} until {utc(certificate.not_after)}, {certificate.fingerprint[:12]}"


def _renewal(places: list[Seen], limits: Limits, now: float) -> dict[str, Any]:
    """A hand-off of one certificate, in however many places it was seen: what, by whom, until when."""
    kept = next((seen for seen in places if seen.place != "endpoint"), places[0])
    ending = kept.first_to_end()
    return {
        "id": kept.id,
        "where": kept.where,
        "places": [seen.id for seen in places],
        "subject": ending.subject,
        "not_after": utc(ending.not_after),
        "days_left": days(ending.not_after - now),
        "deadline": utc(max(now, ending.not_after - limits.fail * DAY)),
        "owner": next((seen.owner for seen in (kept, *places) if seen.owner), ""),
        "renewed_by": kept.renewer.by,
        "renewed_by_name": kept.renewer.name,
        "issuer": kept.renewer.issuer,
    }


def _renew(renewal: dict[str, Any], limits: Limits) -> Finding:
    left = renewal["days_left"]
    when = f"expired {-left:g} days ago" if left < 0 else f"expires in {left:g} days"
    who = renewal["owner"] or "nobody named in the option owner"
    by = f"{renewal['renewed_by']} ({renewal['renewed_by_name']})" if renewal["renewed_by"] else "hand"
    cause = f"{renewal['where']}: the certificate {when}. Renew by {renewal['deadline']}; responsible: {who}; renewed by {by}."
    following = Next(limits.renew_playbook, {"certificate": renewal["id"]}, "change") if limits.renew_playbook else None
    return Finding(cause, "seen", [f"{place}.expiry" for place in renewal["places"]], renewal["places"], following)


def _row(seen: Seen, now: float) -> dict[str, Any]:
    """What is returned of one place."""
    row: dict[str, Any] = {
        "id": seen.id,
        "place": seen.place,
        "where": seen.where,
        "problem": seen.problem,
        "trusted": seen.trusted,
        "trust_problem": seen.trust_problem,
        "tls_version": seen.version,
        "key_belongs": seen.key_belongs,
        "renewed_by": seen.renewer.by,
        "renewed_by_name": seen.renewer.name,
        "chain": [one.as_dict(now) for one in seen.sent],
    }
    leaf = seen.leaf
    if leaf is None:
        return row
    linked, _rest = certificate_parse.chain(seen.sent)
    return row | {
        **leaf.as_dict(now),
        "names": list(leaf.names),
        "key": leaf.key,
        "signature": leaf.signature,
        "self_signed": leaf.self_signed,
        "chain_complete": True if seen.trusted or linked[-1].self_signed else None,
        "name_matches": {name: covers(leaf, name) for name in seen.wanted},
    }
