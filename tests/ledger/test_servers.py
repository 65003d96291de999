"""Servers that are paused after trouble: each is listed once, with its last trouble, until it works."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from htpoort.ledger import Ledger, PausedServer

Clock = Callable[..., datetime]


def test_pauses(ledger: Ledger, clock: Clock) -> None:
    """The last record of a server counts; the oldest trouble comes first; a server that works is not listed."""
    at, minute = clock(), timedelta(minutes=1)
    ledger.servers.record_pause_soon("b", since=at, next_try=at + minute, why="no route").result()
    ledger.servers.record_pause_soon("a", since=at + minute, next_try=at + 2 * minute, why="refused").result()
    ledger.servers.record_pause_soon("b", since=at, next_try=at + 3 * minute, why="timed out").result()
    both = ledger.servers.paused()
    ledger.servers.clear_pause_soon("b").result()
    ledger.servers.clear_pause_soon("c").result()

    first = PausedServer(name="b", since=at, next_try=at + 3 * minute, why="timed out")
    second = PausedServer(name="a", since=at + minute, next_try=at + 2 * minute, why="refused")
    assert ((first, second), (second,)) == (both, ledger.servers.paused())


def test_pauses_of_earlier_agents(ledger: Ledger, clock: Clock) -> None:
    """Pauses can be forgotten: those whose next try is long past, or all."""
    at, hour = clock(), timedelta(hours=1)
    for name, next_try in (("past", at), ("now", at + hour), ("later", at + 2 * hour)):
        ledger.servers.record_pause(name, since=at, next_try=next_try, why="refused")
    ledger.servers.clear_pauses(due_before=at + hour)
    left = [server.name for server in ledger.servers.paused()]
    ledger.servers.clear_pauses_soon().result()

    assert (["later", "now"], ()) == (left, ledger.servers.paused())
