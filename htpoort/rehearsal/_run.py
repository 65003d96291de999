"""Run a gateway and an agent against each other in simulated time."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from types import TracebackType
from typing import Final, Self, final

from htpoort import _clock
from htpoort._aio import run_in_thread
from htpoort.agent import Agent, Outbox, SmtpInbox, Timing
from htpoort.core.directory import Directory
from htpoort.core.errors import SendError
from htpoort.core.exchange import State
from htpoort.core.message import Submission
from htpoort.core.party import PartyId
from htpoort.core.routing import Router
from htpoort.delivery import Delivery
from htpoort.ledger import Ledger, QuarantinedMessage, Reply
from htpoort.simulator.clock import SimulatedClock
from htpoort.simulator.declarations import Channel, SentReply
from htpoort.simulator.faults import ReplyFault
from htpoort.simulator.gateway import Gateway
from htpoort.simulator.replies import scripted_reply
from htpoort.simulator.script import Script
from htpoort.transport import Security, SmtpServer

MAILBOX: Final = "edi@forwarder.example"
"""The declarant's mailbox of a rehearsal."""

_POLL_INTERVAL: Final = 0.005  # seconds of real time between two queries of the ledger
_STALL_TIMEOUT: Final = 10.0  # seconds of real time for a step of the dialogue, if a scenario lets it stall
_INBOX: Final = SmtpInbox(hostname="forwarder.example", mailboxes=(MAILBOX,))
_TIMING: Final = Timing(
    # In real time; only the lease is compared with the clock, which may jump over years.
    poll_interval=timedelta(milliseconds=20),
    lease=timedelta(days=36_500),
)
_TO_SEND: Final = (State.QUEUED, State.SENDING, State.DEFERRED)


@final
class RehearsalRun:
    """
    Send declarations to a simulated gateway and receive its replies.

    Args:
        url: Of the ledger, which only the rehearsal uses.
        router: Makes the router of a ledger.
        directory: The systems.
        parties: All that declare, two or more.
        script: How the gateway replies.
        start: The time at first, aware.

    Attributes:
        clock: The simulated time.
        gateway: The gateway, with its own record of what it accepted and sent.
        misaddressed: What was sent in addition: for each reply to a stranger, the same reply to another of the parties.
        delivered: Each delivery, with the name of the system whose process received it, in order.
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
        self.misaddressed: list[SentReply] = []
        self.delivered: list[tuple[str, Reply]] = []
        self._url = url
        self._router = router
        self._directory = directory
        names = [str(party) for party in parties]
        self._next_of = dict(zip(names, [*names[1:], *names[:1]], strict=True))
        self._checked = 0
        self._whole = contextlib.AsyncExitStack()
        self._running = contextlib.AsyncExitStack()

    async def __aenter__(self) -> Self:
        """
        Start gateway and agent.

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
        """Stop the agent, close its ledger, and start another agent, which knows only what the ledger holds."""
        await self._stop()
        await self._start()

    async def send(self, declarations: Iterable[Submission]) -> None:
        """Queue declarations, and wait until the gateway accepted or refused them."""
        now = self.clock()
        queued = [self._ledger.exchanges.queue_soon(one, at=now) for one in declarations]
        await asyncio.gather(*map(asyncio.wrap_future, queued))
        await self._wait_until_idle()

    async def pass_to(self, moment: datetime) -> None:
        """Advance the time to a moment; everything due by then happens at its own moment."""
        await self._pass(moment)
        await self.clock.advance_to(moment)
        await self._wait_until_idle()

    async def play_to_end(self) -> None:
        """Advance the time until nothing is left to happen, and wait until the last reply is delivered."""
        await self._pass(None)
        while (await run_in_thread(self._ledger.status)).undelivered:  # noqa: ASYNC110 - no event reports it
            await asyncio.sleep(_POLL_INTERVAL)

    async def quarantine(self) -> list[tuple[QuarantinedMessage, bytes]]:
        """List what is in quarantine."""
        return await run_in_thread(lambda: list(self._ledger.quarantine.messages()))

    async def _start(self) -> None:
        async with contextlib.AsyncExitStack() as starting:
            self._ledger = starting.enter_context(Ledger.open(self._url))
            gateway = SmtpServer(
                host="127.0.0.1",
                port=self.gateway.smtp_port,
                security=Security.PLAIN,
                timeout=_STALL_TIMEOUT,
                final_timeout=_STALL_TIMEOUT,
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
        """Make the delivery to the process of a system."""

        async def process(reply: Reply) -> None:  # noqa: RUF029 - a delivery is awaited
            self.delivered.append((system, reply))

        return process

    async def _pass(self, end: datetime | None) -> None:
        """Advance from one due moment to the next, up to an end."""
        await self._wait_until_idle()
        while (moment := await self._next_moment()) is not None and (end is None or moment <= end):
            await self.clock.advance_to(max(moment, self.clock()))
            await self._wait_until_idle()

    async def _next_moment(self) -> datetime | None:
        """Return when the next reply, or the next attempt at a deferred declaration, is due."""
        deferred = await run_in_thread(lambda: [one.due for one in self._ledger.exchanges.listed(State.DEFERRED)])
        reply = self.gateway.next_moment
        return min([*deferred, *([] if reply is None else [reply])], default=None)

    async def _wait_until_idle(self) -> None:
        """Wait until everything due by now is sent, replied to and stored."""
        self._agent.wake()
        await self.gateway.wait_for_due_replies()
        while await run_in_thread(self._is_sending):  # noqa: ASYNC110 - no event reports what the agent sent
            await asyncio.sleep(_POLL_INTERVAL)
        await self.gateway.wait_for_due_replies()
        for one in self.gateway.sent[self._checked :]:
            self._checked += 1
            if one.scripted.fault is ReplyFault.OTHER_PARTY:
                await self._misaddress(one)

    async def _misaddress(self, one: SentReply) -> None:
        """
        Send a reply that went to a stranger to another of the parties too.

        For a party that it knows, the router must check whose K it is; for a stranger it need not.
        """
        declaration, now = one.declaration, self.clock()
        other = self._next_of[declaration.envelope.sender]
        message = scripted_reply(
            one.scripted,
            declaration,
            date=now,
            message_id=_clock.message_id(declaration.system.mailbox),
            directory=self._directory,
            other_party=other,
        )
        error = None
        try:
            await self.gateway.push(message)
        except SendError as failed:
            error = failed
        self.misaddressed.append(
            SentReply(
                declaration=declaration,
                scripted=one.scripted,
                message=message,
                at=now,
                channel=Channel.PUSH,
                error=error,
            )
        )

    def _is_sending(self) -> bool:
        now = self.clock()
        return any(one.state is State.SENDING or one.due <= now for one in self._ledger.exchanges.listed(*_TO_SEND))
