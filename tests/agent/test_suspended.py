"""An agent that was suspended for longer than its lease leaves alone what others may have claimed meanwhile."""

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

LONG = timedelta(minutes=2)  # the longest lease; the agent would shorten a longer one

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
        timing = Timing(poll_interval=timedelta(milliseconds=20))
        router = Router(parties=[sys.argv[3]])
        parts = {"ledger": ledger, "router": router, "deliveries": {"DMS": command}}
        async with Agent(**parts, timing=timing, clock=clock) as agent:
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, agent.stop)
            await agent.wait_for_stop_request()

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
    """SIGSTOP and SIGCONT, as sent by an operator or by a machine that sleeps."""

    async def test_begins_no_second_delivery(self, tmp_path: Path, ledger: Ledger, router: Router) -> None:
        """A command that runs on while its agent is suspended beyond its lease is not started a second time."""
        (tmp_path / "minutes").write_text("0")
        for name in ("K1", "K2"):
            os.mkfifo(tmp_path / name)
        ledger.replies.take_in(router, reply("K1"), mail_from=None, at=now())
        agent = await asyncio.create_subprocess_exec(sys.executable, "-c", AGENT, tmp_path, COMMAND, PARTY)
        async with asyncio.timeout(200):
            hold = await asyncio.to_thread((tmp_path / "K1").open, "w")
            # When it wakes, all its leases have expired.
            stopped(agent, lambda: ledger.replies.take_in(router, reply("K2"), mail_from=None, at=now()))
            (tmp_path / "minutes").write_text("10")
            agent.send_signal(signal.SIGCONT)
            # What is claimed now was claimed after the wake-up; K1 would come before it.
            await asyncio.to_thread((tmp_path / "K2").write_text, "")
            hold.close()
            await until(lambda: not ledger.status().undelivered)
            agent.terminate()
            assert 0 == await agent.wait()

        assert "K1\nK2\n" == (tmp_path / "begun").read_text()
        assert [1, 1] == [one.attempts for one in ledger.replies.listed()]


def stopped(agent: asyncio.subprocess.Process, write: Callable[[], object]) -> None:
    """Stop an agent, then write. An agent that was stopped in the middle of a commit continues and is stopped again."""
    while True:
        agent.send_signal(signal.SIGSTOP)
        try:
            write()
        except LedgerError:
            agent.send_signal(signal.SIGCONT)
        else:
            return


async def until(true: Callable[[], bool]) -> None:
    """Wait until a condition holds."""
    while not await asyncio.to_thread(true):
        pass  # each check waits for another thread


@attrs.define
class Thief:
    """Another agent that finds a lease expired at a moment that the test chooses, and the clock that shows it."""

    ledger: Ledger
    minutes: int = 0

    def clock(self) -> datetime:
        """Return the time."""
        return now() + timedelta(minutes=self.minutes)

    def reply(self) -> None:
        """Claim the reply, and move the clock past its first lease."""
        self.minutes = 10
        claim = self.ledger.replies.claim_soon("DMS", owner="other", most=1, at=self.clock(), lease=LONG)
        assert 1 == len(claim.result())

    def exchange(self) -> None:
        """Expire the exchange as if its worker were dead, and move the clock past its lease."""
        self.minutes = 10
        assert 1 == len(self.ledger.exchanges.expire_soon(at=self.clock()).result())


def events(ledger: Ledger, reference: str) -> list[str]:
    """List the events of an exchange or its reply."""
    return [entry.event for entry in ledger.story(reference)[0].entries]


class TestDelivering:
    """A reply that another agent has claimed is left to that agent."""

    async def test_before_it_begins(self, ledger: Ledger, router: Router, caplog: pytest.LogCaptureFixture) -> None:
        """An agent that was suspended between claim and delivery checks whether it still holds the reply."""
        process, other = Process(), Thief(ledger)
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

        prefix = f"Reply 1 of DMS for {PARTY} under K1 is left to another agent: "
        assert [f"{prefix}this agent was suspended, or lost its ledger, for longer than its lease"] == caplog.messages
        assert [] == ledger.replies.claim_soon("DMS", owner="third", most=9, at=other.clock(), lease=LONG).result()

    async def test_while_it_runs(
        self, ledger: Ledger, router: Router, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        """The command for a reply that another agent has claimed is killed, without a record; the new lease holds."""
        os.mkfifo(tmp_path / "fifo")
        command = CommandDelivery(("/bin/sh", "-c", 'exec 3>"$0"; echo $$ >&3; exec sleep 600', str(tmp_path / "fifo")))
        other = Thief(ledger)
        ledger.replies.take_in(router, reply("K1"), mail_from=None, at=now())
        deliveries, clock = {"DMS": command}, other.clock
        async with (
            asyncio.timeout(60),
            Agent(ledger=ledger, router=router, deliveries=deliveries, timing=QUICK, clock=clock),
        ):
            with await asyncio.to_thread((tmp_path / "fifo").open) as fifo:
                assert int(await asyncio.to_thread(fifo.readline))
                other.reply()
                # The pipe ends when the command ends.
                assert not await asyncio.to_thread(fifo.readline)

        prefix = f"Reply 1 of DMS for {PARTY} under K1 is left to another agent: "
        assert [f"{prefix}this agent was suspended, or lost its ledger, for longer than its lease"] == caplog.messages
        assert [] == ledger.replies.claim_soon("DMS", owner="third", most=9, at=other.clock(), lease=LONG).result()
        ledger.replies.mark_delivered_soon(1, at=now()).result()

    async def test_a_late_success(self, ledger: Ledger, router: Router) -> None:
        """A successful delivery is recorded whichever agent has the lease; a late failure does not change that."""
        other, hold = Thief(ledger), asyncio.Event()
        begun = asyncio.Semaphore(0)

        async def takes(taken: object) -> None:
            del taken
            begun.release()
            with contextlib.suppress(asyncio.CancelledError):  # it has already stored the reply
                await hold.wait()

        ledger.replies.take_in(router, reply("K1"), mail_from=None, at=now())
        deliveries, clock = {"DMS": takes}, other.clock
        async with Agent(ledger=ledger, router=router, deliveries=deliveries, timing=QUICK, clock=clock):
            async with asyncio.timeout(60):
                await begun.acquire()
                other.reply()
                await until(lambda: not ledger.status().undelivered)

        late = ledger.replies.mark_failed_soon(1, at=now(), due=now(), trouble="late", owner="other")
        late.result()
        (kept,) = ledger.replies.listed()
        assert (True, "") == (kept.delivered is not None, kept.trouble)

    async def test_still_held(self, ledger: Ledger, router: Router) -> None:
        """A clock that is ahead of every lease does not stop delivery."""
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
    """Run an SMTP server; yields its port and what came after the first DATA until the connection ended."""
    content: list[bytes] = []
    serving: set[asyncio.Task[None]] = set()
    first = True

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal first
        serving.add(cast("asyncio.Task[None]", asyncio.current_task()))
        writer.write(b"220 mail.customs.example\r\n")
        inside = False
        with contextlib.suppress(ConnectionError):  # the connection breaks in the middle
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
    """For an exchange that the agent no longer holds, no content is begun and no message is completed."""

    @pytest.mark.parametrize(("moment", "begun"), [(b"DATA", False), (b"XXXX", True)])
    async def test_before_the_content_and_before_the_dot(
        self, ledger: Ledger, router: Router, moment: bytes, *, begun: bool
    ) -> None:
        """Suspended after DATA or in the content, an agent closes the connection without the dot, and sends again."""
        other = Thief(ledger)

        def at(line: bytes) -> None:
            if moment in line and not other.minutes:
                other.exchange()

        # More than a socket buffers, so that the end is not yet sent when the server reads the beginning.
        small = declaration("K1")
        large = attrs.evolve(small, data=small.data + (b"x" * 70 + b"\r\n") * 150_000)
        ledger.exchanges.queue(large, at=now())
        async with lines(at) as (port, content):
            outbox = Outbox(server=server(port), connections=1)
            agent = Agent(ledger=ledger, router=router, outboxes=[outbox], timing=QUICK, clock=other.clock)
            async with asyncio.timeout(60), agent:
                await until(lambda: "accepted" in events(ledger, "K1"))

        assert ["queued", "attempt-started", "outcome-unknown", "deferred", "attempt-started", "accepted"] == events(
            ledger, "K1"
        )
        assert (begun, False) == (bool(content), b".\r\n" in content)

    async def test_what_it_holds_is_sent(self, ledger: Ledger, router: Router) -> None:
        """A clock that is ahead of every lease does not stop sending, and everything is sent once."""
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
