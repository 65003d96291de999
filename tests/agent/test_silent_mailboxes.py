"""Mailboxes whose server says nothing: nobody else waits for them, however many there are."""

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
from htpoort.transport import Incoming, Pop3Server, Receiver, Security

# What asyncio's own pool has at most, and some more.
MANY = min(32, (os.cpu_count() or 1) + 4) + 4


def inbox(box: Pop3Box, user: str) -> Pop3Inbox:
    """Look into a mailbox on loopback, by a name that must be looked up."""
    account = Pop3Server(
        host="localhost", port=box.port, security=Security.PLAIN, username=user, password=PASSWORD, timeout=3600
    )
    return Pop3Inbox(server=account, every=timedelta(milliseconds=5))


async def test_nobody_waits_for_them(ledger: Ledger, router: Router) -> None:
    """While more mailboxes hang than asyncio has threads, a declaration goes out and a reply comes in."""
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
            while silent.connections < MANY:  # noqa: ASYNC110 - no event tells of it
                await asyncio.sleep(0)
            good.mails.append(("u1", reply("K2")))
            ledger.exchanges.queue(declaration("K1"), at=now())
            agent.wake()
            await sent.wait()
            assert ["K2"] == await process.has(1)
        assert not silent.left.is_set()

    for thread in threading.enumerate():
        if thread.name == "htpoort-pop3":
            thread.join(60)
    assert [] == [thread for thread in threading.enumerate() if thread.name == "htpoort-pop3"]
