"""Rules 5 to 7 under SIGKILL and power cuts; the whole proof has a thousand points and a session of its own."""

from __future__ import annotations

import json
import os
import subprocess  # noqa: S404 - the proof needs a process without threads
import sys
from pathlib import Path
from typing import Any

import pytest

PROOFS = Path(__file__).parents[2] / "proofs"


def shown(folder: Path, *options: str) -> dict[str, Any]:
    """Run the proof in a process of its own, where nothing has threads yet, and give its figures."""
    told = folder / "figures.json"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    command = [sys.executable, str(PROOFS / "crash.py"), "--json", str(told), *options]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)  # noqa: S603 - our own script
    assert told.exists(), done.stderr
    figures: dict[str, Any] = json.loads(told.read_text())
    return figures


@pytest.mark.parametrize("by", ["syscalls", "lines"])
def test_nothing_is_lost_wherever_an_agent_is_killed(tmp_path: Path, by: str) -> None:
    """
    What was queued goes out once, under one K; what was acknowledged is kept and reaches its own process alone.

    Where a process must not trace its child, the points between system calls are replaced by lines.
    """
    figures = shown(tmp_path, "--points", "30", "--seed", "7", "--by", by)

    assert [] == figures["wrong"]
    assert (30, 180, 180) == (figures["trials"], figures["queued"], figures["taken_by_the_gateway"])
    assert 360 == figures["acknowledged"]
    assert figures["points"] >= 25


def test_a_ledger_that_does_not_sync_is_found_out(tmp_path: Path) -> None:
    """The proof itself: a ledger that acknowledges before it syncs does not stand a power cut, and that is seen."""
    figures = shown(tmp_path, "--points", "2", "--seed", "7", "--unsynced")
    told = [sentence for outcome in figures["wrong"] for sentence in outcome["wrong"]]

    assert any(sentence.startswith(("taken 2 times", "acknowledged and lost")) for sentence in told)
