"""Connecting to a host with several addresses: one that is dead costs a part of the time, not the connection."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Generator
from typing import Any

import pytest

from htpoort.transport import Security, Sender, SmtpServer
from htpoort.transport._connecting import Address, addresses, connect


@contextlib.contextmanager
def swallowing() -> Generator[Address]:
    """Give an address that answers no packet: its queue of connections is full (Linux drops what comes then)."""
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
def listening() -> Generator[Address]:
    """Give an address where somebody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield socket.AF_INET, listener.getsockname()


@contextlib.contextmanager
def refusing() -> Generator[Address]:
    """Give an address where nobody listens."""
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        yield socket.AF_INET, nobody.getsockname()


class TestConnect:
    """All addresses share one limit, and each that has others behind it leaves time for them."""

    @pytest.mark.parametrize("dead", [swallowing, refusing])
    async def test_the_second_is_tried(self, dead: Any) -> None:
        """An address that swallows packets, or refuses, does not keep us from the next."""
        with dead() as first, listening() as second:
            connected, address = await connect([first, second], 2.0)
            with connected:
                assert (second, second[1]) == (address, connected.getpeername())

    async def test_the_last_has_what_is_left(self) -> None:
        """Of three dead ones and a live one, the live one answers within the limit of all."""
        with swallowing() as one, swallowing() as two, refusing() as three, listening() as four:
            connected, address = await connect([one, two, three, four], 2.0)
            connected.close()
        assert four == address

    async def test_none_answers(self) -> None:
        """Where none answers, the last one's trouble is said."""
        with swallowing() as one, refusing() as two, pytest.raises(ConnectionRefusedError):
            await connect([one, two], 1.0)
        with refusing() as one, swallowing() as two, pytest.raises(TimeoutError, match="did not answer in time"):
            await connect([one, two], 0.2)

    async def test_no_address(self) -> None:
        """A host without an address is an OSError like the others."""
        with pytest.raises(OSError, match="no address"):
            await connect([], 1.0)

    async def test_no_answer_waits_for_another(self, fixed: Any, submission: Any) -> None:
        """A connection has TCP_NODELAY: with a small packet unacknowledged the next would wait 40 ms."""
        async with fixed() as server:
            target = SmtpServer(host="127.0.0.1", port=server.port, security=Security.PLAIN)
            async with Sender(target) as sender:
                await sender.send(submission())
                kept = sender._connection
                assert kept is not None
                assert kept._socket is not None
                assert 0 != kept._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)

    async def test_a_numeric_address_is_itself(self) -> None:
        """What needs no look-up comes back once."""
        assert [(socket.AF_INET, ("127.0.0.1", 25))] == await addresses("127.0.0.1", 25)
