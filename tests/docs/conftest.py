"""Read the pages of the documentation: their tables and their fenced blocks."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import attrs
import pytest

ROOT = Path(__file__).parents[2]

_ROW = re.compile(r"^\|(.*)\|$")
_CODE = re.compile(r"`([^`]+)`")
_FENCE = re.compile(r"^```(\S*)[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@attrs.frozen
class Page:
    """One page of Markdown."""

    path: Path

    @property
    def text(self) -> str:
        return self.path.read_text(encoding="utf-8")

    def section(self, heading: str) -> str:
        """Return the text under a heading, up to the next heading of its level or above."""
        level = heading.split(" ", 1)[0]
        _, _, rest = self.text.partition(f"{heading}\n")
        assert rest, f"{self.path} has no {heading!r}"
        return re.split(rf"^#{{1,{len(level)}}} ", rest, maxsplit=1, flags=re.MULTILINE)[0]

    def rows(self, heading: str = "") -> list[list[str]]:
        """Return the cells of every table row of a section, or of the page, without the header rows."""
        text = self.section(heading) if heading else self.text
        rows = [
            [cell.strip() for cell in re.split(r"(?<!\\)\|", match[1])]
            for line in text.splitlines()
            if (match := _ROW.match(line))
        ]
        rules = {at for at, row in enumerate(rows) if set("".join(row)) == {"-"}}
        return [row for at, row in enumerate(rows) if at not in rules and at + 1 not in rules]

    def blocks(self) -> Iterator[tuple[str, str]]:
        """Return language and content of each fenced block."""
        return ((match[1], match[2]) for match in _FENCE.finditer(self.text))


def codes(cell: str) -> list[str]:
    """Return the text in backticks."""
    return _CODE.findall(cell)


@pytest.fixture
def root() -> Path:
    """Return the folder of the project."""
    return ROOT


@pytest.fixture
def page() -> Callable[[str], Page]:
    """Open a page by its path in the project."""
    return lambda path: Page(ROOT / path)


@pytest.fixture
def pages() -> list[Page]:
    """Return README.md and every page below docs/."""
    return [Page(ROOT / "README.md"), *(Page(path) for path in sorted((ROOT / "docs").rglob("*.md")))]


@pytest.fixture
def in_backticks() -> Callable[[str], list[str]]:
    """Return a function that finds the text in backticks of a cell."""
    return codes
