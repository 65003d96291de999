"""
Claim exchanges for sending, count attempts, and record what became of them.

Never does: decide what an event means; the table in `htpoort.core.exchange` does.
"""

from __future__ import annotations

import functools
import zlib
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import attrs
import sqlalchemy as sa

from htpoort.core.exchange import Decision, Event, NextStep, Outcome, State, decide
from htpoort.core.files import NAME_REUSED
from htpoort.core.routing import Correlation
from htpoort.ledger import _schema
from htpoort.ledger._queueing import LockedExchange
from htpoort.ledger._statement import Row, Statement, any_row, flush_log, log
from htpoort.ledger.records import Claimed, LedgerEvent

_exchanges: Final = _schema.exchanges
_messages: Final = _schema.messages
_replies: Final = _schema.replies
_events: Final = _schema.events


# ── claims ───────────────────────────────────────────────────────────────────

# No event is applied to each: the state table leads from these states to *sending*, and a test checks that they agree.
WAITING: Final = tuple(state for state in State if state.is_waiting)
_KEYS: Final = 20
"""Exchanges that one statement asks for by their numbers."""
_TO_SEND: Final = (
    _exchanges.c.due,
    _exchanges.c.id,
    _exchanges.c.attempts,
    _exchanges.c.system,
    _exchanges.c.party,
    _exchanges.c.reference,
    _exchanges.c.mail_from,
    _exchanges.c.rcpt_to,
    _exchanges.c.message_id,
    _messages.c.raw,
)
CLAIM: Final = Statement(
    sa
    .update(_exchanges)
    .where(_exchanges.c.id == sa.bindparam("key"))
    .values(
        state=State.SENDING.value,
        attempts=_exchanges.c.attempts + 1,
        owner=sa.bindparam("owner"),
        lease=sa.bindparam("lease"),
        changed=sa.bindparam("at"),
    )
)


def due(
    connection: sa.Connection, systems: Sequence[str], keys: Sequence[int], *, most: int, at: datetime
) -> list[tuple[State, Row]]:
    """
    Lock what is due, oldest first, with the state of each.

    Args:
        connection: A connection in the transaction that claims it.
        systems: The systems that may be sent to.
        keys: The numbers of exchanges of other systems that may be sent all the same.
        most: The largest number.
        at: Now.
    """
    found: list[tuple[State, Row]] = []
    # One query for each state: an index has the exchanges in this order, so that a long queue needs no sorting.
    for state in WAITING if systems else ():
        values = {"at": at, "most": most, **{f"value_{number}": system for number, system in enumerate(systems)}}
        found += [(state, row) for row in _due_in(state, len(systems), _exchanges.c.system).rows(connection, values)]
    for start in range(0, len(keys), _KEYS):
        values = {"at": at, "most": most}
        # The last number again and again, so that there is one statement for any number.
        some = [*keys[start : start + _KEYS], *[keys[-1]] * _KEYS][:_KEYS]
        values |= {f"value_{number}": key for number, key in enumerate(some)}
        for state in WAITING:
            found += [(state, row) for row in _due_in(state, _KEYS, _exchanges.c.id).rows(connection, values)]
    return sorted(found, key=lambda each: each[1][:2])[:most]


@functools.cache
def _due_in(state: State, values: int, column: sa.Column[Any]) -> Statement:
    """Prepare the query for what is due in a state, for a number of systems or of exchanges."""
    # What is queued is due at once, whatever its time: a clock that was set back must not hold it up.
    due_now = sa.true() if state is State.QUEUED else _exchanges.c.due <= sa.bindparam("at")
    return Statement(
        sa
        .select(*_TO_SEND)
        .join(_messages, _messages.c.id == _exchanges.c.message)
        .where(
            _exchanges.c.state == state.value,
            due_now,
            column.in_([sa.bindparam(f"value_{number}") for number in range(values)]),
        )
        .order_by(_exchanges.c.due, _exchanges.c.id)
        .limit(sa.bindparam("most"))
        # Workers on other machines skip what this one is about to claim.
        .with_for_update(of=_exchanges, skip_locked=True)
    )


def claimed_of(connection: sa.Connection, row: Row, state: State) -> Claimed:
    """Make the record of an exchange that is claimed in a state."""
    _, key, attempts, system, party, reference, mail_from, rcpt_to, message_id, raw = row
    return Claimed(
        key=key,
        attempt=attempts + 1,
        # Nearly all are claimed for the first time, which needs no query.
        counted_attempts=_counted_attempts(connection, key) + 1 if attempts else 1,
        retried=state is State.DEFERRED,
        system=system,
        party=party,
        reference=reference,
        mail_from=mail_from,
        rcpt_to=rcpt_to,
        message_id=message_id,
        raw=raw,
    )


# ── counting ─────────────────────────────────────────────────────────────────

_RETURNED: Final = (Event.RETURNED_TO_QUEUE.value, Event.RETURNED_TO_RETRY.value)
_COUNTED: Final = (Event.ATTEMPT_STARTED.value, *_RETURNED)
_NUMBER: Final = sa.func.coalesce(sa.func.sum(sa.case((_events.c.event.in_(_RETURNED), -1), else_=1)), 0)
"""Attempts without those that were returned: nothing of such a message was sent."""
_STARTED: Final = (
    sa
    .select(_NUMBER)
    .select_from(_events.join(_exchanges, _events.c.exchange == _exchanges.c.id))
    .where(
        _events.c.event.in_(_COUNTED),
        _events.c.at > sa.bindparam("since"),
        # A clock that was ahead for a moment must not use up the hours until then.
        _events.c.at <= sa.bindparam("at"),
        _exchanges.c.system.in_(sa.bindparam("systems", expanding=True)),
    )
)
_HOUR: Final = timedelta(hours=1)
_LOCK_RATE: Final = sa.select(
    sa.func.pg_advisory_xact_lock(_schema.ADVISORY_LOCK, sa.bindparam("system", type_=sa.Integer))
)
_LAST_RESEND: Final = (
    sa
    .select(sa.func.coalesce(sa.func.max(_events.c.id), 0))
    .where(_events.c.exchange == sa.bindparam("key"), _events.c.event == Event.RESEND_ORDERED.value)
    .scalar_subquery()
)
_TRIES: Final = (
    sa
    .select(_NUMBER)
    .select_from(_events)
    .where(_events.c.exchange == sa.bindparam("key"), _events.c.event.in_(_COUNTED), _events.c.id > _LAST_RESEND)
)


def allowed_now(connection: sa.Connection, systems: Sequence[str], per_hour: int, now: datetime) -> int:
    """Count how many attempts the rate allows now; other workers that ask wait until this transaction ends."""
    if connection.dialect.name == "postgresql":
        # One lock for each system, because outboxes of two machines may share some; sorted, to avoid a deadlock.
        for number in sorted(zlib.crc32(system.encode()) >> 1 for system in systems):
            connection.execute(_LOCK_RATE, {"system": number})
    # Counted in the log, so that the limit holds over a restart and over many machines.
    flush_log(connection)
    values = {"since": now - _HOUR, "at": now, "systems": list(systems)}
    started: int = connection.execute(_STARTED, values).scalar_one()
    return max(0, per_hour - max(0, started))


def _counted_attempts(connection: sa.Connection, key: int) -> int:
    """Count the attempts of an exchange since the last order to resend it, or since the first."""
    flush_log(connection)
    tries: int = connection.execute(_TRIES, {"key": key}).scalar_one()
    # A late report of a worker that was thought dead may be about an attempt before the order.
    return max(0, tries)


# ── outcomes ─────────────────────────────────────────────────────────────────

EVENT_OF: Final = {
    Outcome.ACCEPTED: Event.ACCEPTED,
    Outcome.DEFERRED: Event.DEFERRED,
    Outcome.REFUSED: Event.REFUSED,
    Outcome.UNKNOWN: Event.OUTCOME_UNKNOWN,
    Outcome.RETURNED: Event.RETURNED_TO_QUEUE,
    # Unless an earlier attempt may have arrived.
    Outcome.NAME_USED: Event.REFUSED,
}
_WITH_DUE: Final = frozenset({Event.DEFERRED, Event.RETURNED_TO_QUEUE, Event.RETURNED_TO_RETRY})
_WITH_CONTENT: Final = frozenset({Outcome.ACCEPTED, Outcome.UNKNOWN})
_WITHOUT_CONTENT: Final = frozenset({Outcome.RETURNED, Outcome.NAME_USED})
_LAST_BIT: Final = 62  # attempts that have a bit of their own
_ANY_ATTEMPT: Final = 1

_update: Final = sa.update(_exchanges).where(_exchanges.c.id == sa.bindparam("key"))
# When an attempt ends, it no longer keeps a reply waiting.
_set_state: Final = _update.values(
    state=sa.bindparam("state"), changed=sa.bindparam("at"), owner=None, lease=None, early=False
)
_SET_STATE: Final = Statement(_set_state)
_SET_STATE_AND_DUE: Final = Statement(_set_state.values(due=sa.bindparam("due")))
_SETTLE: Final = Statement(
    _set_state.where(
        _exchanges.c.state == State.SENDING.value,
        _exchanges.c.attempts == sa.bindparam("attempt"),
        _exchanges.c.early.is_(False),
    ).values(begun=_exchanges.c.begun.bitwise_or(sa.bindparam("bit")))
)
_SET_BEGUN: Final = Statement(_update.values(begun=sa.bindparam("begun")))
_SET_EARLY: Final = Statement(_update.values(early=True))
_MARK_NOT_SENT: Final = Statement(
    sa
    .update(_replies)
    .where(_replies.c.exchange == sa.bindparam("exchange"))
    .values(correlation=Correlation.NOT_SENT.value)
)


@attrs.frozen
class AttemptSet:
    """
    The attempts whose content may have left, as the column *begun* holds them.

    Args:
        mask: Bit N is attempt N. Bit 0 is any later attempt, and a person's statement that the gateway has the message.
    """

    mask: int = 0

    def __bool__(self) -> bool:
        return self.mask != 0

    @property
    def several(self) -> bool:
        """Whether content of more than one attempt may have left."""
        return self.mask.bit_count() > 1

    def including(self, attempt: int) -> AttemptSet:
        """Add an attempt."""
        return AttemptSet(self.mask | _bit_of(attempt))

    def excluding(self, attempt: int) -> AttemptSet:
        """Remove an attempt; bit 0 stays, because others share it."""
        return AttemptSet(self.mask & (~_bit_of(attempt) | _ANY_ATTEMPT))

    def including_any(self) -> AttemptSet:
        """Add the statement that the gateway has the message, whatever a worker still reports."""
        return AttemptSet(self.mask | _ANY_ATTEMPT)


def _bit_of(attempt: int) -> int:
    return 1 << attempt if 1 <= attempt <= _LAST_BIT else _ANY_ATTEMPT


def set_begun(connection: sa.Connection, key: int, begun: AttemptSet) -> None:
    """Record the attempts of an exchange whose content may have left."""
    _SET_BEGUN.write(connection, {"key": key, "begun": begun.mask})


def apply_event(  # noqa: PLR0913 - one argument for each thing that is written
    connection: sa.Connection,
    key: int,
    state: State,
    event: Event,
    *,
    at: datetime,
    detail: str = "",
    due: datetime | None = None,
) -> Decision:
    """Apply an event to an exchange in a state, and log the result."""
    decision = _file_failed(connection, key, event) if state is State.FAILED else None
    decision = decision or decide(state, event)
    if not decision.ignored and not decision.refused:
        values: dict[str, object] = {"key": key, "state": decision.state.value, "at": at}
        if due is None:
            _SET_STATE.write(connection, values)
        else:
            _SET_STATE_AND_DUE.write(connection, values | {"due": due})
    why = decision.ignored or decision.refused
    logged = "; ".join(part for part in (detail, why) if part)
    log(connection, at, event.value, exchange=key, state=decision.state.value, detail=logged)
    return decision


_UNDOES_FAILURE: Final = {
    Event.ACCEPTED: Decision(
        State.FAILED, NextStep.ASK, ignored="The gateway has the file, and reported an error for it."
    ),
    Event.RESEND_ORDERED: Decision(
        State.FAILED,
        refused="The gateway has the file, and reported an error for it; queue the corrected file under a new name.",
    ),
}


def _file_failed(connection: sa.Connection, key: int, event: Event) -> Decision | None:
    """Decide about a failed exchange whose file the gateway has: its error stands. None if it failed otherwise."""
    if event not in _UNDOES_FAILURE:
        return None
    flush_log(connection)
    reported = _events.c.event == Event.GATEWAY_ERROR.value, _events.c.state == State.FAILED.value
    return _UNDOES_FAILURE[event] if any_row(connection, sa.and_(_events.c.exchange == key, *reported)) else None


def apply_reply(connection: sa.Connection, exchange: LockedExchange, reply: int, *, at: datetime) -> None:
    """
    Apply a reply to its exchange.

    The reply settles the exchange if content of an attempt may have left. Otherwise the gateway cannot have the
    declaration, and the exchange stays as it is. During an attempt that is not known yet, so its end decides.
    """
    event = Event.REPLY_RECEIVED if exchange.content_begun else Event.EARLY_REPLY_RECEIVED
    apply_event(connection, exchange.key, exchange.state, event, at=at, detail=f"reply {reply}")
    if attempt_decides(exchange):
        let_attempt_decide(connection, exchange)


def attempt_decides(exchange: LockedExchange) -> bool:
    """Check whether the end of the current attempt decides if a reply can be its answer."""
    return not exchange.content_begun and exchange.state is State.SENDING


def let_attempt_decide(connection: sa.Connection, exchange: LockedExchange) -> None:
    """Let the end of the current attempt decide what a reply or status file means."""
    _SET_EARLY.write(connection, {"key": exchange.key})


def decide_early_replies(
    connection: sa.Connection, row: sa.Row[Any], state: State, begun: AttemptSet, *, at: datetime
) -> State:
    """Decide about the replies that came during an attempt, which has led to a state."""
    if not begun:
        _MARK_NOT_SENT.write(connection, {"exchange": row.id})
        return state
    detail = "it came while an attempt was under way"
    for event in _waiting_events(connection, row.id, begun):
        if not decide(state, event).ignored:
            state = apply_event(connection, row.id, state, event, at=at, detail=detail).state
    return state


STATUS_EVENTS: Final = (
    LedgerEvent.HANDED_OVER.value,
    LedgerEvent.TAKEN.value,
    LedgerEvent.RESPONSE_ANNOUNCED.value,
    LedgerEvent.ERROR_REPORTED.value,
)
"""What status files say, in the log."""
_SINCE_LAST_ATTEMPT: Final = (
    sa
    .select(_events.c.event, _events.c.detail)
    .where(
        _events.c.exchange == sa.bindparam("key"),
        _events.c.event.in_([*STATUS_EVENTS, Event.EARLY_REPLY_RECEIVED.value]),
        _events.c.id
        > sa
        .select(sa.func.coalesce(sa.func.max(_events.c.id), 0))
        .where(_events.c.exchange == sa.bindparam("key"), _events.c.event == Event.ATTEMPT_STARTED.value)
        .scalar_subquery(),
    )
    .order_by(_events.c.id)
)


def _waiting_events(connection: sa.Connection, key: int, begun: AttemptSet) -> list[Event]:
    """List what came for an exchange since its last attempt began, what settles most last."""
    flush_log(connection)
    rows = connection.execute(_SINCE_LAST_ATTEMPT, {"key": key}).all()
    kinds = {
        Event.REPLY_RECEIVED
        if row.event == Event.EARLY_REPLY_RECEIVED.value
        else event_of_error(row.detail, begun)
        if row.event == LedgerEvent.ERROR_REPORTED.value
        else Event.ACCEPTED
        for row in rows
    }
    return [event for event in (Event.ACCEPTED, Event.GATEWAY_ERROR, Event.REPLY_RECEIVED) if event in kinds]


def event_of_error(text: str, begun: AttemptSet) -> Event:
    """
    Decide what an error of the gateway means for a file.

    A gateway that refuses the name of a second upload as used has the first one.
    """
    return Event.ACCEPTED if NAME_REUSED in text and begun.several else Event.GATEWAY_ERROR


def content_may_have_left(outcome: Outcome, *, content_begun: bool) -> bool:
    """Decide whether an outcome means that content may have left."""
    return (content_begun and outcome not in _WITHOUT_CONTENT) or outcome in _WITH_CONTENT


def settle_at_once(
    connection: sa.Connection, claimed: Claimed, event: Event, *, begun: AttemptSet, at: datetime
) -> State | None:
    """Settle the current attempt without reading its row first; None if this attempt needs a closer look."""
    decision = decide(State.SENDING, event)
    if event in _WITH_DUE or decision.ignored or decision.refused:
        return None
    values = {
        "key": claimed.key,
        "attempt": claimed.attempt,
        "state": decision.state.value,
        "at": at,
        "bit": begun.mask,
    }
    return decision.state if _SETTLE.write(connection, values) == 1 else None


def record_begun(connection: sa.Connection, row: sa.Row[Any], begun: AttemptSet, *, at: datetime) -> State:
    """Record which attempts may have got as far as their content; if none has, no reply can be an answer."""
    state = State(row.state)
    if begun.mask == row.begun:
        return state
    set_begun(connection, row.id, begun)
    if not begun and state in {State.ANSWERED, State.ACCEPTED}:
        _MARK_NOT_SENT.write(connection, {"exchange": row.id})
        state = apply_event(connection, row.id, state, Event.NEVER_SENT, at=at).state
    return state
