"""The page of one gateway: start it, stop it, and its address."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self, final

from htpoort.live._app import PageApp
from htpoort.live._server import LoopbackServer
from htpoort.simulator import Gateway

__all__ = ["LivePage"]


@final
class LivePage:
    """
    Serve the page of a gateway in the caller's event loop, at 127.0.0.1 only.

    ::

        async with Gateway() as gateway, LivePage(gateway) as page:
            print(page.url)

    The page shows what the gateway's journal keeps. It can be read by every user of this machine, as the gateway can.

    Args:
        gateway: The gateway. With a `SimulatedClock`, its time can be moved on the page.
        port: 0 chooses a free one.
    """

    def __init__(self, gateway: Gateway, *, port: int = 0) -> None:
        self._app = PageApp(gateway)
        self._server = LoopbackServer(self._app, port=port)

    @property
    def port(self) -> int:
        """The port that it listens on; before the start, the port that was asked for."""
        return self._server.port

    @property
    def url(self) -> str:
        """The address for a browser."""
        return f"http://127.0.0.1:{self.port}/"

    async def __aenter__(self) -> Self:
        """
        Start to listen.

        Raises:
            OSError: The port cannot be listened on; *filename* is ``127.0.0.1:port``.
        """
        await self._server.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        # Streams to browsers end by themselves now; the server waits for them, but not long.
        self._app.stop()
        try:
            await self._server.close()
        finally:
            await asyncio.shield(self._app.close())
