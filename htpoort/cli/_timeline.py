"""Draw when which system is affected: as bars of characters, and as SVG, from the same data."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Set as AbstractSet
from datetime import UTC, datetime, timedelta
from typing import Final, final
from xml.sax.saxutils import escape, quoteattr
from zoneinfo import ZoneInfo

import attrs

from htpoort.core.notices import Access, AdviceKind, AdvicePeriod, Availability
from htpoort.core.notices.consequences import HOLD_LEAD

__all__ = ["Row", "Timeline"]

_COLUMNS: Final = 60
_FEWEST: Final = 20
"""Signs of a bar in a terminal that is too narrow."""
_SIGNS: Final = {
    AdviceKind.HOLD: "#",
    AdviceKind.UNCLEAR: "?",
    AdviceKind.SEND_EXPECT_LATE: "~",
    AdviceKind.SEND: "-",
}
_HELD: Final = frozenset({AdviceKind.HOLD, AdviceKind.UNCLEAR})
_MARGIN: Final = timedelta(minutes=1)
_MINUTE: Final = timedelta(minutes=1)
_ALONE: Final = timedelta(hours=1)
"""Time around a single moment."""
_EARLIEST: Final = datetime.min.replace(tzinfo=UTC)
_LATEST: Final = datetime.max.replace(tzinfo=UTC)
_TICKS: Final = 5
_NO_TIME: Final = "a time that is not known"
_WIDTH, _LEFT, _RIGHT, _ROW, _BAR = 920, 260, 40, 30, 18
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
class Row:
    """
    One system.

    Args:
        name: The system of the directory, or a name as notices print it.
        mapped: Whether it is, or means, a system of the directory; None if there is no directory.
        none_of_yours: Whether the configuration says that it concerns none of its systems.
        periods: When notices state something of it.
    """

    name: str
    mapped: bool | None
    none_of_yours: bool = False
    periods: tuple[AdvicePeriod, ...]

    @property
    def label(self) -> str:
        """The name, with a mark if no system is known for it."""
        if self.none_of_yours:
            return f"{self.name} (none of yours)"
        return f"{self.name} (not mapped)" if self.mapped is False else self.name


@final
@attrs.frozen(kw_only=True)
class Timeline:
    """
    When which system is affected.

    Args:
        rows: The systems.
        start: Where the picture begins.
        stop: Where it ends.
        zone: The zone in which times are written.
    """

    rows: tuple[Row, ...]
    start: datetime
    stop: datetime
    zone: ZoneInfo

    @classmethod
    def of(  # noqa: PLR0913 - what is drawn, and between which moments
        cls,
        availability: Availability,
        names: Mapping[str, bool | None],
        *,
        start: datetime | None,
        stop: datetime | None,
        known_at: datetime | None,
        access: Access,
        zone: ZoneInfo,
        now: datetime,
        none_of_yours: AbstractSet[str] = frozenset(),
    ) -> Timeline:
        """Find the periods of names, each with whether it is mapped; a bound that is not given follows from them."""
        # As what-now has it: what was known at another time, or holds for pages, is not what an agent does.
        lead = HOLD_LEAD if known_at is None and access is Access.FILE else timedelta(0)
        first, last = start or _EARLIEST, stop or _LATEST - lead
        rows = tuple(
            Row(
                name=name,
                mapped=mapped,
                none_of_yours=name in none_of_yours,
                periods=tuple(
                    _with_lead(
                        availability.periods(name, start=first, stop=last + lead, known_at=known_at, access=access),
                        lead=lead,
                        stop=last,
                    )
                ),
            )
            for name, mapped in names.items()
        )
        periods = [period for row in rows for period in row.periods]
        moments = [each for period in periods for each in (period.opens, period.closes) if each is not None]
        begin, end = min(moments, default=now), max(moments, default=now)
        # What goes on is seen to go on.
        margin = max(_MARGIN, (end - begin) / 12) if begin < end else _ALONE
        begin, end = start or begin - margin, stop or end + margin
        return cls(rows=rows, start=begin, stop=max(end, begin + _MARGIN), zone=zone)

    def _share(self, moment: datetime | None, *, of: float, missing: float) -> float:
        """Place a moment between the bounds, which are 0 and *of*."""
        if moment is None:
            return missing
        share = (moment - self.start) / (self.stop - self.start)
        return of * min(1.0, max(0.0, share))

    def _lanes(self, periods: Iterable[AdvicePeriod], columns: int) -> list[list[tuple[int, int, AdvicePeriod]]]:
        """
        Give each period its cells: one at least, and none that is another's, so that no short period disappears.

        Args:
            periods: The periods of a system, by their start.
            columns: How many cells there are.

        Returns:
            The lines below each other; in each, periods with their first cell and the first after it. Between those
            that do not follow each other at once there is an empty one.
        """
        lanes: list[list[tuple[int, int, AdvicePeriod]]] = []
        for period in periods:
            first = min(columns - 1, int(self._share(period.opens, of=columns, missing=0)))
            last = max(first + 1, int(self._share(period.closes, of=columns, missing=columns)))
            for lane in lanes:
                _, taken, before = lane[-1]
                follows = before.closes == period.opens
                begin = max(first, taken) if follows else first
                if begin < last if follows else begin > taken:
                    lane.append((begin, last, period))
                    break
            else:
                lanes.append([(first, last, period)])
        return lanes

    # ── in a terminal ────────────────────────────────────────────────────────

    def lines(self, width: int) -> Iterator[str]:
        """
        Draw with characters.

        Args:
            width: How many fit beside each other; a few more are taken where that is not enough.

        Yields:
            A line with the bounds, a line or several for each system, and the meaning of the signs.
        """
        if not self.rows:
            return
        left = max(len(text) for text in (self.zone.key, *(row.label for row in self.rows)))
        start, stop = self.written(self.start), self.written(self.stop)
        columns = max(_FEWEST, min(_COLUMNS, width - left - 2))
        # Two dates and a blank between them.
        columns = max(columns, len(start) + 1 + len(stop))
        yield f"{self.zone.key:<{left}}  {start}{stop:>{columns - len(start)}}"
        for row in self.rows:
            label = row.label
            for lane in self._lanes(row.periods, columns) or [[]]:
                yield f"{label:<{left}}  {_bar(lane, columns)}"
                label = ""
        yield "# hold  ? unclear  ~ expect late  - not affected  + not sure  . nothing stated"

    def written(self, moment: datetime) -> str:
        """Write a moment as the clock of the zone shows it."""
        return f"{moment.astimezone(self.zone):%Y-%m-%d %H:%M}"

    # ── as SVG ───────────────────────────────────────────────────────────────

    def svg(self) -> str:
        """Draw a picture for light and dark pages."""
        rows = [(row, self._lanes(row.periods, _COLUMNS) or [[]]) for row in self.rows]
        top = _ROW * 2
        height = top + _ROW * sum(len(lanes) for _, lanes in rows) + _ROW
        parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img">',
            f"<title>Service windows from {self.written(self.start)} to {self.written(self.stop)}</title>",
            f"<style>\n{_STYLE}\n</style>",
            f'<rect class="page" width="{_WIDTH}" height="{height}"/>',
            f'<text class="note" x="12" y="{_ROW}">{escape(self.zone.key)}</text>',
            *self._ticks(top, height - _ROW),
        ]
        y = top
        for row, lanes in rows:
            label = escape(_clean(row.label))
            parts.append(f'<text x="{_LEFT - 12}" y="{y + _BAR - 3}" text-anchor="end">{label}</text>')
            for lane in lanes:
                parts += [self._rectangle(row, period, y) for _, _, period in lane]
                y += _ROW
        return "\n".join([*parts, *_legend(height - _ROW + 8), "</svg>\n"])

    def _ticks(self, top: int, bottom: int) -> Iterator[str]:
        span = float(_WIDTH - _LEFT - _RIGHT)
        for moment in self._tick_moments():
            x = _LEFT + self._share(moment, of=span, missing=0.0)
            local = moment.astimezone(self.zone)
            yield f'<line class="line" x1="{x:.1f}" y1="{top - 6}" x2="{x:.1f}" y2="{bottom}"/>'
            yield f'<text class="note" x="{x:.1f}" y="{_ROW}" text-anchor="middle">{local:%d %b %H:%M}</text>'

    def _tick_moments(self) -> list[datetime]:
        """Choose the moments that have a label, about evenly: whole minutes, since a label shows no seconds."""
        moments: list[datetime] = []
        for number in range(_TICKS):
            near = self.start + (self.stop - self.start) * number / (_TICKS - 1) + _MINUTE / 2
            moment = near - timedelta(seconds=near.second, microseconds=near.microsecond)
            if self.start <= moment <= self.stop and moment not in moments:
                moments.append(moment)
        return moments

    def _rectangle(self, row: Row, period: AdvicePeriod, y: int) -> str:
        span = float(_WIDTH - _LEFT - _RIGHT)
        first = self._share(period.opens, of=span, missing=0.0)
        last = self._share(period.closes, of=span, missing=span)
        advice, notice = period.advice.advice, period.advice.notice
        classes = f"{advice} assumed" if period.assumed else str(advice)
        opens, closes = (
            _NO_TIME if moment is None else self.written(moment) for moment in (period.opens, period.closes)
        )
        title = escape(_clean(f"{row.name}: {advice} from {opens} until {closes} ({notice})"))
        return (
            f'<rect class={quoteattr(classes)} x="{_LEFT + first:.1f}" y="{y}" width="{max(2.0, last - first):.1f}" '
            f'height="{_BAR}"><title>{title}</title></rect>'
        )


def _with_lead(periods: Iterable[AdvicePeriod], *, lead: timedelta, stop: datetime) -> list[AdvicePeriod]:
    """Begin what is held as early as an agent holds it; what else may be sent until then ends there."""
    listed: list[AdvicePeriod] = []
    for period in periods:
        if period.opens is not None and period.advice.advice in _HELD:
            begin = period.opens - lead
            while listed and (listed[-1].closes is None or listed[-1].closes > begin):
                before = listed[-1]
                if before.advice.advice in _HELD:
                    begin = period.opens if before.closes is None else before.closes
                    break
                listed.pop()
                if before.opens is None or before.opens < begin:
                    listed.append(attrs.evolve(before, closes=begin))
                    break
            period = attrs.evolve(period, opens=begin)  # noqa: PLW2901 - the same one
        if period.opens is None or period.opens < stop:
            listed.append(period)
    return listed


def _bar(lane: Iterable[tuple[int, int, AdvicePeriod]], columns: int) -> str:
    cells = ["."] * columns
    for first, last, period in lane:
        sign = "+" if period.assumed else _SIGNS[period.advice.advice]
        cells[first:last] = sign * (last - first)
    return "".join(cells)


def _legend(y: int) -> Iterator[str]:
    x = _LEFT
    words = {
        "hold": "hold",
        "unclear": "unclear",
        "send-expect-late": "expect late",
        "send": "not affected",
        "hold assumed": "pale: not sure",
    }
    for classes, text in words.items():
        yield f'<rect class="{classes}" x="{x}" y="{y}" width="12" height="12"/>'
        yield f'<text class="note" x="{x + 18}" y="{y + 11}">{text}</text>'
        x += 18 + 8 * len(text) + 16


def _clean(text: str) -> str:
    """Replace what XML cannot hold."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
