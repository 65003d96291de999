"""
Say which POP3 mailbox to fetch from, and what a session may come to.

Never does: connect, or show a password.
"""

from __future__ import annotations

import enum
import math
import re
from collections.abc import Generator
from typing import Final, cast, final

import attrs

from htpoort import _grammar
from htpoort.errors import HtpoortError, InputError, Problem
from htpoort.transport import _hosts
from htpoort.transport.servers import Security
from htpoort.transport.tls import TlsSettings

__all__ = ["FetchError", "FetchFailure", "Fetched", "Left", "Pop3Server"]

_PORTS: Final = {Security.IMPLICIT: 995, Security.STARTTLS: 110, Security.PLAIN: 110}  # RFC 8314, RFC 1939
_LAST_PORT: Final = 65_535
_PASSING: Final = re.compile(r"\[(?:IN-USE|LOGIN-DELAY|SYS/TEMP)\]", re.IGNORECASE)
"""The answers that ask to come again later (RFC 2449, section 8.1; RFC 3206, section 4)."""


class FetchFailure(enum.Enum):
    """Tell in which way a session failed."""

    CONNECT = "connect"
    """No connection: refused, not resolved, no greeting, timed out."""
    TLS = "tls"
    """The server offers no TLS, or the handshake failed, or its certificate is not trusted."""
    LOGIN = "login"
    """User name and password were not accepted, or the mailbox is in use."""
    LOST = "lost"
    """The connection was lost before QUIT was answered: what was marked for deletion may come again."""
    PROTOCOL = "protocol"
    """The server speaks no POP3, or not enough of it."""
    LIMIT = "limit"
    """The server sent more, or took longer, than the settings allow; nothing was deleted."""


_ADVICE: Final = {
    FetchFailure.CONNECT: "Check server name and port; try again later.",
    FetchFailure.TLS: "Check the TLS settings and the CA file; a retry without a change fails again.",
    FetchFailure.LOGIN: "Check user name and password, and whether another program reads this mailbox.",
    FetchFailure.LOST: "Fetch again; what was stored is recognised.",
    FetchFailure.PROTOCOL: "Check server name and port; the server must speak POP3.",
    FetchFailure.LIMIT: "Check the mailbox; where all of it is genuine, raise the limit that is named.",
}


@final
@attrs.define(eq=False, str=False, slots=False)
class FetchError(HtpoortError):
    """
    Tell that a session with a POP3 server came to no good end; what was stored in it stays stored.

    Args:
        account: ``user@host:port``.
        kind: In which way it failed.
        reply: What the server answered, or what the network said.
        uidl: The mail that was being fetched or deleted; None where it was none, or has no usable UIDL.
        number: Its number in this session; None where it was none.
        logged_in: Whether the login had succeeded; before that, the trouble is the server's as a whole.
        done: How many mails were stored, and deleted or left, before it; a server may end each session after
            so many.

    Attributes:
        retryable: Whether a later session may succeed without a change: after no connection, a lost
            or a slow one, and an answer that asks for it.
    """

    account: str
    kind: FetchFailure
    reply: str
    uidl: str | None = None
    number: int | None = None
    logged_in: bool = False
    done: int = 0
    retryable: bool = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        passing = self.kind in {FetchFailure.CONNECT, FetchFailure.LOST, FetchFailure.LIMIT}
        self.retryable = passing or _PASSING.match(self.reply) is not None

    def __str__(self) -> str:
        said = self.reply.rstrip(".") or "no reply"
        return f"Not fetched from {self.account} ({self.kind.value}): {said}. {_ADVICE[self.kind]}"


def _usual_port(server: Pop3Server) -> int:
    return _PORTS.get(server.security, _PORTS[Security.IMPLICIT])


@final
@attrs.frozen(kw_only=True)
class Pop3Server:
    """
    Hold how to reach a POP3 mailbox.

    >>> Pop3Server(host="pop.forwarder.example", username="edi", password="geheim").account
    'edi@pop.forwarder.example:995'

    Args:
        host: Its name, which its certificate must carry, or its numeric address.
        port: 1 to 65,535; where not given, 995 for implicit TLS, 110 for STLS and plain.
        security: Implicit TLS where not given; STARTTLS stands for the command STLS (RFC 2595).
        username: Whose mailbox it is.
        password: The password for it. Not shown in the repr.
        tls: Whom to trust, and what certificate to show.
        timeout: Seconds that connecting, and each wait for octets, may take.
        mail_timeout: Seconds that one mail may take.
        session_timeout: Seconds that the server may take for a whole session.
        mail_limit: Octets of a mail that is fetched; a larger one stays there and is reported. Far above what is
            routed, so that a mail too large for that is stored, in quarantine.
        listing_limit: Octets of a list of its mails; 16 MiB are enough for 200,000 mails.

    Raises:
        InputError: Values cannot be taken; tells every one. Among them a login without TLS, unless the
            host is this machine.
    """

    host: str
    security: Security = Security.IMPLICIT
    # Behind security, which it looks at.
    port: int = attrs.field(default=attrs.Factory(_usual_port, takes_self=True))
    username: str
    password: str = attrs.field(repr=False)
    tls: TlsSettings = attrs.field(factory=TlsSettings)
    timeout: float = 60.0
    mail_timeout: float = 600.0
    session_timeout: float = 3600.0
    mail_limit: int = 4 * _grammar.MESSAGE_LIMIT
    listing_limit: int = 16 * 1024 * 1024

    def __attrs_post_init__(self) -> None:
        if problems := tuple(_server_problems(self)):
            raise InputError("", problems)

    @property
    def account(self) -> str:
        """The mailbox as ``user@host:port``, which names it in the ledger and in errors."""
        return f"{self.username}@{self.host}:{self.port}"

    @property
    def shown(self) -> str:
        """The mailbox for a person: ``host:port as user``; a user name may have an @ of its own."""
        return f"{self.host}:{self.port} as {self.username}"


def _server_problems(server: Pop3Server) -> Generator[Problem]:
    """Find what is wrong, without a word of the password."""
    port, security = cast("tuple[object, ...]", (server.port, server.security))
    if not _hosts.is_host(server.host):
        yield Problem("pop3.host", f"host is {_hosts.shown(server.host)}; give the name or address of a host.")
    if not isinstance(port, int) or not 1 <= port <= _LAST_PORT:
        yield Problem("pop3.port", f"port is {port!r}; give a number from 1 to {_LAST_PORT}.")
    if not isinstance(security, Security):
        known = ", ".join(f"Security.{one.name}" for one in Security)
        yield Problem("pop3.security", f"security is {security!r}; give one of {known}.")
    for field, value in {"username": server.username, "password": server.password}.items():
        # A line end would be a command of its own.
        if not (isinstance(cast("object", value), str) and value and value.isprintable()):
            yield Problem("pop3.login", f"{field} is empty, or holds a character that no login can carry.")
    if security is Security.PLAIN and not _hosts.is_loopback(str(server.host)):
        message = "security is PLAIN: the password could be read on the way. Use STARTTLS or IMPLICIT."
        yield Problem("pop3.login-in-the-clear", message)
    yield from _limit_problems(server)


def _limit_problems(server: Pop3Server) -> Generator[Problem]:
    """Find limits that no session could keep."""
    for field in ("timeout", "mail_timeout", "session_timeout"):
        seconds: object = getattr(server, field)
        if not (isinstance(seconds, (int, float)) and 0 < seconds < math.inf):
            yield Problem("pop3.timeout", f"{field} is {seconds!r}; give seconds above 0.")
    for field in ("mail_limit", "listing_limit"):
        octets: object = getattr(server, field)
        if not isinstance(octets, int) or octets < 1:
            yield Problem("pop3.limit", f"{field} is {octets!r}; give octets above 0.")


@final
@attrs.frozen(kw_only=True)
class Left:
    """
    Say why a mail stays in the mailbox.

    Args:
        uidl: Its unique ID there; empty where the server gives none that can be used.
        number: Its number in that session.
        size: Its octets, as the server counts them; 0 where it does not say.
        problem: ``pop3.too-large``, ``pop3.unreadable``, or ``pop3.not-deleted`` for one that is stored. Where
            several sessions were held, also ``pop3.breaks`` or ``pop3.endless``.
        headers: The header block of one that is too large; None where the server gave none, and behind the first
            4 MiB of them in one session.
    """

    uidl: str
    number: int
    size: int
    problem: Problem
    headers: bytes | None = attrs.field(default=None, repr=False)


@final
@attrs.frozen(kw_only=True)
class Fetched:
    """
    Say what one session did, after its QUIT.

    Args:
        fetched: The UIDLs of what was stored, in the mailbox's order; ``sha256`` and the digest of a mail where
            it has none that can be used.
        deleted: The same of what left the mailbox; none where the server refused to.
        left: What stays in the mailbox, and why.
        gone: What was known or has been stored and is in the mailbox no more: forget it before the next
            session, because a server may give its UIDL to another mail.
        problems: What is wrong beside *left*: ``pop3.listing``, ``pop3.quit``.
        more: How many mails the next session would still find to fetch, where this one was to end before them.
        staying: The numbers that the next session will give to the mails without a usable UIDL that this one left.
    """

    fetched: tuple[str, ...]
    deleted: tuple[str, ...]
    left: tuple[Left, ...]
    gone: frozenset[str]
    problems: tuple[Problem, ...]
    more: int = 0
    staying: frozenset[int] = frozenset()
