"""
Say when a system does not answer as usual, and what it does then.

Never does: look at a clock; the moment is an argument.
"""

from __future__ import annotations

import enum
from datetime import datetime, timedelta
from typing import Final, final

import attrs

from htpoort._words import ascii_lower
from htpoort.errors import InputError, Problem
from htpoort.simulator._kinds import kind_problems

__all__ = ["Behaviour", "Window"]

_HOUR: Final = timedelta(hours=1)


class Behaviour(enum.StrEnum):
    """Tell what a system does while its window lasts. Notices say one of these."""

    REJECT = "reject"
    """Its declarations are refused."""
    QUEUE = "queue"
    """They are taken, and their answers begin when the window ends."""
    DELAY = "delay"
    """They are taken, and their answers come later."""


@final
@attrs.frozen(kw_only=True)
class Window:
    """
    Hold one service window of one system.

    >>> from datetime import UTC
    >>> window = Window(
    ...     system="DMS",
    ...     behaviour=Behaviour.QUEUE,
    ...     begins=datetime(2026, 11, 2, 18, tzinfo=UTC),
    ...     ends=datetime(2026, 11, 2, 23, tzinfo=UTC),
    ... )
    >>> window.covers(datetime(2026, 11, 2, 22, 59, tzinfo=UTC)), window.covers(window.ends)
    (True, False)

    Args:
        system: The name of the system, in any case.
        behaviour: What it does meanwhile.
        begins: The first moment, aware.
        ends: The first moment after it, aware.
        delay: How much later each answer comes, where the behaviour is DELAY.

    Raises:
        InputError: Values cannot be taken; tells every one.
    """

    system: str
    behaviour: Behaviour
    begins: datetime
    ends: datetime
    delay: timedelta = _HOUR

    def __attrs_post_init__(self) -> None:
        if problems := _problems(self):
            raise InputError("", tuple(problems))

    def covers(self, moment: datetime) -> bool:
        """
        Tell whether the window is open at a moment.

        Args:
            moment: Aware.

        Returns:
            True from the first moment on, False from *ends* on.
        """
        return self.begins <= moment < self.ends

    def is_of(self, system: str) -> bool:
        """
        Tell whether the window is of a system.

        Args:
            system: Its name, in any case.

        Returns:
            Whether the names are the same, but for the case of their letters.
        """
        return ascii_lower(self.system) == ascii_lower(system)


def _problems(window: Window) -> list[Problem]:
    """Find what is wrong with a window."""
    problems: list[Problem] = []
    if not window.system:
        problems.append(Problem("simulator.window", "system is empty; give the name of one."))
    problems.extend(kind_problems("simulator.window", behaviour=(window.behaviour, Behaviour)))
    naive = [(field, value) for field, value in (("begins", window.begins), ("ends", window.ends)) if _is_naive(value)]
    problems.extend(
        Problem("simulator.window", f"{field} is {value}; give an aware datetime, as datetime.now(UTC).")
        for field, value in naive
    )
    if not naive and window.begins >= window.ends:
        message = f"ends is {window.ends.isoformat()}; give a moment after {window.begins.isoformat()}, when it begins."
        problems.append(Problem("simulator.window", message))
    if window.delay <= timedelta(0):
        problems.append(Problem("simulator.window", f"delay is {window.delay}; give a time above 0."))
    return problems


def _is_naive(value: object) -> bool:
    return not isinstance(value, datetime) or value.utcoffset() is None
