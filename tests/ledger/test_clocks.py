"""The ledger corrects times too far in the future: a clock that was ahead for a moment delays nothing."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from htpoort import Outcome, Router, State, Submission
from htpoort.ledger import Claimed, Ledger, Reply

PARTY = "NL123456789.02.05"
LEASE = timedelta(minutes=2)
YEAR = 365 * 24 * 60
LONGEST = timedelta(hours=8, minutes=48)  # eight hours, and up to a tenth at random

Clock = Callable[..., datetime]
Make = Callable[..., Submission]
Write = Callable[..., bytes]


def claim(ledger: Ledger, at: datetime, *, owner: str = "a", per_hour: int | None = None) -> list[Claimed]:
    """Claim the declarations that are due."""
    return ledger.exchanges.claim_soon(("DMS",), owner=owner, most=9, at=at, lease=LEASE, per_hour=per_hour).result()


def claim_replies(ledger: Ledger, at: datetime, owner: str = "a") -> list[Reply]:
    """Claim the replies that are due for delivery."""
    return ledger.replies.claim_soon("DMS", owner=owner, most=9, at=at, lease=LEASE).result()


class TestDeclarations:
    """A declaration that is due later than the longest wait becomes due now."""

    def test_deferred_by_a_clock_that_was_ahead(self, ledger: Ledger, clock: Clock, declaration: Make) -> None:
        """A declaration deferred while the clock was a year ahead goes out this year, and the log shows why."""
        ledger.exchanges.queue(declaration("K1"), at=clock())
        (claimed,) = claim(ledger, clock(YEAR))
        ledger.exchanges.settle_soon(claimed, Outcome.DEFERRED, at=clock(YEAR), due=clock(YEAR + 5)).result()
        before = claim(ledger, clock(1))
        number = ledger.exchanges.correct_due(["DMS"], at=clock(1), longest=LONGEST)
        last = ledger.story("K1")[0].entries[-1]

        assert ([], 1, ["K1"]) == (before, number, [claimed.reference for claimed in claim(ledger, clock(1))])
        assert ("due-corrected", "deferred") == (last.event, last.state)
        assert "it was due at 2027-11-02 12:05:00+00:00, later than any wait: a clock was ahead; it is due now" == (
            last.detail
        )

    def test_a_wait_of_the_schedule_stays(self, ledger: Ledger, clock: Clock, declaration: Make) -> None:
        """A declaration deferred within the longest wait of the schedule keeps waiting; so do other systems."""
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
    on_time = claim(ledger, clock(1), per_hour=2)
    over = claim(ledger, clock(2), per_hour=2)

    assert (["K0", "K1"], ["K2", "K3"], []) == (
        [claimed.reference for claimed in ahead],
        [claimed.reference for claimed in on_time],
        over,
    )


class TestReplies:
    """A reply whose delivery failed while the clock was ahead is delivered now."""

    def fail_delivery(self, ledger: Ledger, router: Router, raw: bytes, at: datetime, due: datetime) -> int:
        """Let a delivery fail; return the number of the reply."""
        ledger.replies.take_in(router, raw, mail_from=None, at=at)
        (claimed,) = claim_replies(ledger, at)
        ledger.replies.mark_failed_soon(claimed.key, at=at, due=due, trouble="away").result()
        return claimed.key

    def test_a_failed_delivery_is_due_now(self, ledger: Ledger, router: Router, clock: Clock, reply: Write) -> None:
        """A reply that would wait until next year can be claimed; the log shows why."""
        key = self.fail_delivery(ledger, router, reply("K1"), clock(YEAR), clock(YEAR + 1))
        before = claim_replies(ledger, clock(1))
        number = ledger.replies.correct_due("DMS", at=clock(1), longest=timedelta(minutes=66))

        assert ([], 1, [key]) == (before, number, [reply.key for reply in claim_replies(ledger, clock(1))])
        assert "due-corrected" == ledger.story("K1")[0].entries[-1].event

    def test_a_wait_of_the_schedule_stays(self, ledger: Ledger, router: Router, clock: Clock, reply: Write) -> None:
        """A delivery that failed under the right clock waits as long as the schedule sets."""
        self.fail_delivery(ledger, router, reply("K1"), clock(), clock(66))
        number = ledger.replies.correct_due("DMS", at=clock(), longest=timedelta(minutes=66))

        assert (0, []) == (number, claim_replies(ledger, clock(65)))

    def test_an_order_to_deliver_again_now(self, ledger: Ledger, router: Router, clock: Clock, reply: Write) -> None:
        """An operator need not wait: the named replies, those of one system, or all of them become due now."""
        first, second, third = (
            self.fail_delivery(ledger, router, reply(f"K{number}"), clock(), clock(60)) for number in range(3)
        )
        named = ledger.replies.deliver_again_now(at=clock(1), keys=[second])
        others = ledger.replies.deliver_again_now(at=clock(1), system="AGS")
        rest = ledger.replies.deliver_again_now(at=clock(1), system="DMS")
        again = ledger.replies.deliver_again_now(at=clock(1))

        assert ([second], [], [first, third], []) == (named, others, rest, again)
        assert [first, second, third] == sorted(reply.key for reply in claim_replies(ledger, clock(1)))
        assert "delivery-ordered" == ledger.story("K1")[0].entries[-1].event

    def test_a_delivered_reply_is_not_delivered_again(
        self, ledger: Ledger, router: Router, clock: Clock, reply: Write
    ) -> None:
        """An order to deliver again does not touch a reply that was delivered."""
        ledger.replies.take_in(router, reply("K1"), mail_from=None, at=clock())
        (claimed,) = claim_replies(ledger, clock())
        ledger.replies.mark_delivered_soon(claimed.key, at=clock()).result()

        assert ([], []) == (ledger.replies.deliver_again_now(at=clock(1)), claim_replies(ledger, clock(9)))


class TestLeases:
    """A worker that died while its clock was ahead does not keep its claims until next year."""

    def test_are_shortened(self, ledger: Ledger, router: Router, clock: Clock, declaration: Make, reply: Write) -> None:
        """Both leases now end after one lease time; then the exchange is unknown, and another worker gets the reply."""
        ledger.exchanges.queue(declaration("K1"), at=clock())
        ledger.replies.take_in(router, reply("K9"), mail_from=None, at=clock())
        claim(ledger, clock(YEAR), owner="dead")
        claim_replies(ledger, clock(YEAR), owner="dead")
        number = ledger.shorten_leases(at=clock(), length=LEASE, longest=timedelta(hours=1))
        early = ledger.exchanges.expire_soon(at=clock(1)).result()
        late = ledger.exchanges.expire_soon(at=clock(3)).result()
        exchange = ledger.exchanges.find("K1", party=PARTY)

        assert (2, [], ["K1"]) == (number, early, [lost.reference for lost in late])
        assert State.UNKNOWN is (exchange and exchange.state)
        assert ["K9"] == [claimed.reference for claimed in claim_replies(ledger, clock(3), owner="b")]

    def test_a_living_worker_keeps_its_lease(self, ledger: Ledger, clock: Clock, declaration: Make) -> None:
        """A living worker may have a wrong clock: it renews the lease that was shortened."""
        ledger.exchanges.queue(declaration("K1"), at=clock())
        (claimed,) = claim(ledger, clock(YEAR))
        ledger.shorten_leases(at=clock(), length=LEASE, longest=timedelta(hours=1))
        ledger.exchanges.renew_soon([claimed.key], owner="a", until=clock(YEAR + 2)).result()

        assert [] == ledger.exchanges.expire_soon(at=clock(3)).result()

    def test_a_lease_of_now_stays(self, ledger: Ledger, clock: Clock, declaration: Make) -> None:
        """A lease that no wrong clock extended is not touched."""
        ledger.exchanges.queue(declaration("K1"), at=clock())
        claim(ledger, clock())

        assert 0 == ledger.shorten_leases(at=clock(), length=timedelta(0), longest=timedelta(hours=1))
