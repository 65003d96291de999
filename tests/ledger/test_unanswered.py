"""A list for Customs: when the mail server accepted a declaration, whatever a person decided afterwards."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from htpoort import DMS, Outcome, PartyId, Router, State, Submission
from htpoort.ledger import Claimed, Ledger

PARTY = "NL123456789.02.05"
LEASE = timedelta(minutes=2)

Clock = Callable[..., datetime]
Make = Callable[..., Submission]


class Desk:
    """A ledger with one declaration, its worker, and an operator; each step takes a minute."""

    def __init__(self, ledger: Ledger, router: Router, clock: Clock, declaration: Make) -> None:
        self.ledger, self.router, self.clock = ledger, router, clock
        self.minute = 0
        ledger.exchanges.queue(declaration("K1"), at=clock())

    def now(self) -> datetime:
        """Return a moment a minute after the one before."""
        self.minute += 1
        return self.clock(self.minute)

    def begin(self, owner: str = "a") -> Claimed:
        """Begin an attempt."""
        claims = self.ledger.exchanges.claim_soon(["DMS"], owner=owner, most=1, at=self.now(), lease=LEASE)
        (claimed,) = claims.result()
        return claimed

    def end(self, claimed: Claimed, outcome: Outcome, *, content_begun: bool = True) -> None:
        """End an attempt; what is deferred is due at once."""
        at = self.now()
        self.ledger.exchanges.settle(claimed, outcome, at=at, due=at, content_begun=content_begun)

    def release_and_withdraw(self) -> None:
        """Release a message from quarantine as the answer, and take that back."""
        raw = b"Subject: hello\r\n\r\nx\r\n"
        key = self.ledger.replies.take_in(self.router, raw, mail_from=None, at=self.now()).key
        party = PartyId.parse(PARTY)
        self.ledger.quarantine.release(key, system=DMS, party=party, reference="K1", at=self.now())
        self.ledger.quarantine.withdraw(key, at=self.now(), reason="it was for K2")

    def resolve(self) -> None:
        """State that the gateway has it."""
        self.ledger.exchanges.resolve_as_sent("K1", at=self.now())

    def resend(self) -> None:
        """Order it to be sent again."""
        self.ledger.exchanges.resend("K1", at=self.now())

    def listed(self) -> tuple[State, datetime | None, datetime]:
        """Return state, acceptance, and the moment from which its age counts; the limit is exclusive."""
        (found,) = self.ledger.exchanges.unanswered()
        younger = list(self.ledger.exchanges.unanswered(before=found.since))
        older = list(self.ledger.exchanges.unanswered(before=found.since + timedelta(microseconds=1)))
        assert ([], [found]) == (younger, older)
        return found.exchange.state, found.accepted, found.since


@pytest.fixture
def desk(ledger: Ledger, router: Router, clock: Clock, declaration: Make) -> Desk:
    """Return a desk at a new ledger."""
    return Desk(ledger, router, clock, declaration)


class TestAccepted:
    """The moment of acceptance is the first 250 of an attempt."""

    def test_at_once(self, desk: Desk, clock: Clock) -> None:
        """It was accepted at the second minute."""
        desk.end(desk.begin(), Outcome.ACCEPTED)

        assert (State.ACCEPTED, clock(2), clock(2)) == desk.listed()

    def test_after_another_attempt(self, desk: Desk, clock: Clock) -> None:
        """An attempt that was not accepted does not count."""
        desk.end(desk.begin(), Outcome.DEFERRED)
        desk.end(desk.begin(), Outcome.ACCEPTED)

        assert (State.ACCEPTED, clock(4), clock(4)) == desk.listed()

    def test_a_release_that_was_taken_back(self, desk: Desk, clock: Clock) -> None:
        """That a person took an answer back, however often, does not change when it was accepted."""
        desk.end(desk.begin(), Outcome.ACCEPTED)
        desk.release_and_withdraw()
        desk.release_and_withdraw()

        assert (State.ACCEPTED, clock(2), clock(2)) == desk.listed()

    def test_the_report_of_a_worker_that_was_thought_dead(self, desk: Desk, clock: Clock) -> None:
        """Its 250 is the truth, also after a person had to decide without it."""
        late = desk.begin()
        desk.minute = 8
        desk.ledger.exchanges.expire(at=desk.now())
        desk.resolve()
        desk.end(late, Outcome.ACCEPTED)

        assert (State.ACCEPTED, clock(11), clock(11)) == desk.listed()


class TestResolvedAsSent:
    """What a person knows to have been sent was accepted by the attempt that may have been."""

    def test_the_attempt(self, desk: Desk, clock: Clock) -> None:
        """It is the beginning of the attempt, and not the order."""
        desk.end(desk.begin(), Outcome.UNKNOWN)
        desk.resolve()

        assert (State.ACCEPTED, clock(1), clock(1)) == desk.listed()

    def test_a_worker_that_was_lost(self, desk: Desk, clock: Clock) -> None:
        """That a worker is gone is noticed late, perhaps days after its attempt."""
        desk.begin()
        desk.minute = 4000
        desk.ledger.exchanges.expire(at=desk.now())
        desk.resolve()

        assert (State.ACCEPTED, clock(1), clock(1)) == desk.listed()

    def test_the_last_attempt(self, desk: Desk, clock: Clock) -> None:
        """Of several that may have been accepted it is the last one, about which the order is."""
        desk.end(desk.begin(), Outcome.UNKNOWN)
        desk.resend()
        desk.end(desk.begin(), Outcome.UNKNOWN)
        desk.resolve()

        assert (State.ACCEPTED, clock(4), clock(4)) == desk.listed()

    def test_a_release_that_was_taken_back(self, desk: Desk, clock: Clock) -> None:
        """What was resolved before it was answered is so again; no server ever accepted it."""
        desk.end(desk.begin(), Outcome.UNKNOWN)
        desk.resolve()
        desk.release_and_withdraw()
        events = [entry.event for entry in desk.ledger.story("K1")[0].entries[-2:]]

        assert (State.ACCEPTED, clock(1), clock(1)) == desk.listed()
        assert ["answer-withdrawn", "resolved-as-sent"] == events

    def test_no_attempt_that_may_have_been_accepted(self, desk: Desk, clock: Clock) -> None:
        """If a server refused each attempt, there is no such time, and its age counts from the order."""
        desk.end(desk.begin(), Outcome.REFUSED)
        desk.release_and_withdraw()
        desk.resolve()

        assert (State.ACCEPTED, None, clock(6)) == desk.listed()


class TestUnknown:
    """What may have been accepted has no time of acceptance; its age counts from the attempt."""

    def test_the_attempt(self, desk: Desk, clock: Clock) -> None:
        """The attempt began in the first minute."""
        desk.end(desk.begin(), Outcome.UNKNOWN)

        assert (State.UNKNOWN, None, clock(1)) == desk.listed()

    def test_a_worker_that_was_lost(self, desk: Desk, clock: Clock) -> None:
        """A machine that was off for days does not make its attempt younger."""
        desk.begin()
        desk.minute = 4000
        desk.ledger.exchanges.expire(at=desk.now())

        assert (State.UNKNOWN, None, clock(1)) == desk.listed()

    def test_a_release_that_was_taken_back(self, desk: Desk, clock: Clock) -> None:
        """Nor does an answer that was none."""
        desk.end(desk.begin(), Outcome.UNKNOWN)
        desk.release_and_withdraw()

        assert (State.UNKNOWN, None, clock(1)) == desk.listed()
