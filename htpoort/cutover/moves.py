"""
Hold one move: a party uses a declaration system from a day on.

Never does: ask what day it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date, datetime
from typing import Final, cast, final

import attrs

from htpoort._words import ascii_lower
from htpoort.errors import InputError, Problem
from htpoort.party import PartyId

__all__ = ["Move", "day_of"]

ZONE: Final = "Europe/Amsterdam"
"""Whose days count: the ones of Customs, not the ones of a server elsewhere."""

_KIND: Final = re.compile(r"[^\s\x00-\x1f\x7f](?:[^\x00-\x1f\x7f]{0,62}[^\s\x00-\x1f\x7f])?")


def day_of(moment: date | datetime) -> date:
    """
    Give the day of Customs on which a moment falls.

    >>> from datetime import UTC
    >>> day_of(datetime(2026, 11, 30, 23, tzinfo=UTC))
    datetime.date(2026, 12, 1)

    Args:
        moment: An aware datetime; or a date, which is such a day itself.

    Returns:
        The day in Europe/Amsterdam. It begins one hour before that day does in UTC, in summer two.

    Raises:
        InputError: It is a naive datetime, or neither, or its day is past the calendar.
    """
    given = cast("object", moment)
    if isinstance(moment, datetime):
        if moment.tzinfo is None:
            raise InputError("", (Problem("cutover.day", f"on is {moment!r}, without a zone; give an aware one."),))
        # Here, because it reads the rules of all zones, and a plan that is asked for days never needs them.
        from zoneinfo import ZoneInfo  # noqa: PLC0415

        try:
            return moment.astimezone(ZoneInfo(ZONE)).date()
        except OverflowError:
            message = f"on is {moment!r}, whose day in {ZONE} is past the calendar; give another."
            raise InputError("", (Problem("cutover.day", message),)) from None
    if not isinstance(given, date):
        raise InputError("", (Problem("cutover.day", f"on is {given!r}; give a date or an aware datetime."),))
    return moment


def kind_problems(kind: object) -> tuple[Problem, ...]:
    """Find what keeps a value from being a kind of declaration."""
    if kind is None or (isinstance(kind, str) and _KIND.fullmatch(kind)):
        return ()
    message = f"kind is {kind!r}; give 1 to 64 printable characters, no blank at either end, or leave it out."
    return (Problem("cutover.kind", message),)


def kind_key(kind: str | None) -> str | None:
    """Give what two spellings of one kind have in common; it is a label of people, in any language."""
    return None if kind is None else kind.casefold()


def strangers(moves: Iterable[Move], parties: Iterable[PartyId | str]) -> tuple[Problem, ...]:
    """Find the parties that move and are none of those that there are; each is told once, with its first move."""
    own = {ascii_lower(str(party)) for party in parties}
    first: dict[str, Move] = {}
    for move in moves:
        first.setdefault(ascii_lower(str(move.party)), move)
    advice = "moves, but is none of the parties; add it there, or leave it out."
    return tuple(
        Problem("cutover.party", placed(move, f"{move.party} {advice}"))
        for party, move in first.items()
        if party not in own
    )


def placed(move: Move, message: str) -> str:
    """Put before a sentence where its move stands, for one that was read."""
    return f"{move.place}: {message}" if move.place else message


def _party(value: PartyId | str) -> PartyId:
    """Read a party ID; what is none stays what it is, to be told together with the rest."""
    try:
        return value if isinstance(value, PartyId) else PartyId.parse(str(value))
    except InputError:
        return cast("PartyId", value)


def _party_problems(value: object) -> tuple[Problem, ...]:
    if isinstance(value, PartyId):
        return ()
    message = f"party is {value!r}; write two letters, digits and groups after dots, as in NL123456789.02.05."
    return (Problem("party.form", message),)


@final
@attrs.frozen(kw_only=True)
class Move:
    """
    Say that a party uses a system from a day on.

    A roll-back is a later move to the old system; the earlier one stays in the plan, as what was so.

    >>> print(Move(party="NL123456789.02.05", system="DMS", since=date(2026, 12, 1)))
    NL123456789.02.05 uses DMS from 2026-12-01

    Args:
        party: V of its declarations.
        system: The name of the system, in any case.
        since: The first day, in Europe/Amsterdam. It holds until the day of the next move of this party and kind.
        kind: Only declarations of this kind, a label of your own, in any case; all kinds where not given.
        note: One line for people.
        place: Where it was read, ``line 4`` for example, to be told with what is wrong; no part of what it says.

    Raises:
        InputError: A value cannot be taken; tells every problem.
    """

    party: PartyId = attrs.field(converter=_party)
    system: str
    since: date
    kind: str | None = None
    note: str = ""
    place: str = attrs.field(default="", eq=False, repr=False)

    def __attrs_post_init__(self) -> None:
        system, since, note = cast("tuple[object, ...]", (self.system, self.since, self.note))
        problems = list(_party_problems(self.party))
        if not isinstance(system, str) or not system:
            problems.append(Problem("cutover.system", f"system is {system!r}; give the name of a system."))
        if not isinstance(since, date) or isinstance(since, datetime):
            problems.append(Problem("cutover.day", f"since is {since!r}; give a day, without a time."))
        problems += kind_problems(self.kind)
        if not isinstance(note, str):
            problems.append(Problem("input.type", f"note is {type(note).__name__}; give a str."))
        if problems:
            raise InputError("", tuple(problems))

    def __str__(self) -> str:
        what = "" if self.kind is None else f" for {self.kind}"
        return f"{self.party} uses {self.system}{what} from {self.since.isoformat()}"
