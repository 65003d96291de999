"""Questions to the ledger: counts, stories, pruning."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import ClassVar

import pytest

from htpoort import AGS, InputError, Router, Submission, UnknownError
from htpoort.exchange import Event, State
from htpoort.ledger import Ledger

PARTY = "NL123456789.02.05"
LEASE = timedelta(minutes=2)
DAY = 24 * 60

Clock = Callable[..., datetime]
Make = Callable[..., Submission]
Write = Callable[..., bytes]


def test_status_counts(ledger: Ledger, router: Router, clock: Clock, declaration: Make, reply: Write) -> None:
    """Counts by system and state, the oldest that is open, replies and strangers that wait."""
    ledger.exchanges.queue(declaration("K1"), at=clock())
    ledger.exchanges.queue(declaration("K2"), at=clock(1))
    ledger.exchanges.queue(declaration("K3", system=AGS), at=clock(2))
    ledger.replies.take_in(router, reply("K1"), mail_from=None, at=clock(3))
    ledger.replies.take_in(router, b"junk", mail_from=None, at=clock(3))
    status = ledger.status()

    assert {("DMS", State.ANSWERED): 1, ("DMS", State.QUEUED): 1, ("AGS", State.QUEUED): 1} == status.exchanges
    assert {"DMS": clock(1), "AGS": clock(2)} == status.oldest
    assert ({"DMS": 1}, 1) == (status.undelivered, status.quarantined)


def test_an_empty_ledger_has_a_status(ledger: Ledger) -> None:
    """Nothing is there, and nothing waits."""
    status = ledger.status()

    assert ({}, {}, {}, 0) == (status.exchanges, status.oldest, status.undelivered, status.quarantined)


def test_the_whole_story(ledger: Ledger, router: Router, clock: Clock, declaration: Make, reply: Write) -> None:
    """Every event of an exchange is told in order, with the state after it, and its replies."""
    ledger.exchanges.queue(declaration("K1"), at=clock())
    (claimed,) = ledger.exchanges.claim_soon(("DMS",), owner="a", most=1, at=clock(1), lease=LEASE).result()
    ledger.exchanges.settle_soon(claimed, Event.ACCEPTED, at=clock(2), detail="250 OK").result()
    ledger.replies.take_in(router, reply("K1"), mail_from=None, at=clock(3))
    (waiting,) = ledger.replies.claim_soon("DMS", owner="a", most=1, at=clock(4), lease=LEASE).result()
    ledger.replies.delivered_soon(waiting.key, at=clock(4)).result()
    (story,) = ledger.story("K1", party="nl123456789.02.05")

    assert [
        (clock(0), "queued", "queued"),
        (clock(1), "attempt-started", "sending"),
        (clock(2), "accepted", "accepted"),
        (clock(3), "reply-received", "answered"),
        (clock(4), "delivered", None),
    ] == [(entry.at, entry.event, entry.state) for entry in story.entries]
    assert "250 OK" == story.entries[2].detail
    assert [reply("K1")] == [one.raw for one in story.replies]


def test_every_decision_is_told(ledger: Ledger, clock: Clock, declaration: Make) -> None:
    """An event that changed nothing stands in the log too, with the reason."""
    ledger.exchanges.queue(declaration("K1"), at=clock())
    ledger.exchanges.order("K1", Event.CLOSED, at=clock(1))
    ledger.exchanges.order("K1", Event.CLOSED, at=clock(2))

    assert "It is closed already." == ledger.story("K1")[0].entries[-1].detail


def test_a_story_that_is_none(ledger: Ledger) -> None:
    """A K that nobody used is told."""
    with pytest.raises(UnknownError):
        ledger.story("K9")


class TestPrune:
    """What is over and older than the retention can be removed; that a K was used cannot."""

    @staticmethod
    def filled(ledger: Ledger, router: Router, clock: Clock, declaration: Make, reply: Write) -> None:
        """Fill a ledger with one exchange that is over, one that is open, and a stranger of each kind."""
        for reference in ("K1", "K2"):
            ledger.exchanges.queue(declaration(reference), at=clock())
        ledger.replies.take_in(router, reply("K1"), mail_from=None, at=clock())
        (waiting,) = ledger.replies.claim_soon("DMS", owner="a", most=1, at=clock(), lease=LEASE).result()
        ledger.replies.delivered_soon(waiting.key, at=clock()).result()
        ledger.replies.take_in(router, b"held", mail_from=None, at=clock())
        key = ledger.replies.take_in(router, b"discarded", mail_from=None, at=clock()).key
        ledger.quarantine.discard(key, at=clock())

    EXPECTED: ClassVar = {"events": 6, "replies": 1, "quarantined messages": 1, "messages of exchanges": 1}

    def test_counts_before_it_removes(
        self, ledger: Ledger, router: Router, clock: Clock, declaration: Make, reply: Write
    ) -> None:
        """A dry run tells what would go, and removes nothing."""
        self.filled(ledger, router, clock, declaration, reply)
        told = [ledger.prune(before=clock(DAY), at=clock(40 * DAY), days=30) for _ in range(2)]

        assert [self.EXPECTED, self.EXPECTED] == told

    def test_removes_what_it_told(
        self, ledger: Ledger, router: Router, clock: Clock, declaration: Make, reply: Write
    ) -> None:
        """What is open, held or waiting stays; the rest goes, and a second time nothing."""
        self.filled(ledger, router, clock, declaration, reply)
        removed = ledger.prune(before=clock(DAY), at=clock(40 * DAY), days=30, dry=False)
        again = ledger.prune(before=clock(DAY), at=clock(40 * DAY), days=30, dry=False)

        assert (self.EXPECTED, 0) == (removed, sum(again.values()))
        assert [b"held"] == [held.raw for held in ledger.quarantine.listed(None)]
        assert ["K2"] == [
            claimed.reference
            for claimed in ledger.exchanges.claim_soon(("DMS",), owner="a", most=9, at=clock(), lease=LEASE).result()
        ]

    def test_a_k_stays_used(
        self, ledger: Ledger, router: Router, clock: Clock, declaration: Make, reply: Write
    ) -> None:
        """Also after its message is gone a K is not used again."""
        self.filled(ledger, router, clock, declaration, reply)
        ledger.prune(before=clock(DAY), at=clock(40 * DAY), days=30, dry=False)

        with pytest.raises(InputError):
            ledger.exchanges.queue(declaration("K1"), at=clock(40 * DAY))

    def test_refuses_to_reach_into_the_retention(self, ledger: Ledger, clock: Clock) -> None:
        """Seven years are kept unless the caller says otherwise."""
        with pytest.raises(InputError) as caught:
            ledger.prune(before=clock(), at=clock(2556 * DAY))
        counted = ledger.prune(before=clock(), at=clock(2557 * DAY))

        assert ["ledger.retention"] == [problem.code for problem in caught.value.problems]
        assert 0 == sum(counted.values())
