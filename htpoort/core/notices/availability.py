"""
Decide what to do with a declaration now: send it, hold it, or send it and expect the answer late.

There are two axes of time: the moment at which something is to be sent, and the moment at which something was known.
This module reads no clock, and an end that no notice states is never inferred.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from operator import attrgetter, itemgetter
from typing import Final, TypeVar, final

import attrs

from htpoort.core.directory import Mark
from htpoort.core.errors import did_you_mean, near_names
from htpoort.core.notices._placing import (
    EARLIEST,
    NEVER,
    AdviceKind,
    KnownNotice,
    PlacedWindow,
    Span,
    aware,
    events_of,
    spans_of,
)
from htpoort.core.notices._reasons import contradiction, reason_of
from htpoort.core.notices._span_index import Query, SpanIndex
from htpoort.core.notices.notice import Access, Fallback, Notice, Recovery
from htpoort.core.text import folded

__all__ = ["Advice", "AdviceKind", "AdvicePeriod", "Availability", "KnownNotice", "NoticeName", "PlacedWindow"]

_LATEST: Final = NEVER - timedelta.resolution
_LISTED: Final = 4  # windows of one kind that an advice lists; more at one time would not be read
_NONE: Final = ""
"""What a name means that concerns none of the systems of the directory."""
_NAMED: Final = 10  # names that a sentence lists

_Key = tuple[str | None, str | None, bool]
"""An authority, a name in the form that is compared, None for rows that name no system; and whether it was typed."""
_NOT_SENT: Final = frozenset({AdviceKind.HOLD, AdviceKind.UNCLEAR})


@final
@attrs.frozen(kw_only=True)
class NoticeName:
    """
    State that a name in notices means a system of the directory.

    Args:
        name: The name as notices print it; the case of letters and repeated blanks do not matter.
        system: The system, as the directory names it; empty if it concerns none of yours, which nothing warns of.
        authority: The authority whose notices use the name so; None for any.
        mark: How certain this is.
        source: Where it is published.
    """

    name: str
    system: str
    authority: str | None = None
    mark: Mark = Mark.UNKNOWN
    source: str = ""


@final
@attrs.frozen(kw_only=True)
class Advice:
    """
    What to do with a declaration, and why.

    Args:
        advice: What to do.
        until: When to ask again, in UTC: until then the advice holds, unless another notice comes. None if no end is
            known, or if nothing is in the way.
        reason: One sentence for people.
        recovery: What the notice asks for afterwards; unstated if notices differ.
        fallback: What the notice says of the emergency procedure; unstated if notices differ.
        notice: The notice that decides, by its key or reference; two that contradict each other are joined by a comma;
            empty if none decides.
        revision: The time that its text bears, local; None if it bears none.
        windows: The periods that the advice follows from, the deciding one first; of very many the newest.
    """

    advice: AdviceKind
    until: datetime | None = None
    reason: str
    recovery: Recovery = Recovery.UNSTATED
    fallback: Fallback = Fallback.UNSTATED
    notice: str = ""
    revision: datetime | None = None
    windows: tuple[PlacedWindow, ...] = ()


@final
@attrs.frozen(kw_only=True)
class AdvicePeriod:
    """
    A period in which notices state something of a system, and the advice does not change.

    Args:
        advice: What to do; its *until* is that of the first moment.
        opens: The first moment, in UTC; None if no start is known.
        closes: The first moment after it, in UTC; None if no end is known.
    """

    advice: Advice
    opens: datetime | None
    closes: datetime | None

    @property
    def assumed(self) -> bool:
        """Whether the notice that decides does not firmly state this, as in `PlacedWindow`."""
        return self.advice.windows[0].assumed


@final
class Availability:
    """
    What is known about the systems, from all notices that were read.

    Args:
        notices: The notices. A plain `Notice` is known from the times that its texts bear.
        names: Which name in notices means which system.
    """

    def __init__(self, notices: Iterable[KnownNotice | Notice], names: Iterable[NoticeName] = ()) -> None:
        spans: dict[tuple[_Key, Access, AdviceKind, bool], list[Span]] = {}
        self._printed: dict[_Key, tuple[datetime, str]] = {}
        self._first_known = NEVER
        for event, known_notices in enumerate(events_of(notices)):
            for span in spans_of(event, known_notices):
                name = span.window.system
                key = _key_of(span.text.known_notice.notice, name)
                spans.setdefault((key, span.window.access, span.advice, span.assumed), []).append(span)
                self._first_known = min(self._first_known, span.text.known)
                if name is not None:
                    since = self._printed.get(key, (NEVER, name))
                    self._printed[key] = min(since, (span.text.known, name), key=itemgetter(0))
        self._indexes: dict[_Key, list[tuple[Access, SpanIndex]]] = {}
        for (key, access, _, _), of_kind in spans.items():
            self._indexes.setdefault(key, []).append((access, SpanIndex(of_kind)))
        self._keys: dict[str | None, list[_Key]] = {}
        for key in self._indexes:
            self._keys.setdefault(key[1], []).append(key)
        self._names: dict[str, list[NoticeName]] = {}
        for mapping in names:
            self._names.setdefault(folded(mapping.system), []).append(mapping)

    def is_mapped(self, system: str) -> bool:
        """
        Report whether a name in notices is mapped to a system.

        Args:
            system: The system, as the directory names it.

        Returns:
            Whether the configuration names it.
        """
        return folded(system) in self._names

    def knows(self, system: str) -> bool:
        """
        Report whether anything can be known of a system.

        Args:
            system: The system, as in `what_now`.

        Returns:
            Whether a name is mapped to it, or it is a name that notices print.
        """
        return self.is_mapped(system) or folded(system) in self._keys

    def names_without_system(self, notice: Notice, systems: Iterable[str]) -> tuple[str, ...]:
        """
        List the names in a notice that mean none of some systems, so that it holds nothing for them.

        Args:
            notice: The notice.
            systems: The systems of the directory.

        Returns:
            The names in its newest text, as printed, in its order. Those that concern none of yours are left out.
        """
        listed = (*systems, _NONE)
        names = dict.fromkeys(row.system for row in notice.windows if row.system is not None)
        return tuple(name for name in names if not self._is_any(_key_of(notice, name), listed))

    def windows_without_system(self, systems: Iterable[str], *, at: datetime) -> tuple[PlacedWindow, ...]:
        """
        List the periods that would hold, but whose name means none of some systems.

        Args:
            systems: The systems of the directory.
            at: Now, aware.

        Returns:
            Those that are not over, by their start; a row that names no system is not among them, nor one whose name
            concerns none of yours.

        Raises:
            InputError: The moment has no zone.
        """
        now, listed = aware("at", at), (*systems, _NONE)
        query = Query(start=now, last=_LATEST, known_at=now)
        unmapped = (key for key in self._indexes if key[1] is not None and not self._is_any(key, listed))
        found = [span for key in unmapped for span in self._find([key], Access.FILE, query) if span.advice in _NOT_SENT]
        return tuple(span.placed() for span in sorted(found, key=attrgetter("opens", "text.known")))

    def _is_any(self, key: _Key, systems: Iterable[str]) -> bool:
        """Check whether a name means one of some systems, as `_keys_of` decides it."""
        authority, name, typed = key
        for system in map(folded, systems):
            names = self._names.get(system)
            if name == system and (typed or names is None):
                return True
            if any(folded(each.name) == name and each.authority in {None, authority} for each in names or ()):
                return True
        return False

    def printed_names(self, known_at: datetime | None = None) -> tuple[str, ...]:
        """
        List the names of systems in the notices.

        Args:
            known_at: Use only what was known at this moment, aware; everything if None.

        Returns:
            The names as printed, sorted.

        Raises:
            InputError: The moment has no zone.
        """
        known = _LATEST if known_at is None else aware("known_at", known_at)
        return tuple(sorted({name for since, name in self._printed.values() if since <= known}))

    def named(
        self, systems: Iterable[str], *, known_at: datetime | None = None
    ) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """
        Divide what notices name into systems, and names that mean none of them.

        Args:
            systems: The systems of the directory.
            known_at: Use only what was known at this moment, aware; everything if None.

        Returns:
            The systems that a name means, in their order; and the other names, as printed and sorted.

        Raises:
            InputError: The moment has no zone.
        """
        known = _LATEST if known_at is None else aware("known_at", known_at)
        listed = tuple(systems)
        keys = {key: name for key, (since, name) in self._printed.items() if since <= known}
        meant = tuple(system for system in listed if any(self._is_any(key, [system]) for key in keys))
        return meant, tuple(sorted({name for key, name in keys.items() if not self._is_any(key, listed)}))

    def what_now(
        self, system: str, *, at: datetime, known_at: datetime | None = None, access: Access = Access.FILE
    ) -> Advice:
        """
        Advise what to do with a declaration for a system.

        Args:
            system: The system of the directory. One that no name is mapped to is taken as a name that notices print.
            at: The moment at which it would be sent, aware.
            known_at: Use only what was known at this moment, aware; everything if None.
            access: How it would be sent.

        Returns:
            The advice.

        Raises:
            InputError: A moment has no zone.
        """
        at = aware("at", at)
        known = _LATEST if known_at is None else aware("known_at", known_at)
        keys = self._keys_of(system, known)
        if keys is None:
            return self._unmapped(system, known)
        found: dict[AdviceKind, list[Span]] = {kind: [] for kind in AdviceKind}
        for span in self._find(keys, access, Query(start=at, last=at, known_at=known, limit=_LISTED)):
            found[span.advice].append(span)
        clash = _contradiction(found)
        if clash is not None:
            return _torn(*clash, system)
        for kind in (AdviceKind.HOLD, AdviceKind.UNCLEAR, AdviceKind.SEND_EXPECT_LATE, AdviceKind.SEND):
            if found[kind]:
                return _advice(kind, found[kind], system)
        return Advice(advice=AdviceKind.SEND, reason=f"No notice that is known concerns {system} at that time.")

    def windows(
        self,
        system: str,
        *,
        start: datetime,
        stop: datetime,
        known_at: datetime | None = None,
        access: Access = Access.FILE,
    ) -> tuple[PlacedWindow, ...]:
        """
        List the periods in which notices state something of a system.

        Args:
            system: The system, as in `what_now`.
            start: The first moment, aware.
            stop: The first moment after, aware.
            known_at: Use only what was known at this moment, aware; everything if None.
            access: How declarations are sent.

        Returns:
            Every period that overlaps, by its start. One whose end is not sure is followed by an assumed one.

        Raises:
            InputError: A moment has no zone.
        """
        first, last = aware("start", start), aware("stop", stop)
        known = _LATEST if known_at is None else aware("known_at", known_at)
        keys = self._keys_of(system, known)
        if keys is None or first >= last:
            return ()
        found = self._find(keys, access, Query(start=first, last=last - timedelta.resolution, known_at=known))
        return tuple(span.placed() for span in sorted(found, key=attrgetter("opens", "text.known")))

    def periods(
        self,
        system: str,
        *,
        start: datetime,
        stop: datetime,
        known_at: datetime | None = None,
        access: Access = Access.FILE,
    ) -> tuple[AdvicePeriod, ...]:
        """
        List the periods in which the advice does not change: at each moment, what `what_now` says.

        Args:
            system: The system, as in `what_now`.
            start: The first moment, aware.
            stop: The first moment after, aware.
            known_at: Use only what was known at this moment, aware; everything if None.
            access: How declarations are sent.

        Returns:
            Every period that overlaps, by its start; none overlaps another. Where notices state nothing, there is none.

        Raises:
            InputError: A moment has no zone.
        """
        first, last = aware("start", start), aware("stop", stop)
        stated = self.windows(system, start=EARLIEST, stop=NEVER, known_at=known_at, access=access)
        bounds = sorted({bound for each in stated for bound in (each.opens or EARLIEST, each.closes or NEVER)})
        periods: list[AdvicePeriod] = []
        for opens, closes in itertools.pairwise(bounds):
            advice = self.what_now(system, at=opens, known_at=known_at, access=access)
            before = periods[-1] if periods else None
            if before is not None and before.closes == opens and _is_same(before.advice, advice):
                periods[-1] = attrs.evolve(before, closes=_moment(closes))
            elif advice.windows:
                begins = None if opens == EARLIEST else opens
                periods.append(AdvicePeriod(advice=advice, opens=begins, closes=_moment(closes)))
        return tuple(each for each in periods if max(first, each.opens or EARLIEST) < min(last, each.closes or NEVER))

    def _keys_of(self, system: str, known: datetime) -> list[_Key] | None:
        """Find the names that mean a system; None if it is neither mapped nor a name that was printed by then."""
        own = folded(system)
        names = self._names.get(own)
        if names is None:
            keys = [key for key in self._keys.get(own, ()) if self._printed[key][0] <= known]
            if not keys:
                return None
            authorities = {authority for authority, _, _ in keys}
        else:
            keys = [
                key
                for name in names
                for key in self._keys.get(folded(name.name), ())
                if name.authority is None or name.authority == key[0]
            ]
            # Who types a notice may use the directory's own name, whatever names are mapped to it.
            keys += [key for key in self._keys.get(own, ()) if key[2] and key not in keys]
            authorities = {name.authority for name in names}
        # A row that names no system may mean this one.
        nameless = self._keys.get(None)
        if nameless:
            keys += [
                key for key in nameless if key[0] in authorities or key[0] is None or (names and None in authorities)
            ]
        return keys

    def _find(self, keys: Iterable[_Key], access: Access, query: Query) -> list[Span]:
        """Find what has an effect in a period: what is stated before what is assumed, and the newest first."""
        found: list[Span] = []
        for key in keys:
            for about, index in self._indexes[key]:
                if about is access or about is Access.ANY or access is Access.ANY:
                    found += index.find(query)
        if len(found) > 1:
            found.sort(key=_precedence)
        return found

    def _unmapped(self, system: str, known: datetime) -> Advice:
        if self._first_known > known:
            return Advice(advice=AdviceKind.SEND, reason="No notice was known then.")
        names = self.printed_names(known)
        listed = ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")
        reason = (
            f"No name in notices is known to mean {system}{did_you_mean(near_names(system, names))} "
            f"Names in the notices: {listed or 'none'}. If one of them means {system}, add [[notices.name]] with "
            f'name = "…" and system = "{system}" to htpoort.toml.'
        )
        return Advice(advice=AdviceKind.UNCLEAR, reason=reason)


def _precedence(span: Span) -> tuple[bool, timedelta, int, str]:
    """Order spans; nothing that is learned later changes the order of those that were known before."""
    return span.assumed, NEVER - span.opens, span.event, span.window.access


def _key_of(notice: Notice, name: str | None) -> _Key:
    return notice.authority, None if name is None else folded(name), notice.typed


def _contradiction(found: dict[AdviceKind, list[Span]]) -> tuple[Span, Span] | None:
    """Find two notices that state things of one time that cannot both be true."""
    stated = [
        span
        for kind in (AdviceKind.HOLD, AdviceKind.SEND_EXPECT_LATE, AdviceKind.SEND)
        for span in found[kind]
        if not span.assumed
    ]
    for first, second in itertools.combinations(stated, 2):
        recoveries = {first.window.recovery, second.window.recovery} - {Recovery.UNSTATED}
        if first.event != second.event and (first.advice is not second.advice or len(recoveries) > 1):
            return first, second
    return None


def _torn(first: Span, second: Span, system: str) -> Advice:
    windows = (first.placed(), second.placed())
    return Advice(
        advice=AdviceKind.UNCLEAR,
        until=_moment(min(first.closes, second.closes)),
        reason=contradiction(*windows, system),
        recovery=_agreed([placed.window.recovery for placed in windows], Recovery.UNSTATED),
        fallback=_agreed([placed.window.fallback for placed in windows], Fallback.UNSTATED),
        notice=", ".join(placed.notice for placed in windows if placed.notice),
        windows=windows,
    )


def _advice(kind: AdviceKind, spans: Sequence[Span], system: str) -> Advice:
    """Give the advice of the windows of one kind; the first of them decides."""
    first = spans[0].placed()
    return Advice(
        advice=kind,
        until=None if kind is AdviceKind.SEND else _moment(max(span.closes for span in spans)),
        reason=reason_of(first, system),
        recovery=_agreed([span.window.recovery for span in spans], Recovery.UNSTATED),
        fallback=_agreed([span.window.fallback for span in spans], Fallback.UNSTATED),
        notice=first.notice,
        revision=first.revision,
        windows=(first, *(span.placed() for span in spans[1:])),
    )


def _is_same(first: Advice, second: Advice) -> bool:
    """Check whether two pieces of advice differ in nothing but the time."""

    def of(advice: Advice) -> tuple[object, ...]:
        firmly = [window.assumed for window in advice.windows[:1]]
        return advice.advice, advice.recovery, advice.fallback, advice.notice, advice.revision, firmly

    return of(first) == of(second)


_Word = TypeVar("_Word", Recovery, Fallback)


def _agreed(words: Iterable[_Word], unstated: _Word) -> _Word:
    """Give what all say that say something; *unstated* if they differ."""
    stated = set(words) - {unstated}
    return stated.pop() if len(stated) == 1 else unstated


def _moment(moment: datetime) -> datetime | None:
    return None if moment == NEVER else moment
