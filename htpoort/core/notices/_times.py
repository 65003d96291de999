"""
Read moments and periods in English, Danish and Dutch: `Friday June 6, 2025, 2100 - Saturday June 7, 2025, 2200`.

A wrong moment is worse than none: whatever does not fit has no value and a problem with a suggestion. Times are local
and carry no zone. Places count the text that is given; every function takes time in proportion to it.
"""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from typing import Final, final

import attrs

from htpoort.core.errors import Problem
from htpoort.core.notices._dates import Day, Tokens, day_at
from htpoort.core.notices._hours import Hour, hour_at
from htpoort.core.notices._text import fold

__all__ = ["Period", "Point", "read_periods", "read_stamp"]

_EXPECTED: Final = frozenset([
    "expected",
    "estimated",
    "anticipated",
    "expectedly",
    "geschat",
    "geschatte",
    "verwacht",
    "verwachte",
    "vermoedelijk",
    "vermoedelijke",
    "forventet",
    "forventeligt",
    "forventede",
    "anslået",
])
_FROM: Final = frozenset(["from", "van", "vanaf", "fra", "since", "sinds", "between", "tussen", "mellem", "starting"])
_BETWEEN: Final = frozenset(["between", "tussen", "mellem"])
_UNTIL: Final = frozenset(["until", "till", "til", "tot", "indtil"])
_MOVED: Final = frozenset(["flyttet", "udskudt", "rykket", "verplaatst", "verschoven", "verzet"])  # to a day, not until
_MOVED_FROM: Final = _MOVED | {"moved", "postponed", "rescheduled", "uitgesteld"}
_TO: Final = frozenset(["-", "to", "through", "thru"])
_AND: Final = frozenset(["and", "en", "og"])
_BEFORE_HOUR: Final = frozenset([
    "middag",
    "ochtend",
    "morgen",
    "avond",
    "morning",
    "afternoon",
    "evening",
    ",",
    ":",
    "(",
    "from",
    "van",
    "vanaf",
    "fra",
    "between",
    "tussen",
    "mellem",
    "in",
    "the",
    "period",
    "i",
    "tidsrummet",
])
_BEFORE_DAY: Final = frozenset([",", "on", "op", "den", "of", "("])
_MOST_GLUE: Final = 4
_LONGEST_NIGHT: Final = timedelta(hours=18)
"""A period that is printed with one day and ends at an earlier hour runs over midnight; longer is rather a slip."""


@final
@attrs.frozen(kw_only=True)
class Moment:
    """
    A day, an hour, or both.

    Args:
        start: The first character.
        stop: One past the last.
        day: The day, if one is printed.
        hour: The hour, if one is printed.
    """

    start: int
    stop: int
    day: Day | None = None
    hour: Hour | None = None

    @property
    def local(self) -> datetime | None:
        """The moment; None if the day or the hour is not printed, or cannot be known."""
        return None if self.day is None or self.day.value is None else self.on(self.day.value)

    @property
    def problems(self) -> tuple[Problem, ...]:
        """Why there is no value, apart from what is simply not printed."""
        printed = (*(self.day.problems if self.day else ()), *(self.hour.problems if self.hour else ()))
        if printed or self.day is None or self.hour is None or self.local is not None:
            return printed
        message = f"{self.hour.zone.upper()} is not the time that the clocks show on that day; look for a slip."
        return (Problem("date-unreadable", message, self.start, self.stop),)

    def on(self, day: date) -> datetime | None:
        """Return this hour on a day; None if no hour is printed, or it cannot be known."""
        return None if self.hour is None else self.hour.on(day)


@final
@attrs.frozen(kw_only=True)
class Point:
    """
    An end of a period, as far as it is known.

    Args:
        day: The day.
        hour: The hour, where it stands without a day or its moment is known.
        moment: Both; 24:00 and an hour after midnight belong to the day after the one that is printed.
    """

    day: date | None = None
    hour: time | None = None
    moment: datetime | None = None


@final
@attrs.frozen(kw_only=True)
class Period:
    """
    Two moments, or one that begins or ends something.

    Args:
        start: The first character.
        stop: One past the last.
        opens: The start, if it is printed; a moment alone is one.
        closes: The end, if it is printed.
        expected: Whether the text calls the end expected or approximate.
        seconds: Whether the start is printed with seconds.
        problems: Why a moment is not known, apart from what is simply not printed.
    """

    start: int
    stop: int
    opens: Point | None = None
    closes: Point | None = None
    expected: bool = False
    seconds: bool = False
    problems: tuple[Problem, ...] = ()
    first: Moment | None = attrs.field(default=None, repr=False)
    last: Moment | None = attrs.field(default=None, repr=False)

    @property
    def undated(self) -> bool:
        """Whether hours are printed, and no day."""
        ends = [moment for moment in (self.first, self.last) if moment is not None]
        return any(moment.hour for moment in ends) and not any(moment.day for moment in ends)

    def on(self, day: date) -> Period:
        """Return this period of hours alone on a day; it may end on the day after."""
        place = Day(start=self.start, stop=self.start, value=day)
        first, last = self.first, self.last
        if first is not None:
            first = attrs.evolve(first, day=place)
        elif last is not None:
            last = attrs.evolve(last, day=place)
        return _period(self.start, self.stop, first, last, expected=self.expected)


def _moment_at(
    tokens: Tokens, index: int, *, after_dash: bool = False, dated: bool = False
) -> tuple[Moment, int, bool] | None:
    """Read a day, an hour or both: the moment, the token after it, and whether a word like `between` stood in it."""
    start = tokens[index].start
    day = day_at(tokens, index)
    if day is None:
        hour = hour_at(tokens, index, after_dash=after_dash, dated=dated)
        return None if hour is None else (*_with_day_after(tokens, *hour), False)
    place, between = day[1], False
    while place - day[1] < _MOST_GLUE and (tokens[place].text in _BEFORE_HOUR or _is_dash_before_hour(tokens, place)):
        between = between or tokens[place].text in _BETWEEN
        place += 1
    hour = hour_at(tokens, place, dated=True)
    if hour is None:
        return Moment(start=start, stop=day[0].stop, day=day[0]), day[1], False
    return *_reread(tokens, Moment(start=start, stop=hour[0].stop, day=day[0], hour=hour[0]), hour[1]), between


def _is_dash_before_hour(tokens: Tokens, index: int) -> bool:
    """Whether a dash parts a day from its one hour: `Nov 13, 2025 - 11:17`."""
    hour = hour_at(tokens, index + 1) if tokens[index].text == "-" and not tokens.touch(index) else None
    return hour is not None and tokens[index + 2].text == ":" and tokens[hour[1]].text not in _TO | _UNTIL


def _with_day_after(tokens: Tokens, hour: Hour, index: int) -> tuple[Moment, int]:
    """Read the day that stands after an hour: `16.30 uur op 2 maart 2023`."""
    place = index
    while tokens[place].text in _BEFORE_DAY and place - index < _MOST_GLUE:
        place += 1
    day = day_at(tokens, place)
    if day is None or (tokens[index].text == "," and _starts_period(tokens, day[1])):
        return Moment(start=hour.start, stop=hour.stop, hour=hour), index
    return Moment(start=hour.start, stop=day[0].stop, day=day[0], hour=hour), day[1]


def _reread(tokens: Tokens, moment: Moment, index: int) -> tuple[Moment, int]:
    """Read the day that stands after the hour, where only its name stands before: `donderdag 16:30 2-3-2023`."""
    if moment.day is None or moment.day.weekday is None or moment.day.month is not None:
        return moment, index
    after = day_at(tokens, index)
    if after is None or after[0].value is None or after[0].value.weekday() != moment.day.weekday:
        return moment, index
    return attrs.evolve(moment, stop=after[0].stop, day=after[0]), after[1]


def _starts_period(tokens: Tokens, index: int) -> bool:
    """Whether an hour follows a day, so that the hour before it belongs to something else."""
    return hour_at(tokens, index + (tokens[index].text == ","), dated=True) is not None


def _after_connector(tokens: Tokens, index: int) -> int:
    """Return the token after the word between two moments: `-`, `until`, `tot en met`, `t/m`."""
    if tokens[index].text == "t" and tokens[index + 1].text == "/" and tokens[index + 2].text == "m":
        return index + 3
    if tokens[index].text not in _TO | _UNTIL:
        return index
    pair = (tokens[index + 1].text, tokens[index + 2].text)
    return index + (3 if pair in {("en", "met"), ("og", "med")} else 1)


def _expectation(tokens: Tokens, index: int) -> tuple[bool, int]:
    """Read `(expected end-time)`, `approximately`: whether it is there, and the token after it."""
    place = index + 1 if tokens[index].text == "(" else index
    words: list[str] = []
    while tokens[place].kind == "word" or (words and tokens[place].text in {"-", "."}):
        words.append(tokens[place].text)
        place += 1
        if len(words) > _MOST_GLUE + 2 or (tokens[index].text != "(" and words[-1] in _EXPECTED):
            break
    if tokens[index].text == "(":
        closed = tokens[place].text == ")"
        return (True, place + 1) if closed and _EXPECTED & set(words) else (False, index)
    return (True, place) if words and words[0] in _EXPECTED else (False, index)


def _elided_day(tokens: Tokens, index: int) -> tuple[Moment, int] | None:
    """Read the first of two days that share a month: `6 - 7 June 2025`."""
    token = tokens[index]
    place = index + 1 + (tokens[index + 1].text in {".", "st", "nd", "rd", "th"})
    if token.kind != "number" or len(token.text) > 2 or tokens[place].text not in _TO | _UNTIL | _AND:  # noqa: PLR2004
        return None
    second = day_at(tokens, place + 1)
    if second is None or second[0].month is None or tokens[place + 2].text in {"-", "/", "."} - {"."}:
        return None
    written = second[0]
    day = attrs.evolve(written, start=token.start, stop=token.stop, number=int(token.text), weekday=None)
    if written.value is not None:
        day = day.in_year(written.value.year)
    return Moment(start=token.start, stop=token.stop, day=day), place


def _period_at(tokens: Tokens, index: int) -> tuple[Period, int] | None:
    """Read the period or the moment that begins at a token."""
    begin = tokens[index].start
    if tokens[index].text in _UNTIL:
        if tokens[index - 1].text in _MOVED:
            return None
        expected, place = _expectation(tokens, _after_connector(tokens, index))
        moment = _moment_at(tokens, place)
        if moment is None:
            return None
        return _period(begin, moment[0].stop, None, moment[0], expected=expected), moment[1]
    place = index + (tokens[index].text in _FROM)
    elided = _elided_day(tokens, place)
    first = (*elided, True) if elided else _moment_at(tokens, place)
    if first is None:
        return None
    start, place, between = first
    # `moved from Saturday 20 June to Sunday 21 June`: two days, and no period.
    apart = _is_old(tokens, index) and tokens[place].text != "-"
    connected = place if apart else _after_connector(tokens, place)
    if (between or tokens[index].text in _BETWEEN) and tokens[place].text in _AND:
        connected += 1
    end = _end_at(tokens, place, connected, start) if connected > place else None
    if end is None:
        return _period(begin, start.stop, start, None), place
    return attrs.evolve(end[0], start=begin), end[1]


def _is_old(tokens: Tokens, index: int) -> bool:
    """Whether what begins here is the time from which something was moved."""
    return tokens[index].text in _FROM and tokens[index - 1].text in _MOVED_FROM


def _end_at(tokens: Tokens, dash: int, index: int, first: Moment) -> tuple[Period, int] | None:
    """Read the end of a period whose start was read."""
    expected, place = _expectation(tokens, index)
    found = _moment_at(
        tokens,
        place,
        after_dash=tokens[dash].text == "-" and first.hour is not None,
        dated=first.hour is not None and first.day is not None,
    )
    if found is None:
        return None
    last, place, _ = found
    also, after = _expectation(tokens, place)
    period = _period(first.start, last.stop, first, last, expected=expected or also)
    if first.hour is None and last.hour is not None and tokens[after].text in _TO:
        message = "Hours of several days may count for each day, or from the first to the last; ask the authority."
        problem = Problem("date-unreadable", message, first.start, last.stop)
        period = attrs.evolve(period, opens=Point(), closes=Point(), problems=(*period.problems, problem))
    return period, after


def _with_years(first: Day | None, last: Day | None) -> tuple[Day | None, Day | None]:
    """Give a day without a year that of the other end of its period, if the days are then in order."""
    if first is not None and first.lacks_year and last is not None and last.value is not None:
        filled = first.in_year(last.value.year)
        return (filled, last) if filled.value is not None and filled.value <= last.value else (first, last)
    if last is not None and last.value is None and first is not None and first.value is not None:
        if last.month is None and last.weekday is not None:
            # `Saturday March 11, 2023, 1800 - Sunday 0500`: the first Sunday from then on.
            days = timedelta(days=(last.weekday - first.value.weekday()) % 7)
            return first, attrs.evolve(last, value=first.value + days, problems=())
        if not last.lacks_year:
            return first, last
        filled = last.in_year(first.value.year)
        return (first, filled) if filled.value is not None and filled.value >= first.value else (first, last)
    return first, last


def _period(start: int, stop: int, first: Moment | None, last: Moment | None, *, expected: bool = False) -> Period:
    """Place both ends, and compare them."""
    days = _with_years(first.day if first else None, last.day if last else None)
    first = attrs.evolve(first, day=days[0]) if first else None
    last = attrs.evolve(last, day=days[1]) if last else None
    problems = [*(first.problems if first else ()), *(last.problems if last else ())]
    opens, closes = first.local if first else None, last.local if last else None
    if last is not None and last.hour is not None and last.hour.about:
        expected = True
    if first is not None and last is not None:
        if first.day is None and last.day is not None and last.day.value is not None:
            # `from 08:00 to 10:00 on Saturday 25-09-2021`
            opens = first.on(last.day.value)
        elif last.day is None and first.day is not None and first.day.value is not None:
            closes = last.on(first.day.value)
            if opens is not None and closes is not None and closes <= opens:
                following = closes + timedelta(days=1) if closes.date() < date.max else closes
                closes = following if following - opens <= _LONGEST_NIGHT else closes
    if opens is not None and closes is not None and closes <= opens:
        message = f"The end {closes:%Y-%m-%d %H:%M} is not after the start {opens:%Y-%m-%d %H:%M}; look for a slip."
        problems.append(Problem("contradiction", message, start, stop))
        opens = closes = None
    undated = not (first and first.day) and not (last and last.day)
    return Period(
        start=start,
        stop=stop,
        opens=_point(first, opens, undated=undated),
        closes=_point(last, closes, undated=undated),
        expected=expected,
        seconds=first is not None and first.hour is not None and first.hour.seconds,
        problems=tuple(problems),
        first=first,
        last=last,
    )


def _point(printed: Moment | None, moment: datetime | None, *, undated: bool) -> Point | None:
    """Return what is known of an end; an hour whose day is doubtful is not to be placed on another."""
    if printed is None:
        return None
    day = printed.day.value if printed.day else None
    if moment is not None:
        return Point(day=day, hour=moment.time(), moment=moment)
    hour = printed.hour.value if printed.hour and undated and not printed.hour.next_day else None
    return Point(day=day, hour=hour)


def read_periods(text: str) -> tuple[Period, ...]:
    """
    Find the days, hours and periods of a text.

    Args:
        text: A sentence or a line, with single blanks.

    Returns:
        Each period in the order of the text. A moment alone is a period without an end.
    """
    tokens = Tokens(fold(text))
    found: list[Period] = []
    index = 0
    while index < len(tokens):
        period = _period_at(tokens, index)
        if period is None:
            index += 1
        else:
            found.append(period[0])
            old = _is_old(tokens, index)
            index = max(period[1], index + 1)
            index += old and tokens[index].text in _UNTIL | _TO
    return tuple(found)


def read_stamp(text: str) -> datetime | None:
    """
    Read the one moment of a text, such as `02-06-2025 11:08:44`.

    Args:
        text: What stands behind a label.

    Returns:
        The moment; None if there is none, or more than one.
    """
    found = read_periods(text)
    if len(found) != 1 or found[0].opens is None or found[0].closes is not None:
        return None
    return found[0].opens.moment
