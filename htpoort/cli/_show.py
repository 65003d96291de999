"""
Print facts as tables, lines, JSON or CSV. What a peer wrote never controls the terminal.

What draws a table imports rich itself, so that a command that draws none starts sooner.
"""

from __future__ import annotations

import contextlib
import csv
import itertools
import json
import os
import shlex
import sys
from collections import deque
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Final, TextIO, cast, final

from htpoort.cli._facts import Facts

if TYPE_CHECKING:
    from rich.live import Live
    from rich.table import Table

_PIPE: Final = 240
_PAGE: Final = 200  # lines of a table that are laid out together
PROBLEMS: Final = 100  # of one thing
_UTF_8: Final = ("utf-8", "utf8")
_ROWS: Final = 15  # of a table that grows: what fits a terminal of 24 lines
_COLOURS: Final = {
    "answered": "green",
    "released": "green",
    "deferred": "yellow",
    "held": "yellow",
    "failed": "red",
    "refused": "red",
    "unknown": "red",
}
"""The colour of each state in a terminal; the others have none."""


def _text(value: object) -> str:
    """Write a value for a person, with control characters escaped."""
    return printable(("yes" if value else "no") if isinstance(value, bool) else str(value))


def printable(text: str) -> str:
    """Escape control characters."""
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)


def local(at: str | None) -> str:
    """Write a moment, which is ISO 8601, as the clock on the wall shows it, with its time zone."""
    return "" if at is None else f"{datetime.fromisoformat(at).astimezone():%Y-%m-%d %H:%M:%S %Z}"


def quoted(text: str) -> str:
    """Write a text so that a shell takes it as one word."""
    return shlex.quote(text)


def json_text(facts: object, stream: TextIO, *, indent: int | None = None) -> str:
    """Write facts as JSON: as UTF-8, or with JSON's escapes if the stream has another encoding."""
    return json.dumps(facts, ensure_ascii=stream.encoding.lower() not in _UTF_8, indent=indent)


def as_json(facts: object) -> None:
    """Print facts as one JSON document on standard output."""
    sys.stdout.write(json_text(facts, sys.stdout, indent=2) + "\n")
    # The program that started a long-running command waits for this.
    sys.stdout.flush()


def json_array(lines: Iterable[Facts]) -> None:
    """Print facts as one JSON array, one by one; the octets are those of `as_json` with a list."""
    between = "[\n  "
    for facts in lines:
        sys.stdout.write(between + json_text(facts, sys.stdout, indent=2).replace("\n", "\n  "))
        between = ",\n  "
    sys.stdout.write("[]\n" if between.startswith("[") else "\n]\n")
    sys.stdout.flush()


def json_line(facts: Facts, *, at_once: bool = False) -> None:
    """Print facts as one line of JSON; flush it *at_once* if a program waits for it."""
    sys.stdout.write(json_text(facts, sys.stdout) + "\n")
    if at_once:
        sys.stdout.flush()


def _csv_text(value: object) -> str:
    """Write a value for a program, as JSON spells true and false, with control characters escaped."""
    return printable(str(value).lower() if isinstance(value, bool) else str(value))


def csv_lines(columns: Sequence[str], lines: Iterable[Facts]) -> None:
    """Print facts as comma-separated values, one line each (RFC 4180), with control characters escaped."""
    writer = csv.DictWriter(sys.stdout, columns, restval="", lineterminator="\n")
    writer.writeheader()
    for facts in lines:
        writer.writerow({name: "" if value is None else _csv_text(value) for name, value in facts.items()})


def rows(facts: Facts) -> None:
    """Print one fact on each line, in full, and lists of problems below."""
    pairs: list[tuple[str, str]] = []
    for name, value in facts.items():
        if isinstance(value, list):
            problems = cast("list[Facts]", value)
            single = name.removesuffix("s")
            pairs += [(single, printable(str(problem["message"]))) for problem in problems[:PROBLEMS]]
            if len(problems) > PROBLEMS:
                pairs.append((single, f"and {len(problems) - PROBLEMS} more"))
        elif value is not None:
            pairs.append((name, _text(value)))
    width = max((len(name) for name, _ in pairs), default=0)
    coloured = _has_colour()
    for name, text in pairs:
        begin, end = _escapes(text) if coloured and name == "state" else ("", "")
        line(f"{name:<{width}}  {begin}{text}{end}")


def _has_colour() -> bool:
    """Return whether standard output shows colours; NO_COLOR switches them off (https://no-color.org)."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") not in {None, "dumb"}


def _escapes(state: str) -> tuple[str, str]:
    """Give what begins and ends the colour of a state in a terminal."""
    number = {"red": "31", "yellow": "33", "green": "32"}.get(_COLOURS.get(state, ""))
    return ("", "") if number is None else (f"\x1b[{number}m", "\x1b[0m")


def table(
    title: str, columns: Sequence[str], lines: Iterable[Sequence[object]], *, limit: int | None = None, rest: str = ""
) -> None:
    """
    Print a table, page by page, so that a long one needs no more memory than a page.

    Args:
        title: The line above it, which names what is listed in the plural.
        columns: The names of the columns.
        lines: The cells of each line; at most one more is read than is printed.
        limit: Most lines that are printed; by default all.
        rest: A sentence on how to get the others.
    """
    waiting, printed = iter(lines), 0
    while page := list(itertools.islice(waiting, _PAGE if limit is None else min(_PAGE, limit - printed))):
        _page("" if printed else title, columns, page)
        printed += len(page)
    if not printed:
        line(f"No {title[0].lower()}{title[1:]}.")
    if printed == limit and next(waiting, None) is not None:
        line(f"These are the first {limit}, and there are more. {rest}")


def _page(title: str, columns: Sequence[str], lines: Sequence[Sequence[object]]) -> None:
    """Print a page of a table; in a terminal that is too narrow, print a block for each line."""
    from rich.console import Console

    shown = _grid(title, columns, lines)
    # A pipe has no width, so nothing is folded.
    console = Console(highlight=False) if sys.stdout.isatty() else Console(highlight=False, width=_PIPE)
    if shown.__rich_measure__(console, console.options).maximum <= console.width:
        console.print(shown)
        return
    if title:
        line(f"{title}:")
    for cells in lines:
        rows(dict(zip(columns, cells, strict=True)))
        line("")


def _grid(title: str, columns: Iterable[str], lines: Iterable[Sequence[object]]) -> Table:
    """Make a table whose cells have control characters escaped, and in which rich reads no markup."""
    from rich.table import Table
    from rich.text import Text

    grid = Table(title=title or None, title_justify="left")
    names = tuple(columns)
    for column in names:
        grid.add_column(column, overflow="fold")
    for cells in lines:
        texts = ["" if cell is None else _text(cell) for cell in cells]
        styles = [
            _COLOURS.get(text, "") if column == "state" else "" for column, text in zip(names, texts, strict=True)
        ]
        grid.add_row(*(Text(text, style=style) for text, style in zip(texts, styles, strict=True)))
    return grid


@final
class Feed:
    """
    Show rows as they arrive: in a terminal as a growing table, elsewhere as lines.

    Args:
        title: The line above the table.
        columns: The names of the columns, and the width of each in a line.
    """

    def __init__(self, title: str, columns: Mapping[str, int]) -> None:
        self._title = title
        self._columns = columns
        self._rows: deque[Sequence[object]] = deque(maxlen=_ROWS)
        self._live: Live | None = None

    def open(self) -> None:
        """Begin; the table has the terminal until it is closed."""
        if sys.stdout.isatty():
            from rich.console import Console
            from rich.live import Live

            console = Console(highlight=False)
            self._live = Live(self._table(), console=console, auto_refresh=False, vertical_overflow="visible")
            self._live.start(refresh=True)

    def add(self, cells: Sequence[object]) -> None:
        """Show one more row; a table keeps only the newest rows."""
        if self._live is None:
            padded = (
                f"{printable(str(cell)):<{width}}" for cell, width in zip(cells, self._columns.values(), strict=True)
            )
            line("  ".join(padded).rstrip())
            return
        self._rows.append(cells)
        self._live.update(self._table(), refresh=True)

    def close(self) -> None:
        """End; the last table stays on the screen."""
        if self._live is not None:
            self._live.stop()

    def _table(self) -> Table:
        return _grid(self._title, self._columns, self._rows)


@contextlib.contextmanager
def progress(title: str, total: int | None) -> Generator[Callable[[], None]]:
    """
    Show how far a command is while a block runs: a bar on standard error, where that is a terminal.

    Args:
        title: What the command does.
        total: The number of steps; None if it is not known, and steps and time are counted.

    Yields:
        A function to call after each step.
    """
    if not sys.stderr.isatty():
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        ProgressColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns: tuple[ProgressColumn, ...] = (TextColumn("{task.description}"), BarColumn())
    if total is None:
        columns += (TextColumn("{task.completed}"), TimeElapsedColumn())
    else:
        columns += (MofNCompleteColumn(), TimeRemainingColumn())
    # Standard output keeps what is written to it: it may be a file.
    with Progress(
        *columns, console=Console(stderr=True), transient=True, redirect_stdout=False, redirect_stderr=False
    ) as bar:
        task = bar.add_task(title, total=total)
        yield lambda: bar.advance(task)


def line(text: str) -> None:
    """Print one line."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def failed(text: str) -> None:
    """Print what went wrong on standard error."""
    sys.stderr.write(f"{text}\n")


def octets(data: bytes) -> None:
    """Write a message to standard output as it is."""
    sys.stdout.flush()
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()
