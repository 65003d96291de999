"""
Which declaration system a party uses on which day, while it moves from one to another.

This module never decides where a reply belongs: that is the system that its K was sent to, whatever the plan is
today.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Mapping
from datetime import date, datetime
from typing import final

import attrs

from htpoort.core.cutover.moves import (
    Move,
    day_of,
    kind_key,
    kind_problems,
    unknown_parties,
    unknown_system,
    with_place,
)
from htpoort.core.directory import HTPOORT, DeclarationSystem, Directory
from htpoort.core.errors import InputError, Problem
from htpoort.core.party import PartyId
from htpoort.core.text import ascii_lower

__all__ = ["CutoverPlan"]

_Key = tuple[str, str | None]
_Days = tuple[tuple[int, ...], tuple[DeclarationSystem, ...]]


def _moves(values: Iterable[Move]) -> tuple[Move, ...]:
    return tuple(values)


def _index(plan: CutoverPlan) -> Mapping[_Key, _Days]:
    """Order the moves of each party and kind by day, and report all that contradict each other."""
    problems: list[Problem] = []
    known = {ascii_lower(system.name): system for system in plan.directory}
    if ascii_lower(plan.default) not in known:
        problems.append(unknown_system(plan.default, plan.directory, "default: "))
    by_key: dict[_Key, dict[int, Move]] = {}
    for move in plan.moves:
        if ascii_lower(move.system) not in known:
            problems.append(unknown_system(move.system, plan.directory, with_place(move, f"{move}: ")))
        days = by_key.setdefault((ascii_lower(str(move.party)), kind_key(move.kind)), {})
        other = days.setdefault(move.since.toordinal(), move)
        if other is not move:
            problems.append(_conflict(move, other))
    if problems:
        raise InputError("", tuple(problems))
    return {
        key: (tuple(sorted(days)), tuple(known[ascii_lower(days[day].system)] for day in sorted(days)))
        for key, days in by_key.items()
    }


def _conflict(move: Move, other: Move) -> Problem:
    """Report two moves of one party and kind on one day."""
    if ascii_lower(other.system) == ascii_lower(move.system):
        first = f" (first in {other.place})" if other.place else ""
        return Problem("cutover.twice", with_place(move, f"{move} is written twice{first}; leave one out."))
    message = f"{move}, but by {other.place or 'another move'} it uses {other.system} from that day. Keep one of them."
    return Problem("cutover.contradiction", with_place(move, message))


def _by_party(plan: CutoverPlan) -> Mapping[str, tuple[Move, ...]]:
    by_party: dict[str, list[Move]] = {}
    for move in sorted(plan.moves, key=lambda move: (move.since, move.kind or "")):
        by_party.setdefault(ascii_lower(str(move.party)), []).append(move)
    return {party: tuple(moves) for party, moves in by_party.items()}


@final
@attrs.frozen(kw_only=True)
class CutoverPlan:
    """
    A plan of which system takes the declarations of which party, day by day (*overstap*).

    >>> plan = CutoverPlan(
    ...     moves=[
    ...         Move(party="NL123456789.02.05", system="DMS", since=date(2026, 12, 1))
    ...     ]
    ... )
    >>> plan.system_for("NL123456789.02.05", on=date(2026, 11, 30)).name
    'AGS'
    >>> plan.system_for("NL123456789.02.05", on=date(2026, 12, 1)).name
    'DMS'

    From its day on, a move of one kind of declaration takes precedence over moves of all kinds. A look-up takes the
    same time for one party and for ten thousand.

    Args:
        directory: The systems; the published systems by default.
        default: The name of the system of all other parties, and of each party before its first move.
        moves: The moves, in any order.

    Raises:
        InputError: A system is not in the directory, or two moves of one party and kind are on one day; lists all.

    Source:
        Official page "Hoe bereid ik me voor op DMS?": parties move from AGS to DMS; their sequence number and
        SMTP address stay, mailbox and process ID change. That a party may move kind by kind, or back, is
        not published.
    """

    directory: Directory = HTPOORT
    default: str = "AGS"
    moves: tuple[Move, ...] = attrs.field(default=(), converter=_moves)
    _days: Mapping[_Key, _Days] = attrs.field(
        init=False, eq=False, repr=False, default=attrs.Factory(_index, takes_self=True)
    )
    _parties: Mapping[str, tuple[Move, ...]] = attrs.field(
        init=False, eq=False, repr=False, default=attrs.Factory(_by_party, takes_self=True)
    )

    def system_for(self, party: PartyId | str, *, on: date | datetime, kind: str | None = None) -> DeclarationSystem:
        """
        Look up which system takes a party's declarations on a day.

        Args:
            party: V, in any case.
            on: The day in Europe/Amsterdam, or an aware datetime.
            kind: The kind of declaration, in any case; without it only moves of all kinds count.

        Returns:
            The system.

        Raises:
            InputError: *on* is a naive datetime, or its day is outside the calendar; or no move can have that *kind*.
        """
        day, name = day_of(on).toordinal(), ascii_lower(str(party))
        # Otherwise an extra blank would send a kind that has moved to the system of all other kinds.
        if problems := kind_problems(kind):
            raise InputError("", problems)
        for key in ((name, kind_key(kind)), (name, None)) if kind is not None else ((name, None),):
            days, systems = self._days.get(key, ((), ()))
            index = bisect.bisect_right(days, day)
            if index:
                return systems[index - 1]
        return self.directory.system(self.default)

    def moves_of(self, party: PartyId | str) -> tuple[Move, ...]:
        """
        List a party's moves.

        Args:
            party: V, in any case.

        Returns:
            Its moves, earliest first; empty for a party that stays with the default.
        """
        return self._parties.get(ascii_lower(str(party)), ())

    def kinds_of(self, party: PartyId | str) -> tuple[str | None, ...]:
        """
        List the kinds of declaration that a party's plan distinguishes.

        Args:
            party: V, in any case.

        Returns:
            None, for all kinds without their own move, then each kind with one, in alphabetical order and spelt as in
            its earliest move.
        """
        kinds: dict[str | None, str] = {}
        for move in self.moves_of(party):
            if move.kind is not None:
                kinds.setdefault(kind_key(move.kind), move.kind)
        return (None, *sorted(kinds.values(), key=str.casefold))

    def names_kind(self, kind: str) -> bool:
        """
        Check whether a move of any party is of a kind; a slip in its name would follow the moves of all kinds.

        Args:
            kind: The kind of declaration, in any case.
        """
        return kind_key(kind) in {kind_key(move.kind) for move in self.moves}

    def parties(self) -> tuple[PartyId, ...]:
        """
        List the parties that move.

        Returns:
            Each once, in the order of the moves.
        """
        return tuple({ascii_lower(str(move.party)): move.party for move in self.moves}.values())

    def checked(self, parties: Iterable[PartyId | str]) -> CutoverPlan:
        """
        Check that all parties of the plan are known to a program.

        Args:
            parties: All parties of the program.

        Returns:
            This plan.

        Raises:
            InputError: A party of the plan is not among them; lists every one.
        """
        if problems := unknown_parties(self.moves, parties):
            raise InputError("", problems)
        return self

    @classmethod
    def from_toml(cls, text: str, *, directory: Directory = HTPOORT) -> CutoverPlan:
        """
        Read a plan from TOML: ``default``, and a table ``[[move]]`` for each move.

        >>> plan = CutoverPlan.from_toml('''
        ... [[move]]
        ... party = "NL123456789.02.05"
        ... system = "DMS"
        ... since = 2026-12-01
        ... ''')
        >>> print(*plan.moves)
        NL123456789.02.05 uses DMS from 2026-12-01

        Args:
            text: TOML; keys of a move: party, system, since, kind, note.
            directory: The systems.

        Returns:
            The plan.

        Raises:
            InputError: The text is not TOML, or something in it is invalid; lists every problem with its path.
        """
        # Imported here, because few programs read a plan, and `import htpoort` must not pay for the reader.
        from htpoort.core.cutover import plan_files  # noqa: PLC0415

        default, moves = plan_files.from_toml(text, directory)
        return cls._of(moves, directory, "AGS" if default is None else default)

    @classmethod
    def from_csv(cls, text: str, *, default: str = "AGS", directory: Directory = HTPOORT) -> CutoverPlan:
        r"""
        Read a plan from CSV, as a spreadsheet writes it.

        >>> plan = CutoverPlan.from_csv(
        ...     "party;system;since\nNL123456789.02.05;DMS;01-12-2026\n"
        ... )
        >>> print(*plan.moves)
        NL123456789.02.05 uses DMS from 2026-12-01

        Args:
            text: A first line of names: party, system, since, and optionally kind and note; in any order and case,
                separated by commas, semicolons or tabs. A day is written 2026-12-01, 01-12-2026 or 1-12-2026.
            default: The name of the system of all other parties.
            directory: The systems.

        Returns:
            The plan.

        Raises:
            InputError: Something in it is invalid; lists every problem with its line.
        """
        from htpoort.core.cutover import plan_files  # noqa: PLC0415 - see from_toml

        return cls._of(plan_files.from_csv(text, directory), directory, default)

    @classmethod
    def _of(cls, read: tuple[tuple[Move, ...], tuple[Problem, ...]], directory: Directory, default: str) -> CutoverPlan:
        """Make a plan from what was read; report problems of single moves and of the whole together."""
        moves, problems = read
        try:
            plan = cls(directory=directory, default=default, moves=moves)
        except InputError as error:
            raise InputError("", (*problems, *error.problems)) from None
        if problems:
            raise InputError("", problems)
        return plan
