"""
Run an event loop in a thread of its own.

Never does: outlive the block that it was made for.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Final, Self, TypeVar, final

T = TypeVar("T")

_ADVICE: Final = (
    "If what it waits for runs in the event loop of the test itself, wait in a thread: "
    "`await asyncio.to_thread(htp_gateway.play)`."
)


@final
class Background:
    """Run an event loop in a thread of its own: whoever calls may have a loop too, or none."""

    def __init__(self) -> None:
        self._thread = threading.Thread(target=self._run, name="htpoort.testing", daemon=True)
        self._started = threading.Event()

    def __enter__(self) -> Self:
        self._thread.start()
        self._started.wait()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def call(self, work: Callable[[], Awaitable[T]], *, timeout: float) -> T:
        """
        Do something in the loop, and wait for it.

        Args:
            work: Called and awaited there.
            timeout: Seconds.

        Returns:
            What it gives.

        Raises:
            TimeoutError: It is not done in time; it is cancelled.
        """

        async def done() -> T:
            return await work()

        future = asyncio.run_coroutine_threadsafe(done(), self._loop)
        try:
            return future.result(timeout)
        except TimeoutError as error:
            if future.done() and not future.cancelled():
                raise
            future.cancel()  # nothing of it may go on behind the test
            message = f"This took longer than {timeout:g} seconds. {_ADVICE}"
            raise TimeoutError(message) from error

    def _run(self) -> None:
        # Not by the policy of the user: the simulator's implicit TLS needs asyncio's own loop.
        with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
            runner.run(self._main())

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        self._started.set()
        await self._stop.wait()
