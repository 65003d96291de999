"""
Run a statement for each message without building it anew; SQLAlchemy writes its text, once for each kind of database.

Never does: hold SQL of its own, or begin or end a transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar, cast, final

import attrs
import sqlalchemy as sa
from sqlalchemy import exc
from sqlalchemy.engine.interfaces import DBAPICursor
from sqlalchemy.sql.compiler import SQLCompiler

T = TypeVar("T")
Values = Mapping[str, object]
Row = tuple[Any, ...]


@final
class Prepared:
    """
    Keep a statement ready.

    SQLAlchemy takes ten times as long to execute a statement as SQLite does. What is run for each message
    goes past it to the driver, on the same connection and in the same transaction; errors are SQLAlchemy's
    all the same. Rows are tuples as the driver gives them: a moment is its number.

    Args:
        statement: Of SQLAlchemy Core; what changes is a `bindparam`, or a column of an INSERT.
        columns: Those of an INSERT.
    """

    def __init__(self, statement: sa.ClauseElement, columns: Iterable[str] | None = None) -> None:
        self._statement = statement
        self._columns = None if columns is None else list(columns)
        self._texts: dict[str, _Text] = {}

    def rows(self, connection: sa.Connection, values: Values) -> list[Row]:
        """Give what a SELECT finds."""

        def work(cursor: DBAPICursor, text: _Text) -> list[Row]:
            cursor.execute(text.sql, text.given(values))
            return cast("list[Row]", cursor.fetchall())

        return self._run(connection, work)

    def changed(self, connection: sa.Connection, values: Values) -> int:
        """Write; gives how many rows that concerned."""

        def work(cursor: DBAPICursor, text: _Text) -> int:
            cursor.execute(text.sql, text.given(values))
            return cursor.rowcount

        return self._run(connection, work)

    def added(self, connection: sa.Connection, values: Values) -> int | None:
        """Add a row to a table whose key counts up; gives the key, or None where nothing was added."""

        def work(cursor: DBAPICursor, text: _Text) -> int | None:
            cursor.execute(text.sql, text.given(values))
            if cursor.rowcount == 0:
                return None
            # PostgreSQL returns the key as a row; the driver of SQLite keeps it.
            return int(cursor.fetchall()[0][0] if cursor.description else cursor.lastrowid)

        return self._run(connection, work)

    def many(self, connection: sa.Connection, each: Iterable[Values]) -> None:
        """Write many times."""

        def work(cursor: DBAPICursor, text: _Text) -> None:
            cursor.executemany(text.sql, cast("Any", [text.given(values) for values in each]))

        self._run(connection, work)

    def _run(self, connection: sa.Connection, work: Callable[[DBAPICursor, _Text], T]) -> T:
        text = self._texts.get(connection.dialect.name)
        if text is None:
            text = self._texts[connection.dialect.name] = _Text.of(self._statement, self._columns, connection.dialect)
        cursor = connection.connection.cursor()
        try:
            return work(cursor, text)
        except text.error as error:
            raise _told(connection, cursor, error, text) from error
        finally:
            cursor.close()


@attrs.frozen
class _Text:
    """
    Hold what SQLAlchemy makes of a statement for one kind of database.

    Args:
        sql: With the placeholders of the driver.
        order: The names of the values; None where the driver takes them by name.
        fixed: Values that stand in the statement.
        turns: What turns a value into the driver's, by its name, where something does.
        places: The same by its place in the order.
        error: The class of the driver's errors.
    """

    sql: str
    order: tuple[str, ...] | None
    fixed: Values
    turns: tuple[tuple[str, Callable[[Any], Any]], ...]
    places: tuple[tuple[int, Callable[[Any], Any]], ...]
    error: type[Exception]

    @classmethod
    def of(cls, statement: sa.ClauseElement, columns: list[str] | None, dialect: sa.Dialect) -> _Text:
        """Let SQLAlchemy write a statement."""
        made = cast("SQLCompiler", statement.compile(dialect=dialect, column_keys=columns))
        ways = {name: bind.type.dialect_impl(dialect).bind_processor(dialect) for bind, name in made.bind_names.items()}
        order = tuple(made.positiontup or ()) if made.positional else None
        return cls(
            sql=made.string,
            order=order,
            fixed={name: bind.value for bind, name in made.bind_names.items() if not bind.required},
            turns=tuple((name, way) for name, way in ways.items() if way is not None),
            places=tuple((place, way) for place, name in enumerate(order or ()) if (way := ways[name]) is not None),
            error=cast("type[Exception]", dialect.loaded_dbapi.Error),
        )

    def given(self, values: Values) -> list[object] | dict[str, object]:
        """Give values as the driver takes them."""
        if self.order is None:
            ready = {**self.fixed, **values}
            for name, turn in self.turns:
                ready[name] = turn(ready[name])
            return ready
        every = {**self.fixed, **values} if self.fixed else values
        row = list(map(every.__getitem__, self.order))
        for place, turn in self.places:
            row[place] = turn(row[place])
        return row


def _told(connection: sa.Connection, cursor: DBAPICursor, error: Exception, text: _Text) -> Exception:
    """Do about a driver's error what SQLAlchemy does: give a lost connection up, and say which error it is."""
    dialect = connection.dialect
    if dialect.is_disconnect(cast("Any", error), connection.connection, cursor):
        connection.invalidate(error)
    return exc.DBAPIError.instance(text.sql, None, error, text.error, dialect=dialect)
