"""
Keep count of who is connected to a receiver and what is being stored, and close all of it in good order.

Never does: speak SMTP.
"""

from __future__ import annotations

import asyncio
import contextlib
import traceback
from collections.abc import Coroutine, Iterable
from typing import Any, Final, Protocol, final

from htpoort.transport._terms import Terms

_OBEY: Final = 5.0  # seconds that a handler has at least to end when it was cancelled


class Talk(Protocol):
    """One connection, as far as closing it goes."""

    def part(self) -> None:
        """Close it, unless a handler runs: then its answer goes first."""

    def cut(self) -> None:
        """Close it, whatever is on its way."""


@final
class House:
    """What the connections of one receiver share: its terms, and who is inside."""

    def __init__(self, terms: Terms) -> None:
        self.terms = terms
        self.closing = False
        self.talks: set[Talk] = set()
        self._talking: set[asyncio.Task[None]] = set()
        self._storing: set[asyncio.Task[None]] = set()

    def enter(self, talk: Talk, task: asyncio.Task[None]) -> None:
        """Know of a connection until it is closed."""
        self.talks.add(talk)
        self._talking.add(task)
        task.add_done_callback(self._talking.discard)

    async def sheltered(self, work: Coroutine[Any, Any, None]) -> None:
        """Run what must not end with the connection it came from."""
        task = asyncio.get_running_loop().create_task(work)
        self._storing.add(task)
        task.add_done_callback(self._storing.discard)
        await asyncio.shield(task)

    async def close(self) -> None:
        """Let running handlers end within the grace, and everything else at once."""
        self.closing = True
        for talk in tuple(self.talks):
            talk.part()
        # Whoever is told to end meanwhile waits no longer, but nothing goes on behind him.
        async with contextlib.AsyncExitStack() as ending:
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


async def listening(server: asyncio.Server) -> asyncio.Server:
    """Begin to listen, in a step of its own: create_server, cancelled when it listens, would go on listening."""
    try:
        await server.start_serving()
    except BaseException:
        server.close()
        raise
    return server


def where(error: Exception) -> str:
    """Say which error came from which line, without its text: that may hold a payload or a password."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} at {last.filename}:{last.lineno}"
