"""Find the spans that overlap a period and were known at a moment, without looking at the others."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from datetime import datetime
from operator import attrgetter
from typing import final

import attrs

from htpoort.core.notices._placing import EARLIEST, NEVER, Span

__all__ = ["Query", "SpanIndex"]


@final
@attrs.frozen(kw_only=True)
class Query:
    """
    What to find.

    Args:
        start: The first moment of the period.
        last: The last moment of it.
        known_at: The moment at which the spans were known.
        limit: How many spans to find at most; all if None.
    """

    start: datetime
    last: datetime
    known_at: datetime
    limit: int | None = None


@final
class SpanIndex:
    """
    Spans, sorted by their start, below a tree that has the extremes of each subtree.

    Args:
        spans: The spans; at least one.
    """

    def __init__(self, spans: Sequence[Span]) -> None:
        self._spans = list(spans)
        # Reversed: they are found from right to left: of those that open at one time, the first one given.
        self._spans.reverse()
        self._spans.sort(key=attrgetter("opens"))
        self._opens = [span.opens for span in self._spans]
        size = 1
        while size < len(self._spans):
            size *= 2
        self._size = size
        pad = size - len(self._spans)
        # Node 1 is the root, 2n and 2n + 1 are below node n, and the spans are the nodes from *size* on.
        self._closes = [EARLIEST] * size + [span.closes for span in self._spans] + [EARLIEST] * pad
        self._replaced = [EARLIEST] * size + [span.replaced for span in self._spans] + [EARLIEST] * pad
        self._known = [NEVER] * size + [span.text.known for span in self._spans] + [NEVER] * pad
        for node in range(size - 1, 0, -1):
            left, right = 2 * node, 2 * node + 1
            self._closes[node] = max(self._closes[left], self._closes[right])
            self._replaced[node] = max(self._replaced[left], self._replaced[right])
            self._known[node] = min(self._known[left], self._known[right])

    def find(self, query: Query) -> list[Span]:
        """
        Find spans.

        Args:
            query: Which.

        Returns:
            The spans, those that opened last first.
        """
        found: list[Span] = []
        past = bisect_right(self._opens, query.last)
        start, known_at = query.start, query.known_at
        closes, replaced, known = self._closes, self._replaced, self._known
        nodes = [(1, 0, self._size)]
        while nodes:
            node, first, width = nodes.pop()
            if first >= past or closes[node] <= start or known[node] > known_at or replaced[node] <= known_at:
                continue
            if width == 1:
                found.append(self._spans[first])
                if len(found) == query.limit:
                    break
                continue
            width //= 2
            nodes.append((2 * node, first, width))
            if first + width < past:
                nodes.append((2 * node + 1, first + width, width))
        return found
