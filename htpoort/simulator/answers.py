"""
Write what the gateway answers: the reply form of the official page around a synthetic body, or a fault of it.

Never does: send, or claim to be a message of Customs; every body says that it is synthetic.
"""

from __future__ import annotations

import binascii
import hashlib
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final

from htpoort import _mime
from htpoort._words import ascii_lower
from htpoort.directory import DMS, HTPOORT, DeclarationSystem, Directory
from htpoort.envelope import RoutingEnvelope
from htpoort.message import Submission
from htpoort.simulator import bodies
from htpoort.simulator.faults import AnswerFault
from htpoort.simulator.scenarios import Answer

__all__ = ["OTHER_MAILBOX", "OTHER_PARTY", "acceptance", "answer", "reply", "reply_subject"]

OTHER_MAILBOX: Final = "edi@other-declarant.example"
"""Another declarant's mailbox, where the caller knows none."""

OTHER_PARTY: Final = "NL123456789.99.05"
"""Another declarant's party ID, where the caller knows none."""

LARGE: Final = 20_000_000
"""Octets of the body of a large answer, 20 MB."""

_FORGER: Final = "edi@forger.example"


def reply_subject(request: RoutingEnvelope, answering_as: str) -> str:
    """
    Write the Subject of a reply as the official page prints it, with a blank after `V=` and `A=`.

    >>> asked = RoutingEnvelope(sender="NL123456789.02.05", addressee="DMS.NL", reference="22096222734662")
    >>> reply_subject(asked, "DMS.NL")
    '[V= DMS.NL][A= NL123456789.02.05][K=22096222734662][S=0]'

    Args:
        request: The envelope of the declaration.
        answering_as: The process ID that goes into V.

    Returns:
        One line. Whether the blanks are on the real wire is unknown.

    Source:
        Official page "Hoe bereid ik me voor op DMS?", examples of replies.
    """
    return _subject(_answering(request, answering_as))


def _answering(request: RoutingEnvelope, answering_as: str) -> RoutingEnvelope:
    return RoutingEnvelope(sender=answering_as, addressee=request.sender, reference=request.reference, s=request.s)


def _subject(envelope: RoutingEnvelope) -> str:
    return f"[V= {envelope.sender}][A= {envelope.addressee}][K={envelope.reference}][S={envelope.s}]"


def acceptance(request: RoutingEnvelope, payload: bytes) -> bytes:
    """
    Write a body that answers a declaration, in the syntax of the system as `htpoort.simulator.bodies.body` does.

    Args:
        request: The envelope of the declaration; its A says which system answers.
        payload: The declaration as it was sent.

    Returns:
        XML, or a text like an EDIFACT CUSRES; both say that they are synthetic. It is the same at any
        time; `htpoort.simulator.bodies.body` writes more kinds, and the MRN.
    """
    if bodies.is_edifact(request.addressee, payload):
        segments = ("UNA:+.? ", f"UNB+UNOC:3+SYNTHETIC+{request.sender}++{request.reference}", "BGM+962:::SYNTHETIC")
        return "".join(f"{segment}'\r\n" for segment in segments).encode()
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\r\n'
        "<!-- Synthetic answer of a simulator, not of Customs. -->\r\n"
        f'<Response xmlns="{bodies.RESPONSE}"><FunctionCode>synthetic</FunctionCode></Response>\r\n'
    ).encode()


def reply(  # noqa: PLR0913 - one argument for each thing a reply has
    *,
    system: DeclarationSystem,
    mailbox: str,
    request: RoutingEnvelope,
    payload: bytes,
    date: datetime,
    message_id: str,
) -> Submission:
    """
    Write the whole reply to a declaration.

    Args:
        system: The system that answers, from its own mailbox.
        mailbox: The declarant's mailbox.
        request: The envelope of the declaration.
        payload: The body of the reply.
        date: Aware.
        message_id: With its angle brackets.

    Returns:
        A message from the system's mailbox, V and A swapped, K and S kept.
    """
    envelope = _answering(request, min(system.reply_ids))
    return Submission(
        mail_from=system.mailbox,
        rcpt_to=mailbox,
        envelope=envelope,
        system=system.name,
        message_id=message_id,
        data=_rendered(system.mailbox, mailbox, _subject(envelope), payload, date, message_id),
    )


def _rendered(  # noqa: PLR0913, PLR0917 - the headers in their order, and the body
    sender: str, to: str, subject: str, payload: bytes, date: datetime, message_id: str
) -> bytes:
    headers = [
        ("From", sender),
        ("To", to),
        ("Subject", subject),
        ("Date", _mime.rfc5322_date(date)),
        ("Message-ID", message_id),
    ]
    content_type, _ = _mime.content_type_of(payload)
    return _mime.render(headers, payload, content_type=content_type, layout="body", file_name="")


# ── answers of a scenario ────────────────────────────────────────────────────


def answer(  # noqa: PLR0913 - one argument for each thing an answer has
    told: Answer,
    *,
    system: DeclarationSystem,
    mailbox: str,
    request: RoutingEnvelope,
    declaration: bytes,
    number: int,
    date: datetime,
    message_id: str,
    taken: datetime | None = None,
    directory: Directory = HTPOORT,
    other_mailbox: str = OTHER_MAILBOX,
    other_party: str = OTHER_PARTY,
) -> Submission:
    """
    Write an answer of a scenario, genuine or with its fault.

    What `htpoort.Router.route_message` makes of each fault, with MAIL FROM, where it knows what was sent:

    - DUPLICATE, OUT_OF_ORDER: routed; the octets are those of a genuine answer, which the caller sends
      twice or behind the next.
    - LOWER_CASE, FOLDED, ENCODED_WORDS, LARGE: routed; tolerated.
    - OTHER_K: routed, UNKNOWN_REFERENCE.
    - WRONG_MAILBOX: UNKNOWN_ADDRESSEE at the declarant who gets it, because A is not theirs.
    - OTHER_SYSTEM: OTHER_SYSTEM. A router that does not know what was sent routes it to that system.
    - WRONG_PROCESS_ID: MAILBOX_PROCESS_DISAGREE.
    - OTHER_PARTY: UNKNOWN_ADDRESSEE; OTHER_PARTY where that party is one of the router's, too.
    - NO_K: BAD_ENVELOPE.
    - FORGED_FROM: AMBIGUOUS_FROM.
    - BOUNCE: NO_ENVELOPE.

    Args:
        told: What to say, and what is wrong with it.
        system: The system that took the declaration.
        mailbox: The declarant's mailbox.
        request: The envelope of the declaration.
        declaration: The whole message of the declaration.
        number: Of the declaration, for the MRN: all answers to it have the same.
        date: Of the answer, aware.
        message_id: With its angle brackets.
        taken: When the declaration was taken, for the MRN; *date* where not given.
        directory: Where the other system is found. One that has no other gets AGS or DMS.
        other_mailbox: Where a WRONG_MAILBOX answer goes.
        other_party: A of an OTHER_PARTY answer.

    Returns:
        The message with its MAIL FROM, which is empty for a BOUNCE, and RCPT TO. The envelope is that of its
        Subject; where that has none, the one that should be there.
    """
    fault = told.fault
    if fault is AnswerFault.BOUNCE:
        return _bounce(system=system, mailbox=mailbox, request=request, date=date, message_id=message_id)
    other = _other(system, directory)
    envelope = RoutingEnvelope(
        sender=min((other if fault in _ANOTHER_PROCESS else system).reply_ids),
        addressee=other_party if fault is AnswerFault.OTHER_PARTY else request.sender,
        reference=_unsent(request.reference) if fault is AnswerFault.OTHER_K else request.reference,
        s=request.s,
    )
    speaker = other if fault is AnswerFault.OTHER_SYSTEM else system
    forged = fault is AnswerFault.FORGED_FROM
    to = other_mailbox if fault is AnswerFault.WRONG_MAILBOX else mailbox
    subject = _SUBJECTS.get(fault, _subject)(envelope)
    payload = told.body or bodies.body(
        told.kind,
        system=system,
        request=request,
        payload=bodies.content_of(declaration),
        number=number,
        date=date,
        taken=taken,
        size=LARGE if fault is AnswerFault.LARGE else 0,
    )
    sender = f"{speaker.mailbox} <{_FORGER}>" if forged else speaker.mailbox
    return Submission(
        mail_from=_FORGER if forged else speaker.mailbox,
        rcpt_to=to,
        envelope=envelope,
        system=speaker.name,
        message_id=message_id,
        data=_rendered(sender, to, subject, payload, date, message_id),
    )


_ANOTHER_PROCESS: Final = frozenset({AnswerFault.OTHER_SYSTEM, AnswerFault.WRONG_PROCESS_ID})


def _other(system: DeclarationSystem, directory: Directory) -> DeclarationSystem:
    """Find a system with another mailbox and other process IDs."""
    others = (
        one
        for one in (*directory, *HTPOORT)
        if ascii_lower(one.mailbox) != ascii_lower(system.mailbox) and one.reply_ids.isdisjoint(system.reply_ids)
    )
    return next(others, DMS)


def _unsent(reference: str) -> str:
    """Make a reference that nobody has sent: 32 letters and digits, the same for the same K."""
    return hashlib.sha256(reference.encode()).hexdigest()[:32].upper()


def _without_k(envelope: RoutingEnvelope) -> str:
    return f"[V= {envelope.sender}][A= {envelope.addressee}][S={envelope.s}]"


def _in_lower_case(envelope: RoutingEnvelope) -> str:
    return f"[v= {envelope.sender}][a= {envelope.addressee}][k={envelope.reference}][s={envelope.s}]"


def _folded(envelope: RoutingEnvelope) -> str:
    return _subject(envelope).replace("][A", "]\r\n [A").replace("][S", "]\r\n\t[S")


_OCTETS: Final = 42  # of one encoded word, which has at most 75 characters (RFC 2047, section 2)


def _encoded(envelope: RoutingEnvelope) -> str:
    octets = _subject(envelope).encode()
    pieces = (octets[at : at + _OCTETS] for at in range(0, len(octets), _OCTETS))
    return "\r\n ".join(f"=?UTF-8?B?{binascii.b2a_base64(piece, newline=False).decode()}?=" for piece in pieces)


_SUBJECTS: Final[Mapping[AnswerFault | None, Callable[[RoutingEnvelope], str]]] = {
    AnswerFault.NO_K: _without_k,
    AnswerFault.LOWER_CASE: _in_lower_case,
    AnswerFault.FOLDED: _folded,
    AnswerFault.ENCODED_WORDS: _encoded,
}


# ── a bounce ─────────────────────────────────────────────────────────────────

_BOUNDARY: Final = "=_bounce"


def _bounce(
    *, system: DeclarationSystem, mailbox: str, request: RoutingEnvelope, date: datetime, message_id: str
) -> Submission:
    """
    Write what a mail server tells when it cannot deliver a declaration.

    Source:
        RFC 3464; RFC 6522 for the three parts; RFC 5321, section 4.5.5, for the empty MAIL FROM.
    """
    domain = system.mailbox.rpartition("@")[2]
    headers = (
        f"From: Mail Delivery System <MAILER-DAEMON@{domain}>",
        f"To: {mailbox}",
        "Subject: Undelivered Mail Returned to Sender",
        f"Date: {_mime.rfc5322_date(date)}",
        f"Message-ID: {message_id}",
        "Auto-Submitted: auto-replied",
        "MIME-Version: 1.0",
        f'Content-Type: multipart/report; report-type=delivery-status; boundary="{_BOUNDARY}"',
    )
    told = (
        "Content-Type: text/plain; charset=us-ascii",
        "",
        "Synthetic bounce of a simulator, not of Customs.",
        f"Your message could not be delivered to {system.mailbox}.",
    )
    status = (
        "Content-Type: message/delivery-status",
        "",
        f"Reporting-MTA: dns; {domain}",
        "",
        f"Final-Recipient: rfc822; {system.mailbox}",
        "Action: failed",
        "Status: 5.3.0",
        "Diagnostic-Code: smtp; 554 5.3.0 Undeliverable",
    )
    undelivered = (
        "Content-Type: text/rfc822-headers",
        "",
        f"From: {mailbox}",
        f"To: {system.mailbox}",
        f"Subject: {request}",
    )
    parts = (line for part in (told, status, undelivered) for line in (f"--{_BOUNDARY}", *part))
    lines = (*headers, "", *parts, f"--{_BOUNDARY}--")
    return Submission(
        mail_from="",
        rcpt_to=mailbox,
        envelope=_answering(request, min(system.reply_ids)),
        system=system.name,
        message_id=message_id,
        data="".join(f"{line}\r\n" for line in lines).encode("ascii"),
    )
