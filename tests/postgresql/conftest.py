"""One real PostgreSQL server, an empty database for each test, and two machines on it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from databases import new_database, postgresql

from htpoort.ledger import Ledger


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """Run one PostgreSQL server for all tests."""
    with postgresql() as uri:
        yield uri


@pytest.fixture
def url(server: str) -> str:
    """Return the URL of an empty database."""
    return new_database(server)


@pytest.fixture
def local(url: str) -> Iterator[Ledger]:
    """Open the ledger as one machine does."""
    with Ledger.open(url) as opened:
        yield opened


@pytest.fixture
def remote(url: str, local: Ledger) -> Iterator[Ledger]:
    """Open the ledger as another machine does."""
    assert not local.exclusive
    with Ledger.open(url) as opened:
        yield opened
