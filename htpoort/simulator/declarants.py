"""Know the declarants of a gateway: their logins, their mail servers, and their POP3 mailboxes."""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from typing import Final, Literal, NamedTuple, cast, final

import attrs

from htpoort import _clock
from htpoort.core import address
from htpoort.core.errors import InputError, Problem
from htpoort.core.text import ascii_lower
from htpoort.simulator.declarations import Channel
from htpoort.transport import SmtpServer, hosts
from htpoort.transport.servers import login_problems
from htpoort.transport.smtp_inbox import Answer

__all__ = ["Declarant", "FailedLogin", "Mailbox", "MailboxMessage"]

_BARE_LF: Final = re.compile(rb"(?<!\r)\n")


def _nothing() -> None:
    """Do nothing."""


@final
class MailboxMessage(NamedTuple):
    """
    One message of a POP3 mailbox.

    Args:
        uidl: Its unique ID: 32 hexadecimal digits.
        raw: Its octets; the last line has a line end too.
    """

    uidl: str
    raw: bytes

    def __repr__(self) -> str:
        return f"MailboxMessage(uidl={self.uidl!r}, {len(self.raw)} octets)"


@final
class Mailbox:
    r"""
    Keep the messages of one declarant, in the order of their arrival, until they are fetched.

    >>> box = Mailbox()
    >>> uidl = box.deliver(b"Subject: x\n\nlast line")
    >>> box.messages[0].raw
    b'Subject: x\r\n\r\nlast line\r\n'

    Args:
        changed: Called whenever a message is added or removed.

    Attributes:
        fetched: The messages that were fetched and removed, in that order.
    """

    def __init__(self, *, changed: Callable[[], object] = _nothing) -> None:
        self.fetched: list[MailboxMessage] = []
        self._messages: list[MailboxMessage] = []
        self._changed = changed
        self._locked = False

    @property
    def messages(self) -> tuple[MailboxMessage, ...]:
        """The messages in it."""
        return tuple(self._messages)

    def deliver(self, raw: bytes) -> str:
        """
        Add a message.

        An open session does not see it; the next one does.

        Args:
            raw: Any octets. LF alone becomes CRLF and the last line gets a line end, as in a mail store;
                everything else stays, including CR alone.

        Returns:
            Its UIDL, which no other message of any mailbox ever has.
        """
        # Not counted from 1: a client that remembers the UIDLs of an earlier run would skip a new message.
        uidl = _clock.unique()
        lines = _BARE_LF.sub(b"\r\n", raw)
        self._messages.append(MailboxMessage(uidl, lines if lines.endswith(b"\r\n") or not lines else lines + b"\r\n"))
        self._changed()
        return uidl

    def lock(self) -> bool:
        """
        Begin a session; a mailbox has one at a time.

        Returns:
            False if another session is open.

        Source:
            RFC 1939, section 4: an exclusive-access lock.
        """
        free, self._locked = not self._locked, True
        return free

    def unlock(self) -> None:
        """End the session."""
        self._locked = False

    def remove(self, uidls: Iterable[str]) -> None:
        """
        Remove messages, at the end of a session.

        Args:
            uidls: Their unique IDs.
        """
        leaving = frozenset(uidls)
        if removed := [message for message in self._messages if message.uidl in leaving]:
            self._messages = [message for message in self._messages if message.uidl not in leaving]
            self.fetched += removed
            self._changed()


_NOT_YOURS: Final = "553 5.7.1 You may send from your own mailbox only"


@final
@attrs.frozen(kw_only=True)
class Declarant:
    """
    One declarant as the gateway knows it.

    With *server*, replies are pushed there (SMTP-MTA); with *password*, they are stored in a POP3 mailbox
    (SMTP-MSA and POP3); with both, both. With neither, declarations are accepted and get no reply.

    Args:
        mailbox: Its own mailbox, as in MAIL FROM and From.
        server: Its mail server.
        password: For its logins, to send and to fetch. Not shown in the repr.
        username: For its logins; by default the mailbox.

    Raises:
        InputError: Values are invalid. The error lists every problem.
    """

    mailbox: str
    server: SmtpServer | None = None
    password: str | None = attrs.field(default=None, repr=False)
    username: str = attrs.field(default=attrs.Factory(lambda one: one.mailbox, takes_self=True))

    def __attrs_post_init__(self) -> None:
        problems: list[Problem] = []
        if address.mailbox_problems("mailbox", self.mailbox):
            message = f"mailbox is {self.mailbox!r}; give a plain mailbox, name@domain, in ASCII."
            problems.append(Problem("simulator.declarant", message))
        login = {"password": self.password, "username": self.username}
        present = {field: value for field, value in login.items() if value is not None}
        problems.extend(login_problems("simulator.declarant", present))
        if problems:
            raise InputError("", tuple(problems))

    @property
    def channels(self) -> tuple[Channel, ...]:
        """How replies reach it."""
        pushed = () if self.server is None else (Channel.PUSH,)
        return pushed if self.password is None else (*pushed, Channel.POP3)


@final
@attrs.frozen(kw_only=True)
class FailedLogin:
    """
    A login with a wrong user name or password.

    Args:
        at: When it came.
        protocol: By which protocol.
        username: The user name that was given, whether it exists or not.
    """

    at: datetime
    protocol: Literal["SMTP", "POP3", "FTPS"]
    username: str


@final
class Declarants:
    """
    Find the declarants of a gateway by mailbox and by login.

    Args:
        declarants: The declarants, or their servers by mailbox.
        beyond_loopback: Whether their servers may be on other machines.

    Raises:
        InputError: Two have the same mailbox or the same user name, or a server is on another machine.
            The error lists every problem.
    """

    def __init__(self, declarants: Mapping[str, SmtpServer] | Iterable[Declarant], *, beyond_loopback: bool) -> None:
        if isinstance(declarants, Mapping):
            servers = cast("Mapping[str, SmtpServer]", declarants)
            known = [Declarant(mailbox=mailbox, server=server) for mailbox, server in servers.items()]
        else:
            known = list(declarants)
        self._beyond_loopback = beyond_loopback
        self._known: dict[str, Declarant] = {}
        self._mailboxes: dict[str, Mailbox] = {}
        self._check(known)
        for one in known:
            self._keep(one)

    def __iter__(self) -> Iterator[Declarant]:
        return iter(tuple(self._known.values()))

    @property
    def have_passwords(self) -> bool:
        """Whether any of them has a login."""
        return bool(self._mailboxes)

    def find(self, mailbox: str) -> Declarant | None:
        """Return the declarant of a mailbox, in any case; None if it is unknown."""
        return self._known.get(ascii_lower(mailbox))

    def mailbox(self, mailbox: str) -> Mailbox | None:
        """Return the POP3 mailbox of a declarant; None for one without a password."""
        return self._mailboxes.get(ascii_lower(mailbox))

    def register(self, mailbox: str, server: SmtpServer) -> None:
        """Set the server that a declarant's replies are pushed to from now on."""
        known = self.find(mailbox)
        one = Declarant(mailbox=mailbox, server=server) if known is None else attrs.evolve(known, server=server)
        if problems := self._remote_servers([one]):
            raise InputError("server", tuple(problems))
        self._keep(one)

    def open_mailbox(self, username: str, password: str) -> Mailbox | None:
        """Return the mailbox that a login opens; None if the login is wrong."""
        for one in self:
            if one.username == username and _is(one.password, password):
                return self.mailbox(one.mailbox)
        return None

    def refusal_of(self, address: str, username: str | None) -> str | None:
        """
        Return why a sender may not send; None if it may.

        If one declarant has a password, every sender must log in, except a declarant without a password. A logged-in
        declarant may send from its own mailbox only. What the real gateway requires of MAIL FROM is unknown.

        Args:
            address: MAIL FROM.
            username: The user that is logged in; None before a login.
        """
        owner = self.find(address)
        if username is not None:
            return None if owner is not None and owner.username == username else _NOT_YOURS
        free = not self.have_passwords or (owner is not None and owner.password is None)
        return None if free else Answer.LOGIN_FIRST

    def _keep(self, one: Declarant) -> None:
        self._known[ascii_lower(one.mailbox)] = one
        if one.password is not None:
            self._mailboxes.setdefault(ascii_lower(one.mailbox), Mailbox())

    def _check(self, declarants: list[Declarant]) -> None:
        """Refuse two declarants with the same mailbox or login, and servers on other machines."""
        problems = self._remote_servers(declarants)
        for field in ("mailbox", "username"):
            values = [ascii_lower(str(getattr(one, field))) for one in declarants]
            problems.extend(
                Problem("simulator.declarant", f"{field} {value!r} belongs to two declarants; give each its own.")
                for value in sorted({value for value in values if values.count(value) > 1})
            )
        if problems:
            raise InputError("", tuple(problems))

    def _remote_servers(self, declarants: list[Declarant]) -> list[Problem]:
        """Find the servers that are on other machines."""
        return [
            Problem(
                "simulator.beyond-loopback",
                f"The server of {one.mailbox} is {one.server.host!r}, which is on another machine; "
                "allow it with beyond_loopback=True.",
            )
            for one in declarants
            if one.server is not None and not self._beyond_loopback and not hosts.is_loopback(one.server.host)
        ]


def _is(password: str | None, candidate: str) -> bool:
    return password is not None and hmac.compare_digest(password.encode(), candidate.encode())
