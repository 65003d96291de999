"""
Hold what a receiver gives to its handler, and what the handler may answer.

Never does: look into the message.
"""

from __future__ import annotations

from typing import Final, final

import attrs

from htpoort.errors import InputError, Problem

__all__ = ["Incoming", "Refusal"]

_CODES: Final = range(400, 600)
_LINE: Final = 500  # RFC 5321, section 4.5.3.1.5: 512 octets with code and line end


@final
@attrs.frozen(kw_only=True)
class Incoming:
    """
    Hold one message as it came over SMTP.

    Args:
        mail_from: MAIL FROM as the peer wrote it; empty for the null sender ``<>`` of a bounce.
        rcpt_to: The one mailbox it is for, in the receiver's own spelling.
        peer: The peer's numeric address.
        tls: Whether it came over TLS.
        raw: The octets of the message: lines ended by CRLF, doubled dots taken away, else untouched.
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
    Answer a message with a code of one's own: raise it in a receiver's handler.

    >>> str(Refusal(452, "4.3.1 The disk is full"))
    '452 4.3.1 The disk is full'

    Args:
        code: 400 to 499: send it again later; 500 to 599: do not. After 421 the connection is closed.
        text: What follows the code: 1 to 500 printable ASCII characters. The peer reads it.

    Raises:
        InputError: The code or the text cannot stand in a reply.
    """

    code: int
    text: str

    def __attrs_post_init__(self) -> None:
        problems: list[Problem] = []
        if self.code not in _CODES:
            problems.append(Problem("refusal.code", f"code is {self.code!r}; give a number from 400 to 599."))
        if not (1 <= len(self.text) <= _LINE and self.text.isascii() and self.text.isprintable()):
            problems.append(Problem("refusal.text", f"text is no line of 1 to {_LINE} printable ASCII characters."))
        if problems:
            raise InputError("", tuple(problems))

    def __str__(self) -> str:
        return f"{self.code} {self.text}"
