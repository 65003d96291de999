"""Servers that rest after trouble: each is listed once, with its last trouble, until it works."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from htpoort.ledger import Ledger, Resting

Clock = Callable[..., datetime]


def test_pauses(ledger: Ledger, clock: Clock) -> None:
    """The last record of a server counts; the oldest trouble comes first; a server that works is not listed."""
    at, minute = clock(), timedelta(minutes=1)
    ledger.servers.record_pause_soon("b", since=at, next_try=at + minute, why="no route").result()
    ledger.servers.record_pause_soon("a", since=at + minute, next_try=at + 2 * minute, why="refused").result()
    ledger.servers.record_pause_soon("b", since=at, next_try=at + 3 * minute, why="timed out").result()
    both = ledger.servers.resting()
    ledger.servers.clear_pause_soon("b").result()
    ledger.servers.clear_pause_soon("c").result()

    first = Resting(name="b", since=at, next_try=at + 3 * minute, why="timed out")
    second = Resting(name="a", since=at + minute, next_try=at + 2 * minute, why="refused")
    assert ((first, second), (second,)) == (both, ledger.servers.resting())
