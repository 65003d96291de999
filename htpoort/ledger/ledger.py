"""
Open the durable record of exchanges, replies and quarantine.

Never does: forget a K, change a message, or acknowledge what is not synced.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Concatenate, Final, ParamSpec, Self, TypeVar, final

import sqlalchemy as sa

from htpoort.core.errors import InputError, Problem
from htpoort.core.exchange import State
from htpoort.ledger import _engine, _schema, _upgrade
from htpoort.ledger._connection import Connections, LedgerPart, reads, soon, writes
from htpoort.ledger._engine import check_url
from htpoort.ledger._overview import Overview
from htpoort.ledger._statement import any_row
from htpoort.ledger.inbox import Fetched, Replies
from htpoort.ledger.outbox import Exchanges
from htpoort.ledger.quarantine import Quarantine
from htpoort.ledger.records import Resting

if TYPE_CHECKING:
    from htpoort.ledger._engine import Database

__all__ = ["Ledger", "Servers"]

T = TypeVar("T")
P = ParamSpec("P")

_SETUP_TRIES: Final = 5
"""How often the set-up is tried, because other machines may do the same at the same time."""
TRANSACTION_TIMEOUT: Final = timedelta(seconds=35)
"""More than the 30 seconds that a transaction waits for a lock, less than the 40 that closing waits."""

_exchanges: Final = _schema.exchanges
_replies: Final = _schema.replies
_resting: Final = _schema.resting


@final
class Ledger(Overview):
    """
    The durable record (*administratie*) of exchanges, replies and quarantine.

    Open one with `open`. Any thread may call. A method that writes returns once its work is committed and synced; its
    twin in ``_soon`` returns a future instead, for an event loop. Times are arguments, aware.

    Attributes:
        exchanges: What is sent.
        replies: What came in and was routed.
        quarantine: What came in and could not be routed.
        fetched: Which mails of POP3 mailboxes are stored.
        servers: Which servers rest after trouble.
        location: The URL of the ledger, without a password.
        new: Whether the ledger was created by opening it.
    """

    def __init__(self, database: Database, *, new: bool) -> None:
        super().__init__(Connections(database))
        self.location = database.location
        self.new = new
        self.exchanges = Exchanges(self._connections)
        self.replies = Replies(self._connections)
        self.quarantine = Quarantine(self._connections)
        self.fetched = Fetched(self._connections)
        self.servers = Servers(self._connections)

    @classmethod
    def open(cls, url: str, *, create: bool = True, transaction_timeout: timedelta = TRANSACTION_TIMEOUT) -> Self:
        """
        Open a ledger; create it or upgrade its tables if needed.

        Args:
            url: ``sqlite:///file.db``, or ``postgresql+psycopg://user:password@host/database``.
            create: Whether to create a ledger that does not exist. Give False in a program that only reads: a new
                ledger in place of one whose disk is not mounted shows that all is well.
            transaction_timeout: How long a transaction may take on PostgreSQL before the server is given up. Creating
                or upgrading tables and pruning may take longer; of a list, each part may take this long.

        Returns:
            The ledger; close it, or use it as a context manager.

        Raises:
            InputError: *transaction_timeout* is not above 0.
            LedgerError: The ledger cannot be opened. The advice says what to do, and never shows a password.
        """
        if transaction_timeout <= timedelta(0):
            message = f"transaction_timeout is {transaction_timeout}; give a time above 0."
            raise InputError("", (Problem("ledger.transaction-timeout", message),))
        database = _engine.database(check_url(url), create=create, transaction_timeout=transaction_timeout)
        try:
            return cls(database, new=_set_up_tables(database, create=create))
        except BaseException:
            database.engine.dispose()
            raise

    def close(self) -> None:
        """
        Write what was handed over, and close the ledger.

        Raises:
            LedgerError: The database did not take everything within 40 seconds. The ledger is closed. The rest is
                written if the database comes back while the process lives, and lost otherwise.
        """
        self._connections.writer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def write(self, operation: Callable[Concatenate[sa.Connection, P], T], /, *args: P.args, **options: P.kwargs) -> T:
        """
        Run an operation of your own in the writer, and wait until it is committed and synced.

        Args:
            operation: Called with a connection in a transaction, perhaps twice; it must do nothing but use the
                connection.
            args: Arguments for it.
            options: Keyword arguments for it.

        Returns:
            Its result.

        Raises:
            LedgerError: The ledger could not be written.
        """
        return self._connections.write(operation, *args, **options)

    def write_soon(
        self, operation: Callable[Concatenate[sa.Connection, P], T], /, *args: P.args, **options: P.kwargs
    ) -> Future[T]:
        """Do what `write` does, and return a future of its result at once."""
        return self._connections.write_soon(operation, *args, **options)

    # ── agents ───────────────────────────────────────────────────────────────

    @property
    def exclusive(self) -> bool:
        """Whether only one agent may use the ledger at a time, as on SQLite."""
        return self._connections.database.exclusive

    def agent_lock(self) -> AbstractContextManager[object]:
        """
        Keep other agents away, if only one may use the ledger; for `htpoort.agent`.

        Returns:
            A context manager that holds the lock, until the process ends at the latest.

        Raises:
            LedgerError: Another agent holds the lock, or the lock file cannot be opened.
        """
        return self._connections.database.agent_lock()

    def shorten_leases(self, *, at: datetime, length: timedelta, longest: timedelta) -> int:
        """
        Shorten leases that end later than any lease can: a clock was ahead. A worker that is alive renews its own.

        Args:
            at: Now.
            length: How long these leases hold from now on.
            longest: The longest lease of any agent of this ledger.

        Returns:
            How many leases were shortened. If there are none, nothing is written.

        Raises:
            LedgerError: The ledger could not be read or written.
        """
        sending = sa.and_(_exchanges.c.state == State.SENDING.value, _exchanges.c.lease > at + longest)
        claimed = sa.and_(_replies.c.owner.is_not(None), _replies.c.delivered.is_(None))
        conditions = (sending, claimed & (_replies.c.lease > at + longest))
        if not self._connections.read(any_row, *conditions):
            return 0
        return self._connections.write(_set_leases, conditions, at + length)


@final
class Servers(LedgerPart):
    """The mail servers that rest after trouble, for `htpoort status`; available as ``ledger.servers``."""

    @writes
    def record_pause(
        self, connection: sa.Connection, name: str, *, since: datetime, next_try: datetime, why: str
    ) -> None:
        """
        Record that a server rests after trouble; a record of another agent is overwritten.

        Args:
            name: The agent's name for the server.
            since: When the trouble began.
            next_try: When the server is tried again.
            why: A sentence without a password.

        Raises:
            LedgerError: The ledger could not be written.
        """
        values = {"since": since, "next_try": next_try, "why": why}
        if connection.execute(sa.update(_resting).where(_resting.c.name == name).values(values)).rowcount == 0:
            connection.execute(sa.insert(_resting), {"name": name, **values})

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
        connection.execute(sa.delete(_resting).where(_resting.c.name == name))

    clear_pause_soon = soon(clear_pause)

    @reads
    def resting(self, connection: sa.Connection) -> tuple[Resting, ...]:
        """
        List the servers that rest.

        Returns:
            The servers as the agents saw them at their last try, those with the oldest trouble first.

        Raises:
            LedgerError: The ledger could not be read.
        """
        rows = connection.execute(sa.select(_resting).order_by(_resting.c.since, _resting.c.name))
        return tuple(Resting(name=row.name, since=row.since, next_try=row.next_try, why=row.why) for row in rows)


def _set_leases(
    connection: sa.Connection, conditions: tuple[sa.ColumnElement[bool], sa.ColumnElement[bool]], until: datetime
) -> int:
    tables = zip((_exchanges, _replies), conditions, strict=True)
    return sum(
        connection.execute(sa.update(table).where(condition).values(lease=until)).rowcount
        for table, condition in tables
    )


def _set_up_tables(database: Database, *, create: bool) -> bool:
    """Create or upgrade the tables if needed; return whether there were none."""
    tries = _SETUP_TRIES
    while True:
        tries -= 1
        try:
            with database.engine.execution_options(writing=True).connect() as connection, connection.begin():
                return _upgrade.upgrade(connection, database, create=create)
        except _engine.DRIVER_ERRORS as error:
            # Another machine may set up the same database at this moment.
            if not tries or not _engine.collided(error):
                raise _engine.translate_driver_error(error, database.location, "Opening") from None
