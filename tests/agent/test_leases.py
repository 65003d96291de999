"""An agent holds what it has claimed until its lease ends, however often it claims the same work."""

from __future__ import annotations

from concurrent.futures import Future
from datetime import timedelta

import attrs
from agents import now

from htpoort import LedgerError
from htpoort.agent._context import LeaseLostError, Leases


@attrs.frozen
class Work:
    """An attempt at a piece of work."""

    key: int
    attempt: int


def handed_out(*work: Work) -> Future[list[Work]]:
    """Return the future of a claim."""
    future: Future[list[Work]] = Future()
    future.set_result(list(work))
    return future


async def test_work_that_is_claimed_again() -> None:
    """The end of an attempt releases that attempt only: the next one, which has begun meanwhile, keeps its lease."""
    leases = Leases(timedelta(minutes=2), now, lambda _keys, _until: Future())
    (first,) = await leases.claim(lambda _: handed_out(Work(1, 1)))
    (second,) = await leases.claim(lambda _: handed_out(Work(1, 2)))
    leases.drop(first)
    between = leases.keys
    leases.drop(second)

    assert ((1,), ()) == (between, leases.keys)


def test_why_a_lease_is_lost() -> None:
    """The ledger knows that another agent may have the work; or it could not be asked, and the reason is given."""
    full = LedgerError("htpoort.db", "written", "The disk is full; free some space.", retryable=True)

    assert "this agent was suspended, or lost its ledger, for longer than its lease" == str(LeaseLostError())
    assert (
        "the lease of this agent has ended, and the ledger could not renew it "
        "(The ledger htpoort.db cannot be written. The disk is full; free some space)"
    ) == str(LeaseLostError(full))
