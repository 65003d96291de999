"""The gateway told to end at a bad moment: nobody listens, nobody waits, and it can begin again."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque

import pytest
from ports import none_listens, own_port

from htpoort.simulator import Declarant, Gateway, SimulatedClock
from htpoort.simulator._schedule import Schedule

WHO = Declarant(mailbox="edi@forwarder.example", password="geheim")


def ports(gateway: Gateway) -> list[int]:
    """Give where it listened."""
    return [gateway.smtp_port, *([] if gateway.pop3_port is None else [gateway.pop3_port])]


@pytest.mark.parametrize("rounds", range(16))
async def test_while_it_begins(rounds: int) -> None:
    """Told to end while it begins, it listens on none of its ports."""
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
    """Told to end until it has, it leaves no talk and no lock of a mailbox behind."""
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
    while not running.done():
        running.cancel()
        for _ in range(rounds):
            await asyncio.sleep(0)
    async with asyncio.timeout(5):
        assert b"" == await reader.read()
    writer.close()
    await none_listens(*places)


async def test_a_schedule_that_begins_again() -> None:
    """What a schedule was told to forget is in nobody's way, also where that was cut short."""
    done: list[int] = []

    async def work(_lane: str, due: deque[int]) -> None:
        await asyncio.sleep(0)
        done.append(due.popleft())

    clock = SimulatedClock()
    schedule = Schedule(clock, work)
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
    await schedule.settled()
    assert [3, 3] == done
