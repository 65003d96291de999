"""
Know what an agent has taken up, and until when that is its own.

Never does: take a lease for granted whose time is over; a process may be suspended between any two lines.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from datetime import datetime, timedelta
from typing import Protocol, TypeVar, final


class _Keyed(Protocol):
    @property
    def key(self) -> int: ...


T = TypeVar("T", bound=_Keyed)


@final
class Leases:
    """
    Hold the leases of one kind of work.

    Args:
        length: How long a lease lasts.
        clock: Gives the time, aware.
        renew: Renews the leases of some keys in the ledger, as far as they are still ours; gives how many are.
    """

    def __init__(
        self,
        length: timedelta,
        clock: Callable[[], datetime],
        renew: Callable[[Sequence[int], datetime], Future[int]],
    ) -> None:
        self._length = length
        self._clock = clock
        self._renew = renew
        self._until: dict[int, datetime] = {}
        self._taken: dict[int, _Keyed] = {}
        self._asked: list[datetime] = []

    @property
    def keys(self) -> tuple[int, ...]:
        """What is taken up; a lease is renewed for these only, so that what could not be recorded is let go."""
        return tuple(self._until)

    async def claimed(self, claim: Callable[[datetime], Future[list[T]]]) -> list[T]:
        """
        Take up what the ledger hands out.

        Args:
            claim: Gets the time, and asks the ledger.

        Returns:
            What is ours from now on.

        Raises:
            LedgerError: It could not be asked.
        """
        at = self._clock()
        self._asked.append(at)
        try:
            found = await asyncio.wrap_future(claim(at))
            self._until |= {one.key: at + self._length for one in found}
            self._taken |= {one.key: one for one in found}
        finally:
            self._asked.remove(at)
        return found

    def moment(self) -> datetime:
        """Give a time at which no lease is over that is being handed out to us."""
        return min((self._clock(), *self._asked))

    def let_go(self, one: _Keyed) -> None:
        """Forget what is over, but not the same work where it was taken up once more meanwhile."""
        if self._taken.get(one.key) is one:
            del self._taken[one.key], self._until[one.key]

    async def hold(self, key: int) -> bool:
        """
        Tell whether something is still ours.

        Before its time is over no other can have taken it. Afterwards the ledger decides, which costs a commit.

        Raises:
            LedgerError: It could not be asked.
        """
        # One that ends later than a lease is long was taken by a clock that was ahead: the ledger knows.
        until, now = self._until.get(key), self._clock()
        return (until is not None and now < until <= now + self._length) or await self._renewed((key,))

    async def renew(self) -> list[int]:
        """
        Renew all leases.

        Returns:
            What is another's by now.

        Raises:
            LedgerError: They could not be renewed.
        """
        keys = self.keys
        if not keys or await self._renewed(keys):
            return []
        held = [key for key in keys if key in self._until and await self._renewed((key,))]
        return [key for key in keys if key in self._until and key not in held]

    async def _renewed(self, keys: Sequence[int]) -> bool:
        """Renew some leases; tells whether all of them were ours."""
        until = self._clock() + self._length
        if await asyncio.wrap_future(self._renew(keys, until)) < len(keys):
            return False
        self._until |= {key: until for key in keys if key in self._until}
        return True
