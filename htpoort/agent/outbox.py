"""
Send what is due: claim it, send it, record the outcome.

A message that the server may have accepted is not sent again.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from concurrent.futures import Future
from datetime import datetime
from typing import Final, final

import attrs

from htpoort._aio import ConcurrentExitStack
from htpoort._log import event
from htpoort.agent._context import LOG, OMITTED, UNKNOWN, IdleSignal, LeaseLostError, WorkerContext, wait_for_event
from htpoort.agent._server_pauses import ServerUse
from htpoort.agent.metrics import ATTEMPT_SECONDS, ATTEMPTS
from htpoort.agent.settings import Outbox
from htpoort.core.errors import InputError, LedgerError, SendError, SendFailure
from htpoort.core.exchange import Outcome, State, retry_delay
from htpoort.core.text import one_line
from htpoort.ledger import Claimed
from htpoort.transport import Sender

_NEXT_STEP: Final = {
    Outcome.DEFERRED: "The agent sends it again, as long as its retry schedule lasts.",
    Outcome.REFUSED: "The agent does not send it again; htpoort show has its history.",
    Outcome.UNKNOWN: (
        "Do not send it again: the server may have accepted it. It waits until a reply or htpoort resolve settles it."
    ),
}


@final
@attrs.frozen
class _Attempt:
    """
    How an attempt ended.

    Args:
        outcome: The outcome.
        detail: For the log.
        content_begun: Whether octets of the content may have left.
        retry_now: Whether to try again without delay, because the agent itself broke the attempt off.
    """

    outcome: Outcome
    detail: str
    content_begun: bool
    retry_now: bool = False


@final
class OutboxWorker:
    """
    Send the declarations of some systems.

    Args:
        context: What the workers of the agent share.
        outbox: Where to send them.
        systems: The names of the systems.
    """

    def __init__(self, context: WorkerContext, outbox: Outbox, systems: tuple[str, ...]) -> None:
        self._context = context
        self._outbox = outbox
        self._systems = systems
        self._senders: list[Sender] = []
        self._free: list[Sender] = []
        self._health = ServerUse(context, outbox.server, systems, self._senders)
        self._in_progress = 0
        self.idle = IdleSignal()
        self.wake = asyncio.Event()
        """Set when something may be due, or a connection is free."""

    @property
    def server(self) -> str:
        """The name of its server among those that may be paused."""
        return self._health.name

    def resume(self) -> None:
        """End the pause of the server, because of an order."""
        self._health.resume()
        self.wake.set()

    async def open(self, connections: ConcurrentExitStack) -> None:
        """
        Prepare the senders. They connect when there is something to send.

        Args:
            connections: Closes them, together with those of other outboxes.

        Raises:
            InputError: A file of the TLS settings cannot be used.
        """
        for _ in range(self._outbox.connections):
            self._senders.append(await connections.enter(Sender(self._outbox.server)))
        self._free += self._senders

    async def run(self) -> None:
        """Send until the agent is asked to stop, and then wait for the attempts in progress."""
        await self._health.start()
        async with asyncio.TaskGroup() as group:
            await self._context.run_repeatedly("outbox", lambda: self._send_due(group))

    async def _send_due(self, group: asyncio.TaskGroup) -> None:
        """Claim a declaration for each free connection, and send them."""
        self.wake.clear()
        asked = self.idle.asked
        # Ask for the pause first: if it ends between the two questions, the second one knows, and no wake-up is missed.
        pause = self._health.pause
        senders = self._health.usable(self._free)
        self._free = [sender for sender in self._free if sender not in senders]
        if not senders:
            if pause is not None and not self._in_progress:
                self.idle.report(asked)
            # A pause ends by itself; otherwise, the end of an attempt wakes this worker.
            await (self.wake.wait() if pause is None else wait_for_event(self.wake, pause))
            return
        claimed: list[Claimed] = []
        try:
            claimed = await self._claim(len(senders))
        finally:
            self._free += senders[len(claimed) :]
        for sender, declaration in zip(senders, claimed, strict=False):
            self._in_progress += 1
            group.create_task(self._send(sender, declaration))
        if not claimed:
            if not self._in_progress:
                self.idle.report(asked)
            await wait_for_event(self.wake, self._context.timing.poll_interval)

    async def _claim(self, limit: int) -> list[Claimed]:
        context = self._context
        return await context.sending_leases.claim(
            lambda at: context.ledger.exchanges.claim_soon(
                self._systems,
                owner=context.owner,
                most=limit,
                at=at,
                lease=context.timing.lease,
                per_hour=self._outbox.per_hour,
            )
        )

    async def _send(self, sender: Sender, claimed: Claimed) -> None:
        """Send one declaration, and record the outcome."""
        try:
            await self._record(claimed, await self._attempt(sender, claimed))
            await self._health.record()
        except Exception:  # noqa: BLE001 - logged with its traceback; the other declarations go on
            # The lease runs out and the exchange becomes unknown: visible, and never repeated blindly.
            LOG.exception(
                "The outcome of %s was not recorded",
                claimed.reference,
                extra=event("declaration.not-recorded", of=claimed),
            )
        finally:
            self._context.sending_leases.drop(claimed)
            self._in_progress -= 1
            if not self._in_progress and self.idle.asked:
                self.wake.set()

    async def _attempt(self, sender: Sender, claimed: Claimed) -> _Attempt:
        """Make one attempt, and free the connection."""
        metrics, began = self._context.metrics, time.monotonic()
        try:
            result = await self._send_and_classify(sender, claimed)
            metrics.count(ATTEMPTS, system=claimed.system, outcome=result.outcome.value)
            metrics.measure(ATTEMPT_SECONDS, time.monotonic() - began, system=claimed.system)
            return result
        finally:
            self._free.append(sender)
            self.wake.set()

    async def _record(self, claimed: Claimed, result: _Attempt) -> None:
        """Record the outcome of an attempt, while the connection sends the next message."""
        # Let the next claim go first, in the same round of the loop: one commit serves both.
        with contextlib.suppress(asyncio.CancelledError):  # what is known by now is recorded anyway
            await asyncio.sleep(0)
        ledger, at = self._context.ledger, self._context.clock()
        due = at if result.retry_now else self._due(claimed, at) if result.outcome is Outcome.DEFERRED else None

        def settle(detail: str) -> Future[State]:
            return ledger.exchanges.settle_soon(
                claimed, result.outcome, at=at, detail=detail, due=due, content_begun=result.content_begun
            )

        state = await self._context.write(
            lambda: settle(result.detail), without_text=lambda: settle(OMITTED), of=claimed
        )
        if result.outcome is Outcome.ACCEPTED:
            LOG.info(
                "Declaration to %s of %s under %s was accepted",
                *(claimed.system, claimed.party, claimed.reference),
                extra=event("declaration.accepted", of=claimed),
            )
        elif state is State.FAILED:
            LOG.warning(
                "Declaration to %s of %s under %s has failed: its retry schedule is over. The agent does not send it "
                "again until htpoort resolve %s settles it",
                *(claimed.system, claimed.party, claimed.reference, claimed.reference),
                extra=event("declaration.failed", of=claimed),
            )

    async def _send_and_classify(self, sender: Sender, claimed: Claimed) -> _Attempt:
        """Make one attempt, and give each way it can end its one meaning."""
        begun = self._health.now()
        try:
            accepted = await sender.send_raw(
                mail_from=claimed.mail_from,
                rcpt_to=claimed.rcpt_to,
                raw=claimed.raw,
                checkpoint=lambda: self._checkpoint(sender, claimed),
            )
        except (SendError, LeaseLostError) as error:
            self._note_server(sender, error, begun)
            return _failure(error, claimed, content_begun=sender.content_begun)
        except InputError as error:
            # Raised before anything is sent; the sender's own state is that of the message before.
            _warn(claimed, Outcome.REFUSED, one_line(error.problems[0].message))
            return _Attempt(Outcome.REFUSED, str(error), content_begun=False)
        # From here on, the server can have accepted the message only if its content had begun.
        except asyncio.CancelledError:
            # Cancelled after the grace period.
            if sender.content_begun:
                _warn(claimed, Outcome.UNKNOWN, "The agent was stopped while it was being sent.")
                return _Attempt(Outcome.UNKNOWN, "the agent was stopped", content_begun=True)
            return _Attempt(Outcome.RETURNED, "the agent was stopped before the message was sent", content_begun=False)
        except Exception:  # noqa: BLE001 - logged with its traceback; the other declarations go on
            LOG.exception(
                "Sending %s failed with an unexpected error",
                claimed.reference,
                extra=event("declaration.crashed", of=claimed),
            )
            outcome = Outcome.UNKNOWN if sender.content_begun else Outcome.DEFERRED
            why = "an unexpected error while it was sent; the log of the agent shows it"
            return _Attempt(outcome, why, content_begun=sender.content_begun)
        return _Attempt(Outcome.ACCEPTED, f"{accepted.code} {accepted.reply}", content_begun=True)

    async def _checkpoint(self, sender: Sender, claimed: Claimed) -> None:
        """
        Note that the server accepts mail, and check that this agent still holds the exchange.

        Raises:
            LeaseLostError: It does not, or the ledger cannot be asked.
        """
        self._note_success(sender)
        try:
            held = await self._context.sending_leases.holds(claimed.key)
        except LedgerError as error:
            raise LeaseLostError(error) from error
        if not held:
            raise LeaseLostError

    def _note_server(self, sender: Sender, error: SendError | LeaseLostError, begun: float) -> None:
        """Note what an attempt shows about the server."""
        if isinstance(error, LeaseLostError):
            return
        if error.is_server_trouble:
            self._health.failed(sender, error, begun)
        elif error.kind in {SendFailure.REFUSED, SendFailure.DEFERRED}:
            self._note_success(sender)

    def _note_success(self, sender: Sender) -> None:
        """Use the other connections too, as soon as the server has shown that it accepts mail."""
        if self._health.succeeded(sender):
            self.wake.set()

    def _due(self, claimed: Claimed, at: datetime) -> datetime | None:
        delay = retry_delay(
            claimed.counted_attempts, schedule=self._outbox.retry_schedule, jitter=self._context.rng.random()
        )
        return None if delay is None else at + delay


def _failure(error: SendError | LeaseLostError, claimed: Claimed, *, content_begun: bool) -> _Attempt:
    """Give the result of an attempt that the server, the network or a lost lease ended."""
    if isinstance(error, SendError) and error.is_server_trouble:
        # The outbox is paused, and the declaration waits as before: it did not cause the failure.
        return _Attempt(Outcome.RETURNED, _detail(error), content_begun=False)
    if isinstance(error, LeaseLostError):
        # The final dot was not sent, so the server has not accepted it.
        why = f"{error}; the final dot was not sent, so the server has not accepted it"
        _warn(claimed, Outcome.DEFERRED, f"{why}.")
        return _Attempt(Outcome.DEFERRED, why, content_begun=content_begun, retry_now=True)
    detail = _detail(error)
    if error.kind is SendFailure.UNKNOWN:
        _warn(claimed, Outcome.UNKNOWN, error.summary)
        return _Attempt(Outcome.UNKNOWN, detail, content_begun=True)
    outcome = Outcome.REFUSED if error.kind is SendFailure.REFUSED else Outcome.DEFERRED
    _warn(claimed, outcome, error.summary)
    return _Attempt(outcome, detail, content_begun)


def _warn(claimed: Claimed, outcome: Outcome, why: str) -> None:
    """Log why an attempt did not end in acceptance, and what comes next, so that an operator repeats nothing."""
    text = "Declaration to %s of %s under %s: %s %s"
    values = (claimed.system, claimed.party, claimed.reference, why, _NEXT_STEP[outcome])
    if outcome is Outcome.UNKNOWN:
        UNKNOWN.warning(text, *values, extra=event("declaration.unknown", of=claimed, why=why))
    elif outcome is Outcome.REFUSED:
        LOG.warning(text, *values, extra=event("declaration.refused", of=claimed, why=why))
    else:
        LOG.warning(text, *values, extra=event("declaration.deferred", of=claimed, why=why))


def _detail(error: SendError) -> str:
    return f"{error.kind.value}: {' '.join(str(part) for part in (error.code, error.reply) if part)}"
