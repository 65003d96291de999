"""
Answer questions about the whole ledger: what is in it, what happened to a K, how parties and systems are doing.

Never does: write, except for pruning.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

import attrs
import sqlalchemy as sa

from htpoort.core.cutover import QUIET_DAYS, OldSystemFacts, PartyTotals
from htpoort.core.errors import InputError, Problem, UnknownError
from htpoort.core.exchange import Event, State
from htpoort.core.party import PartyId, read_parties
from htpoort.core.routing import SentRecord
from htpoort.ledger import _schema
from htpoort.ledger._connection import LedgerPart, reads, soon, writes
from htpoort.ledger._lists import NOT_SENT_REPLIES
from htpoort.ledger._queueing import exchange_of, in_groups, sent_records
from htpoort.ledger._received import WITH_MESSAGE, reply_of
from htpoort.ledger._statement import entry_of, log_entries
from htpoort.ledger.records import Entry, Exchange, LedgerEvent, QuarantineState, Reply, Status, Story

_exchanges: Final = _schema.exchanges
_replies: Final = _schema.replies
_quarantine: Final = _schema.quarantine
_events: Final = _schema.events
_shadows: Final = _schema.shadows
_messages: Final = _schema.messages

RETENTION_DAYS: Final = 7 * 365 + 2
"""Days for which nothing is pruned: seven years, with their leap days."""
_FINISHED: Final = [state.value for state in State if not state.is_open]


class Overview(LedgerPart):
    """The reading methods of `htpoort.ledger.Ledger`, and pruning."""

    @reads
    def sent(self, connection: sa.Connection, reference: str) -> list[SentRecord]:
        """
        Find what was queued under a K.

        Args:
            reference: K; compared exactly.

        Returns:
            A record for each party that used it.

        Raises:
            LedgerError: The ledger could not be read.
        """
        return sent_records(connection, reference)

    @reads
    def status(self, connection: sa.Connection) -> Status:
        """
        Count what is in the ledger.

        Returns:
            Counts by system and state, the oldest open exchanges, and what is waiting.

        Raises:
            LedgerError: The ledger could not be read.
        """
        return _status(connection)

    @reads
    def party_totals(
        self, connection: sa.Connection, parties: Iterable[PartyId | str]
    ) -> dict[tuple[str, str], PartyTotals]:
        """
        Summarise what parties have exchanged with systems, for the reports on a move.

        Args:
            parties: The parties, in any case; no others are read.

        Returns:
            The summaries, by V in lower case and the name of the system, of those that have exchanged anything.

        Raises:
            LedgerError: The ledger could not be read.
        """
        return _party_totals(connection, map(str, parties))

    @reads
    def old_system_facts(
        self,
        connection: sa.Connection,
        system: str,
        *,
        parties: Iterable[PartyId | str],
        at: datetime,
        quiet_days: int = QUIET_DAYS,
    ) -> OldSystemFacts:
        """
        Collect what this ledger knows of the old system of a move, for `htpoort.decide_switch_off`.

        Args:
            system: Its name, as in the directory.
            parties: All parties that the program declares for, in any case.
            at: Now, aware.
            quiet_days: Days without a reply after which no more is expected.

        Returns:
            The facts, from the whole ledger.

        Raises:
            InputError: *parties* has values that are not party IDs, each listed; or *at* is naive.
            LedgerError: The ledger could not be read.
        """
        if at.tzinfo is None:
            raise _schema.not_aware("at", at)
        # One str is refused by the reader, as everywhere.
        asked = parties if isinstance(parties, str) else tuple(parties)
        named = read_parties(asked) if asked else ()
        # In this order: what another process writes in between can only add a reason to wait.
        status = _status(connection)
        totals = _party_totals(connection, map(str, named))
        # A moment cannot hold every number of days before now; nothing is older than the epoch.
        quiet_since = at - timedelta(days=quiet_days) if quiet_days < (at - _schema.EPOCH).days else _schema.EPOCH
        last = _last_reply(connection, system, quiet_since)
        known = any(name == system for name, _ in status.exchanges) or last is not None
        return OldSystemFacts(
            system=system,
            at=at,
            quiet_days=quiet_days,
            parties=named,
            totals=totals,
            open=sum(number for (name, state), number in status.exchanges.items() if name == system and state.is_open),
            undelivered=status.undelivered.get(system, 0),
            last_reply=last,
            quarantined=status.quarantined,
            known=known or _last_reply(connection, system, _schema.EPOCH) is not None,
        )

    @reads
    def last_reply(self, connection: sa.Connection, system: str, *, after: datetime) -> datetime | None:
        """
        Find out when a system last replied, to any party; copies of a reply count too.

        Args:
            system: Its name, as in the directory.
            after: Only what came later, aware.

        Returns:
            The moment, or None. A message in quarantine does not count until it is released.

        Raises:
            LedgerError: The ledger could not be read.
        """
        return _last_reply(connection, system, after)

    @reads
    def last_received(self, connection: sa.Connection, *, after: datetime) -> datetime | None:
        """
        Find out when anything last came in: a reply, a copy of one, or a message that was put into quarantine.

        Args:
            after: Only what came later, aware.

        Returns:
            The moment, or None. A release from quarantine does not count, because that message came before.

        Raises:
            LedgerError: The ledger could not be read.
        """
        at: datetime | None = connection.execute(_LAST_RECEIVED, {"after": after}).scalar_one()
        return at

    @reads
    def newest_entry(self, connection: sa.Connection) -> Entry | None:
        """
        Read the newest entry of the log, which is from the future if a clock was ahead.

        Returns:
            The entry; None in a new ledger.

        Raises:
            LedgerError: The ledger could not be read.
        """
        row = connection.execute(sa.select(_events).order_by(_events.c.id.desc()).limit(1)).first()
        return None if row is None else entry_of(row)

    @reads
    def story(self, connection: sa.Connection, reference: str, *, party: str | None = None) -> tuple[Story, ...]:
        """
        Collect everything about a K.

        Args:
            reference: K.
            party: V, in any case; all parties if not given.

        Returns:
            One story for each exchange, then one for each system and party with replies that answer no exchange.

        Raises:
            UnknownError: No exchange and no reply has this K.
            LedgerError: The ledger could not be read.
        """
        # Replies first: whatever another machine adds meanwhile, the exchange of each reply exists then.
        rows = connection.execute(WITH_MESSAGE.where(_replies.c.reference == reference).order_by(_replies.c.id))
        replies = [reply_of(row) for row in rows]
        query = sa.select(_exchanges).where(_exchanges.c.reference == reference).order_by(_exchanges.c.id)
        exchanges = [exchange_of(row) for row in connection.execute(query)]
        unmatched: dict[tuple[str, str], list[Reply]] = {}
        for reply in replies:
            if reply.exchange is None:
                unmatched.setdefault((reply.party, reply.system), []).append(reply)
        stories: list[tuple[str, Exchange | None, list[Reply]]] = [
            (exchange.party, exchange, [reply for reply in replies if reply.exchange == exchange.key])
            for exchange in exchanges
        ]
        stories += [(of, None, those) for (of, _), those in unmatched.items()]
        if party is not None:
            stories = [story for story in stories if story[0].lower() == party.lower()]
        if not stories:
            raise UnknownError("reference", reference, "the ledger" if party is None else f"the ledger for {party}")
        return tuple(_story(connection, exchange, those) for _, exchange, those in stories)

    @reads
    def prunable(
        self, connection: sa.Connection, *, before: datetime, at: datetime, days: int = RETENTION_DAYS
    ) -> dict[str, int]:
        """
        Count what `prune` would delete.

        Args:
            before: Only what ended before this moment.
            at: Now.
            days: The retention period; nothing in it is deleted.

        Returns:
            How many events, replies, quarantined messages, shadows, and messages of exchanges.

        Raises:
            InputError: *before* is within the retention period.
            LedgerError: The ledger could not be read.
        """
        _refuse_recent(before, at, days)
        self._connections.database.lift_time_limit(connection)
        return {
            name: connection.execute(sa.select(sa.func.count()).select_from(table).where(condition)).scalar_one()
            for name, table, condition in _prunable(before)
        }

    @writes
    def prune(
        self, connection: sa.Connection, *, before: datetime, at: datetime, days: int = RETENTION_DAYS
    ) -> dict[str, int]:
        """
        Delete finished exchanges and replies older than the retention period; used references are kept.

        Args:
            before: Only what ended before this moment.
            at: Now.
            days: The retention period; nothing in it is deleted.

        Returns:
            How many events, replies, quarantined messages, shadows, and messages of exchanges were deleted.

        Raises:
            InputError: *before* is within the retention period.
            LedgerError: The ledger could not be written.
        """
        _refuse_recent(before, at, days)
        self._connections.database.lift_time_limit(connection)
        deleted: dict[str, int] = {}
        for name, table, condition in _prunable(before):
            if table is not _events:
                numbers = sa.select(table.c.message).where(condition)
                connection.execute(sa.delete(_messages).where(_messages.c.id.in_(numbers)))
            # An exchange stays, without its message, because its K is used.
            without_message = sa.update(table).where(condition).values(message=None)
            statement = without_message if table is _exchanges else sa.delete(table).where(condition)
            deleted[name] = connection.execute(statement).rowcount
        return deleted

    prune_soon = soon(prune)


# ── status ───────────────────────────────────────────────────────────────────

# The log has each reply that came, also copies: an answer with its exchange, any other reply with itself. A copy may
# outlive the reply that it repeats; then it may be of any system.
_REPLY_CAME: Final = (
    Event.REPLY_RECEIVED.value,
    Event.EARLY_REPLY_RECEIVED.value,
    LedgerEvent.REPLY_REPEATED.value,
)
_LAST_RECEIVED: Final = sa.select(sa.func.max(_events.c.at)).where(
    _events.c.event.in_((*_REPLY_CAME, LedgerEvent.QUARANTINED.value, LedgerEvent.QUARANTINE_REPEATED.value)),
    _events.c.at > sa.bindparam("after"),
    # A release logs the reply at the same moment: a person acted then, and nothing came in.
    _events.c.at.not_in(
        sa.select(_events.c.at).where(
            _events.c.event == LedgerEvent.RELEASED.value, _events.c.at > sa.bindparam("after")
        )
    ),
)
_system: Final = sa.func.coalesce(_exchanges.c.system, _replies.c.system)
_LAST_REPLY: Final = (
    sa
    .select(sa.func.max(_events.c.at))
    .select_from(_events)
    .outerjoin(_exchanges, _exchanges.c.id == _events.c.exchange)
    .outerjoin(_replies, _replies.c.id == _events.c.reply)
    .where(
        _events.c.event.in_(_REPLY_CAME),
        _events.c.at > sa.bindparam("after"),
        sa.or_(_system == sa.bindparam("system"), _system.is_(None)),
    )
)


def _status(connection: sa.Connection) -> Status:
    """Count everything, each by an index alone."""
    # All states at once: another query for the open ones would read the whole index again.
    counted = sa.select(
        _exchanges.c.system,
        _exchanges.c.state,
        sa.func.count().label("number"),
        sa.func.min(_exchanges.c.created).label("oldest"),
    ).group_by(_exchanges.c.system, _exchanges.c.state)
    exchanges: dict[tuple[str, State], int] = {}
    oldest: dict[str, datetime] = {}
    for row in connection.execute(counted):
        state = State(row.state)
        exchanges[row.system, state] = row.number
        if state.is_open:
            oldest[row.system] = min(row.oldest, oldest.get(row.system, row.oldest))
    waiting = sa.select(_replies.c.system, sa.func.count().label("number")).where(_replies.c.delivered.is_(None))
    not_sent = NOT_SENT_REPLIES.with_only_columns(sa.func.count(_replies.c.exchange.distinct()))
    quarantined = sa.select(sa.func.count()).where(_quarantine.c.state == QuarantineState.HELD.value)
    return Status(
        exchanges=exchanges,
        oldest=oldest,
        undelivered={row.system: row.number for row in connection.execute(waiting.group_by(_replies.c.system))},
        quarantined=connection.execute(quarantined).scalar_one(),
        not_sent_replies=connection.execute(not_sent).scalar_one(),
    )


def _last_reply(connection: sa.Connection, system: str, after: datetime) -> datetime | None:
    """Read only what was logged after a moment."""
    at: datetime | None = connection.execute(_LAST_REPLY, {"system": system, "after": after}).scalar_one()
    return at


# ── stories ──────────────────────────────────────────────────────────────────


def _story(connection: sa.Connection, exchange: Exchange | None, replies: list[Reply]) -> Story:
    # Of copies, and if there is no exchange, the log names only the reply.
    of_replies = _events.c.reply.in_([reply.key for reply in replies])
    condition = of_replies if exchange is None else of_replies | (_events.c.exchange == exchange.key)
    return Story(exchange=exchange, entries=log_entries(connection, condition), replies=tuple(replies))


# ── totals ────────────────────────────────────────────────────────────────

_TAKEN: Final = (State.ACCEPTED.value, State.ANSWERED.value, State.UNKNOWN.value)
_open: Final = _exchanges.c.state.not_in(_FINISHED)
_EXCHANGES_OF: Final = (
    sa
    .select(
        _exchanges.c.party_key,
        _exchanges.c.system,
        sa.func.count().filter(_exchanges.c.state.in_(_TAKEN)).label("sent"),
        sa.func.count().filter(_open).label("open"),
        sa.type_coerce(sa.func.min(_exchanges.c.created).filter(_open), _schema.Moment).label("oldest"),
    )
    .where(_exchanges.c.party_key.in_(sa.bindparam("parties", expanding=True)))
    .group_by(_exchanges.c.party_key, _exchanges.c.system)
)
_REPLIES_OF: Final = (
    sa
    .select(
        _replies.c.party,
        _replies.c.system,
        sa.func.count().label("replies"),
        sa.func.max(_replies.c.received).label("last_reply"),
    )
    .where(_replies.c.party.in_(sa.bindparam("parties", expanding=True)))
    .group_by(_replies.c.party, _replies.c.system)
)


def _party_totals(connection: sa.Connection, parties: Iterable[str]) -> dict[tuple[str, str], PartyTotals]:
    # Exchanges have a column for comparing parties; replies are found by the spellings in use.
    spellings = {text for party in parties for text in (party, party.upper(), party.lower())}
    totals: dict[tuple[str, str], PartyTotals] = {}
    for some in in_groups({party.lower() for party in spellings}):
        for row in connection.execute(_EXCHANGES_OF, {"parties": some}):
            totals[row.party_key, row.system] = PartyTotals(sent=row.sent, open=row.open, oldest=row.oldest)
    for some in in_groups(spellings):
        for row in connection.execute(_REPLIES_OF, {"parties": some}):
            key = row.party.lower(), row.system
            before = totals.get(key, PartyTotals())
            last = max(filter(None, (before.last_reply, row.last_reply)))
            totals[key] = attrs.evolve(before, replies=before.replies + row.replies, last_reply=last)
    return totals


# ── pruning ──────────────────────────────────────────────────────────────────


def _refuse_recent(before: datetime, at: datetime, days: int) -> None:
    """
    Refuse to delete what may still be asked for by law.

    Raises:
        InputError: *before* is within the retention period, or a time is naive.
    """
    for name, value in (("before", before), ("at", at)):
        if value.tzinfo is None:
            raise _schema.not_aware(name, value)
    if (at - before).days < days:
        message = f"before is within the last {days} days, which the configuration keeps; give an earlier day."
        raise InputError("", (Problem("ledger.retention", message),))


def _prunable(before: datetime) -> tuple[tuple[str, sa.Table, sa.ColumnElement[bool]], ...]:
    """Select what is finished and older than a moment, in the order in which it can be deleted."""
    waits = sa.exists().where(_replies.c.exchange == _exchanges.c.id, _replies.c.delivered.is_(None))
    finished = sa.and_(_exchanges.c.state.in_(_FINISHED), _exchanges.c.changed < before, ~waits)
    keys = sa.select(_exchanges.c.id).where(finished)
    unmatched = _events.c.exchange.is_(None)
    delivered = sa.and_(_replies.c.delivered.is_not(None), _replies.c.received < before)
    decided = sa.and_(_quarantine.c.state != QuarantineState.HELD.value, _quarantine.c.received < before)
    return (
        ("events", _events, sa.and_(_events.c.at < before, unmatched | _events.c.exchange.in_(keys))),
        ("replies", _replies, delivered),
        ("quarantined messages", _quarantine, decided),
        ("shadows", _shadows, _shadows.c.exchange.in_(keys)),
        ("messages of exchanges", _exchanges, sa.and_(finished, _exchanges.c.message.is_not(None))),
    )
