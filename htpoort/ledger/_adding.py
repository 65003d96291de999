"""
Add a row unless its like is there, in one statement that holds over many machines.

Never does: look at what is there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import final

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from htpoort.ledger._prepared import Prepared


@final
class Adding:
    """
    Add rows to a table with a unique constraint.

    Args:
        table: The table; its key is counted up.
    """

    def __init__(self, table: sa.Table) -> None:
        columns = [column.name for column in table.c if not column.primary_key]
        self._statements = {
            "sqlite": Prepared(sqlite.insert(table).on_conflict_do_nothing(), columns),
            "postgresql": Prepared(postgresql.insert(table).on_conflict_do_nothing(), columns),
        }

    def __call__(self, connection: sa.Connection, values: Mapping[str, object]) -> int | None:
        """
        Add a row.

        Args:
            connection: In a transaction.
            values: By column, every one but the key.

        Returns:
            Its key; None where another row has its place. On PostgreSQL that row is committed then.
        """
        return self._statements[connection.dialect.name].added(connection, values)
