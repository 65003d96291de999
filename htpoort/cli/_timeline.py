"""Draw when which system is affected: as bars of characters, and as SVG, from the same data."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, final
from xml.sax.saxutils import escape, quoteattr
from zoneinfo import ZoneInfo

import attrs

from htpoort.core.notices import Access, AdviceKind, Availability, PlacedWindow

__all__ = ["Timeline"]

_COLUMNS: Final = 60
_SIGNS: Final = {
    AdviceKind.SEND: "-",
    AdviceKind.SEND_EXPECT_LATE: "~",
    AdviceKind.UNCLEAR: "?",
    AdviceKind.HOLD: "#",
}
"""The sign of each kind of advice, from the weakest to the strongest, which covers the others."""
_MARGIN: Final = timedelta(hours=1)
_EARLIEST: Final = datetime.min.replace(tzinfo=UTC)
_LATEST: Final = datetime.max.replace(tzinfo=UTC)
_TICKS: Final = 5
_NO_TIME: Final = "a time that is not known"
_WIDTH, _LEFT, _RIGHT, _ROW, _BAR = 860, 200, 40, 30, 18
_STYLE: Final = """\
text { font: 13px sans-serif; fill: #1c2733 }
.note { font-size: 12px; fill: #5a6773 }
.page { fill: #ffffff }
.line { stroke: #d5dbe1 }
.send { fill: #5b9a78 }
.send-expect-late { fill: #d9a21b }
.unclear { fill: #8a63b8 }
.hold { fill: #c23b3b }
.assumed { opacity: 0.45 }
@media (prefers-color-scheme: dark) {
  text { fill: #e6ebf0 }
  .note { fill: #9fb0c0 }
  .page { fill: #14191f }
  .line { stroke: #35404b }
  .send { fill: #6fbf93 }
  .send-expect-late { fill: #e8bb4a }
  .unclear { fill: #b08be0 }
  .hold { fill: #e46a6a }
}"""


@final
@attrs.frozen(kw_only=True)
class Timeline:
    """
    When which system is affected.

    Args:
        systems: The name of each system with its windows, by their start.
        start: Where the picture begins.
        stop: Where it ends.
        zone: The zone in which times are written.
    """

    systems: tuple[tuple[str, tuple[PlacedWindow, ...]], ...]
    start: datetime
    stop: datetime
    zone: ZoneInfo

    @classmethod
    def of(  # noqa: PLR0913 - what is drawn, and between which moments
        cls,
        availability: Availability,
        systems: Iterable[str],
        *,
        start: datetime | None,
        stop: datetime | None,
        known_at: datetime | None,
        access: Access,
        zone: ZoneInfo,
        now: datetime,
    ) -> Timeline:
        """Find the windows of systems; a bound that is not given follows from them."""
        first, last = start or _EARLIEST, stop or _LATEST
        found = [
            (name, availability.windows(name, start=first, stop=last, known_at=known_at, access=access))
            for name in systems
        ]
        windows = [window for _, of_system in found for window in of_system]
        opens = [window.opens for window in windows if window.opens is not None]
        ends = [window.closes for window in windows if window.closes is not None]
        begin, end = min([*opens, *ends], default=now), max([*opens, *ends], default=now)
        # What goes on is seen to go on.
        margin = max(_MARGIN, (end - begin) / 12)
        begin, end = start or begin - margin, stop or end + margin
        return cls(systems=tuple(found), start=begin, stop=max(end, begin + _MARGIN), zone=zone)

    def _share(self, moment: datetime | None, *, of: float, missing: float) -> float:
        """Place a moment between the bounds, which are 0 and *of*."""
        if moment is None:
            return missing
        share = (moment - self.start) / (self.stop - self.start)
        return of * min(1.0, max(0.0, share))

    # ── in a terminal ────────────────────────────────────────────────────────

    def lines(self) -> Iterator[str]:
        """
        Draw with characters.

        Yields:
            A line with the bounds, a line for each system, and the meaning of the signs.
        """
        if not self.systems:
            return
        width = max(len(name) for name, _ in self.systems)
        start, stop = self.written(self.start), self.written(self.stop)
        yield f"{'':<{width}}  {start}{stop:>{_COLUMNS - len(start)}} ({self.zone.key})"
        for name, windows in self.systems:
            yield f"{name:<{width}}  {self._bar(windows)}"
        yield "# hold   ? unclear   ~ send, expect late   - not affected   + goes on: no sure end   . nothing stated"

    def _bar(self, windows: Sequence[PlacedWindow]) -> str:
        cells = ["."] * _COLUMNS
        for window in sorted(windows, key=_rank):
            first = int(self._share(window.opens, of=_COLUMNS, missing=0))
            last = self._share(window.closes, of=_COLUMNS, missing=_COLUMNS)
            # A short window has one sign at least.
            for cell in range(first, min(_COLUMNS, max(first + 1, int(last)))):
                cells[cell] = "+" if window.assumed else _SIGNS[window.advice]
        return "".join(cells)

    def written(self, moment: datetime) -> str:
        """Write a moment as the clock of the zone shows it."""
        return f"{moment.astimezone(self.zone):%Y-%m-%d %H:%M}"

    # ── as SVG ───────────────────────────────────────────────────────────────

    def svg(self) -> str:
        """Draw a picture for light and dark pages."""
        top = _ROW * 2
        height = top + _ROW * len(self.systems) + _ROW
        parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img">',
            f"<title>Service windows from {self.written(self.start)} to {self.written(self.stop)}</title>",
            f"<style>\n{_STYLE}\n</style>",
            f'<rect class="page" width="{_WIDTH}" height="{height}"/>',
            f'<text class="note" x="12" y="{_ROW}">{escape(self.zone.key)}</text>',
            *self._ticks(top, height - _ROW),
        ]
        for number, (name, windows) in enumerate(self.systems):
            y = top + _ROW * number
            parts.append(f'<text x="{_LEFT - 12}" y="{y + _BAR - 3}" text-anchor="end">{escape(_clean(name))}</text>')
            parts += [self._rectangle(window, y) for window in sorted(windows, key=_rank)]
        return "\n".join([*parts, *_legend(height - _ROW + 8), "</svg>\n"])

    def _ticks(self, top: int, bottom: int) -> Iterator[str]:
        for number in range(_TICKS):
            x = _LEFT + (_WIDTH - _LEFT - _RIGHT) * number / (_TICKS - 1)
            moment = (self.start + (self.stop - self.start) * number / (_TICKS - 1)).astimezone(self.zone)
            yield f'<line class="line" x1="{x:.1f}" y1="{top - 6}" x2="{x:.1f}" y2="{bottom}"/>'
            yield f'<text class="note" x="{x:.1f}" y="{_ROW}" text-anchor="middle">{moment:%d %b %H:%M}</text>'

    def _rectangle(self, window: PlacedWindow, y: int) -> str:
        span = float(_WIDTH - _LEFT - _RIGHT)
        first = self._share(window.opens, of=span, missing=0.0)
        last = self._share(window.closes, of=span, missing=span)
        classes = f"{window.advice} assumed" if window.assumed else str(window.advice)
        opens, closes = (
            _NO_TIME if moment is None else self.written(moment) for moment in (window.opens, window.closes)
        )
        title = escape(_clean(f"{window.window.system}: {window.advice} from {opens} until {closes} ({window.notice})"))
        return (
            f'<rect class={quoteattr(classes)} x="{_LEFT + first:.1f}" y="{y}" width="{max(2.0, last - first):.1f}" '
            f'height="{_BAR}"><title>{title}</title></rect>'
        )


def _rank(window: PlacedWindow) -> tuple[int, bool]:
    """Give the place of a window among those that cover each other."""
    return list(_SIGNS).index(window.advice), not window.assumed


def _legend(y: int) -> Iterator[str]:
    x = _LEFT
    words = [(str(kind), "send, expect late" if kind is AdviceKind.SEND_EXPECT_LATE else str(kind)) for kind in _SIGNS]
    words[0] = ("send", "not affected")
    for classes, text in [*reversed(words), ("hold assumed", "pale: goes on, no sure end")]:
        yield f'<rect class="{classes}" x="{x}" y="{y}" width="12" height="12"/>'
        yield f'<text class="note" x="{x + 18}" y="{y + 11}">{text}</text>'
        x += 18 + 8 * len(text) + 16


def _clean(text: str) -> str:
    """Replace what XML cannot hold."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
