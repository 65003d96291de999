"""
Write the rows of a table of windows as lines: a system, its times, and what happens.

A table is found by its head; where a row does not fit the head, it ends there and its lines stay as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final

import attrs

from htpoort.core.notices._processes import process_names
from htpoort.core.notices._text import Line
from htpoort.core.notices._times import read_periods

__all__ = ["unrolled"]

_COLUMNS: Final = {
    "system": "system systems systeem systemen systemer process processes proces processen service",
    "day": "day dag weekday ugedag",
    "date": "date datum dato",
    "time": "time times tijd tijden tijdstip tid tidspunkt period periode window onderhoudswindow tidsrum tijdvak",
    "start": "start starts begin begins from van vanaf fra starttijd starttid begintijd",
    "end": "end ends einde eind until tot til slut eindtijd sluttid",
    "effect": "effect effects gevolg gevolgen impact consequence konsekvens remark remarks opmerking toelichting",
}
_COLUMN: Final = {word: column for column, words in _COLUMNS.items() for word in words.split()}
_LEAST: Final = 3  # columns of a table of windows
_ORDER: Final = ("system", "day", "date", "start", "time", "end")


def unrolled(lines: Sequence[Line], listed: Callable[[str], tuple[str, ...] | None]) -> tuple[Line, ...]:
    """
    Write the rows of tables as lines.

    Args:
        lines: The lines of a page; each cell is one.
        listed: Reads a list of systems; None for any other text.

    Returns:
        The lines, those of tables replaced.
    """
    written: list[Line] = []
    place = 0
    while place < len(lines):
        head = _head_at(lines, place)
        rows = _rows_below(lines, place + len(head), head, listed) if head else []
        if rows:
            written += [line for row in rows for line in _as_lines(row, head)]
            place += len(head) * (1 + len(rows))
        else:
            written.append(lines[place])
            place += 1
    return tuple(written)


def _head_at(lines: Sequence[Line], place: int) -> tuple[str, ...]:
    """Read the head of a table: its columns, each once, a system and a time among them."""
    columns: list[str] = []
    for line in lines[place : place + len(_COLUMNS)]:
        column = _COLUMN.get(line.folded.strip(" :*"))
        if column is None or column in columns:
            break
        columns.append(column)
    timed = {"time", "start", "date"} & set(columns)
    return tuple(columns) if len(columns) >= _LEAST and "system" in columns and timed else ()


def _rows_below(
    lines: Sequence[Line], place: int, head: Sequence[str], listed: Callable[[str], tuple[str, ...] | None]
) -> list[Sequence[Line]]:
    rows: list[Sequence[Line]] = []
    while place + len(head) <= len(lines):
        row = lines[place : place + len(head)]
        if not all(_fits(cell, column, listed) for cell, column in zip(row, head, strict=True)):
            break
        rows.append(row)
        place += len(head)
    return rows


def _fits(cell: Line, column: str, listed: Callable[[str], tuple[str, ...] | None]) -> bool:
    """Whether a cell can stand in a column."""
    if column == "system":
        return bool(listed(cell.text) or process_names(cell.text))
    if column in {"effect", "day"}:
        return True
    found = read_periods(cell.text)
    return bool(found) and found[0].start == 0


def _as_lines(row: Sequence[Line], head: Sequence[str]) -> Iterable[Line]:
    """Write a row as the line of its system and times, and that of what happens."""
    cells = dict(zip(head, row, strict=True))
    names = [name for name in _ORDER if name in cells]
    text, offsets = cells["system"].text, list(cells["system"].offsets[:-1])
    for number, name in enumerate(names[1:]):
        joint = " - " if name == "end" else ": " if number == 0 else " "
        text += joint + cells[name].text
        offsets += [cells[name].start] * len(joint) + list(cells[name].offsets[:-1])
    yield attrs.evolve(row[0], text=text, offsets=[*offsets, cells[names[-1]].stop], bullet="")
    if "effect" in cells:
        yield cells["effect"]
