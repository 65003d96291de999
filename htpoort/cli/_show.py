"""
Show facts in a terminal, by rich.

Never does: let what a peer wrote be taken for markup or for a terminal's control sequence.
"""

from __future__ import annotations

import csv
import itertools
import json
import sys
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, TextIO, cast, final

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from htpoort.cli._facts import Facts

_PIPE: Final = 240
_PAGE: Final = 200  # lines of a table that are laid out together
PROBLEMS: Final = 100  # of one thing
_UTF_8: Final = ("utf-8", "utf8")
_ROWS: Final = 15  # of a table that grows: what fits a terminal of 24 lines


def _plain(value: object) -> Text:
    """Keep a text out of rich's markup and escape what a terminal would obey."""
    return Text("" if value is None else printable(str(value)))


def printable(text: str) -> str:
    """Escape what a terminal would obey."""
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)


def json_text(facts: object, stream: TextIO, *, indent: int | None = None) -> str:
    """Write facts as JSON: as UTF-8, or else with the escapes of JSON, which every encoding of a stream can carry."""
    return json.dumps(facts, ensure_ascii=stream.encoding.lower() not in _UTF_8, indent=indent)


def as_json(facts: object) -> None:
    """Print facts as one JSON document on standard output."""
    sys.stdout.write(json_text(facts, sys.stdout, indent=2) + "\n")
    # Who started a command that runs on waits for it.
    sys.stdout.flush()


def json_array(lines: Iterable[Facts]) -> None:
    """Print facts as one JSON document, an array, as they come; the same octets as `as_json` prints of a list."""
    between = "[\n  "
    for facts in lines:
        sys.stdout.write(between + json_text(facts, sys.stdout, indent=2).replace("\n", "\n  "))
        between = ",\n  "
    sys.stdout.write("[]\n" if between.startswith("[") else "\n]\n")
    sys.stdout.flush()


def json_line(facts: Facts, *, at_once: bool = False) -> None:
    """Print facts as JSON on one line; at once where somebody waits for it."""
    sys.stdout.write(json_text(facts, sys.stdout) + "\n")
    if at_once:
        sys.stdout.flush()


def csv_lines(columns: Sequence[str], lines: Iterable[Facts]) -> None:
    """Print facts as comma-separated values, one line each (RFC 4180); control characters are escaped."""
    writer = csv.DictWriter(sys.stdout, columns, restval="", lineterminator="\n")
    writer.writeheader()
    for facts in lines:
        writer.writerow({name: "" if value is None else printable(str(value)) for name, value in facts.items()})


def rows(facts: Facts) -> None:
    """Print facts one a line, whole however long they are, and lists of problems below."""
    pairs: list[tuple[str, str]] = []
    for name, value in facts.items():
        if isinstance(value, list):
            problems = cast("list[Facts]", value)
            single = name.removesuffix("s")
            pairs += [(single, printable(str(problem["message"]))) for problem in problems[:PROBLEMS]]
            if len(problems) > PROBLEMS:
                pairs.append((single, f"and {len(problems) - PROBLEMS} more"))
        elif value is not None:
            pairs.append((name, printable(str(value))))
    width = max((len(name) for name, _ in pairs), default=0)
    for name, text in pairs:
        line(f"{name:<{width}}  {text}")


def table(
    title: str, columns: Sequence[str], lines: Iterable[Sequence[object]], *, limit: int | None = None, rest: str = ""
) -> None:
    """
    Print a table, page by page, so that a long one takes no more memory than a page.

    Args:
        title: What is above it.
        columns: Their names.
        lines: The cells of each line; no more are read than are printed, and one.
        limit: How many lines are printed at most; all of them where not given.
        rest: Says where the others are found.
    """
    waiting, printed = iter(lines), 0
    while page := list(itertools.islice(waiting, _PAGE if limit is None else min(_PAGE, limit - printed))):
        _page("" if printed else title, columns, page)
        printed += len(page)
    if not printed:
        _page(title, columns, [])
    if printed == limit and next(waiting, None) is not None:
        line(f"These are the first {limit}, and there are more. {rest}")


def _page(title: str, columns: Sequence[str], lines: Sequence[Sequence[object]]) -> None:
    """Print a page of a table; where the terminal is too narrow for it, a block for each line."""
    shown = Table(title=title or None, title_justify="left")
    for column in columns:
        shown.add_column(column, overflow="fold")
    for cells in lines:
        shown.add_row(*(_plain(cell) for cell in cells))
    # A pipe has no width, and folds nothing.
    console = Console(highlight=False) if sys.stdout.isatty() else Console(highlight=False, width=_PIPE)
    if shown.__rich_measure__(console, console.options).maximum <= console.width:
        console.print(shown)
        return
    if title:
        line(f"{title}:")
    for cells in lines:
        rows(dict(zip(columns, cells, strict=True)))
        line("")


@final
class Feed:
    """
    Show rows as they come: in a terminal as a table that grows, elsewhere as lines.

    Args:
        title: Stands above the table.
        columns: Their names, and how many characters a line gives to each.
    """

    def __init__(self, title: str, columns: Mapping[str, int]) -> None:
        self._title = title
        self._columns = columns
        self._rows: deque[Sequence[object]] = deque(maxlen=_ROWS)
        self._live: Live | None = None

    def open(self) -> None:
        """Begin; the terminal is this table's until it is closed."""
        if sys.stdout.isatty():
            console = Console(highlight=False)
            self._live = Live(self._table(), console=console, auto_refresh=False, vertical_overflow="visible")
            self._live.start(refresh=True)

    def add(self, cells: Sequence[object]) -> None:
        """Show one more row; a table keeps the newest ones."""
        if self._live is None:
            padded = (
                f"{printable(str(cell)):<{width}}" for cell, width in zip(cells, self._columns.values(), strict=True)
            )
            line("  ".join(padded).rstrip())
            return
        self._rows.append(cells)
        self._live.update(self._table(), refresh=True)

    def close(self) -> None:
        """End; what is shown stays."""
        if self._live is not None:
            self._live.stop()

    def _table(self) -> Table:
        table = Table(title=self._title, title_justify="left")
        for column in self._columns:
            table.add_column(column, overflow="fold")
        for cells in self._rows:
            table.add_row(*(_plain(cell) for cell in cells))
        return table


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
