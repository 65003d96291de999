"""What has happened is recorded in the end, even if the ledger refuses it at first."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import timedelta

import attrs
import pytest
from agents import PARTY, QUICK, Process, declaration, now, reply, server

from htpoort import Router, State
from htpoort.agent import Agent, Outbox
from htpoort.ledger import Ledger, Reply
from htpoort.transport import Incoming, Receiver, Refusal

REFUSE = "CREATE TRIGGER refuse BEFORE {0} WHEN {1} BEGIN SELECT RAISE(ABORT, 'no'); END"
NO_OUTCOME = REFUSE.format("UPDATE ON htpoort_exchanges", "NEW.state <> 'sending'")
NO_MARK = REFUSE.format("UPDATE ON htpoort_replies", "NEW.delivered IS NOT NULL OR NEW.trouble IS NOT NULL")
PLAIN_ONLY = REFUSE.format("INSERT ON htpoort_events", "NEW.detail GLOB '*[^ -~]*'")


def run(ledger: Ledger, statement: str) -> None:
    """Change the database, as an administrator with a shell could."""
    ledger.write_soon(lambda connection: connection.exec_driver_sql(statement) and None).result()


@contextmanager
def warned(word: str) -> Generator[asyncio.Event]:
    """Return an event that is set when the agent logs an error that contains these words."""
    loop, raised = asyncio.get_running_loop(), asyncio.Event()

    class Watch(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.levelno >= logging.ERROR and word in record.getMessage():
                loop.call_soon_threadsafe(raised.set)

    log, watch = logging.getLogger("htpoort.agent"), Watch()
    log.addHandler(watch)
    try:
        yield raised
    finally:
        log.removeHandler(watch)


async def until(true: Callable[[], bool]) -> None:
    """Wait until the ledger shows something."""
    async with asyncio.timeout(60):
        while True:
            if await asyncio.to_thread(true):
                return
            # Reading the ledger waits for another thread; a longer pause is not needed.
            await asyncio.sleep(0)


async def state_of(ledger: Ledger, *wanted: State) -> State:
    """Wait until K1 has one of these states; return the state."""

    def there() -> State | None:
        found = ledger.exchanges.find("K1", party=PARTY)
        return None if found is None else found.state

    await until(lambda: there() in wanted)
    found = there()
    assert found is not None
    return found


@pytest.mark.parametrize(("refusal", "after"), [(None, State.ACCEPTED), (554, State.REFUSED), (451, State.FAILED)])
async def test_an_outcome_is_kept(ledger: Ledger, router: Router, *, refusal: int | None, after: State) -> None:
    """An outcome that the ledger refuses, also with a permanent error, is recorded once the error is gone."""

    async def take(_incoming: Incoming) -> None:
        await asyncio.to_thread(run, ledger, NO_OUTCOME)
        if refusal is not None:
            raise Refusal(refusal, "5.0.0 no")

    ledger.exchanges.queue(declaration("K1"), at=now())
    async with Receiver(take, hostname="gateway.example", mailboxes=["dms@htpoort.nl"]) as receiver:
        outbox = Outbox(server=server(receiver.port), retry_schedule=())
        with warned("Writing to the ledger failed") as trouble:
            async with Agent(ledger=ledger, router=router, outboxes=[outbox], timing=QUICK):
                async with asyncio.timeout(60):
                    await trouble.wait()
                during = await state_of(ledger, State.SENDING)
                await asyncio.to_thread(run, ledger, "DROP TRIGGER refuse")
                await state_of(ledger, after)

    assert State.SENDING is during


@pytest.mark.parametrize("fails", [0, 1], ids=["delivered", "not delivered"])
async def test_a_delivery_is_kept(ledger: Ledger, router: Router, *, fails: int) -> None:
    """The result of a delivery is recorded as soon as the ledger accepts it; the reply is not delivered again."""
    process = Process(fails=fails)

    async def deliver(taken: Reply) -> None:
        await asyncio.to_thread(run, ledger, NO_MARK)
        await process(taken)

    ledger.replies.take_in(router, reply("K1"), mail_from=None, at=now())
    patient = attrs.evolve(QUICK, redelivery_schedule=(timedelta(hours=1),))
    with warned("Writing to the ledger failed") as trouble:
        async with Agent(ledger=ledger, router=router, deliveries={"DMS": deliver}, timing=patient):
            async with asyncio.timeout(60):
                await trouble.wait()
            await asyncio.to_thread(run, ledger, "DROP TRIGGER refuse")
            await until(lambda: any(one.delivered or one.trouble for one in ledger.replies.listed()))

    (kept,) = ledger.replies.listed()
    assert (1, not fails, "ConnectionError: the process is away" if fails else "", 1 - fails) == (
        kept.attempts,
        kept.delivered is not None,
        kept.trouble,
        len(process.taken),
    )


async def test_a_text_that_cannot_be_stored(ledger: Ledger, router: Router) -> None:
    """If the database cannot store the text of the server, the outcome is recorded without it."""
    run(ledger, PLAIN_ONLY)

    async def gateway(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 gateway.example\r\n")
        answers = {b"EHLO": "250 gateway.example", b"DATA": "354 go", b".\r\n": "250 2.0.0 opgeslagen → wachtrij"}
        content = False
        talks.add(writer)
        while line := await reader.readline():
            if content and line != b".\r\n":
                continue
            answer = answers.get(line[:4].upper() if line != b".\r\n" else line, "250 ok")
            content = answer.startswith("354")
            writer.write(f"{answer}\r\n".encode())
        writer.close()
        await writer.wait_closed()
        talks.discard(writer)
        over.set()

    over, talks = asyncio.Event(), set[asyncio.StreamWriter]()
    ledger.exchanges.queue(declaration("K1"), at=now())
    async with await asyncio.start_server(gateway, "127.0.0.1", 0) as listening:
        outbox = Outbox(server=server(listening.sockets[0].getsockname()[1]))
        with warned("Recorded without its text") as left_out:
            async with Agent(ledger=ledger, router=router, outboxes=[outbox], timing=QUICK):
                after = await state_of(ledger, State.ACCEPTED, State.UNKNOWN)
        async with asyncio.timeout(60):
            await over.wait()

    assert not talks
    assert (State.ACCEPTED, True) == (after, left_out.is_set())
    assert "(the ledger could not store the text)" == ledger.story("K1")[0].entries[-1].detail


async def test_it_ends_anyway(ledger: Ledger, router: Router) -> None:
    """An outcome that the ledger never accepts does not stop the agent from ending; K1 is unknown then."""

    async def take(_incoming: Incoming) -> None:
        await asyncio.to_thread(run, ledger, NO_OUTCOME)

    ledger.exchanges.queue(declaration("K1"), at=now())
    hurried = attrs.evolve(QUICK, grace=timedelta(milliseconds=50))
    async with Receiver(take, hostname="gateway.example", mailboxes=["dms@htpoort.nl"]) as receiver:
        outbox = Outbox(server=server(receiver.port))
        with warned("Writing to the ledger failed") as trouble:
            async with asyncio.timeout(60), Agent(ledger=ledger, router=router, outboxes=[outbox], timing=hurried):
                await trouble.wait()
    await asyncio.to_thread(run, ledger, "DROP TRIGGER refuse")
    async with Agent(ledger=ledger, router=router, timing=QUICK):
        assert State.UNKNOWN is await state_of(ledger, State.UNKNOWN, State.ACCEPTED)
