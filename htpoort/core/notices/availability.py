"""
Decide what to do with a declaration now, from the notices that are known: send it, hold it, or send it and expect late
answers.

There are two time axes: the moment at which something is to be sent, and what was known at a moment. An end is never
inferred: what a notice does not end goes on. This module reads no clock, and nothing it knows is ever changed.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Final, final

import attrs

from htpoort.core.directory import Mark
from htpoort.core.errors import InputError, Problem
from htpoort.core.notices.notice import (
    Access,
    Behaviour,
    EndKind,
    Fallback,
    Notice,
    NoticeState,
    Recovery,
    Revision,
    ServiceWindow,
)

__all__ = ["Advice", "AdviceKind", "Availability", "KnownNotice", "NoticeName", "PlacedWindow"]

_EARLIEST: Final = datetime.min.replace(tzinfo=UTC)
_NEVER: Final = datetime.max.replace(tzinfo=UTC)


class AdviceKind(enum.StrEnum):
    """What to do with a declaration."""

    SEND = "send"
    """Nothing that is known is in the way."""
    HOLD = "hold"
    """Keep it: a notice says that it would be rejected, or that the system is unavailable."""
    SEND_EXPECT_LATE = "send-expect-late"
    """Send it; the answer may be late, so do not count the time until the end of the window."""
    UNCLEAR = "unclear"
    """The notices do not decide it; a person must. Hold it until then."""


@final
@attrs.frozen(kw_only=True)
class KnownNotice:
    """
    A notice, and when it became known here.

    Args:
        notice: The notice.
        learned: When it was read, aware. If None, each of its texts is known from the time that it bears.
        key: A name for a notice without a reference, such as its number in the ledger.
    """

    notice: Notice
    learned: datetime | None = None
    key: str = ""


@final
@attrs.frozen(kw_only=True)
class NoticeName:
    """
    State that a name in notices means a system of the directory.

    Args:
        name: The name as notices print it; the case of letters and repeated blanks do not matter.
        system: The system, as the directory names it.
        authority: The authority whose notices use the name so; None for any.
        mark: How certain this is.
        source: Where it is published.
    """

    name: str
    system: str
    authority: str | None = None
    mark: Mark = Mark.UNKNOWN
    source: str = ""


@final
@attrs.frozen(kw_only=True)
class PlacedWindow:
    """
    A period in which a notice has an effect on a system, placed in time.

    Args:
        window: The row of the notice.
        notice: The notice: its first reference, or else its key.
        revision: The time that the text bears, local; None if it bears none.
        zone: The zone of the notice; None if the authority is not known.
        advice: What to do in this period.
        opens: The first moment, in UTC; None if no start is known.
        closes: The first moment after it, in UTC; None if no end is known.
        assumed: Whether the period follows the end that the notice states: that end was only expected, or the notice
            was not wholly understood, so nothing says that the disruption is over.
    """

    window: ServiceWindow
    notice: str
    revision: datetime | None
    zone: str | None
    advice: AdviceKind
    opens: datetime | None
    closes: datetime | None
    assumed: bool = False


@final
@attrs.frozen(kw_only=True)
class Advice:
    """
    What to do with a declaration, and why.

    Args:
        advice: What to do.
        until: When to ask again, in UTC: until then the advice holds, unless another notice comes. None if no end is
            known, or if the advice is to send.
        reason: One sentence for people.
        recovery: What the notice asks for afterwards.
        fallback: What the notice says of the emergency procedure.
        notice: The notice that decides, by its reference or key; several are joined by ``, ``; empty if none does.
        revision: The time that its text bears, local; None if it bears none.
        windows: The periods that the advice follows from, the deciding one first.
    """

    advice: AdviceKind
    until: datetime | None = None
    reason: str
    recovery: Recovery = Recovery.UNSTATED
    fallback: Fallback = Fallback.UNSTATED
    notice: str = ""
    revision: datetime | None = None
    windows: tuple[PlacedWindow, ...] = ()


_BY_BEHAVIOUR: Final = {
    Behaviour.REJECTED: AdviceKind.HOLD,
    Behaviour.UNAVAILABLE: AdviceKind.HOLD,
    Behaviour.QUEUED: AdviceKind.SEND_EXPECT_LATE,
    Behaviour.DELAYED: AdviceKind.SEND_EXPECT_LATE,
    Behaviour.UNSTABLE: AdviceKind.SEND_EXPECT_LATE,
    Behaviour.LIMITED: AdviceKind.UNCLEAR,
    Behaviour.UNSTATED: AdviceKind.UNCLEAR,
    Behaviour.NORMAL: AdviceKind.SEND,
}


@final
class Availability:
    """
    What is known about the systems, from all notices that were read.

    Args:
        notices: The notices. A plain `Notice` is known from the times that its texts bear.
        names: Which name in notices means which system.
    """

    def __init__(self, notices: Iterable[KnownNotice | Notice], names: Iterable[NoticeName] = ()) -> None:
        self._notices = [known if isinstance(known, KnownNotice) else KnownNotice(notice=known) for known in notices]
        self._names = tuple(names)

    def what_now(
        self, system: str, *, at: datetime, known_at: datetime | None = None, access: Access = Access.FILE
    ) -> Advice:
        """
        Advise what to do with a declaration for a system.

        Args:
            system: The system of the directory. One that no name is mapped to is taken as a name that notices print.
            at: The moment at which it would be sent, aware.
            known_at: Use only what was known at this moment, aware; everything if None.
            access: How it would be sent.

        Returns:
            The advice.

        Raises:
            InputError: A moment has no zone.
        """
        at = _aware("at", at)
        placed = self.windows(system, start=at, stop=at + timedelta.resolution, known_at=known_at, access=access)
        order = (AdviceKind.HOLD, AdviceKind.UNCLEAR, AdviceKind.SEND_EXPECT_LATE)
        for kind in order:
            of_kind = tuple(window for window in placed if window.advice is kind)
            if of_kind:
                first = of_kind[0]
                closes = [window.closes for window in of_kind]
                return Advice(
                    advice=kind,
                    until=max((moment for moment in closes if moment), default=None) if all(closes) else None,
                    reason=f"Notice {first.notice} says that {system} is {first.window.behaviour} then.",
                    recovery=first.window.recovery,
                    fallback=first.window.fallback,
                    notice=first.notice,
                    revision=first.revision,
                    windows=of_kind,
                )
        return Advice(advice=AdviceKind.SEND, reason=f"No notice that is known concerns {system} then.")

    def windows(
        self,
        system: str,
        *,
        start: datetime,
        stop: datetime,
        known_at: datetime | None = None,
        access: Access = Access.FILE,
    ) -> tuple[PlacedWindow, ...]:
        """
        List the periods in which a system is affected.

        Args:
            system: The system, as in `what_now`.
            start: The first moment, aware.
            stop: The first moment after, aware.
            known_at: Use only what was known at this moment, aware; everything if None.
            access: How declarations are sent.

        Returns:
            Every period that overlaps, by its start.

        Raises:
            InputError: A moment has no zone.
        """
        first, last = _aware("start", start), _aware("stop", stop)
        known = _NEVER if known_at is None else _aware("known_at", known_at)
        wanted = {_folded(name.name) for name in self._names if _folded(name.system) == _folded(system)}
        wanted = wanted or {_folded(system)}
        placed = [
            window
            for notice in self._notices
            for window in _placed_windows(notice, known)
            if window.window.system is not None and _folded(window.window.system) in wanted
            if access is Access.ANY or window.window.access in {access, Access.ANY}
            if (window.opens or _EARLIEST) < last and first < (window.closes or _NEVER)
        ]
        return tuple(sorted(placed, key=lambda window: window.opens or _EARLIEST))


def _aware(name: str, moment: datetime) -> datetime:
    if moment.utcoffset() is None:
        message = f"{name} is {moment.isoformat()}; give an aware datetime."
        raise InputError(name, (Problem("input.date", message),))
    return moment.astimezone(UTC)


def _folded(name: str) -> str:
    return " ".join(name.casefold().split())


def _known_from(known: KnownNotice, revision: Revision) -> datetime:
    if known.learned is not None:
        return _aware("learned", known.learned)
    zone = known.notice.zone or "UTC"
    return ServiceWindow(start=revision.known).opens(zone) or _EARLIEST


def _placed_windows(known: KnownNotice, known_at: datetime) -> Iterator[PlacedWindow]:
    """Place the rows of the newest text that was known."""
    notice = known.notice
    texts = [revision for revision in notice.revisions if _known_from(known, revision) <= known_at]
    if not texts or texts[-1].state is NoticeState.CANCELLED:
        return
    for window in texts[-1].windows:
        closes = window.closes(notice.zone or "UTC")
        yield PlacedWindow(
            window=window,
            notice=notice.references[0] if notice.references else known.key,
            revision=texts[-1].known,
            zone=notice.zone,
            advice=_BY_BEHAVIOUR[window.behaviour],
            opens=window.opens(notice.zone or "UTC"),
            closes=closes if window.end_kind is EndKind.FINAL else None,
        )
