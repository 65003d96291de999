"""
Operate on exchanges that wait: queue, find, claim. What happens to them is in `_outcomes`.

Never does: settle an exchange, or move one to *sending* that no worker has claimed.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import attrs
import sqlalchemy as sa

from htpoort.errors import InputError, Problem
from htpoort.exchange import Event, State
from htpoort.ledger import _attempts, _events, _schema
from htpoort.ledger._adding import Adding
from htpoort.ledger._prepared import Prepared, Row
from htpoort.ledger._repeats import repeats
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
        content_begun=row.begun != 0,
    )


_ADD: Final = Adding(_table)
_BY_K: Final = sa.select(*_told).where(
    _table.c.party_key == sa.bindparam("party_key"), _table.c.reference == sa.bindparam("reference")
)
_STANDS: Final = Prepared(
    _BY_K.with_only_columns(_table.c.id, _table.c.system, _table.c.state, _table.c.begun).with_for_update()
)
_MESSAGE: Final = sa.select(_table.c.raw).where(_table.c.id == sa.bindparam("key"))


def find(connection: sa.Connection, party: str, reference: str) -> Exchange | None:
    """Look an exchange up by party and K."""
    row = connection.execute(_BY_K, {"party_key": party.lower(), "reference": reference}).first()
    return None if row is None else exchange_of(row)


@attrs.frozen
class Locked:
    """
    Hold an exchange to which an event is to happen; nothing else moves it until the transaction ends.

    Args:
        key: Its number.
        system: Where its declaration goes.
        state: Where it stands.
        content_begun: Whether content of an attempt that has ended may have left.
    """

    key: int
    system: str
    state: State
    content_begun: bool


def locked(connection: sa.Connection, party: str, reference: str) -> Locked | None:
    """Look an exchange up by party and K, and lock it."""
    rows = _STANDS.rows(connection, {"party_key": party.lower(), "reference": reference})
    if not rows:
        return None
    key, system, state, begun = rows[0]
    return Locked(key, system, State(state), begun != 0)


def queue(
    connection: sa.Connection, submission: Submission, business_reference: str | None, at: datetime, *, held: bool
) -> Exchange:
    """
    Put a message in. The same declaration again changes nothing, so a caller that was interrupted may repeat itself.

    Raises:
        InputError: The party has used this K for another declaration, or *business_reference* cannot be kept.
    """
    if business_reference is not None and not (business_reference and business_reference.isprintable()):
        message = "business_reference is empty, or holds a control character; leave it out, or mend it."
        raise InputError("", (Problem("input.value", message),))
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
        "begun": 0,
        "early": False,
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
        content_begun=False,
    )


def _queued_before(connection: sa.Connection, submission: Submission) -> Exchange:
    """Give the exchange that has the K, if it is of the same declaration."""
    envelope = submission.envelope
    row = connection.execute(_BY_K, {"party_key": envelope.sender.lower(), "reference": envelope.reference}).one()
    stored = connection.execute(_MESSAGE, {"key": row.id}).scalar_one()
    if row.system == submission.system and row.rcpt_to == submission.rcpt_to and repeats(submission, stored):
        return attrs.evolve(exchange_of(row), repeated=True)
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


def _claimed(connection: sa.Connection, row: Row, state: State) -> Claimed:
    """Make the value of a row that is taken up."""
    _, key, attempts, system, party, reference, mail_from, rcpt_to, message_id, raw = row
    return Claimed(
        key=key,
        attempt=attempts + 1,
        # Nearly all are taken up for the first time, and need not be looked up.
        tries=_attempts.since_order(connection, key) + 1 if attempts else 1,
        retried=state is State.DEFERRED,
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
    found = [
        (*row[:2], state, row) for state in _WAITING for row in _due_of(state, len(systems)).rows(connection, wanted)
    ]
    oldest = sorted(found, key=operator.itemgetter(0, 1))[:most]
    claimed = [_claimed(connection, row, state) for *_, state, row in oldest]
    if claimed:
        until = now + lease
        _TAKE.many(connection, [{"key": one.key, "by": owner, "until": until, "now": now} for one in claimed])
    for one in claimed:
        detail = f"attempt {one.attempt} by {owner}"
        _events.log(
            connection, now, Event.ATTEMPT_STARTED.value, exchange=one.key, state=State.SENDING.value, detail=detail
        )
    return claimed
