"""What the ledger reports: counts, stories, pruning."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

import attrs
import pytest
import sqlalchemy as sa

from htpoort import AGS, InputError, Outcome, Router, State, Submission, UnknownError
from htpoort.ledger import Exchange, Ledger

PARTY, CLIENT = "NL123456789.02.05", "NL123456789.03.05"
LEASE = timedelta(minutes=2)
DAY = 24 * 60

Clock = Callable[..., datetime]
Make = Callable[..., Submission]
Write = Callable[..., bytes]
Send = Callable[..., Exchange]


def test_status_counts(  # noqa: PLR0913 - six fixtures
    ledger: Ledger, router: Router, clock: Clock, *, declaration: Make, sent: Send, reply: Write
) -> None:
    """The status counts exchanges by system and state, replies to deliver and quarantine, and has the oldest times."""
    sent("K1")
    ledger.exchanges.queue(declaration("K2"), at=clock(1))
    ledger.exchanges.queue(declaration("K3", system=AGS), at=clock(2))
    ledger.replies.take_in(router, reply("K1"), mail_from=None, at=clock(3))
    ledger.replies.take_in(router, b"junk", mail_from=None, at=clock(3))
    status = ledger.status()

    assert {("DMS", State.ANSWERED): 1, ("DMS", State.QUEUED): 1, ("AGS", State.QUEUED): 1} == status.exchanges
    assert {"DMS": clock(1), "AGS": clock(2)} == status.oldest
    assert ({"DMS": 1}, 1) == (status.undelivered, status.quarantined)


def test_an_empty_ledger_has_a_status(ledger: Ledger) -> None:
    """The status of an empty ledger is empty."""
    status = ledger.status()

    assert ({}, {}, {}, 0, 0) == (
        status.exchanges,
        status.oldest,
        status.undelivered,
        status.quarantined,
        status.not_sent_replies,
    )


def test_a_story(ledger: Ledger, router: Router, clock: Clock, declaration: Make, reply: Write) -> None:
    """A story holds every event of an exchange in order, with the state after it, and its replies."""
    ledger.exchanges.queue(declaration("K1"), at=clock())
    (claimed,) = ledger.exchanges.claim_soon(("DMS",), owner="a", most=1, at=clock(1), lease=LEASE).result()
    ledger.exchanges.settle_soon(claimed, Outcome.ACCEPTED, at=clock(2), detail="250 OK").result()
    ledger.replies.take_in(router, reply("K1"), mail_from=None, at=clock(3))
    (waiting,) = ledger.replies.claim_soon("DMS", owner="a", most=1, at=clock(4), lease=LEASE).result()
    ledger.replies.mark_delivered_soon(waiting.key, at=clock(4)).result()
    (story,) = ledger.story("K1", party="nl123456789.02.05")

    assert [
        (clock(0), "queued", "queued"),
        (clock(1), "attempt-started", "sending"),
        (clock(2), "accepted", "accepted"),
        (clock(3), "reply-received", "answered"),
        (clock(4), "delivered", None),
    ] == [(entry.at, entry.event, entry.state) for entry in story.entries]
    assert "250 OK" == story.entries[2].detail
    assert [reply("K1")] == [stored.raw for stored in story.replies]


def test_a_story_holds_every_decision(ledger: Ledger, clock: Clock, declaration: Make) -> None:
    """The log also holds an event that changed nothing, with the reason."""
    ledger.exchanges.queue(declaration("K1"), at=clock())
    ledger.exchanges.close("K1", at=clock(1))
    ledger.exchanges.close("K1", at=clock(2))

    assert "It is already closed." == ledger.story("K1")[0].entries[-1].detail


def test_a_missing_story(ledger: Ledger, router: Router, clock: Clock, declaration: Make, reply: Write) -> None:
    """Asking for a K that was never used, or not by the given party, is an error."""
    ledger.exchanges.queue(declaration("K1"), at=clock())
    ledger.replies.take_in(router, reply("K2"), mail_from=None, at=clock())
    for reference, party in (("K9", None), ("K1", CLIENT), ("K2", CLIENT)):
        with pytest.raises(UnknownError):
            ledger.story(reference, party=party)


class TestStoriesOfReplies:
    """A story includes the replies to its K, whether the K was sent or not."""

    def test_a_k_that_was_never_sent(self, ledger: Ledger, router: Router, clock: Clock, reply: Write) -> None:
        """Replies to a K without an exchange have a story for each system and party."""
        ledger.replies.take_in(router, reply("K1"), mail_from=None, at=clock())
        ledger.replies.take_in(router, reply("K1", body="<Second/>"), mail_from=None, at=clock(1))
        ledger.replies.take_in(router, reply("K1", party=CLIENT), mail_from=None, at=clock(2))
        ledger.replies.take_in(
            router, reply("K1", mailbox="ags@htpoort.nl", process_id="DMS.NL"), mail_from=None, at=clock(3)
        )
        (waiting, *_) = ledger.replies.claim_soon("DMS", owner="a", most=1, at=clock(4), lease=LEASE).result()
        ledger.replies.mark_delivered_soon(waiting.key, at=clock(4)).result()
        stories = ledger.story("K1")

        assert [(None, "DMS", PARTY, 2), (None, "DMS", CLIENT, 1), (None, "AGS", PARTY, 1)] == [
            (story.exchange, story.replies[0].system, story.replies[0].party, len(story.replies)) for story in stories
        ]
        assert [
            (clock(0), "reply-received", None, "unknown-reference"),
            (clock(1), "reply-received", None, "unknown-reference"),
            (clock(4), "delivered", None, ""),
        ] == [attrs.astuple(entry) for entry in stories[0].entries]
        assert stories[1:2] == ledger.story("K1", party=CLIENT.lower())

    def test_a_reply_before_its_exchange(
        self, ledger: Ledger, router: Router, clock: Clock, declaration: Make, reply: Write
    ) -> None:
        """A reply that came before its K was queued does not answer it, and has a story of its own."""
        ledger.replies.take_in(router, reply("K1"), mail_from=None, at=clock())
        ledger.exchanges.queue(declaration("K1"), at=clock(1))
        sent, alone = ledger.story("K1", party=PARTY)

        assert (["queued"], ()) == ([entry.event for entry in sent.entries], sent.replies)
        assert (None, ["reply-received"]) == (alone.exchange, [entry.event for entry in alone.entries])

    def test_a_copy(self, ledger: Ledger, router: Router, clock: Clock, sent: Send, reply: Write) -> None:
        """The story of an exchange holds each copy of a reply, in the order of arrival."""
        sent("K1", at=clock())
        for minutes in (1, 2):
            ledger.replies.take_in(router, reply("K1"), mail_from=None, at=clock(minutes))
        (story,) = ledger.story("K1")

        assert [(clock(1), "reply-received"), (clock(2), "reply-repeated")] == [
            (entry.at, entry.event) for entry in story.entries[3:]
        ]


def test_the_oldest_exchanges(ledger: Ledger, clock: Clock, declaration: Make) -> None:
    """`oldest` lists exchanges of one system and state, those queued first first, and no more than asked for."""
    for reference, minutes in (("K1", 3), ("K2", 1), ("K3", 1), ("K4", 0)):
        ledger.exchanges.queue(declaration(reference), at=clock(minutes))
    ledger.exchanges.queue(declaration("K5", system=AGS), at=clock())
    ledger.exchanges.close("K4", at=clock())

    assert ["K2", "K3"] == [exchange.reference for exchange in ledger.exchanges.oldest("DMS", State.QUEUED, most=2)]
    assert ["K2", "K3", "K1"] == [
        exchange.reference for exchange in ledger.exchanges.oldest("DMS", State.QUEUED, most=20)
    ]


class TestMessages:
    """Exchanges are listed with their messages."""

    def test_octet_for_octet(  # noqa: PLR0913 - six fixtures
        self, ledger: Ledger, router: Router, clock: Clock, *, declaration: Make, sent: Send, reply: Write
    ) -> None:
        """Each exchange has its message as it was queued, or None if it was pruned."""
        TestPrune.filled(ledger, router, clock, declaration, sent, reply)
        ledger.prune(before=clock(DAY), at=clock(40 * DAY), days=30)

        assert [("K1", None), ("K2", declaration("K2").data)] == [
            (exchange.reference, message) for exchange, message in ledger.exchanges.messages()
        ]

    def test_of_the_given_states(self, ledger: Ledger, clock: Clock, declaration: Make) -> None:
        """Only the exchanges in the given states are listed, oldest first."""
        for reference in ("K1", "K2", "K3"):
            ledger.exchanges.queue(declaration(reference), at=clock())
        ledger.exchanges.close("K2", at=clock())

        assert [["K1", "K3"], ["K2"], ["K1", "K2", "K3"]] == [
            [exchange.reference for exchange, _ in ledger.exchanges.messages(*states)]
            for states in ((State.QUEUED, State.FAILED), (State.CLOSED,), (State.QUEUED, State.CLOSED))
        ]

    def test_never_all_in_memory(self, ledger: Ledger, clock: Clock, declaration: Make) -> None:
        """Messages are read as the caller iterates: never all thirty million octets are in memory."""
        payload = b"<a>" + b"x" * 50_000
        futures = [
            ledger.exchanges.queue_soon(declaration(f"K{number}", payload=payload), at=clock()) for number in range(600)
        ]
        for future in futures:
            future.result()
        del futures
        tracemalloc.start()
        try:
            octets = sum(len(message or b"") for _, message in ledger.exchanges.messages())
            _, most = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()

        assert (True, True) == (octets > 30_000_000, most < 15_000_000)


class TestCounting:
    """Counts are read from indexes, so that a ledger of seven years is reported at once."""

    @pytest.fixture
    def plans(self, tmp_path: Path) -> Iterator[Callable[[Callable[[Ledger], object]], list[str]]]:
        """Return a function that returns SQLite's query plan for the statements of an operation."""
        with Ledger.open(f"sqlite:///{tmp_path / 'plans.db'}") as ledger:

            def query_plan(operation: Callable[[Ledger], object]) -> list[str]:
                statements: list[tuple[str, Any]] = []

                def note(_connection: object, _cursor: object, statement: str, parameters: object, *_: object) -> None:
                    statements.append((statement, parameters))

                engine = ledger._connections.engine
                sa.event.listen(engine, "before_cursor_execute", note)
                operation(ledger)
                sa.event.remove(engine, "before_cursor_execute", note)
                with engine.connect() as connection:
                    return [
                        row[3]
                        for statement, parameters in statements
                        for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
                    ]

            yield query_plan

    def test_status(self, plans: Callable[..., list[str]]) -> None:
        """Exchanges and quarantine are counted from indexes alone; of the replies only those that wait are read."""
        assert [
            "SCAN htpoort_exchanges USING COVERING INDEX htpoort_exchanges_status",
            "SCAN htpoort_replies USING INDEX htpoort_replies_waiting",
            "SEARCH htpoort_quarantine USING COVERING INDEX htpoort_quarantine_state (state=?)",
            "SCAN htpoort_replies USING INDEX htpoort_replies_not_sent",
            "SEARCH htpoort_exchanges USING INTEGER PRIMARY KEY (rowid=?)",
        ] == plans(lambda ledger: ledger.status())

    def test_oldest(self, plans: Callable[..., list[str]]) -> None:
        """The oldest exchanges are read in their order, without reading the others of their system and state."""
        assert ["SEARCH htpoort_exchanges USING INDEX htpoort_exchanges_status (system=? AND state=?)"] == plans(
            lambda ledger: ledger.exchanges.oldest("DMS", State.UNKNOWN, most=20)
        )

    def test_messages_of_a_state(self, plans: Callable[..., list[str]]) -> None:
        """No message of another state is read, and no message is sorted."""
        first, *others = plans(lambda ledger: list(ledger.exchanges.messages(State.UNKNOWN)))

        assert "SEARCH htpoort_exchanges USING INTEGER PRIMARY KEY (rowid=?)" == first
        assert [] == [other for other in others if other.startswith("SCAN") or "TEMP B-TREE" in other]

    def test_last_reply(self, plans: Callable[..., list[str]], clock: Clock) -> None:
        """Only events of arrivals since the given moment are read."""
        first, *others = plans(lambda ledger: ledger.last_reply("AGS", after=clock()))

        assert "SEARCH htpoort_events USING INDEX htpoort_events_event (event=? AND at>?)" == first
        assert [True, True] == ["USING INTEGER PRIMARY KEY" in other for other in others]

    def test_unanswered(self, plans: Callable[..., list[str]]) -> None:
        """Only exchanges in the given state are read."""
        first, *_ = plans(lambda ledger: list(ledger.exchanges.listed(State.ACCEPTED)))

        assert first.startswith("SEARCH htpoort_exchanges USING INDEX ")

    def test_deliveries(self, plans: Callable[..., list[str]], clock: Clock) -> None:
        """Waiting replies are read in their order, without reading those that were delivered."""
        claim = plans(
            lambda ledger: ledger.replies.claim_soon("DMS", owner="a", most=5, at=clock(), lease=LEASE).result()
        )

        assert [
            "SEARCH htpoort_replies USING INDEX htpoort_replies_waiting (system=? AND due<?)",
            "SEARCH htpoort_messages USING INTEGER PRIMARY KEY (rowid=?)",
        ] == claim


class TestPrune:
    """Finished exchanges older than the retention can be deleted; used references are kept."""

    @staticmethod
    def filled(  # noqa: PLR0913, PLR0917 - six fixtures
        ledger: Ledger, router: Router, clock: Clock, declaration: Make, sent: Send, reply: Write
    ) -> None:
        """Fill a ledger with a finished and an open exchange, and a held and a discarded message in quarantine."""
        sent("K1", at=clock())
        ledger.exchanges.queue(declaration("K2"), at=clock())
        ledger.replies.take_in(router, reply("K1"), mail_from=None, at=clock())
        (waiting,) = ledger.replies.claim_soon("DMS", owner="a", most=1, at=clock(), lease=LEASE).result()
        ledger.replies.mark_delivered_soon(waiting.key, at=clock()).result()
        ledger.replies.take_in(router, b"held", mail_from=None, at=clock())
        key = ledger.replies.take_in(router, b"discarded", mail_from=None, at=clock()).key
        ledger.quarantine.discard(key, at=clock(), reason="not ours")

    EXPECTED: ClassVar = {
        "events": 8,
        "replies": 1,
        "quarantined messages": 1,
        "shadows": 0,
        "messages of exchanges": 1,
    }

    def test_prunable_counts(  # noqa: PLR0913 - six fixtures
        self, ledger: Ledger, router: Router, clock: Clock, *, declaration: Make, sent: Send, reply: Write
    ) -> None:
        """`prunable` counts what `prune` would delete, and deletes nothing."""
        self.filled(ledger, router, clock, declaration, sent, reply)
        counts = [ledger.prunable(before=clock(DAY), at=clock(40 * DAY), days=30) for _ in range(2)]

        assert [self.EXPECTED, self.EXPECTED] == counts

    def test_prune_deletes_what_was_counted(  # noqa: PLR0913 - six fixtures
        self, ledger: Ledger, router: Router, clock: Clock, *, declaration: Make, sent: Send, reply: Write
    ) -> None:
        """Open, held and waiting rows stay; the rest is deleted, and a second call deletes nothing."""
        self.filled(ledger, router, clock, declaration, sent, reply)
        removed = ledger.prune(before=clock(DAY), at=clock(40 * DAY), days=30)
        again = ledger.prune(before=clock(DAY), at=clock(40 * DAY), days=30)

        assert (self.EXPECTED, 0) == (removed, sum(again.values()))
        assert [b"held"] == [raw for _, raw in ledger.quarantine.messages(None)]
        assert ["K2"] == [
            claimed.reference
            for claimed in ledger.exchanges.claim_soon(("DMS",), owner="a", most=9, at=clock(), lease=LEASE).result()
        ]

    def test_a_waiting_reply_keeps_its_exchange(
        self, ledger: Ledger, router: Router, clock: Clock, sent: Send, reply: Write
    ) -> None:
        """While the reply to an answered exchange is undelivered, neither is deleted."""
        sent("K1", at=clock())
        ledger.replies.take_in(router, reply("K1"), mail_from=None, at=clock())
        removed = ledger.prune(before=clock(DAY), at=clock(40 * DAY), days=30)

        assert 0 == sum(removed.values())

    def test_a_k_stays_used(  # noqa: PLR0913 - six fixtures
        self, ledger: Ledger, router: Router, clock: Clock, *, declaration: Make, sent: Send, reply: Write
    ) -> None:
        """A K cannot be used again after its message was deleted."""
        self.filled(ledger, router, clock, declaration, sent, reply)
        ledger.prune(before=clock(DAY), at=clock(40 * DAY), days=30)

        with pytest.raises(InputError):
            ledger.exchanges.queue(declaration("K1"), at=clock(40 * DAY))

    def test_within_the_retention(self, ledger: Ledger, clock: Clock) -> None:
        """Seven years are kept unless the caller gives another number of days."""
        with pytest.raises(InputError) as caught:
            ledger.prunable(before=clock(), at=clock(2556 * DAY))
        counted = ledger.prunable(before=clock(), at=clock(2557 * DAY))

        assert ["ledger.retention"] == [problem.code for problem in caught.value.problems]
        assert 0 == sum(counted.values())
