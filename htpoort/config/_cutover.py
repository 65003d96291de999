"""
Read ``[cutover]``: who moves from one declaration system to another, and when.

Never does: decide what a move means; `htpoort.cutover` does.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Final

import attrs

from htpoort.config import _lines, _systems
from htpoort.config._document import Document
from htpoort.config._secrets import Sources
from htpoort.config._tables import CutoverTable, MoveTable, structured
from htpoort.config.values import CutoverConfig
from htpoort.cutover import CutoverPlan, Move, reading
from htpoort.cutover.moves import strangers
from htpoort.directory import DeclarationSystem, Directory
from htpoort.errors import InputError
from htpoort.party import PartyId

_PATH: Final = ("cutover",)
_MODES: Final = ("live", "shadow")
_MOST_DAYS: Final = 36_525
"""A hundred years: so far back every calendar goes."""


def cutover(sources: Sources, directory: Directory, parties: Iterable[PartyId]) -> CutoverConfig | None:
    """Make the plan of ``[cutover]``; None where the file has none, or where it cannot be made."""
    document = sources.document
    if "cutover" not in document.table:
        return None
    table = structured(document, _PATH, document.table["cutover"], CutoverTable)
    if table is None:
        return None
    moves = (*_of_tables(document, table), *_of_file(sources, directory, table))
    default = _systems.named(document, directory, (*_PATH, "default"), table.default)
    leaving = _systems.named(document, directory, (*_PATH, "leaving"), table.leaving)
    shadow = _shadow(document, directory, table)
    quiet_days = _quiet_days(document, table)
    plan = _plan(document, directory, default, moves, parties)
    if plan is None or leaving is None:
        return None
    return CutoverConfig(plan=plan, leaving=directory.system(leaving), quiet_days=quiet_days, shadow=shadow)


def _plan(
    document: Document, directory: Directory, default: str | None, moves: tuple[Move, ...], parties: Iterable[PartyId]
) -> CutoverPlan | None:
    """Make the plan; what is wrong with the whole of it is told beside what is wrong with single moves."""
    problems = strangers(moves, parties)
    # Moves are checked even where the default is no system, which has been told.
    name = next(iter(directory)).name if default is None else default
    try:
        plan = CutoverPlan(directory=directory, default=name, moves=moves)
    except InputError as error:
        plan, problems = None, (*error.problems, *problems)
    for problem in problems:
        code = problem.code
        document.refusal(code, _PATH, problem.message)
    return None if problems or default is None else plan


def _of_tables(document: Document, table: CutoverTable) -> list[Move]:
    found: list[Move] = []
    for number, entry in enumerate(table.move):
        path: _lines.Path = (*_PATH, "move", number)
        read = structured(document, path, entry, MoveTable)
        if read is not None:
            move = document.made(path, functools.partial(_move, read, f"move[{number}]"), None)
            found += [] if move is None else [move]
    return found


def _move(table: MoveTable, place: str) -> Move:
    # Each table has the fields of a move, by their names.
    return Move(**attrs.asdict(table), place=place)


def _of_file(sources: Sources, directory: Directory, table: CutoverTable) -> tuple[Move, ...]:
    """Read the moves of a CSV file that is named."""
    if table.moves is None:
        return ()
    path, file = (*_PATH, "moves"), sources.path(table.moves)
    try:
        # Decoded here, because a file that is opened as text has its line ends changed, in cells too.
        moves, problems = reading.from_csv(file.read_bytes().decode("utf-8-sig"), directory)
    except OSError as error:
        sources.document.refusal("config.file", path, f"{file} cannot be read: {error.strerror}.")
        return ()
    except UnicodeDecodeError:
        sources.document.refusal("config.file", path, f"{file} is not UTF-8; save it as CSV UTF-8.")
        return ()
    except ValueError:
        # A NUL.
        sources.document.refusal("config.file", path, f"{str(file)!r} is no path.")
        return ()
    for problem in problems:
        code = problem.code
        sources.document.refusal(code, path, f"{table.moves}, {problem.message}")
    return tuple(attrs.evolve(move, place=f"{table.moves}, {move.place}") for move in moves)


def _quiet_days(document: Document, table: CutoverTable) -> int:
    if 0 <= table.quiet_days <= _MOST_DAYS:
        return table.quiet_days
    document.refusal("toml.value", (*_PATH, "quiet_days"), f"give days, 0 to {_MOST_DAYS}.")
    # Instead, so that the rest can be checked too.
    return CutoverTable().quiet_days


def _shadow(document: Document, directory: Directory, table: CutoverTable) -> DeclarationSystem | None:
    """Give the system that messages are built for and never sent to; None in live mode."""
    if table.mode not in _MODES:
        document.refusal("toml.value", (*_PATH, "mode"), f"give one of {', '.join(_MODES)}.")
        return None
    if (table.mode == "shadow") != (table.shadow_system is not None):
        message = 'mode = "shadow" and shadow_system = "NAME" are given together.'
        document.refusal("toml.value", (*_PATH, "mode"), message)
        return None
    if table.shadow_system is None:
        return None
    name = _systems.named(document, directory, (*_PATH, "shadow_system"), table.shadow_system)
    return None if name is None else directory.system(name)
