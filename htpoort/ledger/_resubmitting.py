"""
Write the message that takes the place of one that was sent: the same under another K, or a new declaration.

Never does: decide whether a notice allows it.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa

from htpoort.core.directory import DeclarationSystem, Mark
from htpoort.core.errors import InputError, Problem
from htpoort.core.message import Submission, automatic_reference, build, read, readdress
from htpoort.core.notices.consequences import RecoveryAction
from htpoort.ledger import _queueing, _schema
from htpoort.ledger.records import Exchange, StoredNotice

_exchanges: Final = _schema.exchanges
_messages: Final = _schema.messages
_recoveries: Final = _schema.recoveries


def sent_message(connection: sa.Connection, row: sa.Row[Any]) -> Submission:
    """
    Read the message of an exchange.

    Raises:
        InputError: It was pruned, or has no envelope.
    """
    raw: bytes | None = connection.execute(sa.select(_messages.c.raw).where(_messages.c.id == row.message)).scalar()
    envelope = None if raw is None else read(raw).envelope
    if raw is None or envelope is None:
        message = "Its message was pruned, or has no envelope, so it cannot be sent again; queue a new declaration."
        raise _unusable([message])
    return Submission(
        mail_from=row.mail_from,
        rcpt_to=row.rcpt_to,
        envelope=envelope,
        system=row.system,
        message_id=row.message_id,
        data=raw,
    )


def is_payload(connection: sa.Connection, row: sa.Row[Any], payload: bytes) -> bool:
    """Check whether an exchange has this declaration; one whose message was pruned may have it."""
    raw: bytes | None = connection.execute(sa.select(_messages.c.raw).where(_messages.c.id == row.message)).scalar()
    return raw is None or read(raw).payload.octets == payload


def same_again(
    sent: Submission, row: sa.Row[Any], text: StoredNotice, new_reference: str | None, at: datetime
) -> Submission:
    """
    Write the message of an exchange under another K.

    Raises:
        InputError: The new K is the old one or cannot be sent, or the message cannot be written anew.
    """
    identity = "\0".join((row.reference, str(text.key))).encode()
    reference = new_reference or automatic_reference(row.party, identity + b"\0" + sent.data)
    _refuse_old_k(row, reference)
    return readdress(sent, reference=reference, date=at, message_id=_message_id(row, reference))


def replaced(  # noqa: PLR0913, PLR0917 - what the message is made of
    sent: Submission,
    row: sa.Row[Any],
    payload: bytes | None,
    business_reference: str | None,
    new_reference: str | None,
    at: datetime,
) -> Submission:
    """
    Build the message of a new declaration that takes the place of an exchange.

    Raises:
        InputError: The declaration or its LRN is missing, is the old one, or cannot be sent.
    """
    _queueing.check_business_reference(business_reference)
    problems: list[str] = []
    if payload is None:
        problems.append("replacement is missing; give the new declaration, which has the new LRN in it.")
    elif payload == read(sent.data).payload.octets:
        problems.append("replacement is the declaration that was sent, with the old LRN in it; give the new one.")
    if business_reference is None:
        problems.append("business_reference is missing; give the new LRN.")
    elif business_reference == row.business_reference:
        problems.append(f"business_reference is {business_reference}, the LRN that was used; give a new one.")
    if problems or payload is None:
        raise _unusable(problems)
    reference = new_reference or automatic_reference(row.party, payload)
    _refuse_old_k(row, reference)
    head = sent.data.partition(b"\r\n\r\n")[0].lower()
    return build(
        system=DeclarationSystem(
            name=row.system, mailbox=row.rcpt_to, process_id=sent.envelope.addressee, mark=Mark.UNKNOWN
        ),
        party=row.party,
        mailbox=row.mail_from,
        reference=reference,
        payload=payload,
        date=at,
        message_id=_message_id(row, reference),
        layout="attachment" if b"multipart/mixed" in head else "body",
    )


def prepared(  # noqa: PLR0913, PLR0917 - the parts of an order
    connection: sa.Connection,
    row: sa.Row[Any],
    text: StoredNotice,
    action: RecoveryAction,
    replacement: bytes | None,
    business_reference: str | None,
    new_reference: str | None,
    at: datetime,
) -> tuple[str | None, Submission]:
    """
    Build what is sent in place of an exchange; returns its LRN too.

    Raises:
        InputError: A part of the order is missing or wrong.
    """
    sent = sent_message(connection, row)
    if action is RecoveryAction.SAME_REFERENCE:
        return row.business_reference, same_again(sent, row, text, new_reference, at)
    return business_reference, replaced(sent, row, replacement, business_reference, new_reference, at)


def check(  # noqa: PLR0913, PLR0917 - the parts of an order
    connection: sa.Connection,
    row: sa.Row[Any],
    text: StoredNotice,
    action: RecoveryAction,
    replacement: bytes | None,
    business_reference: str | None,
    new_reference: str | None,
    at: datetime,
) -> None:
    """
    Check what would be sent in place of an exchange, against the ledger too; nothing is written.

    Raises:
        InputError: The order would be refused.
    """
    lrn, submission = prepared(connection, row, text, action, replacement, business_reference, new_reference, at)
    new = _queueing.find(connection, submission)
    if new is not None:
        refuse_queued_before(connection, row, new)
    if action is RecoveryAction.NEW_REFERENCE:
        refuse_used_lrn(connection, row, lrn, None if new is None else new.key)


def refuse_used_lrn(connection: sa.Connection, row: sa.Row[Any], lrn: str | None, new: int | None) -> None:
    """
    Refuse an LRN that another declaration of the party has: one of the two would be refused, or taken for the other.

    Raises:
        InputError: One has it that is not *new*.
    """
    query = sa.select(_exchanges.c.reference, _exchanges.c.state).where(
        _exchanges.c.party_key == row.party_key,
        _exchanges.c.business_reference == lrn,
        _exchanges.c.id.is_distinct_from(new),
    )
    used = connection.execute(query.order_by(_exchanges.c.id).limit(1)).first()
    if used is not None:
        message = f"business_reference is {lrn}, the LRN of {used.reference}, which is {used.state}"
        raise _unusable([f"{message}; give a new one."])


def refuse_queued_before(connection: sa.Connection, row: sa.Row[Any], new: Exchange) -> None:
    """
    Refuse a message that was queued before: it cannot take the place of a second exchange, which would be lost.

    Raises:
        InputError: It was.
    """
    if not new.repeated:
        return
    query = (
        sa
        .select(_exchanges.c.reference)
        .join(_recoveries, _recoveries.c.exchange == _exchanges.c.id)
        .where(_recoveries.c.resubmission == new.key)
    )
    other: str | None = connection.execute(query).scalar()
    what = "was queued before" if other is None else f"takes the place of {other} already"
    message = f"{new.reference} {what}, so nothing would be sent in place of {row.reference}; give it one of its own."
    raise _unusable([message])


def _refuse_old_k(row: sa.Row[Any], reference: str) -> None:
    if reference == row.reference:
        raise _unusable([f"new_reference is {reference}, the K that was used; give a new one."])


def _message_id(row: sa.Row[Any], reference: str) -> str:
    """Make a Message-ID that follows from the new K."""
    return f"<{reference}.resubmitted@{row.mail_from.rpartition('@')[2]}>"


def _unusable(problems: Iterable[str]) -> InputError:
    return InputError("", tuple(Problem("ledger.replacement", message) for message in problems))
