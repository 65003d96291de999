"""
Read moves from TOML and from CSV.

Never does: open a file, or stop at the first problem.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime
from functools import partial
from typing import Final, cast

import attrs

from htpoort._words import ascii_lower
from htpoort.cutover.moves import Move
from htpoort.directory import Directory
from htpoort.errors import InputError, Problem

__all__ = ["day", "from_csv", "from_table", "from_toml"]

_NEEDED: Final = ("party", "system", "since")
_KEYS: Final = (*_NEEDED, "kind", "note")
_TOP: Final = ("default", "move")
# A spreadsheet writes no zeros before them where its language has Dutch short dates.
_DUTCH_DAY: Final = re.compile(r"([0-9]{1,2})-([0-9]{1,2})-([0-9]{4})")
_ISO_DAY: Final = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})")


Read = tuple[tuple[Move, ...], tuple[Problem, ...]]
"""The moves that can be made, and every problem of the others; the caller reports them with those of the whole."""


def from_toml(text: str, directory: Directory) -> tuple[str | None, Read]:
    """
    Read a default and moves from TOML.

    Args:
        text: ``default`` and ``[[move]]``.
        directory: The systems.

    Returns:
        The name of the default system, None where it is not given; the moves, and every problem with its path.
    """
    # Here, as in the directory: few programs call this.
    import tomllib  # noqa: PLC0415

    try:
        table = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        # Not every refusal of the parser is its own: a number of 5,000 digits, a thousand nested arrays.
        raise InputError("", (Problem("toml.syntax", f"This is not TOML: {error}."),)) from None
    return from_table(table, directory)


def from_table(table: Mapping[str, object], directory: Directory) -> tuple[str | None, Read]:
    """
    Read a default and moves from a table that is already parsed.

    Args:
        table: The keys ``default`` and ``move``.
        directory: The systems.

    Returns:
        The name of the default system, None where it is not given; the moves, and every problem with its path.
    """
    problems = [_no_setting(key, _TOP) for key in table if key not in _TOP]
    default, entries = table.get("default"), table.get("move", [])
    if not isinstance(default, str | None):
        problems.append(Problem("toml.type", "default: give a string."))
        # Instead, so that the moves can be checked too.
        default = next((system.name for system in directory), None)
    if not isinstance(entries, list):
        problems.append(Problem("toml.type", "move: write [[move]]; there may be several."))
        entries = []
    made = [
        (f"move[{at}]", partial(_of_table, entry, directory)) for at, entry in enumerate(cast("list[object]", entries))
    ]
    moves = _gathered(made, problems)
    return default, (moves, tuple(problems))


def from_csv(text: str, directory: Directory) -> Read:
    """
    Read moves from CSV.

    Args:
        text: A line of names, then a line for each move.
        directory: The systems.

    Returns:
        The moves of the lines that can be taken, and every problem of the others with its line.
    """
    problems: list[Problem] = []
    lines = _lines(text, problems)
    if not lines and problems:
        return (), tuple(problems)
    names = [name.lower() for name in lines[0][1]] if lines else []
    where = f"line {lines[0][0]}" if lines else "line 1"
    columns = [
        Problem("csv.column", f"{where}: there is no column {name}; the first line names the columns.")
        for name in _NEEDED
        if name not in names
    ]
    columns += [
        Problem(
            "csv.column", f"{where}: {name!r} is no column of a move, or is there twice; known: {', '.join(_KEYS)}."
        )
        for at, name in enumerate(names)
        if name not in _KEYS or name in names[:at]
    ]
    problems[:0] = columns
    made = [(f"line {line}", partial(_of_cells, names, cells, directory)) for line, cells in lines[1:]]
    moves = _gathered(made, problems)
    # With a column that is missing or there twice no line says for sure what it means.
    return () if columns else moves, tuple(problems)


def _lines(text: str, problems: list[Problem]) -> list[tuple[int, list[str]]]:
    """Read the lines that are not empty, each with its number, as far as the text is CSV."""
    import csv  # noqa: PLC0415 - as above

    # Spreadsheets put a mark before the text, and divide by semicolons where a comma divides a number.
    text = text.removeprefix("\N{ZERO WIDTH NO-BREAK SPACE}")
    # Not str.splitlines: it ends a line at a dozen more characters, which a note may hold.
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


def _gathered(entries: Iterable[tuple[str, Callable[[], Move]]], problems: list[Problem]) -> tuple[Move, ...]:
    """Make every move that can be made; adds all that is wrong with the others, each with its place."""
    moves: list[Move] = []
    for place, make in entries:
        try:
            moves.append(attrs.evolve(make(), place=place))
        except InputError as error:
            problems += [attrs.evolve(one, message=f"{place}: {one.message}") for one in error.problems]
    return tuple(moves)


def _of_table(entry: object, directory: Directory) -> Move:
    if not isinstance(entry, Mapping):
        raise InputError("", (Problem("toml.type", "give a table."),))
    table = cast("Mapping[str, object]", entry)
    problems = [_no_setting(key, _KEYS) for key in table if key not in _KEYS]
    problems += [Problem("toml.missing", f"{key}: this setting is needed.") for key in _NEEDED if key not in table]
    given = {key: table[key] for key in _KEYS if key in table and key != "since"}
    texts = {key: value for key, value in given.items() if isinstance(value, str)}
    problems += [Problem("toml.type", f"{key}: give a string.") for key in given if key not in texts]
    since = table.get("since")
    if isinstance(since, str):
        since = day(since)
    if "since" in table and (not isinstance(since, date) or isinstance(since, datetime)):
        problems.append(Problem("toml.value", "since: give a day, as 2026-12-01."))
    return _made(texts, since if isinstance(since, date) else None, problems, directory)


def _of_cells(names: list[str], cells: list[str], directory: Directory) -> Move:
    if len(cells) > len(names):
        message = f"there are {len(cells)} cells and {len(names)} columns; put a cell with a divider in it in quotes."
        # Which cell is one too many is not known, so none of them says for sure what it means.
        raise InputError("", (Problem("csv.cells", message),))
    row = {name: cell for name, cell in zip(names, cells, strict=False) if cell}
    # A column that is missing was reported once, for all lines.
    problems = [Problem("csv.cells", f"{name} is empty.") for name in _NEEDED if name in names and name not in row]
    since = day(row.get("since", ""))
    if since is None and "since" in row:
        problems.append(Problem("csv.cells", "since: give a day, as 2026-12-01 or 01-12-2026."))
    return _made({key: row[key] for key in _KEYS if key in row}, since, problems, directory)


def _made(texts: Mapping[str, str], since: date | None, problems: list[Problem], directory: Directory) -> Move:
    """Make a move; where something is wrong, look for everything else that is."""
    sound = not problems
    try:
        move = Move(
            # What is missing or of a wrong type was reported; something sound stands in for it here.
            party=texts.get("party", _ANY_PARTY),
            system=texts.get("system", _ANY_SYSTEM),
            since=since if sound and since is not None else date.min,
            kind=texts.get("kind"),
            note=texts.get("note", ""),
        )
    except InputError as error:
        problems += error.problems
    else:
        if sound:
            return move
    system = texts.get("system")
    if system and ascii_lower(system) not in {ascii_lower(known.name) for known in directory}:
        names = ", ".join(known.name for known in directory)
        problems.append(Problem("cutover.system", f"{system!r} is no system of the directory; known: {names}."))
    raise InputError("", tuple(problems))


_ANY_PARTY: Final = "NL0"
_ANY_SYSTEM: Final = "X"


def day(text: str) -> date | None:
    """
    Read a day as a computer or as a Dutch person writes it.

    >>> day("2026-12-01") == day("01-12-2026") == day("1-12-2026")
    True

    Args:
        text: Year, month and day, or day, month and year, in digits with hyphens between.

    Returns:
        The day; None for anything else.
    """
    if match := _ISO_DAY.fullmatch(text):
        parts = match.groups()
    elif match := _DUTCH_DAY.fullmatch(text):
        parts = match.groups()[::-1]
    else:
        return None
    try:
        return date(*map(int, parts))
    except ValueError:
        return None


def _no_setting(key: str, known: Iterable[str]) -> Problem:
    return Problem("toml.unknown-key", f"{key}: there is no such setting; known: {', '.join(known)}.")
