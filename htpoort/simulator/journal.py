"""
Keep, within limits, what happened at a gateway, and wake those who wait for news.

Never does: hold up the gateway. A reader that is slow misses what was dropped meanwhile.
"""

from __future__ import annotations

import asyncio
from collections import deque
from datetime import datetime
from typing import Final, Literal, final

import attrs

from htpoort.core.errors import InputError, Problem
from htpoort.simulator.clock import Clock, RealClock
from htpoort.simulator.declarants import FailedLogin
from htpoort.simulator.declarations import Declaration, SentReply
from htpoort.simulator.dialogues import CURRENT, Dialogue, DialogueRecorder
from htpoort.simulator.faults import Pop3Fault, SmtpFault

__all__ = ["Happening", "Journal", "JournalEntry", "RefusedMessage", "TimePassed"]

ENTRIES: Final = 500
"""What a person may still look through; with the sizes usual for declarations some megabytes."""
DIALOGUES: Final = 200
LINES: Final = 400
"""Lines of one session: about eighty messages by SMTP."""


@final
@attrs.frozen(kw_only=True)
class RefusedMessage:
    """
    A message that the gateway refused after its final dot.

    Args:
        mail_from: The sender; may be empty.
        rcpt_to: The mailbox that it was sent to.
        reason: Why it was refused.
        raw: The whole message.
    """

    mail_from: str
    rcpt_to: str
    reason: str
    raw: bytes = attrs.field(repr=False)


@final
@attrs.frozen(kw_only=True)
class TimePassed:
    """
    The clock was moved.

    Args:
        since: The time before; the moment of the entry is the time after.
    """

    since: datetime


Happening = Declaration | RefusedMessage | SentReply | SmtpFault | Pop3Fault | FailedLogin | TimePassed
"""What an entry is about."""


@final
@attrs.frozen(kw_only=True)
class JournalEntry:
    """
    One thing that happened.

    Args:
        number: Counted from 1, in the order in which things happened.
        at: When, by the gateway's clock.
        what: What happened.
        dialogue: The number of the session in which it happened; None outside of a session.
    """

    number: int
    at: datetime
    what: Happening
    dialogue: int | None = None


@final
class Journal:
    """
    Keep what happened last.

    Args:
        entries: How many entries are kept, at least 1.
        dialogues: How many sessions are kept, at least 1.
        lines: How many lines of each session are kept, at least 1.

    Attributes:
        version: Counts the changes.

    Raises:
        InputError: A limit is below 1. The error lists every one.
    """

    def __init__(self, *, entries: int = ENTRIES, dialogues: int = DIALOGUES, lines: int = LINES) -> None:
        limits = {"entries": entries, "dialogues": dialogues, "lines": lines}
        problems = [
            Problem("simulator.journal", f"{name} is {limit}; give at least 1.")
            for name, limit in limits.items()
            if limit < 1
        ]
        if problems:
            raise InputError("", tuple(problems))
        self.version = 0
        self._limits = limits
        self._clock: Clock = RealClock()
        self._entries: deque[JournalEntry] = deque(maxlen=entries)
        self._recorders: deque[DialogueRecorder] = deque(maxlen=dialogues)
        self._written = 0
        self._opened = 0
        self._waiting: set[asyncio.Future[None]] = set()

    @property
    def limits(self) -> dict[str, int]:
        """How many entries, dialogues and lines of a dialogue are kept, by these names."""
        return dict(self._limits)

    @property
    def entries(self) -> tuple[JournalEntry, ...]:
        """The entries that are kept, in order."""
        return tuple(self._entries)

    @property
    def dialogues(self) -> tuple[Dialogue, ...]:
        """The sessions that are kept, in the order in which they began."""
        return tuple(recorder.dialogue for recorder in self._recorders)

    def entry(self, number: int) -> JournalEntry | None:
        """
        Return an entry.

        Args:
            number: Its number.

        Returns:
            The entry; None if there is none, or if it is no longer kept.
        """
        return next((entry for entry in self._entries if entry.number == number), None)

    def dialogue(self, number: int) -> Dialogue | None:
        """
        Return a session.

        Args:
            number: Its number.

        Returns:
            The session so far; None if there is none, or if it is no longer kept.
        """
        return next((one.dialogue for one in self._recorders if one.number == number), None)

    async def wait(self, version: int) -> int:
        """
        Wait until something has happened.

        Changes are not queued: a caller that was busy gets one answer for all that happened meanwhile.

        Args:
            version: The version that the caller has seen.

        Returns:
            The present version, which is another one.
        """
        while self.version == version:
            news: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.add(news)
            try:
                await news
            finally:
                self._waiting.discard(news)
        return self.version

    # ── for the gateway ──

    def follow(self, clock: Clock) -> None:
        """Take the time from the clock of the gateway."""
        self._clock = clock

    def add(self, what: Happening, *, in_dialogue: bool = True) -> None:
        """Add an entry; with *in_dialogue*, it belongs to the session that the running task serves."""
        recorder = CURRENT.get() if in_dialogue else None
        self._written += 1
        number = None if recorder is None else recorder.number
        self._entries.append(JournalEntry(number=self._written, at=self._clock(), what=what, dialogue=number))
        self._change()

    def begin(self, protocol: Literal["SMTP", "POP3", "FTPS"], peer: str) -> DialogueRecorder:
        """Begin a session; from now on it is the one that the running task serves."""
        self._opened += 1
        recorder = DialogueRecorder(
            number=self._opened,
            protocol=protocol,
            peer=peer,
            now=self._clock,
            limit=self._limits["lines"],
            changed=self._change,
        )
        self._recorders.append(recorder)
        CURRENT.set(recorder)
        self._change()
        return recorder

    def _change(self) -> None:
        self.version += 1
        waiting, self._waiting = self._waiting, set()
        for news in waiting:
            if not news.done():
                news.set_result(None)
