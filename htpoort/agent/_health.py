"""
Remember whether a mail server can be used, and which of its connections.

Never does: connect, send, or decide what an answer means for a message.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import Future
from datetime import datetime, timedelta
from typing import final

from htpoort.agent._common import LEFT_OUT, Common
from htpoort.agent._resting import Rest
from htpoort.errors import SendError, SendFailure
from htpoort.transport import Sender, SmtpServer


@final
class Health:
    """
    Let a server rest with which there is trouble: the connection where others work, or else the whole outbox.

    Until a connection has come about, one at a time is tried, so that a wrong password makes one login and not one
    for each connection. Where a server takes only so many connections, those that it took go on, and one of the
    others is tried after each pause.

    Args:
        common: What the parts of an agent share.
        server: The server.
        systems: The systems that it is for.
        senders: All its connections.
    """

    def __init__(self, common: Common, server: SmtpServer, systems: tuple[str, ...], senders: Sequence[Sender]) -> None:
        self._common = common
        self._name = f"SMTP {server.shown}"
        self._systems = ", ".join(systems)
        self._senders = senders
        self._rest = Rest(self._name, common.timing)
        self._resting: set[Sender] = set()
        self._proved = False
        self._paused = 0.0  # by the clock of the loop, which no one sets back
        self._until = 0.0
        self._news: tuple[datetime, datetime, str] | None = None
        self._changed = True  # what an agent before this one noted is over

    @staticmethod
    def now() -> float:
        """The time by which pauses are measured."""
        return asyncio.get_running_loop().time()

    @property
    def pause(self) -> timedelta | None:
        """How long nothing more is tried; None where that is not so."""
        left = self._until - self.now()
        return timedelta(seconds=left) if left > 0 and (self._resting or not self._proved) else None

    def usable(self, free: Sequence[Sender]) -> list[Sender]:
        """Choose the connections that may be used now among those that are free."""
        over = self.now() >= self._until
        if not self._proved:
            alone = len(free) == len(self._senders)
            return list(free[:1]) if over and alone else []
        rested = [sender for sender in free if sender in self._resting]
        tried = len(rested) < len(self._resting)
        ready = [sender for sender in free if sender not in self._resting]
        return ready + (rested[:1] if over and not tried else [])

    def works(self, sender: Sender) -> bool:
        """Take in that a connection has come about, or still holds; says whether others may be used now."""
        if self._proved and sender not in self._resting:
            return False
        self._proved = True
        self._resting.discard(sender)
        self._until = 0.0
        self._rest.worked()
        if not self._resting:
            self._news, self._changed = None, True
        return True

    def fails(self, sender: Sender, error: SendError, begun: float) -> None:
        """Take in trouble with the server, of an attempt that began at a time."""
        working = sum(one.connected for one in self._senders if one is not sender)
        if working:
            self._resting.add(sender)
        else:
            self._resting.clear()
            self._proved = False
        if begun < self._paused:
            return  # it was under way when the pause began, and says nothing about the time after it
        timing, at = self._common.timing, self._common.clock()
        least = timing.rest_login if error.kind is SendFailure.LOGIN else timedelta(0)
        why = f"{error.kind.value}: {' '.join(str(part) for part in (error.code, error.reply) if part)}"
        if working:
            why += f" ({working} of {len(self._senders)} connections work)"
        pause = self._rest.failed(f"{why}; declarations to {self._systems} wait", kind=error.kind, at=at, least=least)
        self._paused = self.now()
        self._until = self._paused + pause.total_seconds()
        self._news, self._changed = (self._rest.since or at, at + pause, why), True

    async def note(self) -> None:
        """Write down what has changed, so that other processes see it."""
        if not self._changed:
            return
        self._changed = False
        await self._common.written(self._noted, bare=lambda: self._noted(LEFT_OUT))

    def _noted(self, text: str | None = None) -> Future[None]:
        """Hand over how it is now: one that is handed over again must not bring back what is over meanwhile."""
        servers = self._common.ledger.servers
        if self._news is None:
            return servers.works_soon(self._name)
        since, again, why = self._news
        return servers.rests_soon(self._name, since=since, next_try=again, why=why if text is None else text)
