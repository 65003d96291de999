"""Delivery while a process hangs, takes no notice of its end, or raises what nobody thought of."""

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

IMPATIENT = attrs.evolve(QUICK, delivery=timedelta(milliseconds=50), redeliver=(timedelta(hours=1),))


def stored(ledger: Ledger, router: Router, *references: str) -> None:
    """Store a reply under each K."""
    for reference in references:
        ledger.replies.take_in(router, reply(reference), mail_from=None, at=now())


def failures(ledger: Ledger, reference: str) -> list[str]:
    """Tell why deliveries of a reply failed."""
    return [entry.detail for entry in ledger.story(reference)[0].entries if entry.event == "delivery-failed"]


async def undelivered(ledger: Ledger, expected: dict[str, int]) -> None:
    """Wait until so many replies of each system are not recorded as delivered."""
    async with asyncio.timeout(60):
        while (await asyncio.to_thread(ledger.status)).undelivered != expected:
            pass  # reading the ledger takes a turn of another thread


@attrs.define
class Hanging(Process):
    """A process that never comes back from some replies; it may take no notice of being told to end."""

    hang: frozenset[str] = frozenset()
    stubborn: bool = False
    hung: asyncio.Semaphore = attrs.field(factory=lambda: asyncio.Semaphore(0))
    told: asyncio.Semaphore = attrs.field(factory=lambda: asyncio.Semaphore(0))
    hold: asyncio.Event = attrs.field(factory=asyncio.Event)

    async def __call__(self, taken: Reply) -> None:
        """Take one reply, or hang."""
        while taken.reference in self.hang and not self.hold.is_set():
            self.hung.release()
            try:
                await self.hold.wait()
            except asyncio.CancelledError:
                self.told.release()
                if not self.stubborn:
                    raise
        await super().__call__(taken)


class TestHangs:
    """A delivery that does not return keeps one place, and that not for ever."""

    async def test_keeps_its_place_alone(self, ledger: Ledger, router: Router) -> None:
        """What comes after a reply whose delivery hangs is delivered to the same process meanwhile."""
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
        """After `timing.delivery` it is told to end, has failed, and is made again as the schedule says."""
        process = Hanging(hang=frozenset({"K1"}))
        stored(ledger, router, "K1")
        often = attrs.evolve(IMPATIENT, redeliver=(timedelta(milliseconds=1),))
        async with (
            Agent(ledger=ledger, router=router, deliveries={"DMS": process}, timing=often),
            asyncio.timeout(60),
        ):
            for _ in range(2):
                await process.told.acquire()
            process.hold.set()
            await process.has(1)

        why = "It took more than 0.05 s, and was told to end."
        assert f"TimeoutError: {why}" == failures(ledger, "K1")[0]
        assert f"Reply 1 of DMS for {PARTY} under K1 was not delivered: {why}" == caplog.messages[0]
        assert {} == ledger.status().undelivered

    async def test_more_than_there_are_places(self, ledger: Ledger, router: Router) -> None:
        """Forty that take no notice of being told to end keep no other reply from being delivered, nor the end."""
        references = [f"K{number}" for number in range(40)]
        process = Hanging(hang=frozenset(references), stubborn=True)
        stored(ledger, router, *references, "LAST")
        agent = Agent(ledger=ledger, router=router, deliveries={"DMS": process}, timing=IMPATIENT)
        agent._common.last = 0.05
        async with asyncio.timeout(60):
            async with agent:
                assert ["LAST"] == await process.has(1)
            hang = {task for task in asyncio.all_tasks() if task is not asyncio.current_task()}
            process.hold.set()
            await asyncio.wait(hang)

        assert {"DMS": 40} == ledger.status().undelivered

    async def test_keeps_no_agent_from_ending(self, ledger: Ledger, router: Router) -> None:
        """One that takes no notice is left behind after the time of grace; its reply waits for the next agent."""
        process = Hanging(hang=frozenset({"K1"}), stubborn=True)
        stored(ledger, router, "K1")
        hurried = attrs.evolve(QUICK, grace=timedelta(milliseconds=50))
        agent = Agent(ledger=ledger, router=router, deliveries={"DMS": process}, timing=hurried)
        agent._common.last = 0.05
        async with asyncio.timeout(60):
            async with agent:
                await process.hung.acquire()
            hang = {task for task in asyncio.all_tasks() if task is not asyncio.current_task()}
            process.hold.set()
            await asyncio.wait(hang)

        assert (1, {"DMS": 1}) == (len(hang), ledger.status().undelivered)

    async def test_a_command_is_killed_at_the_end(self, ledger: Ledger, router: Router, tmp_path: Path) -> None:
        """What an agent that must end has begun is over when it has ended, and no task is left."""
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

    async def test_a_dead_disk_is_nobody_elses(self, ledger: Ledger, router: Router, tmp_path: Path) -> None:
        """A Maildir of AGS on a disk that does not answer keeps back no reply of DMS, and no look-up of a name."""
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
                # Recorded before the end, whose time of grace is for AGS and may be too short for a commit.
                await undelivered(ledger, {"AGS": 40})
                await asyncio.get_running_loop().getaddrinfo("localhost", 25)

        assert {"AGS": 40} == ledger.status().undelivered

    def test_is_longer_than_a_command_may_take(self) -> None:
        """What has a time limit of its own tells its own failure."""
        own = max(CommandDelivery(("true",)).timeout, MaildirDelivery("m").timeout)
        assert own < Timing().delivery.total_seconds()


class UnspeakableError(Exception):
    """An error that cannot be told."""

    def __str__(self) -> str:
        message = "no words"
        raise ValueError(message)


class TestRaises:
    """Whatever a callable raises is its own reply's trouble."""

    @pytest.mark.parametrize(
        ("error", "told"),
        [
            (ValueError("cannot write /out/caf\udce9"), "ValueError: cannot write /out/caf"),
            (ValueError("a\0b\x1b[31m\r\n  c"), "ValueError: a b [31m c"),
            (ValueError("é€😀"), "ValueError: é€😀"),
            (ValueError("x" * 100_000), "ValueError: " + "x" * 988),
            (KeyError(), "KeyError:"),
            (asyncio.CancelledError("by somebody"), "CancelledError: The delivery gave itself up."),
        ],
        ids=["surrogate", "controls", "letters", "long", "nothing", "cancelled"],
    )
    async def test_is_told_in_print(self, ledger: Ledger, router: Router, error: BaseException, told: str) -> None:
        """The ledger holds one short line of printable characters, and the schedule holds."""
        dms = Process()

        async def raises(taken: Reply) -> None:
            if taken.reference == "K1":
                raise error
            await dms(taken)

        stored(ledger, router, "K1", "K2")
        timing = attrs.evolve(QUICK, redeliver=(timedelta(hours=1),))
        async with Agent(ledger=ledger, router=router, deliveries={"DMS": raises}, timing=timing):
            await dms.has(1)
        trouble = {one.reference: (one.attempts, one.trouble) for one in ledger.replies.listed()}

        assert {"K1": (1, told), "K2": (1, "")} == trouble
        assert [told] == failures(ledger, "K1")

    async def test_what_cannot_be_told(self, ledger: Ledger, router: Router, caplog: pytest.LogCaptureFixture) -> None:
        """A failure that cannot be recorded is logged, stops no other reply, and ends with the lease."""
        dms = Process()

        def clock() -> datetime:
            return time[-1]

        async def raises(taken: Reply) -> None:
            if taken.reference == "K1" and taken.attempts == 1:
                raise UnspeakableError
            await dms(taken)

        stored(ledger, router, "K1", "K2")
        time = [now()]
        async with Agent(ledger=ledger, router=router, deliveries={"DMS": raises}, timing=QUICK, clock=clock):
            assert ["K2"] == await dms.has(1)
            # No lease runs out before the test says so: what is only slow is not claimed a second time.
            await undelivered(ledger, {"DMS": 1})
            time.append(clock() + 2 * QUICK.lease)
            assert ["K2", "K1"] == await dms.has(2)

        assert "What became of reply 1 was not recorded" in caplog.messages


@attrs.define
class Tried(Process):
    """A process that can be tried out, and fails at it."""

    error: Exception = attrs.field(factory=Exception)
    asked: list[str] = attrs.field(factory=list[str])

    async def try_out(self, system: str) -> None:
        """Fail."""
        self.asked.append(system)
        raise self.error


class TestTriedOut:
    """Deliveries are tried before anything begins."""

    async def test_what_can_never_work(self, ledger: Ledger, router: Router, tmp_path: Path) -> None:
        """An agent does not start where a delivery can never succeed, and says so for all of them at once."""
        deliveries = {"DMS": MaildirDelivery("/proc/self/m"), "AGS": CommandDelivery((str(tmp_path / "absent"),))}
        with pytest.raises(InputError) as caught:
            async with Agent(ledger=ledger, router=router, deliveries=deliveries):
                pass
        assert [
            "Replies of DMS cannot be delivered to /proc/self/m: No such file or directory.",
            f"Replies of AGS cannot be delivered to {tmp_path}/absent: there is no such program that can be run.",
        ] == [problem.message for problem in caught.value.problems]
        with ledger.agent_lock():
            pass  # it was let go

    async def test_what_may_pass(self, ledger: Ledger, router: Router, caplog: pytest.LogCaptureFixture) -> None:
        """An agent starts where a delivery fails that may succeed later, says so, and delivers."""
        process = Tried(error=OSError("the disk\nis full"))
        stored(ledger, router, "K1")
        async with Agent(ledger=ledger, router=router, deliveries={"dms": process}, timing=QUICK):
            assert ["K1"] == await process.has(1)
        assert (["DMS"], ["Replies of DMS cannot be delivered now, and wait: the disk is full"]) == (
            process.asked,
            caplog.messages,
        )

    async def test_what_works(self, ledger: Ledger, router: Router, tmp_path: Path) -> None:
        """The program is not run, and the Maildir is ready and empty."""
        script = ("/bin/sh", "-c", f"touch {tmp_path}/ran")
        deliveries = {"DMS": MaildirDelivery(tmp_path / "m"), "AGS": CommandDelivery(script)}
        async with Agent(ledger=ledger, router=router, deliveries=deliveries, timing=QUICK):
            assert ["cur", "new", "tmp"] == sorted(path.name for path in (tmp_path / "m").rglob("*"))
        assert not (tmp_path / "ran").exists()
