"""The PostgreSQL server of a ledger: settings, silence, encoding, and many machines that start at once."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime, timedelta

import psycopg
import pytest
import sqlalchemy as sa
from databases import new_database

from htpoort import InputError, LedgerError, Router, Submission
from htpoort.ledger import Ledger

Clock = Callable[..., datetime]
Make = Callable[..., Submission]

SOON = timedelta(seconds=1)
TOO_SLOW = (
    "The server keeps the connection open but did not answer in time (transaction_timeout), so the transaction was "
    "abandoned; check the load and the locks of the server."
)


def altered(server: str, *settings: str) -> str:
    """Create a database whose owner has changed settings for each session."""
    url = new_database(server)
    name = url.partition("?")[0].rpartition("/")[2]
    with psycopg.connect(server, autocommit=True) as connection:
        for setting in settings:
            connection.execute(f"ALTER DATABASE {name} SET {setting}")  # type: ignore[arg-type]  # the test's own words
    return url


def encoded(server: str, encoding: str) -> str:
    """Create a database in an encoding."""
    name = f"ledger_{encoding.lower()}_{os.getpid()}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {name}")  # type: ignore[arg-type]  # the test's own words
        connection.execute(
            f"CREATE DATABASE {name} ENCODING '{encoding}' LOCALE 'C' TEMPLATE template0"  # type: ignore[arg-type]  # the same
        )
    return server.replace("postgresql://", "postgresql+psycopg://").replace("/postgres?", f"/{name}?")


def shown(ledger: Ledger, setting: str) -> list[str]:
    """Return a setting as the writer and a reader have it."""

    def ask(connection: sa.Connection) -> str:
        value: str = connection.exec_driver_sql(f"SHOW {setting}").scalar_one()
        return value

    return [ledger.write_soon(ask).result(), ledger._connections.read(ask)]


class TestFirstStart:
    """Machines that are rolled out together open an empty database at once."""

    @pytest.mark.parametrize("level", ["read committed", "repeatable read", "serializable"])
    def test_twenty_at_once(self, server: str, level: str, clock: Clock, declaration: Make) -> None:
        """Each machine gets a working ledger, one of them a new one, whatever isolation the owner has set."""
        url = altered(server, f"default_transaction_isolation = '{level}'")
        barrier = threading.Barrier(20)

        def begin(number: int) -> bool:
            barrier.wait()
            with Ledger.open(url) as ledger:
                ledger.exchanges.queue(declaration(f"K{number}"), at=clock())
                return ledger.new

        with ThreadPoolExecutor(20) as threads:
            new = list(threads.map(begin, range(20)))
        with Ledger.open(url) as ledger:
            queued = len(list(ledger.exchanges.listed()))

        assert (1, 20, 20) == (sum(new), len(new), queued)

    @pytest.mark.parametrize("level", ["repeatable read", "serializable"])
    def test_claims_at_once(self, server: str, level: str, clock: Clock, declaration: Make) -> None:
        """Under a higher isolation level of the owner, workers still claim side by side, each what is left."""
        url = altered(server, f"default_transaction_isolation = '{level}'")
        with Ledger.open(url) as ledger:
            for queued in [ledger.exchanges.queue_soon(declaration(f"K{n:02}"), at=clock()) for n in range(40)]:
                queued.result()

            def claim(owner: int) -> list[str]:
                taken: list[str] = []
                with Ledger.open(url) as own:
                    while claims := own.exchanges.claim_soon(
                        ("DMS",), owner=str(owner), most=2, at=clock(), lease=SOON
                    ).result():
                        taken += [claimed.reference for claimed in claims]
                return taken

            with ThreadPoolExecutor(4) as threads:
                taken = [reference for each in threads.map(claim, range(4)) for reference in each]

            assert [f"K{n:02}" for n in range(40)] == sorted(taken)
            assert ["read committed", "read committed"] == shown(ledger, "transaction_isolation")

    def test_tables_of_another_program(self, server: str) -> None:
        """Tables that another program creates at that moment, without the ledger's lock, are a retryable error."""
        url = new_database(server)
        with psycopg.connect(url.replace("+psycopg", "")) as other:
            other.execute("CREATE TABLE htpoort_exchanges (id int)")
        with pytest.raises(LedgerError, match="Another process is creating the tables") as caught:
            Ledger.open(url)

        assert caught.value.retryable


class TestSettings:
    """The ledger sets what it relies on for its sessions, whatever the server's owner has set."""

    def test_a_commit_is_synced(self, server: str) -> None:
        """A database set to confirm commits before they are synced confirms the ledger's commits afterwards."""
        with Ledger.open(altered(server, "synchronous_commit = off")) as ledger:
            assert ["on", "on"] == shown(ledger, "synchronous_commit")

    def test_a_stricter_setting(self, server: str) -> None:
        """A setting that waits for more than a sync of this server stays."""
        with Ledger.open(altered(server, "synchronous_commit = remote_apply")) as ledger:
            assert ["remote_apply", "remote_apply"] == shown(ledger, "synchronous_commit")


@contextmanager
def going_on(stopped: list[int]) -> Generator[None]:
    """Continue the server processes that a block has stopped, so that the server can end."""
    try:
        yield
    finally:
        for number in stopped:
            os.kill(number, signal.SIGCONT)


class TestSilence:
    """A server that keeps its connection but stops answering costs one error, in time; the ledger works on."""

    def test_the_writer(self, server: str, clock: Clock, declaration: Make) -> None:
        """The writer abandons a server process that hangs, with a retryable error; the next operation works."""
        hanging: list[int] = []
        with going_on(hanging), Ledger.open(new_database(server), transaction_timeout=SOON) as ledger:

            def hang(connection: sa.Connection) -> None:
                hanging.append(connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one())
                os.kill(hanging[0], signal.SIGSTOP)
                connection.exec_driver_sql("SELECT 1")

            error = ledger.write_soon(hang).exception()
            ledger.exchanges.queue(declaration("K1"), at=clock())
            references = [exchange.reference for exchange in ledger.exchanges.listed()]

        assert isinstance(error, LedgerError)
        assert (True, TOO_SLOW, ["K1"]) == (error.retryable, error.advice, references)

    def test_between_two_transactions(self, server: str, clock: Clock, declaration: Make) -> None:
        """A connection that went silent while unused is replaced, and costs only time."""
        hanging: list[int] = []
        with going_on(hanging), Ledger.open(new_database(server), transaction_timeout=SOON) as ledger:
            hanging.append(
                ledger._connections.read(
                    lambda connection: connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
                )
            )
            os.kill(hanging[0], signal.SIGSTOP)
            ledger.exchanges.queue(declaration("K1"), at=clock())
            references = [exchange.reference for exchange in ledger.exchanges.listed()]

        assert ["K1"] == references

    def test_a_reader(self, server: str) -> None:
        """The time limit also holds for a reader and for each part of a list; a whole list may take longer."""
        with Ledger.open(new_database(server), transaction_timeout=SOON) as ledger:

            def slow(connection: sa.Connection) -> object:
                return connection.exec_driver_sql("SELECT pg_sleep(60)")

            def three(connection: sa.Connection) -> object:
                for number in range(3):
                    connection.exec_driver_sql("SELECT pg_sleep(0.4)")
                    yield number

            with pytest.raises(LedgerError) as reading:
                ledger._connections.read(slow)
            with pytest.raises(LedgerError) as listing:
                list(ledger._connections.stream(lambda connection: iter([slow(connection)])))
            listed = list(ledger._connections.stream(three))  # type: ignore[arg-type]  # numbers

        assert [TOO_SLOW, TOO_SLOW] == [reading.value.advice, listing.value.advice]
        assert [0, 1, 2] == listed

    def test_a_transaction_as_a_whole(self, server: str) -> None:
        """A transaction that takes too long is abandoned, even if each answer comes in time."""
        with Ledger.open(new_database(server), transaction_timeout=SOON) as ledger:

            def many(connection: sa.Connection) -> None:
                for _ in range(100):
                    connection.exec_driver_sql("SELECT pg_sleep(0.1)")

            error = ledger.write_soon(many).exception()

        assert isinstance(error, LedgerError)
        assert TOO_SLOW == error.advice

    def test_pruning_has_no_limit(self, server: str, clock: Clock) -> None:
        """Pruning, which an operator waits for, has no time limit; the next operation has one again."""
        with Ledger.open(url := new_database(server), transaction_timeout=SOON) as ledger:
            with psycopg.connect(url.replace("+psycopg", "")) as other:
                other.execute("LOCK TABLE htpoort_events IN ACCESS EXCLUSIVE MODE")
                with ThreadPoolExecutor(1) as thread:
                    pruning = thread.submit(ledger.prune, before=clock(0), at=clock(60), days=0)
                    # Longer than another operation may take.
                    other.execute("SELECT pg_sleep(2)")
                    other.rollback()
                    pruned = pruning.result()
            error = ledger.write_soon(lambda connection: connection.exec_driver_sql("SELECT pg_sleep(60)")).exception()

        assert 0 == pruned["events"]
        assert isinstance(error, LedgerError)
        assert TOO_SLOW == error.advice

    def test_a_limit_of_zero(self, server: str) -> None:
        """A time limit of 0 is refused."""
        with pytest.raises(InputError, match="give a timedelta above 0"):
            Ledger.open(new_database(server), transaction_timeout=timedelta(0))


class TestEncoding:
    """A ledger stores every text, or it is not created."""

    TEXT = "Straße → 漢字"

    def test_sql_ascii(self, server: str, clock: Clock) -> None:
        """A database without an encoding returns the text that was stored."""
        with Ledger.open(encoded(server, "SQL_ASCII")) as ledger:
            router = Router(parties=["NL123456789.02.05"])
            raw = f"Subject: {self.TEXT}\r\n\r\n".encode()
            ledger.replies.take_in(router, raw, mail_from=None, at=clock())
            ledger.quarantine.discard(1, at=clock(), reason=self.TEXT)
            why = ledger._connections.read(
                lambda connection: connection.exec_driver_sql(
                    "SELECT detail FROM htpoort_events WHERE event = 'discarded'"
                ).scalar_one()
            )

            assert (raw, self.TEXT) == (ledger.quarantine.message(1), why)

    def test_latin1(self, server: str) -> None:
        """An encoding that lacks characters is refused before anything is created."""
        url = encoded(server, "LATIN1")
        with pytest.raises(LedgerError) as caught:
            Ledger.open(url)
        with psycopg.connect(url.replace("+psycopg", "")) as connection:
            tables = connection.execute("SELECT count(*) FROM pg_tables WHERE tablename LIKE 'htpoort%'").fetchone()

        advice = "The database has the encoding LATIN1; create it with ENCODING 'UTF8' TEMPLATE template0."
        assert (advice, (0,)) == (caught.value.advice, tables)
