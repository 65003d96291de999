"""
Remember how mail servers and mailboxes are.

Never does: connect to one.
"""

from __future__ import annotations

from concurrent.futures import Future
from datetime import datetime
from typing import final

from htpoort.ledger import _resting
from htpoort.ledger._access import Access
from htpoort.ledger.records import Resting

__all__ = ["Servers"]


@final
class Servers:
    """Hold which servers rest after trouble; reached as ``ledger.servers``."""

    def __init__(self, access: Access) -> None:
        self._access = access

    def rests_soon(self, name: str, *, since: datetime, next_try: datetime, why: str) -> Future[None]:
        """
        Note that a server rests after trouble.

        Args:
            name: What to call it.
            since: When the trouble began.
            next_try: When it is tried again.
            why: A sentence, without a password.

        Returns:
            Done when it is synced.
        """
        return self._access.soon(_resting.rests, name, since, next_try, why)

    def works_soon(self, name: str) -> Future[None]:
        """
        Note that a server works.

        Args:
            name: As `rests_soon` was given it.

        Returns:
            Done when it is synced.
        """
        return self._access.soon(_resting.works, name)

    def resting(self) -> tuple[Resting, ...]:
        """
        List the servers that rest.

        Returns:
            Those with the oldest trouble first; as the agents saw it at their last try.

        Raises:
            LedgerError: It could not be read.
        """
        return self._access.read(_resting.resting)
