"""Shadows: the ledger keeps the message for the other system beside the exchange, and never sends it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta

import attrs
import pytest
from agents import QUICK, server

from htpoort import AGS, DMS, InputError, Outcome, Router, State, Submission
from htpoort.agent import Agent, Outbox
from htpoort.ledger import Ledger
from htpoort.simulator import Gateway

PARTY, CLIENT = "NL123456789.02.05", "NL123456789.03.05"
LEASE = timedelta(minutes=2)
DAY = 24 * 60

Clock = Callable[..., datetime]
Make = Callable[..., Submission]


def kept(ledger: Ledger, *parties: str) -> list[tuple[str, str, bytes, bytes]]:
    """List K, the system of the shadow, and both messages."""
    shadows = ledger.exchanges.shadows(parties or None)
    return [(shadow.exchange.reference, shadow.system, shadow.sent, shadow.raw) for shadow in shadows]


class TestQueue:
    """Message and shadow are committed together, and belong together."""

    def test_both_are_kept(self, ledger: Ledger, clock: Clock, declaration: Make) -> None:
        """Message and shadow are kept octet for octet; an exchange without a shadow is not listed."""
        sent, shadow = declaration("K1", system=AGS), declaration("K1")
        queued = ledger.exchanges.queue(sent, at=clock(), shadow=shadow)
        ledger.exchanges.queue(declaration("K2"), at=clock())
        (stored,) = ledger.exchanges.shadows()

        assert ("AGS", "K1", State.QUEUED) == (queued.system, queued.reference, queued.state)
        assert queued == stored.exchange
        assert ("DMS", sent.data, shadow.data) == (stored.system, stored.sent, stored.raw)

    def test_the_same_again(self, ledger: Ledger, clock: Clock, declaration: Make) -> None:
        """An interrupted caller may repeat both, or the message alone; nothing is stored twice."""
        sent, shadow = declaration("K1", system=AGS), declaration("K1")
        first, again, alone = (
            ledger.exchanges.queue(sent, at=clock(minute), shadow=beside)
            for minute, beside in enumerate((shadow, shadow, None))
        )

        assert first == again == alone
        assert [("K1", "DMS", sent.data, shadow.data)] == kept(ledger)

    def test_the_same_built_anew(self, ledger: Ledger, clock: Clock, declaration: Make) -> None:
        """A caller may build both anew, with another Date and Message-ID; the first ones stay."""
        sent, shadow = declaration("K1", system=AGS), declaration("K1")
        later = [
            attrs.evolve(
                submission, data=submission.data.replace(b"Date: Mon, 02", b"Date: Tue, 03").replace(b"<K1@", b"<K1-2@")
            )
            for submission in (sent, shadow)
        ]
        ledger.exchanges.queue(sent, at=clock(), shadow=shadow)
        again = ledger.exchanges.queue(later[0], at=clock(5), shadow=later[1])

        assert (True, True) == (again.repeated, later[0].data != sent.data)
        assert [("K1", "DMS", sent.data, shadow.data)] == kept(ledger)

    def test_another_shadow_is_refused(self, ledger: Ledger, clock: Clock, declaration: Make) -> None:
        """A K has one shadow, so that a comparison stays valid."""
        sent, shadow = declaration("K1", system=AGS), declaration("K1")
        ledger.exchanges.queue(sent, at=clock(), shadow=shadow)
        with pytest.raises(InputError, match="with another shadow") as caught:
            ledger.exchanges.queue(sent, at=clock(), shadow=declaration("K1", payload=b"<b/>"))

        assert ["ledger.shadow"] == [problem.code for problem in caught.value.problems]
        assert [("K1", "DMS", sent.data, shadow.data)] == kept(ledger)

    def test_a_shadow_that_does_not_match(self, ledger: Ledger, clock: Clock, declaration: Make) -> None:
        """A shadow of another K or party, or for the same system, is refused with every problem; nothing is queued."""
        sent = declaration("K1", system=AGS)
        wrong = (declaration("K2"), declaration("K1", party=CLIENT), declaration("K2", system=AGS), sent)
        counts: list[int] = []
        for shadow in wrong:
            with pytest.raises(InputError) as caught:
                ledger.exchanges.queue(sent, at=clock(), shadow=shadow)
            assert {"ledger.shadow"} == {problem.code for problem in caught.value.problems}
            counts.append(len(caught.value.problems))

        assert [1, 1, 2, 1] == counts
        assert ({}, []) == (ledger.status().exchanges, kept(ledger))

    def test_a_k_that_is_used_gets_no_shadow(self, ledger: Ledger, clock: Clock, declaration: Make) -> None:
        """If the message is refused, its shadow is not kept either."""
        ledger.exchanges.queue(declaration("K1", system=AGS, payload=b"<b/>"), at=clock())
        with pytest.raises(InputError, match="queued K1 before"):
            ledger.exchanges.queue(declaration("K1", system=AGS), at=clock(), shadow=declaration("K1"))

        assert [] == kept(ledger)


def test_listed_for_some_parties(ledger: Ledger, clock: Clock, declaration: Make) -> None:
    """The list for a party holds its own shadows, oldest first, and is empty for a party without one."""
    for party in (PARTY, CLIENT):
        for reference in ("K1", "K2"):
            ledger.exchanges.queue(
                declaration(reference, system=AGS, party=party),
                at=clock(),
                shadow=declaration(reference, party=party),
            )

    assert ["K1", "K2"] == [row[0] for row in kept(ledger, PARTY.lower())]
    assert {PARTY} == {shadow.exchange.party for shadow in ledger.exchanges.shadows([PARTY])}
    assert 4 == len(kept(ledger, CLIENT, PARTY, *(f"NL{number:09}.02.05" for number in range(600))))
    assert [] == kept(ledger, "NL123456789.99.05") == list(ledger.exchanges.shadows([]))


def test_pruned_with_its_message(ledger: Ledger, clock: Clock, declaration: Make) -> None:
    """The shadow of a finished exchange is deleted with its message; that of an open one stays."""
    for reference in ("K1", "K2"):
        ledger.exchanges.queue(declaration(reference, system=AGS), at=clock(), shadow=declaration(reference))
    (first,) = ledger.exchanges.claim_soon(("AGS",), owner="a", most=1, at=clock(), lease=LEASE).result()
    ledger.exchanges.settle_soon(first, Outcome.REFUSED, at=clock()).result()
    ledger.exchanges.close("K1", at=clock())
    times = {"before": clock(DAY), "at": clock(40 * DAY)}
    counted = ledger.prunable(**times, days=30)
    removed = ledger.prune(**times, days=30)

    assert (1, 1) == (counted["shadows"], counted["messages of exchanges"])
    assert counted == removed
    assert ["K2"] == [row[0] for row in kept(ledger)]


class TestNeverSent:
    """No agent sends a shadow."""

    def test_not_claimed(self, ledger: Ledger, clock: Clock, declaration: Make) -> None:
        """Nothing is due for the system of the shadows; for that of the messages, each is due once."""
        for number in range(20):
            reference = f"K{number:02}"
            ledger.exchanges.queue(declaration(reference, system=AGS), at=clock(), shadow=declaration(reference))
        taken = {
            system: ledger.exchanges.claim_soon((system,), owner="a", most=99, at=clock(99 * DAY), lease=LEASE).result()
            for system in (DMS.name, AGS.name)
        }

        assert (0, 20) == (len(taken["DMS"]), len(taken["AGS"]))
        assert {("AGS", State.SENDING): 20} == ledger.status().exchanges

    async def test_an_agent_sends_only_the_real_ones(
        self, ledger: Ledger, router: Router, clock: Clock, declaration: Make
    ) -> None:
        """Of forty declarations with a shadow each, the gateway gets forty messages, all for the right system."""
        for number in range(40):
            reference, system, other = f"K{number:02}", *((AGS, DMS) if number % 2 else (DMS, AGS))
            ledger.exchanges.queue(
                declaration(reference, system=system), at=clock(), shadow=declaration(reference, system=other)
            )
        async with Gateway() as gateway, asyncio.timeout(60):
            outbox = Outbox(server=server(gateway.smtp_port))
            async with Agent(ledger=ledger, router=router, outboxes=[outbox], timing=QUICK):
                await self.all_sent(ledger)
            # A second agent finds nothing left to send.
            async with Agent(ledger=ledger, router=router, outboxes=[outbox], timing=QUICK) as agent:
                agent.wake()

        assert sorted((f"K{number:02}", "AGS" if number % 2 else "DMS") for number in range(40)) == sorted(
            (taken.envelope.reference, taken.system.name) for taken in gateway.received
        )
        assert 40 == len(kept(ledger))

    @staticmethod
    async def all_sent(ledger: Ledger) -> None:
        """Wait until the gateway has taken everything."""
        while True:
            status = await asyncio.to_thread(ledger.status)
            if {State.ACCEPTED} == {state for _, state in status.exchanges}:
                return
            # Reading the ledger takes a turn of another thread; nothing else is waited for.
            await asyncio.sleep(0)
