"""
Hold what the parts of an agent share, and how they wait.

Never does: work of its own.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta
from typing import Final, Generic, TypeVar, cast, final

import attrs

from htpoort.agent._leases import Leases
from htpoort.agent.settings import Timing
from htpoort.errors import HtpoortError, LedgerError
from htpoort.ledger import Ledger
from htpoort.routing import Router

T = TypeVar("T")

LOG: Final = logging.getLogger("htpoort.agent")
LEFT_OUT: Final = "(the ledger could not store what was said)"
"""In the place of a text that the ledger did not take."""


@final
@attrs.frozen
class _Done(Generic[T]):
    """What the ledger gave back."""

    result: T


@final
@attrs.define(kw_only=True, eq=False)
class Common:
    """
    Share ledger, router, clock and the sign to stop.

    Args:
        ledger: Open.
        router: Its *sent* is the ledger's.
        owner: The name of this agent's leases, its own among all agents of the ledger.
        clock: Gives the time, aware.
        timing: How long to wait.
        stopping: Set when the agent is to end.
        under_way: Leases of the exchanges that are being sent, by number.
        delivering: Leases of the replies that are being delivered, by number.
        late: Whether the time of grace is over; then nothing is tried again.
        last: Seconds after the time of grace, for what is still written or ended.
    """

    ledger: Ledger
    router: Router
    owner: str
    clock: Callable[[], datetime]
    timing: Timing
    stopping: asyncio.Event = attrs.field(factory=asyncio.Event)
    under_way: Leases = attrs.field(init=False)
    delivering: Leases = attrs.field(init=False)
    late: bool = False
    last: float = 5.0
    chance: random.Random = attrs.field(factory=random.SystemRandom)

    def __attrs_post_init__(self) -> None:
        exchanges, replies = self.ledger.exchanges.renew_soon, self.ledger.replies.renew_soon
        owner, length, clock = self.owner, self.timing.lease, self.clock
        self.under_way = Leases(length, clock, lambda keys, until: exchanges(keys, owner=owner, until=until))
        self.delivering = Leases(length, clock, lambda keys, until: replies(keys, owner=owner, until=until))

    async def written(self, submit: Callable[[], Future[T]], *, bare: Callable[[], Future[T]] | None = None) -> T:
        """
        Write what has happened until the ledger takes it, whatever the error, or until the time of grace is over.

        What was handed over stays so if the caller has to end: it has happened.

        Args:
            submit: Hands it to the ledger.
            bare: Hands the same over without its free text, for a database that cannot store that.
        """
        while True:
            trouble = await self._attempt(submit)
            if isinstance(trouble, _Done):
                return trouble.result
            passing = isinstance(trouble, TimeoutError) or (isinstance(trouble, LedgerError) and trouble.retryable)
            if bare is not None and not passing:
                without = await self._attempt(bare)
                if isinstance(without, _Done):
                    LOG.error("Recorded without its text, which the ledger did not take: %s", trouble)
                    return without.result
            if self.late:
                raise trouble
            known = isinstance(trouble, HtpoortError)
            LOG.error("The ledger has trouble: %s", trouble, exc_info=None if known else trouble)
            await self.pause(self.timing.again)

    async def _attempt(self, submit: Callable[[], Future[T]]) -> _Done[T] | Exception:
        """Hand something to the ledger; gives what became of it."""
        try:
            async with self.limited():
                return _Done(await asyncio.shield(asyncio.wrap_future(submit())))
        except Exception as error:  # noqa: BLE001 - the fact is kept, whatever was wrong with its record
            return error

    def limited(self) -> asyncio.Timeout:
        """Limit what is awaited after the time of grace, so that no ledger keeps the agent from ending."""
        return asyncio.timeout(self.last if self.late else None)

    async def pause(self, time: timedelta) -> None:
        """Wait, but not longer than until the sign to stop; afterwards just give others their turn."""
        if self.stopping.is_set():
            await asyncio.sleep(min(time.total_seconds(), 0.1))
            return
        await self.woken(self.stopping, time)

    @staticmethod
    async def woken(sign: asyncio.Event, time: timedelta) -> None:
        """Wait for a sign, but not longer than a time."""
        try:
            async with asyncio.timeout(time.total_seconds()):
                await sign.wait()
        except TimeoutError:
            pass


@final
class Together:
    """Hold contexts that are left at the same time, so that the limits of many do not add up."""

    def __init__(self) -> None:
        self._open: list[AbstractAsyncContextManager[object]] = []

    async def enter(self, context: AbstractAsyncContextManager[T]) -> T:
        """Enter one more."""
        entered = await context.__aenter__()  # noqa: PLC2801 - it is left together with others
        self._open.append(context)
        return entered

    async def aclose(self) -> None:
        """Leave all of them; cancelled meanwhile, each is still begun to be left, and cancelled in its turn."""
        contexts, self._open = self._open, []
        begun: set[asyncio.Task[None]] = set()
        cancelled = False

        async def leave(context: AbstractAsyncContextManager[object]) -> None:
            task = cast("asyncio.Task[None]", asyncio.current_task())
            begun.add(task)
            if cancelled:
                # Only now: a task that is cancelled before its first step does none of it.
                task.cancel()
            await context.__aexit__(None, None, None)

        tasks = [asyncio.create_task(leave(context)) for context in contexts]
        while pending := {task for task in tasks if not task.done()}:
            try:
                await asyncio.wait(pending)
            except asyncio.CancelledError:
                cancelled = True
                for task in pending & begun:
                    task.cancel()
        if cancelled:
            raise asyncio.CancelledError
        for task in tasks:
            task.result()


async def forever(
    what: str, common: Common, turn: Callable[[], Awaitable[None]], *, until: asyncio.Event | None = None
) -> None:
    """
    Take turns until a sign, that to stop if none is given; a turn that fails is told, and is no reason to stop.

    Trouble of the ledger or of a library must not end a worker that is to run for a year.
    """
    sign = common.stopping if until is None else until
    while not sign.is_set():
        try:
            await turn()
        except LedgerError as error:
            LOG.error("%s: %s", what, error)  # noqa: TRY400 - the sentence says what to do
            await common.pause(common.timing.again)
        except Exception:
            LOG.exception("%s: an error that should not be", what)
            await common.pause(common.timing.again)
