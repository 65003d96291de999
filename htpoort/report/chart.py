"""
Compute where the bars, windows and labels of a chart are; a template draws them.

Across, positions are percentages of the width, so that one chart fits a phone and a wide screen; downwards, pixels.

Never does: write SVG, or choose a colour.
"""

from __future__ import annotations

import bisect
import enum
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final, final

import attrs

__all__ = ["HEIGHT", "Bar", "Chart", "Column", "Group", "Period", "Shade", "Tick", "Unit", "draw"]

HEIGHT: Final = 150
"""The height of the tallest bar that a chart has room for."""
_GAP: Final = 0.14
"""The part of a bar's place that is left free."""
_NARROWEST: Final = 0.5
"""Percent that a window is wide at least, so that a short one is seen."""
_TICKS: Final = 8
_LAST_TICK: Final = 95.0
"""Percent behind which no label begins: it would reach over the edge."""
_STEPS: Final = (1, 2, 5)
_LINES: Final = 3


class Unit(enum.Enum):
    """How long a part of a period is."""

    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"


_LONGEST: Final = {Unit.HOUR: timedelta(days=2), Unit.DAY: timedelta(days=100), Unit.WEEK: timedelta(days=730)}
"""Up to which length of a period its parts are hours, days or weeks."""
_DAY: Final = "%d %b"
_FORMS: Final = {Unit.HOUR: "%H:%M", Unit.DAY: _DAY, Unit.WEEK: _DAY, Unit.MONTH: "%b %Y"}
"""How the start of a part is written at the axis."""


@final
@attrs.frozen(kw_only=True)
class Group:
    """
    What is counted together, and drawn in one colour.

    Args:
        name: The name of its colour.
        label: What it is called.
    """

    name: str
    label: str


@final
@attrs.frozen
class Bar:
    """A part of a bar: where it is, and the name of its colour."""

    name: str
    y: float
    height: float


@final
@attrs.frozen(kw_only=True)
class Column:
    """
    A part of the period that has a bar.

    Args:
        label: When the part begins.
        words: The same with its numbers.
        numbers: How many of each group, in their order.
        x: Where it begins, in percent.
        width: How wide it is, in percent.
        bars: The parts of its bar, from the bottom.
    """

    label: str
    words: str
    numbers: tuple[int, ...]
    x: float
    width: float
    bars: tuple[Bar, ...]


@final
@attrs.frozen
class Shade:
    """A window behind the bars: where it is, in percent, the name of its colour, and what it is."""

    x: float
    width: float
    name: str
    label: str


@final
@attrs.frozen
class Tick:
    """A label at an axis; every second one is *minor*, and is left out where there is little room."""

    at: float
    label: str
    minor: bool = False


@final
@attrs.frozen(kw_only=True)
class Chart:
    """
    A chart of numbers over time.

    Args:
        title: What it shows.
        description: The same in a sentence or two, with its figures.
        unit: How long a part of the period is, in a word.
        groups: The groups that occur, in their order.
        columns: The parts of the period that have a number.
        shades: The windows.
        kinds: The kinds of windows that occur.
        across: The labels below the bars.
        upwards: The labels beside them.
    """

    title: str
    description: str
    unit: str
    groups: tuple[Group, ...]
    columns: tuple[Column, ...]
    shades: tuple[Shade, ...]
    kinds: tuple[Group, ...]
    across: tuple[Tick, ...]
    upwards: tuple[Tick, ...]


@final
@attrs.frozen
class Period:
    """
    A period in parts: hours, days, weeks or months by the clock of a zone.

    Args:
        since: The first moment, aware.
        until: The first moment after it, aware.
        zone: The zone; None for that of the machine.
        edges: Where its parts begin, and where the last one ends, in UTC.
        unit: How long they are.
    """

    since: datetime
    until: datetime
    zone: tzinfo | None
    edges: tuple[datetime, ...]
    unit: Unit

    @classmethod
    def of(cls, since: datetime, until: datetime, zone: tzinfo | None) -> Period:
        """Divide a period; the first and the last part may be shorter than the others."""
        unit = next((unit for unit, longest in _LONGEST.items() if until - since <= longest), Unit.MONTH)
        begins = _begins(since.astimezone(zone).replace(tzinfo=None), unit, zone)
        edges = [since.astimezone(UTC)]
        for edge in begins:
            if edge >= until:
                break
            if edge > edges[-1]:
                edges.append(edge)
        return cls(since, until, zone, (*edges, until.astimezone(UTC)), unit)

    def part(self, moment: datetime) -> int:
        """Find the number of the part that has a moment of the period."""
        return max(0, bisect.bisect_right(self.edges, moment, hi=len(self.edges) - 1) - 1)

    def share(self, moment: datetime) -> float:
        """Place a moment between 0 and 100."""
        share = (moment - self.since) / (self.until - self.since)
        return 100 * min(1.0, max(0.0, share))

    def label(self, number: int) -> str:
        """Write when a part begins; at midnight, an hour is the day."""
        begin = self.edges[number].astimezone(self.zone)
        midnight = self.unit is Unit.HOUR and begin.hour == begin.minute == 0
        return f"{begin:{_DAY if midnight else _FORMS[self.unit]}}"

    def full_label(self, number: int) -> str:
        """Write when a part begins, in full."""
        begin = self.edges[number].astimezone(self.zone)
        return f"{begin:%Y-%m-%d %H:%M}" if self.unit is Unit.HOUR else f"{begin:%Y-%m-%d}"

    def ticks(self) -> tuple[Tick, ...]:
        """Choose which parts have a label."""
        # The first part may be short, and its start is no round one.
        first = 0 if len(self.edges) < 3 else next(n for n in (0, 1) if n or self._is_whole(n))  # noqa: PLR2004
        numbers = range(first, len(self.edges) - 1)
        every = max(1, -(-len(numbers) // _TICKS))
        places = [(number, self.share(self.edges[number])) for number in numbers[::every]]
        return tuple(
            Tick(round(at, 2), self.label(number), minor=index % 2 == 1)
            for index, (number, at) in enumerate(places)
            if at <= _LAST_TICK
        )

    def _is_whole(self, number: int) -> bool:
        begin = self.edges[number].astimezone(self.zone).replace(tzinfo=None)
        return _floor(begin, self.unit) == begin


def _floor(local: datetime, unit: Unit) -> datetime:
    """Go back to where the part of a local time begins."""
    if unit is Unit.HOUR:
        return local.replace(minute=0, second=0, microsecond=0)
    day = local.replace(hour=0, minute=0, second=0, microsecond=0)
    if unit is Unit.DAY:
        return day
    return day - timedelta(days=day.weekday()) if unit is Unit.WEEK else day.replace(day=1)


def _begins(local: datetime, unit: Unit, zone: tzinfo | None) -> Iterator[datetime]:
    """Give the moments at which parts begin by the clock of a zone, from a local time on, in UTC."""
    begin = _floor(local, unit)
    while True:
        # Without a zone, Python takes the local time for that of the machine.
        aware = begin.astimezone() if zone is None else begin.replace(tzinfo=zone)
        yield aware.astimezone(UTC)
        if unit is Unit.MONTH:
            begin = (begin + timedelta(days=32)).replace(day=1)
        else:
            begin += {Unit.HOUR: timedelta(hours=1), Unit.DAY: timedelta(days=1)}.get(unit, timedelta(days=7))


def draw(
    title: str,
    period: Period,
    numbers: Mapping[tuple[int, str], int],
    groups: Sequence[Group],
    windows: Iterable[tuple[datetime | None, datetime | None, Group, str]] = (),
) -> Chart:
    """
    Compute a chart.

    Args:
        title: What it shows.
        period: The time across.
        numbers: How many, by the number of the part and the name of the group.
        groups: The groups, from the bottom of a bar to its top.
        windows: Start, end, kind and description of each window; None is a bound that is not known.

    Returns:
        The chart, without groups that do not occur.
    """
    present = tuple(
        group for group in groups if any(name == group.name and number for (_, name), number in numbers.items())
    )
    sums: dict[int, int] = {}
    for (part, _), number in numbers.items():
        sums[part] = sums.get(part, 0) + number
    step, top = _scale(max(sums.values(), default=0))
    listed = list(windows)
    shades = tuple(_shade(period, opens, closes, kind.name, label) for opens, closes, kind, label in listed)
    return Chart(
        title=title,
        description=_described(period, numbers, present, sums, shades),
        unit=period.unit.value,
        groups=present,
        columns=tuple(_column(period, part, numbers, present, top) for part in sorted(sums) if sums[part]),
        shades=shades,
        kinds=tuple(dict.fromkeys(kind for _, _, kind, _ in listed)),
        across=period.ticks(),
        upwards=tuple(Tick(round(HEIGHT - HEIGHT * value / top, 2), f"{value:,}") for value in range(0, top + 1, step)),
    )


def _scale(largest: int) -> tuple[int, int]:
    """Choose round numbers for the lines behind the bars; returns their distance, and the highest one."""
    power = 1
    while True:
        for factor in _STEPS:
            step = factor * power
            if step * _LINES >= largest:
                lines = max(1, -(-largest // step))
                return step, step * lines
        power *= 10


def _column(
    period: Period, part: int, numbers: Mapping[tuple[int, str], int], groups: Sequence[Group], top: int
) -> Column:
    begin, end = period.share(period.edges[part]), period.share(period.edges[part + 1])
    counted = tuple(numbers.get((part, group.name), 0) for group in groups)
    words = ", ".join(f"{n:,} {group.label}" for group, n in zip(groups, counted, strict=True) if n)
    label = period.full_label(part)
    bars: list[Bar] = []
    below = 0
    for group, number in zip(groups, counted, strict=True):
        if number:
            below += number
            bars.append(Bar(group.name, round(HEIGHT - HEIGHT * below / top, 2), round(HEIGHT * number / top, 2)))
    gap = (end - begin) * _GAP / 2
    return Column(
        label=label,
        words=f"{label}: {words}",
        numbers=counted,
        x=round(begin + gap, 3),
        width=round(end - begin - 2 * gap, 3),
        bars=tuple(bars),
    )


def _shade(period: Period, opens: datetime | None, closes: datetime | None, name: str, label: str) -> Shade:
    begin = 0.0 if opens is None else period.share(opens)
    end = 100.0 if closes is None else period.share(closes)
    width = max(_NARROWEST, end - begin)
    return Shade(round(min(begin, 100.0 - width), 3), round(width, 3), name, label)


def _described(
    period: Period,
    numbers: Mapping[tuple[int, str], int],
    groups: Sequence[Group],
    sums: Mapping[int, int],
    shades: Sequence[Shade],
) -> str:
    """Write what a chart shows in words."""
    total = sum(sums.values())
    if not total:
        text = "There is none in this period."
    else:
        parts = [
            f"{sum(number for (_, name), number in numbers.items() if name == group.name):,} {group.label}"
            for group in groups
        ]
        most = max(sums, key=lambda part: (sums[part], -part))
        text = f"{total:,} in all: {', '.join(parts)}. Most in one {period.unit.value}: {sums[most]:,}, "
        text += f"from {period.full_label(most)}."
    if shades:
        text += f" Shaded: {len(shades)} service window{'' if len(shades) == 1 else 's'}."
    return text
