"""Run migrations on the connection that the ledger gives; Alembic reads this file by its name."""

from __future__ import annotations

from alembic import context

context.configure(connection=context.config.attributes["connection"], version_table="htpoort_version")
with context.begin_transaction():
    context.run_migrations()
