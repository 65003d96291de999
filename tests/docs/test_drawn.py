"""What is drawn from a table is what the table says."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize("name", ["exchange.svg", "exchange-table.md"])
def test_drawings_are_of_the_table(name: str) -> None:
    """Diagram and table of the life of an exchange are drawn from the code as it is."""
    files = runpy.run_path(str(DOCS / "draw_states.py"))["FILES"]
    ((path, draw),) = ((path, draw) for path, draw in files.items() if path.name == name)

    assert draw() == path.read_text(encoding="utf-8")
