"""
One POP3 session: what each command does, and the response to it.

This module never reads or writes a connection, and never deletes a message before QUIT.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Final, final

import attrs

from htpoort.simulator.declarants import Mailbox

__all__ = ["Mailboxes", "Pop3Session", "err"]

Mailboxes = Callable[[str, str], Mailbox | None]
"""Takes user name and password; returns the mailbox, or None if they are wrong."""

_LOGINS: Final = 3  # wrong logins per connection; more would let a client guess passwords at no cost
_NUMBER: Final = re.compile(r"0{0,9}([1-9][0-9]{0,8})")
_LINES: Final = re.compile(r"[0-9]{1,9}")
_END: Final = b".\r\n"


def err(text: str) -> bytes:
    r"""
    Write a negative response.

    >>> err("[AUTH] Wrong")
    b'-ERR [AUTH] Wrong\r\n'

    Args:
        text: One line.

    Returns:
        The response.
    """
    return f"-ERR {text}\r\n".encode()


def _ok(text: str) -> bytes:
    return f"+OK {text}\r\n".encode()


def _multiline(text: str, lines: bytes) -> bytes:
    """Write a multi-line response: dots at the start of lines doubled, a dot alone at the end (RFC 1939, section 3)."""
    return _ok(text) + (b"\r\n" + lines).replace(b"\r\n.", b"\r\n..")[2:] + _END


def _list(text: str, *lines: str) -> bytes:
    return _multiline(text, "".join(f"{line}\r\n" for line in lines).encode())


@final
class Pop3Session:
    """
    Handle the commands of one connection: first the login, then the mailbox as it was at that moment.

    Args:
        mailboxes: Asked at each login.
        tls: Whether STLS is offered.
        require_tls: Whether a login before TLS is refused.

    Attributes:
        secure: Whether the connection has TLS; the server sets it after the handshake.
        handshake: Whether the handshake follows the last response.
        over: Whether the last response ends the session.
    """

    def __init__(self, mailboxes: Mailboxes, *, tls: bool, require_tls: bool) -> None:
        self.secure = False
        self.handshake = False
        self.over = False
        self._mailboxes = mailboxes
        self._tls = tls
        self._require_tls = require_tls
        self._user = ""
        self._wrong = 0
        self._box: Mailbox | None = None
        self._messages: dict[int, tuple[str, bytes]] = {}
        self._marked: set[int] = set()

    def respond(self, verb: str, rest: str) -> bytes:
        """
        Handle one command.

        Args:
            verb: In upper case.
            rest: The rest of the line, after the blank.

        Returns:
            The whole response, as it is sent.
        """
        commands = _BEFORE_LOGIN if self._box is None else _LOGGED_IN
        command = commands.get(verb) or _ANYTIME.get(verb)
        if command is None:
            known = verb in _BEFORE_LOGIN or verb in _LOGGED_IN
            return err(f"{verb} is not allowed now" if known else "Unknown command")
        # A password may contain blanks.
        words = [rest] if verb == "PASS" else rest.split()
        if len(words) not in command.arguments:
            return err(f"{verb} takes {' or '.join(map(str, command.arguments))} arguments")
        if command.of_message and words and (problem := self._number_problem(words[0])):
            return err(problem)
        return command.run(self, *words)

    def end(self) -> None:
        """Release the mailbox for the next session, without deleting."""
        if self._box is not None:
            self._box.unlock()
            self._box = None

    # ── before the login ──

    def capa(self) -> bytes:
        """List the capabilities; the same after the login as before it (RFC 2449, section 5)."""
        offered = ["TOP", "UIDL", "RESP-CODES", "AUTH-RESP-CODE", "PIPELINING"]
        offered += ["USER"] if self._may_log_in else []
        offered += ["STLS"] if self._may_secure else []
        return _list("Capabilities", *offered)

    def stls(self) -> bytes:
        """Start the handshake (RFC 2595, section 4)."""
        if not self._may_secure:
            return err("TLS is already active" if self.secure else "TLS is not available")
        self.handshake = True
        return _ok("Begin TLS")

    def user(self, name: str) -> bytes:
        """Take a user name, without revealing whether it exists."""
        if not self._may_log_in:
            return err("Log in over TLS only")
        self._user = name
        return _ok("Send the password")

    def password(self, password: str) -> bytes:
        """Open the mailbox."""
        if not self._user:
            return err("Send USER first")
        user, self._user = self._user, ""
        box = self._mailboxes(user, password)
        if box is None:
            self._wrong += 1
            self.over = self._wrong == _LOGINS
            return err("[AUTH] User name or password is wrong")
        if not box.lock():
            return err("[IN-USE] Another session has this mailbox open")
        self._box = box
        self._messages = dict(enumerate(box.messages, 1))
        return _ok(f"{len(self._messages)} messages")

    @property
    def _may_log_in(self) -> bool:
        return self.secure or not self._require_tls

    @property
    def _may_secure(self) -> bool:
        return self._tls and not self.secure

    # ── in the mailbox ──

    def stat(self) -> bytes:
        """Give the number of messages, and of their octets."""
        sizes = [len(raw) for _, (_, raw) in self._present()]
        return _ok(f"{len(sizes)} {sum(sizes)}")

    def list(self, number: str = "") -> bytes:
        """List the size of each message, or give that of one."""
        return self._listed(number, lambda _, raw: str(len(raw)))

    def uidl(self, number: str = "") -> bytes:
        """List the unique ID of each message, or give that of one."""
        return self._listed(number, lambda uidl, _: uidl)

    def retr(self, number: str) -> bytes:
        """Send a message."""
        _, raw = self._messages[int(number)]
        return _multiline(f"{len(raw)} octets", raw)

    def top(self, number: str, lines: str) -> bytes:
        """Send the headers of a message, the empty line, and some lines of the body."""
        if not _LINES.fullmatch(lines):
            return err("The number of lines is invalid")
        _, raw = self._messages[int(number)]
        # With a line end before it, an empty header block ends like any other.
        headers, empty, body = (b"\r\n" + raw).partition(b"\r\n\r\n")
        shown = b"".join(line + b"\r\n" for line in body.split(b"\r\n")[:-1][: int(lines)])
        return _multiline("The top", (headers + empty + shown)[2:])

    def dele(self, number: str) -> bytes:
        """Mark a message for deletion."""
        self._marked.add(int(number))
        return _ok("Will be deleted at QUIT")

    def rset(self) -> bytes:
        """Remove the marks."""
        self._marked.clear()
        return _ok(f"{len(self._messages)} messages")

    def noop(self) -> bytes:  # noqa: PLR6301 - one command among others
        """Do nothing."""
        return _ok("Still here")

    def quit(self) -> bytes:
        """Delete what is marked, if a mailbox is open."""
        if self._box is not None:
            self._box.remove({self._messages[number][0] for number in self._marked})
        # Before the response, so that a client that has read it can log in again.
        self.end()
        self.over = True
        return _ok("Goodbye")

    def _present(self) -> Iterator[tuple[int, tuple[str, bytes]]]:
        """Iterate over the messages that are not marked."""
        return ((number, message) for number, message in self._messages.items() if number not in self._marked)

    def _listed(self, number: str, show: Callable[[str, bytes], str]) -> bytes:
        """Show one fact of one message, or of all."""
        if number:
            return _ok(f"{int(number)} {show(*self._messages[int(number)])}")
        lines = [f"{present} {show(*message)}" for present, message in self._present()]
        return _list(f"{len(lines)} messages", *lines)

    def _number_problem(self, text: str) -> str:
        """Return why the number of a message is wrong; empty if the message exists."""
        match = _NUMBER.fullmatch(text)
        if match is None or int(match[1]) not in self._messages:
            return "There is no such message"
        return "The message is deleted" if int(match[1]) in self._marked else ""


@final
@attrs.frozen
class _Command:
    """What a command does, how many arguments it takes, and whether the first is the number of a message."""

    run: Callable[..., bytes]
    arguments: tuple[int, ...] = (0,)
    of_message: bool = False


_ANYTIME: Final[Mapping[str, _Command]] = {"CAPA": _Command(Pop3Session.capa), "QUIT": _Command(Pop3Session.quit)}
_BEFORE_LOGIN: Final[Mapping[str, _Command]] = {
    "STLS": _Command(Pop3Session.stls),
    "USER": _Command(Pop3Session.user, (1,)),
    "PASS": _Command(Pop3Session.password, (1,)),
}
_LOGGED_IN: Final[Mapping[str, _Command]] = {
    "STAT": _Command(Pop3Session.stat),
    "LIST": _Command(Pop3Session.list, (0, 1), of_message=True),
    "UIDL": _Command(Pop3Session.uidl, (0, 1), of_message=True),
    "RETR": _Command(Pop3Session.retr, (1,), of_message=True),
    "TOP": _Command(Pop3Session.top, (2,), of_message=True),
    "DELE": _Command(Pop3Session.dele, (1,), of_message=True),
    "RSET": _Command(Pop3Session.rset),
    "NOOP": _Command(Pop3Session.noop),
}
