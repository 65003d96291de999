"""Find the exchanges that an order or a question is about, and change them as the table of states decides."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final

import attrs
import sqlalchemy as sa

from htpoort.core.errors import InputError, Problem, UnknownError
from htpoort.core.exchange import Event, State
from htpoort.ledger import _attempts, _schema
from htpoort.ledger._queueing import exchange_of
from htpoort.ledger.records import Exchange

_exchanges: Final = _schema.exchanges
_FOR_UPDATE: Final = sa.select(_exchanges).where(_exchanges.c.id == sa.bindparam("key")).with_for_update()


def find_for_order(connection: sa.Connection, reference: str, party: str | None, *, lock: bool = True) -> sa.Row[Any]:
    """
    Find the exchange that a person means, and lock it.

    Raises:
        UnknownError: No exchange has this K.
        InputError: Two parties have used this K.
    """
    query = sa.select(_exchanges).where(_exchanges.c.reference == reference)
    if party is not None:
        query = query.where(_exchanges.c.party_key == party.lower())
    rows = connection.execute(query.with_for_update() if lock else query).all()
    if not rows:
        raise UnknownError("reference", reference, "the ledger" if party is None else f"the ledger for {party}")
    if len(rows) > 1:
        parties = ", ".join(sorted(row.party for row in rows))
        message = f"party is missing: {parties} used the reference {reference}; give one of them."
        raise InputError("", (Problem("ledger.which-party", message),))
    return rows[0]


def carry_out(connection: sa.Connection, row: sa.Row[Any], event: Event, *, at: datetime, detail: str = "") -> Exchange:
    """
    Carry out an order.

    Raises:
        InputError: The state of the exchange forbids it.
    """
    decision = _attempts.apply_event(connection, row.id, State(row.state), event, at=at, due=at, detail=detail)
    if decision.refused:
        # The error undoes the whole operation, including the log entry.
        raise InputError("", (Problem("ledger.refused", decision.refused),))
    return exchange_of(connection.execute(_FOR_UPDATE, {"key": row.id}).one())


def apply_to_all(
    connection: sa.Connection, systems: Iterable[str], event: Event, states: Sequence[State], *, at: datetime
) -> int:
    """Apply an event to all exchanges of some systems and states; return how many."""
    matches = _exchanges.c.state.in_([state.value for state in states]), _exchanges.c.system.in_(tuple(systems))
    rows = connection.execute(sa.select(_exchanges.c.id, _exchanges.c.state).where(*matches).with_for_update()).all()
    for row in rows:
        _attempts.apply_event(connection, row.id, State(row.state), event, at=at)
    return len(rows)


def ask_names(connection: sa.Connection, condition: sa.ColumnElement[bool], at: datetime) -> list[Exchange]:
    """Queue files again of which it is unknown whether they arrived; return them."""
    query = sa.select(_exchanges).where(condition).order_by(_exchanges.c.id).with_for_update(skip_locked=True)
    asked: list[Exchange] = []
    for row in connection.execute(query).all():
        state = _attempts.apply_event(connection, row.id, State.UNKNOWN, Event.NAME_ASKED, at=at).state
        asked.append(attrs.evolve(exchange_of(row), state=state))
    return asked
