"""
Take declarations by SMTP as a server that misbehaves when it is told to.

Never does: judge a declaration.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final, cast, final

from htpoort.simulator._faulty import Faulty
from htpoort.simulator.declarants import Declarants
from htpoort.simulator.faults import Action, At, SmtpFault
from htpoort.transport import Incoming, Receiver
from htpoort.transport._content_reader import ContentReader
from htpoort.transport._house import House
from htpoort.transport._receiver_dialogue import Dialogue

_HOSTNAME: Final = "gateway.example"
_PACE: Final = 0.005  # seconds between two octets of an answer that trickles
_AT_ONCE: Final = struct.pack("ii", 1, 0)  # of SO_LINGER: a connection that is closed is reset
_CLOSING: Final = 421
_TAKEN: Final = "250 OK"


@final
class Submitting(Receiver):
    """
    Listen for declarations, and show the faults of a script.

    Args:
        take: Awaited with each message that came.
        declarants: Who may log in, and send as whom.
        faulty: The faults.
        mailboxes: The mailboxes of the systems.
        host: The address to listen on.
        port: 0 for one that is free.
        tls: For STARTTLS, or from the first octet.
        implicit: Whether TLS is from the first octet.
        require_tls: Whether nothing is taken before TLS.
        networks: Where peers may come from.
    """

    def __init__(  # noqa: PLR0913 - a server has as many settings
        self,
        take: Callable[[Incoming], Awaitable[None]],
        *,
        declarants: Declarants,
        faulty: Faulty,
        mailboxes: Iterable[str],
        host: str,
        port: int,
        tls: ssl.SSLContext | None,
        implicit: bool,
        require_tls: bool,
        networks: Iterable[str],
    ) -> None:
        super().__init__(
            take,
            hostname=_HOSTNAME,
            mailboxes=mailboxes,
            host=host,
            port=port,
            tls=tls,
            require_tls=require_tls,
            networks=networks,
            authenticator=declarants.may_log_in if declarants.have_passwords else None,
        )
        self.declarants = declarants
        self.faulty = faulty
        self.implicit = implicit

    def _dialogue(self, house: House, peer: str) -> Dialogue:
        return _Faulted(house, peer, self)

    def _in_place_of_greeting(self, answer: str) -> bytes:
        # Where a client awaits TLS, words in the clear would only confuse it.
        return b"" if self.implicit else super()._in_place_of_greeting(answer)


@final
class _Faulted(Dialogue):
    """One connection, with what is wrong with it."""

    def __init__(self, house: House, peer: str, desk: Submitting) -> None:
        self._desk = desk
        self._slowly = False
        self._silent = False
        super().__init__(house, peer)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        first = self.transport is None
        super().connection_made(transport)
        if first and self._desk.implicit:
            # What comes unasked is for the handshake.
            cast("asyncio.ReadTransport", transport).pause_reading()

    def part(self) -> None:
        """Close the connection; without a word where a handshake is under way, or where it says nothing any more."""
        if self._silent:
            self.cut()
        else:
            super().part()

    async def _secure(self) -> bool:
        """
        Make TLS stand before the greeting: STARTTLS without a word of it; False where the handshake failed.

        So the server knows a connection from its first moment. One that asyncio shakes hands with could
        not be closed before that is done.
        """
        plain = cast("asyncio.ReadTransport", self.transport)
        asyncio.get_running_loop().call_soon(plain.resume_reading)
        self._silent = True
        await super().smtp_STARTTLS("")
        self._silent = False
        return self.transport is not None

    # ── what a place of the dialogue does ────────────────────────────────────

    async def _handle_client(self) -> None:
        if not self._desk.implicit or await self._secure():
            fault = self._desk.faulty.at(At.GREETING)
            if fault is not None and await self._shows(fault):
                self._close()
            else:
                await super()._handle_client()

    async def smtp_HELO(self, hostname: str) -> None:  # noqa: N802 - aiosmtpd's name
        await self._played(At.EHLO, super().smtp_HELO, hostname)

    async def smtp_EHLO(self, hostname: str) -> None:  # noqa: N802 - the same
        await self._played(At.EHLO, super().smtp_EHLO, hostname)

    async def smtp_STARTTLS(self, arg: str) -> None:  # noqa: N802 - the same
        await self._played(At.STARTTLS, super().smtp_STARTTLS, arg)

    async def smtp_AUTH(self, arg: str) -> None:  # noqa: N802 - the same
        await self._played(At.AUTH, super().smtp_AUTH, arg)

    async def smtp_MAIL(self, arg: str | None) -> None:  # noqa: N802 - the same
        await self._played(At.MAIL, super().smtp_MAIL, arg)

    async def smtp_RCPT(self, arg: str | None) -> None:  # noqa: N802 - the same
        await self._played(At.RCPT, super().smtp_RCPT, arg)

    async def smtp_DATA(self, arg: str | None) -> None:  # noqa: N802 - the same
        await self._played(At.DATA, super().smtp_DATA, arg)

    async def smtp_QUIT(self, arg: str) -> None:  # noqa: N802 - the same
        await self._played(At.QUIT, super().smtp_QUIT, arg)

    async def _receive(self, content: ContentReader) -> None:
        self._slowly = False
        fault = self._desk.faulty.at(At.CONTENT)
        if fault is not None:
            # It has begun to come. What else comes is not read, so a peer that leaves is not noticed.
            await self._reader.read(1)
            cast("asyncio.ReadTransport", self.transport).pause_reading()
            await self._shows(fault)
        await super()._receive(content)

    async def _finished(self, incoming: Incoming) -> None:
        fault = self._desk.faulty.at(At.DOT)
        if fault is None:
            await super()._finished(incoming)
            return
        replies = [_TAKEN]

        async def taken() -> None:
            replies.append(await self._reply(incoming))

        if fault.is_taken:
            # Whoever closes the connection meanwhile must not say 421 either.
            await self._shelter(taken())
        if not await self._shows(fault):
            await self.push(replies[-1])
        self._storing = False

    async def _played(self, place: At, method: Callable[[str], Awaitable[None]], arg: str | None) -> None:
        """Show what is wrong at a place, or do as usual."""
        mail_from = str(cast("Any", self.envelope).mail_from)
        self._slowly = False
        fault = self._desk.faulty.at(place, mail_from, arg or "")
        if fault is None or not await self._shows(fault):
            await method(cast("str", arg))
        self._slowly = False

    # ── what an action does ──────────────────────────────────────────────────

    async def _shows(self, fault: SmtpFault) -> bool:
        """Show a fault; False where the right answer still has to be given."""
        if fault.action is Action.TRICKLE:
            self._slowly = True
            return False
        if fault.action in {Action.DROP, Action.STALL}:
            await self._gone(reset=fault.action is Action.DROP)
        code, text = fault.reply
        await self.push(f"{code} {text}")
        if code == _CLOSING:
            self._close()
        return True

    async def _gone(self, *, reset: bool) -> None:
        """Say nothing any more; does not come back."""
        # Nor a goodbye when the gateway closes: 421 would say of what was taken that it was not.
        self._silent = True
        if reset:
            transport = cast("asyncio.BaseTransport", self.transport)
            sock = cast("socket.socket", transport.get_extra_info("socket"))
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
            self.cut()
        try:
            # Whoever closes the connection cancels this.
            await asyncio.get_running_loop().create_future()
        finally:
            self._writer.close()

    async def push(self, status: str | bytes) -> None:
        """Give an answer, octet by octet where it is to trickle."""
        if self._silent:
            return
        line = status.encode() if isinstance(status, str) else status
        if not self._slowly:
            await super().push(line)
            return
        for octet in line + b"\r":
            self._writer.write(bytes([octet]))
            await self._writer.drain()
            await asyncio.sleep(_PACE)
        # Without a pause behind it: what comes next may be a handshake, for which the stream must be ready.
        self._writer.write(b"\n")
        await self._writer.drain()

    def refusal_of(self, address: str) -> str | None:
        """Say why a sender may not send: whoever has a password logs in, and sends as himself."""
        user = cast("bytes | None", cast("Any", self.session).auth_data)
        return self._desk.declarants.refusal_of(address, None if user is None else user.decode())
