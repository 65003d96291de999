"""
Count and list what a report shows, of all parties or of one party alone.

What is read is bounded: numbers are counted in the database, and a list has its first items and how many there are.

Never does: write, or read anything of another party for the report of one.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final, Generic, TypeVar, final

import attrs
import sqlalchemy as sa

from htpoort.core.envelope import RoutingEnvelope
from htpoort.core.errors import InputError, Problem
from htpoort.core.exchange import State
from htpoort.core.text import ascii_lower
from htpoort.ledger import _schema
from htpoort.ledger._connection import LedgerPart, reads, streams
from htpoort.ledger._lists import NOT_SENT_REPLIES
from htpoort.ledger._queueing import exchange_of
from htpoort.ledger._received import HELD_MESSAGE, message_of, of_party
from htpoort.ledger.records import Exchange, QuarantinedMessage, QuarantineState, Status

__all__ = ["Excerpt", "FailingDelivery", "Reports", "TrafficCount"]

T = TypeVar("T")

_exchanges: Final = _schema.exchanges
_replies: Final = _schema.replies
_quarantine: Final = _schema.quarantine

_NOT_TAKEN: Final = tuple(
    state.value for state in State if state.is_open and state not in {State.ACCEPTED, State.UNKNOWN}
)
"""The open states of a declaration that no mail server has taken; `Exchanges.unanswered` lists the others."""
_HELD: Final = _quarantine.c.state == QuarantineState.HELD.value
_GROUP: Final = 500
"""References of one query, and rows of one answer."""


@final
@attrs.frozen(kw_only=True)
class Excerpt(Generic[T]):
    """
    The beginning of a list.

    Args:
        items: What is first in it.
        total: How many items the whole list has.
    """

    items: tuple[T, ...] = ()
    total: int = 0

    @property
    def rest(self) -> int:
        """How many items are not among the first."""
        return self.total - len(self.items)


@final
@attrs.frozen(kw_only=True)
class TrafficCount:
    """
    How many exchanges of a system were queued in a part of a period, by the state that they have now.

    Args:
        system: The system.
        state: Their state.
        start: When the part begins.
        number: How many.
    """

    system: str
    state: State
    start: datetime
    number: int


@final
@attrs.frozen(kw_only=True)
class FailingDelivery:
    """
    A reply whose last delivery failed, without its message.

    Args:
        key: Its number.
        system: The system that it comes from.
        party: The declarant that it is for.
        reference: K.
        received: When it first came.
        attempts: How often its delivery was begun.
        due: When it is delivered again.
        trouble: Why the last delivery failed.
    """

    key: int
    system: str
    party: str
    reference: str
    received: datetime
    attempts: int
    due: datetime
    trouble: str


@final
class Reports(LedgerPart):
    """
    What a report shows; available as ``ledger.reports``.

    A *party* is V, in any case. Without it, everything in the ledger counts, also what is of parties that are no longer
    in the configuration.
    """

    @streams
    def traffic(
        self,
        connection: sa.Connection,
        *,
        since: datetime,
        until: datetime,
        unit: timedelta = timedelta(hours=1),
        party: str | None = None,
    ) -> Iterator[TrafficCount]:
        """
        Count the exchanges of a period by the time at which they were queued, in the database.

        Args:
            since: The first moment, aware.
            until: The first moment after, aware.
            unit: How long each part of the period is; parts begin at multiples of it since 1970, in UTC.
            party: Only this party.

        Returns:
            The numbers by part, system and state, without those that are 0, in no order; read as you iterate.

        Raises:
            InputError: *unit* is not a number of seconds above 0, or a moment is naive.
            LedgerError: The ledger could not be read.
        """
        seconds, rest = divmod(unit, timedelta(seconds=1))
        if seconds < 1 or rest:
            raise InputError("", (Problem("input.value", f"unit is {unit}; give a number of seconds above 0."),))
        # As a literal: PostgreSQL takes a parameter in two places for two values, which need not be the same.
        length = sa.literal_column(str(seconds * 1_000_000), sa.BigInteger)
        part = (sa.type_coerce(_exchanges.c.created, sa.BigInteger) // length).label("part")
        query = (
            sa
            .select(_exchanges.c.system, _exchanges.c.state, part, sa.func.count().label("number"))
            .where(_exchanges.c.created >= since, _exchanges.c.created < until, *_of(party))
            .group_by(_exchanges.c.system, _exchanges.c.state, part)
        )
        for row in connection.execution_options(yield_per=_GROUP).execute(query):
            start = _schema.EPOCH + unit * row.part
            yield TrafficCount(system=row.system, state=State(row.state), start=start, number=row.number)

    @reads
    def status(self, connection: sa.Connection, party: str) -> Status:
        """
        Count what is in the ledger of one party, as `Ledger.status` does for all.

        Args:
            party: The party.

        Returns:
            Its counts; *quarantined* has what `quarantined` lists.

        Raises:
            LedgerError: The ledger could not be read.
        """
        counted = (
            sa
            .select(
                _exchanges.c.system,
                _exchanges.c.state,
                sa.func.count().label("number"),
                sa.func.min(_exchanges.c.created).label("oldest"),
            )
            .where(*_of(party))
            .group_by(_exchanges.c.system, _exchanges.c.state)
        )
        exchanges: dict[tuple[str, State], int] = {}
        oldest: dict[str, datetime] = {}
        for row in connection.execute(counted):
            state = State(row.state)
            exchanges[row.system, state] = row.number
            if state.is_open:
                oldest[row.system] = min(row.oldest, oldest.get(row.system, row.oldest))
        waiting = (
            sa
            .select(_replies.c.system, sa.func.count().label("number"))
            .where(_replies.c.delivered.is_(None), of_party(party))
            .group_by(_replies.c.system)
        )
        early = NOT_SENT_REPLIES.with_only_columns(sa.func.count(_replies.c.exchange.distinct())).where(*_of(party))
        return Status(
            exchanges=exchanges,
            oldest=oldest,
            undelivered={row.system: row.number for row in connection.execute(waiting)},
            quarantined=sum(1 for _ in _addressed_to(connection, party)),
            not_sent_replies=connection.execute(early).scalar_one(),
        )

    @reads
    def not_taken(self, connection: sa.Connection, *, most: int, party: str | None = None) -> Excerpt[Exchange]:
        """
        List open declarations that no mail server has taken: they wait, are held, or were refused.

        Args:
            most: The largest number to list.
            party: Only this party.

        Returns:
            Those that were queued first, and how many there are.

        Raises:
            LedgerError: The ledger could not be read.
        """
        matches = sa.and_(_exchanges.c.state.in_(_NOT_TAKEN), *_of(party))
        query = sa.select(_exchanges).where(matches).order_by(_exchanges.c.created, _exchanges.c.id).limit(most)
        items = tuple(map(exchange_of, connection.execute(query)))
        return Excerpt(items=items, total=_count(connection, _exchanges, matches))

    @reads
    def failing_deliveries(
        self, connection: sa.Connection, *, most: int, party: str | None = None
    ) -> Excerpt[FailingDelivery]:
        """
        List the replies whose last delivery failed.

        Args:
            most: The largest number to list.
            party: Only replies for this party.

        Returns:
            Those that came first, without their messages, and how many there are.

        Raises:
            LedgerError: The ledger could not be read.
        """
        matches = sa.and_(_replies.c.delivered.is_(None), _replies.c.trouble.is_not(None))
        if party is not None:
            matches = sa.and_(matches, of_party(party))
        query = sa.select(_replies).where(matches).order_by(_replies.c.id).limit(most)
        items = tuple(
            FailingDelivery(
                key=row.id,
                system=row.system,
                party=row.party,
                reference=row.reference,
                received=row.received,
                attempts=row.attempts,
                due=row.due,
                trouble=row.trouble,
            )
            for row in connection.execute(query)
        )
        return Excerpt(items=items, total=_count(connection, _replies, matches))

    @reads
    def quarantined(
        self, connection: sa.Connection, *, most: int, party: str | None = None
    ) -> Excerpt[QuarantinedMessage]:
        """
        List the messages in quarantine that need a decision.

        Args:
            most: The largest number to list.
            party: Only messages that are addressed to this party, and whose K is not another party's alone.

        Returns:
            Those that came first, and how many there are.

        Raises:
            LedgerError: The ledger could not be read.
        """
        query = HELD_MESSAGE.order_by(_quarantine.c.id)
        if party is None:
            items = tuple(map(message_of, connection.execute(query.where(_HELD).limit(most))))
            return Excerpt(items=items, total=_count(connection, _quarantine, _HELD))
        keys = _addressed_to(connection, party)
        first = list(itertools.islice(keys, most))
        rows = [connection.execute(query.where(_quarantine.c.id == key)).one() for key in first]
        return Excerpt(items=tuple(map(message_of, rows)), total=len(first) + sum(1 for _ in keys))


def _of(party: str | None) -> Iterator[sa.ColumnElement[bool]]:
    if party is not None:
        yield _exchanges.c.party_key == party.lower()


def _count(connection: sa.Connection, table: sa.Table, condition: sa.ColumnElement[bool]) -> int:
    number: int = connection.execute(sa.select(sa.func.count()).select_from(table).where(condition)).scalar_one()
    return number


def _addressed_to(connection: sa.Connection, party: str) -> Iterator[int]:
    """
    Find the messages in quarantine for a party, oldest first; yields their numbers.

    One whose K only another party has used may be that party's reply, with a wrong addressee.
    """
    # The stored envelope is canonical, and no value in it has a bracket.
    addressee = sa.func.lower(_quarantine.c.subject).contains(f"[a={ascii_lower(party)}]", autoescape=True)
    query = sa.select(_quarantine.c.id, _quarantine.c.subject).where(_HELD, addressee).order_by(_quarantine.c.id)
    for rows in connection.execution_options(yield_per=_GROUP).execute(query).partitions():
        envelopes = ((row.id, RoutingEnvelope.find(row.subject)) for row in rows)
        references = {key: envelope.reference for key, envelope in envelopes if envelope is not None}
        strange = _of_others(connection, party, list(references.values()))
        yield from (key for key, reference in references.items() if reference not in strange)


def _of_others(connection: sa.Connection, party: str, references: Sequence[str]) -> set[str]:
    """Find the references that other parties have used, and this one has not."""
    query = sa.select(_exchanges.c.reference, _exchanges.c.party_key).where(_exchanges.c.reference.in_(references))
    used: list[tuple[str, str]] = [(row.reference, row.party_key) for row in connection.execute(query)]
    own = {reference for reference, key in used if key == party.lower()}
    return {reference for reference, _ in used} - own
