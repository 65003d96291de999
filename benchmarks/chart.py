"""
Draw the figures of the benchmarks as SVG, from the JSON that they write.

Never does: measure. Only the standard library is used, and the picture holds no script and no font.
"""

from __future__ import annotations

import argparse
import json
import math
from itertools import groupby
from pathlib import Path
from typing import Any, Final
from xml.sax.saxutils import escape

_ROOT: Final = Path(__file__).parent
_WIDTH: Final = 860
_LEFT: Final = 330  # where the bars begin
_RIGHT: Final = 90  # kept for the figure after the longest bar
_ROW: Final = 20
_OURS: Final = "#1f6f54"
_OTHERS: Final = "#a9b4bd"
_STYLE: Final = "text{font:13px sans-serif;fill:#222}.b{font-weight:bold}.s{font-size:12px;fill:#555}"
_LOGARITHMIC_FROM: Final = 30  # largest over smallest, from which short bars would all look the same


def shown(nanoseconds: float) -> str:
    """Write a time in the unit that fits, with three digits."""
    for unit, factor in (("ns", 1.0), ("µs", 1e3), ("ms", 1e6)):
        if nanoseconds < 1000 * factor or unit == "ms":
            return f"{nanoseconds / factor:.3g} {unit}"
    raise AssertionError


class Picture:
    """Collect rows from top to bottom."""

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.y = 8

    def text(self, words: str, *, kind: str = "", x: int = 12) -> None:
        """Write a line of text below what is there."""
        self.y += _ROW
        self.parts.append(f'<text class="{kind}" x="{x}" y="{self.y}">{escape(words)}</text>')

    def bar(self, label: str, length: float, colour: str, figure: str) -> None:
        """Draw a bar with its label before it and its figure behind it."""
        self.y += _ROW
        self.parts.append(
            f'<text x="{_LEFT - 8}" y="{self.y}" text-anchor="end">{escape(label)}</text>'
            f'<rect x="{_LEFT}" y="{self.y - 12}" width="{length:.1f}" height="14" fill="{colour}"/>'
            f'<text class="s" x="{_LEFT + length + 6:.1f}" y="{self.y}">{escape(figure)}</text>'
        )

    def svg(self, title: str) -> str:
        """Give the whole picture."""
        height = self.y + 16
        return "\n".join([
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img">',
            f"<title>{escape(title)}</title>",
            f"<style>{_STYLE}</style>",
            f'<rect width="{_WIDTH}" height="{height}" fill="#fff"/>',
            *self.parts,
            "</svg>\n",
        ])


def drawn(result: dict[str, Any]) -> str:
    """Draw one result: the bars by groups, then the ratios that have a goal."""
    picture = Picture()
    picture.text(result["title"], kind="b")
    figures = result["figures"]
    times = [figure["median_ns"] for figure in figures]
    logarithmic = max(times) / min(times) > _LOGARITHMIC_FROM
    low = 10 ** math.floor(math.log10(min(times))) / 2
    scale = "logarithmic scale" if logarithmic else "linear scale"
    versions = ", ".join(f"{name} {version}" for name, version in result["versions"].items())
    picture.text(f"{result['date']}; {versions}; {scale}, shorter is better", kind="s")
    order = list(dict.fromkeys(figure["group"] for figure in figures))
    figures = sorted(figures, key=lambda figure: order.index(figure["group"]))
    for group, members in groupby(figures, key=lambda figure: str(figure["group"])):
        picture.y += 6
        picture.text(group, kind="b")
        for figure in members:
            time = figure["median_ns"]
            share = math.log(time / low) / math.log(max(times) / low) if logarithmic else time / max(times)
            label = figure["case"].removesuffix(f": {group}")
            colour = _OURS if figure["ours"] else _OTHERS
            picture.bar(label, share * (_WIDTH - _LEFT - _RIGHT), colour, shown(time))
    picture.y += 6
    for ratio in result["ratios"]:
        if ratio["at_most"] is not None:
            said = "reached" if ratio["reached"] else "missed"
            picture.text(f"{ratio['ratio']:.2f} ×  (goal ≤ {ratio['at_most']:g}, {said})  {ratio['label']}", kind="s")
    return picture.svg(result["title"])


def main() -> None:
    """Draw every result of times that is given, or all that are kept."""
    parser = argparse.ArgumentParser(description="Draw the figures of the benchmarks as SVG.")
    parser.add_argument("json", nargs="*", type=Path, help="results; those in benchmarks/results if none is given")
    parser.add_argument("--into", type=Path, default=_ROOT.parent / "docs" / "_static", help="folder of the pictures")
    options = parser.parse_args()
    options.into.mkdir(parents=True, exist_ok=True)
    for path in options.json or sorted((_ROOT / "results").glob("*.json")):
        result = json.loads(path.read_text(encoding="utf-8"))
        if "unit" in result:
            continue  # rates; tables show those
        picture = drawn(result)
        target = options.into / f"benchmark-{path.stem}.svg"
        target.write_text(picture, encoding="utf-8")
        print(target.name)


if __name__ == "__main__":
    main()
