"""
The outcome of a rehearsal, and how it is checked against the gateway's own record.

This module never asks the router or the plan where a reply belongs: they are what is tested.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final, final
from zoneinfo import ZoneInfo

import attrs

from htpoort.core.cutover import CutoverPlan
from htpoort.core.cutover.moves import ZONE
from htpoort.core.errors import SendFailure
from htpoort.core.party import PartyId
from htpoort.core.routing import Correlation, Reason
from htpoort.core.text import ascii_lower
from htpoort.ledger import QuarantinedMessage, Reply
from htpoort.simulator.declarations import SentReply
from htpoort.simulator.faults import ReplyFault
from htpoort.simulator.scenarios import ReplyKind

# Typed from what each fault is, not taken from the router, so that a wrong router shows.
_REASONS: Final[Mapping[ReplyFault | None, Reason]] = {
    ReplyFault.OTHER_SYSTEM: Reason.OTHER_SYSTEM,
    ReplyFault.WRONG_PROCESS_ID: Reason.MAILBOX_PROCESS_DISAGREE,
    ReplyFault.NO_K: Reason.BAD_ENVELOPE,
    ReplyFault.FORGED_FROM: Reason.AMBIGUOUS_FROM,
    ReplyFault.BOUNCE: Reason.NO_ENVELOPE,
}


class Destination(enum.StrEnum):
    """Where a reply can end."""

    PROCESS = "process"
    """Delivered to the process of a system."""
    QUARANTINE = "quarantine"
    """Held in quarantine until it is released or discarded."""
    REFUSED = "refused"
    """Refused by the agent: addressed to a mailbox that the agent does not have."""
    NOWHERE = "nowhere"
    """Lost."""


@final
@attrs.frozen(kw_only=True)
class Arrival:
    """
    The place where a reply arrived, or where it belongs.

    Args:
        destination: Where it ended.
        name: The system whose process received it, or the reason of the quarantine; otherwise empty.
        party: The party that it was delivered for; empty if it was not delivered.
        correlation: What the ledger knew of its K; empty if it was not delivered.
    """

    destination: Destination
    name: str = ""
    party: str = ""
    correlation: str = ""

    def __str__(self) -> str:
        if self.destination is Destination.PROCESS:
            return f"{self.name} process of {self.party}, {self.correlation}"
        return f"{self.destination}: {self.name}" if self.name else str(self.destination)


@final
@attrs.frozen(kw_only=True)
class RehearsedDeclaration:
    """
    One declaration of a rehearsal.

    Args:
        at: When it was sent, in Europe/Amsterdam.
        party: V.
        kind: Its kind, if the plan has moves for that kind alone; None for all others.
        reference: K.
        planned: The system that the plan names.
        accepted_by: The system that accepted it, by the gateway's own record; None if none did.
    """

    at: datetime
    party: PartyId
    kind: str | None
    reference: str
    planned: str
    accepted_by: str | None = None

    @property
    def correct(self) -> bool:
        """Whether no system accepted it but the one that the plan names."""
        return self.accepted_by in {None, self.planned}


@final
@attrs.frozen(kw_only=True)
class ReplyVerdict:
    """
    One reply to a declaration, and whether it arrived where it belongs.

    Args:
        declaration: The declaration.
        kind: The kind of reply.
        fault: What is wrong with it; None for a genuine one.
        times: How often the gateway sent these octets.
        at: When it first arrived, in Europe/Amsterdam.
        planned_then: The system that the plan names on that day; it does not decide where the reply belongs.
        expected: Where it belongs: at the system that its K was sent to, by the gateway's own record.
        arrived: Where it arrived. A reply that is sent twice is delivered once; its copy counts as delivered too.
    """

    declaration: RehearsedDeclaration
    kind: ReplyKind
    fault: ReplyFault | None
    times: int
    at: datetime
    planned_then: str
    expected: Arrival
    arrived: tuple[Arrival, ...]

    @property
    def correct(self) -> bool:
        """Whether it arrived where it belongs, once, and nowhere else."""
        return self.arrived == (self.expected,)

    @property
    def after_move(self) -> bool:
        """Whether its party had moved to another system by then."""
        return self.planned_then != self.declaration.planned


@final
@attrs.frozen(kw_only=True)
class Rehearsal:
    """
    The outcome of a rehearsal.

    Args:
        declarations: In the order in which they were sent.
        replies: In the order in which they arrived.
        restarted: When the agent was restarted, in Europe/Amsterdam.
    """

    declarations: tuple[RehearsedDeclaration, ...]
    replies: tuple[ReplyVerdict, ...]
    restarted: datetime

    @property
    def incorrect(self) -> tuple[RehearsedDeclaration | ReplyVerdict, ...]:
        """The declarations that another system accepted, and the replies that arrived elsewhere."""
        everything: tuple[RehearsedDeclaration | ReplyVerdict, ...] = (*self.declarations, *self.replies)
        return tuple(one for one in everything if not one.correct)

    @property
    def without_reply(self) -> tuple[str, ...]:
        """The systems that the plan names and that sent no reply, so that their part was not rehearsed."""
        replying = {one.declaration.planned for one in self.replies}
        return tuple(sorted({one.planned for one in self.declarations} - replying))

    @property
    def correct(self) -> bool:
        """Whether everything arrived where it belongs, and each system that the plan names replied at least once."""
        return not self.without_reply and not self.incorrect


# ── the verdicts ────────────────────────────────────────────────────────────


_Copy = tuple[str, str, str, str, bytes]
"""What two copies of one reply have in common: mailbox, process ID, party, K and body."""


@final
@attrs.frozen(kw_only=True)
class Arrivals:
    """
    The places where each message arrived.

    Args:
        octets: The arrivals of each message.
        copies: The arrival of the reply that was delivered, for its copies, which were not.
    """

    octets: Mapping[bytes, tuple[Arrival, ...]]
    copies: Mapping[_Copy, Arrival]

    def of(self, sent: SentReply) -> tuple[Arrival, ...]:
        """Return where a message arrived."""
        message = sent.message
        if message.data in self.octets:
            return self.octets[message.data]
        if sent.error is not None and sent.error.kind is SendFailure.REFUSED:
            return (Arrival(destination=Destination.REFUSED),)
        envelope = message.envelope
        names = (message.mail_from, envelope.sender, envelope.addressee, envelope.reference)
        return (self.copies.get(_copy(*names, message.data), Arrival(destination=Destination.NOWHERE)),)


def _copy(mailbox: str, process_id: str, party: str, reference: str, raw: bytes) -> _Copy:
    body = raw.partition(b"\r\n\r\n")[2]
    return ascii_lower(mailbox), ascii_lower(process_id), ascii_lower(party), reference, body


def arrivals(delivered: Iterable[tuple[str, Reply]], held: Iterable[tuple[QuarantinedMessage, bytes]]) -> Arrivals:
    octets: dict[bytes, tuple[Arrival, ...]] = {}
    copies: dict[_Copy, Arrival] = {}
    for system, reply in delivered:
        place = Arrival(destination=Destination.PROCESS, name=system, party=reply.party, correlation=reply.correlation)
        octets[reply.raw] = (*octets.get(reply.raw, ()), place)
        copies[_copy(reply.mailbox, reply.process_id, reply.party, reply.reference, reply.raw)] = place
    for one, raw in held:
        octets[raw] = (*octets.get(raw, ()), Arrival(destination=Destination.QUARANTINE, name=one.reason))
    return Arrivals(octets=octets, copies=copies)


def verdicts(  # noqa: PLR0913 - one argument for each record that is compared
    plan: CutoverPlan,
    declared: Mapping[str, RehearsedDeclaration],
    parties: Iterable[PartyId],
    sent: Iterable[SentReply],
    places: Arrivals,
    *,
    mailbox: str,
) -> tuple[ReplyVerdict, ...]:
    """Compare where each message of the gateway arrived with where it belongs."""
    known = {ascii_lower(str(party)) for party in parties}
    messages: dict[bytes, list[SentReply]] = {}
    for one in sent:
        messages.setdefault(one.message.data, []).append(one)
    replies: list[ReplyVerdict] = []
    for first, *repeats in messages.values():
        declaration = declared[first.declaration.envelope.reference]
        replies.append(
            ReplyVerdict(
                declaration=declaration,
                kind=first.scripted.kind,
                fault=first.scripted.fault,
                times=1 + len(repeats),
                at=first.at.astimezone(ZoneInfo(ZONE)),
                planned_then=plan.system_for(declaration.party, on=first.at, kind=declaration.kind).name,
                expected=_expected(first, known, mailbox),
                arrived=places.of(first),
            )
        )
    return tuple(replies)


def _expected(sent: SentReply, parties: set[str], mailbox: str) -> Arrival:
    """Return where a message belongs: at the system that accepted the declaration, whatever the plan is today."""
    declaration, fault = sent.declaration, sent.scripted.fault
    own, addressee = ascii_lower(declaration.envelope.sender), ascii_lower(sent.message.envelope.addressee)
    if sent.message.rcpt_to != mailbox:
        return Arrival(destination=Destination.REFUSED)
    if addressee != own:
        reason = Reason.OTHER_PARTY if addressee in parties else Reason.UNKNOWN_ADDRESSEE
    elif fault in _REASONS:
        reason = _REASONS[fault]
    else:
        known = Correlation.UNKNOWN_REFERENCE if fault is ReplyFault.OTHER_K else Correlation.MATCHED
        return Arrival(
            destination=Destination.PROCESS,
            name=declaration.system.name,
            party=declaration.envelope.sender,
            correlation=known.value,
        )
    return Arrival(destination=Destination.QUARANTINE, name=reason.value)
