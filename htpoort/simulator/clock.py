"""
Tell the time to a simulated gateway, and let it wait: real time, or time that a test moves.

Never does: decide what happens at a moment.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol, final

from htpoort import _clock
from htpoort.errors import InputError, Problem

__all__ = ["Clock", "RealClock", "SimulatedClock"]

_START: Final = datetime(2026, 11, 2, 8, tzinfo=UTC)  # a Monday morning
_LOOK: Final = 60.0  # seconds after which a clock that was set is noticed

Settle = Callable[[], Awaitable[None]]
"""What is awaited before time moves on: it returns when all that is due has been done."""


class Clock(Protocol):
    """Tell the time, and wait for a moment."""

    def __call__(self) -> datetime:
        """
        Tell the time.

        Returns:
            Aware, in UTC.
        """
        ...

    async def sleep_until(self, moment: datetime) -> None:
        """
        Wait until a moment has come; returns at once where it has.

        Args:
            moment: Aware.
        """
        ...


@final
class RealClock:
    """Tell the time of the machine."""

    def __call__(self) -> datetime:
        """
        Tell the time.

        Returns:
            Aware, in UTC.
        """
        return _clock.now()

    async def sleep_until(self, moment: datetime) -> None:
        """
        Wait until a moment has come; returns at once where it has.

        Args:
            moment: Aware.
        """
        while (left := (moment - self()).total_seconds()) > 0:  # noqa: ASYNC110 - no event tells of the time
            await asyncio.sleep(min(left, _LOOK))


@final
class SimulatedClock:
    """
    Tell a time that stands still until it is moved.

    >>> clock = SimulatedClock()
    >>> asyncio.run(clock.advance(timedelta(days=3)))
    >>> clock().isoformat()
    '2026-11-05T08:00:00+00:00'

    Whoever sleeps is woken when the time is moved past the moment: in the order of the moments, at equal
    moments in the order in which they went to sleep, and with the clock at the moment of each. Before the
    next one is woken, every gateway that lives by this clock does all that is due.

    Args:
        start: The time at first, aware.

    Raises:
        InputError: *start* has no time zone.
    """

    def __init__(self, start: datetime = _START) -> None:
        self._now = _aware("start", start).astimezone(UTC)
        self._sleepers: list[tuple[datetime, int, asyncio.Future[None]]] = []
        self._slept = 0
        self._settles: list[Settle] = []
        self._moving = asyncio.Lock()

    def __call__(self) -> datetime:
        """
        Tell the time.

        Returns:
            Aware, in UTC.
        """
        return self._now

    @property
    def next_moment(self) -> datetime | None:
        """The moment at which the first sleeper is to be woken; None where nobody sleeps."""
        while self._sleepers and self._sleepers[0][2].done():
            heapq.heappop(self._sleepers)
        return self._sleepers[0][0] if self._sleepers else None

    async def sleep_until(self, moment: datetime) -> None:
        """
        Wait until the time is moved to a moment; returns at once where it has come.

        Args:
            moment: Aware.
        """
        if moment <= self._now:
            return
        waked = asyncio.get_running_loop().create_future()
        self._slept += 1
        heapq.heappush(self._sleepers, (moment, self._slept, waked))
        await waked

    async def advance(self, by: timedelta) -> None:
        """
        Move the time on.

        Args:
            by: How far; 0 only does what is due.

        Raises:
            InputError: *by* is below 0.
        """
        await self.advance_to(self._now + by)

    async def advance_to(self, moment: datetime) -> None:
        """
        Move the time on to a moment.

        Args:
            moment: Aware; the present one only does what is due.

        Raises:
            InputError: *moment* has no time zone, or is in the past.
        """
        if _aware("moment", moment) < self._now:
            message = f"moment is {moment.isoformat()}, and it is {self._now.isoformat()}; time does not go back."
            raise InputError("moment", (Problem("simulator.clock", message),))
        async with self._moving:
            await self._settled()
            while (first := self.next_moment) is not None and first <= moment:
                self._now = max(self._now, first.astimezone(UTC))
                heapq.heappop(self._sleepers)[2].set_result(None)
                await self._settled()
            self._now = max(self._now, moment.astimezone(UTC))

    def join(self, settle: Settle) -> Callable[[], None]:
        """
        Let the time wait for somebody.

        Args:
            settle: Awaited before the next sleeper is woken.

        Returns:
            What is called to leave again.
        """
        self._settles.append(settle)
        return lambda: self._settles.remove(settle)

    async def _settled(self) -> None:
        # Whoever was woken goes on in the next round of the loop.
        await asyncio.sleep(0)
        for settle in tuple(self._settles):
            await settle()


def _aware(field: str, moment: datetime) -> datetime:
    if moment.utcoffset() is None:
        message = f"{field} is {moment.isoformat()} without a time zone; give an aware datetime."
        raise InputError(field, (Problem("simulator.clock", message),))
    return moment
