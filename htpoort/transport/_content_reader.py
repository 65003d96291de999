"""
Read the content of a message as it comes: find its end, check it, take doubled dots away, and keep one copy.

Never does: read or write a connection.
"""

from __future__ import annotations

import enum
import io
from typing import Final, final

from htpoort.transport import _content

_LINE_END: Final = b"\r\n"
_BEGINNINGS: Final = tuple(_content.END[:length] for length in range(len(_content.END) - 1, 0, -1))
"""What may become the end of a message when more comes; the longest first."""


@final
class HeldOctets:
    """
    Count the octets that all messages of one receiver hold together.

    Args:
        limit: How many there may be.

    Attributes:
        left: How many more there may be.
    """

    def __init__(self, limit: int) -> None:
        self.left = limit

    def take(self, octets: int) -> bool:
        """Count octets; False, and nothing counted, where there is no room for them."""
        if octets > self.left:
            return False
        self.left -= octets
        return True

    def give_back(self, octets: int) -> None:
        """Make room again."""
        self.left += octets


class Unfit(enum.Enum):
    """Say why a content cannot be taken."""

    UNCLEAN = enum.auto()
    """It has a bare CR, a bare LF or a NUL."""
    TOO_LARGE = enum.auto()
    """It has more octets than a message may have."""
    NO_ROOM = enum.auto()
    """All messages together would hold more octets than they may."""


@final
class ContentReader:
    r"""
    Take a content in pieces, cut anywhere.

    >>> reader = ContentReader(100, HeldOctets(1000))
    >>> reader.feed(b"..a\r\n."), reader.feed(b"\r\nNOOP\r\n"), reader.content()
    (None, b'NOOP\r\n', b'.a\r\n')

    A content that cannot be taken is read to its end, because only there an answer is due, and is not kept. What
    is taken and kept is given back by `release`.

    Args:
        limit: Octets of the content, line ends counted, doubled dots not.
        held: Where the octets that are kept are counted.

    Attributes:
        received: The octets that came, doubled dots counted.

    Source:
        RFC 5321, sections 2.3.8, 4.1.1.4 and 4.5.2.
    """

    def __init__(self, limit: int, held: HeldOctets) -> None:
        self.received = 0
        self._limit = limit
        self._held = held
        # The line end of DATA itself belongs to the end of an empty content, and doubles the first dot.
        self._undecided = _LINE_END
        self._is_first = True
        # Grows in place, and gives its octets without another copy.
        self._kept = io.BytesIO()
        self._counted = 0
        self._size = 0
        self._is_clean = True
        self._has_room = True

    def feed(self, octets: bytes) -> bytes | None:
        """
        Read what came.

        Args:
            octets: The next ones of the connection.

        Returns:
            What follows the final dot; None as long as it has not come.
        """
        self.received += len(octets)
        piece = self._undecided + octets
        end = piece.find(_content.END)
        if end >= 0:
            self._add(piece[: end + len(_LINE_END)])
            self._undecided = b""
            return piece[end + len(_content.END) :]
        self._undecided = next((beginning for beginning in _BEGINNINGS if piece.endswith(beginning)), b"")
        self._add(piece[: len(piece) - len(self._undecided)])
        return None

    @property
    def unfit(self) -> Unfit | None:
        """Why the content cannot be taken; None where it can."""
        if not self._is_clean:
            return Unfit.UNCLEAN
        if self._size > self._limit:
            return Unfit.TOO_LARGE
        return None if self._has_room else Unfit.NO_ROOM

    def content(self) -> bytes:
        """Give the content, when its end has come and it is fit."""
        return self._kept.getvalue()

    def release(self) -> None:
        """Forget the content, and let others have its room."""
        self._kept = io.BytesIO()
        self._held.give_back(self._counted)
        self._counted = 0

    def _add(self, piece: bytes) -> None:
        """Check and keep octets in which no line end, and no dot behind one, is cut off."""
        if not piece:
            return
        # Also where nothing is kept: the connection of a peer that sends such things is closed.
        self._is_clean = self._is_clean and _content.is_clean(piece)
        unstuffed = piece.replace(b"\r\n.", _LINE_END)
        if self._is_first:
            self._is_first = False
            unstuffed = unstuffed[len(_LINE_END) :]
        self._size += len(unstuffed)
        if self.unfit is None:
            self._has_room = self._held.take(len(unstuffed))
        if self.unfit is not None:
            self.release()
            return
        self._counted += len(unstuffed)
        self._kept.write(unstuffed)
