"""
Bring a ledger to the schema of this version, or refuse one that is newer.

Never does: go back to an older schema.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Final

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from htpoort.errors import LedgerError
from htpoort.ledger._engine import absent

_TABLE: Final = "htpoort_version"
_LOCK: Final = 0x68_74_70_6F
"""Key of PostgreSQL's advisory lock, so that agents that start together upgrade once."""

logging.getLogger("alembic").setLevel(logging.WARNING)  # it tells each step at INFO


def upgrade(connection: sa.Connection, where: str, *, create: bool) -> bool:
    """
    Create the tables, or upgrade them.

    Args:
        connection: In a transaction of its own, for writing.
        where: The ledger, for errors.
        create: Whether to create them where there are none.

    Returns:
        Whether there were none.

    Raises:
        LedgerError: The tables are of a newer htpoort; or there are none, and none are to be created.
    """
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
    script = ScriptDirectory.from_config(config)
    current = MigrationContext.configure(connection, opts={"version_table": _TABLE}).get_current_revision()
    if current == script.get_current_head():
        return False
    if current is None and not create:
        raise absent(where)
    if current is not None and current not in {revision.revision for revision in script.walk_revisions()}:
        advice = f"It has schema {current}, of a newer htpoort; install that version, or a later one."
        raise LedgerError(where, "Opening", advice)
    command.upgrade(config, "head")
    return current is None
