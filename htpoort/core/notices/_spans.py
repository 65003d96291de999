"""
Find the window of each section among the periods of a text: what was announced, and what changed it since.

A time that the text does not place on a day stays open and becomes a problem.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import date, datetime
from typing import Final

import attrs

from htpoort.core.errors import Problem
from htpoort.core.notices._collect import Collected, TimedPeriod
from htpoort.core.notices._facts import EventKind, TimeRole
from htpoort.core.notices._times import Moment, Period, Point

__all__ = ["Span", "moments_of", "spans_of"]

_CHANGING: Final = frozenset({TimeRole.END, TimeRole.EXPECTED_END, TimeRole.NEW_END})


@attrs.frozen
class Span:
    """A window: local times, and whether the end is only expected."""

    start: datetime | None = None
    end: datetime | None = None
    expected: bool = False


@attrs.define
class _Announced:
    """A window as announced, the days that it names, and the period that says so."""

    span: Span
    days: tuple[date, ...]
    timed: TimedPeriod


def moments_of(period: Period) -> tuple[Moment, ...]:
    """List the ends of a period that are printed."""
    return tuple(moment for moment in (period.first, period.last) if moment is not None)


def _place(timed: TimedPeriod) -> tuple[int, int]:
    return timed.passage.span(timed.period.start, timed.period.stop)


def _placed(point: Point | None) -> datetime | None:
    return None if point is None else point.moment


def _days_of(period: Period) -> tuple[date, ...]:
    days = (moment.day.value for moment in moments_of(period) if moment.day is not None)
    return tuple(day for day in days if day is not None)


class _Placer:
    """Places the periods of one text, and gathers what cannot be placed."""

    def __init__(self, collected: Collected) -> None:
        self._collected = collected
        self._periods = collected.periods
        self.problems: list[Problem] = []
        self.announced: list[_Announced] = []

    def _pass_on(self, period: Period, timed: TimedPeriod) -> None:
        """Report what cannot be read of a period."""
        self.problems += timed.passage.placed(period.problems)

    def _report_undated(self, timed: TimedPeriod) -> None:
        passage = timed.passage
        message = f"{passage.text!r} gives an hour without a date; look for the day in the source."
        self.problems.append(Problem("time-without-date", message, passage.start, passage.stop))

    def place(self) -> None:
        """Place what was announced, and then what changed it."""
        announcing = [timed for timed in self._periods if timed.role is TimeRole.WINDOW]
        replacing = [timed for timed in self._periods if timed.role is TimeRole.NEW]
        day = _only_day(announcing)
        for timed in replacing or announcing:
            self._announce(timed, day)
        self._without_doubles()
        for timed in self._periods:
            if timed.role in _CHANGING:
                self._change(timed)
            elif timed.role is TimeRole.START:
                self._compare_start(timed)
            elif timed.role is TimeRole.UPDATE and timed.period.undated and not self.announced:
                self._report_undated(timed)
        self._forget_what_changed()

    def _forget_what_changed(self) -> None:
        """Drop the times of what was moved, and the end of what takes longer, where no other is given."""
        roles = {timed.role for timed in self._periods}
        for each in self.announced:
            if self._collected.has(EventKind.MOVED) and TimeRole.NEW not in roles:
                each.span = Span()
            elif self._collected.has(EventKind.DELAYED) and not roles & _CHANGING:
                each.span = Span(each.span.start)

    def _announce(self, timed: TimedPeriod, day: date | None) -> None:
        period = timed.period
        if period.undated and (day is None or period.closes is None):
            self._report_undated(timed)
            return
        if day is not None and (period.undated or _is_weekday_of(period, day)):
            period = period.on(day)
        self._pass_on(period, timed)
        ends = moments_of(period)
        if any(each.hour is None for each in ends) and any(each.hour is not None for each in ends):
            message = "A date without an hour; look for the hour in the source."
            self.problems.append(Problem("no-time", message, *_place(timed)))
        span = Span(_placed(period.opens), _placed(period.closes), period.expected)
        self.announced.append(_Announced(span, _days_of(period), timed))

    def _without_doubles(self) -> None:
        """Drop a day without hours where a window of that day has them, and what is said twice."""
        with_hours = [each for each in self.announced if each.span.start is not None or each.span.end is not None]
        timed_days = {day for each in with_hours for day in each.days}
        ended = {(each.timed.section, each.span.start) for each in with_hours if each.span.end is not None}
        kept: list[_Announced] = []
        seen: set[tuple[Span, int]] = set()
        for each in self.announced:
            section = each.timed.section
            bare = each.span.start is None and each.span.end is None
            if each.timed.period.closes is None and not bare and (section, each.span.start) in ended:
                continue  # `from 11:00`, and in another sentence `from 11:00 until 12:30`
            if bare and (set(each.days) & timed_days or not each.days):
                continue
            if bare and with_hours:
                self.problems.append(
                    Problem("title-body-differ", "This day is not that of the window.", *_place(each.timed))
                )
                continue
            if bare and each.days and all(moment.hour is None for moment in moments_of(each.timed.period)):
                self.problems.append(
                    Problem("no-time", "A date without an hour; look for the hour in the source.", *_place(each.timed))
                )
            if not seen & {(each.span, 0), (each.span, section)}:
                seen.add((each.span, section))
                kept.append(each)
        self.announced = kept

    def _change(self, timed: TimedPeriod) -> None:
        period = timed.period
        self._pass_on(period, timed)
        moment = _placed(period.closes) or _placed(period.opens)
        if moment is None and period.undated and not period.problems:
            moment = self._on_window_day(period)
            if moment is None:
                self._report_undated(timed)
                return
        if moment is None and not period.problems:
            if timed.role is TimeRole.END:
                # A word that it is over, beside a day without an hour: the end that is printed stays.
                return
            message = "A date without an hour; look for the hour in the source."
            self.problems.append(Problem("no-time", message, *_place(timed)))
        expected = timed.role is TimeRole.EXPECTED_END
        for each in self.announced:
            if each.span.start is None or moment is None or moment >= each.span.start:
                each.span = Span(each.span.start, moment, expected)
            else:
                self.problems.append(
                    Problem("contradiction", "This end lies before the start of the window.", *_place(timed))
                )
        if not self.announced:
            self.announced.append(_Announced(Span(None, moment, expected), _days_of(period), timed))

    def _on_window_day(self, period: Period) -> datetime | None:
        """Place an hour on the day of the window, if it has one day and begins before."""
        days = {day for each in self.announced for day in (*each.days, *_span_days(each.span))}
        if len(days) != 1:
            return None
        placed = period.on(days.pop())
        moment = _placed(placed.closes) or _placed(placed.opens)
        begun = all(each.span.start is not None and moment and each.span.start <= moment for each in self.announced)
        return moment if begun else None

    def _compare_start(self, timed: TimedPeriod) -> None:
        """Report an edit of the starting time that the window does not show."""
        first = timed.period.first or timed.period.last
        starts = {each.span.start.time() for each in self.announced if each.span.start is not None}
        hour = first.hour.value if first is not None and first.hour is not None else None
        if hour is not None and starts and hour not in starts:
            self.problems.append(
                Problem("contradiction", "The start was edited to another hour than the window has.", *_place(timed))
            )


def _is_weekday_of(period: Period, day: date) -> bool:
    """Return whether a period names its day by the day of the week alone, and the only day of the text is one."""
    days = [moment.day for moment in moments_of(period) if moment.day is not None]
    return bool(days) and all(each.month is None and each.weekday == day.weekday() for each in days)


def _span_days(span: Span) -> tuple[date, ...]:
    return tuple(moment.date() for moment in (span.start, span.end) if moment is not None)


def _only_day(announcing: Iterable[TimedPeriod]) -> date | None:
    """Return the only day that a text names."""
    days = {day for timed in announcing for day in _days_of(timed.period)}
    return days.pop() if len(days) == 1 else None


def spans_of(collected: Collected) -> tuple[Callable[[int], tuple[Span, ...]], list[Problem]]:
    """
    Find the windows of a text.

    Args:
        collected: What its sentences state.

    Returns:
        A function that gives the windows of a section, at least an open one; and what could not be placed.
    """
    placer = _Placer(collected)
    placer.place()
    announced = placer.announced
    only = len({each.span for each in announced}) == 1
    by_section: dict[int, list[Span]] = {}
    for each in announced:
        of_section = by_section.setdefault(each.timed.section, [])
        of_section.append(each.span)
        if len(of_section) > 1:
            message = "The text gives a second window; which one counts for which system is left open."
            placer.problems.append(Problem("several-notices", message, *_place(each.timed)))

    def spans(section: int) -> tuple[Span, ...]:
        if only:
            return (announced[0].span,)
        return tuple(dict.fromkeys(by_section.get(section) or by_section.get(0) or [Span()]))

    return spans, placer.problems
