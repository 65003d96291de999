"""
Operate on exchanges: queue, claim, settle, order.

Never does: decide; the table in `htpoort.exchange` does, and what it said is logged.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import attrs
import sqlalchemy as sa

from htpoort.errors import InputError, Problem, UnknownError
from htpoort.exchange import Decision, Event, State, decide
from htpoort.ledger import _attempts, _events, _schema
from htpoort.ledger._adding import Adding
from htpoort.ledger._prepared import Prepared, Row
from htpoort.ledger.records import Claimed, Exchange
from htpoort.message import Submission

_table: Final = _schema.exchanges
_told: Final = tuple(column for column in _table.c if column.name != "raw")
_WAITING: Final = (State.QUEUED, State.DEFERRED)


def exchange_of(row: sa.Row[Any]) -> Exchange:
    """Make the value of a row."""
    return Exchange(
        key=row.id,
        system=row.system,
        party=row.party,
        reference=row.reference,
        business_reference=row.business_reference,
        state=State(row.state),
        attempts=row.attempts,
        due=row.due,
        created=row.created,
        changed=row.changed,
        message_id=row.message_id,
    )


_ADD: Final = Adding(_table)
_BY_K: Final = sa.select(*_told).where(
    _table.c.party_key == sa.bindparam("party_key"), _table.c.reference == sa.bindparam("reference")
)
_STANDS: Final = Prepared(_BY_K.with_only_columns(_table.c.id, _table.c.system, _table.c.state).with_for_update())
_BY_KEY: Final = sa.select(*_told).where(_table.c.id == sa.bindparam("key"))
_MESSAGE: Final = sa.select(_table.c.raw).where(_table.c.id == sa.bindparam("key"))


def find(connection: sa.Connection, party: str, reference: str) -> Exchange | None:
    """Look an exchange up by party and K."""
    row = connection.execute(_BY_K, {"party_key": party.lower(), "reference": reference}).first()
    return None if row is None else exchange_of(row)


@attrs.frozen
class Locked:
    """Hold an exchange to which an event is to happen; nobody else moves it until the transaction ends."""

    key: int
    system: str
    state: State


def locked(connection: sa.Connection, party: str, reference: str) -> Locked | None:
    """Look an exchange up by party and K, and lock it."""
    rows = _STANDS.rows(connection, {"party_key": party.lower(), "reference": reference})
    return Locked(rows[0][0], rows[0][1], State(rows[0][2])) if rows else None


def queue(
    connection: sa.Connection, submission: Submission, business_reference: str | None, at: datetime, *, held: bool
) -> Exchange:
    """
    Put a message in. The very same message again changes nothing, so a caller that was interrupted may repeat itself.

    Raises:
        InputError: The party has used this K for another message.
    """
    envelope = submission.envelope
    state = State.HELD if held else State.QUEUED
    values = {
        "system": submission.system,
        "party": envelope.sender,
        "party_key": envelope.sender.lower(),
        "reference": envelope.reference,
        "business_reference": business_reference,
        "state": state.value,
        "attempts": 0,
        "due": at,
        "owner": None,
        "lease": None,
        "mail_from": submission.mail_from,
        "rcpt_to": submission.rcpt_to,
        "message_id": submission.message_id,
        "created": at,
        "changed": at,
        "raw": submission.data,
    }
    key = _ADD(connection, values)
    if key is None:
        return _queued_before(connection, submission)
    _events.log(connection, at, Event.QUEUED.value, exchange=key, state=state.value)
    moment = at.astimezone(UTC)
    return Exchange(
        key=key,
        system=submission.system,
        party=envelope.sender,
        reference=envelope.reference,
        business_reference=business_reference,
        state=state,
        attempts=0,
        due=moment,
        created=moment,
        changed=moment,
        message_id=submission.message_id,
    )


def _queued_before(connection: sa.Connection, submission: Submission) -> Exchange:
    """Give the exchange that has the K, if it is of the same message."""
    envelope = submission.envelope
    row = connection.execute(_BY_K, {"party_key": envelope.sender.lower(), "reference": envelope.reference}).one()
    if connection.execute(_MESSAGE, {"key": row.id}).scalar_one() == submission.data:
        return exchange_of(row)
    message = (
        f"{row.party} queued {row.reference} before, for {row.system} at {row.created.isoformat(timespec='seconds')}; "
        f"it is {row.state} now (see htpoort show {row.reference}). "
        "If this is the same declaration, there is nothing to queue; only another one needs a new K."
    )
    raise InputError("", (Problem("ledger.reference-used", message),))


_to_send: Final = (
    _table.c.due,
    _table.c.id,
    _table.c.attempts,
    _table.c.system,
    _table.c.party,
    _table.c.reference,
    _table.c.mail_from,
    _table.c.rcpt_to,
    _table.c.message_id,
    _table.c.raw,
)


@functools.cache
def _due_of(state: State, systems: int) -> Prepared:
    """Prepare the query for what is due in a state, of so many systems."""
    # What is queued waits for no time of its own. A clock that is set back would only hold it up.
    due = sa.true() if state is State.QUEUED else _table.c.due <= sa.bindparam("now")
    return Prepared(
        sa
        .select(*_to_send)
        .where(
            _table.c.state == state.value,
            due,
            _table.c.system.in_([sa.bindparam(f"system_{number}") for number in range(systems)]),
        )
        .order_by(_table.c.due, _table.c.id)
        .limit(sa.bindparam("most"))
        # Workers of other machines pass over what this one is about to take.
        .with_for_update(skip_locked=True)
    )


_TAKE: Final = Prepared(
    sa
    .update(_table)
    .where(_table.c.id == sa.bindparam("key"))
    .values(
        state=State.SENDING.value,
        attempts=_table.c.attempts + 1,
        owner=sa.bindparam("by"),
        lease=sa.bindparam("until"),
        changed=sa.bindparam("now"),
    )
)


def _claimed(connection: sa.Connection, row: Row) -> Claimed:
    """Make the value of a row that is taken up."""
    _, key, attempts, system, party, reference, mail_from, rcpt_to, message_id, raw = row
    return Claimed(
        key=key,
        attempt=attempts + 1,
        # Nearly all are taken up for the first time, and need not be looked up.
        tries=_attempts.since_order(connection, key) + 1 if attempts else 1,
        system=system,
        party=party,
        reference=reference,
        mail_from=mail_from,
        rcpt_to=rcpt_to,
        message_id=message_id,
        raw=raw,
    )


def claim(  # noqa: PLR0913, PLR0917 - one argument for each thing that decides
    connection: sa.Connection,
    systems: Sequence[str],
    owner: str,
    most: int,
    now: datetime,
    lease: timedelta,
    per_hour: int | None,
) -> list[Claimed]:
    """Take up what is due, oldest first; nobody else gets it before the lease has run out."""
    if per_hour is not None:
        most = min(most, _attempts.left(connection, systems, per_hour, now))
    wanted = {"now": now, "most": most, **{f"system_{number}": system for number, system in enumerate(systems)}}
    # State by state: in this order an index has them, and a long queue need not be sorted.
    found = [row for state in _WAITING for row in _due_of(state, len(systems)).rows(connection, wanted)]
    claimed = [_claimed(connection, row) for row in sorted(found, key=operator.itemgetter(0, 1))[:most]]
    if claimed:
        until = now + lease
        _TAKE.many(connection, [{"key": one.key, "by": owner, "until": until, "now": now} for one in claimed])
    for one in claimed:
        detail = f"attempt {one.attempt} by {owner}"
        _events.log(
            connection, now, Event.ATTEMPT_STARTED.value, exchange=one.key, state=State.SENDING.value, detail=detail
        )
    return claimed


_move: Final = (
    sa
    .update(_table)
    .where(_table.c.id == sa.bindparam("key"))
    .values(state=sa.bindparam("to"), changed=sa.bindparam("at"), owner=None, lease=None)
)
_MOVE: Final = Prepared(_move)
_MOVE_DUE: Final = Prepared(_move.values(due=sa.bindparam("when")))
_SETTLE: Final = Prepared(
    _move.where(_table.c.state == State.SENDING.value, _table.c.attempts == sa.bindparam("attempt"))
)


def apply(  # noqa: PLR0913 - one argument for each thing that is written
    connection: sa.Connection,
    key: int,
    state: State,
    event: Event,
    at: datetime,
    *,
    detail: str = "",
    due: datetime | None = None,
) -> Decision:
    """Let an event happen to an exchange in a state, and log what came of it."""
    decision = decide(state, event)
    if not decision.ignored and not decision.refused:
        values: dict[str, object] = {"key": key, "to": decision.state.value, "at": at}
        if due is None:
            _MOVE.changed(connection, values)
        else:
            _MOVE_DUE.changed(connection, values | {"when": due})
    why = decision.ignored or decision.refused
    told = "; ".join(part for part in (detail, why) if part)
    _events.log(connection, at, event.value, exchange=key, state=decision.state.value, detail=told)
    return decision


_LOCKED: Final = _BY_KEY.with_for_update()


def _settled(connection: sa.Connection, key: int, attempt: int, event: Event, at: datetime) -> State | None:
    """Settle an attempt that is the last one and under way, as nearly all are, without reading it first."""
    decision = decide(State.SENDING, event)
    if event is Event.DEFERRED or decision.ignored or decision.refused:
        return None
    values = {"key": key, "attempt": attempt, "to": decision.state.value, "at": at}
    return decision.state if _SETTLE.changed(connection, values) == 1 else None


def settle(  # noqa: PLR0913, PLR0917 - one argument for each thing that is written
    connection: sa.Connection,
    key: int,
    attempt: int,
    event: Event,
    at: datetime,
    detail: str = "",
    due: datetime | None = None,
) -> State:
    """
    Record the outcome of one attempt.

    An outcome of an earlier attempt than the last counts only where it says that the gateway has the
    message: whatever else it says was about another try.
    """
    after = _settled(connection, key, attempt, event, at)
    if after is not None:
        _events.log(connection, at, event.value, exchange=key, state=after.value, detail=detail)
        return after
    there = exchange_of(connection.execute(_LOCKED, {"key": key}).one())
    if attempt != there.attempts and event is not Event.ACCEPTED:
        why = f"of attempt {attempt}, not of {there.attempts}"
        told = "; ".join(part for part in (detail, why) if part)
        _events.log(connection, at, event.value, exchange=key, state=there.state.value, detail=told)
        return there.state
    if event is Event.DEFERRED and due is None:
        deferred = apply(connection, key, there.state, event, at, detail=detail)
        return apply(connection, key, deferred.state, Event.GIVEN_UP, at).state
    return apply(connection, key, there.state, event, at, detail=detail, due=due).state


def order(connection: sa.Connection, party: str | None, reference: str, event: Event, at: datetime) -> Exchange:
    """
    Let a person's order happen: resolve as sent, resend, close.

    Raises:
        UnknownError: No exchange has this K.
        InputError: Two parties have used this K, or the exchange is in a state that forbids it.
    """
    query = sa.select(*_told).where(_table.c.reference == reference)
    if party is not None:
        query = query.where(_table.c.party_key == party.lower())
    rows = connection.execute(query.with_for_update()).all()
    if not rows:
        raise UnknownError(reference, ())
    if len(rows) > 1:
        parties = ", ".join(sorted(row.party for row in rows))
        message = f"reference {reference} was used by {parties}; say which party."
        raise InputError("", (Problem("ledger.which-party", message),))
    there = exchange_of(rows[0])
    decision = apply(connection, there.key, there.state, event, at, due=at)
    if decision.refused:
        # Raising undoes the log entry too; what was refused did not happen.
        raise InputError("", (Problem("ledger.refused", decision.refused),))
    return exchange_of(connection.execute(_LOCKED, {"key": there.key}).one())


def renew(connection: sa.Connection, owner: str, keys: Sequence[int], until: datetime) -> int:
    """Say that a worker lives and is still at some exchanges; gives how many of them are its own."""
    query = sa.update(_table).where(
        _table.c.owner == owner, _table.c.state == State.SENDING.value, _table.c.id.in_(keys)
    )
    return connection.execute(query.values(lease=until)).rowcount


def expire(connection: sa.Connection, now: datetime, owner: str | None = None) -> list[Exchange]:
    """
    Take back what dead workers held; it may have been sent, so it becomes unknown.

    Args:
        connection: In a transaction.
        now: Leases that ran out before are taken back.
        owner: Take back everything that others than this one hold, whatever their leases: where only
            one worker can be alive.
    """
    dead = _table.c.lease < now if owner is None else _table.c.owner != owner
    query = sa.select(*_told).where(_table.c.state == State.SENDING.value, dead).with_for_update(skip_locked=True)
    found = [exchange_of(row) for row in connection.execute(query).all()]
    for there in found:
        apply(connection, there.key, there.state, Event.CONNECTION_LOST, now, detail="its worker was lost")
    return found


def window(connection: sa.Connection, systems: Iterable[str], event: Event, at: datetime) -> int:
    """Hold, or let go, what waits for some systems; gives how many."""
    states = [State.HELD.value] if event is Event.WINDOW_CLOSED else [state.value for state in _WAITING]
    query = sa.select(*_told).where(_table.c.state.in_(states), _table.c.system.in_(list(systems))).with_for_update()
    found = [exchange_of(row) for row in connection.execute(query).all()]
    for there in found:
        apply(connection, there.key, there.state, event, at)
    return len(found)
