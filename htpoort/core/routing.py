"""
Route each reply to the process that it belongs to, or quarantine it with a reason.

Two pure steps: a `Router` finds system and party from the message alone; `correlate` compares the result with what was
sent. A ledger does the second in the transaction that stores the reply.

This module never raises on what a peer sent, answers a message, or stores one.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable
from typing import Final, cast, final

import attrs

from htpoort.core import _headers, _lenient, grammar
from htpoort.core.directory import HTPOORT, DeclarationSystem, Directory
from htpoort.core.envelope import RoutingEnvelope
from htpoort.core.errors import EnvelopeError, InputError, Problem
from htpoort.core.party import PartyId, read_parties
from htpoort.core.payload import Payload, read_payload
from htpoort.core.text import ascii_lower

__all__ = [
    "Correlation",
    "Objection",
    "Quarantined",
    "Reason",
    "Routed",
    "Router",
    "SentLookup",
    "SentRecord",
    "correlate",
]

_PAGE: Final = 'Douane, "Hoe bereid ik me voor op DMS?"'


class Correlation(enum.Enum):
    """Whether a reply's reference is one that was sent."""

    MATCHED = "matched"
    """The reference was sent by this party to this system."""
    UNKNOWN_REFERENCE = "unknown-reference"
    """Nothing was sent with this reference. A later message of Customs may have a new reference."""
    NOT_CHECKED = "not-checked"
    """The reply was not yet compared with what was sent."""
    NOT_SENT = "not-sent"
    """The ledger has this reference, but no attempt got as far as sending the content: this cannot be an answer."""


class Reason(enum.Enum):
    """Why a message is in quarantine. The values are stable."""

    TOO_LARGE = "too-large"
    """The message or its header block is longer than the limit."""
    BAD_HEADER = "bad-header"
    """The header block has no end, or contains a line or octet that programs read differently."""
    AMBIGUOUS_FROM = "ambiguous-from"
    """From is missing, repeated, or not exactly one plain mailbox. Forged senders look like this."""
    SENDER_DISAGREES = "sender-disagrees"
    """MAIL FROM names another mailbox than From."""
    BAD_SUBJECT = "bad-subject"
    """Subject is missing or repeated."""
    NO_ENVELOPE = "no-envelope"
    """The Subject has no envelope."""
    BAD_ENVELOPE = "bad-envelope"
    """The Subject has parts of an envelope but no valid one, or its reference cannot have been sent."""
    UNKNOWN_MAILBOX = "unknown-mailbox"
    """No system of the directory answers from this mailbox."""
    UNKNOWN_PROCESS = "unknown-process"
    """No system of the directory answers under this process ID."""
    MAILBOX_PROCESS_DISAGREE = "mailbox-process-disagree"
    """The mailbox belongs to one system, the process ID to another."""
    UNKNOWN_ADDRESSEE = "unknown-addressee"
    """The addressee is not one of the router's parties."""
    OTHER_SYSTEM = "other-system"
    """The reference was sent to another system than the one that answers."""
    OTHER_PARTY = "other-party"
    """The reference was sent by another party than the one that is addressed."""
    FOREIGN_FILE = "foreign-file"
    """A file that was fetched belongs to no uploaded file, or may belong to several."""


class Objection(enum.Enum):
    """What the ledger holds against a release; each is overridden by its name, with a reason. The values are stable."""

    OTHER_PARTY = "other-party"
    """Another party sent the K, or A names another party: the wrong party would get it."""
    OTHER_SYSTEM = "other-system"
    """The K was sent to another system, or mailbox or process ID belong to another system."""
    OTHER_UPLOAD = "other-upload"
    """The status file of a gateway names another upload, so it proves nothing about this one."""


_REASONS: Final = {
    "header.too-large": Reason.TOO_LARGE,
    "header.no-end": Reason.BAD_HEADER,
    "header.nul": Reason.BAD_HEADER,
    "header.bare-cr": Reason.BAD_HEADER,
    "header.bad-line": Reason.BAD_HEADER,
    "from.missing": Reason.AMBIGUOUS_FROM,
    "from.repeated": Reason.AMBIGUOUS_FROM,
    "from.ambiguous": Reason.AMBIGUOUS_FROM,
    "subject.missing": Reason.BAD_SUBJECT,
    "subject.repeated": Reason.BAD_SUBJECT,
}


@final
@attrs.frozen(kw_only=True)
class SentRecord:
    """
    To which system one reference was sent, and for which party.

    Args:
        system: The name of the declaration system.
        party: V of the request.
        reference: K of the request.
    """

    system: str
    party: str
    reference: str


SentLookup = Callable[[str], SentRecord | Iterable[SentRecord] | None]
"""Takes the K of a reply and returns what was sent with it: several records if several parties used it."""


@final
@attrs.frozen(kw_only=True)
class Routed:
    """
    A reply, with the process that it belongs to.

    Args:
        system: The declaration system that answers.
        party: The declarant that the reply is for, as given to the router.
        reference: K, exactly as in the reply.
        correlation: Whether that reference is one that was sent.
        mailbox: The sender's mailbox, in lower case.
        envelope: The whole envelope, with notes on what the reader forgave.
        body_start: Offset of the first octet of the body in the message that was routed; 0 after `Router.route`, which
            sees no message. Not compared by ``==``.
        raw: The message that was routed; empty after `Router.route`. Not compared by ``==``.
    """

    system: DeclarationSystem
    party: PartyId
    reference: str
    correlation: Correlation
    mailbox: str
    envelope: RoutingEnvelope
    body_start: int = attrs.field(default=0, eq=False)
    raw: bytes = attrs.field(default=b"", eq=False, repr=False)

    @property
    def payload(self) -> Payload:
        """What the message carries, decoded; it is decoded anew each time, and has no part after `Router.route`."""
        return read_payload(self.raw)


@final
@attrs.frozen(kw_only=True)
class Quarantined:
    """
    A message that could not be routed and needs attention.

    Args:
        reason: The first thing that is wrong.
        problems: Everything that is wrong, never empty.
        mailbox: The mailbox in From; None if it is not clear.
        envelope: The envelope in the Subject; None if there is no valid one.
        body_start: Offset of the first octet of the body in the message that was routed; the length of the message if
            its header block has no end. 0 after `Router.route`, which sees no message, and for a message that is too
            large to be read. Not compared by ``==``.
    """

    reason: Reason
    problems: tuple[Problem, ...]
    mailbox: str | None = None
    envelope: RoutingEnvelope | None = None
    body_start: int = attrs.field(default=0, eq=False)


def correlate(routed: Routed, records: Iterable[SentRecord]) -> Routed | Quarantined:
    """
    Compare a routed reply with what was sent with its reference.

    >>> router = Router(parties=["NL123456789.02.05"])
    >>> routed = router.route(
    ...     mailbox="dms@htpoort.nl",
    ...     subject="[V= DMS4.NL][A= NL123456789.02.05][K=1][S=0]",
    ... )
    >>> correlate(
    ...     routed, [SentRecord(system="DMS", party="NL123456789.02.05", reference="1")]
    ... ).correlation
    <Correlation.MATCHED: 'matched'>
    >>> correlate(
    ...     routed, [SentRecord(system="AGS", party="NL123456789.02.05", reference="1")]
    ... ).reason
    <Reason.OTHER_SYSTEM: 'other-system'>

    Args:
        routed: The result of a router; an earlier correlation is ignored.
        records: What was sent with that reference, by any party to any system. Records of other references are
            ignored: a database that compares without case may return some.

    Returns:
        The same reply with its correlation, or the reason why it does not belong to that process.
    """
    system, party, reference = routed.system.name.lower(), str(routed.party).lower(), routed.reference
    own, other = None, False
    for record in records:
        if record.reference != reference:
            continue
        if ascii_lower(record.party) != party:
            other = True
        elif ascii_lower(record.system) == system:
            return _correlated(routed, Correlation.MATCHED)
        elif own is None:
            own = record
    if own is not None:
        reason = Reason.OTHER_SYSTEM
        message = f"The reference {reference} was sent to {own.system}, but {routed.system.name} answers."
    elif other:
        # Another party's name stays out of the message, which may end in a report that the other party never sees.
        reason = Reason.OTHER_PARTY
        message = f"The reference {reference} was sent by another party than {routed.party}."
    else:
        return _correlated(routed, Correlation.UNKNOWN_REFERENCE)
    return Quarantined(
        reason=reason,
        problems=(Problem(f"route.{reason.value}", message, source=_PAGE),),
        mailbox=routed.mailbox,
        envelope=routed.envelope,
        body_start=routed.body_start,
    )


def _correlated(routed: Routed, correlation: Correlation) -> Routed:
    # Not by attrs.evolve, which takes three times as long.
    return Routed(
        system=routed.system,
        party=routed.party,
        reference=routed.reference,
        correlation=correlation,
        mailbox=routed.mailbox,
        envelope=routed.envelope,
        body_start=routed.body_start,
        raw=routed.raw,
    )


def _not_text(**values: object) -> tuple[Problem, ...]:
    """List the arguments that are not text."""
    return tuple(
        Problem("input.type", f"{name} is {type(value).__name__}; give a str.")
        for name, value in values.items()
        if not isinstance(value, str)
    )


def _impossible_values(envelope: RoutingEnvelope) -> tuple[Problem, ...]:
    """Find what no writer can have written. V and A are not checked here: they must be values that the router knows."""
    problems: tuple[Problem, ...] = ()
    if not grammar.WRITER_REFERENCE.fullmatch(envelope.reference):
        message = f"K is {envelope.reference!r}; a reference that was sent has 1 to 35 letters and digits."
        problems += (Problem("envelope.reference", message, *_lenient.span_of(envelope.raw, "K")),)
    # The equals sign before S may be part of an encoded word, as in the reader.
    if "?" in envelope.s and grammar.UNREAD_WORD.search(f"={envelope.s}"):
        message = f"S is {envelope.s!r}; another program may decode that and read another envelope in it."
        problems += (Problem("envelope.unread-word", message, *_lenient.span_of(envelope.raw, "S"), "RFC 2047"),)
    return problems


def _parties_by_text(router: Router) -> dict[str, PartyId]:
    return {str(party).lower(): party for party in router.parties}


@final
@attrs.frozen(kw_only=True)
class Router:
    """
    A router of replies (*responseberichten*) by mailbox, process ID, addressee and reference.

    >>> router = Router(parties=["NL123456789.02.05"])
    >>> found = router.route(
    ...     mailbox="ags@htpoort.nl",
    ...     subject="[V= DMS.NL][A= NL123456789.02.05][K=1][S=0]",
    ... )
    >>> found.system.name, str(found.party), found.correlation.value
    ('AGS', 'NL123456789.02.05', 'not-checked')
    >>> router.route(
    ...     mailbox="dms@htpoort.nl",
    ...     subject="[V= DMS.NL][A= NL123456789.02.05][K=1][S=0]",
    ... ).reason
    <Reason.MAILBOX_PROCESS_DISAGREE: 'mailbox-process-disagree'>

    Args:
        directory: The systems whose replies are routed; the published systems by default.
        parties: The declarants whose replies are routed; at least one.
        sent: Looks up what was sent with a reference; each routed reply is then compared by `correlate`. Its exceptions
            pass through. Leave it out with a ledger, which compares by itself.
        size_limit: The largest message that is routed, in octets.

    Raises:
        InputError: *parties* is empty, or contains a value that is not a party ID.

    Source:
        Official page "Hoe bereid ik me voor op DMS?": the sender's mailbox and the process ID together decide for which
        process a reply is meant.
    """

    directory: Directory = HTPOORT
    parties: tuple[PartyId, ...] = attrs.field(converter=read_parties)
    sent: SentLookup | None = attrs.field(default=None, repr=False)
    size_limit: int = grammar.MESSAGE_LIMIT
    _by_text: dict[str, PartyId] = attrs.field(
        init=False, eq=False, repr=False, default=attrs.Factory(_parties_by_text, takes_self=True)
    )

    def route(self, *, mailbox: str, subject: str) -> Routed | Quarantined:
        """
        Route a reply by its sender's mailbox and its Subject.

        Args:
            mailbox: The one mailbox of From, without a display name.
            subject: The value of Subject, at most 4,096 characters.

        Returns:
            Where the reply belongs, or why it is quarantined. Never raises on what a peer sent.

        Raises:
            InputError: *mailbox* or *subject* is not text.
        """
        # Exact types first, because this is called for each reply; a subclass of str is text too.
        if (type(mailbox) is not str or type(subject) is not str) and (
            problems := _not_text(mailbox=mailbox, subject=subject)
        ):
            raise InputError("", problems)
        return self._route(mailbox, subject, 0, b"")

    def route_message(self, raw: bytes, mail_from: str | None = None) -> Routed | Quarantined:
        """
        Route a whole message by its From and its Subject.

        Args:
            raw: The message, with lines ended by CRLF or LF; any bytes.
            mail_from: MAIL FROM of a message that came by SMTP; it must be the mailbox of From. None and the empty
                MAIL FROM of a null sender are not compared.

        Returns:
            Where the reply belongs, or why it is quarantined. Never raises on what a peer sent.

        Raises:
            InputError: *raw* is not bytes.
        """
        # The exact type first, as in `route`.
        if type(raw) is not bytes and not isinstance(cast("object", raw), bytes | bytearray):
            raise InputError("", (Problem("input.type", f"raw is {type(raw).__name__}; give bytes."),))
        if len(raw) > self.size_limit:
            message = f"The message has {len(raw)} octets; at most {self.size_limit} are accepted."
            return Quarantined(
                reason=Reason.TOO_LARGE,
                problems=(Problem("message.too-large", message, self.size_limit, len(raw)),),
            )
        headers = _headers.scan(raw)
        mailbox, subject, body_start = headers.mailbox, headers.subject, headers.body
        if headers.problems or mailbox is None or subject is None:
            return Quarantined(
                reason=_REASONS[headers.problems[0].code],
                problems=headers.problems,
                mailbox=mailbox,
                envelope=None if subject is None else RoutingEnvelope.find(subject),
                body_start=body_start,
            )
        if mail_from and ascii_lower(mail_from) != mailbox:
            message = f"MAIL FROM is {mail_from!r}, but From is {mailbox}."
            return Quarantined(
                reason=Reason.SENDER_DISAGREES,
                problems=(Problem("from.disagrees", message),),
                mailbox=mailbox,
                envelope=RoutingEnvelope.find(subject),
                body_start=body_start,
            )
        return self._route(mailbox, subject, body_start, raw)

    def _route(self, mailbox: str, subject: str, body_start: int, raw: bytes) -> Routed | Quarantined:
        try:
            envelope = RoutingEnvelope.parse(subject)
        except EnvelopeError as error:
            absent = error.problems[0].code == "envelope.absent"
            reason = Reason.NO_ENVELOPE if absent else Reason.BAD_ENVELOPE
            return Quarantined(reason=reason, problems=error.problems, mailbox=mailbox, body_start=body_start)
        if problems := _impossible_values(envelope):
            return Quarantined(
                reason=Reason.BAD_ENVELOPE,
                problems=problems,
                mailbox=mailbox,
                envelope=envelope,
                body_start=body_start,
            )
        system = self.directory.answering_from(mailbox)
        party = self._by_text.get(envelope.addressee.lower())
        if system is None or party is None or self.directory.answering_as(envelope.sender) is not system:
            return self._refused(mailbox, envelope, body_start)
        routed = Routed(
            system=system,
            party=party,
            reference=envelope.reference,
            correlation=Correlation.NOT_CHECKED,
            mailbox=ascii_lower(mailbox),
            envelope=envelope,
            body_start=body_start,
            raw=raw,
        )
        if self.sent is None:
            return routed
        records = self.sent(routed.reference)
        return correlate(routed, (records,) if isinstance(records, SentRecord) else records or ())

    def _refused(self, mailbox: str, envelope: RoutingEnvelope, body_start: int) -> Quarantined:
        """List every way in which mailbox, process ID and addressee disagree."""
        by_mailbox = self.directory.answering_from(mailbox)
        by_process = self.directory.answering_as(envelope.sender)
        reasons: list[tuple[Reason, str]] = []
        if by_mailbox is None:
            reasons.append((Reason.UNKNOWN_MAILBOX, f"No system answers from {mailbox!r}."))
        if by_process is None:
            reasons.append((Reason.UNKNOWN_PROCESS, f"No system answers with the process ID {envelope.sender!r}."))
        if by_mailbox is not None and by_process is not None and by_mailbox is not by_process:
            mailbox_of, process_of = by_mailbox.name, by_process.name
            message = (
                f"The mailbox belongs to {mailbox_of}, but the process ID {envelope.sender} belongs to {process_of}."
            )
            reasons.append((Reason.MAILBOX_PROCESS_DISAGREE, message))
        if envelope.addressee.lower() not in self._by_text:
            reasons.append((
                Reason.UNKNOWN_ADDRESSEE,
                f"The addressee {envelope.addressee!r} is not one of the parties.",
            ))
        problems = tuple(Problem(f"route.{reason.value}", message, source=_PAGE) for reason, message in reasons)
        return Quarantined(
            reason=reasons[0][0], problems=problems, mailbox=mailbox, envelope=envelope, body_start=body_start
        )
