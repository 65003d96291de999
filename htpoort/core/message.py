"""
Build the message of a declaration, and read a reply: its headers and what it carries.

This module never sends a message, and never chooses a time or a Message-ID.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final, cast, final

import attrs

from htpoort.core import _headers, address, grammar, render
from htpoort.core.directory import HTPOORT, DeclarationSystem, Directory
from htpoort.core.envelope import RoutingEnvelope
from htpoort.core.errors import EnvelopeError, InputError, Problem
from htpoort.core.party import PartyId
from htpoort.core.payload import Payload, read_payload
from htpoort.core.render import Layout, TransferEncoding
from htpoort.core.text import ascii_lower

__all__ = [
    "Layout",
    "Received",
    "Submission",
    "TransferEncoding",
    "automatic_reference",
    "build",
    "header_texts",
    "read",
    "readdress",
]

_LAYOUTS: Final = ("body", "attachment")
_ENCODINGS: Final = ("7bit", "quoted-printable", "base64")
_OLDEST_YEAR: Final = 1900  # RFC 5322, section 3.3


@final
@attrs.frozen(kw_only=True)
class Submission:
    """
    A message that is ready to send.

    Args:
        mail_from: The declarant's own mailbox: MAIL FROM, and From.
        rcpt_to: The one mailbox of the system: RCPT TO, and To.
        envelope: V, A, K and S of the Subject.
        system: The name of the declaration system.
        message_id: With its angle brackets.
        data: The message: 7-bit, lines of at most 998 octets, each ended by CRLF, the last one too. Give it to a mail
            client as bytes: a client that parses it folds the Subject again.
    """

    mail_from: str
    rcpt_to: str
    envelope: RoutingEnvelope
    system: str
    message_id: str
    data: bytes = attrs.field(repr=False)


@final
@attrs.frozen(kw_only=True)
class Received:
    """
    A message: the headers that matter for routing, and what it carries.

    Args:
        mailbox: The one mailbox of the one From, in lower case; None if it is not clear.
        subject: The value of the one Subject, not unfolded; None if it is missing or repeated.
        envelope: The envelope in the Subject; None if there is no valid one.
        problems: Everything that is wrong with the message. The codes begin with ``message.``, ``header.``, ``from.``,
            ``subject.`` or ``envelope.``. Offsets of the last count in the Subject, unfolded and decoded; those of the
            others in *raw*.
        raw: The message as it came.
        body_start: Offset of the first octet of the body in *raw*.
    """

    mailbox: str | None
    subject: str | None
    envelope: RoutingEnvelope | None
    problems: tuple[Problem, ...]
    raw: bytes = attrs.field(repr=False)
    body_start: int

    @property
    def body(self) -> bytes:
        """The octets after the header block, not decoded."""
        return self.raw[self.body_start :]

    @property
    def payload(self) -> Payload:
        """What the message carries, decoded; it is decoded anew each time."""
        return read_payload(self.raw)


def read(raw: bytes) -> Received:
    r"""
    Read a message: its headers at once, its payload when it is asked for.

    >>> subject = b"Subject: [V= DMS4.NL][A= NL123456789.02.05][K=1][S=0]"
    >>> reply = b"From: dms@htpoort.nl\r\n" + subject + b"\r\n\r\n<Response/>"
    >>> read(reply).mailbox, read(reply).envelope.sender
    ('dms@htpoort.nl', 'DMS4.NL')
    >>> read(reply).payload.octets
    b'<Response/>'

    Args:
        raw: The whole message, with lines ended by CRLF or LF; any bytes.

    Returns:
        What could be read, and everything that is wrong. Never raises on what a peer sent.
    """
    headers = _headers.scan(raw)
    envelope, problems = None, headers.problems
    if headers.subject is not None:
        try:
            envelope = RoutingEnvelope.parse(headers.subject)
        except EnvelopeError as error:
            problems = (*problems, *error.problems)
    return Received(
        mailbox=headers.mailbox,
        subject=headers.subject,
        envelope=envelope,
        problems=problems,
        raw=raw,
        body_start=headers.body,
    )


def header_texts(raw: bytes, *names: str) -> tuple[str, ...]:
    r"""
    Show headers to a person who must decide about a message. Never route by them.

    >>> header_texts(
    ...     b"Subject: =?utf-8?q?Caf=C3=A9?=\r\n closed\r\n\r\n", "From", "Subject"
    ... )
    ('', 'Café closed')

    Args:
        raw: The message, or its beginning; only the first 64 KiB are read, and once for all headers.
        names: The names of the headers.

    Returns:
        The value of each, unfolded, with encoded words decoded, and at most 200 characters; any characters may be in
        it. If the header is repeated, its first values with ``|`` between them; empty if there is none.
    """
    return _headers.shown(raw, *names)


def build(  # noqa: PLR0913 - one argument for each thing a message has
    *,
    system: DeclarationSystem | str,
    party: PartyId | str,
    mailbox: str,
    reference: str,
    payload: bytes,
    date: datetime,
    message_id: str,
    layout: Layout = "body",
    s: str = "0",
    content_type: str | None = None,
    file_name: str | None = None,
    transfer_encoding: TransferEncoding | None = None,
    directory: Directory = HTPOORT,
) -> Submission:
    """
    Build the message that carries one declaration (*aangifte*).

    Args:
        system: The system that takes it, or its name in *directory*.
        party: V, the declarant's party ID; 1 to 35 of ``A-Z a-z 0-9 . _ -``.
        mailbox: The declarant's own mailbox, which receives the replies; ASCII.
        reference: K, new for each transmission; 1 to 35 letters and digits.
        payload: The declaration, XML or EDIFACT, not empty; ``read(submission.data).payload.octets`` gives back the
            same octets. A body that is sent as it is gets a CRLF at its end if it has none; then Content-Disposition
            has the size of the payload, so that a reader can drop it.
        date: The value of Date, aware.
        message_id: ``<unique@your-domain>``; at most 250 characters.
        layout: ``"body"``: the payload is the body. ``"attachment"``: it is the only part of a multipart message.
        s: One digit; only 0 has been seen.
        content_type: The value of Content-Type; by default it is guessed from the payload.
        file_name: The name of the attachment: 1 to 64 of ``A-Z a-z 0-9 . _ -``; by default the reference with an ending
            that fits the payload.
        transfer_encoding: ``"7bit"``, ``"quoted-printable"`` or ``"base64"``. By default 7bit, or base64 for a payload
            that mail servers may change: 8-bit, line ends other than CRLF, lines over 900 octets, lines that begin with
            a dot or with ``From`` and a blank, lines that end in a blank or tab, empty lines at the end.
        directory: Where to look *system* up if it is a name.

    Returns:
        The message, with Subject on one physical line.

    Raises:
        InputError: Some values cannot be sent. The error lists every problem, each by its argument's name.
        UnknownError: *directory* has no system of that name.

    Source:
        Official page "Hoe bereid ik me voor op DMS?" for the Subject; RFC 5322, RFC 2045. Which MIME
        layout the gateway expects is unknown.
    """
    target = directory.system(system) if isinstance(system, str) else system
    problems = [
        *_system_problems(target),
        *_text_problems(
            party=str(party) if isinstance(party, PartyId) else party, reference=reference, s=s, message_id=message_id
        ),
        *address.mailbox_problems("mailbox", mailbox),
        *_value_problems(payload, date, layout),
        *_encoding_problems(payload, layout, transfer_encoding),
        *_optional_problems(content_type, file_name),
    ]
    if problems:
        raise InputError("", tuple(problems))
    envelope = RoutingEnvelope(sender=str(party), addressee=target.process_id, reference=reference, s=s)
    guessed, ending = render.content_type_of(payload)
    headers = [
        ("From", mailbox),
        ("To", target.mailbox),
        ("Subject", envelope.render()),
        ("Date", render.rfc5322_date(date)),
        ("Message-ID", message_id),
    ]
    data = render.render(
        headers,
        payload,
        content_type=content_type or guessed,
        layout=layout,
        file_name=file_name or f"{reference}.{ending}",
        transfer_encoding=transfer_encoding,
    )
    return Submission(
        mail_from=mailbox,
        rcpt_to=target.mailbox,
        envelope=envelope,
        system=target.name,
        message_id=message_id,
        data=data,
    )


def readdress(sent: Submission, *, reference: str, date: datetime, message_id: str) -> Submission:
    """
    Write a message that was built before under another reference (K), with all that it carries unchanged.

    Args:
        sent: The message, as `build` returned it.
        reference: The new K; 1 to 35 letters and digits.
        date: The value of Date, aware.
        message_id: ``<unique@your-domain>``; at most 250 characters.

    Returns:
        The message with another Subject, Date and Message-ID.

    Raises:
        InputError: Some values cannot be sent, or *sent* does not have each of these headers once, on one line. The
            error lists every problem.
    """
    problems = [
        *_text_problems(reference=reference, message_id=message_id),
        *_value_problems(b"-", date, "body"),
    ]
    if problems:
        raise InputError("", tuple(problems))
    envelope = attrs.evolve(sent.envelope, reference=reference)
    headers = {
        b"subject": f"Subject: {envelope.render()}",
        b"date": f"Date: {render.rfc5322_date(date)}",
        b"message-id": f"Message-ID: {message_id}",
    }
    head, end, body = sent.data.partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    names = [line.partition(b":")[0].lower() for line in lines]
    folded = any(line[:1] in {b" ", b"\t"} for line in lines)
    if folded or any(names.count(name) != 1 for name in headers):
        message = "sent does not have Subject, Date and Message-ID once each, on one line; build it anew."
        raise InputError("", (Problem("input.value", message),))
    for name, text in headers.items():
        lines[names.index(name)] = text.encode("ascii")
    return attrs.evolve(sent, envelope=envelope, message_id=message_id, data=b"\r\n".join(lines) + end + body)


def automatic_reference(party: PartyId | str, payload: bytes) -> str:
    """
    Make a reference (K) for a declaration that has none.

    It follows from the party and the declaration, so the same declaration always gets the same reference, and is not
    declared twice if a program repeats itself. To declare the same again on purpose, choose a reference yourself.

    >>> automatic_reference("NL123456789.02.05", b"<MetaData/>")
    'K6XEITRYR2D6KVJMO4EC'

    Args:
        party: V, in any case.
        payload: The declaration.

    Returns:
        A reference that begins with K, and 19 of the letters A to Z and the digits 2 to 7. It holds 95 bits of a
        SHA-256; if a party makes a thousand million, the chance that two are equal is below one in 10¹⁰.
    """
    # Imported here, because it loads OpenSSL, and `import htpoort` is to stay cheap.
    import base64  # noqa: PLC0415
    import hashlib  # noqa: PLC0415

    digest = hashlib.sha256(ascii_lower(str(party)).encode("utf-8", "surrogatepass") + b"\0" + payload).digest()
    return f"K{base64.b32encode(digest)[:19].decode('ascii')}"


_TEXTS: Final = {
    "party": (grammar.WRITER_VALUE, "1 to 35 letters, digits, dots, hyphens or underscores, as in NL123456789.02.05"),
    "reference": (grammar.WRITER_REFERENCE, "1 to 35 letters and digits"),
    "s": (grammar.WRITER_S, "one digit"),
    "message_id": (grammar.MESSAGE_ID, "<unique@your-domain>, at most 250 characters"),
    "content_type": (grammar.CONTENT_TYPE, "type/subtype in ASCII, at most 200 characters"),
    "file_name": (grammar.FILE_NAME, "1 to 64 letters, digits, dots, hyphens or underscores"),
}
_LIMITS: Final = {"message_id": grammar.MESSAGE_ID_LIMIT, "content_type": grammar.CONTENT_TYPE_LIMIT}


def _text_problems(**fields: object) -> list[Problem]:
    """Find the texts that may not be sent as they are."""
    problems: list[Problem] = []
    for field, value in fields.items():
        pattern, form = _TEXTS[field]
        if not isinstance(value, str):
            problems.append(Problem("input.type", f"{field} is {type(value).__name__}; give a str."))
        elif len(value) > _LIMITS.get(field, grammar.VALUE_LIMIT) or not pattern.fullmatch(value):
            shown = value if len(value) <= grammar.VALUE_LIMIT else f"{value[:60]}…"
            problems.append(Problem("input.value", f"{field} is {shown!r}; give {form}.", 0, len(value)))
    return problems


def _system_problems(system: object) -> list[Problem]:
    """Refuse a system that is not a DeclarationSystem."""
    if isinstance(system, DeclarationSystem):
        return []
    return [Problem("input.type", f"system is {type(system).__name__}; give a DeclarationSystem or its name.")]


def _optional_problems(content_type: str | None, file_name: str | None) -> list[Problem]:
    """Find what is wrong with the optional texts."""
    texts = {"content_type": content_type, "file_name": file_name}
    return _text_problems(**{field: value for field, value in texts.items() if value is not None})


def _value_problems(payload: object, date: object, layout: object) -> list[Problem]:
    """Find what is wrong with the values that are not text."""
    problems: list[Problem] = []
    if not isinstance(payload, bytes) or not payload:
        kind = "empty" if payload == b"" else type(payload).__name__
        problems.append(Problem("input.payload", f"payload is {kind}; give the octets of the declaration."))
    if not isinstance(date, datetime):
        problems.append(Problem("input.date", f"date is {type(date).__name__}; give an aware datetime."))
    elif date.utcoffset() is None:
        message = f"date is {date.isoformat()} without a time zone; give an aware datetime such as datetime.now(UTC)."
        problems.append(Problem("input.date", message))
    elif date.year < _OLDEST_YEAR:
        problems.append(Problem("input.date", f"date is in the year {date.year}; a message has no date before 1900."))
    if cast("str", layout) not in _LAYOUTS:
        problems.append(Problem("input.layout", f"layout is {layout!r}; give one of {', '.join(_LAYOUTS)}."))
    return problems


def _encoding_problems(payload: object, layout: Layout, encoding: object) -> list[Problem]:
    """Refuse a transfer encoding that does not exist, or that does not protect the payload."""
    if encoding is None:
        return []
    if encoding not in _ENCODINGS:
        message = f"transfer_encoding is {encoding!r}; give one of {', '.join(_ENCODINGS)}, or leave it out."
        return [Problem("input.transfer-encoding", message)]
    if encoding == "7bit" and isinstance(payload, bytes) and not render.is_plain(payload, layout):
        message = (
            "transfer_encoding is '7bit', but mail servers may change this payload; give 'base64', or leave it out."
        )
        return [Problem("input.transfer-encoding", message)]
    return []
