"""Each test of an agent gets its own ledger and router."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from agents import PARTY
from databases import new_ledger

from htpoort import Router
from htpoort.ledger import Ledger


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """Open a new ledger."""
    with Ledger.open(new_ledger(tmp_path / "htpoort.db")) as opened:
        yield opened


@pytest.fixture
def router() -> Router:
    """Route for one party; the ledger compares with what was sent."""
    return Router(parties=[PARTY])
