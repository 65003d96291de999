"""The periods in which the advice for a system does not change, and the systems that notices mean."""

from __future__ import annotations

from datetime import datetime

import pytest
from notice_builders import notice, row, text, utc

from htpoort import InputError
from htpoort.notices import Availability, KnownNotice, Notice, NoticeName

EARLIEST, LATEST = utc("2000-01-01T00:00"), utc("2100-01-01T00:00")


def periods(
    *notices: Notice | KnownNotice, start: datetime = EARLIEST, stop: datetime = LATEST, known_at: str | None = None
) -> list[tuple[str, str, str, str, bool]]:
    """List the periods of DMS: advice, notice, both bounds in UTC, and whether it is assumed."""
    known = None if known_at is None else utc(known_at)
    found = Availability(notices).periods("DMS", start=start, stop=stop, known_at=known)
    return [
        (
            period.advice.advice.value,
            period.advice.notice,
            *("" if each is None else f"{each:%dT%H:%M}" for each in (period.opens, period.closes)),
            period.assumed,
        )
        for period in found
    ]


def test_a_window_is_one_period() -> None:
    """What a notice firmly states is a period between its bounds."""
    assert [("hold", "W1", "10T19:00", "10T22:00", False)] == periods(notice(text(row())))


def test_a_contradiction_is_unclear_where_both_hold() -> None:
    """Two notices that contradict each other are unclear while they overlap, and each counts alone before and after."""
    rejected = notice(text(row()))
    queued = notice(text(row("queued", "2026-01-10T21:00", "2026-01-11T01:00")), reference="W2")

    assert [
        ("hold", "W1", "10T19:00", "10T20:00", False),
        ("unclear", "W1, W2", "10T20:00", "10T22:00", False),
        ("send-expect-late", "W2", "10T22:00", "11T00:00", False),
    ] == periods(rejected, queued)


def test_what_goes_on_is_a_period_without_an_end() -> None:
    """After an end that was only expected, a second period is assumed, and no notice ends it."""
    assert [
        ("hold", "W1", "10T19:00", "10T22:00", False),
        ("hold", "W1", "10T22:00", "", True),
    ] == periods(notice(text(row(end_kind="expected"))))


def test_rows_that_follow_each_other_are_one_period() -> None:
    """Two rows of one notice with the same effect are one period if there is no time between them."""
    rows = (row(), row(start="2026-01-10T23:00", end="2026-01-11T01:00"), row(start="2026-01-11T02:00", end=None))

    assert [
        ("hold", "W1", "10T19:00", "11T00:00", False),
        ("hold", "W1", "11T01:00", "", False),
    ] == periods(notice(text(*rows)))


def test_only_what_overlaps_is_listed() -> None:
    """A period that ends where the time begins, or begins where it ends, is left out; the others stay whole."""
    days = [notice(text(row(start=f"2026-01-{day}T20:00", end=f"2026-01-{day}T23:00"))) for day in (10, 12, 14)]
    listed = [KnownNotice(notice=each, key=str(number)) for number, each in enumerate(days)]

    assert [("hold", "1", "12T19:00", "12T22:00", False)] == periods(
        *listed, start=utc("2026-01-10T22:00"), stop=utc("2026-01-14T19:00")
    )
    assert [] == periods(*listed, start=utc("2026-01-14T19:00"), stop=utc("2026-01-10T22:00"))


def test_what_was_not_known_has_no_period() -> None:
    """A notice that was not known yet, and a system that no notice names, have no periods."""
    assert [] == periods(notice(text(row())), known_at="2026-01-05T07:59")
    assert [] == periods(notice(text(row(system="AGS"))))
    assert [] == periods()


def test_what_is_not_affected_is_a_period() -> None:
    """That a notice calls a system not affected is shown."""
    assert [("send", "W1", "10T19:00", "10T22:00", False)] == periods(notice(text(row("normal"))))


def test_the_systems_that_notices_mean() -> None:
    """Systems are named as the directory does, in its order; a printed name that means none of them stays printed."""
    rows = (row(system="Import"), row(system="dms  invoer"), row(system="AGS"), row(system=None), row(system="NCTS"))
    names = [NoticeName(name="DMS Invoer", system="DMS"), NoticeName(name="ECS", system="ECS")]
    availability = Availability([notice(text(*rows))], names)

    assert (("DMS", "AGS"), ("Import", "NCTS")) == availability.named(["DMS", "AGS", "ECS", "EMCS"])
    assert ((), ("AGS", "Import", "NCTS", "dms  invoer")) == availability.named([])
    assert ((), ()) == availability.named(["DMS"], known_at=utc("2026-01-05T07:59"))
    with pytest.raises(InputError):
        availability.named([], known_at=datetime.fromisoformat("2026-01-05T07:59"))
