"""Moments of the future in the ledger are not believed: a clock that was ahead for a moment holds nothing up."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from htpoort import Outcome, Router, State, Submission
from htpoort.ledger import Claimed, Ledger, Reply

PARTY = "NL123456789.02.05"
LEASE = timedelta(minutes=2)
YEAR = 365 * 24 * 60
LONGEST = timedelta(hours=8, minutes=48)  # eight hours, and a tenth by chance

Clock = Callable[..., datetime]
Make = Callable[..., Submission]
Write = Callable[..., bytes]


def claim(ledger: Ledger, at: datetime, *, owner: str = "a", per_hour: int | None = None) -> list[Claimed]:
    """Take up what is due."""
    return ledger.exchanges.claim_soon(("DMS",), owner=owner, most=9, at=at, lease=LEASE, per_hour=per_hour).result()


def give(ledger: Ledger, at: datetime, owner: str = "a") -> list[Reply]:
    """Take up what is to be delivered."""
    return ledger.replies.claim_soon("DMS", owner=owner, most=9, at=at, lease=LEASE).result()


class TestDeclarations:
    """What is due later than the longest wait is due now."""

    def test_deferred_by_a_clock_that_was_ahead(self, ledger: Ledger, clock: Clock, declaration: Make) -> None:
        """For a moment it was next year: what was deferred then goes out this year, and the log says so."""
        ledger.exchanges.queue(declaration("K1"), at=clock())
        (claimed,) = claim(ledger, clock(YEAR))
        ledger.exchanges.settle_soon(claimed, Outcome.DEFERRED, at=clock(YEAR), due=clock(YEAR + 5)).result()
        before = claim(ledger, clock(1))
        number = ledger.exchanges.correct_due(["DMS"], at=clock(1), longest=LONGEST)
        last = ledger.story("K1")[0].entries[-1]

        assert ([], 1, ["K1"]) == (before, number, [one.reference for one in claim(ledger, clock(1))])
        assert ("due-disbelieved", "deferred") == (last.event, last.state)
        assert "it was due at 2027-11-02T12:05:00+00:00, later than any wait: a clock was ahead; it is due now" == (
            last.detail
        )

    def test_a_wait_of_the_schedule_stays(self, ledger: Ledger, clock: Clock, declaration: Make) -> None:
        """What is deferred for as long as the schedule may say waits on; so does what is of another system."""
        ledger.exchanges.queue(declaration("K1"), at=clock())
        (claimed,) = claim(ledger, clock())
        ledger.exchanges.settle_soon(claimed, Outcome.DEFERRED, at=clock(), due=clock() + LONGEST).result()
        number = ledger.exchanges.correct_due(["DMS"], at=clock(), longest=LONGEST)
        others = ledger.exchanges.correct_due(["AGS"], at=clock(), longest=timedelta(0))

        assert (0, 0, []) == (number, others, claim(ledger, clock(1)))


def test_attempts_of_the_future_use_up_no_rate(ledger: Ledger, clock: Clock, declaration: Make) -> None:
    """Attempts that are logged for next year do not count towards the limit of this hour."""
    for number in range(4):
        ledger.exchanges.queue(declaration(f"K{number}"), at=clock())
    ahead = claim(ledger, clock(YEAR), per_hour=2)
    right = claim(ledger, clock(1), per_hour=2)
    over = claim(ledger, clock(2), per_hour=2)

    assert (["K0", "K1"], ["K2", "K3"], []) == (
        [one.reference for one in ahead],
        [one.reference for one in right],
        over,
    )


class TestReplies:
    """A reply whose delivery failed by a clock that was ahead is delivered now."""

    def failed(self, ledger: Ledger, router: Router, raw: bytes, at: datetime, due: datetime) -> int:
        """Let a delivery fail; gives the number of the reply."""
        ledger.replies.take_in(router, raw, mail_from=None, at=at)
        (given,) = give(ledger, at)
        ledger.replies.mark_failed_soon(given.key, at=at, due=due, trouble="away").result()
        return given.key

    def test_is_due_now(self, ledger: Ledger, router: Router, clock: Clock, reply: Write) -> None:
        """What would wait until next year is given out; the log says why."""
        key = self.failed(ledger, router, reply("K1"), clock(YEAR), clock(YEAR + 1))
        before = give(ledger, clock(1))
        number = ledger.replies.correct_due("DMS", at=clock(1), longest=timedelta(minutes=66))

        assert ([], 1, [key]) == (before, number, [one.key for one in give(ledger, clock(1))])
        assert "due-disbelieved" == ledger.story("K1")[0].entries[-1].event

    def test_a_wait_of_the_schedule_stays(self, ledger: Ledger, router: Router, clock: Clock, reply: Write) -> None:
        """A failure of now waits for as long as the schedule says."""
        self.failed(ledger, router, reply("K1"), clock(), clock(66))
        number = ledger.replies.correct_due("DMS", at=clock(), longest=timedelta(minutes=66))

        assert (0, []) == (number, give(ledger, clock(65)))

    def test_an_order_to_deliver_again_now(self, ledger: Ledger, router: Router, clock: Clock, reply: Write) -> None:
        """A person need not wait: all, those of a system, or those that are named are due now."""
        first, second, third = (
            self.failed(ledger, router, reply(f"K{number}"), clock(), clock(60)) for number in range(3)
        )
        named = ledger.replies.deliver_again_now(at=clock(1), keys=[second])
        others = ledger.replies.deliver_again_now(at=clock(1), system="AGS")
        rest = ledger.replies.deliver_again_now(at=clock(1), system="DMS")
        again = ledger.replies.deliver_again_now(at=clock(1))

        assert ([second], [], [first, third], []) == (named, others, rest, again)
        assert [first, second, third] == sorted(one.key for one in give(ledger, clock(1)))
        assert "delivery-ordered" == ledger.story("K1")[0].entries[-1].event

    def test_what_was_delivered_is_not(self, ledger: Ledger, router: Router, clock: Clock, reply: Write) -> None:
        """Delivered is over."""
        ledger.replies.take_in(router, reply("K1"), mail_from=None, at=clock())
        (given,) = give(ledger, clock())
        ledger.replies.mark_delivered_soon(given.key, at=clock()).result()

        assert ([], []) == (ledger.replies.deliver_again_now(at=clock(1)), give(ledger, clock(9)))


class TestLeases:
    """A worker that died while its clock was ahead holds nothing until next year."""

    def test_are_shortened(self, ledger: Ledger, router: Router, clock: Clock, declaration: Make, reply: Write) -> None:
        """Both kinds end a lease from now on; then the exchange is unknown, and the reply is another's."""
        ledger.exchanges.queue(declaration("K1"), at=clock())
        ledger.replies.take_in(router, reply("K9"), mail_from=None, at=clock())
        claim(ledger, clock(YEAR), owner="dead")
        give(ledger, clock(YEAR), owner="dead")
        number = ledger.shorten_leases(at=clock(), length=LEASE, longest=timedelta(hours=1))
        early = ledger.exchanges.expire_soon(at=clock(1)).result()
        late = ledger.exchanges.expire_soon(at=clock(3)).result()
        found = ledger.exchanges.find("K1", party=PARTY)

        assert (2, [], ["K1"]) == (number, early, [one.reference for one in late])
        assert State.UNKNOWN is (found and found.state)
        assert ["K9"] == [one.reference for one in give(ledger, clock(3), owner="b")]

    def test_a_worker_that_lives_keeps_them(self, ledger: Ledger, clock: Clock, declaration: Make) -> None:
        """Its clock may be wrong as long as it lives: it renews what was shortened."""
        ledger.exchanges.queue(declaration("K1"), at=clock())
        (claimed,) = claim(ledger, clock(YEAR))
        ledger.shorten_leases(at=clock(), length=LEASE, longest=timedelta(hours=1))
        ledger.exchanges.renew_soon([claimed.key], owner="a", until=clock(YEAR + 2)).result()

        assert [] == ledger.exchanges.expire_soon(at=clock(3)).result()

    def test_a_lease_of_now_stays(self, ledger: Ledger, clock: Clock, declaration: Make) -> None:
        """What no clock has spoiled is not touched."""
        ledger.exchanges.queue(declaration("K1"), at=clock())
        claim(ledger, clock())

        assert 0 == ledger.shorten_leases(at=clock(), length=timedelta(0), longest=timedelta(hours=1))
