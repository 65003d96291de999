"""
Connect to a host that has several addresses, within one limit for all of them.

Never does: speak to what answers.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Sequence
from typing import Any, Final, cast

from htpoort.transport._threads import apart

_PATIENCE: Final = 10.0
"""Seconds for an address that has others behind it; a lost packet is sent again after 1, 3 and 7 (RFC 6298)."""

Address = tuple[socket.AddressFamily, Any]
"""Family and socket address, as getaddrinfo gives them."""


async def addresses(host: str, port: int) -> list[Address]:
    """
    Look a host up in a thread of its own.

    Args:
        host: A name or a numeric address.
        port: Where to connect to.

    Returns:
        Each address once, in the order in which the system would try them.

    Raises:
        OSError: It has none, or the look-up failed.
    """
    found = await apart(lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
    return list(dict.fromkeys((family, address) for family, _, _, _, address in found))


async def connect(where: Sequence[Address], seconds: float) -> tuple[socket.socket, Address]:
    """
    Connect to the first address that answers.

    An address that neither answers nor refuses, as behind a firewall that drops packets, leaves time for the next.

    Args:
        where: Where to try, in this order.
        seconds: The limit for all of them together.

    Returns:
        A socket that does not block, and its address.

    Raises:
        OSError: None of them answered; holds what the last one said.
    """
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    failed: OSError = OSError("the host has no address")
    for number, (family, address) in enumerate(where, start=1):
        left, others = end - loop.time(), len(where) - number
        share = min(_PATIENCE, left / (others + 1)) if others else left
        with contextlib.ExitStack() as closing:
            try:
                # Named, because asyncio sets TCP_NODELAY on nothing else; without it each message waits 40 ms.
                connecting = closing.enter_context(socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP))
                connecting.settimeout(0)
                async with asyncio.timeout(share):
                    await loop.sock_connect(connecting, cast("tuple[object, ...]", address))
            except TimeoutError:
                failed = TimeoutError(f"{address[0]} did not answer in time")
            except OSError as error:
                failed = error
            else:
                closing.pop_all()
                return connecting, (family, address)
    raise failed
