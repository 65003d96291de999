"""
Say who sends declarations to the gateway, and where each one's answers go.

Never does: show a password.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, cast, final

import attrs

from htpoort import _address
from htpoort._words import ascii_lower
from htpoort.errors import InputError, Problem
from htpoort.simulator._mailbox import Mailbox
from htpoort.simulator.declarations import Way
from htpoort.transport import SmtpServer, _hosts
from htpoort.transport._answers import LOGIN_FIRST

__all__ = ["Declarant"]

_NOT_YOURS: Final = "553 5.7.1 You may send from your own mailbox only"


@final
@attrs.frozen(kw_only=True)
class Declarant:
    """
    Hold one declarant as the gateway knows it.

    With *server* the answers are pushed there (SMTP-MTA); with *password* they are put into a POP3 mailbox
    (SMTP-MSA and POP3); with both, both; with neither, declarations are taken and not answered.

    Args:
        mailbox: Its own mailbox, as in MAIL FROM and From.
        server: Its mail server.
        password: With it the declarant logs in, to send and to fetch. Not shown in the repr.
        username: What it logs in with; the mailbox where not given.

    Raises:
        InputError: Values cannot be taken; tells every one.
    """

    mailbox: str
    server: SmtpServer | None = None
    password: str | None = attrs.field(default=None, repr=False)
    username: str = attrs.field(default=attrs.Factory(lambda one: one.mailbox, takes_self=True))

    def __attrs_post_init__(self) -> None:
        problems: list[Problem] = []
        if _address.mailbox_problems("mailbox", self.mailbox):
            message = f"mailbox is {self.mailbox!r}; give a plain mailbox, name@domain, in ASCII."
            problems.append(Problem("simulator.declarant", message))
        for field, value in (("password", self.password), ("username", self.username)):
            if value is not None and not (value and value.isprintable()):
                message = f"{field} is empty, or holds a character that no login can carry."
                problems.append(Problem("simulator.declarant", message))
        if problems:
            raise InputError("", tuple(problems))

    @property
    def ways(self) -> tuple[Way, ...]:
        """How answers go to it."""
        pushed = () if self.server is None else (Way.PUSH,)
        return pushed if self.password is None else (*pushed, Way.POP3)


@final
class Declarants:
    """
    Know the declarants of a gateway by mailbox and by login.

    Args:
        declarants: Each one, or each one's server by its mailbox.
        beyond_loopback: Whether their servers may be on other machines.

    Raises:
        InputError: Two have the same mailbox or the same user name, or a server is on another machine;
            tells everything.
    """

    def __init__(self, declarants: Mapping[str, SmtpServer] | Iterable[Declarant], *, beyond_loopback: bool) -> None:
        if isinstance(declarants, Mapping):
            servers = cast("Mapping[str, SmtpServer]", declarants)
            given = [Declarant(mailbox=mailbox, server=server) for mailbox, server in servers.items()]
        else:
            given = list(declarants)
        self._beyond_loopback = beyond_loopback
        self._known: dict[str, Declarant] = {}
        self._mailboxes: dict[str, Mailbox] = {}
        self._check(given)
        for one in given:
            self._keep(one)

    def __iter__(self) -> Iterator[Declarant]:
        return iter(tuple(self._known.values()))

    @property
    def have_passwords(self) -> bool:
        """Whether any of them logs in."""
        return bool(self._mailboxes)

    def find(self, mailbox: str) -> Declarant | None:
        """Give the declarant of a mailbox, in any case; None for a stranger."""
        return self._known.get(ascii_lower(mailbox))

    def mailbox(self, mailbox: str) -> Mailbox | None:
        """Give the POP3 mailbox of a declarant; None for one without a password."""
        return self._mailboxes.get(ascii_lower(mailbox))

    def register(self, mailbox: str, server: SmtpServer) -> None:
        """Say where a declarant's answers are pushed to from now on."""
        known = self.find(mailbox)
        one = Declarant(mailbox=mailbox, server=server) if known is None else attrs.evolve(known, server=server)
        if problems := self._places([one]):
            raise InputError("server", tuple(problems))
        self._keep(one)

    def opened(self, username: str, password: str) -> Mailbox | None:
        """Give the mailbox that a login opens."""
        for one in self:
            if one.username == username and _is(one.password, password):
                return self.mailbox(one.mailbox)
        return None

    def may_log_in(self, username: str, password: str) -> bool:
        """Tell whether a login is right."""
        return self.opened(username, password) is not None

    def refusal_of(self, address: str, username: str | None) -> str | None:
        """
        Say why a sender may not send; None if it may.

        Where one declarant has a password all must log in, but those that were named without one. Whoever
        is logged in sends from its own mailbox. What the real gateway asks of MAIL FROM is unknown.

        Args:
            address: MAIL FROM.
            username: Who is logged in; None for nobody.
        """
        owner = self.find(address)
        if username is not None:
            return None if owner is not None and owner.username == username else _NOT_YOURS
        free = not self.have_passwords or (owner is not None and owner.password is None)
        return None if free else LOGIN_FIRST

    def _keep(self, one: Declarant) -> None:
        self._known[ascii_lower(one.mailbox)] = one
        if one.password is not None:
            self._mailboxes.setdefault(ascii_lower(one.mailbox), Mailbox())

    def _check(self, given: list[Declarant]) -> None:
        """Refuse declarants that cannot be told apart, and servers elsewhere."""
        problems = self._places(given)
        for field in ("mailbox", "username"):
            values = [ascii_lower(str(getattr(one, field))) for one in given]
            problems.extend(
                Problem("simulator.declarant", f"{field} {value!r} is of two declarants; give each its own.")
                for value in sorted({value for value in values if values.count(value) > 1})
            )
        if problems:
            raise InputError("", tuple(problems))

    def _places(self, given: list[Declarant]) -> list[Problem]:
        """Find the servers on other machines."""
        return [
            Problem(
                "simulator.beyond-loopback",
                f"The server of {one.mailbox} is {one.server.host!r}, which is not this machine; "
                "give beyond_loopback=True if that is meant.",
            )
            for one in given
            if one.server is not None and not self._beyond_loopback and not _hosts.is_loopback(one.server.host)
        ]


def _is(password: str | None, given: str) -> bool:
    return password is not None and hmac.compare_digest(password.encode(), given.encode())
