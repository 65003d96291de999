"""
Compare the names and the parts of one text: what was lost in copying shows as parts that do not fit each other.

Nothing is corrected here; a text whose parts do not fit is not complete.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import Final

from htpoort.core.errors import Problem
from htpoort.core.notices._authorities import Authority
from htpoort.core.notices._collect import Collected, Placed
from htpoort.core.notices._facts import Statement
from htpoort.core.notices._judging import ReadBlock
from htpoort.core.notices._systems import base_and_bracket, same_system
from htpoort.core.notices.notice import Access

__all__ = ["broken_end", "misfits"]

_LONG: Final = 4  # blanks; what is shorter may be a heading
_END_MARKS: Final = '.!?:;)"…'


def misfits(read: ReadBlock, header: Sequence[str], authority: Authority) -> list[Problem]:
    """
    List what does not fit in one text.

    Args:
        read: The text.
        header: The systems that its header lists.
        authority: Whose names these are.

    Returns:
        The problems.
    """
    collected = read.collected
    return [
        *_unknown_names(read, header, authority),
        *_header_misfits(read, header, authority),
        *_section_misfits(collected, authority),
        *_empty_sections(read),
    ]


def _same(one: str, other: str, authority: Authority) -> bool:
    """Compare two names, whatever language each of them is in."""
    return same_system(authority.canonical(one), authority.canonical(other))


def _unknown_names(read: ReadBlock, header: Sequence[str], authority: Authority) -> Iterable[Problem]:
    """Report a name that is in no table, not in the header, and in one sentence only."""
    mentions = [name for each in read.collected.statements for name in each.fact.systems]
    mentions += [*header, *read.collected.mentioned, *(name for systems in read.collected.sections for name in systems)]
    keys = Counter(authority.canonical(name) for name in mentions)
    for name in dict.fromkeys(row.system for row in read.rows.windows if row.system is not None):
        known = authority.names.is_known(name) or authority.names.is_known(base_and_bracket(name)[1])
        if known or name in read.collected.subjects or keys[authority.canonical(name)] > 1:
            continue
        slip = any(problem.code == "name-mistyped" and repr(name) in problem.message for problem in read.rows.problems)
        if not slip:
            message = f"No system of this name is known, {name!r}; look for a slip."
            yield Problem("name-unknown", message, *_place_of(name, read))


def _place_of(name: str, read: ReadBlock) -> tuple[int, int]:
    places = ((line, line.text.find(name)) for line in read.block.lines if name in line.text)
    return next((line.span(start, start + len(name)) for line, start in places), read.place())


def _header_misfits(read: ReadBlock, header: Sequence[str], authority: Authority) -> Iterable[Problem]:
    """Report systems of the header that the text says nothing of."""
    systems = {row.system for row in read.rows.windows if row.system is not None}
    missing = [name for name in header if not any(_same(name, system, authority) for system in systems)]
    if systems and missing:
        message = f"The header lists {', '.join(missing)}, and the text says nothing of it."
        yield Problem("systems-differ", message, *read.place())


def _section_misfits(collected: Collected, authority: Authority) -> Iterable[Problem]:
    """Report sentences about systems of other sections, and systems of a section that its sentences leave out."""
    of_section: defaultdict[int, list[Placed[Statement]]] = defaultdict(list)
    for each in collected.statements:
        of_section[each.section].append(each)
    for number, systems in enumerate(collected.sections):
        placed = of_section[number]
        for each in placed if systems else []:
            strange = [name for name in each.fact.systems if not any(_same(name, own, authority) for own in systems)]
            if strange:
                message = f"{', '.join(strange)} stands in the section of {', '.join(systems)}."
                yield Problem("systems-differ", message, each.passage.start, each.passage.stop)
        for access in (Access.FILE, Access.ONLINE):
            those = [each for each in placed if (each.fact.access or each.access) is access]
            named = [name for each in those for name in each.fact.systems]
            left = [own for own in systems if not any(_same(own, name, authority) for name in named)]
            if named and left:
                message = f"The section of {', '.join(systems)} says nothing of {', '.join(left)}, {access} access."
                yield Problem("systems-differ", message, those[0].passage.start, those[0].passage.stop)


def _empty_sections(read: ReadBlock) -> Iterable[Problem]:
    """Report a heading without a sentence below it."""
    collected = read.collected
    for systems, size in zip(collected.sections, collected.sizes, strict=True):
        if systems and not size:
            message = f"Nothing stands below the heading {', '.join(systems)}."
            yield Problem("truncated", message, *_place_of(systems[0], read))


def broken_end(read: ReadBlock) -> list[Problem]:
    """
    Report a text that ends within a sentence: the last one has no full stop, and most others do.

    Args:
        read: The last text of a page; the end of any other one is where the next begins.

    Returns:
        The problem, if there is one.
    """
    sentences = [sentence for line in read.block.lines for sentence in line.sentences]
    if not sentences or sentences[-1].text[-1] in _END_MARKS or sentences[-1].text[-1].isdigit():
        return []
    last = sentences[-1]
    collected = read.collected
    stops = {
        *(each.passage.stop for each in collected.statements),
        *(each.passage.stop for each in collected.asks),
        *(each.passage.stop for each in collected.permits),
    }
    states = last.stop in stops
    if not states and (last.start, last.stop) not in collected.unread:
        return []
    long = [each for each in sentences[:-1] if each.text.count(" ") >= _LONG and not each.text[-1].isdigit()]
    ended = sum(sentence.text[-1] in _END_MARKS for sentence in long)
    if ended * 2 <= len(long):
        return []
    return [Problem("truncated", "The text ends within a sentence.", last.start, last.stop)]
