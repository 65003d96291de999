"""
Open the SQLite file of a ledger, and notice when its name no longer means that file.

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

from htpoort.errors import LedgerError
from htpoort.ledger._database import absent
from htpoort.ledger._lock import AgentLock, Identity, agent_elsewhere, identity

_LOG: Final = logging.getLogger("htpoort.ledger")
_BUSY_SECONDS: Final = 30
_APPLICATION: Final = 0x68_74_70_6F
"""Marks our SQLite files ("htpo" in ASCII; `PRAGMA application_id`)."""
_SWITCHES: Final = 9
_PRIVATE: Final = 0o600
"""Rights of a new ledger, whatever the umask: it holds declarations and replies. SQLite gives its log the same."""
_SUFFIXES: Final = ("", "-wal", "-shm")
"""The files of an open database in WAL mode (sqlite.org/walformat.html, section 1)."""
_OPENED: Final = "htpoort-files"
_CREATING: Final = threading.Lock()
"""Held while a new file is closed: that drops every lock that SQLite has on it in this process."""


@final
class SqliteFile:
    """
    Hold the file of a ledger.

    Its name may come to mean another file while it is open: a copy is moved over it, its folder is replaced, its disk
    is unmounted, a symbolic link is changed. What is committed then is lost with the old file. So each connection
    notes which files it opened, and these are compared with the names before and after each transaction.

    Args:
        url: Of the ledger.
        where: The same for errors.
        create: Whether a file may be made, or an empty one taken.

    Raises:
        LedgerError: There is no folder for the file; no file, and none may be made; or it cannot be made. On
            connecting: the file is of another program, or has a second name. At both moments: an agent has another
            file open by this name.
    """

    exclusive = True

    def __init__(self, url: URL, where: str, *, create: bool) -> None:
        self.where = where
        # Absolute, since a process may change its folder later.
        self._path = Path(url.database or "").absolute()
        self._create = create
        self._first: Identity | None = None
        self._lock: AgentLock | None = None
        self._locking = threading.Lock()
        folder = self._path.parent
        if not folder.is_dir():
            raise LedgerError(where, "Opening", f"There is no folder {folder}; create it, or name another file.")
        self._refuse_moved()
        if not create and not self._path.exists():
            raise absent(where)
        if create:
            self._make()
        self.engine = sa.create_engine(url)
        event.listen(self.engine, "do_connect", self._connect)
        event.listen(self.engine, "connect", self._prepare)
        event.listen(self.engine, "begin", self._begun)

    def _make(self) -> None:
        """Make the file with our rights, where there is none; SQLite would make it readable by everyone."""
        # A link may point to a file that is not there yet.
        path = os.path.realpath(self._path)
        try:
            with _CREATING:
                _touch(path)
        except FileExistsError:
            pass
        except OSError as error:
            advice = f"{path} cannot be created: {error.strerror}. Check the owner and the rights of its folder."
            raise LedgerError(self.where, "Opening", advice) from None

    # ── connections ──────────────────────────────────────────────────────────

    def _connect(self, *_given: object) -> sqlite3.Connection:
        """Connect to the file, and make none: where its name means another by now, that stays as it is."""
        if self._first is None:
            self._refuse_second_name()
            self._refuse_moved()
        elif self._first != identity(self._path):
            raise self._replaced(self._path)
        uri = f"{self._path.as_uri()}?mode=rw"
        return sqlite3.connect(uri, uri=True, timeout=_BUSY_SECONDS, check_same_thread=False)

    def _prepare(self, connection: sqlite3.Connection, record: sa.pool.ConnectionPoolEntry) -> None:
        with contextlib.ExitStack() as failing:
            # No one has it yet who would close it.
            failing.callback(connection.close)
            _set_up(connection, self.where, create=self._create)
            record.info[_OPENED] = opened = _identities(self._path)
            self._first = self._first or opened[0]
            if self._first != opened[0]:
                raise self._replaced(self._path)
            failing.pop_all()

    def _refuse_moved(self) -> None:
        """Refuse a file beside the log of an agent that has another file open: SQLite would remove that log."""
        if agent_elsewhere(self._path):
            advice = (
                f"An agent has another file open than {self._path} means now: its file was moved, replaced or deleted. "
                "Nothing was touched. Put that file back, or stop the agent and look at both files; then try again."
            )
            raise LedgerError(self.where, "Opening", advice, retryable=True)

    def _refuse_second_name(self) -> None:
        """Refuse a file with hard links: SQLite keeps a log for each name (sqlite.org/howtocorrupt.html, 2.5)."""
        with contextlib.suppress(OSError):  # SQLite says why it cannot be opened
            found = self._path.stat()
            if stat.S_ISREG(found.st_mode) and found.st_nlink > 1:
                advice = "The file has a second name (a hard link), by which SQLite would damage it; remove that name."
                raise LedgerError(self.where, "Opening", advice)

    def _begun(self, connection: sa.Connection) -> None:
        self.verify(connection)
        # A reader that turns writer in the middle gets "locked" at once, however long it would wait.
        writing = connection.get_execution_options().get("writing")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")

    def verify(self, connection: sa.Connection) -> None:
        """
        Compare the files that a connection has open with their names.

        Raises:
            LedgerError: One is another file by now, or none; or another agent has taken the ledger.
        """
        for suffix, opened, now in zip(_SUFFIXES, connection.info[_OPENED], _identities(self._path), strict=True):
            if opened != now:
                raise self._replaced(Path(f"{self._path}{suffix}"))
        with self._locking:
            if self._lock is not None and self._lock.lost():
                # A new lock is as good as the old one, unless another agent was quicker.
                found = AgentLock(self._path, self._first, self.where)
                self._lock.close()
                self._lock = found

    def unlimited(self, connection: sa.Connection) -> None:
        """Do nothing: a transaction here has no deadline."""

    def _replaced(self, path: Path) -> LedgerError:
        advice = (
            f"{path} is not the file that was opened: it was moved, replaced or deleted, or its disk was unmounted. "
            "Nothing is acknowledged or sent. Put it back, or stop this process, look at the file, and start again; "
            "until then run no other command on this ledger."
        )
        return LedgerError(self.where, "Checking the file", advice, retryable=True)

    # ── agents ───────────────────────────────────────────────────────────────

    @contextlib.contextmanager
    def agent_lock(self) -> Generator[None]:
        """
        Keep other agents away.

        Raises:
            LedgerError: On entering: another agent holds the lock, or the file for it cannot be opened.
        """
        lock = AgentLock(self._path, self._first, self.where)
        with self._locking:
            self._lock = lock
        try:
            # A group may be meant; everyone can hardly be.
            if lock.mode & stat.S_IRWXO:
                _LOG.warning("Every user of this machine can open %s; run: chmod 600 %s*", self._path, self._path)
            yield
        finally:
            with self._locking:
                # Another one than in the beginning, where that was lost.
                self._lock.close()
                self._lock = None


def _identities(path: Path) -> tuple[Identity | None, ...]:
    return tuple(identity(f"{path}{suffix}") for suffix in _SUFFIXES)


def _set_up(connection: sqlite3.Connection, where: str, *, create: bool) -> None:
    """Set up one SQLite connection."""
    # Transactions are begun by an event; the driver's own begin comes too late to lock.
    connection.isolation_level = None
    ours = _ours(connection, where)
    if not ours and not create:
        raise absent(where)
    _switch_to_wal(connection)
    # In WAL, synchronous=NORMAL loses the last commits at a power cut; FULL syncs each.
    for pragma in ("synchronous=FULL", "foreign_keys=ON", *(() if ours else (f"application_id={_APPLICATION}",))):
        connection.execute(f"PRAGMA {pragma}").close()
    # A log that was switched on just now is opened by the first that reads.
    connection.execute("SELECT count(*) FROM sqlite_master").close()


def _ours(connection: sqlite3.Connection, where: str) -> bool:
    """
    Distinguish a ledger from an empty file, and refuse the file of another program before anything is written.

    Asked through SQLite: a process that opens and closes the file by itself drops every lock that its other
    connections have on it, and another program then removes the log that they write to (sqlite.org/howtocorrupt.html).
    """
    connection.execute("BEGIN").close()  # both answers of one moment, while others create it
    (mark,) = connection.execute("PRAGMA application_id").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    (named,) = connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'htpoort_exchanges'").fetchone()
    connection.execute("ROLLBACK").close()
    if not mark and named:
        # What sqlite3 prints by .dump has the tables without the mark.
        advice = (
            "It has the tables of a ledger and not its mark, which a copy by .dump loses; if it is one, run: "
            f"sqlite3 FILE 'PRAGMA application_id={_APPLICATION}'"
        )
        raise LedgerError(where, "Opening", advice)
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


def _touch(path: str) -> None:
    """Make an empty file that its owner alone may read and write."""
    number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _PRIVATE)
    try:
        # The umask may have taken some away.
        os.fchmod(number, _PRIVATE)
    finally:
        os.close(number)
