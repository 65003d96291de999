"""
Run what may never return in threads that nobody has to wait for.

Never does: keep a thread that has nothing to do, or hold up the end of the process.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Final, TypeVar, final

T = TypeVar("T")

_MOST: Final = 2  # one that hangs keeps no other waiting; two that hang mean that the disk does


@final
class Threads:
    """
    Run functions, two at a time, in the order in which they came.

    Not an executor: the interpreter waits for the threads of those when it ends, these are daemons. Nothing
    to close: a thread ends when there is no more to do.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: deque[Callable[[], None]] = deque()
        self._running = 0

    def submit(self, work: Callable[[], T]) -> Future[T]:
        """
        Hand a function over.

        Args:
            work: Called in a thread, unless the future is cancelled before its turn.

        Returns:
            Done when it has returned; or with what it raised.
        """
        future: Future[T] = Future()

        def run() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                result = work()
            except BaseException as error:  # noqa: BLE001 - handed to the caller, who waits for it
                future.set_exception(error)
            else:
                future.set_result(result)

        with self._lock:
            if self._running < _MOST:
                threading.Thread(target=self._run, name="htpoort-delivery", daemon=True).start()
                self._running += 1
            self._waiting.append(run)
        return future

    def _run(self) -> None:
        while (following := self._next()) is not None:
            following()

    def _next(self) -> Callable[[], None] | None:
        """Take what is next; None is the end of the thread."""
        with self._lock:
            if self._waiting:
                return self._waiting.popleft()
            self._running -= 1
            return None
