"""An incoming message, and the answers to it; no answer names a mailbox, a peer or a cause."""

from __future__ import annotations

import enum
from typing import Final, final

import attrs

from htpoort.core.errors import InputError, Problem

__all__ = ["Answer", "Incoming", "Refusal"]

_CODES: Final = range(400, 600)
_LINE: Final = 500  # RFC 5321, section 4.5.3.1.5: 512 octets with code and line end


@final
class Answer(enum.StrEnum):
    """What a receiver answers, code and text (RFC 5321; RFC 3463 for the second code)."""

    TOO_MANY = "421 4.3.2 Too many connections, try again later"
    TOO_MANY_FROM_PEER = "421 4.7.0 Too many connections from your address, try again later"
    NO_SERVICE = "554 5.7.1 No service for you here"
    ACCEPTED = "250 OK"
    TRY_LATER = "451 4.3.0 Not taken, try again later"
    CLOSING = "421 4.3.2 Closing"
    UNKNOWN_MAILBOX = "550 5.1.1 No such mailbox here"
    ONE_ONLY = "452 4.5.3 One recipient per message"
    NO_ROOM = "452 4.3.1 No room for the message now, try again later"
    UNCLEAN = "550 5.6.0 Bare CR, bare LF or NUL in the message"
    TOO_LARGE = "552 5.3.4 Message too large"
    LOGIN_FIRST = "530 5.7.0 Authentication required"
    LOGIN_LATER = "454 4.7.0 Login cannot be checked, try again later"
    TLS_ALREADY = "503 5.5.1 TLS is already active"
    CANNOT_VERIFY = "252 2.5.2 Cannot verify; send the message to find out"


@final
@attrs.frozen(kw_only=True)
class Incoming:
    """
    One message as it arrived by SMTP.

    Args:
        mail_from: MAIL FROM as the peer wrote it; empty for the null sender ``<>`` of a bounce.
        rcpt_to: The one mailbox it is for, in the receiver's own spelling.
        peer: The peer's numeric address.
        tls: Whether it arrived over TLS.
        raw: The octets of the message: lines ended by CRLF, doubled dots undone, otherwise untouched.
    """

    mail_from: str
    rcpt_to: str
    peer: str
    tls: bool
    raw: bytes = attrs.field(repr=False)


@final
@attrs.define(eq=False, str=False, slots=False)
class Refusal(Exception):  # noqa: N818 - an answer to give, not an accident
    """
    Raise this in a receiver's handler to choose the answer to a message.

    >>> str(Refusal(452, "4.3.1 The disk is full"))
    '452 4.3.1 The disk is full'

    Args:
        code: 400 to 499: the peer should send it again later; 500 to 599: it should not. After 421 the connection is
            closed.
        text: What follows the code, for the peer to read: 1 to 500 printable ASCII characters.

    Raises:
        InputError: The code or the text is not allowed in an SMTP answer.
    """

    code: int
    text: str

    def __attrs_post_init__(self) -> None:
        problems: list[Problem] = []
        if self.code not in _CODES:
            problems.append(Problem("refusal.code", f"code is {self.code!r}; give a number from 400 to 599."))
        if not (1 <= len(self.text) <= _LINE and self.text.isascii() and self.text.isprintable()):
            problems.append(Problem("refusal.text", f"text is not 1 to {_LINE} printable ASCII characters."))
        if problems:
            raise InputError("", tuple(problems))

    def __str__(self) -> str:
        return f"{self.code} {self.text}"
