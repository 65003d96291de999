"""What a move needs: how a party stands with a system, and what the other system would have got."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

# Frozen as it was: a migration must not change when the schema does.
_KEY = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Find what a party has open and was answered by indexes alone; keep messages that are never sent."""
    op.create_index("htpoort_exchanges_standing", "htpoort_exchanges", ["party_key", "system", "state", "created"])
    op.create_index("htpoort_replies_standing", "htpoort_replies", ["party", "system", "received"])
    op.create_table(
        "htpoort_shadows",
        sa.Column("exchange", _KEY, sa.ForeignKey("htpoort_exchanges.id"), primary_key=True, autoincrement=False),
        sa.Column("system", sa.Text, nullable=False),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.Column("raw", sa.LargeBinary, nullable=False),
    )
