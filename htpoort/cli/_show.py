"""
Show facts in a terminal, by rich.

Never does: let what a peer wrote be taken for markup or for a terminal's control sequence.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from htpoort.cli._facts import Facts

_PIPE: Final = 240


def _plain(value: object) -> Text:
    """Keep a text out of rich's markup and escape what a terminal would obey."""
    return Text("".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in str(value)))


def as_json(facts: object) -> None:
    """Print facts as one JSON document on standard output."""
    sys.stdout.write(json.dumps(facts, ensure_ascii=False, indent=2) + "\n")


def rows(facts: Facts) -> None:
    """Print facts one a line, and lists of problems below."""
    grid = Table.grid(padding=(0, 2))
    for name, value in facts.items():
        if isinstance(value, list):
            for item in value:  # pyright: ignore[reportUnknownVariableType] - facts hold lists of problems
                grid.add_row(name.removesuffix("s"), _plain(item["message"]))  # pyright: ignore[reportUnknownArgumentType]
        elif value is not None:
            grid.add_row(name, _plain(value))
    Console(soft_wrap=True, highlight=False).print(grid)


def table(title: str, columns: Sequence[str], lines: Iterable[Sequence[object]]) -> None:
    """Print a table; where the terminal is too narrow for it, a block for each line."""
    lines = list(lines)
    shown = Table(title=title, title_justify="left")
    for column in columns:
        shown.add_column(column, overflow="fold")
    for cells in lines:
        shown.add_row(*(_plain(cell) for cell in cells))
    # A pipe has no width, and folds nothing.
    console = Console(highlight=False) if sys.stdout.isatty() else Console(highlight=False, width=_PIPE)
    if shown.__rich_measure__(console, console.options).maximum <= console.width:
        console.print(shown)
        return
    line(f"{title}:")
    for cells in lines:
        rows(dict(zip(columns, cells, strict=True)))
        line("")


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
