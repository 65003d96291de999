"""
Gather the facts of a report from a ledger.

Numbers are counted in the database, and lists are cut, so that memory does not grow with the ledger.

Never does: put anything of another party into the section of one, or into a report for some parties.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime, timedelta, tzinfo
from typing import Final, final

import attrs

from htpoort.core.envelope import RoutingEnvelope
from htpoort.core.errors import InputError, Problem
from htpoort.core.exchange import State
from htpoort.core.notices import AdviceKind, Availability, PlacedWindow
from htpoort.core.notices.consequences import answer_age
from htpoort.core.party import PartyId
from htpoort.files import GatewayUser
from htpoort.ledger import Excerpt, HeldSystem, Ledger, PausedServer, QuarantinedMessage, Status
from htpoort.report.chart import Chart, Group, Period, draw
from htpoort.report.facts import (
    Attention,
    QuarantinedLine,
    Report,
    Section,
    SystemCounts,
    UnansweredLine,
    WindowLine,
)

__all__ = ["LONGEST_LIST", "gather", "pauses_for_parties", "traffic_charts"]

LONGEST_LIST: Final = 200
"""How many lines a list of a report has at most; how many more there are is written below it."""
ADVICE: Final = {AdviceKind.SEND: "not affected", AdviceKind.SEND_EXPECT_LATE: "send, expect late"}
"""What a kind of window is called, where its name is not enough."""
_HOUR: Final = timedelta(hours=1)
_GROUPS: Final = (
    Group(name="answered", label="answered"),
    Group(name="closed", label="closed"),
    Group(name="sent", label="without an answer"),
    Group(name="waiting", label="not sent yet"),
    Group(name="decision", label="in need of a decision"),
)
_GROUP_OF: Final = {
    State.ANSWERED: "answered",
    State.CLOSED: "closed",
    State.ACCEPTED: "sent",
    State.QUEUED: "waiting",
    State.HELD: "waiting",
    State.SENDING: "waiting",
    State.DEFERRED: "waiting",
    State.UNKNOWN: "decision",
    State.REFUSED: "decision",
    State.FAILED: "decision",
}

Limits = Callable[[str], timedelta | None]
"""How long an answer of a system may take; None if it is never too old."""


def _no_limit(_system: str) -> None:
    return None


def _nothing(_party: str | None) -> tuple[Attention, ...]:
    return ()


def gather(  # noqa: PLR0913 - what is reported, and of when
    ledger: Ledger,
    *,
    parties: Iterable[PartyId | GatewayUser | str],
    whole: bool,
    at: datetime,
    since: datetime,
    until: datetime,
    systems: Iterable[str],
    limits: Limits = _no_limit,
    attention: Callable[[str | None], Iterable[Attention]] = _nothing,
    source: str = "",
    zone: tzinfo | None = None,
    most: int = LONGEST_LIST,
) -> Report:
    """
    Gather a report.

    Args:
        ledger: An open ledger.
        parties: The parties that have a section, in any case.
        whole: Whether the report is on everything in the ledger. If not, it has nothing of any other party.
        at: Now, aware.
        since: Where the period of the charts and windows begins, aware. What is open, unanswered, in quarantine or not
            delivered is in the report however old it is.
        until: Where the period ends, aware.
        systems: The names of the systems of the directory.
        limits: How long an answer of a system may take.
        attention: Lists what needs a person, of a party or, for None, of everything.
        source: Where the ledger is configured.
        zone: The zone in which times are written; None for that of the machine.
        most: How many lines a list has at most.

    Returns:
        The report.

    Raises:
        InputError: *until* is not after *since*, or a moment is naive.
        LedgerError: The ledger could not be read.
    """
    period = _period(since, until, zone)
    gathering = _Gathering(
        ledger=ledger,
        at=at,
        period=period,
        systems=tuple(systems),
        availability=ledger.notices.availability(),
        held={held.system: held for held in ledger.windows.held(at=at)},
        limits=limits,
        attention=attention,
        whole=whole,
        most=most,
    )
    sections = tuple(gathering.section(str(party)) for party in parties)
    paused = ledger.servers.paused()
    return Report(
        made=at,
        since=since,
        until=until,
        zone=zone,
        source=source if whole else "",
        whole=gathering.section(None) if whole else None,
        parties=sections,
        windows=gathering.window_lines(),
        paused=paused if whole else tuple(pauses_for_parties(paused)),
    )


def traffic_charts(  # noqa: PLR0913 - what is drawn, and of when
    ledger: Ledger,
    *,
    parties: Iterable[PartyId | str] | None,
    since: datetime,
    until: datetime,
    systems: Iterable[str],
    zone: tzinfo | None = None,
) -> tuple[Chart, ...]:
    """
    Draw the exchanges of each system in a period.

    Args:
        ledger: An open ledger.
        parties: Only these parties; None for everything in the ledger.
        since: Where the period begins, aware.
        until: Where it ends, aware.
        systems: The names of the systems, in their order.
        zone: The zone of its days; None for that of the machine.

    Returns:
        A chart for each system that has exchanges or windows in the period.

    Raises:
        InputError: *until* is not after *since*, or a moment is naive.
        LedgerError: The ledger could not be read.
    """
    period = _period(since, until, zone)
    numbers: dict[str, Counter[tuple[int, str]]] = {}
    for party in (None,) if parties is None else [str(party) for party in parties]:
        _count(ledger, period, party, numbers)
    windows = _windows(ledger.notices.availability(), tuple(systems), period)
    return _charts(period, numbers, windows)


def _period(since: datetime, until: datetime, zone: tzinfo | None) -> Period:
    naive = [name for name, moment in (("since", since), ("until", until)) if moment.tzinfo is None]
    if naive:
        message = f"{' and '.join(naive)} without a time zone; give an aware datetime."
        raise InputError("", (Problem("input.date", message),))
    if until <= since:
        raise InputError("", (Problem("input.date", "until is not after since; give a later moment."),))
    return Period.of(since, until, zone)


def _count(ledger: Ledger, period: Period, party: str | None, into: dict[str, Counter[tuple[int, str]]]) -> None:
    """Add the exchanges of a period, by part and group, to the numbers of their systems."""
    for count in ledger.reports.traffic(since=period.since, until=period.until, party=party):
        part = period.part(max(count.start, period.since))
        into.setdefault(count.system, Counter())[part, _GROUP_OF[count.state]] += count.number


def _windows(availability: Availability, systems: Iterable[str], period: Period) -> dict[str, tuple[PlacedWindow, ...]]:
    return {system: availability.windows(system, start=period.since, stop=period.until) for system in systems}


def _charts(
    period: Period,
    numbers: Mapping[str, Mapping[tuple[int, str], int]],
    windows: Mapping[str, tuple[PlacedWindow, ...]],
    *,
    without_numbers: bool = True,
) -> tuple[Chart, ...]:
    """Draw each system that has exchanges, or windows alone where that is wanted."""
    with_windows = [system for system, those in windows.items() if those and without_numbers]
    return tuple(
        draw(
            f"Declarations to {system}",
            period,
            numbers.get(system, {}),
            _GROUPS,
            [
                (window.opens, window.closes, _kind(window), _shown(window, period))
                for window in windows.get(system, ())
            ],
        )
        for system in sorted({*numbers, *with_windows})
    )


def _kind(window: PlacedWindow) -> Group:
    label = ADVICE.get(window.advice, str(window.advice))
    if window.assumed:
        return Group(name=f"{window.advice} assumed", label=f"{label}, not sure")
    return Group(name=str(window.advice), label=label)


def _shown(window: PlacedWindow, period: Period) -> str:
    """Describe a window in a line."""
    opens, closes = (
        "a time that is not known" if moment is None else f"{moment.astimezone(period.zone):%Y-%m-%d %H:%M}"
        for moment in (window.opens, window.closes)
    )
    return f"{window.advice} from {opens} until {closes}, notice {window.notice}"


def pauses_for_parties(pauses: Iterable[PausedServer]) -> Iterator[PausedServer]:
    """
    List paused servers for a report on some parties, without what could be another party's.

    Args:
        pauses: The servers that are paused.

    Yields:
        Those that declarations are sent to, without user name and reason: a mailbox that is fetched from may be one
        party's own, and so may a user name, which the reply of a server may repeat.
    """
    for pause in pauses:
        if pause.name.startswith("SMTP "):
            yield attrs.evolve(pause, name=pause.name.partition(" as ")[0], why="")


@final
@attrs.frozen(kw_only=True)
class _Gathering:
    """What the sections of one report have in common."""

    ledger: Ledger
    at: datetime
    period: Period
    systems: tuple[str, ...]
    availability: Availability
    held: Mapping[str, HeldSystem]
    limits: Limits
    attention: Callable[[str | None], Iterable[Attention]]
    whole: bool
    most: int

    def section(self, party: str | None) -> Section:
        """Gather what there is of a party, or of everything."""
        numbers: dict[str, Counter[tuple[int, str]]] = {}
        _count(self.ledger, self.period, party, numbers)
        windows = _windows(self.availability, self.systems, self.period)
        unanswered, late = self._unanswered(party)
        status = self.ledger.status() if party is None else self.ledger.reports.status(party)
        quarantined = self.ledger.reports.quarantined(most=self.most, party=party)
        lines = tuple(self._quarantined(message, party) for message in quarantined.items)
        return Section(
            party=party,
            systems=self._counts(status),
            charts=_charts(self.period, numbers, windows, without_numbers=party is None),
            unanswered=unanswered,
            too_old=late,
            not_taken=self.ledger.reports.not_taken(most=self.most, party=party),
            failing=self.ledger.reports.failing_deliveries(most=self.most, party=party),
            quarantined=Excerpt(items=lines, total=quarantined.total),
            attention=tuple(self.attention(party)),
            alone=not self.whole,
        )

    def window_lines(self) -> Excerpt[WindowLine]:
        """List the windows of the period."""
        found = _windows(self.availability, self.systems, self.period)
        lines = [
            WindowLine(
                system=system,
                advice=ADVICE.get(window.advice, str(window.advice)),
                opens=window.opens,
                closes=window.closes,
                notice=window.notice,
                sure=not window.assumed,
            )
            for system, windows in found.items()
            for window in windows
        ]
        return Excerpt(items=tuple(lines[: self.most]), total=len(lines))

    def _counts(self, status: Status) -> tuple[SystemCounts, ...]:
        names = {*(system for system, _ in status.exchanges), *status.undelivered}
        return tuple(self._counts_of(system, status) for system in sorted(names))

    def _counts_of(self, system: str, status: Status) -> SystemCounts:
        states = {state: status.exchanges[system, state] for state in State if (system, state) in status.exchanges}
        # What is held may be another party's, so it shows only where something of this one is.
        held = self.held.get(system) if states.get(State.HELD) else None
        return SystemCounts(
            system=system,
            states=states,
            oldest_open=status.oldest.get(system),
            undelivered=status.undelivered.get(system, 0),
            held_until=None if held is None else held.until,
            held_why="" if held is None else held.why,
        )

    def _unanswered(self, party: str | None) -> tuple[Excerpt[UnansweredLine], int | None]:
        """List what has no reply; count what is too old, unless no system has a time."""
        lines: list[UnansweredLine] = []
        total, late, limited = 0, 0, any(self.limits(system) is not None for system in self.systems)
        for one in self.ledger.exchanges.unanswered(before=self.at, party=party):
            total += 1
            exchange, limit = one.exchange, self.limits(one.exchange.system)
            if limit is None and len(lines) == self.most:
                continue
            age = answer_age(self.availability, exchange.system, since=one.since, at=self.at)
            too_old = limit is not None and age >= limit and not one.reported
            late += too_old
            if len(lines) < self.most:
                line = UnansweredLine(
                    party=exchange.party,
                    system=exchange.system,
                    reference=exchange.reference,
                    business_reference=exchange.business_reference,
                    state=exchange.state,
                    sent=one.since,
                    attempts=exchange.attempts,
                    age_hours=round(age / _HOUR, 1),
                    too_old=too_old,
                )
                lines.append(line)
        return Excerpt(items=tuple(lines), total=total), late if limited else None

    def _quarantined(self, message: QuarantinedMessage, party: str | None) -> QuarantinedLine:
        if party is None:
            return QuarantinedLine(
                key=message.key,
                received=message.received,
                reason=message.reason,
                problems=message.problems,
                sender=message.mailbox or message.from_text,
                subject=message.subject or message.subject_text,
                copies=message.copies,
            )
        envelope = RoutingEnvelope.find(message.subject or "")
        reference = "" if envelope is None else envelope.reference
        own = self.ledger.exchanges.find(reference, party=party) is not None
        return QuarantinedLine(
            key=message.key,
            received=message.received,
            reason=message.reason,
            reference=reference if own else None,
            copies=message.copies,
        )
