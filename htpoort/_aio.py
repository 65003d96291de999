"""
Cancel tasks, close contexts and run threads: the asyncio helpers that several packages share.

All threads here are daemon threads. The interpreter waits for the threads of asyncio's own pool when it exits, so
a server that does not answer or a disk that hangs would keep the process from ending.
"""

from __future__ import annotations

import asyncio
import errno
import threading
from collections import defaultdict, deque
from collections.abc import Callable, Coroutine, Iterable
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, Final, TypeVar, TypeVarTuple, cast, final

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_THREADS: Final = 2  # one call that hangs does not delay the others; if two hang, the disk does


async def cancel_all(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel tasks and wait until each has ended."""
    pending = tuple(tasks)
    for task in pending:
        task.cancel()
    await asyncio.gather(*pending, return_exceptions=True)


async def run_to_end(work: Coroutine[None, None, None]) -> None:
    """Run a coroutine to its end. If the caller is cancelled meanwhile, raise that only afterwards."""
    task = asyncio.create_task(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError as error:
            cancelled = error
    task.result()
    if cancelled is not None:
        raise cancelled


def run_in_thread(work: Callable[[*Ts], T], *args: *Ts) -> asyncio.Future[T]:
    """
    Run a function in a new thread.

    asyncio's pool has only a few threads. If as many servers do not answer, everything else that needs the pool
    stops, such as looking up a host name.

    Args:
        work: The function. The thread ends when it returns.
        args: Its arguments.

    Returns:
        A future with the result or the exception of the function. Cancelling it does not end the thread.
    """
    future: Future[T] = Future()
    # From now on it cannot be cancelled, so the thread can always hand over its result.
    future.set_running_or_notify_cancel()
    threading.Thread(target=_finish, name="htpoort-thread", args=(future, lambda: work(*args)), daemon=True).start()
    return asyncio.wrap_future(future)


def _finish(future: Future[T], work: Callable[[], T]) -> None:
    try:
        result = work()
    except BaseException as error:  # noqa: BLE001 - handed to the caller, who waits for it
        future.set_exception(error)
    else:
        future.set_result(result)


@final
class DaemonThreads:
    """
    Run functions in order, two at a time.

    There is nothing to close: a thread ends when no function is waiting.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: deque[Callable[[], None]] = deque()
        self._running = 0

    def submit(self, work: Callable[[], T]) -> Future[T]:
        """
        Add a function.

        Args:
            work: Called in a thread, unless the future is cancelled first.

        Returns:
            A future with the result or the exception of the function.
        """
        future: Future[T] = Future()

        def run() -> None:
            if future.set_running_or_notify_cancel():
                _finish(future, work)

        with self._lock:
            if self._running < _THREADS:
                threading.Thread(target=self._run, name="htpoort-queue", daemon=True).start()
                self._running += 1
            self._waiting.append(run)
        return future

    def _run(self) -> None:
        while (following := self._next()) is not None:
            following()

    def _next(self) -> Callable[[], None] | None:
        """Take the next function; None ends the thread."""
        with self._lock:
            if self._waiting:
                return self._waiting.popleft()
            self._running -= 1
            return None


@final
class DiskThreads:
    """Work on disks in threads, for each folder separately: the folder of one system may be on a disk that hangs."""

    def __init__(self) -> None:
        self._threads: defaultdict[Path, DaemonThreads] = defaultdict(DaemonThreads)

    async def run(self, folder: Path, work: Callable[[], T], seconds: float) -> T:
        """
        Do some work on a folder.

        Raises:
            TimeoutError: It took longer than *seconds*; what a slow disk writes later stays written.
            OSError: It failed.
        """
        limit = asyncio.timeout(seconds)
        try:
            # Cancelling the caller does not stop the thread; what it writes is recognised next time.
            async with limit:
                return await asyncio.wrap_future(self._threads[folder].submit(work))
        except TimeoutError as error:
            # A network disk may raise the same error by itself.
            if limit.expired():
                raise TimeoutError(errno.ETIMEDOUT, f"It took more than {seconds:g} s") from error
            raise


@final
class ConcurrentExitStack:
    """Close several contexts at the same time, so that their time limits do not add up."""

    def __init__(self) -> None:
        self._open: list[AbstractAsyncContextManager[object]] = []

    async def enter(self, context: AbstractAsyncContextManager[T]) -> T:
        """Enter another context."""
        entered = await context.__aenter__()  # noqa: PLC2801 - aclose leaves it, together with the others
        self._open.append(context)
        return entered

    async def aclose(self) -> None:
        """Leave all contexts. If this is cancelled, each context is still asked to close, and then cancelled too."""
        contexts, self._open = self._open, []
        begun: set[asyncio.Task[None]] = set()
        cancelled = False

        async def leave(context: AbstractAsyncContextManager[object]) -> None:
            task = cast("asyncio.Task[None]", asyncio.current_task())
            begun.add(task)
            if cancelled:
                # Only now: a task that is cancelled before its first step runs none of its code.
                task.cancel()
            await context.__aexit__(None, None, None)

        tasks = [asyncio.create_task(leave(context)) for context in contexts]
        while pending := {task for task in tasks if not task.done()}:
            try:
                await asyncio.wait(pending)
            except asyncio.CancelledError:
                cancelled = True
                for task in pending & begun:
                    task.cancel()
        if cancelled:
            raise asyncio.CancelledError
        for task in tasks:
            task.result()
