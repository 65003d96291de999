"""
Take back a reply that a person released, with what it did to its exchange.

Never does: take back what a process has or may have, unless the order says so; or keep a process from what it has.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa

from htpoort import _clock
from htpoort.core.errors import InputError, Problem
from htpoort.core.exchange import Event, State
from htpoort.core.routing import Correlation
from htpoort.ledger import _schema
from htpoort.ledger._attempts import STATUS_EVENTS, apply_event
from htpoort.ledger._received import WITH_MESSAGE, reply_of
from htpoort.ledger._statement import any_row, flush_log, log
from htpoort.ledger.records import LedgerEvent, Reply, WithdrawnRelease

_exchanges: Final = _schema.exchanges
_messages: Final = _schema.messages
_replies: Final = _schema.replies
_events: Final = _schema.events

_GATEWAY_HAS_IT: Final = (Event.ACCEPTED, Event.RESOLVED_AS_SENT)


def withdraw_reply(
    connection: sa.Connection, key: int, *, message: int, at: datetime, delivered: bool
) -> WithdrawnRelease:
    """
    Remove a reply that a person released, and take back what it did to its exchange.

    Args:
        connection: A connection in a transaction.
        key: The number of the reply.
        message: The number of the message in quarantine.
        at: Now.
        delivered: Whether it is taken back although a process has it or may have it.

    Returns:
        What was taken back.

    Raises:
        InputError: It is gone; a process has it or may have it, and *delivered* is not set; it is being delivered; or
            an attempt to send its exchange is under way.
    """
    exchange = connection.execute(sa.select(_replies.c.exchange).where(_replies.c.id == key)).scalar()
    # In the order in which a reply that comes in locks them.
    sent = None if exchange is None else _locked(connection, _exchanges, exchange)
    row = _locked(connection, _replies, key)
    flush_log(connection)
    if row is None:
        raise _refused(key, "was pruned")
    reply = reply_of(connection.execute(WITH_MESSAGE.where(_replies.c.id == key)).one())
    withdrawn = WithdrawnRelease(
        key=message,
        reply=reply,
        delivered=_last_delivery(connection, reply),
        may_be_delivered=_may_be_delivered(connection, reply),
    )
    _refuse_under_way(row, sent, at=at)
    if withdrawn.may_be_delivered and not delivered:
        advice = "; to take it back all the same and fetch back yourself what is there, give delivered=True"
        raise _refused(key, whereabouts(withdrawn), advice)
    if row.copies > 1:
        # It also came by itself, to the same process.
        connection.execute(sa.update(_replies).where(_replies.c.id == key).values(copies=row.copies - 1))
        return withdrawn
    connection.execute(sa.delete(_replies).where(_replies.c.id == key))
    connection.execute(sa.delete(_messages).where(_messages.c.id == row.message))
    if sent is not None:
        if withdrawn.may_be_delivered:
            # Without the reason, which may name the party that it is for.
            detail = f"reply {key}, message {message} of the quarantine, {whereabouts(withdrawn)}"
            log(connection, at, LedgerEvent.DELIVERY_WITHDRAWN.value, exchange=sent.id, state=sent.state, detail=detail)
        _withdraw_answer(connection, sent, key, at=at)
    return withdrawn


def whereabouts(withdrawn: WithdrawnRelease) -> str:
    """Say which process a reply was delivered to, or may have been."""
    reply, delivered = withdrawn.reply, withdrawn.delivered
    process = f"to {reply.system} for {reply.party} under {reply.reference}"
    if delivered is None:
        return f"may have been delivered {process}"
    return f"was delivered {process} at {_clock.local(delivered)}"


# ── what is known of a reply ─────────────────────────────────────────────────


def _locked(connection: sa.Connection, table: sa.Table, key: int) -> Any:  # noqa: ANN401 - a row, or None
    return connection.execute(sa.select(table).where(table.c.id == key).with_for_update()).first()


def _last_delivery(connection: sa.Connection, reply: Reply) -> datetime | None:
    """Find out when a reply was delivered last, also if it waits for another delivery now."""
    delivered = _events.c.reply == reply.key, _events.c.event == LedgerEvent.DELIVERED.value
    last: datetime | None = connection.execute(sa.select(sa.func.max(_events.c.at)).where(*delivered)).scalar_one()
    return reply.delivered or last


def _may_be_delivered(connection: sa.Connection, reply: Reply) -> bool:
    """Find out whether a process has a reply, or may have it: the end of a delivery was never recorded."""
    if reply.delivered is not None or reply.redeliveries:
        return True
    of_reply = sa.and_(_events.c.reply == reply.key, _events.c.event == LedgerEvent.DELIVERY_FAILED.value)
    failed: int = connection.execute(sa.select(sa.func.count()).where(of_reply)).scalar_one()
    return reply.attempts != failed


def _refuse_under_way(row: Any, sent: Any, *, at: datetime) -> None:  # noqa: ANN401 - rows, or None
    """
    Refuse to take back a reply whose delivery or whose exchange is under way.

    Raises:
        InputError: It is. Later, the order is possible.
    """
    if row.delivered is None and row.owner is not None and row.lease >= at:
        raise _refused(row.id, "is being delivered", f" until {_clock.local(row.lease)}; then order it again")
    if sent is not None and sent.state == State.SENDING.value:
        raise _refused(row.id, "may answer an attempt that is under way", " until that has ended")


def _refused(key: int, why: str, advice: str = "") -> InputError:
    message = f"Reply {key}, which the message became, {why}, so the release cannot be taken back{advice}."
    return InputError("", (Problem("ledger.not-withdrawn", message),))


# ── its exchange ─────────────────────────────────────────────────────────────


def _withdraw_answer(connection: sa.Connection, sent: Any, key: int, *, at: datetime) -> None:  # noqa: ANN401 - a row
    """If a reply that is gone was the only answer of its exchange, let that be as it was before."""
    matched = sa.and_(_replies.c.exchange == sent.id, _replies.c.correlation == Correlation.MATCHED.value)
    # A status file answers nothing.
    status = sa.exists().where(_events.c.reply == _replies.c.id, _events.c.event.in_(STATUS_EVENTS))
    answers = matched & ~status
    if sent.state != State.ANSWERED.value or any_row(connection, answers):
        return
    apply_event(connection, sent.id, State.ANSWERED, Event.ANSWER_WITHDRAWN, at=at, detail=f"reply {key}")
    # What a person stated is not logged as a 250: the time of the first one is the time of acceptance.
    for event in _GATEWAY_HAS_IT:
        if any_row(connection, (_events.c.exchange == sent.id) & (_events.c.event == event.value)):
            apply_event(connection, sent.id, State.UNKNOWN, event, at=at, detail="as before that reply")
            return
