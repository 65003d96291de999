"""
Hold one POP3 session: what each command is for, how long it may take, and what its failure means.

Never does: decide what is deleted, or store anything.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import ssl
from collections.abc import Callable, Generator
from typing import Final, Self, TypeVar, TypeVarTuple, final

import attrs

from htpoort import _grammar
from htpoort._redaction import Redaction
from htpoort.errors import Problem
from htpoort.transport._connecting import addresses, connect
from htpoort.transport._pop3_dialogue import Dialogue, LimitError, NoPop3Error, OutOfStepError, RefusedError
from htpoort.transport._threads import apart
from htpoort.transport.accounts import FetchError, FetchFailure, Left, Pop3Server
from htpoort.transport.servers import Security

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_SHOWN: Final = 500  # characters of what a server says
_MAILS: Final = 100_000  # mails of a mailbox that one session looks at; those behind them come in a later one
_HEADERS: Final = 4 * 1024 * 1024  # octets of headers of mails that are too large; beyond that none are fetched
_REPORTED: Final = 10  # lines of a listing that are reported one by one
# Only so many digits: int() takes 4,300 at most, and its time grows with the square of their number.
_LISTED: Final = re.compile(rb"([0-9]{1,9})(?:[ \t]+(.*))?", re.DOTALL)
_UIDL: Final = re.compile(rb"([!-~]{1,255}) *")  # RFC 1939, section 7, sets 70
_SIZE: Final = re.compile(rb"([0-9]{1,18})(?: .*)?", re.DOTALL)


@final
@attrs.frozen
class Mail:
    """One mail of a listing: its number in this session, its unique ID if it has a usable one, its octets."""

    number: int
    uidl: str
    size: int

    @property
    def name(self) -> str:
        """What to call it in a sentence."""
        return self.uidl or f"number {self.number}"


@final
@attrs.frozen
class Listing:
    """
    What is in a mailbox.

    Args:
        mails: The first 100,000 of it.
        whole: Whether every mail is among them, with what the server calls its unique ID.
        problems: Lines without a usable unique ID.
    """

    mails: tuple[Mail, ...]
    whole: bool
    problems: tuple[Problem, ...]


def _tried(step: Callable[[*Ts], T], *args: *Ts) -> T | RefusedError:
    """Run a command that a server may refuse without harm to the session."""
    try:
        return step(*args)
    except RefusedError as error:
        return error


@final
class Session:
    """One session: each step runs in a thread of its own, and can be ended from the event loop."""

    def __init__(self, server: Pop3Server, connected: socket.socket) -> None:
        self._server = server
        # A second handle of the same connection: TLS takes the first one over.
        self._handle = connected.dup()
        self._dialogue = Dialogue(connected)
        # Seconds that the server may still take; how long mails are being stored does not count.
        self._seconds = server.session_timeout
        self._headers = 0  # octets that are kept of mails that are too large

    @classmethod
    async def opened(cls, server: Pop3Server, context: ssl.SSLContext | None) -> Self:
        """Connect, make the connection safe, log in."""
        with _failing(server, FetchFailure.CONNECT):
            session = cls(server, await _connected(server))
        try:
            await session._log_in(context)
        except BaseException:
            session.close()
            raise
        return session

    async def _log_in(self, context: ssl.SSLContext | None) -> None:
        server, dialogue = self._server, self._dialogue
        with _failing(server, FetchFailure.CONNECT, FetchFailure.CONNECT, opening=True):
            if context is not None and server.security is Security.IMPLICIT:
                await self._run(dialogue.secure, context, server.host)
            await self._run(dialogue.status)
        if context is not None and server.security is Security.STARTTLS:
            with _failing(server, FetchFailure.LOST, FetchFailure.TLS, opening=True):
                await self._run(dialogue.stls, context, server.host)
        # With TLS 1.3 a server reports only now that it does not take our certificate.
        with _failing(server, FetchFailure.LOST, FetchFailure.LOGIN, opening=True):
            await self._run(dialogue.ask, f"USER {server.username}")
            await self._run(dialogue.ask, f"PASS {server.password}")

    async def listing(self) -> Listing:
        """List what is in the mailbox; a server need not know UIDL, nor give every mail a usable value of it."""
        with _failing(self._server, FetchFailure.LOST, asked="UIDL: "):
            given = await self._run(_tried, self._uidls)
        with _failing(self._server, FetchFailure.LOST, asked="LIST: "):
            sizes = await self._run(self._sizes)
        uidls, problems, whole = ({}, [], False) if isinstance(given, RefusedError) else given
        numbers = set(uidls)
        # Where the list of unique IDs is cut off, what is behind it waits for a later session.
        if whole or isinstance(given, RefusedError):
            numbers |= set(sizes)
        mails = [Mail(number, uidls.get(number, ""), sizes.get(number, 0)) for number in sorted(numbers)]
        return Listing(tuple(mails[:_MAILS]), whole and len(mails) <= _MAILS, tuple(problems))

    def _uidls(self) -> tuple[dict[int, str], list[Problem], bool]:
        """Ask for the unique IDs, empty where one cannot be used; says which lines hold none, and whether it is all."""
        uidls: dict[int, str] = {}
        problems: list[Problem] = []
        odd, whole = 0, True
        for line in self._dialogue.listing("UIDL", self._server.listing_limit):
            listed = _LISTED.fullmatch(line)
            usable = None if listed is None else _UIDL.fullmatch(listed[2] or b"")
            if listed is not None and len(uidls) < _MAILS:
                uidls.setdefault(int(listed[1]), "" if usable is None else usable[1].decode("ascii"))
            elif listed is not None:
                whole = False
            if usable is None:
                odd += 1
            if usable is None and odd <= _REPORTED:
                shown = _said(self._server, repr(line))
                message = f"The server lists {shown}, which is not a number and a UIDL; that mail is fetched by number."
                problems.append(Problem("pop3.listing", message))
        if odd > _REPORTED:
            message = f"The server lists {odd - _REPORTED} more lines that are not a number and a UIDL."
            problems.append(Problem("pop3.listing", message))
        return uidls, problems, whole

    def _sizes(self) -> dict[int, int]:
        sizes: dict[int, int] = {}
        for line in self._dialogue.listing("LIST", self._server.listing_limit):
            listed = _LISTED.fullmatch(line)
            if listed is not None and len(sizes) <= _MAILS:
                size = _SIZE.fullmatch(listed[2] or b"")
                sizes.setdefault(int(listed[1]), 0 if size is None else int(size[1]))
        return sizes

    async def content(self, mail: Mail, largest: int) -> bytes | Left:
        """Fetch a mail, or say why it stays."""
        # The size that a server lists is sometimes a guess.
        if mail.size <= largest:
            got = await self._asked(mail, f"RETR {mail.number}", largest)
            if got is not None:
                return got
        headers = None
        if self._headers < _HEADERS:
            headers = await self._asked(mail, f"TOP {mail.number} 0", _grammar.HEADER_LIMIT)
        message = f"The mail {mail.name} has more than {largest} octets; it stays in the mailbox."
        if not isinstance(headers, bytes):
            return self._left(mail, "pop3.too-large", message)
        self._headers += len(headers)
        return self._left(mail, "pop3.too-large", message, headers)

    async def _asked(self, mail: Mail, command: str, most: int) -> bytes | Left | None:
        with _failing(self._server, FetchFailure.LOST):
            got = await self._run(_tried, self._dialogue.content, command, most, within=self._server.mail_timeout)
        if isinstance(got, RefusedError):
            return self._left(mail, "pop3.unreadable", f"The mail {mail.name} cannot be read: {self._why(got)}")
        return got

    async def delete(self, mail: Mail) -> Left | None:
        """Mark a mail for deletion, or say why it stays."""
        with _failing(self._server, FetchFailure.LOST):
            got = await self._run(_tried, self._dialogue.ask, f"DELE {mail.number}")
        if isinstance(got, RefusedError):
            message = f"The mail {mail.name} is stored and was not deleted: {self._why(got)}"
            return self._left(mail, "pop3.not-deleted", message)
        return None

    def _left(self, mail: Mail, code: str, message: str, headers: bytes | None = None) -> Left:
        problem = Problem(code, _said(self._server, message))
        return Left(uidl=mail.uidl, number=mail.number, size=mail.size, problem=problem, headers=headers)

    async def leave(self) -> Problem | None:
        """Let the server delete what is marked; say why it may not have."""
        with _failing(self._server, FetchFailure.LOST):
            got = await self._run(_tried, self._leave)
        if isinstance(got, RefusedError | OutOfStepError):
            message = f"The server may not have deleted everything: {self._why(got)}"
            return Problem("pop3.quit", message)
        return None

    def _leave(self) -> OutOfStepError | None:
        self._dialogue.ask("QUIT")
        try:
            self._dialogue.expect_silence()
        except OutOfStepError as error:
            # One of two answers is that to QUIT, and no one knows which.
            return error
        except OSError:
            pass  # answered, and closed since
        return None

    def _why(self, error: Exception) -> str:
        return _said(self._server, str(error))

    async def _run(self, step: Callable[[*Ts], T], *args: *Ts, within: float | None = None) -> T:
        """Run a step in a thread, within a limit of its own or of the session; a cancelled step has ended before."""
        loop = asyncio.get_running_loop()
        began, work = loop.time(), apart(step, *args)
        limit = self._seconds if within is None else min(self._seconds, within)
        time = asyncio.timeout(limit)
        try:
            async with time:
                return await self._ended(work)
        except TimeoutError:
            if not time.expired():
                raise
            setting = "session_timeout" if limit == self._seconds else "mail_timeout"
            whole: float = getattr(self._server, setting)
            message = f"the server took more than {whole:g} seconds; see {setting}"
            raise LimitError(message) from None
        finally:
            self._seconds -= loop.time() - began

    async def _ended(self, work: asyncio.Future[T]) -> T:
        """Wait for a thread, also where that is cancelled: what it opens must be there to be closed."""
        try:
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            # What the thread waits for comes at once: the end of the connection.
            with contextlib.suppress(OSError):
                self._handle.shutdown(socket.SHUT_RDWR)
            while not work.done():
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.wait({work})
            work.exception()  # of no account, but fetched
            raise

    def close(self) -> None:
        """Close the connection; without an answered QUIT the server deletes nothing."""
        self._dialogue.close()
        self._handle.close()


async def _connected(server: Pop3Server) -> socket.socket:
    """Connect to the first address that answers, all within one limit; the socket is for a thread."""
    loop = asyncio.get_running_loop()
    end = loop.time() + server.timeout
    async with asyncio.timeout(server.timeout):
        found = await addresses(server.host, server.port)
    connected, _ = await connect(found, end - loop.time())
    connected.settimeout(server.timeout)
    return connected


@contextlib.contextmanager
def _failing(
    server: Pop3Server,
    lost: FetchFailure,
    refused: FetchFailure = FetchFailure.PROTOCOL,
    *,
    opening: bool = False,
    asked: str = "",
) -> Generator[None]:
    """Turn what goes wrong in one step into a FetchError that says what it means there."""
    try:
        yield
    except (RefusedError, NoPop3Error, OutOfStepError, LimitError) as error:
        # Before TLS, whatever is out of step may be an attacker in the middle.
        unasked = FetchFailure.TLS if refused is FetchFailure.TLS else lost
        limit, no = FetchFailure.LIMIT, FetchFailure.PROTOCOL
        kinds = {RefusedError: refused, NoPop3Error: no, OutOfStepError: unasked, LimitError: limit}
        # Some servers repeat the password, which would stand in every traceback.
        raise FetchError(server.account, kinds[type(error)], f"{asked}{_said(server, str(error))}") from None
    except OSError as error:
        closed = isinstance(error, (ssl.SSLEOFError, ssl.SSLZeroReturnError))
        kind = FetchFailure.TLS if opening and isinstance(error, ssl.SSLError) and not closed else lost
        raise FetchError(server.account, kind, _said(server, str(error) or type(error).__name__)) from error


def _said(server: Pop3Server, text: str) -> str:
    """Put what a server or the network says on one line of printable characters, without our password."""
    line = "".join(character if character.isprintable() else " " for character in text[: 4 * _SHOWN])
    line = Redaction.of_login(server.username, server.password)(line)
    return " ".join(line.removeprefix("-ERR").split())[:_SHOWN]
