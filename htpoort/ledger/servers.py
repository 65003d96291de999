"""Remember about mail servers which mails of a mailbox are stored, and which server is paused after trouble."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Final, final

import sqlalchemy as sa

from htpoort.ledger import _schema
from htpoort.ledger._connection import LedgerPart, reads, soon, writes
from htpoort.ledger.records import PausedServer

__all__ = ["Fetched", "Servers"]

_fetched: Final = _schema.fetched
_paused: Final = _schema.paused_servers
_orders: Final = _schema.resume_orders


@final
class Fetched(LedgerPart):
    """The UIDLs of mails that are stored, so that none is stored twice; available as ``ledger.fetched``."""

    @reads
    def known(self, connection: sa.Connection, account: str) -> frozenset[str]:
        """
        List the mails of a POP3 account that are stored and may still be in its mailbox.

        Args:
            account: The account, as `Replies.take_in` got it.

        Returns:
            Their UIDLs.

        Raises:
            LedgerError: The ledger could not be read.
        """
        return frozenset(connection.execute(sa.select(_fetched.c.uidl).where(_fetched.c.account == account)).scalars())

    @writes
    def forget(self, connection: sa.Connection, account: str, gone: Iterable[str]) -> None:
        """
        Forget mails that are no longer in a POP3 mailbox: another mail may get their UIDL (RFC 1939, section 7).

        Args:
            account: The account, as `Replies.take_in` got it.
            gone: Their UIDLs.

        Raises:
            LedgerError: The ledger could not be written.
        """
        for uidl in gone:
            connection.execute(sa.delete(_fetched).where(_fetched.c.account == account, _fetched.c.uidl == uidl))

    forget_soon = soon(forget)


def remember(connection: sa.Connection, account: str, uidl: str, *, at: datetime) -> bool:
    """Record that a mail is stored, in the same transaction as the mail; return whether its UIDL was new."""
    known = sa.select(_fetched.c.at).where(_fetched.c.account == account, _fetched.c.uidl == uidl)
    # Equal mails may share a UIDL (RFC 1939, section 7), and a mail may come again after a session that broke.
    if connection.execute(known).first() is not None:
        return False
    connection.execute(sa.insert(_fetched), {"account": account, "uidl": uidl, "at": at})
    return True


@final
class Servers(LedgerPart):
    """The mail servers that are paused after trouble, for `htpoort status`; available as ``ledger.servers``."""

    @writes
    def record_pause(  # noqa: PLR0913 - the columns
        self, connection: sa.Connection, name: str, *, since: datetime, next_try: datetime, why: str, failures: int = 1
    ) -> None:
        """
        Record that a server is paused after trouble; a record of another agent is overwritten.

        Args:
            name: The agent's name for the server.
            since: When the trouble began.
            next_try: When the server is tried again.
            why: A sentence without a password.
            failures: How often it has failed in a row.

        Raises:
            LedgerError: The ledger could not be written.
        """
        values = {"since": since, "next_try": next_try, "why": why, "failures": failures}
        if connection.execute(sa.update(_paused).where(_paused.c.name == name).values(values)).rowcount == 0:
            connection.execute(sa.insert(_paused), {"name": name, **values})

    record_pause_soon = soon(record_pause)

    @writes
    def clear_pause(self, connection: sa.Connection, name: str) -> None:
        """
        Record that a server works.

        Args:
            name: The name that `record_pause` got.

        Raises:
            LedgerError: The ledger could not be written.
        """
        connection.execute(sa.delete(_paused).where(_paused.c.name == name))

    clear_pause_soon = soon(clear_pause)

    @writes
    def clear_pauses(
        self, connection: sa.Connection, *, due_before: datetime | None = None, keep: Collection[str] = ()
    ) -> None:
        """
        Forget the pauses that earlier agents recorded, perhaps of servers that are no longer configured.

        Args:
            due_before: Only those whose next try was before this moment. Give it if other agents use the ledger: an
                agent that runs records a server again at each try.
            keep: Names of servers whose pauses stay.

        Raises:
            LedgerError: The ledger could not be written.
        """
        # Without a condition SQLite writes even if there is no row, which a full disk would refuse.
        condition = _paused.c.name.is_not(None) if due_before is None else _paused.c.next_try < due_before
        connection.execute(sa.delete(_paused).where(condition, _paused.c.name.not_in(keep)))

    clear_pauses_soon = soon(clear_pauses)

    @reads
    def paused(self, connection: sa.Connection) -> tuple[PausedServer, ...]:
        """
        List the servers that are paused.

        Returns:
            The servers as the agents saw them at their last try, those with the oldest trouble first.

        Raises:
            LedgerError: The ledger could not be read.
        """
        rows = connection.execute(sa.select(_paused).order_by(_paused.c.since, _paused.c.name))
        return tuple(
            PausedServer(name=row.name, since=row.since, next_try=row.next_try, why=row.why, failures=row.failures)
            for row in rows
        )

    @writes
    def resume(self, connection: sa.Connection, *names: str, at: datetime) -> tuple[str, ...]:
        """
        Order the agents to try paused servers at once; an agent that runs obeys at its next poll of the ledger.

        Args:
            names: The agents' names of the servers; all that are paused if none is given.
            at: Now.

        Returns:
            The names of those that are paused, which are tried now.

        Raises:
            LedgerError: The ledger could not be written.
        """
        paused = connection.execute(sa.select(_paused.c.name).order_by(_paused.c.name)).scalars()
        ordered = tuple(name for name in paused if not names or name in names)
        for name in ordered:
            connection.execute(sa.update(_paused).where(_paused.c.name == name).values(next_try=at))
            values = {"number": _orders.c.number + 1, "at": at}
            if connection.execute(sa.update(_orders).where(_orders.c.name == name).values(values)).rowcount == 0:
                connection.execute(sa.insert(_orders), {"name": name, "number": 1, "at": at})
        return ordered

    @reads
    def resume_orders(self, connection: sa.Connection) -> dict[str, int]:
        """
        Count the orders to resume, so that an agent finds a new one.

        Returns:
            By the name of each server, how many orders there were.

        Raises:
            LedgerError: The ledger could not be read.
        """
        return {row.name: row.number for row in connection.execute(sa.select(_orders.c.name, _orders.c.number))}
