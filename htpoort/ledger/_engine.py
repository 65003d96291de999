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
from sqlalchemy.engine import URL
from sqlalchemy.engine.interfaces import DBAPIConnection

from htpoort.errors import LedgerError
from htpoort.ledger.url import shown

TROUBLE: Final = (exc.SQLAlchemyError, OSError)
"""What a database raises, and `explained` explains."""

_COLLISIONS: Final = ("40", "23505")
"""SQLSTATEs: deadlock and its like; a row that another transaction has added just now (PostgreSQL, Appendix A)."""
_BUSY_SECONDS: Final = 30
_APPLICATION: Final = 0x68_74_70_6F
"""Marks our SQLite files ("htpo" in ASCII; `PRAGMA application_id`)."""
_SWITCHES: Final = 9
_LIMITS: Final = {
    "connect_timeout": 10,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,  # milliseconds, unlike the others
}
"""What libpq waits for at most, in seconds: a server that is gone without a word is noticed after a minute."""
# Where nobody set another, be it in the URL, for the user or for the database. Idle transactions have no limit: an
# export holds one for as long as its reader takes.
_LOCK_TIMEOUT: Final = "SELECT set_config('lock_timeout', '30s', false) WHERE current_setting('lock_timeout') = '0'"


def engine(url: URL, *, create: bool = True) -> sa.Engine:
    """
    Make the engine of a ledger. Nothing is opened yet.

    Args:
        url: Of the ledger.
        create: Whether a SQLite file may be made, or an empty one taken.

    Raises:
        LedgerError: There is no folder for the SQLite file; or no file, and none is to be made. On connecting: the
            file is of another program.
    """
    if url.drivername != "sqlite":
        limits = {name: value for name, value in _LIMITS.items() if name not in url.query}
        made = sa.create_engine(url, pool_pre_ping=True, connect_args=limits)
        event.listen(made, "connect", _limited)
        return made
    where, folder = shown(url), Path(url.database or "").parent
    if not folder.is_dir():
        raise LedgerError(where, "Opening", f"There is no folder {folder}; create it, or name another file.")
    if not create and not Path(url.database or "").exists():
        raise absent(where)
    made = sa.create_engine(url, connect_args={"timeout": _BUSY_SECONDS, "check_same_thread": False})

    def prepare(connection: sqlite3.Connection, _record: object) -> None:
        try:
            _prepared(connection, where, create=create)
        except BaseException:
            # Nobody has it yet who would close it.
            connection.close()
            raise

    event.listen(made, "connect", prepare)
    event.listen(made, "begin", _begun)
    return made


def absent(where: str) -> LedgerError:
    """Make the error of a ledger that is not there."""
    advice = "check its URL and that its disk is mounted. Only htpoort run, queue and fetch make a new one."
    return LedgerError(where, "Opening", f"No ledger is there; {advice}")


def _limited(connection: DBAPIConnection, _record: object) -> None:
    """Let a new connection to PostgreSQL wait for no lock without an end."""
    try:
        with contextlib.closing(connection.cursor()) as cursor:
            cursor.execute(_LOCK_TIMEOUT)
        connection.commit()
    except BaseException:
        # Nobody has it yet who would close it.
        connection.close()
        raise


@contextlib.contextmanager
def _locked_file(path: Path, where: str) -> Generator[None]:
    with contextlib.ExitStack() as held:
        try:
            file = held.enter_context(path.open("ab"))
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            advice = "Another agent works on this ledger; end it, or use PostgreSQL for several."
            raise LedgerError(where, "Locking", advice) from None
        except OSError as error:
            advice = f"{path} cannot be locked: {error.strerror}. Check its owner and rights, and those of its folder."
            raise LedgerError(where, "Locking", advice) from None
        yield


def locked(url: URL, where: str) -> contextlib.AbstractContextManager[None]:
    """
    Keep other agents away from a SQLite file.

    Raises:
        LedgerError: On entering: another agent holds it, or the file for that cannot be opened.
    """
    if url.drivername != "sqlite":
        return contextlib.nullcontext()
    # Beside the file: SQLite's own locks are released when any handle of the process is closed.
    return _locked_file(Path(f"{url.database}-agent"), where)


def _prepared(connection: sqlite3.Connection, where: str, *, create: bool) -> None:
    """Set up one SQLite connection."""
    # Transactions are begun by _begun; the driver's own begin comes too late to lock.
    connection.isolation_level = None
    ours = _ours(connection, where)
    if not ours and not create:
        raise absent(where)
    _switch_to_wal(connection)
    # In WAL, synchronous=NORMAL loses the last commits at a power cut; FULL syncs each.
    for pragma in ("synchronous=FULL", "foreign_keys=ON", *(() if ours else (f"application_id={_APPLICATION}",))):
        connection.execute(f"PRAGMA {pragma}").close()


def _ours(connection: sqlite3.Connection, where: str) -> bool:
    """
    Tell a ledger from an empty file, and refuse the file of another program before a word is written.

    Asked through SQLite: a process that opens and closes the file by itself drops every lock that its other
    connections have on it, and another program then removes the log that they write to (sqlite.org/howtocorrupt.html).
    """
    connection.execute("BEGIN").close()  # both answers of one moment, while others create it
    (mark,) = connection.execute("PRAGMA application_id").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    connection.execute("ROLLBACK").close()
    if mark != _APPLICATION and (mark or tables):
        raise LedgerError(where, "Opening", "The file is of another program; name another file.")
    return bool(mark)


def _switch_to_wal(connection: sqlite3.Connection) -> None:
    """Keep a log beside the file; the file remembers that, so that only the first switches."""
    for _ in range(_SWITCHES):
        try:
            connection.execute("PRAGMA journal_mode=WAL").close()
        except sqlite3.OperationalError:
            # Of two that switch at once, both may be refused without a wait; a transaction waits for the other.
            connection.execute("BEGIN IMMEDIATE").close()
            connection.execute("ROLLBACK").close()
        else:
            return
    connection.execute("PRAGMA journal_mode=WAL").close()


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
    sqlite3.SQLITE_NOTADB: ("The file is of another program; name another file.", False),
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
    "25P03": ("The server ended a transaction that stood idle for too long; try again, or give it more time.", True),
    "55P03": ("Another session holds a lock on it; end that session, or wait for it.", True),
    "57014": ("The server broke it off, by statement_timeout or on somebody's order; try again.", True),
    "42501": ("The user may not do this; grant it the rights on the tables.", False),
    "40": ("Two workers stood in each other's way; it will pass.", True),
    "53": ("The server has no room or no free connection; wait, or give it more.", True),
    "57P": ("The server is being stopped; wait until it is back.", True),
}
