"""
Keep the mails of one declarant until they are fetched, as the mailbox of the POP3 interface does.

Never does: touch a disk, or give a UIDL twice.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple, final

from htpoort import _clock

__all__ = ["Mail", "Mailbox"]

_BARE_LF: Final = re.compile(rb"(?<!\r)\n")


def _nothing() -> None:
    """Tell nobody."""


@final
class Mail(NamedTuple):
    """
    Hold one mail.

    Args:
        uidl: Its unique ID: 32 hexadecimal digits.
        raw: Its octets; the last line is ended too.
    """

    uidl: str
    raw: bytes

    def __repr__(self) -> str:
        return f"Mail(uidl={self.uidl!r}, {len(self.raw)} octets)"


@final
class Mailbox:
    r"""
    Keep mails in the order in which they came.

    >>> box = Mailbox()
    >>> uidl = box.deliver(b"Subject: x\n\nlast line")
    >>> box.mails[0].raw
    b'Subject: x\r\n\r\nlast line\r\n'

    Args:
        changed: Called whenever a mail came or left.

    Attributes:
        fetched: The mails that left it, in the order in which they did.
    """

    def __init__(self, *, changed: Callable[[], object] = _nothing) -> None:
        self.fetched: list[Mail] = []
        self._mails: list[Mail] = []
        self._changed = changed
        self._locked = False

    @property
    def mails(self) -> tuple[Mail, ...]:
        """What is in it."""
        return tuple(self._mails)

    def deliver(self, raw: bytes) -> str:
        """
        Put a mail into it.

        A session that is open sees the mail only when it comes again.

        Args:
            raw: Any octets. LF alone becomes CRLF and the last line is ended, as a mail store does;
                everything else stays, a CR alone too.

        Returns:
            Its UIDL, which no other mail of any mailbox ever has.
        """
        # Not counted from 1: who remembers the UIDLs of an earlier run would take a new mail for an old one.
        uidl = _clock.unique()
        lines = _BARE_LF.sub(b"\r\n", raw)
        self._mails.append(Mail(uidl, lines if lines.endswith(b"\r\n") or not lines else lines + b"\r\n"))
        self._changed()
        return uidl

    def lock(self) -> bool:
        """
        Begin the one session that there may be.

        Returns:
            False where another session is open.

        Source:
            RFC 1939, section 4: an exclusive-access lock.
        """
        free, self._locked = not self._locked, True
        return free

    def unlock(self) -> None:
        """End the session."""
        self._locked = False

    def remove(self, uidls: Iterable[str]) -> None:
        """
        Take mails out, at the end of a session.

        Args:
            uidls: Which.
        """
        leaving = frozenset(uidls)
        if gone := [mail for mail in self._mails if mail.uidl in leaving]:
            self._mails = [mail for mail in self._mails if mail.uidl not in leaving]
            self.fetched += gone
            self._changed()
