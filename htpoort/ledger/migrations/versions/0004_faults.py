"""What the ledger knows of each exchange: whether content may have left, which replies came before, who rests."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Say of what was attempted before that its content may have left: no attempt says that it did not."""
    begun = sa.Column("begun", sa.BigInteger, nullable=False, server_default="0")
    op.add_column("htpoort_exchanges", begun)
    op.add_column("htpoort_exchanges", sa.Column("early", sa.Boolean, nullable=False, server_default=sa.false()))
    exchanges = sa.table("htpoort_exchanges", sa.column("begun"), sa.column("attempts"))
    op.execute(sa.update(exchanges).where(exchanges.c.attempts > 0).values(begun=1))
    not_sent = sa.text("correlation = 'not-sent'")
    op.create_index(
        "htpoort_replies_not_sent", "htpoort_replies", ["exchange"], sqlite_where=not_sent, postgresql_where=not_sent
    )
    of_stranger = sa.text("quarantine IS NOT NULL")
    op.create_index(
        "htpoort_events_quarantine",
        "htpoort_events",
        ["quarantine"],
        sqlite_where=of_stranger,
        postgresql_where=of_stranger,
    )
    op.create_table(
        "htpoort_resting",
        sa.Column("name", sa.Text, primary_key=True, comment="what the agent calls the server"),
        sa.Column("since", sa.BigInteger, nullable=False, comment="when the trouble began"),
        sa.Column("next_try", sa.BigInteger, nullable=False),
        sa.Column("why", sa.Text, nullable=False),
    )
