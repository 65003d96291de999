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


def test_orders_to_resume(ledger: Ledger, clock: Clock) -> None:
    """An order is counted for each paused server that it names; their next try is now, and the rest stays."""
    at, minute = clock(), timedelta(minutes=1)
    for name in ("a", "b"):
        ledger.servers.record_pause(name, since=at, next_try=at + 15 * minute, why="refused", failures=3)
    first = ledger.servers.resume("b", "c", at=at + minute)
    second = ledger.servers.resume(at=at + 2 * minute)

    assert (("b",), ("a", "b"), {"a": 1, "b": 2}) == (first, second, ledger.servers.resume_orders())
    assert [
        PausedServer(name=name, since=at, next_try=at + 2 * minute, why="refused", failures=3) for name in ("a", "b")
    ] == list(ledger.servers.paused())


def test_orders_outlive_the_pause(ledger: Ledger, clock: Clock) -> None:
    """An order stays when the server works again, so that every agent of the ledger finds it."""
    at = clock()
    ledger.servers.record_pause("a", since=at, next_try=at, why="refused")
    ledger.servers.resume("a", at=at)
    ledger.servers.clear_pauses()
    again = ledger.servers.resume(at=at)

    assert ((), {"a": 1}) == (again, ledger.servers.resume_orders())
