"""
Read and write the page of the matrix, `docs/reference/interoperability.md`.

Never does: run anything.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

PATH: Final = Path(__file__).parents[2] / "docs/reference/interoperability.md"

Key = tuple[str, str, str]
"""Who acts, with which server, over which TLS: "none", "1.2" or "1.3"."""
Rows = dict[Key, tuple[str, ...]]

WRITING: Final = "## Writers and servers"
FETCHING: Final = "## Mailboxes"
_VERSIONS: Final = "## The programs"
_TLS_COLUMN: Final = 2


def place_of(heading: str) -> str:
    """Say what stands in a template where the table of a heading goes."""
    return f"({heading.removeprefix('## ')} go here)\n"


def read(heading: str) -> Rows:
    """Read the rows of a table, one for each version of TLS."""
    _, _, rest = PATH.read_text(encoding="utf-8").partition(f"{heading}\n")
    lines = re.findall(r"^\| (.*) \|$", rest.partition("\n## ")[0], re.MULTILINE)
    found: Rows = {}
    for line in lines[1:]:
        who, server, versions, *cells = line.split(" | ")
        for tls in versions.split(", "):
            found[who, server, tls] = tuple(cells)
    return found


Tables = Mapping[str, tuple[tuple[str, ...], Rows]]


def write(template: str, tables: Tables, versions: Iterable[tuple[str, str]]) -> None:
    """Write the page: the tables by their headings, and the versions of what was run."""
    text = template
    for heading, (head, rows) in tables.items():
        text = text.replace(place_of(heading), table(head, _joined(rows)))
    PATH.write_text(f"{text}{_VERSIONS}\n\n{_SAID}\n{table(('program', 'version'), versions)}", encoding="utf-8")


_SAID: Final = "What was run when this page was written. The comparison leaves this table out.\n"


def table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """Write a table, with its head."""
    top = f"| {' | '.join(head)} |\n|{'---|' * len(head)}\n"
    return top + "".join(f"| {' | '.join(cells)} |\n" for cells in rows)


def _joined(rows: Rows) -> list[tuple[str, ...]]:
    """Say on one line what is the same over several versions of TLS."""
    joined: list[tuple[str, ...]] = []
    for (who, server), group in itertools.groupby(rows.items(), key=lambda row: row[0][:_TLS_COLUMN]):
        cells: dict[tuple[str, ...], list[str]] = {}
        for (_, _, tls), said in group:
            cells.setdefault(said, []).append(tls)
        joined += [(who, server, ", ".join(versions), *said) for said, versions in cells.items()]
    return joined
