"""Rule 5 while the disk fails: no 250 for what is not stored, and nothing sent twice when it works again."""

from __future__ import annotations

import json
import os
import subprocess  # noqa: S404 - the proof needs a process without threads
import sys
from pathlib import Path
from typing import Any

PROOFS = Path(__file__).parents[2] / "proofs"


def shown(folder: Path) -> dict[str, Any]:
    """Run the proof in a process of its own, where nothing has threads yet, and give its figures."""
    told = folder / "figures.json"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    command = [sys.executable, str(PROOFS / "failing_disk.py"), "--json", str(told)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)  # noqa: S603 - our own script
    assert told.exists(), done.stderr
    figures: dict[str, Any] = json.loads(told.read_text())
    return figures


def test_nothing_is_acknowledged_that_the_disk_refused(tmp_path: Path) -> None:
    """
    Each failure (EIO and ENOSPC of syncs and writes, put in by ptrace; a limit of the system on any machine) ends well.

    Every message that comes meanwhile gets 451 and is taken when it comes again; a 250 of the gateway that could not
    be recorded is recorded then, or is unknown after a crash; and the agent says what is wrong.
    """
    figures = shown(tmp_path)
    failures = {one["failure"]: one for one in figures["failures"]}
    injected = {"fsync-EIO", "fsync-ENOSPC", "write-EIO", "write-ENOSPC"} if figures["traced"] else set()

    assert injected | {"write-EFBIG"} == set(failures)
    assert [[]] * len(failures) == [one["wrong"] for one in failures.values()]
    assert {(451,) * 5} == {tuple(one["during"]) for one in failures.values()}
    assert {(250,) * 5} == {tuple(one["after"]) for one in failures.values()}
    assert {"accepted"} == {one["recorded"] for one in failures.values()}
