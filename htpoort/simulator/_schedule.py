"""
Let what is due be done, in the order of its moments.

Never does: know what that is.
"""

from __future__ import annotations

import asyncio
import heapq
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Final, Generic, TypeVar

from htpoort.simulator.clock import Clock

T = TypeVar("T")

_LOG: Final = logging.getLogger("htpoort.simulator")


class Schedule(Generic[T]):
    """
    Hand over each thing when its moment has come.

    What is for the same lane is done one after another, in the order of the moments, and at equal moments
    in the order in which it was put in. Lanes do not wait for each other.

    Args:
        clock: Tells the moments.
        work: Awaited with a lane and the queue of what is due there; takes from its left until it is
            empty. What is put in meanwhile may be in it too.
    """

    def __init__(self, clock: Clock, work: Callable[[str, deque[T]], Awaitable[None]]) -> None:
        self._clock = clock
        self._work = work
        self._later: list[tuple[datetime, int, str, T]] = []
        self._number = 0
        self._due: dict[str, deque[T]] = {}
        self._failed: list[Exception] = []
        self._closed = False
        self._workers: set[asyncio.Task[None]] = set()
        self._sleeper: asyncio.Task[None] | None = None
        self._until: datetime | None = None

    @property
    def next_moment(self) -> datetime | None:
        """The moment of the first thing that is still to come."""
        return self._later[0][0] if self._later else None

    def put(self, moment: datetime, lane: str, thing: T) -> None:
        """
        Put something in.

        Args:
            moment: When it is due; at once, if that has come.
            lane: What it waits its turn with.
            thing: What is handed over. Nothing is kept that is put in after the end.
        """
        if self._closed:
            return
        self._number += 1
        heapq.heappush(self._later, (moment, self._number, lane, thing))
        self.release()

    def release(self) -> None:
        """Hand over what is due, and sleep until the next is."""
        while self._later and self._later[0][0] <= self._clock():
            _, _, lane, thing = heapq.heappop(self._later)
            self._hand_over(lane, thing)
        if self.next_moment != self._until:
            self._until = self.next_moment
            if self._sleeper is not None:
                self._sleeper.cancel()
            self._sleeper = None if self._until is None else asyncio.create_task(self._sleep(self._until))

    async def settled(self) -> None:
        """Wait until all that is due has been done; raises what the work raised, an error each time."""
        self.release()
        while self._workers:
            # Unlike gather, this cancels nothing when whoever waits has no more time.
            await asyncio.wait(tuple(self._workers))
        if self._failed:
            raise self._failed.pop(0)

    def open(self) -> None:
        """Take things again, after an end."""
        self._closed = False

    async def close(self) -> None:
        """Forget what is still to come, and end what is under way."""
        self._closed = True
        self._later.clear()
        tasks = {*self._workers, self._sleeper} if self._sleeper is not None else set(self._workers)
        for task in tasks:
            task.cancel()
        try:
            await asyncio.gather(*tasks, return_exceptions=True)
        finally:
            # A task that was cancelled before it began has tidied up nothing.
            self._due.clear()
            self._sleeper = self._until = None

    def _hand_over(self, lane: str, thing: T) -> None:
        if lane in self._due:
            self._due[lane].append(thing)
            return
        self._due[lane] = deque([thing])
        worker = asyncio.create_task(self._worked(lane))
        self._workers.add(worker)
        worker.add_done_callback(self._workers.discard)

    async def _worked(self, lane: str) -> None:
        try:
            while self._due[lane]:
                await self._work(lane, self._due[lane])
        except Exception as error:  # noqa: BLE001 - whatever it is, the other lanes go on
            # Nobody may be waiting; whoever does next is told, and a person reads it now.
            _LOG.exception("What was due in the lane %s is lost", lane)
            self._failed.append(error)
        finally:
            self._due.pop(lane, None)

    async def _sleep(self, moment: datetime) -> None:
        await self._clock.sleep_until(moment)
        # The next sleeper is another task.
        self._sleeper = self._until = None
        self.release()
