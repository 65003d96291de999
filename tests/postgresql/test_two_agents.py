"""The proof of many machines, in small: agents that share a ledger are killed, and nothing is lost or sent twice."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="module")
def two_agents() -> ModuleType:
    """Load the proof, which is a script."""
    path = Path(__file__).resolve().parents[2] / "proofs" / "two_agents.py"
    spec = importlib.util.spec_from_file_location("two_agents", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # The script's classes are looked up by the name of their module.
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.long
def test_two_agents_that_are_killed(two_agents: ModuleType, url: str, tmp_path: Path) -> None:
    """Each exchange is accepted once or visible as unknown; each acknowledged reply is stored and delivered."""
    result = two_agents.run(url, tmp_path, exchanges=300, kills=3)

    assert result.holds, result
    assert (300, 3) == (result.answered + result.unknown, result.kills)
    assert result.acknowledged == result.answered
