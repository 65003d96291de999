"""
Keep every declaration and every reply on disk, in a known state.

Never does: forget a K, change a message, or acknowledge what is not synced.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import Future
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from types import TracebackType
from typing import Concatenate, Final, ParamSpec, Self, TypeVar, final

import sqlalchemy as sa

from htpoort.cutover import Standing
from htpoort.errors import InputError, Problem
from htpoort.ledger import _clocks, _engine, _reports, _standings, _version
from htpoort.ledger._access import Access
from htpoort.ledger._database import Database
from htpoort.ledger.exchanges import Exchanges
from htpoort.ledger.fetched import Fetched
from htpoort.ledger.quarantine import Quarantine
from htpoort.ledger.records import Status, Story
from htpoort.ledger.replies import Replies
from htpoort.ledger.servers import Servers
from htpoort.ledger.url import check_url
from htpoort.party import PartyId
from htpoort.routing import SentRecord

__all__ = ["Ledger"]

T = TypeVar("T")
P = ParamSpec("P")

_TRIES: Final = 5
"""Of setting up, where other machines do the same."""
TRANSACTION_TIMEOUT: Final = timedelta(seconds=35)
"""More than the 30 seconds that a lock is waited for, less than the 40 that closing waits."""
RETENTION_DAYS: Final = 7 * 365 + 2
"""Days that nothing younger is pruned: seven years, with their leap days."""


@final
class Ledger:
    """
    Hold the durable record (*administratie*) of exchanges, replies and quarantine.

    Use `open`. A method that writes returns when what it wrote is committed and synced; any thread may
    call. Times are arguments, aware.

    Attributes:
        exchanges: What goes out.
        replies: What came in and was routed.
        quarantine: What came in and could not be routed.
        fetched: Which mails of POP3 mailboxes are stored.
        servers: Which servers rest after trouble.
        where: The ledger's URL, without a password.
        new: Whether there was none before it was opened.
    """

    def __init__(self, database: Database, *, new: bool) -> None:
        self._access = Access(database)
        self.where = database.where
        self.new = new
        self.exchanges = Exchanges(self._access)
        self.replies = Replies(self._access)
        self.quarantine = Quarantine(self._access)
        self.fetched = Fetched(self._access)
        self.servers = Servers(self._access)

    @classmethod
    def open(cls, url: str, *, create: bool = True, transaction_timeout: timedelta = TRANSACTION_TIMEOUT) -> Self:
        """
        Open a ledger; create it, or upgrade its tables, where needed.

        Args:
            url: ``sqlite:///file.db``, or ``postgresql+psycopg://user:password@host/database``.
            create: Whether to make one where none is. Who only looks had better not: an empty ledger in the place of
                one whose disk is not mounted says that all is well.
            transaction_timeout: How long a transaction may take on PostgreSQL, until the server is given up; creating
                or upgrading tables and `prune` may take longer, and of a list each part may take as long.

        Returns:
            The ledger; close it, or use it as a context.

        Raises:
            InputError: *transaction_timeout* is not above 0.
            LedgerError: It cannot be opened; says what to do, and never shows a password.
        """
        if transaction_timeout <= timedelta(0):
            message = f"transaction_timeout is {transaction_timeout}; give a time above 0."
            raise InputError("", (Problem("ledger.transaction-timeout", message),))
        database = _engine.database(check_url(url), create=create, transaction_timeout=transaction_timeout)
        try:
            return cls(database, new=_created(database, create=create))
        except BaseException:
            database.engine.dispose()
            raise

    def close(self) -> None:
        """
        Write what was handed over, and close.

        Raises:
            LedgerError: The database has not taken all of it within 40 seconds. The ledger is closed; what is left is
                written if the database comes back while the process lives, and is lost otherwise.
        """
        self._access.writer.close()

    def soon(
        self, operation: Callable[Concatenate[sa.Connection, P], T], /, *args: P.args, **options: P.kwargs
    ) -> Future[T]:
        """
        Run an operation of one's own in the writer, committed together with others.

        Args:
            operation: Called with a connection in a transaction, perhaps twice: do nothing in it but use the
                connection.
            args: Given to it.
            options: Given to it.

        Returns:
            What it returned, once that is committed and synced.
        """
        return self._access.soon(operation, *args, **options)

    @property
    def exclusive(self) -> bool:
        """Whether only one agent may use it at a time: on SQLite."""
        return self._access.database.exclusive

    def disbelieve_leases(self, *, at: datetime, length: timedelta, longest: timedelta) -> int:
        """
        Shorten leases that end at a moment that no lease leads to: a clock was ahead.

        Args:
            at: Now.
            length: How long a lease holds from now on; a worker that lives renews it meanwhile.
            longest: What no agent of this ledger has a longer lease than.

        Returns:
            How many leases were shortened. Nothing is written where there is none.

        Raises:
            LedgerError: It could not be read or written.
        """
        meant = _clocks.leased(at + longest)
        if not self._access.read(_clocks.any_there, *meant):
            return 0
        return self._access.write(_clocks.leases, meant, at + length)

    def agent_lock(self) -> AbstractContextManager[object]:
        """
        Keep other agents away, where only one may be; for `htpoort.agent`.

        Returns:
            A context that holds the lock; it goes with the process, however that ends.

        Raises:
            LedgerError: Another agent holds it, or the file for that cannot be opened.
        """
        return self._access.database.agent_lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def sent(self, reference: str) -> list[SentRecord]:
        """
        Say what was queued under a K; give this to a `Router` as *sent*.

        Args:
            reference: K, exactly.

        Returns:
            A record for each party that used it.

        Raises:
            LedgerError: It could not be read.
        """
        return self._access.read(_reports.sent, reference)

    def status(self) -> Status:
        """
        Count what is there.

        Returns:
            Counts by system and state, the oldest that is open, what waits.

        Raises:
            LedgerError: It could not be read.
        """
        return self._access.read(_reports.status)

    def standings(self, parties: Iterable[PartyId | str]) -> dict[tuple[str, str], Standing]:
        """
        Tell how parties stand with systems, for the reports of `htpoort.cutover`.

        Args:
            parties: Whom to tell about, in any case; nobody else's rows are read.

        Returns:
            By V in lower case and the name of the system; only what there is.

        Raises:
            LedgerError: It could not be read.
        """
        return self._access.read(_standings.standings, map(str, parties))

    def last_reply(self, system: str, *, after: datetime) -> datetime | None:
        """
        Tell when a system last replied, to whichever party; a reply that came again counts too.

        Args:
            system: Its name, as in the directory.
            after: Only what came later, aware.

        Returns:
            The moment, or None. A message that is in quarantine is no reply yet; one that is released came then.

        Raises:
            LedgerError: It could not be read.
        """
        return self._access.read(_reports.last_reply, system, after)

    def story(self, reference: str, *, party: str | None = None) -> tuple[Story, ...]:
        """
        Tell everything about a K.

        Args:
            reference: K.
            party: V, in any case; every party where not given.

        Returns:
            One story for each exchange; then one for each system and party with replies that answer none of them.

        Raises:
            UnknownError: No exchange and no reply has this K.
            LedgerError: It could not be read.
        """
        return self._access.read(_reports.story, party, reference)

    def prune(self, *, before: datetime, at: datetime, days: int = RETENTION_DAYS, dry: bool = True) -> dict[str, int]:
        """
        Remove what is over and old. That a K was used is never forgotten.

        Args:
            before: What ended before this.
            at: Now.
            days: Refuse to reach into the last so many days.
            dry: Remove nothing, only count.

        Returns:
            How many events, replies, quarantined messages, shadows and messages of exchanges.

        Raises:
            InputError: *before* is within the retention.
            LedgerError: It could not be written.
        """
        _reports.refuse_short(before, at, days)
        if dry:
            return self._access.read(self._unlimited, _reports.prunable, before)
        return self._access.write(self._unlimited, _reports.prune, before)

    def _unlimited(
        self, connection: sa.Connection, work: Callable[[sa.Connection, datetime], T], before: datetime
    ) -> T:
        """Do what takes long on a large ledger, and what a person waits for."""
        self._access.database.unlimited(connection)
        return work(connection, before)


def _created(database: Database, *, create: bool) -> bool:
    """Create or upgrade the tables where needed; gives whether there were none."""
    tries = _TRIES
    while True:
        tries -= 1
        try:
            with database.engine.execution_options(writing=True).connect() as connection, connection.begin():
                return _version.upgrade(connection, database, create=create)
        except _engine.TROUBLE as error:
            # An older version may set up the same database now, without our lock.
            if not tries or not _engine.collided(error):
                raise _engine.explained(error, database.where, "Opening") from None
