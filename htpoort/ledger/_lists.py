"""
List exchanges: by state, with their messages, unanswered, needing attention, with their shadows.

Never does: write.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa

from htpoort.core.exchange import Event, State
from htpoort.core.notices.consequences import RecoveryAction
from htpoort.core.party import PartyId
from htpoort.ledger import _queueing, _schema
from htpoort.ledger._connection import LedgerPart, reads, streams
from htpoort.ledger._queueing import exchange_of
from htpoort.ledger.records import Exchange, Shadow, Unanswered

_exchanges: Final = _schema.exchanges
_messages: Final = _schema.messages
_replies: Final = _schema.replies
_events: Final = _schema.events
_recoveries: Final = _schema.recoveries
_OPEN_WITH_NOT_SENT_REPLY: Final = sa.and_(
    # The same text as the condition of the index, so that it is used.
    sa.text("htpoort_replies.correlation = 'not-sent'"),
    _exchanges.c.state.not_in([state.value for state in State if not state.is_open]),
)
NOT_SENT_REPLIES: Final = (
    sa
    .select(_replies.c.exchange)
    .join(_exchanges, _exchanges.c.id == _replies.c.exchange)
    .where(_OPEN_WITH_NOT_SENT_REPLY)
)
"""The open exchanges with a reply that cannot be an answer."""
_ATTENTION: Final = [state.value for state in State if state.needs_attention]
_UNANSWERED: Final = [State.ACCEPTED.value, State.UNKNOWN.value]


def _of_log(column: sa.Column[Any], *conditions: sa.ColumnElement[bool], last: bool) -> sa.ScalarSelect[Any]:
    """Select a column of the first or the last event of an exchange that matches some conditions."""
    order = _events.c.id.desc() if last else _events.c.id
    query = sa.select(column).where(_events.c.exchange == _exchanges.c.id, *conditions).order_by(order).limit(1)
    return query.correlate(_exchanges).scalar_subquery()


# What a person did later changes the state, and none of this: the log has it as it happened.
_ACCEPTED_AT: Final = _of_log(_events.c.at, _events.c.event == Event.ACCEPTED.value, last=False)
_LOST: Final = _of_log(
    _events.c.id,
    _events.c.event == Event.OUTCOME_UNKNOWN.value,
    # The late outcome of an earlier attempt has the state that it left unchanged.
    _events.c.state == State.UNKNOWN.value,
    last=True,
)
_LOST_ATTEMPT_AT: Final = _of_log(
    # Not the end: that a worker was lost is noticed late.
    _events.c.at,
    _events.c.event == Event.ATTEMPT_STARTED.value,
    _events.c.id < _LOST,
    last=True,
)
_MAYBE_ACCEPTED_AT: Final = sa.func.coalesce(_ACCEPTED_AT, _LOST_ATTEMPT_AT, type_=_schema.Moment)
UNANSWERED_SINCE: Final = sa.func.coalesce(_MAYBE_ACCEPTED_AT, _exchanges.c.changed, type_=_schema.Moment)
_REPORTED: Final = (
    sa
    .exists()
    .where(_recoveries.c.exchange == _exchanges.c.id, _recoveries.c.action == RecoveryAction.REPORT.value)
    .correlate(_exchanges)
)
_UNANSWERED_COLUMNS: Final = (
    _MAYBE_ACCEPTED_AT.label("accepted"),
    UNANSWERED_SINCE.label("since"),
    _REPORTED.label("reported"),
)
UNANSWERED_SINCE_OF: Final = (
    sa.select(UNANSWERED_SINCE).select_from(_exchanges).where(_exchanges.c.id == sa.bindparam("key"))
)


class ExchangeLists(LedgerPart):
    """The reading methods of `htpoort.ledger.Exchanges`."""

    @reads
    def find(self, connection: sa.Connection, reference: str, *, party: str) -> Exchange | None:
        """
        Find an exchange.

        Args:
            reference: K; compared exactly.
            party: V; compared without regard to case.

        Returns:
            The exchange, or None.

        Raises:
            LedgerError: The ledger could not be read.
        """
        row = connection.execute(_queueing.BY_K, {"party_key": party.lower(), "reference": reference}).first()
        return None if row is None else exchange_of(row)

    @streams
    def listed(
        self,
        connection: sa.Connection,
        *states: State,
        system: str | None = None,
        party: str | None = None,
        since: datetime | None = None,
    ) -> Iterator[Exchange]:
        """
        List exchanges, oldest first.

        Args:
            states: Only these states; all if none is given.
            system: Only this system.
            party: Only this party (V), in any case.
            since: Only those that were queued at this moment or later.

        Returns:
            The exchanges, read as you iterate.

        Raises:
            LedgerError: The ledger could not be read.
        """
        query = sa.select(_exchanges).order_by(_exchanges.c.id)
        if states:
            query = query.where(_exchanges.c.state.in_([state.value for state in states]))
        query = query.where(*_of(system, party))
        if since is not None:
            query = query.where(_exchanges.c.created >= since)
        yield from _streamed(connection, query)

    @streams
    def messages(self, connection: sa.Connection, *states: State) -> Iterator[tuple[Exchange, bytes | None]]:
        """
        List exchanges with their messages, oldest first.

        Args:
            states: Only these states; all if none is given.

        Returns:
            Each exchange with the message as it was queued, or None if that was pruned; read as you iterate.

        Raises:
            LedgerError: The ledger could not be read.
        """
        query = (
            sa
            .select(_exchanges, _messages.c.raw)
            .outerjoin(_messages, _messages.c.id == _exchanges.c.message)
            .order_by(_exchanges.c.id)
        )
        if states:
            # Keys first, so that they are sorted and not the messages.
            keys = sa.select(_exchanges.c.id).where(_exchanges.c.state.in_([state.value for state in states]))
            query = query.where(_exchanges.c.id.in_(keys))
        for row in connection.execution_options(yield_per=100).execute(query):
            yield exchange_of(row), row.raw

    @streams
    def unanswered(
        self,
        connection: sa.Connection,
        *,
        before: datetime | None = None,
        system: str | None = None,
        party: str | None = None,
    ) -> Iterator[Unanswered]:
        """
        List declarations that Customs has or may have, and did not reply to; those first that were queued first.

        These are the exchanges in the states *accepted* and *unknown*. The others have a reply or are closed, wait to
        be sent, or were certainly not taken by the mail server.

        Args:
            before: Only those that were accepted, or may have been, before this moment.
            system: Only this system.
            party: Only this party (V), in any case.

        Returns:
            The exchanges, each with the time of its acceptance; read as you iterate.

        Raises:
            LedgerError: The ledger could not be read.
        """
        query = (
            sa
            .select(_exchanges, *_UNANSWERED_COLUMNS)
            .where(_exchanges.c.state.in_(_UNANSWERED), *_of(system, party))
            .order_by(_exchanges.c.id)
        )
        if before is not None:
            query = query.where(before > UNANSWERED_SINCE)
        for row in connection.execution_options(yield_per=500).execute(query):
            yield _unanswered_of(row)

    @reads
    def oldest_unanswered(
        self, connection: sa.Connection, system: str, *, until: datetime, party: str | None = None
    ) -> tuple[int, Unanswered | None]:
        """
        Count the declarations to a system that have no reply, in one query.

        Args:
            system: The system.
            until: Only those that were accepted, or may have been, at this moment or before.
            party: Only this party (V), in any case.

        Returns:
            How many there are, and the one that was queued first; as in `unanswered`, without those that are reported.

        Raises:
            LedgerError: The ledger could not be read.
        """
        matches = (
            *_of(system, party),
            _exchanges.c.state.in_(_UNANSWERED),
            # The index has this one, so that younger ones are not looked up in the log.
            _exchanges.c.created <= until,
            until >= UNANSWERED_SINCE,
            ~_REPORTED,
        )
        of_those = sa.select(sa.func.count().label("number"), sa.func.min(_exchanges.c.id).label("first"))
        found = of_those.where(*matches).subquery()
        query = sa.select(found.c.number, _exchanges, *_UNANSWERED_COLUMNS).join(
            _exchanges, _exchanges.c.id == found.c.first
        )
        row = connection.execute(query).first()
        return (0, None) if row is None else (row.number, _unanswered_of(row))

    @reads
    def with_business_reference(
        self, connection: sa.Connection, business_reference: str, *, party: str
    ) -> tuple[Exchange, ...]:
        """
        Find the declarations of a party that were queued with an LRN, those first that were queued first.

        Args:
            business_reference: The declarant's own reference.
            party: V, in any case.

        Raises:
            LedgerError: The ledger could not be read.
        """
        query = sa.select(_exchanges).where(
            _exchanges.c.party_key == party.lower(), _exchanges.c.business_reference == business_reference
        )
        return tuple(map(exchange_of, connection.execute(query.order_by(_exchanges.c.id))))

    @reads
    def needing_attention(self, connection: sa.Connection, *, most: int) -> list[Exchange]:
        """
        List the exchanges that go no further by themselves, in the states *unknown*, *refused* and *failed*.

        Args:
            most: The largest number to list.

        Returns:
            The exchanges, those first that were queued first.

        Raises:
            LedgerError: The ledger could not be read.
        """
        groups = sa.select(_exchanges.c.system, _exchanges.c.state).where(_exchanges.c.state.in_(_ATTENTION)).distinct()
        # Only the oldest of each group are read, however many there are.
        rows = [row for system, state in connection.execute(groups) for row in _oldest(connection, system, state, most)]
        rows.sort(key=lambda row: (row.created, row.id))
        return [exchange_of(row) for row in rows[:most]]

    @reads
    def oldest(
        self, connection: sa.Connection, system: str, state: State, *, most: int, party: str | None = None
    ) -> list[Exchange]:
        """
        List the exchanges of a system and a state that were queued first; no others are read.

        Args:
            system: The name of the system.
            state: The state.
            most: The largest number to list.
            party: Only this party (V), in any case.

        Returns:
            The exchanges in the order in which they were queued.

        Raises:
            LedgerError: The ledger could not be read.
        """
        return [exchange_of(row) for row in _oldest(connection, system, state.value, most, party)]

    @reads
    def with_not_sent_replies(
        self, connection: sa.Connection, *, most: int, party: str | None = None
    ) -> list[Exchange]:
        """
        List open exchanges with a reply that cannot be an answer, because no attempt got as far as the content.

        Args:
            most: The largest number to list.
            party: Only this party (V), in any case.

        Returns:
            The exchanges that are neither answered nor closed, those first that were queued first.

        Raises:
            LedgerError: The ledger could not be read.
        """
        query = sa.select(_exchanges).where(_exchanges.c.id.in_(NOT_SENT_REPLIES), *_of(None, party))
        rows = connection.execute(query.order_by(_exchanges.c.created, _exchanges.c.id).limit(most))
        return [exchange_of(row) for row in rows]

    @streams
    def shadows(self, connection: sa.Connection, parties: Iterable[PartyId | str] | None = None) -> Iterator[Shadow]:
        """
        List exchanges that have a shadow, oldest first.

        Args:
            parties: Only these parties, in any case; all if not given. More than 500 parties are read in groups of 500.

        Returns:
            Both messages of each exchange, read as you iterate.

        Raises:
            LedgerError: The ledger could not be read.
        """
        yield from _queueing.shadows(connection, None if parties is None else map(str, parties))


def _unanswered_of(row: sa.Row[Any]) -> Unanswered:
    accepted = row.accepted if row.state == State.ACCEPTED.value else None
    return Unanswered(exchange=exchange_of(row), accepted=accepted, since=row.since, reported=row.reported)


def _of(system: str | None, party: str | None) -> Iterator[sa.ColumnElement[bool]]:
    """List the conditions for exchanges of a system and of a party; None selects all."""
    if system is not None:
        yield _exchanges.c.system == system
    if party is not None:
        yield _exchanges.c.party_key == party.lower()


def _streamed(connection: sa.Connection, query: sa.Select[Any]) -> Iterator[Exchange]:
    for row in connection.execution_options(yield_per=500).execute(query):
        yield exchange_of(row)


def _oldest(
    connection: sa.Connection, system: str, state: str, most: int, party: str | None = None
) -> list[sa.Row[Any]]:
    """Read the rows of a system and a state that were queued first, by the index of the status, or of a party."""
    matches = sa.and_(_exchanges.c.state == state, *_of(system, party))
    query = sa.select(_exchanges).where(matches).order_by(_exchanges.c.created, _exchanges.c.id)
    return list(connection.execute(query.limit(most)))
