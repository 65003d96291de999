"""
Hold what a receiver takes, from whom, and check it once.

Never does: listen.
"""

from __future__ import annotations

import ipaddress
import math
import ssl
from collections.abc import Awaitable, Callable, Iterable
from typing import Final, cast, final

import attrs

from htpoort import _address
from htpoort.errors import InputError, Problem
from htpoort.transport import _hosts
from htpoort.transport.incoming import Incoming
from htpoort.transport.limits import Limits

Handler = Callable[[Incoming], Awaitable[None]]
"""What a message is given to: it has been taken when this returns."""

Authenticator = Callable[[str, str], bool]
"""What says whether user name and password are right."""

_LAST_PORT: Final = 65_535


@final
@attrs.frozen(kw_only=True)
class Terms:
    """Hold the arguments of a `Receiver`; what they mean is told there."""

    handler: Handler
    hostname: str
    mailboxes: tuple[str, ...]
    host: str
    port: int
    tls: ssl.SSLContext | None
    require_tls: bool
    size_limit: int
    networks: tuple[str, ...]
    timeout: float
    grace: float
    authenticator: Authenticator | None
    limits: Limits
    _nets: tuple[_hosts.Network, ...] = attrs.field(init=False, default=(), eq=False, repr=False)
    _table: dict[str, str] = attrs.field(init=False, factory=dict[str, str], eq=False, repr=False)

    def __attrs_post_init__(self) -> None:
        nets = [(text, _network(text)) for text in self.networks]
        problems = [*_place_problems(self), *_limit_problems(self), *_mailbox_problems(self.mailboxes)]
        problems.extend(
            Problem("receiver.network", f"networks holds {text!r}; give an address with a prefix, as 192.0.2.0/24.")
            for text, net in nets
            if net is None
        )
        if problems:
            raise InputError("", tuple(problems))
        # The one way to fill a field of a frozen class from others of it.
        object.__setattr__(self, "_nets", tuple(net for _, net in nets if net is not None))
        object.__setattr__(self, "_table", {mailbox.lower(): mailbox for mailbox in self.mailboxes})

    def admits(self, peer: str) -> bool:
        """Tell whether a peer's address is in one of the networks."""
        address = _hosts.address_of(peer)
        return address is not None and any(address in net for net in self._nets)

    def mailbox(self, address: str) -> str | None:
        """Give a mailbox of ours in our spelling; its letters may come in either case."""
        return self._table.get(address.lower())


def texts(values: Iterable[str] | str) -> tuple[str, ...]:
    """Make a tuple of texts; one text alone is not taken for its letters."""
    return (values,) if isinstance(values, str) else tuple(values)


def _network(text: object) -> _hosts.Network | None:
    try:
        return ipaddress.ip_network(cast("str", text))
    except ValueError:
        return None


def _place_problems(terms: Terms) -> list[Problem]:
    """Find what is wrong with where to listen, and under which name."""
    problems = [
        Problem("receiver.host", f"{field} is {_hosts.shown(value)}; give the name or address of a host.")
        for field, value in (("hostname", terms.hostname), ("host", terms.host))
        if not _hosts.is_host(value)
    ]
    port = cast("object", terms.port)
    if not isinstance(port, int) or not 0 <= port <= _LAST_PORT:
        problems.append(Problem("receiver.port", f"port is {port!r}; give 0 to {_LAST_PORT}, 0 for any that is free."))
    if terms.require_tls and terms.tls is None:
        problems.append(Problem("receiver.tls", "require_tls is set and tls is not; give a context."))
    if terms.authenticator is not None and terms.tls is None and not _hosts.is_loopback(str(terms.host)):
        problems.append(
            Problem("receiver.tls", "Passwords are taken over TLS only and tls is not set; give a context.")
        )
    return problems


def _limit_problems(terms: Terms) -> list[Problem]:
    """Find limits that no message and no peer could keep."""
    problems: list[Problem] = []
    if terms.size_limit < 1:
        problems.append(Problem("receiver.size", f"size_limit is {terms.size_limit!r}; give octets above 0."))
    if terms.size_limit > terms.limits.held_limit:
        message = f"held_limit is {terms.limits.held_limit}, so no message of size_limit {terms.size_limit} would fit."
        problems.append(Problem("receiver.held", f"{message} Give a higher held_limit or a lower size_limit."))
    if not 0 < terms.timeout < math.inf:
        problems.append(Problem("receiver.timeout", f"timeout is {terms.timeout!r}; give seconds above 0."))
    if not 0 <= terms.grace < math.inf:
        problems.append(Problem("receiver.grace", f"grace is {terms.grace!r}; give seconds, 0 for none."))
    return problems


def _mailbox_problems(mailboxes: tuple[str, ...]) -> list[Problem]:
    """Find what keeps texts from being mailboxes of ours."""
    if not mailboxes:
        return [Problem("receiver.mailboxes", "mailboxes is empty; every message would be refused.")]
    return [
        Problem("receiver.mailboxes", f"mailboxes holds {mailbox!r}; give plain mailboxes, name@domain, in ASCII.")
        for mailbox in mailboxes
        if _address.mailbox_problems("mailboxes", mailbox)
    ]
