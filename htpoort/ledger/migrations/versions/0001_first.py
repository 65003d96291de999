"""The first tables."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

# Frozen as they were: a migration must not change when the schema does.
_KEY = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Create exchanges, replies, quarantine, events and what was fetched."""
    op.create_table(
        "htpoort_exchanges",
        sa.Column("id", _KEY, primary_key=True),
        sa.Column("system", sa.Text, nullable=False),
        sa.Column("party", sa.Text, nullable=False),
        sa.Column("party_key", sa.Text, nullable=False),
        sa.Column("reference", sa.Text, nullable=False),
        sa.Column("business_reference", sa.Text),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("due", sa.BigInteger, nullable=False),
        sa.Column("owner", sa.Text),
        sa.Column("lease", sa.BigInteger),
        sa.Column("mail_from", sa.Text, nullable=False),
        sa.Column("rcpt_to", sa.Text, nullable=False),
        sa.Column("message_id", sa.Text, nullable=False),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.Column("changed", sa.BigInteger, nullable=False),
        sa.Column("raw", sa.LargeBinary, nullable=False),
        sa.UniqueConstraint("party_key", "reference", name="htpoort_one_k"),
    )
    op.create_index("htpoort_exchanges_due", "htpoort_exchanges", ["state", "due"])
    op.create_index("htpoort_exchanges_reference", "htpoort_exchanges", ["reference"])
    op.create_table(
        "htpoort_replies",
        sa.Column("id", _KEY, primary_key=True),
        sa.Column("exchange", _KEY, sa.ForeignKey("htpoort_exchanges.id")),
        sa.Column("system", sa.Text, nullable=False),
        sa.Column("mailbox", sa.Text, nullable=False),
        sa.Column("process_id", sa.Text, nullable=False),
        sa.Column("party", sa.Text, nullable=False),
        sa.Column("reference", sa.Text, nullable=False),
        sa.Column("correlation", sa.Text, nullable=False),
        sa.Column("content", sa.Text, nullable=False),
        sa.Column("copies", sa.Integer, nullable=False),
        sa.Column("received", sa.BigInteger, nullable=False),
        sa.Column("delivered", sa.BigInteger),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("due", sa.BigInteger, nullable=False),
        sa.Column("owner", sa.Text),
        sa.Column("lease", sa.BigInteger),
        sa.Column("trouble", sa.Text),
        sa.Column("raw", sa.LargeBinary, nullable=False),
        sa.UniqueConstraint("reference", "party", "system", "content", name="htpoort_one_copy"),
    )
    op.create_index("htpoort_replies_exchange", "htpoort_replies", ["exchange"])
    op.create_index("htpoort_replies_due", "htpoort_replies", ["system", "delivered", "due"])
    held = sa.text("owner IS NOT NULL")
    op.create_index("htpoort_replies_owner", "htpoort_replies", ["owner"], sqlite_where=held, postgresql_where=held)
    op.create_table(
        "htpoort_quarantine",
        sa.Column("id", _KEY, primary_key=True),
        sa.Column("received", sa.BigInteger, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("problems", sa.JSON, nullable=False),
        sa.Column("mailbox", sa.Text),
        sa.Column("subject", sa.Text),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("copies", sa.Integer, nullable=False),
        sa.Column("content", sa.Text, nullable=False),
        sa.Column("raw", sa.LargeBinary, nullable=False),
        sa.UniqueConstraint("content", name="htpoort_one_stranger"),
    )
    op.create_table(
        "htpoort_events",
        sa.Column("id", _KEY, primary_key=True),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("exchange", _KEY),
        sa.Column("reply", _KEY),
        sa.Column("quarantine", _KEY),
        sa.Column("event", sa.Text, nullable=False),
        sa.Column("state", sa.Text),
        sa.Column("detail", sa.Text, nullable=False),
    )
    op.create_index("htpoort_events_exchange", "htpoort_events", ["exchange"])
    op.create_index("htpoort_events_event", "htpoort_events", ["event", "at"])
    op.create_table(
        "htpoort_fetched",
        sa.Column("account", sa.Text, primary_key=True),
        sa.Column("uidl", sa.Text, primary_key=True),
        sa.Column("at", sa.BigInteger, nullable=False),
    )
