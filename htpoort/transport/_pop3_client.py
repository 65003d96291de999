"""One POP3 session: what each command is for, how long it may take, and what its failure means."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import ssl
from collections.abc import Callable, Generator
from typing import Final, Self, TypeVar, TypeVarTuple, final

import attrs

from htpoort._aio import run_in_thread
from htpoort.core import grammar
from htpoort.core.errors import Problem
from htpoort.core.text import Redaction, one_line
from htpoort.transport._pop3_dialogue import LimitError, NoPop3Error, OutOfStepError, Pop3Dialogue, RefusedError
from htpoort.transport.hosts import addresses, connect, error_reason
from htpoort.transport.pop3_results import FetchError, FetchFailure, LeftMail
from htpoort.transport.servers import Pop3Account, Security

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_MAX_SHOWN: Final = 500  # characters of an answer that are shown
_MAX_MAILS: Final = 100_000  # mails of a mailbox that one session handles; a later one handles the rest
_MAX_HEADERS: Final = 4 * 1024 * 1024  # octets of headers of mails that are too large, in one session
_MAX_REPORTED: Final = 10  # invalid lines of a listing that are reported one by one
# Few digits: int() takes 4,300 at most, and its time grows with the square of their number.
_LISTED: Final = re.compile(rb"([0-9]{1,9})(?:[ \t]+(.*))?", re.DOTALL)
_UIDL: Final = re.compile(rb"([!-~]{1,255}) *")  # RFC 1939, section 7, sets 70
_SIZE: Final = re.compile(rb"([0-9]{1,18})(?: .*)?", re.DOTALL)


@final
@attrs.frozen
class ListedMail:
    """One mail of a listing: its number in this session, its unique ID (empty if unusable), its size in octets."""

    number: int
    uidl: str
    size: int

    @property
    def name(self) -> str:
        """Its name in a sentence."""
        return self.uidl or f"number {self.number}"


@final
@attrs.frozen
class Listing:
    """
    The content of a mailbox.

    Args:
        mails: The first 100,000 mails.
        whole: Whether every mail is among them, and the server listed unique IDs for all.
        problems: Lines without a usable unique ID.
    """

    mails: tuple[ListedMail, ...]
    whole: bool
    problems: tuple[Problem, ...]


def _accept_refusal(step: Callable[[*Ts], T], *args: *Ts) -> T | RefusedError:
    """Run a command that a server may refuse without harm to the session; return the refusal."""
    try:
        return step(*args)
    except RefusedError as error:
        return error


@final
class Pop3Client:
    """One session. Each step runs in its own thread; cancelling it from the event loop ends the connection."""

    def __init__(self, server: Pop3Account, connected: socket.socket) -> None:
        self._server = server
        # A second handle of the same connection: TLS takes the first one over.
        self._handle = connected.dup()
        self._dialogue = Pop3Dialogue(connected)
        # Seconds that the server may still take; the time for storing mails does not count.
        self._seconds = server.session_timeout
        self._header_octets = 0  # kept so far, of mails that are too large

    @classmethod
    async def open(cls, server: Pop3Account, context: ssl.SSLContext | None) -> Self:
        """Connect, start TLS, log in."""
        client = await cls.connect(server)
        try:
            await client.secure(context)
            await client.log_in()
        except BaseException:
            client.close()
            raise
        return client

    @classmethod
    async def connect(cls, server: Pop3Account) -> Self:
        """Connect; nothing is read yet."""
        with _fetch_errors(server, FetchFailure.CONNECT):
            return cls(server, await _connect(server))

    async def secure(self, context: ssl.SSLContext | None) -> None:
        """Start TLS, if that is configured, and read the greeting."""
        server, dialogue = self._server, self._dialogue
        with _fetch_errors(server, FetchFailure.CONNECT, FetchFailure.CONNECT, opening=True):
            if context is not None and server.security is Security.IMPLICIT:
                await self._run(dialogue.secure, context, server.host)
            await self._run(dialogue.status)
        if context is not None and server.security is Security.STARTTLS:
            with _fetch_errors(server, FetchFailure.LOST, FetchFailure.TLS, opening=True):
                await self._run(dialogue.stls, context, server.host)

    async def log_in(self) -> None:
        """Log in."""
        # With TLS 1.3 a server reports only now that it rejects our certificate.
        with _fetch_errors(self._server, FetchFailure.LOST, FetchFailure.LOGIN, opening=True):
            await self._run(self._dialogue.ask, f"USER {self._server.username}")
            await self._run(self._dialogue.ask, f"PASS {self._server.password}")

    async def stat(self) -> str:
        """Ask for the number of mails and their octets, as the server words it; this changes nothing."""
        with _fetch_errors(self._server, FetchFailure.LOST):
            await self._run(self._dialogue.ask, "NOOP")
            answer = await self._run(self._dialogue.ask, "STAT")
        return _printable(self._server, answer.decode("utf-8", "replace"))

    @property
    def tls(self) -> ssl.SSLSocket | None:
        """The TLS session; None without TLS."""
        return self._dialogue.tls

    async def listing(self) -> Listing:
        """List the mailbox; a server may not support UIDL, or give no usable unique ID for some mails."""
        with _fetch_errors(self._server, FetchFailure.LOST, command="UIDL: "):
            listed = await self._run(_accept_refusal, self._uidls)
        with _fetch_errors(self._server, FetchFailure.LOST, command="LIST: "):
            sizes = await self._run(self._sizes)
        uidls, problems, whole = ({}, [], False) if isinstance(listed, RefusedError) else listed
        numbers = set(uidls)
        # If the list of unique IDs is cut off, the mails after it wait for a later session.
        if whole or isinstance(listed, RefusedError):
            numbers |= set(sizes)
        mails = [ListedMail(number, uidls.get(number, ""), sizes.get(number, 0)) for number in sorted(numbers)]
        return Listing(tuple(mails[:_MAX_MAILS]), whole and len(mails) <= _MAX_MAILS, tuple(problems))

    def _uidls(self) -> tuple[dict[int, str], list[Problem], bool]:
        """List the unique IDs, empty if unusable; report the lines without one, and whether the list is complete."""
        uidls: dict[int, str] = {}
        problems: list[Problem] = []
        odd, whole = 0, True
        for line in self._dialogue.listing("UIDL", self._server.listing_limit):
            listed = _LISTED.fullmatch(line)
            usable = None if listed is None else _UIDL.fullmatch(listed[2] or b"")
            if listed is not None and len(uidls) < _MAX_MAILS:
                uidls.setdefault(int(listed[1]), "" if usable is None else usable[1].decode("ascii"))
            elif listed is not None:
                whole = False
            if usable is None:
                odd += 1
            if usable is None and odd <= _MAX_REPORTED:
                shown = _printable(self._server, repr(line))
                message = f"The server lists {shown}, which is not a number and a UIDL; that mail is fetched by number."
                problems.append(Problem("pop3.listing", message))
        if odd > _MAX_REPORTED:
            message = f"The server lists {odd - _MAX_REPORTED} more lines that are not a number and a UIDL."
            problems.append(Problem("pop3.listing", message))
        return uidls, problems, whole

    def _sizes(self) -> dict[int, int]:
        sizes: dict[int, int] = {}
        for line in self._dialogue.listing("LIST", self._server.listing_limit):
            listed = _LISTED.fullmatch(line)
            if listed is not None and len(sizes) <= _MAX_MAILS:
                size = _SIZE.fullmatch(listed[2] or b"")
                sizes.setdefault(int(listed[1]), 0 if size is None else int(size[1]))
        return sizes

    async def content(self, mail: ListedMail, largest: int) -> bytes | LeftMail:
        """Fetch a mail, or report why it stays in the mailbox."""
        # The size that a server lists is sometimes a guess.
        if mail.size <= largest:
            content = await self._content(mail, f"RETR {mail.number}", largest)
            if content is not None:
                return content
        headers = None
        if self._header_octets < _MAX_HEADERS:
            headers = await self._content(mail, f"TOP {mail.number} 0", grammar.HEADER_LIMIT)
        message = f"The mail {mail.name} has more than {largest} octets; it stays in the mailbox."
        if not isinstance(headers, bytes):
            return self._left(mail, "pop3.too-large", message)
        self._header_octets += len(headers)
        return self._left(mail, "pop3.too-large", message, headers)

    async def _content(self, mail: ListedMail, command: str, limit: int) -> bytes | LeftMail | None:
        timeout = self._server.mail_timeout
        with _fetch_errors(self._server, FetchFailure.LOST):
            result = await self._run(_accept_refusal, self._dialogue.content, command, limit, within=timeout)
        if isinstance(result, RefusedError):
            return self._left(mail, "pop3.unreadable", f"The mail {mail.name} cannot be read: {self._why(result)}")
        return result

    async def delete(self, mail: ListedMail) -> LeftMail | None:
        """Mark a mail for deletion, or report why it stays in the mailbox."""
        with _fetch_errors(self._server, FetchFailure.LOST):
            result = await self._run(_accept_refusal, self._dialogue.ask, f"DELE {mail.number}")
        if isinstance(result, RefusedError):
            message = f"The mail {mail.name} is stored and was not deleted: {self._why(result)}"
            return self._left(mail, "pop3.not-deleted", message)
        return None

    def _left(self, mail: ListedMail, code: str, message: str, headers: bytes | None = None) -> LeftMail:
        problem = Problem(code, _printable(self._server, message))
        return LeftMail(uidl=mail.uidl, number=mail.number, size=mail.size, problem=problem, headers=headers)

    async def quit(self) -> Problem | None:
        """Send QUIT, so that the server deletes what is marked; report why it may not have."""
        with _fetch_errors(self._server, FetchFailure.LOST):
            result = await self._run(_accept_refusal, self._quit)
        if isinstance(result, RefusedError | OutOfStepError):
            message = f"The server may not have deleted everything: {self._why(result)}"
            return Problem("pop3.quit", message)
        return None

    def _quit(self) -> OutOfStepError | None:
        self._dialogue.ask("QUIT")
        try:
            self._dialogue.expect_silence()
        except OutOfStepError as error:
            # One of two answers is the answer to QUIT, and there is no way to know which.
            return error
        except OSError:
            pass  # answered, then closed
        return None

    def _why(self, error: Exception) -> str:
        return _printable(self._server, str(error))

    async def _run(self, step: Callable[[*Ts], T], *args: *Ts, within: float | None = None) -> T:
        """Run a step in a thread, within its own limit or that of the session; return only when the step has ended."""
        loop = asyncio.get_running_loop()
        began, work = loop.time(), run_in_thread(step, *args)
        limit = self._seconds if within is None else min(self._seconds, within)
        time = asyncio.timeout(limit)
        try:
            async with time:
                return await self._wait_for(work)
        except TimeoutError:
            if not time.expired():
                raise
            setting = "session_timeout" if limit == self._seconds else "mail_timeout"
            seconds: float = getattr(self._server, setting)
            message = f"the server took more than {seconds:g} seconds ({setting})"
            raise LimitError(message) from None
        finally:
            self._seconds -= loop.time() - began

    async def _wait_for(self, work: asyncio.Future[T]) -> T:
        """Wait until a thread has ended, even if cancelled: what the thread opens must be closed."""
        try:
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            # The thread waits for the server; it sees the end of the connection at once.
            with contextlib.suppress(OSError):
                self._handle.shutdown(socket.SHUT_RDWR)
            while not work.done():
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.wait({work})
            work.exception()  # irrelevant, but asyncio logs one that is never retrieved
            raise

    def close(self) -> None:
        """Close the connection; unless QUIT was answered, the server deletes nothing."""
        self._dialogue.close()
        self._handle.close()


async def _connect(server: Pop3Account) -> socket.socket:
    """Connect to the first address that answers, within one limit for all; the socket is used by threads."""
    loop = asyncio.get_running_loop()
    end = loop.time() + server.timeout
    async with asyncio.timeout(server.timeout):
        candidates = await addresses(server.host, server.port)
    connected, _ = await connect(candidates, end - loop.time())
    connected.settimeout(server.timeout)
    return connected


@contextlib.contextmanager
def _fetch_errors(
    server: Pop3Account,
    lost: FetchFailure,
    refused: FetchFailure = FetchFailure.PROTOCOL,
    *,
    opening: bool = False,
    command: str = "",
) -> Generator[None]:
    """Raise what goes wrong in one step as a FetchError with its meaning at that step."""
    try:
        yield
    except (RefusedError, NoPop3Error, OutOfStepError, LimitError) as error:
        kinds = {
            RefusedError: refused,
            NoPop3Error: FetchFailure.PROTOCOL,
            # Before TLS, what is out of step may be from an attacker on the way.
            OutOfStepError: FetchFailure.TLS if refused is FetchFailure.TLS else lost,
            LimitError: FetchFailure.LIMIT,
        }
        # Some servers repeat the password, which would then be in every traceback.
        raise FetchError(server.ledger_name, kinds[type(error)], f"{command}{_printable(server, str(error))}") from None
    except OSError as error:
        closed = isinstance(error, (ssl.SSLEOFError, ssl.SSLZeroReturnError))
        kind = FetchFailure.TLS if opening and isinstance(error, ssl.SSLError) and not closed else lost
        raise FetchError(server.ledger_name, kind, _printable(server, error_reason(error))) from error


def _printable(server: Pop3Account, text: str) -> str:
    """Put an answer or an error on one line of printable characters, without our password."""
    line = Redaction.of_login(server.username, server.password)(one_line(text[: 4 * _MAX_SHOWN]))
    return line.removeprefix("-ERR").strip()[:_MAX_SHOWN]
