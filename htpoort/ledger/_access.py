"""
Give operations a connection: one writer, readers beside it.

Never does: know what an operation is for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Concatenate, ParamSpec, TypeVar, final

import sqlalchemy as sa

from htpoort.ledger import _engine
from htpoort.ledger._writer import Writer

T = TypeVar("T")
P = ParamSpec("P")


@final
class Access:
    """
    Run operations of the ledger.

    Args:
        engine: The database.
        where: Its name for errors, without a password.
    """

    def __init__(self, engine: sa.Engine, where: str) -> None:
        self.engine = engine
        self.where = where
        self.writer = Writer(engine, where)

    def soon(
        self, operation: Callable[Concatenate[sa.Connection, P], T], /, *args: P.args, **options: P.kwargs
    ) -> Future[T]:
        """Hand an operation to the writer; the future is done when it is synced."""
        return self.writer.submit(lambda connection: operation(connection, *args, **options))

    def write(self, operation: Callable[Concatenate[sa.Connection, P], T], /, *args: P.args, **options: P.kwargs) -> T:
        """Write, and wait until it is synced."""
        return self.soon(operation, *args, **options).result()

    def read(self, operation: Callable[Concatenate[sa.Connection, P], T], /, *args: P.args, **options: P.kwargs) -> T:
        """Read, beside whatever is written; within an operation of the writer, what that has written too."""
        if self.writer.connection is not None:
            return operation(self.writer.connection, *args, **options)
        try:
            with self.engine.connect() as connection:
                return operation(connection, *args, **options)
        except _engine.TROUBLE as error:
            raise _engine.explained(error, self.where, "Reading") from None

    def stream(
        self, operation: Callable[Concatenate[sa.Connection, P], Iterator[T]], /, *args: P.args, **options: P.kwargs
    ) -> Iterator[T]:
        """Read a long list piece by piece."""
        try:
            with self.engine.connect() as connection:
                yield from operation(connection, *args, **options)
        except _engine.TROUBLE as error:
            raise _engine.explained(error, self.where, "Reading") from None
