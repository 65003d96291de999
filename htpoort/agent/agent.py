"""
Run outbox, inbox and delivery around one ledger, unattended.

No message is sent again that the server may have accepted, and none is acknowledged before it is stored.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import starmap
from types import TracebackType
from typing import Any, Final, Self, final

from htpoort import _clock
from htpoort._aio import ConcurrentExitStack, cancel_all
from htpoort._log import event
from htpoort.agent._context import LOG, UNKNOWN, WorkerContext
from htpoort.agent._folder_worker import folder_workers
from htpoort.agent._routes import file_route, mail_route
from htpoort.agent._watches import ClockWatch, GaugeWatch, ResumeWatch, UnservedWatch
from htpoort.agent.delivery import delivery_workers, self_test
from htpoort.agent.dispatch import Dispatcher
from htpoort.agent.files import file_fetch_worker
from htpoort.agent.inbox import Intake, pop3_worker
from htpoort.agent.metrics import Metrics, NoMetrics
from htpoort.agent.notices import NoticeFiles, NoticeWorker
from htpoort.agent.outbox import OutboxWorker
from htpoort.agent.settings import DeclarationFolder, FileGatewaySettings, Outbox, Pop3Inbox, Timing
from htpoort.core.errors import InputError, LedgerError, Problem
from htpoort.core.exchange import State
from htpoort.core.routing import Router
from htpoort.core.text import ascii_lower
from htpoort.delivery import Delivery
from htpoort.ledger import Claimed, Ledger, Reply
from htpoort.transport import Receiver, SmtpInbox

__all__ = ["Agent"]

_TIMING: Final = Timing()
_LEDGER_INTERVAL: Final = timedelta(minutes=1)
"""The agent writes to its ledger at least this often, and each write checks that the file is still the same."""
_PAUSE_KEPT: Final = timedelta(days=1)
"""An agent that runs tries a paused server again, and records it, long before this has passed since the next try."""
_RENEWAL_LATE: Final = 30.0  # seconds for which a renewal may be late, as on a busy machine
_CLOCK_INTERVAL: Final = 1.0  # seconds between two checks of the clock, by which an agent notices that it was suspended


@final
class Agent:
    """
    Send what is queued, receive replies, and deliver them, until the agent is stopped.

    ::

        async with Agent(
            ledger=ledger, router=router, outboxes=[outbox], deliveries={"DMS": store}
        ) as agent:
            await agent.wait_for_stop_request()

    Several agents may share a ledger on PostgreSQL; a ledger on SQLite has one agent. Leaving the block ends work in
    progress within the grace period. A message whose content has begun but has no answer by then is unknown.

    Args:
        ledger: The open ledger. It stays open.
        router: Finds the party and system of each reply. Leave out its *sent*: the ledger itself compares each reply
            with what was sent.
        outboxes: Where declarations go. A system may be in one outbox only.
        inboxes: Where replies come in, by SMTP or POP3.
        file_gateways: Where declarations go as files, and where their status files and responses are fetched. Of
            several gateways with the same service, only one may have *upload* set.
        folders: Where other programs write declarations as files.
        dispatcher: Queues the declarations of *folders*, in the same ledger; needed only for them.
        notice_files: A folder whose files are notices about service windows; each is read once. What the notices of the
            ledger say is obeyed with or without it.
        deliveries: Where the replies of each system go, by its name, as those of each service of a file gateway.
            Replies of a system without a delivery are stored and wait; the log warns of them, as of declarations to a
            system without an outbox.
        party_deliveries: Where the replies of a system to one party go instead, by both names, such as
            ``("DMS", "NL123456789.02.05")``; those of a service to one user in the same way.
        clock: Returns the current time, aware.
        timing: How long to wait.
        metrics: Where the agent counts and measures; by default nowhere.
        keep_pauses: Whether servers that an earlier agent paused stay paused. Give it in a program that is started
            again and again, as by cron, so that a wrong password does not log in at each start. By default, an agent
            that starts tries every server.

    Raises:
        InputError: A system is in two outboxes, or is not in the router's directory; a service is uploaded by two
            gateways, or has the name of a system; or the replies of a party have two deliveries.
        UnknownError: A delivery is for a system that is not in the router's directory, or for a party that the router
            does not know.
    """

    def __init__(  # noqa: PLR0913 - the parts that it puts together
        self,
        *,
        ledger: Ledger,
        router: Router,
        outboxes: Iterable[Outbox] = (),
        inboxes: Iterable[SmtpInbox | Pop3Inbox] = (),
        file_gateways: Iterable[FileGatewaySettings] = (),
        folders: Iterable[DeclarationFolder] = (),
        dispatcher: Dispatcher | None = None,
        notice_files: NoticeFiles | None = None,
        deliveries: Mapping[str, Delivery[Reply]] | None = None,
        party_deliveries: Mapping[tuple[str, str], Delivery[Reply]] | None = None,
        clock: Callable[[], datetime] = _clock.now,
        timing: Timing = _TIMING,
        metrics: Metrics | None = None,
        keep_pauses: bool = False,
    ) -> None:
        owner = f"{socket.gethostname()}:{os.getpid()}:{_clock.unique()}"
        self._context = context = WorkerContext(
            ledger=ledger,
            router=router,
            owner=owner,
            clock=clock,
            timing=timing,
            keep_pauses=keep_pauses,
            metrics=metrics or NoMetrics(),
        )
        file_gateways = tuple(file_gateways)
        users = _users_of(file_gateways, router)
        routes = list(starmap(mail_route, _systems_of(outboxes, router)))
        routes += [file_route(gateway) for gateway in file_gateways if gateway.upload]
        self._outboxes = [OutboxWorker(context, route) for route in routes]
        self._deliveries = delivery_workers(context, deliveries or {}, party_deliveries or {}, users)
        self._delivery_workers = [worker for workers in self._deliveries.values() for worker in workers]
        schedules = {system: route.retry_schedule for route in routes for system in route.systems}
        self._unserved_watch = UnservedWatch(context, sending=schedules.keys(), delivering=self._deliveries.keys())
        self._clock_watch = ClockWatch(context, sending=schedules, delivering=tuple(self._deliveries))
        self._intake = Intake(context, self._wake_delivery)
        self._inboxes = tuple(inboxes)
        pop3 = (inbox for inbox in self._inboxes if isinstance(inbox, Pop3Inbox))
        self._poll_workers = [pop3_worker(context, self._intake, inbox) for inbox in pop3]
        fetching = (gateway for gateway in file_gateways if gateway.fetch)
        self._poll_workers += [file_fetch_worker(context, self._intake, gateway) for gateway in fetching]
        self._gauge_watch = GaugeWatch(context)
        self._resume_watch = ResumeWatch(context, [*self._outboxes, *self._poll_workers])
        self._folders = folder_workers(context, folders, dispatcher, self.wake)
        self._notices = NoticeWorker(context, tuple(schedules), files=notice_files, wake=self.wake)
        self._receivers: list[Receiver] = []
        self._lock = contextlib.ExitStack()
        self._listening = ConcurrentExitStack()
        self._connections = ConcurrentExitStack()
        self._tasks: list[asyncio.Task[None]] = []
        self._lease_task: asyncio.Task[None]
        self._renewed = time.monotonic()

    @property
    def ports(self) -> tuple[int, ...]:
        """The ports of the SMTP inboxes, in their order."""
        return tuple(receiver.port for receiver in self._receivers)

    @property
    def sending(self) -> tuple[Claimed, ...]:
        """The declarations that are being sent, or whose outcome is being recorded."""
        return self._context.sending_leases.work

    @property
    def delivering(self) -> int:
        """How many replies are being delivered."""
        return len(self._context.delivery_leases.keys)

    def troubles(self) -> tuple[str, ...]:
        """
        Say why the agent does not work, for a check of its health; any thread may ask.

        Returns:
            A sentence for each reason; empty while the agent works. A server that is paused, and what needs a person,
            is no reason: a new start would mend neither.
        """
        if self._context.stop_event.is_set() or not self._tasks:
            return ("The agent does not run: it has not started, or it was asked to stop.",)
        ended = [task for task in (*self._tasks, self._lease_task) if task.done() and task.exception() is not None]
        reasons = [f"A worker has ended: {type(task.exception()).__name__}." for task in ended if not task.cancelled()]
        silent = time.monotonic() - self._renewed
        if silent > self._renewal_interval().total_seconds() + _RENEWAL_LATE:
            reasons.append(f"The ledger was last written {silent:.0f} seconds ago, or the agent hangs.")
        return tuple(reasons)

    def stop(self) -> None:
        """Ask the agent to stop. A signal handler of the loop may call this."""
        self._context.stop_event.set()
        self.wake()
        for wake in (worker.wake for workers in (self._delivery_workers, self._poll_workers) for worker in workers):
            wake.set()

    async def wait_for_stop_request(self) -> None:
        """Wait until the agent is asked to stop."""
        await self._context.stop_event.wait()

    async def wait_until_idle(self) -> None:
        """
        Wait until all that is there has been done once, or the agent is asked to stop.

        Every folder was looked through, and every POP3 mailbox and file gateway polled; then every declaration that is
        due was sent or put off, and every reply that is due was delivered or put off. What arrives later may still be
        left.
        """
        once = asyncio.gather(
            *(worker.polled.wait() for worker in self._poll_workers), *(worker.taken.wait() for worker in self._folders)
        )
        if await self._before_stop(once):
            sending = [worker.idle.reach(worker.wake) for worker in self._outboxes]
            delivering = [worker.idle.reach(worker.wake) for worker in self._delivery_workers]
            await self._before_stop(asyncio.gather(*sending, *delivering))

    async def _before_stop(self, wanted: asyncio.Future[Any]) -> bool:
        """Wait for something until the agent is asked to stop; return whether it came."""
        stopped = asyncio.ensure_future(self._context.stop_event.wait())
        try:
            await asyncio.wait({stopped, wanted}, return_when=asyncio.FIRST_COMPLETED)
            return wanted.done()
        finally:
            stopped.cancel()
            wanted.cancel()

    def wake(self) -> None:
        """Send what was just queued, without waiting for the next poll of the ledger."""
        for worker in self._outboxes:
            worker.wake.set()

    async def __aenter__(self) -> Self:
        """
        Start.

        Raises:
            LedgerError: Another agent uses this ledger, or it cannot be written.
            OSError: An address cannot be listened on.
            InputError: A file of an outbox's TLS settings cannot be used, or a delivery or a folder can never work.
        """
        await self_test((*self._delivery_workers, *self._folders))
        self._lock.enter_context(self._context.ledger.agent_lock())
        try:
            await self._prepare()
            for worker in self._outboxes:
                await worker.open(self._connections)
            for inbox in self._inboxes:
                if isinstance(inbox, SmtpInbox):
                    self._receivers.append(await self._listening.enter(self._intake.receiver(inbox)))
        except BaseException:
            await self._listening.aclose()
            await self._connections.aclose()
            self._lock.close()
            raise
        runs = [worker.run for worker in self._outboxes]
        runs += [worker.run for worker in self._delivery_workers]
        runs += [worker.run for worker in self._folders]
        runs += [worker.run for worker in self._poll_workers]
        runs += [self._unserved_watch.run, self._clock_watch.run, self._resume_watch.run, self._notices.run]
        runs.append(self._gauge_watch.run)
        self._tasks += [asyncio.create_task(run()) for run in runs]
        # Leases are renewed until the work in progress is over, also after the agent was asked to stop.
        self._renewed = time.monotonic()
        leases = self._context.run_repeatedly("leases", self._keep_leases, until_cancelled=True)
        self._lease_task = asyncio.create_task(leases)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()
        try:
            # Nothing more comes in; what is being stored gets its 250.
            await self._listening.aclose()
            await asyncio.wait(self._tasks, timeout=self._context.timing.grace.total_seconds())
        finally:
            # If the caller is cancelled, the grace period is over too.
            self._context.grace_over = True
            await self._end()

    async def _end(self) -> None:
        # If this is cancelled, it stops waiting but still begins each step.
        async with contextlib.AsyncExitStack() as ending:
            ending.callback(self._lock.close)
            ending.push_async_callback(self._connections.aclose)
            ending.push_async_callback(self._let_go_of_replies)
            ending.push_async_callback(cancel_all, [self._lease_task])
            ending.push_async_callback(cancel_all, self._tasks)

    async def _let_go_of_replies(self) -> None:
        # If the ledger refuses, the leases run out.
        with contextlib.suppress(Exception):
            async with self._context.final_timeout():
                await asyncio.wrap_future(self._context.ledger.replies.drop_claims_soon(owner=self._context.owner))

    def _wake_delivery(self, system: str) -> None:
        for worker in self._deliveries.get(system, ()):
            worker.wake.set()

    async def _prepare(self) -> None:
        """Put in order what earlier agents left, and hold what notices say to hold, before anything is sent."""
        await self._recover()
        await self._resume_watch.start()
        await self._notices.start()

    async def _recover(self) -> None:
        """Take back what an earlier agent held, if it has certainly ended, and forget the servers that it paused."""
        context = self._context
        alone = context.ledger.exclusive
        await self._expire(at=context.clock(), except_owner=context.owner if alone else None)
        if alone:
            await asyncio.wrap_future(context.ledger.replies.drop_claims_soon())
        # A server may have been removed from the configuration: no agent would clear its pause.
        due_before = None if alone else context.clock() - _PAUSE_KEPT
        own = [worker.server for worker in self._outboxes] + [worker.server for worker in self._poll_workers]
        keep = own if context.keep_pauses else []
        try:
            await asyncio.wrap_future(context.ledger.servers.clear_pauses_soon(due_before=due_before, keep=keep))
        except LedgerError as error:
            # Only htpoort status is wrong then; what can be sent and received is.
            LOG.error(
                "The pauses of servers that an earlier agent recorded stay: %s",
                error,
                extra=event("server.pauses-not-cleared", why=error),
            )

    async def _keep_leases(self) -> None:
        """Renew the leases of this agent, and take back those of agents that have ended."""
        context = self._context
        await self._wait_for_renewal()
        # Before the renewal: what is renewed has not expired by this time, however long the renewal takes.
        now = context.sending_leases.expiry_time()
        for key in await context.delivery_leases.renew_and_list_lost():
            for worker in self._delivery_workers:
                worker.cancel(key)
        # A sender checks its lease before the content and before the final dot.
        await context.sending_leases.renew_and_list_lost()
        await self._expire(at=now)
        self._renewed = time.monotonic()

    async def _expire(self, *, at: datetime, except_owner: str | None = None) -> None:
        """Take back the declarations of agents that have ended, and warn of each one that may have been sent."""
        for lost in await asyncio.wrap_future(
            self._context.ledger.exchanges.expire_soon(at=at, except_owner=except_owner)
        ):
            if lost.state is not State.UNKNOWN:
                continue  # its reply has come
            what_next = (
                "It is not sent under another name; its name, a status file or htpoort resolve %s settles it"
                if lost.is_file
                else "It is not sent again until a reply or htpoort resolve %s settles it"
            )
            UNKNOWN.warning(
                f"Declaration to %s of %s under %s: It is not known whether it was sent: its worker is gone, and the "
                f"server may have accepted it. {what_next}",
                *(lost.system, lost.party, lost.reference, lost.reference),
                extra=event("declaration.unknown", of=lost, why="its worker is gone"),
            )

    def _renewal_interval(self) -> timedelta:
        return min(self._context.timing.lease / 3, _LEDGER_INTERVAL)

    async def _wait_for_renewal(self) -> None:
        """Wait for a third of a lease by the loop's clock or the system's: the loop's stops while a machine sleeps."""
        # Also an idle agent soon notices that its ledger is gone or replaced.
        clock, third = self._context.clock, self._renewal_interval()
        began, checks = clock(), math.ceil(third.total_seconds() / _CLOCK_INTERVAL)
        for _ in range(checks):
            if clock() - began >= third:
                return
            await asyncio.sleep(third.total_seconds() / checks)


def _users_of(file_gateways: Sequence[FileGatewaySettings], router: Router) -> dict[str, tuple[str, ...]]:
    """
    Find the users of each service.

    Raises:
        InputError: A service has the name of a system, or is uploaded by two gateways. The error lists every problem.
    """
    services = dict.fromkeys(service for gateway in file_gateways for service in gateway.services)
    names = {ascii_lower(system.name) for system in router.directory}
    problems = [
        Problem("agent.system", f"file_gateways: {service.name} is also a system of the directory; rename one of them.")
        for service in services
        if ascii_lower(service.name) in names
    ]
    uploading = Counter(service.name for gateway in file_gateways if gateway.upload for service in gateway.services)
    problems += [
        Problem("agent.system", f"file_gateways: {name} is uploaded by two gateways; set upload of one to false.")
        for name, number in uploading.items()
        if number > 1
    ]
    if problems:
        raise InputError("", tuple(problems))
    return {
        service.name: tuple(dict.fromkeys(str(each.user) for each in file_gateways if service in each.services))
        for service in services
    }


def _systems_of(outboxes: Iterable[Outbox], router: Router) -> list[tuple[Outbox, tuple[str, ...]]]:
    """
    Find the systems of each outbox.

    Raises:
        InputError: A system is unknown, or in two outboxes. The error lists every problem.
    """
    known = {system.name.lower(): system.name for system in router.directory}
    owners: dict[str, Outbox] = {}
    problems: list[Problem] = []
    systems_of: list[tuple[Outbox, tuple[str, ...]]] = []
    for outbox in outboxes:
        names = outbox.systems or tuple(known.values())
        problems += [
            Problem("agent.system", f"outboxes: {name!r} is not a system; give one of {', '.join(known.values())}.")
            for name in names
            if name.lower() not in known
        ]
        problems += [
            Problem("agent.system", f"outboxes: {name} is in two outboxes; leave it out of one of them.")
            for name in names
            if owners.setdefault(name.lower(), outbox) is not outbox
        ]
        systems_of.append((outbox, tuple(known.get(name.lower(), name) for name in names)))
    if problems:
        raise InputError("", tuple(problems))
    return systems_of
