"""
Turn a page of HTML into the text that it shows, and keep the place of each character.

Every function takes time in proportion to the page, and none raises.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from typing import Final, NamedTuple, final

__all__ = ["TAG", "Page"]

TAG = re.compile(
    r"<(/?)(html|head|body|p|br|div|li|ul|ol|table|tbody|thead|tr|td|th|span|h[1-6]|strong|b|em|i|a|section|article"
    r"|main|header|footer|script|style|title|meta|link|del|s|strike|template|noscript|svg|dl|dt|dd|hr|pre|blockquote"
    r")(?=[\s/>])",
    re.IGNORECASE,
)
_NAME = re.compile(r"/?[a-zA-Z][a-zA-Z0-9-]*+|[!?][a-zA-Z]++")
_ENTITY = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
_BREAKING: Final = frozenset([
    "p",
    "br",
    "div",
    "li",
    "ul",
    "ol",
    "table",
    "tbody",
    "thead",
    "tr",
    "td",
    "th",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "section",
    "article",
    "main",
    "header",
    "footer",
    "dl",
    "dt",
    "dd",
    "hr",
    "pre",
    "blockquote",
    "nav",
    "aside",
    "form",
    "title",
    "body",
    "html",
])
_HIDING: Final = frozenset(["script", "style", "head", "template", "noscript", "svg"])
_AROUND: Final = frozenset(["header", "nav", "footer", "aside", "form"])
_CONTENT: Final = frozenset(["main", "article"])
_STRUCK: Final = frozenset(["del", "s", "strike"])
_HIDDEN = re.compile(r"\shidden(?=[\s=>/])|display\s*:\s*none|visibility\s*:\s*hidden", re.IGNORECASE)
_VOID: Final = frozenset([
    "br",
    "hr",
    "img",
    "input",
    "meta",
    "link",
    "col",
    "wbr",
    "source",
    "area",
    "base",
    "embed",
    "param",
    "track",
])


class _Piece(NamedTuple):
    """A part of the shown text, and where it stands; an entity or a tag is shown in another length."""

    shown: str
    start: int
    stop: int


@final
class _Around:
    """Finds what surrounds the content of a page, tag after tag."""

    def __init__(self) -> None:
        self._open: list[tuple[str, int]] = []
        self._content = 0

    def after(self, tag: str, start: int, stop: int) -> Iterator[tuple[int, int]]:
        """Take a tag, and yield the place of the outermost element around the content that it ends."""
        name = tag.removeprefix("/")
        if name in _CONTENT:
            self._content = max(0, self._content + (-1 if name != tag else 1))
        if name not in _AROUND or (name == "header" and self._content):
            return
        if name == tag:
            self._open.append((name, start))
        elif self._open and self._open[-1][0] == name:
            first = self._open.pop()[1]
            if not self._open:
                yield first, stop


@final
class Page:
    """A page of HTML: what it shows, a line end for each tag that breaks a line, and what it does not show."""

    def __init__(self, text: str) -> None:
        self.left_out: list[tuple[int, int]] = []
        self.furniture: list[tuple[int, int]] = []
        self._around = _Around()
        self.shown = "".join(self._gather(text))
        self.offsets.append(len(text))

    def _gather(self, text: str) -> Iterator[str]:
        """Yield what is shown, and note the place of each character."""
        self.offsets: list[int] = []
        for piece in self._pieces(text):
            exact = len(piece.shown) == piece.stop - piece.start
            self.offsets.extend(range(piece.start, piece.stop) if exact else [piece.start] * len(piece.shown))
            yield piece.shown

    def _pieces(self, text: str) -> Iterator[_Piece]:
        place, last_tag, last_comment = 0, text.rfind(">"), text.rfind("-->")
        while place < len(text):
            start = text.find("<", place)
            start = len(text) if start < 0 else start
            if start > place:
                yield from _decoded(text, place, start)
            if start < last_comment and text.startswith("<!--", start):
                place = text.find("-->", start) + 3
                continue
            name = _NAME.match(text, start + 1)
            if name is None or start > last_tag:
                if start < len(text):
                    yield _Piece("<", start, start + 1)
                place = start + 1
                continue
            place = text.find(">", start) + 1
            tag = name.group().lower()
            if _is_unshown(text, tag, start, place):
                place = _after_element(text, tag, place)
                if tag not in _HIDING:
                    self.left_out.append((start, place))
                continue
            self.furniture += self._around.after(tag, start, place)
            if tag.removeprefix("/") in _BREAKING:
                # The ends of a paragraph and of a row are where an empty line is seen.
                yield _Piece("\n\n" if tag.removeprefix("/") in {"p", "tr", "table"} else "\n", start, start)
                if tag == "li":
                    yield _Piece("• ", start, start)


def _is_unshown(text: str, tag: str, start: int, stop: int) -> bool:
    """Whether a tag begins what a page does not show, or strikes out."""
    if tag.startswith("/") or tag in _VOID or text.startswith("/>", stop - 2):
        return False
    return tag in _HIDING or tag in _STRUCK or _HIDDEN.search(text, start, stop) is not None


def _after_element(text: str, name: str, place: int) -> int:
    """Return where the element ends whose first tag ends at *place*; the end of the text if it never does."""
    depth = 1
    for match in re.compile(rf"<(/?){re.escape(name)}(?=[\s/>])", re.IGNORECASE).finditer(text, place):
        depth += -1 if match.group(1) else 1
        if not depth:
            stop = text.find(">", match.start())
            return len(text) if stop < 0 else stop + 1
    return len(text)


def _decoded(text: str, start: int, stop: int) -> Iterator[_Piece]:
    """Yield a stretch of HTML without tags, its entities decoded and its line ends as blanks."""
    place = start
    for match in _ENTITY.finditer(text, start, stop):
        if match.start() > place:
            yield _Piece(_LINE_ENDS.sub(" ", text[place : match.start()]), place, match.start())
        yield _Piece(html.unescape(match.group()), match.start(), match.end())
        place = match.end()
    if place < stop:
        yield _Piece(_LINE_ENDS.sub(" ", text[place:stop]), place, stop)


_LINE_ENDS = re.compile(r"[\r\n\x0b\x0c\x85\u2028\u2029]")
