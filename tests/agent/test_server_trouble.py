"""What a mail server does beside the dialogue: what it means for the message, and for the server."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable
from datetime import timedelta

import attrs
import pytest
from agents import PARTY, QUICK, declaration, now, server

from htpoort import Router
from htpoort.agent import Agent, Outbox, Timing
from htpoort.agent._common import Common, Together
from htpoort.agent._sending import Outgoing
from htpoort.exchange import State
from htpoort.ledger import Ledger, Resting

PATIENT = (timedelta(hours=1),)
REFUSE = "CREATE TRIGGER refuse BEFORE INSERT ON htpoort_resting WHEN {} BEGIN SELECT RAISE(ABORT, 'no'); END"


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


def resting(*waits: float, login: float = 3_600) -> Timing:
    """Say how long a server rests, in seconds."""
    pauses = tuple(timedelta(seconds=wait) for wait in waits)
    return attrs.evolve(QUICK, rest=pauses, rest_login=timedelta(seconds=login))


async def in_trouble(ledger: Ledger) -> Resting:
    """Wait until the ledger knows that a server rests; gives what it says."""
    async with asyncio.timeout(60):
        while not (found := await asyncio.to_thread(ledger.servers.resting)):  # noqa: ASYNC110 - no event tells of it
            await asyncio.sleep(0)
    return found[0]


def events(ledger: Ledger, reference: str) -> list[str]:
    """List what happened to an exchange."""
    return [entry.event for entry in ledger.story(reference)[0].entries]


class TestServer:
    """Trouble with a server is the server's: it rests, and no declaration loses an attempt by that."""

    async def test_a_limit_of_connections(self, ledger: Ledger, router: Router) -> None:
        """Where a server takes two connections of four, these send everything, and nothing is deferred."""
        taken: list[str] = []

        async def answer(word: str) -> bytes:
            if word == "connect":
                taken.append(word)
                if len(taken) > 2:
                    return b"421 4.7.0 Too many concurrent connections\r\n"
            return await usual(word)

        usual = always()
        for number in range(100):
            ledger.exchanges.queue_soon(declaration(f"K{number:02}"), at=now())
        async with playing(answer) as port:
            outbox = Outbox(server=server(port), connections=4, schedule=PATIENT)
            async with Agent(ledger=ledger, router=router, outboxes=[outbox], timing=resting(3_600)):
                for number in range(100):
                    await reached(ledger, f"K{number:02}", State.ACCEPTED, State.DEFERRED, State.REFUSED)
                trouble = await in_trouble(ledger)

        assert {("DMS", State.ACCEPTED): 100} == ledger.status().exchanges
        assert not any("deferred" in events(ledger, f"K{number:02}") for number in range(100))
        assert 4 == len(taken)
        said = "deferred: 421 4.7.0 Too many concurrent connections"
        assert trouble.why in {f"{said} ({number} of 4 connections work)" for number in (1, 2)}

    async def test_a_limit_that_is_lifted(self, ledger: Ledger, router: Router) -> None:
        """A connection that rests is tried again by itself, and then the trouble is over."""
        taken: list[str] = []

        async def answer(word: str) -> bytes:
            if word == "connect":
                taken.append(word)
                if len(taken) in {2, 3}:
                    return b"421 4.7.0 Too many concurrent connections\r\n"
            return await usual(word)

        usual = always()
        async with playing(answer) as port:
            outbox = Outbox(server=server(port), connections=2, schedule=PATIENT)
            async with (
                Agent(ledger=ledger, router=router, outboxes=[outbox], timing=resting(0.02)),
                asyncio.timeout(60),
            ):
                number = 0
                while len(taken) < 4 or await asyncio.to_thread(ledger.servers.resting):
                    number += 2
                    for each in (number - 1, number):
                        ledger.exchanges.queue(declaration(f"K{each}"), at=now())
                    for each in (number - 1, number):
                        await reached(ledger, f"K{each}", State.ACCEPTED, State.DEFERRED)

        assert {("DMS", State.ACCEPTED): number} == ledger.status().exchanges

    @pytest.mark.parametrize(
        ("place", "said", "why"),
        [
            ("connect", b"554 5.3.2 No SMTP service here\r\n", "connect: 554 5.3.2 No SMTP service here"),
            ("EHLO", b"550 go away\r\n", "connect: 550 go away"),
            ("MAIL", b"530 5.7.0 Authentication required\r\n", "login: 530 5.7.0 Authentication required"),
            ("MAIL", b"421 4.3.2 closing\r\n", "deferred: 421 4.3.2 closing"),
        ],
    )
    async def test_a_server_that_takes_no_mail(
        self, ledger: Ledger, router: Router, place: str, said: bytes, why: str
    ) -> None:
        """Fifty declarations wait, whatever their retry schedule, and go when the server takes mail again."""
        up, tries, often = asyncio.Event(), list[str](), asyncio.Event()

        async def answer(word: str) -> bytes:
            if word != place or up.is_set():
                return await usual(word)
            tries.append(word)
            if len(tries) > 3:
                often.set()
            return said

        usual = always()
        for number in range(50):
            ledger.exchanges.queue_soon(declaration(f"K{number:02}"), at=now())
        async with playing(answer) as port:
            outbox = Outbox(server=server(port), schedule=PATIENT)
            async with Agent(ledger=ledger, router=router, outboxes=[outbox], timing=resting(0.01, login=0.01)):
                await often.wait()
                trouble, meanwhile = await in_trouble(ledger), ledger.status()
                up.set()
                for number in range(50):
                    await reached(ledger, f"K{number:02}", State.ACCEPTED, State.REFUSED, State.DEFERRED)

        assert (f"SMTP 127.0.0.1:{port}", why) == (trouble.name, trouble.why)
        assert trouble.since < trouble.next_try
        assert {("DMS", State.QUEUED), ("DMS", State.SENDING)} >= set(meanwhile.exchanges)
        assert ({("DMS", State.ACCEPTED): 50}, ()) == (ledger.status().exchanges, ledger.servers.resting())

    async def test_a_wrong_password(self, ledger: Ledger, router: Router, caplog: pytest.LogCaptureFixture) -> None:
        """A refused login makes one login, however many connections and declarations there are, and then a rest."""
        logins: list[str] = []

        async def answer(word: str) -> bytes:
            if word == "AUTH":
                logins.append(word)
                return b"535 5.7.8 wrong\r\n"
            return await usual(word)

        usual = always(EHLO=b"250-hi\r\n250 AUTH PLAIN\r\n")
        for number in range(60):
            ledger.exchanges.queue_soon(declaration(f"K{number:02}"), at=now())
        async with playing(answer) as port:
            target = attrs.evolve(server(port), username="edi", password="geheim")
            outbox = Outbox(server=target, connections=8, schedule=PATIENT)
            async with Agent(ledger=ledger, router=router, outboxes=[outbox], timing=resting(0.01)) as agent:
                trouble = await in_trouble(ledger)
                agent.wake()
                await reached(ledger, "K00", State.QUEUED)

        assert (["AUTH"], f"SMTP 127.0.0.1:{port} as edi", "login: 535 5.7.8 wrong") == (
            logins,
            trouble.name,
            trouble.why,
        )
        assert timedelta(minutes=60) == trouble.next_try - trouble.since
        assert {("DMS", State.QUEUED): 60} == ledger.status().exchanges
        assert any(f"SMTP 127.0.0.1:{port} as edi rests until" in message for message in caplog.messages)

    async def test_trouble_costs_no_attempt(self, ledger: Ledger, router: Router) -> None:
        """One that was deferred waits as deferred, and has its schedule still, after more tries than that is long."""
        phases = [b"451 later\r\n"]
        down: list[bool] = []

        async def answer(word: str) -> bytes:
            if word == "." and phases:
                down.append(True)
                return phases.pop()
            if word in {"MAIL", "connect"} and down and len(down) < 9:
                down.append(True)
                return b"421 4.3.2 closing\r\n"
            return await usual(word)

        usual = always()
        ledger.exchanges.queue(declaration("K1"), at=now())
        async with playing(answer) as port:
            outbox = Outbox(server=server(port), schedule=(timedelta(milliseconds=1),))
            async with Agent(ledger=ledger, router=router, outboxes=[outbox], timing=resting(0.01)):
                state = await reached(ledger, "K1", State.ACCEPTED, State.FAILED)

        assert State.ACCEPTED == state
        assert "returned-to-queue" not in events(ledger, "K1")
        assert events(ledger, "K1").count("returned-to-retry") >= 3


def run(ledger: Ledger, statement: str) -> None:
    """Change the database, as a person with a shell does."""
    ledger.soon(lambda connection: connection.exec_driver_sql(statement) and None).result()


class Jumping(asyncio.SelectorEventLoop):
    """A loop whose clock can be put to a moment, and moves from there when it was asked once."""

    def __init__(self) -> None:
        super().__init__()
        self._ahead = 0.0
        self._first: float | None = None

    def time(self) -> float:
        """Give the time."""
        first, self._first = self._first, None
        if first is None:
            return super().time() + self._ahead
        return first

    def jump(self, before: float, after: float) -> None:
        """Let the next question get a moment, and the questions after it what comes from another one on."""
        self._ahead = after - super().time()
        self._first = before


def test_a_pause_that_ends_between_two_questions(ledger: Ledger, router: Router) -> None:
    """An outbox whose pause is over just when it asks for it tries again, and does not wait for ever."""

    async def main() -> list[str]:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, Jumping)
        listening = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
        port = listening.sockets[0].getsockname()[1]
        common = Common(ledger=ledger, router=router, owner="a", clock=now, timing=resting(3_600))
        outgoing, connections = Outgoing(common, Outbox(server=server(port), connections=1), ("DMS",)), Together()
        await outgoing.open(connections)
        try:
            async with asyncio.TaskGroup() as group:
                await outgoing._turn(group)
            over = outgoing._health._until
            async with asyncio.TaskGroup() as group:
                # In one round of the loop, which asks for the time itself only between the rounds.
                loop.call_soon(loop.jump, over - 0.001, over + 0.001)
                turn = group.create_task(outgoing._turn(group))
                await asyncio.sleep(0)
                async with asyncio.timeout(30):
                    await turn
        finally:
            await connections.aclose()
            listening.close()
        return [entry.event for entry in ledger.story("K1")[0].entries]

    ledger.exchanges.queue(declaration("K1"), at=now())
    with asyncio.Runner(loop_factory=Jumping) as runner:
        happened = runner.run(main())

    assert ["queued", *("attempt-started", "returned-to-queue") * 2] == happened


class TestNoted:
    """What the ledger notes of a server, whatever trouble it has itself."""

    async def test_a_note_that_comes_late(
        self, ledger: Ledger, router: Router, caplog: pytest.LogCaptureFixture
    ) -> None:
        """A rest that could not be noted while it lasted is not noted when the server works again."""
        run(ledger, REFUSE.format("TRUE"))
        up = asyncio.Event()

        async def answer(word: str) -> bytes:
            return b"421 4.3.2 closing\r\n" if word == "connect" and not up.is_set() else await usual(word)

        usual = always()
        ledger.exchanges.queue(declaration("K1"), at=now())
        async with playing(answer) as port:
            outbox = Outbox(server=server(port), connections=1)
            async with Agent(ledger=ledger, router=router, outboxes=[outbox], timing=resting(0.01)):
                async with asyncio.timeout(60):
                    while not any("The ledger has trouble" in message for message in caplog.messages):  # noqa: ASYNC110 - no event reports it
                        await asyncio.sleep(0)
                up.set()
                await reached(ledger, "K1", State.ACCEPTED)
                await asyncio.to_thread(run, ledger, "DROP TRIGGER refuse")

        assert () == ledger.servers.resting()

    async def test_a_text_that_cannot_be_stored(self, ledger: Ledger, router: Router) -> None:
        """A database that does not take what the server said notes the rest without it."""
        run(ledger, REFUSE.format("NEW.why GLOB '*[^ -~]*'"))
        ledger.exchanges.queue(declaration("K1"), at=now())
        async with playing(always(connect="421 4.3.2 vol → later\r\n".encode())) as port:
            outbox = Outbox(server=server(port), connections=1)
            async with Agent(ledger=ledger, router=router, outboxes=[outbox], timing=resting(3_600)):
                trouble = await in_trouble(ledger)

        assert (f"SMTP 127.0.0.1:{port}", "(the ledger could not store what was said)") == (trouble.name, trouble.why)


class TestClosing:
    """The limits of many connections do not add up."""

    async def test_a_server_that_does_not_answer_quit(self, ledger: Ledger, router: Router) -> None:
        """All connections are closed at the same time: a server hears QUIT on each before it answers one."""
        number = 20
        begun, leaving = asyncio.Barrier(number), asyncio.Barrier(number)
        together: list[int] = []

        async def answer(word: str) -> bytes:
            if word == ".":
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
