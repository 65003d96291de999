"""
Send what is due: claim, send, record the outcome.

Never does: send a message of which nobody knows whether it was taken.
"""

from __future__ import annotations

import asyncio
import contextlib
from concurrent.futures import Future
from datetime import datetime
from typing import Final, final

import attrs

from htpoort.agent._common import LEFT_OUT, LOG, Common, Together, forever
from htpoort.agent._health import Health
from htpoort.agent.settings import Outbox
from htpoort.errors import InputError, LedgerError, Problem, SendError, SendFailure
from htpoort.exchange import Outcome, State, retry_after
from htpoort.ledger import Claimed
from htpoort.message import Submission, read
from htpoort.transport import Sender

_NEXT: Final = {
    Outcome.DEFERRED: "The agent sends it again, as long as its retry schedule lasts.",
    Outcome.REFUSED: "The agent does not send it again; htpoort show has its story.",
    Outcome.LOST: "It may have been taken; it is not sent again until a reply or htpoort resolve settles it.",
}


@final
@attrs.frozen
class _End:
    """
    How an attempt ended.

    Args:
        outcome: Its name.
        detail: For the log.
        content_begun: Whether octets of the content may have left.
        again: Whether we broke it off ourselves, so that there is nothing to wait for.
    """

    outcome: Outcome
    detail: str
    content_begun: bool
    again: bool = False


@final
class Outgoing:
    """
    Work off the outbox of some systems.

    Args:
        common: What the parts of an agent share.
        outbox: Where to send.
        systems: The names of the systems that it is for.
    """

    def __init__(self, common: Common, outbox: Outbox, systems: tuple[str, ...]) -> None:
        self._common = common
        self._outbox = outbox
        self._systems = systems
        self._senders: list[Sender] = []
        self._free: list[Sender] = []
        self._health = Health(common, outbox.server, systems, self._senders)
        self.wake = asyncio.Event()
        """Set when something may be due, or a connection is free."""

    async def open(self, connections: Together) -> None:
        """
        Make the senders ready, to be closed with the others; they connect when there is something to send.

        Raises:
            InputError: A file of the TLS settings cannot be used.
        """
        for _ in range(self._outbox.connections):
            self._senders.append(await connections.enter(Sender(self._outbox.server)))
        self._free += self._senders

    async def run(self) -> None:
        """Send until the sign to stop; then end what is under way."""
        await self._health.note()
        async with asyncio.TaskGroup() as group:
            await forever("outbox", self._common, lambda: self._turn(group))

    async def _turn(self, group: asyncio.TaskGroup) -> None:
        """Claim for every connection that is free, and let each send."""
        self.wake.clear()
        # The pause first: one that ends between the two questions is over for the second, and no end of it is missed.
        pause = self._health.pause
        senders = self._health.usable(self._free)
        self._free = [sender for sender in self._free if sender not in senders]
        if not senders:
            # A pause ends by itself; else the end of an attempt wakes.
            await (self.wake.wait() if pause is None else self._common.woken(self.wake, pause))
            return
        claimed: list[Claimed] = []
        try:
            claimed = await self._claim(len(senders))
        finally:
            self._free += senders[len(claimed) :]
        for sender, one in zip(senders, claimed, strict=False):
            group.create_task(self._send(sender, one))
        if not claimed:
            await self._common.woken(self.wake, self._common.timing.poll)

    async def _claim(self, most: int) -> list[Claimed]:
        common = self._common
        return await common.under_way.claimed(
            lambda at: common.ledger.exchanges.claim_soon(
                self._systems,
                owner=common.owner,
                most=most,
                at=at,
                lease=common.timing.lease,
                per_hour=self._outbox.per_hour,
            )
        )

    async def _send(self, sender: Sender, claimed: Claimed) -> None:
        """Send one message, and record what came of it."""
        try:
            await self._record(claimed, await self._attempt(sender, claimed))
            await self._health.note()
        except Exception:  # noqa: BLE001 - told with its traceback; the other messages go on
            # The lease runs out, and the exchange becomes unknown: seen by a person, and never repeated blindly.
            LOG.exception("The outcome of %s was not recorded", claimed.reference)
        finally:
            self._common.under_way.let_go(claimed)

    async def _attempt(self, sender: Sender, claimed: Claimed) -> _End:
        """Make one attempt, and free the connection."""
        try:
            return await self._tried(sender, claimed)
        finally:
            self._free.append(sender)
            self.wake.set()

    async def _record(self, claimed: Claimed, end: _End) -> None:
        """Record the outcome of an attempt; the connection is at the next message meanwhile."""
        # The next claim is handed over first, in this same round of the loop: one commit is for both.
        with contextlib.suppress(asyncio.CancelledError):  # what is known by now is recorded all the same
            await asyncio.sleep(0)
        ledger, at = self._common.ledger, self._common.clock()
        due = at if end.again else self._due(claimed, at) if end.outcome is Outcome.DEFERRED else None

        def settle(detail: str) -> Future[State]:
            return ledger.exchanges.settle_soon(
                claimed, end.outcome, at=at, detail=detail, due=due, content_begun=end.content_begun
            )

        await self._common.written(lambda: settle(end.detail), bare=lambda: settle(LEFT_OUT))
        if end.outcome is Outcome.ACCEPTED:
            LOG.info("Declaration to %s of %s under %s was accepted", claimed.system, claimed.party, claimed.reference)

    async def _tried(self, sender: Sender, claimed: Claimed) -> _End:
        """Make one attempt; whatever happens has one meaning."""
        begun = self._health.now()
        try:
            accepted = await sender.send(_submission(claimed), go_on=lambda: self._go_on(sender, claimed))
        except (SendError, _LostError) as error:
            self._learn(sender, error, begun)
            return _failed(error, claimed, content_begun=sender.content_begun)
        except InputError as error:
            # Raised before anything is sent; what the sender says is of the message before.
            return _End(Outcome.REFUSED, str(error), content_begun=False)
        # From here on: only where content has begun can the server have taken anything.
        except asyncio.CancelledError:
            # Stopped in the middle, after the time of grace.
            if sender.content_begun:
                return _End(Outcome.LOST, "the agent was stopped", content_begun=True)
            return _End(Outcome.RETURNED, "the agent was stopped before the message was sent", content_begun=False)
        except Exception as error:  # noqa: BLE001 - logged with its traceback; the other messages go on
            LOG.exception("Sending %s broke off with an error that should not be", claimed.reference)
            outcome = Outcome.LOST if sender.content_begun else Outcome.DEFERRED
            return _End(outcome, f"{type(error).__name__} while it was sent", content_begun=sender.content_begun)
        return _End(Outcome.ACCEPTED, f"{accepted.code} {accepted.reply}", content_begun=True)

    async def _go_on(self, sender: Sender, claimed: Claimed) -> None:
        """Take in that the server takes mail, and make sure that the exchange is still ours."""
        self._works(sender)
        await self._hold(claimed)

    async def _hold(self, claimed: Claimed) -> None:
        """
        Make sure that an exchange is still ours.

        Raises:
            _LostError: It is not, or the ledger cannot be asked.
        """
        try:
            held = await self._common.under_way.hold(claimed.key)
        except LedgerError as error:
            raise _LostError from error
        if not held:
            raise _LostError

    def _learn(self, sender: Sender, error: SendError | _LostError, begun: float) -> None:
        """Take in what an attempt says of the server."""
        if isinstance(error, _LostError):
            return
        if error.of_server:
            self._health.fails(sender, error, begun)
        elif error.kind in {SendFailure.REFUSED, SendFailure.DEFERRED}:
            self._works(sender)

    def _works(self, sender: Sender) -> None:
        """Let others be used too, as soon as the server has shown that it takes mail."""
        if self._health.works(sender):
            self.wake.set()

    def _due(self, claimed: Claimed, at: datetime) -> datetime | None:
        wait = retry_after(claimed.tries, schedule=self._outbox.schedule, jitter=self._common.chance.random())
        return None if wait is None else at + wait


def _failed(error: SendError | _LostError, claimed: Claimed, *, content_begun: bool) -> _End:
    """Say what an attempt came to that the server, the network or a lost lease ended."""
    if isinstance(error, SendError) and error.of_server:
        # The outbox rests, and this declaration waits as before: it has nothing to do with it.
        return _End(Outcome.RETURNED, _detail(error), content_begun=False)
    if isinstance(error, _LostError):
        # The final dot was not sent, so the server has taken nothing.
        _warn(claimed, Outcome.DEFERRED, f"{error}.")
        return _End(Outcome.DEFERRED, str(error), content_begun=content_begun, again=True)
    detail = _detail(error)
    if error.kind is SendFailure.UNKNOWN:
        _warn(claimed, Outcome.LOST, error.summary)
        return _End(Outcome.LOST, detail, content_begun=True)
    outcome = Outcome.REFUSED if error.kind is SendFailure.REFUSED else Outcome.DEFERRED
    _warn(claimed, outcome, error.summary)
    return _End(outcome, detail, content_begun)


def _warn(claimed: Claimed, outcome: Outcome, why: str) -> None:
    """Log why a declaration was not sent, and what happens to it now; an operator repeats nothing by hand."""
    LOG.warning(
        "Declaration to %s of %s under %s: %s %s",
        *(claimed.system, claimed.party, claimed.reference, why, _NEXT[outcome]),
    )


@final
class _LostError(Exception):
    """An exchange that is not ours any more, or for which nobody can say that it is."""

    def __str__(self) -> str:
        return "this agent was suspended for longer than its lease; nothing was sent"


def _detail(error: SendError) -> str:
    return f"{error.kind.value}: {' '.join(str(part) for part in (error.code, error.reply) if part)}"


def _submission(claimed: Claimed) -> Submission:
    """
    Give back the message as it was queued.

    Raises:
        InputError: Its Subject holds no envelope, so the ledger's message was damaged.
    """
    envelope = read(claimed.raw).envelope
    if envelope is None:
        message = f"The message of {claimed.reference} in the ledger is damaged; it was not sent."
        raise InputError("", (Problem("ledger.damaged", message),))
    return Submission(
        mail_from=claimed.mail_from,
        rcpt_to=claimed.rcpt_to,
        envelope=envelope,
        system=claimed.system,
        message_id=claimed.message_id,
        data=claimed.raw,
    )
