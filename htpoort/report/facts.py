"""The facts of a report: values, from which a template makes the page."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, tzinfo
from typing import final

import attrs

from htpoort.core.exchange import State
from htpoort.ledger import Excerpt, Exchange, FailingDelivery, PausedServer
from htpoort.report.chart import Chart

__all__ = [
    "Attention",
    "Move",
    "QuarantinedLine",
    "Rehearsed",
    "RehearsedLine",
    "Report",
    "Section",
    "SystemCounts",
    "UnansweredLine",
    "WindowLine",
]


@final
@attrs.frozen(kw_only=True)
class Attention:
    """
    Something that needs a person, as `htpoort status` shows it.

    Args:
        level: ``critical`` or ``warning``.
        what: What it is.
        since: Since when; None if that is not known.
        why: Why; may be empty.
        next_step: What to do next.
    """

    level: str
    what: str
    since: datetime | None
    why: str
    next_step: str


@final
@attrs.frozen(kw_only=True)
class SystemCounts:
    """
    What there is of one system.

    Args:
        system: Its name.
        states: How many exchanges, by their state.
        oldest_open: When the oldest open one was queued; None if none is open.
        undelivered: How many of its replies wait for delivery.
        held_until: Until when it is held because of a notice; None if it is not held, or without a known end.
        held_why: Why it is held; empty if it is not.
    """

    system: str
    states: Mapping[State, int]
    oldest_open: datetime | None = None
    undelivered: int = 0
    held_until: datetime | None = None
    held_why: str = ""


@final
@attrs.frozen(kw_only=True)
class UnansweredLine:
    """
    A declaration that was sent, or may have been, and has no reply; as `htpoort unanswered` lists it.

    Args:
        party: V.
        system: The system.
        reference: K.
        business_reference: The declarant's own reference; None if none was given.
        state: Its state.
        sent: From when its age counts.
        attempts: How often it was claimed for sending.
        age_hours: How many hours an answer could have come, rounded to one decimal.
        too_old: Whether that is longer than an answer may take.
    """

    party: str
    system: str
    reference: str
    business_reference: str | None
    state: State
    sent: datetime
    attempts: int
    age_hours: float
    too_old: bool


@final
@attrs.frozen(kw_only=True)
class QuarantinedLine:
    """
    A message in quarantine.

    Args:
        key: Its number.
        received: When it first came.
        reason: The code of the reason.
        problems: Everything that is wrong, in sentences. In the section of one party it is empty, like the two fields
            below it: a stranger wrote what they repeat, and may have named another party.
        sender: Its From.
        subject: Its Subject.
        reference: Its K; in the section of one party only if that party has used it.
        copies: How often it came.
    """

    key: int
    received: datetime
    reason: str
    problems: tuple[str, ...] = ()
    sender: str = ""
    subject: str = ""
    reference: str | None = None
    copies: int = 1


@final
@attrs.frozen(kw_only=True)
class WindowLine:
    """
    A period of a notice.

    Args:
        system: The system of the directory.
        advice: What to do in it.
        opens: Its start; None if none is known.
        closes: Its end; None if none is known.
        notice: The notice.
        sure: Whether the notice states this firmly.
    """

    system: str
    advice: str
    opens: datetime | None
    closes: datetime | None
    notice: str
    sure: bool


@final
@attrs.frozen(kw_only=True)
class Section:
    """
    What a report shows of everything, or of one party.

    Args:
        party: The party; None for everything in the ledger.
        systems: The numbers of each system.
        charts: The exchanges of each system in the period.
        unanswered: What has no reply.
        too_old: How many of those are too old; None if no time is configured in which an answer must come.
        not_taken: What no mail server has taken.
        failing: The replies whose last delivery failed.
        quarantined: What is in quarantine.
        attention: What needs a person.
        alone: Whether the report is for some parties alone. Then the page leaves out the numbers of replies and of
            messages in quarantine, which count what came for all parties.
    """

    party: str | None = None
    systems: tuple[SystemCounts, ...] = ()
    charts: tuple[Chart, ...] = ()
    unanswered: Excerpt[UnansweredLine] = attrs.field(factory=Excerpt[UnansweredLine])
    too_old: int | None = None
    not_taken: Excerpt[Exchange] = attrs.field(factory=Excerpt[Exchange])
    failing: Excerpt[FailingDelivery] = attrs.field(factory=Excerpt[FailingDelivery])
    quarantined: Excerpt[QuarantinedLine] = attrs.field(factory=Excerpt[QuarantinedLine])
    attention: tuple[Attention, ...] = ()
    alone: bool = False

    @property
    def open(self) -> int:
        """How many exchanges are neither answered nor closed."""
        return sum(number for counts in self.systems for state, number in counts.states.items() if state.is_open)


@final
@attrs.frozen(kw_only=True)
class Report:
    """
    A report on a ledger.

    Args:
        made: When it was made.
        since: Where the period of the charts and windows begins.
        until: Where it ends.
        zone: The zone in which times are written; None for that of the machine.
        source: The name of the configuration; empty in a report for some parties.
        whole: Everything in the ledger; None in a report for some parties.
        parties: Each party.
        windows: The service windows of the period.
        paused: The mail servers that are paused; in a report for some parties as `pauses_for_parties` gives them.
    """

    made: datetime
    since: datetime
    until: datetime
    zone: tzinfo | None = None
    source: str = ""
    whole: Section | None = None
    parties: tuple[Section, ...] = ()
    windows: Excerpt[WindowLine] = attrs.field(factory=Excerpt[WindowLine])
    paused: tuple[PausedServer, ...] = ()


@final
@attrs.frozen(kw_only=True)
class Move:
    """
    How far a move has come, as `htpoort cutover status` shows it.

    Args:
        made: When the page was made.
        since: Where the period of the charts begins.
        until: Where it ends.
        zone: The zone in which times are written; None for that of the machine.
        leaving: The system that is left.
        verdict: Whether it may be switched off, and what it waits for; empty for some parties.
        columns: The names of the columns.
        lines: The cells of each party.
        charts: The exchanges of each system, of all these parties.
    """

    made: datetime
    since: datetime
    until: datetime
    zone: tzinfo | None = None
    leaving: str
    verdict: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    lines: tuple[tuple[object, ...], ...] = ()
    charts: tuple[Chart, ...] = ()


@final
@attrs.frozen(kw_only=True)
class RehearsedLine:
    """
    A message of a rehearsal that arrived somewhere.

    Args:
        at: When.
        system: The system that its declaration was planned for.
        place: ``process``, ``quarantine``, ``refused`` or ``nowhere``.
    """

    at: datetime
    system: str
    place: str


@final
@attrs.frozen(kw_only=True)
class Rehearsed:
    """
    The result of a rehearsal, as `htpoort cutover rehearse` shows it.

    Args:
        made: When the page was made.
        zone: The zone in which times are written; None for that of the machine.
        correct: Whether everything went where it belongs.
        verdict: The result in a sentence or two.
        summary: The totals, by their names.
        columns: The names of the columns of what went where.
        lines: Its cells.
        wrong_columns: The names of the columns of what went elsewhere.
        wrong: Its cells.
        arrivals: What arrived when, for the charts.
    """

    made: datetime
    zone: tzinfo | None = None
    correct: bool
    verdict: tuple[str, ...] = ()
    summary: Mapping[str, object] = attrs.field(factory=dict[str, object])
    columns: tuple[str, ...] = ()
    lines: tuple[tuple[object, ...], ...] = ()
    wrong_columns: tuple[str, ...] = ()
    wrong: tuple[tuple[object, ...], ...] = ()
    arrivals: tuple[RehearsedLine, ...] = ()
