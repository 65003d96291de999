"""A ledger on PostgreSQL behind PgBouncer: what works in each pool_mode, and what is refused with a reason."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from databases import new_database, postgresql
from interop.messages import PARTY
from interop.programs import folder, free_port, listening, running

from htpoort import DMS, LedgerError, Submission, build
from htpoort.ledger import Ledger

NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)
NAMES = ("lock_timeout", "transaction_isolation")


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """Run a PostgreSQL server."""
    with postgresql() as uri:
        yield uri


@asynccontextmanager
async def pgbouncer(server: str, mode: str, *settings: str) -> AsyncGenerator[str]:
    """Run PgBouncer in front of an empty database, with two sessions for all clients; yields the URL for a ledger."""
    sockets, port = Path(server.partition("?host=")[2]), free_port()
    name = new_database(server).partition("?")[0].rpartition("/")[2]
    lines = [
        "[databases]",
        f"{name} = host={sockets} user=postgres",
        "[pgbouncer]",
        "listen_addr = 127.0.0.1",
        f"listen_port = {port}",
        "unix_socket_dir =",
        "auth_type = any",
        f"pool_mode = {mode}",
        "default_pool_size = 2",
        *settings,
    ]
    with folder() as place:
        (place / "pgbouncer.ini").write_text("\n".join(lines), encoding="utf-8")
        async with running("setpriv", *owner(sockets), "pgbouncer", place / "pgbouncer.ini") as program:
            await listening(port, program)
            yield f"postgresql+psycopg://htpoort@127.0.0.1:{port}/{name}"


def owner(sockets: Path) -> tuple[str, ...]:
    """Return the user of the server: its socket is closed to others, and PgBouncer does not start as root."""
    found = sockets.stat()
    return f"--reuid={found.st_uid}", f"--regid={found.st_gid}", "--clear-groups"


def declaration(number: int) -> Submission:
    """Build a declaration."""
    return build(
        system=DMS,
        party=PARTY,
        mailbox="edi@forwarder.example",
        reference=f"K{number:03}",
        payload=b"<a/>",
        date=NOON,
        message_id=f"<{number}@forwarder.example>",
    )


def work(url: str, machine: int) -> list[str]:
    """Queue thirty declarations, and claim as many, each in its own transaction."""
    taken: list[str] = []
    with Ledger.open(url) as ledger:
        for number in range(30):
            ledger.exchanges.queue(declaration(100 * machine + number), at=NOON)
        while len(taken) < 30:
            claimed = ledger.exchanges.claim_soon(
                ("DMS",), owner=f"machine {machine}", most=1, at=NOON, lease=timedelta(minutes=2)
            ).result()
            taken += [one.reference for one in claimed]
    return taken


@pytest.mark.parametrize("mode", ["session", "transaction"])
async def test_machines_that_share_sessions(server: str, mode: str) -> None:
    """Machines whose transactions go to any session of a pool do all their work, and each claim is one machine's."""
    machines = 4 if mode == "transaction" else 1
    async with pgbouncer(server, mode) as url:
        with ThreadPoolExecutor(machines) as threads:
            loop = asyncio.get_running_loop()
            claims = await asyncio.gather(*(loop.run_in_executor(threads, work, url, each) for each in range(machines)))

    taken = sorted(reference for each in claims for reference in each)
    assert [f"K{100 * machine + number:03}" for machine in range(machines) for number in range(30)] == taken


async def test_settings_of_each_transaction(server: str) -> None:
    """What the ledger depends on applies in each transaction, and is not left behind in a session that others get."""

    def ask(connection: sa.Connection) -> tuple[str, str]:
        shown = [connection.exec_driver_sql(f"SHOW {name}").scalar_one() for name in NAMES]
        return shown[0], shown[1]

    async with pgbouncer(server, "transaction", "default_pool_size = 1") as url:
        with await asyncio.to_thread(Ledger.open, url) as ledger:
            ours = await asyncio.to_thread(ledger._connections.read, ask)
        engine = sa.create_engine(url, connect_args={"prepare_threshold": None})
        with engine.connect() as connection:
            others = ask(connection)
        engine.dispose()

    assert (("30s", "read committed"), ("0", "read committed")) == (ours, others)


async def test_a_mode_without_transactions(server: str) -> None:
    """A pool that assigns each statement to another session is refused at the start, with what to change."""
    async with pgbouncer(server, "statement") as url:
        with pytest.raises(LedgerError) as caught:
            await asyncio.to_thread(Ledger.open, url)

    advice = "A pooler in front of the server runs each statement in another session; set its pool_mode to transaction."
    assert (advice, False) == (caught.value.advice, caught.value.retryable)


async def test_options_of_the_url(server: str) -> None:
    """Settings in the URL that the pooler does not accept are refused at the start, and not shown."""
    async with pgbouncer(server, "transaction") as url:
        with pytest.raises(LedgerError) as caught:
            await asyncio.to_thread(Ledger.open, f"{url}?options=-c%20lock_timeout%3D5s")

    advice = (
        "A pooler in front of the server does not accept a setting of the URL; remove options, or let it ignore them."
    )
    error = caught.value
    assert (advice, False, True) == (error.advice, error.retryable, error.location.endswith("=***"))
