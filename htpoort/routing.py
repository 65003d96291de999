"""
Give each reply to the process it belongs to, or say why that cannot be told.

Never does: raise on what a peer sent, answer anybody, or store anything.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable
from typing import Final, final

import attrs

from htpoort import _grammar, _scan, _tolerant
from htpoort._words import ascii_lower
from htpoort.directory import HTPOORT, DeclarationSystem, Directory
from htpoort.envelope import RoutingEnvelope
from htpoort.errors import EnvelopeError, InputError, Problem
from htpoort.party import PartyId

__all__ = ["Correlation", "Quarantined", "Reason", "Routed", "Router", "SentLookup", "SentRecord", "correlate"]

_PAGE: Final = 'Douane, "Hoe bereid ik me voor op DMS?"'


class Correlation(enum.Enum):
    """Tell whether a reply's reference is one that was sent."""

    MATCHED = "matched"
    """The reference was sent by this party to this system."""
    UNKNOWN_REFERENCE = "unknown-reference"
    """Nothing with this reference was sent; later messages may have references of their own."""
    NOT_CHECKED = "not-checked"
    """The router was given no record of what was sent."""
    NOT_SENT = "not-sent"
    """The ledger has this reference, but no attempt to send it got as far as the content: this cannot be an answer."""


class Reason(enum.Enum):
    """Tell why a message is in quarantine. The values are stable."""

    TOO_LARGE = "too-large"
    """The message or its header block is longer than what is read."""
    BAD_HEADER = "bad-header"
    """The header block has no end, or a line or octet in it that programs read differently."""
    AMBIGUOUS_FROM = "ambiguous-from"
    """From is missing, repeated, or not exactly one plain mailbox; so are forged ones."""
    SENDER_DISAGREES = "sender-disagrees"
    """MAIL FROM names another mailbox than From."""
    BAD_SUBJECT = "bad-subject"
    """Subject is missing or repeated."""
    NO_ENVELOPE = "no-envelope"
    """The Subject has no envelope."""
    BAD_ENVELOPE = "bad-envelope"
    """The Subject has something of an envelope, but not a valid one, or one with a reference that no writer writes."""
    UNKNOWN_MAILBOX = "unknown-mailbox"
    """No system of the directory answers from this mailbox."""
    UNKNOWN_PROCESS = "unknown-process"
    """No system of the directory answers under this process ID."""
    MAILBOX_PROCESS_DISAGREE = "mailbox-process-disagree"
    """The mailbox is of one system, the process ID of another."""
    UNKNOWN_ADDRESSEE = "unknown-addressee"
    """The addressee is none of the router's parties."""
    OTHER_SYSTEM = "other-system"
    """The reference was sent to another system than the one that answers."""
    OTHER_PARTY = "other-party"
    """The reference was sent by another party than the one that is addressed."""


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
    Say where one reference was sent.

    Args:
        system: The name of the declaration system.
        party: V of the request.
        reference: K of the request.
    """

    system: str
    party: str
    reference: str


SentLookup = Callable[[str], SentRecord | Iterable[SentRecord] | None]
"""Takes K as it stands in a reply; gives what was sent under it: several records where several parties used it."""


@final
@attrs.frozen(kw_only=True)
class Routed:
    """
    Hold a reply that is known to belong to one process.

    Args:
        system: The declaration system that answers.
        party: The declarant that it is for, as the router was given it.
        reference: K, as it stands in the reply.
        correlation: Whether that reference is one that was sent.
        mailbox: Where it came from, in lower case.
        envelope: The whole envelope, with what the reader forgave.
    """

    system: DeclarationSystem
    party: PartyId
    reference: str
    correlation: Correlation
    mailbox: str
    envelope: RoutingEnvelope


@final
@attrs.frozen(kw_only=True)
class Quarantined:
    """
    Hold a message whose process cannot be told, for a person to look at.

    Args:
        reason: The first thing that is wrong.
        problems: Everything that is wrong, never empty.
        mailbox: Where it says it came from; None where that cannot be told for sure.
        envelope: What its Subject says; None where there is no valid envelope.
    """

    reason: Reason
    problems: tuple[Problem, ...]
    mailbox: str | None = None
    envelope: RoutingEnvelope | None = None


def _compared(
    system: DeclarationSystem, party: PartyId, reference: str, given: Iterable[SentRecord]
) -> Correlation | tuple[Reason, Problem]:
    """Compare a reply with what was sent under its reference."""
    # A database may look K up without regard to case; K compares exactly.
    records = [record for record in given if record.reference == reference]
    if not records:
        return Correlation.UNKNOWN_REFERENCE
    own = [record for record in records if ascii_lower(record.party) == str(party).lower()]
    if any(ascii_lower(record.system) == system.name.lower() for record in own):
        return Correlation.MATCHED
    # Another party's name stays out of the message: it may end in a report that party never sees.
    if not own:
        message = f"The reference {reference} was sent by another party than {party}."
        return Reason.OTHER_PARTY, Problem(f"route.{Reason.OTHER_PARTY.value}", message, source=_PAGE)
    message = f"The reference {reference} was sent to {own[0].system}, but {system.name} answers."
    return Reason.OTHER_SYSTEM, Problem(f"route.{Reason.OTHER_SYSTEM.value}", message, source=_PAGE)


def correlate(found: Routed, records: Iterable[SentRecord]) -> Routed | Quarantined:
    """
    Compare a reply that was routed with what was sent under its reference.

    Args:
        found: What a router without *sent* gave.
        records: What was sent under that reference, by any party to any system.

    Returns:
        The same with its correlation, or why it does not belong there.
    """
    compared = _compared(found.system, found.party, found.reference, records)
    if isinstance(compared, tuple):
        reason, problem = compared
        return Quarantined(reason=reason, problems=(problem,), mailbox=found.mailbox, envelope=found.envelope)
    return attrs.evolve(found, correlation=compared)


def _parties(values: Iterable[PartyId | str]) -> tuple[PartyId, ...]:
    """Take the parties; tells all that are none."""
    parties: dict[str, PartyId] = {}
    problems: list[Problem] = []
    given: object = values
    for value in [given] if isinstance(given, str) else values:
        try:
            party = value if isinstance(value, PartyId) else PartyId.parse(str(value))
        except InputError as error:
            problems.extend(
                attrs.evolve(found, message=f"parties: {value!r}: {found.message}") for found in error.problems
            )
        else:
            parties[str(party).lower()] = party
    if isinstance(given, str):
        problems.append(Problem("input.type", f"parties is the str {given!r}; give a list of party IDs."))
    elif not parties and not problems:
        problems.append(Problem("input.parties", "parties is empty; without one every reply is a stranger's."))
    if problems:
        raise InputError("", tuple(problems))
    return tuple(parties.values())


def _unwritten(envelope: RoutingEnvelope) -> tuple[Problem, ...]:
    """Find what no writer can have written. V and A need no look: they must be what the router was given."""
    problems: tuple[Problem, ...] = ()
    if not _grammar.WRITER_REFERENCE.fullmatch(envelope.reference):
        message = f"K is {envelope.reference!r}; a reference that was sent has 1 to 35 letters and digits."
        problems += (Problem("envelope.reference", message, *_tolerant.span_of(envelope.raw, "K")),)
    # The equals sign before S may belong to it; see the same thought in the reader.
    if "?" in envelope.s and _grammar.UNREAD_WORD.search(f"={envelope.s}"):
        message = f"S is {envelope.s!r}; another program may decode that and read another envelope in it."
        problems += (Problem("envelope.unread-word", message, *_tolerant.span_of(envelope.raw, "S"), "RFC 2047"),)
    return problems


def _by_text(router: Router) -> dict[str, PartyId]:
    return {str(party).lower(): party for party in router.parties}


@final
@attrs.frozen(kw_only=True)
class Router:
    """
    Route replies (*responseberichten*) by mailbox, process ID, addressee and reference.

    >>> router = Router(parties=["NL123456789.02.05"])
    >>> found = router.route(mailbox="ags@htpoort.nl", subject="[V= DMS.NL][A= NL123456789.02.05][K=1][S=0]")
    >>> found.system.name, str(found.party), found.correlation.value
    ('AGS', 'NL123456789.02.05', 'not-checked')
    >>> router.route(mailbox="dms@htpoort.nl", subject="[V= DMS.NL][A= NL123456789.02.05][K=1][S=0]").reason
    <Reason.MAILBOX_PROCESS_DISAGREE: 'mailbox-process-disagree'>

    Args:
        directory: The systems whose replies are taken; the published ones where not given.
        parties: The declarants that replies are taken for; at least one.
        sent: Looks a reference up among what was sent. What it raises passes through.
        size_limit: Octets of a message that is routed.

    Raises:
        InputError: *parties* is empty, or holds what is no party ID.

    Source:
        Official page "Hoe bereid ik me voor op DMS?": sender's mailbox and process ID together tell
        for which process a reply is meant.
    """

    directory: Directory = HTPOORT
    parties: tuple[PartyId, ...] = attrs.field(converter=_parties)
    sent: SentLookup | None = attrs.field(default=None, repr=False)
    size_limit: int = _grammar.MESSAGE_LIMIT
    _by_text: dict[str, PartyId] = attrs.field(
        init=False, eq=False, repr=False, default=attrs.Factory(_by_text, takes_self=True)
    )

    def route(self, *, mailbox: str, subject: str) -> Routed | Quarantined:
        """
        Route a reply by its sender's mailbox and its Subject.

        Args:
            mailbox: The one mailbox of From, without a display name.
            subject: The value of Subject, at most 4,096 characters.

        Returns:
            Where it belongs, or why that cannot be told.
        """
        try:
            envelope = RoutingEnvelope.parse(subject)
        except EnvelopeError as error:
            absent = error.problems[0].code == "envelope.absent"
            reason = Reason.NO_ENVELOPE if absent else Reason.BAD_ENVELOPE
            return Quarantined(reason=reason, problems=error.problems, mailbox=mailbox)
        if problems := _unwritten(envelope):
            return Quarantined(reason=Reason.BAD_ENVELOPE, problems=problems, mailbox=mailbox, envelope=envelope)
        system = self.directory.answering_from(mailbox)
        party = self._by_text.get(envelope.addressee.lower())
        if system is None or party is None or self.directory.answering_as(envelope.sender) is not system:
            return self._refused(mailbox, envelope)
        correlation = Correlation.NOT_CHECKED
        if self.sent is not None:
            answer = self.sent(envelope.reference)
            given = (answer,) if isinstance(answer, SentRecord) else answer or ()
            found = _compared(system, party, envelope.reference, given)
            if isinstance(found, tuple):
                return Quarantined(reason=found[0], problems=(found[1],), mailbox=mailbox, envelope=envelope)
            correlation = found
        return Routed(
            system=system,
            party=party,
            reference=envelope.reference,
            correlation=correlation,
            mailbox=ascii_lower(mailbox),
            envelope=envelope,
        )

    def route_message(self, raw: bytes, mail_from: str | None = None) -> Routed | Quarantined:
        """
        Route a whole message by its From and its Subject.

        Args:
            raw: The message, lines ended by CRLF or LF. Any bytes are taken.
            mail_from: MAIL FROM, where the message came by SMTP; must be the mailbox of From. The empty
                one of a null sender says nothing and is not compared, and neither is None.

        Returns:
            Where it belongs, or why that cannot be told. Never raises on bytes of a peer.
        """
        if len(raw) > self.size_limit:
            message = f"The message has {len(raw)} octets; at most {self.size_limit} are taken."
            return Quarantined(
                reason=Reason.TOO_LARGE,
                problems=(Problem("message.too-large", message, self.size_limit, len(raw)),),
            )
        headers = _scan.scan(raw)
        mailbox, subject = headers.mailbox, headers.subject
        if headers.problems or mailbox is None or subject is None:
            envelope = None if subject is None else RoutingEnvelope.find(subject)
            reason = _REASONS[headers.problems[0].code]
            return Quarantined(reason=reason, problems=headers.problems, mailbox=mailbox, envelope=envelope)
        if mail_from and ascii_lower(mail_from) != mailbox:
            message = f"MAIL FROM is {mail_from!r}, but From is {mailbox}."
            return Quarantined(
                reason=Reason.SENDER_DISAGREES,
                problems=(Problem("from.disagrees", message),),
                mailbox=mailbox,
                envelope=RoutingEnvelope.find(subject),
            )
        return self.route(mailbox=mailbox, subject=subject)

    def _refused(self, mailbox: str, envelope: RoutingEnvelope) -> Quarantined:
        """Tell everything in which mailbox, process ID and addressee do not agree."""
        by_mailbox = self.directory.answering_from(mailbox)
        by_process = self.directory.answering_as(envelope.sender)
        found: list[tuple[Reason, str]] = []
        if by_mailbox is None:
            found.append((Reason.UNKNOWN_MAILBOX, f"No system answers from {mailbox!r}."))
        if by_process is None:
            found.append((Reason.UNKNOWN_PROCESS, f"No system answers under the process ID {envelope.sender!r}."))
        if by_mailbox is not None and by_process is not None and by_mailbox is not by_process:
            message = f"The mailbox is of {by_mailbox.name}, the process ID {envelope.sender} of {by_process.name}."
            found.append((Reason.MAILBOX_PROCESS_DISAGREE, message))
        if envelope.addressee.lower() not in self._by_text:
            found.append((Reason.UNKNOWN_ADDRESSEE, f"{envelope.addressee!r} is none of the parties."))
        problems = tuple(Problem(f"route.{reason.value}", message, source=_PAGE) for reason, message in found)
        return Quarantined(reason=found[0][0], problems=problems, mailbox=mailbox, envelope=envelope)
