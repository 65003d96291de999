"""
Let events happen to exchanges: outcomes, replies, orders, windows, leases that ran out.

Never does: decide; the table in `htpoort.exchange` does, and what it said is logged.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import attrs
import sqlalchemy as sa

from htpoort.errors import InputError, Problem, UnknownError
from htpoort.exchange import Decision, Event, Outcome, State, decide
from htpoort.ledger import _events, _schema
from htpoort.ledger._outbox import Locked, exchange_of
from htpoort.ledger._prepared import Prepared
from htpoort.ledger.records import Exchange
from htpoort.routing import Correlation

_table: Final = _schema.exchanges
_replies: Final = _schema.replies
_columns: Final = tuple(column for column in _table.c if column.name != "raw")

_EVENTS: Final = {
    Outcome.ACCEPTED: Event.ACCEPTED,
    Outcome.DEFERRED: Event.DEFERRED,
    Outcome.REFUSED: Event.REFUSED,
    Outcome.LOST: Event.CONNECTION_LOST,
    Outcome.RETURNED: Event.RETURNED_TO_QUEUE,
}
_WITH_DUE: Final = frozenset({Event.DEFERRED, Event.RETURNED_TO_QUEUE, Event.RETURNED_TO_RETRY})
_WITH_CONTENT: Final = frozenset({Outcome.ACCEPTED, Outcome.LOST})
_MOST: Final = 62  # attempts that have a bit of their own
_SOME: Final = 1  # the bit of an attempt that has no number, or none of its own

_one: Final = sa.update(_table).where(_table.c.id == sa.bindparam("key"))
# An attempt that ends waits no longer for the reply that came meanwhile, nor that reply for it.
_move: Final = _one.values(state=sa.bindparam("to"), changed=sa.bindparam("at"), owner=None, lease=None, early=False)
_MOVE: Final = Prepared(_move)
_MOVE_DUE: Final = Prepared(_move.values(due=sa.bindparam("when")))
_SETTLE: Final = Prepared(
    _move.where(
        _table.c.state == State.SENDING.value,
        _table.c.attempts == sa.bindparam("attempt"),
        _table.c.early.is_(False),
    ).values(begun=_table.c.begun.bitwise_or(sa.bindparam("bit")))
)
_BEGUN: Final = Prepared(_one.values(begun=sa.bindparam("mask")))
_WAIT: Final = Prepared(_one.values(early=True))
_LOCKED: Final = sa.select(*_columns).where(_table.c.id == sa.bindparam("key")).with_for_update()
_MARK: Final = Prepared(
    sa.update(_replies).where(_replies.c.exchange == sa.bindparam("of")).values(correlation=Correlation.NOT_SENT.value)
)


def _bit(attempt: int) -> int:
    """Give the place of an attempt among those whose content may have left."""
    return 1 << attempt if 1 <= attempt <= _MOST else _SOME


def _apply(  # noqa: PLR0913 - one argument for each thing that is written
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
    logged = "; ".join(part for part in (detail, why) if part)
    _events.log(connection, at, event.value, exchange=key, state=decision.state.value, detail=logged)
    return decision


def reply_came(connection: sa.Connection, there: Locked, reply: int, at: datetime) -> None:
    """
    Let a reply happen to its exchange.

    It settles the exchange if content of an attempt may have left. Otherwise the gateway cannot have the declaration:
    the exchange stays as it is. While an attempt is under way that is not known, so its end decides.
    """
    event = Event.REPLY_RECEIVED if there.content_begun else Event.EARLY_REPLY_RECEIVED
    _apply(connection, there.key, there.state, event, at, detail=f"reply {reply}")
    if undecided(there):
        _WAIT.changed(connection, {"key": there.key})


def undecided(there: Locked) -> bool:
    """Say whether the attempt that is under way decides if a reply can be its answer."""
    return not there.content_begun and there.state is State.SENDING


def _attempt_ended(connection: sa.Connection, row: sa.Row[Any], state: State, mask: int, at: datetime) -> State:
    """Decide about the replies that came while an attempt was under way, which has led to a state."""
    if not mask:
        _MARK.changed(connection, {"of": row.id})
        return state
    detail = "it came while an attempt was under way"
    return _apply(connection, row.id, state, Event.REPLY_RECEIVED, at, detail=detail).state


def _settled(  # noqa: PLR0913, PLR0917 - one argument for each thing that is written
    connection: sa.Connection, key: int, attempt: int, event: Event, at: datetime, bit: int
) -> State | None:
    """Settle an attempt that is the last one and under way, as nearly all are, without reading it first."""
    decision = decide(State.SENDING, event)
    if event in _WITH_DUE or decision.ignored or decision.refused:
        return None
    values = {"key": key, "attempt": attempt, "to": decision.state.value, "at": at, "bit": bit}
    return decision.state if _SETTLE.changed(connection, values) == 1 else None


def settle(  # noqa: PLR0913, PLR0917 - one argument for each thing that is written
    connection: sa.Connection,
    key: int,
    attempt: int,
    outcome: Outcome,
    at: datetime,
    detail: str = "",
    due: datetime | None = None,
    *,
    content_begun: bool = True,
    retried: bool = False,
) -> State:
    """
    Record the outcome of one attempt; *retried* says of one that is returned that it had been deferred before.

    An outcome of an earlier attempt than the last counts only where it says that the gateway has the
    message, or that no content of it left: whatever else it says was about another try.

    What is returned goes behind what else waits: if the trouble is with this message after all, no other waits for it.

    Raises:
        InputError: There was no such attempt.
    """
    event, bit = _EVENTS[outcome], _bit(attempt)
    if outcome is Outcome.RETURNED:
        event, due = Event.RETURNED_TO_RETRY if retried else event, at
    begun = (content_begun and outcome is not Outcome.RETURNED) or outcome in _WITH_CONTENT
    after = _settled(connection, key, attempt, event, at, bit if begun else 0)
    if after is not None:
        _events.log(connection, at, event.value, exchange=key, state=after.value, detail=detail)
        return after
    row = connection.execute(_LOCKED, {"key": key}).one()
    if not 1 <= attempt <= row.attempts:
        message = f"{row.reference} of {row.party} had {row.attempts} attempts; number {attempt} has no outcome."
        raise InputError("", (Problem("ledger.no-attempt", message),))
    mask = row.begun | bit if begun else row.begun & ~bit | row.begun & _SOME
    state = _known(connection, row, mask, at)
    if attempt != row.attempts and outcome is not Outcome.ACCEPTED:
        why = f"of attempt {attempt}, not of {row.attempts}"
        logged = "; ".join(part for part in (detail, why) if part)
        _events.log(connection, at, event.value, exchange=key, state=state.value, detail=logged)
    else:
        state = _apply(connection, key, state, event, at, detail=detail, due=due).state
        if event is Event.DEFERRED and due is None:
            state = _apply(connection, key, state, Event.GIVEN_UP, at).state
    if row.early and (mask or attempt == row.attempts):
        state = _attempt_ended(connection, row, state, mask, at)
    return state


def _known(connection: sa.Connection, row: sa.Row[Any], mask: int, at: datetime) -> State:
    """Write down which attempts may have got as far as their content; where none has, no reply is an answer."""
    state = State(row.state)
    if mask == row.begun:
        return state
    _BEGUN.changed(connection, {"key": row.id, "mask": mask})
    if not mask and state is State.ANSWERED:
        _MARK.changed(connection, {"of": row.id})
        state = _apply(connection, row.id, state, Event.NEVER_SENT, at).state
    return state


# ── orders ───────────────────────────────────────────────────────────────────


def resolve_as_sent(connection: sa.Connection, party: str | None, reference: str, at: datetime) -> Exchange:
    """Settle what is unknown: a person knows that the gateway has it, whatever a worker still says."""
    row = _ordered(connection, party, reference)
    _BEGUN.changed(connection, {"key": row.id, "mask": row.begun | _SOME})
    return _carried_out(connection, row, Event.RESOLVED_AS_SENT, at)


def resend(connection: sa.Connection, party: str | None, reference: str, at: datetime) -> Exchange:
    """Queue once more, with the same K, what was not taken or is unknown."""
    return _carried_out(connection, _ordered(connection, party, reference), Event.RESEND_ORDERED, at)


def close(connection: sa.Connection, party: str | None, reference: str, at: datetime) -> Exchange:
    """Close an exchange: nothing more is to be done."""
    return _carried_out(connection, _ordered(connection, party, reference), Event.CLOSED, at)


def _ordered(connection: sa.Connection, party: str | None, reference: str) -> sa.Row[Any]:
    """
    Find and lock what a person means.

    Raises:
        UnknownError: No exchange has this K.
        InputError: Two parties have used this K.
    """
    query = sa.select(*_columns).where(_table.c.reference == reference)
    if party is not None:
        query = query.where(_table.c.party_key == party.lower())
    rows = connection.execute(query.with_for_update()).all()
    if not rows:
        raise UnknownError(reference, ())
    if len(rows) > 1:
        parties = ", ".join(sorted(row.party for row in rows))
        message = f"reference {reference} was used by {parties}; say which party."
        raise InputError("", (Problem("ledger.which-party", message),))
    return rows[0]


def _carried_out(connection: sa.Connection, row: sa.Row[Any], event: Event, at: datetime) -> Exchange:
    """
    Let a person's order happen.

    Raises:
        InputError: The exchange is in a state that forbids it.
    """
    decision = _apply(connection, row.id, State(row.state), event, at, due=at)
    if decision.refused:
        # Raising undoes what was written, the log entry too; what was refused did not happen.
        raise InputError("", (Problem("ledger.refused", decision.refused),))
    return exchange_of(connection.execute(_LOCKED, {"key": row.id}).one())


# ── workers and windows ──────────────────────────────────────────────────────


def renew(connection: sa.Connection, owner: str, keys: Sequence[int], until: datetime) -> int:
    """Say that a worker lives and is still at some exchanges; gives how many of them are its own."""
    query = sa.update(_table).where(
        _table.c.owner == owner, _table.c.state == State.SENDING.value, _table.c.id.in_(keys)
    )
    return connection.execute(query.values(lease=until)).rowcount


def expire(connection: sa.Connection, now: datetime, owner: str | None = None) -> list[Exchange]:
    """
    Take back what dead workers held; it may have been sent, so it becomes unknown, or answered if a reply has come.

    Args:
        connection: In a transaction.
        now: Leases that ran out before are taken back, and so is what no worker holds.
        owner: Take back everything that others than this one hold, whatever their leases: where only
            one worker can be alive.

    Returns:
        What was taken back, each in the state in which it is now.
    """
    nobody = _table.c.lease.is_(None) | _table.c.owner.is_(None)
    dead = _table.c.lease < now if owner is None else _table.c.owner != owner
    query = sa.select(*_columns).where(_table.c.state == State.SENDING.value, nobody | dead)
    lost: list[Exchange] = []
    for row in connection.execute(query.with_for_update(skip_locked=True)).all():
        mask = row.begun | _bit(row.attempts)
        _BEGUN.changed(connection, {"key": row.id, "mask": mask})
        state = _apply(
            connection, row.id, State.SENDING, Event.CONNECTION_LOST, now, detail="its worker was lost"
        ).state
        if row.early:
            state = _attempt_ended(connection, row, state, mask, now)
        lost.append(attrs.evolve(exchange_of(row), state=state))
    return lost


def hold(connection: sa.Connection, systems: Sequence[str], at: datetime) -> int:
    """Hold what waits for some systems; gives how many."""
    return _window(connection, systems, Event.WINDOW_OPENED, (State.QUEUED, State.DEFERRED), at)


def let_go(connection: sa.Connection, systems: Sequence[str], at: datetime) -> int:
    """Let go what is held of some systems; gives how many."""
    return _window(connection, systems, Event.WINDOW_CLOSED, (State.HELD,), at)


def _window(
    connection: sa.Connection, systems: Sequence[str], event: Event, states: Sequence[State], at: datetime
) -> int:
    those = _table.c.state.in_([state.value for state in states]), _table.c.system.in_(systems)
    rows = connection.execute(sa.select(_table.c.id, _table.c.state).where(*those).with_for_update()).all()
    for row in rows:
        _apply(connection, row.id, State(row.state), event, at)
    return len(rows)
