"""Delivery to a process that hangs, ignores cancellation, or raises an unexpected error."""

from __future__ import annotations

import asyncio
import os
from datetime import datetime, timedelta
from pathlib import Path

import attrs
import pytest
from agents import PARTY, QUICK, Process, now, reply
from disk import hanging_disk

from htpoort import AGS, InputError, Router
from htpoort.agent import Agent, Timing
from htpoort.delivery import CommandDelivery, MaildirDelivery
from htpoort.ledger import Ledger, Reply

IMPATIENT = attrs.evolve(QUICK, delivery_timeout=timedelta(milliseconds=50), redelivery_schedule=(timedelta(hours=1),))


def stored(ledger: Ledger, router: Router, *references: str) -> None:
    """Store a reply under each K."""
    for reference in references:
        ledger.replies.take_in(router, reply(reference), mail_from=None, at=now())


def failures(ledger: Ledger, reference: str) -> list[str]:
    """Return the reasons why deliveries of a reply failed."""
    return [entry.detail for entry in ledger.story(reference)[0].entries if entry.event == "delivery-failed"]


async def undelivered(ledger: Ledger, expected: dict[str, int]) -> None:
    """Wait until this many replies of each system are undelivered."""
    async with asyncio.timeout(60):
        while (await asyncio.to_thread(ledger.status)).undelivered != expected:
            pass  # reading the ledger waits for another thread


@attrs.define
class Hanging(Process):
    """A process that never returns from some replies; it may ignore its cancellation."""

    hang: frozenset[str] = frozenset()
    stubborn: bool = False
    hung: asyncio.Semaphore = attrs.field(factory=lambda: asyncio.Semaphore(0))
    cancelled: asyncio.Semaphore = attrs.field(factory=lambda: asyncio.Semaphore(0))
    hold: asyncio.Event = attrs.field(factory=asyncio.Event)

    async def __call__(self, taken: Reply) -> None:
        """Take one reply, or hang."""
        while taken.reference in self.hang and not self.hold.is_set():
            self.hung.release()
            try:
                await self.hold.wait()
            except asyncio.CancelledError:
                self.cancelled.release()
                if not self.stubborn:
                    raise
        await super().__call__(taken)


class TestHangs:
    """A delivery that does not return takes one place, for a limited time."""

    async def test_keeps_its_place_alone(self, ledger: Ledger, router: Router) -> None:
        """While the delivery of one reply hangs, later replies are delivered to the same process."""
        process = Hanging(hang=frozenset({"K1"}))
        stored(ledger, router, "K1")
        async with (
            Agent(ledger=ledger, router=router, deliveries={"DMS": process}, timing=QUICK),
            asyncio.timeout(60),
        ):
            await process.hung.acquire()
            stored(ledger, router, "K2", "K3")
            assert {"K2", "K3"} == set(await process.has(2))
            process.hold.set()

        assert {} == ledger.status().undelivered

    async def test_has_a_time_limit(self, ledger: Ledger, router: Router, caplog: pytest.LogCaptureFixture) -> None:
        """After `timing.delivery_timeout` it it is cancelled, has failed, and is repeated by the schedule."""
        process = Hanging(hang=frozenset({"K1"}))
        stored(ledger, router, "K1")
        often = attrs.evolve(IMPATIENT, redelivery_schedule=(timedelta(milliseconds=1),))
        async with (
            Agent(ledger=ledger, router=router, deliveries={"DMS": process}, timing=often),
            asyncio.timeout(60),
        ):
            for _ in range(2):
                await process.cancelled.acquire()
            process.hold.set()
            await process.has(1)

        why = "It took more than 0.05 s and was cancelled."
        assert why == failures(ledger, "K1")[0]
        assert f"Reply 1 of DMS for {PARTY} under K1 was not delivered: {why}" == caplog.messages[0]
        assert {} == ledger.status().undelivered

    async def test_more_than_there_are_places(self, ledger: Ledger, router: Router) -> None:
        """Forty deliveries that ignore their cancellation stop neither other replies nor the end of the agent."""
        references = [f"K{number}" for number in range(40)]
        process = Hanging(hang=frozenset(references), stubborn=True)
        stored(ledger, router, *references, "LAST")
        agent = Agent(ledger=ledger, router=router, deliveries={"DMS": process}, timing=IMPATIENT)
        agent._context.final_seconds = 0.05
        async with asyncio.timeout(60):
            async with agent:
                assert ["LAST"] == await process.has(1)
            hang = {task for task in asyncio.all_tasks() if task is not asyncio.current_task()}
            process.hold.set()
            await asyncio.wait(hang)

        assert {"DMS": 40} == ledger.status().undelivered

    async def test_does_not_stop_the_agent_from_ending(self, ledger: Ledger, router: Router) -> None:
        """A delivery that ignores its cancellation is left behind in the end; its reply waits for the next agent."""
        process = Hanging(hang=frozenset({"K1"}), stubborn=True)
        stored(ledger, router, "K1")
        hurried = attrs.evolve(QUICK, grace=timedelta(milliseconds=50))
        agent = Agent(ledger=ledger, router=router, deliveries={"DMS": process}, timing=hurried)
        agent._context.final_seconds = 0.05
        async with asyncio.timeout(60):
            async with agent:
                await process.hung.acquire()
            hang = {task for task in asyncio.all_tasks() if task is not asyncio.current_task()}
            process.hold.set()
            await asyncio.wait(hang)

        assert (1, {"DMS": 1}) == (len(hang), ledger.status().undelivered)

    async def test_a_command_is_killed_at_the_end(self, ledger: Ledger, router: Router, tmp_path: Path) -> None:
        """When an agent has ended, the commands that it started have ended too, and no task is left."""
        mark = tmp_path / "pid"
        os.mkfifo(mark)
        command = CommandDelivery(("/bin/sh", "-c", 'echo $$ > "$0"; exec sleep 600', str(mark)))
        stored(ledger, router, "K1")
        hurried = attrs.evolve(QUICK, grace=timedelta(milliseconds=50))
        async with asyncio.timeout(60):
            async with Agent(ledger=ledger, router=router, deliveries={"DMS": command}, timing=hurried):
                pid = int(await asyncio.to_thread(mark.read_text))

        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
        assert [] == [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]

    async def test_a_dead_disk_delays_no_other(self, ledger: Ledger, router: Router, tmp_path: Path) -> None:
        """A Maildir of AGS on a disk that hangs delays no reply of DMS, and no look-up of a host name."""
        for number in range(40):
            ledger.replies.take_in(router, reply(f"K{number}", AGS), mail_from=None, at=now())
        dead, good = MaildirDelivery(tmp_path / "dead"), MaildirDelivery(tmp_path / "good")
        dms = Process()

        async def both(taken: Reply) -> None:
            await good(taken)
            await dms(taken)

        with hanging_disk(tmp_path / "dead") as hung:
            async with (
                asyncio.timeout(60),
                Agent(
                    ledger=ledger,
                    router=router,
                    deliveries={"AGS": dead, "DMS": both},
                    timing=attrs.evolve(QUICK, grace=timedelta(milliseconds=50)),
                ),
            ):
                await asyncio.to_thread(hung.acquire)
                stored(ledger, router, "K1")
                assert ["K1"] == await dms.has(1)
                # Recorded before the end: the grace period is spent on AGS, and may be too short for a commit.
                await undelivered(ledger, {"AGS": 40})
                await asyncio.get_running_loop().getaddrinfo("localhost", 25)

        assert {"AGS": 40} == ledger.status().undelivered

    def test_is_longer_than_a_command_may_take(self) -> None:
        """The timeouts of commands and Maildirs are shorter, so that their own errors are reported."""
        own = max(CommandDelivery(("true",)).timeout, MaildirDelivery("m").timeout)
        assert own < Timing().delivery_timeout.total_seconds()


class UnprintableError(Exception):
    """An error that cannot be printed."""

    def __str__(self) -> str:
        message = "no words"
        raise ValueError(message)


class TestRaises:
    """An error that a callable raises concerns its own reply only."""

    @pytest.mark.parametrize(
        ("error", "expected"),
        [
            (ValueError("cannot write /out/caf\udce9"), "ValueError: cannot write /out/caf"),
            (ValueError("a\0b\x1b[31m\r\n  c"), "ValueError: a b [31m c"),
            (ValueError("é€😀"), "ValueError: é€😀"),
            (ValueError("x" * 100_000), "ValueError: " + "x" * 988),
            (KeyError(), "KeyError:"),
            (asyncio.CancelledError("from inside"), "The delivery cancelled itself."),
        ],
        ids=["surrogate", "controls", "letters", "long", "nothing", "cancelled"],
    )
    async def test_is_printable(self, ledger: Ledger, router: Router, error: BaseException, expected: str) -> None:
        """The ledger stores one short, printable line, and the schedule is followed."""
        dms = Process()

        async def raises(taken: Reply) -> None:
            if taken.reference == "K1":
                raise error
            await dms(taken)

        stored(ledger, router, "K1", "K2")
        timing = attrs.evolve(QUICK, redelivery_schedule=(timedelta(hours=1),))
        async with Agent(ledger=ledger, router=router, deliveries={"DMS": raises}, timing=timing):
            await dms.has(1)
        trouble = {one.reference: (one.attempts, one.trouble) for one in ledger.replies.listed()}

        assert {"K1": (1, expected), "K2": (1, "")} == trouble
        assert [expected] == failures(ledger, "K1")

    async def test_what_cannot_be_recorded(
        self, ledger: Ledger, router: Router, caplog: pytest.LogCaptureFixture
    ) -> None:
        """A failure that cannot be recorded is logged, stops no other reply, and lasts no longer than the lease."""
        dms = Process()

        def clock() -> datetime:
            return time[-1]

        async def raises(taken: Reply) -> None:
            if taken.reference == "K1" and taken.attempts == 1:
                raise UnprintableError
            await dms(taken)

        stored(ledger, router, "K1", "K2")
        time = [now()]
        async with Agent(ledger=ledger, router=router, deliveries={"DMS": raises}, timing=QUICK, clock=clock):
            assert ["K2"] == await dms.has(1)
            # No lease runs out before the test moves the clock, so what is only slow is not claimed twice.
            await undelivered(ledger, {"DMS": 1})
            time.append(clock() + 2 * QUICK.lease)
            assert ["K2", "K1"] == await dms.has(2)

        assert f"The outcome of delivering reply 1 of DMS for {PARTY} under K1 was not recorded" in caplog.messages


@attrs.define
class FailingSelfTest(Process):
    """A process with a self-test that fails."""

    error: Exception = attrs.field(factory=Exception)
    asked: list[str] = attrs.field(factory=list[str])

    async def self_test(self, system: str) -> None:
        """Fail."""
        self.asked.append(system)
        raise self.error


class TestSelfTest:
    """Deliveries are tested before anything starts."""

    async def test_what_can_never_work(self, ledger: Ledger, router: Router, tmp_path: Path) -> None:
        """An agent does not start if a delivery can never succeed; all such deliveries are reported at once."""
        deliveries = {"DMS": MaildirDelivery("/proc/self/m"), "AGS": CommandDelivery((str(tmp_path / "absent"),))}
        with pytest.raises(InputError) as caught:
            async with Agent(ledger=ledger, router=router, deliveries=deliveries):
                pass
        assert [
            "Replies of DMS cannot be delivered to /proc/self/m: No such file or directory.",
            f"Replies of AGS cannot be delivered to {tmp_path}/absent: there is no such executable program.",
        ] == [problem.message for problem in caught.value.problems]
        with ledger.agent_lock():
            pass  # the lock was released

    async def test_what_may_pass(self, ledger: Ledger, router: Router, caplog: pytest.LogCaptureFixture) -> None:
        """If a delivery fails but may succeed later, the agent starts, logs this, and delivers."""
        process = FailingSelfTest(error=OSError("the disk\nis full"))
        stored(ledger, router, "K1")
        async with Agent(ledger=ledger, router=router, deliveries={"dms": process}, timing=QUICK):
            assert ["K1"] == await process.has(1)
        assert (["DMS"], ["Replies of DMS cannot be delivered now, and wait: the disk is full"]) == (
            process.asked,
            caplog.messages,
        )

    async def test_what_works(self, ledger: Ledger, router: Router, tmp_path: Path) -> None:
        """The self-test does not run the program, and leaves the Maildir ready and empty."""
        script = ("/bin/sh", "-c", f"touch {tmp_path}/ran")
        deliveries = {"DMS": MaildirDelivery(tmp_path / "m"), "AGS": CommandDelivery(script)}
        async with Agent(ledger=ledger, router=router, deliveries=deliveries, timing=QUICK):
            assert ["cur", "new", "tmp"] == sorted(path.name for path in (tmp_path / "m").rglob("*"))
        assert not (tmp_path / "ran").exists()
