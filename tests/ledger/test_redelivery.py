"""Replies are found by number, system, party and time; a person may order one to be delivered again."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from htpoort import InputError, Router, UnknownError
from htpoort.ledger import Ledger, Reply

OWN, CLIENT = "NL123456789.02.05", "NL123456789.03.05"
LEASE = timedelta(minutes=2)

Clock = Callable[..., datetime]
Write = Callable[..., bytes]


def claim(ledger: Ledger, at: datetime, *, system: str = "DMS") -> list[Reply]:
    """Claim the replies of one system that are due for delivery."""
    return ledger.replies.claim_soon(system, owner="a", most=9, at=at, lease=LEASE).result()


def deliver(ledger: Ledger, at: datetime) -> list[tuple[int, int]]:
    """Deliver all replies that are due; return the number of each, and how often its redelivery was ordered."""
    claimed = [reply for system in ("DMS", "AGS") for reply in claim(ledger, at, system=system)]
    for reply in claimed:
        ledger.replies.mark_delivered(reply.key, at=at)
    return sorted((reply.key, reply.redeliveries) for reply in claimed)


@pytest.fixture
def keys(ledger: Ledger, router: Router, clock: Clock, reply: Write) -> list[int]:
    """Give the numbers of four replies: of DMS at noon and a minute later, to the client, and of AGS."""
    raws = [
        reply("K1"),
        reply("K2"),
        reply("K3", party=CLIENT),
        reply("K4", mailbox="ags@htpoort.nl", process_id="DMS.NL"),
    ]
    return [
        ledger.replies.take_in(router, raw, mail_from=None, at=clock(minute)).key for minute, raw in enumerate(raws)
    ]


class TestReading:
    """Replies are read one by one, or as a list."""

    def test_one(self, ledger: Ledger, keys: list[int], reply: Write) -> None:
        """A number gives one reply with its message and what it carries."""
        found = ledger.replies.get(keys[1])

        assert ("K2", reply("K2"), b"<Response/>\r\n", 0) == (
            found.reference,
            found.raw,
            found.payload.octets,
            found.redeliveries,
        )

    def test_an_unknown_number(self, ledger: Ledger) -> None:
        """A number that no reply has is an error."""
        with pytest.raises(UnknownError, match="reply '7' is not in the ledger"):
            ledger.replies.get(7)

    def test_a_list(self, ledger: Ledger, keys: list[int], clock: Clock) -> None:
        """Each condition narrows the list: system, party in any case, time, and waiting for delivery."""
        first, second, third, fourth = keys
        ledger.replies.mark_delivered(third, at=clock(9))

        def listed(**conditions: object) -> list[int]:
            return [reply.key for reply in ledger.replies.listed(**conditions)]  # type: ignore[arg-type]

        assert keys == listed()
        assert [fourth] == listed(system="AGS")
        assert [third] == listed(party=CLIENT.lower())
        assert [second, third, fourth] == listed(since=clock(1))
        assert [first, second, fourth] == listed(undelivered=True)
        assert [second] == listed(system="DMS", party=OWN, since=clock(1), undelivered=True)


class TestOrders:
    """A reply that was delivered is delivered again by an order: with its key, marked, and in the log."""

    def test_named(self, ledger: Ledger, keys: list[int], clock: Clock) -> None:
        """Only the named reply comes again, and each order counts."""
        before = deliver(ledger, clock(5))
        named = ledger.replies.deliver_again_now(at=clock(6), keys=[keys[1]], delivered=True)
        first = deliver(ledger, clock(7))
        ledger.replies.deliver_again_now(at=clock(8), keys=[keys[1]], delivered=True)
        second = deliver(ledger, clock(9))

        assert ([(key, 0) for key in keys], [keys[1]]) == (before, named)
        assert ([(keys[1], 1)], [(keys[1], 2)], []) == (first, second, deliver(ledger, clock(10)))

    def test_the_log(self, ledger: Ledger, keys: list[int], clock: Clock) -> None:
        """The log of the K shows the order between the two deliveries."""
        deliver(ledger, clock(5))
        ledger.replies.deliver_again_now(at=clock(6), keys=keys, delivered=True)
        deliver(ledger, clock(7))

        assert ["reply-received", "delivered", "redelivery-ordered", "delivered"] == [
            entry.event for entry in ledger.story("K1")[0].entries
        ]

    def test_since(self, ledger: Ledger, keys: list[int], clock: Clock) -> None:
        """All that came from a moment on come again, or those of a system or for a party among them."""
        deliver(ledger, clock(5))

        def order(**conditions: str) -> list[int]:
            due = ledger.replies.deliver_again_now(at=clock(6), since=clock(1), delivered=True, **conditions)  # type: ignore[arg-type]
            deliver(ledger, clock(7))
            return due

        assert keys[1:] == order()
        assert ([keys[3]], [keys[2]], []) == (
            order(system="AGS"),
            order(party=CLIENT.lower()),
            order(system="AGS", party=CLIENT),
        )

    def test_one_that_failed(self, ledger: Ledger, keys: list[int], clock: Clock) -> None:
        """A reply whose delivery failed is due now by the same order, and is not counted as delivered before."""
        for reply in claim(ledger, clock(5)):
            ledger.replies.mark_failed(reply.key, at=clock(5), due=clock(65), trouble="away")
        due = ledger.replies.deliver_again_now(at=clock(6), keys=keys[:2], delivered=True)

        assert (keys[:2], [(keys[0], 0), (keys[1], 0), (keys[3], 0)]) == (due, deliver(ledger, clock(6)))

    def test_only_those_that_failed(self, ledger: Ledger, keys: list[int], clock: Clock) -> None:
        """Without *delivered*, what was delivered stays delivered, whoever names it."""
        deliver(ledger, clock(5))

        assert [] == ledger.replies.deliver_again_now(at=clock(6), keys=keys)
        assert [] == ledger.replies.deliver_again_now(at=clock(6), since=clock())

    def test_never_all_by_accident(self, ledger: Ledger, keys: list[int], clock: Clock) -> None:
        """Without numbers and a time, an order for delivered replies is refused; so is a number that is not known."""
        deliver(ledger, clock(5))
        with pytest.raises(InputError) as everything:
            ledger.replies.deliver_again_now(at=clock(6), system="DMS", delivered=True)
        with pytest.raises(InputError) as unknown:
            ledger.replies.deliver_again_now(at=clock(6), keys=[keys[0], 99], delivered=True)

        assert ["ledger.which-replies", "ledger.unknown-reply"] == [
            caught.value.problems[0].code for caught in (everything, unknown)
        ]
        assert [] == deliver(ledger, clock(7))

    def test_a_reply_that_waits_again(self, ledger: Ledger, keys: list[int], clock: Clock) -> None:
        """It counts as undelivered until it is delivered again, and a copy of it stays a copy."""
        deliver(ledger, clock(5))
        ledger.replies.deliver_again_now(at=clock(6), keys=[keys[0]], delivered=True)

        assert ({"DMS": 1}, None) == (ledger.status().undelivered, ledger.replies.get(keys[0]).delivered)


class TestAWorkerThatWasThoughtDead:
    """Its report, which comes after another delivery was ordered, does not end that one."""

    @pytest.fixture
    def ordered(self, ledger: Ledger, keys: list[int], clock: Clock) -> Reply:
        """Give the claim of a worker that is silent while another one delivers, and a person orders more."""
        late = claim(ledger, clock(5))[0]
        deliver(ledger, clock(8))
        ledger.replies.deliver_again_now(at=clock(9), keys=[keys[0]], delivered=True)
        return late

    def test_delivered(self, ledger: Ledger, ordered: Reply, clock: Clock) -> None:
        """The reply still waits for the delivery that was ordered; the log has the late report, and its reason."""
        ledger.replies.mark_delivered(ordered.key, at=clock(10), redeliveries=ordered.redeliveries)
        last = ledger.story("K1")[0].entries[-1]

        assert ("delivered", "a person has ordered another delivery since; that is still to come") == (
            last.event,
            last.detail,
        )
        assert [(ordered.key, 1)] == deliver(ledger, clock(11))

    def test_failed(self, ledger: Ledger, ordered: Reply, clock: Clock) -> None:
        """It does not put off the ordered delivery, even if the same worker has begun that one meanwhile."""
        (begun,) = claim(ledger, clock(10))
        ledger.replies.mark_failed(
            ordered.key, at=clock(10), due=clock(99), trouble="late", owner="a", redeliveries=ordered.redeliveries
        )
        held = [reply.key for reply in claim(ledger, clock(11))]
        ledger.replies.mark_failed(
            begun.key, at=clock(11), due=clock(20), trouble="away", owner="a", redeliveries=begun.redeliveries
        )

        assert ([], clock(20), "away") == (
            held,
            ledger.replies.get(begun.key).due,
            ledger.replies.get(begun.key).trouble,
        )

    def test_the_same_delivery(self, ledger: Ledger, keys: list[int], clock: Clock) -> None:
        """A late report without an order since then is the truth: the process has the reply."""
        late = claim(ledger, clock(5))[0]
        claim(ledger, clock(8))
        ledger.replies.mark_delivered(late.key, at=clock(9), redeliveries=late.redeliveries)

        assert (keys[0], clock(9)) == (late.key, ledger.replies.get(late.key).delivered)


class TestPreview:
    """What an order would do is listed by the same choice, and nothing changes."""

    @pytest.mark.parametrize(
        ("options", "expected"),
        [
            ({}, [1]),
            ({"delivered": True, "since": 0}, [0, 1, 2]),
            ({"delivered": True, "since": 2}, [2]),
            ({"delivered": True, "since": 0, "party": CLIENT.lower()}, [2]),
            ({"system": "AGS"}, []),
            ({"delivered": True, "keys": [0, 3]}, [0]),
        ],
    )
    def test_which(
        self, ledger: Ledger, keys: list[int], clock: Clock, options: dict[str, Any], expected: list[int]
    ) -> None:
        """One was delivered, one failed, one was delivered to the client, and one is due anyhow."""
        for key in (keys[0], keys[2]):
            ledger.replies.mark_delivered(key, at=clock(5))
        ledger.replies.mark_failed(keys[1], at=clock(5), due=clock(65), trouble="away")
        if "since" in options:
            options = {**options, "since": clock(options["since"])}
        if "keys" in options:
            options = {**options, "keys": [keys[number] for number in options["keys"]]}
        before = list(ledger.replies.listed())
        listed = [reply.key for reply in ledger.replies.deliverable_again(at=clock(6), **options)]
        between = list(ledger.replies.listed())
        ordered = ledger.replies.deliver_again_now(at=clock(6), **options)

        assert ([keys[number] for number in expected], before) == (listed, between)
        assert listed == ordered

    def test_refused(self, ledger: Ledger, keys: list[int], clock: Clock) -> None:
        """What the order refuses, its preview refuses too."""
        with pytest.raises(InputError) as everything:
            list(ledger.replies.deliverable_again(at=clock(6), delivered=True))
        with pytest.raises(InputError) as unknown:
            list(ledger.replies.deliverable_again(at=clock(6), keys=[keys[0], 99], delivered=True))

        assert ["ledger.which-replies", "ledger.unknown-reply"] == [
            caught.value.problems[0].code for caught in (everything, unknown)
        ]


def test_exchanges_by_system_party_and_time(ledger: Ledger, clock: Clock, sent: Callable[..., object]) -> None:
    """Exchanges are listed by state, system, party in any case, and when they were queued."""
    sent("K1", at=clock())
    sent("K2", at=clock(2))

    def listed(**conditions: object) -> list[str]:
        return [exchange.reference for exchange in ledger.exchanges.listed(**conditions)]  # type: ignore[arg-type]

    assert (["K1", "K2"], ["K2"], []) == (listed(), listed(since=clock(1)), listed(system="AGS"))
    assert (["K1", "K2"], []) == (listed(party=OWN.lower(), system="DMS"), listed(party=CLIENT))
