"""
Place the rows of notices in time: when each has an effect, what to do then, and between which moments it was known.

A text that was wholly understood replaces the older texts of its notice. One that was not adds to them: it can hold,
but it never releases. The end of a disruption is never inferred.
"""

from __future__ import annotations

import enum
import functools
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from typing import Final, final

import attrs

from htpoort.core.errors import InputError, Problem
from htpoort.core.notices.notice import (
    Behaviour,
    EndKind,
    Notice,
    NoticeKind,
    NoticeState,
    Revision,
    ServiceWindow,
)

__all__ = [
    "EARLIEST",
    "NEVER",
    "AdviceKind",
    "KnownNotice",
    "PlacedWindow",
    "Span",
    "Text",
    "aware",
    "events_of",
    "spans_of",
]

EARLIEST: Final = datetime.min.replace(tzinfo=UTC)
NEVER: Final = datetime.max.replace(tzinfo=UTC)
# The zones of the world reach from 12 hours behind UTC to 14 before it.
_ZONES_BEHIND: Final = timedelta(hours=12)
_ZONES_BEFORE: Final = timedelta(hours=14)


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

    Those of one authority with the same key, or else the same first reference, are about one event, and their texts
    replace each other.

    Args:
        notice: The notice.
        learned: When it was read, aware. If None, each of its texts is known from the time that it bears.
        key: A name for the event, such as the number of a notice without a reference in the ledger.
    """

    notice: Notice
    learned: datetime | None = None
    key: str = ""

    @property
    def name(self) -> str:
        """The name of the event: the key, or else the first reference; empty if there is neither."""
        return self.key or next(iter(self.notice.references), "")


@final
@attrs.frozen(kw_only=True)
class PlacedWindow:
    """
    A period in which a notice has an effect on a system, placed in time.

    Args:
        window: The row of the notice.
        notice: The notice: its key, or else its first reference.
        revision: The time that the text bears, local; None if it bears none.
        zone: The zone of the notice; None if the authority is not known.
        state: What the text says of the event.
        complete: Whether all of the text was understood.
        advice: What to do in this period.
        opens: The first moment, in UTC; None if no start is known.
        closes: The first moment after it, in UTC; None if no end is known.
        assumed: Whether the text does not firmly state this effect: the period follows an end that was only expected,
            or that is stated by a text that was not wholly understood; or the text contradicts itself.
    """

    window: ServiceWindow
    notice: str
    revision: datetime | None
    zone: str | None
    state: NoticeState
    complete: bool
    advice: AdviceKind
    opens: datetime | None
    closes: datetime | None
    assumed: bool = False


@final
@attrs.define(eq=False)
class Text:
    """One text of an event: the moment from which it is known, and that at which it was published."""

    known_notice: KnownNotice
    revision: Revision
    known: datetime
    published: datetime


@final
@attrs.define(eq=False)
class Span:
    """
    A row of a text with sortable bounds, on both axes of time. There may be a million, so it is small and made fast.

    Args:
        window: The row.
        text: The text that states it.
        event: The number of its event; several notices with one name are one event.
        advice: What to do.
        assumed: As in `PlacedWindow`.
        opens: The first moment.
        closes: The first moment after it.
        replaced: From when another text of the event stands in the place of this one.
    """

    window: ServiceWindow
    text: Text
    event: int
    advice: AdviceKind
    assumed: bool
    opens: datetime
    closes: datetime
    replaced: datetime

    def placed(self) -> PlacedWindow:
        """Give what users see of it."""
        revision, notice = self.text.revision, self.text.known_notice.notice
        return PlacedWindow(
            window=self.window,
            notice=self.text.known_notice.name,
            revision=revision.known,
            zone=notice.zone,
            state=revision.state,
            complete=revision.complete,
            advice=self.advice,
            opens=None if self.opens == EARLIEST else self.opens,
            closes=None if self.closes == NEVER else self.closes,
            assumed=self.assumed,
        )


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
_STATES_OF_DOUBT: Final = frozenset({NoticeState.UNCLEAR, NoticeState.CANCELLED})
_GOING_ON: Final = frozenset({NoticeState.IN_FORCE, NoticeState.DELAYED})
_ABOUT_DISRUPTIONS: Final = frozenset({NoticeKind.PLANNED, NoticeKind.INCIDENT})


def aware(name: str, moment: datetime) -> datetime:
    """Give a moment in UTC; one without a zone is refused."""
    if moment.utcoffset() is None:
        raise InputError(name, (Problem("input.date", f"{name} is {moment.isoformat()}; give an aware datetime."),))
    return moment.astimezone(UTC)


def events_of(notices: Iterable[KnownNotice | Notice]) -> list[list[KnownNotice]]:
    """Sort notices by event, in the order in which they were given; an authority ends no event of another one."""
    events: dict[object, list[KnownNotice]] = {}
    for number, given in enumerate(notices):
        known = given if isinstance(given, KnownNotice) else KnownNotice(notice=given)
        events.setdefault((known.notice.authority, known.name) if known.name else number, []).append(known)
    return list(events.values())


def spans_of(event: int, notices: Sequence[KnownNotice]) -> Iterator[Span]:
    """
    Place every row of every text of an event.

    Args:
        event: The number of the event.
        notices: Its notices.

    Yields:
        The spans; a text that was never in effect has none.
    """
    texts = _texts(notices)
    replaced = NEVER
    replacements: list[datetime] = []
    for text in reversed(texts):
        replacements.append(replaced)
        # Only a text that was wholly understood can release what an older one holds.
        replaced = min(replaced, text.known) if text.revision.complete else replaced
    firsts = _first_published(texts)
    for number, (text, until) in enumerate(zip(texts, reversed(replacements), strict=True)):
        if text.known < until:
            for stating, window in _rows_of(text, texts, number):
                yield from _place_row(event, stating, window, firsts[text.known], until)


def _first_published(texts: Iterable[Text]) -> dict[datetime, datetime]:
    """Give when the event was first published, by what was known: what was learned later changes nothing of before."""
    firsts: dict[datetime, datetime] = {}
    first = NEVER
    for text in sorted(texts, key=attrgetter("known")):
        first = firsts[text.known] = min(first, text.published)
    return firsts


def _rows_of(text: Text, texts: Sequence[Text], number: int) -> Iterator[tuple[Text, ServiceWindow]]:
    """Give the rows of a text; one that only says that it is over ends the rows of the older texts."""
    revision = text.revision
    if revision.windows or not revision.complete or revision.state is not NoticeState.ENDED:
        yield from ((text, window) for window in revision.windows)
        return
    for other in reversed(texts[:number]):
        if other.known <= text.known:
            notice, is_sure = other.known_notice.notice, other.revision.complete
            stating = Text(other.known_notice, revision, text.known, text.published)
            for window in () if is_sure and other.revision.state is NoticeState.CANCELLED else other.revision.windows:
                closes = _place(window.end, notice.zone or "UTC", last=True)
                if is_sure and closes is not None and closes <= text.published:
                    yield stating, window
                else:
                    yield stating, attrs.evolve(window, end_kind=EndKind.UNKNOWN)
            if is_sure:
                return


def _texts(notices: Sequence[KnownNotice]) -> list[Text]:
    """Put the texts of an event into the order in which they were published, each once."""
    texts: list[Text] = []
    for known_notice in notices:
        learned = None if known_notice.learned is None else aware("learned", known_notice.learned)
        known = published = learned or EARLIEST
        for revision in known_notice.notice.revisions:
            stamp = _stamp(revision, known_notice.notice)
            if learned is None:
                # A text without a time follows the one before it.
                known = stamp or known
            published = stamp or published
            texts.append(Text(known_notice, revision, known, published))
    texts.sort(key=lambda text: (text.published, text.known))
    seen: set[object] = set()
    once: list[Text] = []
    for text in texts:
        stated = (text.published, text.revision.state, text.revision.complete, text.revision.windows)
        if stated not in seen:
            seen.add(stated)
            once.append(text)
    return once


def _stamp(revision: Revision, notice: Notice) -> datetime | None:
    return _place(revision.known, notice.zone or "UTC", last=False)


def _place_row(event: int, text: Text, window: ServiceWindow, first: datetime, replaced: datetime) -> Iterator[Span]:
    """Place one row: what the text states, and then what nothing says is over."""
    notice, revision = text.known_notice.notice, text.revision
    state, complete = revision.state, revision.complete
    kind, assumed = _advice_of(window, notice, state)
    if kind is None or (state is NoticeState.CANCELLED and complete):
        return
    opens, closes = _bounds(window, notice.zone, first)
    is_final, end, tail = window.end_kind is EndKind.FINAL, closes, NEVER
    if state is NoticeState.ENDED and not is_final and text.published > EARLIEST:
        # It was over when the text that says so was published, if not before.
        is_final, end = True, text.published
    if kind is AdviceKind.SEND or (complete and is_final):
        tail = end
    later = AdviceKind.UNCLEAR if kind is AdviceKind.HOLD and is_final else kind
    for begin, stop, advice, is_assumed in ((opens, end, kind, assumed), (max(opens, end), tail, later, True)):
        if begin < stop:
            yield Span(window, text, event, advice, is_assumed, begin, stop, replaced)


def _advice_of(window: ServiceWindow, notice: Notice, state: NoticeState) -> tuple[AdviceKind | None, bool]:
    """Decide what a row asks for while it lasts, and whether that is assumed; None if it is about no disruption."""
    kind = _BY_BEHAVIOUR[window.behaviour]
    if window.behaviour is Behaviour.UNSTATED and notice.kind not in _ABOUT_DISRUPTIONS:
        return None, False
    if kind is AdviceKind.SEND:
        # What is said of some messages, or without an end, contradicts no other notice.
        return kind, bool(window.messages) or window.end is None
    in_doubt = (
        state in _STATES_OF_DOUBT
        or window.system is None
        or notice.zone is None
        or (window.start is None and state not in _GOING_ON)
    )
    if kind is AdviceKind.HOLD and (in_doubt or window.messages):
        return AdviceKind.UNCLEAR, in_doubt
    return kind, in_doubt


# The rows of a notice have the same few times.
@functools.lru_cache(maxsize=1024)
def _place(local: datetime | None, zone: str, *, last: bool) -> datetime | None:
    window = ServiceWindow(start=local, end=local)
    return window.closes(zone) if last else window.opens(zone)


def _bounds(window: ServiceWindow, zone: str | None, first: datetime) -> tuple[datetime, datetime]:
    """Give the first moment that the start can mean, and the last that the end can mean."""
    opens, closes = _place(window.start, zone or "UTC", last=False), _place(window.end, zone or "UTC", last=True)
    if zone is None:
        opens = None if opens is None else opens - _ZONES_BEFORE
        closes = None if closes is None else closes + _ZONES_BEHIND
    # A disruption whose start is not stated began at the latest when it was first published.
    return first if opens is None else opens, NEVER if closes is None else closes
