"""While its ledger fails, an agent acknowledges nothing, logs this, and can still be stopped."""

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

from htpoort import Routed, Router, SendError, State
from htpoort.agent import Agent, Outbox
from htpoort.ledger import Ledger, Reply
from htpoort.ledger._storing import store_reply
from htpoort.simulator import Gateway
from htpoort.transport import Incoming, Receiver

CLAIM = "UPDATE htpoort_replies SET owner = :owner, lease = :lease, attempts = 1"
NOT_STORED = "Not stored; the peer is asked to send it again"


async def test_what_cannot_be_stored_is_not_acknowledged(
    ledger: Ledger, router: Router, caplog: pytest.LogCaptureFixture
) -> None:
    """While the disk fails the peer gets 451 without details, and the log says what to do; then the reply is stored."""
    async with Gateway() as gateway, Agent(ledger=ledger, router=router, inboxes=[INBOX], timing=QUICK) as agent:
        gateway.register(MAILBOX, server(agent.ports[0]))
        # For no party of ours: if the first check of the ledger is late, the agent warns of a reply that waits.
        stray = pushed(reply("K1", party="NL123456789.99.05"))
        with failing_disk(), pytest.raises(SendError) as caught:
            await gateway.push(stray)
        stored = list(ledger.quarantine.listed())
        await gateway.push(stray)

    messages = [record.getMessage() for record in caplog.records if record.name == "htpoort.agent"]
    assert (451, "4.3.0 Not taken, try again later") == (caught.value.code, caught.value.reply)
    assert ([], 1) == (stored, len(list(ledger.quarantine.listed())))
    assert [
        f"{NOT_STORED}: The ledger {ledger.location} cannot be written. The disk is full or reports an error;",
        "In quarantine as 1 (unknown-addressee): The addressee 'NL123456789.99.05' is not one of the parties.",
    ] == [sentence.partition(" check")[0] for sentence in messages]


async def test_it_ends_while_the_disk_fails(ledger: Ledger, router: Router) -> None:
    """An outcome that cannot be recorded does not stop the agent from ending; the next one finds it unknown."""
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
        found = ledger.exchanges.find("K1", party=PARTY)

    assert found is not None
    assert State.UNKNOWN == found.state


async def test_it_ends_while_the_ledger_hangs(ledger: Ledger, router: Router) -> None:
    """A ledger that never answers, as behind a lock of another process, does not stop the agent from ending."""
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
            agent._context.final_seconds = 0.05
            async with agent:
                await began.wait()
                stuck = ledger.write_soon(lambda _connection: answers.wait())
        hold.set()
        answers.set()
        await asyncio.wrap_future(stuck)
    async with Agent(ledger=ledger, router=router, timing=QUICK):
        found = ledger.exchanges.find("K1", party=PARTY)

    assert found is not None
    assert (State.UNKNOWN, {"DMS": 1}) == (found.state, ledger.status().undelivered)


async def test_a_lost_claim_expires(ledger: Ledger, router: Router) -> None:
    """If the answer of the database to a claim is lost, the reply is still delivered later."""
    came: asyncio.Queue[str] = asyncio.Queue()
    raw = reply("K1")

    async def process(taken: Reply) -> None:
        await came.put(taken.reference)

    short = attrs.evolve(QUICK, lease=timedelta(milliseconds=600))
    agent = Agent(ledger=ledger, router=router, deliveries={"DMS": process}, timing=short)
    async with agent:
        owner, at = agent._context.owner, now()

        def stored_and_held(connection: sa.Connection) -> None:
            """Store a reply, and claim it for the agent in the same transaction."""
            routed = router.route_message(raw, None)
            assert isinstance(routed, Routed)
            store_reply(connection, routed, raw, at=at)
            lease = round((at + short.lease).timestamp() * 1_000_000)
            connection.execute(sa.text(CLAIM), {"owner": owner, "lease": lease})

        await asyncio.wrap_future(ledger.write_soon(stored_and_held))
        async with asyncio.timeout(60):
            reference = await came.get()

    assert "K1" == reference
