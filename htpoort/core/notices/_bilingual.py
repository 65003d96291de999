"""
Part a notice that says the same in two languages, and compare what its two versions state.

Nothing is chosen here: where the versions differ, that is reported.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from htpoort.core.errors import Problem
from htpoort.core.notices._text import Line
from htpoort.core.notices.notice import ServiceWindow

__all__ = ["compared", "versions_of"]

_WORD: Final = re.compile(r"(?<![\w])[a-zæøå]+(?![\w])")
_ENDS: Final = frozenset(".!?:;)\"'”’")
_LEAST: Final = 6  # small words of its language that a version has
_CLEAR: Final = 3  # times as many as of the other language


def _counts(line: Line, words: frozenset[str], others: frozenset[str]) -> int:
    """Count the small words of one language alone, less those of the other."""
    found = _WORD.findall(line.folded)
    return sum((word in words) - (word in others) for word in found)


def _is_clear(lines: Sequence[Line], words: frozenset[str], others: frozenset[str]) -> bool:
    """Whether lines are in one language."""
    found = [word for line in lines for word in _WORD.findall(line.folded)]
    own, other = sum(word in words for word in found), sum(word in others for word in found)
    return own >= _LEAST and own >= _CLEAR * other


def versions_of(
    lines: Sequence[Line], words: Mapping[str, frozenset[str]]
) -> tuple[tuple[Line, ...], tuple[Line, ...]] | None:
    """
    Part the lines of a notice into its two versions.

    Args:
        lines: All of them.
        words: The small words of each of its two languages.

    Returns:
        The lines before and after the change of language; None if it is in one language.
    """
    one, two = (words[language] - frozenset().union(*(words[o] for o in words if o != language)) for language in words)
    balance = [_counts(line, one, two) for line in lines]
    for first, second in ((one, two), (two, one)):
        sign = 1 if first is one else -1
        best, place, before = 0, 0, 0
        for index, count in enumerate(balance):
            before += sign * count
            if before > best:
                best, place = before, index + 1
        parts = tuple(lines[:place]), tuple(lines[place:])
        if _is_clear(parts[0], first, second) and _is_clear(parts[1], second, first):
            return parts
    return None


def _shape(rows: Iterable[ServiceWindow]) -> list[tuple[str, ...]]:
    """Return what rows state, apart from names, which each language has its own for."""
    return sorted(
        (str(r.access), str(len(r.messages)), str(r.start), str(r.end), r.end_kind, r.behaviour, r.recovery, r.fallback)
        for r in rows
    )


def compared(
    first: Sequence[ServiceWindow], second: Sequence[ServiceWindow], lines: Sequence[Line]
) -> tuple[Problem, ...]:
    """
    Compare the rows of two versions.

    Args:
        first: The rows of one.
        second: The rows of the other.
        lines: The lines of the other, which may be cut.

    Returns:
        A problem if they do not state the same.
    """
    if _shape(first) == _shape(second) or lines[-1].text[-1:] not in _ENDS:
        return ()
    message = "The two languages do not state the same; ask the authority."
    return (Problem("language-versions-differ", message, lines[0].start, lines[-1].stop),)
