"""
Let one agent at a time work on the file of a ledger, and say on which file it works.

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

from htpoort.errors import LedgerError

_LOG: Final = logging.getLogger("htpoort.ledger")
_PRIVATE: Final = 0o600
_TRIES: Final = 500
"""Of an agent to lock, while other processes only check whether an agent has the lock."""
_CHECKS: Final = 5
"""Of another process, so that an agent that starts has the time to write what it opened."""
_PAUSE: Final = 0.002
"""Seconds between tries; another process checks the lock for some microseconds."""
_LINE: Final = 100
"""Octets, more than two numbers of 64 bits have."""

Identity = tuple[int, int]
"""Device and inode: the file itself, whatever its names."""


@final
class AgentLock:
    """
    Hold the lock of an agent, in a file beside the ledger.

    Not on the ledger itself: SQLite's own locks are released when any handle of the process is closed. And beside the
    file that a symbolic link points to: agents that were given different names of a ledger must meet here. The file
    says which ledger the agent has open, because other processes must leave the log of that one alone.

    Args:
        ledger: Its file.
        opened: The file that the agent has open by this name.
        where: Its name for errors.

    Attributes:
        path: Of the file beside it.
        mode: The rights of the ledger, which the lock is given too: a user who can open it could keep every agent away.

    Raises:
        LedgerError: Another agent holds it, or the file cannot be opened.
    """

    def __init__(self, ledger: Path, opened: Identity | None, where: str) -> None:
        self.path = _beside(ledger)
        self._where = where
        try:
            self.mode = stat.S_IMODE(ledger.stat().st_mode)
            self._number = os.open(self.path, os.O_RDWR | os.O_CREAT, _PRIVATE)
        except OSError as error:
            raise self._unusable(error) from None
        try:
            _lock(self._number)
            self._held = os.fstat(self._number)
            with contextlib.suppress(PermissionError):  # of another user's file
                os.fchmod(self._number, self.mode)
        except OSError as error:
            self.close()
            raise self._unusable(error) from None
        self._record(opened)

    def _record(self, opened: Identity | None) -> None:
        """Write which file the agent has open; a disk that is full must not stop the agent."""
        try:
            os.ftruncate(self._number, 0)
            if opened is not None:
                os.pwrite(self._number, b"%d %d\n" % opened, 0)
        except OSError as error:
            _LOG.warning(
                "%s cannot be written: %s. Other processes cannot notice it if the ledger is replaced.",
                self.path,
                error.strerror,
            )

    def _unusable(self, error: OSError) -> LedgerError:
        if isinstance(error, BlockingIOError):
            advice = "Another agent works on this ledger; end it, or use PostgreSQL for several."
            return LedgerError(self._where, "Locking", advice)
        advice = f"{self.path} cannot be locked: {error.strerror}. Check its owner and rights, and those of its folder."
        return LedgerError(self._where, "Locking", advice)

    def lost(self) -> bool:
        """Check whether the name of the file means another by now, which another agent may lock."""
        return (self._held.st_dev, self._held.st_ino) != identity(self.path)

    def close(self) -> None:
        """Let other agents in."""
        os.close(self._number)


def identity(path: Path | str) -> Identity | None:
    """Look up which file a name means; None where that cannot be known."""
    try:
        found = os.stat(path)  # noqa: PTH116 - twice as fast as Path.stat, and run for each transaction
    except OSError:
        return None
    return found.st_dev, found.st_ino


def agent_elsewhere(ledger: Path) -> bool:
    """
    Check whether an agent has another file open than a path means now; it needs the log beside that path.

    Args:
        ledger: The path. No file need be there.

    Returns:
        Whether a living agent opened another file by this path. False where the lock does not say so: an agent of an
        older version writes nothing into it.
    """
    lock = _beside(ledger)
    # An agent that starts at this moment has the lock shortly before it writes into it.
    for _ in range(_CHECKS):
        if not _held_for_another(lock, ledger):
            return False
        time.sleep(_PAUSE)
    return True


def _beside(ledger: Path) -> Path:
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
        # Taken only in this case, and given back at once. Closing another handle releases no lock of an agent.
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
    Take the lock for an agent alone.

    Raises:
        BlockingIOError: Another agent has it.
    """
    for _ in range(_TRIES):
        try:
            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            # Fails where an agent has it. Otherwise another process only checks it, and is done in a moment.
            fcntl.flock(number, fcntl.LOCK_SH | fcntl.LOCK_NB)
            fcntl.flock(number, fcntl.LOCK_UN)
            time.sleep(_PAUSE)
        else:
            return
    fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
