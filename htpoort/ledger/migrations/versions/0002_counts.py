"""Indexes for what is counted and told, so that no message is read for it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Count by system and state, find what waits, and tell the events of a reply, each by an index alone."""
    op.create_index("htpoort_exchanges_status", "htpoort_exchanges", ["system", "state", "created"])
    waiting = sa.text("delivered IS NULL")
    op.create_index(
        "htpoort_replies_waiting",
        "htpoort_replies",
        ["system", "due"],
        sqlite_where=waiting,
        postgresql_where=waiting,
    )
    # It also held every reply that was delivered, which nobody looks for.
    op.drop_index("htpoort_replies_due", "htpoort_replies")
    op.create_index("htpoort_quarantine_state", "htpoort_quarantine", ["state"])
    told = sa.text("reply IS NOT NULL")
    op.create_index("htpoort_events_reply", "htpoort_events", ["reply"], sqlite_where=told, postgresql_where=told)
