"""The agent while its ledger fails: nothing is acknowledged, it says so, and it can still be stopped."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from datetime import timedelta

import attrs
import pytest
import sqlalchemy as sa
from agents import INBOX, MAILBOX, PARTY, QUICK, declaration, now, pushed, reply, server
from disk import failing_disk

from htpoort import Router, SendError
from htpoort.agent import Agent, Outbox
from htpoort.exchange import State
from htpoort.ledger import Ledger, Reply, _inbox
from htpoort.simulator import Gateway
from htpoort.transport import Incoming, Receiver


async def test_what_cannot_be_stored_is_not_taken(
    ledger: Ledger, router: Router, caplog: pytest.LogCaptureFixture
) -> None:
    """While the disk fails the peer gets 451 and no word more, a person reads what to do; then the same is taken."""
    async with Gateway() as gateway, Agent(ledger=ledger, router=router, inboxes=[INBOX], timing=QUICK) as agent:
        gateway.register(MAILBOX, server(agent.ports[0]))
        # For nobody of ours: of a reply that waits the agent may tell, if its own first look at the ledger is late.
        stray = pushed(reply("K1", party="NL123456789.99.05"))
        with failing_disk(), pytest.raises(SendError) as caught:
            await gateway.push(stray)
        stored = list(ledger.quarantine.listed())
        await gateway.push(stray)

    told = [record.getMessage() for record in caplog.records if record.name == "htpoort.agent"]
    assert (451, "4.3.0 Not taken, try again later") == (caught.value.code, caught.value.reply)
    assert ([], 1) == (stored, len(list(ledger.quarantine.listed())))
    assert [
        f"Not stored, so the peer must come again: Writing failed on {ledger.where}. The disk reports an error;",
        "In quarantine as 1: unknown-addressee",
    ] == [sentence.partition(" check")[0] for sentence in told]


async def test_it_ends_while_the_disk_fails(ledger: Ledger, router: Router) -> None:
    """An outcome that cannot be recorded keeps no agent from ending; the next one finds the exchange unknown."""
    began, hold = asyncio.Event(), asyncio.Event()

    async def silent(_incoming: Incoming) -> None:
        began.set()
        await hold.wait()

    ledger.exchanges.queue(declaration("K1"), at=now())
    hurried = attrs.evolve(QUICK, grace=timedelta(milliseconds=50))
    async with Receiver(silent, hostname="gateway.example", mailboxes=["dms@htpoort.nl"], grace=0.1) as receiver:
        outbox = Outbox(server=server(receiver.port))
        async with contextlib.AsyncExitStack() as leaving:
            await leaving.enter_async_context(Agent(ledger=ledger, router=router, outboxes=[outbox], timing=hurried))
            await began.wait()
            with failing_disk():
                async with asyncio.timeout(60):
                    await leaving.aclose()
        hold.set()
    async with Agent(ledger=ledger, router=router, timing=QUICK):
        found = ledger.exchanges.find(PARTY, "K1")

    assert found is not None
    assert State.UNKNOWN == found.state


async def test_it_ends_while_the_ledger_hangs(ledger: Ledger, router: Router) -> None:
    """A ledger that never answers, as behind a lock of somebody else, keeps no agent from ending."""
    began, hold, answers = asyncio.Event(), asyncio.Event(), threading.Event()

    async def silent(_incoming: Incoming) -> None:
        began.set()
        await hold.wait()

    async def process(_reply: Reply) -> None:
        await hold.wait()

    ledger.exchanges.queue(declaration("K1"), at=now())
    ledger.replies.take_in(router, reply("K2"), mail_from=None, at=now())
    hurried = attrs.evolve(QUICK, grace=timedelta(milliseconds=50))
    async with Receiver(silent, hostname="gateway.example", mailboxes=["dms@htpoort.nl"], grace=0.1) as receiver:
        async with asyncio.timeout(60):
            agent = Agent(
                ledger=ledger,
                router=router,
                outboxes=[Outbox(server=server(receiver.port))],
                deliveries={"DMS": process},
                timing=hurried,
            )
            agent._common.last = 0.05
            async with agent:
                await began.wait()
                stuck = ledger.soon(lambda _connection: answers.wait())
        hold.set()
        answers.set()
        await asyncio.wrap_future(stuck)
    async with Agent(ledger=ledger, router=router, timing=QUICK):
        found = ledger.exchanges.find(PARTY, "K1")

    assert found is not None
    assert (State.UNKNOWN, {"DMS": 1}) == (found.state, ledger.status().undelivered)


async def test_a_claim_that_got_lost_is_no_claim_for_ever(ledger: Ledger, router: Router) -> None:
    """A reply that an agent holds without knowing it, after a lost answer of the database, is still delivered."""
    came: asyncio.Queue[str] = asyncio.Queue()
    raw = reply("K1")

    async def process(taken: Reply) -> None:
        await came.put(taken.reference)

    short = attrs.evolve(QUICK, lease=timedelta(milliseconds=600))
    agent = Agent(ledger=ledger, router=router, deliveries={"DMS": process}, timing=short)
    async with agent:
        owner, at = agent._common.owner, now()

        def stored_and_held(connection: sa.Connection) -> None:
            """Store a reply, and let the agent hold it in the same transaction."""
            _inbox.take_in(connection, router.route_message(raw, None), raw, at)
            assert [raw] == [one.raw for one in _inbox.claim(connection, "DMS", owner, 1, at, short.lease)]

        await asyncio.wrap_future(ledger.soon(stored_and_held))
        async with asyncio.timeout(60):
            reference = await came.get()

    assert "K1" == reference
