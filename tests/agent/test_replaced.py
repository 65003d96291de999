"""An agent whose ledger file was replaced accepts nothing, sends nothing, and logs this."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import attrs
import pytest
from agents import INBOX, MAILBOX, PARTY, QUICK, declaration, now, pushed, reply, server

from htpoort import LedgerError, Router, SendError, State
from htpoort.agent import Agent, Outbox
from htpoort.ledger import Ledger
from htpoort.simulator import Gateway


class Lines(logging.Handler):
    """Collect the lines of the log."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: asyncio.Queue[str] = asyncio.Queue()

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a line."""
        self.lines.put_nowait(record.getMessage())

    async def until(self, *begin: str) -> str:
        """Wait for a line that begins with one of these texts."""
        async with asyncio.timeout(60):
            while not (line := await self.lines.get()).startswith(begin):
                pass
            return line


@pytest.fixture
def lines() -> Iterator[Lines]:
    """Collect what the agent logs."""
    log, handler = logging.getLogger("htpoort.agent"), Lines()
    log.addHandler(handler)
    yield handler
    log.removeHandler(handler)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return the path of the ledger."""
    return tmp_path / "htpoort.db"


def replace(path: Path, *references: str) -> None:
    """Move a ledger away, and put another one in its place that has other declarations to send."""
    other, old = path.with_name("other.db"), path.with_name("old")
    old.mkdir()
    with Ledger.open(f"sqlite:///{other}") as made:
        for reference in references:
            made.exchanges.queue(declaration(reference), at=now())
    # Together with its log, which SQLite would otherwise apply to the new file.
    for suffix in ("", "-wal", "-shm"):
        path.with_name(f"{path.name}{suffix}").rename(old / f"{path.name}{suffix}")
    other.rename(path)


async def test_nothing_is_accepted_or_sent(ledger: Ledger, router: Router, path: Path, lines: Lines) -> None:
    """A reply gets 451 and stays with the peer; no declaration of the old or the new file is sent."""
    ledger.exchanges.queue(declaration("K1"), at=now(), held=True)
    async with Gateway() as gateway:
        outbox = Outbox(server=server(gateway.smtp_port))
        # What is in progress can never be recorded here, so the whole grace period passes.
        timing = attrs.evolve(QUICK, grace=timedelta(milliseconds=200))
        async with Agent(ledger=ledger, router=router, outboxes=[outbox], inboxes=[INBOX], timing=timing) as agent:
            gateway.register(MAILBOX, server(agent.ports[0]))
            replace(path, "K2")
            with pytest.raises(SendError) as caught:
                await gateway.push(pushed(reply("K1")))
            claiming = await lines.until("outbox: ", "Writing to the ledger failed: ")
        received = list(gateway.received)
    with Ledger.open(f"sqlite:///{path}") as other:
        states = [(one.reference, one.state) for one in other.exchanges.listed()]

    assert (451, "4.3.0 Not taken, try again later") == (caught.value.code, caught.value.reply)
    assert f"{path} is not the file that was opened" in claiming
    assert ([], [("K2", State.QUEUED)]) == (received, states)


async def test_it_warns_when_there_is_nothing_to_do(ledger: Ledger, router: Router, path: Path, lines: Lines) -> None:
    """An idle agent compares the file too, and logs after each third of a lease that it was replaced."""
    short = attrs.evolve(QUICK, lease=timedelta(milliseconds=300))
    async with Agent(ledger=ledger, router=router, timing=short):
        replace(path)
        line = await lines.until("leases: ")

    assert f"{path} is not the file that was opened" in line
    assert line.endswith("start again; until then run no other command on this ledger.")


async def test_one_agent_by_two_names(ledger: Ledger, router: Router, path: Path) -> None:
    """A second agent that opens the ledger through a symbolic link does not start."""
    link = path.with_name("link.db")
    link.symlink_to(path)
    with Ledger.open(f"sqlite:///{link}") as second:
        late = Agent(ledger=second, router=Router(parties=[PARTY]), timing=QUICK)
        async with Agent(ledger=ledger, router=router, timing=QUICK):
            with pytest.raises(LedgerError, match="Another agent is using this ledger"):
                await late.__aenter__()  # noqa: PLC2801 - it does not start
