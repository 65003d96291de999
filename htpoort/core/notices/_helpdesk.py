"""
Judge a notice of an authority whose notices are about one thing: title, body and versions are to say the same.

Nothing is corrected here: what contradicts is reported.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Final

import attrs

from htpoort.core.errors import Problem
from htpoort.core.notices._facts import TimeRole
from htpoort.core.notices._judging import ReadBlock
from htpoort.core.notices._rows import Rows
from htpoort.core.notices._systems import same_system
from htpoort.core.notices._text import Line
from htpoort.core.notices._times import read_periods
from htpoort.core.notices.notice import Behaviour

__all__ = ["cut_lines", "helpdesk_doubts", "items_of", "with_text_before"]

_CHANGED: Final = re.compile(r"^\( ?(?:modified|gewijzigd|changed|aangepast|updated?) ?\)")
_SCHEDULED: Final = re.compile(r"\b(?:scheduled|planned|gepland)\b")
_EMERGENCY: Final = re.compile(
    r"\b(?:emergency|unscheduled|unplanned) maintenance\b|\b(?:spoed|ongepland) ?onderhoud\b"
)
_DOWN: Final = re.compile(r"\b(?:unavailable|not available|niet beschikbaar)\b")
_LIMITED: Final = re.compile(r"\b(?:limited|restricted|beperkt)\b")
_OWN_PAGE: Final = re.compile(
    r"share this page|deel deze pagina|service ?messages?|service ?berichten|national customs helpdesk"
)
_LABELS: Final = re.compile(
    r"(?:publication date|publicatiedatum|posted on):? [0-9]{1,2}-[0-9]{1,2}-[0-9]{4},? [0-9]{1,2}:[0-9]{2}"
    r"|(?:previous message|vorig bericht):"
)
_NUMBERED: Final = re.compile(r"[0-9]{1,2}[.)]")
_LABEL: Final = re.compile(r"(?:service|status) ?(?:message|bericht)s?")
_LEAST_ITEMS: Final = 3
_UNDATED: Final = frozenset({"date-relative", "date-incomplete"})


def _misses_new_text(reads: Sequence[ReadBlock]) -> bool:
    """Whether a notice is marked as changed, and gives the text before the change alone."""
    newest = reads[0]
    lines = newest.block.lines
    if len(reads) < 2 or len(lines) != 1 or not _CHANGED.match(lines[0].folded):  # noqa: PLR2004
        return False
    collected = newest.collected
    return not (collected.statements or collected.asks or collected.periods) and bool(reads[1].rows.windows)


def with_text_before(reads: Sequence[ReadBlock]) -> tuple[ReadBlock, ...]:
    """
    Give a notice whose new text is missing the rows of the text before: they can hold, and are never complete.

    Args:
        reads: The texts of a notice, the newest first.

    Returns:
        The same texts, the newest with the rows of the one before and a problem if its own text is missing.
    """
    if not _misses_new_text(reads):
        return tuple(reads)
    message = "It is marked as changed, and only the text before the change is given; look for the new one."
    problem = Problem("new-text-missing", message, *reads[0].place())
    rows = Rows(reads[1].rows.windows, [problem])
    return (attrs.evolve(reads[0], rows=rows), *reads[1:])


def cut_lines(lines: Iterable[Line]) -> tuple[Line, ...]:
    """
    Cut lines whose ends were lost before and after a label: when it was published, and the text before it.

    Args:
        lines: The lines of a page.

    Returns:
        The lines; a label begins one.
    """
    cut: list[Line] = []
    for line in lines:
        places = [0, len(line.text)]
        for match in _LABELS.finditer(line.folded):
            if line.text[match.start()].isupper():
                places += [match.start(), match.end()]
        places.sort()
        for start, stop in pairwise(places):
            part = line.part(start, stop)
            if part.text:
                cut.append(line if len(places) == 2 else attrs.evolve(line, text=part.text, offsets=part.offsets))  # noqa: PLR2004
    return tuple(cut)


def items_of(lines: Sequence[Line]) -> tuple[tuple[Line, ...], ...]:
    """
    Cut a page that lists several notices: its numbered items have each a label of their own.

    Args:
        lines: The lines of a page.

    Returns:
        The lines of each item, what stands before the first one with it; all of them if it is no such page.
    """
    starts = [place for place, line in enumerate(lines) if _NUMBERED.fullmatch(line.bullet) is not None]
    labels = sum(_LABEL.fullmatch(line.folded) is not None for line in lines)
    if len(starts) < _LEAST_ITEMS or labels < _LEAST_ITEMS:
        return (tuple(lines),)
    return tuple(tuple(lines[start:stop]) for start, stop in pairwise([0, *starts[1:], len(lines)]))


def helpdesk_doubts(newest: ReadBlock) -> list[Problem]:
    """
    List what the newest text of a notice leaves in doubt.

    Args:
        newest: That text.

    Returns:
        The problems.
    """
    return [
        *_several(newest),
        *_title_doubts(newest),
        *_box_doubts(newest),
        *_day_doubts(newest),
        *_page_doubts(newest),
    ]


def _several(newest: ReadBlock) -> Iterable[Problem]:
    """Report a list of notices, or of periods."""
    timed = {each.section for each in newest.collected.periods if each.role is TimeRole.WINDOW}
    if len(timed) > 1:
        yield Problem(
            "several-notices", "The text lists several notices; read each of them by itself.", *newest.place()
        )


def _title_doubts(newest: ReadBlock) -> Iterable[Problem]:
    """Compare the title with the body."""
    if not newest.block.lines:
        return
    title = newest.block.lines[0]
    body = " ".join(line.folded for line in newest.block.lines[1:])
    place = title.start, title.stop
    if _SCHEDULED.search(title.folded) and (match := _EMERGENCY.search(body)):
        yield Problem("title-body-differ", f"The title calls it scheduled, and the text {match.group()!r}.", *place)
    stated = {each.fact.behaviour for each in newest.collected.statements if each.fact.general}
    down = Behaviour.UNAVAILABLE in stated
    limited = Behaviour.LIMITED in stated
    said = _LIMITED if down else _DOWN
    if newest.collected.named and down is not limited and said.search(title.folded):
        yield Problem("title-body-differ", "Title and text differ on whether it is unavailable or limited.", *place)
    named, subjects = newest.collected.named, newest.collected.subjects
    if newest.collected.titled and subjects and not any(same_system(one, other) for one in named for other in subjects):
        message = f"The title names {', '.join(named)}, and the text {', '.join(subjects)}."
        yield Problem("title-body-differ", message, *place)


def _box_doubts(newest: ReadBlock) -> Iterable[Problem]:
    """Report boxes that nobody ticked."""
    if newest.collected.unticked:
        names = ", ".join(newest.collected.unticked)
        message = f"The boxes of these messages are empty: {names}; ask whether they are affected."
        yield Problem("boxes-unticked", message, *newest.place())


def _day_doubts(newest: ReadBlock) -> Iterable[Problem]:
    """Report days that cannot be known, where the text gives no other for the start."""
    if newest.starts:
        return
    seen: set[str] = set()
    for line in newest.block.lines:
        for sentence in line.sentences:
            for period in read_periods(sentence.text):
                found = [each for each in period.problems if each.code in _UNDATED]
                if period.undated and not period.problems:
                    message = "An hour without a date; look for the day in the source."
                    found.append(Problem("time-without-date", message, period.start, period.stop))
                problems = [each for each in found if each.code not in seen]
                seen.update(each.code for each in problems)
                yield from sentence.placed(problems)


def _page_doubts(newest: ReadBlock) -> Iterable[Problem]:
    """Report a text that has nothing of the form of the authority's own pages."""
    collected = newest.collected
    own = newest.block.stamp or collected.titled or _OWN_PAGE.search(newest.shown)
    if not own:
        message = "The text is not the authority's own page; compare it with the source."
        yield Problem("third-party", message, *newest.place())
