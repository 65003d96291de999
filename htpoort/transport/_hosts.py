"""
Read names and addresses of hosts.

Never does: look a name up.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Final

HOST_NAME: Final = re.compile(
    r"(?=.{1,253}\Z)[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?(?:\.[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?)*"
)
"""A name in ASCII: labels of 1 to 63 characters (RFC 1123, section 2.1), the underscore that is seen beside."""

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def address_of(text: str) -> Address | None:
    """
    Read a numeric address; IPv4 that is written as IPv6 comes back as IPv4.

    >>> address_of("::ffff:127.0.0.1")
    IPv4Address('127.0.0.1')

    Args:
        text: An address, perhaps with the zone of an interface, or a name.

    Returns:
        The address; None where the text is none.
    """
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def group_of(text: str) -> str:
    """
    Say for whom a peer's connections count: a machine with IPv6 usually has a network of 64 bits to itself.

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
    Tell whether a text can name a host.

    Args:
        text: A name or a numeric address.

    Returns:
        True for one that may be looked up or connected to.
    """
    return isinstance(text, str) and (HOST_NAME.fullmatch(text) is not None or address_of(text) is not None)


def shown(value: object) -> str:
    """
    Show what is no host, unless it may hold a password, as a URL or an account does.

    >>> shown("a b"), shown("smtps://edi:geheim@smtp.forwarder.example")
    ("'a b'", 'a text with @ or ://, which may hold a password')

    Args:
        value: What was given in the place of a host.

    Returns:
        Words for an error.
    """
    text = repr(value)
    return "a text with @ or ://, which may hold a password" if "@" in text or "://" in text else text


def is_loopback(host: str) -> bool:
    """
    Tell whether a connection to or from a host stays on this machine.

    Args:
        host: A name or a numeric address.

    Returns:
        True for ``localhost`` (RFC 6761, section 6.3), 127.0.0.0/8 and ::1.
    """
    address = address_of(host)
    return host.lower() == "localhost" or (address is not None and address.is_loopback)
