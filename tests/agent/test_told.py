"""What the log tells of a declaration and its reply at level INFO: names and numbers, and nothing of what they say."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator

import pytest
from agents import INBOX, MAILBOX, PARTY, QUICK, declaration, now, pushed, reply, server

from htpoort import Router
from htpoort.agent import Agent, Outbox
from htpoort.ledger import Ledger
from htpoort.simulator import Gateway


class Lines(logging.Handler):
    """Keep what is told, and say that something was."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[tuple[str, str]] = []
        self.came = asyncio.Event()

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one line."""
        self.told.append((record.levelname, record.getMessage()))
        self.came.set()


@pytest.fixture
def lines() -> Iterator[Lines]:
    """Listen to the agent's logger."""
    log, handler = logging.getLogger("htpoort.agent"), Lines()
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    yield handler
    log.setLevel(logging.NOTSET)
    log.removeHandler(handler)


async def test_one_line_for_each_step(ledger: Ledger, router: Router, lines: Lines) -> None:
    """What was accepted and what was stored is told once each, by system, party and K; a copy is not told again."""
    ledger.exchanges.queue(declaration("K1"), at=now())
    async with Gateway() as gateway:
        outbox = Outbox(server=server(gateway.smtp_port))
        async with Agent(ledger=ledger, router=router, outboxes=[outbox], inboxes=[INBOX], timing=QUICK) as agent:
            async with asyncio.timeout(20):
                await lines.came.wait()
            gateway.register(MAILBOX, server(agent.ports[0]))
            for _ in range(2):
                await gateway.push(pushed(reply("K1")))

    assert [
        ("INFO", f"Declaration to DMS of {PARTY} under K1 was accepted"),
        ("INFO", f"Reply 1 of DMS for {PARTY} under K1 was stored"),
    ] == lines.told
