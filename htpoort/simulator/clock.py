"""Give a gateway its time: real time, or time that a test moves."""

from __future__ import annotations

import asyncio
import heapq
import logging
import operator
from collections import deque
from collections.abc import Awaitable, Callable, Hashable
from datetime import UTC, datetime, timedelta
from typing import Final, Generic, Protocol, TypeVar, final

from htpoort import _clock
from htpoort._log import event
from htpoort.core.errors import InputError, Problem

__all__ = ["Clock", "RealClock", "SimulatedClock"]

_START: Final = datetime(2026, 11, 2, 8, tzinfo=UTC)  # a Monday morning
_RECHECK: Final = 60.0  # seconds after which a change of the machine's clock is noticed

IdleWait = Callable[[], Awaitable[None]]
"""Awaited before time moves on; returns when everything that is due is done."""


class Clock(Protocol):
    """The time, and a way to wait for a moment."""

    def __call__(self) -> datetime:
        """
        Return the time.

        Returns:
            Aware, in UTC.
        """
        ...

    async def sleep_until(self, moment: datetime) -> None:
        """
        Wait until a moment; return at once if it has passed.

        Args:
            moment: Aware.
        """
        ...


@final
class RealClock:
    """The time of the machine."""

    def __call__(self) -> datetime:
        """
        Return the time.

        Returns:
            Aware, in UTC.
        """
        return _clock.now()

    async def sleep_until(self, moment: datetime) -> None:
        """
        Wait until a moment; return at once if it has passed.

        Args:
            moment: Aware.
        """
        while (left := (moment - self()).total_seconds()) > 0:  # noqa: ASYNC110 - no event reports the time
            await asyncio.sleep(min(left, _RECHECK))


@final
class SimulatedClock:
    """
    A time that does not pass until it is moved.

    >>> clock = SimulatedClock()
    >>> asyncio.run(clock.advance(timedelta(days=3)))
    >>> clock().isoformat()
    '2026-11-05T08:00:00+00:00'

    When the time is moved, sleepers wake in the order of their moments, at equal moments in the order in which they
    went to sleep, each with the clock at its own moment. Before the next one wakes, every gateway with this clock
    does everything that is due.

    Args:
        start: The first time, aware.
        runs: The time passes by itself too, as fast as that of the machine.

    Raises:
        InputError: *start* has no time zone.
    """

    def __init__(self, start: datetime = _START, *, runs: bool = False) -> None:
        self._runs = runs
        self._set(_aware("start", start))
        self._sleepers: list[tuple[datetime, int, asyncio.Future[None]]] = []
        self._slept = 0
        self._idle_waits: list[IdleWait] = []
        self._moving = asyncio.Lock()

    def __call__(self) -> datetime:
        """
        Return the time.

        Returns:
            Aware, in UTC.
        """
        return self._now

    @property
    def runs(self) -> bool:
        """Whether the time passes by itself too."""
        return self._runs

    @property
    def next_moment(self) -> datetime | None:
        """The moment at which the first sleeper wakes; None if there is none."""
        while self._sleepers and self._sleepers[0][2].done():
            heapq.heappop(self._sleepers)
        return self._sleepers[0][0] if self._sleepers else None

    async def sleep_until(self, moment: datetime) -> None:
        """
        Wait until the time is moved to a moment; return at once if it has passed.

        Args:
            moment: Aware.
        """
        if moment <= self._now:
            return
        woken = asyncio.get_running_loop().create_future()
        self._slept += 1
        heapq.heappush(self._sleepers, (moment, self._slept, woken))
        if not self._runs:
            await woken
            return
        try:
            while not woken.done() and (left := (moment - self._now).total_seconds()) > 0:
                await asyncio.wait({woken}, timeout=min(left, _RECHECK))
        finally:
            woken.cancel()

    async def advance(self, by: timedelta) -> None:
        """
        Move the time forward.

        Args:
            by: How far; with 0, only what is due is done.

        Raises:
            InputError: *by* is below 0.
        """
        now = self._now
        self._check(now + by, now)
        await self.advance_to(now + by)

    async def advance_to(self, moment: datetime) -> None:
        """
        Move the time forward to a moment.

        Args:
            moment: Aware; with the present moment, only what is due is done. If the time runs, so does a moment that
                has passed.

        Raises:
            InputError: *moment* has no time zone, or is in the past.
        """
        _aware("moment", moment)
        if not self._runs:
            self._check(moment, self._now)
        async with self._moving:
            await self._wait_until_idle()
            while (first := self.next_moment) is not None and first <= moment:
                self._set(max(self._now, first))
                heapq.heappop(self._sleepers)[2].set_result(None)
                await self._wait_until_idle()
            self._set(max(self._now, moment))

    @property
    def _now(self) -> datetime:
        return self._base + (_clock.now() - self._since) if self._runs else self._base

    def _set(self, moment: datetime) -> None:
        self._base, self._since = moment.astimezone(UTC), _clock.now()

    @staticmethod
    def _check(moment: datetime, now: datetime) -> None:
        """Refuse a moment in the past."""
        if moment < now:
            message = f"moment is {moment.isoformat()}, before the present, {now.isoformat()}; give a later one."
            raise InputError("moment", (Problem("simulator.clock", message),))

    def join(self, wait: IdleWait) -> Callable[[], None]:
        """
        Add a function that time waits for.

        Args:
            wait: Awaited before the next sleeper wakes.

        Returns:
            A function that removes it again.
        """
        self._idle_waits.append(wait)
        return lambda: self._idle_waits.remove(wait)

    async def _wait_until_idle(self) -> None:
        # A sleeper that was woken continues in the next round of the loop.
        await asyncio.sleep(0)
        for wait in tuple(self._idle_waits):
            await wait()


def _aware(field: str, moment: datetime) -> datetime:
    if moment.utcoffset() is None:
        message = f"{field} is {moment.isoformat()}, without a time zone; give a moment with one."
        raise InputError(field, (Problem("simulator.clock", message),))
    return moment


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

    @property
    def later(self) -> tuple[tuple[datetime, int, T], ...]:
        """The items that are not due yet, in the order in which they are: moment, number, item."""
        in_order = sorted(self._later, key=operator.itemgetter(0, 1))
        return tuple((moment, number, item) for moment, number, _, item in in_order)

    def hasten(self, number: int) -> bool:
        """
        Hand over an item now.

        Args:
            number: Of one of `later`.

        Returns:
            False if it is no longer there, because it was due meanwhile.
        """
        early = next((one for one in self._later if one[1] == number), None)
        if early is None:
            return False
        self._later.remove(early)
        heapq.heapify(self._later)
        self._hand_over(early[2], early[3])
        self.release()
        return True

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
            _LOG.exception(
                "The work of lane %s failed; what was due there is lost",
                lane,
                extra=event("simulator.lane-failed", lane=lane),
            )
            self._failed.append(error)
        finally:
            self._due.pop(lane, None)

    async def _sleep(self, moment: datetime) -> None:
        await self._clock.sleep_until(moment)
        # The next sleeper is a new task.
        self._sleeper = self._until = None
        self.release()
