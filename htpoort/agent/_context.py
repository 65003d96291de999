"""
What the workers of an agent share.

`WorkerContext` has ledger, clock and stop event; `Leases` has the work that the agent holds.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Future
from datetime import datetime, timedelta
from typing import Final, Generic, Protocol, TypeVar, final

import attrs

from htpoort._aio import run_in_thread
from htpoort._log import Exchange, event
from htpoort.agent.metrics import LEDGER_ERRORS, Metrics, NoMetrics
from htpoort.agent.settings import Timing
from htpoort.core.errors import HtpoortError, LedgerError
from htpoort.core.routing import Router
from htpoort.ledger import Claimed, Ledger, PausedServer, Reply

T = TypeVar("T")

LOG: Final = logging.getLogger("htpoort.agent")
UNKNOWN: Final = logging.getLogger("htpoort.agent.unknown")
"""Logs what may have been sent; a program that reports at its end what is still unknown sets its level."""
OMITTED: Final = "(the ledger could not store the text)"
"""Takes the place of a text that the ledger refuses."""


class _Keyed(Protocol):
    @property
    def key(self) -> int: ...


Work = TypeVar("Work", bound=_Keyed)


@final
class Leases(Generic[Work]):
    """
    The leases of one kind of work: declarations that are being sent, or replies that are being delivered.

    A lease is never trusted after its end: the process may be suspended between any two lines.

    Args:
        length: How long a lease lasts.
        clock: Returns the current time, aware.
        renew: Renews the leases of these keys in the ledger until a moment, as far as they are still held here;
            returns how many are.
    """

    def __init__(
        self,
        length: timedelta,
        clock: Callable[[], datetime],
        renew: Callable[[Sequence[int], datetime], Future[int]],
    ) -> None:
        self._length = length
        self._clock = clock
        self._renew = renew
        self._until: dict[int, datetime] = {}
        self._claimed: dict[int, Work] = {}
        self._claiming: list[datetime] = []

    @property
    def keys(self) -> tuple[int, ...]:
        """The keys that are held. Only their leases are renewed, so work that could not be recorded is abandoned."""
        return tuple(self._until)

    @property
    def work(self) -> tuple[Work, ...]:
        """The work that is held."""
        return tuple(self._claimed.values())

    async def claim(self, claim: Callable[[datetime], Future[list[Work]]]) -> list[Work]:
        """
        Claim work from the ledger.

        Args:
            claim: Asks the ledger; called with the current time.

        Returns:
            The work that is held from now on.

        Raises:
            LedgerError: The ledger could not be asked.
        """
        at = self._clock()
        self._claiming.append(at)
        try:
            claimed = await asyncio.wrap_future(claim(at))
            self._until |= {work.key: at + self._length for work in claimed}
            self._claimed |= {work.key: work for work in claimed}
        finally:
            self._claiming.remove(at)
        return claimed

    def expiry_time(self) -> datetime:
        """Return the latest time at which no lease that is being claimed here has expired."""
        return min((self._clock(), *self._claiming))

    def drop(self, work: _Keyed) -> None:
        """Forget work that is done, unless the same key has been claimed again meanwhile."""
        if self._claimed.get(work.key) is work:
            del self._claimed[work.key], self._until[work.key]

    async def holds(self, key: int) -> bool:
        """
        Check whether this agent still holds a lease.

        Until the lease ends, no other agent can have it. Afterwards the ledger decides, which costs a commit.

        Raises:
            LedgerError: The ledger could not be asked.
        """
        # A lease that ends too late was claimed while the clock was ahead: only the ledger knows.
        until, now = self._until.get(key), self._clock()
        return (until is not None and now < until <= now + self._length) or await self._renewed((key,))

    async def renew_and_list_lost(self) -> list[int]:
        """
        Renew all leases, and find those that were lost.

        Returns:
            The keys that another agent has by now.

        Raises:
            LedgerError: The leases could not be renewed.
        """
        keys = self.keys
        if not keys or await self._renewed(keys):
            return []
        held = [key for key in keys if key in self._until and await self._renewed((key,))]
        return [key for key in keys if key in self._until and key not in held]

    async def _renewed(self, keys: Sequence[int]) -> bool:
        """Renew some leases; return whether all of them were held."""
        until = self._clock() + self._length
        if await asyncio.wrap_future(self._renew(keys, until)) < len(keys):
            return False
        self._until |= {key: until for key in keys if key in self._until}
        return True


@final
class LeaseLostError(Exception):
    """
    Another agent may hold the work by now.

    Args:
        unconfirmed: Why the ledger could not be asked whether one does; None if it was asked, and one may.
    """

    def __init__(self, unconfirmed: LedgerError | None = None) -> None:
        super().__init__()
        self._unconfirmed = unconfirmed

    def __str__(self) -> str:
        if self._unconfirmed is None:
            return "this agent was suspended, or lost its ledger, for longer than its lease"
        why = str(self._unconfirmed).removesuffix(".")
        return f"the lease of this agent has ended, and the ledger could not renew it ({why})"


@final
@attrs.frozen
class _Written(Generic[T]):
    """The result of a write to the ledger."""

    result: T


@final
@attrs.define(kw_only=True, eq=False)
class WorkerContext:
    """
    Ledger, router, clock and stop event, shared by the workers of an agent.

    Args:
        ledger: The open ledger.
        router: Finds the party and system of each reply.
        owner: The name of this agent's leases, unique among all agents of the ledger.
        clock: Returns the current time, aware.
        timing: How long to wait.
        stop_event: Set when the agent is asked to stop.
        sending_leases: The leases of the declarations that are being sent.
        delivery_leases: The leases of the replies that are being delivered.
        grace_over: Whether the grace period is over; nothing is tried again then.
        keep_pauses: Whether the pauses of servers that an earlier agent recorded still count.
        metrics: Where to count and measure.
        final_seconds: How long a write or a cancelled delivery may still take after the grace period.
        rng: Gives the jitter of delays.
    """

    ledger: Ledger
    router: Router
    owner: str
    clock: Callable[[], datetime]
    timing: Timing
    stop_event: asyncio.Event = attrs.field(factory=asyncio.Event)
    sending_leases: Leases[Claimed] = attrs.field(init=False)
    delivery_leases: Leases[Reply] = attrs.field(init=False)
    grace_over: bool = False
    keep_pauses: bool = False
    final_seconds: float = 5.0
    metrics: Metrics = attrs.field(factory=NoMetrics)
    rng: random.Random = attrs.field(factory=random.SystemRandom)

    def __attrs_post_init__(self) -> None:
        exchanges, replies = self.ledger.exchanges.renew_soon, self.ledger.replies.renew_soon
        owner, length, clock = self.owner, self.timing.lease, self.clock
        self.sending_leases = Leases(length, clock, lambda keys, until: exchanges(keys, owner=owner, until=until))
        self.delivery_leases = Leases(length, clock, lambda keys, until: replies(keys, owner=owner, until=until))

    async def write(
        self,
        submit: Callable[[], Future[T]],
        *,
        without_text: Callable[[], Future[T]] | None = None,
        of: Exchange | None = None,
    ) -> T:
        """
        Record what has happened. Repeat until the ledger accepts it or the grace period is over, whatever the error.

        If the caller is cancelled, what was handed to the ledger is still written: it has happened.

        Args:
            submit: Hands the record to the ledger.
            without_text: Hands over the same record without its free text, for a database that cannot store it.
            of: The exchange that it is about, for the log.
        """
        while True:
            error = await self._attempt(submit)
            if isinstance(error, _Written):
                return error.result
            passing = isinstance(error, TimeoutError) or (isinstance(error, LedgerError) and error.retryable)
            if without_text is not None and not passing:
                shorter = await self._attempt(without_text)
                if isinstance(shorter, _Written):
                    LOG.error(
                        "Recorded without its text, which the ledger refused: %s",
                        error,
                        extra=event("ledger.text-refused", of=of, why=error),
                    )
                    return shorter.result
            if self.grace_over:
                raise error
            self.metrics.count(LEDGER_ERRORS)
            known = isinstance(error, HtpoortError)
            LOG.error(
                "Writing to the ledger failed: %s",
                error,
                exc_info=None if known else error,
                extra=event("ledger.write-failed", of=of, why=error),
            )
            await self.pause(self.timing.retry_delay)

    async def _attempt(self, submit: Callable[[], Future[T]]) -> _Written[T] | Exception:
        """Hand a record to the ledger; return its result or its error."""
        try:
            async with self.final_timeout():
                return _Written(await asyncio.shield(asyncio.wrap_future(submit())))
        except Exception as error:  # noqa: BLE001 - the fact is kept, whatever was wrong with its record
            return error

    def final_timeout(self) -> asyncio.Timeout:
        """Limit a wait after the grace period, so that a ledger that hangs does not keep the agent from ending."""
        return asyncio.timeout(self.final_seconds if self.grace_over else None)

    async def paused_server(self, name: str) -> PausedServer | None:
        """
        Find the pause of a server that an earlier agent recorded and that still counts.

        Args:
            name: The agent's name for the server.

        Returns:
            The pause; None if there is none, or if pauses of earlier agents do not count.
        """
        if not self.keep_pauses:
            return None
        try:
            paused = await run_in_thread(self.ledger.servers.paused)
        except LedgerError as error:
            LOG.error(  # noqa: TRY400 - as above
                "Whether %s is paused is not known, so it is tried: %s",
                *(name, error),
                extra=event("server.pause-not-known", server=name, why=error),
            )
            return None
        return next((pause for pause in paused if pause.name == name), None)

    async def pause(self, delay: timedelta) -> None:
        """Wait until the delay is over or the agent is asked to stop; after that, only let other tasks run."""
        if self.stop_event.is_set():
            await asyncio.sleep(min(delay.total_seconds(), 0.1))
            return
        await wait_for_event(self.stop_event, delay)

    async def run_repeatedly(
        self, worker: str, step: Callable[[], Awaitable[None]], *, until_cancelled: bool = False
    ) -> None:
        """
        Run a step again and again until the agent is asked to stop.

        A step that fails is logged and repeated: an error of the ledger or of a library must not end a worker that
        is meant to run for a year.

        Args:
            worker: The name of the worker, for the log.
            step: One step.
            until_cancelled: Go on until the task is cancelled, even if the agent is asked to stop.
        """
        while until_cancelled or not self.stop_event.is_set():
            try:
                await step()
            except LedgerError as error:
                # Without its traceback: the sentence explains what to do.
                LOG.error("%s: %s", worker, error, extra=event("worker.failed", worker=worker, why=error))  # noqa: TRY400
                await self.pause(self.timing.retry_delay)
            except Exception:
                LOG.exception("%s: unexpected error", worker, extra=event("worker.crashed", worker=worker))
                await self.pause(self.timing.retry_delay)


@final
class IdleSignal:
    """
    Show when a worker has nothing left to do.

    A worker that was asking the ledger when the question came does not count its answer: it may be older than what the
    question is about.
    """

    def __init__(self) -> None:
        self._asked = 0
        self._reached = asyncio.Event()

    @property
    def asked(self) -> int:
        """How often the question came; a worker notes it before each step."""
        return self._asked

    async def reach(self, wake: asyncio.Event) -> None:
        """Wake the worker, and wait until it has had nothing left to do since."""
        self._asked += 1
        self._reached.clear()
        wake.set()
        await self._reached.wait()

    def report(self, asked: int) -> None:
        """Report that a step that began with this number found nothing to do, and that nothing is in progress."""
        if asked == self._asked:
            self._reached.set()


async def wait_for_event(event: asyncio.Event, limit: timedelta) -> None:
    """Wait until an event is set, but not longer than *limit*."""
    try:
        async with asyncio.timeout(limit.total_seconds()):
            await event.wait()
    except TimeoutError:
        pass
