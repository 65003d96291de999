"""The file for the type checkers runs, and uses every public name."""

from __future__ import annotations

import ast
import runpy
from pathlib import Path

import htpoort

USAGE = Path(__file__).with_name("type_usage.py")


def test_it_runs() -> None:
    """The well-typed code runs and gives the values that it names."""
    routed = "DMS NL123456789.02.05 22096222734662 {} dms@htpoort.nl"

    assert [
        "dms@htpoort.nl",
        routed.format("not-checked"),
        *[routed.format("matched")] * 3,
        "unknown process",
        "bad-header: There is no empty line after the headers.",
        *("EnvelopeError", "InputError", "UnknownError", "SendError", "LedgerError"),
    ] == runpy.run_path(str(USAGE))["main"]()


def test_it_uses_every_public_name() -> None:
    """A new public name must be used there, as a user would."""
    tree = ast.parse(USAGE.read_text(encoding="utf-8"))
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}

    assert set() == set(htpoort.__all__) - used
