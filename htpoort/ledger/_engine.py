"""
Choose the database of a ledger, and say in one sentence what is wrong with it.

Never does: show a password.
"""

from __future__ import annotations

import errno
import sqlite3
from datetime import timedelta
from typing import Final

from sqlalchemy import exc
from sqlalchemy.engine import URL

from htpoort.errors import LedgerError
from htpoort.ledger._database import Database
from htpoort.ledger._sqlite import SqliteFile
from htpoort.ledger.url import shown

TROUBLE: Final = (exc.SQLAlchemyError, OSError, UnicodeError)
"""What a database raises, and `explained` explains."""

_COLLISIONS: Final = ("40", "23505", "42P07", "42710")
"""
SQLSTATEs: deadlock and its like; a row, a table or another object that another transaction has added just now
(PostgreSQL, Appendix A).
"""
_READ_ONLY: Final = "25006"
"""SQLSTATE: a write in a transaction that only reads."""


def database(url: URL, *, create: bool, transaction_timeout: timedelta) -> Database:
    """
    Make a ledger's database ready. Nothing is connected yet.

    Args:
        url: Of the ledger.
        create: Whether a SQLite file may be made, or an empty one taken.
        transaction_timeout: How long a transaction may take on PostgreSQL.

    Raises:
        LedgerError: There is no folder for the SQLite file; no file, and none may be made; it cannot be made; or the
            driver of PostgreSQL is not installed.
    """
    where = shown(url)
    if url.drivername == "sqlite":
        return SqliteFile(url, where, create=create)
    try:
        from htpoort.ledger._postgresql import Server  # noqa: PLC0415 - its driver is an extra
    except ImportError:
        advice = 'The driver of PostgreSQL cannot be loaded; run: pip install "htpoort[postgres]"'
        raise LedgerError(where, "Opening", advice) from None
    return Server(url, where, transaction_timeout=transaction_timeout)


_SQLITE: Final = {
    sqlite3.SQLITE_BUSY: ("Another program holds the ledger; wait for it or end it.", True),
    sqlite3.SQLITE_LOCKED: ("Another program holds the ledger; wait for it or end it.", True),
    sqlite3.SQLITE_FULL: ("The disk is full; make room.", True),
    sqlite3.SQLITE_IOERR: ("The disk reports an error; check it, nothing is acknowledged meanwhile.", True),
    sqlite3.SQLITE_READONLY: ("The ledger cannot be written; check the rights of file and folder.", False),
    sqlite3.SQLITE_CANTOPEN: ("The file cannot be opened; check the rights of file and folder.", False),
    sqlite3.SQLITE_NOTADB: ("The file is of another program; name another file.", False),
    sqlite3.SQLITE_CORRUPT: ("The database is damaged; restore it from a copy.", False),
}


def collided(error: BaseException) -> bool:
    """Tell whether a transaction met another machine's, and was undone, so that it can be run again."""
    state = str(getattr(error.orig, "sqlstate", None) or "") if isinstance(error, exc.DBAPIError) else ""
    return state.startswith(_COLLISIONS)


def read_only(error: BaseException) -> bool:
    """Tell whether a session takes no writes; it may stay so when the server has long been taking them again."""
    return isinstance(error, exc.DBAPIError) and getattr(error.orig, "sqlstate", None) == _READ_ONLY


def explained(error: BaseException, where: str, operation: str) -> LedgerError:
    """
    Turn what a driver raised into an error that says what to do.

    Args:
        error: Of SQLAlchemy, of a driver or of the system.
        where: The ledger, without a password.
        operation: What was being done.

    Returns:
        The error to raise; *retryable* where the trouble may pass by itself.
    """
    origin = error.orig if isinstance(error, exc.DBAPIError) and error.orig is not None else error
    advice, passing = _advice(error, origin)
    return LedgerError(where, operation, advice, retryable=passing)


def _advice(error: BaseException, origin: BaseException) -> tuple[str, bool]:
    """Say what to do, and whether it may pass by itself."""
    if isinstance(origin, OSError) and origin.errno in {errno.ENOSPC, errno.EIO}:
        return f"The disk reports an error: {origin.strerror}.", True
    if isinstance(origin, sqlite3.Error) and hasattr(origin, "sqlite_errorcode"):
        # The low octet is the kind, the rest the place (sqlite.org/rescode.html).
        return _SQLITE.get(origin.sqlite_errorcode & 0xFF, (f"SQLite reports {origin.sqlite_errorname}.", False))
    return _server_advice(origin) or (
        # A server that is lost gives no SQLSTATE.
        ("The server cannot be reached; check that it runs, and the network.", True)
        if isinstance(error, exc.OperationalError | exc.InterfaceError)
        else (f"The database reports {type(origin).__name__}.", False)
    )


def _server_advice(origin: BaseException) -> tuple[str, bool] | None:
    """Say what a PostgreSQL server, or a pooler before it, wants; None where it gave no reason."""
    if type(origin).__name__ == "TooSlowError":
        # Written for a person, by us; the class is in a module whose driver is an extra.
        return str(origin), True
    # What the driver cannot encode is what the server would refuse.
    unfit = isinstance(origin, UnicodeError)
    text, state = str(origin), "22021" if unfit else str(getattr(origin, "sqlstate", None) or "")
    for words, advice in _POOLERS.items():
        if words in text:
            return advice, False
    for prefix, found in _POSTGRES.items():
        if state.startswith(prefix):
            return found
    # What refuses a connection has no SQLSTATE in libpq; only this word shows that a server answered.
    if "FATAL" in text:
        return "The server answers and refuses: check user name, password, and that the database is there.", True
    return None


# By the first characters of the SQLSTATE (PostgreSQL, Appendix A).
_UNFIT: Final = "The encoding of the database has no room for a character; use a database with ENCODING 'UTF8'."
_POSTGRES: Final = {
    "22021": (_UNFIT, False),
    "22P05": (_UNFIT, False),
    _READ_ONLY: ("The server takes no writes: it is a standby, or was made read-only; wait, or end that.", True),
    "25P03": ("The server ended a transaction that stood idle for too long; try again, or give it more time.", True),
    "55P03": ("Another session holds a lock on it; end that session, or wait for it.", True),
    "57014": ("The server broke it off, by statement_timeout or on somebody's order; try again.", True),
    "42P07": ("Another process creates the tables, or tables of these names are of another program; try again.", True),
    "42501": ("The user may not do this; grant it the rights on the tables.", False),
    "40": ("Two workers stood in each other's way; it will pass.", True),
    "53": ("The server has no room or no free connection; wait, or give it more.", True),
    "57P": ("The server is being stopped; wait until it is back.", True),
}
# By a text of PgBouncer, which gives most of its refusals no SQLSTATE of their own.
_POOLERS: Final = {
    "statement pooling mode": (
        "A pooler stands between and gives each statement to another session; set its pool_mode to transaction."
    ),
    "unsupported startup parameter": (
        "A pooler stands between and does not take a setting of the URL; leave out options, or let it ignore them."
    ),
    'prepared statement "_pg': (
        "A pooler stands between and mixes up prepared statements; set its pool_mode to session."
    ),
}
