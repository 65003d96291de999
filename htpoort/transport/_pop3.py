"""
Speak POP3 over one connection; the only module that knows poplib.

Never does: decide what is deleted, or store anything.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import poplib
import re
import socket
import ssl
from collections.abc import Callable, Generator
from typing import Final, Self, TypeVar, TypeVarTuple, final

import attrs

from htpoort import _grammar
from htpoort.errors import Problem
from htpoort.transport._threads import apart
from htpoort.transport.accounts import FetchError, FetchFailure, Left, Pop3Server
from htpoort.transport.servers import Security

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_LINE: Final = 2_048  # octets of a line that is no mail's; RFC 2449, section 4, sets 512
_PIECE: Final = 65_536  # octets of a mail that are read at a time; no line is limited by it
_CLOSED: Final = "the server closed the connection"
_SHOWN: Final = 500  # characters of what a server says
_UIDL: Final = re.compile(rb"([0-9]{1,9}) +([!-~]{1,255}) *")  # RFC 1939, section 7, sets 70
_SIZE: Final = re.compile(rb"([0-9]{1,9}) +([0-9]{1,18})(?: .*)?")


@final
@attrs.frozen
class Mail:
    """One mail of a listing: its number in this session, its unique ID, its octets."""

    number: int
    uidl: str
    size: int


@final
class _Client(poplib.POP3):
    r"""
    Speak POP3 as poplib does, but read another way.

    poplib refuses lines of more than 2,048 octets, such as an XML document without line ends. It takes LF
    alone for a line end, so that a mail with ``\n.\n`` in it ends there and its rest is taken for answers.
    It loses a CR at the start of a line, takes a closed connection for a refusal, and holds a mail twice.
    """

    def __init__(self, server: Pop3Server, connected: socket.socket) -> None:
        self._connected = connected
        try:
            super().__init__(server.host, server.port, server.timeout)
        except BaseException:
            self.close()
            raise

    def _create_socket(self, _timeout: float) -> socket.socket:  # pyright: ignore[reportUnusedFunction] - poplib calls it
        return self._connected

    def _getline(self) -> tuple[bytes, int]:
        line = self.file.readline(_LINE)
        if line.endswith(b"\r\n"):
            return line[:-2], len(line)
        if line.endswith(b"\n") or len(line) == _LINE:
            message = f"an answer is no line of at most {_LINE} octets that ends with CRLF"
            raise ValueError(message)
        raise ConnectionResetError(_CLOSED)

    def close(self) -> None:
        # A connection that is broken cannot be shut down, only closed.
        with contextlib.suppress(OSError):
            super().close()

    def content(self, command: str, most: int) -> bytes | None:
        """Ask for lines and read them up to the one final dot; None where they have more than *most* octets."""
        self.sock.sendall(f"{command}\r\n".encode("ascii"))
        status, _ = self._getline()
        if not status.startswith(b"+"):
            raise poplib.error_proto(status)
        kept, size = io.BytesIO(), 0
        starts, half = True, False
        while True:
            piece = self.file.readline(_PIECE)
            if not piece:
                raise ConnectionResetError(_CLOSED)
            if starts and piece == b".\r\n":
                # Shares its memory with the buffer.
                return kept.getvalue() if size <= most else None
            # A line may come in pieces, and CR and LF in two of them.
            piece = piece[1:] if starts and piece.startswith(b"..") else piece
            starts = piece.endswith(b"\r\n") or (half and piece == b"\n")
            half = piece.endswith(b"\r")
            size += len(piece)
            if size <= most:
                kept.write(piece)
            else:
                kept = io.BytesIO()


@final
@attrs.frozen
class _Refused:
    """What the server said with its -ERR, where that is an answer like another."""

    error: poplib.error_proto


def _tried(step: Callable[[*Ts], T], *args: *Ts) -> T | _Refused:
    """Run a command that a server may refuse without harm to the session."""
    try:
        return step(*args)
    except poplib.error_proto as error:
        if not _text(error).startswith("-ERR"):
            raise
        return _Refused(error)


@final
class Session:
    """One session: each step runs in a thread of its own, and can be ended from the event loop."""

    def __init__(self, server: Pop3Server, connected: socket.socket) -> None:
        self._server = server
        self._connected = connected
        # A second handle of the same connection: TLS takes the first one over.
        self._handle = connected.dup()
        self._opened: _Client | None = None

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
        server = self._server
        with _failing(server, FetchFailure.CONNECT, FetchFailure.CONNECT, opening=True):
            await self._run(self._greeted, context)
        client = self._client
        if server.security is Security.STARTTLS:
            with _failing(server, FetchFailure.LOST, FetchFailure.TLS, opening=True):
                await self._run(client.stls, context)
        # With TLS 1.3 a server tells only now that it does not take our certificate.
        with _failing(server, FetchFailure.LOST, FetchFailure.LOGIN, opening=True):
            await self._run(client.user, server.username)
            await self._run(client.pass_, server.password)

    def _greeted(self, context: ssl.SSLContext | None) -> None:
        if context is not None and self._server.security is Security.IMPLICIT:
            self._connected = context.wrap_socket(self._connected, server_hostname=self._server.host)
        # Kept here and not by the caller, who may have been cancelled meanwhile.
        self._opened = _Client(self._server, self._connected)

    @property
    def _client(self) -> _Client:
        assert self._opened is not None  # noqa: S101 - nobody is given a session that is not open
        return self._opened

    async def listing(self) -> tuple[list[Mail], list[Problem]]:
        """Say what is in the mailbox, and which lines of the listing say nothing."""
        lines: list[list[bytes]] = []
        for name, ask in (("UIDL", self._client.uidl), ("LIST", self._client.list)):
            with _failing(self._server, FetchFailure.LOST, asked=f"{name}: "):
                lines.append((await self._run(ask))[1])
        sizes = {int(match[1]): int(match[2]) for match in map(_SIZE.fullmatch, lines[1]) if match}
        mails: list[Mail] = []
        problems: list[Problem] = []
        for line in lines[0]:
            if match := _UIDL.fullmatch(line):
                number = int(match[1])
                mails.append(Mail(number, match[2].decode("ascii"), sizes.get(number, 0)))
            else:
                message = f"The server lists {line[:_SHOWN]!r}, which is no number and UIDL; that mail stays there."
                problems.append(Problem("pop3.listing", message))
        return mails, problems

    async def content(self, mail: Mail, largest: int) -> bytes | Left:
        """Fetch a mail, or say why it stays."""
        # The size that a server lists is sometimes a guess.
        if mail.size <= largest:
            got = await self._asked(mail, f"RETR {mail.number}", largest)
            if got is not None:
                return got
        headers = await self._asked(mail, f"TOP {mail.number} 0", _grammar.HEADER_LIMIT)
        message = f"The mail {mail.uidl} has more than {largest} octets; it stays in the mailbox."
        return Left(
            uidl=mail.uidl,
            size=mail.size,
            problem=Problem("pop3.too-large", message),
            headers=headers if isinstance(headers, bytes) else None,
        )

    async def _asked(self, mail: Mail, command: str, most: int) -> bytes | Left | None:
        with _failing(self._server, FetchFailure.LOST):
            got = await self._run(_tried, self._client.content, command, most)
        if isinstance(got, _Refused):
            return self._left(mail, "pop3.unreadable", "cannot be read", got)
        return got

    async def delete(self, mail: Mail) -> Left | None:
        """Mark a mail for deletion, or say why it stays."""
        with _failing(self._server, FetchFailure.LOST):
            got = await self._run(_tried, self._client.dele, mail.number)
        if isinstance(got, _Refused):
            return self._left(mail, "pop3.not-deleted", "is stored and was not deleted", got)
        return None

    def _left(self, mail: Mail, code: str, what: str, why: _Refused) -> Left:
        message = f"The mail {mail.uidl} {what}: {_said(self._server, why.error)}"
        return Left(uidl=mail.uidl, size=mail.size, problem=Problem(code, message))

    async def leave(self) -> Problem | None:
        """Let the server delete what is marked; say why it did not."""
        with _failing(self._server, FetchFailure.LOST):
            got = await self._run(_tried, self._client.quit)
        if isinstance(got, _Refused):
            message = f"The server may not have deleted everything: {_said(self._server, got.error)}"
            return Problem("pop3.quit", message)
        return None

    async def _run(self, step: Callable[[*Ts], T], *args: *Ts) -> T:
        """Run a step in a thread; whoever cancels it waits until the thread has ended."""
        work = apart(step, *args)
        try:
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            # What the thread waits for comes at once: the end of the connection.
            with contextlib.suppress(OSError):
                self._handle.shutdown(socket.SHUT_RDWR)
            # Told again, it waits on: what the thread opens must be there to be closed.
            while not work.done():
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.wait({work})
            work.exception()  # of no account, but fetched
            raise

    def close(self) -> None:
        """Close the connection; without an answered QUIT the server deletes nothing."""
        if self._opened is not None:
            self._opened.close()
        self._connected.close()
        self._handle.close()


async def _connected(server: Pop3Server) -> socket.socket:
    """Connect to the first address that answers; the socket is for a thread."""
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(server.timeout):
        found = await apart(lambda: socket.getaddrinfo(server.host, server.port, type=socket.SOCK_STREAM))
    failed = OSError("the host has no address")
    for family, _, protocol, _, address in found:
        with contextlib.ExitStack() as stack:
            try:
                connecting = stack.enter_context(socket.socket(family, socket.SOCK_STREAM, protocol))
                connecting.settimeout(0)
                async with asyncio.timeout(server.timeout):
                    await loop.sock_connect(connecting, address)
            except OSError as error:
                failed = error
            else:
                connecting.settimeout(server.timeout)
                stack.pop_all()
                return connecting
    raise failed


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
    except poplib.error_proto as error:
        kind = refused if _text(error).startswith("-ERR") else FetchFailure.PROTOCOL
        # Some servers repeat the password, which would stand in every traceback.
        raise FetchError(server.account, kind, f"{asked}{_said(server, error)}") from None
    except OSError as error:
        closed = isinstance(error, (ssl.SSLEOFError, ssl.SSLZeroReturnError))
        kind = FetchFailure.TLS if opening and isinstance(error, ssl.SSLError) and not closed else lost
        raise FetchError(server.account, kind, _said(server, error)) from error
    except (ValueError, IndexError) as error:
        # poplib reads capabilities without looking whether they are any.
        raise FetchError(server.account, FetchFailure.PROTOCOL, _said(server, error)) from error


def _text(error: Exception) -> str:
    """Give the text of an error; poplib puts a server's answer into it as octets."""
    said: object = error.args[0] if isinstance(error, poplib.error_proto) else str(error) or type(error).__name__
    return said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)


def _said(server: Pop3Server, error: Exception) -> str:
    """Put what a server or the network says on one line of printable characters, without our password."""
    line = "".join(character if character.isprintable() else " " for character in _text(error))
    line = line.replace(server.password, "…")
    return " ".join(line.removeprefix("-ERR").split())[:_SHOWN]
