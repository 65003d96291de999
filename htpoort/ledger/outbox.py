"""
Queue declarations, claim them for sending, record what became of them, and carry out orders.

Never does: send, or decide what an event means.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, final

import attrs
import sqlalchemy as sa

from htpoort.core.errors import InputError, Problem
from htpoort.core.exchange import Event, Outcome, State
from htpoort.core.files import FileSubmission
from htpoort.core.message import Submission
from htpoort.core.notices.consequences import RecoveryAction
from htpoort.ledger import _attempts, _queueing, _schema
from htpoort.ledger._connection import Connections, soon, writes
from htpoort.ledger._holding import find_holding
from htpoort.ledger._knowledge import NoticeReader
from htpoort.ledger._lists import UNANSWERED_SINCE_OF, ExchangeLists
from htpoort.ledger._orders import apply_to_all, ask_names, carry_out, find_for_order
from htpoort.ledger._queueing import exchange_of
from htpoort.ledger._statement import any_row, correct_due, log
from htpoort.ledger.records import Claimed, Exchange

__all__ = ["Exchanges"]

_exchanges: Final = _schema.exchanges
_FOR_UPDATE: Final = sa.select(_exchanges).where(_exchanges.c.id == sa.bindparam("key")).with_for_update()


@final
class Exchanges(ExchangeLists):
    """
    The exchanges of a ledger, one for each declaration; available as ``ledger.exchanges``.

    Its reading methods (`find`, `listed`, `unanswered`, …) are inherited from `ExchangeLists`.

    A method that writes returns once its work is committed and synced. Its twin in ``_soon`` returns a future instead.

    Args:
        connections: The ledger's.
        reader: What was published about the systems: nothing is claimed that it says to hold.
    """

    def __init__(self, connections: Connections, reader: NoticeReader) -> None:
        super().__init__(connections)
        self._reader = reader

    # ── queueing ─────────────────────────────────────────────────────────────

    @writes
    def queue(  # noqa: PLR0913 - one argument for each thing that is written
        self,
        connection: sa.Connection,
        submission: Submission | FileSubmission,
        *,
        at: datetime,
        business_reference: str | None = None,
        held: bool = False,
        shadow: Submission | None = None,
    ) -> Exchange:
        """
        Queue a message or a file, for an agent to send.

        Args:
            submission: The message that `htpoort.build` made, or the file that `htpoort.files.build_file` made.
            at: Now.
            business_reference: The declarant's own reference (LRN for DMS).
            held: Whether to hold it until `let_go`, because a service window of its system is open.
            shadow: The same declaration built for another system; stored in the same transaction, and never sent. A
                file has none.

        Returns:
            The exchange. Queueing the same declaration again returns the same exchange, with *repeated* set, so that a
            caller that was interrupted can repeat itself. A declaration is the same if payload, party, K, system and
            mailbox are; the repeated message's Date, Message-ID and layout are ignored. A file is the same if octets,
            user, name, system and folder are.

        Raises:
            InputError: The party has used this K, or the user this name, for another declaration or with another
                shadow; the shadow is of
                another party or K, or for the same system; or *business_reference* is empty or not printable.
            LedgerError: The ledger could not be written. After a crash, or if the server was lost, the message may be
                queued all the same: call this again, never with another K.
        """
        _queueing.check_business_reference(business_reference)
        if shadow is not None:
            _queueing.check_shadow(submission, shadow)
        exchange = _queueing.insert(connection, submission, at=at, business_reference=business_reference, held=held)
        if shadow is not None:
            _queueing.insert_shadow(connection, exchange, shadow, at=at)
        return exchange

    queue_soon = soon(queue)

    # ── sending ──────────────────────────────────────────────────────────────

    @writes
    def claim(  # noqa: PLR0913 - one argument for each thing that decides
        self,
        connection: sa.Connection,
        systems: Sequence[str],
        *,
        owner: str,
        most: int,
        at: datetime,
        lease: timedelta,
        per_hour: int | None = None,
    ) -> list[Claimed]:
        """
        Claim exchanges that are due, oldest first; record the outcome of each with `settle`.

        Exchanges of a system that a notice says to hold now, or before an attempt can end, are not claimed, except
        those that a person ordered to send all the same (`Windows.exempt`).

        Args:
            systems: Names of systems.
            owner: The worker that claims them.
            most: The largest number to claim.
            at: Now.
            lease: How long no other worker gets them; `renew` extends it.
            per_hour: The largest number of attempts in an hour to these systems; None for no limit.

        Returns:
            The exchanges with their messages.

        Raises:
            LedgerError: The ledger could not be written.
        """
        holding = find_holding(connection, self._reader.knowledge(connection), systems, at=at)
        free, exempt = [system for system in systems if system not in holding.advice], holding.waiting()
        if not free and not exempt:
            return []
        if per_hour is not None:
            most = min(most, _attempts.allowed_now(connection, systems, per_hour, at))
        due = _attempts.due(connection, free, exempt, most=most, at=at)
        claimed = [_attempts.claimed_of(connection, row, state) for state, row in due]
        if claimed:
            until = at + lease
            _attempts.CLAIM.write_many(
                connection, [{"key": each.key, "owner": owner, "lease": until, "at": at} for each in claimed]
            )
        for each in claimed:
            detail = f"attempt {each.attempt} by {owner}"
            started, sending = Event.ATTEMPT_STARTED.value, State.SENDING.value
            log(connection, at, started, exchange=each.key, state=sending, detail=detail)
        return claimed

    claim_soon = soon(claim)

    @writes
    def settle(  # noqa: PLR0913 - one argument for each thing that is written
        self,
        connection: sa.Connection,
        claimed: Claimed,
        outcome: Outcome,
        *,
        at: datetime,
        detail: str = "",
        due: datetime | None = None,
        content_begun: bool = True,
    ) -> State:
        """
        Record the outcome of an attempt.

        The outcome of an attempt before the last one counts only if it says that the gateway has the message, or that
        no content left. A message that is returned goes behind the others that wait, so that they are sent even if it
        causes the trouble.

        Args:
            claimed: What `claim` returned.
            outcome: How the attempt ended.
            at: Now.
            detail: One line for the log.
            due: When to send a deferred message again; None if it has failed. For a file of which it is unknown
                whether it arrived, when `ask_names` may ask for its name.
            content_begun: Whether content may have left, as `htpoort.transport.Sender.content_begun` says. If it did
                in no attempt, no reply settles the exchange. An attempt that was accepted or lost counts as begun.

        Returns:
            The state afterwards.

        Raises:
            InputError: There was no such attempt.
            LedgerError: The ledger could not be written.
        """
        event, attempt = _attempts.EVENT_OF[outcome], claimed.attempt
        # What depends on earlier attempts, or has a time, needs the whole row.
        at_once = due is None and outcome is not Outcome.NAME_USED
        if outcome is Outcome.RETURNED:
            event, due = Event.RETURNED_TO_RETRY if claimed.retried else event, at
        may_have_left = _attempts.content_may_have_left(outcome, content_begun=content_begun)
        begun = _attempts.AttemptSet().including(attempt) if may_have_left else _attempts.AttemptSet()
        after = _attempts.settle_at_once(connection, claimed, event, begun=begun, at=at) if at_once else None
        if after is not None:
            log(connection, at, event.value, exchange=claimed.key, state=after.value, detail=detail)
            return after
        row = _lock_attempt(connection, claimed)
        begun = _attempts.AttemptSet(row.begun)
        begun = begun.including(attempt) if may_have_left else begun.excluding(attempt)
        state = _attempts.record_begun(connection, row, begun, at=at)
        if outcome is Outcome.NAME_USED and begun:
            event, detail = Event.ACCEPTED, "; ".join(filter(None, (detail, "so an earlier attempt has arrived")))
        if attempt != row.attempts and event is not Event.ACCEPTED:
            _log_late_outcome(connection, row, claimed, event, state=state, at=at, detail=detail)
        else:
            state = _attempts.apply_event(connection, row.id, state, event, at=at, detail=detail, due=due).state
            if event is Event.DEFERRED and due is None:
                state = _attempts.apply_event(connection, row.id, state, Event.GIVEN_UP, at=at).state
        if row.early and (begun or attempt == row.attempts):
            state = _attempts.decide_early_replies(connection, row, state, begun, at=at)
        return state

    settle_soon = soon(settle)

    @writes
    def renew(self, connection: sa.Connection, keys: Sequence[int], *, owner: str, until: datetime) -> int:
        """
        Extend the leases of a worker that is still sending.

        Args:
            keys: The numbers of the exchanges.
            owner: The worker.
            until: The new end of the leases.

        Returns:
            How many of the exchanges are still this worker's.

        Raises:
            LedgerError: The ledger could not be written.
        """
        query = sa.update(_exchanges).where(
            _exchanges.c.owner == owner, _exchanges.c.state == State.SENDING.value, _exchanges.c.id.in_(keys)
        )
        return connection.execute(query.values(lease=until)).rowcount

    renew_soon = soon(renew)

    @writes
    def expire(self, connection: sa.Connection, *, at: datetime, except_owner: str | None = None) -> list[Exchange]:
        """
        Take back exchanges from dead workers. They may have been sent, so each becomes unknown, or answered.

        Args:
            at: Now. Exchanges whose lease has ended are taken back, and those that no worker holds.
            except_owner: If given, take back everything that other workers hold, whatever their leases: for a ledger
                that only this worker can use.

        Returns:
            The exchanges that were taken back, with their new states.

        Raises:
            LedgerError: The ledger could not be written.
        """
        without_worker = _exchanges.c.lease.is_(None) | _exchanges.c.owner.is_(None)
        dead = _exchanges.c.lease < at if except_owner is None else _exchanges.c.owner != except_owner
        query = sa.select(_exchanges).where(_exchanges.c.state == State.SENDING.value, without_worker | dead)
        lost: list[Exchange] = []
        for row in connection.execute(query.with_for_update(skip_locked=True)).all():
            begun = _attempts.AttemptSet(row.begun).including(row.attempts)
            _attempts.set_begun(connection, row.id, begun)
            state = _attempts.apply_event(
                connection, row.id, State.SENDING, Event.OUTCOME_UNKNOWN, at=at, detail="its worker was lost"
            ).state
            if row.early:
                state = _attempts.decide_early_replies(connection, row, state, begun, at=at)
            lost.append(attrs.evolve(exchange_of(row), state=state))
        return lost

    expire_soon = soon(expire)

    def ask_names(self, systems: Sequence[str], *, at: datetime) -> list[Exchange]:
        """
        Queue files again under the same names, of which it is unknown whether they arrived, and which are due.

        Only for a gateway that refuses a name that was used: the next attempt either uploads the file, or shows that an
        earlier one has arrived. Messages are left alone, because no mail server refuses a K.

        Args:
            systems: Names of services of such gateways.
            at: Now.

        Returns:
            The exchanges that are queued because of this. If there are none, nothing is written.

        Raises:
            LedgerError: The ledger could not be read or written.
        """
        # No file has a Message-ID, and every message has one.
        unknown_file = (_exchanges.c.state == State.UNKNOWN.value) & _exchanges.c.message_id.in_([""])
        condition = unknown_file & _exchanges.c.system.in_(systems) & (_exchanges.c.due <= at)
        if not self._connections.read(any_row, condition):
            return []
        return self._connections.write(ask_names, condition, at)

    def correct_due(self, systems: Sequence[str], *, at: datetime, longest: timedelta) -> int:
        """
        Make exchanges due now that were deferred for longer than any wait: a clock was ahead.

        Args:
            systems: Names of systems.
            at: Now.
            longest: The longest wait of their retry schedule, including jitter.

        Returns:
            How many exchanges are due now because of this; each is in the log. If there are none, nothing is written.

        Raises:
            LedgerError: The ledger could not be read or written.
        """
        deferred, later = _exchanges.c.state == State.DEFERRED.value, _exchanges.c.due > at + longest
        condition = deferred & later & _exchanges.c.system.in_(systems)
        if not self._connections.read(any_row, condition):
            return 0
        return self._connections.write(correct_due, _exchanges, condition, at)

    # ── orders ───────────────────────────────────────────────────────────────

    @writes
    def hold(self, connection: sa.Connection, systems: Iterable[str], *, at: datetime) -> int:
        """
        Hold the exchanges of some systems that wait to be sent, until `let_go`.

        Args:
            systems: Names of systems.
            at: Now.

        Returns:
            How many exchanges are held because of this.

        Raises:
            LedgerError: The ledger could not be written.
        """
        return apply_to_all(connection, systems, Event.WINDOW_OPENED, _attempts.WAITING, at=at)

    hold_soon = soon(hold)

    @writes
    def let_go(self, connection: sa.Connection, systems: Iterable[str], *, at: datetime) -> int:
        """
        Queue the exchanges of some systems that `hold` held.

        Args:
            systems: Names of systems.
            at: Now.

        Returns:
            How many exchanges are queued because of this.

        Raises:
            LedgerError: The ledger could not be written.
        """
        return apply_to_all(connection, systems, Event.WINDOW_CLOSED, (State.HELD,), at=at)

    let_go_soon = soon(let_go)

    @writes
    def resolve_as_sent(
        self, connection: sa.Connection, reference: str, *, at: datetime, party: str | None = None
    ) -> Exchange:
        """
        Settle an exchange in the state unknown: you know that the gateway has the declaration.

        Args:
            reference: K.
            at: Now.
            party: V, needed if two parties used this K.

        Returns:
            The exchange afterwards, accepted.

        Raises:
            UnknownError: No exchange has this K.
            InputError: The exchange is not unknown, or two parties used this K.
            LedgerError: The ledger could not be written.
        """
        row = find_for_order(connection, reference, party)
        _attempts.set_begun(connection, row.id, _attempts.AttemptSet(row.begun).including_any())
        return carry_out(connection, row, Event.RESOLVED_AS_SENT, at=at)

    resolve_as_sent_soon = soon(resolve_as_sent)

    @writes
    def resend(
        self,
        connection: sa.Connection,
        reference: str,
        *,
        at: datetime,
        party: str | None = None,
        despite: str | None = None,
    ) -> Exchange:
        """
        Send an exchange again with the same K, at once and with a fresh retry schedule.

        Args:
            reference: K.
            at: Now.
            party: V, needed if two parties used this K.

            despite: Why it is ordered although the gateway may have it and a notice forbids it; None if none does. It
                must name each notice that forbids it.

        Returns:
            The exchange afterwards, queued.

        Raises:
            UnknownError: No exchange has this K.
            InputError: The state of the exchange or a notice forbids it, or two parties used this K.
            LedgerError: The ledger could not be written.
        """
        row = find_for_order(connection, reference, party)
        if row.state == State.UNKNOWN.value:
            sent = connection.execute(UNANSWERED_SINCE_OF, {"key": row.id}).scalar_one()
            rule = self._reader.knowledge(connection).resending_rule(row.system, sent=sent, at=at)
            if rule is not None and (why := rule.why_refused(RecoveryAction.SAME_REFERENCE, despite)):
                raise InputError("", (Problem("ledger.notice-forbids", why),))
        return carry_out(connection, row, Event.RESEND_ORDERED, at=at, detail=despite or "")

    resend_soon = soon(resend)

    @writes
    def close(self, connection: sa.Connection, reference: str, *, at: datetime, party: str | None = None) -> Exchange:
        """
        Close an exchange: nothing more needs to be done. Replies that still come are stored and delivered.

        Args:
            reference: K.
            at: Now.
            party: V, needed if two parties used this K.

        Returns:
            The exchange afterwards, closed.

        Raises:
            UnknownError: No exchange has this K.
            InputError: An attempt to send it is under way, or two parties used this K.
            LedgerError: The ledger could not be written.
        """
        return carry_out(connection, find_for_order(connection, reference, party), Event.CLOSED, at=at)

    close_soon = soon(close)


def _lock_attempt(connection: sa.Connection, claimed: Claimed) -> sa.Row[Any]:
    """
    Lock the exchange of an attempt.

    Raises:
        InputError: There was no such attempt.
    """
    row = connection.execute(_FOR_UPDATE, {"key": claimed.key}).one()
    if not 1 <= claimed.attempt <= row.attempts:
        message = (
            f"{row.reference} of {row.party} had {row.attempts} attempts; number {claimed.attempt} has no outcome."
        )
        raise InputError("", (Problem("ledger.no-attempt", message),))
    return row


def _log_late_outcome(  # noqa: PLR0913 - one argument for each thing that is written
    connection: sa.Connection,
    row: sa.Row[Any],
    claimed: Claimed,
    event: Event,
    *,
    state: State,
    at: datetime,
    detail: str,
) -> None:
    """Log the outcome of an attempt before the last one, which changes nothing."""
    why = f"of attempt {claimed.attempt}, not of {row.attempts}"
    logged = "; ".join(part for part in (detail, why) if part)
    log(connection, at, event.value, exchange=claimed.key, state=state.value, detail=logged)
