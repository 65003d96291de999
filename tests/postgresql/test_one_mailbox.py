"""Two agents on one ledger fetch from one mailbox, as `docs/how-to/many-machines.md` says."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from datetime import timedelta

import attrs
from agents import MAILBOX, PARTY, QUICK, Process, declaration, now, server

from htpoort import Router
from htpoort.agent import Agent, Outbox, Pop3Inbox
from htpoort.ledger import Ledger
from htpoort.simulator import Declarant, Gateway
from htpoort.transport import Pop3Account, Security

LOGIN = {"username": MAILBOX, "password": "geheim"}
OFTEN = timedelta(milliseconds=5)


async def test_one_goes_on_when_the_other_is_gone(local: Ledger, remote: Ledger) -> None:
    """However often they want the mailbox at once, each reply is delivered once, also after one of them has ended."""
    process = Process()
    async with Gateway(declarants=[Declarant(mailbox=MAILBOX, **LOGIN)]) as gateway, AsyncExitStack() as stay:
        account = Pop3Account(host="127.0.0.1", port=gateway.pop3_port, security=Security.PLAIN, **LOGIN)

        def machine(ledger: Ledger) -> Agent:
            return Agent(
                ledger=ledger,
                router=Router(parties=[PARTY]),
                outboxes=[Outbox(server=attrs.evolve(server(gateway.smtp_port), **LOGIN))],
                inboxes=[Pop3Inbox(server=account, poll_interval=OFTEN)],
                deliveries={"DMS": process},
                timing=attrs.evolve(QUICK, pause_schedule=(OFTEN,)),
            )

        async def declare(*references: str) -> None:
            for reference in references:
                await asyncio.to_thread(local.exchanges.queue, declaration(reference), at=now())

        await stay.enter_async_context(machine(remote))
        async with machine(local):
            await declare("K1", "K2", "K3", "K4")
            both = await process.has(4)
        await declare("K5", "K6")
        one = await process.has(6)

    assert ["K1", "K2", "K3", "K4"] == sorted(both)
    assert ["K1", "K2", "K3", "K4", "K5", "K6"] == sorted(one)
    assert {1} == {stored.copies for stored in local.replies.listed()}
