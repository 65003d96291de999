"""
Cut the text of a notice into lines and sentences that know their place in the original.

HTML in place of text is read as the text that it shows. A copied notice has lost line ends, blanks and bullets, so
nothing here decides what a line means. Every function takes time in proportion to the text, and none raises.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property, lru_cache
from itertools import starmap
from typing import Final, final

import attrs

from htpoort.core.errors import Problem
from htpoort.core.notices._html import TAG, Page

__all__ = ["LONGEST", "Line", "NoticeText", "Passage", "fold", "read_text"]

LONGEST: Final = 1_000_000
"""Characters of a text that is read at all; a page with all its markup and years of history has a tenth of them."""

_BULLETS: Final = "•·‣⁃◦●○■□▪▫☐☑☒✓✔✗✘➢➤►▶"
_UNSEEN: Final = "\u00ad\u200b\u200c\u200d\u2060\ufeff"
_PLAIN: Final = dict.fromkeys(map(ord, "‐‑‒–—―−"), "-") | dict.fromkeys(map(ord, "‘’‚‛′´`"), "'")
_QUOTES: Final = dict.fromkeys(map(ord, "“”„‟«»″"), '"')
_KEPT: Final = "åÅøØæÆ"  # letters of their own in Danish, not a letter with an accent

_BINARY_SHARE: Final = 20  # one character in so many that no page shows

# A hyphen or a star is a bullet at the start of a line alone; `7. december` begins a date.
_NO_MONTH: Final = r"(?!\s*(?i:jan|feb|mar|maa|mrt|apr|ma[jy]|mei|jun|jul|aug|sep|o[kc]t|nov|dec))"
_BULLET = re.compile(rf"\s*+([{_BULLETS}]|[-*–—](?=\s)|[0-9]{{1,2}}[.)](?=\s){_NO_MONTH})\s*+")
_INNER_BULLET = re.compile(rf"[{_BULLETS}]|(?<![|])[|](?![|])")
_BLANKS = re.compile(rf"[\s{_UNSEEN}\x00-\x1f\x7f]++")
_ODD_BLANK = re.compile(rf"  |[^\S ]|[{_UNSEEN}\x00-\x1f\x7f]")
_LINE = re.compile(r"[^\r\n\x0b\x0c\x85\u2028\u2029]++")
_UNSHOWN = re.compile(r"[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\ufffd\ud800-\udfff]")

# A sentence ends at a mark before a blank, and goes on after a shortened word or before a small letter.
_STOP = re.compile(r"(?<![.!?…])[.!?…]++[\"'”’)\]]*+(?=\s)")
_SHORT = re.compile(
    r"(?:^|[\s(\"'])(?:[a-z]|o\.a|a\.o|e\.g|i\.e|d\.w\.z|m\.b\.t|i\.v\.m|t\.a\.v|d\.d|p\.m|a\.m|f\.eks|bl\.a|m\.v|m\.m"
    r"|bijv|bv|evt|ca|incl|excl|nr|no|tel|tlf|kl|resp|art|vs|pct|mr|mrs|dr|jan|feb|mar|apr|jun|jul|aug|sep|sept|okt|oct"
    r"|nov|dec|mon|tue|wed|thu|fri|sat|sun|man|tir|ons|tor|fre|lør|søn)\.$"
)
_SHORT_LENGTH: Final = 8


@lru_cache(maxsize=4096)
def _plain_letter(letter: str) -> str:
    """Return the letter without its accent, in lower case, always one character."""
    if letter not in _KEPT:
        letter = unicodedata.normalize("NFD", letter)[0]
    low = letter.lower()
    return low if len(low) == 1 else letter


def fold(text: str) -> str:
    """
    Write a text in small letters, without accents, with plain dashes and quotes, in as many characters.

    >>> fold("PRD-Servicewíndow – lørdag")
    'prd-servicewindow - lørdag'

    Args:
        text: Any text.

    Returns:
        The text to compare with; a place in it is the same place in *text*.
    """
    if text.isascii():
        return text.lower()
    plain = text.translate(_PLAIN | _QUOTES)
    return "".join(letter if letter.isascii() else _plain_letter(letter) for letter in plain).lower()


@attrs.frozen(kw_only=True, slots=False, eq=False)
class Passage:
    """
    A stretch of a notice on one line, with single blanks, and where each of its characters stands.

    Args:
        text: As printed, but for blanks.
        offsets: The place of each character in the original, and one past the last.
    """

    text: str
    offsets: Sequence[int] = attrs.field(repr=False)

    @cached_property
    def folded(self) -> str:
        """The text to compare with: `fold`."""
        return fold(self.text)

    @property
    def start(self) -> int:
        """The first character in the original."""
        return self.offsets[0]

    @property
    def stop(self) -> int:
        """One past the last in the original."""
        return self.offsets[-1]

    def span(self, start: int, stop: int) -> tuple[int, int]:
        """Return where the characters from *start* up to *stop* of this passage stand in the original."""
        first = max(0, min(start, len(self.text)))
        last = max(first, min(stop, len(self.text)))
        if last == first:
            return self.offsets[first], self.offsets[first]
        # The end of the last character that is included: a gap of many blanks after it is not.
        return self.offsets[first], min(self.offsets[last], self.offsets[last - 1] + 1)

    def placed(self, problems: Iterable[Problem]) -> tuple[Problem, ...]:
        """Return problems whose places count this passage, with places in the original."""
        return tuple(
            attrs.evolve(problem, start=start, stop=stop)
            for problem in problems
            for start, stop in (self.span(problem.start, problem.stop),)
        )

    def part(self, start: int, stop: int) -> Passage:
        """Return a part of this passage, without blanks at either end."""
        while start < stop and self.text[start] == " ":
            start += 1
        while stop > start and self.text[stop - 1] == " ":
            stop -= 1
        if isinstance(self.offsets, range):
            return Passage(text=self.text[start:stop], offsets=self.offsets[start : stop + 1])
        last = self.span(start, stop)[1]
        return Passage(text=self.text[start:stop], offsets=[*self.offsets[start:stop], last])

    @cached_property
    def sentences(self) -> tuple[Passage, ...]:
        """The sentences of this passage, each without the blanks around it."""
        stops = [*_sentence_stops(self.text, self.folded), len(self.text)]
        if stops == [len(self.text)] and self.text[:1] not in {"", " "} and self.text[-1] != " ":
            return (self,)
        parts = starmap(self.part, zip([0, *stops], stops, strict=False))
        return tuple(part for part in parts if part.text)


@final
@attrs.frozen(kw_only=True, slots=False, eq=False)
class Line(Passage):
    """
    A line of a notice, an item of a list, or a cell of a table.

    Args:
        bullet: The mark before it as printed, for example ``•``, ``☒`` or ``3.``; empty if it is no item.
        gap: Whether an empty line stands before it.
        cell: Whether it is a cell of a row of a table.
    """

    bullet: str = ""
    gap: bool = False
    cell: bool = False


@final
@attrs.frozen(kw_only=True, slots=False, eq=False)
class NoticeText:
    """
    A text, cut into lines.

    Args:
        original: The text that was given.
        lines: Its lines that are not empty.
        refused: Why nothing was read: ``empty``, ``binary`` or ``too-long``; empty if it was read.
        html: Whether it was read as HTML.
        left_out: The places of what a page strikes out or hides, and what was therefore not read.
        furniture: The places of what surrounds the content of a page: its head, menus and foot.
    """

    original: str = attrs.field(repr=False)
    lines: tuple[Line, ...] = ()
    refused: str = ""
    html: bool = False
    left_out: tuple[tuple[int, int], ...] = ()
    furniture: tuple[tuple[int, int], ...] = ()

    @property
    def sentences(self) -> Iterator[tuple[Line, Passage]]:
        """Each sentence with the line that it stands in."""
        return ((line, sentence) for line in self.lines for sentence in line.sentences)


def _sentence_stops(text: str, folded: str) -> Iterator[int]:
    """List where a sentence ends."""
    for match in _STOP.finditer(text):
        after = text[match.end() + 1 : match.end() + 2]
        ends = match.group().startswith(("!", "?")) or not after.islower()
        if ends and not _SHORT.search(folded, max(0, match.start() - _SHORT_LENGTH), match.start() + 1):
            yield match.end()


def _is_binary(text: str) -> bool:
    """Whether so much of the text is what no page shows that it is none."""
    return "\x00" in text or len(_UNSHOWN.findall(text)) * _BINARY_SHARE > len(text)


def _passage(text: str, offsets: Sequence[int], start: int, stop: int) -> tuple[str, Sequence[int]]:
    """Return a stretch with single blanks, and the place of each of its characters."""
    plain = text[start:stop].strip(" ")
    if isinstance(offsets, range) and _ODD_BLANK.search(plain) is None:
        # Most lines: their characters stand one after the other.
        start = text.find(plain, start)
        return plain, offsets[start : start + len(plain) + 1]
    words: list[str] = []
    places: list[int] = []
    place = start
    for match in _BLANKS.finditer(text, start, stop):
        if match.start() > place:
            words.append(text[place : match.start()])
            places.extend(offsets[place : match.start()])
        # A character that is not seen parts no word.
        if words and words[-1] != " " and any(letter not in _UNSEEN for letter in match.group()):
            words.append(" ")
            places.append(offsets[match.start()])
        place = match.end()
    words.append(text[place:stop])
    places.extend(offsets[place:stop])
    if not words[-1] and len(words) > 1 and words[-2] == " ":
        del words[-2:], places[-1:]
    written = "".join(words)
    return written, [*places, places[-1] + 1 if places else offsets[start]]


def _items(text: str, start: int, stop: int) -> Iterator[tuple[int, int, str, bool]]:
    """Cut a line at bullets and at the bars of a table: first character, one past the last, bullet, whether a cell."""
    places = [match.start() for match in _INNER_BULLET.finditer(text, start + 1, stop)]
    bars = "|" in text[start:stop]
    for first, last in zip([start, *places], [*places, stop], strict=True):
        begin = first
        cell = bars and text.startswith("|", first)
        if cell:
            begin += 1
        bullet = _BULLET.match(text, begin, last)
        if bullet is not None:
            yield bullet.end(), last, bullet.group(1), cell
        else:
            yield begin, last, "", cell or (bars and text.startswith("|", last))


def _goes_on(before: Line, after: Line) -> bool:
    """Whether a line was wrapped: the next one begins in the middle of a sentence."""
    if after.gap or after.bullet or after.cell or before.cell:
        return False
    # `27.` before a small letter is a Danish day before its month.
    ended = before.text[-1:] in ".!?:;…|" and not (before.text[-1:] == "." and before.text[-3:-1].strip().isdigit())
    return after.text[:1].islower() and not ended


def _joined(lines: Iterable[Line]) -> Iterator[Line]:
    """Join the lines that were wrapped."""
    kept: list[Line] = []
    for line in lines:
        if kept and not _goes_on(kept[-1], line):
            yield _together(kept)
            kept.clear()
        kept.append(line)
    if kept:
        yield _together(kept)


def _together(lines: Sequence[Line]) -> Line:
    """Write lines as one."""
    if len(lines) == 1:
        return lines[0]
    text = " ".join(line.text for line in lines)
    return attrs.evolve(lines[0], text=text, offsets=[place for line in lines for place in line.offsets])


def _lines(text: str, offsets: Sequence[int]) -> Iterator[Line]:
    """Cut a text into lines, items and cells that are not empty."""
    # A gap is more than one line end, whatever blanks stand between them.
    last, gap = 0, False
    for match in _LINE.finditer(text):
        ends = text.count("\n", last, match.start()) or text.count("\r", last, match.start())
        gap = gap or ends > 1
        last = match.end()
        for start, stop, bullet, cell in _items(text, match.start(), match.end()):
            written, places = _passage(text, offsets, start, stop)
            if written and written != " ":
                yield Line(text=written, offsets=places, bullet=bullet, gap=gap, cell=cell)
                gap = False
        gap = gap or not text[match.start() : match.end()].strip()


def read_text(text: str) -> NoticeText:
    """
    Cut a text, or the text that HTML shows, into lines.

    Args:
        text: What was published, or copied; anything at all.

    Returns:
        Its lines, with the place of each character in *text*; or why it was not read.
    """
    if len(text) > LONGEST:
        return NoticeText(original=text, refused="too-long")
    if _is_binary(text):
        return NoticeText(original=text, refused="binary")
    if TAG.search(text) is None:
        lines = tuple(_joined(_lines(text, range(len(text) + 1))))
        return NoticeText(original=text, lines=lines, refused="" if lines else "empty")
    page = Page(text)
    lines = tuple(_joined(_lines(page.shown, page.offsets)))
    return NoticeText(
        original=text,
        lines=lines,
        refused="" if lines else "empty",
        html=True,
        left_out=tuple(page.left_out),
        furniture=tuple(page.furniture),
    )
