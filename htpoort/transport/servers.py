"""
Say which mail server to send to, and how.

Never does: connect, or show a password.
"""

from __future__ import annotations

import enum
import math
from typing import Final, cast, final

import attrs

from htpoort.errors import InputError, Problem
from htpoort.transport import _hosts
from htpoort.transport.tls import TlsSettings

__all__ = ["Security", "SmtpServer"]


class Security(enum.Enum):
    """Tell how the connection to a mail server is made safe."""

    STARTTLS = "starttls"
    """Plain at first; nothing is sent before TLS stands (RFC 3207)."""
    IMPLICIT = "implicit"
    """TLS from the first octet (RFC 8314)."""
    PLAIN = "plain"
    """No TLS: for a VPN, or a server on the same machine."""


# RFC 6409 and RFC 8314; 25 is the port of the MTA interface, whose VPN makes it safe.
_PORTS: Final = {Security.STARTTLS: 587, Security.IMPLICIT: 465, Security.PLAIN: 25}
_LAST_PORT: Final = 65_535


def _usual_port(server: SmtpServer) -> int:
    return _PORTS.get(server.security, _PORTS[Security.STARTTLS])


@final
@attrs.frozen(kw_only=True)
class SmtpServer:
    """
    Hold how to reach the mail server that takes messages for Customs.

    >>> SmtpServer(host="smtp.forwarder.example").port
    587

    Args:
        host: Its name, which its certificate must carry, or its numeric address.
        security: STARTTLS, required, where not given.
        port: 1 to 65,535; where not given, 587 for STARTTLS, 465 for implicit TLS, 25 for plain.
        username: What to log in with; together with *password*, or not at all.
        password: The password for it. Not shown in the repr.
        tls: Whom to trust, and what certificate to show.
        timeout: Seconds that connecting, each command and each piece of the content may take.
        final_timeout: Seconds to wait for the answer to the final dot. Whoever waits less leaves more
            messages of which nobody knows whether they were taken; RFC 5321 asks for 10 minutes.
        local_hostname: What to call ourselves; the domain of the sender's mailbox where not given.

    Raises:
        InputError: Values cannot be taken; tells every one. Among them a login without TLS, unless the
            host is this machine.

    Source:
        RFC 5321, section 4.5.3.2, for the times.
    """

    host: str
    security: Security = Security.STARTTLS
    port: int = attrs.field(default=attrs.Factory(_usual_port, takes_self=True))
    username: str | None = None
    password: str | None = attrs.field(default=None, repr=False)
    tls: TlsSettings = attrs.field(factory=TlsSettings)
    timeout: float = 60.0
    final_timeout: float = 600.0
    local_hostname: str | None = None

    def __attrs_post_init__(self) -> None:
        problems = [*_place_problems(self), *_login_problems(self), *_time_problems(self)]
        if problems:
            raise InputError("", tuple(problems))

    @property
    def account(self) -> str:
        """The server as ``user@host:port``, or ``host:port`` without a login, which names it for programs."""
        user = "" if self.username is None else f"{self.username}@"
        return f"{user}{self.host}:{self.port}"

    @property
    def shown(self) -> str:
        """The server for a person: ``host:port as user``; a user name may have an @ of its own."""
        return f"{self.host}:{self.port}" + ("" if self.username is None else f" as {self.username}")


def _place_problems(server: SmtpServer) -> list[Problem]:
    """Find what is wrong with where to connect."""
    problems: list[Problem] = []
    names = {"host": server.host, "local_hostname": server.local_hostname}
    for field, value in names.items():
        if not _hosts.is_host(value) and not (field == "local_hostname" and value is None):
            message = f"{field} is {_hosts.shown(value)}; give the name or address of a host."
            problems.append(Problem("smtp.host", message))
    port, security = cast("object", server.port), cast("object", server.security)
    if not isinstance(port, int) or not 1 <= port <= _LAST_PORT:
        problems.append(Problem("smtp.port", f"port is {port!r}; give a number from 1 to {_LAST_PORT}."))
    if not isinstance(security, Security):
        known = ", ".join(f"Security.{one.name}" for one in Security)
        problems.append(Problem("smtp.security", f"security is {security!r}; give one of {known}."))
    return problems


def _login_problems(server: SmtpServer) -> list[Problem]:
    """Find what is wrong with the login, without a word of the password."""
    given = {"username": server.username, "password": server.password}
    problems = [
        Problem("smtp.login", f"{field} is empty, or holds a character that no login can carry.")
        for field, value in given.items()
        if value is not None and not _fits_login(value)
    ]
    if (server.username is None) != (server.password is None):
        missing = "password" if server.password is None else "username"
        problems.append(Problem("smtp.login", f"{missing} is missing; username and password go together."))
    # The host may be no host at all, which is told by its own problem.
    elif server.username is not None and server.security is Security.PLAIN and not _hosts.is_loopback(str(server.host)):
        message = "security is PLAIN: the password could be read on the way. Use STARTTLS or IMPLICIT."
        problems.append(Problem("smtp.login-in-the-clear", message))
    return problems


def _fits_login(value: object) -> bool:
    """Tell whether SASL PLAIN can carry a value (RFC 4616, section 2)."""
    return isinstance(value, str) and len(value) > 0 and value.isprintable()


def _time_problems(server: SmtpServer) -> list[Problem]:
    """Find times that no connection could keep."""
    times: dict[str, object] = {"timeout": server.timeout, "final_timeout": server.final_timeout}
    return [
        Problem("smtp.timeout", f"{field} is {value!r}; give seconds above 0.")
        for field, value in times.items()
        if not (isinstance(value, (int, float)) and 0 < value < math.inf)
    ]
