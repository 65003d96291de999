"""Ports of a test's own."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Generator
from contextlib import contextmanager

import pytest


@contextmanager
def own_port() -> Generator[int]:
    """Keep a port from everybody else until the end; whoever shares addresses, as asyncio's servers do, may listen."""
    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


async def none_listens(*ports: int) -> None:
    """Fail where a connection is taken."""
    for port in ports:
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)
