"""The agent when the name of its ledger comes to mean another file: it takes nothing, sends nothing, and says so."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import attrs
import pytest
from agents import INBOX, MAILBOX, PARTY, QUICK, declaration, now, pushed, reply, server

from htpoort import LedgerError, Router, SendError
from htpoort.agent import Agent, Outbox
from htpoort.exchange import State
from htpoort.ledger import Ledger
from htpoort.simulator import Gateway


class Lines(logging.Handler):
    """Wait for a line of the log."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: asyncio.Queue[str] = asyncio.Queue()

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one line."""
        self.lines.put_nowait(record.getMessage())

    async def until(self, *begin: str) -> str:
        """Wait for a line that begins with one of these."""
        async with asyncio.timeout(60):
            while not (line := await self.lines.get()).startswith(begin):
                pass
            return line


@pytest.fixture
def lines() -> Iterator[Lines]:
    """Listen to the agent's logger."""
    log, handler = logging.getLogger("htpoort.agent"), Lines()
    log.addHandler(handler)
    yield handler
    log.removeHandler(handler)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Give the path of the ledger."""
    return tmp_path / "htpoort.db"


def replace(path: Path, *references: str) -> None:
    """Move a ledger away, and put one in its place that has other declarations to send."""
    other, old = path.with_name("other.db"), path.with_name("old")
    old.mkdir()
    with Ledger.open(f"sqlite:///{other}") as made:
        for reference in references:
            made.exchanges.queue(declaration(reference), at=now())
    # With its log: one that stays behind would be taken for that of the new file.
    for suffix in ("", "-wal", "-shm"):
        path.with_name(f"{path.name}{suffix}").rename(old / f"{path.name}{suffix}")
    other.rename(path)


async def test_nothing_is_taken_or_sent(ledger: Ledger, router: Router, path: Path, lines: Lines) -> None:
    """A reply gets 451 and stays with the peer; no declaration leaves, neither of the old file nor of the new one."""
    ledger.exchanges.queue(declaration("K1"), at=now(), held=True)
    async with Gateway() as gateway:
        outbox = Outbox(server=server(gateway.smtp_port))
        async with Agent(ledger=ledger, router=router, outboxes=[outbox], inboxes=[INBOX], timing=QUICK) as agent:
            gateway.register(MAILBOX, server(agent.ports[0]))
            replace(path, "K2")
            with pytest.raises(SendError) as caught:
                await gateway.push(pushed(reply("K1")))
            claiming = await lines.until("outbox: ", "The ledger has trouble: ")
        received = list(gateway.received)
    with Ledger.open(f"sqlite:///{path}") as other:
        states = [(one.reference, one.state) for one in other.exchanges.listed()]

    assert (451, "4.3.0 Not taken, try again later") == (caught.value.code, caught.value.reply)
    assert f"{path} is not the file that was opened" in claiming
    assert ([], [("K2", State.QUEUED)]) == (received, states)


async def test_it_says_so_when_there_is_nothing_to_do(ledger: Ledger, router: Router, path: Path, lines: Lines) -> None:
    """An agent that only waits compares the file too, and each third of a lease says that it is another."""
    short = attrs.evolve(QUICK, lease=timedelta(milliseconds=300))
    async with Agent(ledger=ledger, router=router, timing=short):
        replace(path)
        line = await lines.until("leases: ")

    assert f"{path} is not the file that was opened" in line
    assert line.endswith("start again; until then run no other command on this ledger.")


async def test_one_agent_by_two_names(ledger: Ledger, router: Router, path: Path) -> None:
    """A second agent that was given a symbolic link to the ledger does not start."""
    link = path.with_name("link.db")
    link.symlink_to(path)
    with Ledger.open(f"sqlite:///{link}") as second:
        late = Agent(ledger=second, router=Router(parties=[PARTY], sent=second.sent), timing=QUICK)
        async with Agent(ledger=ledger, router=router, timing=QUICK):
            with pytest.raises(LedgerError, match="Another agent works on this ledger"):
                await late.__aenter__()  # noqa: PLC2801 - it does not begin
