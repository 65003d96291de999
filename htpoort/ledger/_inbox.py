"""
Operate on replies and on the quarantine: take in, claim for delivery, mark, release.

Never does: route by itself, or forget a message.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import attrs
import sqlalchemy as sa

from htpoort import _scan
from htpoort.errors import InputError, Problem, UnknownError
from htpoort.exchange import Event
from htpoort.ledger import _events, _outbox, _outcomes, _schema
from htpoort.ledger._adding import Adding
from htpoort.ledger._prepared import Prepared
from htpoort.ledger._storable import storable
from htpoort.ledger.records import Held, HeldState, HeldSummary, Reply, Stored
from htpoort.routing import Correlation, Quarantined, Routed

_table: Final = _schema.replies
_strangers: Final = _schema.quarantine
_NAMED: Final = 10  # numbers of messages that an error names

_SAME: Final = sa.select(_table.c.id, _table.c.correlation).where(
    _table.c.reference == sa.bindparam("reference"),
    _table.c.party == sa.bindparam("party"),
    _table.c.system == sa.bindparam("system"),
    _table.c.content == sa.bindparam("content"),
)
_REPEAT: Final = sa.update(_table).where(_table.c.id == sa.bindparam("key")).values(copies=_table.c.copies + 1)
_CORRELATE: Final = sa.update(_table).where(_table.c.id == sa.bindparam("key")).values(correlation=sa.bindparam("now"))
_AT_ONCE: Final = datetime(1970, 1, 1, tzinfo=UTC)
"""When a new reply is due: not now, because a clock that is set back would hold it up."""
_ADD: Final = Adding(_table)
_ADD_STRANGER: Final = Adding(_strangers)
_SAME_STRANGER: Final = sa.select(_strangers.c.id).where(_strangers.c.content == sa.bindparam("content"))
_REPEAT_STRANGER: Final = (
    sa.update(_strangers).where(_strangers.c.id == sa.bindparam("key")).values(copies=_strangers.c.copies + 1)
)


def reply_of(row: sa.Row[Any]) -> Reply:
    """Make the value of a row."""
    return Reply(
        key=row.id,
        exchange=row.exchange,
        system=row.system,
        mailbox=row.mailbox,
        process_id=row.process_id,
        party=row.party,
        reference=row.reference,
        correlation=row.correlation,
        copies=row.copies,
        received=row.received,
        delivered=row.delivered,
        attempts=row.attempts,
        trouble=row.trouble or "",
        raw=row.raw,
    )


def summary_of(row: sa.Row[Any]) -> HeldSummary:
    """Make the value of a row without its message."""
    return HeldSummary(
        key=row.id,
        received=row.received,
        reason=row.reason,
        problems=tuple(row.problems),
        mailbox=row.mailbox,
        subject=row.subject,
        state=HeldState(row.state),
        copies=row.copies,
        octets=row.octets,
    )


def held_of(row: sa.Row[Any]) -> Held:
    """Make the value of a row."""
    return Held(
        key=row.id,
        received=row.received,
        reason=row.reason,
        problems=tuple(row.problems),
        mailbox=row.mailbox,
        subject=row.subject,
        state=HeldState(row.state),
        copies=row.copies,
        raw=row.raw,
    )


def take_in(
    connection: sa.Connection, found: Routed | Quarantined, raw: bytes, at: datetime, *, again: bool = False
) -> Stored:
    """Store a message that came in, by what the router found; one that is read *again* is not counted as a copy."""
    if isinstance(found, Quarantined):
        return _keep_apart(connection, found, raw, at, again=again)
    # Trace headers differ between two copies of one reply; its body does not.
    content = hashlib.sha256(memoryview(raw)[_scan.body(raw) :]).hexdigest()
    same = {
        "reference": found.reference,
        "party": str(found.party),
        "system": found.system.name,
        "content": content,
    }
    # Locked: what another machine's worker writes at the same time is not written over.
    exchange = _outbox.locked(connection, str(found.party), found.reference)
    if exchange is not None and exchange.system != found.system.name:
        # A person gave it to a system that the K was not sent to: stored and delivered, but it answers nothing.
        exchange = None
    if exchange is not None and not exchange.content_begun and not _outcomes.undecided(exchange):
        found = attrs.evolve(found, correlation=Correlation.NOT_SENT)
    values: dict[str, object] = {
        **same,
        "exchange": None if exchange is None else exchange.key,
        "mailbox": found.mailbox,
        "process_id": found.envelope.sender,
        "correlation": found.correlation.value,
        "copies": 1,
        "received": at,
        "delivered": None,
        "attempts": 0,
        "due": _AT_ONCE,
        "owner": None,
        "lease": None,
        "trouble": None,
        "raw": raw,
    }
    key = _ADD(connection, values)
    if key is None:
        there, known = connection.execute(_SAME, same).one()
        if not again:
            _repeated(connection, there, known, exchange, found, at)
        return Stored(found=found, key=there, repeated=True)
    if exchange is None:
        _events.log(connection, at, Event.REPLY_RECEIVED.value, reply=key, detail=Correlation.UNKNOWN_REFERENCE.value)
    else:
        _outcomes.reply_came(connection, exchange, key, at)
    return Stored(found=found, key=key, repeated=False)


def _repeated(  # noqa: PLR0913, PLR0917 - one argument for each thing that decides
    connection: sa.Connection, key: int, known: str, exchange: _outbox.Locked | None, found: Routed, at: datetime
) -> None:
    """Count a copy; one of a reply that came too early to be an answer may be one by now."""
    connection.execute(_REPEAT, {"key": key})
    _events.log(connection, at, "reply-repeated", reply=key)
    early = known == Correlation.NOT_SENT.value and found.correlation is not Correlation.NOT_SENT
    if exchange is not None and early:
        connection.execute(_CORRELATE, {"key": key, "now": found.correlation.value})
        _outcomes.reply_came(connection, exchange, key, at)


def _keep_apart(connection: sa.Connection, found: Quarantined, raw: bytes, at: datetime, *, again: bool) -> Stored:
    """Store a message whose process cannot be told."""
    content = hashlib.sha256(raw).hexdigest()
    values: dict[str, object] = {
        "received": at,
        "reason": found.reason.value,
        "problems": [storable(problem.message) for problem in found.problems],
        "mailbox": None if found.mailbox is None else storable(found.mailbox),
        "subject": None if found.envelope is None else found.envelope.render(),
        "state": HeldState.HELD.value,
        "copies": 1,
        "content": content,
        "raw": raw,
    }
    key = _ADD_STRANGER(connection, values)
    if key is None:
        there: int = connection.execute(_SAME_STRANGER, {"content": content}).scalar_one()
        if not again:
            connection.execute(_REPEAT_STRANGER, {"key": there})
            _events.log(connection, at, "quarantine-repeated", quarantine=there)
        return Stored(found=found, key=there, repeated=True)
    _events.log(connection, at, "quarantined", quarantine=key, detail=found.reason.value)
    return Stored(found=found, key=key, repeated=False)


_CLAIM: Final = (
    sa
    .select(*_table.c)
    .where(
        _table.c.system == sa.bindparam("of"),
        _table.c.delivered.is_(None),
        _table.c.due <= sa.bindparam("now"),
        sa.or_(_table.c.lease.is_(None), _table.c.lease < sa.bindparam("now")),
    )
    .order_by(_table.c.due, _table.c.id)
    .limit(sa.bindparam("most"))
    .with_for_update(skip_locked=True)
)
_TAKE: Final = Prepared(
    sa
    .update(_table)
    .where(_table.c.id == sa.bindparam("key"))
    .values(owner=sa.bindparam("by"), lease=sa.bindparam("until"), attempts=_table.c.attempts + 1)
)


_one: Final = sa.update(_table).where(_table.c.id == sa.bindparam("key")).values(owner=None, lease=None)
_DELIVERED: Final = Prepared(_one.values(delivered=sa.bindparam("at"), trouble=None))
_failed: Final = _one.values(due=sa.bindparam("when"), trouble=sa.bindparam("why"))
_NOT_DELIVERED: Final = Prepared(_failed)
_OWN_NOT_DELIVERED: Final = Prepared(_failed.where(_table.c.owner == sa.bindparam("by")))
_EXCHANGE: Final = Prepared(sa.select(_table.c.exchange).where(_table.c.id == sa.bindparam("key")))


def claim(  # noqa: PLR0913, PLR0917 - one argument for each thing that decides
    connection: sa.Connection,
    system: str,
    owner: str,
    most: int,
    now: datetime,
    lease: timedelta,
    without: Sequence[int] = (),
) -> list[Reply]:
    """Take up replies of one system that wait for delivery, oldest first; not what the worker is at already."""
    query = _CLAIM.where(_table.c.id.not_in(without)) if without else _CLAIM
    rows = connection.execute(query, {"of": system, "now": now, "most": most}).all()
    if rows:
        _TAKE.many(connection, [{"key": row.id, "by": owner, "until": now + lease} for row in rows])
    return [attrs.evolve(reply_of(row), attempts=row.attempts + 1) for row in rows]


def delivered(connection: sa.Connection, key: int, at: datetime) -> None:
    """Mark a reply as delivered."""
    _DELIVERED.changed(connection, {"key": key, "at": at})
    _events.log(connection, at, "delivered", reply=key, exchange=_exchange_of(connection, key))


def not_delivered(  # noqa: PLR0913, PLR0917 - one argument for each thing that is written
    connection: sa.Connection, key: int, at: datetime, due: datetime, trouble: str, owner: str | None = None
) -> None:
    """Mark a reply as not delivered this time, unless it is no longer this worker's: another is at it, or was."""
    values = {"key": key, "when": due, "why": storable(trouble)}
    if owner is None:
        _NOT_DELIVERED.changed(connection, values)
    else:
        _OWN_NOT_DELIVERED.changed(connection, values | {"by": owner})
    exchange = _exchange_of(connection, key)
    _events.log(connection, at, "delivery-failed", reply=key, exchange=exchange, detail=trouble)


def _exchange_of(connection: sa.Connection, key: int) -> int | None:
    ((exchange,),) = _EXCHANGE.rows(connection, {"key": key})
    return None if exchange is None else int(exchange)


def renew(connection: sa.Connection, owner: str, keys: Sequence[int], until: datetime) -> int:
    """Say that a worker lives and is still at some deliveries; gives how many of them are its own."""
    query = sa.update(_table).where(_table.c.owner == owner, _table.c.delivered.is_(None), _table.c.id.in_(keys))
    return connection.execute(query.values(lease=until)).rowcount


def free(connection: sa.Connection, owner: str | None = None) -> None:
    """Let go what a worker held for delivery: its own, or everybody's where only one can be alive."""
    query = sa.update(_table).where(_table.c.delivered.is_(None), _table.c.owner.is_not(None))
    if owner is not None:
        query = query.where(_table.c.owner == owner)
    connection.execute(query.values(owner=None, lease=None))


def held(connection: sa.Connection, key: int, *, lock: bool = False) -> Held:
    """
    Look up a message in quarantine, and lock it where that is asked for.

    Raises:
        UnknownError: There is none of that number.
    """
    query = sa.select(_strangers).where(_strangers.c.id == key)
    row = connection.execute(query.with_for_update() if lock else query).first()
    if row is None:
        waiting = _strangers.c.state == HeldState.HELD.value
        first = connection.execute(sa.select(_strangers.c.id).where(waiting).order_by(_strangers.c.id).limit(_NAMED))
        named = tuple(str(number) for number in first.scalars())
        all_of_them = sa.select(sa.func.count()).select_from(_strangers).where(waiting)
        raise UnknownError(str(key), named, connection.execute(all_of_them).scalar_one() - len(named))
    return held_of(row)


def discard(connection: sa.Connection, key: int, at: datetime, why: str) -> None:
    """
    Mark a message in quarantine as being for no process; it stays readable.

    Raises:
        UnknownError: There is none of that number.
        InputError: It was discarded or released before, or the reason is blank.
    """
    if not why.strip():
        raise InputError("", (Problem("ledger.reason", "The reason is blank; say why, for the log."),))
    still_held(connection, key)
    mark(connection, key, HeldState.DISCARDED, at, why)


def still_held(connection: sa.Connection, key: int) -> Held:
    """
    Look up a message about which no person has decided yet, and let no other decide until the transaction ends.

    Raises:
        UnknownError: There is none of that number.
        InputError: It was discarded or released before.
    """
    there = held(connection, key, lock=True)
    if there.state is not HeldState.HELD:
        raise InputError("", (Problem("ledger.not-held", f"Message {key} was {there.state.value} before."),))
    return there


def mark(  # noqa: PLR0913, PLR0917 - one argument for each thing that is written
    connection: sa.Connection, key: int, state: HeldState, at: datetime, detail: str, reply: int | None = None
) -> None:
    """Write down what a person decided about a message in quarantine, and as which reply it was released."""
    connection.execute(sa.update(_strangers).where(_strangers.c.id == key).values(state=state.value))
    _events.log(connection, at, state.value, quarantine=key, reply=reply, detail=detail)
