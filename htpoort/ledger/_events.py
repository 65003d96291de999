"""
Append to the log of events.

Never does: change or remove an event; pruning its exchange does.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from datetime import datetime
from typing import Final

import sqlalchemy as sa

from htpoort.ledger import _schema
from htpoort.ledger._prepared import Prepared
from htpoort.ledger._storable import storable

_table: Final = _schema.events
_INSERT: Final = Prepared(sa.insert(_table), [column.name for column in _table.c if not column.primary_key])
_GATHERED: Final = "htpoort-events"


def log(  # noqa: PLR0913 - one argument for each column
    connection: sa.Connection,
    at: datetime,
    event: str,
    *,
    exchange: int | None = None,
    reply: int | None = None,
    quarantine: int | None = None,
    state: str | None = None,
    detail: str = "",
) -> None:
    """Append one event; within `gathered`, at the end of the transaction together with the others."""
    row: dict[str, object] = {
        "at": at,
        "event": event,
        "exchange": exchange,
        "reply": reply,
        "quarantine": quarantine,
        "state": state,
        "detail": storable(detail),
    }
    rows: list[dict[str, object]] | None = connection.info.get(_GATHERED)
    if rows is None:
        _INSERT.many(connection, [row])
    else:
        rows.append(row)


def flush(connection: sa.Connection) -> None:
    """Write what was gathered, for whoever is about to read the log."""
    rows: list[dict[str, object]] | None = connection.info.get(_GATHERED)
    if rows:
        _INSERT.many(connection, rows)
        rows.clear()


@contextmanager
def gathered(connection: sa.Connection) -> Generator[None]:
    """Gather the events of a transaction, and write them in order at its end; one statement is quicker than many."""
    # A connection whose server is lost gives its notes no more.
    info = connection.info
    info[_GATHERED] = []
    try:
        yield
        flush(connection)
    finally:
        # The connection is used again, in another transaction.
        info.pop(_GATHERED, None)
