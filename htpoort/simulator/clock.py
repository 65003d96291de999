"""Give a gateway its time: real time, or time that a test moves."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol, final

from htpoort import _clock
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

    Raises:
        InputError: *start* has no time zone.
    """

    def __init__(self, start: datetime = _START) -> None:
        self._now = _aware("start", start).astimezone(UTC)
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
        await woken

    async def advance(self, by: timedelta) -> None:
        """
        Move the time forward.

        Args:
            by: How far; with 0, only what is due is done.

        Raises:
            InputError: *by* is below 0.
        """
        await self.advance_to(self._now + by)

    async def advance_to(self, moment: datetime) -> None:
        """
        Move the time forward to a moment.

        Args:
            moment: Aware; with the present moment, only what is due is done.

        Raises:
            InputError: *moment* has no time zone, or is in the past.
        """
        if _aware("moment", moment) < self._now:
            message = f"moment is {moment.isoformat()}, before the present, {self._now.isoformat()}; give a later one."
            raise InputError("moment", (Problem("simulator.clock", message),))
        async with self._moving:
            await self._wait_until_idle()
            while (first := self.next_moment) is not None and first <= moment:
                self._now = max(self._now, first.astimezone(UTC))
                heapq.heappop(self._sleepers)[2].set_result(None)
                await self._wait_until_idle()
            self._now = max(self._now, moment.astimezone(UTC))

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
