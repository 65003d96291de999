"""The inbox of an agent has the limits of a receiver, from its settings."""

from __future__ import annotations

import asyncio

import attrs
from agents import INBOX, QUICK

from htpoort import Router
from htpoort.agent import Agent
from htpoort.ledger import Ledger
from htpoort.transport import Limits


async def test_one_connection_too_many(ledger: Ledger, router: Router) -> None:
    """An agent whose inbox accepts one connection answers a second one with 421."""
    inbox = attrs.evolve(INBOX, limits=Limits(connections=1))
    async with Agent(ledger=ledger, router=router, inboxes=[inbox], timing=QUICK) as agent:
        connections = [await asyncio.open_connection("127.0.0.1", agent.ports[0]) for _ in range(2)]
        greetings = [await reader.readline() for reader, _ in connections]
        for _, writer in connections:
            writer.transport.abort()
        await asyncio.sleep(0)
    assert [b"220", b"421"] == [greeting[:3] for greeting in greetings]
