"""
Draw the way of a declaration and of its reply into docs/_static/way.svg, from the published systems.

It is as wide as the page of a telephone, so that it is never made smaller.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final
from xml.etree import ElementTree as ET  # noqa: S405 - it is written, not read

from htpoort import HTPOORT, DeclarationSystem

HERE: Final = Path(__file__).parent
WIDTH, ROW, BOX = 380, 104, 84
LEFT, RIGHT, ARROWS = (6, 92), (198, 176), (102, 194)
INK, PALE, LINE = "#1b2733", "#eef3fa", "#5b6b7c"


def text(  # noqa: PLR0913 - what a line of text has
    parent: ET.Element, x: float, y: float, words: str, *, size: int = 15, bold: bool = False
) -> None:
    """Write a line, centred."""
    line = ET.SubElement(parent, "text", {"x": f"{x:g}", "y": f"{y:g}", "text-anchor": "middle", "fill": INK})
    line.attrib |= {"font-size": str(size), "font-family": "sans-serif"} | ({"font-weight": "bold"} if bold else {})
    line.text = words


def box(parent: ET.Element, x: float, y: float, width: float, height: float, *lines: str) -> None:
    """Draw a box with a bold first line."""
    shape = {"x": f"{x:g}", "y": f"{y:g}", "width": f"{width:g}", "height": f"{height:g}", "rx": "8"}
    ET.SubElement(parent, "rect", shape | {"fill": PALE, "stroke": LINE})
    first = y + height / 2 - 10 * (len(lines) - 1) + 5
    for number, words in enumerate(lines):
        text(parent, x + width / 2, first + 20 * number, words, size=14, bold=not number)


def arrow(parent: ET.Element, x1: float, x2: float, y: float, words: str) -> None:
    """Draw an arrow with its words above it."""
    shape = {"x1": f"{x1:g}", "x2": f"{x2:g}", "y1": f"{y:g}", "y2": f"{y:g}"}
    ET.SubElement(parent, "line", shape | {"stroke": LINE, "stroke-width": "2", "marker-end": "url(#tip)"})
    text(parent, (x1 + x2) / 2, y - 11, words, size=13)


def row(parent: ET.Element, y: float, system: DeclarationSystem) -> None:
    """Draw one system: the declaration to it, unless it takes none any more, and the reply from it."""
    closed = () if system.closed is None else (f"closed {system.closed:%-d %b %Y}",)
    box(parent, RIGHT[0], y, RIGHT[1], BOX, system.mailbox, f"{system.name}, {system.process_id}", *closed)
    if not closed:
        arrow(parent, ARROWS[0], ARROWS[1] - 8, y + 28, "declaration")
    arrow(parent, ARROWS[1], ARROWS[0] + 8, y + 60, "late reply" if closed else "reply")


def drawing() -> str:
    """Draw all; return the SVG."""
    systems = sorted(HTPOORT, key=lambda system: system.closed is not None)
    height = ROW * len(systems)
    title = "Declarations go to the mailbox of a system; each reply comes back from it, with its process ID"
    picture = ET.Element("svg", {"xmlns": "http://www.w3.org/2000/svg", "viewBox": f"0 0 {WIDTH} {height}"})
    picture.attrib |= {"width": str(WIDTH), "height": str(height), "role": "img"}
    ET.SubElement(picture, "title").text = title
    definitions = ET.SubElement(picture, "defs")
    tip = {"id": "tip", "markerWidth": "9", "markerHeight": "7", "refX": "8", "refY": "3.5", "orient": "auto"}
    ET.SubElement(ET.SubElement(definitions, "marker", tip), "path", {"d": "M0 0 9 3.5 0 7z", "fill": LINE})
    ET.SubElement(picture, "rect", {"width": "100%", "height": "100%", "fill": "#fff", "rx": "10"})
    box(picture, LEFT[0], 10, LEFT[1], height - 20, "your", "software", "and", "htpoort")
    for number, system in enumerate(systems):
        row(picture, 10 + ROW * number, system)
    ET.indent(picture)
    return ET.tostring(picture, encoding="unicode") + "\n"


FILES: Final = {HERE / "_static/way.svg": drawing}


if __name__ == "__main__":
    for path, draw in FILES.items():
        path.write_text(draw(), encoding="utf-8")
