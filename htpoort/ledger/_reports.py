"""
Ask the ledger: status, stories, lists, what may be pruned.

Never does: write, but for pruning.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Final

import sqlalchemy as sa

from htpoort.errors import InputError, Problem, UnknownError
from htpoort.exchange import Event, State
from htpoort.ledger import _inbox, _outbox, _schema
from htpoort.ledger._prepared import Prepared
from htpoort.ledger.records import Entry, Exchange, Held, HeldState, HeldSummary, Reply, Status, Story
from htpoort.routing import SentRecord

_exchanges: Final = _schema.exchanges
_replies: Final = _schema.replies
_strangers: Final = _schema.quarantine
_events: Final = _schema.events
_shadows: Final = _schema.shadows

_told: Final = tuple(column for column in _exchanges.c if column.name != "raw")
_SENT: Final = Prepared(
    sa.select(_exchanges.c.system, _exchanges.c.party).where(_exchanges.c.reference == sa.bindparam("reference"))
)

# The log tells of each reply that came, also of a copy: of an answer its exchange, of all others the reply itself.
# A copy may outlive the reply that it repeats; it may be of any system then.
_of_system: Final = sa.func.coalesce(_exchanges.c.system, _replies.c.system)
_LAST_REPLY: Final = (
    sa
    .select(sa.func.max(_events.c.at))
    .select_from(_events)
    .outerjoin(_exchanges, _exchanges.c.id == _events.c.exchange)
    .outerjoin(_replies, _replies.c.id == _events.c.reply)
    .where(
        _events.c.event.in_((Event.REPLY_RECEIVED.value, Event.EARLY_REPLY_RECEIVED.value, "reply-repeated")),
        _events.c.at > sa.bindparam("after"),
        sa.or_(_of_system == sa.bindparam("system"), _of_system.is_(None)),
    )
)

_OVER: Final = (State.ANSWERED.value, State.CLOSED.value)
"""Exchanges that may be pruned; the others wait for somebody."""
_EARLY: Final = _replies.join(_exchanges, _exchanges.c.id == _replies.c.exchange)
_EARLY_OPEN: Final = sa.and_(
    # In the words of the index, which holds these few alone.
    sa.text("htpoort_replies.correlation = 'not-sent'"),
    _exchanges.c.state.not_in(_OVER),
)


def sent(connection: sa.Connection, reference: str) -> list[SentRecord]:
    """Say what was queued under a K, for the router."""
    rows = _SENT.rows(connection, {"reference": reference})
    return [SentRecord(system=system, party=party, reference=reference) for system, party in rows]


def status(connection: sa.Connection) -> Status:
    """Count what is there, each by an index alone."""
    # One look for both: of all states, because "none of these two" would have to read them all once more.
    counted = sa.select(
        _exchanges.c.system,
        _exchanges.c.state,
        sa.func.count().label("number"),
        # min() gives the number that is stored; the type gives it back as a moment.
        sa.func.min(_exchanges.c.created).label("oldest"),
    ).group_by(_exchanges.c.system, _exchanges.c.state)
    exchanges: dict[tuple[str, State], int] = {}
    oldest: dict[str, datetime] = {}
    for row in connection.execute(counted):
        exchanges[row.system, State(row.state)] = row.number
        if row.state not in _OVER:
            oldest[row.system] = min(row.oldest, oldest.get(row.system, row.oldest))
    waiting = sa.select(_replies.c.system, sa.func.count().label("number")).where(_replies.c.delivered.is_(None))
    early = sa.select(sa.func.count(_replies.c.exchange.distinct())).select_from(_EARLY).where(_EARLY_OPEN)
    held = sa.select(sa.func.count()).where(_strangers.c.state == HeldState.HELD.value)
    return Status(
        exchanges=exchanges,
        oldest=oldest,
        undelivered={row.system: row.number for row in connection.execute(waiting.group_by(_replies.c.system))},
        quarantined=connection.execute(held).scalar_one(),
        early=connection.execute(early).scalar_one(),
    )


def last_reply(connection: sa.Connection, system: str, after: datetime) -> datetime | None:
    """Tell when a system last replied to anybody; only what was logged since then is read."""
    at: datetime | None = connection.execute(_LAST_REPLY, {"system": system, "after": after}).scalar_one()
    return at


def story(connection: sa.Connection, party: str | None, reference: str) -> tuple[Story, ...]:
    """
    Tell everything about a K: each exchange, then the replies that answer none.

    Raises:
        UnknownError: No exchange and no reply has this K.
    """
    # Replies first: the exchange of each is there then, whatever another machine adds meanwhile.
    came = sa.select(_replies).where(_replies.c.reference == reference).order_by(_replies.c.id)
    replies = [_inbox.reply_of(row) for row in connection.execute(came)]
    query = sa.select(*_told).where(_exchanges.c.reference == reference).order_by(_exchanges.c.id)
    exchanges = [_outbox.exchange_of(row) for row in connection.execute(query)]
    alone: dict[tuple[str, str], list[Reply]] = {}
    for reply in replies:
        if reply.exchange is None:
            alone.setdefault((reply.party, reply.system), []).append(reply)
    found: list[tuple[str, Exchange | None, list[Reply]]] = [
        (one.party, one, [reply for reply in replies if reply.exchange == one.key]) for one in exchanges
    ]
    found += [(of, None, those) for (of, _), those in alone.items()]
    wanted = [one for one in found if party is None or one[0].lower() == party.lower()]
    if not wanted:
        raise UnknownError(reference, ())
    return tuple(_story(connection, exchange, those) for _, exchange, those in wanted)


def _story(connection: sa.Connection, exchange: Exchange | None, replies: list[Reply]) -> Story:
    # Of a copy, and where there is no exchange, the log names the reply alone.
    of_replies = _events.c.reply.in_([reply.key for reply in replies])
    of = of_replies if exchange is None else of_replies | (_events.c.exchange == exchange.key)
    return Story(exchange=exchange, entries=_entries(connection, of), replies=tuple(replies))


def held_log(connection: sa.Connection, key: int) -> tuple[Entry, ...]:
    """
    Give what happened to a message in quarantine, oldest first.

    Raises:
        UnknownError: There is none of that number.
    """
    _inbox.held(connection, key)
    return _entries(connection, _events.c.quarantine == key)


def _entries(connection: sa.Connection, of: sa.ColumnElement[bool]) -> tuple[Entry, ...]:
    log = sa.select(_events).where(of).order_by(_events.c.id)
    return tuple(
        Entry(at=row.at, event=row.event, state=row.state, detail=row.detail) for row in connection.execute(log)
    )


def exchanges(connection: sa.Connection, states: tuple[State, ...] = ()) -> Iterator[Exchange]:
    """List exchanges, oldest first."""
    query = sa.select(*_told).order_by(_exchanges.c.id)
    if states:
        query = query.where(_exchanges.c.state.in_([state.value for state in states]))
    for row in connection.execution_options(yield_per=500).execute(query):
        yield _outbox.exchange_of(row)


def oldest(connection: sa.Connection, system: str, state: State, most: int) -> list[Exchange]:
    """List those of a system and a state that were queued first, by the index of the status."""
    of = sa.and_(_exchanges.c.system == system, _exchanges.c.state == state.value)
    query = sa.select(*_told).where(of).order_by(_exchanges.c.created, _exchanges.c.id).limit(most)
    return [_outbox.exchange_of(row) for row in connection.execute(query)]


def early(connection: sa.Connection, most: int) -> list[Exchange]:
    """List open exchanges with a reply that cannot be an answer, those that were queued first."""
    those = sa.select(_replies.c.exchange).select_from(_EARLY).where(_EARLY_OPEN)
    query = sa.select(*_told).where(_exchanges.c.id.in_(those)).order_by(_exchanges.c.created, _exchanges.c.id)
    return [_outbox.exchange_of(row) for row in connection.execute(query.limit(most))]


def messages(connection: sa.Connection, states: tuple[State, ...] = ()) -> Iterator[tuple[Exchange, bytes | None]]:
    """List exchanges with their messages, oldest first."""
    query = sa.select(_exchanges).order_by(_exchanges.c.id)
    if states:
        # Keys first: they are sorted then, and not the messages.
        those = sa.select(_exchanges.c.id).where(_exchanges.c.state.in_([state.value for state in states]))
        query = query.where(_exchanges.c.id.in_(those))
    for row in connection.execution_options(yield_per=100).execute(query):
        yield _outbox.exchange_of(row), row.raw or None


def replies(connection: sa.Connection) -> Iterator[Reply]:
    """List replies, oldest first."""
    for row in connection.execution_options(yield_per=100).execute(sa.select(_replies).order_by(_replies.c.id)):
        yield _inbox.reply_of(row)


def quarantine(connection: sa.Connection, state: HeldState | None) -> Iterator[Held]:
    """List the quarantine, oldest first; one by one, because nobody knows how large what strangers send is."""
    query = sa.select(_strangers).order_by(_strangers.c.id)
    if state is not None:
        query = query.where(_strangers.c.state == state.value)
    for row in connection.execution_options(yield_per=1).execute(query):
        yield _inbox.held_of(row)


def held_summaries(connection: sa.Connection, state: HeldState | None) -> Iterator[HeldSummary]:
    """List the quarantine without the messages, oldest first; the database knows their lengths without reading them."""
    rest = [column for column in _strangers.c if column.name != "raw"]
    columns = (*rest, sa.func.length(_strangers.c.raw).label("octets"))
    query = sa.select(*columns).order_by(_strangers.c.id)
    if state is not None:
        query = query.where(_strangers.c.state == state.value)
    for row in connection.execution_options(yield_per=500).execute(query):
        yield _inbox.summary_of(row)


def prunable(connection: sa.Connection, before: datetime) -> dict[str, int]:
    """Count what pruning would remove."""
    return {
        name: connection.execute(sa.select(sa.func.count()).select_from(table).where(condition)).scalar_one()
        for name, table, condition in _old(before)
    }


def prune(connection: sa.Connection, before: datetime) -> dict[str, int]:
    """Remove what is over and older; that a K was used is never forgotten."""
    removed: dict[str, int] = {}
    for name, table, condition in _old(before):
        emptied = sa.update(table).where(condition).values(raw=b"")
        removed[name] = connection.execute(
            emptied if table is _exchanges else sa.delete(table).where(condition)
        ).rowcount
    return removed


def _old(before: datetime) -> tuple[tuple[str, sa.Table, sa.ColumnElement[bool]], ...]:
    """Say what is over and older, in the order in which it can be removed."""
    waits = sa.exists().where(_replies.c.exchange == _exchanges.c.id, _replies.c.delivered.is_(None))
    over = sa.and_(_exchanges.c.state.in_(_OVER), _exchanges.c.changed < before, ~waits)
    done = sa.select(_exchanges.c.id).where(over)
    alone = _events.c.exchange.is_(None)
    delivered = sa.and_(_replies.c.delivered.is_not(None), _replies.c.received < before)
    settled = sa.and_(_strangers.c.state != HeldState.HELD.value, _strangers.c.received < before)
    return (
        ("events", _events, sa.and_(_events.c.at < before, alone | _events.c.exchange.in_(done))),
        ("replies", _replies, delivered),
        ("quarantined messages", _strangers, settled),
        ("shadows", _shadows, _shadows.c.exchange.in_(done)),
        ("messages of exchanges", _exchanges, sa.and_(over, sa.func.length(_exchanges.c.raw) > 0)),
    )


def refuse_short(before: datetime, now: datetime, days: int) -> None:
    """
    Refuse to prune what the law may still ask for.

    Raises:
        InputError: *before* is within the retention.
    """
    if (now - before).days < days:
        message = f"Pruning would reach into the last {days} days, which the configuration keeps; choose an older day."
        raise InputError("", (Problem("ledger.retention", message),))
