"""
Hold the exchanges of systems that a notice says to hold, let them go afterwards, and find what was sent too early.

What may be sent is decided when it is claimed (`htpoort.ledger.outbox`), whether its exchange is marked as held or not.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, final

import attrs
import sqlalchemy as sa

from htpoort.core.errors import InputError, Problem
from htpoort.core.exchange import Event, State
from htpoort.core.notices import Advice
from htpoort.core.notices.consequences import HOLD_LEAD, hold_advice
from htpoort.ledger import _attempts, _schema
from htpoort.ledger._connection import Connections, LedgerPart, reads, soon, writes
from htpoort.ledger._holding import NOT_SENT_YET, Holding, find_holding
from htpoort.ledger._knowledge import Knowledge, NoticeReader
from htpoort.ledger._orders import find_for_order
from htpoort.ledger._queueing import exchange_of
from htpoort.ledger._statement import log, storable
from htpoort.ledger.notices import check_reason, insert_order
from htpoort.ledger.records import Exchange, HeldSystem, LedgerEvent

__all__ = ["Exemption", "Release", "WindowReview", "Windows"]

_exchanges: Final = _schema.exchanges
_held: Final = _schema.held_systems
_Row = tuple[int, State]
"""The number of an exchange, and its state."""


@final
@attrs.frozen(kw_only=True)
class Release:
    """
    What was held and no longer has to be.

    Args:
        waiting: How many exchanges are still held.
        by: When the last of them is to be let go; None if that was not decided yet.
        order: The order because of which it is let go, with its reason; empty if the window is over.
    """

    waiting: int
    by: datetime | None
    order: str = ""


@final
@attrs.frozen(kw_only=True)
class WindowReview:
    """
    What an agent has to do because of notices.

    Args:
        to_hold: The systems that have exchanges to hold, or whose reason has changed.
        to_release: What was held and no longer has to be, by system.
    """

    to_hold: tuple[str, ...]
    to_release: Mapping[str, Release]


@final
@attrs.frozen(kw_only=True)
class Exemption:
    """
    An order to send one exchange although a notice says to hold it.

    Args:
        exchange: The exchange.
        notice: The number of the notice.
        refused: Why it cannot be ordered, in one sentence; empty if it can. Such an order is never carried out.
        also: Another notice that holds it as well, so that it waits for the end of that one; empty if none does.
        reason: Why it was ordered; empty if it was not yet.
        repeated: Whether it was ordered before.
    """

    exchange: Exchange
    notice: int
    refused: str = ""
    also: str = ""
    reason: str = ""
    repeated: bool = False


@final
class Windows(LedgerPart):
    """
    The exchanges that wait for the end of a service window; available as ``ledger.windows``.

    Args:
        connections: The ledger's.
        reader: What was published about the systems.
    """

    def __init__(self, connections: Connections, reader: NoticeReader) -> None:
        super().__init__(connections)
        self._reader = reader

    @reads
    def held(self, connection: sa.Connection, *, at: datetime | None = None) -> tuple[HeldSystem, ...]:
        """
        List the systems that are held because of a notice.

        Args:
            at: Now. Without it, the list says why each was held, and not whether that is over.

        Returns:
            The systems, those that are held longest first. One whose window is over stays until the last of its
            exchanges was let go.

        Raises:
            LedgerError: The ledger could not be read.
        """
        rows = connection.execute(sa.select(_held).order_by(_held.c.since, _held.c.system)).all()
        systems = [row.system for row in rows]
        holding = None
        if rows and at is not None:
            holding = find_holding(connection, self._reader.knowledge(connection), systems, at=at).advice
        return tuple(_held_system(row, is_over=holding is not None and row.system not in holding) for row in rows)

    @reads
    def review(self, connection: sa.Connection, systems: Sequence[str], *, at: datetime) -> WindowReview:
        """
        Find out what is to be held or let go now; nothing is written.

        Args:
            systems: Names of systems.
            at: Now.

        Returns:
            What `hold` and `let_go` are needed for.

        Raises:
            LedgerError: The ledger could not be read.
        """
        held = {row.system: row for row in connection.execute(sa.select(_held))}
        knowledge = self._reader.knowledge(connection)
        holding = find_holding(connection, knowledge, systems, at=at)
        advice = holding.advice
        changed = [system for system, why in advice.items() if system not in held or not _is_same(held[system], why)]
        waiting = Counter(_with_exchanges(connection, advice, _attempts.WAITING) if advice else {})
        waiting.subtract(each.system for each in holding.exempt if each.state is not State.HELD)
        over = [system for system in systems if system in held and system not in advice]
        left = _with_exchanges(connection, over, (State.HELD,)) if over else {}
        return WindowReview(
            to_hold=tuple(system for system in systems if system in changed or waiting[system] > 0),
            to_release=_ordered(knowledge, holding, at)
            | {
                system: Release(
                    waiting=left.get(system, 0), by=held[system].let_go_by, order=knowledge.order_behind(system, at=at)
                )
                for system in over
            },
        )

    @reads
    def freed_by_order(self, connection: sa.Connection, notice: int, *, at: datetime) -> tuple[Exchange, ...]:
        """
        List what would be let go if a person ordered to send although a notice says to hold; nothing is written.

        Args:
            notice: The number of the notice.
            at: Now.

        Returns:
            The exchanges that wait or are held, those first that were queued first. What another notice holds as well
            is not among them.

        Raises:
            LedgerError: The ledger could not be read.
        """
        states = [state.value for state in NOT_SENT_YET]
        waiting = _exchanges.c.state.in_(states)
        systems = connection.execute(sa.select(_exchanges.c.system).where(waiting).distinct()).scalars().all()
        knowledge = self._reader.knowledge(connection)
        after, held = knowledge.without([notice]), find_holding(connection, knowledge, systems, at=at).advice
        freed = [system for system in held if hold_advice(after, system, at=at) is None]
        query = sa.select(_exchanges).where(waiting, _exchanges.c.system.in_(freed)).order_by(_exchanges.c.id)
        return tuple(map(exchange_of, connection.execute(query)))

    # ── a single exchange ────────────────────────────────────────────────────

    @reads
    def exemption(
        self, connection: sa.Connection, notice: str, reference: str, *, at: datetime, party: str | None = None
    ) -> Exemption:
        """
        Find out what `exempt` would do; nothing is written.

        Args:
            notice: The number of the notice, or one of its references.
            reference: K of the exchange.
            at: Now.
            party: V, needed if two parties used this K.

        Returns:
            The exchange as it is now, whether another notice holds it as well, and why the order would be refused.

        Raises:
            UnknownError: No notice has this number or reference, or no exchange this K.
            InputError: Two parties used this K.
            LedgerError: The ledger could not be read.
        """
        row = find_for_order(connection, reference, party, lock=False)
        return _exemption(self._reader.knowledge(connection), row, notice, at=at)

    @writes
    def exempt(  # noqa: PLR0913 - one argument for each part of the order
        self,
        connection: sa.Connection,
        notice: str,
        reference: str,
        *,
        reason: str,
        at: datetime,
        party: str | None = None,
    ) -> Exemption:
        """
        Send one exchange although a notice says to hold it, until a later text of its event comes.

        It is queued in the same transaction, unless another notice holds it as well; then it is when that one ends.

        Args:
            notice: The number of the notice, or one of its references; earlier texts of its event do not hold either.
            reference: K of the exchange.
            reason: Why, for the log.
            at: Now.
            party: V, needed if two parties used this K.

        Returns:
            What was ordered. An order that was given before is returned with *repeated* set, and nothing happens.

        Raises:
            UnknownError: No notice has this number or reference, or no exchange this K.
            InputError: The notice does not hold it now, or *reason* is empty or not printable.
            LedgerError: The ledger could not be written.
        """
        check_reason(reason)
        row = find_for_order(connection, reference, party)
        knowledge = self._reader.knowledge(connection)
        order = _exemption(knowledge, row, notice, at=at)
        if order.repeated:
            return order
        if order.refused:
            raise InputError("", (Problem("ledger.nothing-to-let-go", order.refused),))
        insert_order(connection, order.notice, reason=reason, at=at, exchange=row.id)
        overruled, why = LedgerEvent.NOTICE_OVERRULED.value, f"notice {order.notice}: {reason}"
        log(connection, at, overruled, exchange=row.id, state=row.state, detail=why)
        state = State(row.state)
        if state is State.HELD and not order.also:
            detail = storable(f"by order: {why}")
            state = _attempts.apply_event(connection, row.id, state, Event.WINDOW_CLOSED, at=at, detail=detail).state
        return attrs.evolve(order, reason=reason, exchange=attrs.evolve(order.exchange, state=state))

    exempt_soon = soon(exempt)

    # ── what an agent does ───────────────────────────────────────────────────

    @writes
    def hold(self, connection: sa.Connection, systems: Sequence[str], *, at: datetime) -> dict[str, Advice]:
        """
        Hold what waits for systems that a notice says to hold.

        Args:
            systems: Names of systems; those that no notice holds are left alone.
            at: Now.

        Returns:
            The systems that are held from now on and were not before, with the advice that says so.

        Raises:
            LedgerError: The ledger could not be written.
        """
        new: dict[str, Advice] = {}
        holding = find_holding(connection, self._reader.knowledge(connection), systems, at=at)
        exempt = frozenset(holding.waiting())
        for system, advice in holding.advice.items():
            values: dict[str, object] = {"until": advice.until, "let_go_by": None}
            values |= {"notice": storable(advice.notice), "why": storable(advice.reason)}
            if connection.execute(sa.update(_held).where(_held.c.system == system).values(values)).rowcount == 0:
                connection.execute(sa.insert(_held), {"system": system, "since": at, **values})
                new[system] = advice
            states, detail = _attempts.WAITING, f"notice {advice.notice}" if advice.notice else ""
            rows = [row for row in _lock(connection, system, states, most=None) if row[0] not in exempt]
            _apply(connection, rows, Event.WINDOW_OPENED, at=at, detail=detail)
        return new

    hold_soon = soon(hold)

    @writes
    def let_go(
        self,
        connection: sa.Connection,
        system: str,
        *,
        at: datetime,
        most: int | None = None,
        by: datetime | None = None,
    ) -> int:
        """
        Queue exchanges of a system that were held, those first that were queued first.

        Args:
            system: The system. If a notice says to hold it, only what a person ordered to send is let go.
            at: Now.
            most: The largest number to let go; None for all.
            by: When the last one is to be let go; remembered, so that an agent that starts anew keeps to it.

        Returns:
            How many exchanges are queued because of this.

        Raises:
            LedgerError: The ledger could not be written.
        """
        knowledge = self._reader.knowledge(connection)
        holding = find_holding(connection, knowledge, [system], at=at)
        if holding.advice:
            return _let_go_ordered(connection, knowledge, holding, most=most, at=at)
        detail = storable(knowledge.order_behind(system, at=at))
        rows = _lock(connection, system, (State.HELD,), most=most)
        number = _apply(connection, rows, Event.WINDOW_CLOSED, at=at, detail=detail)
        row = _held.c.system == system
        if not _with_exchanges(connection, [system], (State.HELD,)):
            connection.execute(sa.delete(_held).where(row))
        elif by is not None:
            connection.execute(sa.update(_held).where(row).values(let_go_by=by))
        return number

    let_go_soon = soon(let_go)


# ── a single exchange ────────────────────────────────────────────────────────


def _exemption(knowledge: Knowledge, row: sa.Row[Any], notice: str, *, at: datetime) -> Exemption:
    """
    Find out what an order to send one exchange would do.

    Raises:
        UnknownError: There is no such notice.
    """
    text = knowledge.find(notice)[-1]
    event, exchange = knowledge.events[text.key], exchange_of(row)
    before = [order for order in knowledge.exemptions.get(row.id, ()) if knowledge.events[order.notice] == event]
    if before and before[-1].notice >= text.key:
        order = before[-1]
        return Exemption(exchange=exchange, notice=order.notice, reason=order.reason, repeated=True)
    if exchange.state not in NOT_SENT_YET:
        refused = f"The exchange is {exchange.state.value}; only what waits to be sent can be let go."
        return Exemption(exchange=exchange, notice=text.key, refused=refused)
    obeyed = knowledge.obeyed_for(row.id)
    advice = hold_advice(obeyed, row.system, at=at)
    if advice is None:
        refused = f"No notice holds {row.system} now; a running agent sends it."
        return Exemption(exchange=exchange, notice=text.key, refused=refused)
    windows = obeyed.windows(row.system, start=at, stop=at + HOLD_LEAD)
    if all(window.notice != event for window in windows):
        refused = f"Notice {event} does not hold it; notice {advice.notice} does."
        return Exemption(exchange=exchange, notice=text.key, refused=refused)
    numbers = [text.key, *(order.notice for order in knowledge.exemptions.get(row.id, ()))]
    left = hold_advice(knowledge.without(numbers), row.system, at=at)
    return Exemption(exchange=exchange, notice=text.key, also="" if left is None else left.notice)


def _held_system(row: sa.Row[Any], *, is_over: bool) -> HeldSystem:
    """Describe a system that is held, or that was and whose exchanges are being let go."""
    until, why = row.until, row.why
    if is_over:
        until = row.let_go_by
        why = "Nothing holds it any more; an agent lets go of what was held."
    return HeldSystem(system=row.system, since=row.since, until=until, notice=row.notice, why=why, is_over=is_over)


def _ordered(knowledge: Knowledge, holding: Holding, at: datetime) -> dict[str, Release]:
    """Describe what is still held although a person ordered to send it: another notice held it as well until now."""
    ordered: dict[str, Release] = {}
    for each in holding.exempt:
        if each.state is State.HELD:
            waiting = ordered[each.system].waiting if each.system in ordered else 0
            order = str(knowledge.exemptions[each.key][-1])
            ordered[each.system] = Release(waiting=waiting + 1, by=at, order=order)
    return ordered


def _let_go_ordered(
    connection: sa.Connection, knowledge: Knowledge, holding: Holding, *, most: int | None, at: datetime
) -> int:
    """Queue what a person ordered to send, of a system that is held."""
    held = [each.key for each in holding.exempt if each.state is State.HELD]
    for key in held[:most]:
        query = sa.select(_exchanges.c.id, _exchanges.c.state).where(
            _exchanges.c.id == key, _exchanges.c.state == State.HELD.value
        )
        rows = _rows(connection, query.with_for_update(skip_locked=True))
        detail = storable(str(knowledge.exemptions[key][-1]))
        _apply(connection, rows, Event.WINDOW_CLOSED, at=at, detail=detail)
    return len(held[:most])


# ── exchanges of a system ────────────────────────────────────────────────────


def _is_same(row: sa.Row[Any], advice: Advice) -> bool:
    same = (row.until, row.notice, row.why) == (advice.until, storable(advice.notice), storable(advice.reason))
    return same and row.let_go_by is None


def _with_exchanges(connection: sa.Connection, systems: Iterable[str], states: Iterable[State]) -> dict[str, int]:
    """Count the exchanges of systems in some states, by an index alone; systems without any are left out."""
    query = (
        sa
        .select(_exchanges.c.system, sa.func.count().label("number"))
        .where(_exchanges.c.system.in_(tuple(systems)), _exchanges.c.state.in_([state.value for state in states]))
        .group_by(_exchanges.c.system)
    )
    return {row.system: row.number for row in connection.execute(query)}


def _lock(connection: sa.Connection, system: str, states: Iterable[State], *, most: int | None) -> list[_Row]:
    """Lock the exchanges of a system in some states, oldest first."""
    query = (
        sa
        .select(_exchanges.c.id, _exchanges.c.state)
        .where(_exchanges.c.system == system, _exchanges.c.state.in_([state.value for state in states]))
        .order_by(_exchanges.c.created, _exchanges.c.id)
        .limit(most)
        # What another machine is about to claim or to let go is left to it.
        .with_for_update(skip_locked=True)
    )
    return _rows(connection, query)


def _rows(connection: sa.Connection, query: sa.Executable) -> list[_Row]:
    return [(key, State(state)) for key, state in connection.execute(query).all()]


def _apply(connection: sa.Connection, rows: Iterable[_Row], event: Event, *, at: datetime, detail: str) -> int:
    """Apply an event to exchanges that are locked; return how many."""
    number = 0
    for key, state in rows:
        _attempts.apply_event(connection, key, state, event, at=at, detail=detail)
        number += 1
    return number
