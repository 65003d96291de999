"""A release that was wrong is taken back until its reply is delivered, with all that it did."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from htpoort import DMS, InputError, Outcome, PartyId, Router, State, Submission, UnknownError
from htpoort.ledger import Exchange, Ledger, QuarantineState, Reply

PARTY = "NL123456789.02.05"
LEASE = timedelta(minutes=2)
MESSAGE = b"Subject: hello\r\n\r\nx\r\n"
CHOICE: dict[str, Any] = {"system": DMS, "party": PartyId.parse(PARTY)}

Clock = Callable[..., datetime]
Make = Callable[..., Submission]
Write = Callable[..., bytes]
Send = Callable[..., Exchange]


class Desk:
    """A ledger, an operator at its quarantine, and a worker that delivers."""

    def __init__(self, ledger: Ledger, router: Router, clock: Clock) -> None:
        self.ledger = ledger
        self.router, self.clock = router, clock

    def take_in(self, raw: bytes = MESSAGE) -> int:
        """Receive a message; return its number."""
        return self.ledger.replies.take_in(self.router, raw, mail_from=None, at=self.clock(1)).key

    def release(self, key: int, reference: str = "K1") -> int:
        """Release a message; return the number of its reply."""
        return self.ledger.quarantine.release(key, **CHOICE, reference=reference, at=self.clock(2)).key

    def withdraw(self, key: int) -> None:
        """Take a release back."""
        self.ledger.quarantine.withdraw(key, at=self.clock(3), reason="it was for K2")

    def refused(self, key: int, reason: str = "wrong") -> list[str]:
        """Take a release back, which must be refused; return the codes of the problems."""
        before = self.ledger.quarantine.get(key), list(self.ledger.replies.listed())
        with pytest.raises(InputError) as caught:
            self.ledger.quarantine.withdraw(key, at=self.clock(3), reason=reason)
        assert before == (self.ledger.quarantine.get(key), list(self.ledger.replies.listed()))
        return [problem.code for problem in caught.value.problems]

    def claim(self) -> list[Reply]:
        """Begin the delivery of what is due."""
        return self.ledger.replies.claim_soon("DMS", owner="a", most=9, at=self.clock(2), lease=LEASE).result()

    def state(self, reference: str = "K1") -> State:
        """Read the state of an exchange."""
        found = self.ledger.exchanges.find(reference, party=PARTY)
        assert found is not None
        return found.state


@pytest.fixture
def desk(ledger: Ledger, router: Router, clock: Clock) -> Desk:
    """Return a desk at a new ledger."""
    return Desk(ledger, router, clock)


class TestTakenBack:
    """The message waits for a decision again, its reply is gone, and its exchange is as it was."""

    def test_the_message(self, desk: Desk, sent: Send) -> None:
        """It can be released again, to the right K; its log has each decision with its reason."""
        sent("K1")
        sent("K2")
        key = desk.take_in()
        wrong = desk.release(key)
        desk.withdraw(key)
        between = desk.ledger.quarantine.get(key).state, list(desk.ledger.replies.listed())
        right = desk.release(key, "K2")
        (reply,) = desk.ledger.replies.listed()
        entries = [(entry.event, entry.detail) for entry in desk.ledger.quarantine.log(key)]

        assert (QuarantineState.HELD, []) == between
        assert ("K2", MESSAGE, "matched") == (reply.reference, reply.raw, reply.correlation)
        assert (State.ACCEPTED, State.ANSWERED) == (desk.state("K1"), desk.state("K2"))
        assert ["quarantined", "released", "release-withdrawn", "released"] == [event for event, _ in entries]
        assert f"it is no longer reply {wrong}: it was for K2" == entries[2][1]
        # Processes remember the numbers of replies.
        assert wrong < right

    def test_an_accepted_exchange(self, desk: Desk, sent: Send) -> None:
        """What the mail server had accepted waits for its reply again; the log shows both steps."""
        sent("K1")
        key = desk.take_in()
        desk.release(key)
        before = desk.state()
        desk.withdraw(key)

        assert (State.ANSWERED, State.ACCEPTED) == (before, desk.state())
        assert [("answer-withdrawn", "unknown"), ("accepted", "accepted")] == [
            (entry.event, entry.state) for entry in desk.ledger.story("K1")[0].entries[-2:]
        ]

    def test_an_unknown_exchange(self, desk: Desk, declaration: Make, clock: Clock) -> None:
        """What the gateway may or may not have needs a person again."""
        desk.ledger.exchanges.queue(declaration("K1"), at=clock())
        (claimed,) = desk.ledger.exchanges.claim_soon(["DMS"], owner="a", most=1, at=clock(), lease=LEASE).result()
        desk.ledger.exchanges.settle_soon(claimed, Outcome.UNKNOWN, at=clock()).result()
        key = desk.take_in()
        desk.release(key)
        before = desk.state()
        desk.withdraw(key)

        assert (State.ANSWERED, State.UNKNOWN) == (before, desk.state())

    def test_another_answer(self, desk: Desk, sent: Send, reply: Write) -> None:
        """An exchange that another reply answers too stays answered."""
        sent("K1")
        key = desk.take_in()
        desk.release(key)
        other = desk.take_in(reply("K1"))
        desk.withdraw(key)

        assert (State.ANSWERED, [other]) == (desk.state(), [one.key for one in desk.ledger.replies.listed()])

    def test_a_closed_exchange(self, desk: Desk, sent: Send, clock: Clock) -> None:
        """What a person has closed meanwhile stays closed."""
        sent("K1")
        key = desk.take_in()
        desk.release(key)
        desk.ledger.exchanges.close("K1", at=clock(2))
        desk.withdraw(key)

        assert State.CLOSED is desk.state()

    def test_what_was_not_sent(self, desk: Desk, declaration: Make, clock: Clock) -> None:
        """A reply that answered nothing leaves the exchange as it is, still to be sent and with no open question."""
        desk.ledger.exchanges.queue(declaration("K1"), at=clock())
        key = desk.take_in()
        desk.release(key)
        before = desk.ledger.status().not_sent_replies
        desk.withdraw(key)

        assert (1, 0, State.QUEUED) == (before, desk.ledger.status().not_sent_replies, desk.state())

    def test_an_unknown_reference(self, desk: Desk) -> None:
        """A reply without an exchange is just gone."""
        key = desk.take_in()
        desk.release(key, "K9")
        desk.withdraw(key)

        assert [] == list(desk.ledger.replies.listed())

    def test_a_delivery_that_failed(self, desk: Desk, clock: Clock) -> None:
        """A process that refused the reply does not have it."""
        key = desk.take_in()
        reply = desk.release(key)
        for _ in desk.claim():
            desk.ledger.replies.mark_failed(reply, at=clock(2), due=clock(9), trouble="away")
        desk.withdraw(key)

        assert [] == list(desk.ledger.replies.listed())

    def test_a_copy_that_came_by_itself(self, desk: Desk, reply: Write) -> None:
        """A reply that also came without a person's help stays; only the release is taken back."""
        own = desk.take_in(reply("K1"))
        key = desk.take_in(reply("K1", party="NL123456789"))
        released = desk.release(key)
        before = desk.ledger.replies.get(own).copies
        desk.withdraw(key)

        assert (own, 2, 1) == (released, before, desk.ledger.replies.get(own).copies)
        assert QuarantineState.HELD is desk.ledger.quarantine.get(key).state


class TestRefused:
    """What a process may have, or what was not released, is not taken back; nothing changes."""

    def test_delivered(self, desk: Desk, clock: Clock) -> None:
        """A delivered reply stays with its process, also while it waits for another delivery."""
        key = desk.take_in()
        reply = desk.release(key)
        desk.claim()
        desk.ledger.replies.mark_delivered(reply, at=clock(2))
        delivered = desk.refused(key)
        desk.ledger.replies.deliver_again_now(at=clock(3), keys=[reply], delivered=True)

        assert (["ledger.not-withdrawn"], ["ledger.not-withdrawn"]) == (delivered, desk.refused(key))

    def test_a_delivery_whose_end_is_not_known(self, desk: Desk) -> None:
        """A worker is delivering it, or ended before it recorded the outcome."""
        key = desk.take_in()
        desk.release(key)
        desk.claim()
        under_way = desk.refused(key)
        desk.ledger.replies.drop_claims()

        assert (["ledger.not-withdrawn"], ["ledger.not-withdrawn"]) == (under_way, desk.refused(key))

    def test_an_attempt_under_way(self, desk: Desk, declaration: Make, clock: Clock) -> None:
        """While its exchange is being sent, the end of the attempt decides about the reply, so it must be there."""
        desk.ledger.exchanges.queue(declaration("K1"), at=clock())
        desk.ledger.exchanges.claim_soon(["DMS"], owner="a", most=1, at=clock(), lease=LEASE).result()
        key = desk.take_in()
        desk.release(key)

        assert ["ledger.not-withdrawn"] == desk.refused(key)

    def test_not_released(self, desk: Desk, clock: Clock) -> None:
        """A message that waits for a decision, or was discarded, has no release."""
        held, discarded = desk.take_in(), desk.take_in(b"Subject: other\r\n\r\n")
        desk.ledger.quarantine.discard(discarded, at=clock(2), reason="advertising")

        assert (["ledger.not-released"], ["ledger.not-released"]) == (desk.refused(held), desk.refused(discarded))

    def test_twice(self, desk: Desk) -> None:
        """A release is taken back once."""
        key = desk.take_in()
        desk.release(key)
        desk.withdraw(key)

        assert ["ledger.not-released"] == desk.refused(key)

    def test_without_a_reason(self, desk: Desk) -> None:
        """The log needs a reason."""
        key = desk.take_in()
        desk.release(key)

        assert ["ledger.reason"] == desk.refused(key, " ")

    def test_an_unknown_number(self, desk: Desk) -> None:
        """No message has the number."""
        with pytest.raises(UnknownError, match="message '7' is not in the quarantine"):
            desk.withdraw(7)
