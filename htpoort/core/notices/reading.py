"""
Read the text of a published notice, and give it as a `Notice`.

Rules of the authority read sentence after sentence; what no rule understands is listed and never guessed. This module
never raises, knows no clock, and takes time in proportion to the text.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import attrs

from htpoort.core.errors import Problem
from htpoort.core.notices._authorities import AUTHORITIES, NO_AUTHORITY, Authority
from htpoort.core.notices._bilingual import compared, versions_of
from htpoort.core.notices._collect import SentenceReader, collect
from htpoort.core.notices._furniture import without_furniture
from htpoort.core.notices._helpdesk import cut_lines, helpdesk_doubts, items_of, with_text_before
from htpoort.core.notices._integrity import broken_end, misfits
from htpoort.core.notices._judging import ReadBlock, doubts, kind_of, state_of
from htpoort.core.notices._layout import Entry, TextBlock, lay_out, read_stamp
from htpoort.core.notices._rows import Rows, make_rows
from htpoort.core.notices._tables import unrolled
from htpoort.core.notices._text import LONGEST, NoticeText, Passage, read_text
from htpoort.core.notices.notice import Notice, NoticeKind, NoticeState, Revision, ServiceWindow

__all__ = ["notice_json", "read_notice"]

_HARMLESS: Final = frozenset({"same-text-twice", "older-text-missing", "test-environment"})
"""Problems that leave no doubt about what the newest text states."""

_ENGLISH_WORDS: Final = """the and of to will be is are for in with during from at has been not may this your you
    occur unavailable window"""
_DANISH_WORDS: Final = """og at er af til vil være den det der på for med kan ikke under efter fra har blive man filer
    servicevindue forekomme"""
_DUTCH_WORDS: Final = """de het een en van is zijn wordt worden voor op met niet dat te aan bij naar uit ook kunt
    beschikbaar storing"""
_LANGUAGE_WORDS: Final = {
    "en": frozenset(_ENGLISH_WORDS.split()),
    "da": frozenset(_DANISH_WORDS.split()),
    "nl": frozenset(_DUTCH_WORDS.split()),
}
_LEAST_MARKS: Final = 2  # one may be chance
_LONGEST_QUOTATION: Final = 200
_WORD = re.compile(r"[a-zæøå]+")
_REFUSED: Final = {
    "empty": Problem("nothing-read", "The text is empty."),
    "binary": Problem("nothing-read", "This is no text: give the text of the notice, or its HTML page."),
    "too-long": Problem("too-long", f"The text has more than {LONGEST:,} characters: give the notice alone."),
}


def _authority_of(folded: str, wanted: str | None) -> Authority:
    """Recognise the authority by what only its notices have."""
    if wanted is not None:
        return AUTHORITIES.get(wanted, NO_AUTHORITY)
    found = [(sum(mark in folded for mark in each.marks), each) for each in AUTHORITIES.values()]
    found.sort(key=lambda pair: -pair[0])
    surest = found[0][0]
    alone = not any(count == surest for count, _ in found[1:])
    return found[0][1] if surest >= _LEAST_MARKS and alone else NO_AUTHORITY


def _language_of(folded: str, languages: Sequence[str]) -> str:
    """Recognise the language by its small words."""
    words = Counter(_WORD.findall(folded))
    counts = {language: sum(words[word] for word in _LANGUAGE_WORDS[language]) for language in languages}
    best = max(counts, key=lambda language: counts[language])
    return best if counts[best] else ""


def _languages_of(entries: Sequence[_ReadEntry], folded: str, authority: Authority) -> str:
    """Recognise the language, or both of a notice in two versions."""
    if any(read.versions > 1 for entry in entries for read in entry.reads[:1]):
        return "+".join(authority.languages)
    return _language_of(folded, authority.languages)


@attrs.frozen(kw_only=True)
class _ReadEntry:
    """One notice of a page, read."""

    entry: Entry
    kind: NoticeKind
    reads: tuple[ReadBlock, ...]
    revisions: tuple[Revision, ...]
    problems: tuple[Problem, ...]

    @property
    def unread(self) -> tuple[tuple[int, int], ...]:
        """The sentences of its texts that no rule understood."""
        return (*self.entry.strange, *(span for read in self.reads for span in read.collected.unread))


def _read_block(block: TextBlock, reader: SentenceReader, header: Sequence[str], title: Passage | None) -> ReadBlock:
    """Read one text; of two versions in two languages, the first counts, and the other is compared with it."""
    authority = reader.authority
    words = {language: _LANGUAGE_WORDS[language] for language in authority.languages}
    versions = versions_of(block.lines, words) if authority.one_subject else None
    first, *others = versions or (tuple(block.lines),)
    collected = collect(first, reader, header=header, title=title)
    rows = make_rows(collected, tuple(header), authority)
    for lines in others:
        other = collect(lines, reader, header=header)
        other_rows = make_rows(other, tuple(header), authority)
        collected.unread += other.unread
        collected.problems += [*other.problems, *other_rows.problems]
        collected.problems += compared(rows.windows, other_rows.windows, lines)
    return ReadBlock(block=block, collected=collected, rows=rows, versions=1 + len(others))


def _read_entry(entry: Entry, reader: SentenceReader, *, last: bool) -> _ReadEntry:
    authority = reader.authority
    header: list[str] = []
    for phrase in entry.systems:
        header += [name for name in authority.names.listed(phrase) or () if name not in header]
    reads = [
        _read_block(block, reader, header, None if number else entry.title) for number, block in enumerate(entry.blocks)
    ]
    if authority.one_subject:
        reads = list(with_text_before(reads))
    kind = kind_of(entry, reads[0], authority)
    if kind is NoticeKind.SECURITY_CHANGE:
        # No system is down: what the text says of protocols and certificates is no window.
        reads = [attrs.evolve(read, rows=Rows()) for read in reads]
    problems = [*doubts(entry, reads, kind, authority), *(broken_end(reads[-1]) if last else [])]
    if authority.one_subject:
        problems += helpdesk_doubts(reads[0])
    newest = True
    revisions: list[Revision] = []
    for read in reads:
        own = [*read.collected.problems, *read.rows.problems, *misfits(read, header, authority)]
        problems += own if newest else []
        own += problems if newest else []
        unclear = any(problem.code not in _HARMLESS for problem in own)
        revisions.append(
            Revision(
                known=read.block.known,
                stamp=read.block.stamp,
                start=read.block.start,
                stop=read.block.stop,
                state=state_of(read, kind, entry.status if newest else "", authority),
                windows=read.rows.windows,
                complete=authority.key is not None
                and bool(read.rows.windows and read.collected.statements)
                and all(row.start is not None for row in read.rows.windows)
                and not unclear
                and not read.collected.unread
                and not (newest and entry.strange),
            )
        )
        newest = False
    return _ReadEntry(
        entry=entry,
        kind=kind,
        reads=tuple(reads),
        revisions=_with_first(entry, tuple(reversed(revisions))),
        problems=tuple(problems),
    )


def _with_first(entry: Entry, revisions: tuple[Revision, ...]) -> tuple[Revision, ...]:
    """Put the first publication before the only text that is given, or take its time where both are the same."""
    published = read_stamp(entry.published) if entry.published else None
    if published is None:
        return revisions
    newest = revisions[-1]
    if newest.known is None or newest.known == published.replace(second=0):
        return (*revisions[:-1], attrs.evolve(newest, known=published, stamp=entry.published))
    first = Revision(known=published, stamp=entry.published, start=newest.start, stop=newest.start)
    return (first, *revisions)


def _joined(entries: Sequence[_ReadEntry], *, items: bool) -> tuple[tuple[Revision, ...], tuple[Problem, ...]]:
    """Join the notices of one page: nothing of one counts for another."""
    if len(entries) == 1:
        return entries[0].revisions, entries[0].problems
    with_rows = [entry for entry in entries if entry.revisions[-1].windows]
    newest = [entry.revisions[-1] for entry in with_rows or entries]
    states = {revision.state for revision in newest}
    place = entries[1].revisions[-1].start, entries[1].revisions[-1].stop
    message = f"The page holds {len(entries)} notices: read each of them by itself."
    problems = [Problem("several-notices", message, *place)]
    problems += [problem for entry in entries for problem in entry.problems]
    if len(with_rows) == 1 and not items:
        revisions = tuple(attrs.evolve(revision, complete=False) for revision in with_rows[0].revisions)
        return revisions, tuple(problems)
    joined = Revision(
        start=newest[0].start,
        stop=max(revision.stop for revision in newest),
        # What one item of a list says of an event says nothing of the others.
        state=states.pop() if len(states) == 1 and not items else NoticeState.UNCLEAR,
        windows=tuple(dict.fromkeys(row for revision in newest for row in revision.windows)),
    )
    return (joined,), tuple(problems)


def read_notice(text: str, *, authority: str | None = None) -> Notice:
    """
    Read a published notice.

    Args:
        text: The text as published or copied, or the HTML page that shows it.
        authority: Key of the authority, such as ``douane``; None to recognise it by the text.

    Returns:
        What it states. A text that is no notice gives a notice without revisions, and a problem.
    """
    page = read_text(text)
    if page.refused:
        return Notice(text=text, problems=(attrs.evolve(_REFUSED[page.refused], stop=len(text)),))
    folded = " ".join(line.folded for line in page.lines)
    known = _authority_of(folded, authority)
    reader = SentenceReader(known)
    lines = unrolled(without_furniture(page, reader), known.names.listed)
    items = items_of(cut_lines(lines)) if known.one_subject else (lines,)
    laid = [entry for item in items for entry in lay_out(item, known) if not entry.is_empty]
    entries = tuple(_read_entry(entry, reader, last=entry is laid[-1]) for entry in laid)
    if not any(_says_anything(entry) for entry in entries):
        problem = Problem("nothing-read", "This is no notice that can be read.", 0, len(text))
        return Notice(text=text, problems=(problem,), unread=tuple((line.start, line.stop) for line in page.lines))
    return _notice(page, known, folded, entries, items=len(items) > 1)


def _says_anything(entry: _ReadEntry) -> bool:
    """Return whether any rule found anything in a notice."""
    return any(
        read.rows.windows
        or read.collected.events
        or read.collected.asks
        or read.collected.kinds
        or read.collected.references
        or read.block.stamp
        for read in entry.reads
    )


def _notice(
    page: NoticeText,
    authority: Authority,
    folded: str,
    entries: Sequence[_ReadEntry],
    *,
    items: bool,
) -> Notice:
    """Put the parts together, each problem once."""
    revisions, problems = _joined(entries, items=items)
    if authority.key is None:
        unknown = "The authority is not known: give it, or read the notice yourself."
        problems = (Problem("unknown-authority", unknown, 0, len(page.original)), *problems)
    if page.left_out:
        problems = (
            *problems,
            *(Problem("extract", "The page hides this, or strikes it out.", *each) for each in page.left_out),
        )
        revisions = tuple(attrs.evolve(revision, complete=False) for revision in revisions)
    kinds = {entry.kind for entry in entries if entry.revisions[-1].windows} or {entry.kind for entry in entries}
    once: dict[tuple[str, str], Problem] = {}
    for problem in problems:
        once.setdefault((problem.code, problem.message), problem)
    references = dict.fromkeys(name for entry in entries for read in entry.reads for name in read.collected.references)
    return Notice(
        text=page.original,
        authority=authority.key,
        language=_languages_of(entries, folded, authority),
        kind=kinds.pop() if len(kinds) == 1 and not items else NoticeKind.OTHER,
        zone=authority.zone,
        references=tuple(references),
        revisions=revisions,
        problems=tuple(once.values()),
        unread=tuple(span for entry in entries for span in entry.unread),
    )


def _printed(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat(timespec="minutes")


def _window_json(row: ServiceWindow) -> dict[str, Any]:
    return {
        "system": row.system,
        "access": str(row.access),
        "messages": list(row.messages),
        "start": _printed(row.start),
        "end": _printed(row.end),
        "end_kind": str(row.end_kind),
        "behaviour": str(row.behaviour),
        "recovery": str(row.recovery),
        "fallback": str(row.fallback),
    }


def notice_json(notice: Notice) -> dict[str, Any]:
    """
    Give a notice as values of JSON.

    Args:
        notice: The notice.

    Returns:
        Its keys in the order of the documentation; times are local, without a zone.
    """
    newest = notice.newest
    older: dict[str, Any] = {}
    for revision in notice.revisions[:-1]:
        times = {(row.start, row.end) for row in revision.windows}
        if len(times) == 1 and times != {(row.start, row.end) for row in newest.windows}:
            start, end = times.pop()
            key = _stamp_json(revision) or "null"
            older[key] = {"start": _printed(start), "end": _printed(end)}
    return {
        "authority": notice.authority,
        "language": notice.language,
        "kind": str(notice.kind),
        "references": list(notice.references),
        "zone": notice.zone,
        "revisions": [_stamp_json(revision) for revision in notice.revisions],
        "state": str(notice.state),
        "windows": [_window_json(row) for row in notice.windows],
        "problems": [_problem_json(notice, problem) for problem in notice.problems],
        "older_windows": older,
        "complete": notice.complete,
        "unread": [notice.text[start:stop] for start, stop in notice.unread],
    }


def _stamp_json(revision: Revision) -> str | None:
    """Print the time of a text as precisely as its stamp does."""
    exact = revision.stamp.count(":") > 1
    return None if revision.known is None else revision.known.isoformat(timespec="seconds" if exact else "minutes")


def _problem_json(notice: Notice, problem: Problem) -> str:
    """Print the code, and what it is about if that is a part of the text."""
    quotation = " ".join(notice.text[problem.start : problem.stop].split())
    return f"{problem.code}: {quotation}" if 0 < len(quotation) <= _LONGEST_QUOTATION else problem.code
