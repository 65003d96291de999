"""
Take away what surrounds the content of a page: its head, menus and foot.

Nothing that could matter is taken away: a line with a time, a label or a sentence that states something stays, and is
read with the others.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from htpoort.core.notices._authorities import Authority
from htpoort.core.notices._collect import SentenceReader
from htpoort.core.notices._text import Line, NoticeText

__all__ = ["without_furniture"]


def without_furniture(page: NoticeText, reader: SentenceReader) -> tuple[Line, ...]:
    """
    List the lines of a page that are to be read.

    Args:
        page: The page.
        reader: Reads its sentences.

    Returns:
        Its lines, without those around the content that state nothing.
    """
    if not page.furniture:
        return page.lines
    return tuple(
        line for line, around in _with_places(page.lines, page.furniture) if not around or _may_matter(line, reader)
    )


def _with_places(lines: Iterable[Line], furniture: Iterable[tuple[int, int]]) -> Iterator[tuple[Line, bool]]:
    """Tell of each line whether it stands in a stretch around the content; both are in the order of the page."""
    stretches = iter(furniture)
    start, stop = next(stretches)
    for line in lines:
        while stop <= line.start:
            start, stop = next(stretches, (line.stop, line.stop + 1))
        yield line, start <= line.start < stop


def _may_matter(line: Line, reader: SentenceReader) -> bool:
    """Whether a line says anything: a label, a time, a reference, or a sentence that a rule reads or that is turned."""
    if _is_label(line, reader.authority):
        return True
    sentences = [reader.read(sentence) for sentence in line.sentences]
    return any(each.periods or each.references or each.reading.facts or each.reading.turned for each in sentences)


def _is_label(line: Line, authority: Authority) -> bool:
    return line.folded.strip(" :.") in {*authority.labels, *authority.kinds, *authority.statuses}
