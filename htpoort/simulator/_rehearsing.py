"""
Run a gateway and an agent against each other in simulated time.

Never does: choose a system, or judge where a reply went.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from types import TracebackType
from typing import Final, Self, final

from htpoort.agent import Agent, Outbox, SmtpInbox, Timing
from htpoort.delivery import Delivery
from htpoort.directory import Directory
from htpoort.errors import SendError
from htpoort.exchange import State
from htpoort.ledger import Held, Ledger, Reply
from htpoort.message import Submission
from htpoort.party import PartyId
from htpoort.routing import Router
from htpoort.simulator._answering import written
from htpoort.simulator.clock import SimulatedClock
from htpoort.simulator.declarations import Sent, Way
from htpoort.simulator.faults import AnswerFault
from htpoort.simulator.gateway import Gateway
from htpoort.simulator.scenarios import Script
from htpoort.transport import Security, SmtpServer

MAILBOX: Final = "edi@forwarder.example"
"""The declarant's mailbox of a rehearsal."""

_LOOK: Final = 0.005  # seconds of real time between two looks into the ledger
_STALLED: Final = 10.0  # seconds of real time for a step of the dialogue, where a scenario lets it stall
_INBOX: Final = SmtpInbox(hostname="forwarder.example", mailboxes=(MAILBOX,))
_TIMING: Final = Timing(
    # In real time; only the lease is compared with the clock, which may jump over years.
    poll=timedelta(milliseconds=20),
    lease=timedelta(days=36_500),
)
_OPEN: Final = (State.QUEUED, State.SENDING, State.DEFERRED)


@final
class Exchanging:
    """
    Exchange declarations and replies with a simulated gateway.

    Args:
        url: Of the ledger, which is there for the rehearsal alone.
        router: Makes the router of a ledger.
        directory: The systems.
        parties: All that declare, two or more.
        script: How the gateway answers.
        start: The time at first, aware.

    Attributes:
        clock: The simulated time.
        gateway: What it took and sent is its own record.
        astray: What was sent besides: for each answer for a stranger, the same for another of the parties.
        delivered: Each delivery, with the name of the system whose process got it, in order.
    """

    def __init__(  # noqa: PLR0913 - one argument for each thing a rehearsal has
        self,
        *,
        url: str,
        router: Callable[[Ledger], Router],
        directory: Directory,
        parties: Iterable[PartyId],
        script: Script,
        start: datetime,
    ) -> None:
        self.clock = SimulatedClock(start)
        self.gateway = Gateway(directory=directory, script=script, clock=self.clock)
        self.astray: list[Sent] = []
        self.delivered: list[tuple[str, Reply]] = []
        self._url = url
        self._router = router
        self._directory = directory
        names = [str(party) for party in parties]
        self._next_of = dict(zip(names, [*names[1:], *names[:1]], strict=True))
        self._looked_at = 0
        self._whole = contextlib.AsyncExitStack()
        self._running = contextlib.AsyncExitStack()

    async def __aenter__(self) -> Self:
        """
        Begin.

        Raises:
            LedgerError: The ledger cannot be opened.
            OSError: Loopback cannot be listened on.
        """
        async with contextlib.AsyncExitStack() as starting:
            await starting.enter_async_context(self.gateway)
            starting.push_async_callback(self._stop)
            await self._start()
            self._whole = starting.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._whole.aclose()

    async def restart(self) -> None:
        """Stop the agent, close its ledger, and start another one: what it knows is then in the ledger alone."""
        await self._stop()
        await self._start()

    async def send(self, declarations: Iterable[Submission]) -> None:
        """Queue declarations, and wait until the gateway took them or did not."""
        now = self.clock()
        queued = [self._ledger.exchanges.queue_soon(one, at=now) for one in declarations]
        await asyncio.gather(*map(asyncio.wrap_future, queued))
        await self._settled()

    async def pass_to(self, moment: datetime) -> None:
        """Let the time go on to a moment; all that is due by then is done at its own moment."""
        await self._pass(moment)
        await self.clock.advance_to(moment)
        await self._settled()

    async def play_out(self) -> None:
        """Let the time of everything come that is still to come, and wait until the last reply was delivered."""
        await self._pass(None)
        while (await asyncio.to_thread(self._ledger.status)).undelivered:  # noqa: ASYNC110 - no event tells of it
            await asyncio.sleep(_LOOK)

    async def quarantine(self) -> list[Held]:
        """Give what is in quarantine."""
        return await asyncio.to_thread(lambda: list(self._ledger.quarantine.listed()))

    async def _start(self) -> None:
        async with contextlib.AsyncExitStack() as starting:
            self._ledger = starting.enter_context(Ledger.open(self._url))
            gateway = SmtpServer(
                host="127.0.0.1",
                port=self.gateway.smtp_port,
                security=Security.PLAIN,
                timeout=_STALLED,
                final_timeout=_STALLED,
            )
            self._agent = await starting.enter_async_context(
                Agent(
                    ledger=self._ledger,
                    router=self._router(self._ledger),
                    # One connection, so that the gateway takes them in their order.
                    outboxes=[Outbox(server=gateway, connections=1)],
                    inboxes=[_INBOX],
                    deliveries={system.name: self._process(system.name) for system in self._directory},
                    clock=self.clock,
                    timing=_TIMING,
                )
            )
            self._running = starting.pop_all()
        own = SmtpServer(host="127.0.0.1", port=self._agent.ports[0], security=Security.PLAIN)
        self.gateway.register(MAILBOX, own)

    async def _stop(self) -> None:
        await self._running.aclose()

    def _process(self, system: str) -> Delivery[Reply]:
        """Make the process of a system."""

        async def process(reply: Reply) -> None:  # noqa: RUF029 - a delivery is awaited
            self.delivered.append((system, reply))

        return process

    async def _pass(self, end: datetime | None) -> None:
        """Go from one due moment to the next, up to an end."""
        await self._settled()
        while (moment := await self._next_moment()) is not None and (end is None or moment <= end):
            await self.clock.advance_to(max(moment, self.clock()))
            await self._settled()

    async def _next_moment(self) -> datetime | None:
        """Say when the next answer, or the next try of a declaration that was deferred, is due."""
        deferred = await asyncio.to_thread(lambda: [one.due for one in self._ledger.exchanges.listed(State.DEFERRED)])
        answer = self.gateway.next_moment
        return min([*deferred, *([] if answer is None else [answer])], default=None)

    async def _settled(self) -> None:
        """Wait until all that is due by now was sent, answered and stored."""
        self._agent.wake()
        await self.gateway.answered()
        while await asyncio.to_thread(self._sends):  # noqa: ASYNC110 - the agent tells nobody what it sent
            await asyncio.sleep(_LOOK)
        await self.gateway.answered()
        for one in self.gateway.sent[self._looked_at :]:
            self._looked_at += 1
            if one.answer.fault is AnswerFault.OTHER_PARTY:
                await self._lead_astray(one)

    async def _lead_astray(self, one: Sent) -> None:
        """
        Send an answer that was for a stranger for another of the parties too.

        A router that knows the addressee has to know whose the K is, which it need not for a stranger.
        """
        declaration, now = one.declaration, self.clock()
        other = self._next_of[declaration.envelope.sender]
        message = written(one.answer, declaration, at=now, directory=self._directory, other_party=other)
        error = None
        try:
            await self.gateway.push(message)
        except SendError as failed:
            error = failed
        self.astray.append(
            Sent(declaration=declaration, answer=one.answer, message=message, at=now, way=Way.PUSH, error=error)
        )

    def _sends(self) -> bool:
        now = self.clock()
        return any(one.state is State.SENDING or one.due <= now for one in self._ledger.exchanges.listed(*_OPEN))
