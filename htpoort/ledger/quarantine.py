"""
Look at what is in quarantine, release it or discard it.

Never does: throw a message away; what is discarded stays readable.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import final

from htpoort.ledger import _inbox, _reports
from htpoort.ledger._access import Access
from htpoort.ledger.records import Held, HeldState, Stored
from htpoort.routing import Routed

__all__ = ["Quarantine"]


@final
class Quarantine:
    """Hold the messages whose process cannot be told; reached as ``ledger.quarantine``."""

    def __init__(self, access: Access) -> None:
        self._access = access

    def listed(self, state: HeldState | None = HeldState.HELD) -> Iterator[Held]:
        """
        List the quarantine, oldest first.

        Args:
            state: Only these; None for all.

        Returns:
            The messages, read as they are asked for.

        Raises:
            LedgerError: They could not be read.
        """
        return self._access.stream(_reports.quarantine, state)

    def get(self, key: int) -> Held:
        """
        Look up a message in quarantine.

        Args:
            key: Its number.

        Returns:
            The message.

        Raises:
            UnknownError: There is none of that number.
            LedgerError: It could not be read.
        """
        return self._access.read(_inbox.held, key)

    def release(self, key: int, found: Routed, *, at: datetime) -> Stored:
        """
        Give a message in quarantine to the process that a person chose.

        Args:
            key: Its number.
            found: Where it belongs.
            at: Now.

        Returns:
            What became of it.

        Raises:
            UnknownError: There is none of that number.
            InputError: It was released or discarded before.
            LedgerError: It could not be written.
        """
        return self._access.write(_inbox.release, key, found, at)

    def discard(self, key: int, *, at: datetime, why: str = "") -> None:
        """
        Mark a message in quarantine as being for nobody; it stays readable.

        Args:
            key: Its number.
            at: Now.
            why: For the log.

        Raises:
            UnknownError: There is none of that number.
            InputError: It was released or discarded before.
            LedgerError: It could not be written.
        """
        self._access.write(_inbox.discard, key, at, why)
