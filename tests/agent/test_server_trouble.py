"""What the failures of a mail server mean for the message, and for the server."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable
from datetime import timedelta

import attrs
import pytest
from agents import PARTY, QUICK, declaration, now, server

from htpoort import Router, State
from htpoort._aio import ConcurrentExitStack
from htpoort.agent import Agent, Outbox, Timing
from htpoort.agent._context import WorkerContext
from htpoort.agent._routes import mail_route
from htpoort.agent.outbox import OutboxWorker
from htpoort.ledger import Ledger, PausedServer

PATIENT = (timedelta(hours=1),)
REFUSE = "CREATE TRIGGER refuse BEFORE INSERT ON htpoort_paused_servers WHEN {} BEGIN SELECT RAISE(ABORT, 'no'); END"


async def reached(ledger: Ledger, reference: str, *states: State) -> State:
    """Wait until an exchange has one of these states."""
    async with asyncio.timeout(60):
        while True:
            found = await asyncio.to_thread(ledger.exchanges.find, reference, party=PARTY)
            if found is not None and found.state in states:
                return found.state
            # Reading the ledger waits for another thread; a longer pause is not needed.
            await asyncio.sleep(0)


async def unless_gone(answer: Awaitable[bytes], reader: asyncio.StreamReader) -> bytes:
    """Return an answer, or nothing if the client leaves first; clients do not pipeline."""
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
    """Run a server that answers each line, and the content as ``.``; nothing closes the connection; yields its port."""
    talks: set[asyncio.Task[None]] = set()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        word = "connect"
        with contextlib.suppress(OSError, EOFError):
            while text := await unless_gone(answer(word), reader):
                writer.write(text)
                end = b"\r\n.\r\n" if text.startswith(b"354") else b"\r\n"
                line = (await reader.readuntil(end)).decode()
                word = "." if text.startswith(b"354") else line.split()[0]
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
    """Answer these commands as given, and the others as usual."""

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
    """A certain outcome is recorded as certain."""

    async def test_an_answer_out_of_step(self, ledger: Ledger, router: Router) -> None:
        """A stray 250 before the dot does not accept the message: it is sent again under the same K."""
        answers = {"DATA": b"354 go\r\n250 2.0.0 OK\r\n", ".": b"554 5.6.0 content rejected\r\n"}
        ledger.exchanges.queue(declaration("K1"), at=now())
        async with playing(always(**answers)) as port:
            outbox = Outbox(server=server(port), retry_schedule=PATIENT)
            async with Agent(ledger=ledger, router=router, outboxes=[outbox], timing=QUICK):
                state = await reached(ledger, "K1", State.DEFERRED, State.ACCEPTED, State.REFUSED, State.UNKNOWN)

        text = "lost: The server's answers are out of step; it sent this without being asked: 250 2.0.0 OK"
        assert (State.DEFERRED, text) == (state, ledger.story("K1")[0].entries[-1].detail)

    async def test_a_number_that_no_server_can_mean(self, ledger: Ledger, router: Router) -> None:
        """A SIZE with 5,000 digits breaks nothing: the declaration is sent."""
        ledger.exchanges.queue(declaration("K1"), at=now())
        async with playing(always(EHLO=b"250-hi\r\n250 SIZE " + b"9" * 5_000 + b"\r\n")) as port:
            outbox = Outbox(server=server(port), retry_schedule=PATIENT)
            async with Agent(ledger=ledger, router=router, outboxes=[outbox], timing=QUICK):
                state = await reached(ledger, "K1", State.ACCEPTED, State.DEFERRED, State.UNKNOWN)

        assert State.ACCEPTED == state

    async def test_what_breaks_before_the_content(
        self, ledger: Ledger, router: Router, caplog: pytest.LogCaptureFixture
    ) -> None:
        """An unexpected error before the content has begun is a deferral, never unknown."""
        async with playing(always()) as port:
            outbox = Outbox(server=server(port), retry_schedule=PATIENT, connections=1)
            agent = Agent(ledger=ledger, router=router, outboxes=[outbox], timing=QUICK)
            async with agent:
                # A sender that is closed while the agent uses it raises an unexpected error.
                await agent._connections.aclose()
                ledger.exchanges.queue(declaration("K1"), at=now())
                agent.wake()
                state = await reached(ledger, "K1", State.DEFERRED, State.UNKNOWN)

        entry = ledger.story("K1")[0].entries[-1]
        why = "an unexpected error while it was sent; the log of the agent shows it"
        assert (State.DEFERRED, why) == (state, entry.detail)
        assert "Sending K1 failed with an unexpected error" in caplog.messages


def pausing(*waits: float, login: float = 3_600) -> Timing:
    """Make the timing of an agent from pauses in seconds."""
    pauses = tuple(timedelta(seconds=wait) for wait in waits)
    return attrs.evolve(QUICK, pause_schedule=pauses, login_pause=timedelta(seconds=login))


async def paused_server(ledger: Ledger) -> PausedServer:
    """Wait until the ledger knows that a server is paused; return its status."""
    async with asyncio.timeout(60):
        while not (found := await asyncio.to_thread(ledger.servers.paused)):  # noqa: ASYNC110 - no event reports it
            await asyncio.sleep(0)
    return found[0]


def events(ledger: Ledger, reference: str) -> list[str]:
    """List the events of an exchange."""
    return [entry.event for entry in ledger.story(reference)[0].entries]


class TestServer:
    """If a server fails, it is paused, and no declaration loses an attempt."""

    async def test_a_limit_of_connections(self, ledger: Ledger, router: Router) -> None:
        """If a server accepts only two of four connections, these send everything, and nothing is deferred."""
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
            outbox = Outbox(server=server(port), connections=4, retry_schedule=PATIENT)
            async with Agent(ledger=ledger, router=router, outboxes=[outbox], timing=pausing(3_600)):
                for number in range(100):
                    await reached(ledger, f"K{number:02}", State.ACCEPTED, State.DEFERRED, State.REFUSED)
                trouble = await paused_server(ledger)

        assert {("DMS", State.ACCEPTED): 100} == ledger.status().exchanges
        assert not any("deferred" in events(ledger, f"K{number:02}") for number in range(100))
        assert 4 == len(taken)
        text = "deferred: 421 4.7.0 Too many concurrent connections"
        assert trouble.why in {f"{text} ({number} of 4 connections work)" for number in (1, 2)}

    async def test_a_limit_that_is_lifted(self, ledger: Ledger, router: Router) -> None:
        """A connection that is paused is tried again automatically, and then the server works."""
        taken: list[str] = []

        async def answer(word: str) -> bytes:
            if word == "connect":
                taken.append(word)
                if len(taken) in {2, 3}:
                    return b"421 4.7.0 Too many concurrent connections\r\n"
            return await usual(word)

        usual = always()
        async with playing(answer) as port:
            outbox = Outbox(server=server(port), connections=2, retry_schedule=PATIENT)
            async with (
                Agent(ledger=ledger, router=router, outboxes=[outbox], timing=pausing(0.02)),
                asyncio.timeout(60),
            ):
                number = 0
                while len(taken) < 4 or await asyncio.to_thread(ledger.servers.paused):
                    number += 2
                    for each in (number - 1, number):
                        ledger.exchanges.queue(declaration(f"K{each}"), at=now())
                    for each in (number - 1, number):
                        await reached(ledger, f"K{each}", State.ACCEPTED, State.DEFERRED)

        assert {("DMS", State.ACCEPTED): number} == ledger.status().exchanges

    @pytest.mark.parametrize(
        ("place", "text", "why"),
        [
            ("connect", b"554 5.3.2 No SMTP service here\r\n", "connect: 554 5.3.2 No SMTP service here"),
            ("EHLO", b"550 go away\r\n", "connect: 550 go away"),
            ("MAIL", b"530 5.7.0 Authentication required\r\n", "login: 530 5.7.0 Authentication required"),
            ("MAIL", b"421 4.3.2 closing\r\n", "deferred: 421 4.3.2 closing"),
        ],
    )
    async def test_a_server_that_accepts_no_mail(
        self, ledger: Ledger, router: Router, place: str, text: bytes, why: str
    ) -> None:
        """Fifty declarations wait, whatever their retry schedule, and are sent when the server accepts mail again."""
        up, tries, often = asyncio.Event(), list[str](), asyncio.Event()

        async def answer(word: str) -> bytes:
            if word != place or up.is_set():
                return await usual(word)
            tries.append(word)
            if len(tries) > 3:
                often.set()
            return text

        usual = always()
        for number in range(50):
            ledger.exchanges.queue_soon(declaration(f"K{number:02}"), at=now())
        async with playing(answer) as port:
            outbox = Outbox(server=server(port), retry_schedule=PATIENT)
            async with Agent(ledger=ledger, router=router, outboxes=[outbox], timing=pausing(0.01, login=0.01)):
                await often.wait()
                trouble, meanwhile = await paused_server(ledger), ledger.status()
                up.set()
                for number in range(50):
                    await reached(ledger, f"K{number:02}", State.ACCEPTED, State.REFUSED, State.DEFERRED)

        assert (f"SMTP 127.0.0.1:{port}", why) == (trouble.name, trouble.why)
        assert trouble.since < trouble.next_try
        assert {("DMS", State.QUEUED), ("DMS", State.SENDING)} >= set(meanwhile.exchanges)
        assert ({("DMS", State.ACCEPTED): 50}, ()) == (ledger.status().exchanges, ledger.servers.paused())

    async def test_a_wrong_password(self, ledger: Ledger, router: Router, caplog: pytest.LogCaptureFixture) -> None:
        """A wrong password causes one login, however many connections and declarations there are, and then a pause."""
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
            outbox = Outbox(server=target, connections=8, retry_schedule=PATIENT)
            async with Agent(ledger=ledger, router=router, outboxes=[outbox], timing=pausing(0.01)) as agent:
                trouble = await paused_server(ledger)
                agent.wake()
                await reached(ledger, "K00", State.QUEUED)

        assert (["AUTH"], f"SMTP 127.0.0.1:{port} as edi", "login: 535 5.7.8 wrong") == (
            logins,
            trouble.name,
            trouble.why,
        )
        assert timedelta(minutes=60) == trouble.next_try - trouble.since
        assert {("DMS", State.QUEUED): 60} == ledger.status().exchanges
        assert any(f"SMTP 127.0.0.1:{port} as edi is paused until" in message for message in caplog.messages)

    async def test_a_failing_server_costs_no_attempt(self, ledger: Ledger, router: Router) -> None:
        """A deferred declaration keeps its state and its schedule, after more attempts than the schedule has delays."""
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
            outbox = Outbox(server=server(port), retry_schedule=(timedelta(milliseconds=1),))
            async with Agent(ledger=ledger, router=router, outboxes=[outbox], timing=pausing(0.01)):
                state = await reached(ledger, "K1", State.ACCEPTED, State.FAILED)

        assert State.ACCEPTED == state
        assert "returned-to-queue" not in events(ledger, "K1")
        assert events(ledger, "K1").count("returned-to-retry") >= 3


def run(ledger: Ledger, statement: str) -> None:
    """Change the database, as an administrator with a shell could."""
    ledger.write_soon(lambda connection: connection.exec_driver_sql(statement) and None).result()


class Jumping(asyncio.SelectorEventLoop):
    """A loop whose clock can be set to a moment, and moves on after it was read once."""

    def __init__(self) -> None:
        super().__init__()
        self._ahead = 0.0
        self._first: float | None = None

    def time(self) -> float:
        """Return the time."""
        first, self._first = self._first, None
        if first is None:
            return super().time() + self._ahead
        return first

    def jump(self, before: float, after: float) -> None:
        """Return one moment for the next reading, and count on from another one afterwards."""
        self._ahead = after - super().time()
        self._first = before


def test_a_pause_that_ends_between_two_questions(ledger: Ledger, router: Router) -> None:
    """If a pause ends just when the outbox asks for it, the outbox tries again and does not wait forever."""

    async def main() -> list[str]:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, Jumping)
        listening = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
        port = listening.sockets[0].getsockname()[1]
        common = WorkerContext(ledger=ledger, router=router, owner="a", clock=now, timing=pausing(3_600))
        outgoing, connections = (
            OutboxWorker(common, mail_route(Outbox(server=server(port), connections=1), ("DMS",))),
            ConcurrentExitStack(),
        )
        await outgoing.open(connections)
        try:
            async with asyncio.TaskGroup() as group:
                await outgoing._send_due(group)
            over = outgoing._health._pause_end
            async with asyncio.TaskGroup() as group:
                # In one round of the loop, which reads the time itself only between two rounds.
                loop.call_soon(loop.jump, over - 0.001, over + 0.001)
                sending = group.create_task(outgoing._send_due(group))
                await asyncio.sleep(0)
                async with asyncio.timeout(30):
                    await sending
        finally:
            await connections.aclose()
            listening.close()
        return [entry.event for entry in ledger.story("K1")[0].entries]

    ledger.exchanges.queue(declaration("K1"), at=now())
    with asyncio.Runner(loop_factory=Jumping) as runner:
        happened = runner.run(main())

    assert ["queued", *("attempt-started", "returned-to-queue") * 2] == happened


class TestStatus:
    """The status of a server in the ledger, even if the ledger itself fails."""

    async def test_a_status_that_is_recorded_late(
        self, ledger: Ledger, router: Router, caplog: pytest.LogCaptureFixture
    ) -> None:
        """A pause that could not be recorded while it lasted is not recorded once the server works again."""
        run(ledger, REFUSE.format("TRUE"))
        up = asyncio.Event()

        async def answer(word: str) -> bytes:
            return b"421 4.3.2 closing\r\n" if word == "connect" and not up.is_set() else await usual(word)

        usual = always()
        ledger.exchanges.queue(declaration("K1"), at=now())
        async with playing(answer) as port:
            outbox = Outbox(server=server(port), connections=1)
            async with Agent(ledger=ledger, router=router, outboxes=[outbox], timing=pausing(0.01)):
                async with asyncio.timeout(60):
                    while not any("Writing to the ledger failed" in message for message in caplog.messages):  # noqa: ASYNC110 - no event reports it
                        await asyncio.sleep(0)
                up.set()
                await reached(ledger, "K1", State.ACCEPTED)
                await asyncio.to_thread(run, ledger, "DROP TRIGGER refuse")

        assert () == ledger.servers.paused()

    async def test_a_text_that_cannot_be_stored(self, ledger: Ledger, router: Router) -> None:
        """If the database cannot store the text of the server, the pause is recorded without it."""
        run(ledger, REFUSE.format("NEW.why GLOB '*[^ -~]*'"))
        ledger.exchanges.queue(declaration("K1"), at=now())
        async with playing(always(connect="421 4.3.2 vol → later\r\n".encode())) as port:
            outbox = Outbox(server=server(port), connections=1)
            async with Agent(ledger=ledger, router=router, outboxes=[outbox], timing=pausing(3_600)):
                trouble = await paused_server(ledger)

        assert (f"SMTP 127.0.0.1:{port}", "(the ledger could not store the text)") == (trouble.name, trouble.why)


class TestClosing:
    """The time limits of several connections do not add up."""

    async def test_a_server_that_does_not_answer_quit(self, ledger: Ledger, router: Router) -> None:
        """All connections are closed at the same time: the server gets QUIT on each before it answers one."""
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
