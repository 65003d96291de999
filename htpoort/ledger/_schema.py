"""
Declare the tables of the ledger.

Never does: change a table that exists; that is what `migrations` is for.
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
        """Count the microseconds; a naive datetime raises TypeError."""
        del dialect
        return None if value is None else (value - _EPOCH) // _MICROSECOND

    def process_result_value(self, value: Any | None, dialect: sa.Dialect) -> datetime | None:  # noqa: ANN401 - what the driver gives
        """Give the datetime back, in UTC."""
        del dialect
        return None if value is None else _EPOCH + value * _MICROSECOND


metadata: Final = sa.MetaData()

# SQLite counts up a key of this type only.
_KEY: Final = sa.BigInteger().with_variant(sa.Integer, "sqlite")

exchanges: Final = sa.Table(
    "htpoort_exchanges",
    metadata,
    sa.Column("id", _KEY, primary_key=True),
    sa.Column("system", sa.Text, nullable=False),
    sa.Column("party", sa.Text, nullable=False, comment="V as it was sent"),
    sa.Column("party_key", sa.Text, nullable=False, comment="V in lower case, as parties compare"),
    sa.Column("reference", sa.Text, nullable=False, comment="K"),
    sa.Column("business_reference", sa.Text, comment="the declarant's own, kept when a declaration is resubmitted"),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("due", Moment, nullable=False, comment="not to be sent before"),
    sa.Column("owner", sa.Text, comment="the worker that sends it"),
    sa.Column("lease", Moment, comment="until when it may be silent"),
    sa.Column("mail_from", sa.Text, nullable=False),
    sa.Column("rcpt_to", sa.Text, nullable=False),
    sa.Column("message_id", sa.Text, nullable=False),
    sa.Column("created", Moment, nullable=False),
    sa.Column("changed", Moment, nullable=False),
    sa.Column("raw", sa.LargeBinary, nullable=False),
    # Bit N: attempt N. Bit 0: one of an earlier schema, one above 62, or a person's word that the gateway has it.
    sa.Column(
        "begun", sa.BigInteger, nullable=False, server_default="0", comment="attempts whose content may have left"
    ),
    sa.Column(
        "early", sa.Boolean, nullable=False, server_default=sa.false(), comment="a reply waits for this attempt's end"
    ),
    # For ever: a K that was used once never goes out for another declaration.
    sa.UniqueConstraint("party_key", "reference", name="htpoort_one_k"),
    sa.Index("htpoort_exchanges_due", "state", "due"),
    sa.Index("htpoort_exchanges_reference", "reference"),
    # Ten million exchanges are counted without a look at one of them.
    sa.Index("htpoort_exchanges_status", "system", "state", "created"),
    # What a party has open at a system, for the report of a move.
    sa.Index("htpoort_exchanges_standing", "party_key", "system", "state", "created"),
)

shadows: Final = sa.Table(
    "htpoort_shadows",
    metadata,
    sa.Column("exchange", _KEY, sa.ForeignKey("htpoort_exchanges.id"), primary_key=True, autoincrement=False),
    sa.Column("system", sa.Text, nullable=False, comment="the one that it was not sent to"),
    sa.Column("created", Moment, nullable=False),
    sa.Column("raw", sa.LargeBinary, nullable=False),
)

_HELD: Final = sa.text("owner IS NOT NULL")
_WAITING: Final = sa.text("delivered IS NULL")
_NOT_SENT: Final = sa.text("correlation = 'not-sent'")

replies: Final = sa.Table(
    "htpoort_replies",
    metadata,
    sa.Column("id", _KEY, primary_key=True),
    sa.Column("exchange", _KEY, sa.ForeignKey("htpoort_exchanges.id"), comment="none where K is not known"),
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
    sa.Column("due", Moment, nullable=False, comment="not to be delivered before"),
    sa.Column("owner", sa.Text),
    sa.Column("lease", Moment),
    sa.Column("trouble", sa.Text, comment="why the last delivery failed"),
    sa.Column("raw", sa.LargeBinary, nullable=False),
    sa.UniqueConstraint("reference", "party", "system", "content", name="htpoort_one_copy"),
    sa.Index("htpoort_replies_exchange", "exchange"),
    sa.Index("htpoort_replies_standing", "party", "system", "received"),
    sa.Index("htpoort_replies_waiting", "system", "due", sqlite_where=_WAITING, postgresql_where=_WAITING),
    # Of seven years of replies, the few that a person must look at.
    sa.Index("htpoort_replies_not_sent", "exchange", sqlite_where=_NOT_SENT, postgresql_where=_NOT_SENT),
    # A worker that starts or ends lets go what it held, without a look at every reply of seven years.
    sa.Index("htpoort_replies_owner", "owner", sqlite_where=_HELD, postgresql_where=_HELD),
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
    sa.Column("raw", sa.LargeBinary, nullable=False),
    sa.UniqueConstraint("content", name="htpoort_one_stranger"),
    sa.Index("htpoort_quarantine_state", "state"),
)

_OF_REPLY: Final = sa.text("reply IS NOT NULL")
_OF_STRANGER: Final = sa.text("quarantine IS NOT NULL")

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
    sa.Index("htpoort_events_quarantine", "quarantine", sqlite_where=_OF_STRANGER, postgresql_where=_OF_STRANGER),
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
    sa.Column("name", sa.Text, primary_key=True, comment="what the agent calls the server"),
    sa.Column("since", Moment, nullable=False, comment="when the trouble began"),
    sa.Column("next_try", Moment, nullable=False),
    sa.Column("why", sa.Text, nullable=False),
)
