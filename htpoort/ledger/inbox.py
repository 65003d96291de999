"""
Take in what comes, as a reply or in quarantine, and hand replies out for delivery.

Never does: deliver, acknowledge anything to a peer, or forget a message.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final, cast, final

import attrs
import sqlalchemy as sa

from htpoort.core.files import FileRouter, name_of
from htpoort.core.routing import Correlation, Quarantined, Routed, Router, correlate
from htpoort.core.text import ascii_lower
from htpoort.ledger import _schema
from htpoort.ledger._connection import soon, writes
from htpoort.ledger._files import route_file
from htpoort.ledger._queueing import sent_records
from htpoort.ledger._received import WITH_MESSAGE, ReplyLists, chosen_by_order, due_after, of_party, reply_of
from htpoort.ledger._statement import Statement, any_row, correct_due, log, make_due, storable
from htpoort.ledger._storing import store_quarantined, store_reply
from htpoort.ledger.records import LedgerEvent, Reply, Stored
from htpoort.ledger.servers import remember

__all__ = ["Replies"]

_replies: Final = _schema.replies

_CLAIMABLE: Final = (
    WITH_MESSAGE
    .where(
        _replies.c.system == sa.bindparam("system"),
        _replies.c.delivered.is_(None),
        _replies.c.due <= sa.bindparam("at"),
        sa.or_(_replies.c.lease.is_(None), _replies.c.lease < sa.bindparam("at")),
    )
    .order_by(_replies.c.due, _replies.c.id)
    .limit(sa.bindparam("most"))
    .with_for_update(of=_replies, skip_locked=True)
)
_CLAIM: Final = Statement(
    sa
    .update(_replies)
    .where(_replies.c.id == sa.bindparam("key"))
    .values(owner=sa.bindparam("owner"), lease=sa.bindparam("lease"), attempts=_replies.c.attempts + 1)
)
_release: Final = sa.update(_replies).where(_replies.c.id == sa.bindparam("key")).values(owner=None, lease=None)
_deliver: Final = _release.values(delivered=sa.bindparam("at"), trouble=None)
_fail: Final = _release.values(due=sa.bindparam("due"), trouble=sa.bindparam("trouble"))
# Not the names of the columns: SQLAlchemy reserves those that a statement sets.
_SAME_ORDER: Final = _replies.c.redeliveries == sa.bindparam("ordered")
_SAME_OWNER: Final = _replies.c.owner == sa.bindparam("held_by")
_MARK_DELIVERED: Final = Statement(_deliver)
_MARK_ORDERED_DELIVERED: Final = Statement(_deliver.where(_SAME_ORDER))
_MARK_FAILED: Final = {
    (owner, order): Statement(_fail.where(*[_SAME_OWNER] * owner, *[_SAME_ORDER] * order))
    for owner in (False, True)
    for order in (False, True)
}
"""By whether the worker matters, and whether the order does."""
_OLD_ORDER: Final = "a person has ordered another delivery since; that is still to come"
_WITHDRAWN: Final = "its release was taken back meanwhile; the process has it all the same"
_REDELIVER: Final = Statement(
    sa
    .update(_replies)
    .where(_replies.c.id == sa.bindparam("key"))
    .values(delivered=None, due=sa.bindparam("at"), redeliveries=_replies.c.redeliveries + 1)
)
_EXCHANGE_OF: Final = Statement(sa.select(_replies.c.exchange).where(_replies.c.id == sa.bindparam("key")))


@final
class Replies(ReplyLists):
    """
    The replies of a ledger; available as ``ledger.replies``.

    Its reading methods (`get`, `listed`, `deliverable_again`) are inherited from `ReplyLists`.

    A method that writes returns once its work is committed and synced. Its twin in ``_soon`` returns a future instead.
    """

    @writes
    def take_in(  # noqa: PLR0913 - one argument for each thing that is written
        self,
        connection: sa.Connection,
        router: Router,
        raw: bytes,
        *,
        mail_from: str | None,
        at: datetime,
        account: str | None = None,
        uidl: str = "",
    ) -> Stored:
        """
        Route a message and store it, in one transaction.

        Args:
            router: A router without *sent*: the ledger compares K with what was sent, in the same transaction.
            raw: The message as it came.
            mail_from: As `Router.route_message` takes it.
            at: Now.
            account: The POP3 account that the message came from, if any; remembered with *uidl*.
            uidl: The number of the message there.

        Returns:
            How the message was routed, and where it is stored. Acknowledge it only now.

        Raises:
            LedgerError: The ledger could not be written.
        """
        # The same octets under a known UIDL are a mail that was fetched twice, and not a copy.
        fetched_before = account is not None and not remember(connection, account, uidl, at=at)
        routing = router.route_message(raw, mail_from)
        if isinstance(routing, Routed) and routing.correlation is Correlation.NOT_CHECKED:
            routing = correlate(routing, sent_records(connection, routing.reference))
        if isinstance(routing, Quarantined):
            return store_quarantined(connection, routing, raw, at=at, fetched_before=fetched_before)
        return store_reply(connection, routing, raw, at=at, fetched_before=fetched_before)

    take_in_soon = soon(take_in)

    @writes
    def take_in_file(
        self, connection: sa.Connection, router: FileRouter, raw: bytes, *, at: datetime, account: str
    ) -> Stored:
        """
        Find the upload that a fetched file belongs to, and store the file as a reply to it, in one transaction.

        A status file also shows how far the upload has got; only the response is an answer.

        Args:
            router: The router of the gateway's user.
            raw: The file, as `htpoort.files.entity` wrote it with its name.
            at: Now.
            account: The gateway that it was fetched from; remembered with the name of the file.

        Returns:
            How the file was routed, and where it is stored. Delete it from the gateway only now.

        Raises:
            InputError: *raw* is not what `entity` wrote.
            LedgerError: The ledger could not be written.
        """
        # As in `take_in`: the same file under a known name was fetched twice.
        fetched_before = not remember(connection, account, name_of(raw), at=at)
        routing = route_file(connection, router, raw, at=at)
        if isinstance(routing, Quarantined):
            return store_quarantined(connection, routing, raw, at=at, fetched_before=fetched_before)
        return store_reply(connection, routing, raw, at=at, fetched_before=fetched_before)

    take_in_file_soon = soon(take_in_file)

    @writes
    def claim(  # noqa: PLR0913 - one argument for each thing that decides
        self,
        connection: sa.Connection,
        system: str,
        *,
        owner: str,
        most: int,
        at: datetime,
        lease: timedelta,
        without: Sequence[int] = (),
        party: str | None = None,
        except_parties: Sequence[str] = (),
    ) -> list[Reply]:
        """
        Claim replies of a system that wait for delivery, oldest first.

        Args:
            system: The name of the system.
            owner: The worker that claims them.
            most: The largest number to claim.
            at: Now.
            lease: How long no other worker gets them; `renew` extends it.
            without: Numbers of replies that the worker is already delivering.
            party: The only party whose replies are claimed, in any case; None for all.
            except_parties: Parties whose replies another worker delivers.

        Returns:
            The replies.

        Raises:
            LedgerError: The ledger could not be written.
        """
        query = _CLAIMABLE.where(_replies.c.id.not_in(without)) if without else _CLAIMABLE
        if party is not None:
            query = query.where(of_party(party))
        if except_parties:
            query = query.where(
                sa.func.lower(_replies.c.party).not_in([ascii_lower(other) for other in except_parties])
            )
        rows = connection.execute(query, {"system": system, "at": at, "most": most}).all()
        if rows:
            _CLAIM.write_many(connection, [{"key": row.id, "owner": owner, "lease": at + lease} for row in rows])
        return [attrs.evolve(reply_of(row), attempts=row.attempts + 1) for row in rows]

    claim_soon = soon(claim)

    @writes
    def mark_delivered(
        self, connection: sa.Connection, key: int, *, at: datetime, redeliveries: int | None = None
    ) -> None:
        """
        Mark a reply as delivered.

        Args:
            key: Its number.
            at: Now.
            redeliveries: If given, `Reply.redeliveries` as it was when this delivery began. If a person has ordered
                another delivery since, the reply still waits for that one: a worker that was thought dead may report
                late, when another one has delivered the reply and the person has ordered more.

        Raises:
            LedgerError: The ledger could not be written.
        """
        values = {"key": key, "at": at, "ordered": redeliveries}
        marked = (_MARK_DELIVERED if redeliveries is None else _MARK_ORDERED_DELIVERED).write(connection, values)
        exchange, known = _exchange_of(connection, key)
        detail = "" if marked else _OLD_ORDER if known else _WITHDRAWN
        log(connection, at, LedgerEvent.DELIVERED.value, reply=key, exchange=exchange, detail=detail)

    mark_delivered_soon = soon(mark_delivered)

    @writes
    def mark_failed(  # noqa: PLR0913 - one argument for each thing that is written
        self,
        connection: sa.Connection,
        key: int,
        *,
        at: datetime,
        due: datetime,
        trouble: str,
        owner: str | None = None,
        redeliveries: int | None = None,
    ) -> None:
        """
        Record that the delivery of a reply failed.

        Args:
            key: Its number.
            at: Now.
            due: When to deliver it again.
            trouble: Why it failed, one line.
            owner: If given, change the reply only if this worker still has it, and another one does not.
            redeliveries: If given, change the reply only if no delivery was ordered since, as for `mark_delivered`.

        Raises:
            LedgerError: The ledger could not be written.
        """
        values = {"key": key, "due": due, "trouble": storable(trouble), "held_by": owner, "ordered": redeliveries}
        _MARK_FAILED[owner is not None, redeliveries is not None].write(connection, values)
        exchange, _ = _exchange_of(connection, key)
        log(connection, at, LedgerEvent.DELIVERY_FAILED.value, reply=key, exchange=exchange, detail=trouble)

    mark_failed_soon = soon(mark_failed)

    @writes
    def renew(self, connection: sa.Connection, keys: Sequence[int], *, owner: str, until: datetime) -> int:
        """
        Extend the leases of a worker that is still delivering.

        Args:
            keys: The numbers of the replies.
            owner: The worker.
            until: The new end of the leases.

        Returns:
            How many of the replies are still this worker's.

        Raises:
            LedgerError: The ledger could not be written.
        """
        own = sa.and_(_replies.c.owner == owner, _replies.c.delivered.is_(None), _replies.c.id.in_(keys))
        return connection.execute(sa.update(_replies).where(own).values(lease=until)).rowcount

    renew_soon = soon(renew)

    @writes
    def drop_claims(self, connection: sa.Connection, *, owner: str | None = None) -> None:
        """
        Give back replies that a worker claimed and did not deliver.

        Args:
            owner: The worker; all workers if not given, for a ledger that only one worker can use.

        Raises:
            LedgerError: The ledger could not be written.
        """
        query = sa.update(_replies).where(_replies.c.delivered.is_(None), _replies.c.owner.is_not(None))
        if owner is not None:
            query = query.where(_replies.c.owner == owner)
        connection.execute(query.values(owner=None, lease=None))

    drop_claims_soon = soon(drop_claims)

    def correct_due(self, system: str, *, at: datetime, longest: timedelta) -> int:
        """
        Make replies due now whose next delivery is later than any wait: a clock was ahead.

        Args:
            system: The name of their system.
            at: Now.
            longest: The longest wait after a failed delivery, including jitter.

        Returns:
            How many replies are due now because of this; each is in the log. If there are none, nothing is written.

        Raises:
            LedgerError: The ledger could not be read or written.
        """
        condition = due_after(at + longest) & (_replies.c.system == system)
        if not self._connections.read(any_row, condition):
            return 0
        return self._connections.write(correct_due, _replies, condition, at)

    @writes
    def deliver_again_now(  # noqa: PLR0913 - one argument for each thing that selects
        self,
        connection: sa.Connection,
        *,
        at: datetime,
        system: str | None = None,
        party: str | None = None,
        since: datetime | None = None,
        keys: Sequence[int] = (),
        delivered: bool = False,
    ) -> list[int]:
        """
        Deliver replies whose delivery failed again now, without waiting for their next time.

        Args:
            at: Now.
            system: Only replies of this system.
            party: Only replies for this party, in any case.
            since: Only replies that first came at this moment or later.
            keys: Only these numbers; all if none is given.
            delivered: Deliver replies that were delivered again too, with the same key; *redeliveries* of each counts
                these orders. Give *keys* or *since* then.

        Returns:
            The numbers of the replies that are due now because of this; not those that were already due.

        Raises:
            InputError: One or more of the numbers are unknown; the error names them, and nothing has changed. Or
                *delivered* is set without *keys* and *since*.
            LedgerError: The ledger could not be written.
        """
        chosen = chosen_by_order(connection, system=system, party=party, since=since, keys=keys, delivered=delivered)
        due = [key for key, _ in make_due(connection, _replies, chosen & due_after(at), at=at)]
        for key in due:
            log(connection, at, LedgerEvent.DELIVERY_ORDERED.value, reply=key)
        return sorted([*due, *_redeliver(connection, chosen, at=at)]) if delivered else due

    deliver_again_now_soon = soon(deliver_again_now)


def _redeliver(connection: sa.Connection, chosen: sa.ColumnElement[bool], *, at: datetime) -> list[int]:
    """Let replies that were delivered wait for delivery again; return their numbers."""
    query = sa.select(_replies.c.id, _replies.c.exchange).where(chosen, _replies.c.delivered.is_not(None))
    rows = connection.execute(query.order_by(_replies.c.id).with_for_update()).all()
    if rows:
        _REDELIVER.write_many(connection, [{"key": row.id, "at": at} for row in rows])
    for row in rows:
        log(connection, at, LedgerEvent.REDELIVERY_ORDERED.value, reply=row.id, exchange=row.exchange)
    return [row.id for row in rows]


def _exchange_of(connection: sa.Connection, key: int) -> tuple[int | None, bool]:
    """Find the exchange of a reply, and whether the reply is there: a person may have taken its release back."""
    rows = cast("list[tuple[int | None]]", _EXCHANGE_OF.rows(connection, {"key": key}))
    return (rows[0][0], True) if rows else (None, False)
