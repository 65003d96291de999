"""
Hold the exchanges of systems that a notice says to hold, let them go afterwards, and find what was sent too early.

What may be sent is decided when it is claimed (`htpoort.ledger.outbox`), whether its exchange is marked as held or not.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, final

import attrs
import sqlalchemy as sa

from htpoort.core.exchange import Event, State
from htpoort.core.notices import Advice
from htpoort.core.notices.consequences import hold_advice
from htpoort.ledger import _attempts, _schema
from htpoort.ledger._connection import Connections, LedgerPart, reads, soon, writes
from htpoort.ledger._knowledge import NoticeReader
from htpoort.ledger._queueing import exchange_of
from htpoort.ledger._statement import storable
from htpoort.ledger.records import Exchange, HeldSystem

__all__ = ["Release", "WindowReview", "Windows"]

_exchanges: Final = _schema.exchanges
_held: Final = _schema.held_systems


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
    def held(self, connection: sa.Connection) -> tuple[HeldSystem, ...]:
        """
        List the systems that are held because of a notice.

        Returns:
            The systems, those that are held longest first. One whose window is over stays until the last of its
            exchanges was let go.

        Raises:
            LedgerError: The ledger could not be read.
        """
        rows = connection.execute(sa.select(_held).order_by(_held.c.since, _held.c.system))
        return tuple(
            HeldSystem(system=row.system, since=row.since, until=row.until, notice=row.notice, why=row.why)
            for row in rows
        )

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
        knowledge, advice = self._reader.knowledge(connection), self._advice(connection, systems, at)
        changed = [system for system, why in advice.items() if system not in held or not _is_same(held[system], why)]
        waiting = _with_exchanges(connection, advice, _attempts.WAITING) if advice else {}
        over = [system for system in systems if system in held and system not in advice]
        left = _with_exchanges(connection, over, (State.HELD,)) if over else {}
        return WindowReview(
            to_hold=tuple(system for system in systems if system in changed or system in waiting),
            to_release={
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
        states = [state.value for state in (*_attempts.WAITING, State.HELD)]
        waiting = _exchanges.c.state.in_(states)
        systems = connection.execute(sa.select(_exchanges.c.system).where(waiting).distinct()).scalars().all()
        after = self._reader.without(connection, notice)
        held = self._advice(connection, systems, at)
        freed = [system for system in held if hold_advice(after, system, at=at) is None]
        query = sa.select(_exchanges).where(waiting, _exchanges.c.system.in_(freed)).order_by(_exchanges.c.id)
        return tuple(map(exchange_of, connection.execute(query)))

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
        for system, advice in self._advice(connection, systems, at).items():
            values: dict[str, object] = {"until": advice.until, "let_go_by": None}
            values |= {"notice": storable(advice.notice), "why": storable(advice.reason)}
            if connection.execute(sa.update(_held).where(_held.c.system == system).values(values)).rowcount == 0:
                connection.execute(sa.insert(_held), {"system": system, "since": at, **values})
                new[system] = advice
            states, detail = _attempts.WAITING, f"notice {advice.notice}" if advice.notice else ""
            _apply(connection, system, Event.WINDOW_OPENED, states, most=None, at=at, detail=detail)
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
            system: The system. If a notice says to hold it, nothing happens.
            at: Now.
            most: The largest number to let go; None for all.
            by: When the last one is to be let go; remembered, so that an agent that starts anew keeps to it.

        Returns:
            How many exchanges are queued because of this.

        Raises:
            LedgerError: The ledger could not be written.
        """
        if self._advice(connection, [system], at):
            return 0
        detail = storable(self._reader.knowledge(connection).order_behind(system, at=at))
        number = _apply(connection, system, Event.WINDOW_CLOSED, (State.HELD,), most=most, at=at, detail=detail)
        row = _held.c.system == system
        if not _with_exchanges(connection, [system], (State.HELD,)):
            connection.execute(sa.delete(_held).where(row))
        elif by is not None:
            connection.execute(sa.update(_held).where(row).values(let_go_by=by))
        return number

    let_go_soon = soon(let_go)

    def _advice(self, connection: sa.Connection, systems: Iterable[str], at: datetime) -> dict[str, Advice]:
        """Find the systems that a notice says to hold."""
        obeyed = self._reader.knowledge(connection).obeyed
        advice = ((system, hold_advice(obeyed, system, at=at)) for system in systems)
        return {system: each for system, each in advice if each is not None}


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


def _apply(  # noqa: PLR0913 - one argument for each thing that is written
    connection: sa.Connection,
    system: str,
    event: Event,
    states: Iterable[State],
    *,
    most: int | None,
    at: datetime,
    detail: str,
) -> int:
    """Apply an event to exchanges of a system in some states, oldest first; return how many."""
    query = (
        sa
        .select(_exchanges.c.id, _exchanges.c.state)
        .where(_exchanges.c.system == system, _exchanges.c.state.in_([state.value for state in states]))
        .order_by(_exchanges.c.created, _exchanges.c.id)
        .limit(most)
        # What another machine is about to claim or to let go is left to it.
        .with_for_update(skip_locked=True)
    )
    rows = connection.execute(query).all()
    for row in rows:
        _attempts.apply_event(connection, row.id, State(row.state), event, at=at, detail=detail)
    return len(rows)
