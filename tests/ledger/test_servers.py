"""Servers that rest after trouble: each once, as it was last seen, until it works."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from htpoort.ledger import Ledger, Resting

Clock = Callable[..., datetime]


def test_rests_and_works(ledger: Ledger, clock: Clock) -> None:
    """The last that was noted of a server holds, oldest trouble first; one that works is gone."""
    at, minute = clock(), timedelta(minutes=1)
    ledger.servers.record_pause_soon("b", since=at, next_try=at + minute, why="no route").result()
    ledger.servers.record_pause_soon("a", since=at + minute, next_try=at + 2 * minute, why="refused").result()
    ledger.servers.record_pause_soon("b", since=at, next_try=at + 3 * minute, why="timed out").result()
    both = ledger.servers.resting()
    ledger.servers.clear_pause_soon("b").result()
    ledger.servers.clear_pause_soon("c").result()

    one = Resting(name="b", since=at, next_try=at + 3 * minute, why="timed out")
    other = Resting(name="a", since=at + minute, next_try=at + 2 * minute, why="refused")
    assert ((one, other), (other,)) == (both, ledger.servers.resting())
