"""
Let one agent at a time work on the file of a ledger, and record on which file it works.

Never does: open the ledger itself.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import stat
import time
from pathlib import Path
from typing import Final, final

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
                self.path,
                error.strerror,
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
