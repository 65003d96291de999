"""Where the bars, windows and labels of a chart are."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from htpoort.report.chart import Bar, Group, Period, Shade, Tick, draw

AMSTERDAM = ZoneInfo("Europe/Amsterdam")
GROUPS = (Group(name="answered", label="answered"), Group(name="sent", label="without an answer"))


def moment(text: str) -> datetime:
    """Give a moment by the clock of Amsterdam."""
    return datetime.fromisoformat(text).replace(tzinfo=AMSTERDAM)


def utc(text: str) -> datetime:
    """Give a moment in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


class TestPeriod:
    """A period is divided by the clock on the wall."""

    @pytest.mark.parametrize(
        ("days", "unit"), [(2, "HOUR"), (3, "DAY"), (100, "DAY"), (101, "WEEK"), (730, "WEEK"), (731, "MONTH")]
    )
    def test_how_long_its_parts_are(self, days: int, unit: str) -> None:
        """The longer the period, the longer its parts, so that there are at most about a hundred."""
        start = utc("2026-01-05T12:00")

        assert unit == Period.of(start, start + timedelta(days=days), UTC).unit.name

    def test_days_begin_at_midnight_of_the_zone(self) -> None:
        """The first part is what is left of its day; the day on which the clock goes back has 25 hours."""
        period = Period.of(moment("2026-10-24T18:00"), moment("2026-10-27T06:00"), AMSTERDAM)

        assert (
            utc("2026-10-24T16:00"),
            utc("2026-10-24T22:00"),
            utc("2026-10-25T23:00"),
            utc("2026-10-26T23:00"),
            utc("2026-10-27T05:00"),
        ) == period.edges

    def test_an_hour_that_is_there_twice(self) -> None:
        """No part is empty, and each moment is in one part, also in the night in which the clock goes back."""
        period = Period.of(moment("2026-10-25T00:00"), moment("2026-10-25T06:00"), AMSTERDAM)

        assert list(period.edges) == sorted(set(period.edges))
        assert 0 == period.part(utc("2026-10-24T22:30"))

    def test_weeks_begin_on_monday_and_months_on_the_first(self) -> None:
        """The parts of a long period are those of the calendar."""
        weeks = Period.of(utc("2026-01-01T00:00"), utc("2026-05-01T00:00"), UTC)
        months = Period.of(utc("2024-01-15T00:00"), utc("2026-03-01T00:00"), UTC)

        assert [utc("2026-01-01T00:00"), utc("2026-01-05T00:00"), utc("2026-01-12T00:00")] == list(weeks.edges[:3])
        assert [utc("2024-01-15T00:00"), utc("2024-02-01T00:00"), utc("2024-03-01T00:00")] == list(months.edges[:3])
        assert utc("2026-03-01T00:00") == months.edges[-1]

    def test_each_moment_is_in_the_part_that_it_begins(self) -> None:
        """A part has its first moment, and not that of the next."""
        period = Period.of(utc("2026-01-05T00:00"), utc("2026-01-10T00:00"), UTC)

        assert [0, 0, 1, 4] == [
            period.part(utc(text))
            for text in ("2026-01-05T00:00", "2026-01-05T23:59", "2026-01-06T00:00", "2026-01-09T23:59")
        ]

    def test_labels_do_not_crowd(self) -> None:
        """There are at most eight labels, every second of which a phone leaves out, and none over the edge."""
        period = Period.of(utc("2026-01-01T00:00"), utc("2026-01-31T00:00"), UTC)

        assert (
            Tick(0.0, "01 Jan"),
            Tick(13.33, "05 Jan", minor=True),
            Tick(26.67, "09 Jan"),
            Tick(40.0, "13 Jan", minor=True),
            Tick(53.33, "17 Jan"),
            Tick(66.67, "21 Jan", minor=True),
            Tick(80.0, "25 Jan"),
            Tick(93.33, "29 Jan", minor=True),
        ) == period.ticks()

    def test_a_short_first_part_has_no_label(self) -> None:
        """The label of a day that the period has only the end of would be beside that of the next."""
        period = Period.of(utc("2026-01-01T23:00"), utc("2026-01-05T00:00"), UTC)

        assert ["02 Jan", "03 Jan", "04 Jan"] == [tick.label for tick in period.ticks()]

    def test_hours(self) -> None:
        """Midnight is written as the day."""
        period = Period.of(utc("2026-01-01T18:00"), utc("2026-01-02T06:00"), UTC)

        assert ["18:00", "20:00", "22:00", "02 Jan", "02:00", "04:00"] == [tick.label for tick in period.ticks()]


class TestDraw:
    """Bars are stacked, and as high as their numbers."""

    period = Period.of(utc("2026-01-05T00:00"), utc("2026-01-09T00:00"), UTC)

    def test_bars(self) -> None:
        """The first group is at the bottom; 150 is the height of the highest line."""
        chart = draw("DMS", self.period, {(0, "answered"): 10, (0, "sent"): 5, (3, "sent"): 30}, GROUPS)

        (first, last) = chart.columns
        assert (Bar("answered", 100.0, 50.0), Bar("sent", 75.0, 25.0)) == first.bars
        assert (Bar("sent", 0.0, 150.0),) == last.bars
        assert (1.75, 21.5) == (first.x, first.width)
        assert (10, 5) == first.numbers
        assert "2026-01-05: 10 answered, 5 without an answer" == first.words
        assert (Tick(150.0, "0"), Tick(100.0, "10"), Tick(50.0, "20"), Tick(0.0, "30")) == chart.upwards
        assert (
            "45 in all: 10 answered, 35 without an answer. Most in one day: 30, from 2026-01-08." == chart.description
        )

    def test_only_groups_that_occur(self) -> None:
        """A legend has no colour that is nowhere."""
        chart = draw("DMS", self.period, {(0, "sent"): 1, (1, "answered"): 0}, GROUPS)

        assert GROUPS[1:] == chart.groups
        assert 1 == len(chart.columns)

    @pytest.mark.parametrize(
        ("largest", "lines"),
        [
            (0, ["0", "1"]),
            (1, ["0", "1"]),
            (3, ["0", "1", "2", "3"]),
            (4, ["0", "2", "4"]),
            (7, ["0", "5", "10"]),
            (1_000_000, ["0", "500,000", "1,000,000"]),
        ],
    )
    def test_lines_are_round_numbers(self, largest: int, lines: list[str]) -> None:
        """There are at most three lines above the base, and the highest is not below the tallest bar."""
        chart = draw("DMS", self.period, {(0, "sent"): largest}, GROUPS)

        assert lines == [tick.label for tick in chart.upwards]

    def test_windows(self) -> None:
        """A window is cut at the edges; one without a known bound reaches the edge; a short one can be seen."""
        noon = utc("2026-01-06T12:00")
        hold, unclear = Group(name="hold", label="hold"), Group(name="unclear assumed", label="unclear, not sure")
        windows = [
            (utc("2026-01-06T00:00"), utc("2026-01-07T00:00"), hold, "a"),
            (utc("2026-01-01T00:00"), noon, hold, "b"),
            (noon, None, unclear, "c"),
            (None, None, unclear, "d"),
            (noon, noon + timedelta(minutes=1), hold, "e"),
            (utc("2026-01-08T23:59"), utc("2026-01-20T00:00"), hold, "f"),
        ]
        chart = draw("DMS", self.period, {}, GROUPS, windows)

        assert (
            Shade(25.0, 25.0, "hold", "a"),
            Shade(0.0, 37.5, "hold", "b"),
            Shade(37.5, 62.5, "unclear assumed", "c"),
            Shade(0.0, 100.0, "unclear assumed", "d"),
            Shade(37.5, 0.5, "hold", "e"),
            Shade(99.5, 0.5, "hold", "f"),
        ) == chart.shades
        assert (hold, unclear) == chart.kinds
        assert "There is none in this period. Shaded: 6 service windows." == chart.description
