"""
Declare the tables of the ledger.

A change here needs a migration in `migrations/versions`, and its name in `_upgrade.SCHEMA`.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.types import TypeDecorator

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


class Moment(TypeDecorator[datetime]):
    """An aware datetime, stored as microseconds since 1970 in UTC: the same on every database, in order as a number."""

    impl = sa.BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> int | None:
        """Convert to microseconds; a naive datetime raises TypeError."""
        del dialect
        return None if value is None else (value - _EPOCH) // _MICROSECOND

    def process_result_value(self, value: Any | None, dialect: sa.Dialect) -> datetime | None:  # noqa: ANN401 - whatever the driver returns
        """Convert back to a datetime in UTC."""
        del dialect
        return None if value is None else _EPOCH + value * _MICROSECOND


metadata: Final = sa.MetaData()

# SQLite generates keys of this type only.
_KEY: Final = sa.BigInteger().with_variant(sa.Integer, "sqlite")

messages: Final = sa.Table(
    "htpoort_messages",
    metadata,
    sa.Column("id", _KEY, primary_key=True),
    sa.Column("raw", sa.LargeBinary, nullable=False),
)
"""
The octets of every message: written once and never changed, so that a change of state rewrites a short row only.

The other tables refer to it without a foreign key. With one, each deletion of a message would search all of them, and
each would need an index that nothing else uses.
"""

exchanges: Final = sa.Table(
    "htpoort_exchanges",
    metadata,
    sa.Column("id", _KEY, primary_key=True),
    sa.Column("system", sa.Text, nullable=False),
    sa.Column("party", sa.Text, nullable=False, comment="V as it was sent"),
    sa.Column("party_key", sa.Text, nullable=False, comment="V in lower case, as parties compare"),
    sa.Column("reference", sa.Text, nullable=False, comment="K"),
    sa.Column("business_reference", sa.Text, comment="the declarant's own"),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("due", Moment, nullable=False, comment="not sent before"),
    sa.Column("owner", sa.Text, comment="the worker that is sending it"),
    sa.Column("lease", Moment, comment="when the worker counts as dead"),
    sa.Column("mail_from", sa.Text, nullable=False),
    sa.Column("rcpt_to", sa.Text, nullable=False),
    sa.Column("message_id", sa.Text, nullable=False),
    sa.Column("created", Moment, nullable=False),
    sa.Column("changed", Moment, nullable=False),
    sa.Column("message", _KEY, comment="the number of its message; empty once that is pruned"),
    # Bit N: attempt N. Bit 0: any attempt above 62, or a person's statement that the gateway has it.
    sa.Column("begun", sa.BigInteger, nullable=False, comment="attempts whose content may have left"),
    sa.Column("early", sa.Boolean, nullable=False, comment="a reply waits for the end of this attempt"),
    # Permanent: a K that was used once is never sent for another declaration.
    sa.UniqueConstraint("party_key", "reference", name="htpoort_one_k"),
    sa.Index("htpoort_exchanges_due", "state", "due"),
    sa.Index("htpoort_exchanges_reference", "reference"),
    # Counts exchanges without reading their rows.
    sa.Index("htpoort_exchanges_status", "system", "state", "created"),
    # Finds what a party has open at a system, for the report of a move.
    sa.Index("htpoort_exchanges_standing", "party_key", "system", "state", "created"),
)

shadows: Final = sa.Table(
    "htpoort_shadows",
    metadata,
    sa.Column("exchange", _KEY, sa.ForeignKey("htpoort_exchanges.id"), primary_key=True, autoincrement=False),
    sa.Column("system", sa.Text, nullable=False, comment="the system that it was not sent to"),
    sa.Column("created", Moment, nullable=False),
    sa.Column("message", _KEY, nullable=False, comment="the number of its message"),
)

_CLAIMED: Final = sa.text("owner IS NOT NULL")
_UNDELIVERED: Final = sa.text("delivered IS NULL")
_NOT_SENT: Final = sa.text("correlation = 'not-sent'")

replies: Final = sa.Table(
    "htpoort_replies",
    metadata,
    sa.Column("id", _KEY, primary_key=True),
    sa.Column("exchange", _KEY, sa.ForeignKey("htpoort_exchanges.id"), comment="empty if no such K was sent"),
    sa.Column("system", sa.Text, nullable=False),
    sa.Column("mailbox", sa.Text, nullable=False),
    sa.Column("process_id", sa.Text, nullable=False),
    sa.Column("party", sa.Text, nullable=False),
    sa.Column("reference", sa.Text, nullable=False),
    sa.Column("correlation", sa.Text, nullable=False),
    sa.Column("content", sa.Text, nullable=False, comment="SHA-256 of the body"),
    sa.Column("copies", sa.Integer, nullable=False),
    sa.Column("received", Moment, nullable=False),
    sa.Column("delivered", Moment),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("due", Moment, nullable=False, comment="not delivered before"),
    sa.Column("owner", sa.Text),
    sa.Column("lease", Moment),
    sa.Column("trouble", sa.Text, comment="why the last delivery failed"),
    sa.Column("message", _KEY, nullable=False, comment="the number of its message"),
    sa.UniqueConstraint("reference", "party", "system", "content", name="htpoort_one_copy"),
    sa.Index("htpoort_replies_exchange", "exchange"),
    sa.Index("htpoort_replies_standing", "party", "system", "received"),
    sa.Index("htpoort_replies_waiting", "system", "due", sqlite_where=_UNDELIVERED, postgresql_where=_UNDELIVERED),
    # Finds the few replies that need attention among those of seven years.
    sa.Index("htpoort_replies_not_sent", "exchange", sqlite_where=_NOT_SENT, postgresql_where=_NOT_SENT),
    # Finds what a worker holds when it starts or ends, without reading every reply of seven years.
    sa.Index("htpoort_replies_owner", "owner", sqlite_where=_CLAIMED, postgresql_where=_CLAIMED),
)

quarantine: Final = sa.Table(
    "htpoort_quarantine",
    metadata,
    sa.Column("id", _KEY, primary_key=True),
    sa.Column("received", Moment, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("problems", sa.JSON, nullable=False),
    sa.Column("mailbox", sa.Text),
    sa.Column("subject", sa.Text),
    sa.Column("state", sa.Text, nullable=False, comment="held, released or discarded"),
    sa.Column("copies", sa.Integer, nullable=False),
    sa.Column("content", sa.Text, nullable=False, comment="SHA-256 of the whole message"),
    sa.Column("message", _KEY, nullable=False, comment="the number of its message"),
    sa.UniqueConstraint("content", name="htpoort_one_quarantined"),
    sa.Index("htpoort_quarantine_state", "state"),
)

_OF_REPLY: Final = sa.text("reply IS NOT NULL")
_OF_QUARANTINED: Final = sa.text("quarantine IS NOT NULL")

events: Final = sa.Table(
    "htpoort_events",
    metadata,
    sa.Column("id", _KEY, primary_key=True),
    sa.Column("at", Moment, nullable=False),
    sa.Column("exchange", _KEY),
    sa.Column("reply", _KEY),
    sa.Column("quarantine", _KEY),
    sa.Column("event", sa.Text, nullable=False),
    sa.Column("state", sa.Text, comment="of the exchange afterwards"),
    sa.Column("detail", sa.Text, nullable=False),
    sa.Index("htpoort_events_exchange", "exchange"),
    sa.Index("htpoort_events_event", "event", "at"),
    sa.Index("htpoort_events_reply", "reply", sqlite_where=_OF_REPLY, postgresql_where=_OF_REPLY),
    sa.Index("htpoort_events_quarantine", "quarantine", sqlite_where=_OF_QUARANTINED, postgresql_where=_OF_QUARANTINED),
)

fetched: Final = sa.Table(
    "htpoort_fetched",
    metadata,
    sa.Column("account", sa.Text, primary_key=True, comment="user@host:port of the POP3 mailbox"),
    sa.Column("uidl", sa.Text, primary_key=True),
    sa.Column("at", Moment, nullable=False),
)

resting: Final = sa.Table(
    "htpoort_resting",
    metadata,
    sa.Column("name", sa.Text, primary_key=True, comment="the agent's name for the server"),
    sa.Column("since", Moment, nullable=False, comment="when the trouble began"),
    sa.Column("next_try", Moment, nullable=False),
    sa.Column("why", sa.Text, nullable=False),
)
