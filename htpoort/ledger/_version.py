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
from htpoort.ledger._database import Database, absent

_TABLE: Final = "htpoort_version"
_LOCK: Final = 0x68_74_70_6F
"""Key of PostgreSQL's advisory lock, so that agents that start together upgrade once."""
_ENCODINGS: Final = ("UTF8", "SQL_ASCII")
"""Of PostgreSQL: those that store any text; the second stores what it is given."""

logging.getLogger("alembic").setLevel(logging.WARNING)  # it tells each step at INFO


def upgrade(connection: sa.Connection, database: Database, *, create: bool) -> bool:
    """
    Create the tables, or upgrade them.

    Args:
        connection: In a transaction of its own, for writing.
        database: The ledger's.
        create: Whether to create them where there are none.

    Returns:
        Whether there were none.

    Raises:
        LedgerError: The tables are of a newer htpoort; or there are none, and none are to be created, or the database
            could not hold every text.
    """
    where = database.where
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
    if current is None and connection.dialect.name == "postgresql":
        _refuse_encoding(connection, where)
    database.unlimited(connection)
    command.upgrade(config, "head")
    return current is None


def _refuse_encoding(connection: sa.Connection, where: str) -> None:
    """Refuse a new ledger in a database that cannot store every text: a Subject in it could never be acknowledged."""
    encoding: str = connection.exec_driver_sql("SHOW server_encoding").scalar_one()
    if encoding not in _ENCODINGS:
        advice = f"The database has the encoding {encoding}; create it with ENCODING 'UTF8' TEMPLATE template0."
        raise LedgerError(where, "Opening", advice)
