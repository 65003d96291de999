"""
Open the SQLite file of a ledger, and notice when its path no longer refers to that file.

Never does: create a folder, touch a database of another program, or open and close the file itself once SQLite has it.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
import stat
import threading
from collections.abc import Generator
from pathlib import Path
from typing import Final, final

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import URL

from htpoort.core.errors import LedgerError
from htpoort.ledger._agent_lock import AgentLock, Identity, agent_has_other_file, identity

_LOG: Final = logging.getLogger("htpoort.ledger")
_BUSY_SECONDS: Final = 30
_APPLICATION: Final = 0x68_74_70_6F
"""Marks our SQLite files ("htpo" in ASCII; `PRAGMA application_id`)."""
_SWITCHES: Final = 9
_PRIVATE: Final = 0o600
"""Mode of a new ledger, whatever the umask: it holds declarations and replies. SQLite gives its log the same mode."""
_SUFFIXES: Final = ("", "-wal", "-shm")
"""The files of an open database in WAL mode (sqlite.org/walformat.html, section 1)."""
_OPENED: Final = "htpoort-files"
_CREATING: Final = threading.Lock()
"""Held while a new file is closed: closing drops every lock that SQLite has on the file in this process."""


@final
class SqliteFile:
    """
    The file of a ledger.

    Its path may come to refer to another file while it is open: a copy is moved over it, its folder is replaced, its
    disk is unmounted, a symbolic link is changed. Whatever is committed then is lost with the old file. So each
    connection records which files it opened, and they are compared with the paths before and after each transaction.

    Args:
        url: The URL of the ledger.
        location: The same without a password, for errors.
        create: Whether to create the file, or to use an empty one.

    Attributes:
        engine: Opens nothing before its first connection.
        exclusive: Whether only one agent may use the ledger at a time.

    Raises:
        LedgerError: The file or its folder does not exist, or the file cannot be created. On connecting: the file
            belongs to another program, or has a second name. In both cases: an agent has another file open by this
            path.
    """

    exclusive = True

    def __init__(self, url: URL, location: str, *, create: bool) -> None:
        self.location = location
        # Absolute: a process may change its working directory later.
        self._path = Path(url.database or "").absolute()
        self._create = create
        self._first: Identity | None = None
        self._found: Identity | None = None
        self._lock: AgentLock | None = None
        self._locking = threading.Lock()
        folder = self._path.parent
        if not folder.is_dir():
            raise LedgerError(location, "opened", f"There is no folder {folder}; create it, or name another file.")
        self._refuse_moved()
        if not create and not self._path.exists():
            raise no_ledger(location)
        if create:
            self._create_file()
        self.engine = sa.create_engine(url)
        event.listen(self.engine, "do_connect", self._connect)
        event.listen(self.engine, "connect", self._set_up)
        event.listen(self.engine, "begin", self._begin)

    def _create_file(self) -> None:
        """Create the file, if it does not exist, with our mode; SQLite would make it readable by everyone."""
        # A symbolic link may point to a file that does not exist yet.
        path = os.path.realpath(self._path)
        try:
            with _CREATING:
                _touch(path)
        except FileExistsError:
            pass
        except OSError as error:
            advice = f"{path} cannot be created: {error.strerror}. Check the owner and the permissions of its folder."
            raise LedgerError(self.location, "opened", advice) from None

    # ── connections ──────────────────────────────────────────────────────────

    def _connect(self, *_arguments: object) -> sqlite3.Connection:
        """Connect to the file, and never create one: if its path refers to another file by now, leave that alone."""
        if self._first is None:
            self._refuse_second_name()
            self._refuse_moved()
        # Looked up before SQLite opens it: `_set_up` notices a file that takes its place meanwhile.
        self._found = identity(self._path)
        if self._first not in {None, self._found}:
            raise self._replaced(self._path)
        uri = f"{self._path.as_uri()}?mode=rw"
        return sqlite3.connect(uri, uri=True, timeout=_BUSY_SECONDS, check_same_thread=False)

    def _set_up(self, connection: sqlite3.Connection, record: sa.pool.ConnectionPoolEntry) -> None:
        with contextlib.ExitStack() as on_failure:
            # The pool does not have the connection yet, and would not close it.
            on_failure.callback(connection.close)
            _set_pragmas(connection, self.location, create=self._create)
            record.info[_OPENED] = opened = _identities(self._path)
            if opened[0] != (self._first or self._found):
                raise self._replaced(self._path)
            self._first = opened[0]
            on_failure.pop_all()

    def _refuse_moved(self) -> None:
        """Refuse a file next to the log of an agent that has another file open: SQLite would remove that log."""
        if agent_has_other_file(self._path):
            advice = (
                f"An agent has another file open, which used to be {self._path}: it was moved, replaced or deleted. "
                "Nothing was touched. Put that file back, or stop the agent and compare both files; then try again."
            )
            raise LedgerError(self.location, "opened", advice, retryable=True)

    def _refuse_second_name(self) -> None:
        """Refuse a file with hard links: SQLite keeps a log for each name (sqlite.org/howtocorrupt.html, 2.5)."""
        with contextlib.suppress(OSError):  # SQLite reports why it cannot be opened
            status = self._path.stat()
            if stat.S_ISREG(status.st_mode) and status.st_nlink > 1:
                advice = "The file has a second name (a hard link), by which SQLite would damage it; remove that name."
                raise LedgerError(self.location, "opened", advice)

    def _begin(self, connection: sa.Connection) -> None:
        self.verify(connection)
        # A transaction that reads first and writes later fails as "locked" at once, instead of waiting.
        writing = connection.get_execution_options().get("writing")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")

    def verify(self, connection: sa.Connection) -> None:
        """
        Compare the files that a connection has open with their paths; before and after each transaction.

        Raises:
            LedgerError: A path refers to another file by now, or to none; or another agent has taken the ledger.
        """
        for suffix, opened, now in zip(_SUFFIXES, connection.info[_OPENED], _identities(self._path), strict=True):
            if opened != now:
                raise self._replaced(Path(f"{self._path}{suffix}"))
        with self._locking:
            if self._lock is not None and self._lock.lost():
                # A new lock is as good as the old one, unless another agent was quicker.
                lock = AgentLock(self._path, self._first, self.location)
                self._lock.close()
                self._lock = lock

    def lift_time_limit(self, connection: sa.Connection) -> None:
        """Do nothing: transactions have no time limit here."""

    def _replaced(self, path: Path) -> LedgerError:
        advice = (
            f"{path} is not the file that was opened: it was moved, replaced or deleted, or its disk was unmounted. "
            "Nothing is acknowledged or sent. Put it back, or stop this process, check the file, and start again; "
            "until then run no other command on this ledger."
        )
        return LedgerError(self.location, "used", advice, retryable=True)

    # ── agents ───────────────────────────────────────────────────────────────

    @contextlib.contextmanager
    def agent_lock(self) -> Generator[None]:
        """
        Keep other agents away.

        Raises:
            LedgerError: On entering: another agent holds the lock, or the lock file cannot be opened.
        """
        lock = AgentLock(self._path, self._first, self.location)
        with self._locking:
            self._lock = lock
        try:
            # Access for a group may be intended; access for everyone hardly is.
            if lock.mode & stat.S_IRWXO:
                _LOG.warning("Every user of this machine can open %s; run: chmod 600 %s*", self._path, self._path)
            yield
        finally:
            with self._locking:
                # Not the first lock, if that was lost.
                self._lock.close()
                self._lock = None


def _identities(path: Path) -> tuple[Identity | None, ...]:
    return tuple(identity(f"{path}{suffix}") for suffix in _SUFFIXES)


def no_ledger(location: str) -> LedgerError:
    """Make the error for a ledger that does not exist."""
    advice = "check its URL and that its disk is mounted. Only htpoort run, queue and fetch create one."
    return LedgerError(location, "opened", f"There is no ledger; {advice}")


def _set_pragmas(connection: sqlite3.Connection, location: str, *, create: bool) -> None:
    """Set up a SQLite connection."""
    # An event begins each transaction; the driver's own BEGIN comes too late to lock.
    connection.isolation_level = None
    ours = _is_ledger(connection, location)
    if not ours and not create:
        raise no_ledger(location)
    _switch_to_wal(connection)
    # In WAL, synchronous=NORMAL loses the last commits at a power cut; FULL syncs each.
    for pragma in ("synchronous=FULL", "foreign_keys=ON", *(() if ours else (f"application_id={_APPLICATION}",))):
        connection.execute(f"PRAGMA {pragma}").close()
    # SQLite opens a log that was just switched on at the first read.
    connection.execute("SELECT count(*) FROM sqlite_master").close()


def _is_ledger(connection: sqlite3.Connection, location: str) -> bool:
    """
    Distinguish a ledger from an empty file, and refuse the file of another program before anything is written.

    SQLite reads the file for us: a process that opens and closes it by itself drops every lock of its other
    connections, and another program then removes the log that they write to (sqlite.org/howtocorrupt.html).
    """
    connection.execute("BEGIN").close()  # consistent answers while another process creates the tables
    (mark,) = connection.execute("PRAGMA application_id").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    (named,) = connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'htpoort_exchanges'").fetchone()
    connection.execute("ROLLBACK").close()
    if not mark and named:
        # The .dump command of sqlite3 prints the tables without the mark.
        advice = (
            "It has the tables of a ledger but not its mark, which a copy by .dump loses. If it is a ledger, run: "
            f"sqlite3 FILE 'PRAGMA application_id={_APPLICATION}'"
        )
        raise LedgerError(location, "opened", advice)
    if mark != _APPLICATION and (mark or tables):
        raise LedgerError(location, "opened", "The file belongs to another program; name another file.")
    return bool(mark)


def _switch_to_wal(connection: sqlite3.Connection) -> None:
    """Switch to write-ahead logging. The file remembers it, so that only the first connection switches."""
    for _ in range(_SWITCHES):
        try:
            connection.execute("PRAGMA journal_mode=WAL").close()
        except sqlite3.OperationalError:
            # If two connections switch at once, SQLite may refuse both without waiting; a transaction does wait.
            connection.execute("BEGIN IMMEDIATE").close()
            connection.execute("ROLLBACK").close()
        else:
            return
    connection.execute("PRAGMA journal_mode=WAL").close()


def _touch(path: str) -> None:
    """Create an empty file that only its owner may read and write."""
    number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _PRIVATE)
    try:
        # The umask may have removed some permissions.
        os.fchmod(number, _PRIVATE)
    finally:
        os.close(number)
