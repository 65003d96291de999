"""Say in one sentence why a placed window leads to its advice."""

from __future__ import annotations

from datetime import datetime

from htpoort.core.notices._placing import AdviceKind, PlacedWindow
from htpoort.core.notices.notice import Behaviour, EndKind, NoticeState

__all__ = ["contradiction", "reason_of", "title_of"]

_EFFECTS = {
    Behaviour.REJECTED: "rejects what is sent",
    Behaviour.QUEUED: "keeps what is sent and processes it afterwards",
    Behaviour.DELAYED: "receives what is sent and may answer late",
    Behaviour.UNAVAILABLE: "is unavailable",
    Behaviour.LIMITED: "works in part only",
    Behaviour.UNSTABLE: "works only at times",
    Behaviour.NORMAL: "is not affected",
    Behaviour.UNSTATED: "is affected in a way that is not stated",
}


def title_of(placed: PlacedWindow) -> str:
    """Name a notice with the time that its text bears."""
    name = f"Notice {placed.notice}" if placed.notice else "A notice without a reference"
    return name if placed.revision is None else f"{name} of {_shown(placed.revision)}"


def reason_of(placed: PlacedWindow, system: str) -> str:
    """
    Explain the advice of a window.

    Args:
        placed: The window.
        system: The system that was asked for.

    Returns:
        One sentence.
    """
    return f"{title_of(placed)} says that {_statement(placed, system)}{_doubt(placed)}."


def contradiction(first: PlacedWindow, second: PlacedWindow, system: str) -> str:
    """
    Explain that two notices contradict each other.

    Args:
        first: The window of one.
        second: The window of the other.
        system: The system that was asked for.

    Returns:
        One sentence.
    """
    parts = [
        f"{title_of(placed)} that {_statement(placed, system)} (recovery: {placed.window.recovery})"
        for placed in (first, second)
    ]
    return f"Two notices contradict each other: {parts[0]}, and {parts[1][0].lower()}{parts[1][1:]}."


def _statement(placed: PlacedWindow, system: str) -> str:
    window = placed.window
    name = "a system that it does not name" if window.system is None else window.system
    if window.system is not None and window.system.casefold() != system.casefold():
        name += f" ({system})"
    start = "" if window.start is None else f" from {_shown(window.start)}"
    end = "" if window.end is None else f" until {_shown(window.end)}"
    expected = ", an expected end" if window.end is not None and window.end_kind is EndKind.EXPECTED else ""
    zone = f" ({placed.zone})" if placed.zone and (start or end) else ""
    return f"{name} {_EFFECTS[window.behaviour]}{start}{end}{zone}{expected}"


def _doubt(placed: PlacedWindow) -> str:  # noqa: PLR0911 - one reason each
    """Say why the statement alone does not decide; empty if it does."""
    window = placed.window
    if window.system is None:
        return "; whether that is the one that you use, a person must decide"
    if placed.zone is None:
        return "; its authority, and so the zone of its times, is not known"
    if placed.state is NoticeState.CANCELLED:
        return "; it also says that this is cancelled, but was not wholly understood, so that it releases nothing"
    if placed.state is NoticeState.UNCLEAR:
        return "; but the notice contradicts itself, or gives too little to decide it"
    if window.start is None and placed.advice is AdviceKind.UNCLEAR:
        return ", without a start that can be read"
    if placed.assumed and not placed.complete and placed.advice is AdviceKind.UNCLEAR:
        return (
            "; the notice was not wholly understood, so that this end releases nothing: read it, and add a notice of "
            "your own with its reference that says what is true"
        )
    if placed.assumed and placed.closes is None:
        return "; no notice says that it ended"
    if placed.advice is AdviceKind.UNCLEAR and window.messages:
        return f"; only for some messages: {', '.join(window.messages)}"
    return "" if window.end is not None or placed.advice is AdviceKind.SEND else "; it states no end"


def _shown(local: datetime) -> str:
    return local.isoformat(" ", "minutes" if not local.second else "seconds")
