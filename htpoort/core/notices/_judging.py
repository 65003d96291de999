"""
Judge a notice as a whole: what it is about, in which state it is, and what its parts contradict.

Nothing is corrected here: what contradicts is reported.
"""

from __future__ import annotations

import re
import string
from collections.abc import Iterable, Sequence
from datetime import datetime

import attrs

from htpoort.core.errors import Problem
from htpoort.core.notices._authorities import Authority
from htpoort.core.notices._collect import CUT, Collected
from htpoort.core.notices._facts import EventKind, TimeRole
from htpoort.core.notices._layout import Entry, TextBlock
from htpoort.core.notices._rows import Rows
from htpoort.core.notices._spans import moments_of
from htpoort.core.notices._text import fold
from htpoort.core.notices.notice import NoticeKind, NoticeState, Recovery

__all__ = ["ReadBlock", "doubts", "kind_of", "state_of"]

_DOTS = re.compile(r"\.{3,}|…")
_PLANNED = re.compile(r"service ?-?window|servicevindue|maintenance|onderhoud|planlagt|opgradering|upgrade|nedlukning")
_INCIDENT = re.compile(
    r"\b(?:issues?|problems?|disruptions?|malfunction|incident|outage|errors?|experiencing|storing|verstoring|problemer"
    r"|fejl|driftsforstyrrelse|nedbrud)\b"
)


_REFERENCES = {"WO": NoticeKind.PLANNED, "INC": NoticeKind.INCIDENT}
_STATES = {
    EventKind.CANCELLED: NoticeState.CANCELLED,
    EventKind.ENDED: NoticeState.ENDED,
    EventKind.MOVED: NoticeState.MOVED,
    EventKind.DELAYED: NoticeState.DELAYED,
}
"""What an event makes of the state; the first one that a text states counts."""


@attrs.frozen(kw_only=True)
class ReadBlock:
    """A text of a notice, what its sentences state, its rows, and in how many languages it says so."""

    block: TextBlock
    collected: Collected
    rows: Rows
    versions: int = 1

    @property
    def shown(self) -> str:
        """All of it, to compare and to search."""
        return " ".join(line.folded for line in self.block.lines)

    @property
    def starts(self) -> tuple[datetime, ...]:
        """The starts of its windows that are known."""
        return tuple(row.start for row in self.rows.windows if row.start is not None)

    @property
    def ends(self) -> tuple[datetime, ...]:
        """The ends of its windows that are known."""
        return tuple(row.end for row in self.rows.windows if row.end is not None)

    def place(self) -> tuple[int, int]:
        """Return where it stands."""
        return self.block.start, self.block.stop


def kind_of(entry: Entry, newest: ReadBlock, authority: Authority) -> NoticeKind:
    """
    Find what a notice is about: by its sentences, its header, its reference, and then by single words.

    Args:
        entry: The notice.
        newest: Its newest text.
        authority: Whose notice it is.

    Returns:
        The kind.
    """
    words = [fold(word).strip(" .:") for word in (entry.kind, entry.status)]
    kinds = [*newest.collected.kinds, *(authority.kinds[word] for word in words if word in authority.kinds)]
    if authority.one_subject and NoticeKind.PLANNED in kinds:
        # Its title may have the form of a disruption.
        kinds.insert(0, NoticeKind.PLANNED)
    if authority.one_subject and not kinds and _is_recovery(newest):
        kinds.append(NoticeKind.RECOVERY)
    kinds += [kind for each in newest.collected.references for kind in _kinds_of_reference(each)]
    for text in (entry.title.folded if entry.title is not None else "", newest.shown):
        if _PLANNED.search(text) is not None:
            kinds.append(NoticeKind.PLANNED)
        elif _INCIDENT.search(text) is not None:
            kinds.append(NoticeKind.INCIDENT)
    return kinds[0] if kinds else NoticeKind.OTHER


def _is_recovery(newest: ReadBlock) -> bool:
    """Whether a text only says what to do after a disruption: no sentence announces one."""
    asked = any(each.fact.recovery is not Recovery.WAIT for each in newest.collected.asks)
    return asked and not newest.collected.subjects


def _kinds_of_reference(reference: str) -> Iterable[NoticeKind]:
    letters = reference.rstrip(string.digits).upper()
    return (_REFERENCES[letters],) if letters in _REFERENCES else ()


def _by_sentences(read: ReadBlock, kind: NoticeKind) -> NoticeState:
    """Find the state by what the sentences say."""
    has = read.collected.has
    if has(EventKind.CANCELLED) and has(EventKind.ENDED):
        return NoticeState.UNCLEAR
    for event, state in _STATES.items():
        if has(event):
            return state
    if kind is NoticeKind.RECOVERY or "new-text-missing" in {problem.code for problem in read.rows.problems}:
        return NoticeState.UNCLEAR
    return NoticeState.IN_FORCE if kind is NoticeKind.INCIDENT else NoticeState.ANNOUNCED


def _codes(read: ReadBlock) -> frozenset[str]:
    return frozenset(problem.code for problem in read.collected.problems)


def state_of(read: ReadBlock, kind: NoticeKind, status: str, authority: Authority) -> NoticeState:
    """
    Find the state of one text.

    Args:
        read: The text.
        kind: What the notice is about.
        status: The printed word of the header; empty for an older text.
        authority: Whose word it is.

    Returns:
        The state; unclear where the header and the sentences leave it open.
    """
    if not read.block.lines:
        return NoticeState.UNCLEAR
    by_sentences = _by_sentences(read, kind)
    by_status = authority.statuses.get(fold(status).strip(" .:"))
    if by_status is None or by_sentences is by_status:
        return by_sentences
    if by_status is NoticeState.ENDED:
        if _codes(read) & {"duplicate-notice", "continued-elsewhere"} or _closed_early(read, first=True):
            return NoticeState.UNCLEAR
        return by_sentences if by_sentences is NoticeState.CANCELLED else NoticeState.ENDED
    return by_status


def _closed_early(read: ReadBlock, *, first: bool) -> bool:
    """Return whether the text was closed before its window began, or before it ended."""
    known = read.block.known
    if known is None:
        return False
    moments = read.starts if first else read.ends
    return bool(moments) and known < (min(moments) if first else max(moments))


def doubts(entry: Entry, reads: Sequence[ReadBlock], kind: NoticeKind, authority: Authority) -> list[Problem]:
    """
    List what a notice leaves in doubt beyond its single sentences.

    Args:
        entry: The notice.
        reads: Its texts, the newest first.
        kind: What it is about.
        authority: Whose notice it is.

    Returns:
        The problems.
    """
    newest = reads[0]
    problems = [
        *_status_doubts(entry, newest, authority),
        *_time_doubts(newest, kind),
        *_system_doubts(newest, authority),
    ]
    for older in reads[1:]:
        if not older.block.lines:
            place = older.place()
            problems.append(Problem("older-text-missing", "Nothing stands under the head of an older text.", *place))
        elif _repeats(older.shown, newest.shown):
            problems.append(Problem("same-text-twice", "An older text repeats the newest one.", *older.place()))
    for read in reads:
        if read.block.stamp and read.block.known is None:
            message = f"{read.block.stamp!r} is no moment that can be read; look for a slip."
            problems.append(Problem("date-unreadable", message, read.block.start, read.block.start))
        problems += _cut_doubts(read)
    return problems


def _repeats(older: str, newest: str) -> bool:
    """Return whether an older text is the newest one again, perhaps cut."""
    cut = CUT.search(older)
    if cut is not None:
        return newest.startswith(older[: cut.start()].rstrip())
    return older == newest


def _status_doubts(entry: Entry, newest: ReadBlock, authority: Authority) -> Iterable[Problem]:
    closed = authority.statuses.get(fold(entry.status).strip(" .:")) is NoticeState.ENDED
    if newest.collected.has(EventKind.CANCELLED) and any(each.fact.behaviour for each in newest.collected.statements):
        first = next(each for each in newest.collected.statements if each.fact.behaviour)
        message = "It was cancelled, but the text still says what happens during the window."
        yield Problem("contradiction", message, first.passage.start, first.passage.stop)
    if not closed:
        return
    if _closed_early(newest, first=True):
        yield Problem("closed-before-start", "It was closed before its window began.", *newest.place())
    elif _closed_early(newest, first=False):
        yield Problem("closed-before-end", "It was closed while its window was still running.", *newest.place())
    if newest.collected.has(EventKind.ONGOING) and not newest.collected.has(EventKind.ENDED):
        first_ongoing = next(each for each in newest.collected.events if each.fact.kind is EventKind.ONGOING)
        passage = first_ongoing.passage
        yield Problem("contradiction", "It is closed, but the text says that it goes on.", passage.start, passage.stop)


def _time_doubts(newest: ReadBlock, kind: NoticeKind) -> Iterable[Problem]:
    if kind in {NoticeKind.SECURITY_CHANGE, NoticeKind.OTHER} and not newest.rows.windows:
        return
    timed = [each for each in newest.collected.periods if each.role in {TimeRole.WINDOW, TimeRole.NEW}]
    printed = [moment for each in timed for moment in moments_of(each.period)]
    if not any(moment.day is not None for moment in printed) and not newest.starts:
        yield Problem("no-date", "The text gives no date for the start.", *newest.place())


def _system_doubts(newest: ReadBlock, authority: Authority) -> Iterable[Problem]:
    windows = newest.rows.windows
    if any(row.system is None for row in windows):
        yield Problem("no-system", "The text names no system.", *newest.place())
    systems = {row.system.casefold() for row in windows if row.system is not None}
    if systems and systems <= authority.tests:
        yield Problem("test-environment", "The window concerns a test system: production goes on.", *newest.place())
    elif systems and systems <= authority.others | authority.tests:
        yield Problem("not-customs", "No declaration goes to this system.", *newest.place())


def _cut_doubts(read: ReadBlock) -> Iterable[Problem]:
    for line in read.block.lines:
        for match in CUT.finditer(line.folded):
            yield Problem("truncated", "The text was cut here.", *line.span(*match.span()))
        for match in _DOTS.finditer(line.folded):
            ends = not line.folded[match.end() :].strip(" .\"')")
            code = "truncated" if ends else "extract"
            yield Problem(code, "Something was left out here.", *line.span(*match.span()))
