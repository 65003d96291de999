"""
Open the database of a ledger, and say in one sentence what is wrong with it.

Never does: show a password, create a folder, or touch a database of another program.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import sqlite3
from collections.abc import Generator
from pathlib import Path
from typing import Final

import sqlalchemy as sa
from sqlalchemy import event, exc
from sqlalchemy.engine import URL, make_url

from htpoort.errors import LedgerError

TROUBLE: Final = (exc.SQLAlchemyError, OSError)
"""What a database raises, and `explained` explains."""

_COLLISIONS: Final = ("40", "23505")
"""SQLSTATEs: deadlock and its like; a row that another transaction has added just now (PostgreSQL, Appendix A)."""
_DRIVERS: Final = ("sqlite", "postgresql+psycopg")
_BUSY_SECONDS: Final = 30
_APPLICATION: Final = 0x68_74_70_6F
"""Marks our SQLite files ("htpo" in ASCII; `PRAGMA application_id`)."""
_MAGIC: Final = b"SQLite format 3\0"


def parsed(text: str) -> URL:
    """
    Read the URL of a ledger.

    Raises:
        LedgerError: It is no URL, or of a database that htpoort does not use.
    """
    advice = "Give sqlite:///file.db or postgresql+psycopg://user@host/database."
    try:
        url = make_url(text)
    except (exc.ArgumentError, ValueError):
        # The text may hold a password that could not be told apart.
        where = "the given URL"
        raise LedgerError(where, "Reading", advice) from None
    if url.drivername not in _DRIVERS:
        raise LedgerError(shown(url), "Opening", advice)
    if url.drivername == "sqlite" and url.database in {None, "", ":memory:"}:
        raise LedgerError(shown(url), "Opening", "A ledger in memory is gone with the process; name a file.")
    return url


def shown(url: URL) -> str:
    """Show a URL without its password."""
    return url.render_as_string(hide_password=True)


def engine(url: URL) -> sa.Engine:
    """
    Make the engine of a ledger. Nothing is opened yet, except that a SQLite file is looked at.

    Raises:
        LedgerError: The SQLite file cannot be there, or is of another program.
    """
    if url.drivername == "sqlite":
        _checked(Path(url.database or ""), shown(url))
        made = sa.create_engine(url, connect_args={"timeout": _BUSY_SECONDS, "check_same_thread": False})
        event.listen(made, "connect", _prepared)
        event.listen(made, "begin", _begun)
        return made
    return sa.create_engine(url, pool_pre_ping=True)


def _checked(path: Path, where: str) -> None:
    """Refuse a missing folder and a foreign file before SQLite writes a word."""
    if not path.parent.is_dir():
        raise LedgerError(where, "Opening", f"There is no folder {path.parent}; create it, or name another file.")
    try:
        with path.open("rb") as file:
            head = file.read(100)
    except FileNotFoundError:
        return
    except OSError as error:
        raise LedgerError(where, "Opening", f"The file cannot be read: {error.strerror}.") from None
    if head and (not head.startswith(_MAGIC) or int.from_bytes(head[68:72], "big") not in {0, _APPLICATION}):
        raise LedgerError(where, "Opening", "The file is of another program; name another file.")


@contextlib.contextmanager
def _locked_file(path: Path, where: str) -> Generator[None]:
    with path.open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            advice = "Another agent works on this ledger; end it, or use PostgreSQL for several."
            raise LedgerError(where, "Locking", advice) from None
        yield


def locked(url: URL, where: str) -> contextlib.AbstractContextManager[None]:
    """
    Keep other agents away from a SQLite file.

    Raises:
        LedgerError: On entering: another agent holds it.
    """
    if url.drivername != "sqlite":
        return contextlib.nullcontext()
    # Beside the file: SQLite's own locks are released when any handle of the process is closed.
    return _locked_file(Path(f"{url.database}-agent"), where)


def _prepared(connection: sqlite3.Connection, _record: object) -> None:
    """Set up one SQLite connection."""
    # Transactions are begun by _begun; the driver's own begin comes too late to lock.
    connection.isolation_level = None
    # In WAL, synchronous=NORMAL loses the last commits at a power cut; FULL syncs each.
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", f"application_id={_APPLICATION}"):
        connection.execute(f"PRAGMA {pragma}").close()


def _begun(connection: sa.Connection) -> None:
    # A reader that turns writer in the middle gets "locked" at once, however long it would wait.
    connection.exec_driver_sql("BEGIN IMMEDIATE" if connection.get_execution_options().get("writing") else "BEGIN")


_SQLITE: Final = {
    sqlite3.SQLITE_BUSY: ("Another program holds the ledger; wait for it or end it.", True),
    sqlite3.SQLITE_LOCKED: ("Another program holds the ledger; wait for it or end it.", True),
    sqlite3.SQLITE_FULL: ("The disk is full; make room.", True),
    sqlite3.SQLITE_IOERR: ("The disk reports an error; check it, nothing is acknowledged meanwhile.", True),
    sqlite3.SQLITE_READONLY: ("The ledger cannot be written; check the rights of file and folder.", False),
    sqlite3.SQLITE_CANTOPEN: ("The file cannot be opened; check the rights of file and folder.", False),
    sqlite3.SQLITE_NOTADB: ("The file is no database; name another file.", False),
    sqlite3.SQLITE_CORRUPT: ("The database is damaged; restore it from a copy.", False),
}


def collided(error: BaseException) -> bool:
    """Tell whether a transaction met another machine's, and was undone, so that it can be run again."""
    state = str(getattr(error.orig, "sqlstate", None) or "") if isinstance(error, exc.DBAPIError) else ""
    return state.startswith(_COLLISIONS)


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
    if isinstance(origin, OSError) and origin.errno in {errno.ENOSPC, errno.EIO}:
        return LedgerError(where, operation, f"The disk reports an error: {origin.strerror}.", retryable=True)
    if isinstance(origin, sqlite3.Error) and hasattr(origin, "sqlite_errorcode"):
        # The low octet is the kind, the rest the place (sqlite.org/rescode.html).
        kind = origin.sqlite_errorcode & 0xFF
        advice, passing = _SQLITE.get(kind, (f"SQLite reports {origin.sqlite_errorname}.", False))
        return LedgerError(where, operation, advice, retryable=passing)
    state = str(getattr(origin, "sqlstate", None) or "")
    for prefix, (advice, passing) in _POSTGRES.items():
        if state.startswith(prefix):
            return LedgerError(where, operation, advice, retryable=passing)
    # What refuses a connection has no SQLSTATE in libpq; only this word tells that a server answered.
    if "FATAL" in str(origin):
        advice = "The server answers and refuses: check user name, password, and that the database is there."
        return LedgerError(where, operation, advice, retryable=True)
    if isinstance(error, exc.OperationalError | exc.InterfaceError):
        advice = "The server cannot be reached; check that it runs, and the network."
        return LedgerError(where, operation, advice, retryable=True)
    return LedgerError(where, operation, f"The database reports {type(origin).__name__}.")


# By the first characters of the SQLSTATE (PostgreSQL, Appendix A).
_POSTGRES: Final = {
    "42501": ("The user may not do this; grant it the rights on the tables.", False),
    "40": ("Two workers stood in each other's way; it will pass.", True),
    "53": ("The server has no room or no free connection; wait, or give it more.", True),
    "57P": ("The server is being stopped; wait until it is back.", True),
}
