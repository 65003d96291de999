"""
Serve HTTP on loopback, beside what else runs in the event loop. The only module that imports uvicorn.

Never does: listen on another address, handle signals, or wait long for a browser.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Generator
from typing import Any, Final, final

import uvicorn

from htpoort.transport import hosts

__all__ = ["LoopbackServer"]

_HOST: Final = "127.0.0.1"
_GRACE: Final = 0.3  # seconds in which browsers may take the end of what was being sent
_LONGEST: Final = 0.3  # seconds after that until what still runs is cancelled
_CONNECTIONS: Final = 100  # at once; a browser has at most six


@final
class _Server(uvicorn.Server):
    """Leave the signals to the program."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:  # noqa: PLR6301 - uvicorn's method
        yield


@final
class LoopbackServer:
    """
    Serve an application at 127.0.0.1.

    Args:
        app: An ASGI application.
        port: 0 for a free one.

    Attributes:
        port: The port listened on; before the start, the port that was asked for.
    """

    def __init__(self, app: Any, *, port: int) -> None:  # noqa: ANN401 - uvicorn has no type for an application
        self.port = port
        self._app = app
        self._server: _Server | None = None
        self._serving: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """
        Start to listen; connections are accepted from now on.

        Raises:
            OSError: The port cannot be listened on.
        """
        try:
            listening = socket.create_server((_HOST, self.port))
        except OSError as error:
            raise OSError(error.errno, hosts.error_reason(error), f"{_HOST}:{self.port}") from error
        self.port = listening.getsockname()[1]
        config = uvicorn.Config(
            self._app,
            http="h11",
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=False,
            proxy_headers=False,
            limit_concurrency=_CONNECTIONS,
        )
        self._server = _Server(config)
        self._serving = asyncio.create_task(self._server.serve(sockets=[listening]))

    async def close(self) -> None:
        """Stop listening, and close every connection, also to a browser that reads nothing."""
        if self._server is None or self._serving is None:
            return
        self._server.should_exit = True
        await asyncio.wait({self._serving}, timeout=_GRACE)
        for connection in tuple(self._server.server_state.connections):
            connection.transport.abort()
        await asyncio.wait({self._serving}, timeout=_LONGEST)
        self._serving.cancel()
        await asyncio.gather(self._serving, return_exceptions=True)
