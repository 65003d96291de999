"""
Run what a silent server or a dead disk may hold up in threads that nobody else waits for.

Never does: share a thread, or hold up the end of the process.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar, TypeVarTuple

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


def apart(work: Callable[[*Ts], T], *args: *Ts) -> asyncio.Future[T]:
    """
    Run a function in a thread of its own.

    asyncio's pool has a few threads for all: as many servers that say nothing would stop everything else in
    it, such as looking up a name. And the interpreter waits for its threads when it ends; these are daemons.

    Args:
        work: Called in the thread, which ends when it returns.
        args: What it is called with.

    Returns:
        Done when it has returned; or with what it raised. Cancelling it does not end the thread.
    """
    future: Future[T] = Future()
    # So that nobody can cancel it any more, and the thread can always say what came of it.
    future.set_running_or_notify_cancel()
    threading.Thread(target=_run, name="htpoort-pop3", args=(future, work, args), daemon=True).start()
    return asyncio.wrap_future(future)


def _run(future: Future[T], work: Callable[[*Ts], T], args: tuple[*Ts]) -> None:
    try:
        came = work(*args)
    except BaseException as error:  # noqa: BLE001 - handed to whoever waits for it
        future.set_exception(error)
    else:
        future.set_result(came)
