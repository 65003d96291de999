"""The content of a message between DATA and the final dot: check it, write it, and read it piece by piece."""

from __future__ import annotations

import enum
import io
from typing import Final, final

__all__ = ["END", "ContentReader", "HeldOctets", "Unfit", "fits", "is_clean", "stuffed"]

END: Final = b"\r\n.\r\n"
"""The end of a message (RFC 5321, section 4.1.1.4); nothing that merely resembles it ends one."""

_LINE_END: Final = b"\r\n"
_BEGINNINGS: Final = tuple(END[:length] for length in range(len(END) - 1, 0, -1))
"""What may turn out to be the end of a message when more arrives; the longest first."""


def is_clean(content: bytes) -> bool:
    r"""
    Check that every CR and LF of a content is half of a CRLF, and that it contains no NUL.

    A program that accepts a bare LF or CR as a line end would see a different message, or two (*SMTP smuggling*).

    >>> is_clean(b"a\r\nb\r\n"), is_clean(b"a\n.\r\nMAIL FROM:<x@y>\r\n")
    (True, False)

    Args:
        content: A message, dots not doubled.

    Returns:
        True if all software sees the same lines.

    Source:
        RFC 5321, sections 2.3.8 and 4.1.1.4.
    """
    # One copy and constant time for each octet, however many line ends there are.
    return len(content) - len(content.translate(None, b"\r\n\0")) == 2 * content.count(b"\r\n")


def fits(content: bytes, limit: int) -> bool:
    r"""
    Check that no line is longer than a limit.

    >>> fits(b"abc\r\nab\r\n", 3), fits(b"abc\r\nabcd\r\n", 3)
    (True, False)

    Args:
        content: Lines ended by CRLF.
        limit: Octets of a line, without its end.

    Returns:
        True if every line fits.
    """
    start = 0
    while 0 < len(content) - start > limit:
        # The last line end within the limit; those before it need not be examined.
        end = content.rfind(b"\r\n", start, start + limit + 2)
        if end < 0:
            return False
        start = end + 2
    return True


def stuffed(content: bytes) -> bytes:
    r"""
    Double the dot at the start of each line.

    >>> stuffed(b".a\r\nb.\r\n.\r\n")
    b'..a\r\nb.\r\n..\r\n'

    Args:
        content: A clean content.

    Returns:
        The octets for the wire, without the final dot.

    Source:
        RFC 5321, section 4.5.2.
    """
    return (b"\r\n" + content).replace(b"\r\n.", b"\r\n..")[2:]


@final
class HeldOctets:
    """
    Count the octets that all messages of one receiver hold together.

    Args:
        limit: The largest number of octets.

    Attributes:
        left: How many more octets fit.
    """

    def __init__(self, limit: int) -> None:
        self.left = limit

    def take(self, octets: int) -> bool:
        """Count octets; return False, and count nothing, if there is no room for them."""
        if octets > self.left:
            return False
        self.left -= octets
        return True

    def give_back(self, octets: int) -> None:
        """Stop counting octets."""
        self.left += octets


class Unfit(enum.Enum):
    """The reasons why a content is not accepted."""

    UNCLEAN = enum.auto()
    """It contains a bare CR, a bare LF or a NUL."""
    TOO_LARGE = enum.auto()
    """It has more octets than a message may have."""
    NO_ROOM = enum.auto()
    """All messages together would exceed the limit."""


@final
class ContentReader:
    r"""
    Read a content in pieces that may be cut anywhere.

    >>> reader = ContentReader(100, HeldOctets(1000))
    >>> reader.feed(b"..a\r\n."), reader.feed(b"\r\nNOOP\r\n"), reader.content()
    (None, b'NOOP\r\n', b'.a\r\n')

    A content that is not accepted is read to its end, because the answer is due only there, but it is not kept.
    `drop` frees what is kept.

    Args:
        limit: Octets of the content, line ends counted, doubled dots not.
        held: Counts the octets that are kept.

    Attributes:
        received: The octets that arrived, doubled dots counted.

    Source:
        RFC 5321, sections 2.3.8, 4.1.1.4 and 4.5.2.
    """

    def __init__(self, limit: int, held: HeldOctets) -> None:
        self.received = 0
        self._limit = limit
        self._held = held
        # The line end of DATA itself is part of the end of an empty content, and precedes a doubled first dot.
        self._undecided = _LINE_END
        self._is_first = True
        # Grows in place, and returns its octets without another copy.
        self._kept = io.BytesIO()
        self._counted = 0
        self._size = 0
        self._is_clean = True
        self._has_room = True

    def feed(self, octets: bytes) -> bytes | None:
        """
        Read the next piece.

        Args:
            octets: The next octets of the connection.

        Returns:
            What follows the final dot; None if the dot has not arrived yet.
        """
        self.received += len(octets)
        piece = self._undecided + octets
        end = piece.find(END)
        if end >= 0:
            self._add(piece[: end + len(_LINE_END)])
            self._undecided = b""
            return piece[end + len(END) :]
        self._undecided = next((beginning for beginning in _BEGINNINGS if piece.endswith(beginning)), b"")
        self._add(piece[: len(piece) - len(self._undecided)])
        return None

    @property
    def size(self) -> int:
        """The octets of the content so far, without its dot, also of one that is not kept."""
        return self._size

    @property
    def unfit(self) -> Unfit | None:
        """Why the content is not accepted; None if it is."""
        if not self._is_clean:
            return Unfit.UNCLEAN
        if self._size > self._limit:
            return Unfit.TOO_LARGE
        return None if self._has_room else Unfit.NO_ROOM

    def content(self) -> bytes:
        """Return the content, once its end has arrived and nothing is wrong with it."""
        return self._kept.getvalue()

    def drop(self) -> None:
        """Drop the content, and free its room for other messages."""
        self._kept = io.BytesIO()
        self._held.give_back(self._counted)
        self._counted = 0

    def _add(self, piece: bytes) -> None:
        """Check and keep octets in which no line end, and no dot after one, is cut off."""
        if not piece:
            return
        # Checked even if nothing is kept: the connection of a peer that sends such octets is closed.
        self._is_clean = self._is_clean and is_clean(piece)
        unstuffed = piece.replace(b"\r\n.", _LINE_END)
        if self._is_first:
            self._is_first = False
            unstuffed = unstuffed[len(_LINE_END) :]
        self._size += len(unstuffed)
        if self.unfit is None:
            self._has_room = self._held.take(len(unstuffed))
        if self.unfit is not None:
            self.drop()
            return
        self._counted += len(unstuffed)
        self._kept.write(unstuffed)
