"""Recognise the errors of the databases, and explain each in one sentence that says what to do."""

from __future__ import annotations

import errno
import sqlite3
from typing import Final

from sqlalchemy import exc

from htpoort.core.errors import HtpoortError, LedgerError

DRIVER_ERRORS: Final = (exc.SQLAlchemyError, OSError, UnicodeError)
"""The errors of a database, which `translate_driver_error` translates."""

_COLLISIONS: Final = ("40", "23505", "42P07", "42710")
"""
SQLSTATEs of a deadlock and similar conflicts, and of a row, table or other object that another transaction has just
added (PostgreSQL, Appendix A).
"""
_READ_ONLY: Final = "25006"
"""SQLSTATE of a write in a read-only transaction."""
_COPY: Final = (
    "stop every agent. Before you put a copy in its place, read docs/how-to/backup.md: an agent on an older copy sends "
    "again what was sent since."
)
_NO_DATABASE: Final = (
    f"The file belongs to another program, or is damaged. If it was the ledger, {_COPY} If not, name another file."
)

_SQLITE: Final = {
    sqlite3.SQLITE_BUSY: ("Another program has locked the ledger; wait for it or stop it.", True),
    sqlite3.SQLITE_LOCKED: ("Another program has locked the ledger; wait for it or stop it.", True),
    sqlite3.SQLITE_FULL: ("The disk is full; free some space.", True),
    sqlite3.SQLITE_IOERR: ("The disk is full or reports an error; check it. Nothing is acknowledged meanwhile.", True),
    sqlite3.SQLITE_READONLY: ("The ledger cannot be written; check the permissions of file and folder.", False),
    sqlite3.SQLITE_CANTOPEN: ("The file cannot be opened; check the permissions of file and folder.", False),
    sqlite3.SQLITE_NOTADB: (_NO_DATABASE, False),
    sqlite3.SQLITE_CORRUPT: (f"The database is damaged; {_COPY}", False),
}


def collided(error: BaseException) -> bool:
    """Check whether a transaction collided with another machine's and was undone, so that it can be run again."""
    state = str(getattr(error.orig, "sqlstate", None) or "") if isinstance(error, exc.DBAPIError) else ""
    return state.startswith(_COLLISIONS)


def read_only(error: BaseException) -> bool:
    """Check whether a session is read-only; it may stay so after the server accepts writes again."""
    return isinstance(error, exc.DBAPIError) and getattr(error.orig, "sqlstate", None) == _READ_ONLY


def translate_driver_error(error: BaseException, location: str, operation: str) -> HtpoortError:
    """
    Translate an error of a driver into one that says what to do.

    Args:
        error: An error of SQLAlchemy, of a driver or of the operating system.
        location: The URL of the ledger, without a password.
        operation: What could not be done, for `LedgerError`.

    Returns:
        The error to raise; *retryable* if the trouble may pass by itself. An error of our own, about a value of a
        statement, is returned as it is.
    """
    if isinstance(error, exc.StatementError) and isinstance(error.orig, HtpoortError):
        return error.orig
    origin = error.orig if isinstance(error, exc.DBAPIError) and error.orig is not None else error
    advice, retryable = _advice(error, origin)
    return LedgerError(location, operation, advice, retryable=retryable)


def _advice(error: BaseException, origin: BaseException) -> tuple[str, bool]:
    """Return what to do, and whether the trouble may pass by itself."""
    if isinstance(origin, OSError) and origin.errno in {errno.ENOSPC, errno.EIO}:
        return f"The disk reports an error: {origin.strerror}. Free some space, or check the disk.", True
    if isinstance(origin, sqlite3.Error) and hasattr(origin, "sqlite_errorcode"):
        # The low octet is the kind of error, the rest its details (sqlite.org/rescode.html).
        return _SQLITE.get(
            origin.sqlite_errorcode & 0xFF,
            (
                f"SQLite reports {origin.sqlite_errorname}; look it up at sqlite.org/rescode.html, and check the file.",
                False,
            ),
        )
    return _server_advice(origin) or (
        # There is no SQLSTATE if the server is lost.
        ("The server cannot be reached; check that it is running, and the network.", True)
        if isinstance(error, exc.OperationalError | exc.InterfaceError)
        else (_refused(origin), False)
    )


def _refused(origin: BaseException) -> str:
    """Explain an error that nothing else explains."""
    if state := getattr(origin, "sqlstate", None):
        return f"The database refuses it (SQLSTATE {state}); its log says why. Remove the cause, and try again."
    return "The driver refuses it; check the names and values of options in the URL, and see the log of the database."


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
