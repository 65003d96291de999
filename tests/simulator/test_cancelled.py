"""A gateway that is cancelled at a bad moment listens on no port, blocks no caller, and can start again."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque

import pytest
from ports import none_listens, own_port
from tidy import cancel_until_done

from htpoort.simulator import Declarant, Gateway, SimulatedClock
from htpoort.simulator.clock import Timetable

WHO = Declarant(mailbox="edi@forwarder.example", password="geheim")


def ports(gateway: Gateway) -> list[int]:
    """Return its address."""
    return [gateway.smtp_port, *([] if gateway.pop3_port is None else [gateway.pop3_port])]


@pytest.mark.parametrize("rounds", range(16))
async def test_while_it_begins(rounds: int) -> None:
    """Cancelled during its start, it listens on none of its ports."""
    with own_port() as smtp, own_port() as pop3:
        gateway = Gateway(declarants=[WHO], port=smtp, pop3_port=pop3)
        beginning = asyncio.create_task(gateway.__aenter__())  # noqa: PLC2801 - as a task of its own
        for _ in range(rounds):
            await asyncio.sleep(0)
        if beginning.cancel():
            with contextlib.suppress(asyncio.CancelledError):
                await beginning
        if not beginning.cancelled():
            await gateway.__aexit__(None, None, None)
        await none_listens(smtp, pop3)


@pytest.mark.parametrize("rounds", range(1, 5))
async def test_again_and_again_while_it_closes(rounds: int) -> None:
    """Cancelled until it ends, it leaves no connection and no locked mailbox behind."""
    opened = asyncio.Event()
    gateway = Gateway(declarants=[WHO])

    async def left() -> None:
        async with gateway:
            opened.set()
            await asyncio.Event().wait()

    running = asyncio.create_task(left())
    await opened.wait()
    places = ports(gateway)
    reader, writer = await asyncio.open_connection("127.0.0.1", places[1])
    for command in (b"USER edi@forwarder.example\r\n", b"PASS geheim\r\n"):
        await reader.readline()
        writer.write(command)
    assert (await reader.readline()).startswith(b"+OK")
    await cancel_until_done(running, rounds)
    async with asyncio.timeout(5):
        assert b"" == await reader.read()
    writer.close()
    await none_listens(*places)


async def test_a_schedule_that_begins_again() -> None:
    """Items that a timetable dropped block nothing afterwards, also if closing it was cancelled."""
    done: list[int] = []

    async def work(_lane: str, due: deque[int]) -> None:
        await asyncio.sleep(0)
        done.append(due.popleft())

    clock = SimulatedClock()
    schedule = Timetable(clock, work)
    schedule.put(clock(), "lane", 1)
    closing = asyncio.create_task(schedule.close())
    schedule.put(clock(), "other", 2)
    await asyncio.sleep(0)
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    schedule.open()
    for lane in ("lane", "other"):
        schedule.put(clock(), lane, 3)
    await schedule.wait_until_idle()
    assert [3, 3] == done
