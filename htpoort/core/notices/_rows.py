"""
Make rows of what the sentences of one text state: one for each system, access and period.

Nothing is guessed here: what cannot be placed stays open and becomes a problem.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import attrs

from htpoort.core.errors import Problem
from htpoort.core.notices._authorities import Authority
from htpoort.core.notices._collect import Collected, Placed
from htpoort.core.notices._facts import Asks, Permits, Statement, TimeRole
from htpoort.core.notices._spans import Span, spans_of
from htpoort.core.notices._systems import same_system, short_form
from htpoort.core.notices.notice import Access, Behaviour, EndKind, Fallback, Recovery, ServiceWindow

__all__ = ["Rows", "make_rows"]

_ONE_SECTION: Final = 2  # and the part before its heading
_ALLOWED_BESIDE: Final = frozenset({(Fallback.ALLOWED, Fallback.AS_NEEDED), (Fallback.AS_NEEDED, Fallback.ALLOWED)})


@attrs.define
class Rows:
    """The rows of a text, and what must be reported of them."""

    windows: tuple[ServiceWindow, ...] = ()
    problems: list[Problem] = attrs.field(factory=list)


@attrs.define
class _Row:
    system: str | None
    access: Access
    messages: tuple[str, ...]
    section: int
    behaviour: Behaviour | None = None
    place: tuple[int, int] = (0, 0)


class _Maker:
    def __init__(self, collected: Collected, header: tuple[str, ...], access: Access) -> None:
        self._collected = collected
        self._access = access
        self._header = header
        self._rows: dict[tuple[str | None, Access, tuple[str, ...], int], _Row] = {}
        # A list of past periods: a system has a row in each of these sections.
        self._timed = {each.section for each in collected.periods if each.role is TimeRole.WINDOW}
        self.problems: list[Problem] = []

    def make(self) -> list[_Row]:
        """Make a row for each statement about each of its systems."""
        for placed in sorted(self._collected.statements, key=lambda each: (each.fact.general, each.fact.aside)):
            for system in self._systems_of(placed):
                if not placed.fact.general or not self._has(system):
                    self._put(system, placed)
        filled = {row.section for row in self._rows.values()}
        stated = {row.system for row in self._rows.values()}
        for number, systems in enumerate(self._collected.sections):
            for system in systems if number not in filled else ():
                if system not in stated:
                    self._open(_Row(system, Access.ANY, (), number))
        if not self._rows:
            for system in self._subjects() or self._header or (None,) * bool(self._collected.asks):
                self._open(_Row(system, self._access, self._collected.limited_to, 0))
        rows = list(self._rows.values())
        detailed = {row.system for row in rows if row.access is Access.FILE}
        kept = [row for row in rows if row.access is not Access.ANY or row.messages or row.system not in detailed]
        short = _short_forms([row.system for row in kept if row.system])
        for row in kept:
            row.system = short.get(row.system, row.system)
        return kept

    def _has(self, system: str | None) -> bool:
        """Return whether a statement about this system alone made a row for files, or for any access."""
        for row in self._rows.values():
            if row.access is Access.ONLINE or (row.messages and row.behaviour is Behaviour.NORMAL):
                continue
            # In a list of what the text is about, each name is a system: `Import (DMS)`, `Export (DMS)`.
            listed = system in self._collected.subjects and row.system in self._collected.subjects
            if row.system == system or (not listed and same_system(system or "", row.system or "")):
                return True
        return False

    def _systems_of(self, placed: Placed[Statement]) -> tuple[str | None, ...]:
        named = placed.fact.systems
        if len(named) == 1 and not any(same_system(named[0], name) for name in self._header):
            # A name of a family, such as DMS: the members that the header lists.
            family = tuple(name for name in self._header if name.casefold().startswith(f"{named[0].casefold()} "))
            named = family or named
        section = self._collected.sections[placed.section]
        return named or section or self._header or self._subjects() or (None,)

    def _subjects(self) -> tuple[str, ...]:
        """List what the text is about, in the form of its title where the title names it."""
        named = self._collected.named
        subjects = tuple(self._collected.subjects) or named
        if len(subjects) == 1 and len(named) == 1 and same_system(subjects[0], named[0]):
            return named
        return subjects

    def _put(self, system: str | None, placed: Placed[Statement]) -> None:
        fact, passage = placed.fact, placed.passage
        access = fact.access or placed.access or self._access
        place = passage.start, passage.stop
        messages = fact.messages or self._collected.limited_to
        self._open(_Row(system, access, messages, placed.section, fact.behaviour, place))

    def _open(self, new: _Row) -> None:
        row = self._rows.setdefault(
            (new.system, new.access, new.messages, new.section if new.section in self._timed else 0), new
        )
        if row.behaviour is None:
            row.behaviour = new.behaviour
        elif new.behaviour is not None and new.behaviour is not row.behaviour:
            system = new.system or "The system"
            message = f"{system} is {row.behaviour} by one sentence and {new.behaviour} by another."
            self.problems.append(Problem("contradiction", message, *new.place))
            row.behaviour = Behaviour.UNSTATED


def _short_forms(printed: Sequence[str]) -> dict[str | None, str]:
    """Find the names of which another row prints the short form: ``ICS`` for ``Import Control System (ICS)``."""
    first: dict[str, str] = {}
    for name in printed:
        first.setdefault(name.casefold(), name)
    forms = {name: first.get(short_form(name)) for name in printed}
    return {name: short for name, short in forms.items() if short is not None}


def _counts_for(placed: Placed[Asks] | Placed[Permits], row: _Row, *, last: bool) -> bool:
    return placed.section in {0, row.section} or last


_ABSORBS: Final = {
    Recovery.INVALIDATE_AND_NEW: {Recovery.NEW_REFERENCE, Recovery.REPORT_LIST, Recovery.RESUBMIT},
    Recovery.REPORT_LIST: {Recovery.WAIT},
    Recovery.NEW_REFERENCE: {Recovery.RESUBMIT},
    Recovery.SAME_REFERENCE: {Recovery.RESUBMIT, Recovery.RESEND_SAME_REFERENCE_OPTIONAL},
    Recovery.RESEND_SAME_REFERENCE_OPTIONAL: {Recovery.RESUBMIT, Recovery.WAIT},
}
"""What a sentence may ask for beside another that says more."""


def _asked(those: list[Placed[Asks]], problems: list[Problem]) -> Recovery:
    """Find the one thing that sentences ask for; what contradicts is reported, and nothing is chosen."""
    recoveries = dict.fromkeys(each.fact.recovery for each in those)
    for recovery in recoveries:
        if all(other is recovery or other in _ABSORBS.get(recovery, ()) for other in recoveries):
            return recovery
    passage = those[-1].passage
    message = f"One sentence asks for {', another for '.join(recoveries)}; ask the authority."
    problem = Problem("contradiction", message, passage.start, passage.stop)
    if problem not in problems:
        problems.append(problem)
    return Recovery.UNSTATED


def _recovery(row: _Row, collected: Collected, problems: list[Problem]) -> Recovery:
    """Find what is asked for: of the named systems, of the section, of the whole text; a queue alone asks to wait."""
    for placed in collected.asks:
        if placed.fact.systems and any(same_system(name, row.system or "") for name in placed.fact.systems):
            return placed.fact.recovery
    queued = row.behaviour is Behaviour.QUEUED and row.access is not Access.ONLINE
    if queued:
        return Recovery.WAIT
    if row.behaviour in {Behaviour.DELAYED, Behaviour.NORMAL}:
        return Recovery.UNSTATED
    those = [each for each in collected.asks if not each.fact.systems and _counts_for(each, row, last=False)]
    return _asked(those, problems) if those else Recovery.UNSTATED


def _permits(row: _Row, collected: Collected, problems: list[Problem]) -> Fallback:
    """Find what is said of the emergency procedure; the one sentence at the very end counts for all sections."""
    permits = collected.permits
    sections = {each.section for each in permits}
    at_end = len(sections) == 1 and sections == {len(collected.sections) - 1} and len(collected.sections) > _ONE_SECTION
    mine = [each for each in permits if _counts_for(each, row, last=at_end)]
    if not mine:
        return Fallback.UNSTATED
    strongest = max(mine, key=lambda each: each.fact.weight)
    for other in mine:
        pair = (strongest.fact.fallback, other.fact.fallback)
        if pair[0] is pair[1] or pair in _ALLOWED_BESIDE or pair[0] is Fallback.NO_LONGER:
            continue
        message = f"One sentence says that the emergency procedure is {pair[0]}, another that it is {pair[1]}."
        problem = Problem("contradiction", message, other.passage.start, other.passage.stop)
        if problem not in problems:
            problems.append(problem)
    return strongest.fact.fallback


def _window(row: _Row, span: Span, recovery: Recovery, fallback: Fallback) -> ServiceWindow:
    return ServiceWindow(
        system=row.system,
        access=row.access,
        messages=row.messages,
        start=span.start,
        end=span.end,
        end_kind=EndKind.UNKNOWN if span.end is None else EndKind.EXPECTED if span.expected else EndKind.FINAL,
        behaviour=row.behaviour or Behaviour.UNSTATED,
        recovery=recovery,
        fallback=fallback,
    )


def _slips(rows: Iterable[_Row], authority: Authority) -> list[Problem]:
    """Report names that are probably slips; they stay as printed."""
    printed = [row.system for row in rows if row.system is not None]
    problems: list[Problem] = []
    for row in rows:
        suggestion = authority.names.suggestion(row.system, printed) if row.system is not None else None
        if suggestion is not None:
            message = f"{row.system!r} is probably a slip of {suggestion!r}; it is kept as printed."
            problems.append(Problem("name-mistyped", message, *row.place))
    return problems


def make_rows(collected: Collected, header: tuple[str, ...], authority: Authority) -> Rows:
    """
    Make the rows of one text.

    Args:
        collected: What its sentences state.
        header: The systems that its header lists.
        authority: Whose names and forms these are.

    Returns:
        The rows, and what must be reported of them.
    """
    silent = not any(each.fact.behaviour for each in collected.statements)
    # Where nothing is said of messages, a system that is down is down for every access.
    usual = authority.access if collected.of_messages or silent else Access.ANY
    maker = _Maker(collected, header, usual)
    rows = maker.make()
    spans, problems = spans_of(collected)
    problems = [*maker.problems, *problems, *_slips(rows, authority)]
    windows: list[ServiceWindow] = []
    for row in rows:
        normal = row.behaviour is Behaviour.NORMAL
        recovery = Recovery.UNSTATED if normal else _recovery(row, collected, problems)
        fallback = Fallback.UNSTATED if normal else _permits(row, collected, problems)
        windows += [_window(row, span, recovery, fallback) for span in spans(row.section)]
    return Rows(tuple(windows), problems)
