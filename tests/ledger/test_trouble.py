"""What the ledger does while its database fails: each operation is tried once, and everybody is told."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from datetime import datetime
from pathlib import Path

import pytest
import sqlalchemy as sa
from databases import new_database
from disk import failing_disk

from htpoort import LedgerError, Submission
from htpoort.ledger import Ledger

Clock = Callable[..., datetime]
Make = Callable[..., Submission]


class Batch:
    """Operations that are certainly committed together."""

    def __init__(self, ledger: Ledger) -> None:
        self.runs: list[int] = []
        self._ledger = ledger
        self._go = threading.Event()
        began = threading.Event()

        def hold(_connection: sa.Connection) -> None:
            began.set()
            self._go.wait()

        self._before = ledger.soon(hold)
        began.wait()
        self._futures: list[Future[None]] = []

    def add(self, number: int, statement: str) -> None:
        """Add an operation that counts how often it is run."""

        def operation(connection: sa.Connection) -> None:
            self.runs.append(number)
            connection.exec_driver_sql(statement)

        self._futures.append(self._ledger.soon(operation))

    def errors(self) -> list[BaseException | None]:
        """Let them be run, and give what came of each."""
        self._go.set()
        self._before.result()
        return [future.exception() for future in self._futures]


WRITE = "INSERT INTO htpoort_fetched (account, uidl, at) VALUES ('{0}', '{0}', 1)"


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[Ledger]:
    """Open a new ledger in a file."""
    with Ledger.open(f"sqlite:///{tmp_path / 'htpoort.db'}") as opened:
        yield opened


def test_a_disk_that_fails_is_not_asked_once_for_each(sqlite: Ledger) -> None:
    """A commit that the disk refuses is told to all; on a slow dying disk nobody waits for the failures of others."""
    batch = Batch(sqlite)
    for number in range(3):
        batch.add(number, WRITE.format(number))
    with failing_disk():
        errors = batch.errors()

    assert [0, 1, 2] == batch.runs
    assert [True] * 3 == [isinstance(error, LedgerError) and error.retryable for error in errors]


def test_a_disk_that_works_again(sqlite: Ledger, declaration: Make, clock: Clock) -> None:
    """What was refused was not kept, and the same connection takes it when the disk works again."""
    with failing_disk(), pytest.raises(LedgerError, match="The disk reports an error"):
        sqlite.exchanges.queue(declaration("K1"), at=clock())
    before = list(sqlite.exchanges.listed())
    sqlite.exchanges.queue(declaration("K1"), at=clock())

    assert ([], ["K1"]) == (before, [one.reference for one in sqlite.exchanges.listed()])


def test_a_server_that_is_lost_is_not_asked_twice(server: str) -> None:
    """What may have been committed before the server was lost is not done a second time; whoever asked decides."""
    with Ledger.open(new_database(server)) as ledger:
        batch = Batch(ledger)
        batch.add(0, WRITE.format(0))
        batch.add(1, "SELECT pg_terminate_backend(pg_backend_pid())")
        batch.add(2, WRITE.format(2))
        errors = batch.errors()
        kept = ledger.soon(lambda connection: connection.exec_driver_sql("SELECT 1").scalar_one()).result()

    assert ([0, 1], 1) == (batch.runs, kept)
    assert [True] * 3 == [isinstance(error, LedgerError) and error.retryable for error in errors]
