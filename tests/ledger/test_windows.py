"""What a notice says to hold is not claimed by any caller; it is let go after the window, and never before."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from databases import new_ledger

from htpoort import AGS, DMS, InputError, Outcome, State, Submission, UnknownError
from htpoort.ledger import HeldSystem, Ledger, LedgerEvent, NoticeForm, Release, StoredNotice

Clock = Callable[..., datetime]
Make = Callable[..., Submission]

LEASE = timedelta(minutes=2)
OPENS = datetime(2026, 11, 2, 19, 0, tzinfo=UTC)
"""20:00 in Amsterdam, in winter."""
CLOSES = datetime(2026, 11, 2, 22, 0, tzinfo=UTC)
MINUTE, SECOND = timedelta(minutes=1), timedelta(seconds=1)


def own(  # noqa: PLR0913 - the parts of a notice
    *,
    reference: str = "N1",
    system: str = "DMS",
    behaviour: str = "rejected",
    end: str = "23:00",
    end_kind: str = "final",
    state: str = "announced",
) -> str:
    """Write a notice of one's own about the evening of 2 November 2026."""
    return f"""
authority = "douane"
kind = "planned"
references = ["{reference}"]
state = "{state}"

[[windows]]
system = "{system}"
access = "file"
start = 2026-11-02T20:00:00
end = 2026-11-02T{end}:00
end_kind = "{end_kind}"
behaviour = "{behaviour}"
"""


@pytest.fixture
def learn(ledger: Ledger, clock: Clock) -> Callable[..., StoredNotice]:
    """Return a function that stores a notice of one's own."""

    def learned(at: datetime | None = None, **parts: str) -> StoredNotice:
        return ledger.notices.add(own(**parts), at=at or clock(), form=NoticeForm.OWN)

    return learned


@pytest.fixture
def claimed(ledger: Ledger) -> Callable[..., list[str]]:
    """Return a function that claims what is due, and puts it back."""

    def claim(at: datetime, *systems: str) -> list[str]:
        those = ledger.exchanges.claim(systems or ["AGS", "DMS"], owner="a", most=9, at=at, lease=LEASE)
        for each in those:
            ledger.exchanges.settle(each, Outcome.RETURNED, at=at)
        return sorted(each.reference for each in those)

    return claim


Learn = Callable[..., StoredNotice]
Claimed = Callable[..., list[str]]


class TestClaiming:
    """The guard is in the claim itself, so no worker gets around it."""

    @pytest.mark.parametrize(
        ("at", "expected"),
        [
            (OPENS - 3 * MINUTE, ["A1", "K1"]),
            (OPENS - 2 * MINUTE - SECOND, ["A1", "K1"]),
            (OPENS - 2 * MINUTE, ["A1"]),
            (OPENS, ["A1"]),
            (CLOSES - MINUTE, ["A1"]),
            (CLOSES, ["A1", "K1"]),
            (CLOSES + MINUTE, ["A1", "K1"]),
        ],
    )
    def test_a_rejecting_window(  # noqa: PLR0913, PLR0917 - fixtures
        self,
        ledger: Ledger,
        clock: Clock,
        declaration: Make,
        learn: Learn,
        claimed: Claimed,
        at: datetime,
        expected: list[str],
    ) -> None:
        """Nothing is claimed that may end within the window, until its end; other systems go on."""
        ledger.exchanges.queue(declaration("K1"), at=clock())
        ledger.exchanges.queue(declaration("A1", system=AGS), at=clock())
        learn()

        assert expected == claimed(at)

    @pytest.mark.parametrize(
        ("behaviour", "expected"),
        [
            ("rejected", []),
            ("unavailable", []),
            ("unstated", []),
            ("queued", ["K1"]),
            ("delayed", ["K1"]),
            ("normal", ["K1"]),
        ],
    )
    def test_what_a_window_does(  # noqa: PLR0913, PLR0917 - fixtures
        self,
        ledger: Ledger,
        clock: Clock,
        declaration: Make,
        learn: Learn,
        claimed: Claimed,
        behaviour: str,
        expected: list[str],
    ) -> None:
        """What is rejected or unclear waits; what is queued or delayed is sent."""
        ledger.exchanges.queue(declaration("K1"), at=clock())
        learn(behaviour=behaviour)

        assert expected == claimed(OPENS)

    def test_an_expected_end_releases_nothing(
        self, ledger: Ledger, clock: Clock, declaration: Make, learn: Learn, claimed: Claimed
    ) -> None:
        """After an end that was only expected, nothing is sent until a later text says that it is over."""
        ledger.exchanges.queue(declaration("K1"), at=clock())
        learn(end_kind="expected")
        before = claimed(CLOSES + 60 * MINUTE)
        learn(CLOSES + 61 * MINUTE, end_kind="final", state="ended")

        assert ([], ["K1"]) == (before, claimed(CLOSES + 62 * MINUTE))

    def test_a_later_text_stands(
        self, ledger: Ledger, clock: Clock, declaration: Make, learn: Learn, claimed: Claimed
    ) -> None:
        """Of two texts of one event, the one that was learned last decides."""
        ledger.exchanges.queue(declaration("K1"), at=clock())
        learn()
        learn(clock(1), end="21:00")

        assert ([], ["K1"]) == (claimed(OPENS), claimed(OPENS + 60 * MINUTE))

    def test_a_notice_about_a_name_that_means_no_system(
        self, ledger: Ledger, clock: Clock, declaration: Make, learn: Learn, claimed: Claimed
    ) -> None:
        """A notice about another name holds nothing: one about NCTS must not stop DMS."""
        ledger.exchanges.queue(declaration("K1"), at=clock())
        learn(system="NCTS")

        assert ["K1"] == claimed(OPENS)

    def test_the_rate_counts_what_is_held(self, ledger: Ledger, clock: Clock, declaration: Make, learn: Learn) -> None:
        """Attempts to a system count for the rate of its outbox, also while the system is held."""
        at = OPENS - 10 * MINUTE
        for reference in ("K1", "K2"):
            ledger.exchanges.queue(declaration(reference), at=clock())
        ledger.exchanges.queue(declaration("A1", system=AGS), at=clock())
        systems = ["AGS", "DMS"]
        first = ledger.exchanges.claim(["DMS"], owner="a", most=2, at=at, lease=LEASE, per_hour=2)
        learn()
        second = ledger.exchanges.claim(systems, owner="a", most=2, at=OPENS, lease=LEASE, per_hour=2)

        assert (["K1", "K2"], []) == ([each.reference for each in first], [each.reference for each in second])


def test_a_window_costs_no_query_for_each_declaration(tmp_path: Path, clock: Clock, declaration: Make) -> None:
    """A claim in a window runs as many statements for many declarations as for one."""
    statements: list[str] = []

    def trace(connection: sa.Connection) -> None:
        driver = connection.connection.driver_connection
        assert isinstance(driver, sqlite3.Connection)
        driver.set_trace_callback(statements.append)

    counts: list[int] = []
    with Ledger.open(new_ledger(tmp_path / "htpoort.db")) as ledger:
        ledger.notices.add(own(), at=clock(), form=NoticeForm.OWN)
        assert [] == ledger.exchanges.claim(["DMS"], owner="a", most=9, at=OPENS, lease=LEASE)
        ledger.write(trace)
        for number in range(20):
            ledger.exchanges.queue(declaration(f"K{number}"), at=clock())
            statements.clear()
            assert [] == ledger.exchanges.claim(["DMS"], owner="a", most=9, at=OPENS, lease=LEASE)
            counts.append(len(statements))

    assert [counts[0]] * 20 == counts
    assert counts[0] > 0


def test_two_notices_that_contradict_each_other(
    ledger: Ledger, clock: Clock, declaration: Make, learn: Learn, claimed: Claimed
) -> None:
    """If one notice says that what is sent is rejected and another that all is normal, nothing is sent."""
    ledger.exchanges.queue(declaration("K1"), at=clock())
    learn(reference="N1", behaviour="normal")
    learn(reference="N2")

    assert [] == claimed(OPENS)


class TestHolding:
    """What waits is marked as held, and let go after the end, as slowly as the caller asks."""

    def test_hold_and_let_go(self, ledger: Ledger, clock: Clock, declaration: Make, learn: Learn) -> None:
        """What waits is held with the notice in its log, and let go oldest first; then the system is held no more."""
        for number in range(3):
            ledger.exchanges.queue(declaration(f"K{number}"), at=clock(number))
        ledger.exchanges.queue(declaration("A1", system=AGS), at=clock())
        learn()
        ledger.windows.review(["AGS", "DMS"], at=OPENS)
        held = ledger.windows.hold(["AGS", "DMS"], at=OPENS)
        states = {each.reference: each.state for each in ledger.exchanges.listed()}
        early = ledger.windows.let_go("DMS", at=CLOSES - MINUTE)
        first = ledger.windows.let_go("DMS", at=CLOSES, most=2)
        between = [each.reference for each in ledger.exchanges.listed(State.HELD)], len(ledger.windows.held())
        second = ledger.windows.let_go_soon("DMS", at=CLOSES, most=2).result()

        assert ["DMS"] == list(held)
        assert {
            "K0": State.HELD,
            "K1": State.HELD,
            "K2": State.HELD,
            "A1": State.QUEUED,
        } == states
        assert (0, 2, (["K2"], 1), 1, ()) == (early, first, between, second, ledger.windows.held())
        (story,) = ledger.story("K0")
        assert [("queued", ""), ("window-opened", "notice N1"), ("window-closed", "")] == [
            (entry.event, entry.detail) for entry in story.entries
        ]

    def test_a_review_writes_nothing_and_finds_what_changed(
        self, ledger: Ledger, clock: Clock, declaration: Make, learn: Learn
    ) -> None:
        """A system is to be held while something waits or its reason changes, and to be released after the window."""
        ledger.exchanges.queue(declaration("K1"), at=clock())
        systems = ["AGS", "DMS"]
        nothing = ledger.windows.review(systems, at=OPENS)
        learn()
        opened = ledger.windows.review(systems, at=OPENS)
        ledger.windows.hold_soon(systems, at=OPENS).result()
        held = ledger.windows.review(systems, at=OPENS)
        ledger.exchanges.queue(declaration("K2"), at=OPENS)
        new = ledger.windows.review(systems, at=OPENS)
        ledger.windows.hold(systems, at=OPENS)
        closed = ledger.windows.review(systems, at=CLOSES)

        assert [(), ("DMS",), (), ("DMS",), ()] == [each.to_hold for each in (nothing, opened, held, new, closed)]
        assert [{}, {}, {}, {}, {"DMS": Release(waiting=2, by=None)}] == [
            each.to_release for each in (nothing, opened, held, new, closed)
        ]

    def test_by_when_is_remembered(self, ledger: Ledger, clock: Clock, declaration: Make, learn: Learn) -> None:
        """An agent that starts anew finds by when the last one is to be let go; another window forgets it."""
        for number in range(2):
            ledger.exchanges.queue(declaration(f"K{number}"), at=clock(number))
        learn()
        ledger.windows.hold(["DMS"], at=OPENS)
        ledger.windows.let_go("DMS", at=CLOSES, most=1, by=CLOSES + MINUTE)
        after = ledger.windows.review(["DMS"], at=CLOSES).to_release
        learn(CLOSES, end="23:30")
        ledger.windows.hold(["DMS"], at=CLOSES)
        again = ledger.windows.review(["DMS"], at=CLOSES + 30 * MINUTE).to_release

        assert ({"DMS": Release(waiting=1, by=CLOSES + MINUTE)}, {"DMS": Release(waiting=2, by=None)}) == (after, again)

    def test_the_list_says_why(self, ledger: Ledger, learn: Learn) -> None:
        """The list of held systems names the notice, from when and until when."""
        learn()
        ledger.windows.hold(["DMS"], at=OPENS)
        (held,) = ledger.windows.held()

        assert HeldSystem(system="DMS", since=OPENS, until=CLOSES, notice="N1", why=held.why) == held
        assert "DMS" in held.why
        assert (held,) == ledger.windows.held(at=CLOSES - MINUTE)

    def test_the_list_says_what_is_over(self, ledger: Ledger, clock: Clock, declaration: Make, learn: Learn) -> None:
        """After its window, a system is held by nothing, until the last of its exchanges was let go."""
        for number in range(2):
            ledger.exchanges.queue(declaration(f"K{number}"), at=clock(number))
        learn()
        ledger.windows.hold(["DMS"], at=OPENS)
        (over,) = ledger.windows.held(at=CLOSES)
        ledger.windows.let_go("DMS", at=CLOSES, most=1, by=CLOSES + MINUTE)
        (begun,) = ledger.windows.held(at=CLOSES)

        assert (True, None, True, CLOSES + MINUTE) == (over.is_over, over.until, begun.is_over, begun.until)
        assert {"Nothing holds it any more; an agent lets go of what was held."} == {over.why, begun.why}

    def test_what_a_program_held_itself_stays(self, ledger: Ledger, clock: Clock, declaration: Make) -> None:
        """Exchanges that a program held without a notice are not found by a review."""
        ledger.exchanges.queue(declaration("K1"), at=clock(), held=True)

        assert {} == ledger.windows.review(["DMS"], at=clock()).to_release


class TestOverruling:
    """A person may order to send although a notice says to hold."""

    def test_a_reason_is_recorded(
        self, ledger: Ledger, clock: Clock, declaration: Make, learn: Learn, claimed: Claimed
    ) -> None:
        """After the order the system is free, and what it held is let go; the reason is in the log."""
        ledger.exchanges.queue(declaration("K1"), at=clock())
        notice = learn()
        ledger.windows.hold(["DMS"], at=OPENS)
        ledger.notices.overrule(notice.key, reason="Customs says that it works", at=OPENS)
        entry = ledger.newest_entry()
        found = ledger.windows.review(["DMS"], at=OPENS).to_release["DMS"].order
        released = ledger.windows.let_go("DMS", at=OPENS)
        detail = ledger.story("K1")[0].entries[-1].detail

        assert entry is not None
        assert (LedgerEvent.NOTICE_OVERRULED.value, "notice 1: Customs says that it works") == (
            entry.event,
            entry.detail,
        )
        assert (1, ["K1"]) == (released, claimed(OPENS))
        assert ["by order: notice 1: Customs says that it works"] * 2 == [found, detail]

    def test_what_an_order_would_let_go(self, ledger: Ledger, clock: Clock, declaration: Make, learn: Learn) -> None:
        """All that the notice alone holds; what another one holds too stays, and nothing is written."""
        for reference in ("K1", "K2"):
            ledger.exchanges.queue(declaration(reference), at=clock())
        ledger.exchanges.queue(declaration("A1", system=AGS), at=clock())
        first = learn()
        ledger.windows.hold(["DMS"], at=OPENS)
        ledger.exchanges.queue(declaration("K3"), at=OPENS)
        entry = ledger.newest_entry()
        alone = [each.reference for each in ledger.windows.freed_by_order(first.key, at=OPENS)]
        after = entry == ledger.newest_entry()
        learn(reference="N2")
        both = ledger.windows.freed_by_order(first.key, at=OPENS)

        assert (["K1", "K2", "K3"], True, ()) == (alone, after, both)

    def test_a_window_that_is_over(self, ledger: Ledger, clock: Clock, declaration: Make, learn: Learn) -> None:
        """What is let go after the end is not let go by the order about another time."""
        ledger.exchanges.queue(declaration("K1"), at=clock())
        notice = learn()
        ledger.windows.hold(["DMS"], at=OPENS)
        ledger.notices.overrule(notice.key, reason="it works", at=OPENS)

        assert ["by order: notice 1: it works", ""] == [
            ledger.windows.review(["DMS"], at=at).to_release["DMS"].order for at in (OPENS, CLOSES)
        ]

    def test_a_later_text_holds_again(
        self, ledger: Ledger, clock: Clock, declaration: Make, learn: Learn, claimed: Claimed
    ) -> None:
        """The order is about what was known: a later text of the event is obeyed, and an earlier one is not."""
        ledger.exchanges.queue(declaration("K1"), at=clock())
        learn()
        second = learn(clock(1), end="22:00")
        ledger.notices.overrule_soon(second.key, reason="it works", at=clock(2)).result()
        between = claimed(OPENS)
        learn(clock(3), end="21:00")

        assert (["K1"], []) == (between, claimed(OPENS))

    def test_without_a_reason_or_a_notice(self, ledger: Ledger, clock: Clock, learn: Learn) -> None:
        """An order without a reason, or about a notice that does not exist, is refused."""
        notice = learn()
        for reason in ("", " ", "a\nb"):
            with pytest.raises(InputError):
                ledger.notices.overrule(notice.key, reason=reason, at=clock())
        with pytest.raises(UnknownError):
            ledger.notices.overrule(9, reason="it works", at=clock())

    def test_finding_a_notice(self, ledger: Ledger, clock: Clock, learn: Learn) -> None:
        """A notice is found by its number or its reference, with the other texts of its event."""
        first, second = learn(), learn(clock(1), end="22:00")
        other = learn(clock(2), reference="N2")

        assert [(first, second), (first, second), (other,)] == [ledger.notices.find(text) for text in ("n1", "2", "3")]
        with pytest.raises(UnknownError, match="N1"):
            ledger.notices.find("N3")


class TestLettingOneGo:
    """A person may order to send a single exchange although a notice holds its system."""

    @pytest.fixture
    def held(self, ledger: Ledger, clock: Clock, declaration: Make, learn: Learn) -> StoredNotice:
        """Hold K1 to K3 because of notice N1."""
        for reference in ("K1", "K2", "K3"):
            ledger.exchanges.queue(declaration(reference), at=clock())
        notice = learn()
        ledger.windows.hold(["DMS"], at=OPENS)
        return notice

    def test_only_that_one(self, ledger: Ledger, held: StoredNotice, claimed: Claimed) -> None:
        """It is queued at once and claimed in the window; the others stay held, however often an agent looks."""
        order = ledger.windows.exempt("N1", "K2", reason="it works", at=OPENS)
        review = ledger.windows.review(["DMS"], at=OPENS)
        ledger.windows.hold(["DMS"], at=OPENS)
        ledger.windows.let_go("DMS", at=OPENS)

        assert ("K2", State.QUEUED, held.key, "it works", "", False) == (
            order.exchange.reference,
            order.exchange.state,
            order.notice,
            order.reason,
            order.also,
            order.repeated,
        )
        assert ((), {}) == (review.to_hold, review.to_release)
        assert ["held", "queued", "held"] == [each.state.value for each in ledger.exchanges.listed()]
        assert ["K2"] == claimed(OPENS)

    @pytest.mark.usefixtures("held")
    def test_the_log(self, ledger: Ledger) -> None:
        """The story of the exchange has the order with its reason, and what it did."""
        ledger.windows.exempt("N1", "K2", reason="it works", at=OPENS)
        entries = ledger.story("K2")[0].entries[-2:]

        assert [
            ("notice-overruled", "held", "notice 1: it works"),
            ("window-closed", "queued", "by order: notice 1: it works"),
        ] == [(entry.event, entry.state, entry.detail) for entry in entries]

    @pytest.mark.usefixtures("held")
    def test_ordered_twice(self, ledger: Ledger) -> None:
        """The same order again changes nothing, also after the exchange was sent."""
        ledger.windows.exempt("N1", "K2", reason="it works", at=OPENS)
        (sent,) = ledger.exchanges.claim(["DMS"], owner="a", most=9, at=OPENS, lease=LEASE)
        ledger.exchanges.settle(sent, Outcome.ACCEPTED, at=OPENS)
        entry = ledger.newest_entry()
        again = ledger.windows.exempt_soon("N1", "K2", reason="it works", at=OPENS).result()

        assert (True, State.ACCEPTED) == (again.repeated, again.exchange.state)
        assert entry == ledger.newest_entry()

    @pytest.mark.usefixtures("held")
    def test_a_retry(self, ledger: Ledger, claimed: Claimed) -> None:
        """A further attempt in the window needs no further order."""
        ledger.windows.exempt("N1", "K2", reason="it works", at=OPENS)
        (sent,) = ledger.exchanges.claim(["DMS"], owner="a", most=9, at=OPENS, lease=LEASE)
        ledger.exchanges.settle(sent, Outcome.DEFERRED, at=OPENS, due=OPENS + MINUTE)
        review = ledger.windows.review(["DMS"], at=OPENS)
        ledger.windows.hold(["DMS"], at=OPENS)

        assert ((), ["K2"]) == (review.to_hold, claimed(OPENS + MINUTE))

    @pytest.mark.usefixtures("held")
    def test_another_notice(self, ledger: Ledger, learn: Learn, claimed: Claimed) -> None:
        """What another notice holds as well stays held, until that one holds it no more."""
        learn(reference="N2", end="21:00")
        order = ledger.windows.exempt("N1", "K2", reason="it works", at=OPENS)
        within = ledger.windows.review(["DMS"], at=OPENS).to_release
        after = OPENS + timedelta(hours=1)
        release = ledger.windows.review(["DMS"], at=after).to_release
        released = ledger.windows.let_go("DMS", at=after, most=9, by=after)

        assert ("N2", State.HELD, {}) == (order.also, order.exchange.state, within)
        assert {"DMS": Release(waiting=1, by=after, order="by order: notice 1: it works")} == release
        assert (1, ["K2"]) == (released, claimed(after))

    @pytest.mark.usefixtures("held")
    def test_a_later_text_holds_again(self, ledger: Ledger, learn: Learn, clock: Clock, claimed: Claimed) -> None:
        """The order is about what was known."""
        ledger.windows.exempt("N1", "K2", reason="it works", at=OPENS)
        learn(clock(500), end="22:00")
        review = ledger.windows.review(["DMS"], at=OPENS)

        assert ([], ("DMS",)) == (claimed(OPENS), review.to_hold)

    @pytest.mark.usefixtures("held")
    def test_after_the_window(self, ledger: Ledger, claimed: Claimed) -> None:
        """The others are let go after the end, and nothing is left of the hold."""
        ledger.windows.exempt("N1", "K2", reason="it works", at=OPENS)
        ledger.windows.let_go("DMS", at=CLOSES)

        assert (["K1", "K2", "K3"], ()) == (claimed(CLOSES), ledger.windows.held())

    def test_before_an_agent_holds_it(
        self, ledger: Ledger, clock: Clock, declaration: Make, learn: Learn, claimed: Claimed
    ) -> None:
        """What waits and is not marked yet is let go as well, and is never marked."""
        ledger.exchanges.queue(declaration("K1"), at=clock())
        learn()
        ledger.windows.exempt("N1", "K1", reason="it works", at=OPENS)

        ledger.windows.hold(["DMS"], at=OPENS)

        assert ((), ["K1"]) == (ledger.windows.review(["DMS"], at=OPENS).to_hold, claimed(OPENS))

    @pytest.mark.usefixtures("held")
    def test_beforehand(self, ledger: Ledger) -> None:
        """What the order would do can be seen first, and nothing is written."""
        entry = ledger.newest_entry()
        preview = ledger.windows.exemption("N1", "K2", at=OPENS)

        assert ("K2", "", False) == (preview.exchange.reference, preview.also, preview.repeated)
        assert entry == ledger.newest_entry()

    def test_what_is_refused(self, ledger: Ledger, held: StoredNotice, learn: Learn, declaration: Make) -> None:
        """An order that lets nothing go says why, and writes nothing."""
        del held
        learn(reference="N2", system="AGS")
        ledger.exchanges.queue(declaration("A1", system=AGS), at=OPENS)
        ledger.exchanges.queue(declaration("K4"), at=OPENS)
        ledger.exchanges.close("K4", at=OPENS)
        cases = [
            ("N1", "K4", OPENS, "is closed"),
            ("N1", "A1", OPENS, "N2 does"),
            ("N1", "K1", CLOSES, "No notice holds"),
        ]
        entry = ledger.newest_entry()
        for notice, reference, at, why in cases:
            with pytest.raises(InputError, match=why):
                ledger.windows.exempt(notice, reference, reason="it works", at=at)
        with pytest.raises(InputError, match="reason"):
            ledger.windows.exempt("N1", "K1", reason=" ", at=OPENS)
        for notice, reference in (("N9", "K1"), ("N1", "K9")):
            with pytest.raises(UnknownError):
                ledger.windows.exempt(notice, reference, reason="it works", at=OPENS)

        assert entry == ledger.newest_entry()

    @pytest.mark.usefixtures("held")
    def test_two_processes(self, url: str, ledger: Ledger) -> None:
        """An order that another process gives is obeyed by the next claim."""
        ledger.windows.review(["DMS"], at=OPENS)
        with Ledger.open(url) as other:
            other.windows.exempt("N1", "K2", reason="it works", at=OPENS)
        claims = ledger.exchanges.claim(["DMS"], owner="a", most=9, at=OPENS, lease=LEASE)

        assert ["K2"] == [each.reference for each in claims]

    @pytest.mark.usefixtures("held")
    def test_no_order_for_the_system(self, ledger: Ledger) -> None:
        """An order for one exchange is none for the whole notice, for what agents obey and lists show."""
        ledger.windows.exempt("N1", "K2", reason="it works", at=OPENS)

        assert {} == ledger.notices.orders()
        assert Release(waiting=2, by=None) == ledger.windows.review(["DMS"], at=CLOSES).to_release["DMS"]


def test_two_processes(url: str, ledger: Ledger, clock: Clock, declaration: Make) -> None:
    """A notice that another process stores is obeyed by the next claim."""
    ledger.exchanges.queue(declaration("K1", system=DMS), at=clock())
    with Ledger.open(url) as other:
        other.notices.add(own(), at=clock(), form=NoticeForm.OWN)

    assert [] == ledger.exchanges.claim(["DMS"], owner="a", most=9, at=OPENS, lease=LEASE)
