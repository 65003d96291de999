"""
Remember which servers rest after trouble, for `htpoort status`.

Never does: let a server rest, or keep what is over.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

import sqlalchemy as sa

from htpoort.ledger import _schema
from htpoort.ledger.records import Resting

_table: Final = _schema.resting


def rests(connection: sa.Connection, name: str, since: datetime, next_try: datetime, why: str) -> None:
    """Note that a server rests; another agent that had the same trouble is written over."""
    values = {"since": since, "next_try": next_try, "why": why}
    if connection.execute(sa.update(_table).where(_table.c.name == name).values(values)).rowcount == 0:
        connection.execute(sa.insert(_table), {"name": name, **values})


def works(connection: sa.Connection, name: str) -> None:
    """Note that a server works."""
    connection.execute(sa.delete(_table).where(_table.c.name == name))


def resting(connection: sa.Connection) -> tuple[Resting, ...]:
    """List the servers that rest, in the order of their trouble."""
    rows = connection.execute(sa.select(_table).order_by(_table.c.since, _table.c.name))
    return tuple(Resting(name=row.name, since=row.since, next_try=row.next_try, why=row.why) for row in rows)
