"""Diagrams and charts agree with the tables and figures that they are drawn from."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


@pytest.mark.parametrize(
    ("script", "name"),
    [("draw_states.py", "exchange.svg"), ("draw_states.py", "exchange-table.md"), ("draw_way.py", "way.svg")],
)
def test_drawings_are_of_the_table(script: str, name: str) -> None:
    """The diagram and the table of states, and the way of a declaration, are up to date with the code."""
    files = runpy.run_path(str(DOCS / script))["FILES"]
    ((path, draw),) = ((path, draw) for path, draw in files.items() if path.name == name)

    assert draw() == path.read_text(encoding="utf-8")


def test_charts_are_of_the_figures_that_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The charts in the documentation are those drawn from the stored figures, with none missing or left over."""
    monkeypatch.setattr(sys, "argv", ["chart.py", "--into", str(tmp_path)])
    runpy.run_path(str(ROOT / "benchmarks" / "chart.py"), run_name="__main__")
    charts = {path.name: path.read_text(encoding="utf-8") for path in (DOCS / "_static").glob("benchmark-*.svg")}

    assert charts == {path.name: path.read_text(encoding="utf-8") for path in tmp_path.iterdir()}


def test_man_pages_are_of_the_commands() -> None:
    """Each command has a man page, whose words are those of its help; no page is left of a command that is gone."""
    new = runpy.run_path(str(DOCS / "man_pages.py"))["files"]()
    kept = {path: words(path.read_text(encoding="utf-8")) for path in (DOCS / "man").iterdir()}

    assert {path: words(text) for path, text in new.items()} == kept


def words(page: str) -> list[str]:
    """Return the lines of a man page without the requests, which each version of docutils writes in its own way."""
    return [line for line in page.splitlines() if not line.startswith((".", "\\"))]
