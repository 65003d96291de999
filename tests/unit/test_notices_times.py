"""Days, hours and periods of a notice: read as printed, or reported and not guessed."""

from __future__ import annotations

from datetime import date, time

import pytest

from htpoort.core.notices._dates import Day
from htpoort.core.notices._times import Period, read_periods, read_stamp

SUMMER_EVENING = "2025-06-06T21:00:00"
SUMMER_NIGHT = "2025-06-07T22:00:00"


def only(text: str) -> Period:
    """Return the one period of a text."""
    (period,) = read_periods(text)
    return period


def ends(period: Period) -> tuple[str | None, str | None]:
    """Return both moments of a period as text."""
    moments = [point and point.moment for point in (period.opens, period.closes)]
    opens, closes = [moment.isoformat() if moment is not None else None for moment in moments]
    return opens, closes


@pytest.mark.parametrize(
    "text",
    [
        "Friday June 6, 2025, 2100 – Saturday June 7, 2025, 2200",
        "from Friday 06-06-2025 21:00 until Saturday 07-06-2025 22:00",
        "van vrijdag 06-06-2025 21:00 tot zaterdag 07-06-2025 22:00",
        "van vrijdag 6 juni 2025, 21.00 uur tot en met zaterdag 7 juni 2025 22.00 uur",
        "van 06-06-2025 21.00 uur t/m 07-06-2025 22.00 uur",
        "fra fredag den 6. juni 2025 kl. 21.00 til lørdag den 7. juni 2025 kl. 22.00",
        "06-06-25 21.00 uur - 07-06-25 22.00 uur",
        "6/6/2025 21:00 - 7/6/2025 22:00",
        "06.06.2025 21:00 - 07.06.2025 22:00",
        "2025-06-06T21:00 - 2025-06-07T22:00",
        "6th June 2025, 9 pm to 7th of June 2025, 10 p.m.",
        "vr 6 juni 2025 21u tot za 7 juni 2025 22u00",
        "6 June 2100 - 7 June 2025 2200",
        "June 6, 2025, 2100 - June 7, 2200",
        "Fri. June 6, 2025, 2100 - Sat. June 7, 2025, 2200",
        "Firday June 6, 2025, 2100 - Saturday June 7, 2025, 2200",
        "Friday June 6, 2025, 21:00 CEST - Saturday June 7, 2025, 22:00 (CET)",
    ],
)
def test_two_moments(text: str) -> None:
    """Two days with an hour each are a period, in each language and notation."""
    period = only(text)

    assert (SUMMER_EVENING, SUMMER_NIGHT, False, ()) == (*ends(period), period.expected, period.problems)


@pytest.mark.parametrize(
    "text",
    [
        "Wednesday, 18 May, 2022, 1800-2130",
        "Wednesday May 18, 2022, 18.00-21.30",
        "18-05-22 18.00 - 21.30 uur",
        "18 maj 2022 kl. 18-2130",
        "woensdag 18 mei 2022 van 18.00 tot 21.30 uur",
        "onsdag den 18. maj 2022 i tidsrummet 18:00 til 21:30",
        "between 18:00 and 21:30 on Wednesday 18 May 2022",
        "Wednesday 18 May 2022 between 18:00 and 21:30",
        "tussen 18.00 en 21.30 uur op woensdag 18 mei 2022",
        "May 18, 2022 at 18:00-21:30",
    ],
)
def test_two_hours(text: str) -> None:
    """One day with two hours is a period of that day."""
    assert ("2022-05-18T18:00:00", "2022-05-18T21:30:00") == ends(only(text))


@pytest.mark.parametrize(
    ("text", "opens", "closes"),
    [
        ("29-06-2024 2300-0100", "2024-06-29T23:00:00", "2024-06-30T01:00:00"),
        ("29-06-2024 1700-2400", "2024-06-29T17:00:00", "2024-06-30T00:00:00"),
        ("29-06-2024 1700-2359", "2024-06-29T17:00:00", "2024-06-29T23:59:00"),
        ("29-06-2024 1700-0000", "2024-06-29T17:00:00", "2024-06-30T00:00:00"),
        ("31-12-2024 2200 - 01-01-2025 0300", "2024-12-31T22:00:00", "2025-01-01T03:00:00"),
        ("30-03-2025 0100-0230", "2025-03-30T01:00:00", "2025-03-30T02:30:00"),
        ("31-12-2099 1700-2400", "2099-12-31T17:00:00", "2100-01-01T00:00:00"),
    ],
)
def test_over_midnight(text: str, opens: str, closes: str) -> None:
    """An hour after midnight, and 24:00, belong to the day after the one that is printed."""
    assert (opens, closes) == ends(only(text))


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("02-06-2025 11:08:44", "2025-06-02T11:08:44"),
        ("Publication date 30-09-2025, 14:40", "2025-09-30T14:40:00"),
        ("13-05-2026 kl. 08:08", "2026-05-13T08:08:00"),
        ("18 okt 2023 12:07", "2023-10-18T12:07:00"),
        ("donderdag 16:30 2-3-2023", "2023-03-02T16:30:00"),
        ("Issues with Guarantee01-04-2026 kl. 14:40", "2026-04-01T14:40:00"),
    ],
)
def test_stamp(text: str, moment: str) -> None:
    """A day and an hour are a stamp, also where a blank was lost before them."""
    stamp = read_stamp(text)

    assert moment == (stamp and stamp.isoformat())


@pytest.mark.parametrize(
    "text", ["", "no day", "02-06-2025", "18:00-20:00 on 02-06-2025", "02-06-2025 11:08 03-06-2025 11:08"]
)
def test_no_stamp(text: str) -> None:
    """What is not one moment is no stamp."""
    assert read_stamp(text) is None


def test_seconds() -> None:
    """Whether a stamp has seconds is known, also if they are zero."""
    assert [True, False] == [only("13-05-2026 08:08:00").seconds, only("13-05-2026 08:08").seconds]


@pytest.mark.parametrize(
    "text",
    [
        "from 25-09-2021 08:00 until (expected end-time) 25-09-2021 10:00",
        "van 25-09-2021 08:00 tot (geschatte eindtijd) 25-09-2021 10:00",
        "25-09-2021 08:00 - 10:00 (expected)",
        "25-09-2021 08:00 until approximately 10:00",
        "fra 25-09-2021 kl. 08:00 til forventet 25-09-2021 kl. 10:00",
        "25-09-2021 08:00 til ca. 10:00",
    ],
)
def test_expected_end(text: str) -> None:
    """An end that the text calls expected or approximate is marked."""
    period = only(text)

    assert ("2021-09-25T08:00:00", "2021-09-25T10:00:00", True) == (*ends(period), period.expected)


def test_other_remark_before_an_end() -> None:
    """A remark in brackets that says nothing of the end is not skipped."""
    periods = read_periods("25-09-2021 08:00 until (not certain) 25-09-2021 10:00")

    assert ["2021-09-25T08:00:00", "2021-09-25T10:00:00"] == [ends(period)[0] for period in periods]


@pytest.mark.parametrize(
    ("text", "code", "advice"),
    [
        ("Saturday Febuary 8, 2025, 1800-2300", "date-unreadable", "perhaps the month is february"),
        ("8 Ferbuary 2025", "date-unreadable", "perhaps the month is february"),
        ("Friday June 7, 2025, 2100", "contradiction", "perhaps 2025-06-06 is meant"),
        ("Monday June 7, 2025", "contradiction", "perhaps 2025-06-09 is meant"),
        ("31 June 2025", "date-unreadable", "Month 6 of 2025 has 30 days"),
        ("29-02-2025 10:00", "date-unreadable", "Month 2 of 2025 has 28 days"),
        ("06-15-2025 10:00", "date-unreadable", "perhaps day 15 of month 6 is meant"),
        ("66-15-2025 10:00", "date-unreadable", "There is no month 15"),
        ("06-06-1825 10:00", "date-unreadable", "The year 1825"),
        ("13-02-0027 20:00 until 14-02-2027 04:30", "date-unreadable", "The year 27"),
        ("13-02-2027 20:00 until 14-02-0027 04:30", "date-unreadable", "The year 27"),
        ("from 6 to 7 June", "date-incomplete", "Day 7 of month 6"),
        ("06-06-20255 10:00", "date-unreadable", "write dd-mm-yyyy"),
        ("submitted on 24-04, then", "date-incomplete", "Day 24 of month 4"),
        ("op 24/04.", "date-incomplete", "Day 24 of month 4"),
        ("AGS (24-04)", "date-incomplete", "Day 24 of month 4"),
        ("Thursday 24-04", "date-incomplete", "Day 24 of month 4"),
        ("Thursday 27 April", "date-incomplete", "Day 27 of month 4"),
        ("April 29, 1800-2130", "date-incomplete", "Day 29 of month 4"),
        ("tomorrow at 10:00", "date-relative", "tomorrow depends on the day of writing"),
        ("gisteren 16.30 uur", "date-relative", "gisteren depends"),
        ("i morgen kl. 17.00", "date-relative", "i morgen depends"),
        ("Saturday 18:00-20:00", "date-relative", "saturday stands without a date"),
        ("Sunday 15 June 2025, midnight", "midnight-ambiguous", "may be the start or the end"),
        ("Monday April 29, 2024, 1800-20150", "date-unreadable", "2010 or 2015 or 2050 or 2150"),
        ("Tuesday March 4, 2025 25:00", "date-unreadable", "25:00 is no hour"),
        ("Tuesday March 4, 2025 1860-1900", "date-unreadable", "1860 is no hour"),
        ("Tuesday March 4, 2025 18:5", "date-unreadable", "18:5 is no hour"),
        ("Tuesday March 4, 2025 18OO-2200", "date-unreadable", "18oo is no hour"),
        ("Tuesday March 4, 2025 1800-2O00x", "date-unreadable", "2o00x is no hour"),
        ("Tuesday March 4, 2025 13 pm", "date-unreadable", "13 pm is no hour"),
        ("29-10-2024 17:00 UTC", "date-unreadable", "UTC is not the local time"),
        ("29-06-2024 17:00 CET", "date-unreadable", "CET is not the time that the clocks show"),
        ("29-12-2024 17:00 CEST", "date-unreadable", "CEST is not the time that the clocks show"),
        ("29-06-2024 2300-2200", "contradiction", "look for a slip"),
        ("29-06-2024 23:00 - 28-06-2024 22:00", "contradiction", "look for a slip"),
        ("between 22:00 and 06:00 on Saturday 7 June 2025", "contradiction", "look for a slip"),
        ("from 6 to 7 June 2025, 2100-0500", "date-unreadable", "Hours of several days"),
    ],
)
def test_doubtful(text: str, code: str, advice: str) -> None:
    """What is mistyped, contradicted or left out is a problem with advice, and the moment is not known."""
    period = read_periods(text)[0]
    problem = period.problems[0]

    assert code == problem.code
    assert advice in problem.message
    assert 0 <= problem.start < problem.stop <= len(text)
    assert None in ends(period)


def test_slip_in_one_end() -> None:
    """The end that can be read is given, beside the problem of the other."""
    assert ("2024-04-29T18:00:00", None) == ends(only("Monday April 29, 2024, 1800-20150"))


@pytest.mark.parametrize(
    "text",
    [
        "Change from TLS 1.2 to TLS 1.3",
        "more than 1000 mails in 2023",
        "IE432 and WO0000001421830",
        "phase 5 of release 1.10.2",
        "version 3.21",
        "https://example.example/2025-06-06?at=21:00",
        "call 088 156 66 55",
        "sent 5 notes 2023",
        "May 2022",
        "24-04 was",
        "at 10:xx",
    ],
)
def test_other_numbers(text: str) -> None:
    """A number that is no day and no hour is left alone."""
    assert () == read_periods(text)


@pytest.mark.parametrize(
    ("text", "opens", "closes"),
    [
        ("Update 03.00: it is over", time(3, 0), None),
        ("1800-2300", time(18, 0), time(23, 0)),
        ("from 12:00 to 14:00", time(12, 0), time(14, 0)),
        ("7.23 - 13.24", time(7, 23), time(13, 24)),
        ("until 22:00", None, time(22, 0)),
        ("kl. 17", time(17, 0), None),
    ],
)
def test_hours_alone(text: str, opens: time | None, closes: time | None) -> None:
    """Hours without a day are known as such, and not placed."""
    period = only(text)
    hours = (period.opens.hour if period.opens else None, period.closes.hour if period.closes else None)

    assert ((opens, closes), (None, None), True) == (hours, ends(period), period.undated)


def test_hours_placed_later() -> None:
    """Hours alone can be placed on a day, and may end on the day after."""
    day = date(2025, 6, 6)

    assert ("2025-06-06T18:00:00", "2025-06-07T02:00:00") == ends(only("1800-0200").on(day))
    assert (None, "2025-06-06T22:00:00") == ends(only("until 22:00").on(day))
    assert (None, None) == ends(Period(start=0, stop=4).on(day))


def test_days_without_hours() -> None:
    """A day without an hour is known as a day; two days may share month and year."""
    period = only("6-7 June 2025")

    assert (None, None) == ends(period)
    assert (date(2025, 6, 6), date(2025, 6, 7)) == (
        period.opens and period.opens.day,
        period.closes and period.closes.day,
    )


def test_two_periods() -> None:
    """The second pair of hours of a day is a period of its own, which has no day."""
    first, second = read_periods("Saturday 7 June 2025 from 08:00 to 10:00 and from 12:00 to 14:00")

    assert ("2025-06-07T08:00:00", "2025-06-07T10:00:00") == ends(first)
    assert second.undated


def test_an_hour_of_something_else() -> None:
    """An hour before a comma and a window belongs to neither of its ends."""
    first, second = read_periods("Done 19:10, Saturday 7 June 2025, 18:00-20:00")

    assert (True, ("2025-06-07T18:00:00", "2025-06-07T20:00:00")) == (first.undated, ends(second))


def test_a_day_of_the_week_as_the_end() -> None:
    """A day of the week after a date is the first one from then on."""
    assert ("2023-03-11T18:00:00", "2023-03-12T05:00:00") == ends(only("Saturday March 11, 2023, 1800 - Sunday 0500"))


def test_seconds_that_are_none() -> None:
    """A single digit after an hour is no second."""
    assert "2027-02-04T10:05:00" == ends(read_periods("04-02-2027 10:05:7")[0])[0]


def test_a_day_without_a_month() -> None:
    """A day that names no month stays as it is in any year."""
    day = Day(start=0, stop=6, weekday=5)

    assert day is day.in_year(2027)
