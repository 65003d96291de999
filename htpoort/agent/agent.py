"""
Run the exchange unattended: outbox, inbox and delivery around one ledger.

Never does: send what may have been sent, or acknowledge what is not stored.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import socket
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from types import TracebackType
from typing import Final, Self, final

from htpoort import _clock
from htpoort.agent import _receiving
from htpoort.agent._clocks import Clocks
from htpoort.agent._common import LOG, Common, Together, forever
from htpoort.agent._delivering import Delivering, try_out
from htpoort.agent._overlooked import Overlooked
from htpoort.agent._receiving import Fetching, Intake
from htpoort.agent._sending import Outgoing
from htpoort.agent.settings import Outbox, Pop3Inbox, SmtpInbox, Timing
from htpoort.delivery import Delivery
from htpoort.errors import InputError, Problem
from htpoort.exchange import State
from htpoort.ledger import Ledger, Reply
from htpoort.routing import Router
from htpoort.transport import Receiver
from htpoort.transport._house import cancelled

__all__ = ["Agent"]

_TIMING: Final = Timing()
_LEDGER_SECONDS: Final = 60.0
"""At least as often an agent writes to its ledger, which checks its file at each write."""
_LOOK: Final = 1.0  # seconds between two looks at the clock, after which a suspended agent finds out


@final
class Agent:
    """
    Send what is queued, take replies in, and deliver them, until it is stopped.

    ::

        async with Agent(ledger=ledger, router=router, outboxes=[outbox], deliveries={"DMS": store}) as agent:
            await agent.stopped()

    Several agents may share a ledger on PostgreSQL; on SQLite there is one. Leaving the block ends what is
    under way within the time of grace; a message whose content has begun and has no answer then is unknown.

    Args:
        ledger: Open; stays open.
        router: Its *sent* should be the ledger's.
        outboxes: Where declarations go; a system may be in one only.
        inboxes: Where replies come in, by SMTP or POP3.
        deliveries: Where the replies of each system go, by its name. Replies of a system without one
            are stored and wait; the log says so, as of declarations to a system without an outbox.
        clock: Gives the time, aware.
        timing: How long to wait.

    Raises:
        InputError: A system is in two outboxes, or is not in the router's directory.
    """

    def __init__(  # noqa: PLR0913 - the parts that it puts together
        self,
        *,
        ledger: Ledger,
        router: Router,
        outboxes: Iterable[Outbox] = (),
        inboxes: Iterable[SmtpInbox | Pop3Inbox] = (),
        deliveries: Mapping[str, Delivery[Reply]] | None = None,
        clock: Callable[[], datetime] = _clock.now,
        timing: Timing = _TIMING,
    ) -> None:
        owner = f"{socket.gethostname()}:{os.getpid()}:{_clock.unique()}"
        self._common = Common(ledger=ledger, router=router, owner=owner, clock=clock, timing=timing)
        shared = _shared(outboxes, router)
        self._outgoing = [Outgoing(self._common, outbox, systems) for outbox, systems in shared]
        self._delivering = {
            router.directory.system(name).name: Delivering(self._common, router.directory.system(name).name, delivery)
            for name, delivery in (deliveries or {}).items()
        }
        sending = {system for _, systems in shared for system in systems}
        self._overlooked = Overlooked(self._common, sending=sending, delivering=set(self._delivering))
        schedules = {system: outbox.schedule for outbox, systems in shared for system in systems}
        self._clocks = Clocks(self._common, sending=schedules, delivering=tuple(self._delivering))
        self._intake = Intake(self._common, self._stored)
        self._inboxes = tuple(inboxes)
        self._receivers: list[Receiver] = []
        self._alone = contextlib.ExitStack()
        self._listening = Together()
        self._connections = Together()
        self._tasks: list[asyncio.Task[None]] = []
        self._leases: asyncio.Task[None]

    @property
    def ports(self) -> tuple[int, ...]:
        """The ports of the SMTP inboxes, in their order."""
        return tuple(receiver.port for receiver in self._receivers)

    def stop(self) -> None:
        """Ask it to end; may be called by a signal handler of the loop."""
        self._common.stopping.set()
        signs = (*(part.wake for part in self._outgoing), *(part.wake for part in self._delivering.values()))
        for sign in signs:
            sign.set()

    async def stopped(self) -> None:
        """Wait until somebody asked it to end."""
        await self._common.stopping.wait()

    def wake(self) -> None:
        """Say that something was queued, so that it need not be found by the next look."""
        for outgoing in self._outgoing:
            outgoing.wake.set()

    async def __aenter__(self) -> Self:
        """
        Begin.

        Raises:
            LedgerError: Another agent has this ledger, or it cannot be written.
            OSError: An address cannot be listened on.
            InputError: A file of an outbox's TLS settings cannot be used, or no reply can ever be delivered where it
                should be.
        """
        common = self._common
        await try_out(self._delivering.values())
        self._alone.enter_context(common.ledger.agent_lock())
        try:
            await self._recover()
            for outgoing in self._outgoing:
                await outgoing.open(self._connections)
            for inbox in self._inboxes:
                if isinstance(inbox, SmtpInbox):
                    receiver = _receiving.receiver(self._intake, inbox)
                    self._receivers.append(await self._listening.enter(receiver))
        except BaseException:
            await self._listening.aclose()
            await self._connections.aclose()
            self._alone.close()
            raise
        pop3 = (inbox for inbox in self._inboxes if isinstance(inbox, Pop3Inbox))
        fetching = [Fetching(common, self._intake, inbox) for inbox in pop3]
        runs = [part.run for part in self._outgoing]
        runs += [part.run for part in self._delivering.values()]
        runs += [part.run for part in fetching]
        runs += [self._overlooked.run, self._clocks.run]
        self._tasks += [asyncio.create_task(run()) for run in runs]
        # Beyond the sign to stop: what is under way is held until it is over, and then this is cancelled.
        self._leases = asyncio.create_task(forever("leases", common, self._keep_leases, until=asyncio.Event()))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()
        try:
            # Nothing more comes in; what is being stored gets its 250.
            await self._listening.aclose()
            await asyncio.wait(self._tasks, timeout=self._common.timing.grace.total_seconds())
        finally:
            # Also where it is told once more to end: then the time of grace is over.
            self._common.late = True
            await self._end()

    async def _end(self) -> None:
        # Whoever is told once more to end meanwhile waits no longer, but every step is begun.
        async with contextlib.AsyncExitStack() as ending:
            ending.callback(self._alone.close)
            ending.push_async_callback(self._connections.aclose)
            ending.push_async_callback(self._freed)
            ending.push_async_callback(cancelled, [self._leases])
            ending.push_async_callback(cancelled, self._tasks)

    async def _freed(self) -> None:
        # Where the ledger does not take it, the leases run out.
        with contextlib.suppress(Exception):
            async with self._common.limited():
                await asyncio.wrap_future(self._common.ledger.replies.free_soon(self._common.owner))

    def _stored(self, system: str) -> None:
        delivering = self._delivering.get(system)
        if delivering is not None:
            delivering.wake.set()

    async def _recover(self) -> None:
        """Take back what an agent held that is dead for sure."""
        common = self._common
        alone = common.ledger.exclusive
        await self._expire(at=common.clock(), owner=common.owner if alone else None)
        if alone:
            await asyncio.wrap_future(common.ledger.replies.free_soon())

    async def _keep_leases(self) -> None:
        """Say that this agent lives, and take back what others held that do not."""
        common = self._common
        await self._lease_grows_old()
        # Before the renewal: what is renewed is not over by this time, however long it takes.
        now = common.under_way.moment()
        for key in await common.delivering.renew():
            for part in self._delivering.values():
                part.lose(key)
        # What is another's by now is noticed before its content, and before its end.
        await common.under_way.renew()
        await self._expire(at=now)

    async def _expire(self, *, at: datetime, owner: str | None = None) -> None:
        """Take back declarations that a dead agent held, and warn of each that is unknown: it may have been sent."""
        for lost in await asyncio.wrap_future(self._common.ledger.exchanges.expire_soon(at=at, owner=owner)):
            if lost.state is not State.UNKNOWN:
                continue  # its reply has come
            LOG.warning(
                "Declaration to %s of %s under %s is unknown: the worker that sent it is gone, and the server may have "
                "taken it. It is not sent again until a reply or htpoort resolve %s settles it",
                *(lost.system, lost.party, lost.reference, lost.reference),
            )

    async def _lease_grows_old(self) -> None:
        """Wait for a third of a lease, by the loop's clock or the wall's: in a machine that sleeps the loop's stops."""
        # Also an agent that has nothing to do notices soon that its ledger is gone or another.
        clock, third = self._common.clock, min(self._common.timing.lease / 3, timedelta(seconds=_LEDGER_SECONDS))
        began, looks = clock(), math.ceil(third.total_seconds() / _LOOK)
        for _ in range(looks):
            if clock() - began >= third:
                return
            await asyncio.sleep(third.total_seconds() / looks)


def _shared(outboxes: Iterable[Outbox], router: Router) -> list[tuple[Outbox, tuple[str, ...]]]:
    """Give each outbox its systems; tells every system that is not known or in two of them."""
    known = {system.name.lower(): system.name for system in router.directory}
    owners: dict[str, Outbox] = {}
    problems: list[Problem] = []
    shared: list[tuple[Outbox, tuple[str, ...]]] = []
    for outbox in outboxes:
        names = outbox.systems or tuple(known.values())
        problems += [
            Problem("agent.system", f"outbox: there is no system {name}; known: {', '.join(known.values())}.")
            for name in names
            if name.lower() not in known
        ]
        problems += [
            Problem("agent.system", f"outbox: {name} is in two of them; its declarations would go either way.")
            for name in names
            if owners.setdefault(name.lower(), outbox) is not outbox
        ]
        shared.append((outbox, tuple(known.get(name.lower(), name) for name in names)))
    if problems:
        raise InputError("", tuple(problems))
    return shared
