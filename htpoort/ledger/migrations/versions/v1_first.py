"""Create the tables of htpoort 0.1.0."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "v1"
down_revision = None

# Written out in full: a migration must not change when the schema in the code does.
_KEY = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Create every table with its indexes."""
    _create_exchanges()
    _create_replies()
    _create_quarantine()
    _create_events()
    _create_notices()
    op.create_table(
        "htpoort_fetched",
        sa.Column("account", sa.Text, primary_key=True),
        sa.Column("uidl", sa.Text, primary_key=True),
        sa.Column("at", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "htpoort_paused_servers",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("since", sa.BigInteger, nullable=False),
        sa.Column("next_try", sa.BigInteger, nullable=False),
        sa.Column("why", sa.Text, nullable=False),
        sa.Column("failures", sa.Integer, nullable=False),
    )
    op.create_table(
        "htpoort_resume_orders",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
    )


def _index(name: str, table: str, columns: list[str], where: str | None = None) -> None:
    condition = None if where is None else sa.text(where)
    op.create_index(name, table, columns, sqlite_where=condition, postgresql_where=condition)


def _create_exchanges() -> None:
    op.create_table(
        "htpoort_messages",
        sa.Column("id", _KEY, primary_key=True),
        sa.Column("raw", sa.LargeBinary, nullable=False),
    )
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
        sa.Column("message", _KEY),
        sa.Column("begun", sa.BigInteger, nullable=False),
        sa.Column("early", sa.Boolean, nullable=False),
        sa.UniqueConstraint("party_key", "reference", name="htpoort_one_k"),
    )
    _index("htpoort_exchanges_due", "htpoort_exchanges", ["state", "due"])
    _index("htpoort_exchanges_reference", "htpoort_exchanges", ["reference"])
    _index("htpoort_exchanges_status", "htpoort_exchanges", ["system", "state", "created"])
    _index("htpoort_exchanges_standing", "htpoort_exchanges", ["party_key", "system", "state", "created"])
    op.create_table(
        "htpoort_shadows",
        sa.Column("exchange", _KEY, sa.ForeignKey("htpoort_exchanges.id"), primary_key=True, autoincrement=False),
        sa.Column("system", sa.Text, nullable=False),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.Column("message", _KEY, nullable=False),
    )


def _create_replies() -> None:
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
        sa.Column("body_sha256", sa.Text, nullable=False),
        sa.Column("copies", sa.Integer, nullable=False),
        sa.Column("received", sa.BigInteger, nullable=False),
        sa.Column("delivered", sa.BigInteger),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("redeliveries", sa.Integer, nullable=False, server_default="0"),
        sa.Column("due", sa.BigInteger, nullable=False),
        sa.Column("owner", sa.Text),
        sa.Column("lease", sa.BigInteger),
        sa.Column("trouble", sa.Text),
        sa.Column("message", _KEY, nullable=False),
        sa.UniqueConstraint("reference", "party", "system", "body_sha256", name="htpoort_one_copy"),
        sqlite_autoincrement=True,
    )
    _index("htpoort_replies_exchange", "htpoort_replies", ["exchange"])
    _index("htpoort_replies_standing", "htpoort_replies", ["party", "system", "received"])
    _index("htpoort_replies_waiting", "htpoort_replies", ["system", "due"], "delivered IS NULL")
    _index("htpoort_replies_not_sent", "htpoort_replies", ["exchange"], "correlation = 'not-sent'")
    _index("htpoort_replies_owner", "htpoort_replies", ["owner"], "owner IS NOT NULL")


def _create_quarantine() -> None:
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
        sa.Column("message_sha256", sa.Text, nullable=False),
        sa.Column("message", _KEY, nullable=False),
        sa.UniqueConstraint("message_sha256", name="htpoort_one_quarantined"),
    )
    _index("htpoort_quarantine_state", "htpoort_quarantine", ["state"])


def _create_events() -> None:
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
    _index("htpoort_events_exchange", "htpoort_events", ["exchange"])
    _index("htpoort_events_event", "htpoort_events", ["event", "at"])
    _index("htpoort_events_reply", "htpoort_events", ["reply"], "reply IS NOT NULL")
    _index("htpoort_events_quarantine", "htpoort_events", ["quarantine"], "quarantine IS NOT NULL")


def _create_notices() -> None:
    op.create_table(
        "htpoort_notices",
        sa.Column("id", _KEY, primary_key=True),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("form", sa.Text, nullable=False),
        sa.Column("text", sa.LargeBinary, nullable=False),
        sa.Column("authority", sa.Text),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("replaces", _KEY),
        sa.Column("learned", sa.BigInteger, nullable=False),
        sa.UniqueConstraint("digest", name="htpoort_one_notice"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "htpoort_notice_orders",
        sa.Column("id", _KEY, primary_key=True),
        sa.Column("notice", _KEY, sa.ForeignKey("htpoort_notices.id"), nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("exchange", _KEY, sa.ForeignKey("htpoort_exchanges.id")),
    )
    op.create_table(
        "htpoort_held_systems",
        sa.Column("system", sa.Text, primary_key=True),
        sa.Column("since", sa.BigInteger, nullable=False),
        sa.Column("until", sa.BigInteger),
        sa.Column("notice", sa.Text, nullable=False),
        sa.Column("why", sa.Text, nullable=False),
        sa.Column("let_go_by", sa.BigInteger),
    )
    op.create_table(
        "htpoort_recoveries",
        sa.Column("id", _KEY, primary_key=True),
        sa.Column("exchange", _KEY, sa.ForeignKey("htpoort_exchanges.id"), nullable=False),
        sa.Column("notice", _KEY, sa.ForeignKey("htpoort_notices.id"), nullable=False),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("resubmission", _KEY, sa.ForeignKey("htpoort_exchanges.id")),
        sa.Column("despite", sa.Text),
        sa.Column("at", sa.BigInteger, nullable=False),
    )
    _index("htpoort_recoveries_exchange", "htpoort_recoveries", ["exchange"])
    _index("htpoort_recoveries_resubmission", "htpoort_recoveries", ["resubmission"])
