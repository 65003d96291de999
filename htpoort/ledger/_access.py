"""
Give operations a connection: one writer, readers beside it.

Never does: know what an operation is for.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future
from typing import Concatenate, ParamSpec, TypeVar, final

import sqlalchemy as sa

from htpoort.ledger import _engine
from htpoort.ledger._database import Database
from htpoort.ledger._writer import Writer

T = TypeVar("T")
P = ParamSpec("P")


@final
class Access:
    """
    Run operations of the ledger.

    Args:
        database: Made ready.
    """

    def __init__(self, database: Database) -> None:
        self.database = database
        self.engine = database.engine
        self.where = database.where
        self.writer = Writer(database)

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

    @contextlib.contextmanager
    def _streaming(self) -> Generator[sa.Connection]:
        with self.engine.execution_options(streaming=True).connect() as connection:
            try:
                yield connection
            finally:
                if self.writer.closed:
                    # The pool that it came from is over, and would keep it open.
                    connection.detach()

    def stream(
        self, operation: Callable[Concatenate[sa.Connection, P], Iterator[T]], /, *args: P.args, **options: P.kwargs
    ) -> Iterator[T]:
        """Read a long list piece by piece; it takes as long as its reader does, so only each answer has a limit."""
        try:
            with self._streaming() as connection:
                yield from operation(connection, *args, **options)
        except _engine.TROUBLE as error:
            raise _engine.explained(error, self.where, "Reading") from None
