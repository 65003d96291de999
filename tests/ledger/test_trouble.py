"""What the ledger does while its database fails: it tries each operation once, and each caller gets an error."""

from __future__ import annotations

import select
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from datetime import datetime
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa
from databases import new_database
from disk import failing_disk

from htpoort import LedgerError, Submission
from htpoort.ledger import Ledger

Clock = Callable[..., datetime]
Make = Callable[..., Submission]


class Batch:
    """Operations that the ledger must commit together."""

    def __init__(self, ledger: Ledger) -> None:
        self.runs: list[int] = []
        self._ledger = ledger
        self._go = threading.Event()
        began = threading.Event()

        def hold(_connection: sa.Connection) -> None:
            began.set()
            self._go.wait()

        self._before = ledger.write_soon(hold)
        began.wait()
        self._futures: list[Future[None]] = []

    def add(self, number: int, statement: str) -> None:
        """Add an operation that counts how often it is run."""

        def operation(connection: sa.Connection) -> None:
            self.runs.append(number)
            connection.exec_driver_sql(statement)

        self._futures.append(self._ledger.write_soon(operation))

    def errors(self) -> list[BaseException | None]:
        """Let the operations run; return the error of each, or None."""
        self._go.set()
        self._before.result()
        return [future.exception() for future in self._futures]


WRITE = "INSERT INTO htpoort_fetched (account, uidl, at) VALUES ('{0}', '{0}', 1)"


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[Ledger]:
    """Open a new ledger in a file."""
    with Ledger.open(f"sqlite:///{tmp_path / 'htpoort.db'}") as opened:
        yield opened


def test_a_failing_disk_is_tried_once(sqlite: Ledger) -> None:
    """If the disk refuses a commit, all its operations fail together: none waits for another one's failure."""
    batch = Batch(sqlite)
    for number in range(3):
        batch.add(number, WRITE.format(number))
    with failing_disk():
        errors = batch.errors()

    assert [0, 1, 2] == batch.runs
    assert [True] * 3 == [isinstance(error, LedgerError) and error.retryable for error in errors]


def test_a_disk_that_works_again(sqlite: Ledger, declaration: Make, clock: Clock) -> None:
    """A refused operation is not kept; the same connection accepts it once the disk works again."""
    with failing_disk(), pytest.raises(LedgerError, match="The disk is full or reports an error"):
        sqlite.exchanges.queue(declaration("K1"), at=clock())
    before = list(sqlite.exchanges.listed())
    sqlite.exchanges.queue(declaration("K1"), at=clock())

    assert ([], ["K1"]) == (before, [exchange.reference for exchange in sqlite.exchanges.listed()])


def test_a_lost_server_is_not_tried_twice(server: str) -> None:
    """An operation that may have been committed before the server was lost is not repeated; its caller decides."""
    with Ledger.open(new_database(server)) as ledger:
        batch = Batch(ledger)
        batch.add(0, WRITE.format(0))
        batch.add(1, "SELECT pg_terminate_backend(pg_backend_pid())")
        batch.add(2, WRITE.format(2))
        errors = batch.errors()
        kept = ledger.write_soon(lambda connection: connection.exec_driver_sql("SELECT 1").scalar_one()).result()

    assert ([0, 1], 1) == (batch.runs, kept)
    assert [True] * 3 == [isinstance(error, LedgerError) and error.retryable for error in errors]


def test_a_character_that_no_database_has(url: str) -> None:
    """Half a character, which a driver cannot encode, is a LedgerError, not an error of the driver."""
    with Ledger.open(url) as ledger:

        def note(connection: sa.Connection) -> None:
            connection.execute(sa.text("SELECT :text"), {"text": "\udc80"}).scalar_one()

        with pytest.raises(LedgerError, match="lacks a character") as caught:
            ledger.write_soon(note).result()

    assert not caught.value.retryable


LOCK = "LOCK TABLE htpoort_events IN SHARE MODE"


def test_a_lock_that_another_session_keeps(server: str, declaration: Make, clock: Clock) -> None:
    """If another session keeps a lock, the operation fails with that reason and writes nothing; the ledger works on."""
    url = new_database(server)
    with Ledger.open(f"{url}&options=-c%20lock_timeout%3D50ms") as ledger:
        with psycopg.connect(url.replace("+psycopg", "")) as other:
            other.execute(LOCK)
            with pytest.raises(LedgerError, match="Another session holds a lock") as caught:
                ledger.exchanges.queue(declaration("K1"), at=clock())
            other.rollback()
        before = list(ledger.exchanges.listed())
        ledger.exchanges.queue(declaration("K1"), at=clock())

        assert (True, [], ["K1"]) == (
            caught.value.retryable,
            before,
            [exchange.reference for exchange in ledger.exchanges.listed()],
        )


def test_timeouts_of_the_server(server: str) -> None:
    """If the server ends a statement or an idle transaction after its time limit, the error is retryable."""
    with Ledger.open(new_database(server)) as ledger:

        def slow(connection: sa.Connection) -> None:
            connection.exec_driver_sql("SET LOCAL statement_timeout = '1ms'")
            connection.exec_driver_sql("SELECT pg_sleep(60)")

        def idle(connection: sa.Connection) -> None:
            # Long enough for the answer to be read before the server's last message; if read together, it is lost.
            connection.exec_driver_sql("SET LOCAL idle_in_transaction_session_timeout = '1s'")
            driver = connection.connection.dbapi_connection
            assert isinstance(driver, psycopg.Connection)
            closed = select.poll()
            closed.register(driver.fileno(), 0)
            closed.poll()
            connection.exec_driver_sql("SELECT 1")

        errors = [ledger.write_soon(operation).exception() for operation in (slow, idle)]
        kept = ledger.write_soon(lambda connection: connection.exec_driver_sql("SELECT 1").scalar_one()).result()

    retryable = [error for error in errors if isinstance(error, LedgerError) and error.retryable]
    assert [True, True] == [
        word in error.advice for word, error in zip(("statement_timeout", "idle"), retryable, strict=True)
    ]
    assert 1 == kept
