"""Rules 5 to 7 under SIGKILL and power cuts; the whole proof has a thousand points and its own session."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

Shown = Callable[..., dict[str, Any]]


@pytest.mark.long
@pytest.mark.parametrize("by", ["syscalls", "lines"])
def test_nothing_is_lost_wherever_an_agent_is_killed(shown: Shown, by: str) -> None:
    """
    What was queued is sent once, under one K; what was acknowledged is stored and reaches only its own process.

    If a process may not trace its child, the points are lines instead of system calls.
    """
    figures = shown("crash.py", "--points", "30", "--seed", "7", "--by", by)

    assert [] == figures["wrong"]
    assert (30, 180, 180) == (figures["trials"], figures["queued"], figures["taken_by_the_gateway"])
    assert 360 == figures["acknowledged"]
    assert figures["points"] >= 25


@pytest.mark.long
def test_a_service_window(shown: Shown) -> None:
    """
    Wherever an agent is killed between hold and let go, each declaration is sent once, and none in the window.

    Only the one that a person ordered to be sent is sent before its end.
    """
    figures = shown("crash.py", "--points", "20", "--seed", "7", "--window")

    assert [] == figures["wrong"]
    assert (20, 120, 120) == (figures["trials"], figures["queued"], figures["taken_by_the_gateway"])
    assert figures["held"] >= 20
    assert sum(number for phase, number in figures["phases"].items() if phase.startswith("held")) >= 3


@pytest.mark.long
@pytest.mark.parametrize("by", ["syscalls", "lines"])
def test_files_of_a_gateway(shown: Shown, by: str) -> None:
    """
    Wherever an agent is killed, each file is processed once under its own name, and what it deletes is synced before.

    What may have arrived settles itself, in whichever way the gateway refuses a name that was used. At one that refuses
    none, only an order uploads it again.
    """
    figures = shown("crash.py", "--files", "--points", "14", "--seed", "7", "--by", by)

    assert [] == figures["wrong"]
    assert (14, 28, 28) == (figures["trials"], figures["queued"], figures["taken_by_the_gateway"])
    # For each trial a file that answers nothing, and for each upload two status files and a response; each was deleted.
    assert figures["acknowledged"] >= 14 * 7


def test_a_ledger_that_does_not_sync_is_found_out(shown: Shown) -> None:
    """The proof itself works: it finds that a ledger that acknowledges before it syncs does not survive a power cut."""
    figures = shown("crash.py", "--points", "2", "--seed", "7", "--unsynced")
    violations = [sentence for outcome in figures["wrong"] for sentence in outcome["wrong"]]

    assert any(sentence.startswith(("taken 2 times", "acknowledged and lost")) for sentence in violations)


@pytest.mark.long
def test_a_file_that_is_deleted_before_it_is_synced_is_found_out(shown: Shown) -> None:
    """The same for files: a gateway was asked to delete what the disk does not certainly have."""
    figures = shown("crash.py", "--files", "--points", "2", "--seed", "7", "--unsynced")
    violations = [sentence for outcome in figures["wrong"] for sentence in outcome["wrong"]]

    assert any(sentence.startswith("deleted before the ledger had synced it") for sentence in violations)
