"""
Show facts in a terminal, by rich.

Never does: let what a peer wrote be taken for markup or for a terminal's control sequence.
"""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterable, Sequence
from typing import Final, cast

from rich.console import Console
from rich.table import Table
from rich.text import Text

from htpoort.cli._facts import Facts

_PIPE: Final = 240


def _plain(value: object) -> Text:
    """Keep a text out of rich's markup and escape what a terminal would obey."""
    return Text("" if value is None else printable(str(value)))


def printable(text: str) -> str:
    """Escape what a terminal would obey."""
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)


def as_json(facts: object) -> None:
    """Print facts as one JSON document on standard output."""
    sys.stdout.write(json.dumps(facts, ensure_ascii=False, indent=2) + "\n")
    # Who started a command that runs on waits for it.
    sys.stdout.flush()


def json_line(facts: Facts) -> None:
    """Print facts as JSON on one line."""
    sys.stdout.write(json.dumps(facts, ensure_ascii=False) + "\n")


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
            pairs += [(name.removesuffix("s"), printable(str(problem["message"]))) for problem in problems]
        elif value is not None:
            pairs.append((name, printable(str(value))))
    width = max((len(name) for name, _ in pairs), default=0)
    for name, text in pairs:
        line(f"{name:<{width}}  {text}")


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
