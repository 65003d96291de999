"""
List what came in: replies, and the messages of the quarantine.

Never does: write.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa

from htpoort.core.errors import InputError, Problem, UnknownError
from htpoort.core.message import header_texts
from htpoort.core.text import ascii_lower
from htpoort.ledger import _schema
from htpoort.ledger._connection import LedgerPart, reads, streams
from htpoort.ledger._statement import log_entries
from htpoort.ledger.records import Entry, LedgerEvent, QuarantinedMessage, QuarantineState, Reply

_messages: Final = _schema.messages
_replies: Final = _schema.replies
_quarantine: Final = _schema.quarantine
_events: Final = _schema.events


# ── replies ──────────────────────────────────────────────────────────────────

WITH_MESSAGE: Final = sa.select(_replies, _messages.c.raw).join(_messages, _messages.c.id == _replies.c.message)
"""Selects what `reply_of` needs."""


def reply_of(row: sa.Row[Any]) -> Reply:
    """Make the record of a row."""
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
        due=max(row.received, row.due),
        delivered=row.delivered,
        attempts=row.attempts,
        trouble=row.trouble or "",
        raw=row.raw,
        redeliveries=row.redeliveries,
    )


def of_party(party: str) -> sa.ColumnElement[bool]:
    """Select the replies for a party, in any case."""
    return sa.func.lower(_replies.c.party) == ascii_lower(party)


def selected(
    *, system: str | None, party: str | None, since: datetime | None, keys: Sequence[int] = ()
) -> Iterator[sa.ColumnElement[bool]]:
    """List the conditions for replies of a system, for a party, from a moment on, or with some numbers."""
    if system is not None:
        yield _replies.c.system == system
    if party is not None:
        yield of_party(party)
    if since is not None:
        yield _replies.c.received >= since
    if keys:
        yield _replies.c.id.in_(keys)


def chosen_by_order(  # noqa: PLR0913 - one argument for each thing that selects
    connection: sa.Connection,
    *,
    system: str | None,
    party: str | None,
    since: datetime | None,
    keys: Sequence[int],
    delivered: bool,
) -> sa.ColumnElement[bool]:
    """
    Select the replies that an order is about.

    Raises:
        InputError: Some numbers are unknown, or all replies that were delivered would be among them.
    """
    if delivered and not keys and since is None:
        message = "keys and since are missing; give one of them, or all replies would be delivered again."
        raise InputError("", (Problem("ledger.which-replies", message),))
    _refuse_unknown(connection, keys)
    return sa.and_(sa.true(), *selected(system=system, party=party, since=since, keys=keys))


def _refuse_unknown(connection: sa.Connection, keys: Sequence[int]) -> None:
    """
    Refuse numbers that no reply has.

    Raises:
        InputError: There are such numbers; the error names them.
    """
    found = connection.execute(sa.select(_replies.c.id).where(_replies.c.id.in_(keys))).scalars() if keys else ()
    if unknown := sorted(set(keys).difference(found)):
        message = (
            f"No reply in this ledger has the number {' or '.join(map(str, unknown))}, so no reply was made due; "
            "htpoort reply list lists them with their numbers as key."
        )
        raise InputError("", (Problem("ledger.unknown-reply", message),))


def due_after(moment: datetime) -> sa.ColumnElement[bool]:
    """Select the replies whose next delivery is later than a moment."""
    return _replies.c.delivered.is_(None) & (_replies.c.due > moment)


class ReplyLists(LedgerPart):
    """The reading methods of `htpoort.ledger.Replies`."""

    @reads
    def get(self, connection: sa.Connection, key: int) -> Reply:
        """
        Read a reply.

        Args:
            key: Its number.

        Returns:
            The reply with its message.

        Raises:
            UnknownError: No reply has this number.
            LedgerError: The ledger could not be read.
        """
        row = connection.execute(WITH_MESSAGE.where(_replies.c.id == key)).first()
        if row is None:
            raise UnknownError("reply", str(key), "the ledger")
        return reply_of(row)

    @streams
    def listed(
        self,
        connection: sa.Connection,
        *,
        system: str | None = None,
        party: str | None = None,
        since: datetime | None = None,
        undelivered: bool = False,
    ) -> Iterator[Reply]:
        """
        List replies with their messages, oldest first.

        Args:
            system: Only replies of this system.
            party: Only replies for this party, in any case.
            since: Only replies that first came at this moment or later.
            undelivered: Only replies that wait for delivery.

        Returns:
            The replies, read as you iterate.

        Raises:
            LedgerError: The ledger could not be read.
        """
        query = WITH_MESSAGE.order_by(_replies.c.id).where(*selected(system=system, party=party, since=since))
        if undelivered:
            query = query.where(_replies.c.delivered.is_(None))
        for row in connection.execution_options(yield_per=100).execute(query):
            yield reply_of(row)

    @streams
    def deliverable_again(  # noqa: PLR0913 - one argument for each thing that selects
        self,
        connection: sa.Connection,
        *,
        at: datetime,
        system: str | None = None,
        party: str | None = None,
        since: datetime | None = None,
        keys: Sequence[int] = (),
        delivered: bool = False,
    ) -> Iterator[Reply]:
        """
        List what `deliver_again_now` would deliver again.

        Args:
            at: Now.
            system: As for `deliver_again_now`, like the others.
            party: Only replies for this party, in any case.
            since: Only replies that first came at this moment or later.
            keys: Only these numbers; all if none is given.
            delivered: Replies that were delivered, too.

        Returns:
            The replies, read as you iterate.

        Raises:
            InputError: As for `deliver_again_now`.
            LedgerError: The ledger could not be read.
        """
        chosen = chosen_by_order(connection, system=system, party=party, since=since, keys=keys, delivered=delivered)
        waiting = due_after(at)
        due = waiting | _replies.c.delivered.is_not(None) if delivered else waiting
        query = WITH_MESSAGE.where(chosen, due).order_by(_replies.c.id)
        for row in connection.execution_options(yield_per=100).execute(query):
            yield reply_of(row)


# ── the quarantine ───────────────────────────────────────────────────────────

_NAMED: Final = 10
"""Numbers of messages that an error names."""
_WITHDRAWN: Final = (LedgerEvent.RELEASE_WITHDRAWN.value, LedgerEvent.DELIVERY_WITHDRAWN.value)
_DELIVERIES: Final = (
    LedgerEvent.DELIVERED.value,
    LedgerEvent.DELIVERY_FAILED.value,
    LedgerEvent.REDELIVERY_ORDERED.value,
)
_HEAD: Final = 65_536  # octets that a header block may have
_WRONG_DELIVERIES: Final = (
    sa
    .select(sa.func.count())
    .where(_events.c.quarantine == _quarantine.c.id, _events.c.event == LedgerEvent.DELIVERY_WITHDRAWN.value)
    .scalar_subquery()
)
HELD_MESSAGE: Final = sa.select(
    _quarantine,
    _WRONG_DELIVERIES.label("wrong_deliveries"),
    sa.func.length(_messages.c.raw).label("octets"),
    sa.func.substr(_messages.c.raw, 1, _HEAD, type_=sa.LargeBinary).label("head"),
).join(_messages, _messages.c.id == _quarantine.c.message)
"""Selects what `message_of` needs."""
MESSAGE_WITH_OCTETS: Final = HELD_MESSAGE.add_columns(_messages.c.raw)


def message_of(row: sa.Row[Any]) -> QuarantinedMessage:
    """Make the record of a row."""
    # SQLite gives NULL for the beginning of an empty message.
    from_text, subject_text = header_texts(row.head or b"", "From", "Subject")
    return QuarantinedMessage(
        key=row.id,
        received=row.received,
        reason=row.reason,
        problems=tuple(row.problems),
        mailbox=row.mailbox,
        from_text=from_text,
        subject=row.subject,
        subject_text=subject_text,
        state=QuarantineState(row.state),
        copies=row.copies,
        octets=row.octets,
        wrong_deliveries=row.wrong_deliveries,
    )


def _in_state(query: sa.Select[Any], state: QuarantineState | None) -> sa.Select[Any]:
    ordered = query.order_by(_quarantine.c.id)
    return ordered if state is None else ordered.where(_quarantine.c.state == state.value)


def message_row(connection: sa.Connection, key: int, query: sa.Select[Any]) -> sa.Row[Any]:
    """
    Find a message in quarantine.

    Raises:
        UnknownError: No message has this number.
    """
    row = connection.execute(query.where(_quarantine.c.id == key)).first()
    if row is None:
        waiting = _quarantine.c.state == QuarantineState.HELD.value
        first = connection.execute(sa.select(_quarantine.c.id).where(waiting).order_by(_quarantine.c.id).limit(_NAMED))
        known = tuple(str(number) for number in first.scalars())
        number = sa.select(sa.func.count()).select_from(_quarantine).where(waiting)
        place = "the quarantine" if known else "the quarantine, where no message needs a decision"
        raise UnknownError("message", str(key), place, known, connection.execute(number).scalar_one() - len(known))
    return row


class QuarantineLists(LedgerPart):
    """The reading methods of `htpoort.ledger.Quarantine`."""

    @streams
    def listed(
        self, connection: sa.Connection, state: QuarantineState | None = QuarantineState.HELD
    ) -> Iterator[QuarantinedMessage]:
        """
        List the quarantine without the messages, oldest first.

        Args:
            state: Only this state; None for all.

        Returns:
            The descriptions of the messages, read as you iterate.

        Raises:
            LedgerError: The ledger could not be read.
        """
        for row in connection.execution_options(yield_per=50).execute(_in_state(HELD_MESSAGE, state)):
            yield message_of(row)

    @streams
    def messages(
        self, connection: sa.Connection, state: QuarantineState | None = QuarantineState.HELD
    ) -> Iterator[tuple[QuarantinedMessage, bytes]]:
        """
        List the quarantine with the messages, oldest first.

        Args:
            state: Only this state; None for all.

        Returns:
            The descriptions with the messages as they came, each of which may be large; read one by one as you iterate.

        Raises:
            LedgerError: The ledger could not be read.
        """
        for row in connection.execution_options(yield_per=1).execute(_in_state(MESSAGE_WITH_OCTETS, state)):
            yield message_of(row), row.raw

    @reads
    def get(self, connection: sa.Connection, key: int) -> QuarantinedMessage:
        """
        Describe a message in quarantine.

        Args:
            key: Its number.

        Returns:
            The description.

        Raises:
            UnknownError: No message has this number.
            LedgerError: The ledger could not be read.
        """
        return message_of(message_row(connection, key, HELD_MESSAGE))

    @reads
    def message(self, connection: sa.Connection, key: int) -> bytes:
        """
        Read a message in quarantine.

        Args:
            key: Its number.

        Returns:
            The message as it came.

        Raises:
            UnknownError: No message has this number.
            LedgerError: The ledger could not be read.
        """
        raw: bytes = message_row(connection, key, MESSAGE_WITH_OCTETS).raw
        return raw

    @reads
    def log(self, connection: sa.Connection, key: int) -> tuple[Entry, ...]:
        """
        List what happened to a message in quarantine: when it came, what a person decided, and why.

        Of a reply that it was until its release was taken back, the deliveries are in it, too.

        Args:
            key: Its number.

        Returns:
            The entries of the log, oldest first.

        Raises:
            UnknownError: No message has this number.
            LedgerError: The ledger could not be read.
        """
        message_row(connection, key, HELD_MESSAGE)
        withdrawn = sa.select(_events.c.reply).where(_events.c.quarantine == key, _events.c.event.in_(_WITHDRAWN))
        # A reply that also came by itself is still there, and has its own story.
        gone = _events.c.reply.in_(withdrawn) & ~sa.exists().where(_replies.c.id == _events.c.reply)
        deliveries = gone & _events.c.event.in_(_DELIVERIES)
        return log_entries(connection, (_events.c.quarantine == key) | deliveries)
