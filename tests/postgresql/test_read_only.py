"""A server that is read-only for a while, as at a failover: the ledger records the outcomes afterwards."""

from __future__ import annotations

import asyncio
import logging

import psycopg
import pytest
from agents import PARTY, QUICK, declaration, now, server as at_port

from htpoort import LedgerError, Router, State
from htpoort.agent import Agent, Outbox
from htpoort.ledger import Exchange, Ledger
from htpoort.transport import Incoming, Receiver


def read_only(url: str, *, on: bool) -> None:
    """Make every new session read-only, and end the open ones, or let new sessions write again."""
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
        (name,) = connection.execute("SELECT current_database()").fetchone() or ("",)
        setting = "SET default_transaction_read_only = on" if on else "RESET default_transaction_read_only"
        connection.execute("SET default_transaction_read_only = off")
        connection.execute(f"ALTER DATABASE {name} {setting}")  # type: ignore[arg-type]  # the name is our own
        if on:
            others = (
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid()"
            )
            connection.execute(others, (name,))


def test_the_error_is_retryable(url: str) -> None:
    """The error names the cause and is retryable; a read-only session is not used again."""
    with Ledger.open(url) as ledger:
        read_only(url, on=True)
        with pytest.raises(LedgerError) as lost:
            ledger.exchanges.queue(declaration("K1"), at=now())
        with pytest.raises(LedgerError, match="The server is read-only") as refused:
            ledger.exchanges.queue(declaration("K1"), at=now())
        read_only(url, on=False)
        ledger.exchanges.queue(declaration("K1"), at=now())

        assert [True, True] == [caught.value.retryable for caught in (lost, refused)]
        assert ["K1"] == [exchange.reference for exchange in ledger.exchanges.listed()]


async def outcome(ledger: Ledger) -> Exchange | None:
    """Wait until the attempt has ended; return the exchange."""
    while True:
        exchange = await asyncio.to_thread(ledger.exchanges.find, "K1", party=PARTY)
        if exchange is None or exchange.state is not State.SENDING:
            return exchange
        # Reading the ledger takes a turn of another thread; nothing else is waited for.
        await asyncio.sleep(0)


async def test_the_outcome_is_recorded(url: str) -> None:
    """If the gateway accepts a declaration while the ledger is read-only, its state is accepted later, not unknown."""
    loop, trouble = asyncio.get_running_loop(), asyncio.Event()

    class Watch(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if "is read-only" in record.getMessage():
                loop.call_soon_threadsafe(trouble.set)

    async def take(_incoming: Incoming) -> None:
        await asyncio.to_thread(read_only, url, on=True)

    log, watch = logging.getLogger("htpoort.agent"), Watch()
    log.addHandler(watch)
    try:
        with Ledger.open(url) as ledger:
            router = Router(parties=[PARTY])
            ledger.exchanges.queue(declaration("K1"), at=now())
            async with Receiver(take, hostname="gateway.example", mailboxes=["dms@htpoort.nl"]) as receiver:
                outbox = Outbox(server=at_port(receiver.port))
                async with Agent(ledger=ledger, router=router, outboxes=[outbox], timing=QUICK), asyncio.timeout(60):
                    await trouble.wait()
                    await asyncio.to_thread(read_only, url, on=False)
                    exchange = await outcome(ledger)
    finally:
        log.removeHandler(watch)

    assert State.ACCEPTED is (exchange and exchange.state)
