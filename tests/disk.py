"""A disk that fails, for real: the system itself refuses what this process writes."""

from __future__ import annotations

import resource
from collections.abc import Generator
from contextlib import contextmanager


@contextmanager
def failing_disk() -> Generator[None]:
    """Let every write to a file of this process fail with EFBIG, an I/O error for SQLite; pipes and sockets work."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
