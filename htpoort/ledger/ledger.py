"""
Open the durable record of exchanges, replies and quarantine.

Never does: forget a K, change a message, or acknowledge what is not synced.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import Future
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Concatenate, Final, ParamSpec, Self, TypeVar, cast, final
from urllib.parse import quote_plus

import sqlalchemy as sa
from sqlalchemy import exc
from sqlalchemy.engine import URL, make_url

from htpoort._extras import how_to_install
from htpoort.core.errors import InputError, LedgerError, Problem
from htpoort.core.exchange import State
from htpoort.ledger import _driver_errors, _schema
from htpoort.ledger._connection import Connections
from htpoort.ledger._knowledge import NoticeReader
from htpoort.ledger._overview import Overview
from htpoort.ledger._sqlite import SqliteFile
from htpoort.ledger._statement import any_row
from htpoort.ledger.inbox import Replies
from htpoort.ledger.notices import Notices
from htpoort.ledger.outbox import Exchanges
from htpoort.ledger.quarantine import Quarantine
from htpoort.ledger.recoveries import Recoveries
from htpoort.ledger.reports import Reports
from htpoort.ledger.servers import Fetched, Servers
from htpoort.ledger.windows import Windows

if TYPE_CHECKING:
    from htpoort.core.notices import NoticeName
    from htpoort.ledger._connection import Database

__all__ = ["SECRET_PARAMETERS", "TRANSACTION_TIMEOUT", "Ledger", "check_url"]

T = TypeVar("T")
P = ParamSpec("P")

_SETUP_TRIES: Final = 5
"""How often the set-up is tried, because other machines may do the same at the same time."""
TRANSACTION_TIMEOUT: Final = timedelta(seconds=35)
"""More than the 30 seconds that a transaction waits for a lock, less than the 40 that closing waits."""

_exchanges: Final = _schema.exchanges
_replies: Final = _schema.replies


@final
class Ledger(Overview):
    """
    The durable record (*administratie*) of exchanges, replies and quarantine.

    Open one with `open`. Its reading methods and pruning (`status`, `story`, `old_system_facts`, …) are inherited from
    `Overview`. Any thread may call. A method that writes returns once its work is committed and synced; its
    twin in ``_soon`` returns a future instead, for an event loop. Times are arguments, aware.

    Attributes:
        exchanges: What is sent.
        replies: What came in and was routed.
        quarantine: What came in and could not be routed.
        fetched: Which mails of POP3 mailboxes are stored.
        servers: Which servers are paused after trouble.
        notices: What was published about service windows and disruptions.
        windows: What is held because of that.
        recoveries: What follows from it for exchanges that were sent.
        reports: Counts and short lists for a report, of all parties or of one.
        location: The URL of the ledger, without a password.
        new: Whether the ledger was created by opening it.
    """

    def __init__(self, database: Database, *, new: bool, notice_names: Iterable[NoticeName] = ()) -> None:
        super().__init__(Connections(database))
        self.location = database.location
        self.new = new
        reader = NoticeReader(notice_names)
        self.notices = Notices(self._connections, reader)
        self.windows = Windows(self._connections, reader)
        self.recoveries = Recoveries(self._connections, reader)
        self.exchanges = Exchanges(self._connections, reader)
        self.replies = Replies(self._connections)
        self.quarantine = Quarantine(self._connections)
        self.fetched = Fetched(self._connections)
        self.servers = Servers(self._connections)
        self.reports = Reports(self._connections)

    @classmethod
    def open(
        cls,
        url: str,
        *,
        create: bool = True,
        transaction_timeout: timedelta = TRANSACTION_TIMEOUT,
        notice_names: Iterable[NoticeName] = (),
    ) -> Self:
        """
        Open a ledger; create it or upgrade its tables if needed.

        Args:
            url: ``sqlite:///file.db``, or ``postgresql+psycopg://user:password@host/database``.
            create: Whether to create a ledger that does not exist. Give False in a program that only reads: a new
                ledger in place of one whose disk is not mounted shows that all is well.
            transaction_timeout: How long a transaction may take on PostgreSQL before the server is given up. Creating
                or upgrading tables and pruning may take longer; of a list, each part may take this long.
            notice_names: Which names that notices print are which systems of the directory.

        Returns:
            The ledger; close it, or use it as a context manager.

        Raises:
            InputError: *url* is not a str, or *transaction_timeout* is not a timedelta above 0.
            LedgerError: The ledger cannot be opened. The advice says what to do, and never shows a password.
        """
        if not isinstance(cast("object", transaction_timeout), timedelta) or transaction_timeout <= timedelta(0):
            message = f"transaction_timeout is {transaction_timeout}; give a timedelta above 0."
            raise InputError("", (Problem("ledger.transaction-timeout", message),))
        database = _database(check_url(url), create=create, transaction_timeout=transaction_timeout)
        try:
            return cls(database, new=_set_up_tables(database, create=create), notice_names=notice_names)
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
                return _schema.upgrade(connection, database, create=create)
        except _driver_errors.DRIVER_ERRORS as error:
            # Another machine may set up the same database at this moment.
            if not tries or not _driver_errors.collided(error):
                raise _driver_errors.translate_driver_error(error, database.location, "opened") from None


# ── the URL ──────────────────────────────────────────────────────────────────

_DRIVERS: Final = ("sqlite", "postgresql+psycopg")
SECRET_PARAMETERS: Final = frozenset({
    "password",
    "sslpassword",
    "oauth_client_secret",
    "scram_client_key",
    "scram_server_key",
})
"""Parameters of libpq in the query of a URL whose values are secret."""
_SHOWN: Final = frozenset({
    *("host", "hostaddr", "port", "dbname", "user", "service", "passfile", "application_name", "client_encoding"),
    *("connect_timeout", "keepalives", "keepalives_idle", "keepalives_interval", "keepalives_count"),
    *("tcp_user_timeout", "target_session_attrs", "load_balance_hosts", "require_auth", "channel_binding"),
    *("sslmode", "sslnegotiation", "sslrootcert", "sslcert", "sslkey", "sslcrl", "ssl_min_protocol_version"),
})
"""
Parameters of libpq that hold no secret. Any other value is hidden: `options` or a misspelt name may hold a secret.
"""
_HIDDEN: Final = "***"


def check_url(url: str) -> URL:
    """
    Check the URL of a ledger and parse it, without opening anything.

    >>> check_url("sqlite:///htpoort.db").database
    'htpoort.db'

    Args:
        url: A URL as `Ledger.open` takes it.

    Returns:
        SQLAlchemy's URL object, which shows no secret when printed.

    Raises:
        InputError: It is not a str.
        LedgerError: It is not a URL, its database is not supported, or it has options for a SQLite file. The advice
            says what to give.
    """
    advice = "Give sqlite:///file.db or postgresql+psycopg://user@host/database."
    # Not the URL itself: a password cannot be recognised in it.
    location = "at the given URL"
    if not isinstance(cast("object", url), str):
        message = f"url is {type(url).__name__}; give a str such as sqlite:///htpoort.db."
        raise InputError("", (Problem("input.type", message),))
    if "\0" in url:
        raise LedgerError(location, "opened", "The URL contains a NUL character; remove it.")
    try:
        parts = make_url(url)
    except (exc.ArgumentError, ValueError):
        raise LedgerError(location, "opened", advice) from None
    if parts.drivername != "sqlite" and "@" in f"{parts.host}{parts.database}":
        advice = "The URL contains more than one @; write each @ of a password as %40."
        raise LedgerError(location, "opened", advice)
    if parts.drivername not in _DRIVERS:
        raise LedgerError(shown(parts), "opened", advice)
    if parts.drivername == "sqlite" and parts.database in {None, "", ":memory:"}:
        raise LedgerError(shown(parts), "opened", "A ledger in memory is lost when the process ends; name a file.")
    if parts.drivername == "sqlite" and parts.query:
        advice = "A SQLite URL takes no options; remove the ? and what follows it."
        raise LedgerError(shown(parts), "opened", advice)
    return _Url(*parts)


def shown(url: URL) -> str:
    """Show a URL without its password, and without values of its query that may be secret."""
    query = {name: value if name in _SHOWN else _HIDDEN for name, value in url.query.items()}
    # Values of a query are quoted in a URL.
    return url.set(query=query).render_as_string(hide_password=True).replace(quote_plus(_HIDDEN), _HIDDEN)


@final
class _Url(URL):
    """A URL that is safe to print; SQLAlchemy's own class hides the password before the host only."""

    __slots__ = ()

    def __repr__(self) -> str:
        # As a plain URL, or this would call itself.
        return shown(URL(*self))

    __str__ = __repr__


def _database(url: URL, *, create: bool, transaction_timeout: timedelta) -> Database:
    """
    Choose the database of a ledger, without connecting to it.

    Args:
        url: The URL of the ledger.
        create: Whether to create a SQLite file, or to use an empty one.
        transaction_timeout: How long a transaction may take on PostgreSQL.

    Raises:
        LedgerError: The SQLite file or its folder does not exist, or the file cannot be created; or the driver of
            PostgreSQL is not installed.
    """
    location = shown(url)
    if url.drivername == "sqlite":
        return SqliteFile(url, location, create=create)
    try:
        from htpoort.ledger._postgresql import Server  # noqa: PLC0415 - its driver is an extra
    except ImportError:
        advice = f"The driver of PostgreSQL is not installed; {how_to_install('postgres')}"
        raise LedgerError(location, "opened", advice) from None
    return Server(url, location, transaction_timeout=transaction_timeout)
