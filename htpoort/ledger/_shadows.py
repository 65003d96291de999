"""
Keep beside an exchange what the other system would have got.

Never does: send; no agent takes anything up from this table.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa

from htpoort.errors import InputError, Problem
from htpoort.ledger import _outbox, _schema
from htpoort.ledger._repeats import repeats
from htpoort.ledger._standings import pieces
from htpoort.ledger.records import Exchange, Shadow
from htpoort.message import Submission

_exchanges: Final = _schema.exchanges
_table: Final = _schema.shadows

_THERE: Final = sa.select(_table.c.system, _table.c.raw).where(_table.c.exchange == sa.bindparam("key"))


def queue(  # noqa: PLR0913 - one argument for each thing that is written
    connection: sa.Connection,
    submission: Submission,
    shadow: Submission,
    business_reference: str | None,
    at: datetime,
    *,
    held: bool,
) -> Exchange:
    """
    Put a message in, and its shadow beside it, in one transaction.

    Raises:
        InputError: They do not belong together, or the K has another message or another shadow.
    """
    _check(submission, shadow)
    exchange = _outbox.queue(connection, submission, business_reference, at, held=held)
    there = connection.execute(_THERE, {"key": exchange.key}).first()
    if there is None:
        values = {"exchange": exchange.key, "system": shadow.system, "created": at, "raw": shadow.data}
        connection.execute(sa.insert(_table), values)
    elif there.system != shadow.system or not repeats(shadow, there.raw):
        message = f"reference {exchange.reference} of {exchange.party} has another shadow; a K has one."
        raise InputError("", (Problem("ledger.shadow", message),))
    return exchange


def _check(submission: Submission, shadow: Submission) -> None:
    """
    Refuse a shadow that is none of this message.

    Raises:
        InputError: It is of another K or party, or for the same system.
    """
    sent, other = submission.envelope, shadow.envelope
    problems: list[Problem] = []
    if (sent.sender.lower(), sent.reference) != (other.sender.lower(), other.reference):
        message = (
            f"the shadow is of {other.sender} and {other.reference}, the message of {sent.sender} and "
            f"{sent.reference}; build both with the same party and reference."
        )
        problems.append(Problem("ledger.shadow", message))
    if submission.system.lower() == shadow.system.lower():
        message = f"the shadow is for {shadow.system}, as the message is; build it for another system."
        problems.append(Problem("ledger.shadow", message))
    if problems:
        raise InputError("", tuple(problems))


_ALL: Final = (
    sa
    .select(_exchanges, _table.c.system.label("shadow_system"), _table.c.raw.label("shadow"))
    .join(_table, _table.c.exchange == _exchanges.c.id)
    .order_by(_exchanges.c.id)
)
_OF_PARTIES: Final = _ALL.where(_exchanges.c.party_key.in_(sa.bindparam("parties", expanding=True)))


def listed(connection: sa.Connection, parties: tuple[str, ...] | None) -> Iterator[Shadow]:
    """List exchanges that have a shadow, oldest first; of some parties only, so many at once as a statement takes."""
    read = connection.execution_options(yield_per=100)
    if parties is None:
        for row in read.execute(_ALL):
            yield _shadow_of(row)
        return
    for some in pieces({party.lower() for party in parties}):
        for row in read.execute(_OF_PARTIES, {"parties": some}):
            yield _shadow_of(row)


def _shadow_of(row: sa.Row[Any]) -> Shadow:
    return Shadow(exchange=_outbox.exchange_of(row), sent=row.raw, system=row.shadow_system, raw=row.shadow)
