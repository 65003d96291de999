"""The shape of the package: small enough that a stranger finds the place of a change by its name."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULES = sorted((ROOT / "htpoort").rglob("*.py"))

# Contracts about a foreign library name the one module that may import it; the others have no exception at all.
EXCEPTIONS = {"The core is pure": ["htpoort.core.address -> email_validator"]}


def name_of(module: Path) -> str:
    """Return the path of a module as the tree shows it."""
    return str(module.relative_to(ROOT))


@pytest.fixture
def contracts() -> list[dict[str, object]]:
    """Read the contracts of the imports."""
    table = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts: list[dict[str, object]] = table["tool"]["importlinter"]["contracts"]
    return contracts


def test_modules_are_few() -> None:
    """The package has at most 260 modules."""
    assert len(MODULES) <= 260


def test_modules_are_short() -> None:
    """No module has more than 500 lines."""
    assert [] == [name_of(module) for module in MODULES if len(module.read_text().splitlines()) > 500]


def lines_of(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Count the lines of a function without its docstring."""
    documentation = ast.get_docstring(function, clean=False) or ""
    return (function.end_lineno or 0) - function.lineno + 1 - len(documentation.splitlines())


def test_functions_are_short() -> None:
    """No function has more than 60 lines beside its docstring."""
    long = [
        f"{name_of(module)}: {function.name}"
        for module in MODULES
        for function in ast.walk(ast.parse(module.read_text()))
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef) and lines_of(function) > 60
    ]

    assert [] == long


def test_floors_are_few(contracts: list[dict[str, object]]) -> None:
    """Imports run downwards over at most six floors, and every room stands on one of them."""
    (house,) = (one for one in contracts if one.get("containers") == ["htpoort"])
    floors = house["layers"]
    assert isinstance(floors, list)
    rooms = {room.strip() for floor in floors for room in re.split(r"[|:]", floor)}
    present = {
        path.stem for path in (ROOT / "htpoort").iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()
    }

    assert len(floors) <= 6
    assert present - {"__init__"} == rooms


def test_no_import_is_excused(contracts: list[dict[str, object]]) -> None:
    """No contract about the package's own rooms has an exception."""
    excused = {str(one["name"]): one["ignore_imports"] for one in contracts if one.get("ignore_imports")}

    assert EXCEPTIONS == excused
