"""
Lay out a page: its notices, their headers, and the texts of each, the newest first.

What a label means is data of the authority; no sentence is read here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from functools import lru_cache
from typing import Final

import attrs

from htpoort.core.notices._authorities import Authority, Label
from htpoort.core.notices._text import Line, Passage, fold
from htpoort.core.notices._times import Period, read_periods

__all__ = ["Entry", "TextBlock", "lay_out", "read_stamp"]

_ENTRY_STAMP = re.compile(r"[0-9]{2}-[0-9]{2}-[0-9]{4} kl\.? ?[0-9]{1,2}[:.][0-9]{2}$")
_ISO_HEAD = re.compile(r"20[0-9]{2}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}")
_TAIL_STAMP = re.compile(r"[0-9]{2}-[0-9]{2}-[0-9]{4} [0-9]{1,2}:[0-9]{2}(?::[0-9]{2})?")
_GLUE = re.compile(r"(?<=[a-zæøå0-9)])(?=[A-ZÆØÅ])")
_MAY_BE_STAMP = re.compile(r"[^\d]{0,20}[0-9].{3,50}")
_BRACKET = re.compile(r" \([^()]{1,20}\)")
_RULER = re.compile(r"[\W_]+")
_LONGEST_WORD: Final = 60
_LONGEST_STAMP: Final = 60


@attrs.define
class TextBlock:
    """
    One text of a notice.

    Args:
        lines: Its lines, without header and labels.
        stamp: When it was published, as printed.
        known: The same as local time.
        headed: Whether a label or a stamp stands above it.
        start: Its first character in the page.
        stop: One past its last.
    """

    lines: list[Line] = attrs.field(factory=list)
    stamp: str = ""
    known: datetime | None = None
    headed: bool = False
    start: int = 0
    stop: int = 0


@attrs.define
class Entry:
    """
    One notice of a page.

    Args:
        kind: The printed word for what it is about.
        status: The printed word for its state.
        systems: The printed list of systems.
        title: The printed title, where a header has one.
        strange: The places of values of its header that are not known.
        published: When the first text was published, if only the newest is given; as printed.
        blocks: Its texts, the newest first.
    """

    kind: str = ""
    status: str = ""
    systems: list[str] = attrs.field(factory=list)
    title: Passage | None = None
    strange: list[tuple[int, int]] = attrs.field(factory=list)
    published: str = ""
    blocks: list[TextBlock] = attrs.field(factory=lambda: [TextBlock()])

    @property
    def is_empty(self) -> bool:
        """Whether nothing was put into it yet."""
        return not (self.blocks[0].stamp or self.published or any(block.lines for block in self.blocks))


def read_stamp(text: str) -> datetime | None:
    """
    Read when a text was published.

    Args:
        text: A day and an hour as printed, and nothing else.

    Returns:
        Local time; None if the text is anything else, or its day or hour cannot be known.
    """
    text = text.strip(" |.")
    if len(text) > _LONGEST_STAMP:
        return None
    (period, *others) = read_periods(text) or (Period(start=0, stop=0),)
    alone = not others and not period.problems and (period.start, period.stop) == (0, len(text))
    return period.opens.moment if alone and period.opens is not None and period.closes is None else None


@lru_cache(maxsize=16)
def _pattern_of(words: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(map(re.escape, words)))


class _Layout:
    """Puts line after line where it belongs."""

    def __init__(self, authority: Authority) -> None:
        self._authority = authority
        self._labels = _pattern_of(tuple(authority.labels))
        self.entries = [Entry()]
        self._awaits: Label | None = None
        self._in_header = False

    @property
    def _entry(self) -> Entry:
        return self.entries[-1]

    @property
    def _block(self) -> TextBlock:
        return self._entry.blocks[-1]

    def put(self, line: Line) -> None:
        """Put the next line."""
        if any(put(line) for put in (self._put_list_line, self._put_label, self._put_bare_stamp, self._put_value)):
            self._block.stop = line.stop
            return
        if self._entry.published:
            self.entries.append(Entry())
        if not _RULER.fullmatch(line.text):
            self._in_header = False
            self._add(line)

    def _add(self, line: Line) -> None:
        block = self._block
        if not block.lines and not block.headed:
            block.start = line.start
        block.lines.append(line)
        block.stop = line.stop

    def _put_list_line(self, line: Line) -> bool:
        """Put the head or the last line of an entry in a list of notices."""
        if _TAIL_STAMP.fullmatch(line.text) is not None:
            self._entry.published = line.text
            return True
        match = _ENTRY_STAMP.search(line.text)
        if match is None:
            return self._put_iso_head(line)
        cells: list[Passage] = []
        if line.cell and match.start() == 0:
            while self._block.lines and self._block.lines[-1].cell and len(self._entry.blocks) == 1:
                cells.insert(0, self._block.lines.pop())
        elif match.start():
            cells = list(_head_cells(line.part(0, match.start()), self._authority))
        if not self._entry.is_empty:
            self.entries.append(Entry())
        self._start_block(line, match.group())
        if cells:
            self._block.start = cells[0].start
        self._put_cells(cells)
        return True

    def _put_iso_head(self, line: Line) -> bool:
        """Put the head of an entry in an older list: a stamp, and a kind or systems run together with it."""
        match = _ISO_HEAD.match(line.text)
        if match is None:
            return False
        rest = line.part(match.end(), len(line.text))
        if rest.folded not in self._authority.kinds and self._authority.names.listed(rest.text) is None:
            return False
        if not self._entry.is_empty:
            self.entries.append(Entry())
        self._start_block(line, match.group())
        self._put_cells([rest])
        return True

    def _put_cells(self, cells: list[Passage]) -> None:
        for cell in cells:
            if self._put_word(cell.folded, cell.text):
                continue
            if not self._entry.systems and self._authority.names.listed(cell.text) is not None:
                self._entry.systems.append(cell.text)
            elif self._entry.title is None:
                self._entry.title = cell

    def _put_word(self, folded: str, printed: str) -> bool:
        """Put a word for the kind or the state."""
        folded = folded.strip(" .:")
        if folded in self._authority.kinds and not self._entry.kind:
            self._entry.kind = printed
        elif folded in self._authority.statuses and not self._entry.status:
            self._entry.status = printed
        else:
            return False
        return True

    def _start_block(self, line: Line, stamp: str) -> None:
        block = self._block
        block.start, block.headed = line.start, True
        block.stamp, block.known = stamp, read_stamp(stamp)

    def _put_label(self, line: Line) -> bool:
        """Put a line that is, or begins with, a label."""
        label, rest = self._label_of(line)
        if label is None:
            return False
        if self._begins_older(label, rest):
            self._entry.blocks.append(TextBlock(start=line.start, headed=True))
        if label in {Label.UPDATED, Label.PUBLISHED}:
            self._in_header = True
            self._block.headed = True
        if label is Label.OLDER:
            self._awaits = None
            if rest.text and not _RULER.fullmatch(rest.text):
                self._add(attrs.evolve(line, text=rest.text, offsets=rest.offsets))
        elif rest.text:
            self._fill(label, rest.text)
            self._awaits = None
        else:
            self._awaits = label
        if label is Label.MESSAGE:
            self._in_header, self._awaits = False, None
            if rest.text:
                self._add(attrs.evolve(line, text=rest.text, offsets=rest.offsets))
        return True

    def _begins_older(self, label: Label, rest: Passage) -> bool:
        """Return whether a label is the head of an older text: a stamp below a text is, for some authorities."""
        if label in {Label.UPDATED, Label.PUBLISHED}:
            return self._authority.stamp_begins_text and bool(self._block.lines) and bool(rest.text)
        return label is Label.OLDER

    def _label_of(self, line: Line) -> tuple[Label | None, Passage]:
        """Find the label that a line begins with, and what stands after it."""
        match = self._labels.match(line.folded)
        for word, label in self._authority.labels.items() if match is not None else ():
            if not line.folded.startswith(word):
                continue
            after = line.folded[len(word) :]
            rest = line.part(len(word) + (len(after) - len(after.lstrip(" :."))), len(line.text))
            if not rest.text:
                if label in _HEADER_ONLY and not self._in_header:
                    continue
                return label, rest
            if label in {Label.UPDATED, Label.PUBLISHED}:
                if read_stamp(rest.text) is not None:
                    return label, rest
            elif (label is Label.OLDER and after.startswith(":")) or (self._in_header and after.startswith((":", " "))):
                return label, rest
        return None, line

    def _put_bare_stamp(self, line: Line) -> bool:
        """Put a stamp at the very beginning, above which the label was lost."""
        if not self._entry.is_empty or self._block.headed or read_stamp(line.text) is None:
            return False
        self._start_block(line, line.text)
        self._in_header = True
        return True

    def _put_value(self, line: Line) -> bool:
        """Put a line below a label, or a line of a header whose labels are lost."""
        if self._awaits is not None:
            label, self._awaits = self._awaits, None
            if self._may_be_value(label, line):
                self._fill(label, line.text)
                return True
            return False
        if not self._in_header or self._block.lines:
            return False
        if self._put_word(line.folded, line.text):
            return True
        if " + " in line.text and self._authority.names.listed(line.text) is not None:
            self._entry.systems.append(line.text)
            return True
        return False

    def _may_be_value(self, label: Label, line: Line) -> bool:
        """Return whether a line can be the value of a label; any other one is read as a sentence."""
        if label in {Label.UPDATED, Label.PUBLISHED}:
            return _MAY_BE_STAMP.fullmatch(line.text) is not None
        if label in {Label.TYPE, Label.STATUS}:
            if line.folded.strip(" .:") not in {*self._authority.kinds, *self._authority.statuses}:
                self._entry.strange.append((line.start, line.stop))
            return len(line.text) <= _LONGEST_WORD and line.text[-1] != "."
        return True

    def _fill(self, label: Label, value: str) -> None:
        if label in {Label.UPDATED, Label.PUBLISHED}:
            stamp = value
            self._block.stamp, self._block.known = stamp, read_stamp(stamp)
        elif label is Label.TYPE:
            self._entry.kind = value
        elif label is Label.STATUS:
            self._entry.status = value
        elif label is Label.SYSTEM:
            self._entry.systems.append(value)


_HEADER_ONLY: Final = frozenset({Label.TYPE, Label.STATUS, Label.SYSTEM, Label.MESSAGE})


def _head_cells(head: Passage, authority: Authority) -> Iterator[Passage]:
    """Cut a head whose columns were run together: a word for kind or state, the list of systems, and the title."""
    start = 0
    for word in (*authority.statuses, *authority.kinds):
        if head.folded.startswith(word, start) and not head.text[start + len(word) : start + len(word) + 1].islower():
            yield head.part(start, start + len(word))
            start += len(word)
    rest = head.part(start, len(head.text))
    stop = _systems_stop(rest, authority)
    if stop:
        yield rest.part(0, stop)
    yield rest.part(stop, len(rest.text))


def _systems_stop(rest: Passage, authority: Authority) -> int:
    """Find where the list of systems ends: after a known name, or where a new word begins without a blank."""
    known = [*(fold(name) for name in authority.names.known), *authority.names.categories]
    place = 0
    while True:
        name = max((each for each in known if rest.folded.startswith(each, place)), key=len, default="")
        after = place + len(name)
        if name and (bracket := _BRACKET.match(rest.text, after)) is not None:
            after = bracket.end()
        if not name or rest.text[after : after + 1].islower():
            glue = _GLUE.search(rest.text, place + 1)
            return glue.start() if glue is not None else 0
        if not rest.folded.startswith(", ", after):
            return after
        place = after + 2


def lay_out(lines: Iterator[Line] | tuple[Line, ...], authority: Authority) -> tuple[Entry, ...]:
    """
    Lay out a page.

    Args:
        lines: Its lines.
        authority: Whose labels to look for.

    Returns:
        Its notices in the order in which they stand; at least one.
    """
    layout = _Layout(authority)
    for line in lines:
        layout.put(line)
    return tuple(layout.entries)
