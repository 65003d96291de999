"""
Hold what the ledger tells: values, apart from any database.

Never does: change.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from datetime import datetime
from typing import final

import attrs

from htpoort.exchange import State
from htpoort.routing import Quarantined, Routed

__all__ = [
    "Claimed",
    "Entry",
    "Exchange",
    "Held",
    "HeldState",
    "HeldSummary",
    "Reply",
    "Resting",
    "Shadow",
    "Status",
    "Stored",
    "Story",
]


@final
@attrs.frozen(kw_only=True)
class Exchange:
    """
    Tell where one exchange stands.

    Args:
        key: Its number in the ledger.
        system: Where its declaration goes.
        party: V.
        reference: K.
        business_reference: The declarant's own (LRN for DMS); None where none was given.
        state: Where it stands.
        attempts: How often it was taken up for sending.
        due: Not sent before; aware, UTC, as every time of the ledger.
        created: When it was queued.
        changed: When its state last changed.
        message_id: Of its message.
        content_begun: Whether content of it may have left, in any attempt that has ended. Where it is false, the
            gateway cannot have the declaration, whatever a reply says.
        repeated: Whether `Exchanges.queue` found it there, because the same declaration was queued before. Counts in
            no comparison.
    """

    key: int
    system: str
    party: str
    reference: str
    business_reference: str | None
    state: State
    attempts: int
    due: datetime
    created: datetime
    changed: datetime
    message_id: str
    content_begun: bool
    repeated: bool = attrs.field(default=False, eq=False)


@final
@attrs.frozen(kw_only=True)
class Claimed:
    """
    Hold an exchange that a worker has taken up.

    Args:
        key: Its number in the ledger.
        attempt: Which attempt this is, from 1; the outcome must name it.
        tries: Which one it is since a person last ordered it to be sent again; the same as *attempt*
            where nobody did, but for those that were returned. It decides how long to wait for the next.
        retried: Whether it had been deferred, and not queued, when it was taken up.
        system: Where its declaration goes.
        party: V.
        reference: K.
        mail_from: The declarant's mailbox.
        rcpt_to: The system's mailbox.
        message_id: Of the message.
        raw: The message.
    """

    key: int
    attempt: int
    tries: int
    retried: bool = False
    system: str
    party: str
    reference: str
    mail_from: str
    rcpt_to: str
    message_id: str
    raw: bytes = attrs.field(repr=False)


@final
@attrs.frozen(kw_only=True)
class Reply:
    """
    Hold one reply that was stored.

    Args:
        key: Its number in the ledger, the same at every delivery.
        exchange: The number of the exchange that it answers; None where K is not known.
        system: The system that answers.
        mailbox: Where it came from.
        process_id: V of the reply.
        party: The declarant that it is for.
        reference: K.
        correlation: ``matched``, ``unknown-reference``, ``not-checked``; or ``not-sent``, where the exchange has this
            K but cannot have been sent yet: the reply is kept and delivered, answers nothing, and needs attention.
        copies: How often it came.
        received: When it first came.
        delivered: When it was delivered; None before that.
        attempts: How often its delivery was begun.
        trouble: Why the last delivery failed; empty where none did.
        raw: The message as it came.
    """

    key: int
    exchange: int | None
    system: str
    mailbox: str
    process_id: str
    party: str
    reference: str
    correlation: str
    copies: int
    received: datetime
    delivered: datetime | None
    attempts: int
    trouble: str
    raw: bytes = attrs.field(repr=False)


@final
@attrs.frozen(kw_only=True)
class Shadow:
    """
    Hold what the other system would have got, beside what was queued.

    Args:
        exchange: The exchange that it belongs to.
        sent: The message of the exchange.
        system: The system of the shadow, which is another than the exchange's.
        raw: The shadow; it is never sent.
    """

    exchange: Exchange
    sent: bytes = attrs.field(repr=False)
    system: str
    raw: bytes = attrs.field(repr=False)


class HeldState(enum.Enum):
    """Tell what became of a message in quarantine."""

    HELD = "held"
    """Waits for a person."""
    RELEASED = "released"
    """A person gave it to a process."""
    DISCARDED = "discarded"
    """A person decided that it is for nobody; it stays readable."""


@final
@attrs.frozen(kw_only=True)
class Held:
    """
    Hold one message in quarantine.

    Args:
        key: Its number in the ledger.
        received: When it first came.
        reason: The code of the reason.
        problems: The sentences of everything that is wrong.
        mailbox: Where it says it came from; None where that cannot be told.
        subject: What its Subject says, canonical; None where there is no valid envelope.
        state: What became of it.
        copies: How often it came.
        raw: The message as it came.
    """

    key: int
    received: datetime
    reason: str
    problems: tuple[str, ...]
    mailbox: str | None
    subject: str | None
    state: HeldState
    copies: int
    raw: bytes = attrs.field(repr=False)

    @property
    def octets(self) -> int:
        """How large the message is."""
        return len(self.raw)


@final
@attrs.frozen(kw_only=True)
class HeldSummary:
    """
    Describe one message in quarantine without the message, for lists.

    Args:
        key: Its number in the ledger.
        received: When it first came.
        reason: The code of the reason.
        problems: The sentences of everything that is wrong.
        mailbox: Where it says it came from; None where that cannot be told.
        subject: What its Subject says, canonical; None where there is no valid envelope.
        state: What became of it.
        copies: How often it came.
        octets: How large the message is.
    """

    key: int
    received: datetime
    reason: str
    problems: tuple[str, ...]
    mailbox: str | None
    subject: str | None
    state: HeldState
    copies: int
    octets: int


@final
@attrs.frozen(kw_only=True)
class Stored:
    """
    Say what became of a message that came in.

    Args:
        found: Where it belongs, or why that cannot be told.
        key: Its number, of a reply or in quarantine.
        repeated: Whether the same was there before.
    """

    found: Routed | Quarantined
    key: int
    repeated: bool


@final
@attrs.frozen(kw_only=True)
class Entry:
    """
    Tell one event of the log.

    Args:
        at: When.
        event: What happened.
        state: The state of the exchange afterwards; None where it has none.
        detail: One line more.
    """

    at: datetime
    event: str
    state: str | None
    detail: str


@final
@attrs.frozen(kw_only=True)
class Story:
    """
    Tell the whole story of one exchange, or of replies with a K that was not sent.

    Args:
        exchange: Where it stands; None where the replies answer no exchange of their party and system.
        entries: What happened, oldest first.
        replies: The replies, oldest first; at least one where there is no exchange, all of one system and party.
    """

    exchange: Exchange | None
    entries: tuple[Entry, ...]
    replies: tuple[Reply, ...]


@final
@attrs.frozen(kw_only=True)
class Resting:
    """
    Say of a server that rests after trouble since when, why, and until when.

    Args:
        name: What the agent calls it, such as ``POP3 pop.forwarder.example:995 as edi``.
        since: When the trouble began.
        next_try: When it is tried again.
        why: A sentence.
    """

    name: str
    since: datetime
    next_try: datetime
    why: str


@final
@attrs.frozen(kw_only=True)
class Status:
    """
    Count what is in the ledger.

    Args:
        exchanges: How many, by system and state.
        oldest: When the oldest exchange that is neither answered nor closed was queued, by system.
        undelivered: How many replies wait for delivery, by system.
        quarantined: How many messages wait for a person.
        early: How many exchanges that are neither answered nor closed have a reply that cannot be an answer, because
            no attempt got as far as the content.
    """

    exchanges: Mapping[tuple[str, State], int]
    oldest: Mapping[str, datetime]
    undelivered: Mapping[str, int]
    quarantined: int
    early: int
