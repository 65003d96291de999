"""Read and write the page of the matrix, `docs/reference/interoperability.md`."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

PATH: Final = Path(__file__).parents[2] / "docs/reference/interoperability.md"

Key = tuple[str, str, str]
"""The client, the server, and the version of TLS: "none", "1.2" or "1.3"."""
Rows = dict[Key, tuple[str, ...]]

WRITING: Final = "## Writers and servers"
FETCHING: Final = "## Mailboxes"
EXCHANGING: Final = "## File gateways"
_VERSIONS: Final = "## The programs"
_TLS_COLUMN: Final = 2


def place_of(heading: str) -> str:
    """Return the placeholder for the table of a heading."""
    return f"({heading.removeprefix('## ')} go here)\n"


def read(heading: str) -> Rows:
    """Read the rows of a table, one for each version of TLS."""
    _, _, rest = PATH.read_text(encoding="utf-8").partition(f"{heading}\n")
    lines = re.findall(r"^\| (.*) \|$", rest.partition("\n## ")[0], re.MULTILINE)
    rows: Rows = {}
    for line in lines[1:]:
        client, server, versions, *cells = line.split(" | ")
        for tls in versions.split(", "):
            rows[client, server, tls] = tuple(cells)
    return rows


Tables = Mapping[str, tuple[tuple[str, ...], Rows]]


def write(template: str, tables: Tables, versions: Iterable[tuple[str, str]]) -> None:
    """Write the page: the tables by their headings, and the versions of the programs."""
    text = template
    for heading, (head, rows) in tables.items():
        text = text.replace(place_of(heading), table(head, _joined(rows)))
    PATH.write_text(f"{text}{_VERSIONS}\n\n{_NOTE}\n{table(('program', 'version'), versions)}", encoding="utf-8")


_NOTE: Final = "The programs of the run that wrote this page. The comparison ignores this table.\n"


def table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """Write a table, with its head."""
    top = f"| {' | '.join(head)} |\n|{'---|' * len(head)}\n"
    return top + "".join(f"| {' | '.join(cells)} |\n" for cells in rows)


def _joined(rows: Rows) -> list[tuple[str, ...]]:
    """Join rows that are the same for several versions of TLS."""
    joined: list[tuple[str, ...]] = []
    for (client, server), group in itertools.groupby(rows.items(), key=lambda row: row[0][:_TLS_COLUMN]):
        cells: dict[tuple[str, ...], list[str]] = {}
        for (_, _, tls), row in group:
            cells.setdefault(row, []).append(tls)
        joined += [(client, server, ", ".join(versions), *row) for row, versions in cells.items()]
    return joined
