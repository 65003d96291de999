"""A reply never settles what was not sent: the ledger knows whether content of a declaration may have left."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from htpoort import Correlation, Outcome, Routed, Router, State, Submission
from htpoort.ledger import Claimed, Exchange, Ledger, Stored

PARTY = "NL123456789.02.05"
LEASE = timedelta(minutes=2)

Clock = Callable[..., datetime]
Make = Callable[..., Submission]
Write = Callable[..., bytes]


class Desk:
    """One declaration, K1, and what happens to it minute by minute."""

    def __init__(self, ledger: Ledger, router: Router, clock: Clock, reply: Write) -> None:
        self.ledger = ledger
        self._router, self._clock, self._reply = router, clock, reply
        self._minute = 0

    def now(self) -> datetime:
        """Give a moment a minute after the last one."""
        self._minute += 1
        return self._clock(self._minute)

    def claim(self) -> Claimed:
        """Begin an attempt."""
        (claimed,) = self.ledger.exchanges.claim_soon(("DMS",), owner="a", most=1, at=self.now(), lease=LEASE).result()
        return claimed

    def end(self, claimed: Claimed, outcome: Outcome, *, begun: bool) -> State:
        """End an attempt; what was deferred is due at once."""
        at = self.now()
        return self.ledger.exchanges.settle_soon(claimed, outcome, at=at, due=at, content_begun=begun).result()

    def attempt(self, outcome: Outcome, *, begun: bool) -> State:
        """Make an attempt that ends so."""
        return self.end(self.claim(), outcome, begun=begun)

    def lose(self) -> None:
        """Let the worker's lease run out."""
        self.ledger.exchanges.expire_soon(at=self._clock(self._minute + 3)).result()
        self._minute += 3

    def take(self, body: str = "<Response/>", trace: str = "") -> Stored:
        """Take a reply in."""
        raw = self._reply("K1", body=body, trace=trace)
        return self.ledger.replies.take_in(self._router, raw, mail_from="", at=self.now())

    @property
    def found(self) -> Exchange:
        """Say where the exchange stands."""
        found = self.ledger.exchanges.find("K1", party=PARTY)
        assert found is not None
        return found

    @property
    def marks(self) -> list[str]:
        """Give the correlation of each reply."""
        return [one.correlation for one in self.ledger.replies.listed()]

    @property
    def asks(self) -> tuple[int, list[str]]:
        """Say how many exchanges ask for a person because of their replies, and which."""
        named = self.ledger.exchanges.with_not_sent_replies(most=9)
        return self.ledger.status().not_sent_replies, [one.reference for one in named]


@pytest.fixture
def desk(ledger: Ledger, router: Router, clock: Clock, declaration: Make, reply: Write) -> Desk:
    """Queue K1."""
    ledger.exchanges.queue(declaration("K1"), at=clock())
    return Desk(ledger, router, clock, reply)


def defer(desk: Desk) -> None:
    """The gateway cannot be reached."""
    desk.attempt(Outcome.DEFERRED, begun=False)


def refuse(desk: Desk) -> None:
    """The gateway says no to MAIL."""
    desk.attempt(Outcome.REFUSED, begun=False)


def fail(desk: Desk) -> None:
    """The gateway cannot be reached for as long as the schedule says."""
    claimed = desk.claim()
    desk.ledger.exchanges.settle_soon(claimed, Outcome.DEFERRED, at=desk.now(), content_begun=False).result()


def hold(desk: Desk) -> None:
    """A service window opens."""
    desk.ledger.exchanges.hold(["DMS"], at=desk.now())


def nothing(_desk: Desk) -> None:
    """Nothing happens: it is queued."""


NEVER_SENT = {
    State.QUEUED: nothing,
    State.HELD: hold,
    State.DEFERRED: defer,
    State.REFUSED: refuse,
    State.FAILED: fail,
}


@pytest.mark.parametrize("state", NEVER_SENT, ids=lambda state: state.value)
class TestWhatWasNotSent:
    """Where no attempt got as far as the content, the gateway cannot have the declaration, whatever a reply says."""

    def test_stays_as_it_is(self, desk: Desk, state: State) -> None:
        """One reply with its K: the declaration stays to be sent; the reply is kept, marked, and asks for a person."""
        NEVER_SENT[state](desk)
        stored = desk.take()

        assert (state, False) == (desk.found.state, desk.found.content_begun)
        assert isinstance(stored.routing, Routed)
        assert Correlation.NOT_SENT is stored.routing.correlation
        assert (["not-sent"], (1, ["K1"])) == (desk.marks, desk.asks)

    def test_the_reply_is_delivered(self, desk: Desk, state: State) -> None:
        """Its process gets the reply as any other, with the mark."""
        NEVER_SENT[state](desk)
        desk.take()
        (given,) = desk.ledger.replies.claim_soon("DMS", owner="a", most=9, at=desk.now(), lease=LEASE).result()

        assert ("K1", "not-sent") == (given.reference, given.correlation)

    def test_the_story_says_why(self, desk: Desk, state: State) -> None:
        """The log names the reply and why it settles nothing."""
        NEVER_SENT[state](desk)
        key = desk.take().key
        last = desk.ledger.story("K1")[0].entries[-1]

        assert ("early-reply-received", state.value) == (last.event, last.state)
        assert (
            f"reply {key}; Nothing of it can have reached the gateway; the reply is stored, delivered and marked."
            == (last.detail)
        )


def test_it_is_sent_afterwards_and_answered(desk: Desk) -> None:
    """The early reply stops nothing: K1 is sent, a later reply answers it, and no person is asked any more."""
    desk.take(body="<Forged/>")
    accepted = desk.attempt(Outcome.ACCEPTED, begun=True)
    asked = desk.asks
    desk.take(body="<Genuine/>")

    assert (State.ACCEPTED, (1, ["K1"])) == (accepted, asked)
    assert (State.ANSWERED, ["not-sent", "matched"], (0, [])) == (desk.found.state, desk.marks, desk.asks)


def test_a_person_who_closes_it_is_asked_no_more(desk: Desk) -> None:
    """Closing says that nothing more is to be done."""
    desk.take()
    desk.ledger.exchanges.close("K1", at=desk.now())

    assert (State.CLOSED, (0, [])) == (desk.found.state, desk.asks)


def test_what_was_closed_unsent(desk: Desk) -> None:
    """A reply to what a person closed before it was sent is marked, and changes nothing."""
    desk.ledger.exchanges.close("K1", at=desk.now())
    desk.take()

    assert (State.CLOSED, ["not-sent"]) == (desk.found.state, desk.marks)


class TestACopy:
    """The same reply once more, when content has left meanwhile, may be an answer."""

    def test_after_it_was_sent(self, desk: Desk) -> None:
        """It answers, and loses its mark."""
        desk.take()
        desk.attempt(Outcome.ACCEPTED, begun=True)
        again = desk.take(trace="X-Trace: 2\r\n")

        assert (True, State.ANSWERED, ["matched"]) == (again.repeated, desk.found.state, desk.marks)

    def test_before_that(self, desk: Desk) -> None:
        """It is counted, and nothing else."""
        desk.take()
        again = desk.take()

        assert (True, State.QUEUED, ["not-sent"]) == (again.repeated, desk.found.state, desk.marks)


class TestWhileItIsSent:
    """While the first attempt is under way nothing is known for sure: its end decides."""

    @pytest.mark.parametrize(
        ("outcome", "begun", "after", "mark"),
        [
            # The reply was faster than the record of the 250.
            (Outcome.ACCEPTED, True, State.ANSWERED, "matched"),
            (Outcome.UNKNOWN, True, State.ANSWERED, "matched"),
            # The server says no, but had the content, and something answers.
            (Outcome.REFUSED, True, State.ANSWERED, "matched"),
            (Outcome.DEFERRED, True, State.ANSWERED, "matched"),
            # Nothing can have left.
            (Outcome.REFUSED, False, State.REFUSED, "not-sent"),
            (Outcome.DEFERRED, False, State.DEFERRED, "not-sent"),
        ],
    )
    def test_the_end_decides(self, desk: Desk, *, outcome: Outcome, begun: bool, after: State, mark: str) -> None:
        """Content that may have left makes the reply an answer; else the declaration stays to be sent."""
        claimed = desk.claim()
        desk.take()
        during = desk.found.state
        ended = desk.end(claimed, outcome, begun=begun)

        assert (State.SENDING, after, after) == (during, ended, desk.found.state)
        assert ([mark], int(mark == "not-sent")) == (desk.marks, desk.asks[0])

    def test_deferred_is_sent_again(self, desk: Desk) -> None:
        """After a reply and an attempt that got nowhere, the very same message goes out."""
        claimed = desk.claim()
        desk.take()
        desk.end(claimed, Outcome.DEFERRED, begun=False)

        assert claimed.raw == desk.claim().raw

    def test_given_up(self, desk: Desk) -> None:
        """The last attempt of the schedule, which got nowhere, has failed in spite of the reply."""
        claimed = desk.claim()
        desk.take()
        desk.ledger.exchanges.settle_soon(claimed, Outcome.DEFERRED, at=desk.now(), content_begun=False).result()

        assert (State.FAILED, ["not-sent"]) == (desk.found.state, desk.marks)

    def test_its_worker_is_lost(self, desk: Desk) -> None:
        """Nobody knows how far it got, so the reply is an answer."""
        desk.claim()
        desk.take()
        desk.lose()

        assert (State.ANSWERED, ["matched"]) == (desk.found.state, desk.marks)

    def test_the_worker_was_not_dead(self, desk: Desk) -> None:
        """Its late word that no content left is certain: the answer is taken back, and the declaration is sent."""
        claimed = desk.claim()
        desk.take()
        desk.lose()
        answered = desk.found.state
        late = desk.end(claimed, Outcome.DEFERRED, begun=False)

        assert (State.ANSWERED, State.DEFERRED, ["not-sent"]) == (answered, late, desk.marks)
        assert (1, ["K1"]) == desk.asks


class TestAnEarlierAttempt:
    """Content of any attempt is enough for a reply to be an answer."""

    def test_before_the_one_under_way(self, desk: Desk) -> None:
        """The reply answers at once, and the outcome of the second attempt changes nothing."""
        desk.attempt(Outcome.UNKNOWN, begun=True)
        desk.ledger.exchanges.resend("K1", at=desk.now())
        claimed = desk.claim()
        desk.take()
        during = desk.found.state
        desk.end(claimed, Outcome.DEFERRED, begun=False)

        assert (State.ANSWERED, State.ANSWERED, ["matched"]) == (during, desk.found.state, desk.marks)

    @pytest.mark.parametrize("outcome", [Outcome.DEFERRED, Outcome.REFUSED])
    def test_that_the_server_did_not_take(self, desk: Desk, outcome: Outcome) -> None:
        """A 4xx or 5xx after the content is no proof against a reply."""
        desk.attempt(outcome, begun=True)
        desk.take()

        assert (State.ANSWERED, True) == (desk.found.state, desk.found.content_begun)

    def test_that_was_thought_lost(self, desk: Desk) -> None:
        """Two workers are lost; the late word of one does not speak for the other."""
        first = desk.claim()
        desk.lose()
        desk.ledger.exchanges.resend("K1", at=desk.now())
        second = desk.claim()
        desk.lose()
        desk.end(first, Outcome.DEFERRED, begun=False)
        known = [desk.found.content_begun]
        desk.end(second, Outcome.DEFERRED, begun=False)
        desk.take()

        assert ([True], False, State.DEFERRED) == (known, desk.found.content_begun, desk.found.state)

    def test_a_person_knows(self, desk: Desk) -> None:
        """Who resolves an exchange as sent takes the worker's late word upon himself: a reply is an answer."""
        claimed = desk.claim()
        desk.lose()
        desk.ledger.exchanges.resolve_as_sent("K1", at=desk.now())
        desk.end(claimed, Outcome.DEFERRED, begun=False)
        waiting = desk.found.state
        desk.take()

        assert (State.ACCEPTED, State.ANSWERED) == (waiting, desk.found.state)


@pytest.mark.parametrize("attempts", [62, 63, 64, 70])
def test_many_attempts(desk: Desk, attempts: int) -> None:
    """However many attempts there were, one whose content may have left is enough."""
    for _ in range(attempts - 1):
        defer(desk)
    before = desk.found.content_begun
    desk.attempt(Outcome.DEFERRED, begun=True)
    defer(desk)
    desk.take()

    assert (False, State.ANSWERED) == (before, desk.found.state)
