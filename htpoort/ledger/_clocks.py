"""
Disbelieve moments of the future: a clock that was ahead for a moment must hold nothing up for a year.

Never does: touch a time that an exchange or reply may have to wait for.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import sqlalchemy as sa

from htpoort.errors import InputError, Problem
from htpoort.exchange import State
from htpoort.ledger import _events, _schema

_exchanges: Final = _schema.exchanges
_replies: Final = _schema.replies
EVENT: Final = "due-disbelieved"

Condition = sa.ColumnElement[bool]


def deferred(systems: Sequence[str], after: datetime) -> Condition:
    """Mean the declarations of some systems that were deferred to later than a moment."""
    later = _exchanges.c.due > after
    return sa.and_(_exchanges.c.state == State.DEFERRED.value, later, _exchanges.c.system.in_(systems))


def undelivered(system: str | None, after: datetime) -> Condition:
    """Mean the replies whose next delivery is later than a moment."""
    of = sa.true() if system is None else _replies.c.system == system
    return sa.and_(_replies.c.delivered.is_(None), _replies.c.due > after, of)


def any_there(connection: sa.Connection, *conditions: Condition) -> bool:
    """Look whether there is anything, so that nothing is written where all is well."""
    return any(connection.execute(sa.select(sa.exists().where(one))).scalar_one() for one in conditions)


def declarations(connection: sa.Connection, meant: Condition, now: datetime) -> int:
    """Make declarations due now that were deferred to a moment that no wait leads to; gives how many."""
    rows = _due_now(connection, _exchanges, meant, now)
    for key, due in rows:
        _events.log(connection, now, EVENT, exchange=key, state=State.DEFERRED.value, detail=_told(due))
    return len(rows)


def deliveries(connection: sa.Connection, meant: Condition, now: datetime) -> int:
    """Make replies due now whose next delivery is at a moment that no wait leads to; gives how many."""
    rows = _due_now(connection, _replies, meant, now)
    for key, due in rows:
        _events.log(connection, now, EVENT, reply=key, detail=_told(due))
    return len(rows)


def _due_now(connection: sa.Connection, table: sa.Table, meant: Condition, now: datetime) -> list[tuple[int, datetime]]:
    # What another machine is about to take comes in the next turn.
    query = sa.select(table.c.id, table.c.due).where(meant).order_by(table.c.id).with_for_update(skip_locked=True)
    rows: list[tuple[int, datetime]] = [(row.id, row.due) for row in connection.execute(query)]
    if rows:
        due_now = sa.update(table).where(table.c.id == sa.bindparam("key")).values(due=now)
        connection.execute(due_now, [{"key": key} for key, _ in rows])
    return rows


def leased(after: datetime) -> tuple[Condition, Condition]:
    """Mean the exchanges, and the replies, whose lease ends later than a moment."""
    return (
        sa.and_(_exchanges.c.state == State.SENDING.value, _exchanges.c.lease > after),
        sa.and_(_replies.c.owner.is_not(None), _replies.c.delivered.is_(None), _replies.c.lease > after),
    )


def leases(connection: sa.Connection, meant: tuple[Condition, Condition], until: datetime) -> int:
    """
    Shorten leases; gives how many.

    A worker that lives renews its own; one that is dead does not, and would hold what it had for as long as its
    clock said.
    """
    tables = zip((_exchanges, _replies), meant, strict=True)
    return sum(connection.execute(sa.update(table).where(one).values(lease=until)).rowcount for table, one in tables)


def deliver_again(connection: sa.Connection, now: datetime, system: str | None, keys: Sequence[int]) -> list[int]:
    """
    Make due now what waits for its next delivery; gives the numbers of the replies.

    Raises:
        InputError: There is no reply of some number; names them all, and nothing is changed.
    """
    there = set(connection.execute(sa.select(_replies.c.id).where(_replies.c.id.in_(keys))).scalars()) if keys else ()
    if unknown := sorted(set(keys).difference(there)):
        message = (
            f"No reply in this ledger has the number {' or '.join(map(str, unknown))}, so no reply was made due; "
            "htpoort export lists all replies, and htpoort show K those of one reference, with their numbers as key."
        )
        raise InputError("", (Problem("ledger.unknown-reply", message),))
    of = _replies.c.id.in_(keys) if keys else sa.true()
    found = [key for key, _ in _due_now(connection, _replies, sa.and_(undelivered(system, now), of), now)]
    for key in found:
        _events.log(connection, now, "delivery-ordered", reply=key)
    return found


def _told(due: datetime) -> str:
    return f"it was due at {due.isoformat(timespec='seconds')}, later than any wait: a clock was ahead; it is due now"
