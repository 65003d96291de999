"""Read a page of HTML: its elements, the text of its tables, and what of it could reach the network or a script."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Final

import attrs

VOID: Final = frozenset({"meta", "link", "br", "img", "input", "hr"})
_LOADING: Final = frozenset({
    "script",
    "link",
    "img",
    "iframe",
    "object",
    "embed",
    "video",
    "audio",
    "form",
    "base",
    "use",
})


@attrs.define
class Element:
    """An element with its attributes, its text, and the elements in it."""

    tag: str
    attributes: dict[str, str]
    children: list[Element] = attrs.field(factory=list)
    parts: list[str | Element] = attrs.field(factory=list)

    @property
    def text(self) -> str:
        """Its text and that of the elements in it, with single blanks."""
        return " ".join("".join(part if isinstance(part, str) else f"{part.text} " for part in self.parts).split())

    def all(self, tag: str = "") -> Iterator[Element]:
        """List the elements in it, of one tag or of all."""
        for child in self.children:
            if tag in {"", child.tag}:
                yield child
            yield from child.all(tag)


class _Parser(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.root = Element("", {})
        self._open = [self.root]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {name: value or "" for name, value in attrs})
        self._open[-1].children.append(element)
        self._open[-1].parts.append(element)
        if tag not in VOID:
            self._open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self._open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert tag == self._open[-1].tag, f"</{tag}> ends <{self._open[-1].tag}>"
        self._open.pop()

    def handle_data(self, data: str) -> None:
        self._open[-1].parts.append(data)


def read(page: bytes) -> Element:
    """Read a page, each of whose elements must end where it should."""
    parser = _Parser()
    parser.feed(page.decode())
    parser.close()
    return parser.root


def rows(page: Element, caption: str, number: int = 0) -> list[dict[str, str]]:
    """Give the lines of a table by the beginning of its caption; each cell by the name of its column."""
    found = [table for table in page.all("table") if next(table.all("caption")).text.startswith(caption)]
    head, *lines = found[number].all("tr")
    names = [cell.text for cell in head.children]
    return [dict(zip(names, (cell.text for cell in line.children), strict=True)) for line in lines]


def faults(page: Element, source: str) -> list[str]:
    """List what keeps a page from being complete in itself, and usable by everyone."""
    found = [f"<{element.tag}> loads something" for element in page.all() if element.tag in _LOADING]
    found += [f"on a script: {name}" for one in page.all() for name in one.attributes if name.startswith("on")]
    # Only inside of the page: no address, and nothing that a style could load.
    found += [f"leads away: {found_}" for found_ in re.findall(r"https?:|//[a-z]|url\(|@import|javascript:", source)]
    ids = [element.attributes["id"] for element in page.all() if "id" in element.attributes]
    found += [f"id {one} is there {ids.count(one)} times" for one in set(ids) if ids.count(one) > 1]
    targets = [element.attributes["href"] for element in page.all("a")]
    found += [f"{target} leads nowhere" for target in targets if target.removeprefix("#") not in ids]
    labels = [
        name
        for element in page.all()
        for attribute in ("aria-labelledby", "aria-describedby")
        for name in element.attributes.get(attribute, "").split()
    ]
    found += [f"no element has the id {name}" for name in labels if name not in ids]
    if next(page.all("html")).attributes.get("lang") != "en":
        found.append("no language")
    for table in page.all("table"):
        if not next(table.all("caption"), Element("", {})).text:
            found.append("a table without a caption")
        found += ["a heading of a table without a scope" for th in table.all("th") if "scope" not in th.attributes]
    return [*found, *_faults_of_graphics(page)]


def _faults_of_graphics(page: Element) -> Iterator[str]:
    hidden = {id(svg) for one in page.all() if one.attributes.get("aria-hidden") == "true" for svg in one.all("svg")}
    for svg in page.all("svg"):
        first = [child.tag for child in svg.children[:2]]
        if id(svg) not in hidden and (svg.attributes.get("role") != "img" or first != ["title", "desc"]):
            yield "a graphic without role, title and description"
        if id(svg) not in hidden and not all(child.text for child in svg.children[:2]):
            yield "a graphic whose title or description is empty"
