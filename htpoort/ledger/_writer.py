"""
Write to the ledger from one thread, and sync many operations with one commit.

Never does: wait for more to come; a commit takes what gathered while the last one ran.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Final, TypeVar, final

import sqlalchemy as sa

from htpoort.errors import HtpoortError, LedgerError
from htpoort.ledger import _engine, _events
from htpoort.ledger._database import Database

T = TypeVar("T")
Operation = Callable[[sa.Connection], T]

_BATCH: Final = 256
"""Operations of one commit: enough that the sync does not count, few enough that nobody waits long."""
_IDLE: Final = 0.1
"""Seconds without work after which the connection is given back; one that is taken anew was not lost meanwhile."""
_TRIES: Final = 5
"""Of an operation that collides with another machine's; one of the two goes through each time."""
_LAST: Final = 40.0
"""Seconds that closing waits: more than for a lock, so that what waits for one comes to its own end first."""


@final
class Writer:
    """
    Run operations in one thread, each wholly or not at all.

    Operations that gathered are committed together; where one of them fails, all are undone and run
    again one by one, so that a bad one spoils no other. An operation must therefore do nothing but
    use its connection. Where the database itself has trouble, all are told, and none is run again.

    Args:
        database: Made ready.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._engine = database.engine.execution_options(writing=True)
        self._where = database.where
        self._queue: queue.SimpleQueue[tuple[Operation[Any], Future[Any]] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="htpoort-ledger", daemon=True)
        self._kept: sa.Connection | None = None
        self._connection: sa.Connection | None = None
        self._closed = False
        self._lock = threading.Lock()
        self._thread.start()

    def submit(self, operation: Operation[T]) -> Future[T]:
        """
        Hand an operation over.

        Args:
            operation: Called in the writer's thread with a connection in a transaction.

        Returns:
            What it returned, once that is committed and synced; or its HtpoortError, or a LedgerError.
        """
        future: Future[T] = Future()
        with self._lock:
            if self._closed:
                future.set_exception(LedgerError(self._where, "Writing", "The ledger is closed; open it again."))
            else:
                self._queue.put((operation, future))
        return future

    @property
    def connection(self) -> sa.Connection | None:
        """The connection of the operation that runs, for whoever is called by it; None anywhere else."""
        return self._connection if threading.current_thread() is self._thread else None

    @property
    def closed(self) -> bool:
        """Whether nothing more is taken."""
        return self._closed

    def close(self) -> None:
        """
        Finish what was handed over, end the thread, and give all connections back.

        Raises:
            LedgerError: That takes too long. The thread goes on for as long as the process lives.
        """
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._queue.put(None)
        self._thread.join(_LAST)
        if self._thread.is_alive():
            advice = (
                f"Not all that was handed over is written after {_LAST:g} s, and the rest may be lost. Look for a lock "
                "of another session, a server that does not answer, or a slow disk."
            )
            raise LedgerError(self._where, "Closing", advice, retryable=True)

    def _run(self) -> None:
        try:
            self._work()
        finally:
            self._release()
            # Here, because whoever closes may not have waited for it.
            self._engine.dispose()

    def _work(self) -> None:
        while (first := self._next()) is not None:
            batch, ending = [first], False
            while len(batch) < _BATCH and not self._queue.empty():
                # Only this thread takes, so what is there stays there.
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
        """Run a batch in one transaction, or else each operation in its own."""
        wanted = [item for item in batch if item[1].set_running_or_notify_cancel()]
        try:
            results = self._transaction([operation for operation, _ in wanted])
        except BaseException as error:  # noqa: BLE001 - handed to whoever waits for it; this thread must not end
            if not _engine.collided(error) and (len(wanted) == 1 or self._lasts(error)):
                for _, future in wanted:
                    future.set_exception(self._told(error))
                return
            for operation, future in wanted:
                self._alone(operation, future)
            return
        for (_, future), result in zip(wanted, results, strict=True):
            future.set_result(result)

    def _alone(self, operation: Operation[Any], future: Future[Any]) -> None:
        for left in reversed(range(_TRIES)):
            try:
                (result,) = self._transaction([operation])
            except BaseException as error:  # noqa: BLE001 - the same
                if left and _engine.collided(error):
                    continue
                future.set_exception(self._told(error))
            else:
                future.set_result(result)
            return

    def _transaction(self, operations: list[Operation[Any]]) -> list[Any]:
        self._connection = connection = self._kept or self._engine.connect()
        # Kept after a success only: whatever went wrong, the next transaction begins afresh.
        self._kept = None
        try:
            with connection.begin(), _events.gathered(connection):
                results = [operation(connection) for operation in operations]
            # A commit into a file that was replaced meanwhile is lost with it; this one is not acknowledged.
            self._database.verify(connection)
        except BaseException as error:
            if _engine.read_only(error):
                connection.invalidate()
            connection.close()
            raise
        finally:
            self._connection = None
        self._kept = connection
        return results

    def _lasts(self, error: BaseException) -> bool:
        """
        Tell whether each operation by itself would only meet the same trouble: of the disk, a lock, the server.

        A server that was lost may have committed, too, and nothing is to be done twice.
        """
        told = self._told(error)
        return isinstance(told, LedgerError) and told.retryable

    def _told(self, error: BaseException) -> BaseException:
        """Keep our own errors, and explain a driver's."""
        if isinstance(error, HtpoortError):
            return error
        if isinstance(error, _engine.TROUBLE):
            return _engine.explained(error, self._where, "Writing")
        return error
