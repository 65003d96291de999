"""
Poll a mailbox or a file gateway again and again, and pause when its server cannot be used.

What one poll does is for its caller to say; how often, how long a pause lasts and what is logged is the same for all.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable
from concurrent.futures import Future
from datetime import datetime, timedelta
from typing import Final, Protocol, final

import attrs

from htpoort._log import event
from htpoort.agent._context import LOG, WorkerContext, wait_for_event
from htpoort.agent._server_pauses import ServerPauses
from htpoort.agent.metrics import POLLS
from htpoort.core.errors import InputError, LedgerError, Problem

_LEAVE_ALONE: Final = timedelta(hours=1)  # what cannot be deleted or never ends would be fetched at every poll
_MAX_WARNINGS: Final = 20  # of one poll; a mailbox may hold a hundred thousand mails that cannot be read


@final
@attrs.frozen(kw_only=True)
class PollTrouble:
    """
    Why a poll could not go on.

    Args:
        kind: The kind of failure, as for `ServerPauses.failed`.
        reason: What failed and what to do, for a text that names the server.
        text: The same with the server, for a line of its own.
        logged_in: Whether the login had succeeded; before that, the trouble is the server's.
        login_refused: Whether the login was refused permanently.
    """

    kind: object
    reason: str
    text: str
    logged_in: bool
    login_refused: bool


@final
@attrs.frozen(kw_only=True)
class Polled:
    """
    What one poll came to.

    Args:
        trouble: Why it could not go on; None if it reached its end.
        stored: Whether something was stored.
        seen_again: How many were fetched again that had been stored before.
        problems: What an operator may need to know.
        leave_alone: The names that the next polls leave alone for a while.
        more: Whether more waits that can be fetched at once.
    """

    trouble: PollTrouble | None
    stored: bool
    seen_again: int
    problems: tuple[Problem, ...]
    leave_alone: Iterable[str]
    more: bool


class Poll(Protocol):
    """One poll, which leaves some names alone."""

    def __call__(self, skip: frozenset[str], /) -> Awaitable[Polled]: ...


@final
class PollWorker:
    """
    Poll one mailbox or file gateway.

    Args:
        context: What the workers of the agent share.
        protocol: The protocol, for the log.
        server: The name of its server among those that may be paused.
        interval: The time between two polls.
        things: What is fetched, in the plural, for the log.
        poll: Polls once.
    """

    def __init__(  # noqa: PLR0913 - one argument for each thing that differs
        self, context: WorkerContext, protocol: str, server: str, *, interval: timedelta, things: str, poll: Poll
    ) -> None:
        self._context = context
        self._protocol = protocol
        self._interval = interval
        self._things = things
        self._poll = poll
        # Names that are left alone until a moment.
        self._left_alone: dict[str, datetime] = {}
        self.server = server
        self._pauses = ServerPauses(self.server, context.timing)
        self.polled = asyncio.Event()
        """Set when it was polled, as far as it could be."""
        self.wake = asyncio.Event()
        """Set to poll at once, and when the agent is asked to stop."""

    async def run(self) -> None:
        """Poll until the agent is asked to stop."""
        context = self._context
        # An earlier agent may have left a status in the ledger.
        if (pause := await context.paused_server(self.server)) is None:
            await self._record(context.ledger.servers.clear_pause_soon(self.server))
        elif (left := self._pauses.restore(pause, at=context.clock())) > timedelta(0):
            self.polled.set()
            await self._wait(left)
        await context.run_repeatedly(self._protocol, self._poll_and_pause)

    def resume(self) -> None:
        """End the pause of the server, because of an order."""
        LOG.info("%s is tried at once, by order", self.server, extra=event("server.resumed", server=self.server))
        self.wake.set()

    async def _wait(self, pause: timedelta) -> None:
        """Wait until the pause is over, or until this worker is woken."""
        if not self._context.stop_event.is_set():
            await wait_for_event(self.wake, pause)

    async def _poll_and_pause(self) -> None:
        # Before the poll: an order during a poll that fails is obeyed after it.
        self.wake.clear()
        pause = self._interval
        try:
            polled = await self._poll_once()
        except InputError as error:
            # A file of the TLS settings may have been replaced or removed while the agent runs.
            for problem in error.problems:
                LOG.error(
                    "%s: %s",
                    *(self.server, problem.message),
                    extra=event("poll.failed", server=self.server, code=problem.code, why=problem.message),
                )
        else:
            pause = await self._pause_after(polled)
            if polled.more and polled.trouble is None:
                return
        self.polled.set()
        await self._wait(pause * (1 + self._context.rng.random() / 10))

    async def _poll_once(self) -> Polled:
        """Poll once, and log what an operator may need to know."""
        context, now = self._context, self._context.clock()
        # A moment that is too late was set while the clock was ahead.
        self._left_alone = {
            name: until for name, until in self._left_alone.items() if now < until <= now + _LEAVE_ALONE
        }
        polled = await self._poll(frozenset(self._left_alone))
        trouble = polled.trouble
        outcome = "done" if trouble is None else "broken-off" if trouble.logged_in else "failed"
        context.metrics.count(POLLS, outcome=outcome)
        if polled.seen_again:
            LOG.info(
                "%s: %d %s were fetched again that had been stored before",
                *(self.server, polled.seen_again, self._things),
                extra=event("mail.seen-again", server=self.server, number=polled.seen_again),
            )
        for problem in polled.problems[:_MAX_WARNINGS]:
            LOG.warning(
                "%s: %s",
                *(self.server, problem.message),
                extra=event("mail.trouble", server=self.server, code=problem.code, why=problem.message),
            )
        if len(polled.problems) > _MAX_WARNINGS:
            more = len(polled.problems) - _MAX_WARNINGS
            LOG.warning(
                "%s: left out %d more warnings like these",
                *(self.server, more),
                extra=event("mail.more-trouble", server=self.server, number=more),
            )
        self._left_alone |= dict.fromkeys(polled.leave_alone, now + _LEAVE_ALONE)
        return polled

    async def _pause_after(self, polled: Polled) -> timedelta:
        """Return how long to wait: longer after each session that could not be opened."""
        trouble, servers = polled.trouble, self._context.ledger.servers
        if self._pauses.since is not None and (polled.stored or trouble is None or trouble.logged_in):
            self._pauses.worked()
            await self._record(servers.clear_pause_soon(self.server))
        if trouble is None:
            return self._interval
        if trouble.logged_in:
            LOG.warning("%s", trouble.text, extra=event("poll.broken-off", server=self.server, why=trouble.reason))
            return self._interval
        minimum = self._context.timing.login_pause if trouble.login_refused else self._interval
        now, why = self._context.clock(), trouble.reason
        pause = self._pauses.failed(why, kind=trouble.kind, at=now, minimum=minimum)
        since = self._pauses.since or now
        await self._record(
            servers.record_pause_soon(
                self.server, since=since, next_try=now + pause, why=why, failures=self._pauses.failures
            )
        )
        return pause

    async def _record(self, future: Future[None]) -> None:
        """Wait until the ledger has recorded the status; an error of the ledger does not shorten the pause."""
        try:
            async with self._context.final_timeout():
                await asyncio.wrap_future(future)
        except TimeoutError:
            pass  # the agent is ending
        except LedgerError as error:
            LOG.error(
                "%s: %s",
                *(self._protocol, error),
                extra=event("server.pause-not-recorded", server=self.server, why=error),
            )
