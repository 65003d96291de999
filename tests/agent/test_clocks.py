"""An agent whose clock was ahead for a moment, before it started, sends and delivers all the same, and says so."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from agents import PARTY, QUICK, Process, declaration, now, reply, server

from htpoort import Router
from htpoort.agent import Agent, Outbox
from htpoort.exchange import Outcome, State
from htpoort.ledger import Ledger
from htpoort.simulator import Gateway

YEAR = timedelta(days=365)


async def test_what_waits_for_next_year(ledger: Ledger, router: Router, caplog: pytest.LogCaptureFixture) -> None:
    """A declaration and a reply whose next try is a year away are sent and delivered now, with a word in the log."""
    process, ahead = Process(), now() + YEAR
    ledger.exchanges.queue(declaration("K1"), at=now())
    ledger.replies.take_in(router, reply("K2"), mail_from=None, at=now())
    (claimed,) = ledger.exchanges.claim_soon(("DMS",), owner="a", most=1, at=ahead, lease=QUICK.lease).result()
    ledger.exchanges.settle_soon(
        claimed, Outcome.DEFERRED, at=ahead, due=ahead + timedelta(minutes=5), content_begun=False
    ).result()
    (given,) = ledger.replies.claim_soon("DMS", owner="a", most=1, at=ahead, lease=QUICK.lease).result()
    ledger.replies.not_delivered_soon(given.key, at=ahead, due=ahead + timedelta(minutes=1), trouble="away").result()
    async with Gateway() as gateway:
        outbox = Outbox(server=server(gateway.smtp_port))
        async with (
            Agent(ledger=ledger, router=router, outboxes=[outbox], deliveries={"DMS": process}, timing=QUICK),
            asyncio.timeout(60),
        ):
            delivered = await process.has(1)
            while True:
                found = await asyncio.to_thread(ledger.exchanges.find, PARTY, "K1")
                if found is not None and found.state is State.ACCEPTED:
                    break
                # Reading the ledger takes a turn of another thread; nothing else is waited for.
                await asyncio.sleep(0)

    why = "were due later than any wait (1), because a clock was ahead; they are due now"
    assert ["K2"] == delivered
    assert {f"Declarations to DMS {why}", f"Replies of DMS {why}"} == {
        record.getMessage() for record in caplog.records if "a clock was ahead" in record.getMessage()
    }
