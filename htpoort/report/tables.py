"""
Choose what a page shows of its facts: its tables, figures and notes, as plain values that a template writes.

Never does: write HTML.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final, TypeVar, final

import attrs

from htpoort.core.exchange import State
from htpoort.core.routing import Reason
from htpoort.ledger import Excerpt, PausedServer
from htpoort.report.chart import Chart, Group, Period, draw
from htpoort.report.facts import QuarantinedLine, Rehearsed, Report, Section, UnansweredLine, WindowLine

__all__ = ["Badge", "Figure", "Link", "Table"]

T = TypeVar("T")

_MEANING: Final = {
    Reason.TOO_LARGE: "It is larger than the limit.",
    Reason.BAD_HEADER: "Its header cannot be read for sure.",
    Reason.AMBIGUOUS_FROM: "Its sender is not one plain mailbox.",
    Reason.SENDER_DISAGREES: "The envelope and the message name different senders.",
    Reason.BAD_SUBJECT: "Its Subject is missing or repeated.",
    Reason.NO_ENVELOPE: "Its Subject has no routing envelope.",
    Reason.BAD_ENVELOPE: "Its routing envelope is not valid.",
    Reason.UNKNOWN_MAILBOX: "No system answers from its mailbox.",
    Reason.UNKNOWN_PROCESS: "No system answers with its process ID.",
    Reason.MAILBOX_PROCESS_DISAGREE: "Its mailbox and its process ID belong to different systems.",
    Reason.UNKNOWN_ADDRESSEE: "Its addressee is not one of the parties.",
    Reason.OTHER_SYSTEM: "Its K was sent to another system.",
    Reason.OTHER_PARTY: "Its K was not sent by its addressee.",
    Reason.FOREIGN_FILE: "It answers no uploaded file, or may answer several.",
}
"""What each reason means, without a word of the message itself."""
_BAD: Final = frozenset({State.UNKNOWN, State.REFUSED, State.FAILED})
_TO_SEND: Final = (State.QUEUED, State.DEFERRED, State.SENDING, State.HELD)


@final
@attrs.frozen
class Badge:
    """A short text with a tone: ``bad``, ``warn`` or ``good``."""

    text: str
    tone: str


@final
@attrs.frozen
class Link:
    """A text that leads to a place on the page."""

    text: str
    target: str


@final
@attrs.frozen
class Figure:
    """A number with its name; *tone* as of a badge, or empty."""

    name: str
    number: int
    target: str
    tone: str = ""
    note: str = ""


@final
@attrs.frozen(kw_only=True)
class Table:
    """
    A table.

    Args:
        caption: What is listed.
        columns: The names of the columns; the first one names the line.
        lines: Its cells: texts, numbers, moments, truth values, badges, links, or None.
        rest: How many lines are left out.
        more: How to get those.
        none: What is written in its place if it has no line.
    """

    caption: str
    columns: tuple[str, ...]
    lines: tuple[tuple[object, ...], ...]
    rest: int = 0
    more: str = ""
    none: str = ""

    @classmethod
    def of(  # noqa: PLR0913 - what a table has
        cls,
        caption: str,
        columns: Sequence[str],
        lines: Iterable[Sequence[object]],
        *,
        rest: int = 0,
        more: str = "",
        none: str = "",
    ) -> Table:
        """Make a table, and leave out the columns that are empty in each line."""
        cells = [tuple(line) for line in lines]
        kept = [n for n in range(len(columns)) if any(line[n] not in {None, ""} for line in cells)]
        return cls(
            caption=caption,
            columns=tuple(columns[n].replace("_", " ") for n in kept),
            lines=tuple(tuple(line[n] for n in kept) for line in cells),
            rest=rest,
            more=more,
            none=none,
        )


def state_of(state: State) -> object:
    """Write a state: as a badge if it needs a person."""
    return Badge(state.value, "bad") if state in _BAD else state.value


# ── a section ────────────────────────────────────────────────────────────────


def figures(section: Section, prefix: str) -> tuple[Figure, ...]:
    """Sum a section up in a few numbers."""
    decide = sum(number for counts in section.systems for state, number in counts.states.items() if state in _BAD)
    late = section.too_old or 0
    unanswered = section.unanswered.total
    return (
        Figure("open", section.open, f"{prefix}numbers"),
        Figure(
            "unanswered", unanswered, f"{prefix}unanswered", "bad" * bool(late), f"{late:,} too old" if late else ""
        ),
        Figure("need a decision", decide, f"{prefix}numbers", "bad" * bool(decide)),
        Figure("deliveries that fail", section.failing.total, f"{prefix}failing", "warn" * bool(section.failing.total)),
        Figure(
            "in quarantine", section.quarantined.total, f"{prefix}quarantine", "warn" * bool(section.quarantined.total)
        ),
    )


def numbers(section: Section) -> Table:
    """Count the exchanges by system and state."""
    states = [state for state in State if any(state in counts.states for counts in section.systems)]
    lines = [
        (
            counts.system,
            *(counts.states.get(state, 0) for state in states),
            counts.oldest_open,
            counts.undelivered,
        )
        for counts in section.systems
    ]
    columns = ("system", *(state.value for state in states), "oldest open", "undelivered replies")
    return Table.of(
        "Exchanges by system and state, of all time", columns, lines, none="No declaration has been queued."
    )


def outboxes(section: Section) -> Table:
    """Count what waits in the outbox of each system."""
    lines = [
        (
            counts.system,
            *(counts.states.get(state, 0) for state in _TO_SEND),
            (counts.held_until or Badge("not known", "warn")) if counts.held_why else None,
            counts.held_why,
        )
        for counts in section.systems
        if any(state in counts.states for state in _TO_SEND)
    ]
    columns = ("system", *(state.value for state in _TO_SEND), "held until", "why it is held")
    return Table.of("What waits to be sent", columns, lines, none="Nothing waits to be sent.")


def unanswered(section: Section) -> Table:
    """List what has no reply."""
    lines = [
        (
            line.reference,
            line.party if section.party is None else None,
            line.system,
            line.business_reference,
            state_of(line.state),
            line.sent,
            line.attempts,
            _age(line),
        )
        for line in section.unanswered.items
    ]
    nothing_sent = all(state in _TO_SEND for counts in section.systems for state in counts.states)
    return Table.of(
        "Declarations that were sent, or may have been, and have no reply, those first that were queued first",
        ("K", "party", "system", "own reference", "state", "sent", "attempts", "age"),
        lines,
        rest=section.unanswered.rest,
        more="htpoort unanswered lists them",
        none="No declaration has been sent yet." if nothing_sent else "No declaration that was sent waits for a reply.",
    )


def _age(line: UnansweredLine) -> object:
    text = f"{line.age_hours:,} h"
    return Badge(f"{text}, too old", "bad") if line.too_old else text


def not_taken(section: Section, made: datetime) -> Table:
    """List what no mail server has taken."""
    lines = [
        (
            exchange.reference,
            exchange.party if section.party is None else None,
            exchange.system,
            exchange.business_reference,
            state_of(exchange.state),
            exchange.created,
            exchange.attempts,
            f"{max(0.0, round((made - exchange.created).total_seconds() / 3600, 1)):,} h",
        )
        for exchange in section.not_taken.items
    ]
    return Table.of(
        "Open declarations that no mail server has taken, those first that were queued first",
        ("K", "party", "system", "own reference", "state", "queued", "attempts", "age"),
        lines,
        rest=section.not_taken.rest,
        more="htpoort list lists them",
        none="Every open declaration was sent, or may have been.",
    )


def failing(section: Section) -> Table:
    """List the deliveries that fail."""
    lines = [
        (
            None if section.alone else one.key,
            one.reference,
            one.party if section.party is None else None,
            one.system,
            one.received,
            one.attempts,
            one.due,
            one.trouble,
        )
        for one in section.failing.items
    ]
    return Table.of(
        "Replies whose last delivery failed",
        ("reply", "K", "party", "system", "received", "attempts", "next attempt", "why"),
        lines,
        rest=section.failing.rest,
        more="htpoort reply list lists all replies",
        none="No delivery fails.",
    )


def quarantined(section: Section) -> Table:
    """List the quarantine."""
    lines = [
        (
            None if section.alone else line.key,
            line.received,
            line.reason,
            _reasons(line),
            line.sender,
            line.subject,
            line.reference,
            line.copies,
        )
        for line in section.quarantined.items
    ]
    return Table.of(
        "Messages that wait for a decision",
        ("number", "received", "reason", "what is wrong", "from", "subject", "K", "copies"),
        lines,
        rest=section.quarantined.rest,
        more="htpoort quarantine list lists them",
        none="Nothing is in quarantine.",
    )


def _reasons(line: QuarantinedLine) -> str:
    return " ".join(line.problems) or _MEANING.get(Reason(line.reason), "")


# ── a report ─────────────────────────────────────────────────────────────────


def windows(lines: Excerpt[WindowLine]) -> Table:
    """List the service windows."""
    cells = [
        (
            line.system,
            line.advice,
            line.opens or "not known",
            line.closes or "not known",
            line.notice,
            line.sure,
        )
        for line in lines.items
    ]
    return Table.of(
        "Service windows in this period, as the notices in the ledger state them",
        ("system", "advice", "from", "until", "notice", "sure"),
        cells,
        rest=lines.rest,
        more="htpoort windows timeline draws all",
        none="No notice in the ledger is about this period.",
    )


def paused(pauses: Iterable[PausedServer]) -> Table:
    """List the servers that are paused."""
    lines = [(pause.name, pause.since, pause.next_try, pause.why) for pause in pauses]
    columns = ("server", "failing since", "next attempt", "why")
    return Table.of("Mail servers that are paused after trouble", columns, lines, none="No mail server is paused.")


def parties(report: Report) -> Table:
    """Give the parties with their numbers, each with a link to its section."""
    lines = [
        (
            Link(section.party or "", f"party-{number}"),
            section.open,
            section.unanswered.total,
            Badge(f"{section.too_old:,}", "bad") if section.too_old else section.too_old,
            section.failing.total,
            section.quarantined.total,
        )
        for number, section in enumerate(report.parties, start=1)
    ]
    columns = ("party", "open", "unanswered", "too old", "deliveries that fail", "in quarantine")
    return Table.of(
        "Each party, with a link to its part of this page", columns, lines, none="The configuration has no party."
    )


def figures_of_chart(chart: Chart) -> Table:
    """Give the figures of a chart."""
    columns = (chart.unit, *(group.label for group in chart.groups))
    lines = [(column.label, *column.numbers) for column in chart.columns]
    return Table.of(f"{chart.title}, by {chart.unit}", columns, lines)


# ── a rehearsal ──────────────────────────────────────────────────────────────

_PLACES: Final = (
    Group(name="answered", label="to the process"),
    Group(name="waiting", label="in quarantine"),
    Group(name="closed", label="refused"),
    Group(name="decision", label="lost"),
)
_PLACE_OF: Final = {"process": "answered", "quarantine": "waiting", "refused": "closed", "nowhere": "decision"}


def rehearsal_charts(result: Rehearsed) -> tuple[Chart, ...]:
    """Draw when the replies to the declarations of each system arrived, and where."""
    if not result.arrivals:
        return ()
    moments = [line.at for line in result.arrivals]
    first, last = min(moments), max(moments)
    zone = first.tzinfo
    period = Period.of(
        first.replace(hour=0, minute=0, second=0, microsecond=0), last.replace(microsecond=999_999), zone
    )
    counted: dict[str, dict[tuple[int, str], int]] = {}
    for line in result.arrivals:
        of_system = counted.setdefault(line.system, {})
        place = period.part(line.at), _PLACE_OF[line.place]
        of_system[place] = of_system.get(place, 0) + 1
    return tuple(
        draw(f"Replies to declarations for {system}", period, of_system, _PLACES)
        for system, of_system in sorted(counted.items())
    )
