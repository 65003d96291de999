"""Play a change of file gateways against the simulator, in simulated time and with a ledger of its own."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Final, Self, final

import attrs

from htpoort._aio import run_in_thread
from htpoort.agent import Agent, FileGatewaySettings, Timing
from htpoort.core.directory import HTPOORT
from htpoort.core.errors import InputError, Problem
from htpoort.core.exchange import State
from htpoort.core.files import MANIFEST_2020, FileName, GatewayChange, GatewayUser, build_file
from htpoort.core.routing import Router
from htpoort.ledger import Ledger, Reply
from htpoort.rehearsal._file_verdicts import FileRehearsal, QueuedFile, outcome
from htpoort.simulator import (
    MANIFEST,
    ClientCertificate,
    FaultAction,
    FileGateway,
    FileScenario,
    FileScript,
    FileUser,
    FtpsFault,
    FtpsStep,
    GatewayTls,
    Kept,
    OutKind,
    PutOut,
    SimulatedClock,
    SimulatedGateways,
)
from htpoort.transport import FtpsAccount, TlsSettings

USER: Final = FileUser(user=GatewayUser.parse("CVR_12345678_UI_12345678"), password="rehearsal")  # noqa: S106 - of a rehearsal
_PARTY: Final = "NL123456789.02.05"  # of the router, which no file needs
_POLL_INTERVAL: Final = 0.01  # seconds of real time between two looks at the ledger
_ROUNDS: Final = 100  # looks without progress, after which time passes
_STEP: Final = timedelta(minutes=1)
_STEPS: Final = 10  # minutes of simulated time in which everything that is due must have happened
_DAY: Final = timedelta(days=1)
_HOUR: Final = timedelta(hours=1)
_TIMING: Final = Timing(
    poll_interval=timedelta(milliseconds=20),
    lease=timedelta(days=36_500),
    pause_schedule=(timedelta(milliseconds=20),),
)

FILE_SCRIPT: Final = FileScript(
    scenarios=(
        FileScenario(
            name="statuses over hours, two responses and a copy, and files that answer nothing",
            out=(
                PutOut(kind=OutKind.HANDED_OVER, after=timedelta(minutes=1)),
                PutOut(kind=OutKind.TAKEN, after=_HOUR),
                PutOut(kind=OutKind.ANSWERED, after=3 * _HOUR),
                PutOut(kind=OutKind.FOREIGN, after=4 * _HOUR),
                PutOut(kind=OutKind.COPY, after=5 * _HOUR),
                PutOut(kind=OutKind.ANSWERED, after=2 * _DAY),
            ),
        ),
    ),
    faults=(
        FtpsFault(at=FtpsStep.STOR_END, action=FaultAction.DROP, kept=Kept.ALL),
        FtpsFault(at=FtpsStep.RETR_CONTENT, action=FaultAction.DROP),
        FtpsFault(at=FtpsStep.DELE, action=FaultAction.DROP, deleted=True),
    ),
)
"""The default script of both gateways: answers over two days, and a connection that is lost where it hurts."""


@final
@attrs.frozen(kw_only=True)
class GatewayPlan:
    """
    How a user changes from one gateway to another.

    Args:
        moves: From when on files are uploaded to the new gateway, aware; None to go on uploading to the old one.
        keeps_old: Whether files are fetched from the old gateway after that, until its ``out`` is empty.

    Raises:
        InputError: *moves* has no time zone.
    """

    moves: datetime | None = MANIFEST_2020.closes
    keeps_old: bool = True

    def __attrs_post_init__(self) -> None:
        if self.moves is not None and self.moves.utcoffset() is None:
            message = f"moves is {self.moves.isoformat()}, without a time zone; give a moment with one."
            raise InputError("moves", (Problem("rehearsal.moves", message),))

    def uploads_to(self, at: datetime) -> str:
        """
        Name the gateway that files are uploaded to at a moment.

        Args:
            at: The moment, aware.

        Returns:
            ``old`` or ``new``.
        """
        return "new" if self.moves is not None and self.moves <= at else "old"


async def rehearse_gateways(
    plan: GatewayPlan, *, change: GatewayChange = MANIFEST_2020, script: FileScript = FILE_SCRIPT
) -> FileRehearsal:
    """
    Play a change of gateways, with an agent that follows a plan.

    Files are queued before, during and after the change, one of them for validation only. When the plan moves, the
    agent is restarted with other settings, so that it knows earlier files from the ledger alone.

    Args:
        plan: When the user uploads to which gateway.
        change: The gateways and the moments.
        script: What both put out, and the faults of each.

    Returns:
        What became of each file, and what is left on the gateways.

    Raises:
        ModuleNotFoundError: A package of `htpoort[simulator]` is not installed.
        LedgerError: The ledger of the rehearsal cannot be written.
        OSError: Loopback cannot be listened on, or no temporary folder can be made.
    """
    moments = _moments(change)
    with tempfile.TemporaryDirectory(prefix="htpoort-") as folder:
        tls = GatewayTls.made(folder, client=ClientCertificate.REQUIRED, clients=[USER.username])
        clock = SimulatedClock(moments[0])
        gateways = SimulatedGateways(tls=tls, users=[USER], change=change, script=script, clock=clock)
        async with gateways, _Run(f"sqlite:///{Path(folder, 'rehearsal.db')}", gateways, plan) as run:
            await run.play(moments)
            return await run.outcome()


def _moments(change: GatewayChange) -> list[datetime]:
    """List when files are queued: before, at the edges of, during and after the change."""
    minute, middle = timedelta(minutes=1), change.opens + (change.closes - change.opens) / 2
    around = (
        change.opens - minute,
        change.opens,
        middle,
        change.closes - minute,
        change.closes,
        change.closes + minute,
    )
    return [change.opens - _DAY, *around, change.closes + _DAY]


def _use(gateway: FileGateway, *, upload: bool) -> FileGatewaySettings:
    """Describe how the agent uses a gateway."""
    tls, login = gateway.tls, gateway.rules.needs_login.value
    return FileGatewaySettings(
        server=FtpsAccount(
            host="127.0.0.1",
            port=gateway.port,
            username=USER.username,
            password=USER.password if login else None,
            tls=TlsSettings(ca_file=tls.ca_file, certificate=tls.client_certificate),
        ),
        user=USER.user,
        services=(MANIFEST,),
        upload=upload,
        unique_names=gateway.rules.unique_names.value,
        poll_interval=timedelta(milliseconds=20),
    )


@final
class _Run:
    """The agent of a rehearsal, and what it has to do."""

    def __init__(self, url: str, gateways: SimulatedGateways, plan: GatewayPlan) -> None:
        self._url = url
        self._gateways = gateways
        self._clock = gateways.clock
        self._plan = plan
        self._queued: list[QueuedFile] = []
        self._delivered: list[bytes] = []
        self._used: dict[FileGateway, bool] = {}
        self._running = contextlib.AsyncExitStack()

    async def __aenter__(self) -> Self:
        await self._start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._running.aclose()

    async def play(self, moments: Iterable[datetime]) -> None:
        """Queue files at some moments, restart the agent when the plan moves, and wait for the last response."""
        moves = self._plan.moves
        for number, moment in enumerate(moments, start=1):
            if moves is not None and self._clock() < moves <= moment:
                await self._pass_to(moves)
                await self._running.aclose()
                await self._start()
            await self._pass_to(moment)
            await self._queue(FileName(f"REHEARSAL_{number:04}", validation_only=number == 1))
        while (following := self._gateways.next_moment) is not None:
            await self._pass_to(following)

    async def outcome(self) -> FileRehearsal:
        """Compare what happened with what should have happened."""
        states = [await run_in_thread(self._state, one.name) for one in self._queued]
        held = await run_in_thread(lambda: [raw for _, raw in self._ledger.quarantine.messages()])
        return outcome(self._queued, states, self._gateways, delivered=self._delivered, held=held)

    # ── the agent ──

    async def _start(self) -> None:
        async with contextlib.AsyncExitStack() as starting:
            self._ledger = starting.enter_context(Ledger.open(self._url))
            self._agent = await starting.enter_async_context(
                Agent(
                    ledger=self._ledger,
                    router=Router(directory=HTPOORT, parties=[_PARTY]),
                    file_gateways=self._settings(),
                    deliveries={MANIFEST.name: self._process},
                    clock=self._clock,
                    timing=_TIMING,
                )
            )
            self._running = starting.pop_all()

    def _settings(self) -> list[FileGatewaySettings]:
        """Describe the gateways as the plan has them now."""
        old, new = self._gateways.old, self._gateways.new
        if self._plan.uploads_to(self._clock()) == "old":
            self._used = {old: True}
        else:
            self._used = {old: False, new: True} if self._plan.keeps_old else {new: True}
        return [_use(gateway, upload=upload) for gateway, upload in self._used.items()]

    async def _process(self, reply: Reply) -> None:
        self._delivered.append(reply.raw)

    # ── time ──

    async def _queue(self, name: FileName) -> None:
        octets = f'<?xml version="1.0"?>\r\n<Manifest>{name}</Manifest>\r\n'.encode()
        now = self._clock()
        file = build_file(
            service=MANIFEST, user=USER.user, name=name, payload=octets, validation_only=name.validation_only
        )
        await asyncio.wrap_future(self._ledger.exchanges.queue_soon(file, at=now))
        self._queued.append(QueuedFile(name=name, at=now, planned=self._plan.uploads_to(now), octets=octets))
        await self._settle()

    async def _pass_to(self, moment: datetime) -> None:
        """Advance the time to a moment; everything due by then happens at its own moment."""
        while (following := self._gateways.next_moment) is not None and following <= moment:
            await self._clock.advance_to(max(following, self._clock()))
            await self._settle()
        if self._clock() < moment:
            await self._clock.advance_to(moment)
        await self._settle()

    async def _settle(self) -> None:
        """Wait until everything due is uploaded, fetched and delivered; what is put off gets some minutes more."""
        for _ in range(_STEPS):
            if await self._is_idle():
                return
            await self._clock.advance(_STEP)

    async def _is_idle(self) -> bool:
        """Look for a while whether the agent has anything left to do."""
        self._agent.wake()
        for _ in range(_ROUNDS):
            await self._gateways.wait_for_due()
            if not await run_in_thread(self._is_busy):
                return True
            await asyncio.sleep(_POLL_INTERVAL)
        return False

    def _is_busy(self) -> bool:
        waiting = [*self._ledger.exchanges.listed(State.QUEUED, State.SENDING, State.DEFERRED)]
        return bool(waiting or self._ledger.status().undelivered or any(one.out(USER) for one in self._used))

    def _state(self, name: FileName) -> State:
        exchange = self._ledger.exchanges.find(str(name), party=USER.username)
        return State.FAILED if exchange is None else exchange.state
