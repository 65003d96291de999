"""
Give operations a connection: one thread writes, and many operations share a commit; readers run beside it.

The writer never waits for more operations: a commit takes those that came while the last commit ran.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import queue
import threading
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Concatenate, Final, ParamSpec, TypeAlias, TypeVar, cast, final

import sqlalchemy as sa

from htpoort.core.errors import HtpoortError, LedgerError
from htpoort.ledger import _driver_errors
from htpoort.ledger._statement import events_at_end

if TYPE_CHECKING:
    from htpoort.ledger._postgresql import Server
    from htpoort.ledger._sqlite import SqliteFile

    Database: TypeAlias = SqliteFile | Server

T = TypeVar("T")
P = ParamSpec("P")
Operation = Callable[[sa.Connection], T]

_BATCH: Final = 256
"""Operations of one commit: enough that the sync does not count, few enough that none of them waits long."""
_IDLE: Final = 0.1
"""Seconds without work after which the writer gives its connection back; the pool checks it before the next use."""
_TRIES: Final = 5
"""How often an operation that collides with another machine's is run; each time at least one of them succeeds."""
_CLOSE_TIMEOUT: Final = 40.0
"""Seconds that closing waits: longer than the wait for a lock, so that an operation that waits for one ends first."""


@final
class Writer:
    """
    Run operations in one thread, each completely or not at all.

    Operations that came meanwhile are committed together. If one of them fails, all are undone and run again one by
    one, so that the others succeed. An operation must therefore do nothing but use its connection. If the database
    itself has trouble, all of them fail and none is run again.

    Args:
        database: The ledger's database.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._engine = database.engine.execution_options(writing=True)
        self._location = database.location
        self._queue: queue.SimpleQueue[tuple[Operation[Any], Future[Any]] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="htpoort-ledger", daemon=True)
        self._kept: sa.Connection | None = None
        self._closed = False
        self._lock = threading.Lock()
        self._thread.start()

    def submit(self, operation: Operation[T]) -> Future[T]:
        """
        Hand over an operation.

        Args:
            operation: Called in the writer's thread, with a connection in a transaction.

        Returns:
            A future of its result, done once that is committed and synced. It fails with the operation's HtpoortError,
            or with a LedgerError.
        """
        future: Future[T] = Future()
        with self._lock:
            if self._closed:
                future.set_exception(LedgerError(self._location, "written", "The ledger is closed; open it again."))
            else:
                self._queue.put((operation, future))
        return future

    @property
    def closed(self) -> bool:
        """Whether no more operations are taken."""
        return self._closed

    def close(self) -> None:
        """
        Finish the operations that were handed over, end the thread, and give all connections back.

        Raises:
            LedgerError: That takes too long. The thread continues for as long as the process lives.
        """
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._queue.put(None)
        self._thread.join(_CLOSE_TIMEOUT)
        if self._thread.is_alive():
            advice = (
                f"After {_CLOSE_TIMEOUT:g} s some operations are not written, and may be lost. Check for a lock of "
                "another session, a server that does not answer, or a slow disk."
            )
            raise LedgerError(self._location, "closed in time", advice, retryable=True)

    def _run(self) -> None:
        try:
            self._work()
        finally:
            self._release()
            # In this thread: close() may have stopped waiting.
            self._engine.dispose()

    def _work(self) -> None:
        while (first := self._next()) is not None:
            batch, ending = [first], False
            while len(batch) < _BATCH and not self._queue.empty():
                # Only this thread takes from the queue, so this does not block.
                following = self._queue.get()
                if following is None:
                    ending = True
                    break
                batch.append(following)
            self._commit(batch)
            if ending:
                return

    def _next(self) -> tuple[Operation[Any], Future[Any]] | None:
        """Wait for an operation; None is the end."""
        if self._kept is not None:
            try:
                return self._queue.get(timeout=_IDLE)
            except queue.Empty:
                self._release()
        return self._queue.get()

    def _release(self) -> None:
        """Give the connection back."""
        kept, self._kept = self._kept, None
        if kept is not None:
            kept.close()

    def _commit(self, batch: list[tuple[Operation[Any], Future[Any]]]) -> None:
        """Run a batch in one transaction, or else each operation in a transaction of its own."""
        wanted = [item for item in batch if item[1].set_running_or_notify_cancel()]
        try:
            results = self._transaction([operation for operation, _ in wanted])
        except BaseException as error:  # noqa: BLE001 - passed on to the callers; this thread must not end
            if not _driver_errors.collided(error) and (len(wanted) == 1 or self._affects_all(error)):
                for _, future in wanted:
                    future.set_exception(self._translated(error))
                return
            for operation, future in wanted:
                self._run_alone(operation, future)
            return
        for (_, future), result in zip(wanted, results, strict=True):
            future.set_result(result)

    def _run_alone(self, operation: Operation[Any], future: Future[Any]) -> None:
        for left in reversed(range(_TRIES)):
            try:
                (result,) = self._transaction([operation])
            except BaseException as error:  # noqa: BLE001 - passed on to the caller
                if left and _driver_errors.collided(error):
                    continue
                future.set_exception(self._translated(error))
            else:
                future.set_result(result)
            return

    def _transaction(self, operations: list[Operation[Any]]) -> list[Any]:
        connection = self._kept or self._engine.connect()
        # Kept after a success only: after any error, the next transaction begins on a fresh connection.
        self._kept = None
        try:
            with connection.begin(), events_at_end(connection):
                results = [operation(connection) for operation in operations]
            # If the file was replaced meanwhile, this commit went into the old one and must not be acknowledged.
            self._database.verify(connection)
        except BaseException as error:
            if _driver_errors.read_only(error):
                connection.invalidate()
            connection.close()
            raise
        self._kept = connection
        return results

    def _affects_all(self, error: BaseException) -> bool:
        """
        Check whether each operation by itself would meet the same trouble: of the disk, a lock, the server.

        A server that was lost may have committed, too, and nothing must be done twice.
        """
        translated = self._translated(error)
        return isinstance(translated, LedgerError) and translated.retryable

    def _translated(self, error: BaseException) -> BaseException:
        """Keep our own errors, and translate a driver's."""
        if isinstance(error, HtpoortError):
            return error
        if isinstance(error, _driver_errors.DRIVER_ERRORS):
            return _driver_errors.translate_driver_error(error, self._location, "written")
        return error


@final
class Connections:
    """
    Run operations of the ledger: writing ones in the writer's thread, reading ones in the caller's.

    Args:
        database: The ledger's database.
    """

    def __init__(self, database: Database) -> None:
        self.database = database
        self.engine = database.engine
        self.writer = Writer(database)

    def write_soon(
        self, operation: Callable[Concatenate[sa.Connection, P], T], /, *args: P.args, **options: P.kwargs
    ) -> Future[T]:
        """Hand an operation to the writer; the future is done when it is synced."""
        return self.writer.submit(lambda connection: operation(connection, *args, **options))

    def write(self, operation: Callable[Concatenate[sa.Connection, P], T], /, *args: P.args, **options: P.kwargs) -> T:
        """Write, and wait until it is synced."""
        return self.write_soon(operation, *args, **options).result()

    def read(self, operation: Callable[Concatenate[sa.Connection, P], T], /, *args: P.args, **options: P.kwargs) -> T:
        """Read, beside whatever is written."""
        try:
            with self.engine.connect() as connection:
                return operation(connection, *args, **options)
        except _driver_errors.DRIVER_ERRORS as error:
            raise _driver_errors.translate_driver_error(error, self.database.location, "read") from None

    def stream(
        self, operation: Callable[Concatenate[sa.Connection, P], Iterator[T]], /, *args: P.args, **options: P.kwargs
    ) -> Iterator[T]:
        """Read a long list piece by piece. The caller sets the pace, so only each answer has a time limit."""
        try:
            with self._streaming() as connection:
                yield from operation(connection, *args, **options)
        except _driver_errors.DRIVER_ERRORS as error:
            raise _driver_errors.translate_driver_error(error, self.database.location, "read") from None

    @contextlib.contextmanager
    def _streaming(self) -> Generator[sa.Connection]:
        with self.engine.execution_options(streaming=True).connect() as connection:
            try:
                yield connection
            finally:
                if self.writer.closed:
                    # The pool is disposed of, and would keep the connection open.
                    connection.detach()


# ── methods ──────────────────────────────────────────────────────────────────
#
# How a call becomes an operation: in `@writes def claim(self, connection, system, …)`, the body is the operation, with
# a connection in a transaction. Callers see `claim(system, …)`: it hands the operation to the writer's thread, and
# waits until that is committed and synced. `claim_soon = soon(claim)` hands it over too, and returns a future at once.
# `@reads` runs the operation in the caller's thread, on a connection of its own; `@streams` does so while the caller
# iterates.


class LedgerPart:  # noqa: B903 - a base of classes with methods
    """
    A part of the ledger: its methods are operations, given a connection by `writes`, `reads` or `streams`.

    Args:
        connections: The ledger's.
    """

    def __init__(self, connections: Connections) -> None:
        self._connections = connections


S = TypeVar("S", bound=LedgerPart)


def writes(operation: Callable[Concatenate[S, sa.Connection, P], T]) -> Callable[Concatenate[S, P], T]:
    """Make a method of an operation: run by the writer; returns when it is committed and synced."""

    def method(part: S, /, *args: P.args, **options: P.kwargs) -> T:
        return part._connections.writer.submit(  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
            lambda connection: operation(part, connection, *args, **options)
        ).result()

    method.operation = operation  # type: ignore[attr-defined]  # for `soon`
    return _without_connection(method, operation)


def soon(method: Callable[Concatenate[S, P], T]) -> Callable[Concatenate[S, P], Future[T]]:
    """Make the twin of a method that `writes` made: it returns a future at once."""
    operation: Callable[..., T] = method.operation  # type: ignore[attr-defined]  # `writes` has set it

    def twin(part: S, /, *args: P.args, **options: P.kwargs) -> Future[T]:
        return part._connections.writer.submit(  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
            lambda connection: operation(part, connection, *args, **options)
        )

    _without_connection(twin, operation)
    name = method.__name__
    twin.__name__, twin.__qualname__ = f"{name}_soon", f"{method.__qualname__}_soon"
    twin.__doc__ = f"Do what `{name}` does, and return a future of its result at once."
    returns = f"concurrent.futures.Future[{operation.__annotations__['return']}]"
    twin.__annotations__["return"] = returns
    twin.__signature__ = inspect.signature(twin).replace(return_annotation=returns)  # type: ignore[attr-defined]
    return twin


def reads(operation: Callable[Concatenate[S, sa.Connection, P], T]) -> Callable[Concatenate[S, P], T]:
    """Make a method of an operation: run in the caller's thread, beside whatever is written."""

    def method(part: S, /, *args: P.args, **options: P.kwargs) -> T:
        return part._connections.read(functools.partial(operation, part), *args, **options)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]

    return _without_connection(method, operation)


def streams(
    operation: Callable[Concatenate[S, sa.Connection, P], Iterator[T]],
) -> Callable[Concatenate[S, P], Iterator[T]]:
    """Make a method of an operation that gives a long list: read piece by piece, as the caller asks for it."""

    def method(part: S, /, *args: P.args, **options: P.kwargs) -> Iterator[T]:
        return part._connections.stream(functools.partial(operation, part), *args, **options)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]

    return _without_connection(method, operation)


def _without_connection(method: Callable[P, T], operation: Callable[..., object]) -> Callable[P, T]:
    """Give a method the name, docstring and signature of its operation, less the connection."""
    functools.update_wrapper(method, operation)
    signature = inspect.signature(operation)
    own, _, *others = signature.parameters.values()
    changed = cast("Any", method)
    changed.__signature__ = signature.replace(parameters=[own, *others])
    changed.__annotations__ = {name: value for name, value in method.__annotations__.items() if name != "connection"}
    del changed.__wrapped__
    return method
