"""What a report counts and lists: of everything, and of one party alone."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from htpoort import AGS, InputError, Outcome, Router, State, Submission
from htpoort.ledger import Excerpt, Exchange, FailingDelivery, Ledger, Status, TrafficCount

PARTY = "NL123456789.02.05"
CLIENT = "NL123456789.03.05"
LEASE = timedelta(minutes=2)

Clock = Callable[..., datetime]
Make = Callable[..., Submission]
Write = Callable[..., bytes]
Sent = Callable[..., Exchange]


class TestTraffic:
    """The exchanges of a period are counted by hour, system and state."""

    def test_parts_and_bounds(self, ledger: Ledger, clock: Clock, declaration: Make, sent: Sent) -> None:
        """The first moment belongs to the period, and the last does not; what has no number is left out."""
        sent("K1", at=clock(0))
        sent("K2", at=clock(59))
        ledger.exchanges.queue(declaration("K3", system=AGS), at=clock(60))
        ledger.exchanges.queue(declaration("K4"), at=clock(120))
        ledger.exchanges.queue(declaration("K5"), at=clock(-1))

        counted = ledger.reports.traffic(since=clock(0), until=clock(120))

        noon = datetime(2026, 11, 2, 12, tzinfo=UTC)
        assert sorted(counted, key=lambda count: count.start) == [
            TrafficCount(system="DMS", state=State.ACCEPTED, start=noon, number=2),
            TrafficCount(system="AGS", state=State.QUEUED, start=noon.replace(hour=13), number=1),
        ]

    def test_of_one_party(self, ledger: Ledger, clock: Clock, declaration: Make) -> None:
        """Only this party counts, in any case; parts may be of another length."""
        ledger.exchanges.queue(declaration("K1"), at=clock(0))
        ledger.exchanges.queue(declaration("K2", party=CLIENT), at=clock(0))

        (count,) = ledger.reports.traffic(
            since=clock(-60), until=clock(60), unit=timedelta(days=1), party=CLIENT.lower()
        )

        midnight = datetime(2026, 11, 2, tzinfo=UTC)
        assert TrafficCount(system="DMS", state=State.QUEUED, start=midnight, number=1) == count

    @pytest.mark.parametrize("unit", [timedelta(0), timedelta(seconds=-1), timedelta(milliseconds=1500)])
    def test_a_length_that_is_wrong(self, ledger: Ledger, clock: Clock, unit: timedelta) -> None:
        """A part has a number of seconds above 0."""
        with pytest.raises(InputError, match=r"^unit is .*; give a number of seconds above 0"):
            list(ledger.reports.traffic(since=clock(0), until=clock(1), unit=unit))


def test_status_of_one_party(  # noqa: PLR0913, PLR0917 - what fills a ledger
    ledger: Ledger, router: Router, clock: Clock, declaration: Make, sent: Sent, reply: Write
) -> None:
    """The counts are those of the whole ledger, less what is of another party."""
    sent("K1")
    ledger.exchanges.queue(declaration("K2"), at=clock(1))
    ledger.exchanges.queue(declaration("K3", party=CLIENT), at=clock(2))
    ledger.replies.take_in(router, reply("K2"), mail_from=None, at=clock(3))
    ledger.replies.take_in(router, reply("K3", party=CLIENT), mail_from=None, at=clock(3))
    ledger.replies.take_in(router, reply("K8", mailbox="x@elsewhere.example"), mail_from=None, at=clock(4))

    assert ledger.reports.status(PARTY.lower()) == Status(
        exchanges={("DMS", State.ACCEPTED): 1, ("DMS", State.QUEUED): 1},
        oldest={"DMS": clock(0)},
        undelivered={"DMS": 1},
        quarantined=1,
        not_sent_replies=1,
    )
    assert ledger.reports.status(CLIENT) == Status(
        exchanges={("DMS", State.QUEUED): 1},
        oldest={"DMS": clock(2)},
        undelivered={"DMS": 1},
        quarantined=0,
        not_sent_replies=1,
    )


def test_what_no_server_has_taken(ledger: Ledger, clock: Clock, declaration: Make, sent: Sent) -> None:
    """The list has what waits and what was refused, oldest first, and not what was sent; the total counts all."""
    sent("K1")
    for reference in ("K2", "K3"):
        ledger.exchanges.queue(declaration(reference), at=clock(1))
    for claimed in ledger.exchanges.claim(["DMS"], owner="a", most=1, at=clock(1), lease=LEASE):
        ledger.exchanges.settle(claimed, Outcome.REFUSED, at=clock(2))
    ledger.exchanges.queue(declaration("K4", party=CLIENT), at=clock(3))

    everything = ledger.reports.not_taken(most=2)
    of_one = ledger.reports.not_taken(most=2, party=CLIENT)

    assert ["K2", "K3"] == [exchange.reference for exchange in everything.items]
    assert (3, 1) == (everything.total, everything.rest)
    assert (["K4"], 1, 0) == ([exchange.reference for exchange in of_one.items], of_one.total, of_one.rest)


def test_deliveries_that_failed(ledger: Ledger, router: Router, clock: Clock, reply: Write) -> None:
    """A reply that waits for its first delivery is not in the list, and one that failed is, until it is delivered."""
    for reference, party in (("K1", PARTY), ("K2", CLIENT), ("K3", PARTY)):
        ledger.replies.take_in(router, reply(reference, party=party), mail_from=None, at=clock(0))
    for one in ledger.replies.claim("DMS", owner="a", most=2, at=clock(1), lease=LEASE):
        ledger.replies.mark_failed(one.key, at=clock(1), due=clock(5), trouble="disk full")

    failing = FailingDelivery(
        key=2,
        system="DMS",
        party=CLIENT,
        reference="K2",
        received=clock(0),
        attempts=1,
        due=clock(5),
        trouble="disk full",
    )
    assert ledger.reports.failing_deliveries(most=9, party=CLIENT) == Excerpt(items=(failing,), total=1)
    assert 2 == ledger.reports.failing_deliveries(most=1).total
    ledger.replies.mark_delivered(2, at=clock(6))
    assert ledger.reports.failing_deliveries(most=9, party=CLIENT) == Excerpt()


def test_quarantine_of_one_party(ledger: Ledger, router: Router, clock: Clock, declaration: Make, reply: Write) -> None:
    """A message is listed for its addressee, unless its K is that of another party alone."""
    ledger.exchanges.queue(declaration("K1"), at=clock(0))
    ledger.exchanges.queue(declaration("K2", party=CLIENT), at=clock(0))
    for party in (PARTY, CLIENT):
        ledger.exchanges.queue(declaration("K3", party=party), at=clock(0))
    stranger = "x@elsewhere.example"
    for raw in (
        reply("K1", party=PARTY.lower(), mailbox=stranger),
        reply("K2", mailbox=stranger),  # the K of the other party
        reply("K3", mailbox=stranger),
        reply("K9", mailbox=stranger),
        reply("K1", party=CLIENT, mailbox=stranger),
        reply("K2", party=CLIENT, mailbox=stranger),
        b"Subject: no envelope\r\n\r\n",
    ):
        ledger.replies.take_in(router, raw, mail_from=None, at=clock(1))
    discarded = ledger.replies.take_in(router, reply("K8", mailbox=stranger), mail_from=None, at=clock(1))
    ledger.quarantine.discard(discarded.key, at=clock(2), reason="advertising")

    own, others = (ledger.reports.quarantined(most=9, party=party) for party in (PARTY, CLIENT.lower()))

    assert ([1, 3, 4], 3) == ([message.key for message in own.items], own.total)
    assert ([6], 1) == ([message.key for message in others.items], others.total)
    first = ledger.reports.quarantined(most=1, party=PARTY)
    assert ([1], 3) == ([message.key for message in first.items], first.total)
    everything = ledger.reports.quarantined(most=2)
    assert ([1, 2], 7) == ([message.key for message in everything.items], everything.total)


def test_the_lists_of_status_for_one_party(
    ledger: Ledger, router: Router, clock: Clock, declaration: Make, reply: Write
) -> None:
    """The oldest exchanges, and those with a reply from before they were sent, can be asked for by party."""
    for reference, party in (("K1", PARTY), ("K2", CLIENT)):
        ledger.exchanges.queue(declaration(reference, party=party), at=clock(0))
        ledger.replies.take_in(router, reply(reference, party=party), mail_from=None, at=clock(1))

    oldest = ledger.exchanges.oldest("DMS", State.QUEUED, most=9, party=CLIENT.lower())
    early = ledger.exchanges.with_not_sent_replies(most=9, party=CLIENT.lower())

    assert (0, None) == ledger.exchanges.oldest_unanswered("DMS", until=clock(9), party=CLIENT)
    assert (["K2"], ["K2"]) == ([one.reference for one in oldest], [one.reference for one in early])
