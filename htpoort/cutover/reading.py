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

from htpoort.cutover.moves import Move
from htpoort.errors import InputError, Problem

__all__ = ["day", "from_csv", "from_table", "from_toml"]

_NEEDED: Final = ("party", "system", "since")
_KEYS: Final = (*_NEEDED, "kind", "note")
_TOP: Final = ("default", "move")
# A spreadsheet writes no zeros before them where its language has Dutch short dates.
_DUTCH_DAY: Final = re.compile(r"([0-9]{1,2})-([0-9]{1,2})-([0-9]{4})")
_ISO_DAY: Final = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})")


def from_toml(text: str) -> tuple[str | None, tuple[Move, ...]]:
    """
    Read a default and moves from TOML.

    Args:
        text: ``default`` and ``[[move]]``.

    Returns:
        The name of the default system, None where it is not given; the moves.

    Raises:
        InputError: Something in it cannot be taken; tells every problem with its path.
    """
    # Here, as in the directory: few programs call this.
    import tomllib  # noqa: PLC0415

    try:
        table = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        # Not every refusal of the parser is its own: a number of 5,000 digits, a thousand nested arrays.
        raise InputError("", (Problem("toml.syntax", f"This is not TOML: {error}."),)) from None
    return from_table(table)


def from_table(table: Mapping[str, object]) -> tuple[str | None, tuple[Move, ...]]:
    """
    Read a default and moves from a table that is already parsed.

    Args:
        table: The keys ``default`` and ``move``.

    Returns:
        The name of the default system, None where it is not given; the moves.

    Raises:
        InputError: Something in it cannot be taken; tells every problem with its path.
    """
    problems = [_no_setting(key, _TOP) for key in table if key not in _TOP]
    default, entries = table.get("default"), table.get("move", [])
    if not isinstance(default, str | None):
        problems.append(Problem("toml.type", "default: give a string."))
    if not isinstance(entries, list):
        problems.append(Problem("toml.type", "move: write [[move]]; there may be several."))
        entries = []
    moves = _gathered(
        ((f"move[{at}]", partial(_of_table, entry)) for at, entry in enumerate(cast("list[object]", entries))),
        problems,
    )
    if problems:
        raise InputError("", tuple(problems))
    return cast("str | None", default), moves


def from_csv(text: str) -> tuple[tuple[Move, ...], tuple[Problem, ...]]:
    """
    Read moves from CSV.

    Args:
        text: A line of names, then a line for each move.

    Returns:
        The moves of the lines that can be taken, and every problem of the others with its line. The caller
        tells these together with what is wrong with the whole.
    """
    import csv  # noqa: PLC0415 - as above

    # Spreadsheets put a mark before the text, and divide by semicolons where a comma divides a number.
    text = text.removeprefix("\N{ZERO WIDTH NO-BREAK SPACE}")
    # Not str.splitlines: it ends a line at a dozen more characters, which a note may hold.
    written = io.StringIO(text, newline="")
    divider = max(",;\t", key=written.readline().count)
    written.seek(0)
    rows = csv.reader(written, delimiter=divider, strict=True)
    problems: list[Problem] = []
    lines: list[tuple[int, list[str]]] = []
    try:
        # Each with the number of its last line, which only the reader knows, and only now.
        lines += [(rows.line_num, [cell.strip() for cell in row]) for row in rows if any(map(str.strip, row))]
    except csv.Error as error:
        return (), (Problem("csv.syntax", f"line {rows.line_num}: this is not CSV: {error}."),)
    names = [name.lower() for name in lines[0][1]] if lines else []
    where = f"line {lines[0][0]}" if lines else "line 1"
    problems += [
        Problem("csv.column", f"{where}: there is no column {name}; the first line names the columns.")
        for name in _NEEDED
        if name not in names
    ]
    problems += [
        Problem(
            "csv.column", f"{where}: {name!r} is no column of a move, or is there twice; known: {', '.join(_KEYS)}."
        )
        for at, name in enumerate(names)
        if name not in _KEYS or name in names[:at]
    ]
    if problems:
        return (), tuple(problems)
    moves = _gathered(((f"line {line}", partial(_of_cells, names, cells)) for line, cells in lines[1:]), problems)
    return moves, tuple(problems)


def _gathered(entries: Iterable[tuple[str, Callable[[], Move]]], problems: list[Problem]) -> tuple[Move, ...]:
    """Make every move that can be made; adds all that is wrong with the others, each with its place."""
    moves: list[Move] = []
    for place, make in entries:
        try:
            moves.append(attrs.evolve(make(), place=place))
        except InputError as error:
            problems += [attrs.evolve(one, message=f"{place}: {one.message}") for one in error.problems]
    return tuple(moves)


def _of_table(entry: object) -> Move:
    if not isinstance(entry, Mapping):
        raise InputError("", (Problem("toml.type", "give a table."),))
    table = cast("Mapping[str, object]", entry)
    problems = [_no_setting(key, _KEYS) for key in table if key not in _KEYS]
    problems += [Problem("toml.missing", f"{key}: this setting is needed.") for key in _NEEDED if key not in table]
    texts = {key: table[key] for key in _KEYS if key in table and key != "since"}
    problems += [
        Problem("toml.type", f"{key}: give a string.") for key, value in texts.items() if not isinstance(value, str)
    ]
    since = table.get("since")
    if isinstance(since, str):
        since = day(since)
    if "since" in table and (not isinstance(since, date) or isinstance(since, datetime)):
        problems.append(Problem("toml.value", "since: give a day, as 2026-12-01."))
    return _made(cast("dict[str, str]", texts), cast("date", since), problems)


def _of_cells(names: list[str], cells: list[str]) -> Move:
    if len(cells) > len(names):
        message = f"there are {len(cells)} cells and {len(names)} columns; put a cell with a divider in it in quotes."
        raise InputError("", (Problem("csv.cells", message),))
    row = {name: cell for name, cell in zip(names, cells, strict=False) if cell}
    problems = [Problem("csv.cells", f"{name} is empty.") for name in _NEEDED if name not in row]
    since = day(row.pop("since", ""))
    if since is None and not any(problem.message.startswith("since") for problem in problems):
        problems.append(Problem("csv.cells", "since: give a day, as 2026-12-01 or 01-12-2026."))
    return _made(row, cast("date", since), problems)


def _made(texts: dict[str, str], since: date, problems: list[Problem]) -> Move:
    """Make a move, unless something is wrong already."""
    if problems:
        raise InputError("", tuple(problems))
    return Move(
        party=texts["party"],
        system=texts["system"],
        since=since,
        kind=texts.get("kind"),
        note=texts.get("note", ""),
    )


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
