"""Mailboxes whose servers do not answer delay nothing else, however many there are."""

from __future__ import annotations

import asyncio
import os
import threading
from datetime import timedelta

import attrs
from agents import QUICK, Process, declaration, now, reply, server
from pop3_server import PASSWORD, Pop3Box

from htpoort import Router
from htpoort.agent import Agent, Outbox, Pop3Inbox
from htpoort.ledger import Ledger
from htpoort.transport import Incoming, Pop3Account, Receiver, Security

# More than the threads of asyncio's own pool.
MANY = min(32, (os.cpu_count() or 1) + 4) + 4


def inbox(box: Pop3Box, user: str) -> Pop3Inbox:
    """Poll a mailbox on loopback, by a host name that must be looked up."""
    account = Pop3Account(
        host="localhost", port=box.port, security=Security.PLAIN, username=user, password=PASSWORD, timeout=3600
    )
    return Pop3Inbox(server=account, poll_interval=timedelta(milliseconds=5))


async def test_they_delay_nothing_else(ledger: Ledger, router: Router) -> None:
    """While more mailboxes hang than asyncio has threads, a declaration is sent and a reply is received."""
    sent, process = asyncio.Event(), Process()

    async def take(_incoming: Incoming) -> None:
        sent.set()

    hurried = attrs.evolve(QUICK, grace=timedelta(milliseconds=50))
    async with (
        Pop3Box(faults={"greeting": "stall"}) as silent,
        Pop3Box() as good,
        Receiver(take, hostname="gateway.example", mailboxes=["dms@htpoort.nl"]) as receiver,
        Agent(
            ledger=ledger,
            router=router,
            outboxes=[Outbox(server=attrs.evolve(server(receiver.port), host="localhost"))],
            inboxes=[*(inbox(silent, f"edi{number}") for number in range(MANY)), inbox(good, "edi")],
            deliveries={"DMS": process},
            timing=hurried,
        ) as agent,
    ):
        async with asyncio.timeout(60):
            while silent.connections < MANY:  # noqa: ASYNC110 - no event reports it
                await asyncio.sleep(0)
            good.mails.append(("u1", reply("K2")))
            ledger.exchanges.queue(declaration("K1"), at=now())
            agent.wake()
            await sent.wait()
            assert ["K2"] == await process.has(1)
        assert not silent.left.is_set()

    for thread in threading.enumerate():
        if thread.name == "htpoort-thread":
            thread.join(60)
    assert [] == [thread for thread in threading.enumerate() if thread.name == "htpoort-thread"]
