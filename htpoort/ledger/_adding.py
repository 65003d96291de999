"""
Add a row unless its like is there, in one statement that holds over many machines.

Never does: look at what is there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import final

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite


@final
class Adding:
    """
    Add rows to a table with a unique constraint.

    Args:
        table: The table; its key is counted up.
    """

    def __init__(self, table: sa.Table) -> None:
        self._statements = {
            "sqlite": sqlite.insert(table).on_conflict_do_nothing(),
            "postgresql": postgresql.insert(table).on_conflict_do_nothing(),
        }

    def __call__(self, connection: sa.Connection, values: Mapping[str, object]) -> int | None:
        """
        Add a row.

        Args:
            connection: In a transaction.
            values: By column.

        Returns:
            Its key; None where another row has its place. On PostgreSQL that row is committed then.
        """
        done = connection.execute(self._statements[connection.dialect.name], values)
        # SQLite gives the last key again where nothing was added; PostgreSQL gives none, and no count.
        key = None if done.rowcount == 0 else done.inserted_primary_key
        return None if key is None else int(key[0])
