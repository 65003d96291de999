"""
Hold how much of a receiver its peers may use at once.

Never does: count who is connected.
"""

from __future__ import annotations

from typing import final

import attrs

from htpoort import _grammar
from htpoort.errors import InputError, Problem

__all__ = ["Limits"]


@final
@attrs.frozen(kw_only=True)
class Limits:
    """
    Hold how many connections, octets and commands a `Receiver` takes at once, from one peer and from all together.

    A gateway may open several connections from one address: Postfix, as a sender, opens 20 to one destination.

    Args:
        connections: Connections at once; one more is answered with 421 and closed. With 200 of them, 1,024 file
            descriptors, the usual limit of a process, leave room for the ledger and everything else.
        connections_per_peer: Connections at once from one IPv4 address, or one IPv6 network of 64 bits; one more
            is answered with 421 and closed. 50 is also the limit of Postfix as a server.
        held_limit: Octets of all messages that are being received or handled; a message for which no room is left
            is answered with 452 and not kept. 200 MiB hold four messages of the largest size.
        commands_per_turn: Commands that one connection may have carried out before the others get their turn; ten
            take about half a millisecond.

    Raises:
        InputError: A value is not a whole number above 0; lists every one.
    """

    connections: int = 200
    connections_per_peer: int = 50
    held_limit: int = 4 * _grammar.MESSAGE_LIMIT
    commands_per_turn: int = 10

    def __attrs_post_init__(self) -> None:
        problems = tuple(
            Problem("receiver.limit", f"{name} is {value!r}; give a whole number above 0.")
            for name, value in attrs.asdict(self).items()
            if type(value) is not int or value < 1
        )
        if problems:
            raise InputError("", problems)
