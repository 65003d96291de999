"""The settings of an SMTP listener: what it takes, from whom, and how much at once. Checked once, here."""

from __future__ import annotations

import enum
import ipaddress
import math
import ssl
from collections.abc import Awaitable, Callable, Iterable
from typing import Final, cast, final

import attrs

from htpoort.core import address, grammar
from htpoort.core.errors import InputError, Problem
from htpoort.core.text import ascii_lower
from htpoort.transport import hosts

__all__ = ["LOOPBACK", "Answer", "Authenticator", "Handler", "Incoming", "Limits", "Refusal", "SmtpInbox"]

_CODES: Final = range(400, 600)
_LINE: Final = 500  # RFC 5321, section 4.5.3.1.5: 512 octets with code and line end


@final
class Answer(enum.StrEnum):
    """What a receiver answers, code and text (RFC 5321; RFC 3463 for the second code)."""

    TOO_MANY = "421 4.3.2 Too many connections, try again later"
    TOO_MANY_FROM_PEER = "421 4.7.0 Too many connections from your address, try again later"
    NO_SERVICE = "554 5.7.1 No service for you here"
    ACCEPTED = "250 OK"
    TRY_LATER = "451 4.3.0 Not taken, try again later"
    CLOSING = "421 4.3.2 Closing"
    UNKNOWN_MAILBOX = "550 5.1.1 No such mailbox here"
    ONE_ONLY = "452 4.5.3 One recipient per message"
    NO_ROOM = "452 4.3.1 No room for the message now, try again later"
    UNCLEAN = "550 5.6.0 Bare CR, bare LF or NUL in the message"
    TOO_LARGE = "552 5.3.4 Message too large"
    LOGIN_FIRST = "530 5.7.0 Authentication required"
    LOGIN_LATER = "454 4.7.0 Login cannot be checked, try again later"
    TLS_ALREADY = "503 5.5.1 TLS is already active"
    CANNOT_VERIFY = "252 2.5.2 Cannot verify; send the message to find out"


@final
@attrs.frozen(kw_only=True)
class Incoming:
    """
    One message as it arrived by SMTP.

    Args:
        mail_from: MAIL FROM as the peer wrote it; empty for the null sender ``<>`` of a bounce.
        rcpt_to: The one mailbox it is for, in the receiver's own spelling.
        peer: The peer's numeric address.
        tls: Whether it arrived over TLS.
        raw: The octets of the message: lines ended by CRLF, doubled dots undone, otherwise untouched.
    """

    mail_from: str
    rcpt_to: str
    peer: str
    tls: bool
    raw: bytes = attrs.field(repr=False)


@final
@attrs.define(eq=False, str=False, slots=False)
class Refusal(Exception):  # noqa: N818 - an answer to give, not an accident
    """
    Raise this in a receiver's handler to choose the answer to a message.

    >>> str(Refusal(452, "4.3.1 The disk is full"))
    '452 4.3.1 The disk is full'

    Args:
        code: 400 to 499: the peer should send it again later; 500 to 599: it should not. After 421 the connection is
            closed.
        text: What follows the code, for the peer to read: 1 to 500 printable ASCII characters.

    Raises:
        InputError: The code or the text is not allowed in an SMTP answer.
    """

    code: int
    text: str

    def __attrs_post_init__(self) -> None:
        problems: list[Problem] = []
        if self.code not in _CODES:
            problems.append(Problem("refusal.code", f"code is {self.code!r}; give a number from 400 to 599."))
        if not (1 <= len(self.text) <= _LINE and self.text.isascii() and self.text.isprintable()):
            problems.append(Problem("refusal.text", f"text is not 1 to {_LINE} printable ASCII characters."))
        if problems:
            raise InputError("", tuple(problems))

    def __str__(self) -> str:
        return f"{self.code} {self.text}"


Handler = Callable[[Incoming], Awaitable[None]]
"""Stores a message; the peer gets 250 when it returns."""

Authenticator = Callable[[str, str], bool]
"""Checks a user name and a password."""

LOOPBACK: Final = ("127.0.0.0/8", "::1/128")
"""The networks of this machine."""

_LAST_PORT: Final = 65_535


@final
@attrs.frozen(kw_only=True)
class Limits:
    """
    Limit how many connections, octets and commands a listener takes at once, from one peer and in total.

    A gateway may open several connections from one address: Postfix, as a sender, opens 20 to one destination.

    Args:
        connections: Connections at once; one more is answered with 421 and closed. With 200 of them, 1,024 file
            descriptors, the usual limit of a process, leave room for the ledger and everything else.
        connections_per_peer: Connections at once from one IPv4 address, or one IPv6 network of 64 bits; one more
            is answered with 421 and closed. 50 is also the limit of Postfix as a server.
        held_limit: Octets of all messages that are being received or handled; a message that does not fit is
            answered with 452 and not kept. 200 MiB hold four messages of the largest size.
        commands_per_turn: Commands that one connection may run before the others get their turn; ten take about
            half a millisecond.

    Raises:
        InputError: A value is not a whole number above 0; lists every one.
    """

    connections: int = 200
    connections_per_peer: int = 50
    held_limit: int = 4 * grammar.MESSAGE_LIMIT
    commands_per_turn: int = 10

    def __attrs_post_init__(self) -> None:
        problems = tuple(
            Problem("receiver.limit", f"{name} is {value!r}; give a whole number above 0.")
            for name, value in attrs.asdict(self).items()
            if type(value) is not int or value < 1
        )
        if problems:
            raise InputError("", problems)


_LIMITS: Final = Limits()


def _texts(values: Iterable[str] | str) -> tuple[str, ...]:
    """Make a tuple of texts; a single text is one item, not a series of letters."""
    return (values,) if isinstance(values, str) else tuple(values)


@final
@attrs.frozen(kw_only=True)
class SmtpInbox:
    """
    The settings of a place where messages come in by SMTP, for a `Receiver` or an agent.

    >>> inbox = SmtpInbox(
    ...     hostname="mx.forwarder.example", mailboxes=["edi@forwarder.example"]
    ... )
    >>> inbox.mailbox("EDI@forwarder.example"), inbox.mailbox("info@forwarder.example")
    ('edi@forwarder.example', None)

    Args:
        hostname: Our own host name, which the greeting shows.
        mailboxes: The mailboxes that accept messages; ASCII, compared without regard to case.
        host: The name or numeric address of the interface to listen on.
        port: 0 for any free port.
        tls: The context for STARTTLS, as from `server_context`; None offers no TLS.
        require_tls: Accept nothing before STARTTLS.
        networks: The networks that peers may connect from, as addresses with a prefix; an empty tuple admits
            none.
        size_limit: Octets of a message, line ends counted, doubled dots not; a larger one is refused with 552.
        timeout: Seconds after which an idle connection is closed: without a command, with less than 65,536 octets
            of content, or waiting for the handler. A whole content may take ten times as long.
        grace: Seconds that running handlers get to finish when the receiver closes. After that they are cancelled,
            and get as long again (at least 5 seconds) to end.
        authenticator: Called in the event loop with user name and password, so it must be quick. If given, peers
            must log in, and only over TLS unless *host* is this machine.
        limits: How many connections, octets and commands there may be at once.
        mail_from_rewritten_by: Networks of our own mail servers that rewrite MAIL FROM, as for SPF (SRS); each
            within one of *networks*. For messages from there MAIL FROM is not compared with From: the From header
            alone then names the sender, so that mail server must refuse a forged one.

    Raises:
        InputError: Values are invalid; lists every one.
    """

    hostname: str
    mailboxes: tuple[str, ...] = attrs.field(converter=_texts)
    host: str = "127.0.0.1"
    port: int = 0
    tls: ssl.SSLContext | None = attrs.field(default=None, repr=False)
    require_tls: bool = False
    networks: tuple[str, ...] = attrs.field(default=LOOPBACK, converter=_texts)
    size_limit: int = grammar.MESSAGE_LIMIT
    timeout: float = 300.0
    grace: float = 30.0
    authenticator: Authenticator | None = attrs.field(default=None, repr=False)
    limits: Limits = _LIMITS
    mail_from_rewritten_by: tuple[str, ...] = attrs.field(default=(), converter=_texts)
    _admitted: tuple[hosts.Network, ...] = attrs.field(init=False, default=(), eq=False, repr=False)
    _spellings: dict[str, str] = attrs.field(init=False, factory=dict[str, str], eq=False, repr=False)

    def __attrs_post_init__(self) -> None:
        problems = [
            *_place_problems(self),
            *_limit_problems(self),
            *_mailbox_problems(self.mailboxes),
            *_network_problems(self),
        ]
        if problems:
            raise InputError("", tuple(problems))
        # The one way to fill a field of a frozen class from its other fields.
        object.__setattr__(self, "_admitted", tuple(ipaddress.ip_network(text) for text in self.networks))
        object.__setattr__(self, "_spellings", {ascii_lower(mailbox): mailbox for mailbox in self.mailboxes})

    def admits(self, peer: str) -> bool:
        """
        Check whether a peer's address is in one of the networks.

        Args:
            peer: A numeric address.

        Returns:
            True if the peer may connect.
        """
        address = hosts.address_of(peer)
        return address is not None and any(address in network for network in self._admitted)

    def mailbox(self, address: str) -> str | None:
        """
        Find one of the mailboxes.

        Args:
            address: A recipient, its letters in either case.

        Returns:
            The mailbox in our own spelling; None if it is not ours.
        """
        return self._spellings.get(ascii_lower(address))

    def comparable_mail_from(self, mail_from: str, peer: str) -> str | None:
        """
        Choose the MAIL FROM to compare with From.

        Args:
            mail_from: As the peer wrote it.
            peer: The peer's numeric address.

        Returns:
            The same MAIL FROM; None if the peer rewrites it.
        """
        address = hosts.address_of(peer)
        rewritten = address is not None and any(
            address in ipaddress.ip_network(text) for text in self.mail_from_rewritten_by
        )
        return None if rewritten else mail_from


def _network(text: object) -> hosts.Network | None:
    try:
        return ipaddress.ip_network(cast("str", text))
    except ValueError:
        return None


def _place_problems(inbox: SmtpInbox) -> list[Problem]:
    """Check where to listen, and under which name."""
    problems = [
        Problem("receiver.host", f"{field} is {hosts.shown(value)}; give the name or address of a host.")
        for field, value in (("hostname", inbox.hostname), ("host", inbox.host))
        if not hosts.is_host(value)
    ]
    port = cast("object", inbox.port)
    if not isinstance(port, int) or not 0 <= port <= _LAST_PORT:
        problems.append(Problem("receiver.port", f"port is {port!r}; give 0 to {_LAST_PORT}, 0 for any free port."))
    if inbox.require_tls and inbox.tls is None:
        problems.append(
            Problem(
                "receiver.tls", "require_tls is set, but there is no certificate; give one, or leave require_tls out."
            )
        )
    if inbox.authenticator is not None and inbox.tls is None and not hosts.is_loopback(str(inbox.host)):
        message = "authenticator is set, but there is no certificate; give one: passwords are accepted over TLS only."
        problems.append(Problem("receiver.tls", message))
    return problems


def _limit_problems(inbox: SmtpInbox) -> list[Problem]:
    """Find limits that no message and no peer could keep."""
    problems: list[Problem] = []
    if inbox.size_limit < 1:
        problems.append(Problem("receiver.size", f"size_limit is {inbox.size_limit!r}; give octets above 0."))
    if inbox.size_limit > inbox.limits.held_limit:
        message = f"held_limit is {inbox.limits.held_limit}, so no message of size_limit {inbox.size_limit} would fit."
        problems.append(Problem("receiver.held", f"{message} Give a higher held_limit or a lower size_limit."))
    if not 0 < inbox.timeout < math.inf:
        problems.append(Problem("receiver.timeout", f"timeout is {inbox.timeout!r}; give seconds above 0."))
    if not 0 <= inbox.grace < math.inf:
        problems.append(Problem("receiver.grace", f"grace is {inbox.grace!r}; give seconds, 0 for none."))
    return problems


def _mailbox_problems(mailboxes: tuple[str, ...]) -> list[Problem]:
    """Check the mailboxes."""
    if not mailboxes:
        return [Problem("receiver.mailboxes", "mailboxes is empty; give at least one, or every message is refused.")]
    return [
        Problem("receiver.mailboxes", f"mailboxes holds {mailbox!r}; give plain mailboxes, name@domain, in ASCII.")
        for mailbox in mailboxes
        if address.mailbox_problems("mailboxes", mailbox)
    ]


def _network_problems(inbox: SmtpInbox) -> list[Problem]:
    """Check the networks, and that each mail server that rewrites MAIL FROM is within one of them."""
    admitted = [_network(text) for text in inbox.networks]
    problems = [
        Problem("receiver.network", f"networks holds {text!r}; give an address with a prefix, such as 192.0.2.0/24.")
        for text, network in zip(inbox.networks, admitted, strict=True)
        if network is None
    ]
    for text in inbox.mail_from_rewritten_by:
        relay = _network(text)
        if relay is None:
            message = f"mail_from_rewritten_by holds {text!r}; give an address with a prefix, such as 192.0.2.10/32."
            problems.append(Problem("inbox.relay", message))
        elif None not in admitted and not any(_is_within(relay, network) for network in admitted):
            message = f"mail_from_rewritten_by holds {text!r}, which is not within networks, so it cannot connect."
            problems.append(Problem("inbox.relay", f"{message} Add it to networks."))
    return problems


def _is_within(relay: hosts.Network, network: hosts.Network | None) -> bool:
    return network is not None and relay.version == network.version and relay.subnet_of(network)  # type: ignore[arg-type]  # of one version
