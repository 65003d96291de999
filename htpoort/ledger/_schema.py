"""
Declare the tables of the ledger, and create or upgrade them.

A change of a table needs a migration in `migrations/versions`, and its name in `SCHEMA`.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa
from sqlalchemy.types import TypeDecorator

from htpoort.core.errors import InputError, LedgerError, Problem
from htpoort.ledger._sqlite import no_ledger

if TYPE_CHECKING:
    from htpoort.ledger._postgresql import Server
    from htpoort.ledger._sqlite import SqliteFile

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


def not_aware(name: str, value: object) -> InputError:
    """Make the error for a value that is not an aware datetime."""
    given = f"{value.isoformat()}, without a time zone" if isinstance(value, datetime) else type(value).__name__
    return InputError("", (Problem("input.date", f"{name} is {given}; give an aware datetime."),))


class Moment(TypeDecorator[datetime]):
    """An aware datetime, stored as microseconds since 1970 in UTC: the same on every database, in order as a number."""

    impl = sa.BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> int | None:
        """
        Convert to microseconds.

        Raises:
            InputError: The value is not an aware datetime.
        """
        del dialect
        try:
            return None if value is None else (value - EPOCH) // _MICROSECOND
        except TypeError:
            raise not_aware("time", value) from None

    def process_result_value(self, value: Any | None, dialect: sa.Dialect) -> datetime | None:  # noqa: ANN401 - whatever the driver returns
        """Convert back to a datetime in UTC."""
        del dialect
        return None if value is None else EPOCH + value * _MICROSECOND


metadata: Final = sa.MetaData()

# SQLite generates keys of this type only.
_KEY: Final = sa.BigInteger().with_variant(sa.Integer, "sqlite")

messages: Final = sa.Table(
    "htpoort_messages",
    metadata,
    sa.Column("id", _KEY, primary_key=True),
    sa.Column("raw", sa.LargeBinary, nullable=False),
)
"""
The octets of every message: written once and never changed, so that a change of state rewrites a short row only.

The other tables refer to it without a foreign key. With one, each deletion of a message would search all of them, and
each would need an index that nothing else uses.
"""

exchanges: Final = sa.Table(
    "htpoort_exchanges",
    metadata,
    sa.Column("id", _KEY, primary_key=True),
    sa.Column("system", sa.Text, nullable=False),
    sa.Column("party", sa.Text, nullable=False, comment="V as it was sent"),
    sa.Column("party_key", sa.Text, nullable=False, comment="V in lower case, as parties compare"),
    sa.Column("reference", sa.Text, nullable=False, comment="K"),
    sa.Column("business_reference", sa.Text, comment="the declarant's own"),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("due", Moment, nullable=False, comment="not sent before"),
    sa.Column("owner", sa.Text, comment="the worker that is sending it"),
    sa.Column("lease", Moment, comment="when the worker counts as dead"),
    sa.Column("mail_from", sa.Text, nullable=False),
    sa.Column("rcpt_to", sa.Text, nullable=False),
    sa.Column("message_id", sa.Text, nullable=False),
    sa.Column("created", Moment, nullable=False),
    sa.Column("changed", Moment, nullable=False),
    sa.Column("message", _KEY, comment="the number of its message; empty once that is pruned"),
    # Bit N: attempt N. Bit 0: any attempt above 62, or a person's statement that the gateway has it.
    sa.Column("begun", sa.BigInteger, nullable=False, comment="attempts whose content may have left"),
    sa.Column("early", sa.Boolean, nullable=False, comment="a reply waits for the end of this attempt"),
    # Permanent: a K that was used once is never sent for another declaration.
    sa.UniqueConstraint("party_key", "reference", name="htpoort_one_k"),
    sa.Index("htpoort_exchanges_due", "state", "due"),
    sa.Index("htpoort_exchanges_reference", "reference"),
    # Counts exchanges without reading their rows.
    sa.Index("htpoort_exchanges_status", "system", "state", "created"),
    # Finds what a party has open at a system, for the report of a move.
    sa.Index("htpoort_exchanges_standing", "party_key", "system", "state", "created"),
)

shadows: Final = sa.Table(
    "htpoort_shadows",
    metadata,
    sa.Column("exchange", _KEY, sa.ForeignKey("htpoort_exchanges.id"), primary_key=True, autoincrement=False),
    sa.Column("system", sa.Text, nullable=False, comment="the system that it was not sent to"),
    sa.Column("created", Moment, nullable=False),
    sa.Column("message", _KEY, nullable=False, comment="the number of its message"),
)

_CLAIMED: Final = sa.text("owner IS NOT NULL")
_UNDELIVERED: Final = sa.text("delivered IS NULL")
_NOT_SENT: Final = sa.text("correlation = 'not-sent'")

replies: Final = sa.Table(
    "htpoort_replies",
    metadata,
    sa.Column("id", _KEY, primary_key=True),
    sa.Column("exchange", _KEY, sa.ForeignKey("htpoort_exchanges.id"), comment="empty if no such K was sent"),
    sa.Column("system", sa.Text, nullable=False),
    sa.Column("mailbox", sa.Text, nullable=False),
    sa.Column("process_id", sa.Text, nullable=False),
    sa.Column("party", sa.Text, nullable=False),
    sa.Column("reference", sa.Text, nullable=False),
    sa.Column("correlation", sa.Text, nullable=False),
    sa.Column("body_sha256", sa.Text, nullable=False),
    sa.Column("copies", sa.Integer, nullable=False),
    sa.Column("received", Moment, nullable=False),
    sa.Column("delivered", Moment),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("redeliveries", sa.Integer, nullable=False, server_default="0", comment="ordered after it was delivered"),
    sa.Column("due", Moment, nullable=False, comment="not delivered before"),
    sa.Column("owner", sa.Text),
    sa.Column("lease", Moment),
    sa.Column("trouble", sa.Text, comment="why the last delivery failed"),
    sa.Column("message", _KEY, nullable=False, comment="the number of its message"),
    sa.UniqueConstraint("reference", "party", "system", "body_sha256", name="htpoort_one_copy"),
    sa.Index("htpoort_replies_exchange", "exchange"),
    sa.Index("htpoort_replies_standing", "party", "system", "received"),
    sa.Index("htpoort_replies_waiting", "system", "due", sqlite_where=_UNDELIVERED),
    # Finds the few replies that need attention among those of seven years.
    sa.Index("htpoort_replies_not_sent", "exchange", sqlite_where=_NOT_SENT),
    # Finds what a worker holds when it starts or ends, without reading every reply of seven years.
    sa.Index("htpoort_replies_owner", "owner", sqlite_where=_CLAIMED),
    # A number is never used twice, also if its reply was removed: processes remember the numbers.
    sqlite_autoincrement=True,
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
    sa.Column("message_sha256", sa.Text, nullable=False),
    sa.Column("message", _KEY, nullable=False, comment="the number of its message"),
    sa.UniqueConstraint("message_sha256", name="htpoort_one_quarantined"),
    sa.Index("htpoort_quarantine_state", "state"),
)

_OF_REPLY: Final = sa.text("reply IS NOT NULL")
_OF_QUARANTINED: Final = sa.text("quarantine IS NOT NULL")

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
    sa.Index("htpoort_events_reply", "reply", sqlite_where=_OF_REPLY),
    sa.Index("htpoort_events_quarantine", "quarantine", sqlite_where=_OF_QUARANTINED),
)

fetched: Final = sa.Table(
    "htpoort_fetched",
    metadata,
    sa.Column("account", sa.Text, primary_key=True, comment="user@host:port of the POP3 mailbox"),
    sa.Column("uidl", sa.Text, primary_key=True),
    sa.Column("at", Moment, nullable=False),
)

paused_servers: Final = sa.Table(
    "htpoort_paused_servers",
    metadata,
    sa.Column("name", sa.Text, primary_key=True, comment="the agent's name for the server"),
    sa.Column("since", Moment, nullable=False, comment="when the trouble began"),
    sa.Column("next_try", Moment, nullable=False),
    sa.Column("why", sa.Text, nullable=False),
    sa.Column("failures", sa.Integer, nullable=False, comment="in a row"),
)

resume_orders: Final = sa.Table(
    "htpoort_resume_orders",
    metadata,
    sa.Column("name", sa.Text, primary_key=True, comment="the agent's name for the server"),
    sa.Column("number", sa.Integer, nullable=False, comment="how many orders there were"),
    sa.Column("at", Moment, nullable=False, comment="when the last one was given"),
)

notices: Final = sa.Table(
    "htpoort_notices",
    metadata,
    sa.Column("id", _KEY, primary_key=True),
    sa.Column("digest", sa.Text, nullable=False, comment="of form, authority and text"),
    sa.Column("form", sa.Text, nullable=False, comment="text or own"),
    sa.Column("text", sa.LargeBinary, nullable=False, comment="in UTF-8; read anew by each version"),
    sa.Column("authority", sa.Text, comment="the one that was given"),
    sa.Column("source", sa.Text, nullable=False, comment="where the text was read"),
    sa.Column("replaces", _KEY, comment="the notice that it is a later text of, if a person said so"),
    sa.Column("learned", Moment, nullable=False),
    sa.UniqueConstraint("digest", name="htpoort_one_notice"),
    # A number is never used twice: orders and exchanges refer to it.
    sqlite_autoincrement=True,
)
"""The texts of notices, of which none is ever changed or deleted."""

notice_orders: Final = sa.Table(
    "htpoort_notice_orders",
    metadata,
    sa.Column("id", _KEY, primary_key=True),
    sa.Column("notice", _KEY, sa.ForeignKey("htpoort_notices.id"), nullable=False, comment="it, and earlier texts"),
    sa.Column("at", Moment, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("exchange", _KEY, sa.ForeignKey("htpoort_exchanges.id"), comment="empty if all that the notice holds"),
)
"""The orders to send although a notice says to hold; a later text of the event holds again."""

held_systems: Final = sa.Table(
    "htpoort_held_systems",
    metadata,
    sa.Column("system", sa.Text, primary_key=True),
    sa.Column("since", Moment, nullable=False),
    sa.Column("until", Moment, comment="when to ask again; empty if no end is known"),
    sa.Column("notice", sa.Text, nullable=False, comment="its reference, or its number"),
    sa.Column("why", sa.Text, nullable=False),
    sa.Column("let_go_by", Moment, comment="when the last of them is to be let go, after the window"),
)
"""The systems whose exchanges agents hold because of a notice, until the last of them was let go."""

recoveries: Final = sa.Table(
    "htpoort_recoveries",
    metadata,
    sa.Column("id", _KEY, primary_key=True),
    sa.Column("exchange", _KEY, sa.ForeignKey("htpoort_exchanges.id"), nullable=False),
    sa.Column("notice", _KEY, sa.ForeignKey("htpoort_notices.id"), nullable=False, comment="the text that stood then"),
    sa.Column("action", sa.Text, nullable=False),
    sa.Column("resubmission", _KEY, sa.ForeignKey("htpoort_exchanges.id"), comment="the exchange that took its place"),
    sa.Column("despite", sa.Text, comment="why it was ordered although the notice forbids it"),
    sa.Column("at", Moment, nullable=False),
    sa.Index("htpoort_recoveries_exchange", "exchange"),
    sa.Index("htpoort_recoveries_resubmission", "resubmission"),
)
"""What a person ordered for an exchange because of a notice."""


# ── creating and upgrading ───────────────────────────────────────────────────

SCHEMA: Final = "v1"
"""The schema of this version: the last of the migrations."""
MIGRATIONS: Final = Path(__file__).parent / "migrations"
ADVISORY_LOCK: Final = 0x68_74_70_6F
"""
Marks the advisory locks of htpoort among those of a PostgreSQL server ("htpo" in ASCII).

Alone, it is the lock for upgrading: of several agents that start together, one upgrades. With a second number, it is
the lock for counting the attempts of a system.
"""
_DEVELOPMENT: Final = frozenset({"0001", "0002", "0003", "0004"})
"""Schemas of development versions, before the first release."""
_ENCODINGS: Final = ("UTF8", "SQL_ASCII")
"""Encodings of PostgreSQL that store any text; SQL_ASCII stores octets as they are given."""


def upgrade(connection: sa.Connection, database: SqliteFile | Server, *, create: bool) -> bool:
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
        _declare_conditions()
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(ADVISORY_LOCK)))
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


def _declare_conditions() -> None:
    """
    Give the partial indexes their condition on PostgreSQL too.

    In the declarations, its name would load its dialect, which takes as long as a command needs to read its options.
    """
    for table in metadata.tables.values():
        for index in table.indexes:
            index.dialect_options["postgresql"]["where"] = index.dialect_options["sqlite"]["where"]


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
        raise LedgerError(location, "opened", _unknown_schema(schema))
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
        raise LedgerError(location, "opened", advice)
