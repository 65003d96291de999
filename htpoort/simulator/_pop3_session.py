"""
Know what each command of a POP3 session does, and what is answered.

Never does: read or write a connection, or delete a mail before QUIT.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Final, final

import attrs

from htpoort.simulator._mailbox import Mailbox

__all__ = ["Mailboxes", "Session", "err"]

Mailboxes = Callable[[str, str], Mailbox | None]
"""Given user name and password, gives the mailbox; None where they are not right."""

_LOGINS: Final = 3  # wrong ones on a connection; each more would cost a guesser nothing
_NUMBER: Final = re.compile(r"0{0,9}([1-9][0-9]{0,8})")
_LINES: Final = re.compile(r"[0-9]{1,9}")
_END: Final = b".\r\n"


def err(text: str) -> bytes:
    r"""
    Say no.

    >>> err("[AUTH] Wrong")
    b'-ERR [AUTH] Wrong\r\n'

    Args:
        text: One line.

    Returns:
        The answer.
    """
    return f"-ERR {text}\r\n".encode()


def _ok(text: str) -> bytes:
    return f"+OK {text}\r\n".encode()


def _multiline(text: str, lines: bytes) -> bytes:
    """Write an answer of several lines: dots at their start doubled, a dot alone at the end (RFC 1939, section 3)."""
    return _ok(text) + (b"\r\n" + lines).replace(b"\r\n.", b"\r\n..")[2:] + _END


def _list(text: str, *lines: str) -> bytes:
    return _multiline(text, "".join(f"{line}\r\n" for line in lines).encode())


@final
class Session:
    """
    Obey the commands of one connection: first a login, then the mailbox as it was at that moment.

    Args:
        mailboxes: Asked at each login.
        tls: Whether STLS can be obeyed.
        require_tls: Whether a login before TLS is refused.

    Attributes:
        secure: Whether TLS stands; whoever made it says so here.
        handshake: Whether the last answer asks for the handshake.
        over: Whether the last answer was the last one.
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
        self._mails: dict[int, tuple[str, bytes]] = {}
        self._marked: set[int] = set()

    def answer(self, verb: str, rest: str) -> bytes:
        """
        Obey one command.

        Args:
            verb: In upper case.
            rest: What stands behind the blank.

        Returns:
            The whole answer, as it goes over the wire.
        """
        commands = _BEFORE_LOGIN if self._box is None else _LOGGED_IN
        command = commands.get(verb) or _ANYTIME.get(verb)
        if command is None:
            known = verb in _BEFORE_LOGIN or verb in _LOGGED_IN
            return err(f"{verb} is not for now" if known else "There is no such command")
        # A password may hold blanks.
        words = [rest] if verb == "PASS" else rest.split()
        if len(words) not in command.arguments:
            return err(f"{verb} takes {' or '.join(map(str, command.arguments))} arguments")
        if command.of_a_mail and words and (problem := self._not_there(words[0])):
            return err(problem)
        return command.does(self, *words)

    def end(self) -> None:
        """Let the next session in; nothing more is deleted."""
        if self._box is not None:
            self._box.unlock()
            self._box = None

    # ── before the login ──

    def capa(self) -> bytes:
        """Say what is known here; after the login the same as before it (RFC 2449, section 5)."""
        offered = ["TOP", "UIDL", "RESP-CODES", "AUTH-RESP-CODE", "PIPELINING"]
        offered += ["USER"] if self._may_log_in else []
        offered += ["STLS"] if self._may_secure else []
        return _list("Capabilities", *offered)

    def stls(self) -> bytes:
        """Say that the handshake may begin (RFC 2595, section 4)."""
        if not self._may_secure:
            return err("TLS stands already" if self.secure else "There is no TLS here")
        self.handshake = True
        return _ok("Begin TLS")

    def user(self, name: str) -> bytes:
        """Take a user name, and do not tell whether it is right."""
        if not self._may_log_in:
            return err("Log in over TLS only")
        self._user = name
        return _ok("And the password?")

    def password(self, password: str) -> bytes:
        """Open the mailbox."""
        if not self._user:
            return err("USER comes first")
        user, self._user = self._user, ""
        box = self._mailboxes(user, password)
        if box is None:
            self._wrong += 1
            self.over = self._wrong == _LOGINS
            return err("[AUTH] User name or password is wrong")
        if not box.lock():
            return err("[IN-USE] Another session has this mailbox open")
        self._box = box
        self._mails = dict(enumerate(box.mails, 1))
        return _ok(f"{len(self._mails)} mails")

    @property
    def _may_log_in(self) -> bool:
        return self.secure or not self._require_tls

    @property
    def _may_secure(self) -> bool:
        return self._tls and not self.secure

    # ── in the mailbox ──

    def stat(self) -> bytes:
        """Say how many mails there are, and of how many octets."""
        sizes = [len(raw) for _, (_, raw) in self._present()]
        return _ok(f"{len(sizes)} {sum(sizes)}")

    def list(self, number: str = "") -> bytes:
        """Say the size of each mail, or of one."""
        return self._listed(number, lambda _, raw: str(len(raw)))

    def uidl(self, number: str = "") -> bytes:
        """Say the unique ID of each mail, or of one."""
        return self._listed(number, lambda uidl, _: uidl)

    def retr(self, number: str) -> bytes:
        """Give a mail."""
        _, raw = self._mails[int(number)]
        return _multiline(f"{len(raw)} octets", raw)

    def top(self, number: str, lines: str) -> bytes:
        """Give the headers of a mail, the empty line, and so many lines of the body."""
        if not _LINES.fullmatch(lines):
            return err("There is no such number of lines")
        _, raw = self._mails[int(number)]
        # With a line end before it, an empty header block is found like any other.
        headers, empty, body = (b"\r\n" + raw).partition(b"\r\n\r\n")
        shown = b"".join(line + b"\r\n" for line in body.split(b"\r\n")[:-1][: int(lines)])
        return _multiline("The top", (headers + empty + shown)[2:])

    def dele(self, number: str) -> bytes:
        """Mark a mail."""
        self._marked.add(int(number))
        return _ok("Deleted at QUIT")

    def rset(self) -> bytes:
        """Forget the marks."""
        self._marked.clear()
        return _ok(f"{len(self._mails)} mails")

    def noop(self) -> bytes:  # noqa: PLR6301 - one command among others
        """Do nothing."""
        return _ok("Still here")

    def quit(self) -> bytes:
        """Delete what is marked, if a mailbox is open."""
        if self._box is not None:
            self._box.remove({self._mails[number][0] for number in self._marked})
        # Before the answer, so that whoever has read it can log in again.
        self.end()
        self.over = True
        return _ok("Goodbye")

    def _present(self) -> Iterator[tuple[int, tuple[str, bytes]]]:
        """Give what is not marked."""
        return ((number, mail) for number, mail in self._mails.items() if number not in self._marked)

    def _listed(self, number: str, said: Callable[[str, bytes], str]) -> bytes:
        """Say one thing of one mail, or of all."""
        if number:
            return _ok(f"{int(number)} {said(*self._mails[int(number)])}")
        lines = [f"{present} {said(*mail)}" for present, mail in self._present()]
        return _list(f"{len(lines)} mails", *lines)

    def _not_there(self, text: str) -> str:
        """Say what is wrong with the number of a mail; empty where it is there."""
        match = _NUMBER.fullmatch(text)
        if match is None or int(match[1]) not in self._mails:
            return "There is no such mail"
        return "It is deleted" if int(match[1]) in self._marked else ""


@final
@attrs.frozen
class _Command:
    """How many arguments a command takes, whether the first is the number of a mail, and what it does."""

    does: Callable[..., bytes]
    arguments: tuple[int, ...] = (0,)
    of_a_mail: bool = False


_ANYTIME: Final[Mapping[str, _Command]] = {"CAPA": _Command(Session.capa), "QUIT": _Command(Session.quit)}
_BEFORE_LOGIN: Final[Mapping[str, _Command]] = {
    "STLS": _Command(Session.stls),
    "USER": _Command(Session.user, (1,)),
    "PASS": _Command(Session.password, (1,)),
}
_LOGGED_IN: Final[Mapping[str, _Command]] = {
    "STAT": _Command(Session.stat),
    "LIST": _Command(Session.list, (0, 1), of_a_mail=True),
    "UIDL": _Command(Session.uidl, (0, 1), of_a_mail=True),
    "RETR": _Command(Session.retr, (1,), of_a_mail=True),
    "TOP": _Command(Session.top, (2,), of_a_mail=True),
    "DELE": _Command(Session.dele, (1,), of_a_mail=True),
    "RSET": _Command(Session.rset),
    "NOOP": _Command(Session.noop),
}
