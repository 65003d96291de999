"""What a POP3 session reports: what was fetched, what stays in the mailbox, and how a session can fail."""

from __future__ import annotations

import enum
import re
from typing import Final, final

import attrs

from htpoort.core.errors import HtpoortError, Problem

__all__ = ["FetchError", "FetchFailure", "LeftMail", "SessionReport"]

_PASSING_REPLY: Final = re.compile(r"\[(?:IN-USE|LOGIN-DELAY|SYS/TEMP)\]", re.IGNORECASE)
"""The answers that ask the client to try again later (RFC 2449, section 8.1; RFC 3206, section 4)."""


class FetchFailure(enum.Enum):
    """The ways in which a session can fail."""

    CONNECT = "connect"
    """No connection: refused, host not found, no greeting, timed out."""
    TLS = "tls"
    """The server offers no TLS, or the handshake failed, or its certificate is not trusted."""
    LOGIN = "login"
    """The server refused user name or password, or the mailbox is in use."""
    LOST = "lost"
    """The connection was lost before QUIT was answered: mails marked for deletion may still be there."""
    PROTOCOL = "protocol"
    """The server does not speak POP3, or not enough of it."""
    LIMIT = "limit"
    """The server sent more, or took longer, than the settings allow; nothing was deleted."""


_ADVICE: Final = {
    FetchFailure.CONNECT: "Check server name and port; try again later.",
    FetchFailure.TLS: "Check the TLS settings and the CA file; a retry without a change fails again.",
    FetchFailure.LOGIN: "Check user name and password, and whether another program reads this mailbox.",
    FetchFailure.LOST: "Fetch again; mails that were stored are recognised.",
    FetchFailure.PROTOCOL: "Check server name and port; the server must speak POP3.",
    FetchFailure.LIMIT: "Check the mailbox; if everything in it is genuine, raise the limit.",
}


@final
@attrs.define(eq=False, str=False, slots=False)
class FetchError(HtpoortError):
    """
    Report that a session with a POP3 server failed; what it stored stays stored.

    Args:
        account: ``user@host:port``.
        kind: How it failed.
        reply: The server's answer, or the network error.
        uidl: The mail that was being fetched or deleted; None if there was none, or it has no usable UIDL.
        number: The number of that mail in this session; None if there was none.
        logged_in: Whether the login had succeeded; before that, the trouble concerns the server as a whole.
        done: How many mails were stored, and deleted or left, before the failure; a server may end each session
            after a fixed number.

    Attributes:
        retryable: Whether a later session may succeed without a change: if there was no connection, a lost or a slow
            one, or if the answer asks for a retry.
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
        self.retryable = passing or _PASSING_REPLY.match(self.reply) is not None

    @property
    def reason(self) -> str:
        """What failed, and what to do, for a text that names the mailbox in another way."""
        return f"{self.kind.value}: {self.reply.rstrip('.') or 'no reply'}. {_ADVICE[self.kind]}"

    def __str__(self) -> str:
        # A user name may contain an @, so the two are not shown with one between them.
        user, _, place = self.account.rpartition("@")
        return f"Not fetched from {place} as {user}: {self.reason}"


@final
@attrs.frozen(kw_only=True)
class LeftMail:
    """
    Report why a mail stays in the mailbox.

    Args:
        uidl: Its unique ID there; empty if the server gives no usable one.
        number: Its number in that session.
        size: Its size in octets, as the server counts them; 0 if unknown.
        problem: ``pop3.too-large``, ``pop3.unreadable``, or ``pop3.not-deleted`` for a mail that is stored. After
            several sessions, also ``pop3.breaks`` or ``pop3.endless``.
        headers: The header block of a mail that is too large; None if the server gave none, or after the first 4 MiB
            of headers in one session.
    """

    uidl: str
    number: int
    size: int
    problem: Problem
    headers: bytes | None = attrs.field(default=None, repr=False)


@final
@attrs.frozen(kw_only=True)
class SessionReport:
    """
    Report what one session did, after its QUIT.

    Args:
        fetched: The UIDLs of the mails that were stored, in the mailbox's order; ``sha256`` and the digest for a mail
            without a usable UIDL.
        deleted: The same for the mails that were deleted; empty if the server refused to delete.
        left: The mails that stay in the mailbox, and why.
        gone: Mails that were known or stored and are no longer in the mailbox. Forget their UIDLs before the next
            session, because a server may give them to other mails.
        problems: Other problems: ``pop3.listing``, ``pop3.quit``.
        more: How many mails are left to fetch, if this session was limited by *limit*.
        staying: The numbers that the next session will give to the mails without a usable UIDL that this one left.
    """

    fetched: tuple[str, ...]
    deleted: tuple[str, ...]
    left: tuple[LeftMail, ...]
    gone: frozenset[str]
    problems: tuple[Problem, ...]
    more: int = 0
    staying: frozenset[int] = frozenset()
