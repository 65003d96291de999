"""Connecting to a host with several addresses: a dead one costs part of the time, not the connection."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Generator
from typing import Any

import pytest

from htpoort.transport import Security, Sender, SmtpServer
from htpoort.transport.hosts import SocketAddress, addresses, connect


@contextlib.contextmanager
def swallowing() -> Generator[SocketAddress]:
    """Yield an address that answers no packet: its queue of connections is full (Linux drops further packets)."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(8):
            waiting = stack.enter_context(socket.socket())
            waiting.settimeout(0)
            waiting.connect_ex(listener.getsockname())
        yield socket.AF_INET, listener.getsockname()


@contextlib.contextmanager
def listening() -> Generator[SocketAddress]:
    """Yield an address that accepts connections."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield socket.AF_INET, listener.getsockname()


@contextlib.contextmanager
def refusing() -> Generator[SocketAddress]:
    """Yield an address that refuses connections."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        yield socket.AF_INET, unused.getsockname()


class TestConnect:
    """All addresses share one limit, and each leaves time for those after it."""

    @pytest.mark.parametrize("dead", [swallowing, refusing])
    async def test_the_second_is_tried(self, dead: Any) -> None:
        """An address that drops packets, or refuses, does not prevent trying the next."""
        with dead() as first, listening() as second:
            connected, address = await connect([first, second], 2.0)
            with connected:
                assert (second, second[1]) == (address, connected.getpeername())

    async def test_the_last_has_what_is_left(self) -> None:
        """Of three dead addresses and a live one, the live one answers within the limit for all."""
        with swallowing() as one, swallowing() as two, refusing() as three, listening() as four:
            connected, address = await connect([one, two, three, four], 2.0)
            connected.close()
        assert four == address

    async def test_none_answers(self) -> None:
        """If no address answers, the error is that of the last one."""
        with swallowing() as one, refusing() as two, pytest.raises(ConnectionRefusedError):
            await connect([one, two], 1.0)
        with refusing() as one, swallowing() as two, pytest.raises(TimeoutError, match="did not answer in time"):
            await connect([one, two], 0.2)

    async def test_no_address(self) -> None:
        """A host without an address is an OSError like the others."""
        with pytest.raises(OSError, match="no address"):
            await connect([], 1.0)

    async def test_no_answer_waits_for_another(self, fixed: Any, submission: Any) -> None:
        """A connection has TCP_NODELAY: without it a second small packet would wait 40 ms."""
        async with fixed() as server:
            target = SmtpServer(host="127.0.0.1", port=server.port, security=Security.PLAIN)
            async with Sender(target) as sender:
                await sender.send(submission())
                client = sender._client
                assert client is not None
                assert client._socket is not None
                assert 0 != client._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)

    async def test_a_numeric_address_is_itself(self) -> None:
        """A numeric address is returned once, without a look-up."""
        assert [(socket.AF_INET, ("127.0.0.1", 25))] == await addresses("127.0.0.1", 25)
