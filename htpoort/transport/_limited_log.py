"""
Log what strangers can cause as often as they like, with a limit.

Never does: log an error's text or a message.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Final, final

import attrs

_LINES: Final = 10  # of one kind in a period: enough to see who and why, and at most about a megabyte a day
_PERIOD: Final = 60.0  # seconds


@attrs.define
class _Kind:
    """The lines of one kind in the current period."""

    since: float
    written: int = 0
    left_out: int = 0
    last: tuple[object, ...] = ()


@final
class LimitedLog:
    """
    Write at most ten lines of each kind a minute, and say how many were left out.

    Args:
        log: Where to.
    """

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._kinds: dict[str, _Kind] = {}

    def warning(self, text: str, *args: object) -> None:
        """
        Write a line, unless there were too many of its kind.

        Args:
            text: As for `logging`; a constant, which is the kind.
            args: What is filled in.
        """
        self._write(logging.WARNING, text, args)

    def error(self, text: str, *args: object) -> None:
        """
        Write a line about an accident of our own that a peer can cause again and again, unless there were too many.

        Args:
            text: As for `logging`; a constant, which is the kind.
            args: What is filled in.
        """
        self._write(logging.ERROR, text, args)

    def _write(self, level: int, text: str, args: tuple[object, ...]) -> None:
        now = asyncio.get_running_loop().time()
        kind = self._kinds.setdefault(text, _Kind(now))
        if now - kind.since >= _PERIOD:
            self._count_up(text, kind)
            kind = self._kinds[text] = _Kind(now)
        if kind.written < _LINES:
            kind.written += 1
            self._log.log(level, text, *args)
        else:
            kind.left_out += 1
            kind.last = args

    def close(self) -> None:
        """Write how many lines were left out since the last one."""
        for text, kind in self._kinds.items():
            self._count_up(text, kind)
        self._kinds.clear()

    def _count_up(self, text: str, kind: _Kind) -> None:
        if kind.left_out:
            self._log.warning(f"Left out %d more lines like this one: {text}", kind.left_out, *kind.last)
