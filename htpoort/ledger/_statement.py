"""
Run the statements that are needed for every message: prepared once, then given to the driver.

SQLAlchemy takes ten times as long to execute a statement as SQLite does. A `Statement` lets SQLAlchemy write the SQL
once for each kind of database, and runs it on the driver's cursor, on the same connection and in the same transaction.

Built on it, for outbox and inbox alike: rows with a message, the log of events, and due times.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Final, TypeVar, cast, final

import attrs
import sqlalchemy as sa
from sqlalchemy import exc
from sqlalchemy.dialects import sqlite
from sqlalchemy.engine.interfaces import DBAPICursor
from sqlalchemy.sql.compiler import SQLCompiler

from htpoort import _clock
from htpoort.core.exchange import State
from htpoort.ledger import _schema
from htpoort.ledger.records import Entry, LedgerEvent

T = TypeVar("T")
Values = Mapping[str, object]
Row = tuple[Any, ...]


@final
class Statement:
    """
    Keep a statement ready to run.

    Errors are those of SQLAlchemy. Rows are tuples as the driver gives them: a moment is a number.

    Args:
        statement: A statement of SQLAlchemy Core. What changes is a `bindparam`, or a column of an INSERT.
        columns: The columns of an INSERT.
    """

    def __init__(self, statement: sa.ClauseElement, columns: Iterable[str] | None = None) -> None:
        self._statement = statement
        self._columns = None if columns is None else list(columns)
        self._compiled: dict[str, _Compiled] = {}

    def rows(self, connection: sa.Connection, values: Values) -> list[Row]:
        """Return the rows of a SELECT."""

        def fetch(cursor: DBAPICursor, compiled: _Compiled) -> list[Row]:
            cursor.execute(compiled.sql, compiled.bind(values))
            return cast("list[Row]", cursor.fetchall())

        return self._run(connection, fetch)

    def write(self, connection: sa.Connection, values: Values) -> int:
        """Write, and return the number of rows concerned."""

        def write(cursor: DBAPICursor, compiled: _Compiled) -> int:
            cursor.execute(compiled.sql, compiled.bind(values))
            return cursor.rowcount

        return self._run(connection, write)

    def insert(self, connection: sa.Connection, values: Values) -> int | None:
        """Add a row to a table with an automatic key; return the key, or None if no row was added."""

        def write(cursor: DBAPICursor, compiled: _Compiled) -> int | None:
            cursor.execute(compiled.sql, compiled.bind(values))
            if cursor.rowcount == 0:
                return None
            # PostgreSQL returns the key as a row; the driver of SQLite keeps it.
            return int(cursor.fetchall()[0][0] if cursor.description else cursor.lastrowid)

        return self._run(connection, write)

    def write_many(self, connection: sa.Connection, each: Iterable[Values]) -> None:
        """Write once for each set of values."""

        def write(cursor: DBAPICursor, compiled: _Compiled) -> None:
            cursor.executemany(compiled.sql, cast("Any", [compiled.bind(values) for values in each]))

        self._run(connection, write)

    def _run(self, connection: sa.Connection, use: Callable[[DBAPICursor, _Compiled], T]) -> T:
        compiled = self._compiled.get(connection.dialect.name)
        if compiled is None:
            compiled = _Compiled.of(self._statement, self._columns, connection.dialect)
            self._compiled[connection.dialect.name] = compiled
        cursor = connection.connection.cursor()
        try:
            return use(cursor, compiled)
        except compiled.error as error:
            raise _sqlalchemy_error(connection, cursor, error, compiled) from error
        finally:
            cursor.close()


@attrs.frozen
class _Compiled:
    """
    Hold what SQLAlchemy makes of a statement for one kind of database.

    Args:
        sql: The SQL, with the placeholders of the driver.
        order: The names of the values; None if the driver takes them by name.
        constants: Values that are part of the statement.
        converters: What converts a value for the driver, by its name, for those that need it.
        converters_by_place: The same by the place in *order*.
        error: The base class of the driver's errors.
    """

    sql: str
    order: tuple[str, ...] | None
    constants: Values
    converters: tuple[tuple[str, Callable[[Any], Any]], ...]
    converters_by_place: tuple[tuple[int, Callable[[Any], Any]], ...]
    error: type[Exception]

    @classmethod
    def of(cls, statement: sa.ClauseElement, columns: list[str] | None, dialect: sa.Dialect) -> _Compiled:
        """Let SQLAlchemy write a statement."""
        compiled = cast("SQLCompiler", statement.compile(dialect=dialect, column_keys=columns))
        converters = {
            name: bind.type.dialect_impl(dialect).bind_processor(dialect) for bind, name in compiled.bind_names.items()
        }
        order = tuple(compiled.positiontup or ()) if compiled.positional else None
        return cls(
            sql=compiled.string,
            order=order,
            constants={name: bind.value for bind, name in compiled.bind_names.items() if not bind.required},
            converters=tuple((name, convert) for name, convert in converters.items() if convert is not None),
            converters_by_place=tuple(
                (place, convert) for place, name in enumerate(order or ()) if (convert := converters[name]) is not None
            ),
            error=cast("type[Exception]", dialect.loaded_dbapi.Error),
        )

    def bind(self, values: Values) -> list[object] | dict[str, object]:
        """Return the values as the driver takes them."""
        if self.order is None:
            by_name = {**self.constants, **values}
            for name, convert in self.converters:
                by_name[name] = convert(by_name[name])
            return by_name
        every = {**self.constants, **values} if self.constants else values
        row = list(map(every.__getitem__, self.order))
        for place, convert in self.converters_by_place:
            row[place] = convert(row[place])
        return row


def _sqlalchemy_error(
    connection: sa.Connection, cursor: DBAPICursor, error: Exception, compiled: _Compiled
) -> Exception:
    """Treat a driver's error as SQLAlchemy does: give up a lost connection, and wrap the error in its own class."""
    dialect = connection.dialect
    if dialect.is_disconnect(cast("Any", error), connection.connection, cursor):
        connection.invalidate(error)
    return exc.DBAPIError.instance(compiled.sql, None, error, compiled.error, dialect=dialect)


# ── rows with a message ──────────────────────────────────────────────────────

_STORE: Final = Statement(sa.insert(_schema.messages), ["raw"])
_DELETE: Final = Statement(sa.delete(_schema.messages).where(_schema.messages.c.id == sa.bindparam("key")))


def store_message(connection: sa.Connection, raw: bytes) -> int:
    """Store the octets of a message, and return its number."""
    return cast("int", _STORE.insert(connection, {"raw": raw}))


@final
class InsertIfNew:
    """
    Add a row with its message, unless the table has such a row: decided by its unique constraint, over many machines.

    Args:
        table: A table with an automatic key, a unique constraint and a column *message*.
    """

    def __init__(self, table: sa.Table) -> None:
        self._table = table
        self._statements: dict[str, Statement] = {}

    def __call__(self, connection: sa.Connection, values: Values, raw: bytes) -> int | None:
        """
        Add a row and its message.

        Args:
            connection: A connection in a transaction.
            values: The values by column, all but the key and the message.
            raw: The message.

        Returns:
            The key of the new row. None if there is such a row; then nothing is stored, and the other row is
            committed, also on PostgreSQL.
        """
        message = store_message(connection, raw)
        dialect = connection.dialect.name
        statement = self._statements.get(dialect)
        if statement is None:
            statement = self._statements[dialect] = _insert_if_new(self._table, dialect)
        key = statement.insert(connection, {**values, "message": message})
        if key is None:
            _DELETE.write(connection, {"key": message})
        return key


def _insert_if_new(table: sa.Table, dialect: str) -> Statement:
    """Prepare an INSERT that adds nothing where a unique constraint has the row."""
    columns = [column.name for column in table.c if not column.primary_key]
    if dialect == "sqlite":
        return Statement(sqlite.insert(table).on_conflict_do_nothing(), columns)
    # Imported here: it takes a tenth of the time that a command on a SQLite file takes to start.
    from sqlalchemy.dialects import postgresql  # noqa: PLC0415

    return Statement(postgresql.insert(table).on_conflict_do_nothing(), columns)


# ── the log of events ────────────────────────────────────────────────────────

# PostgreSQL takes no NUL in a text, and no driver encodes half of a character, which stands for an octet that was
# not text.
_UNSTORABLE: Final = re.compile(r"[\0\ud800-\udfff]")
_LOG: Final = Statement(
    sa.insert(_schema.events), [column.name for column in _schema.events.c if not column.primary_key]
)
_PENDING: Final = "htpoort-events"


def storable(text: str) -> str:
    """Replace each character of a text from outside that a database cannot store by a question mark."""
    return _UNSTORABLE.sub("?", text)


def log(  # noqa: PLR0913 - one argument for each column
    connection: sa.Connection,
    at: datetime,
    event: str,
    *,
    exchange: int | None = None,
    reply: int | None = None,
    quarantine: int | None = None,
    state: str | None = None,
    detail: str = "",
) -> None:
    """Append an event to the log; the writer inserts all events of a transaction together at its end."""
    row: dict[str, object] = {
        "at": at,
        "event": event,
        "exchange": exchange,
        "reply": reply,
        "quarantine": quarantine,
        "state": state,
        "detail": storable(detail),
    }
    pending: list[dict[str, object]] | None = connection.info.get(_PENDING)
    if pending is None:
        _LOG.write_many(connection, [row])
    else:
        pending.append(row)


def flush_log(connection: sa.Connection) -> None:
    """Insert the events that were appended so far, before a query on the log."""
    pending: list[dict[str, object]] | None = connection.info.get(_PENDING)
    if pending:
        _LOG.write_many(connection, pending)
        pending.clear()


@contextmanager
def events_at_end(connection: sa.Connection) -> Generator[None]:
    """Collect the events of a transaction, and insert them in order at its end: one statement in place of many."""
    # A connection whose server is lost refuses access to its info later.
    info = connection.info
    info[_PENDING] = []
    try:
        yield
        flush_log(connection)
    finally:
        # The connection is used again, in another transaction.
        info.pop(_PENDING, None)


def log_entries(connection: sa.Connection, condition: sa.ColumnElement[bool]) -> tuple[Entry, ...]:
    """Read entries of the log, oldest first."""
    rows = connection.execute(sa.select(_schema.events).where(condition).order_by(_schema.events.c.id))
    return tuple(map(entry_of, rows))


def entry_of(row: sa.Row[Any]) -> Entry:
    """Make the record of a row of the log."""
    return Entry(at=row.at, event=row.event, state=row.state, detail=row.detail)


# ── due times ────────────────────────────────────────────────────────────────


def any_row(connection: sa.Connection, *conditions: sa.ColumnElement[bool]) -> bool:
    """Check whether any row matches one of several conditions, so that nothing is written if none does."""
    return any(connection.execute(sa.select(sa.exists().where(condition))).scalar_one() for condition in conditions)


def make_due(
    connection: sa.Connection, table: sa.Table, condition: sa.ColumnElement[bool], *, at: datetime
) -> list[tuple[int, datetime]]:
    """Make rows due now; return their keys, and when each was due before."""
    # Rows that another machine is about to claim are left for the next time.
    query = sa.select(table.c.id, table.c.due).where(condition).order_by(table.c.id).with_for_update(skip_locked=True)
    rows = connection.execute(query).all()
    if rows:
        update = sa.update(table).where(table.c.id == sa.bindparam("key")).values(due=at)
        connection.execute(update, [{"key": row.id} for row in rows])
    return [(row.id, row.due) for row in rows]


def correct_due(connection: sa.Connection, table: sa.Table, condition: sa.ColumnElement[bool], at: datetime) -> int:
    """Make deferred exchanges or replies due now whose time is later than any wait; return how many."""
    rows = make_due(connection, table, condition, at=at)
    for key, due in rows:
        until = _clock.local(due)
        detail = f"it was due at {until}, later than any wait: a clock was ahead; it is due now"
        if table is _schema.exchanges:
            log(
                connection, at, LedgerEvent.DUE_CORRECTED.value, exchange=key, state=State.DEFERRED.value, detail=detail
            )
        else:
            log(connection, at, LedgerEvent.DUE_CORRECTED.value, reply=key, detail=detail)
    return len(rows)
