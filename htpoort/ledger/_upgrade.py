"""Bring the tables of a ledger to the schema of this version, or refuse a schema that it does not know."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Final

import sqlalchemy as sa

from htpoort.core.errors import LedgerError
from htpoort.ledger._sqlite import no_ledger

if TYPE_CHECKING:
    from htpoort.ledger._engine import Database

SCHEMA: Final = "v1"
"""The schema of this version: the last of the migrations."""
MIGRATIONS: Final = Path(__file__).parent / "migrations"
_UPGRADE_LOCK: Final = 0x68_74_70_6F
"""Key of PostgreSQL's advisory lock: of several agents that start together, one upgrades."""
_DEVELOPMENT: Final = frozenset({"0001", "0002", "0003", "0004"})
"""Schemas of development versions, before the first release."""
_ENCODINGS: Final = ("UTF8", "SQL_ASCII")
"""Encodings of PostgreSQL that store any text; SQL_ASCII stores octets as they are given."""


def upgrade(connection: sa.Connection, database: Database, *, create: bool) -> bool:
    """
    Create the tables, or upgrade them.

    Args:
        connection: A connection in a transaction of its own, for writing.
        database: The ledger's database.
        create: Whether to create the tables if there are none.

    Returns:
        Whether there were none.

    Raises:
        LedgerError: The schema is of a newer htpoort, or of a development version; or there are no tables, and none
            are to be created, or the database cannot store every text.
    """
    if _schema_of(connection) == SCHEMA:
        return False
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_UPGRADE_LOCK)))
    # Another agent may have upgraded in the meantime.
    schema = _schema_of(connection)
    if schema == SCHEMA:
        return False
    if schema is None and not create:
        raise no_ledger(database.location)
    if schema is None and connection.dialect.name == "postgresql":
        _refuse_encoding(connection, database.location)
    database.lift_time_limit(connection)
    _migrate(connection, schema, database.location)
    return schema is None


def _schema_of(connection: sa.Connection) -> str | None:
    """Read which schema the tables have; None if there are none."""
    if not sa.inspect(connection).has_table("htpoort_version"):
        return None
    schema: str | None = connection.exec_driver_sql("SELECT version_num FROM htpoort_version").scalar()
    return schema


def _migrate(connection: sa.Connection, schema: str | None, location: str) -> None:
    """
    Run the migrations that follow a schema.

    Raises:
        LedgerError: The schema is none of the migrations'.
    """
    # Imported here: Alembic is slow to import, and most commands open a ledger that needs no upgrade.
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415
    from alembic.script import ScriptDirectory  # noqa: PLC0415

    logging.getLogger("alembic").setLevel(logging.WARNING)  # Alembic logs each step at INFO
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    known = {revision.revision for revision in ScriptDirectory.from_config(config).walk_revisions()}
    if schema is not None and schema not in known:
        raise LedgerError(location, "Opening", _unknown_schema(schema))
    command.upgrade(config, "head")


def _unknown_schema(schema: str) -> str:
    """Explain why the tables cannot be used, and what to do."""
    if schema in _DEVELOPMENT:
        return (
            f"It was made by a development version of htpoort before 0.1.0 (schema {schema}), which this version "
            "cannot read. Export what you need with that version (htpoort export --raw), then let the URL name a new "
            "file or an empty database."
        )
    return f"It has schema {schema}, of a newer htpoort; install that version, or a later one."


def _refuse_encoding(connection: sa.Connection, location: str) -> None:
    """
    Refuse a new ledger in a database that cannot store every text: a reply with such a text would never be stored.

    Raises:
        LedgerError: The database has another encoding.
    """
    encoding: str = connection.exec_driver_sql("SHOW server_encoding").scalar_one()
    if encoding not in _ENCODINGS:
        advice = f"The database has the encoding {encoding}; create it with ENCODING 'UTF8' TEMPLATE template0."
        raise LedgerError(location, "Opening", advice)
