"""
Look at what is in quarantine, release it or discard it.

Never does: throw a message away; what is discarded stays readable.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import final

from htpoort.directory import HTPOORT, Directory
from htpoort.ledger import _inbox, _release, _reports
from htpoort.ledger._access import Access
from htpoort.ledger.records import Entry, Held, HeldState, HeldSummary, Stored
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

    def summaries(self, state: HeldState | None = HeldState.HELD) -> Iterator[HeldSummary]:
        """
        List the quarantine without the messages, oldest first: however many they are, in the same memory.

        Args:
            state: Only these; None for all.

        Returns:
            What is known of each message, read as it is asked for.

        Raises:
            LedgerError: They could not be read.
        """
        return self._access.stream(_reports.held_summaries, state)

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

    def log(self, key: int) -> tuple[Entry, ...]:
        """
        Give what happened to a message in quarantine: when it came, and what a person decided and why.

        Args:
            key: Its number.

        Returns:
            The entries of the log of events, oldest first.

        Raises:
            UnknownError: There is none of that number.
            LedgerError: It could not be read.
        """
        return self._access.read(_reports.held_log, key)

    def release(self, key: int, found: Routed, *, at: datetime, directory: Directory = HTPOORT) -> Stored:
        """
        Give a message in quarantine to the process that a person chose.

        Refused is what is known to be wrong: the K was sent by another party or to another system; the message came
        from another system's mailbox or under its process ID; or A in its envelope names another party. So is a K that
        cannot have been sent.

        Args:
            key: Its number.
            found: Where it belongs. What its *correlation* says is not used; the ledger knows.
            at: Now.
            directory: Says of which system a mailbox or process ID is; give yours if you have systems of your own.

        Returns:
            What became of it.

        Raises:
            UnknownError: There is none of that number.
            InputError: It was released or discarded before, or what is known contradicts the choice; the codes are
                ``release.other-party``, ``release.other-system`` and ``release.reference``. Nothing has changed.
            LedgerError: It could not be written.
        """
        return self._access.write(_release.release, key, found, at, directory, None)

    def release_despite(
        self, key: int, found: Routed, *, reason: str, at: datetime, directory: Directory = HTPOORT
    ) -> Stored:
        """
        Give a message in quarantine to a process, even if what is known contradicts that.

        It cannot be taken back. If the K is another party's, or went to another system, the reply settles nothing.

        Args:
            key: Its number.
            found: Where it belongs.
            reason: Why; logged with what it overrides.
            at: Now.
            directory: As for `release`.

        Returns:
            What became of it.

        Raises:
            UnknownError: There is none of that number.
            InputError: It was released or discarded before, *reason* is blank, or K cannot have been sent.
            LedgerError: It could not be written.
        """
        return self._access.write(_release.release, key, found, at, directory, reason)

    def discard(self, key: int, *, at: datetime, why: str) -> None:
        """
        Mark a message in quarantine as being for no process; it stays readable.

        Args:
            key: Its number.
            at: Now.
            why: For the log.

        Raises:
            UnknownError: There is none of that number.
            InputError: It was released or discarded before, or *why* is blank.
            LedgerError: It could not be written.
        """
        self._access.write(_inbox.discard, key, at, why)
