"""
Count attempts to send, in the log of events.

Never does: write.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

import sqlalchemy as sa

from htpoort.exchange import Event
from htpoort.ledger import _events, _schema

_table: Final = _schema.exchanges
_RETURNED: Final = (Event.RETURNED_TO_QUEUE.value, Event.RETURNED_TO_RETRY.value)
_COUNTED: Final = sa.func.coalesce(sa.func.sum(sa.case((_schema.events.c.event.in_(_RETURNED), -1), else_=1)), 0)
"""Attempts that a server had a part in: what was returned does not count, because nothing of it was said."""
_EVENTS: Final = (Event.ATTEMPT_STARTED.value, *_RETURNED)
_BEGUN: Final = (
    sa
    .select(_COUNTED)
    .select_from(_schema.events.join(_table, _schema.events.c.exchange == _table.c.id))
    .where(
        _schema.events.c.event.in_(_EVENTS),
        _schema.events.c.at > sa.bindparam("since"),
        # A clock that was ahead for a moment must not use up the hours until then.
        _schema.events.c.at <= sa.bindparam("now"),
        _table.c.system.in_(sa.bindparam("systems", expanding=True)),
    )
)
_HOUR: Final = timedelta(hours=1)
_OURS: Final = 0x68_74_70_6F
"""Marks our advisory locks among those of a server ("htpo" in ASCII)."""
_ONE_AT_A_TIME: Final = sa.select(sa.func.pg_advisory_xact_lock(_OURS, sa.bindparam("system", type_=sa.Integer)))


def left(connection: sa.Connection, systems: Sequence[str], per_hour: int, now: datetime) -> int:
    """Count how many attempts the rate allows now; what others begin meanwhile waits until this transaction ends."""
    if connection.dialect.name == "postgresql":
        # Each system by itself, since outboxes of two machines may share some; in order, so that none waits for ever.
        for number in sorted(zlib.crc32(system.encode()) >> 1 for system in systems):
            connection.execute(_ONE_AT_A_TIME, {"system": number})
    # Counted in the log, so that the limit holds over a restart and over many machines.
    _events.flush(connection)
    begun: int = connection.execute(_BEGUN, {"since": now - _HOUR, "now": now, "systems": list(systems)}).scalar_one()
    return max(0, per_hour - max(0, begun))


_log: Final = _schema.events
_ORDERED: Final = (
    sa
    .select(sa.func.coalesce(sa.func.max(_log.c.id), 0))
    .where(_log.c.exchange == sa.bindparam("key"), _log.c.event == Event.RESEND_ORDERED.value)
    .scalar_subquery()
)
_TRIES: Final = (
    sa
    .select(_COUNTED)
    .select_from(_log)
    .where(
        _log.c.exchange == sa.bindparam("key"),
        _log.c.event.in_(_EVENTS),
        _log.c.id > _ORDERED,
    )
)


def since_order(connection: sa.Connection, key: int) -> int:
    """Count the attempts of an exchange since a person last ordered it to be sent again, or from the first on."""
    _events.flush(connection)
    tries: int = connection.execute(_TRIES, {"key": key}).scalar_one()
    # The late word of a worker that was thought dead may be of an attempt before the order.
    return max(0, tries)
