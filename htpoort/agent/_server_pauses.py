"""
Remember which servers cannot be used, and when to try them again.

A server that fails is paused: one attempt after each pause, and each pause longer than the one before.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import Future
from datetime import datetime, timedelta
from typing import Final, final

from htpoort import _clock
from htpoort._log import event
from htpoort.agent._context import LOG, OMITTED, WorkerContext
from htpoort.agent._routes import Link, SendingError
from htpoort.agent.settings import Timing
from htpoort.core.errors import SendFailure
from htpoort.core.exchange import retry_delay
from htpoort.ledger import PausedServer
from htpoort.transport import FtpsFailure

_WRONG_LOGIN: Final = frozenset({SendFailure.LOGIN, FtpsFailure.LOGIN})


@final
class ServerPauses:
    """
    The pauses of one server; logs their reason and their end.

    Args:
        name: The name of the server in the log.
        timing: How long to pause.
    """

    def __init__(self, name: str, timing: Timing) -> None:
        self._name = name
        self._timing = timing
        self._since: datetime | None = None
        self._kind: object = None
        self.failures = 0
        """How many attempts have failed in a row."""

    @property
    def since(self) -> datetime | None:
        """When failures of the present kind began; None while the server works."""
        return self._since

    def restore(self, pause: PausedServer, *, at: datetime) -> timedelta:
        """
        Go on where an earlier agent left off.

        Args:
            pause: What it recorded.
            at: Now.

        Returns:
            How long the server is still paused; never longer than a pause can be, as after a clock that was ahead.
        """
        self._since, self.failures = pause.since, pause.failures
        return min(pause.next_try - at, max(*self._timing.pause_schedule, self._timing.login_pause))

    def failed(self, why: str, *, kind: object, at: datetime, minimum: timedelta) -> timedelta:
        """
        Count a failed attempt.

        Args:
            why: A sentence for the log.
            kind: The kind of failure; if it differs from the one before, *since* is now.
            at: Now.
            minimum: The shortest pause, as after a refused login, because many servers lock an account.

        Returns:
            How long the server is paused.
        """
        self.failures += 1
        pause = max(minimum, retry_delay(self.failures, schedule=self._timing.pause_schedule, repeat_last=True))
        if self._since is None or (self._kind is not None and kind is not self._kind):
            self._since = at
        self._kind = kind
        since, next_try = _clock.local(self._since), _clock.local(at + pause)
        LOG.warning(
            "%s is paused until %s, failing since %s: %s",
            *(self._name, next_try, since, why),
            extra=event("server.paused", server=self._name, until=at + pause, since=self._since, why=why),
        )
        return pause

    def worked(self) -> None:
        """Count an attempt that succeeded."""
        if self._since is not None:
            LOG.info(
                "%s works again, after failing since %s",
                *(self._name, _clock.local(self._since)),
                extra=event("server.works-again", server=self._name, since=self._since),
            )
        self._since, self._kind, self.failures = None, None, 0


@final
class ServerUse:
    """
    Decide which connections to a mail server or file gateway may be used.

    If a connection fails while others work, that connection is paused; otherwise the whole outbox is. Until one
    connection has worked, only one is tried at a time, so that a wrong password causes one login instead of one for
    each connection. If a server accepts only some of the connections, those go on, and one of the others is tried
    after each pause.

    Args:
        context: What the workers of the agent share.
        name: The name of the server among those that may be paused.
        systems: The systems whose declarations go to it.
        links: All its connections.
    """

    def __init__(self, context: WorkerContext, name: str, systems: tuple[str, ...], links: Sequence[Link]) -> None:
        self._context = context
        self.name = name
        self._systems = ", ".join(systems)
        self._links = links
        self._pauses = ServerPauses(self.name, context.timing)
        self._paused_links: set[Link] = set()
        self._works = False
        self._pause_begin = 0.0  # by the clock of the loop, which nothing sets back
        self._pause_end = 0.0
        self._status: PausedServer | None = None
        self._status_changed = True  # an earlier agent may have left a status in the ledger

    @staticmethod
    def now() -> float:
        """Return the time by which pauses are measured."""
        return asyncio.get_running_loop().time()

    @property
    def pause(self) -> timedelta | None:
        """How long nothing more may be tried; None if there is no pause."""
        left = self._pause_end - self.now()
        return timedelta(seconds=left) if left > 0 and (self._paused_links or not self._works) else None

    def usable(self, free: Sequence[Link]) -> list[Link]:
        """Choose the connections that may be used now."""
        over = self.now() >= self._pause_end
        if not self._works:
            alone = len(free) == len(self._links)
            return list(free[:1]) if over and alone else []
        paused = [link for link in free if link in self._paused_links]
        trying = len(paused) < len(self._paused_links)
        ready = [link for link in free if link not in self._paused_links]
        return ready + (paused[:1] if over and not trying else [])

    def succeeded(self, link: Link) -> bool:
        """Note that a connection works; return whether more connections may be used now."""
        if self._works and link not in self._paused_links:
            return False
        self._works = True
        self._paused_links.discard(link)
        self._pause_end = 0.0
        self._pauses.worked()
        if not self._paused_links:
            self._status, self._status_changed = None, True
        return True

    async def start(self) -> None:
        """Take over the pause that an earlier agent recorded, if it still counts; otherwise, clear it."""
        if (pause := await self._context.paused_server(self.name)) is None:
            await self.record()
            return
        left = self._pauses.restore(pause, at=self._context.clock())
        self._pause_end = self.now() + left.total_seconds()
        self._status, self._status_changed = pause, False

    def resume(self) -> None:
        """End a pause because of an order; the failure of an attempt that began before the order leads to none."""
        self._pause_begin = self._pause_end = self.now()
        LOG.info("%s may be tried at once, by order", self.name, extra=event("server.resumed", server=self.name))

    def failed(self, link: Link, error: SendingError, begun: float) -> None:
        """Note that an attempt failed because of the server; *begun* is when the attempt began, by `now`."""
        working = sum(other.connected for other in self._links if other is not link)
        if working:
            self._paused_links.add(link)
        else:
            self._paused_links.clear()
            self._works = False
        if begun < self._pause_begin:
            return  # it was in progress when the pause began, and means nothing for the time after it
        timing, at = self._context.timing, self._context.clock()
        minimum = timing.login_pause if error.kind in _WRONG_LOGIN else timedelta(0)
        why = f"{error.kind.value}: {' '.join(str(part) for part in (error.code, error.reply) if part)}"
        if working:
            why += f" ({working} of {len(self._links)} connections work)"
        pause = self._pauses.failed(
            f"{why}; declarations to {self._systems} wait", kind=error.kind, at=at, minimum=minimum
        )
        self._pause_begin = self.now()
        self._pause_end = self._pause_begin + pause.total_seconds()
        self._status = PausedServer(
            name=self.name,
            since=self._pauses.since or at,
            next_try=at + pause,
            why=why,
            failures=self._pauses.failures,
        )
        self._status_changed = True

    async def record(self) -> None:
        """Write the status to the ledger if it has changed, so that other processes see it."""
        if not self._status_changed:
            return
        self._status_changed = False
        await self._context.write(self._submit, without_text=lambda: self._submit(OMITTED))

    def _submit(self, text: str | None = None) -> Future[None]:
        """Hand over the present status: a repeated write must not bring back one that is over."""
        servers = self._context.ledger.servers
        if self._status is None:
            return servers.clear_pause_soon(self.name)
        pause = self._status
        return servers.record_pause_soon(
            self.name,
            since=pause.since,
            next_try=pause.next_try,
            why=pause.why if text is None else text,
            failures=pause.failures,
        )
