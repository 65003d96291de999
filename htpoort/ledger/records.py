"""The records that a ledger returns: values without a connection to any database."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from datetime import datetime
from typing import final

import attrs

from htpoort.core.exchange import State
from htpoort.core.files import RoutedFile
from htpoort.core.notices import Notice
from htpoort.core.payload import Payload, read_payload
from htpoort.core.routing import Quarantined, Routed

__all__ = [
    "Claimed",
    "Entry",
    "Exchange",
    "HeldSystem",
    "LedgerEvent",
    "NoticeForm",
    "PausedServer",
    "QuarantineState",
    "QuarantinedMessage",
    "Reply",
    "Shadow",
    "Status",
    "Stored",
    "StoredNotice",
    "Story",
    "Unanswered",
    "WithdrawnRelease",
]


@final
@attrs.frozen(kw_only=True)
class Exchange:
    """
    An exchange: a declaration and what became of it.

    Args:
        key: Its number in the ledger.
        system: The system that its declaration goes to.
        party: V.
        reference: K.
        business_reference: The declarant's own reference (LRN for DMS); None if none was given.
        state: Its state.
        attempts: How often it was claimed for sending.
        due: It is not sent before this moment; aware, in UTC, like every time of the ledger.
        created: When it was queued.
        changed: When its state last changed.
        message_id: The Message-ID of its message; empty for a file.
        content_begun: Whether content of it may have left, in any attempt that has ended. If not, the gateway cannot
            have the declaration, whatever a reply says.
        repeated: Whether `Exchanges.queue` found it, because the same declaration was queued before. Ignored when
            records are compared.
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

    @property
    def is_file(self) -> bool:
        """Whether it is uploaded to a file gateway: *reference* is its name there, and *party* the gateway's user."""
        return not self.message_id


@final
@attrs.frozen(kw_only=True)
class Unanswered:
    """
    A declaration that Customs has or may have, and did not reply to.

    Args:
        exchange: The exchange, *accepted* or *unknown*.
        accepted: When the mail server accepted it: the first 250 of an attempt. For one that a person resolved as sent,
            when its last attempt began that may have been accepted. None if it is *unknown*, or if a person resolved it
            although no attempt may have been accepted.
        since: From when its age counts: when it was accepted, when the attempt began that may have been, or if there
            was none, when it came into its state.
        reported: Whether it was put on a list for Customs, by an order because of a notice.
    """

    exchange: Exchange
    accepted: datetime | None
    since: datetime
    reported: bool = False


@final
@attrs.frozen(kw_only=True)
class Claimed:
    """
    An exchange that a worker has claimed for sending.

    Args:
        key: Its number in the ledger.
        attempt: The number of this attempt, from 1.
        counted_attempts: The number of this attempt since the last order to resend, without attempts that were
            returned. It decides how long to wait for the next attempt.
        retried: Whether it was deferred, and not queued, when it was claimed.
        system: The system that its declaration goes to.
        party: V.
        reference: K.
        mail_from: The declarant's mailbox; empty for a file.
        rcpt_to: The system's mailbox, or its folder on the file gateway.
        message_id: The Message-ID of the message; empty for a file.
        raw: The message, or the file as `htpoort.files.entity` wrote it.
    """

    key: int
    attempt: int
    counted_attempts: int
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
    A reply.

    Args:
        key: Its number in the ledger, the same at every delivery.
        exchange: The number of the exchange that it answers; None if no such K was sent.
        system: The system that it comes from.
        mailbox: The mailbox that it came from.
        process_id: V of the reply.
        party: The declarant that it is for.
        reference: K.
        correlation: ``matched``, ``unknown-reference`` or ``not-checked``; or ``not-sent`` if the exchange with this K
            cannot have been sent yet: the reply is stored and delivered, answers nothing, and needs attention.
        copies: How often it came.
        received: When it first came; for one that was released from quarantine, when it came into quarantine.
        due: From when it is to be delivered: since it came or was released, since a person ordered it to be delivered
            again, or from its next try on.
        delivered: When it was delivered; None before that.
        attempts: How often its delivery was begun.
        trouble: Why the last delivery failed; empty if none did.
        raw: The message as it came.
        redeliveries: How often a person ordered it to be delivered again after it had been delivered. A process that
            remembers the keys of its replies can distinguish such a delivery from one that only a crash repeats.
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
    due: datetime
    delivered: datetime | None
    attempts: int
    trouble: str
    raw: bytes = attrs.field(repr=False)
    redeliveries: int = 0

    @property
    def payload(self) -> Payload:
        """What the message carries, decoded; it is decoded anew each time."""
        return read_payload(self.raw)


@final
@attrs.frozen(kw_only=True)
class Shadow:
    """
    An exchange and its shadow: the same declaration built for another system.

    Args:
        exchange: The exchange.
        sent: The message of the exchange.
        system: The system of the shadow.
        raw: The shadow, which is never sent.
    """

    exchange: Exchange
    sent: bytes = attrs.field(repr=False)
    system: str
    raw: bytes = attrs.field(repr=False)


class QuarantineState(enum.Enum):
    """The state of a message in quarantine."""

    HELD = "held"
    """A person must decide about it."""
    RELEASED = "released"
    """A person released it to a process."""
    DISCARDED = "discarded"
    """A person decided that it is for no process; it stays readable, and can still be released."""


@final
@attrs.frozen(kw_only=True)
class QuarantinedMessage:
    """
    A message in quarantine, without its octets; `Quarantine.message` reads them.

    Args:
        key: Its number in the ledger.
        received: When it first came.
        reason: The code of the reason.
        problems: Everything that is wrong, in sentences.
        mailbox: The mailbox that it claims to come from; None if that is not known for sure.
        from_text: Its From for a person, as `htpoort.core.message.header_texts` gives it; empty if there is none.
        subject: The envelope in its Subject, in canonical form; None if there is no valid one.
        subject_text: Its Subject for a person.
        state: Its state.
        copies: How often it came.
        octets: The size of the message.
        wrong_deliveries: How often its release was taken back although a process had the reply, or may have had it.
    """

    key: int
    received: datetime
    reason: str
    problems: tuple[str, ...]
    mailbox: str | None
    from_text: str
    subject: str | None
    subject_text: str
    state: QuarantineState
    copies: int
    octets: int
    wrong_deliveries: int = 0


@final
@attrs.frozen(kw_only=True)
class Stored:
    """
    What became of a message that came in.

    Args:
        routing: The process that it belongs to, or why it is in quarantine.
        key: Its number, as a reply or in quarantine.
        repeated: Whether it is a copy of a message that was stored before.
    """

    routing: Routed | RoutedFile | Quarantined
    key: int
    repeated: bool


@final
@attrs.frozen(kw_only=True)
class WithdrawnRelease:
    """
    A release that was taken back.

    Args:
        key: The number of the message, which is in quarantine again.
        reply: The reply that it was. No ledger has it any more, unless it also came by itself.
        delivered: When a process got it last; None if that is not recorded.
        may_be_delivered: Whether a process has it, or may have it because the end of a delivery is not recorded.
    """

    key: int
    reply: Reply
    delivered: datetime | None
    may_be_delivered: bool


class LedgerEvent(enum.Enum):
    """What the log records besides the events of an exchange (`htpoort.core.exchange.Event`)."""

    REPLY_REPEATED = "reply-repeated"
    """A copy of a stored reply came."""
    DELIVERED = "delivered"
    """A reply was delivered."""
    DELIVERY_FAILED = "delivery-failed"
    """The delivery of a reply failed; it is tried again."""
    DELIVERY_ORDERED = "delivery-ordered"
    """A person ordered a reply to be delivered without waiting for its next time."""
    REDELIVERY_ORDERED = "redelivery-ordered"
    """A person ordered a reply that was delivered to be delivered again."""
    HANDED_OVER = "handed-over"
    """A status file says that the file gateway has the file, and handed it to the system behind it (1)."""
    TAKEN = "taken"
    """A status file says that the system behind the gateway took the file (2)."""
    RESPONSE_ANNOUNCED = "response-announced"
    """A status file says that the gateway put out a file for the user (3); the detail ends with its name."""
    ERROR_REPORTED = "error-reported"
    """A status file says that something is wrong with the file (0)."""
    DUE_CORRECTED = "due-corrected"
    """A next time was later than any wait, because a clock was ahead; it is due now."""
    QUARANTINED = "quarantined"
    """A message came whose process is not known."""
    QUARANTINE_REPEATED = "quarantine-repeated"
    """A copy of a message in quarantine came."""
    RELEASED = "released"
    """A person released a message from quarantine to a process."""
    DISCARDED = "discarded"
    """A person decided that a message in quarantine is for no process."""
    RELEASE_WITHDRAWN = "release-withdrawn"
    """A person took the release of a message back; it waits in quarantine for another decision."""
    DELIVERY_WITHDRAWN = "delivery-withdrawn"
    """The same, although a process has the reply or may have it: what is there must be fetched back by a person."""
    NOTICE_LEARNED = "notice-learned"
    """A notice about a service window or a disruption was stored."""
    NOTICE_OVERRULED = "notice-overruled"
    """A person ordered to send although a notice says to hold."""
    RECOVERY_ORDERED = "recovery-ordered"
    """A person ordered what a notice says to do for an exchange, or something else despite it."""


@final
@attrs.frozen(kw_only=True)
class Entry:
    """
    An entry of the log of events.

    Args:
        at: When it happened.
        event: What happened: the value of an `htpoort.core.exchange.Event`, or of a `LedgerEvent`.
        state: The state of the exchange afterwards; None if there is no exchange.
        detail: More, in one line.
    """

    at: datetime
    event: str
    state: str | None
    detail: str


@final
@attrs.frozen(kw_only=True)
class Story:
    """
    Everything about an exchange, or about replies with a K that was not sent.

    Args:
        exchange: The exchange; None if the replies answer no exchange of their party and system.
        entries: What happened, oldest first.
        replies: The replies, oldest first. Without an exchange there is at least one, and all are of one system and
            party.
    """

    exchange: Exchange | None
    entries: tuple[Entry, ...]
    replies: tuple[Reply, ...]


@final
@attrs.frozen(kw_only=True)
class PausedServer:
    """
    A server that is not tried for a while, after trouble.

    Args:
        name: The agent's name for it, such as ``POP3 pop.forwarder.example:995 as edi``.
        since: When the trouble began.
        next_try: When it is tried again.
        why: A sentence.
        failures: How often it has failed in a row.
    """

    name: str
    since: datetime
    next_try: datetime
    why: str
    failures: int = 1


@final
@attrs.frozen(kw_only=True)
class HeldSystem:
    """
    A system whose exchanges are held because of a notice.

    Args:
        system: Its name.
        since: From when on.
        until: When to ask again; None if no end is known. If it is over, by when the last exchange is let go; None if
            no agent has begun.
        notice: The notice, by its reference or its number.
        why: A sentence.
        is_over: Whether nothing holds it any more, and an agent lets go of what was held.
    """

    system: str
    since: datetime
    until: datetime | None
    notice: str
    why: str
    is_over: bool = False


@final
@attrs.frozen(kw_only=True)
class Status:
    """
    What is in a ledger, in numbers.

    Args:
        exchanges: How many exchanges there are, by system and state.
        oldest: When the oldest open exchange (neither answered nor closed) was queued, by system.
        undelivered: How many replies wait for delivery, by system.
        quarantined: How many messages in quarantine need a decision.
        not_sent_replies: How many open exchanges have a reply marked ``not-sent``: it cannot be an answer, because no
            attempt got as far as the content.
    """

    exchanges: Mapping[tuple[str, State], int]
    oldest: Mapping[str, datetime]
    undelivered: Mapping[str, int]
    quarantined: int
    not_sent_replies: int


class NoticeForm(enum.Enum):
    """How the text of a notice is written."""

    TEXT = "text"
    """As an authority published it."""
    OWN = "own"
    """As a table of one's own, in TOML."""


@final
@attrs.frozen(kw_only=True)
class StoredNotice:
    """
    A notice, and when it was learned.

    Args:
        key: Its number in the ledger.
        form: How its text is written.
        text: The text as it was read.
        authority: The authority that was given with it; None if none was.
        source: Where it was read.
        replaces: The number of an earlier notice that a person called it a later text of; None if none did.
        learned: When it was stored.
        notice: What was read in the text.
        repeated: Whether `Notices.add` found it, because the same text was stored before. Ignored when records are
            compared.
    """

    key: int
    form: NoticeForm
    text: str = attrs.field(repr=False)
    authority: str | None
    source: str
    replaces: int | None
    learned: datetime
    notice: Notice
    repeated: bool = attrs.field(default=False, eq=False)
