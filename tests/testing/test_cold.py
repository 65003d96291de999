"""The strategies as a user meets them: in a folder where Hypothesis has never worked."""

from __future__ import annotations

import os
import subprocess  # noqa: S404 - a cold start is a process of its own
import sys
from pathlib import Path

import pytest

from htpoort.testing import strategies

NAMES = (
    *("declaration_systems", "party_ids", "references", "reply_messages", "router_setups", "routing_envelopes"),
    "submissions",
)
TEST = """
from hypothesis import given
from htpoort.testing.strategies import {name}

@given({name}())
def test_drawn(value):
    assert value is not None
"""


def test_every_strategy_is_tried() -> None:
    """The list has every public strategy."""
    drawing = {name for name in strategies.__all__ if name.islower()} - {"verdict"}

    assert set(NAMES) == drawing


@pytest.mark.parametrize("name", NAMES)
def test_the_first_run_passes(name: str, tmp_path: Path) -> None:
    """A first run without arguments passes every health check of Hypothesis, and makes no table of characters."""
    (tmp_path / "test_mine.py").write_text(TEST.format(name=name), encoding="utf-8")
    plain = {key: value for key, value in os.environ.items() if not key.startswith(("HYPOTHESIS", "PYTEST", "CI"))}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:randomly", "test_mine.py"],
        cwd=tmp_path,
        env=plain,
        capture_output=True,
        text=True,
        check=False,
    )

    assert 0 == done.returncode, done.stdout
    # Making it takes about as long as a test may take to prepare: that is what a first run failed for.
    assert [] == list(tmp_path.glob(".hypothesis/unicode_data/*/*"))
