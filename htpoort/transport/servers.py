"""How to reach a mail server or a file gateway: its host, port, security, login and times, checked once."""

from __future__ import annotations

import enum
import math
from collections.abc import Iterable, Iterator, Mapping
from typing import ClassVar, Final, cast, final

import attrs

from htpoort.core import grammar
from htpoort.core.errors import InputError, Problem
from htpoort.transport import hosts
from htpoort.transport.tls import FILE_GATEWAY, POLICIES, TlsSettings

__all__ = ["FtpsAccount", "MailServer", "Pop3Account", "Security", "SmtpServer", "login_problems"]

_LAST_PORT: Final = 65_535


class Security(enum.Enum):
    """How the connection to a server is secured."""

    STARTTLS = "starttls"
    """Plain at first; nothing is sent before TLS is up (RFC 3207; POP3: STLS, RFC 2595; FTP: AUTH TLS, RFC 4217)."""
    IMPLICIT = "implicit"
    """TLS from the first octet (RFC 8314)."""
    PLAIN = "plain"
    """No TLS: for a VPN, or a server on the same machine."""


def _usual_security(server: MailServer) -> Security:
    return next(iter(server.usual_ports))


def _usual_port(server: MailServer) -> int:
    return server.usual_ports.get(server.security, next(iter(server.usual_ports.values())))


@attrs.frozen(kw_only=True)
class MailServer:
    """
    What a server for mail or files has in common with the others. Use `SmtpServer`, `Pop3Account` or `FtpsAccount`.

    Args:
        host: Its name, which must match its certificate, or its numeric address.
        security: How the connection is secured; STARTTLS by default for SMTP, implicit TLS for POP3.
        port: 1 to 65,535; by default the usual port of the protocol with this security.
        username: The user name to log in with.
        password: The password to log in with. Not shown in the repr.
        tls: Which authorities to trust, and which certificate to present.
        timeout: Seconds for connecting, and for each wait for the server after that.

    Raises:
        InputError: Values are invalid, such as a login without TLS to another machine; lists every one.
    """

    protocol: ClassVar[str] = "server"
    usual_ports: ClassVar[Mapping[Security, int]] = {Security.PLAIN: 0}
    """The usual port for each security; the first is the default."""
    login_required: ClassVar[bool] = False

    host: str
    security: Security = attrs.field(default=attrs.Factory(_usual_security, takes_self=True))
    port: int = attrs.field(default=attrs.Factory(_usual_port, takes_self=True))
    username: str | None
    password: str | None = attrs.field(repr=False)
    tls: TlsSettings = attrs.field(factory=TlsSettings)
    timeout: float = 60.0

    def __attrs_post_init__(self) -> None:
        if problems := tuple(self._problems()):
            raise InputError("", problems)

    @property
    def ledger_name(self) -> str:
        """The server as ``user@host:port``, or ``host:port`` without a login: its name in the ledger and in errors."""
        user = "" if self.username is None else f"{self.username}@"
        return f"{user}{self.host}:{self.port}"

    @property
    def label(self) -> str:
        """The server for people: ``host:port as user``; a user name may contain an @."""
        return f"{self.host}:{self.port}" + ("" if self.username is None else f" as {self.username}")

    def _problems(self) -> Iterator[Problem]:
        """Check every field, and show no part of the password."""
        yield from self._place_problems()
        login: dict[str, object] = {"username": self.username, "password": self.password}
        present = {field: value for field, value in login.items() if value is not None or self.login_required}
        yield from login_problems(f"{self.protocol}.login", present)
        if len(present) == 1:
            missing = "password" if self.password is None else "username"
            yield Problem(f"{self.protocol}.login", f"{missing} is missing; username and password go together.")
        # An invalid host has a problem of its own.
        elif self.username is not None and self.security is Security.PLAIN and not hosts.is_loopback(str(self.host)):
            message = "security is plain, so the password could be read on the way; use starttls or implicit."
            yield Problem(f"{self.protocol}.login-in-the-clear", message)
        yield from self._time_problems("timeout")

    def _place_problems(self) -> Iterator[Problem]:
        if not hosts.is_host(self.host):
            yield self._host_problem("host", self.host)
        port, security = cast("tuple[object, ...]", (self.port, self.security))
        if not isinstance(port, int) or not 1 <= port <= _LAST_PORT:
            yield Problem(f"{self.protocol}.port", f"port is {port!r}; give a number from 1 to {_LAST_PORT}.")
        if not isinstance(security, Security):
            known = ", ".join(each.value for each in Security)
            yield Problem(f"{self.protocol}.security", f"security is {security!r}; give one of {known}.")

    def _host_problem(self, field: str, value: object) -> Problem:
        message = f"{field} is {hosts.shown(value)}; give the name or address of a host."
        return Problem(f"{self.protocol}.host", message)

    def _time_problems(self, *fields: str) -> Iterator[Problem]:
        """Find times that no connection could keep."""
        for field in fields:
            seconds: object = getattr(self, field)
            if not (isinstance(seconds, (int, float)) and 0 < seconds < math.inf):
                yield Problem(f"{self.protocol}.timeout", f"{field} is {seconds!r}; give seconds above 0.")


@final
@attrs.frozen(kw_only=True)
class SmtpServer(MailServer):
    """
    Describe how to reach the mail server that takes messages for Customs.

    >>> SmtpServer(host="smtp.forwarder.example").port
    587

    Its arguments are those of `MailServer` and two more. By default it uses STARTTLS, and then requires it; the usual
    ports are 587 for STARTTLS, 465 for implicit TLS and 25 for plain.

    Args:
        final_timeout: Seconds to wait for the answer to the final dot. A shorter wait leaves more messages
            whose outcome is unknown; RFC 5321 asks for 10 minutes.
        local_hostname: The name to greet the server with; by default the domain of the sender's mailbox.

    Raises:
        InputError: Values are invalid, such as a login without TLS to another machine; lists every one.

    Source:
        RFC 5321, section 4.5.3.2, for the times.
    """

    protocol: ClassVar[str] = "smtp"
    # RFC 6409 and RFC 8314; 25 is the port of the MTA interface, whose VPN makes it safe.
    usual_ports: ClassVar[Mapping[Security, int]] = {
        Security.STARTTLS: 587,
        Security.IMPLICIT: 465,
        Security.PLAIN: 25,
    }

    username: str | None = None
    password: str | None = attrs.field(default=None, repr=False)
    final_timeout: float = 600.0
    local_hostname: str | None = None

    def _problems(self) -> Iterator[Problem]:
        yield from super()._problems()
        if self.local_hostname is not None and not hosts.is_host(self.local_hostname):
            yield self._host_problem("local_hostname", self.local_hostname)
        yield from self._time_problems("final_timeout")


@final
@attrs.frozen(kw_only=True)
class Pop3Account(MailServer):
    """
    Describe a POP3 mailbox, and the limits of a session.

    >>> Pop3Account(
    ...     host="pop.forwarder.example", username="edi", password="geheim"
    ... ).ledger_name
    'edi@pop.forwarder.example:995'

    Its arguments are those of `MailServer`, with a required login, and some more. By default it uses implicit TLS; the
    usual ports are 995 for implicit TLS, 110 for STARTTLS and plain. STARTTLS means the command STLS (RFC 2595).

    Args:
        mail_timeout: Seconds that one mail may take.
        session_timeout: Seconds that the server may take for a whole session.
        mail_limit: Octets of a mail that is fetched; a larger one stays in the mailbox and is reported. This is far
            above what is routed, so that a mail too large for routing is still stored, in quarantine.
        listing_limit: Octets of a list of its mails; 16 MiB are enough for 200,000 mails.

    Raises:
        InputError: Values are invalid, such as a login without TLS to another machine; lists every one.
    """

    protocol: ClassVar[str] = "pop3"
    # RFC 8314 and RFC 1939.
    usual_ports: ClassVar[Mapping[Security, int]] = {
        Security.IMPLICIT: 995,
        Security.STARTTLS: 110,
        Security.PLAIN: 110,
    }
    login_required: ClassVar[bool] = True

    username: str
    password: str = attrs.field(repr=False)
    mail_timeout: float = 600.0
    session_timeout: float = 3600.0
    mail_limit: int = 4 * grammar.MESSAGE_LIMIT
    listing_limit: int = 16 * 1024 * 1024

    def _problems(self) -> Iterator[Problem]:
        yield from super()._problems()
        yield from self._time_problems("mail_timeout", "session_timeout")
        for field in ("mail_limit", "listing_limit"):
            octets: object = getattr(self, field)
            if not isinstance(octets, int) or octets < 1:
                yield Problem("pop3.limit", f"{field} is {octets!r}; give octets above 0.")


def _of_files(tls: TlsSettings) -> TlsSettings:
    """Replace a policy that was published for the mail gateway: its suites need a server with an RSA key."""
    return attrs.evolve(tls, policy=FILE_GATEWAY) if tls.policy in POLICIES else tls


@final
@attrs.frozen(kw_only=True)
class FtpsAccount(MailServer):
    """
    Describe an account at a file gateway: FTP over TLS, never without it.

    >>> FtpsAccount(
    ...     host="gateway.example",
    ...     username="CVR_12345678_UI_12345678",
    ...     password="geheim",
    ... ).ledger_name
    'CVR_12345678_UI_12345678@gateway.example:6381'

    Its arguments are those of `MailServer`, with a required user name, and some more. STARTTLS, the default, means the
    command AUTH TLS (RFC 4217), which is called explicit TLS in FTP. No source says which of the two the Danish
    gateway speaks on its port 6381, so both have that port by default.

    Args:
        tls: Which authorities to trust, and which certificate to present. A policy out of `POLICIES`, as is the default
            of `TlsSettings`, is of the mail gateway; `FILE_GATEWAY` takes its place.
        password: The password; None if the server knows the user by the certificate in *tls*, and requests none.
        transfer_timeout: Seconds that one command or transfer may take in all, up to its last answer. A shorter wait
            leaves more uploads whose outcome is unknown.
        file_limit: Octets of a file that is fetched; a larger one stays on the server.
        listing_limit: Octets of a list of files; 16 MiB are enough for 100,000 files.

    Raises:
        InputError: Values are invalid, such as a connection without TLS; lists every one.
    """

    protocol: ClassVar[str] = "ftps"
    usual_ports: ClassVar[Mapping[Security, int]] = {Security.STARTTLS: 6381, Security.IMPLICIT: 6381}
    login_required: ClassVar[bool] = True

    username: str
    password: str | None = attrs.field(repr=False)
    tls: TlsSettings = attrs.field(factory=TlsSettings, converter=_of_files)
    transfer_timeout: float = 600.0
    file_limit: int = 200 * 1024 * 1024
    listing_limit: int = 16 * 1024 * 1024

    def _problems(self) -> Iterator[Problem]:
        by_certificate = self.password is None and self.tls.certificate is not None
        fields = ("username",) if by_certificate else ("username", "password")
        yield from self._place_problems()
        yield from login_problems("ftps.login", {field: getattr(self, field) for field in fields})
        if self.security is Security.PLAIN:
            message = "security is plain, so files and password could be read on the way; use starttls or implicit."
            yield Problem("ftps.login-in-the-clear", message)
        yield from self._time_problems("timeout", "transfer_timeout")
        for field in ("file_limit", "listing_limit"):
            octets: object = getattr(self, field)
            if not isinstance(octets, int) or octets < 1:
                yield Problem("ftps.limit", f"{field} is {octets!r}; give octets above 0.")


def login_problems(code: str, fields: Mapping[str, object]) -> Iterable[Problem]:
    """
    Check user names and passwords, and show no part of them.

    Args:
        code: The code of the problems.
        fields: Values by the names of their fields.

    Returns:
        A problem for each value that SASL PLAIN cannot carry (RFC 4616, section 2); a line end would also be a
        command of its own in POP3.
    """
    return [
        Problem(code, f"{field} is empty, or holds a character that no login can carry.")
        for field, value in fields.items()
        if not (isinstance(value, str) and value and value.isprintable())
    ]
