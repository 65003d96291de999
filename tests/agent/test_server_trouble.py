"""What a mail server does beside the dialogue: what it means for the message, and for the server."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable
from datetime import timedelta

import pytest
from agents import PARTY, QUICK, declaration, now, server

from htpoort import Router
from htpoort.agent import Agent, Outbox
from htpoort.exchange import State
from htpoort.ledger import Ledger

PATIENT = (timedelta(hours=1),)


async def reached(ledger: Ledger, reference: str, *states: State) -> State:
    """Wait until an exchange is in one of some states."""
    async with asyncio.timeout(60):
        while True:
            found = await asyncio.to_thread(ledger.exchanges.find, PARTY, reference)
            if found is not None and found.state in states:
                return found.state
            # Reading the ledger takes a turn of another thread; nothing else is waited for.
            await asyncio.sleep(0)


async def unless_gone(answer: Awaitable[bytes], reader: asyncio.StreamReader) -> bytes:
    """Give an answer, or nothing where the client leaves before it is ready; clients do not send ahead."""
    answering = asyncio.ensure_future(answer)
    leaving = asyncio.ensure_future(reader.read(1))
    try:
        await asyncio.wait([answering, leaving], return_when=asyncio.FIRST_COMPLETED)
        return answering.result() if answering.done() else b""
    finally:
        for task in (answering, leaving):
            task.cancel()
        await asyncio.gather(answering, leaving, return_exceptions=True)


@contextlib.asynccontextmanager
async def playing(answer: Callable[[str], Awaitable[bytes]]) -> AsyncGenerator[int]:
    """Run a server that gives an answer to each line, ``.`` to the content; nothing closes; gives its port."""
    talks: set[asyncio.Task[None]] = set()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        word = "connect"
        with contextlib.suppress(OSError, EOFError):
            while said := await unless_gone(answer(word), reader):
                writer.write(said)
                end = b"\r\n.\r\n" if said.startswith(b"354") else b"\r\n"
                line = (await reader.readuntil(end)).decode()
                word = "." if said.startswith(b"354") else line.split()[0]
        writer.transport.abort()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talks.add(task := asyncio.create_task(talk(reader, writer)))
        await asyncio.wait([task])
        writer.transport.abort()

    listening = await asyncio.start_server(connected, "127.0.0.1", 0)
    try:
        yield listening.sockets[0].getsockname()[1]
    finally:
        listening.close()
        for task in talks:
            task.cancel()
        await asyncio.gather(*talks, return_exceptions=True)
        await asyncio.sleep(0)


def always(**answers: bytes) -> Callable[[str], Awaitable[bytes]]:
    """Answer each word as given, and the others as usual."""

    async def answer(word: str) -> bytes:
        await asyncio.sleep(0)
        return answers.get(word) or USUAL.get(word, b"250 ok\r\n")

    return answer


USUAL = {
    "connect": b"220 hi\r\n",
    "EHLO": b"250 hi\r\n",
    "DATA": b"354 go on\r\n",
    ".": b"250 2.0.0 queued\r\n",
    "QUIT": b"221 bye\r\n",
}


class TestMeaning:
    """What is certain is recorded as certain."""

    async def test_an_answer_out_of_step(self, ledger: Ledger, router: Router) -> None:
        """A stray 250 before the dot accepts nothing: the message was not taken, and is tried again under its K."""
        answers = {"DATA": b"354 go\r\n250 2.0.0 OK\r\n", ".": b"554 5.6.0 content rejected\r\n"}
        ledger.exchanges.queue(declaration("K1"), at=now())
        async with playing(always(**answers)) as port:
            outbox = Outbox(server=server(port), schedule=PATIENT)
            async with Agent(ledger=ledger, router=router, outboxes=[outbox], timing=QUICK):
                state = await reached(ledger, "K1", State.DEFERRED, State.ACCEPTED, State.REFUSED, State.UNKNOWN)

        said = "lost: The server's answers are out of step; it sent this without a question: 250 2.0.0 OK"
        assert (State.DEFERRED, said) == (state, ledger.story("K1")[0].entries[-1].detail)

    async def test_a_number_that_no_server_can_mean(self, ledger: Ledger, router: Router) -> None:
        """SIZE with 5,000 digits breaks nothing: the declaration is sent."""
        ledger.exchanges.queue(declaration("K1"), at=now())
        async with playing(always(EHLO=b"250-hi\r\n250 SIZE " + b"9" * 5_000 + b"\r\n")) as port:
            outbox = Outbox(server=server(port), schedule=PATIENT)
            async with Agent(ledger=ledger, router=router, outboxes=[outbox], timing=QUICK):
                state = await reached(ledger, "K1", State.ACCEPTED, State.DEFERRED, State.UNKNOWN)

        assert State.ACCEPTED == state

    async def test_what_breaks_before_the_content(
        self, ledger: Ledger, router: Router, caplog: pytest.LogCaptureFixture
    ) -> None:
        """An error that should not be, before content has begun, is deferred and never unknown."""
        async with playing(always()) as port:
            outbox = Outbox(server=server(port), schedule=PATIENT, connections=1)
            agent = Agent(ledger=ledger, router=router, outboxes=[outbox], timing=QUICK)
            async with agent:
                # A sender that is closed while the agent uses it raises what nobody expects.
                await agent._connections.aclose()
                ledger.exchanges.queue(declaration("K1"), at=now())
                agent.wake()
                state = await reached(ledger, "K1", State.DEFERRED, State.UNKNOWN)

        entry = ledger.story("K1")[0].entries[-1]
        assert (State.DEFERRED, "RuntimeError while it was sent") == (state, entry.detail)
        assert "Sending K1 broke off with an error that should not be" in caplog.messages


class TestClosing:
    """The limits of many connections do not add up."""

    async def test_a_server_that_does_not_answer_quit(self, ledger: Ledger, router: Router) -> None:
        """All connections are closed at the same time: a server hears QUIT on each before it answers one."""
        number = 20
        begun, leaving = asyncio.Barrier(number), asyncio.Barrier(number)
        together: list[int] = []

        async def answer(word: str) -> bytes:
            if word == "MAIL":
                await begun.wait()
            if word == "QUIT":
                await leaving.wait()
                together.append(number)
            return await usual(word)

        usual = always()
        for each in range(number):
            ledger.exchanges.queue(declaration(f"K{each}"), at=now())
        async with playing(answer) as port:
            outbox = Outbox(server=server(port), connections=number)
            async with Agent(ledger=ledger, router=router, outboxes=[outbox], timing=QUICK):
                for each in range(number):
                    await reached(ledger, f"K{each}", State.ACCEPTED)

        assert [number] * number == together
