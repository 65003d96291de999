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
import re
import shlex
import shutil
import sys
import textwrap
from collections import deque
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Final, TextIO, cast, final

from htpoort.cli._facts import Facts, Instant

if TYPE_CHECKING:
    from rich.live import Live
    from rich.table import Table

_PIPE: Final = 240
_MOST: Final = 14  # places that a word keeps where a table is too wide
_SHORT: Final = 50  # characters of a value that stands in a line with others
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
    """Write a value for a person: a time as the clock on the wall shows it, control characters escaped."""
    if isinstance(value, Instant):
        return local(value)
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
    Print a table, page by page, so that a long one needs no more memory than a page. Times are local.

    Args:
        title: The line above it, which names what is listed in the plural.
        columns: The names of the columns; those that are empty on a page are left out there.
        lines: The cells of each line; at most one more is read than is printed.
        limit: Most lines that are printed; by default all.
        rest: A sentence on how to get the others.
    """
    waiting, printed, zone = iter(lines), 0, ""
    while page := list(itertools.islice(waiting, _PAGE if limit is None else min(_PAGE, limit - printed))):
        before, zone = zone, _zone(page) or zone
        _page("" if printed else title, f"(times in {zone})" if zone != before else "", columns, page)
        printed += len(page)
    if not printed:
        line(f"No {title[0].lower()}{title[1:]}.")
    if printed == limit and next(waiting, None) is not None:
        line(f"These are the first {limit}, and there are more. {rest}")


def _zone(lines: Sequence[Sequence[object]]) -> str:
    """Name the time zones of all times; in the week in which the clock changes there are two."""
    times = (
        datetime.fromisoformat(cell).astimezone() for cells in lines for cell in cells if isinstance(cell, Instant)
    )
    return " and ".join(dict.fromkeys(f"{at:%Z}" for at in times))


def _cell(value: object) -> str:
    """Write a value in a table: a time as the clock on the wall shows it."""
    if isinstance(value, Instant):
        return f"{datetime.fromisoformat(value).astimezone():%Y-%m-%d %H:%M:%S}"
    return "" if value is None else _text(value)


def width() -> int:
    """Return how many characters fit beside each other; a pipe has no width, unless its reader has said what fits."""
    narrow = sys.stdout.isatty() or bool(re.fullmatch(r"[1-9][0-9]{0,4}", os.environ.get("COLUMNS", "")))
    return shutil.get_terminal_size().columns if narrow else _PIPE


def _page(title: str, zone: str, columns: Sequence[str], lines: Sequence[Sequence[object]]) -> None:
    """Print a page of a table; in a terminal that is far too narrow, print a block for each line."""
    from rich.console import Console

    # A pipe has no width, so nothing is folded, unless its reader has said what fits.
    narrow = sys.stdout.isatty() or bool(re.fullmatch(r"[1-9][0-9]{0,4}", os.environ.get("COLUMNS", "")))
    console = Console(highlight=False) if narrow else Console(highlight=False, width=_PIPE)
    page = _Page.of(columns, lines)
    if not (page.fits(console.width) or (narrow and ((page := page.without_same()).fold(console.width)))):
        if title:
            line(f"{title}:")
        for cells in lines:
            rows(dict(zip(columns, cells, strict=True)))
            line("")
        return
    if title or zone:
        line(" ".join(filter(None, (title, zone))))
    if page.same:
        _show_same(page.same, console.width)
    console.print(_grid("", page.columns, page.cells, widths=page.widths, edge=page.widths is None))


def _show_same(same: Mapping[str, str], width: int) -> None:
    """Print what is the same in all lines: short values together, and each sentence by itself."""
    short = {name: text for name, text in same.items() if len(text) <= _SHORT}
    texts = [f"All: {', '.join(f'{name} {text}' for name, text in short.items())}"] if short else []
    texts += [f"All: {name}: {text}" for name, text in same.items() if name not in short]
    for text in texts:
        line(textwrap.fill(text, width, subsequent_indent=" " * 5, break_long_words=False, break_on_hyphens=False))


@final
class _Page:
    """
    The texts of a page, and what is done to make them fit.

    Args:
        columns: The names of the columns.
        cells: The texts of each line.
        same: The columns that have the same text in each line, which are not among the others.
    """

    def __init__(self, columns: Sequence[str], cells: Sequence[Sequence[str]], same: Mapping[str, str]) -> None:
        self.columns = columns
        self.cells = cells
        self.same = same
        self.widths: list[int] | None = None

    @classmethod
    def of(cls, columns: Sequence[str], lines: Iterable[Sequence[object]]) -> _Page:
        """Write the texts; a column that is empty in each line is left out."""
        cells = [[_cell(value) for value in values] for values in lines]
        kept = [number for number in range(len(columns)) if any(texts[number] for texts in cells)]
        return cls([columns[number] for number in kept], [[texts[number] for number in kept] for texts in cells], {})

    def without_same(self) -> _Page:
        """Take out the columns that have the same text in each of several lines; at least one column stays."""
        first, *others = self.cells
        same = {
            name: first[number]
            for number, name in enumerate(self.columns)
            if others and all(texts[number] == first[number] for texts in others)
        }
        kept = [number for number, name in enumerate(self.columns) if name not in same] or [0]
        columns = [self.columns[number] for number in kept]
        cells = [[texts[number] for number in kept] for texts in self.cells]
        return _Page(columns, cells, {name: text for name, text in same.items() if name not in columns})

    def fits(self, room: int) -> bool:
        """Check whether the table fits as it is, with a frame."""
        return sum(self._natural()) + 3 * len(self.columns) + 1 <= room

    def fold(self, room: int) -> bool:
        """Find widths with which the table fits without its frame; return whether there are any."""
        from rich.cells import cell_len

        room -= 3 * (len(self.columns) - 1)
        names = [cell_len(name) for name in self.columns]
        widths = self._natural()
        words = [max(_word(texts[number]) for texts in self.cells) for number in range(len(names))]
        least = [max(pair) for pair in zip(names, words, strict=True)]
        if sum(least) > room:
            # A party ID or a K is folded only where that is not enough.
            widths = list(least)
            least = [max(name, min(_MOST, word)) for name, word in zip(names, words, strict=True)]
        if sum(least) > room:
            return False
        while sum(widths) > room:
            widest = max((width, number) for number, width in enumerate(widths) if width > least[number])[1]
            widths[widest] -= 1
        self.widths = widths
        return True

    def _natural(self) -> list[int]:
        """Measure the columns: an emoji or a Chinese character takes two places of a terminal."""
        from rich.cells import cell_len

        return [
            max(cell_len(text) for text in (name, *(texts[number] for texts in self.cells)))
            for number, name in enumerate(self.columns)
        ]


def _word(text: str) -> int:
    """Measure the longest word of a text, which is where it is folded."""
    from rich.cells import cell_len

    return max(map(cell_len, text.split()), default=0)


def _grid(
    title: str,
    columns: Iterable[str],
    lines: Iterable[Sequence[object]],
    *,
    widths: Sequence[int] | None = None,
    edge: bool = True,
) -> Table:
    """Make a table whose cells have control characters escaped, and in which rich reads no markup."""
    from rich.table import Table
    from rich.text import Text

    grid = Table(title=title or None, title_justify="left", show_edge=edge, pad_edge=edge)
    names = tuple(columns)
    for number, column in enumerate(names):
        grid.add_column(column, overflow="fold", width=None if widths is None else widths[number])
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


def standard_input(option: str) -> bytes | None:
    """Read standard input, and say so where a person types it; None if it was closed when the program started."""
    if cast("TextIO | None", sys.stdin) is None:
        return None
    if sys.stdin.isatty():
        failed(f"htpoort: Reading {option} from standard input; end it with Ctrl-D.")
    return sys.stdin.buffer.read()


def octets(data: bytes) -> None:
    """Write a message to standard output as it is."""
    sys.stdout.flush()
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()
