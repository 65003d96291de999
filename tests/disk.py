"""A disk that really fails, because the system refuses what this process writes; and a disk that never answers."""

from __future__ import annotations

import errno
import os
import resource
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest


@contextmanager
def failing_disk(room: int = 0) -> Generator[None]:
    """
    Make every write of this process to a file fail with EFBIG, an I/O error for SQLite; pipes and sockets work.

    The first octets of each file, as many as there is *room* for, can be written.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextmanager
def hanging_disk(folder: Path) -> Generator[threading.Semaphore]:
    """
    Make every sync of this process below a folder wait until the end of the block, as on a disk that died.

    Yields a semaphore that can be acquired once for each sync that waits.
    """
    sync, alive, hung, below = os.fsync, threading.Event(), threading.Semaphore(0), str(folder.resolve())

    def hanging_sync(number: int) -> None:
        if Path(f"/proc/self/fd/{number}").readlink().is_relative_to(below):
            hung.release()
            alive.wait()
        sync(number)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(os, "fsync", hanging_sync)
        try:
            yield hung
        finally:
            alive.set()


@contextmanager
def full_disk(folder: Path) -> Generator[None]:
    """Refuse every new name of this process below a folder, as a disk without room for one more does."""
    below = str(folder.resolve())

    def refusing(work: Callable[..., None], place: int) -> Callable[..., None]:
        def refuse(*values: Any, **options: Any) -> None:
            new = Path(values[place])
            if new.resolve().is_relative_to(below) and not os.path.lexists(new):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(values[0]))
            work(*values, **options)

        return refuse

    with pytest.MonkeyPatch.context() as patched:
        for work, place in ((os.link, 1), (os.rename, 1), (os.mkdir, 0)):
            patched.setattr(os, work.__name__, refusing(work, place))
        yield


@contextmanager
def no_links(folder: Path) -> Generator[None]:
    """Refuse every hard link of this process below a folder, as a file system without hard links does."""
    link, below = os.link, str(folder.resolve())

    def refusing_link(source: str | Path, target: str | Path, **options: bool) -> None:
        if Path(target).resolve().is_relative_to(below):
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM), str(source), None, str(target))
        link(source, target, **options)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(os, "link", refusing_link)
        yield
