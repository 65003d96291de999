"""Time that a test moves, and the time of the machine."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta, timezone

import pytest

from htpoort import InputError
from htpoort.simulator import Clock, RealClock, SimulatedClock

START = datetime(2026, 11, 2, 8, tzinfo=UTC)
HOUR = timedelta(hours=1)


async def woken(clock: Clock, told: list[tuple[str, datetime]], name: str, moment: datetime) -> None:
    """Sleep, and note when that ended."""
    await clock.sleep_until(moment)
    told.append((name, clock()))


async def test_sleepers_wake_in_order() -> None:
    """Sleepers wake at their moment, in the order of the moments, at equal ones in the order of going to sleep."""
    clock = SimulatedClock(START)
    told: list[tuple[str, datetime]] = []
    moments = {"late": START + 3 * HOUR, "first": START + HOUR, "second": START + HOUR, "never": START + 9 * HOUR}
    tasks = [asyncio.create_task(woken(clock, told, name, moment)) for name, moment in moments.items()]
    await asyncio.sleep(0)
    first = clock.next_moment
    await clock.advance(5 * HOUR)
    left = clock.next_moment
    tasks[-1].cancel()
    await asyncio.gather(*tasks, return_exceptions=True)

    assert [("first", START + HOUR), ("second", START + HOUR), ("late", START + 3 * HOUR)] == told
    assert (START + HOUR, START + 9 * HOUR, None) == (first, left, clock.next_moment)
    assert START + 5 * HOUR == clock()


async def test_a_moment_that_has_come() -> None:
    """Sleeping until now, or until the past, returns at once."""
    clock = SimulatedClock(START)
    await clock.sleep_until(START)
    await RealClock().sleep_until(START - 100_000 * HOUR)


async def test_time_waits_for_who_joined() -> None:
    """Before the next sleeper wakes, every joined function has finished; one that was removed is not called."""
    clock = SimulatedClock(START)
    settled: list[datetime] = []

    async def settle() -> None:
        settled.append(clock())

    task = asyncio.create_task(clock.sleep_until(START + HOUR))
    await asyncio.sleep(0)
    leave = clock.join(settle)
    await clock.advance(2 * HOUR)
    leave()
    await clock.advance(2 * HOUR)
    await task

    assert [START, START + HOUR] == settled


async def test_time_does_not_go_back() -> None:
    """A step back, a moment of the past and a moment without a zone are refused; the time stays."""
    clock = SimulatedClock(START)
    with pytest.raises(InputError, match="before the present"):
        await clock.advance(-HOUR)
    with pytest.raises(InputError, match="without a time zone"):
        await clock.advance_to(datetime(2026, 12, 1))  # noqa: DTZ001 - what is refused
    with pytest.raises(InputError, match="without a time zone"):
        SimulatedClock(datetime(2026, 12, 1))  # noqa: DTZ001 - the same

    assert START == clock()


async def test_the_time_is_in_utc() -> None:
    """The clock gives UTC, whatever the zone of the moment."""
    amsterdam = timezone(HOUR)
    clock = SimulatedClock(datetime(2026, 11, 2, 9, tzinfo=amsterdam))
    told = [clock()]
    await clock.advance_to(datetime(2026, 11, 2, 12, tzinfo=amsterdam))

    assert [START, START + 3 * HOUR] == [*told, clock()]
    assert [UTC, UTC] == [moment.tzinfo for moment in (*told, clock())]


async def test_real_time() -> None:
    """The clock of the machine wakes no earlier than the moment."""
    clock = RealClock()
    moment = clock() + timedelta(milliseconds=20)
    await clock.sleep_until(moment)

    assert moment <= clock()
    assert UTC == clock().tzinfo
