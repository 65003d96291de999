"""
Store a message that was routed, as a reply of its exchange or in quarantine; a copy is counted.

Never does: route, or decide what a reply means; the table in `htpoort.core.exchange` does.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import Final

import attrs
import sqlalchemy as sa

from htpoort.core.exchange import Event
from htpoort.core.files import RoutedFile
from htpoort.core.routing import Correlation, Quarantined, Routed
from htpoort.ledger import _attempts, _schema
from htpoort.ledger._files import apply_file
from htpoort.ledger._queueing import LockedExchange, select_for_update
from htpoort.ledger._statement import InsertIfNew, log, storable
from htpoort.ledger.records import LedgerEvent, QuarantineState, Stored

_replies: Final = _schema.replies
_quarantine: Final = _schema.quarantine

_DUE_AT_ONCE: Final = datetime(1970, 1, 1, tzinfo=UTC)
"""When a new reply is due: not the current time, because a clock that is set back would hold it up."""

_INSERT_REPLY: Final = InsertIfNew(_replies)
_SAME_REPLY: Final = sa.select(_replies.c.id, _replies.c.correlation).where(
    _replies.c.reference == sa.bindparam("reference"),
    _replies.c.party == sa.bindparam("party"),
    _replies.c.system == sa.bindparam("system"),
    _replies.c.body_sha256 == sa.bindparam("body_sha256"),
)
_COUNT_REPLY: Final = (
    sa.update(_replies).where(_replies.c.id == sa.bindparam("key")).values(copies=_replies.c.copies + 1)
)
_CORRELATE: Final = (
    sa.update(_replies).where(_replies.c.id == sa.bindparam("key")).values(correlation=sa.bindparam("correlation"))
)
_INSERT_QUARANTINED: Final = InsertIfNew(_quarantine)
_SAME_QUARANTINED: Final = sa.select(_quarantine.c.id).where(
    _quarantine.c.message_sha256 == sa.bindparam("message_sha256")
)
_COUNT_QUARANTINED: Final = (
    sa.update(_quarantine).where(_quarantine.c.id == sa.bindparam("key")).values(copies=_quarantine.c.copies + 1)
)


def store_reply(  # noqa: PLR0913 - one argument for each thing that is written
    connection: sa.Connection,
    routed: Routed | RoutedFile,
    raw: bytes,
    *,
    at: datetime,
    received: datetime | None = None,
    fetched_before: bool = False,
) -> Stored:
    """
    Store a reply, and apply it to its exchange.

    Args:
        connection: A connection in a transaction.
        routed: The process that it belongs to.
        raw: The message.
        at: Now.
        received: When it came, if it is a message that a person released now.
        fetched_before: Whether it was fetched before, and so is not counted as a copy.
    """
    same = {
        "reference": routed.reference,
        "party": str(routed.party),
        "system": routed.system.name,
        "body_sha256": _digest(routed, raw),
    }
    # Locked: another machine's worker may be writing to it.
    exchange = select_for_update(connection, str(routed.party), routed.reference)
    if exchange is not None and exchange.system != routed.system.name:
        # A person released it to a system that the K was not sent to: stored and delivered, but it answers nothing.
        exchange = None
    if exchange is not None and not exchange.content_begun and not _attempts.attempt_decides(exchange):
        routed = attrs.evolve(routed, correlation=Correlation.NOT_SENT)
    values: dict[str, object] = {
        **same,
        "exchange": None if exchange is None else exchange.key,
        "mailbox": routed.mailbox,
        "process_id": routed.process_id if isinstance(routed, RoutedFile) else routed.envelope.sender,
        "correlation": routed.correlation.value,
        "copies": 1,
        "received": at if received is None else received,
        "delivered": None,
        "attempts": 0,
        "redeliveries": 0,
        "due": _DUE_AT_ONCE if received is None else at,
        "owner": None,
        "lease": None,
        "trouble": None,
    }
    key = _INSERT_REPLY(connection, values, raw)
    if key is None:
        first, correlation = connection.execute(_SAME_REPLY, same).one()
        if not fetched_before:
            _count_copy(connection, first, correlation, exchange, routed, at=at)
        return Stored(routing=routed, key=first, repeated=True)
    if exchange is None:
        log(connection, at, Event.REPLY_RECEIVED.value, reply=key, detail=Correlation.UNKNOWN_REFERENCE.value)
    else:
        _apply(connection, exchange, routed, key, at=at)
    return Stored(routing=routed, key=key, repeated=False)


def _digest(routed: Routed | RoutedFile, raw: bytes) -> str:
    """Return what two copies of a reply have in common: the body, and for a status file also which one it is."""
    body = hashlib.sha256()
    if isinstance(routed, RoutedFile) and routed.status is not None:
        # Two status files of an upload may have the same content.
        body.update(f"{routed.status:d}\n".encode())
    # Two copies of a message have different trace headers, but the same body.
    body.update(memoryview(raw)[routed.body_start :])
    return body.hexdigest()


def _apply(
    connection: sa.Connection, exchange: LockedExchange, routed: Routed | RoutedFile, key: int, *, at: datetime
) -> None:
    """Apply a reply or a status file to its exchange."""
    if isinstance(routed, RoutedFile):
        apply_file(connection, exchange, routed, key, at=at)
    else:
        _attempts.apply_reply(connection, exchange, key, at=at)


def _count_copy(  # noqa: PLR0913 - one argument for each thing that decides
    connection: sa.Connection,
    key: int,
    correlation: str,
    exchange: LockedExchange | None,
    routed: Routed | RoutedFile,
    *,
    at: datetime,
) -> None:
    """Count a copy. If the first one came too early to be an answer, this one may be an answer."""
    connection.execute(_COUNT_REPLY, {"key": key})
    log(connection, at, LedgerEvent.REPLY_REPEATED.value, reply=key)
    was_early = correlation == Correlation.NOT_SENT.value and routed.correlation is not Correlation.NOT_SENT
    if exchange is not None and was_early:
        connection.execute(_CORRELATE, {"key": key, "correlation": routed.correlation.value})
        _apply(connection, exchange, routed, key, at=at)


def store_quarantined(
    connection: sa.Connection, quarantined: Quarantined, raw: bytes, *, at: datetime, fetched_before: bool
) -> Stored:
    """Store a message whose process is not known."""
    message_sha256 = hashlib.sha256(raw).hexdigest()
    values: dict[str, object] = {
        "received": at,
        "reason": quarantined.reason.value,
        "problems": [storable(problem.message) for problem in quarantined.problems],
        "mailbox": None if quarantined.mailbox is None else storable(quarantined.mailbox),
        "subject": None if quarantined.envelope is None else quarantined.envelope.render(),
        "state": QuarantineState.HELD.value,
        "copies": 1,
        "message_sha256": message_sha256,
    }
    key = _INSERT_QUARANTINED(connection, values, raw)
    if key is None:
        first: int = connection.execute(_SAME_QUARANTINED, {"message_sha256": message_sha256}).scalar_one()
        if not fetched_before:
            connection.execute(_COUNT_QUARANTINED, {"key": first})
            log(connection, at, LedgerEvent.QUARANTINE_REPEATED.value, quarantine=first)
        return Stored(routing=quarantined, key=first, repeated=True)
    log(connection, at, LedgerEvent.QUARANTINED.value, quarantine=key, detail=quarantined.reason.value)
    return Stored(routing=quarantined, key=key, repeated=False)
