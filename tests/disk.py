"""A disk that fails, for real: the system itself refuses what this process writes; and one that never answers."""

from __future__ import annotations

import errno
import os
import resource
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def failing_disk() -> Generator[None]:
    """Let every write to a file of this process fail with EFBIG, an I/O error for SQLite; pipes and sockets work."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextmanager
def hanging_disk(folder: Path) -> Generator[threading.Semaphore]:
    """
    Let every sync of this process below a folder wait until the end of the block, as on a disk that died.

    Gives what can be acquired once for each that waits.
    """
    sync, alive, hung, below = os.fsync, threading.Event(), threading.Semaphore(0), str(folder.resolve())

    def hangs(number: int) -> None:
        if Path(f"/proc/self/fd/{number}").readlink().is_relative_to(below):
            hung.release()
            alive.wait()
        sync(number)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(os, "fsync", hangs)
        try:
            yield hung
        finally:
            alive.set()


@contextmanager
def no_links(folder: Path) -> Generator[None]:
    """Let no hard link of this process be made below a folder, as on a file system that has none."""
    link, below = os.link, str(folder.resolve())

    def refused(source: str | Path, target: str | Path, **options: bool) -> None:
        if Path(target).resolve().is_relative_to(below):
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM), str(source), None, str(target))
        link(source, target, **options)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(os, "link", refused)
        yield
