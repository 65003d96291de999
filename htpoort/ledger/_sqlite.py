"""
The SQLite file of a ledger: open it, let one agent at a time work on it, and notice when its path refers to another.

Never does: create a folder, touch a database of another program, or open and close the file itself once SQLite has it.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import sqlite3
import stat
import threading
import time
from collections.abc import Generator
from pathlib import Path
from typing import Final, final

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import URL

from htpoort import _log
from htpoort.core.errors import LedgerError

_LOG: Final = logging.getLogger("htpoort.ledger")
_PRIVATE: Final = 0o600
_TRIES: Final = 500
"""How often an agent tries to lock, while other processes only check whether an agent has the lock."""
_CHECKS: Final = 5
"""How often another process checks: an agent that starts has the lock shortly before it records its file."""
_PAUSE: Final = 0.002
"""Seconds between tries; another process checks the lock for some microseconds."""
_LINE: Final = 100
"""Octets to read: more than two numbers of 64 bits take."""

Identity = tuple[int, int]
"""Device and inode: the file itself, whatever its names."""


@final
class AgentLock:
    """
    The lock of an agent, on a file next to the ledger.

    The lock is not on the ledger itself: SQLite's own locks are released when any handle of the process is closed. It
    is next to the file that a symbolic link points to, so that agents which know a ledger by different names find the
    same lock. The lock file records which file the agent has open, because other processes must leave the log of that
    file alone.

    Args:
        ledger: The path of the ledger.
        opened: The file that the agent has open by this path.
        location: The URL of the ledger, for errors.

    Attributes:
        path: The path of the lock file.
        mode: The mode of the ledger. The lock file gets the same one: a user who can open it can keep every agent away.

    Raises:
        LedgerError: Another agent holds the lock, or the lock file cannot be opened.
    """

    def __init__(self, ledger: Path, opened: Identity | None, location: str) -> None:
        self.path = _lock_file(ledger)
        self._location = location
        try:
            self.mode = stat.S_IMODE(ledger.stat().st_mode)
            self._number = os.open(self.path, os.O_RDWR | os.O_CREAT, _PRIVATE)
        except OSError as error:
            raise self._unusable(error) from None
        try:
            _lock(self._number)
            self._held = os.fstat(self._number)
            with contextlib.suppress(PermissionError):  # if the file belongs to another user
                os.fchmod(self._number, self.mode)
        except OSError as error:
            self.close()
            raise self._unusable(error) from None
        self._record(opened)

    def _record(self, opened: Identity | None) -> None:
        """Record which file the agent has open; a full disk must not stop the agent."""
        try:
            os.ftruncate(self._number, 0)
            if opened is not None:
                os.pwrite(self._number, b"%d %d\n" % opened, 0)
        except OSError as error:
            _LOG.warning(
                "%s cannot be written: %s. If the ledger is replaced, other processes will not notice.",
                *(self.path, error.strerror),
                extra=_log.event("ledger.lock-not-written", file=self.path, why=error.strerror),
            )

    def _unusable(self, error: OSError) -> LedgerError:
        if isinstance(error, BlockingIOError):
            advice = "Another agent is using this ledger; stop it, or use PostgreSQL to run several."
            return LedgerError(self._location, "locked", advice)
        advice = f"{self.path} cannot be locked: {error.strerror}. Check its owner and permissions, and its folder's."
        return LedgerError(self._location, "locked", advice)

    def lost(self) -> bool:
        """Check whether the path of the lock file refers to another file by now, which another agent may lock."""
        return (self._held.st_dev, self._held.st_ino) != identity(self.path)

    def close(self) -> None:
        """Release the lock."""
        os.close(self._number)


def identity(path: Path | str) -> Identity | None:
    """Look up which file a path refers to; None if there is none or it cannot be read."""
    try:
        status = os.stat(path)  # noqa: PTH116 - twice as fast as Path.stat, and run for each transaction
    except OSError:
        return None
    return status.st_dev, status.st_ino


def agent_has_other_file(ledger: Path) -> bool:
    """
    Check whether a running agent opened another file by this path; it needs the log next to the path.

    Args:
        ledger: The path of the ledger, which need not exist.

    Returns:
        Whether the lock file shows such an agent.
    """
    lock = _lock_file(ledger)
    # An agent that is just starting has the lock shortly before it records its file.
    for _ in range(_CHECKS):
        if not _held_for_another(lock, ledger):
            return False
        time.sleep(_PAUSE)
    return True


def _lock_file(ledger: Path) -> Path:
    return Path(f"{os.path.realpath(ledger)}-agent")


def _held_for_another(lock: Path, ledger: Path) -> bool:
    try:
        number = os.open(lock, os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        recorded = os.read(number, _LINE).split()
        if not recorded or recorded == [b"%d" % part for part in identity(ledger) or ()]:
            return False
        # Only in this case, and released at once. Closing this handle does not release an agent's lock.
        fcntl.flock(number, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(number)
    return False


def _lock(number: int) -> None:
    """
    Take the lock exclusively.

    Raises:
        BlockingIOError: Another agent holds it.
    """
    for _ in range(_TRIES):
        try:
            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            # Fails if an agent holds the lock. Otherwise another process is only checking it, for a moment.
            fcntl.flock(number, fcntl.LOCK_SH | fcntl.LOCK_NB)
            fcntl.flock(number, fcntl.LOCK_UN)
            time.sleep(_PAUSE)
        else:
            return
    fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)


_BUSY_SECONDS: Final = 30
_APPLICATION: Final = 0x68_74_70_6F
"""Marks our SQLite files ("htpo" in ASCII; `PRAGMA application_id`)."""
_SWITCHES: Final = 9
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
                _LOG.warning(
                    "Every user of this machine can open %s; run: chmod 600 %s*",
                    *(self._path, self._path),
                    extra=_log.event("ledger.open-to-all", file=self._path),
                )
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
    advice = "check its URL and that its disk is mounted. Only htpoort init, run, queue and fetch create one."
    return LedgerError(location, "opened", f"There is no ledger; {advice}", is_missing=True)


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
