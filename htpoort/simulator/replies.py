"""
Write what the gateway replies: the official reply form around a synthetic body, with or without a fault.

Every body is marked as synthetic, so that it cannot be mistaken for a message of Customs.
"""

from __future__ import annotations

import binascii
import hashlib
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final

from htpoort.core import render
from htpoort.core.directory import DMS, HTPOORT, DeclarationSystem, Directory
from htpoort.core.envelope import RoutingEnvelope
from htpoort.core.message import Submission
from htpoort.core.text import ascii_lower
from htpoort.simulator import bodies
from htpoort.simulator.declarations import Declaration
from htpoort.simulator.faults import ReplyFault
from htpoort.simulator.scenarios import ReplyForm, ScriptedReply

__all__ = ["OTHER_MAILBOX", "OTHER_PARTY", "plain_body", "reply", "reply_subject", "scripted_reply"]

OTHER_MAILBOX: Final = "edi@other-declarant.example"
"""Another declarant's mailbox, if the caller has none."""

OTHER_PARTY: Final = "NL123456789.99.05"
"""Another declarant's party ID, if the caller has none."""

LARGE: Final = 20_000_000
"""Octets of the body of a large reply, 20 MB."""

_FORGER: Final = "edi@forger.example"


def reply_subject(request: RoutingEnvelope, process_id: str) -> str:
    """
    Write the Subject of a reply as the official page prints it, with a blank after `V=` and `A=`.

    >>> request = RoutingEnvelope(
    ...     sender="NL123456789.02.05", addressee="DMS.NL", reference="22096222734662"
    ... )
    >>> reply_subject(request, "DMS.NL")
    '[V= DMS.NL][A= NL123456789.02.05][K=22096222734662][S=0]'

    Args:
        request: The envelope of the declaration.
        process_id: The process ID that goes into V.

    Returns:
        One line. Whether the blanks are on the real wire is unknown.

    Source:
        Official page "Hoe bereid ik me voor op DMS?", examples of replies.
    """
    return _subject(_reply_envelope(request, process_id))


def _reply_envelope(request: RoutingEnvelope, process_id: str) -> RoutingEnvelope:
    return RoutingEnvelope(sender=process_id, addressee=request.sender, reference=request.reference, s=request.s)


def _subject(envelope: RoutingEnvelope) -> str:
    return f"[V= {envelope.sender}][A= {envelope.addressee}][K={envelope.reference}][S={envelope.s}]"


def plain_body(request: RoutingEnvelope, payload: bytes) -> bytes:
    """
    Write a plain body of a reply, in the syntax of the system, without kind, MRN or date.

    `htpoort.simulator.bodies.body` writes bodies that have these.

    Args:
        request: The envelope of the declaration; its A names the system that replies.
        payload: The declaration as it was sent.

    Returns:
        XML, or a text like an EDIFACT CUSRES; both say that they are synthetic.
    """
    if bodies.is_edifact(request.addressee, payload):
        segments = ("UNA:+.? ", f"UNB+UNOC:3+SYNTHETIC+{request.sender}++{request.reference}", "BGM+962:::SYNTHETIC")
        return "".join(f"{segment}'\r\n" for segment in segments).encode()
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\r\n'
        "<!-- Synthetic reply of a simulator, not of Customs. -->\r\n"
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
        system: The system that replies, from its own mailbox.
        mailbox: The declarant's mailbox.
        request: The envelope of the declaration.
        payload: The body of the reply.
        date: Aware.
        message_id: With its angle brackets.

    Returns:
        A message from the system's mailbox, V and A swapped, K and S kept.
    """
    envelope = _reply_envelope(request, min(system.reply_ids))
    return Submission(
        mail_from=system.mailbox,
        rcpt_to=mailbox,
        envelope=envelope,
        system=system.name,
        message_id=message_id,
        data=_rendered(system.mailbox, mailbox, _subject(envelope), payload, date, message_id),
    )


_FORMS: Final[Mapping[ReplyForm, tuple[render.Layout, render.TransferEncoding | None]]] = {
    ReplyForm.PLAIN: ("body", None),
    ReplyForm.BASE64: ("body", "base64"),
    ReplyForm.QUOTED_PRINTABLE: ("body", "quoted-printable"),
    ReplyForm.ATTACHMENT: ("attachment", None),
    ReplyForm.ATTACHMENT_BASE64: ("attachment", "base64"),
    ReplyForm.ATTACHMENT_QUOTED: ("attachment", "quoted-printable"),
}


def _rendered(  # noqa: PLR0913, PLR0917 - the headers in their order, and the body
    sender: str,
    to: str,
    subject: str,
    payload: bytes,
    date: datetime,
    message_id: str,
    form: ReplyForm = ReplyForm.PLAIN,
) -> bytes:
    headers = [
        ("From", sender),
        ("To", to),
        ("Subject", subject),
        ("Date", render.rfc5322_date(date)),
        ("Message-ID", message_id),
    ]
    content_type, ending = render.content_type_of(payload)
    layout, encoding = _FORMS[form]
    return render.render(
        headers,
        payload,
        content_type=content_type,
        layout=layout,
        file_name=f"reply.{ending}",
        transfer_encoding=encoding,
    )


# ── replies of a scenario ────────────────────────────────────────────────────


def scripted_reply(  # noqa: PLR0913 - one argument for each thing a reply has
    scripted: ScriptedReply,
    declaration: Declaration,
    *,
    date: datetime,
    message_id: str,
    directory: Directory = HTPOORT,
    other_mailbox: str = OTHER_MAILBOX,
    other_party: str = OTHER_PARTY,
    form: ReplyForm | None = None,
) -> Submission:
    """
    Write a reply of a scenario, genuine or with its fault.

    Args:
        scripted: What to reply, and what is wrong with it.
        declaration: The declaration.
        date: Of the reply, aware.
        message_id: With its angle brackets.
        directory: For the other system; if it has no other, AGS or DMS is used.
        other_mailbox: Where a WRONG_MAILBOX reply is sent.
        other_party: A of an OTHER_PARTY reply.
        form: How it carries its body; by default the form of *scripted*, or plain. EVERY goes by the number of the
            declaration.

    Returns:
        The message with its MAIL FROM, which is empty for a BOUNCE, and RCPT TO. Its envelope is that of the
        Subject; if the Subject has none, the envelope that it should have.
    """
    fault, system, request = scripted.fault, declaration.system, declaration.envelope
    if fault is ReplyFault.BOUNCE:
        return _bounce(declaration, date=date, message_id=message_id)
    other = _other(system, directory)
    envelope = RoutingEnvelope(
        sender=min((other if fault in _ANOTHER_PROCESS else system).reply_ids),
        addressee=other_party if fault is ReplyFault.OTHER_PARTY else request.sender,
        reference=_unsent(request.reference) if fault is ReplyFault.OTHER_K else request.reference,
        s=request.s,
    )
    sending = other if fault is ReplyFault.OTHER_SYSTEM else system
    forged = fault is ReplyFault.FORGED_FROM
    to = other_mailbox if fault is ReplyFault.WRONG_MAILBOX else declaration.mailbox
    subject = _SUBJECTS.get(fault, _subject)(envelope)
    payload = scripted.body or bodies.body(
        scripted.kind,
        system=system,
        request=request,
        payload=bodies.content_of(declaration.raw),
        number=declaration.number,
        date=date,
        taken=declaration.at,
        size=LARGE if fault is ReplyFault.LARGE else 0,
    )
    sender = f"{sending.mailbox} <{_FORGER}>" if forged else sending.mailbox
    return Submission(
        mail_from=_FORGER if forged else sending.mailbox,
        rcpt_to=to,
        envelope=envelope,
        system=sending.name,
        message_id=message_id,
        data=_rendered(
            *(sender, to, subject, payload, date, message_id),
            (form or scripted.form or ReplyForm.PLAIN).of_reply(declaration.number - 1),
        ),
    )


_ANOTHER_PROCESS: Final = frozenset({ReplyFault.OTHER_SYSTEM, ReplyFault.WRONG_PROCESS_ID})


def _other(system: DeclarationSystem, directory: Directory) -> DeclarationSystem:
    """Find a system with another mailbox and other process IDs."""
    others = (
        one
        for one in (*directory, *HTPOORT)
        if ascii_lower(one.mailbox) != ascii_lower(system.mailbox) and one.reply_ids.isdisjoint(system.reply_ids)
    )
    return next(others, DMS)


def _unsent(reference: str) -> str:
    """Make a reference that was never sent: 32 letters and digits, the same for the same K."""
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


_SUBJECTS: Final[Mapping[ReplyFault | None, Callable[[RoutingEnvelope], str]]] = {
    ReplyFault.NO_K: _without_k,
    ReplyFault.LOWER_CASE: _in_lower_case,
    ReplyFault.FOLDED: _folded,
    ReplyFault.ENCODED_WORDS: _encoded,
}


# ── a bounce ─────────────────────────────────────────────────────────────────

_BOUNDARY: Final = "=_bounce"


def _bounce(declaration: Declaration, *, date: datetime, message_id: str) -> Submission:
    """
    Write the report of a mail server that cannot deliver a declaration.

    Source:
        RFC 3464; RFC 6522 for the three parts; RFC 5321, section 4.5.5, for the empty MAIL FROM.
    """
    system, mailbox = declaration.system, declaration.mailbox
    headers = (
        f"From: Mail Delivery System <MAILER-DAEMON@{_domain(system)}>",
        f"To: {mailbox}",
        "Subject: Undelivered Mail Returned to Sender",
        f"Date: {render.rfc5322_date(date)}",
        f"Message-ID: {message_id}",
        "Auto-Submitted: auto-replied",
        "MIME-Version: 1.0",
        f'Content-Type: multipart/report; report-type=delivery-status; boundary="{_BOUNDARY}"',
    )
    parts = (line for part in _bounce_parts(declaration) for line in (f"--{_BOUNDARY}", *part))
    lines = (*headers, "", *parts, f"--{_BOUNDARY}--")
    return Submission(
        mail_from="",
        rcpt_to=mailbox,
        envelope=_reply_envelope(declaration.envelope, min(system.reply_ids)),
        system=system.name,
        message_id=message_id,
        data="".join(f"{line}\r\n" for line in lines).encode("ascii"),
    )


def _domain(system: DeclarationSystem) -> str:
    return system.mailbox.rpartition("@")[2]


def _bounce_parts(declaration: Declaration) -> tuple[tuple[str, ...], ...]:
    """Write the explanation, the delivery status, and the headers of the declaration."""
    system = declaration.system
    explanation = (
        "Content-Type: text/plain; charset=us-ascii",
        "",
        "Synthetic bounce of a simulator, not of Customs.",
        f"Your message could not be delivered to {system.mailbox}.",
    )
    status = (
        "Content-Type: message/delivery-status",
        "",
        f"Reporting-MTA: dns; {_domain(system)}",
        "",
        f"Final-Recipient: rfc822; {system.mailbox}",
        "Action: failed",
        "Status: 5.3.0",
        "Diagnostic-Code: smtp; 554 5.3.0 Undeliverable",
    )
    undelivered = (
        "Content-Type: text/rfc822-headers",
        "",
        f"From: {declaration.mailbox}",
        f"To: {system.mailbox}",
        f"Subject: {declaration.envelope}",
    )
    return explanation, status, undelivered
