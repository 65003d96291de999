"""
Send messages to Customs by SMTP, and tell for sure, unsure and not sent apart.

Never does: parse, fold or rewrite a message, or repeat one that the server may have taken.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncGenerator
from types import TracebackType
from typing import Final, Self, cast, final

import aiosmtplib
import attrs
from aiosmtplib import SMTPException, SMTPResponse, SMTPResponseException

from htpoort.errors import InputError, SendError, SendFailure
from htpoort.message import Submission
from htpoort.transport import _content
from htpoort.transport._sendable import check
from htpoort.transport.servers import Security, SmtpServer
from htpoort.transport.tls import client_context, is_of_tls, told

__all__ = ["Accepted", "Sender", "send"]

_PIECE: Final = 65_536  # octets that are handed over at a time; a socket takes about as many at once
_GOODBYE: Final = 5.0  # seconds for the answer to QUIT: the message has been taken, nothing depends on it
_SHOWN: Final = 500  # characters of a reply; RFC 5321 allows 512 octets a line

_MAIL: Final = range(250, 251)
_RCPT: Final = range(250, 252)  # 251: it will be forwarded
_GO_ON: Final = range(354, 355)
_DONE: Final = range(200, 300)
_REFUSALS: Final = range(400, 600)
_FOR_GOOD: Final = 500
_LEAVING: Final = 421  # the server closes the connection (RFC 5321, section 3.8)


@final
@attrs.frozen(kw_only=True)
class Accepted:
    """
    Hold the mail server's word that it took a message: transport, never acceptance by Customs.

    Args:
        recipient: The mailbox that it was for.
        code: The SMTP reply code, 200 to 299.
        reply: The text of the reply, on one line; often holds the server's queue ID.
    """

    recipient: str
    code: int
    reply: str


async def send(submission: Submission, server: SmtpServer) -> Accepted:
    """
    Send one message over a connection of its own.

    Args:
        submission: What `htpoort.build` made.
        server: Where to send it.

    Returns:
        The server's word that it took it.

    Raises:
        InputError: The message, or a file of the TLS settings, cannot be used; nothing was sent.
        SendError: It was not sent, or nobody can know whether it was. Has *recipient*, *kind*, *code*,
            *reply* and *retryable*.
    """
    async with Sender(server) as sender:
        return await sender.send(submission)


class Sender:
    """
    Send many messages, one after another, over one connection that is kept.

    It connects at the first message, and again when the server has closed the connection in between. The files
    of the TLS settings are read for each connection, so one that was renewed needs no new sender.
    Several tasks may share it; they wait for one another.

    Args:
        server: Where to send.

    Attributes:
        content_begun: Whether the message that was at it last had its 354, so that octets of its content may have
            left. Where it had not, as when `send` was cancelled before that, the server cannot have taken it.
    """

    def __init__(self, server: SmtpServer) -> None:
        self.content_begun = False
        self._server = server
        self._connection: _Connection | None = None
        self._lock = asyncio.Lock()
        self._open = False

    async def __aenter__(self) -> Self:
        if self._server.security is not Security.PLAIN:
            # Only to tell at once what is wrong; a connection may begin when the files have been renewed.
            await asyncio.to_thread(client_context, self._server.tls)
        self._open = True
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            async with self._lock:
                connection, self._connection = self._connection, None
                if connection is not None:
                    await connection.close()
        finally:
            # Cancelled while another task sends, it leaves the connection to that one, which closes it.
            self._open = False

    async def send(self, submission: Submission) -> Accepted:
        """
        Send one message.

        Args:
            submission: What `htpoort.build` made.

        Returns:
            The server's word that it took it.

        Raises:
            InputError: The message cannot go over SMTP as it is; nothing was sent.
            SendError: It was not sent, or nobody can know whether it was. Has *recipient*, *kind*,
                *code*, *reply* and *retryable*.
            RuntimeError: The sender is not open; use it as ``async with Sender(server) as sender``.
        """
        self._checked(submission)
        async with self._lock:
            if not self._open:
                message = "This Sender is not open; use it as: async with Sender(server) as sender."
                raise RuntimeError(message)
            self.content_begun = False
            try:
                connection = await self._begun(submission)
                await connection.data(submission)
                self.content_begun = True  # before the first octet of it, and nothing is awaited in between
                return await connection.transmit(submission)
            except SendError as error:
                await self._after(error)
                raise
            except BaseException:
                # Cancelled: the dialogue stands somewhere in the middle.
                await self._drop()
                raise
            finally:
                await self._parted()

    @staticmethod
    def _checked(submission: Submission) -> None:
        """Refuse what should not be sent; the simulator, which plays more than good mail servers, refuses less."""
        check(submission)

    async def _begun(self, submission: Submission) -> _Connection:
        """Give a connection on which MAIL has been taken."""
        if self._connection is not None:
            try:
                await self._connection.mail(submission)
            except SendError as error:
                # Closed while it was idle: the message has not begun, so a fresh connection repeats nothing.
                if error.kind is not SendFailure.LOST and error.code != _LEAVING:
                    raise
                await self._drop()
            else:
                return self._connection
        connection = _Connection(self._server, await self._context(submission.rcpt_to), submission)
        try:
            await connection.open(submission.rcpt_to)
        except BaseException:
            # Never kept half open: the next message would go without TLS or login.
            await connection.abort()
            raise
        self._connection = connection
        await connection.mail(submission)
        return connection

    async def _context(self, recipient: str) -> ssl.SSLContext | None:
        """Read the files of the TLS settings for a new connection; they may not be what they were at the start."""
        if self._server.security is Security.PLAIN:
            return None
        try:
            async with asyncio.timeout(self._server.timeout):
                return await asyncio.to_thread(client_context, self._server.tls)
        except InputError as error:
            raise SendError(recipient, SendFailure.TLS, None, told(error)) from error
        except TimeoutError as error:
            raise SendError(recipient, SendFailure.TLS, None, "The TLS files were not read in time") from error

    async def _after(self, error: SendError) -> None:
        """Leave the connection clean for the next message, or leave none."""
        refused, clean = error.kind in {SendFailure.REFUSED, SendFailure.DEFERRED}, False
        try:
            clean = refused and self._connection is not None and await self._connection.reset()
        finally:
            # Also where it is cancelled: the answer to RSET would be taken for that to the next MAIL.
            if not clean:
                await self._drop()

    async def _parted(self) -> None:
        """Keep no connection where the block was left meanwhile."""
        if not self._open:
            await self._drop()

    async def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.abort()


@final
class _Connection:
    """One connection to the server: the dialogue in steps, each with its own meaning of failure."""

    def __init__(self, server: SmtpServer, context: ssl.SSLContext | None, submission: Submission) -> None:
        self._server = server
        self._transport: asyncio.BaseTransport | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._client = aiosmtplib.SMTP(
            hostname=server.host,
            port=server.port,
            # Without a name aiosmtplib asks the DNS for ours.
            local_hostname=server.local_hostname or submission.mail_from.rpartition("@")[2],
            # Its timeouts are those of asyncio.wait_for, which up to Python 3.11 swallows a cancellation that
            # comes together with a result. `_step` limits the time.
            timeout=None,
            use_tls=server.security is Security.IMPLICIT,
            start_tls=False,
            tls_context=context,
        )

    async def open(self, recipient: str) -> None:
        """Connect, make the connection safe, log in."""
        async with self._step(recipient, SendFailure.CONNECT, opening=True):
            await self._client.connect()
        # aiosmtplib forgets its transport when it closes it; abort() needs it still.
        self._transport = self._client.transport
        async with self._step(recipient, SendFailure.LOST, opening=True):
            await self._client.ehlo()
        if self._server.security is Security.STARTTLS:
            await self._start_tls(recipient)
        if self._server.username is not None:
            await self._login(recipient)
        async with self._step(recipient, SendFailure.LOST):
            self._writer = self._stream()

    def _stream(self) -> asyncio.StreamWriter:
        """Give what writes the content; aiosmtplib offers nothing that can be waited for."""
        self._client.get_transport_info("peername")  # raises where the connection is lost already
        transport = cast("asyncio.WriteTransport", self._client.transport)
        # So drain() waits until nothing is left in our buffer; with 0 asyncio's TLS pauses for ever.
        transport.set_write_buffer_limits(high=1, low=0)
        protocol = cast("asyncio.BaseProtocol", self._client.protocol)
        return asyncio.StreamWriter(transport, protocol, None, asyncio.get_running_loop())

    async def _start_tls(self, recipient: str) -> None:
        if not self._client.supports_extension("starttls"):
            raise SendError(recipient, SendFailure.TLS, None, "The server offers no STARTTLS.")
        async with self._step(recipient, SendFailure.LOST, refused=SendFailure.TLS, opening=True):
            await self._client.starttls()
        self._transport = self._client.transport
        async with self._step(recipient, SendFailure.LOST, opening=True):
            # What was offered before TLS may have been forged (RFC 3207, section 4.2).
            await self._client.ehlo()

    async def _login(self, recipient: str) -> None:
        """Log in by one mechanism: each further try counts towards a lock-out."""
        client = self._client
        mechanisms = {"plain": client.auth_plain, "login": client.auth_login, "cram-md5": client.auth_crammd5}
        offered = [login for name, login in mechanisms.items() if name in client.server_auth_methods]
        if not offered:
            raise SendError(recipient, SendFailure.LOGIN, None, "The server offers no login that htpoort knows.")
        async with self._step(recipient, SendFailure.LOST, refused=SendFailure.LOGIN):
            await offered[0](self._server.username or "", self._server.password or "")

    async def mail(self, submission: Submission) -> None:
        """Begin a message, unless the server has said that it is too large."""
        size, recipient = len(submission.data), submission.rcpt_to
        options: list[bytes] = []
        if self._client.supports_extension("size"):
            limit = self._client.esmtp_extensions["size"]
            # 0 or nothing: no limit is told (RFC 1870, section 4).
            if limit.isascii() and limit.isdigit() and 0 < int(limit) < size:
                reply = f"The server takes {limit} octets, the message has {size}; nothing was sent."
                raise SendError(recipient, SendFailure.REFUSED, None, reply)
            options.append(b"SIZE=%d" % size)
        # The mailbox is plain, as `check` knows; aiosmtplib's own mail() and rcpt() would parse it for each message.
        sender = b"FROM:<%s>" % submission.mail_from.encode()
        async with self._step(recipient, SendFailure.LOST):
            _expected(_MAIL, await self._client.execute_command(b"MAIL", sender, *options))

    async def data(self, submission: Submission) -> None:
        """Go on with a message for which MAIL has been taken, until the server waits for its content."""
        recipient = submission.rcpt_to
        async with self._step(recipient, SendFailure.LOST):
            _expected(_RCPT, await self._client.execute_command(b"RCPT", b"TO:<%s>" % recipient.encode()))
        async with self._step(recipient, SendFailure.LOST):
            _expected(_GO_ON, await self._client.execute_command(b"DATA"))

    async def transmit(self, submission: Submission) -> Accepted:
        """Send the content to a server that waits for it."""
        recipient = submission.rcpt_to
        await self._write(recipient, _content.stuffed(submission.data))
        # From here on a loss leaves open whether the server has the message.
        async with self._step(recipient, SendFailure.UNKNOWN, seconds=self._server.final_timeout):
            answer = _expected(_DONE, await self._client.execute_command(b"."))
        return Accepted(recipient=recipient, code=answer.code, reply=self._told(answer.message))

    async def _write(self, recipient: str, content: bytes) -> None:
        """Hand all of the content over, and return only when it has left our buffer on a living connection."""
        writer = cast("asyncio.StreamWriter", self._writer)
        for start in range(0, len(content), _PIECE):
            async with self._step(recipient, SendFailure.LOST):
                writer.write(content[start : start + _PIECE])
                await writer.drain()
                # drain() is silent about a connection that was closed in good order; this raises.
                self._client.get_transport_info("peername")

    async def reset(self) -> bool:
        """Take back what was begun; tell whether the connection can be used again."""
        try:
            async with asyncio.timeout(self._server.timeout):
                await self._client.rset()
        except (SMTPException, OSError):
            return False
        return True

    async def close(self) -> None:
        """Say goodbye; how the server takes it changes nothing."""
        try:
            with contextlib.suppress(SMTPException, OSError):
                async with asyncio.timeout(min(_GOODBYE, self._server.timeout)):
                    await self._client.quit()
        finally:
            await self.abort()

    async def abort(self) -> None:
        """Close without waiting for the server, whatever stands in the buffers."""
        self._client.close()
        if self._transport is not None:
            cast("asyncio.WriteTransport", self._transport).abort()
        # The loop closes the socket in its next round, which may not come after us.
        await asyncio.sleep(0)

    @contextlib.asynccontextmanager
    async def _step(
        self,
        recipient: str,
        lost: SendFailure,
        *,
        refused: SendFailure | None = None,
        opening: bool = False,
        seconds: float | None = None,
    ) -> AsyncGenerator[None]:
        """Limit the time of one step, and turn what goes wrong into a SendError that says what it means there."""
        try:
            async with asyncio.timeout(self._server.timeout if seconds is None else seconds):
                yield
        except SMTPResponseException as error:
            code = error.code if error.code in _REFUSALS else None
            kind = refused or (lost if code is None else _refusal(code))
            raise SendError(recipient, kind, code, self._told(error.message)) from error
        except (SMTPException, OSError) as error:
            kind = SendFailure.TLS if opening and is_of_tls(error) else lost
            raise SendError(recipient, kind, None, self._told(str(error) or "No answer in time")) from error

    def _told(self, text: str) -> str:
        """Put what a server says on one line of printable characters, without our password."""
        line = "".join(character if character.isprintable() else " " for character in text)
        if self._server.password is not None:
            line = line.replace(self._server.password, "…")
        return " ".join(line.split())[:_SHOWN]


def _expected(codes: range, answer: SMTPResponse) -> SMTPResponse:
    if answer.code not in codes:
        raise SMTPResponseException(answer.code, answer.message)
    return answer


def _refusal(code: int) -> SendFailure:
    return SendFailure.REFUSED if code >= _FOR_GOOD else SendFailure.DEFERRED
