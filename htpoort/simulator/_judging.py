"""
Hold what a rehearsal came to, and judge it by the gateway's own record.

Never does: ask what it judges; neither the router nor the plan says where a reply belongs.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final, final
from zoneinfo import ZoneInfo

import attrs

from htpoort._words import ascii_lower
from htpoort.cutover import CutoverPlan
from htpoort.cutover.moves import ZONE
from htpoort.errors import SendFailure
from htpoort.ledger import Held, Reply
from htpoort.party import PartyId
from htpoort.routing import Correlation, Reason
from htpoort.simulator._rehearsing import MAILBOX
from htpoort.simulator.declarations import Sent
from htpoort.simulator.faults import AnswerFault
from htpoort.simulator.scenarios import Kind

# Typed from what each fault is, so that a router that is wrong is found out.
_REASONS: Final[Mapping[AnswerFault | None, Reason]] = {
    AnswerFault.OTHER_SYSTEM: Reason.OTHER_SYSTEM,
    AnswerFault.WRONG_PROCESS_ID: Reason.MAILBOX_PROCESS_DISAGREE,
    AnswerFault.NO_K: Reason.BAD_ENVELOPE,
    AnswerFault.FORGED_FROM: Reason.AMBIGUOUS_FROM,
    AnswerFault.BOUNCE: Reason.NO_ENVELOPE,
}


class Where(enum.StrEnum):
    """Tell where a reply ended."""

    PROCESS = "process"
    """It was delivered to the process of a system."""
    QUARANTINE = "quarantine"
    """It waits for a person."""
    REFUSED = "refused"
    """The agent did not take it; it is for nobody here."""
    NOWHERE = "nowhere"
    """It is lost."""


@final
@attrs.frozen(kw_only=True)
class Place:
    """
    Say where a reply went, or where it belongs.

    Args:
        where: Where it ended.
        name: The system whose process it is, or the reason of the quarantine; empty for the others.
        party: For whom it was delivered; empty where it was not.
        correlation: What was known of its K; empty where it was not delivered.
    """

    where: Where
    name: str = ""
    party: str = ""
    correlation: str = ""

    def __str__(self) -> str:
        if self.where is Where.PROCESS:
            return f"{self.name} process of {self.party}, {self.correlation}"
        return f"{self.where}: {self.name}" if self.name else str(self.where)


@final
@attrs.frozen(kw_only=True)
class Declared:
    """
    Tell about one declaration of a rehearsal.

    Args:
        at: When it was sent, in Europe/Amsterdam.
        party: V.
        kind: Its kind, one that the plan tells apart; None for all others.
        reference: K.
        chosen: The system that the plan names.
        taken_by: The system that took it, by the gateway's own record; None where none did.
    """

    at: datetime
    party: PartyId
    kind: str | None
    reference: str
    chosen: str
    taken_by: str | None = None

    @property
    def right(self) -> bool:
        """Whether no other system took it than the plan names."""
        return self.taken_by in {None, self.chosen}


@final
@attrs.frozen(kw_only=True)
class Came:
    """
    Tell about one message that answers a declaration.

    Args:
        declaration: What it answers.
        kind: What it says.
        fault: What is wrong with it; None for a genuine one.
        times: How often the gateway sent these octets.
        at: When it first came, in Europe/Amsterdam.
        then: The system that the plan names on that day, which is no matter for where the reply belongs.
        belongs: Where it belongs, by what the gateway's record says that its K was sent to.
        went: Where it went; of a reply that comes twice, the process gets the first, and the second counts as
            delivered there.
    """

    declaration: Declared
    kind: Kind
    fault: AnswerFault | None
    times: int
    at: datetime
    then: str
    belongs: Place
    went: tuple[Place, ...]

    @property
    def right(self) -> bool:
        """Whether it went where it belongs, once, and nowhere else."""
        return self.went == (self.belongs,)

    @property
    def after_move(self) -> bool:
        """Whether its party used another system by then."""
        return self.then != self.declaration.chosen


@final
@attrs.frozen(kw_only=True)
class Rehearsal:
    """
    Tell what a rehearsal came to.

    Args:
        declarations: In the order in which they were sent.
        replies: In the order in which they came.
        restarted: When the agent was stopped and started, in Europe/Amsterdam.
    """

    declarations: tuple[Declared, ...]
    replies: tuple[Came, ...]
    restarted: datetime

    @property
    def wrong(self) -> tuple[Declared | Came, ...]:
        """The declarations that another system took, and the replies that went elsewhere."""
        everything: tuple[Declared | Came, ...] = (*self.declarations, *self.replies)
        return tuple(one for one in everything if not one.right)

    @property
    def silent(self) -> tuple[str, ...]:
        """The systems that the plan names for a declaration and that answered none: nothing was seen of their part."""
        answering = {one.declaration.chosen for one in self.replies}
        return tuple(sorted({one.chosen for one in self.declarations} - answering))

    @property
    def right(self) -> bool:
        """Whether everything went where it belongs, and each system that the plan names answered at least once."""
        return not self.silent and not self.wrong


# ── the judgement ────────────────────────────────────────────────────────────


_Copy = tuple[str, str, str, str, bytes]
"""What two copies of one reply have in common: mailbox, process ID, party, K and body."""


@final
@attrs.frozen(kw_only=True)
class Went:
    """
    Hold where messages ended.

    Args:
        octets: The places of each message.
        copies: The place of the one that was delivered, for those that are copies of it and are not.
    """

    octets: Mapping[bytes, tuple[Place, ...]]
    copies: Mapping[_Copy, Place]

    def of(self, sent: Sent) -> tuple[Place, ...]:
        """Say where a message ended."""
        message = sent.message
        if message.data in self.octets:
            return self.octets[message.data]
        if sent.error is not None and sent.error.kind is SendFailure.REFUSED:
            return (Place(where=Where.REFUSED),)
        envelope = message.envelope
        names = (message.mail_from, envelope.sender, envelope.addressee, envelope.reference)
        return (self.copies.get(_copy(*names, message.data), Place(where=Where.NOWHERE)),)


def _copy(mailbox: str, process_id: str, party: str, reference: str, raw: bytes) -> _Copy:
    body = raw.partition(b"\r\n\r\n")[2]
    return ascii_lower(mailbox), ascii_lower(process_id), ascii_lower(party), reference, body


def went_where(delivered: Iterable[tuple[str, Reply]], held: Iterable[Held]) -> Went:
    octets: dict[bytes, tuple[Place, ...]] = {}
    copies: dict[_Copy, Place] = {}
    for system, reply in delivered:
        place = Place(where=Where.PROCESS, name=system, party=reply.party, correlation=reply.correlation)
        octets[reply.raw] = (*octets.get(reply.raw, ()), place)
        copies[_copy(reply.mailbox, reply.process_id, reply.party, reply.reference, reply.raw)] = place
    for one in held:
        octets[one.raw] = (*octets.get(one.raw, ()), Place(where=Where.QUARANTINE, name=one.reason))
    return Went(octets=octets, copies=copies)


def judged(
    plan: CutoverPlan,
    declared: Mapping[str, Declared],
    parties: Iterable[PartyId],
    sent: Iterable[Sent],
    went: Went,
) -> tuple[Came, ...]:
    """Compare where each message of the gateway went with where it belongs."""
    known = {ascii_lower(str(party)) for party in parties}
    messages: dict[bytes, list[Sent]] = {}
    for one in sent:
        messages.setdefault(one.message.data, []).append(one)
    replies: list[Came] = []
    for first, *again in messages.values():
        declaration = declared[first.declaration.envelope.reference]
        replies.append(
            Came(
                declaration=declaration,
                kind=first.answer.kind,
                fault=first.answer.fault,
                times=1 + len(again),
                at=first.at.astimezone(ZoneInfo(ZONE)),
                then=plan.system_for(declaration.party, on=first.at, kind=declaration.kind).name,
                belongs=_belongs(first, known),
                went=went.of(first),
            )
        )
    return tuple(replies)


def _belongs(sent: Sent, parties: set[str]) -> Place:
    """Say where a message belongs: its K was sent to the system that took the declaration, whatever holds today."""
    declaration, fault = sent.declaration, sent.answer.fault
    own, addressee = ascii_lower(declaration.envelope.sender), ascii_lower(sent.message.envelope.addressee)
    if sent.message.rcpt_to != MAILBOX:
        return Place(where=Where.REFUSED)
    if addressee != own:
        reason = Reason.OTHER_PARTY if addressee in parties else Reason.UNKNOWN_ADDRESSEE
    elif fault in _REASONS:
        reason = _REASONS[fault]
    else:
        known = Correlation.UNKNOWN_REFERENCE if fault is AnswerFault.OTHER_K else Correlation.MATCHED
        return Place(
            where=Where.PROCESS,
            name=declaration.system.name,
            party=declaration.envelope.sender,
            correlation=known.value,
        )
    return Place(where=Where.QUARANTINE, name=reason.value)
