"""Names and addresses of hosts: read them, look them up, and connect to the first that answers."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import os
import re
import socket
import ssl
from collections.abc import Sequence
from typing import Any, Final, cast

from htpoort._aio import run_in_thread

HOST_NAME: Final = re.compile(
    r"(?=.{1,253}\Z)[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?(?:\.[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?)*"
)
"""A name in ASCII: labels of 1 to 63 characters (RFC 1123, section 2.1), and the underscore, which is in use too."""

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_MAX_SHARE: Final = 10.0
"""Seconds for an address if others follow; a lost packet is sent again after 1, 3 and 7 (RFC 6298)."""

SocketAddress = tuple[socket.AddressFamily, Any]
"""Family and socket address, as getaddrinfo gives them."""


def address_of(text: str) -> Address | None:
    """
    Read a numeric address; IPv4 that is written as IPv6 comes back as IPv4.

    >>> address_of("::ffff:127.0.0.1")
    IPv4Address('127.0.0.1')

    Args:
        text: An address, optionally with the zone of an interface, or a name.

    Returns:
        The address; None if the text is not a numeric address.
    """
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def group_of(text: str) -> str:
    """
    Choose what a peer's connections are counted under: with IPv6 a machine usually has a network of 64 bits.

    >>> group_of("192.0.2.1"), group_of("2001:db8::1")
    ('192.0.2.1', '2001:db8::/64')

    Args:
        text: A numeric address.

    Returns:
        The IPv4 address, or the IPv6 network.
    """
    address = address_of(text)
    if isinstance(address, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((address, 64), strict=False))
    return str(address)


def is_host(text: object) -> bool:
    """
    Check whether a text can name a host.

    Args:
        text: A name or a numeric address.

    Returns:
        True if it can be looked up or connected to.
    """
    return isinstance(text, str) and (HOST_NAME.fullmatch(text) is not None or address_of(text) is not None)


def shown(value: object) -> str:
    """
    Show an invalid host, unless it may contain a password, as a URL or an account may.

    >>> shown("a b"), shown("smtps://edi:geheim@smtp.forwarder.example")
    ("'a b'", 'a text with @ or ://, which may hold a password')

    Args:
        value: What was passed as a host.

    Returns:
        A text for an error message.
    """
    text = repr(value)
    return "a text with @ or ://, which may hold a password" if "@" in text or "://" in text else text


def is_loopback(host: str) -> bool:
    """
    Check whether a connection to or from a host stays on this machine.

    Args:
        host: A name or a numeric address.

    Returns:
        True for ``localhost`` (RFC 6761, section 6.3), 127.0.0.0/8 and ::1.
    """
    address = address_of(host)
    return host.lower() == "localhost" or (address is not None and address.is_loopback)


async def addresses(host: str, port: int) -> list[SocketAddress]:
    """
    Look up a host in a thread of its own.

    Args:
        host: A name or a numeric address.
        port: Where to connect to.

    Returns:
        Each address once, in the order in which the system would try them.

    Raises:
        OSError: The host has no address, or the look-up failed.
    """
    candidates = await run_in_thread(lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
    return list(dict.fromkeys((family, address) for family, _, _, _, address in candidates))


async def connect(candidates: Sequence[SocketAddress], seconds: float) -> tuple[socket.socket, SocketAddress]:
    """
    Connect to the first address that answers.

    An address that neither answers nor refuses, as behind a firewall that drops packets, leaves time for the next.

    Args:
        candidates: The addresses, in the order in which to try them.
        seconds: The limit for all of them together.

    Returns:
        A non-blocking socket, and its address.

    Raises:
        OSError: No address answered; the error of the last one.
    """
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    failed: OSError = OSError("the host has no address")
    for number, (family, address) in enumerate(candidates, start=1):
        left, others = end - loop.time(), len(candidates) - number
        share = min(_MAX_SHARE, left / (others + 1)) if others else left
        with contextlib.ExitStack() as closing:
            try:
                # IPPROTO_TCP, or asyncio does not set TCP_NODELAY, and each message waits 40 ms.
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


def error_reason(error: BaseException) -> str:
    """
    Describe a network error in the system's words, without Python's number and call.

    >>> error_reason(
    ...     ConnectionRefusedError(111, "Connect call failed ('127.0.0.1', 9)")
    ... )
    'Connection refused'

    Args:
        error: What connecting, reading, writing or listening raised.

    Returns:
        One sentence without a full stop; the name of the class if the error has no text.
    """
    if isinstance(error, socket.gaierror):
        return error.strerror or str(error)
    if isinstance(error, OSError) and not isinstance(error, ssl.SSLError) and error.errno:
        return os.strerror(error.errno)
    return str(error) or type(error).__name__
