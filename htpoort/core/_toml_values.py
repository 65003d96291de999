"""Read the values of TOML: which type of Python takes which value, and what to write if it does not."""

from __future__ import annotations

import enum
import functools
import re
from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta
from typing import Final, Literal, NewType, final, get_args, get_origin

Delay = NewType("Delay", timedelta)
"""The type of a setting that may be 0, as ``"0s"``. A plain timedelta must be above 0."""


@final
class WrongValue(Exception):  # noqa: N818 - half a sentence on its way to a Problem
    """What to give instead, and the words to choose from; empty if the items of an array were described one by one."""

    def __init__(self, advice: str, code: str = "toml.type", words: tuple[str, ...] = ()) -> None:
        super().__init__(advice, code, words)
        self.advice = advice
        self.code = code
        self.words = words


_UNITS: Final = {"d": "days", "h": "hours", "m": "minutes", "s": "seconds", "ms": "milliseconds"}
# Texts, because few programs read TOML, and `import htpoort` must not pay for compiling them.
# Six digits are 2,700 years: no sum of two moments leaves the calendar.
_DURATION: Final = "".join(rf"(?:(?P<{name}>[0-9]{{1,6}}){unit})?" for unit, name in _UNITS.items())
# A spreadsheet with Dutch short dates writes no leading zeros.
_DUTCH_DAY: Final = r"([0-9]{1,2})-([0-9]{1,2})-([0-9]{4})"
_ISO_DAY: Final = r"([0-9]{4})-([0-9]{2})-([0-9]{2})"


def parse_day(text: str) -> date | None:
    """
    Read a day as a computer or as a Dutch person writes it.

    >>> parse_day("2026-12-01") == parse_day("01-12-2026") == parse_day("1-12-2026")
    True

    Args:
        text: Year, month and day, or day, month and year, in digits with hyphens between.

    Returns:
        The day; None for anything else.
    """
    if match := re.fullmatch(_ISO_DAY, text):
        parts = match.groups()
    elif match := re.fullmatch(_DUTCH_DAY, text):
        parts = match.groups()[::-1]
    else:
        return None
    try:
        return date(*map(int, parts))
    except ValueError:
        return None


def _exactly(kind: type[object], advice: str) -> Callable[[object], object]:
    """Make a reader of one type only: True is not a number, and a number is not a text."""

    def read(value: object) -> object:
        if type(value) is not kind:
            raise WrongValue(advice)
        return value

    return read


def _duration(value: object) -> timedelta | None:
    match = re.fullmatch(_DURATION, value) if isinstance(value, str) else None
    parts = {} if match is None else {name: int(text) for name, text in match.groupdict().items() if text is not None}
    return timedelta(**parts) if parts else None


def _time(value: object) -> timedelta:
    duration = _duration(value)
    if not duration:
        advice = 'give a time above 0 such as "30s", "5m" or "1h30m".'
        raise WrongValue(advice)
    return duration


def _delay(value: object) -> timedelta:
    duration = _duration(value)
    if duration is None:
        advice = 'give a time such as "0s", "30s", "5m" or "1h30m".'
        raise WrongValue(advice)
    return duration


def _day(value: object) -> date:
    day = parse_day(value) if isinstance(value, str) else value
    # A datetime is a date to Python; on which day it falls depends on the zone.
    if not isinstance(day, date) or isinstance(day, datetime):
        advice = "give a day such as 2026-12-01."
        raise WrongValue(advice, "toml.value")
    return day


def _moment(value: object) -> datetime:
    if not isinstance(value, datetime) or value.utcoffset() is None:
        advice = "give a moment with its offset from UTC, such as 2026-11-02T18:00:00+01:00."
        raise WrongValue(advice)
    return value


def _member(value: object, members: Mapping[str, object]) -> object:
    if not isinstance(value, str) or value not in members:
        advice = f"give one of {', '.join(members)}."
        raise WrongValue(advice, "toml.value", tuple(members))
    return members[value]


# What a type reads, and what an array of it is an array of.
_READERS: Final[Mapping[object, tuple[Callable[[object], object], str]]] = {
    str: (_exactly(str, "give a string."), "strings"),
    int: (_exactly(int, "give a whole number."), "whole numbers"),
    bool: (_exactly(bool, "give true or false."), "true or false"),
    timedelta: (_time, 'times such as ["30s", "5m"]'),
    Delay: (_delay, "times"),
    date: (_day, "days"),
    datetime: (_moment, "moments"),
}


def reader_of(kind: object) -> Callable[[object], object]:
    """Find the reader of a type; it raises `WrongValue`."""
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return functools.partial(_member, members={str(member.value): member for member in kind})
    if get_origin(kind) is Literal:
        return functools.partial(_member, members={text: text for text in get_args(kind)})
    return _READERS[kind][0]


def plural_of(kind: object) -> str:
    """Name what an array of a type holds."""
    return _READERS[kind][1]
