"""The agent while its ledger fails: nothing is acknowledged, it says so, and it can still be stopped."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import attrs
import pytest
import sqlalchemy as sa
from disk import failing_disk

from htpoort import DMS, Router, SendError, Submission, build
from htpoort.agent import Agent, Outbox, SmtpInbox, Timing
from htpoort.exchange import State
from htpoort.ledger import Ledger, Reply, _inbox
from htpoort.simulator import Gateway
from htpoort.transport import Incoming, Receiver, Security, SmtpServer

PARTY = "NL123456789.02.05"
MAILBOX = "edi@forwarder.example"
QUICK = Timing(
    poll=timedelta(milliseconds=20),
    lease=timedelta(seconds=60),
    grace=timedelta(seconds=10),
    again=timedelta(milliseconds=20),
)
RAW = f"From: dms@htpoort.nl\r\nSubject: [V=DMS4.NL][A={PARTY}][K=K1][S=0]\r\n\r\nx\r\n".encode()


def now() -> datetime:
    """Give the time of the machine."""
    return datetime.now(UTC)  # noqa: TID251 - an agent runs in real time


def server(port: int) -> SmtpServer:
    """Name a server on loopback."""
    return SmtpServer(host="127.0.0.1", port=port, security=Security.PLAIN)


def declaration(reference: str) -> Submission:
    """Build a declaration."""
    return build(
        system=DMS,
        party=PARTY,
        mailbox=MAILBOX,
        reference=reference,
        payload=b"<MetaData/>",
        date=datetime(2026, 11, 2, 9, 5, 7, tzinfo=UTC),
        message_id=f"<{reference}@forwarder.example>",
    )


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """Open a new ledger."""
    with Ledger.open(f"sqlite:///{tmp_path / 'htpoort.db'}") as opened:
        yield opened


@pytest.fixture
def router(ledger: Ledger) -> Router:
    """Route for one party, by what the ledger knows."""
    return Router(parties=[PARTY], sent=ledger.sent)


async def test_what_cannot_be_stored_is_not_taken(
    ledger: Ledger, router: Router, caplog: pytest.LogCaptureFixture
) -> None:
    """While the disk fails the peer gets 451 and a person reads what to do; afterwards the same is taken."""
    inbox = SmtpInbox(hostname="forwarder.example", mailboxes=(MAILBOX,))
    reply = attrs.evolve(declaration("K1"), mail_from="dms@htpoort.nl", rcpt_to=MAILBOX, data=RAW)
    async with Gateway() as gateway, Agent(ledger=ledger, router=router, inboxes=[inbox], timing=QUICK) as agent:
        gateway.register(MAILBOX, server(agent.ports[0]))
        with failing_disk(), pytest.raises(SendError) as caught:
            await gateway.push(reply)
        stored = list(ledger.replies.listed())
        await gateway.push(reply)

    told = [record.getMessage() for record in caplog.records if record.name == "htpoort.agent"]
    assert (451, [], 1) == (caught.value.code, stored, len(list(ledger.replies.listed())))
    assert [
        f"Not stored, so the peer must come again: Writing failed on {ledger.where}. The disk reports an error;"
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
                async with asyncio.timeout(5):
                    await leaving.aclose()
        hold.set()
    async with Agent(ledger=ledger, router=router, timing=QUICK):
        found = ledger.exchanges.find(PARTY, "K1")

    assert found is not None
    assert State.UNKNOWN == found.state


async def test_a_claim_that_got_lost_is_no_claim_for_ever(ledger: Ledger, router: Router) -> None:
    """A reply that an agent holds without knowing it, after a lost answer of the database, is still delivered."""
    came: asyncio.Queue[str] = asyncio.Queue()

    async def process(reply: Reply) -> None:
        await came.put(reply.reference)

    short = attrs.evolve(QUICK, lease=timedelta(milliseconds=600))
    agent = Agent(ledger=ledger, router=router, deliveries={"DMS": process}, timing=short)
    async with agent:
        owner, at = agent._common.owner, now()

        def stored_and_held(connection: sa.Connection) -> None:
            """Store a reply, and let the agent hold it in the same transaction."""
            _inbox.take_in(connection, router.route_message(RAW, None), RAW, at)
            assert [RAW] == [one.raw for one in _inbox.claim(connection, "DMS", owner, 1, at, short.lease)]

        await asyncio.wrap_future(ledger.soon(stored_and_held))
        async with asyncio.timeout(20):
            reference = await came.get()

    assert "K1" == reference
