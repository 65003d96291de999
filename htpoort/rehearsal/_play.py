"""Play a plan against the simulator, in simulated time and with a ledger of its own."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import operator
import tempfile
from collections.abc import Callable, Iterable
from datetime import date, datetime, time, timedelta
from pathlib import Path
from types import TracebackType
from typing import Final, Self, final
from zoneinfo import ZoneInfo

import attrs

from htpoort import _clock
from htpoort._aio import run_in_thread
from htpoort.agent import Agent, Outbox, SmtpInbox, Timing
from htpoort.core.cutover import QUIET_DAYS, CutoverPlan
from htpoort.core.cutover.moves import ZONE, kind_key
from htpoort.core.directory import AGS, Directory
from htpoort.core.errors import InputError, Problem, SendError
from htpoort.core.exchange import State
from htpoort.core.message import Submission, build
from htpoort.core.party import PartyId
from htpoort.core.routing import Router, SentLookup
from htpoort.core.text import ascii_lower
from htpoort.delivery import Delivery
from htpoort.ledger import Ledger, QuarantinedMessage, Reply
from htpoort.rehearsal._verdicts import Rehearsal, RehearsedDeclaration, arrivals, verdicts
from htpoort.simulator.clock import SimulatedClock
from htpoort.simulator.declarations import Channel, SentReply
from htpoort.simulator.faults import ReplyFault
from htpoort.simulator.gateway import Gateway
from htpoort.simulator.replies import OTHER_PARTY, scripted_reply
from htpoort.simulator.scenarios import ReplyKind, Scenario, ScriptedReply
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


_DAY: Final = timedelta(days=1)

SCRIPT: Final = Script(
    scenarios=(
        Scenario(
            name="every system replies twice, late, out of order, and wrongly",
            replies=(
                ScriptedReply(fault=ReplyFault.DUPLICATE),
                ScriptedReply(kind=ReplyKind.CONTROL, after=timedelta(hours=2), fault=ReplyFault.OUT_OF_ORDER),
                ScriptedReply(kind=ReplyKind.RELEASE, after=3 * _DAY),
                ScriptedReply(kind=ReplyKind.RELEASE, after=4 * _DAY, fault=ReplyFault.OTHER_SYSTEM),
                ScriptedReply(kind=ReplyKind.RELEASE, after=4 * _DAY, fault=ReplyFault.WRONG_PROCESS_ID),
                ScriptedReply(kind=ReplyKind.RELEASE, after=4 * _DAY, fault=ReplyFault.OTHER_PARTY),
                # Of a kind that was not sent before; otherwise it would be a copy, which is delivered once.
                ScriptedReply(kind=ReplyKind.REJECTION, after=QUIET_DAYS * _DAY),
                ScriptedReply(kind=ReplyKind.CONTROL, after=QUIET_DAYS * _DAY, fault=ReplyFault.OTHER_K),
            ),
        ),
    )
)
"""The default script of the gateway: for five months, every fault that leaves a reply one right place."""

_HOURS: Final = ((-1, time(23, 30)), (0, time(0, 30)), (1, time(12)))
"""When declarations are sent, by the day of a move: just before and after its midnight, and at noon of the next day."""

_FIRST: Final = date(2000, 1, 1)
_LAST: Final = date(2099, 12, 31)

_EDIFACT: Final = b"UNB+UNOC:3+REHEARSAL+DMS.NL+261201:0030+1'\r\n"
_XML: Final = b'<MetaData xmlns="urn:wco:datamodel:WCO:DMS.Declaration:1"/>\r\n'

RouterFactory = Callable[[Directory, tuple[PartyId, ...], SentLookup], Router]
"""Makes the router of a rehearsal from the systems, the parties, and the ledger's look-up of what was sent."""


def _router(directory: Directory, parties: tuple[PartyId, ...], _sent: SentLookup) -> Router:
    # As every agent has it: the ledger compares with what was sent.
    return Router(directory=directory, parties=parties)


async def rehearse(
    plan: CutoverPlan, *, parties: Iterable[PartyId] = (), script: Script = SCRIPT, router: RouterFactory = _router
) -> Rehearsal:
    """
    Play a plan against the simulator, in simulated time and with a ledger of its own.

    Each party of the plan declares before, on and after the day of each of its moves, for each kind that the
    plan distinguishes; so does one party that does not move. On the middle day the agent is restarted, so that
    it knows earlier declarations from the ledger alone. A reply to another party is sent twice: once to a party
    that the agent does not have, and once to another party that declares.

    Args:
        plan: Which party moves, and when.
        parties: All parties of the program. The first that does not move declares too; if there is none, a
            made-up party does.
        script: How the gateway replies, and its faults.
        router: Makes the router that is tested; by default the one that every agent has.

    Returns:
        Each declaration and each reply, with where it arrived and where it belongs.

    Raises:
        InputError: The plan has no move, or one on a day before 2000 or after 2099.
        LedgerError: The ledger of the rehearsal cannot be written.
        OSError: Loopback cannot be listened on, or no temporary folder can be made.
    """
    _refuse(plan)
    moving = plan.parties()
    declaring = (*moving, _one_that_stays(moving, parties))
    declared = _declared(plan, declaring)
    days = sorted({move.since for move in plan.moves})
    middle = datetime.combine(days[len(days) // 2], time(), ZoneInfo(ZONE))
    with tempfile.TemporaryDirectory(prefix="htpoort-") as folder:
        run = RehearsalRun(
            url=f"sqlite:///{Path(folder, 'rehearsal.db')}",
            router=lambda ledger: router(plan.directory, declaring, ledger.sent),
            directory=plan.directory,
            parties=declaring,
            script=script,
            start=declared[0].at,
        )
        async with run:
            await _play(run, declared, middle, plan.directory)
            held = await run.quarantine()
    accepted = {one.envelope.reference: one.system.name for one in run.gateway.received}
    declarations = tuple(attrs.evolve(one, accepted_by=accepted.get(one.reference)) for one in declared)
    places = arrivals(run.delivered, held)
    sent = sorted((*run.gateway.sent, *run.misaddressed), key=operator.attrgetter("at"))
    return Rehearsal(
        declarations=declarations,
        replies=verdicts(plan, {one.reference: one for one in declarations}, declaring, sent, places, mailbox=MAILBOX),
        restarted=middle,
    )


def _refuse(plan: CutoverPlan) -> None:
    """Refuse a plan that cannot be played; report every problem."""
    problems = [
        Problem("cutover.day", f"{move}: a rehearsal takes days from {_FIRST} to {_LAST} only.")
        for move in plan.moves
        if not _FIRST <= move.since <= _LAST
    ]
    if not plan.moves:
        problems.append(Problem("cutover.empty", "The plan has no move, so there is nothing to rehearse; add one."))
    if problems:
        raise InputError("", tuple(problems))


def _one_that_stays(moving: Iterable[PartyId], parties: Iterable[PartyId]) -> PartyId:
    """Find a party that does not move, or make one up, other than the stranger in the simulator's replies."""
    taken = {ascii_lower(str(party)) for party in moving}
    others = (party for party in parties if ascii_lower(str(party)) not in taken)
    names = (f"NL123456789.{number}.05" for number in itertools.count(98))
    stand_ins = (PartyId.parse(name) for name in names if ascii_lower(name) not in {*taken, ascii_lower(OTHER_PARTY)})
    return next(itertools.chain(others, stand_ins))


# ── the declarations ─────────────────────────────────────────────────────────


def _declared(plan: CutoverPlan, parties: Iterable[PartyId]) -> tuple[RehearsedDeclaration, ...]:
    """List the declarations in the order of their moments; their references are numbered in that order."""
    zone = ZoneInfo(ZONE)
    moments = {
        (datetime.combine(day + away * _DAY, hour, zone), at, kind or "", party)
        for at, party in enumerate(parties)
        for kind in plan.kinds_of(party)
        for day in _days(plan, party, kind)
        for away, hour in _HOURS
    }
    return tuple(
        RehearsedDeclaration(
            at=at,
            party=party,
            kind=kind or None,
            reference=f"REHEARSAL{number:06}",
            planned=plan.system_for(party, on=at, kind=kind or None).name,
        )
        for number, (at, _, kind, party) in enumerate(sorted(moments, key=operator.itemgetter(0, 1, 2)), start=1)
    )


def _days(plan: CutoverPlan, party: PartyId, kind: str | None) -> Iterable[date]:
    """List the days on which something changes for a party; for one that does not move, those of the others."""
    own = plan.moves_of(party)
    kinds = {None, kind_key(kind)}
    return (move.since for move in own or plan.moves if not own or kind_key(move.kind) in kinds)


def _built(declared: RehearsedDeclaration, directory: Directory) -> Submission:
    system = directory.system(declared.planned)
    return build(
        system=system,
        party=str(declared.party),
        mailbox=MAILBOX,
        reference=declared.reference,
        payload=_EDIFACT if system.process_id == AGS.process_id else _XML,
        date=declared.at,
        message_id=f"<{declared.reference}@forwarder.example>",
        directory=directory,
    )


async def _play(
    run: RehearsalRun, declared: Iterable[RehearsedDeclaration], middle: datetime, directory: Directory
) -> None:
    """Send each declaration at its moment, restart the agent in the middle, and wait for the last reply."""
    at: dict[datetime, list[Submission]] = {}
    for one in declared:
        at.setdefault(one.at, []).append(_built(one, directory))
    for moment in sorted({*at, middle}):
        await run.pass_to(moment)
        if moment == middle:
            await run.restart()
        await run.send(at.get(moment, ()))
    await run.play_to_end()
