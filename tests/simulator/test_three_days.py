"""Days of replies in one test: every reply of two hundred conversations reaches the process, each once."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import timedelta
from pathlib import Path

from htpoort import AGS, DMS, Router, State, build
from htpoort.agent import Agent, Outbox, SmtpInbox, Timing
from htpoort.ledger import Ledger, Reply
from htpoort.simulator import Declarant, Gateway, ReplyKind, Scenario, Script, ScriptedReply, SimulatedClock
from htpoort.transport import Security, Sender, SmtpServer

PARTY = "NL123456789.02.05"
MAILBOX = "edi@forwarder.example"
DAY = timedelta(days=1)
SCRIPT = Script(
    scenarios=(
        Scenario(
            name="AGS",
            system="AGS",
            replies=(ScriptedReply(), ScriptedReply(kind=ReplyKind.RELEASE, after=3 * DAY)),
        ),
        Scenario(
            name="DMS",
            replies=(
                ScriptedReply(),
                ScriptedReply(kind=ReplyKind.CONTROL, after=DAY),
                ScriptedReply(kind=ReplyKind.RELEASE, after=3 * DAY),
            ),
        ),
    )
)
QUICK = Timing(
    poll_interval=timedelta(milliseconds=20), lease=timedelta(days=30), retry_delay=timedelta(milliseconds=20)
)


async def test_two_hundred_conversations(tmp_path: Path) -> None:
    """Three days of replies to 100 declarations for AGS and 100 for DMS: 500 replies at the process, in three days."""
    clock = SimulatedClock()
    began = clock()
    replies: list[Reply] = []
    begun, complete = asyncio.Event(), asyncio.Event()

    async def process(reply: Reply) -> None:
        replies.append(reply)
        {200: begun, 500: complete}.get(len(replies), asyncio.Event()).set()

    with Ledger.open(f"sqlite:///{tmp_path / 'htpoort.db'}") as ledger:
        for number in range(200):
            declaration = build(
                system=(AGS, DMS)[number % 2],
                party=PARTY,
                mailbox=MAILBOX,
                reference=f"K{number:03}",
                payload=b"<MetaData/>",
                date=clock(),
                message_id=f"<{number}@forwarder.example>",
            )
            ledger.exchanges.queue_soon(declaration, at=clock())
        async with Gateway(script=SCRIPT, clock=clock) as gateway:
            htg = SmtpServer(host="127.0.0.1", port=gateway.smtp_port, security=Security.PLAIN)
            async with Agent(
                ledger=ledger,
                router=Router(parties=[PARTY]),
                outboxes=[Outbox(server=htg)],
                inboxes=[SmtpInbox(hostname="forwarder.example", mailboxes=(MAILBOX,))],
                deliveries={"AGS": process, "DMS": process},
                clock=clock,
                timing=QUICK,
            ) as agent:
                gateway.register(MAILBOX, SmtpServer(host="127.0.0.1", port=agent.ports[0], security=Security.PLAIN))
                async with asyncio.timeout(60):
                    await begun.wait()
                    await gateway.play()
                    await complete.wait()
        status = ledger.status()

    assert 3 * DAY == clock() - began
    assert {f"K{number:03}": 2 + number % 2 for number in range(200)} == Counter(one.reference for one in replies)
    assert {timedelta(0): 200, DAY: 100, 3 * DAY: 200} == Counter(sent.at - began for sent in gateway.sent)
    assert {("AGS", State.ANSWERED): 100, ("DMS", State.ANSWERED): 100} == status.exchanges
    assert (0, {}, [], []) == (status.quarantined, status.undelivered, gateway.undelivered, gateway.refused)


async def test_the_order_is_the_same_each_time() -> None:
    """Replies that are due at one moment are sent in the order of their declarations."""

    async def played() -> list[tuple[str, ReplyKind]]:
        declarant = Declarant(mailbox=MAILBOX, password="correct horse")
        async with Gateway(declarants=[declarant], script=SCRIPT, clock=SimulatedClock()) as gateway:
            server = SmtpServer(
                host="127.0.0.1",
                port=gateway.smtp_port,
                security=Security.PLAIN,
                username=MAILBOX,
                password="correct horse",
            )
            async with Sender(server) as sender:
                for number in range(20):
                    await sender.send(
                        build(
                            system=DMS,
                            party=PARTY,
                            mailbox=MAILBOX,
                            reference=f"K{number}",
                            payload=b"<MetaData/>",
                            date=gateway.clock(),
                            message_id=f"<{number}@forwarder.example>",
                        )
                    )
            await gateway.play()
        return [(sent.declaration.envelope.reference, sent.scripted.kind) for sent in gateway.sent]

    kinds = (ReplyKind.ACCEPTANCE, ReplyKind.CONTROL, ReplyKind.RELEASE)
    expected = [(f"K{number}", kind) for kind in kinds for number in range(20)]
    assert (expected, expected) == (await played(), await played())
