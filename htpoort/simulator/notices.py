"""
Play published notices: the same texts that an agent obeys drive the windows of the gateway, by its own clock.

The gateway does what the newest text of a notice says, whether anyone knew it in time or not.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final

from htpoort.core import notices as published
from htpoort.core.directory import Directory
from htpoort.core.notices import Availability, KnownNotice, Notice, NoticeName, PlacedWindow, Recovery
from htpoort.simulator.scenarios import Behaviour, Window

__all__ = ["notice_windows"]

_EARLIEST: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST: Final = datetime(9999, 1, 1, tzinfo=UTC)
_KEPT: Final = frozenset({Recovery.WAIT, Recovery.REPORT_LIST})
"""What was sent while the system was away is processed later, or pushed again by Customs."""
_PLAYED: Final = {
    published.Behaviour.REJECTED: Behaviour.REJECT,
    published.Behaviour.QUEUED: Behaviour.QUEUE,
    published.Behaviour.DELAYED: Behaviour.DELAY,
    published.Behaviour.UNSTABLE: Behaviour.DELAY,
}
_STRONGEST: Final = tuple(Behaviour)


def notice_windows(
    notices: Iterable[Notice], *, directory: Directory, names: Iterable[NoticeName] = ()
) -> tuple[Window, ...]:
    """
    Make the windows of a gateway from notices.

    Args:
        notices: The notices, as `htpoort.notices.read_notice` and `read_own_notice` give them.
        directory: The systems that the gateway plays.
        names: Which names in notices are which of these systems.

    Returns:
        The windows; of those that overlap, what refuses comes first. What is rejected is refused. While a system is
        unavailable, declarations are accepted and never answered; or answered after the end, if the notice says to
        wait or to send a list. Rows without an effect that can be played, such as *limited*, are left out.
    """
    known = [KnownNotice(notice=notice, learned=_EARLIEST, key=str(number)) for number, notice in enumerate(notices)]
    availability = Availability(known, names)
    windows = [
        window
        for system in directory
        for placed in availability.windows(system.name, start=_EARLIEST, stop=_LATEST)
        if (window := _window(system.name, placed)) is not None
    ]
    return tuple(sorted(windows, key=lambda window: _STRONGEST.index(window.behaviour)))


def _window(system: str, placed: PlacedWindow) -> Window | None:
    """Make one window; None if the row has no effect that can be played."""
    stated = placed.window
    behaviour = _PLAYED.get(stated.behaviour)
    if stated.behaviour is published.Behaviour.UNAVAILABLE:
        behaviour = Behaviour.QUEUE if stated.recovery in _KEPT else Behaviour.LOSE
    begins = placed.opens or _EARLIEST
    # An end that was only expected is played: the gateway knows how the day went on, the agent does not.
    ends = placed.closes or stated.closes(placed.zone or "UTC") or _LATEST
    if behaviour is None or placed.assumed or begins >= ends:
        return None
    return Window(system=system, behaviour=behaviour, begins=begins, ends=ends)
