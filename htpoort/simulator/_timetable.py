"""Run work when it is due, in the order of its moments."""

from __future__ import annotations

import asyncio
import heapq
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Hashable
from datetime import datetime
from typing import Final, Generic, TypeVar

from htpoort.simulator.clock import Clock

L = TypeVar("L", bound=Hashable)
T = TypeVar("T")

_LOG: Final = logging.getLogger("htpoort.simulator")


class Timetable(Generic[L, T]):
    """
    Hand over each item when it is due.

    Items of the same lane are handled one after another, in the order of their moments; those of the same moment
    in the order in which they were put in. Lanes do not wait for each other.

    Args:
        clock: For the moments.
        work: Awaited with a lane and the queue of what is due there; it takes items from the left until the queue is
            empty. Items that are put in meanwhile may join the queue.
    """

    def __init__(self, clock: Clock, work: Callable[[L, deque[T]], Awaitable[None]]) -> None:
        self._clock = clock
        self._work = work
        self._later: list[tuple[datetime, int, L, T]] = []
        self._number = 0
        self._due: dict[L, deque[T]] = {}
        self._failed: list[Exception] = []
        self._closed = False
        self._workers: set[asyncio.Task[None]] = set()
        self._sleeper: asyncio.Task[None] | None = None
        self._until: datetime | None = None

    @property
    def next_moment(self) -> datetime | None:
        """The moment of the next item; None if there is none."""
        return self._later[0][0] if self._later else None

    def put(self, moment: datetime, lane: L, item: T) -> None:
        """
        Add an item; after `close` it is dropped.

        Args:
            moment: When it is due; if the moment has passed, at once.
            lane: The lane that handles it.
            item: What is handed over.
        """
        if self._closed:
            return
        self._number += 1
        heapq.heappush(self._later, (moment, self._number, lane, item))
        self.release()

    def release(self) -> None:
        """Hand over what is due, and sleep until the next item is."""
        while self._later and self._later[0][0] <= self._clock():
            _, _, lane, item = heapq.heappop(self._later)
            self._hand_over(lane, item)
        if self.next_moment != self._until:
            self._until = self.next_moment
            if self._sleeper is not None:
                self._sleeper.cancel()
            self._sleeper = None if self._until is None else asyncio.create_task(self._sleep(self._until))

    async def wait_until_idle(self) -> None:
        """Wait until everything that is due is done; raise one error of the work at each call."""
        self.release()
        while self._workers:
            # Unlike gather, this does not cancel the workers when the caller is cancelled.
            await asyncio.wait(tuple(self._workers))
        if self._failed:
            raise self._failed.pop(0)

    def open(self) -> None:
        """Accept items again after `close`."""
        self._closed = False

    async def close(self) -> None:
        """Drop the items that are left, and cancel those in progress."""
        self._closed = True
        self._later.clear()
        tasks = {*self._workers, self._sleeper} if self._sleeper is not None else set(self._workers)
        for task in tasks:
            task.cancel()
        try:
            await asyncio.gather(*tasks, return_exceptions=True)
        finally:
            # A task that is cancelled before it starts has cleaned up nothing.
            self._due.clear()
            self._sleeper = self._until = None

    def _hand_over(self, lane: L, item: T) -> None:
        if lane in self._due:
            self._due[lane].append(item)
            return
        self._due[lane] = deque([item])
        worker = asyncio.create_task(self._run_lane(lane))
        self._workers.add(worker)
        worker.add_done_callback(self._workers.discard)

    async def _run_lane(self, lane: L) -> None:
        try:
            while self._due[lane]:
                await self._work(lane, self._due[lane])
        except Exception as error:  # noqa: BLE001 - whatever it is, the other lanes continue
            # Perhaps no caller is waiting: log the error now, and raise it in the next call of wait_until_idle().
            _LOG.exception("The work of lane %s failed; what was due there is lost", lane)
            self._failed.append(error)
        finally:
            self._due.pop(lane, None)

    async def _sleep(self, moment: datetime) -> None:
        await self._clock.sleep_until(moment)
        # The next sleeper is a new task.
        self._sleeper = self._until = None
        self.release()
