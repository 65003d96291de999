"""Reserve ports, and check that nothing listens on one."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Generator
from contextlib import contextmanager

import pytest


@contextmanager
def own_port() -> Generator[int]:
    """Reserve a port until the end; only a server that shares addresses, as asyncio's do, can listen on it."""
    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


async def none_listens(*ports: int) -> None:
    """Fail if one of the ports accepts a connection."""
    for port in ports:
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)
