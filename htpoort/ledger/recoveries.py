"""
Find the exchanges that a notice concerns, and carry out what a person orders for them.

Nothing is sent again without an order, and no order that the notices forbid is carried out, unless it gives a reason.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any, Final, final

import attrs
import sqlalchemy as sa

from htpoort import _clock
from htpoort.core.errors import InputError, Problem
from htpoort.core.exchange import Event, State
from htpoort.core.notices import PlacedWindow, Recovery
from htpoort.core.notices.consequences import (
    RecoveryAction,
    RecoveryRule,
    presumed_rejected,
    recovery_rule,
    sent_in,
)
from htpoort.ledger import _attempts, _queueing, _resubmitting, _schema
from htpoort.ledger._connection import Connections, LedgerPart, reads, soon, writes
from htpoort.ledger._knowledge import Knowledge, NoticeReader
from htpoort.ledger._lists import UNANSWERED_SINCE, UNANSWERED_SINCE_OF
from htpoort.ledger._orders import find_for_order
from htpoort.ledger._queueing import exchange_of, in_groups
from htpoort.ledger._statement import log
from htpoort.ledger.notices import check_reason
from htpoort.ledger.records import Exchange, LedgerEvent, StoredNotice

__all__ = ["Concern", "Recoveries", "RecoveryOrder"]

_exchanges: Final = _schema.exchanges
_recoveries: Final = _schema.recoveries
_SENT: Final = (State.ACCEPTED, State.UNKNOWN)
"""States in which the gateway has the declaration, or may have it."""
_NOT_TAKEN: Final = (State.REFUSED, State.FAILED)
"""States in which it certainly has not."""
_RECOVERABLE: Final = [state.value for state in (*_SENT, *_NOT_TAKEN)]


@final
@attrs.frozen(kw_only=True)
class RecoveryOrder:
    """
    What a person ordered for an exchange because of a notice.

    Args:
        notice: The number of the text that stood then.
        action: The order.
        resubmission: K of the exchange that took its place; None if nothing was sent.
        despite: Why it was ordered although a notice forbids it; None if none did.
        at: When.
        repeated: Whether the same was ordered before. Ignored when records are compared.
    """

    notice: int
    action: RecoveryAction
    resubmission: str | None
    despite: str | None
    at: datetime
    repeated: bool = attrs.field(default=False, eq=False)


@final
@attrs.frozen(kw_only=True)
class Concern:
    """
    An exchange that a notice concerns.

    Args:
        exchange: The exchange.
        sent: When it was accepted, or may have been; if it certainly was not, when that was known.
        window: The period of the notice that it was sent in.
        presumed_rejected: Whether it was sent while everything was rejected, so that no answer will come.
        rule: What the notice says to do, and what may be ordered.
        orders: What was ordered for it, oldest first.
    """

    exchange: Exchange
    sent: datetime
    window: PlacedWindow
    presumed_rejected: bool
    rule: RecoveryRule
    orders: tuple[RecoveryOrder, ...] = ()

    def why_refused(self, action: RecoveryAction, despite: str | None) -> str:
        """Say why an order is refused, and how it can be given all the same; empty if it is not refused."""
        hint = f"Allowed are: {', '.join(self.rule.allowed)}."
        return self.rule.why_refused(action, despite, notice=self.window.notice, hint=hint)


@final
class Recoveries(LedgerPart):
    """
    What follows from notices for exchanges that were sent; available as ``ledger.recoveries``.

    Args:
        connections: The ledger's.
        reader: What was published.
    """

    def __init__(self, connections: Connections, reader: NoticeReader) -> None:
        super().__init__(connections)
        self._reader = reader

    @reads
    def concerned(self, connection: sa.Connection, notice: str, *, at: datetime) -> tuple[Concern, ...]:
        """
        List the exchanges that a notice concerns: those without an answer that were sent in one of its windows.

        Args:
            notice: Its number, or one of its references.
            at: Now.

        Returns:
            The exchanges, those first that were queued first. Those for which the notice was obeyed by a resubmission
            or by closing them are not listed.

        Raises:
            UnknownError: No notice has this number or reference.
            LedgerError: The ledger could not be read.
        """
        knowledge = self._reader.knowledge(connection)
        event = knowledge.events[knowledge.find(notice)[-1].key]
        systems = connection.execute(
            sa.select(_exchanges.c.system).where(_exchanges.c.state.in_(_RECOVERABLE)).distinct()
        ).scalars()
        found = [
            concern for system in systems for concern in _concerns(connection, knowledge, system, event=event, at=at)
        ]
        return tuple(sorted(found, key=lambda concern: concern.exchange.key))

    @reads
    def concern(
        self, connection: sa.Connection, notice: str, reference: str, *, at: datetime, party: str | None = None
    ) -> Concern:
        """
        Describe how a notice concerns one exchange, also if an order closed that one.

        Args:
            notice: The number of the notice, or one of its references.
            reference: K of the exchange.
            at: Now.
            party: V, needed if two parties used this K.

        Returns:
            What is known of it, with the orders.

        Raises:
            UnknownError: No notice has this number, or no exchange this K.
            InputError: The notice does not concern it; the message says why.
            LedgerError: The ledger could not be read.
        """
        knowledge = self._reader.knowledge(connection)
        row = find_for_order(connection, reference, party, lock=False)
        previous = _orders_of(connection, [row.id]).get(row.id, ())
        return _concern_for_order(connection, knowledge, row, knowledge.find(notice)[-1], previous, at=at)

    @reads
    def presumed_rejected(self, connection: sa.Connection, *, at: datetime) -> tuple[Concern, ...]:
        """
        List what was sent while everything was rejected, as far as nothing was ordered for it and no answer came.

        Args:
            at: Now.

        Returns:
            The exchanges, those first that were queued first.

        Raises:
            LedgerError: The ledger could not be read.
        """
        knowledge = self._reader.knowledge(connection)
        if not knowledge.stored:
            return ()
        counted = sa.select(_exchanges.c.system).where(_exchanges.c.state.in_([state.value for state in _SENT]))
        found = [
            concern
            for system in connection.execute(counted.distinct()).scalars()
            for concern in _concerns(connection, knowledge, system, event=None, at=at)
            if concern.presumed_rejected and not concern.orders
        ]
        return tuple(sorted(found, key=lambda concern: concern.exchange.key))

    @writes
    def order(  # noqa: PLR0913 - one argument for each part of the order
        self,
        connection: sa.Connection,
        notice: str,
        action: RecoveryAction,
        reference: str,
        *,
        at: datetime,
        party: str | None = None,
        despite: str | None = None,
        replacement: bytes | None = None,
        business_reference: str | None = None,
        new_reference: str | None = None,
    ) -> RecoveryOrder:
        """
        Carry out what a person orders for an exchange because of a notice.

        Args:
            notice: The number of the notice, or one of its references.
            action: The order.
            reference: K of the exchange.
            at: Now.
            party: V, needed if two parties used this K.
            despite: Why it is ordered although the notices forbid it; None if they do not. If others than *notice*
                forbid it, it must name each of these.
            replacement: For `RecoveryAction.NEW_REFERENCE`: the new declaration.
            business_reference: Its LRN; no other declaration of the party in the ledger may have it.
            new_reference: K of what is sent; by default one that follows from what is sent, so that an order that is
                repeated sends nothing twice.

        Returns:
            The order, with the K of the new exchange if there is one. An order that was carried out before is returned
            with *repeated* set, and nothing happens.

        Raises:
            UnknownError: No notice has this number, or no exchange this K.
            InputError: The notice does not concern the exchange; notices forbid the order, and *despite* is missing or
                about others; something else took its place already; or what the order needs is missing or wrong.
            LedgerError: The ledger could not be written.
        """
        knowledge = self._reader.knowledge(connection)
        text = knowledge.find(notice)[-1]
        row = find_for_order(connection, reference, party)
        previous = _orders_of(connection, [row.id]).get(row.id, ())
        if (same := _same_order(previous, action, text)) is not None:
            _refuse_another(connection, row, same, replacement, business_reference, new_reference)
            return attrs.evolve(same, repeated=True)
        reason = _permitted(_concern_for_order(connection, knowledge, row, text, previous, at=at), action, despite)
        new = None
        if action.sends:
            lrn, submission = _resubmitting.prepared(
                connection, row, text, action, replacement, business_reference, new_reference, at
            )
            new = _queueing.insert(connection, submission, at=at, business_reference=lrn, held=False)
            _resubmitting.refuse_queued_before(connection, row, new)
            if action is RecoveryAction.NEW_REFERENCE:
                _resubmitting.refuse_used_lrn(connection, row, lrn, new.key)
        why = f"; {reason}" if reason else ""
        detail = f"{action.value}{f' as {new.reference}' if new else ''}, notice {text.key}{why}"
        log(connection, at, LedgerEvent.RECOVERY_ORDERED.value, exchange=row.id, state=row.state, detail=detail)
        if action.sends or action is RecoveryAction.INVALIDATED:
            _attempts.apply_event(connection, row.id, State(row.state), Event.CLOSED, at=at, detail=detail)
        values: dict[str, object] = {"exchange": row.id, "notice": text.key, "action": action.value, "despite": reason}
        values |= {"resubmission": None if new is None else new.key, "at": at}
        connection.execute(sa.insert(_recoveries), values)
        return RecoveryOrder(
            notice=text.key,
            action=action,
            resubmission=None if new is None else new.reference,
            despite=reason,
            at=at.astimezone(UTC),
        )

    order_soon = soon(order)

    @reads
    def check_repeated(  # noqa: PLR0913 - as in `order`
        self,
        connection: sa.Connection,
        order: RecoveryOrder,
        exchange: Exchange,
        *,
        replacement: bytes | None = None,
        business_reference: str | None = None,
        new_reference: str | None = None,
    ) -> None:
        """
        Check that an order that was carried out is repeated, and not another one given in its place.

        Args:
            order: What was ordered before.
            exchange: For which exchange.
            replacement: As in `order`; what is None is not compared.
            business_reference: As in `order`.
            new_reference: As in `order`.

        Raises:
            InputError: Another declaration, LRN or K took its place already.
            LedgerError: The ledger could not be read.
        """
        row = find_for_order(connection, exchange.reference, exchange.party, lock=False)
        _refuse_another(connection, row, order, replacement, business_reference, new_reference)

    @reads
    def check_resubmission(  # noqa: PLR0913 - as in `order`
        self,
        connection: sa.Connection,
        notice: StoredNotice,
        action: RecoveryAction,
        exchange: Exchange,
        *,
        at: datetime,
        replacement: bytes | None = None,
        business_reference: str | None = None,
        new_reference: str | None = None,
    ) -> None:
        """
        Check what an order would send, and order nothing; whether the notices allow it is in `Concern.rule`.

        Raises:
            InputError: `order` would refuse it: what it needs is missing or wrong, or its K or LRN is used.
            LedgerError: The ledger could not be read.
        """
        row = find_for_order(connection, exchange.reference, exchange.party, lock=False)
        _resubmitting.check(connection, row, notice, action, replacement, business_reference, new_reference, at)

    @reads
    def orders(self, connection: sa.Connection, exchange: Exchange) -> tuple[RecoveryOrder, ...]:
        """
        List what was ordered for an exchange because of notices.

        Args:
            exchange: The exchange.

        Returns:
            The orders, oldest first.

        Raises:
            LedgerError: The ledger could not be read.
        """
        return _orders_of(connection, [exchange.key]).get(exchange.key, ())


# ── which exchanges ──────────────────────────────────────────────────────────


def _concerns(
    connection: sa.Connection, knowledge: Knowledge, system: str, *, event: str | None, at: datetime
) -> Iterator[Concern]:
    """List what was sent to a system in a window of one event, or of any that rejects."""
    windows = knowledge.windows(system, until=at)
    if event is None:
        concerning = any(presumed_rejected([window], sent=window.opens or at) for window in windows)
    else:
        concerning = any(window.notice == event for window in windows)
    if not concerning:
        return
    query = (
        sa
        .select(_exchanges, UNANSWERED_SINCE.label("since"))
        .where(_exchanges.c.system == system, _exchanges.c.state.in_(_RECOVERABLE))
        .order_by(_exchanges.c.id)
    )
    rows = connection.execute(query).all()
    orders = _orders_of(connection, [row.id for row in rows])
    for row in rows:
        concern = _concern(knowledge, row, row.since, windows, event, orders.get(row.id, ()))
        if concern is not None:
            yield concern


def _concern(  # noqa: PLR0913, PLR0917 - what is known of it
    knowledge: Knowledge,
    row: sa.Row[Any],
    sent: datetime,
    windows: Iterable[PlacedWindow],
    event: str | None,
    orders: tuple[RecoveryOrder, ...],
) -> Concern | None:
    """Describe an exchange, if one of the windows concerns it; those of the event that was asked about come first."""
    those = [window for window in windows if sent_in(window, sent)]
    rejecting = presumed_rejected(those, sent=sent) if State(row.state) in _SENT else None
    if event is None:
        event = None if rejecting is None else rejecting.notice
    asked = [window for window in those if window.notice == event]
    if not asked:
        return None
    ordered = sorted(those, key=lambda window: (window.notice != event, window.window.recovery is Recovery.UNSTATED))
    return Concern(
        exchange=exchange_of(row),
        sent=sent,
        window=ordered[0],
        presumed_rejected=rejecting is not None and rejecting.notice == event,
        rule=recovery_rule(ordered, incomplete=knowledge.unsure, ordered=[order.action for order in orders]),
        orders=orders,
    )


def _orders_of(connection: sa.Connection, keys: Iterable[int]) -> dict[int, tuple[RecoveryOrder, ...]]:
    """Read what was ordered for exchanges, by their numbers."""
    found: dict[int, tuple[RecoveryOrder, ...]] = {}
    query = (
        sa
        .select(_recoveries, _exchanges.c.reference)
        .outerjoin(_exchanges, _exchanges.c.id == _recoveries.c.resubmission)
        .order_by(_recoveries.c.id)
    )
    for some in in_groups({str(key) for key in keys}):
        for row in connection.execute(query.where(_recoveries.c.exchange.in_([int(key) for key in some]))):
            order = RecoveryOrder(
                notice=row.notice,
                action=RecoveryAction(row.action),
                resubmission=row.reference,
                despite=row.despite,
                at=row.at,
            )
            found[row.exchange] = (*found.get(row.exchange, ()), order)
    return found


# ── orders ───────────────────────────────────────────────────────────────────


def _same_order(previous: Iterable[RecoveryOrder], action: RecoveryAction, text: StoredNotice) -> RecoveryOrder | None:
    """Find the same order; if another declaration took the place of this one, nothing may take it again."""
    for order in previous:
        if order.action is action and (order.notice == text.key or order.resubmission is not None):
            return order
        if order.resubmission is not None:
            message = f"{order.resubmission} took its place on {_clock.local(order.at)}; see that one."
            raise InputError("", (Problem("ledger.resubmitted", message),))
    return None


def _refuse_another(  # noqa: PLR0913, PLR0917 - the parts of an order
    connection: sa.Connection,
    row: sa.Row[Any],
    order: RecoveryOrder,
    replacement: bytes | None,
    business_reference: str | None,
    new_reference: str | None,
) -> None:
    """
    Refuse to take what differs from what took the place of an exchange for the same; a part that is None may be so.

    Raises:
        InputError: Another declaration, LRN or K took its place.
    """
    if order.resubmission is None:
        return
    taken = find_for_order(connection, order.resubmission, row.party, lock=False)
    differs: list[str] = []
    if new_reference not in {None, order.resubmission}:
        differs.append(f"K {new_reference}")
    if order.action is RecoveryAction.NEW_REFERENCE:
        if business_reference not in {None, taken.business_reference}:
            differs.append(f"LRN {business_reference} (it has {taken.business_reference})")
        if replacement is not None and not _resubmitting.is_payload(connection, taken, replacement):
            differs.append("another declaration")
    if differs:
        message = (
            f"{order.resubmission} takes its place already, since {_clock.local(order.at)}; "
            f"nothing was ordered with {' and '.join(differs)}. See htpoort show {order.resubmission}."
        )
        raise InputError("", (Problem("ledger.resubmitted", message),))


def _concern_for_order(  # noqa: PLR0913 - what is known of it
    connection: sa.Connection,
    knowledge: Knowledge,
    row: sa.Row[Any],
    text: StoredNotice,
    previous: tuple[RecoveryOrder, ...],
    *,
    at: datetime,
) -> Concern:
    """
    Find out how a notice concerns an exchange.

    Raises:
        InputError: It does not, or the exchange is in a state in which nothing can be ordered.
    """
    ended = any(order.action.sends or order.action is RecoveryAction.INVALIDATED for order in previous)
    if row.state not in _RECOVERABLE and not (ended and row.state == State.CLOSED.value):
        message = f"The exchange is {row.state}; a notice changes only what was sent and has no answer."
        raise InputError("", (Problem("ledger.not-concerned", message),))
    sent: datetime = connection.execute(UNANSWERED_SINCE_OF, {"key": row.id}).scalar_one()
    windows, event = knowledge.windows(row.system, until=at), knowledge.events[text.key]
    concern = _concern(knowledge, row, sent, windows, event, previous)
    if concern is None:
        message = f"The notice does not concern it: it was sent to {row.system} at {_clock.local(sent)}."
        raise InputError("", (Problem("ledger.not-concerned", message),))
    return concern


def _permitted(concern: Concern, action: RecoveryAction, despite: str | None) -> str | None:
    """
    Check an order against what the notices say; return the reason that is recorded, if one is needed.

    Raises:
        InputError: They forbid it, and no reason is given, or one that is not about all of them.
    """
    if despite is not None:
        check_reason(despite)
    if why := concern.why_refused(action, despite):
        raise InputError("", (Problem("ledger.notice-forbids", why),))
    return despite if action in concern.rule.against else None
