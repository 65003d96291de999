"""
Send what is due, as messages or as files: claim it, send it, record the outcome.

A message that the server may have accepted is not sent again. A file is, under the same name, to a gateway that refuses
a name that was used.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import time
from concurrent.futures import Future
from datetime import datetime
from typing import Final, final

import attrs

from htpoort._aio import ConcurrentExitStack, run_in_thread
from htpoort._log import event
from htpoort.agent._context import LOG, OMITTED, UNKNOWN, IdleSignal, LeaseLostError, WorkerContext, wait_for_event
from htpoort.agent._routes import Link, Route, SendingError, may_have_arrived, outcome_of, shows_that_server_works
from htpoort.agent._server_pauses import ServerUse
from htpoort.agent.metrics import ATTEMPT_SECONDS, ATTEMPTS
from htpoort.core.errors import InputError, LedgerError, SendError
from htpoort.core.exchange import RETRY_SCHEDULE, Outcome, State, retry_delay
from htpoort.core.text import one_line
from htpoort.ledger import Claimed
from htpoort.transport import FtpsError

_NEXT_STEP: Final = {
    Outcome.DEFERRED: "The agent sends it again, as long as its retry schedule lasts.",
    Outcome.REFUSED: "The agent does not send it again; htpoort show has its history.",
    Outcome.UNKNOWN: (
        "Do not send it again: the server may have accepted it. It waits until a reply or htpoort resolve settles it."
    ),
}
_NAME_IS_ASKED: Final = (
    "Do not send it under another name: the gateway may have it. The agent uploads it again under the same name, which "
    "the gateway refuses if it has it."
)


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
        route: Where to send them.
    """

    def __init__(self, context: WorkerContext, route: Route) -> None:
        self._context = context
        self._route = route
        self._links: list[Link] = []
        self._free: list[Link] = []
        self._health = ServerUse(context, route.server, route.systems, self._links)
        self._in_progress = 0
        self._next_question = 0.0
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
        Prepare the connections. They connect when there is something to send.

        Args:
            connections: Closes them, together with those of other workers.

        Raises:
            InputError: A file of the TLS settings cannot be used.
        """
        for _ in range(self._route.connections):
            self._links.append(await connections.enter(self._route.link()))
        self._free += self._links

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
        links = self._health.usable(self._free)
        self._free = [link for link in self._free if link not in links]
        if not links:
            if pause is not None and not self._in_progress:
                self.idle.report(asked)
            # A pause ends by itself; otherwise, the end of an attempt wakes this worker.
            await (self.wake.wait() if pause is None else wait_for_event(self.wake, pause))
            return
        claimed: list[Claimed] = []
        try:
            await self._ask_names()
            claimed = await self._claim(len(links))
        finally:
            self._free += links[len(claimed) :]
        for link, declaration in zip(links, claimed, strict=False):
            self._in_progress += 1
            group.create_task(self._send(link, declaration))
        if not claimed:
            if not self._in_progress:
                self.idle.report(asked)
            await wait_for_event(self.wake, self._context.timing.poll_interval)

    async def _ask_names(self) -> None:
        """Queue again what may have arrived, if the server refuses a name that was used."""
        if not self._route.asks_names or self._health.now() < self._next_question:
            return
        context = self._context
        self._next_question = self._health.now() + context.timing.poll_interval.total_seconds()
        ask = functools.partial(context.ledger.exchanges.ask_names, self._route.systems, at=context.clock())
        for asked in await run_in_thread(ask):
            LOG.info(
                "Declaration to %s of %s under %s may have arrived: it is uploaded again under the same name, which "
                "the gateway refuses if it has it",
                *(asked.system, asked.party, asked.reference),
                extra=event("declaration.name-asked", of=asked),
            )

    async def _claim(self, limit: int) -> list[Claimed]:
        context = self._context
        return await context.sending_leases.claim(
            lambda at: context.ledger.exchanges.claim_soon(
                self._route.systems,
                owner=context.owner,
                most=limit,
                at=at,
                lease=context.timing.lease,
                per_hour=self._route.per_hour,
            )
        )

    async def _send(self, link: Link, claimed: Claimed) -> None:
        """Send one declaration, and record the outcome."""
        try:
            await self._record(claimed, await self._attempt(link, claimed))
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

    async def _attempt(self, link: Link, claimed: Claimed) -> _Attempt:
        """Make one attempt, and free the connection."""
        metrics, began = self._context.metrics, time.monotonic()
        try:
            result = await self._send_and_classify(link, claimed)
            metrics.count(ATTEMPTS, system=claimed.system, outcome=result.outcome.value)
            metrics.measure(ATTEMPT_SECONDS, time.monotonic() - began, system=claimed.system)
            return result
        finally:
            self._free.append(link)
            self.wake.set()

    async def _record(self, claimed: Claimed, result: _Attempt) -> None:
        """Record the outcome of an attempt, while the connection sends the next message."""
        # Let the next claim go first, in the same round of the loop: one commit serves both.
        with contextlib.suppress(asyncio.CancelledError):  # what is known by now is recorded anyway
            await asyncio.sleep(0)
        ledger, at = self._context.ledger, self._context.clock()
        due = at if result.retry_now else self._due(claimed, result.outcome, at)

        def settle(detail: str) -> Future[State]:
            return ledger.exchanges.settle_soon(
                claimed, result.outcome, at=at, detail=detail, due=due, content_begun=result.content_begun
            )

        state = await self._context.write(
            lambda: settle(result.detail), without_text=lambda: settle(OMITTED), of=claimed
        )
        if result.outcome is Outcome.NAME_USED and state is State.REFUSED:
            self._warn(claimed, Outcome.REFUSED, f"{result.detail}; no earlier attempt can have arrived.")
        elif result.outcome in {Outcome.ACCEPTED, Outcome.NAME_USED}:
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

    async def _send_and_classify(self, link: Link, claimed: Claimed) -> _Attempt:
        """Make one attempt, and give each way it can end its one meaning."""
        begun = self._health.now()
        try:
            answer = await link.send(claimed, lambda: self._checkpoint(link, claimed))
        except (SendError, FtpsError, LeaseLostError) as error:
            self._note_server(link, error, begun)
            return self._failed(error, claimed, content_begun=link.content_begun)
        except InputError as error:
            # Raised before anything is sent; the connection's own state is that of the message before.
            self._warn(claimed, Outcome.REFUSED, one_line(error.problems[0].message))
            return _Attempt(Outcome.REFUSED, str(error), content_begun=False)
        # From here on, the server can have accepted the message only if its content had begun.
        except asyncio.CancelledError:
            # Cancelled after the grace period.
            if link.content_begun:
                self._warn(claimed, Outcome.UNKNOWN, "The agent was stopped while it was being sent.")
                return _Attempt(Outcome.UNKNOWN, "the agent was stopped", content_begun=True)
            return _Attempt(Outcome.RETURNED, "the agent was stopped before the message was sent", content_begun=False)
        except Exception:  # noqa: BLE001 - logged with its traceback; the other declarations go on
            LOG.exception(
                "Sending %s failed with an unexpected error",
                claimed.reference,
                extra=event("declaration.crashed", of=claimed),
            )
            outcome = Outcome.UNKNOWN if link.content_begun else Outcome.DEFERRED
            why = "an unexpected error while it was sent; the log of the agent shows it"
            return _Attempt(outcome, why, content_begun=link.content_begun)
        return _Attempt(Outcome.ACCEPTED, answer, content_begun=True)

    def _failed(self, error: SendingError | LeaseLostError, claimed: Claimed, *, content_begun: bool) -> _Attempt:
        """Give the result of an attempt that the server, the network or a lost lease ended."""
        if isinstance(error, LeaseLostError):
            # The final dot was not sent, or the upload not begun, so the server has not accepted it.
            not_done = "the final dot was not sent" if claimed.message_id else "the upload was not begun"
            why = f"{error}; {not_done}, so the server has not accepted it"
            self._warn(claimed, Outcome.DEFERRED, f"{why}.")
            return _Attempt(Outcome.DEFERRED, why, content_begun=content_begun, retry_now=True)
        outcome, detail = outcome_of(error), _detail(error)
        if outcome is Outcome.RETURNED:
            # The worker is paused, and the declaration waits as before: it did not cause the failure.
            return _Attempt(outcome, detail, content_begun=False)
        if outcome is Outcome.ACCEPTED:
            detail += "; the server lists the whole file"
            if not self._route.asks_names:
                return _Attempt(outcome, detail, content_begun=True)
            # All octets are there, but whether the gateway took them for a whole file, its name shows.
            outcome = Outcome.UNKNOWN
        if outcome is Outcome.NAME_USED:
            # What this means, the ledger knows.
            return _Attempt(outcome, detail, content_begun=False)
        self._warn(claimed, outcome, error.summary)
        return _Attempt(outcome, detail, may_have_arrived(error, content_begun=content_begun))

    def _warn(self, claimed: Claimed, outcome: Outcome, why: str) -> None:
        """Log why an attempt did not end in acceptance, and what comes next, so that an operator repeats nothing."""
        text = "Declaration to %s of %s under %s: %s %s"
        asks = outcome is Outcome.UNKNOWN and self._route.asks_names
        values = (
            *(claimed.system, claimed.party, claimed.reference, why),
            _NAME_IS_ASKED if asks else _NEXT_STEP[outcome],
        )
        if outcome is Outcome.UNKNOWN:
            UNKNOWN.warning(text, *values, extra=event("declaration.unknown", of=claimed, why=why))
        elif outcome is Outcome.REFUSED:
            LOG.warning(text, *values, extra=event("declaration.refused", of=claimed, why=why))
        else:
            LOG.warning(text, *values, extra=event("declaration.deferred", of=claimed, why=why))

    async def _checkpoint(self, link: Link, claimed: Claimed) -> None:
        """
        Note that the server accepts mail, and check that this agent still holds the exchange.

        Raises:
            LeaseLostError: It does not, or the ledger cannot be asked.
        """
        self._note_success(link)
        try:
            held = await self._context.sending_leases.holds(claimed.key)
        except LedgerError as error:
            raise LeaseLostError(error) from error
        if not held:
            raise LeaseLostError

    def _note_server(self, link: Link, error: SendingError | LeaseLostError, begun: float) -> None:
        """Note what an attempt shows about the server."""
        if isinstance(error, LeaseLostError):
            return
        if error.is_server_trouble:
            self._health.failed(link, error, begun)
        elif shows_that_server_works(error):
            self._note_success(link)

    def _note_success(self, link: Link) -> None:
        """Use the other connections too, as soon as the server has shown that it accepts mail."""
        if self._health.succeeded(link):
            self.wake.set()

    def _due(self, claimed: Claimed, outcome: Outcome, at: datetime) -> datetime | None:
        """Return when a deferred declaration is due again, or the name of one that may have arrived is asked for."""
        asks = outcome is Outcome.UNKNOWN and self._route.asks_names
        if outcome is not Outcome.DEFERRED and not asks:
            return None
        attempts, schedule, jitter = (
            claimed.counted_attempts,
            self._route.retry_schedule,
            self._context.rng.random(),
        )
        if asks:
            return at + retry_delay(attempts, schedule=schedule or RETRY_SCHEDULE, jitter=jitter, repeat_last=True)
        delay = retry_delay(attempts, schedule=schedule, jitter=jitter)
        return None if delay is None else at + delay


def _detail(error: SendingError) -> str:
    return f"{error.kind.value}: {' '.join(str(part) for part in (error.code, error.reply) if part)}"
