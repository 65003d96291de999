"""
Watch the ledger for what no worker takes care of.

One watch corrects moments that a clock set too far ahead, one warns of what no agent sends or delivers, one reads what
the metrics show of the ledger, and one obeys orders to try a server at once.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence, Set as AbstractSet
from contextlib import suppress
from datetime import timedelta
from typing import Final, ParamSpec, final

from htpoort._aio import run_in_thread
from htpoort._log import event
from htpoort.agent._context import LOG, WorkerContext
from htpoort.agent._polling import PollWorker
from htpoort.agent.metrics import EXCHANGES, IN_QUARANTINE, OLDEST_OPEN, PAUSED, UNDELIVERED, Metric, NoMetrics
from htpoort.agent.outbox import OutboxWorker
from htpoort.core.errors import LedgerError
from htpoort.core.exchange import RETRY_SCHEDULE
from htpoort.delivery import DELIVERY_SCHEDULE

P = ParamSpec("P")

_LONGEST_JITTER: Final = 1.1  # up to a tenth is added to each delay
_GAUGE_INTERVAL: Final = timedelta(seconds=15)  # about as often as a scraper asks
_LONGEST_LEASE: Final = timedelta(hours=1)  # other agents of the ledger may use longer leases than this one


@final
class ClockWatch:
    """
    Correct moments in the future that only a clock that was ahead can have set.

    What is due later than the longest possible delay is made due now.

    Args:
        context: What the workers of the agent share.
        sending: The retry schedule of each system that has an outbox here.
        delivering: The names of the systems that have a delivery here.
    """

    def __init__(
        self, context: WorkerContext, *, sending: Mapping[str, tuple[timedelta, ...]], delivering: tuple[str, ...]
    ) -> None:
        self._context = context
        # At least the default schedule, which other agents of the ledger may use.
        self._sending = {system: max(*own, *RETRY_SCHEDULE) * _LONGEST_JITTER for system, own in sending.items()}
        self._delivering = delivering
        self._delivery = max(*context.timing.redelivery_schedule, *DELIVERY_SCHEDULE) * _LONGEST_JITTER

    async def run(self) -> None:
        """Watch until the agent is asked to stop."""
        await self._context.run_repeatedly("clocks", self._correct)

    async def _correct(self) -> None:
        context, ledger = self._context, self._context.ledger
        at, lease = context.clock(), context.timing.lease
        for system, longest in self._sending.items():
            if number := await self._counted(ledger.exchanges.correct_due, [system], at=at, longest=longest):
                LOG.warning(
                    "Declarations to %s (%d) were due later than any delay allows: a clock was ahead. They are due now",
                    *(system, number),
                    extra=event("declarations.due-corrected", system=system, number=number),
                )
        for system in self._delivering:
            if number := await self._counted(ledger.replies.correct_due, system, at=at, longest=self._delivery):
                LOG.warning(
                    "Replies of %s (%d) were due later than any delay allows: a clock was ahead. They are due now",
                    *(system, number),
                    extra=event("replies.due-corrected", system=system, number=number),
                )
        longest = max(lease, _LONGEST_LEASE)
        if number := await self._counted(ledger.shorten_leases, at=at, length=lease, longest=longest):
            LOG.warning(
                "Leases (%d) ended too far in the future: a clock was ahead. They are shortened",
                number,
                extra=event("leases.shortened", number=number),
            )
        await context.pause(lease / 3)

    async def _counted(self, correct: Callable[P, int], *args: P.args, **options: P.kwargs) -> int:
        """Ask the ledger in a thread, unless the agent is asked to stop."""
        if self._context.stop_event.is_set():
            return 0
        return await run_in_thread(lambda: correct(*args, **options))


@final
class UnservedWatch:
    """
    Warn of declarations without an outbox and of replies without a delivery.

    Once for each system, because another agent of the ledger may serve it.

    Args:
        context: What the workers of the agent share.
        sending: The names of the systems that have an outbox.
        delivering: The names of the systems that have a delivery.
    """

    def __init__(self, context: WorkerContext, *, sending: AbstractSet[str], delivering: AbstractSet[str]) -> None:
        self._context = context
        # A system that was warned of is added, so that it is not warned of again.
        self._sending = set(sending)
        self._delivering = set(delivering)

    async def run(self) -> None:
        """Watch until the agent is asked to stop."""
        await self._context.run_repeatedly("unserved systems", self._warn)

    async def _warn(self) -> None:
        status = await run_in_thread(self._context.ledger.status)
        declarations: Counter[str] = Counter()
        for (system, state), number in status.exchanges.items():
            if state.is_waiting:
                declarations[system] += number
        for system in sorted(declarations.keys() - self._sending):
            LOG.warning(
                "Declarations to %s wait (%d), because this agent has no outbox for %s",
                *(system, declarations[system], system),
                extra=event("declarations.unserved", system=system, number=declarations[system]),
            )
        for system in sorted(status.undelivered.keys() - self._delivering):
            LOG.warning(
                "Replies of %s wait (%d), because this agent has no delivery for %s",
                *(system, status.undelivered[system], system),
                extra=event("replies.unserved", system=system, number=status.undelivered[system]),
            )
        self._sending |= declarations.keys()
        self._delivering |= status.undelivered.keys()
        await self._context.pause(self._context.timing.lease)


@final
class GaugeWatch:
    """
    Read from the ledger what the gauges show.

    Args:
        context: What the workers of the agent share.
    """

    def __init__(self, context: WorkerContext) -> None:
        self._context = context
        # What is gone from the ledger goes back to 0 instead of keeping its last number.
        self._shown: dict[Metric, set[tuple[str, ...]]] = defaultdict(set)

    async def run(self) -> None:
        """Read until the agent is asked to stop, if there is a library that keeps it."""
        if not isinstance(self._context.metrics, NoMetrics):
            await self._context.run_repeatedly("metrics", self._read)

    async def _read(self) -> None:
        context, ledger = self._context, self._context.ledger
        status = await run_in_thread(ledger.status)
        paused = await run_in_thread(ledger.servers.paused)
        now = context.clock()
        oldest: dict[tuple[str, ...], float] = {
            (system,): max(0.0, (now - queued).total_seconds()) for system, queued in status.oldest.items()
        }
        self._show(EXCHANGES, {(system, state.value): number for (system, state), number in status.exchanges.items()})
        self._show(OLDEST_OPEN, oldest)
        self._show(UNDELIVERED, {(system,): number for system, number in status.undelivered.items()})
        self._show(IN_QUARANTINE, {(): status.quarantined})
        self._show(PAUSED, {(): len(paused)})
        await context.pause(_GAUGE_INTERVAL)

    def _show(self, metric: Metric, values: Mapping[tuple[str, ...], float]) -> None:
        for labels in self._shown[metric] | values.keys():
            self._context.metrics.show(metric, values.get(labels, 0), **dict(zip(metric.labels, labels, strict=True)))
        self._shown[metric] |= values.keys()


@final
class ResumeWatch:
    """
    Obey orders to try paused servers at once.

    Args:
        context: What the workers of the agent share.
        workers: Those that use servers.
    """

    def __init__(self, context: WorkerContext, workers: Sequence[OutboxWorker | PollWorker]) -> None:
        self._context = context
        self._workers = workers
        self._known: Mapping[str, int] = {}

    async def start(self) -> None:
        """Note the orders that were for earlier agents."""
        if self._workers:
            self._known = await run_in_thread(self._context.ledger.servers.resume_orders)

    async def run(self) -> None:
        """Watch until the agent is asked to stop."""
        if self._workers:
            await self._context.run_repeatedly("resuming", self._obey)

    async def _obey(self) -> None:
        with suppress(LedgerError):  # the workers report it
            orders = await run_in_thread(self._context.ledger.servers.resume_orders)
            for worker in self._workers:
                if orders.get(worker.server) != self._known.get(worker.server):
                    worker.resume()
            self._known = orders
        await self._context.pause(self._context.timing.poll_interval)
