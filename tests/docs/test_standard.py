"""`docs/reference/standard.md`: every clause has a mark, a module and a test, and all of them exist."""

from __future__ import annotations

import ast
import importlib
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from htpoort import HTPOORT, Mark, PartyId, files

HEADINGS = [
    "## The envelope",
    "## Party IDs",
    "## Systems",
    "## Transport",
    "## Bodies",
    "## When something goes wrong",
    "## Files through a gateway",
]


@pytest.fixture
def clauses(page: Callable[[str], Any]) -> list[list[str]]:
    """Return every row of the clause table."""
    return list(itertools.chain.from_iterable(page("docs/reference/standard.md").rows(heading) for heading in HEADINGS))


def names_of(path: Path) -> set[str]:
    """Return the names of the tests in a file as pytest writes them, without parameters."""
    found: set[str] = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            found.add(node.name)
        elif isinstance(node, ast.ClassDef):
            found.update(
                f"{node.name}::{inner.name}"
                for inner in node.body
                if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef)
            )
    return {name for name in found if name.rpartition("::")[2].startswith("test_")}


def test_every_row_is_whole(clauses: list[list[str]]) -> None:
    """Clause, mark, module and test: no cell is missing or empty, and no clause is written twice."""
    assert {4} == {len(row) for row in clauses}
    assert all(cell for row in clauses for cell in row)
    assert len(clauses) == len({row[0] for row in clauses})


def test_every_mark_is_one(clauses: list[list[str]]) -> None:
    """Each mark is one of the four, and each of the four is used."""
    assert {mark.value for mark in Mark} == {row[1] for row in clauses}


def test_every_module_is_there(clauses: list[list[str]], in_backticks: Callable[[str], list[str]]) -> None:
    """Each module can be imported."""
    names = {name for row in clauses for name in in_backticks(row[2])}

    assert all(importlib.import_module(f"htpoort.{name}") for name in names)


def test_every_test_is_there(clauses: list[list[str]], in_backticks: Callable[[str], list[str]], root: Path) -> None:
    """Each row names tests, and each test is in its file."""
    named = [in_backticks(row[3]) for row in clauses]
    missing = [
        name
        for name in itertools.chain.from_iterable(named)
        for file, _, test in [name.partition("::")]
        if test not in names_of(root / "tests" / file)
    ]

    assert all(named)
    assert [] == missing


def test_the_official_party_fails_the_eleven_test() -> None:
    """The number of the official example fails the elfproef (weighted sum modulo eleven), and is accepted."""
    party = PartyId.parse("NL123456789.02.05")
    weighted = sum(
        weight * int(digit) for weight, digit in zip((9, 8, 7, 6, 5, 4, 3, 2, -1), party.number, strict=True)
    )

    assert 0 != weighted % 11


def test_nothing_unpublished_is_built_in() -> None:
    """Only what Customs has published is in the directory: two systems with their source; no service of files."""
    assert [("AGS", Mark.OFFICIAL), ("DMS", Mark.OFFICIAL)] == [(system.name, system.mark) for system in HTPOORT]
    assert all(system.source for system in HTPOORT)
    assert not [name for name in files.__all__ if isinstance(getattr(files, name), files.FileService)]
