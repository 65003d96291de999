"""
Hold what an agent is told: where to send, where to take in, and how long to wait.

Never does: connect, or read a file.
"""

from __future__ import annotations

import ipaddress
import ssl
from datetime import timedelta
from typing import Final, final

import attrs

from htpoort import _grammar
from htpoort.delivery import DELIVERY_SCHEDULE
from htpoort.errors import InputError, Problem
from htpoort.exchange import RETRY_SCHEDULE
from htpoort.transport import Limits, SmtpServer
from htpoort.transport.pop3 import Pop3Server

__all__ = ["Outbox", "Pop3Inbox", "SmtpInbox", "Timing"]

_Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_LIMITS: Final = Limits()
REST_SCHEDULE: Final = tuple(timedelta(minutes=minutes) for minutes in (1, 2, 5, 10, 15, 30))
"""How long a server that cannot be used rests, try by try."""

_MOST: Final = 64  # connections at once; a gateway that is asked for more closes some


@final
@attrs.frozen(kw_only=True)
class Outbox:
    """
    Say where the declarations of some systems go.

    Args:
        server: The mail server that takes them.
        systems: Names of systems; every system of the directory where empty.
        connections: Messages at once, 1 to 64, each over a connection that is kept.
        per_hour: Attempts an hour, over all agents of the ledger; None for no limit. The business test
            environment takes 100 (seen in the field).
        schedule: How long to wait after each attempt that was deferred; then it has failed.

    Raises:
        InputError: *connections* or *per_hour* is out of its range.
    """

    server: SmtpServer
    systems: tuple[str, ...] = ()
    connections: int = 4
    per_hour: int | None = None
    schedule: tuple[timedelta, ...] = RETRY_SCHEDULE

    def __attrs_post_init__(self) -> None:
        problems: list[Problem] = []
        if not 1 <= self.connections <= _MOST:
            problems.append(Problem("outbox.connections", f"connections is {self.connections}; give 1 to {_MOST}."))
        if self.per_hour is not None and self.per_hour < 1:
            problems.append(
                Problem("outbox.per-hour", f"per_hour is {self.per_hour}; give at least 1, or leave it out.")
            )
        if problems:
            raise InputError("", tuple(problems))


@final
@attrs.frozen(kw_only=True)
class SmtpInbox:
    """
    Say where replies come in by SMTP; the arguments are those of `htpoort.transport.Receiver`.

    Args:
        hostname: Our name, told in the greeting.
        mailboxes: The mailboxes that are ours.
        host: The interface to listen on.
        port: 0 for one that is free.
        tls: The context for STARTTLS; without it there is none.
        require_tls: Take nothing before STARTTLS.
        networks: Where peers may come from.
        size_limit: Octets of a message; a larger one is refused with 552.
        limits: How many connections, octets and commands there may be at once.
        mail_from_rewritten_by: Networks of our own mail servers that write another MAIL FROM, as for SPF (SRS); each
            within one of *networks*. MAIL FROM is not compared with From where they are the peer: From alone says then
            who sent the message, so that mail server must refuse a forged one.

    Raises:
        InputError: *mail_from_rewritten_by* holds what is not a network, or one that is not admitted.
    """

    hostname: str
    mailboxes: tuple[str, ...]
    host: str = "127.0.0.1"
    port: int = 0
    tls: ssl.SSLContext | None = attrs.field(default=None, repr=False)
    require_tls: bool = False
    networks: tuple[str, ...] = ("127.0.0.0/8", "::1/128")
    size_limit: int = _grammar.MESSAGE_LIMIT
    limits: Limits = _LIMITS
    mail_from_rewritten_by: tuple[str, ...] = ()

    def __attrs_post_init__(self) -> None:
        problems = [problem for text in self.mail_from_rewritten_by for problem in _relay_problems(text, self.networks)]
        if problems:
            raise InputError("", tuple(problems))

    def compared(self, mail_from: str, peer: str) -> str | None:
        """
        Give the MAIL FROM that is compared with From.

        Args:
            mail_from: As the peer wrote it.
            peer: The peer's numeric address.

        Returns:
            The same; None where the peer rewrites it.
        """
        address = ipaddress.ip_address(peer.partition("%")[0])
        address = getattr(address, "ipv4_mapped", None) or address
        rewritten = any(address in ipaddress.ip_network(text) for text in self.mail_from_rewritten_by)
        return None if rewritten else mail_from


def _is_within(relay: _Network, network: _Network) -> bool:
    return relay.version == network.version and relay.subnet_of(network)  # type: ignore[arg-type]  # of one version


def _relay_problems(text: str, networks: tuple[str, ...]) -> list[Problem]:
    """Find out that a text is not a network, or that nothing from it is admitted."""
    try:
        relay = ipaddress.ip_network(text)
    except ValueError:
        message = f"mail_from_rewritten_by holds {text!r}; give an address with a prefix, as 192.0.2.10/32."
        return [Problem("inbox.relay", message)]
    try:
        admitted = [ipaddress.ip_network(network) for network in networks]
    except ValueError:
        return []  # the receiver says what is wrong with them
    if any(_is_within(relay, network) for network in admitted):
        return []
    message = f"mail_from_rewritten_by holds {text!r}, which is not within networks; nothing from there is admitted."
    return [Problem("inbox.relay", message)]


@final
@attrs.frozen(kw_only=True)
class Pop3Inbox:
    """
    Say where replies are fetched by POP3.

    Args:
        server: The mailbox.
        every: Between two looks; up to a tenth is added by chance, so that many agents do not come at once.
    """

    server: Pop3Server
    every: timedelta = timedelta(minutes=1)


@final
@attrs.frozen(kw_only=True)
class Timing:
    """
    Say how long an agent waits.

    Args:
        poll: Between two looks into the ledger for what another program put in.
        lease: How long a worker may be silent before others take it for dead. What it was sending
            then is unknown.
        grace: How long work that is under way may take when the agent stops; a few seconds more go to ending it.
        again: After trouble with the ledger itself.
        redeliver: After each delivery that failed; the last one holds for ever.
        rest: After each try of a mail server or mailbox that could not be used; the last one holds for ever.
        rest_login: At least so long after a refused login, because many of them lock an account.
        delivery: How long one delivery may take; then it is told to end, and has failed. Longer than the
            time limit of a command or a Maildir, which says more of what was the matter.

    Raises:
        InputError: A time is not above 0.
    """

    poll: timedelta = timedelta(seconds=1)
    lease: timedelta = timedelta(minutes=2)
    grace: timedelta = timedelta(seconds=30)
    again: timedelta = timedelta(seconds=5)
    redeliver: tuple[timedelta, ...] = DELIVERY_SCHEDULE
    rest: tuple[timedelta, ...] = REST_SCHEDULE
    rest_login: timedelta = timedelta(minutes=15)
    delivery: timedelta = timedelta(minutes=5)

    def __attrs_post_init__(self) -> None:
        names = ("poll", "lease", "grace", "again", "delivery", "rest_login")
        times: dict[str, timedelta] = {name: getattr(self, name) for name in names}
        times |= {f"redeliver[{number}]": wait for number, wait in enumerate(self.redeliver)}
        times |= {f"rest[{number}]": wait for number, wait in enumerate(self.rest)}
        problems = tuple(
            Problem("timing.value", f"{name} is {value}; give a time above 0.")
            for name, value in times.items()
            if value <= timedelta(0)
        )
        if not self.redeliver:
            problems += (Problem("timing.value", "redeliver is empty; a reply is never given up, give a wait."),)
        if not self.rest:
            problems += (Problem("timing.value", "rest is empty; a server is tried again, give a wait."),)
        if problems:
            raise InputError("", problems)
