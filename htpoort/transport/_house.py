"""
Keep count of who is connected to a receiver and what is being stored, and close all of it in good order.

Never does: speak SMTP.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import traceback
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, Final, Protocol, final

from htpoort.transport import _hosts
from htpoort.transport._content_reader import HeldOctets
from htpoort.transport._limited_log import LimitedLog
from htpoort.transport._terms import Terms

_LOG: Final = logging.getLogger("htpoort.transport")

_OBEY: Final = 5.0  # seconds that a handler has at least to end when it was cancelled


class Talk(Protocol):
    """One connection, as far as closing it goes."""

    def part(self) -> None:
        """Close it, unless a handler runs: then its answer goes first."""

    def cut(self) -> None:
        """Close it, whatever is on its way."""


@final
class House:
    """What the connections of one receiver share: its terms, who is inside, and the octets that they hold together."""

    def __init__(self, terms: Terms) -> None:
        self.terms = terms
        self.closing = False
        # From the moment in which it is accepted, each with the peer that it counts for.
        self.talks: dict[Talk, str] = {}
        self.held = HeldOctets(terms.limits.held_limit)
        self.log = LimitedLog(_LOG)
        self._talking: set[asyncio.Task[None]] = set()
        self._storing: set[asyncio.Task[None]] = set()

    def admit(self, talk: Talk, peer: str) -> None:
        """Count a connection from now on."""
        self.talks[talk] = _hosts.group_of(peer)

    def count_of(self, peer: str) -> int:
        """Give the number of connections of a peer."""
        return list(self.talks.values()).count(_hosts.group_of(peer))

    def forget(self, talk: Talk) -> None:
        """Count a connection no more."""
        self.talks.pop(talk, None)

    def begin(self, task: asyncio.Task[None]) -> None:
        """Know of the task of a connection until it ends."""
        self._talking.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._talking.discard(task)
        error = None if task.cancelled() else task.exception()
        # Fetched here, or asyncio logs a traceback each time that a peer resets its connection.
        if isinstance(error, Exception) and not isinstance(error, OSError):
            self.log.warning("A dialogue failed: %s", where(error))

    async def sheltered(self, work: Coroutine[Any, Any, None], ended: Callable[[], None]) -> None:
        """Run what must not end with the connection it came from."""
        task = asyncio.get_running_loop().create_task(work)
        self._storing.add(task)
        task.add_done_callback(self._storing.discard)
        task.add_done_callback(lambda _: ended())
        await asyncio.shield(task)

    async def close(self) -> None:
        """Let running handlers end within the grace, and everything else at once."""
        self.closing = True
        for talk in tuple(self.talks):
            talk.part()
        # Whoever is told to end meanwhile waits no longer, but nothing goes on behind him.
        async with contextlib.AsyncExitStack() as ending:
            ending.callback(self.log.close)
            ending.push_async_callback(cancelled, self._talking)
            ending.callback(self._cut)
            ending.push_async_callback(self._given_up)
            if self._storing:
                await asyncio.wait(self._storing, timeout=self.terms.grace)

    async def _given_up(self) -> None:
        """Cancel handlers; one that takes no notice of it keeps nobody waiting for ever."""
        late = tuple(self._storing)
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late, timeout=max(self.terms.grace, _OBEY))

    def _cut(self) -> None:
        for talk in tuple(self.talks):
            talk.cut()


async def cancelled(tasks: Iterable[asyncio.Task[None]]) -> None:
    """Cancel tasks and wait until each has ended."""
    late = tuple(tasks)
    for task in late:
        task.cancel()
    await asyncio.gather(*late, return_exceptions=True)


def where(error: Exception) -> str:
    """Say which error came from which line, without its text: that may hold a payload or a password."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} at {last.filename}:{last.lineno}"
