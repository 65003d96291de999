"""Take declarations by SMTP, and show the faults of a script at each step."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final, cast, final

import attrs

from htpoort.simulator.declarants import Declarants, Mailbox
from htpoort.simulator.dialogues import DialogueRecorder
from htpoort.simulator.faults import FaultAction, FaultCounter, SmtpFault, SmtpStep
from htpoort.simulator.journal import Journal
from htpoort.transport import Handler, Incoming, Receiver, SmtpInbox
from htpoort.transport.content import ContentReader
from htpoort.transport.receiver_connections import ConnectionTracker
from htpoort.transport.receiver_dialogue import ReceiverDialogue

_PACE: Final = 0.005  # seconds between two octets of a response that trickles
_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)  # of SO_LINGER: closing the connection resets it
_CLOSING: Final = 421
_OK: Final = "250 OK"


@final
class SubmissionServer(Receiver):
    """
    Listen for declarations, and show the faults of a script.

    Args:
        take: Awaited with each message.
        inbox: Where to listen, and for which mailboxes.
        declarants: For the mailboxes that each may send from.
        log_in: Takes user name and password; returns the mailbox of a right login, or None.
        faults: The faults to show.
        journal: Gets the dialogues, and the faults that are shown.
        implicit: Whether TLS starts with the first octet.
    """

    def __init__(  # noqa: PLR0913 - the parts that it puts together
        self,
        take: Handler,
        inbox: SmtpInbox,
        *,
        declarants: Declarants,
        log_in: Callable[[str, str], Mailbox | None],
        faults: FaultCounter[SmtpFault],
        journal: Journal,
        implicit: bool,
    ) -> None:
        def is_right(username: str, password: str) -> bool:
            return log_in(username, password) is not None

        authenticator = is_right if declarants.have_passwords else None
        super().__init__(take, attrs.evolve(inbox, authenticator=authenticator))
        self.declarants = declarants
        self.faults = faults
        self.journal = journal
        self.implicit = implicit

    def _dialogue(self, tracker: ConnectionTracker, peer: str) -> ReceiverDialogue:
        return _FaultyDialogue(tracker, peer, self)

    def _in_place_of_greeting(self, response: str) -> bytes:
        # A client that expects TLS cannot read text in the clear.
        return b"" if self.implicit else super()._in_place_of_greeting(response)


@final
class _FaultyDialogue(ReceiverDialogue):
    """Serve one connection, with the faults that are due."""

    def __init__(self, tracker: ConnectionTracker, peer: str, server: SubmissionServer) -> None:
        self._server = server
        self._slowly = False
        self._silent = False
        self._record: DialogueRecorder | None = None
        super().__init__(tracker, peer)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        first = self.transport is None
        super().connection_made(transport)
        if first and self._server.implicit:
            # The first octets belong to the handshake.
            cast("asyncio.ReadTransport", transport).pause_reading()

    def connection_lost(self, error: Exception | None) -> None:
        super().connection_lost(error)
        if self._record is not None:
            self._record.end()

    def finish(self) -> None:
        """Close the connection; without a word during a handshake, or after a fault that silences it."""
        if self._silent:
            self.abort()
        else:
            super().finish()

    async def _secure(self) -> bool:
        """
        Start TLS before the greeting, as STARTTLS without its dialogue; return False if the handshake fails.

        This way the server knows the connection from its first moment, and can close it during the handshake,
        which it could not if asyncio did the handshake.
        """
        plain = cast("asyncio.ReadTransport", self.transport)
        asyncio.get_running_loop().call_soon(plain.resume_reading)
        self._silent = True
        await self._start_tls("")
        self._silent = False
        return self.transport is not None

    async def _start_tls(self, arg: str) -> None:
        """Do the handshake, and record whether it succeeded."""
        before = cast("Any", self.session).ssl
        await super().smtp_STARTTLS(arg)
        secured = cast("Any", self.session).ssl
        if secured is not None and before is None:
            self._note(f"{secured['ssl_object'].version()} from here on")

    # ── the steps of the dialogue ────────────────────────────────────

    async def _handle_client(self) -> None:
        # In the task of the connection: what happens in it belongs to this session.
        self._record = record = self._server.journal.begin("SMTP", self._peer)
        reader = cast("Any", self._reader)
        # aiosmtpd has no hook for a line; it reads commands, and responses to AUTH, by this method.
        reader.readuntil = partial(_heard, record, reader.readuntil)
        if not self._server.implicit or await self._secure():
            fault = self._server.faults.take(SmtpStep.GREETING)
            if fault is not None and await self._show(fault):
                self._close()
            else:
                await super()._handle_client()

    async def smtp_HELO(self, hostname: str) -> None:  # noqa: N802 - aiosmtpd's name
        await self._step(SmtpStep.EHLO, super().smtp_HELO, hostname)

    async def smtp_EHLO(self, hostname: str) -> None:  # noqa: N802 - the same
        await self._step(SmtpStep.EHLO, super().smtp_EHLO, hostname)

    async def smtp_STARTTLS(self, arg: str) -> None:  # noqa: N802 - the same
        await self._step(SmtpStep.STARTTLS, self._start_tls, arg)

    async def smtp_AUTH(self, arg: str) -> None:  # noqa: N802 - the same
        await self._step(SmtpStep.AUTH, super().smtp_AUTH, arg)

    async def smtp_MAIL(self, arg: str | None) -> None:  # noqa: N802 - the same
        await self._step(SmtpStep.MAIL, super().smtp_MAIL, arg)

    async def smtp_RCPT(self, arg: str | None) -> None:  # noqa: N802 - the same
        await self._step(SmtpStep.RCPT, super().smtp_RCPT, arg)

    async def smtp_DATA(self, arg: str | None) -> None:  # noqa: N802 - the same
        await self._step(SmtpStep.DATA, super().smtp_DATA, arg)

    async def smtp_QUIT(self, arg: str) -> None:  # noqa: N802 - the same
        await self._step(SmtpStep.QUIT, super().smtp_QUIT, arg)

    async def _receive(self, content: ContentReader) -> None:
        is_whole = False
        try:
            await self._receive_or_fail(content)
            is_whole = True
        finally:
            if self._record is not None:
                self._record.heard_content(content.size, is_whole=is_whole)

    async def _receive_or_fail(self, content: ContentReader) -> None:
        self._slowly = False
        fault = self._server.faults.take(SmtpStep.CONTENT)
        if fault is not None:
            # The content has begun. The rest is not read, so a peer that leaves goes unnoticed.
            await self._reader.read(1)
            cast("asyncio.ReadTransport", self.transport).pause_reading()
            await self._show(fault)
        await super()._receive(content)

    async def _end_content(self, incoming: Incoming) -> None:
        fault = self._server.faults.take(SmtpStep.DOT)
        if fault is None:
            await super()._end_content(incoming)
            return
        replies = [_OK]

        async def accept() -> None:
            replies.append(await self._answer(incoming))

        if fault.accepts_declaration:
            # Closing the connection meanwhile must not send 421 either.
            await self._run_detached(accept())
        if not await self._show(fault):
            await self.push(replies[-1])
        self._is_handling = False

    async def _step(self, step: SmtpStep, method: Callable[[str], Awaitable[None]], arg: str | None) -> None:
        """Show the fault of a step, or respond as usual."""
        mail_from = str(cast("Any", self.envelope).mail_from)
        self._slowly = False
        fault = self._server.faults.take(step, mail_from, arg or "")
        if fault is None or not await self._show(fault):
            await method(cast("str", arg))
        self._slowly = False

    # ── the actions ──────────────────────────────────────────────────

    async def _show(self, fault: SmtpFault) -> bool:
        """Show a fault; return False if the right response must still be sent."""
        self._note(f"fault of the script: {fault.action} at {fault.at}")
        self._server.journal.add(fault)
        if fault.action is FaultAction.TRICKLE:
            self._slowly = True
            return False
        if fault.action in {FaultAction.DROP, FaultAction.STALL}:
            await self._break_off(reset=fault.action is FaultAction.DROP)
        code, text = fault.reply
        await self.push(f"{code} {text}")
        if code == _CLOSING:
            self._close()
        return True

    async def _break_off(self, *, reset: bool) -> None:
        """Stop responding; never returns."""
        # No goodbye either when the gateway closes: 421 would deny a declaration that it accepted.
        self._silent = True
        if reset:
            transport = cast("asyncio.BaseTransport", self.transport)
            sock = cast("socket.socket", transport.get_extra_info("socket"))
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            self.abort()
        try:
            # Closing the connection cancels this.
            await asyncio.get_running_loop().create_future()
        finally:
            self._writer.close()

    async def push(self, status: str | bytes) -> None:
        """Send a response, octet by octet if it trickles."""
        if self._silent:
            return
        if self._record is not None:
            self._record.said(status)
        line = status.encode() if isinstance(status, str) else status
        if not self._slowly:
            await super().push(line)
            return
        for octet in line + b"\r":
            self._writer.write(bytes([octet]))
            await self._writer.drain()
            await asyncio.sleep(_PACE)
        # No pause after it: a handshake may follow, and the stream must be ready for it.
        self._writer.write(b"\n")
        await self._writer.drain()

    def refusal_of(self, address: str) -> str | None:
        """Return why a sender may not send: a declarant with a password must log in, and send from its own mailbox."""
        user = cast("bytes | None", cast("Any", self.session).auth_data)
        return self._server.declarants.refusal_of(address, None if user is None else user.decode())

    def _note(self, text: str) -> None:
        if self._record is not None:
            self._record.note(text)


async def _heard(
    record: DialogueRecorder, readuntil: Callable[..., Awaitable[bytes]], separator: bytes = b"\n"
) -> bytes:
    """Read a line, and record it."""
    line = await readuntil(separator)
    record.heard(line)
    return line
