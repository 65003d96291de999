"""
Deliver replies to the process of their system.

Never does: give a reply up, or let one system's trouble wait upon another's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from concurrent.futures import Future
from typing import Final, final

from htpoort.agent._common import LEFT_OUT, LOG, Common, forever
from htpoort.delivery import Delivery, SelfTesting, redeliver_after
from htpoort.errors import InputError, Problem
from htpoort.ledger import Reply

_MOST: Final = 16  # replies at once to one process; one that hangs keeps its place until its time is over
_SHOWN: Final = 1_000  # characters of what was the matter: more than a command may tell
_TRIAL: Final = 10.0  # seconds at the start for the trial of all deliveries; a dead disk may wait for its mount


async def try_out(deliveries: Iterable[Delivering]) -> None:
    """
    Try all deliveries that can be tried.

    Raises:
        InputError: Some can never succeed as they are; has the problems of all of them.
    """
    found = await asyncio.gather(*(one.tried_out() for one in deliveries))
    if problems := tuple(problem for some in found for problem in some):
        raise InputError("", problems)


@final
class Delivering:
    """
    Deliver the replies of one system.

    Args:
        common: What the parts of an agent share.
        system: Its name.
        delivery: Where its replies go.
    """

    def __init__(self, common: Common, system: str, delivery: Delivery[Reply]) -> None:
        self._common = common
        self._system = system
        self._delivery = delivery
        self._free = _MOST
        self._given: set[asyncio.Task[None]] = set()
        self._running: dict[int, asyncio.Task[None]] = {}
        self._lost: set[int] = set()
        self.wake = asyncio.Event()
        """Set when a reply was stored."""

    async def tried_out(self) -> tuple[Problem, ...]:
        """Try it, where that can be done; gives what makes every delivery fail, and logs what may pass."""
        delivery: object = self._delivery
        if not isinstance(delivery, SelfTesting):
            return ()
        try:
            async with asyncio.timeout(_TRIAL):
                await delivery.try_out(self._system)
        except InputError as error:
            return error.problems
        except Exception as error:  # noqa: BLE001 - the other systems are served, and this one when it can be
            why = _printable(str(error)) or type(error).__name__
            LOG.warning("Replies of %s cannot be delivered now, and wait: %s", self._system, why)
        return ()

    async def run(self) -> None:
        """Deliver until the sign to stop; then end what is under way."""
        try:
            async with asyncio.TaskGroup() as group:
                await forever(f"delivery of {self._system}", self._common, lambda: self._turn(group))
        finally:
            await self._ended()

    def lose(self, key: int) -> None:
        """End a delivery whose reply another agent has taken up meanwhile."""
        if (task := self._running.get(key)) is not None:
            self._lost.add(key)
            task.cancel()

    async def _turn(self, group: asyncio.TaskGroup) -> None:
        """Claim for every place that is free, and deliver each reply by itself."""
        common, most = self._common, self._free
        self.wake.clear()
        if not most:
            await self.wake.wait()
            return
        under_way = common.delivering.keys
        claimed = await common.delivering.claimed(
            lambda at: common.ledger.replies.claim_soon(
                self._system, owner=common.owner, most=most, at=at, lease=common.timing.lease, without=under_way
            )
        )
        for reply in claimed:
            self._free -= 1
            group.create_task(self._deliver(reply))
        if len(claimed) < most:
            await common.woken(self.wake, common.timing.poll)

    async def _deliver(self, reply: Reply) -> None:
        """Deliver one reply; marked only afterwards, so that a crash in between delivers it again."""
        try:
            # Another agent may be at it, where this one was suspended since it took the reply up.
            held = await self._common.delivering.hold(reply.key)
            await self._record(reply, await self._tried(reply) if held else _LostError())
        except Exception:  # noqa: BLE001 - told with its traceback; the other replies go on
            # The lease runs out, and the reply is delivered again.
            LOG.exception("What became of reply %d was not recorded", reply.key)
        finally:
            self._common.delivering.let_go(reply)
            self._lost.discard(reply.key)
            if not self._free:
                self.wake.set()
            self._free += 1

    async def _tried(self, reply: Reply) -> BaseException | None:
        """Make one attempt within its time; gives what was the matter, None where it is delivered."""
        limit = self._common.timing.delivery.total_seconds()
        task = asyncio.create_task(self._give(reply))
        self._given.add(task)
        self._running[reply.key] = task
        try:
            # A task of its own: one that takes no notice of being told to end keeps nobody waiting.
            await asyncio.wait({task}, timeout=limit)
            if not task.done():
                return TimeoutError(f"It took more than {limit:g} s, and was told to end.")
            if task.cancelled() and reply.key in self._lost:
                return _LostError()
            if task.cancelled():
                return asyncio.CancelledError("The delivery gave itself up.")
            return task.exception()
        finally:
            del self._running[reply.key]
            task.cancel()
            task.add_done_callback(self._over)

    async def _give(self, reply: Reply) -> None:
        await self._delivery(reply)

    def _over(self, task: asyncio.Task[None]) -> None:
        """Forget a delivery that has ended; what comes of one that was given up is of no account."""
        self._given.discard(task)
        if not task.cancelled():
            task.exception()

    async def _ended(self) -> None:
        """Wait for what was told to end, as a command that is killed; not for ever."""
        # Each was told once, by whoever waited for it; told again, it would not end what it has begun.
        if self._given:
            await asyncio.wait(self._given, timeout=self._common.last)

    async def _record(self, reply: Reply, error: BaseException | None) -> None:
        """Mark a reply as delivered, or as not delivered this time."""
        common, replies, at = self._common, self._common.ledger.replies, self._common.clock()
        facts = (reply.key, self._system, reply.party, reply.reference)
        if error is None:
            LOG.info("Reply %d of %s for %s under %s was delivered", *facts)
            await common.written(lambda: replies.delivered_soon(reply.key, at=at))
            return
        if isinstance(error, _LostError):
            LOG.warning("Reply %d of %s for %s under %s is left to another agent: %s", *facts, error)
            return
        LOG.warning("Reply %d of %s for %s under %s was not delivered: %s", *facts, _printable(str(error)))
        trouble = _printable(f"{type(error).__name__}: {error}")
        due = at + redeliver_after(reply.attempts, schedule=common.timing.redeliver, jitter=common.chance.random())

        def mark(why: str) -> Future[None]:
            return replies.not_delivered_soon(reply.key, at=at, due=due, trouble=why, owner=common.owner)

        await common.written(lambda: mark(trouble), bare=lambda: mark(LEFT_OUT))


@final
class _LostError(Exception):
    """A reply that is not ours any more."""

    def __str__(self) -> str:
        return "this one was suspended for longer than its lease"


def _printable(text: str) -> str:
    """Give a text on one line that every ledger takes: without NUL, and without half a character."""
    line = "".join(character if character.isprintable() else " " for character in text[:_SHOWN])
    return " ".join(line.split())
