"""What an agent has taken up is its own until its time is over, however often it takes up the same work."""

from __future__ import annotations

from concurrent.futures import Future
from datetime import timedelta

import attrs
from agents import now

from htpoort.agent._leases import Leases


@attrs.frozen
class Work:
    """One attempt at something."""

    key: int
    attempt: int


def handed_out(*work: Work) -> Future[list[Work]]:
    """Give what a ledger hands out."""
    future: Future[list[Work]] = Future()
    future.set_result(list(work))
    return future


async def test_taken_up_once_more() -> None:
    """The end of an attempt lets go that attempt: the next one, which has begun meanwhile, keeps its lease."""
    leases = Leases(timedelta(minutes=2), now, lambda _keys, _until: Future())
    (first,) = await leases.claimed(lambda _: handed_out(Work(1, 1)))
    (second,) = await leases.claimed(lambda _: handed_out(Work(1, 2)))
    leases.let_go(first)
    between = leases.keys
    leases.let_go(second)

    assert ((1,), ()) == (between, leases.keys)
