"""
Read days in English, Danish and Dutch, and report what is mistyped, contradicted or left out.

A wrong day is worse than none: whatever does not fit has no value and a problem with a suggestion. Places count the
folded text that is given; every function takes time in proportion to it.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Iterable
from datetime import date, timedelta
from typing import Final, final

import attrs

from htpoort.core.errors import Problem

__all__ = ["Day", "Token", "Tokens", "day_at"]

_MONTHS: Final = (
    "january jan januar januari",
    "february feb februar februari",
    "march mar marts maart mrt",
    "april apr",
    "may maj mei",
    "june jun juni",
    "july jul juli",
    "august aug augustus",
    "september sep sept",
    "october oct oktober okt",
    "november nov",
    "december dec",
)
_MONTH: Final = {name: number for number, names in enumerate(_MONTHS, 1) for name in names.split()}
_WEEKDAYS: Final = (
    "monday mandag maandag",
    "tuesday tirsdag dinsdag",
    "wednesday onsdag woensdag",
    "thursday torsdag donderdag",
    "friday fredag vrijdag",
    "saturday lørdag zaterdag",
    "sunday søndag zondag",
)
_WEEKDAY: Final = {name + end: n for n, names in enumerate(_WEEKDAYS) for name in names.split() for end in ("", "en")}
# Shortened names are words of their own as well ("do", "man"), so they count only before the number of a day.
_SHORT_WEEKDAYS: Final = "mon man ma|tue tues tir di|wed ons wo|thu thur thurs tor do|fri fre vr|sat lør za|sun søn zo"
_SHORT_WEEKDAY: Final = {name: n for n, names in enumerate(_SHORT_WEEKDAYS.split("|")) for name in names.split()}
_RELATIVE: Final = frozenset([
    "today",
    "tonight",
    "tomorrow",
    "yesterday",
    "vandaag",
    "vanavond",
    "vanmiddag",
    "vanochtend",
    "vanmorgen",
    "vannacht",
    "morgenochtend",
    "morgenmiddag",
    "gisteren",
    "eergisteren",
    "gisteravond",
    "gistermiddag",
    "overmorgen",
])
_DANISH_RELATIVE: Final = frozenset(["dag", "går", "morgen", "aften", "nat", "eftermiddag", "formiddag"])  # after "i"
_HOUR_WORDS: Final = frozenset(["uur", "u", "h", "hr", "hrs", "hours", "hour"])
_FIRST_YEAR: Final = 2000
_LAST_YEAR: Final = 2099
_CENTURY: Final = 2000
_DIGITS_OF_YEAR: Final = 4  # and of an hour
_LEAST_OF_SLIP: Final = 4  # letters of a name whose slip is recognised; a shorter one is near to any word

_TOKEN = re.compile(
    r"(?P<link>https?://\S++|www\.\S++|[^\s@]++@\S++)"
    # A title that ran into the time after it: `2026` and `13-05-2026`, or a word and `01-04-2026`.
    r"|(?P<year>20[0-9]{2})(?=[0-9]{2}-[0-9]{2}-20[0-9]{2}(?![0-9]))"
    r"|(?P<glued>[^\W\d_]++(?=[0-9]{2}-[0-9]{2}-20[0-9]{2}(?![0-9])))"
    r"|(?P<code>[^\W\d_]++[0-9]\w*+|[0-9]++(?!(?:st|nd|rd|th|am|pm|u|h|hrs?|uur|t[0-9]{2})(?![^\W\d_]))[^\W\d]\w*+)"
    r"|(?P<number>[0-9]++)"
    r"|(?P<word>[^\W\d_]++)"
    r"|(?P<mark>[^\w\s]|_)"
)


@final
@attrs.frozen
class Token:
    """A word, number or mark in a folded text; *kind* is the name of its pattern."""

    kind: str
    text: str
    start: int
    stop: int


_END: Final = Token("end", "", 0, 0)


@final
class Tokens:
    """
    The words, numbers and marks of a folded text.

    Args:
        folded: The text, folded.
    """

    def __init__(self, folded: str) -> None:
        self.folded = folded
        self._all = [Token(_kind(m.lastgroup), m.group(), m.start(), m.end()) for m in _TOKEN.finditer(folded)]

    def __len__(self) -> int:
        return len(self._all)

    def __getitem__(self, index: int) -> Token:
        return self._all[index] if 0 <= index < len(self._all) else _END

    def touch(self, index: int) -> bool:
        """Whether no blank stands between this token and the one after it."""
        return self[index].stop == self[index + 1].start and index + 1 < len(self)

    def quoted(self, start: int, stop: int) -> str:
        """Return the text from one token up to another, that one not included."""
        return self.folded[self[start].start : self[stop - 1].stop]


def _kind(group: str | None) -> str:
    return {"year": "number", "glued": "word"}.get(group or "", group or "")


@final
@attrs.frozen(kw_only=True)
class Day:
    """
    A day as printed.

    Args:
        start: The first character.
        stop: One past the last.
        value: The day; None if it cannot be known.
        month: The month, where day and month are printed.
        number: The number of the day in its month.
        weekday: The day of the week that is printed, Monday is 0.
        problems: Why there is no value.
    """

    start: int
    stop: int
    value: date | None = None
    month: int | None = None
    number: int | None = None
    weekday: int | None = None
    problems: tuple[Problem, ...] = ()

    @property
    def lacks_year(self) -> bool:
        """Whether nothing but the year is left out."""
        return any(problem.code == "date-incomplete" for problem in self.problems)

    def in_year(self, year: int) -> Day:
        """Return this day, of which the year is left out, in the year of the day beside it."""
        if self.month is None or self.number is None:
            return self
        return _day((self.start, self.stop), (year, self.month, self.number), self.weekday)


def _day(place: tuple[int, int], written: tuple[int, int, int], weekday: int | None) -> Day:
    """Check a day that is written as year, month and number."""
    (start, stop), (year, month, number) = place, written
    code, message, value = "date-unreadable", "", None
    if not 1 <= month <= len(_MONTHS):
        message = f"There is no month {month}; write the day before the month, and the year with four digits."
        if 1 <= number <= len(_MONTHS):
            message = f"There is no month {month}; perhaps day {month} of month {number} is meant."
    elif not _FIRST_YEAR <= year <= _LAST_YEAR:
        message = f"The year {year} is not between {_FIRST_YEAR} and {_LAST_YEAR}; look for a slip."
    elif not (last := calendar.monthrange(year, month)[1]) >= number >= 1:
        message = f"Month {month} of {year} has {last} days, not {number}; look for a slip in the day or the month."
    else:
        value = date(year, month, number)
        if weekday is not None and value.weekday() != weekday:
            code = "contradiction"
            # The nearest day of that name, at most three days away.
            meant = value + timedelta(days=(weekday - value.weekday() + 3) % 7 - 3)
            message = (
                f"{value} is a {calendar.day_name[value.weekday()]}, and the text says {calendar.day_name[weekday]};"
                f" perhaps {meant} is meant."
            )
            value = None
    problems = (Problem(code, message, start, stop),) if message else ()
    return Day(start=start, stop=stop, value=value, month=month, number=number, weekday=weekday, problems=problems)


def _incomplete(start: int, stop: int, month: int, number: int, weekday: int | None) -> Day:
    message = f"Day {number} of month {month} stands without a year; look for the year in the notice that it came from."
    problem = Problem("date-incomplete", message, start, stop)
    return Day(start=start, stop=stop, month=month, number=number, weekday=weekday, problems=(problem,))


def _weekday_at(tokens: Tokens, index: int) -> tuple[int | None, int]:
    """Read the name of a day of the week: which, and the token after it and its comma."""
    text = tokens[index].text
    after = index + 1
    if text in _WEEKDAY:
        weekday = _WEEKDAY[text]
    else:
        followed = tokens[after + (tokens[after].text in {".", ","})]
        if tokens[index].kind != "word" or (followed.kind != "number" and followed.text not in _MONTH):
            return None, index
        near = [text] if text in _SHORT_WEEKDAY else _slip_of(text, _WEEKDAY)
        if not near:
            return None, index
        weekday = (_SHORT_WEEKDAY | _WEEKDAY)[near[0]]
    while tokens[after].text in {",", ".", "den", "d", "the"}:
        after += 1
    return weekday, after


def _is_slip(word: str, name: str) -> bool:
    """Whether one letter too much, too few, wrong or in the place of its neighbour parts a word from a name."""
    if abs(len(word) - len(name)) > 1 or word == name:
        return False
    same = next((n for n, (a, b) in enumerate(zip(word, name, strict=False)) if a != b), min(len(word), len(name)))
    left, right = word[same:], name[same:]
    return left[1:] == right[1:] or left[1:] == right or left == right[1:] or left[:2][::-1] + left[2:] == right


def _slip_of(word: str, names: Iterable[str]) -> list[str]:
    """Return the names that a word is probably a slip of."""
    return [name for name in names if len(name) >= _LEAST_OF_SLIP and _is_slip(word, name)]


def _number(token: Token, most: int) -> int | None:
    """Return a number of one or two digits that is at most *most*."""
    return int(token.text) if token.kind == "number" and len(token.text) <= 2 and int(token.text) <= most else None  # noqa: PLR2004


def _month_at(tokens: Tokens, index: int) -> tuple[int | None, str]:
    """Return the month that a word names, or the names that it may be a slip of."""
    token = tokens[index]
    if token.kind != "word" or token.text in _MONTH:
        return _MONTH.get(token.text), ""
    return None, " or ".join(_slip_of(token.text, _MONTH)[:2])


def _numeric_day(tokens: Tokens, index: int, weekday: int | None, start: int) -> tuple[Day, int] | None:
    """Read `25-09-2021`, `25/9/2021`, `25.09.2021`, `06-05-24`, `2025-06-02`, or `24-04` without a year."""
    mark = tokens[index + 1].text
    if mark not in {"-", "/", "."} or not (tokens.touch(index) and tokens.touch(index + 1)):
        return None
    first, second, third = tokens[index], tokens[index + 2], tokens[index + 4]
    if first.kind != "number" or second.kind != "number" or len(second.text) > 2:  # noqa: PLR2004
        return None
    # `21/6-2023` is Danish.
    same = tokens[index + 3].text == mark or (mark, tokens[index + 3].text) == ("/", "-")
    three = same and tokens.touch(index + 2) and tokens.touch(index + 3)
    if not three or third.kind != "number":
        return _short_day(tokens, index, weekday, start)
    year, number = (first, third) if len(first.text) == _DIGITS_OF_YEAR else (third, first)
    if len(year.text) in {2, _DIGITS_OF_YEAR} and len(number.text) <= 2:  # noqa: PLR2004
        century = _CENTURY if len(year.text) == 2 else 0  # noqa: PLR2004
        written = (int(year.text) + century, int(second.text), int(number.text))
        return _day((start, third.stop), written, weekday), index + 5
    if mark == ".":
        return None  # `1.10.2` is a version
    message = f"{tokens.quoted(index, index + 5)} is no date; write dd-mm-yyyy."
    problem = Problem("date-unreadable", message, start, third.stop)
    return Day(start=start, stop=third.stop, weekday=weekday, problems=(problem,)), index + 5


def _short_day(tokens: Tokens, index: int, weekday: int | None, start: int) -> tuple[Day, int] | None:
    """Read `24-04` where it can be nothing but a day: after a word that dates have, or in brackets."""
    number, month = _number(tokens[index], 31), _number(tokens[index + 2], 12)
    introduced = tokens[index - 1].text in {"on", "op", "den", "d", "per", "since", "sinds", "van", "from", "("}
    if not number or not month or tokens[index + 1].text == "." or not (introduced or weekday is not None):
        return None
    after = tokens[index + 3]
    # `6-7 June 2025` is two days, `7-12 uur` two hours.
    if after.text in {"-", "/", ":"} or after.text in _HOUR_WORDS or after.text in _MONTH:
        return None
    return _incomplete(start, tokens[index + 2].stop, month, number, weekday), index + 3


def _is_year(tokens: Tokens, index: int) -> bool:
    """Whether a number in the place of a year is one, and not an hour: `April 29, 1800-2130`."""
    token = tokens[index]
    if token.kind != "number" or len(token.text) != _DIGITS_OF_YEAR:
        return False
    if not _FIRST_YEAR <= int(token.text) <= _LAST_YEAR and token.text[:2] < "24" and token.text[2:] < "60":
        return False
    hours = tokens[index + 1].text == "-" and tokens.touch(index) and tokens[index + 2].kind == "number"
    following = len(tokens[index + 2].text) == _DIGITS_OF_YEAR and tokens[index + 3].text != "-"
    return not (hours and following) and tokens[index + 1].text != ":"


def _written_day(tokens: Tokens, index: int, weekday: int | None, start: int) -> tuple[Day, int] | None:
    """Read `7. december 2013`, `18 May, 2022`, `June 6, 2025`, `22nd Jan`."""
    month_first = tokens[index].kind == "word"
    place = index
    if month_first:
        place += 1 + (tokens[place + 1].text == ".")
        number = _number(tokens[place], 99)
        month, slip = _month_at(tokens, index) if number is not None else (None, "")
        # `May 2022` has no day, `June 21:00` no number of a day.
        if number is None or (tokens[place + 1].text == ":" and tokens.touch(place)):
            return None
        place = _after_ordinal(tokens, place)
    else:
        number = _number(tokens[place], 99)
        place = _after_ordinal(tokens, place)
        place += tokens[place].text in {",", "of"}
        month, slip = _month_at(tokens, place)
        place += 1
    if number is None or (month is None and not slip):
        return None
    after = place
    while tokens[place].text in {",", "."}:
        place += 1
    year = int(tokens[place].text) if _is_year(tokens, place) else None
    if month is None:
        if year is None or not _FIRST_YEAR <= year <= _LAST_YEAR:
            return None
        message = f"{tokens.quoted(index, place + 1)} is no date; perhaps the month is {slip}."
        problem = Problem("date-unreadable", message, start, tokens[place].stop)
        return Day(start=start, stop=tokens[place].stop, weekday=weekday, problems=(problem,)), place + 1
    if year is None:
        return _incomplete(start, tokens[after - 1].stop, month, number, weekday), after
    return _day((start, tokens[place].stop), (year, month, number), weekday), place + 1


def _after_ordinal(tokens: Tokens, index: int) -> int:
    """Return the token after the number of a day, its full stop or its ending."""
    after = index + 1
    ordinal = tokens[after].text in {"st", "nd", "rd", "th", "."} and tokens.touch(index)
    return after + ordinal


def day_at(tokens: Tokens, index: int) -> tuple[Day, int] | None:
    """
    Read the day that begins at a token.

    Args:
        tokens: The text.
        index: The token.

    Returns:
        The day and the token after it; None if no day begins there.
    """
    start = tokens[index].start
    weekday, place = _weekday_at(tokens, index)
    if tokens[place].kind == "number":
        found = _numeric_day(tokens, place, weekday, start) or _written_day(tokens, place, weekday, start)
        if found is not None:
            return found
    elif tokens[place].kind == "word":
        found = _written_day(tokens, place, weekday, start)
        if found is not None:
            return found
    token = tokens[index]
    stop = token.stop
    relative = token.text in _RELATIVE
    if token.text == "i" and tokens[index + 1].text in _DANISH_RELATIVE:
        relative, stop, place = True, tokens[index + 1].stop, index + 2
    elif relative:
        place = index + 1
    if relative:
        message = f"{tokens.folded[start:stop]} depends on the day of writing; look for that day in the source."
        return Day(start=start, stop=stop, problems=(Problem("date-relative", message, start, stop),)), place
    if weekday is not None and token.text in _WEEKDAY:
        message = f"{token.text} stands without a date; look for the date in the source."
        problem = Problem("date-relative", message, start, stop)
        return Day(start=start, stop=stop, weekday=weekday, problems=(problem,)), index + 1
    return None
