"""
Play published notices: the same texts that an agent obeys drive the windows of the gateway, by its own clock.

The gateway does what the newest text of a notice says, whether anyone knew it in time or not.
"""

from __future__ import annotations

from collections.abc import Iterable, Set as AbstractSet
from datetime import UTC, datetime
from typing import Final, final

import attrs

from htpoort.core import notices as published
from htpoort.core.directory import Directory
from htpoort.core.errors import InputError, Problem, UnknownError
from htpoort.core.notices import (
    Access,
    Availability,
    KnownNotice,
    Notice,
    NoticeName,
    NoticeState,
    PlacedWindow,
    Recovery,
    ServiceWindow,
)
from htpoort.core.text import folded
from htpoort.simulator.scenarios import Behaviour, Window

__all__ = ["PlayedNotices", "notice_windows", "played_notices"]

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


@final
@attrs.frozen(kw_only=True)
class PlayedNotices:
    """
    What a gateway plays of notices.

    Args:
        windows: The windows; of those that overlap, what refuses comes first.
        left_out: What is not played, and why: a sentence for each row of a notice.
    """

    windows: tuple[Window, ...] = ()
    left_out: tuple[str, ...] = ()


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
    mapped = tuple(names)
    return _in_order(window for notice in notices for window, _ in _of_notice(notice, directory, mapped))


def played_notices(
    notices: Iterable[Notice], *, directory: Directory, names: Iterable[NoticeName] = (), at: datetime
) -> PlayedNotices:
    """
    Make the windows of a gateway from notices, and find what is left out of them.

    Args:
        notices: The notices, as for `notice_windows`.
        directory: The systems that the gateway plays.
        names: Which names in notices are which of these systems.
        at: When the gateway begins, aware: a window that is over by then is left out.

    Returns:
        What is played.

    Raises:
        UnknownError: A name is to mean a system that the directory lacks.
        InputError: There are notices, and nothing of them would be played.
    """
    mapped, systems = tuple(names), tuple(system.name for system in directory)
    for name in mapped:
        if folded(name.system) not in map(folded, systems):
            raise UnknownError("notice_names", name.system, "the systems that are played", systems)
    windows: list[Window] = []
    left_out: list[str] = []
    listed = tuple(notices)
    for number, notice in enumerate(listed, 1):
        title = f"notice {notice.references[0] if notice.references else number}"
        made = _of_notice(notice, directory, mapped)
        windows += (window for window, _ in made if window.ends > at)
        played = {row: window.ends > at for window, row in made}
        unmapped = set(Availability([notice], mapped).names_without_system(notice, systems))
        for row in notice.windows:
            if not played.get(row):
                why = "is over" if row in played else _why_not(row, notice.state, unmapped, systems)
                left_out += [f"{title}: {row.system or 'a system that it does not name'} {why}."] * bool(why)
        if not notice.windows:
            left_out.append(f"{title}: it states no window.")
    once = tuple(dict.fromkeys(left_out))
    if listed and not windows:
        message = f"notices: nothing would be played. {' '.join(each[0].upper() + each[1:] for each in once)}".rstrip()
        raise InputError("", (Problem("simulator.notices", message),))
    return PlayedNotices(windows=_in_order(windows), left_out=once)


def _in_order(windows: Iterable[Window]) -> tuple[Window, ...]:
    return tuple(sorted(windows, key=lambda window: _STRONGEST.index(window.behaviour)))


def _of_notice(notice: Notice, directory: Directory, names: Iterable[NoticeName]) -> list[tuple[Window, ServiceWindow]]:
    """Make the windows of one notice, each with the row that states it."""
    availability = Availability([KnownNotice(notice=notice, learned=_EARLIEST)], names)
    return [
        (window, placed.window)
        for system in directory
        for placed in availability.windows(system.name, start=_EARLIEST, stop=_LATEST)
        if (window := _window(system.name, placed)) is not None
    ]


def _why_not(row: ServiceWindow, state: NoticeState, unmapped: AbstractSet[str], systems: Iterable[str]) -> str:
    """Say why a row is not played; empty if nothing is missed by that."""
    if row.access is Access.ONLINE or row.behaviour is published.Behaviour.NORMAL:
        return ""
    if row.system in unmapped:
        return f"means none of {', '.join(systems)}; say which by notice_names"
    if state is NoticeState.CANCELLED:
        return "is cancelled"
    if row.behaviour in {published.Behaviour.LIMITED, published.Behaviour.UNSTATED}:
        return f"has a behaviour that is not played: {row.behaviour}"
    return "is in doubt: the text does not firmly state it, or gives no time for it"


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
