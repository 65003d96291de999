"""Read moves from TOML and from CSV: all that are right, and every problem with the others."""

from __future__ import annotations

import functools
import io
from datetime import date
from typing import Final, final

import attrs

from htpoort.core.cutover.moves import Move, unknown_system
from htpoort.core.directory import Directory
from htpoort.core.errors import InputError, Problem
from htpoort.core.text import ascii_lower
from htpoort.core.toml_reader import Document, KeyPath, parse_day, required, show_path

__all__ = ["from_csv", "from_toml"]

_NEEDED: Final = ("party", "system", "since")
_KEYS: Final = (*_NEEDED, "kind", "note")

# The moves that are right, and every problem with the others; the caller adds those of the plan as a whole.
_ReadMoves = tuple[tuple[Move, ...], tuple[Problem, ...]]


@final
@attrs.frozen(kw_only=True)
class _PlanTable:
    """The top of a plan."""

    default: str | None = None
    move: object = None


@final
@attrs.frozen(kw_only=True)
class _MoveTable:
    """One ``[[move]]``; its stand-ins are valid."""

    party: str = required("NL0")
    system: str = required("X")
    since: date = required("0001-01-01")
    kind: str | None = None
    note: str = ""


def from_toml(text: str, directory: Directory) -> tuple[str | None, _ReadMoves]:
    """
    Read a default and moves from TOML.

    Args:
        text: ``default`` and ``[[move]]``.
        directory: The systems.

    Returns:
        The name of the default system, None if it is not given; the moves, and every problem with its path.

    Raises:
        InputError: The text is not TOML.
    """
    document = Document.parse(text)
    table = document.read((), _PlanTable) or _PlanTable()
    default = table.default
    if document.is_refused((), "default"):
        # A stand-in, so that the moves can be checked too.
        default = next((system.name for system in directory), None)
    moves = from_tables(document, ("move",), directory)
    return default, (tuple(moves.values()), document.problems)


def from_tables(document: Document, path: KeyPath, directory: Directory) -> dict[KeyPath, Move]:
    """
    Read the moves of an array of tables.

    Args:
        document: The document with the tables; it keeps every problem with them.
        path: The array.
        directory: The systems.

    Returns:
        The moves that are right, by their paths; the place of each is its path.
    """
    moves: dict[KeyPath, Move] = {}
    for place in document.tables(path):
        table = document.read(place, _MoveTable)
        if table is None:
            continue
        move = document.build(place, functools.partial(Move, **attrs.asdict(table), place=show_path(place)), None)
        if move is not None and not document.is_refused(place[:-1], place[-1]):
            moves[place] = move
        elif not document.is_refused(place, "system") and not _is_known(table.system, directory):
            # A move that is right is checked with the plan.
            document.add_problem((*place, "system"), unknown_system(table.system, directory))
    return moves


def from_csv(text: str, directory: Directory) -> _ReadMoves:
    """
    Read moves from CSV.

    Args:
        text: A line of column names, then a line for each move.
        directory: The systems.

    Returns:
        The moves of the lines that are right, and every problem with the others, with its line.
    """
    problems: list[Problem] = []
    lines = _lines(text, problems)
    if not lines and problems:
        return (), tuple(problems)
    names = [name.lower() for name in lines[0][1]] if lines else []
    first = f"line {lines[0][0]}" if lines else "line 1"
    columns = [
        Problem("csv.column", f"{first}: there is no column {name}; the first line names the columns.")
        for name in _NEEDED
        if name not in names
    ]
    columns += [
        Problem(
            "csv.column", f"{first}: {name!r} is not a column of a move, or appears twice; known: {', '.join(_KEYS)}."
        )
        for index, name in enumerate(names)
        if name not in _KEYS or name in names[:index]
    ]
    problems[:0] = columns
    moves: list[Move] = []
    for line, cells in lines[1:]:
        move, wrong = _read_line(names, cells, f"line {line}", directory)
        problems += [attrs.evolve(problem, message=f"line {line}: {problem.message}") for problem in wrong]
        moves += [] if move is None else [move]
    # If a column is missing or repeated, no line can be trusted.
    return () if columns else tuple(moves), tuple(problems)


def _lines(text: str, problems: list[Problem]) -> list[tuple[int, list[str]]]:
    """Split the text into cells: each line that is not empty, with its number, as far as the text is CSV."""
    import csv  # noqa: PLC0415 - few programs read a plan from CSV

    # Spreadsheets write a byte order mark first, and separate by semicolons where a comma is the decimal sign.
    text = text.removeprefix("\N{ZERO WIDTH NO-BREAK SPACE}")
    # Not str.splitlines, which ends a line at a dozen other characters that a note may hold.
    written = io.StringIO(text, newline="")
    divider = max(",;\t", key=written.readline().count)
    written.seek(0)
    rows = csv.reader(written, delimiter=divider, strict=True)
    lines: list[tuple[int, list[str]]] = []
    try:
        for row in rows:
            if any(map(str.strip, row)):
                # The number of its last line, which only the reader knows, and only now.
                lines.append((rows.line_num, [cell.strip() for cell in row]))  # noqa: PERF401 - keeps what came before
    except csv.Error as error:
        problems.append(Problem("csv.syntax", f"line {rows.line_num}: this is not CSV: {error}."))
    return lines


def _read_line(
    names: list[str], cells: list[str], place: str, directory: Directory
) -> tuple[Move | None, list[Problem]]:
    """Read the move of one line; None with its problems if something is wrong."""
    if len(cells) > len(names):
        # Which cell is one too many is not known, so none of them can be trusted.
        message = f"there are {len(cells)} cells and {len(names)} columns; put a cell with a divider in it in quotes."
        return None, [Problem("csv.cells", message)]
    row = {name: cell for name, cell in zip(names, cells, strict=False) if cell}
    # A column that is missing was reported once, for all lines.
    problems = [Problem("csv.cells", f"{name} is empty.") for name in _NEEDED if name in names and name not in row]
    since = parse_day(row.get("since", ""))
    if since is None and "since" in row:
        message = f"since is {row['since']!r}; give a day such as 2026-12-01 or 01-12-2026."
        problems.append(Problem("csv.cells", message))
    # Stand-ins replace what is missing, so that the rest is checked.
    party, system = row.get("party", "NL0"), row.get("system", "X")
    kind, note = row.get("kind"), row.get("note", "")
    try:
        move = Move(party=party, system=system, since=since or date.min, kind=kind, note=note, place=place)
    except InputError as error:
        problems += error.problems
    else:
        if not problems:
            return move, []
    if "system" in row and not _is_known(row["system"], directory):
        problems.append(unknown_system(row["system"], directory))
    return None, problems


def _is_known(system: str, directory: Directory) -> bool:
    return ascii_lower(system) in {ascii_lower(known.name) for known in directory}
