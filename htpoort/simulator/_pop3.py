"""
Serve the declarants' mailboxes by POP3, and fail where the script says so.

Never does: delete a mail before QUIT, look into one, or start a thread.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
import struct
from collections.abc import Callable, Iterable
from datetime import datetime
from functools import partial
from types import TracebackType
from typing import Final, Self, cast, final

from htpoort.simulator._pop3_session import Mailboxes, Session, err
from htpoort.simulator.clock import Clock, RealClock
from htpoort.simulator.faults import Action, Pop3Fault
from htpoort.transport._house import cancelled
from htpoort.transport._limited_log import LimitedLog
from htpoort.transport._listener import Listener

__all__ = ["Pop3Faults", "Pop3Server"]

_LOG: Final = logging.getLogger("htpoort.simulator")

_LINE: Final = 255  # octets of a command with its line end (RFC 2449, section 4)
_LONG: Final = frozenset({"CAPA", "LIST", "UIDL", "RETR", "TOP"})  # their answers have several lines
_RESET: Final = struct.pack("ii", 1, 0)  # linger for no second: to close is to reset


@final
class Pop3Faults:
    """
    Count how often each fault has shown; the servers of one gateway share it.

    Args:
        faults: The first that is for a command and not used up shows.
        clock: Tells when; real time where not given.

    Attributes:
        shown: The faults that were shown, with their moments, in order.
    """

    def __init__(self, faults: Iterable[Pop3Fault] = (), clock: Clock | None = None) -> None:
        self.shown: list[tuple[datetime, Pop3Fault]] = []
        self._left = [(fault, fault.times) for fault in faults]
        self._clock = clock or RealClock()

    def take(self, command: str) -> Pop3Fault | None:
        """
        Give the fault that shows now, and count it.

        Args:
            command: In upper case.

        Returns:
            None where all is well.
        """
        for number, (fault, left) in enumerate(self._left):
            if fault.command == command and left != 0:
                self._left[number] = fault, left if left is None else left - 1
                self.shown.append((self._clock(), fault))
                return fault
        return None


def _nothing(_protocol: object) -> None:
    """Do nothing about a connection that was lost at once."""


@final
class Pop3Server:
    """
    Serve mailboxes in the caller's event loop.

    Capabilities: TOP, UIDL, USER, STLS, RESP-CODES, AUTH-RESP-CODE, PIPELINING. What DELE marks leaves the
    mailbox at QUIT; a session that ends otherwise deletes nothing. A mailbox has one session at a time.

    Args:
        mailboxes: Asked at each login, in the loop.
        host: The address to listen on.
        port: 0 for one that is free.
        tls: The context for STLS, or for implicit TLS.
        implicit: TLS from the first octet.
        require_tls: Refuse a login before TLS.
        faults: What goes wrong.
        timeout: Seconds without a command, or in which an answer does not leave, after which the connection
            is closed.

    Attributes:
        port: The port listened on; the one asked for, before that.

    Source:
        RFC 1939, RFC 2449, RFC 2595, RFC 3206.
    """

    def __init__(  # noqa: PLR0913 - a server has as many settings; each has its default
        self,
        mailboxes: Mailboxes,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        tls: ssl.SSLContext | None = None,
        implicit: bool = False,
        require_tls: bool = False,
        faults: Pop3Faults | None = None,
        timeout: float = 600.0,  # RFC 1939, section 3: at least 10 minutes
    ) -> None:
        self.port = port
        self._host = host
        self._tls = tls
        self._implicit = implicit
        self._faults = faults or Pop3Faults()
        self._timeout = timeout
        self._session = partial(Session, mailboxes, tls=tls is not None, require_tls=require_tls)
        self._listener = Listener(self._admitted, _nothing, LimitedLog(_LOG))
        self._talks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        """
        Begin to listen.

        Raises:
            OSError: The address cannot be listened on.
        """
        # TLS comes later, in the talk: a handshake that hangs can then be ended like any other talk.
        self.port = await self._listener.open(self._host, self.port)
        return self

    def _admitted(self, _connection: socket.socket, _peer: str) -> asyncio.StreamReaderProtocol:
        return asyncio.StreamReaderProtocol(asyncio.StreamReader(limit=_LINE), self._connected)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._listener.stop()
        try:
            await self._listener.ended()
            await asyncio.sleep(0)  # a talk that has not begun would not know that it is cancelled
        finally:
            # Also where whoever closes is told to end meanwhile.
            await cancelled(self._talks)
        await asyncio.sleep(0)  # what was aborted is closed by the loop

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = cast("asyncio.Task[None]", asyncio.current_task())
        self._talks.add(task)
        talk = _Talk(reader, writer, self._session(), self._faults, self._timeout)
        try:
            await talk.run(self._tls, implicit=self._implicit)
        except (OSError, EOFError, asyncio.CancelledError):
            pass  # the peer has left, or says nothing; or we close, and asyncio would log a talk that was cancelled
        finally:
            talk.end()
            self._talks.discard(task)


@final
class _Talk:
    """One connection: commands come in, answers and faults go out."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        session: Session,
        faults: Pop3Faults,
        timeout: float,
    ) -> None:
        self._reader = reader
        self._writer = writer
        # Kept beside the one for TLS: a writer that nobody holds closes its connection.
        self._plain = writer
        self._session = session
        self._faults = faults
        self._timeout = timeout

    async def run(self, tls: ssl.SSLContext | None, *, implicit: bool) -> None:
        """Go on until the last answer."""
        context = cast("ssl.SSLContext", tls)
        if implicit:
            await self._secure(context)
        await self._answer("GREETING", lambda: b"+OK POP3 of a simulator, not of Customs\r\n")
        while not self._session.over:
            line = await self._line()
            if line is None:
                # What comes next is the rest of this line, and no command.
                await self._write(err(f"A line has more than {_LINE} octets"))
                break
            verb, _, rest = line.partition(" ")
            await self._answer(verb.upper(), partial(self._session.answer, verb.upper(), rest))
            if self._session.handshake:
                self._session.handshake = False
                await self._secure(context)
        self._writer.close()
        await self._writer.wait_closed()

    def end(self) -> None:
        """Close the mailbox without deleting, and the connection if it is open."""
        self._session.end()
        self._writer.transport.abort()
        # During a handshake the one above does not close the one below.
        self._plain.transport.abort()

    async def _line(self) -> str | None:
        """Read a command; None for one that is too long."""
        async with asyncio.timeout(self._timeout):
            try:
                line = await self._reader.readuntil(b"\n")
            except asyncio.LimitOverrunError:
                return None
        return line.rstrip(b"\r\n").decode("utf-8", "replace") if len(line) <= _LINE else None

    async def _answer(self, name: str, perform: Callable[[], bytes]) -> None:
        """Do what a command says, unless a fault is due."""
        fault = self._faults.take(name)
        if fault is None:
            await self._write(perform())
        elif fault.action is Action.REFUSE:
            await self._write(err("Refused, as the script says"))
            self._session.over = name in {"GREETING", "QUIT"}
        elif fault.action is Action.TRICKLE:
            for octet in perform():
                await self._write(bytes((octet,)))
                await asyncio.sleep(0)
        else:
            answer = perform() if fault.done or name in _LONG else b""
            if name in _LONG:
                # What the peer has of it could be a mail or a listing, and is none.
                await self._write(answer[: len(answer) // 2])
            await self._lose(fault.action)

    async def _lose(self, action: Action) -> None:
        """Answer nothing any more."""
        if action is Action.STALL:
            while await self._reader.read(_LINE):
                pass
        else:
            connection = self._plain.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        raise ConnectionAbortedError

    async def _write(self, octets: bytes) -> None:
        self._writer.write(octets)
        async with asyncio.timeout(self._timeout):
            await self._writer.drain()

    async def _secure(self, context: ssl.SSLContext) -> None:
        """Shake hands, and go on with a reader that knows nothing of what came before (RFC 2595, section 4)."""
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(limit=_LINE)
        protocol = asyncio.StreamReaderProtocol(reader)
        async with asyncio.timeout(self._timeout):
            made = await loop.start_tls(self._plain.transport, protocol, context, server_side=True)
        transport = cast("asyncio.Transport", made)
        protocol.connection_made(transport)
        self._reader = reader
        self._writer = asyncio.StreamWriter(transport, protocol, reader, loop)
        self._session.secure = True
