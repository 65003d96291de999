"""
Deliver replies to the process of their system.

No reply is abandoned, and the failures of one system do not delay another.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from typing import Final, Protocol, final

from htpoort._log import event
from htpoort.agent._context import LOG, OMITTED, IdleSignal, LeaseLostError, WorkerContext, wait_for_event
from htpoort.agent.metrics import DELIVERIES, DELIVERY_SECONDS
from htpoort.core.errors import HtpoortError, InputError, Problem, UnknownError
from htpoort.core.exchange import retry_delay
from htpoort.core.party import find_party
from htpoort.core.routing import Router
from htpoort.core.text import ascii_lower, one_line
from htpoort.delivery import Delivery, SelfTestingDelivery
from htpoort.ledger import Reply

_MAX_DELIVERIES: Final = 16  # replies at once to one process; a delivery that hangs keeps its place until its timeout
_SHOWN: Final = 1_000  # characters of an error, which are more than a command delivery shows
_SELF_TEST_TIMEOUT: Final = 10.0  # seconds for the tests of all deliveries at the start; a disk may not be mounted yet


class SelfTestingWorker(Protocol):
    """A worker with a disk or a program that may be missing."""

    async def self_test(self) -> tuple[Problem, ...]:
        """Return why its work can never be done, and log what may pass."""
        ...


async def self_test(workers: Iterable[SelfTestingWorker]) -> None:
    """
    Test all deliveries and folders that can be tested.

    Raises:
        InputError: Some of them can never succeed as they are. The error lists every problem.
    """
    found = await asyncio.gather(*(worker.self_test() for worker in workers))
    if problems := tuple(problem for some in found for problem in some):
        raise InputError("", problems)


@final
class DeliveryWorker:
    """
    Deliver the replies of one system, or of one party from that system.

    Args:
        context: What the workers of the agent share.
        system: The name of the system.
        delivery: Where the replies go.
        party: The only party whose replies it delivers; None for all.
        except_parties: Parties of that system that have workers of their own.
    """

    def __init__(
        self,
        context: WorkerContext,
        system: str,
        delivery: Delivery[Reply],
        *,
        party: str | None = None,
        except_parties: tuple[str, ...] = (),
    ) -> None:
        self._context = context
        self._system = system
        self._party = party
        self._except_parties = except_parties
        self._delivery = delivery
        self._free = _MAX_DELIVERIES
        self._started: set[asyncio.Task[None]] = set()
        self._running: dict[int, asyncio.Task[None]] = {}
        self._lost: set[int] = set()
        self.idle = IdleSignal()
        self.wake = asyncio.Event()
        """Set when a reply was stored."""

    async def self_test(self) -> tuple[Problem, ...]:
        """Test the delivery if it can be tested; return what makes every delivery fail, and log what may pass."""
        delivery: object = self._delivery
        if not isinstance(delivery, SelfTestingDelivery):
            return ()
        try:
            async with asyncio.timeout(_SELF_TEST_TIMEOUT):
                await delivery.self_test(self._system)
        except InputError as error:
            return error.problems
        except Exception as error:  # noqa: BLE001 - the other systems are served, and this one when it can be
            why = _shown(str(error)) or type(error).__name__
            LOG.warning(
                "Replies of %s cannot be delivered now, and wait: %s",
                *(self._system, why),
                extra=event("delivery.unavailable", system=self._system, why=why),
            )
        return ()

    async def run(self) -> None:
        """Deliver until the agent is asked to stop, and then wait for the deliveries in progress."""
        try:
            async with asyncio.TaskGroup() as group:
                await self._context.run_repeatedly(f"delivery of {self._system}", lambda: self._deliver_due(group))
        finally:
            await self._wait_for_cancelled()

    def cancel(self, key: int) -> None:
        """Cancel the delivery of a reply that another agent has claimed meanwhile."""
        if (task := self._running.get(key)) is not None:
            self._lost.add(key)
            task.cancel()

    async def _deliver_due(self, group: asyncio.TaskGroup) -> None:
        """Claim replies for the free places, and deliver each one separately."""
        context, limit, asked = self._context, self._free, self.idle.asked
        self.wake.clear()
        if not limit:
            await self.wake.wait()
            return
        in_progress = context.delivery_leases.keys
        claimed = await context.delivery_leases.claim(
            lambda at: context.ledger.replies.claim_soon(
                self._system,
                owner=context.owner,
                most=limit,
                at=at,
                lease=context.timing.lease,
                without=in_progress,
                party=self._party,
                except_parties=self._except_parties,
            )
        )
        for reply in claimed:
            self._free -= 1
            group.create_task(self._deliver(reply))
        if self._free == _MAX_DELIVERIES:
            self.idle.report(asked)
        if len(claimed) < limit:
            await wait_for_event(self.wake, context.timing.poll_interval)

    async def _deliver(self, reply: Reply) -> None:
        """Deliver one reply. It is marked only afterwards, so that a crash in between delivers it again."""
        try:
            # If this agent was suspended since it claimed the reply, another one may be delivering it.
            held = await self._context.delivery_leases.holds(reply.key)
            await self._record(reply, await self._attempt(reply) if held else LeaseLostError())
        except Exception:  # noqa: BLE001 - logged with its traceback; the other replies go on
            # The lease runs out, and the reply is delivered again.
            LOG.exception(
                "The outcome of delivering reply %d of %s for %s under %s was not recorded",
                *(reply.key, reply.system, reply.party, reply.reference),
                extra=event("reply.not-recorded", of=reply, reply=reply.key),
            )
        finally:
            self._context.delivery_leases.drop(reply)
            self._lost.discard(reply.key)
            if not self._free:
                self.wake.set()
            self._free += 1
            if self._free == _MAX_DELIVERIES and self.idle.asked:
                self.wake.set()

    async def _attempt(self, reply: Reply) -> BaseException | None:
        """Make one attempt within its timeout; return its error, or None if the reply is delivered."""
        timeout = self._context.timing.delivery_timeout.total_seconds()
        task, began = asyncio.create_task(self._call(reply)), time.monotonic()
        self._started.add(task)
        self._running[reply.key] = task
        try:
            # A separate task: a delivery that ignores its cancellation keeps nothing waiting.
            await asyncio.wait({task}, timeout=timeout)
            if not task.done():
                return _NoResultError(f"It took more than {timeout:g} s and was cancelled.")
            if task.cancelled() and reply.key in self._lost:
                return LeaseLostError()
            if task.cancelled():
                return _NoResultError("The delivery cancelled itself.")
            return task.exception()
        finally:
            self._context.metrics.measure(DELIVERY_SECONDS, time.monotonic() - began, system=self._system)
            del self._running[reply.key]
            task.cancel()
            task.add_done_callback(self._forget)

    async def _call(self, reply: Reply) -> None:
        await self._delivery(reply)

    def _forget(self, task: asyncio.Task[None]) -> None:
        """Forget a delivery that has ended; the result of one that was abandoned does not count."""
        self._started.discard(task)
        if not task.cancelled():
            task.exception()

    async def _wait_for_cancelled(self) -> None:
        """Wait a limited time for cancelled deliveries, such as a command that is being killed."""
        # Each was cancelled once already; cancelled again, it would not finish its cleanup.
        if self._started:
            await asyncio.wait(self._started, timeout=self._context.final_seconds)

    async def _record(self, reply: Reply, error: BaseException | None) -> None:
        """Mark a reply as delivered, or as not delivered this time."""
        context, replies, at = self._context, self._context.ledger.replies, self._context.clock()
        facts = (reply.key, self._system, reply.party, reply.reference)
        outcome = "delivered" if error is None else "left" if isinstance(error, LeaseLostError) else "failed"
        context.metrics.count(DELIVERIES, system=self._system, outcome=outcome)
        if error is None:
            LOG.info(
                "Reply %d of %s for %s under %s was delivered",
                *facts,
                extra=event("reply.delivered", of=reply, reply=reply.key),
            )
            await context.write(
                lambda: replies.mark_delivered_soon(reply.key, at=at, redeliveries=reply.redeliveries), of=reply
            )
            return
        if isinstance(error, LeaseLostError):
            LOG.warning(
                "Reply %d of %s for %s under %s is left to another agent: %s",
                *(*facts, error),
                extra=event("reply.left-to-another", of=reply, reply=reply.key, why=error),
            )
            return
        why = _shown(str(error))
        LOG.warning(
            "Reply %d of %s for %s under %s was not delivered: %s",
            *(*facts, why),
            extra=event("reply.not-delivered", of=reply, reply=reply.key, why=why),
        )
        trouble = _shown(_trouble(error))
        due = at + retry_delay(
            reply.attempts,
            schedule=context.timing.redelivery_schedule,
            jitter=context.rng.random(),
            repeat_last=True,
        )

        def mark(why: str) -> Future[None]:
            return replies.mark_failed_soon(
                reply.key, at=at, due=due, trouble=why, owner=context.owner, redeliveries=reply.redeliveries
            )

        await context.write(lambda: mark(trouble), without_text=lambda: mark(OMITTED), of=reply)


def delivery_workers(
    context: WorkerContext,
    deliveries: Mapping[str, Delivery[Reply]],
    party_deliveries: Mapping[tuple[str, str], Delivery[Reply]],
    users: Mapping[str, tuple[str, ...]],
) -> dict[str, list[DeliveryWorker]]:
    """
    Make a worker for each delivery, by system; warn of parties of these systems that have none.

    Args:
        context: What the workers of the agent share.
        deliveries: Where the replies of each system go.
        party_deliveries: Where those to one party go instead.
        users: The users of each service of a file gateway: what parties are for a system.

    Raises:
        UnknownError: A system or a party is not known.
        InputError: The replies of a party, or all others of a system, have two deliveries.
    """
    by_target: dict[str, dict[str | None, Delivery[Reply]]] = {}
    problems: list[Problem] = []
    of_all: Iterable[tuple[str, str | None, Delivery[Reply]]] = (
        (name, None, each) for name, each in deliveries.items()
    )
    of_one = ((name, party, each) for (name, party), each in party_deliveries.items())
    for name, wanted, delivery in (*of_all, *of_one):
        system, party = _target(context.router, users, name, wanted)
        if party in (of_system := by_target.setdefault(system, {})):
            whose = f"Replies of {system}" if party is None else f"Replies of {system} for {party}"
            problems.append(Problem("agent.two-deliveries", f"{whose} have two deliveries; leave one of them out."))
        of_system[party] = delivery
    if problems:
        raise InputError("", tuple(problems))
    workers: dict[str, list[DeliveryWorker]] = {}
    for system, of_system in by_target.items():
        own = tuple(party for party in of_system if party is not None)
        workers[system] = [
            DeliveryWorker(context, system, delivery, party=party, except_parties=() if party else own)
            for party, delivery in of_system.items()
        ]
        parties = users.get(system, ()) or map(str, context.router.parties)
        others = [party for party in parties if party not in own]
        if None not in of_system and others:
            LOG.warning(
                "Replies of %s for %s wait, because this agent has no delivery for them",
                *(system, ", ".join(others)),
                extra=event("parties.unserved", system=system, parties=others),
            )
    return workers


def _target(
    router: Router, users: Mapping[str, tuple[str, ...]], name: str, wanted: str | None
) -> tuple[str, str | None]:
    """
    Find the system and the party that a delivery is for, as they are spelled here.

    Raises:
        UnknownError: One of them is not known.
    """
    services = {ascii_lower(service): service for service in users}
    if (service := services.get(ascii_lower(name))) is None:
        system = router.directory.system(name).name
        return system, None if wanted is None else str(find_party(router.parties, wanted, "the router's parties"))
    if wanted is None or wanted in users[service]:
        return service, wanted
    raise UnknownError("user", wanted, f"the gateways of {service}", users[service])


@final
class _NoResultError(Exception):
    """The delivery did not end by itself: its time was over, or it cancelled itself. The text is for people."""


def _trouble(error: BaseException) -> str:
    """Describe an error; its class explains an error of a library, and nothing of our own."""
    known = isinstance(error, (HtpoortError, _NoResultError))
    return str(error) if known else f"{type(error).__name__}: {error}"


def _shown(text: str) -> str:
    """Shorten an error to one line that every ledger can store."""
    return one_line(text[:_SHOWN])
