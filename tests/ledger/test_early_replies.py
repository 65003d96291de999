"""A reply never settles a declaration that was not sent: the ledger knows whether its content may have left."""

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
        """Return the moment one minute after the last one."""
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
        """Make an attempt that ends with this outcome."""
        return self.end(self.claim(), outcome, begun=begun)

    def lose(self) -> None:
        """Let the worker's lease run out."""
        self.ledger.exchanges.expire_soon(at=self._clock(self._minute + 3)).result()
        self._minute += 3

    def receive(self, body: str = "<Response/>", trace: str = "") -> Stored:
        """Receive a reply."""
        raw = self._reply("K1", body=body, trace=trace)
        return self.ledger.replies.take_in(self._router, raw, mail_from="", at=self.now())

    @property
    def exchange(self) -> Exchange:
        """The exchange as the ledger has it now."""
        exchange = self.ledger.exchanges.find("K1", party=PARTY)
        assert exchange is not None
        return exchange

    @property
    def correlations(self) -> list[str]:
        """The correlation of each reply."""
        return [stored.correlation for stored in self.ledger.replies.listed()]

    @property
    def attention(self) -> tuple[int, list[str]]:
        """How many exchanges need attention because of an early reply, and which."""
        exchanges = self.ledger.exchanges.with_not_sent_replies(most=9)
        return self.ledger.status().not_sent_replies, [exchange.reference for exchange in exchanges]


@pytest.fixture
def desk(ledger: Ledger, router: Router, clock: Clock, declaration: Make, reply: Write) -> Desk:
    """Queue K1; return a desk for it."""
    ledger.exchanges.queue(declaration("K1"), at=clock())
    return Desk(ledger, router, clock, reply)


def defer(desk: Desk) -> None:
    """The gateway cannot be reached."""
    desk.attempt(Outcome.DEFERRED, begun=False)


def refuse(desk: Desk) -> None:
    """The gateway refuses MAIL."""
    desk.attempt(Outcome.REFUSED, begun=False)


def fail(desk: Desk) -> None:
    """The gateway cannot be reached until the schedule ends."""
    claimed = desk.claim()
    desk.ledger.exchanges.settle_soon(claimed, Outcome.DEFERRED, at=desk.now(), content_begun=False).result()


def hold(desk: Desk) -> None:
    """A service window opens."""
    desk.ledger.exchanges.hold(["DMS"], at=desk.now())


def do_nothing(_desk: Desk) -> None:
    """Nothing happens: the declaration stays queued."""


NEVER_SENT = {
    State.QUEUED: do_nothing,
    State.HELD: hold,
    State.DEFERRED: defer,
    State.REFUSED: refuse,
    State.FAILED: fail,
}


@pytest.mark.parametrize("state", NEVER_SENT, ids=lambda state: state.value)
class TestNotSent:
    """If no attempt reached the content, the gateway cannot have the declaration, whatever a reply contains."""

    def test_stays_as_it_is(self, desk: Desk, state: State) -> None:
        """After a reply with its K the declaration can still be sent; the reply is kept, marked and needs attention."""
        NEVER_SENT[state](desk)
        stored = desk.receive()

        assert (state, False) == (desk.exchange.state, desk.exchange.content_begun)
        assert isinstance(stored.routing, Routed)
        assert Correlation.NOT_SENT is stored.routing.correlation
        assert (["not-sent"], (1, ["K1"])) == (desk.correlations, desk.attention)

    def test_the_reply_is_delivered(self, desk: Desk, state: State) -> None:
        """The reply's process gets it like any other reply, with the mark."""
        NEVER_SENT[state](desk)
        desk.receive()
        (claimed,) = desk.ledger.replies.claim_soon("DMS", owner="a", most=9, at=desk.now(), lease=LEASE).result()

        assert ("K1", "not-sent") == (claimed.reference, claimed.correlation)

    def test_the_story_explains_it(self, desk: Desk, state: State) -> None:
        """The log names the reply and explains why it settles nothing."""
        NEVER_SENT[state](desk)
        key = desk.receive().key
        last = desk.ledger.story("K1")[0].entries[-1]

        assert ("early-reply-received", state.value) == (last.event, last.state)
        assert (
            f"reply {key}; Nothing of it can have reached the gateway; the reply is stored, delivered and marked."
            == (last.detail)
        )


def test_it_is_sent_afterwards_and_answered(desk: Desk) -> None:
    """The early reply stops nothing: K1 is sent, a later reply answers it, and nothing needs attention any more."""
    desk.receive(body="<Forged/>")
    accepted = desk.attempt(Outcome.ACCEPTED, begun=True)
    before = desk.attention
    desk.receive(body="<Genuine/>")

    assert (State.ACCEPTED, (1, ["K1"])) == (accepted, before)
    assert (State.ANSWERED, ["not-sent", "matched"], (0, [])) == (
        desk.exchange.state,
        desk.correlations,
        desk.attention,
    )


def test_a_closed_exchange_needs_no_attention(desk: Desk) -> None:
    """When an operator closes the exchange, its early reply needs no more attention."""
    desk.receive()
    desk.ledger.exchanges.close("K1", at=desk.now())

    assert (State.CLOSED, (0, [])) == (desk.exchange.state, desk.attention)


def test_a_reply_to_an_exchange_closed_unsent(desk: Desk) -> None:
    """A reply to an exchange that was closed before it was sent is marked and changes nothing."""
    desk.ledger.exchanges.close("K1", at=desk.now())
    desk.receive()

    assert (State.CLOSED, ["not-sent"]) == (desk.exchange.state, desk.correlations)


class TestACopy:
    """A copy of an early reply may be an answer if content has left in the meantime."""

    def test_after_the_declaration_was_sent(self, desk: Desk) -> None:
        """The copy answers the exchange, and the reply loses its mark."""
        desk.receive()
        desk.attempt(Outcome.ACCEPTED, begun=True)
        again = desk.receive(trace="X-Trace: 2\r\n")

        assert (True, State.ANSWERED, ["matched"]) == (again.repeated, desk.exchange.state, desk.correlations)

    def test_before_the_declaration_was_sent(self, desk: Desk) -> None:
        """The copy is counted and changes nothing else."""
        desk.receive()
        again = desk.receive()

        assert (True, State.QUEUED, ["not-sent"]) == (again.repeated, desk.exchange.state, desk.correlations)


class TestDuringAnAttempt:
    """While the first attempt is under way nothing is certain: the end of the attempt decides."""

    @pytest.mark.parametrize(
        ("outcome", "begun", "after", "mark"),
        [
            # The reply was faster than the record of the 250.
            (Outcome.ACCEPTED, True, State.ANSWERED, "matched"),
            (Outcome.UNKNOWN, True, State.ANSWERED, "matched"),
            # The server refuses, but it had the content, and a reply came.
            (Outcome.REFUSED, True, State.ANSWERED, "matched"),
            (Outcome.DEFERRED, True, State.ANSWERED, "matched"),
            # Nothing can have left.
            (Outcome.REFUSED, False, State.REFUSED, "not-sent"),
            (Outcome.DEFERRED, False, State.DEFERRED, "not-sent"),
        ],
    )
    def test_the_end_decides(self, desk: Desk, *, outcome: Outcome, begun: bool, after: State, mark: str) -> None:
        """If content may have left, the reply is an answer; otherwise the declaration can still be sent."""
        claimed = desk.claim()
        desk.receive()
        during = desk.exchange.state
        ended = desk.end(claimed, outcome, begun=begun)

        assert (State.SENDING, after, after) == (during, ended, desk.exchange.state)
        assert ([mark], int(mark == "not-sent")) == (desk.correlations, desk.attention[0])

    def test_a_deferred_declaration_is_sent_again(self, desk: Desk) -> None:
        """After a reply and an attempt without content, the very same message goes out."""
        claimed = desk.claim()
        desk.receive()
        desk.end(claimed, Outcome.DEFERRED, begun=False)

        assert claimed.raw == desk.claim().raw

    def test_the_last_attempt_fails(self, desk: Desk) -> None:
        """If the last attempt of the schedule sent no content, the exchange has failed despite the reply."""
        claimed = desk.claim()
        desk.receive()
        desk.ledger.exchanges.settle_soon(claimed, Outcome.DEFERRED, at=desk.now(), content_begun=False).result()

        assert (State.FAILED, ["not-sent"]) == (desk.exchange.state, desk.correlations)

    def test_the_worker_is_lost(self, desk: Desk) -> None:
        """No one knows how far the worker got, so the reply is an answer."""
        desk.claim()
        desk.receive()
        desk.lose()

        assert (State.ANSWERED, ["matched"]) == (desk.exchange.state, desk.correlations)

    def test_a_worker_thought_dead_reports(self, desk: Desk) -> None:
        """A late report that no content left is certain: the reply no longer answers, and the declaration is sent."""
        claimed = desk.claim()
        desk.receive()
        desk.lose()
        answered = desk.exchange.state
        late = desk.end(claimed, Outcome.DEFERRED, begun=False)

        assert (State.ANSWERED, State.DEFERRED, ["not-sent"]) == (answered, late, desk.correlations)
        assert (1, ["K1"]) == desk.attention


class TestAnEarlierAttempt:
    """If content left in any attempt, a reply is an answer."""

    def test_before_the_current_attempt(self, desk: Desk) -> None:
        """The reply answers at once, and the outcome of the second attempt changes nothing."""
        desk.attempt(Outcome.UNKNOWN, begun=True)
        desk.ledger.exchanges.resend("K1", at=desk.now())
        claimed = desk.claim()
        desk.receive()
        during = desk.exchange.state
        desk.end(claimed, Outcome.DEFERRED, begun=False)

        assert (State.ANSWERED, State.ANSWERED, ["matched"]) == (during, desk.exchange.state, desk.correlations)

    @pytest.mark.parametrize("outcome", [Outcome.DEFERRED, Outcome.REFUSED])
    def test_a_refusal_after_the_content(self, desk: Desk, outcome: Outcome) -> None:
        """A 4xx or 5xx after the content is no proof against a reply."""
        desk.attempt(outcome, begun=True)
        desk.receive()

        assert (State.ANSWERED, True) == (desk.exchange.state, desk.exchange.content_begun)

    def test_two_lost_workers(self, desk: Desk) -> None:
        """Two workers are lost; the late report of one does not count for the other."""
        first = desk.claim()
        desk.lose()
        desk.ledger.exchanges.resend("K1", at=desk.now())
        second = desk.claim()
        desk.lose()
        desk.end(first, Outcome.DEFERRED, begun=False)
        known = [desk.exchange.content_begun]
        desk.end(second, Outcome.DEFERRED, begun=False)
        desk.receive()

        assert ([True], False, State.DEFERRED) == (known, desk.exchange.content_begun, desk.exchange.state)

    def test_an_exchange_resolved_as_sent(self, desk: Desk) -> None:
        """Once an operator resolved the exchange as sent, the worker's late report is ignored: a reply is an answer."""
        claimed = desk.claim()
        desk.lose()
        desk.ledger.exchanges.resolve_as_sent("K1", at=desk.now())
        desk.end(claimed, Outcome.DEFERRED, begun=False)
        waiting = desk.exchange.state
        desk.receive()

        assert (State.ACCEPTED, State.ANSWERED) == (waiting, desk.exchange.state)


@pytest.mark.parametrize("attempts", [62, 63, 64, 70])
def test_many_attempts(desk: Desk, attempts: int) -> None:
    """However many attempts were made, one whose content may have left is enough."""
    for _ in range(attempts - 1):
        defer(desk)
    before = desk.exchange.content_begun
    desk.attempt(Outcome.DEFERRED, begun=True)
    defer(desk)
    desk.receive()

    assert (False, State.ANSWERED) == (before, desk.exchange.state)
