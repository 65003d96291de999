"""
Serve the declarants' mailboxes by POP3, and show the faults of a script.

This module never deletes a message before QUIT, and never starts a thread.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
import struct
from collections.abc import Callable
from functools import partial
from types import TracebackType
from typing import Final, Self, cast, final

from htpoort._aio import cancel_all
from htpoort.simulator._pop3_session import Mailboxes, Pop3Session, err
from htpoort.simulator.clock import RealClock
from htpoort.simulator.dialogues import DialogueRecorder
from htpoort.simulator.faults import FaultAction, FaultCounter, Pop3Fault
from htpoort.simulator.journal import Journal
from htpoort.transport.receiver_connections import LimitedLog, Listener

__all__ = ["Pop3Server"]

_LOG: Final = logging.getLogger("htpoort.simulator")

_LINE: Final = 255  # octets of a command with its line end (RFC 2449, section 4)
_MULTILINE: Final = frozenset({"CAPA", "LIST", "UIDL", "RETR", "TOP"})  # commands with a multi-line response
_WITH_MESSAGE: Final = frozenset({"RETR", "TOP"})  # commands whose response holds a message
_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)  # of SO_LINGER: closing the connection resets it


def _nothing(_protocol: object) -> None:
    """Do nothing about a connection that is lost at once."""


@final
class Pop3Server:
    """
    Serve mailboxes in the caller's event loop.

    Capabilities: TOP, UIDL, USER, STLS, RESP-CODES, AUTH-RESP-CODE, PIPELINING. Messages that DELE marks are
    deleted at QUIT; a session that ends otherwise deletes nothing. A mailbox has one session at a time.

    Args:
        mailboxes: Asked at each login, in the loop.
        host: The address to listen on.
        port: 0 for a free one.
        tls: The context for STLS, or for implicit TLS.
        implicit: TLS from the first octet.
        require_tls: Refuse a login before TLS.
        faults: The faults to show.
        journal: Gets the dialogues, and the faults that are shown.
        timeout: Seconds without a command, or without progress of a response, after which the connection
            is closed.

    Attributes:
        port: The port listened on; before the start, the port that was asked for.

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
        faults: FaultCounter[Pop3Fault] | None = None,
        journal: Journal | None = None,
        timeout: float = 600.0,  # RFC 1939, section 3: at least 10 minutes
    ) -> None:
        self.port = port
        self._host = host
        self._tls = tls
        self._implicit = implicit
        self._faults = faults or FaultCounter[Pop3Fault]((), RealClock())
        self._journal = journal or Journal()
        self._timeout = timeout
        self._session = partial(Pop3Session, mailboxes, tls=tls is not None, require_tls=require_tls)
        self._listener = Listener(self._admitted, _nothing, LimitedLog(_LOG))
        self._connections: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        """
        Start to listen.

        Raises:
            OSError: The address cannot be listened on.
        """
        # TLS starts later, in the connection's task, so that a handshake that hangs can be cancelled like the rest.
        self.port = await self._listener.open(self._host, self.port)
        return self

    def _admitted(self, _connection: socket.socket, _peer: str) -> asyncio.StreamReaderProtocol:
        return asyncio.StreamReaderProtocol(asyncio.StreamReader(limit=_LINE), self._connected)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._listener.stop()
        try:
            await self._listener.wait_stopped()
            await asyncio.sleep(0)  # a task that has not started would not notice its cancellation
        finally:
            # Also if the caller is cancelled meanwhile.
            await cancel_all(self._connections)
        await asyncio.sleep(0)  # the loop closes what was aborted

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = cast("asyncio.Task[None]", asyncio.current_task())
        self._connections.add(task)
        # None if the peer has left already.
        peer = writer.get_extra_info("peername")
        record = self._journal.begin("POP3", str(peer[0]) if peer else "unknown")
        connection = _Pop3Connection(
            reader,
            writer,
            self._session(),
            faults=self._faults,
            journal=self._journal,
            record=record,
            timeout=self._timeout,
        )
        try:
            await connection.run(self._tls, implicit=self._implicit)
        except (OSError, EOFError, asyncio.CancelledError):
            pass  # the peer left or is silent; or the server closes, and asyncio would log a cancelled task
        finally:
            connection.end()
            record.end()
            self._connections.discard(task)


@final
class _Pop3Connection:
    """Serve one connection: read commands, send responses and faults."""

    def __init__(  # noqa: PLR0913 - the parts that it puts together
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        session: Pop3Session,
        *,
        faults: FaultCounter[Pop3Fault],
        journal: Journal,
        record: DialogueRecorder,
        timeout: float,
    ) -> None:
        self._journal = journal
        self._record = record
        self._reader = reader
        self._writer = writer
        # Kept in addition to the one for TLS: a writer without a reference closes its connection.
        self._plain = writer
        self._session = session
        self._faults = faults
        self._timeout = timeout

    async def run(self, tls: ssl.SSLContext | None, *, implicit: bool) -> None:
        """Serve until the last response."""
        context = cast("ssl.SSLContext", tls)
        if implicit:
            await self._secure(context)
        await self._respond("GREETING", lambda: b"+OK POP3 of a simulator, not of Customs\r\n")
        while not self._session.over:
            line = await self._line()
            if line is None:
                # What follows is the rest of this line, not a command.
                self._record.note(f"the client sent a line of more than {_LINE} octets")
                await self._said(err(f"The line is longer than {_LINE} octets"))
                break
            verb, _, rest = line.partition(" ")
            await self._respond(verb.upper(), partial(self._session.respond, verb.upper(), rest))
            if self._session.handshake:
                self._session.handshake = False
                await self._secure(context)
        self._writer.close()
        await self._writer.wait_closed()

    def end(self) -> None:
        """Release the mailbox without deleting, and close the connection if it is open."""
        self._session.end()
        self._writer.transport.abort()
        # During a handshake the TLS transport does not close the plain one.
        self._plain.transport.abort()

    async def _line(self) -> str | None:
        """Read a command; None if the line is too long."""
        async with asyncio.timeout(self._timeout):
            try:
                line = await self._reader.readuntil(b"\n")
            except asyncio.LimitOverrunError:
                return None
        self._record.heard(line)
        return line.rstrip(b"\r\n").decode("utf-8", "replace") if len(line) <= _LINE else None

    async def _respond(self, name: str, perform: Callable[[], bytes]) -> None:
        """Run a command and send its response, unless a fault is due."""
        fault = self._faults.take(name)
        if fault is None:
            await self._said(perform(), name)
            return
        self._record.note(f"fault of the script: {fault.action} at {name}")
        self._journal.add(fault)
        if fault.action is FaultAction.REFUSE:
            await self._said(err("Refused by the script"))
            self._session.over = name in {"GREETING", "QUIT"}
        elif fault.action is FaultAction.TRICKLE:
            response = perform()
            self._record_response(response, name)
            for octet in response:
                await self._write(bytes((octet,)))
                await asyncio.sleep(0)
        else:
            response = perform() if fault.deleted or name in _MULTILINE else b""
            if name in _MULTILINE:
                # The peer gets half of a message or listing, which it must not take for a whole one.
                half = response[: len(response) // 2]
                self._record.note(f"the gateway sends {len(half):,} of {len(response):,} octets")
                await self._write(half)
            await self._break_off(fault.action)

    async def _said(self, response: bytes, name: str = "") -> None:
        """Send a response, and record it."""
        self._record_response(response, name)
        await self._write(response)

    def _record_response(self, response: bytes, name: str) -> None:
        if name in _WITH_MESSAGE:
            self._record.said_message(response)
        else:
            self._record.said(response)

    async def _break_off(self, action: FaultAction) -> None:
        """Stop responding: stall, or reset the connection."""
        if action is FaultAction.STALL:
            while await self._reader.read(_LINE):
                pass
        else:
            connection = self._plain.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        raise ConnectionAbortedError

    async def _write(self, octets: bytes) -> None:
        self._writer.write(octets)
        async with asyncio.timeout(self._timeout):
            await self._writer.drain()

    async def _secure(self, context: ssl.SSLContext) -> None:
        """Do the handshake, and continue with a reader that has nothing of what came before (RFC 2595, section 4)."""
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(limit=_LINE)
        protocol = asyncio.StreamReaderProtocol(reader)
        async with asyncio.timeout(self._timeout):
            secured = await loop.start_tls(self._plain.transport, protocol, context, server_side=True)
        transport = cast("asyncio.Transport", secured)
        protocol.connection_made(transport)
        self._reader = reader
        self._writer = asyncio.StreamWriter(transport, protocol, reader, loop)
        self._session.secure = True
        self._record.note(f"{transport.get_extra_info('ssl_object').version()} from here on")
