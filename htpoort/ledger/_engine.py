"""
Check the URL of a ledger, choose its database, and explain a database's errors in one sentence.

Never does: show a password.
"""

from __future__ import annotations

import errno
import sqlite3
from datetime import timedelta
from typing import TYPE_CHECKING, Final, TypeAlias, final
from urllib.parse import quote_plus

from sqlalchemy import exc
from sqlalchemy.engine import URL, make_url

from htpoort.core.errors import LedgerError
from htpoort.ledger._sqlite import SqliteFile

if TYPE_CHECKING:
    from htpoort.ledger._postgresql import Server

    Database: TypeAlias = SqliteFile | Server

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
        LedgerError: It is not a URL, its database is not supported, or it has options for a SQLite file. The advice
            says what to give.
    """
    advice = "Give sqlite:///file.db or postgresql+psycopg://user@host/database."
    # Not the URL itself: a password cannot be recognised in it.
    location = "the given URL"
    if "\0" in url:
        raise LedgerError(location, "Reading", "It contains a NUL character; remove it.")
    try:
        parts = make_url(url)
    except (exc.ArgumentError, ValueError):
        raise LedgerError(location, "Reading", advice) from None
    if parts.drivername != "sqlite" and "@" in f"{parts.host}{parts.database}":
        raise LedgerError(location, "Reading", "It contains more than one @; write each @ of a password as %40.")
    if parts.drivername not in _DRIVERS:
        raise LedgerError(shown(parts), "Opening", advice)
    if parts.drivername == "sqlite" and parts.database in {None, "", ":memory:"}:
        raise LedgerError(shown(parts), "Opening", "A ledger in memory is lost when the process ends; name a file.")
    if parts.drivername == "sqlite" and parts.query:
        advice = "A SQLite URL takes no options; remove the ? and what follows it."
        raise LedgerError(shown(parts), "Opening", advice)
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


# ── databases ────────────────────────────────────────────────────────────────

DRIVER_ERRORS: Final = (exc.SQLAlchemyError, OSError, UnicodeError)
"""The errors of a database, which `translate_driver_error` translates."""

_COLLISIONS: Final = ("40", "23505", "42P07", "42710")
"""
SQLSTATEs of a deadlock and similar conflicts, and of a row, table or other object that another transaction has just
added (PostgreSQL, Appendix A).
"""
_READ_ONLY: Final = "25006"
"""SQLSTATE of a write in a read-only transaction."""


def database(url: URL, *, create: bool, transaction_timeout: timedelta) -> Database:
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
        advice = 'The driver of PostgreSQL is not installed; run: pip install "htpoort[postgres]"'
        raise LedgerError(location, "Opening", advice) from None
    return Server(url, location, transaction_timeout=transaction_timeout)


_SQLITE: Final = {
    sqlite3.SQLITE_BUSY: ("Another program has locked the ledger; wait for it or stop it.", True),
    sqlite3.SQLITE_LOCKED: ("Another program has locked the ledger; wait for it or stop it.", True),
    sqlite3.SQLITE_FULL: ("The disk is full; free some space.", True),
    sqlite3.SQLITE_IOERR: ("The disk reports an error; check it. Nothing is acknowledged meanwhile.", True),
    sqlite3.SQLITE_READONLY: ("The ledger cannot be written; check the permissions of file and folder.", False),
    sqlite3.SQLITE_CANTOPEN: ("The file cannot be opened; check the permissions of file and folder.", False),
    sqlite3.SQLITE_NOTADB: ("The file belongs to another program; name another file.", False),
    sqlite3.SQLITE_CORRUPT: ("The database is damaged; restore it from a backup.", False),
}


def collided(error: BaseException) -> bool:
    """Check whether a transaction collided with another machine's and was undone, so that it can be run again."""
    state = str(getattr(error.orig, "sqlstate", None) or "") if isinstance(error, exc.DBAPIError) else ""
    return state.startswith(_COLLISIONS)


def read_only(error: BaseException) -> bool:
    """Check whether a session is read-only; it may stay so after the server accepts writes again."""
    return isinstance(error, exc.DBAPIError) and getattr(error.orig, "sqlstate", None) == _READ_ONLY


def translate_driver_error(error: BaseException, location: str, operation: str) -> LedgerError:
    """
    Translate an error of a driver into one that says what to do.

    Args:
        error: An error of SQLAlchemy, of a driver or of the operating system.
        location: The URL of the ledger, without a password.
        operation: What was being done.

    Returns:
        The error to raise; *retryable* if the trouble may pass by itself.
    """
    origin = error.orig if isinstance(error, exc.DBAPIError) and error.orig is not None else error
    advice, retryable = _advice(error, origin)
    return LedgerError(location, operation, advice, retryable=retryable)


def _advice(error: BaseException, origin: BaseException) -> tuple[str, bool]:
    """Return what to do, and whether the trouble may pass by itself."""
    if isinstance(origin, OSError) and origin.errno in {errno.ENOSPC, errno.EIO}:
        return f"The disk reports an error: {origin.strerror}.", True
    if isinstance(origin, sqlite3.Error) and hasattr(origin, "sqlite_errorcode"):
        # The low octet is the kind of error, the rest its details (sqlite.org/rescode.html).
        return _SQLITE.get(origin.sqlite_errorcode & 0xFF, (f"SQLite reports {origin.sqlite_errorname}.", False))
    return _server_advice(origin) or (
        # There is no SQLSTATE if the server is lost.
        ("The server cannot be reached; check that it is running, and the network.", True)
        if isinstance(error, exc.OperationalError | exc.InterfaceError)
        else (f"The database reports {type(origin).__name__}.", False)
    )


def _server_advice(origin: BaseException) -> tuple[str, bool] | None:
    """Explain an error of a PostgreSQL server, or of a pooler in front of it; None if it gave no reason."""
    if type(origin).__name__ == "TooSlowError":
        # Its text is ours; the class is in a module whose driver is an extra.
        return str(origin), True
    # The server would refuse a character that the driver cannot encode.
    unencodable = isinstance(origin, UnicodeError)
    text, state = str(origin), "22021" if unencodable else str(getattr(origin, "sqlstate", None) or "")
    for words, advice in _POOLERS.items():
        if words in text:
            return advice, False
    for prefix, explanation in _POSTGRES.items():
        if state.startswith(prefix):
            return explanation
    # libpq gives no SQLSTATE for a refused connection; only this word shows that a server answered.
    if "FATAL" in text:
        return "The server refused the connection: check user name, password, and that the database exists.", True
    return None


# By the first characters of the SQLSTATE (PostgreSQL, Appendix A).
_UNENCODABLE: Final = "The encoding of the database lacks a character; use a database with ENCODING 'UTF8'."
_POSTGRES: Final = {
    "22021": (_UNENCODABLE, False),
    "22P05": (_UNENCODABLE, False),
    _READ_ONLY: ("The server is read-only: a standby, or set so; wait, or make it writable.", True),
    "25P03": ("The server ended a transaction that was idle for too long; try again, or allow more time.", True),
    "55P03": ("Another session holds a lock on it; end that session, or wait for it.", True),
    "57014": ("The server cancelled it, by statement_timeout or on request; try again.", True),
    "42P07": ("Another process is creating the tables, or another program has tables of these names; try again.", True),
    "42501": ("The user lacks permission; grant it rights on the tables.", False),
    "40": ("Two workers collided; try again.", True),
    "53": ("The server has no space or no free connection left; wait, or give it more.", True),
    "57P": ("The server is shutting down; wait until it is back.", True),
}
# By the text of PgBouncer, which gives most of its refusals no SQLSTATE of their own.
_POOLERS: Final = {
    "statement pooling mode": (
        "A pooler in front of the server runs each statement in another session; set its pool_mode to transaction."
    ),
    "unsupported startup parameter": (
        "A pooler in front of the server does not accept a setting of the URL; remove options, or let it ignore them."
    ),
    'prepared statement "_pg': (
        "A pooler in front of the server mixes up prepared statements; set its pool_mode to session."
    ),
}
