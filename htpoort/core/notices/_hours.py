"""
Read hours in English, Danish and Dutch: `2100`, `9.30`, `21:00:44`, `kl. 17`, `18u30`, `7 pm`, `2400`.

An hour that is mistyped or belongs to another zone has no value and a problem.
"""

from __future__ import annotations

import re
from datetime import date, datetime, time, timedelta
from typing import Final, final
from zoneinfo import ZoneInfo

import attrs

from htpoort.core.errors import Problem
from htpoort.core.notices._dates import Tokens

__all__ = ["Hour", "hour_at"]

_MIDNIGHT: Final = frozenset(["midnight", "middernacht", "midnat"])
_HOUR_WORDS: Final = frozenset(["uur", "u", "h", "hr", "hrs", "hours"])
_LEADS: Final = frozenset(["at", "om", "kl", "klokken"])
_UPDATE: Final = frozenset(["update", "updated", "opdatering", "opdateret", "bijgewerkt"])
_UNTIL: Final = frozenset(["until", "till", "til", "indtil", "tot"])
_TO_TIME: Final = _UNTIL | {"to", "is", "er", ":"}
_TIME_WORDS: Final = frozenset([
    "time", "tid", "starttid", "sluttid", "tidspunkt", "tidspunktet", "starttidspunkt", "starttidspunktet",
    "sluttidspunkt", "sluttidspunktet", "tijd", "starttijd", "eindtijd", "done", "extended", "prolonged", "changed",
])  # fmt: skip
_NUMBER_LEADS: Final = frozenset(["kl", "klokken"])  # before an hour without minutes: `kl. 17`
_ABOUT: Final = frozenset([
    "about",
    "around",
    "approximately",
    "approx",
    "circa",
    "cirka",
    "ca",
    "omstreeks",
    "rond",
    "omkring",
    "ongeveer",
])
_ZONES: Final = frozenset(["cet", "cest", "utc", "gmt", "bst", "z"])
_LOCAL: Final = frozenset(["cet", "cest"])
_SLIP = re.compile(r"(?=[oli]*+[0-9])[0-9oli]{4}")  # letters for digits: `18OO`
_CONNECTORS: Final = frozenset(["-", "to", "tot", "til", "until", "and", "en", "og"])
_MOST_LEADS: Final = 4


@final
@attrs.frozen(kw_only=True)
class Hour:
    """
    An hour as printed.

    Args:
        start: The first character.
        stop: One past the last.
        value: The hour; None if it cannot be known.
        next_day: Whether it is 24:00, the first moment of the day after.
        seconds: Whether seconds are printed.
        about: Whether the text calls it approximate.
        zone: The zone that is printed, folded; empty if none is.
        problems: Why there is no value.
    """

    start: int
    stop: int
    value: time | None = None
    next_day: bool = False
    seconds: bool = False
    about: bool = False
    zone: str = ""
    problems: tuple[Problem, ...] = ()

    def on(self, day: date) -> datetime | None:
        """Return this hour on a day; None where it is not known, or is an hour of another zone on that day."""
        if self.value is None or not _is_local(self.zone, day):
            return None
        if self.next_day:
            return datetime.combine(day + timedelta(days=1), time()) if day < date.max else None
        return datetime.combine(day, self.value)


def _is_local(zone: str, day: date) -> bool:
    """Whether the zone that is printed is the local one on that day; both authorities change their clocks together."""
    summer = bool(datetime.combine(day, time(12), ZoneInfo("Europe/Amsterdam")).dst())
    return not zone or summer == (zone == "cest")


def _clock(place: tuple[int, int], digits: str, text: str, *, half: str = "", seconds: int | None = None) -> Hour:
    """Check an hour of three or four digits."""
    start, stop = place
    hour, minute = int(digits[:-2]), int(digits[-2:])
    if half and 1 <= hour <= 12:  # noqa: PLR2004
        hour = hour % 12 + (12 if half == "pm" else 0)
    elif half:
        hour = 99
    if hour < 24 and minute < 60 and (seconds or 0) < 60:  # noqa: PLR2004
        return Hour(start=start, stop=stop, value=time(hour, minute, seconds or 0), seconds=seconds is not None)
    if (hour, minute, seconds or 0) == (24, 0, 0):
        return Hour(start=start, stop=stop, value=time(), next_day=True)
    return _no_hour(start, stop, text)


def _no_hour(start: int, stop: int, text: str) -> Hour:
    """Return an hour that cannot be known, with those that it may be a slip of."""
    digits = re.sub(r"[^0-9]", "", text[:12])
    shorter = {digits[:place] + digits[place + 1 :] for place in range(len(digits))}
    near = sorted(hour for hour in shorter if len(hour) == 4 and hour[:2] < "24" and hour[2:] < "60")  # noqa: PLR2004
    advice = f"perhaps {' or '.join(near)} is meant" if near else "write it as 2100 or 21:00"
    return Hour(
        start=start, stop=stop, problems=(Problem("date-unreadable", f"{text} is no hour; {advice}.", start, stop),)
    )


def _half(tokens: Tokens, index: int) -> tuple[str, int]:
    """Read `am`, `p.m.`: which half of the day, and the token after it."""
    token = tokens[index]
    if token.text in {"am", "pm"}:
        return token.text, index + 1
    if token.text in {"a", "p"} and tokens[index + 1].text == "." and tokens[index + 2].text == "m":
        return token.text + "m", index + 3 + (tokens[index + 3].text == ".")
    return "", index


def _ended(tokens: Tokens, hour: Hour, index: int, *, about: bool) -> tuple[Hour, int]:
    """Read what follows an hour: `uur`, `CET`."""
    while tokens[index].text in _HOUR_WORDS:
        index += 1
    bracket = tokens[index].text == "(" and tokens[index + 2].text == ")"
    zone = tokens[index + bracket].text
    if zone not in _ZONES:
        return attrs.evolve(hour, stop=max(hour.stop, tokens[index - 1].stop), about=about), index
    index += 3 if bracket else 1
    stop = tokens[index - 1].stop
    if zone in _LOCAL:
        # In brackets it is a fixed phrase of the form, printed in summer too.
        return attrs.evolve(hour, stop=stop, about=about, zone="" if bracket else zone), index
    message = f"{zone.upper()} is not the local time of the notice; convert the hour by hand."
    problem = Problem("date-unreadable", message, hour.start, stop)
    return attrs.evolve(hour, stop=stop, value=None, problems=(problem,)), index


def _is_lead(tokens: Tokens, index: int) -> bool:
    """Return whether four digits, or an hour with a full stop, after this word are an hour: `time to 2100`."""
    if tokens[index].text in _TO_TIME:
        return tokens[index].text in _UNTIL or tokens[index - 1].text in _TIME_WORDS
    return tokens[index].text in _UPDATE or tokens[index].text in _TIME_WORDS


def hour_at(tokens: Tokens, index: int, *, dated: bool = False, after_dash: bool = False) -> tuple[Hour, int] | None:
    """
    Read the hour that begins at a token.

    Args:
        tokens: The text.
        index: The token.
        dated: Whether a day stands before it.
        after_dash: Whether an hour and a dash stand before it, so that it can be nothing but an hour.

    Returns:
        The hour and the token after it; None if no hour begins there.
    """
    about = number_lead = False
    lead = _is_lead(tokens, index - 1)
    begin = index
    while ((word := tokens[index].text) in _LEADS or word in _ABOUT) and index - begin < _MOST_LEADS:
        about, lead = about or word in _ABOUT, lead or word in _LEADS
        number_lead = number_lead or word in _NUMBER_LEADS
        index += 1 + (tokens[index + 1].text == ".")
    token, after, touching = tokens[index], tokens[index + 1], tokens.touch(index)
    found: tuple[Hour, int] | None = None
    if token.text in _MIDNIGHT:
        message = f"{token.text} may be the start or the end of a day; look for 00:00 or 24:00 in the source."
        hour = Hour(start=token.start, stop=token.stop)
        found = (
            attrs.evolve(hour, problems=(Problem("midnight-ambiguous", message, token.start, token.stop),)),
            index + 1,
        )
    elif token.kind == "code" and token.text[0] == "t" and touching and after.text == ":" and dated:
        found = _divided(tokens, index, token.text[1:])
    elif token.kind == "code" and (_SLIP.fullmatch(token.text) if not after_dash else token.text[0].isdigit()):
        found = _no_hour(token.start, token.stop, token.text), index + 1
    elif token.kind != "number":
        return None
    elif touching and after.text in {":", "."} and tokens.touch(index + 1) and len(token.text) <= 2:  # noqa: PLR2004
        sure = after.text == ":" or dated or lead or after_dash
        found = _divided(tokens, index, token.text, sure=sure)
    if found is None and token.kind == "number":
        followed = tokens[index + 1].text == "-" and tokens.touch(index) and len(tokens[index + 2].text) == 4  # noqa: PLR2004
        sure = dated or lead or after_dash or (followed and tokens[index + 2].kind == "number")
        found = _undivided(tokens, index, sure=sure, after_dash=after_dash or followed, number_lead=number_lead)
    if found is None:
        return None
    hour, stop = _ended(tokens, found[0], found[1], about=about)
    return attrs.evolve(hour, start=tokens[begin].start), stop


def _divided(tokens: Tokens, index: int, digits: str, *, sure: bool = True) -> tuple[Hour, int] | None:
    """Read `21:00`, `9.30`, `21:00:44`."""
    minutes = tokens[index + 2]
    if minutes.kind != "number" or not digits.isdigit():
        return None
    after = index + 3
    seconds: int | None = None
    if tokens[after].text == ":" == tokens[index + 1].text and tokens.touch(after - 1) and tokens.touch(after):
        third = tokens[after + 1]
        if third.kind == "number" and len(third.text) == 2:  # noqa: PLR2004
            seconds, after = int(third.text), after + 2
    half, after = _half(tokens, after)
    stop = tokens[after - 1].stop
    text = tokens.quoted(index, after)
    sure = sure or bool(half) or tokens[after].text in _HOUR_WORDS or _is_dotted_end(tokens, after)
    # `1.10.2` is a version, and 1.5 half as much again.
    if not sure or (tokens[index + 1].text == "." and tokens[after].text == "." and tokens[after + 1].kind == "number"):
        return None
    if len(minutes.text) != 2:  # noqa: PLR2004
        return (_no_hour(tokens[index].start, stop, text), after) if tokens[index + 1].text == ":" else None
    return _clock((tokens[index].start, stop), digits + minutes.text, text, half=half, seconds=seconds), after


def _is_dotted_end(tokens: Tokens, index: int) -> bool:
    """Whether another hour with a full stop follows: `7.23 - 13.24`."""
    dotted = tokens[index + 2].text == "." and tokens.touch(index + 1) and tokens.touch(index + 2)
    return tokens[index].text in _CONNECTORS and dotted and len(tokens[index + 3].text) == 2  # noqa: PLR2004


def _undivided(
    tokens: Tokens, index: int, *, sure: bool, after_dash: bool, number_lead: bool
) -> tuple[Hour, int] | None:
    """Read `2100`, `7 pm`, `18 uur`, `18u30`, `kl. 17`."""
    token, after = tokens[index], index + 1
    size = len(token.text)
    half, after = _half(tokens, after)
    follower = tokens[after].text
    if size <= 2:  # noqa: PLR2004
        if re.fullmatch(r"[uh][0-9]{2}", follower) and tokens.touch(index):
            return _clock(
                (token.start, tokens[after].stop), token.text + follower[1:], token.text + follower
            ), after + 1
        if half or follower in _HOUR_WORDS or number_lead:
            stop = tokens[after - 1].stop
            return _clock((token.start, stop), token.text + "00", tokens.quoted(index, after), half=half), after
        return None
    if size == 4 and (sure or follower in _HOUR_WORDS):  # noqa: PLR2004
        return _clock((token.start, tokens[after - 1].stop), token.text, token.text, half=half), after
    return (_no_hour(token.start, token.stop, token.text), after) if after_dash else None
