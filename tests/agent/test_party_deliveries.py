"""Replies of one system go to the delivery of their party, and those of other parties to the system's own."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import attrs
import pytest
from agents import PARTY, QUICK, Process, now, reply

from htpoort import DMS, InputError, Router, UnknownError
from htpoort.agent import Agent
from htpoort.ledger import Ledger

CLIENT = "NL123456789.02.06"


@pytest.fixture
def router() -> Router:
    """Route for two parties."""
    return Router(parties=[PARTY, CLIENT])


def store(ledger: Ledger, router: Router) -> None:
    """Store two replies for each party."""
    for reference, party in (("A1", PARTY), ("B1", CLIENT), ("A2", PARTY), ("B2", CLIENT)):
        ledger.replies.take_in(router, reply(reference, DMS, party=party), mail_from=None, at=now())


async def test_each_its_own(ledger: Ledger, router: Router) -> None:
    """No reply reaches the process of another party, whatever the case of the party ID in the settings."""
    own, others = Process(), Process()
    store(ledger, router)
    agent = Agent(
        ledger=ledger,
        router=router,
        deliveries={"DMS": others},
        party_deliveries={("dms", CLIENT.lower()): own},
        timing=QUICK,
    )
    async with asyncio.timeout(60), agent:
        await agent.wait_until_idle()
    assert (["B1", "B2"], ["A1", "A2"]) == tuple(
        sorted(taken.reference for taken in process.taken) for process in (own, others)
    )


async def test_one_that_hangs(ledger: Ledger, router: Router) -> None:
    """A process that hangs holds up no other party of its system."""
    others = Process()

    async def hang(_: object) -> None:
        await asyncio.Event().wait()

    for number in range(40):
        raw = reply(f"H{number}", DMS, party=CLIENT)
        ledger.replies.take_in(router, raw, mail_from=None, at=now())
    ledger.replies.take_in(router, reply("A1"), mail_from=None, at=now())
    one, all_others = {("DMS", CLIENT): hang}, {"DMS": others}
    hurried = attrs.evolve(QUICK, grace=timedelta(milliseconds=50))
    async with Agent(ledger=ledger, router=router, deliveries=all_others, party_deliveries=one, timing=hurried):
        assert ["A1"] == await others.has(1)


async def test_a_party_without(ledger: Ledger, router: Router, caplog: pytest.LogCaptureFixture) -> None:
    """Replies of a party without a delivery wait, and the log names the party at the start."""
    own = Process()
    store(ledger, router)
    agent = Agent(ledger=ledger, router=router, party_deliveries={("DMS", CLIENT): own}, timing=QUICK)
    async with asyncio.timeout(60), agent:
        await agent.wait_until_idle()
    assert {"DMS": 2} == ledger.status().undelivered
    assert f"Replies of DMS for {PARTY} wait, because this agent has no delivery for them" in caplog.messages


def test_two_for_one(ledger: Ledger, router: Router) -> None:
    """Two deliveries for the same replies are refused, with every such pair."""
    process = Process()
    with pytest.raises(InputError) as caught:
        Agent(
            ledger=ledger,
            router=router,
            deliveries={"DMS": process, "dms": process},
            party_deliveries={("DMS", CLIENT): process, ("dms", CLIENT): process},
        )
    assert [
        "Replies of DMS have two deliveries; leave one of them out.",
        f"Replies of DMS for {CLIENT} have two deliveries; leave one of them out.",
    ] == [problem.message for problem in caught.value.problems]


def test_an_unknown_party(ledger: Ledger, router: Router) -> None:
    """A party whose replies would be quarantined needs no delivery: its name is a slip."""
    with pytest.raises(UnknownError) as caught:
        Agent(ledger=ledger, router=router, party_deliveries={("DMS", "NL123456789.02.07"): Process()})
    assert ("party", "NL123456789.02.07") == (caught.value.kind, caught.value.key)
