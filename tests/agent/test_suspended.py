"""An agent that was suspended for longer than its lease: what others may have taken up meanwhile is theirs."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import cast

import attrs
import pytest
from agents import PARTY, QUICK, Process, declaration, now, reply, server

from htpoort import LedgerError, Router
from htpoort.agent import Agent, Outbox
from htpoort.delivery import CommandDelivery
from htpoort.ledger import Ledger
from htpoort.simulator import Gateway

LONG = timedelta(minutes=2)  # as long as any lease; a longer one would not be believed

AGENT = """
import asyncio, signal, sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from htpoort import LedgerError, Router
from htpoort.agent import Agent, Timing
from htpoort.delivery import CommandDelivery
from htpoort.ledger import Ledger

folder = Path(sys.argv[1])

def clock():
    return datetime.now(UTC) + timedelta(minutes=int((folder / "minutes").read_text()))

async def main():
    with Ledger.open(f"sqlite:///{folder}/htpoort.db") as ledger:
        command = CommandDelivery((sys.executable, "-S", "-E", "-c", sys.argv[2], str(folder)))
        timing = Timing(poll=timedelta(milliseconds=20))
        router = Router(parties=[sys.argv[3]], sent=ledger.sent)
        parts = {"ledger": ledger, "router": router, "deliveries": {"DMS": command}}
        async with Agent(**parts, timing=timing, clock=clock) as agent:
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, agent.stop)
            await agent.stopped()

asyncio.run(main())
"""
COMMAND = """
import os, sys
with open(f"{sys.argv[1]}/begun", "a") as file:
    print(os.environ["HTPOORT_REFERENCE"], file=file)
open(f"{sys.argv[1]}/{os.environ['HTPOORT_REFERENCE']}").read()
"""
"""A command that notes which reply it begins with, and ends when the test lets it."""


class TestStopped:
    """SIGSTOP and SIGCONT, as an operator or the system's suspension does it."""

    async def test_begins_no_second_delivery(self, tmp_path: Path, ledger: Ledger, router: Router) -> None:
        """A command that runs on while its agent is suspended beyond the lease is not started a second time."""
        (tmp_path / "minutes").write_text("0")
        for name in ("K1", "K2"):
            os.mkfifo(tmp_path / name)
        ledger.replies.take_in(router, reply("K1"), mail_from=None, at=now())
        agent = await asyncio.create_subprocess_exec(sys.executable, "-c", AGENT, tmp_path, COMMAND, PARTY)
        async with asyncio.timeout(200):
            hold = await asyncio.to_thread((tmp_path / "K1").open, "w")
            # By the time it wakes, every lease that it had is over.
            stopped(agent, lambda: ledger.replies.take_in(router, reply("K2"), mail_from=None, at=now()))
            (tmp_path / "minutes").write_text("10")
            agent.send_signal(signal.SIGCONT)
            # What is claimed now was claimed after the wake-up, and K1 would be before it.
            await asyncio.to_thread((tmp_path / "K2").write_text, "")
            hold.close()
            await until(lambda: not ledger.status().undelivered)
            agent.terminate()
            assert 0 == await agent.wait()

        assert "K1\nK2\n" == (tmp_path / "begun").read_text()
        assert [1, 1] == [one.attempts for one in ledger.replies.listed()]


def stopped(agent: asyncio.subprocess.Process, write: Callable[[], object]) -> None:
    """Stop an agent and write; one that is stopped in the middle of a commit goes on, and is stopped again."""
    while True:
        agent.send_signal(signal.SIGSTOP)
        try:
            write()
        except LedgerError:
            agent.send_signal(signal.SIGCONT)
        else:
            return


async def until(true: Callable[[], bool]) -> None:
    """Wait until something is so."""
    while not await asyncio.to_thread(true):
        pass  # each look takes a turn of another thread


@attrs.define
class Steals:
    """Another agent, that takes a lease for over at a moment of the test's choice; and the clock that shows it."""

    ledger: Ledger
    minutes: int = 0

    def clock(self) -> datetime:
        """Give the time."""
        return now() + timedelta(minutes=self.minutes)

    def reply(self) -> None:
        """Take up the reply, and let the time of its first lease be over."""
        self.minutes = 10
        claim = self.ledger.replies.claim_soon("DMS", owner="other", most=1, at=self.clock(), lease=LONG)
        assert 1 == len(claim.result())

    def exchange(self) -> None:
        """Find an exchange whose worker seems dead, and let the time of its lease be over."""
        self.minutes = 10
        assert 1 == len(self.ledger.exchanges.expire_soon(at=self.clock()).result())


def events(ledger: Ledger, reference: str) -> list[str]:
    """Give what happened to an exchange or its reply."""
    return [entry.event for entry in ledger.story(reference)[0].entries]


class TestDelivering:
    """A reply that another agent has taken up is left to it."""

    async def test_before_it_begins(self, ledger: Ledger, router: Router, caplog: pytest.LogCaptureFixture) -> None:
        """Suspended between its claim and its delivery, an agent asks whether the reply is still its own."""
        process, other = Process(), Steals(ledger)
        stolen: list[int] = []

        def clock() -> datetime:
            if not stolen and [1] == [one.attempts for one in ledger.replies.listed()]:
                stolen.append(1)
                other.reply()
            return other.clock()

        ledger.replies.take_in(router, reply("K1"), mail_from=None, at=now())
        async with Agent(ledger=ledger, router=router, deliveries={"DMS": process}, timing=QUICK, clock=clock):
            await until(lambda: bool(stolen))
            ledger.replies.take_in(router, reply("K2"), mail_from=None, at=now())
            assert ["K2"] == await process.has(1)

        told = f"Reply 1 of DMS for {PARTY} under K1 is left to another agent: "
        assert [f"{told}this one was suspended for longer than its lease"] == caplog.messages
        assert [] == ledger.replies.claim_soon("DMS", owner="third", most=9, at=other.clock(), lease=LONG).result()

    async def test_while_it_runs(
        self, ledger: Ledger, router: Router, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        """A command that runs for another agent's reply is killed; nothing is recorded, and the other's lease holds."""
        os.mkfifo(tmp_path / "fifo")
        command = CommandDelivery(("/bin/sh", "-c", 'exec 3>"$0"; echo $$ >&3; exec sleep 600', str(tmp_path / "fifo")))
        other = Steals(ledger)
        ledger.replies.take_in(router, reply("K1"), mail_from=None, at=now())
        deliveries, clock = {"DMS": command}, other.clock
        async with (
            asyncio.timeout(60),
            Agent(ledger=ledger, router=router, deliveries=deliveries, timing=QUICK, clock=clock),
        ):
            with await asyncio.to_thread((tmp_path / "fifo").open) as fifo:
                assert int(await asyncio.to_thread(fifo.readline))
                other.reply()
                # The end of the pipe is the end of the command.
                assert not await asyncio.to_thread(fifo.readline)

        told = f"Reply 1 of DMS for {PARTY} under K1 is left to another agent: "
        assert [f"{told}this one was suspended for longer than its lease"] == caplog.messages
        assert [] == ledger.replies.claim_soon("DMS", owner="third", most=9, at=other.clock(), lease=LONG).result()
        ledger.replies.delivered_soon(1, at=now()).result()

    async def test_what_it_has_delivered(self, ledger: Ledger, router: Router) -> None:
        """That a delivery succeeded is recorded, whoever has the lease; a late failure changes nothing about that."""
        other, hold = Steals(ledger), asyncio.Event()
        begun = asyncio.Semaphore(0)

        async def takes(taken: object) -> None:
            del taken
            begun.release()
            with contextlib.suppress(asyncio.CancelledError):  # it has stored the reply already
                await hold.wait()

        ledger.replies.take_in(router, reply("K1"), mail_from=None, at=now())
        deliveries, clock = {"DMS": takes}, other.clock
        async with Agent(ledger=ledger, router=router, deliveries=deliveries, timing=QUICK, clock=clock):
            async with asyncio.timeout(60):
                await begun.acquire()
                other.reply()
                await until(lambda: not ledger.status().undelivered)

        late = ledger.replies.not_delivered_soon(1, at=now(), due=now(), trouble="late", owner="other")
        late.result()
        (kept,) = ledger.replies.listed()
        assert (True, "") == (kept.delivered is not None, kept.trouble)

    async def test_still_its_own(self, ledger: Ledger, router: Router) -> None:
        """A clock that is ahead of every lease is no reason to deliver nothing."""
        process, time = Process(), [now()]

        def clock() -> datetime:
            time.append(time[-1] + timedelta(minutes=10))
            return time[-1]

        for name in ("K1", "K2", "K3"):
            ledger.replies.take_in(router, reply(name), mail_from=None, at=now())
        async with Agent(ledger=ledger, router=router, deliveries={"DMS": process}, timing=QUICK, clock=clock):
            assert {"K1", "K2", "K3"} == set(await process.has(3))
        assert {} == ledger.status().undelivered


@asynccontextmanager
async def lines(at: Callable[[bytes], object]) -> AsyncGenerator[tuple[int, list[bytes]]]:
    """Serve SMTP by answering lines; gives its port, and what came after the first DATA until the connection ended."""
    content: list[bytes] = []
    serving: set[asyncio.Task[None]] = set()
    first = True

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal first
        serving.add(cast("asyncio.Task[None]", asyncio.current_task()))
        writer.write(b"220 mail.customs.example\r\n")
        inside = False
        with contextlib.suppress(ConnectionError):  # it is broken off in the middle
            while line := await reader.readline():
                at(line.upper())
                if inside:
                    if first:
                        content.append(line)
                    if line == b".\r\n":
                        inside = False
                        writer.write(b"250 taken\r\n")
                    continue
                inside = line.upper() == b"DATA\r\n"
                writer.write(b"354 go on\r\n" if inside else b"250 yes\r\n")
        first = False
        writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield listening.sockets[0].getsockname()[1], content
    finally:
        await asyncio.gather(*serving)
        listening.close()
        await listening.wait_closed()


class TestSending:
    """No content begins, and no message ends, for an exchange that is not ours any more."""

    @pytest.mark.parametrize(("moment", "begun"), [(b"DATA", False), (b"XXXX", True)])
    async def test_before_the_content_and_before_the_dot(
        self, ledger: Ledger, router: Router, moment: bytes, *, begun: bool
    ) -> None:
        """Suspended after DATA, or in the content, an agent ends the connection without the dot; then it sends anew."""
        other = Steals(ledger)

        def at(line: bytes) -> None:
            if moment in line and not other.minutes:
                other.exchange()

        # More than a socket takes at once, so that the end is not sent when the server reads the beginning.
        small = declaration("K1")
        large = attrs.evolve(small, data=small.data + (b"x" * 70 + b"\r\n") * 150_000)
        ledger.exchanges.queue(large, at=now())
        async with lines(at) as (port, content):
            outbox = Outbox(server=server(port), connections=1)
            agent = Agent(ledger=ledger, router=router, outboxes=[outbox], timing=QUICK, clock=other.clock)
            async with asyncio.timeout(60), agent:
                await until(lambda: "accepted" in events(ledger, "K1"))

        assert ["queued", "attempt-started", "connection-lost", "deferred", "attempt-started", "accepted"] == events(
            ledger, "K1"
        )
        assert (begun, False) == (bool(content), b".\r\n" in content)

    async def test_its_own_is_sent(self, ledger: Ledger, router: Router) -> None:
        """A clock that is ahead of every lease keeps nothing from being sent, once."""
        time = [now()]

        def clock() -> datetime:
            time.append(time[-1] + timedelta(minutes=1))
            return time[-1]

        ledger.exchanges.queue(declaration("K1"), at=now())
        async with Gateway() as gateway:
            outbox = Outbox(server=server(gateway.smtp_port))
            async with (
                asyncio.timeout(60),
                Agent(ledger=ledger, router=router, outboxes=[outbox], timing=QUICK, clock=clock),
            ):
                await until(lambda: "accepted" in events(ledger, "K1"))
        assert ["queued", "attempt-started", "accepted"] == events(ledger, "K1")
