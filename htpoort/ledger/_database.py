"""
Say what a ledger needs of its database, whichever it is.

Never does: open one.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Protocol

import sqlalchemy as sa

from htpoort.errors import LedgerError


class Database(Protocol):
    """A SQLite file or a PostgreSQL server."""

    engine: sa.Engine
    """Nothing is opened before its first connection."""
    where: str
    """Its name for errors, without a password."""
    exclusive: bool
    """Whether only one agent may use it at a time."""

    def verify(self, connection: sa.Connection) -> None:
        """
        Check that what a connection has open is still what its name means; before and after a transaction.

        Raises:
            LedgerError: It is not, or an agent that worked alone does so no longer.
        """

    def unlimited(self, connection: sa.Connection) -> None:
        """Let this transaction take its time: it would never end otherwise, and a person waits for it."""

    def agent_lock(self) -> AbstractContextManager[None]:
        """
        Keep other agents away, where only one may be.

        Raises:
            LedgerError: On entering: another agent holds the lock, or it cannot be had.
        """
        ...


def absent(where: str) -> LedgerError:
    """Make the error of a ledger that is not there."""
    advice = "check its URL and that its disk is mounted. Only htpoort run, queue and fetch make a new one."
    return LedgerError(where, "Opening", f"No ledger is there; {advice}")
