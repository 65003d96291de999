"""
Accept connections, and go on when the system has no file descriptors left.

Never does: speak a protocol, or log more than so many lines a minute.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable
from functools import partial
from typing import Any, Final, Generic, TypeVar, final

from htpoort.transport._house import cancelled
from htpoort.transport._limited_log import LimitedLog

_QUEUE: Final = 100  # connections that the kernel keeps for us, as in asyncio
_AT_ONCE: Final = 20  # connections that are accepted before others get their turn
_PAUSE: Final = 1.0  # seconds without accepting after the system refused to, as in asyncio

P = TypeVar("P", bound=asyncio.BaseProtocol)


@final
class Listener(Generic[P]):
    """
    Listen on every address of a host.

    Where no descriptor is left, asyncio's own servers log a hundred tracebacks a second; this one pauses and logs
    a line.

    Args:
        admit: Given a connection and its peer's address, gives the protocol that serves it; None if it may not
            come in, after which the connection is closed.
        failed: Called with a protocol that got no transport after all.
        log: Where to log what keeps connections from being accepted.
    """

    def __init__(
        self, admit: Callable[[socket.socket, str], P | None], failed: Callable[[P], object], log: LimitedLog
    ) -> None:
        self._admit = admit
        self._failed = failed
        self._log = log
        self._sockets: list[socket.socket] = []
        self._connecting: set[asyncio.Task[Any]] = set()

    async def open(self, host: str, port: int) -> int:
        """
        Begin to listen.

        Args:
            host: A name or a numeric address.
            port: 0 for one that is free.

        Returns:
            The port.

        Raises:
            OSError: An address cannot be listened on.
        """
        loop = asyncio.get_running_loop()
        bound = await loop.create_server(asyncio.Protocol, host, port, start_serving=False)
        with contextlib.ExitStack() as opening:
            opening.callback(bound.close)
            sockets = [opening.enter_context(each.dup()) for each in bound.sockets]
            for each in sockets:
                each.listen(_QUEUE)
            opening.pop_all()
        bound.close()
        self._sockets = sockets
        for each in sockets:
            self._resume(each)
        return int(sockets[0].getsockname()[1])

    def stop(self) -> None:
        """Listen no more, and close what is not served yet."""
        loop = asyncio.get_running_loop()
        for listening in self._sockets:
            loop.remove_reader(listening)
            listening.close()
        self._sockets = []
        for task in self._connecting:
            task.cancel()

    async def ended(self) -> None:
        """Wait until that is done."""
        await cancelled(self._connecting)

    def _resume(self, listening: socket.socket) -> None:
        if listening.fileno() >= 0:
            asyncio.get_running_loop().add_reader(listening, self._accept, listening)

    def _accept(self, listening: socket.socket) -> None:
        for _ in range(_AT_ONCE):
            try:
                connection, address = listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                self._pause(listening, error)
                return
            connection.setblocking(False)  # noqa: FBT003 - the method has no name for it
            protocol = self._admit(connection, str(address[0]))
            if protocol is None:
                connection.close()
                continue
            self._connect(connection, protocol)

    def _pause(self, listening: socket.socket, error: OSError) -> None:
        # The listening socket stays ready, so without a pause the loop would do nothing else.
        loop = asyncio.get_running_loop()
        loop.remove_reader(listening)
        loop.call_later(_PAUSE, self._resume, listening)
        reason = os.strerror(error.errno or 0)
        self._log.warning("No connection can be accepted; trying again after %g s: %s", _PAUSE, reason)

    def _connect(self, connection: socket.socket, protocol: P) -> None:
        loop = asyncio.get_running_loop()
        task = loop.create_task(loop.connect_accepted_socket(lambda: protocol, connection))
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)
        task.add_done_callback(partial(self._connected, connection, protocol))

    def _connected(self, connection: socket.socket, protocol: P, task: asyncio.Task[Any]) -> None:
        if task.cancelled() or task.exception() is not None:
            connection.close()
            self._failed(protocol)
