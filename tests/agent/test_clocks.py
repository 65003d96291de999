"""An agent whose clock was ahead before it started still sends and delivers, and logs this."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from agents import PARTY, QUICK, Process, declaration, now, reply, server

from htpoort import Outcome, Router, State
from htpoort.agent import Agent, Outbox
from htpoort.ledger import Ledger
from htpoort.simulator import Gateway

YEAR = timedelta(days=365)


async def test_what_waits_for_next_year(ledger: Ledger, router: Router, caplog: pytest.LogCaptureFixture) -> None:
    """A declaration and a reply that are due in a year are sent and delivered now, and the log explains why."""
    process, ahead = Process(), now() + YEAR
    ledger.exchanges.queue(declaration("K1"), at=now())
    ledger.replies.take_in(router, reply("K2"), mail_from=None, at=now())
    (claimed,) = ledger.exchanges.claim_soon(("DMS",), owner="a", most=1, at=ahead, lease=QUICK.lease).result()
    ledger.exchanges.settle_soon(
        claimed, Outcome.DEFERRED, at=ahead, due=ahead + timedelta(minutes=5), content_begun=False
    ).result()
    (given,) = ledger.replies.claim_soon("DMS", owner="a", most=1, at=ahead, lease=QUICK.lease).result()
    ledger.replies.mark_failed_soon(given.key, at=ahead, due=ahead + timedelta(minutes=1), trouble="away").result()
    async with Gateway() as gateway:
        outbox = Outbox(server=server(gateway.smtp_port))
        async with (
            Agent(ledger=ledger, router=router, outboxes=[outbox], deliveries={"DMS": process}, timing=QUICK),
            asyncio.timeout(60),
        ):
            delivered = await process.has(1)
            while True:
                found = await asyncio.to_thread(ledger.exchanges.find, "K1", party=PARTY)
                if found is not None and found.state is State.ACCEPTED:
                    break
                # Reading the ledger waits for another thread; a longer pause is not needed.
                await asyncio.sleep(0)

    why = "(1) were due later than any delay allows: a clock was ahead. They are due now"
    assert ["K2"] == delivered
    assert {f"Declarations to DMS {why}", f"Replies of DMS {why}"} == {
        record.getMessage() for record in caplog.records if "a clock was ahead" in record.getMessage()
    }
