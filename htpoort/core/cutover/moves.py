"""
One move: a party uses a declaration system from a day on.

This module never asks what day it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date, datetime
from typing import Final, cast, final

import attrs

from htpoort.core.directory import Directory
from htpoort.core.errors import InputError, Problem, UnknownError
from htpoort.core.party import PartyId
from htpoort.core.text import ascii_lower

__all__ = ["Move", "day_of"]

ZONE: Final = "Europe/Amsterdam"
"""The days of Customs count, not those of a server elsewhere."""

_KIND: Final = re.compile(r"[^\s\x00-\x1f\x7f](?:[^\x00-\x1f\x7f]{0,62}[^\s\x00-\x1f\x7f])?")


def day_of(moment: date | datetime) -> date:
    """
    Convert a moment to the day of Customs.

    >>> from datetime import UTC
    >>> day_of(datetime(2026, 11, 30, 23, tzinfo=UTC))
    datetime.date(2026, 12, 1)

    Args:
        moment: An aware datetime; or a date, which is already such a day.

    Returns:
        The day in Europe/Amsterdam. It begins one hour before that day does in UTC, in summer two.

    Raises:
        InputError: *moment* is a naive datetime, or neither a date nor a datetime, or its day is outside the calendar.
    """
    value = cast("object", moment)
    if isinstance(moment, datetime):
        if moment.tzinfo is None:
            raise InputError(
                "", (Problem("cutover.day", f"on is {moment!r}, without a time zone; give an aware datetime."),)
            )
        # Imported here, because it reads the rules of all zones, and a plan that is asked for dates never needs them.
        from zoneinfo import ZoneInfo  # noqa: PLC0415

        try:
            return moment.astimezone(ZoneInfo(ZONE)).date()
        except OverflowError:
            message = f"on is {moment!r}, whose day in {ZONE} is outside the calendar; give another."
            raise InputError("", (Problem("cutover.day", message),)) from None
    if not isinstance(value, date):
        raise InputError("", (Problem("cutover.day", f"on is {value!r}; give a date or an aware datetime."),))
    return moment


def kind_problems(kind: object) -> tuple[Problem, ...]:
    """Find why a value is not a kind of declaration."""
    if kind is None or (isinstance(kind, str) and _KIND.fullmatch(kind)):
        return ()
    message = f"kind is {kind!r}; give 1 to 64 printable characters, no blank at either end, or leave it out."
    return (Problem("cutover.kind", message),)


def kind_key(kind: str | None) -> str | None:
    """Fold the case of a kind, for comparison; it is a label for people, in any language."""
    return None if kind is None else kind.casefold()


def unknown_parties(moves: Iterable[Move], parties: Iterable[PartyId | str]) -> tuple[Problem, ...]:
    """Find the parties that move but are not among the given ones; each is reported once, with its first move."""
    own = {ascii_lower(str(party)) for party in parties}
    first: dict[str, Move] = {}
    for move in moves:
        first.setdefault(ascii_lower(str(move.party)), move)
    advice = "moves, but is not one of the parties; add it there, or leave it out."
    return tuple(
        Problem("cutover.party", with_place(move, f"{move.party} {advice}"))
        for party, move in first.items()
        if party not in own
    )


def unknown_system(system: str, directory: Directory, prefix: str = "") -> Problem:
    """Describe a system that a move or the default names, and that the directory does not have."""
    known = tuple(sorted(known.name for known in directory))
    return Problem("cutover.system", f"{prefix}{UnknownError('system', system, 'the directory', known)}")


def with_place(move: Move, message: str) -> str:
    """Prefix a message with the place where its move was read, if it was."""
    return f"{move.place}: {message}" if move.place else message


def _party(value: PartyId | str) -> PartyId:
    """Read a party ID; an invalid value stays as it is, to be reported together with the rest."""
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
    A party's move: it uses a system from a day on.

    A roll-back is a later move to the old system; the earlier move stays in the plan, as history.

    >>> print(Move(party="NL123456789.02.05", system="DMS", since=date(2026, 12, 1)))
    NL123456789.02.05 uses DMS from 2026-12-01

    Args:
        party: V of its declarations.
        system: The name of the system, in any case.
        since: The first day, in Europe/Amsterdam. The move holds until the day of the next move of this party and kind.
        kind: Only declarations of this kind, a label of your own, in any case; all kinds by default.
        note: One line for people.
        place: Where it was read, such as ``line 4``, for error messages. Not compared.

    Raises:
        InputError: A value is invalid; lists every problem.
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
