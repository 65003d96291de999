"""
Send messages to Customs by SMTP, and tell for sure, unsure and not sent apart.

Never does: parse, fold or rewrite a message, or repeat one that the server may have taken.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Final, Self, final

import attrs

from htpoort.errors import InputError, SendError, SendFailure
from htpoort.message import Submission
from htpoort.transport import _content
from htpoort.transport._connecting import Address
from htpoort.transport._dialogue import LEAVING, Connection
from htpoort.transport._sendable import check
from htpoort.transport.servers import Security, SmtpServer
from htpoort.transport.tls import client_context, told

__all__ = ["Accepted", "Sender", "send"]


_NO_LOGIN: Final = frozenset({530, 534, 535, 538})
"""A login is asked for, or one of another kind (RFC 4954, section 6), or STARTTLS (RFC 3207, section 4)."""


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


async def _always() -> None:
    """Go on."""


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
        self._address: Address | None = None
        self._connection: Connection | None = None
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

    @property
    def connected(self) -> bool:
        """Whether a connection is kept that is open still, as far as is known."""
        return self._connection is not None and self._connection.is_connected

    async def send(self, submission: Submission, *, go_on: Callable[[], Awaitable[None]] = _always) -> Accepted:
        """
        Send one message.

        Args:
            submission: What `htpoort.build` made.
            go_on: Awaited before the first octet of the content, and again before the final dot. What it raises
                ends the attempt, and this raises the same; the server has taken nothing then.

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
            self.content_begun = False
            self._check_open()
            try:
                connection = await self._begun(submission)
                return await self._finished(connection, submission, go_on)
            except SendError as error:
                await self._after(error)
                if not self.content_begun and (error.code == LEAVING or error.code in _NO_LOGIN):
                    raise _about_server(error) from None
                raise
            except BaseException:
                # Cancelled: the dialogue stands somewhere in the middle.
                await self._drop()
                raise
            finally:
                await self._parted()

    async def _finished(
        self, connection: Connection, submission: Submission, go_on: Callable[[], Awaitable[None]]
    ) -> Accepted:
        """Send a message for which MAIL has been taken."""
        content = _content.stuffed(submission.data)
        await connection.data(submission)
        await go_on()
        self.content_begun = True  # before the first octet of it, and nothing is awaited in between
        code, reply = await connection.transmit(submission.rcpt_to, content, go_on)
        return Accepted(recipient=submission.rcpt_to, code=code, reply=reply)

    @staticmethod
    def _checked(submission: Submission) -> None:
        """Refuse what should not be sent; the simulator, which plays more than good mail servers, refuses less."""
        check(submission)

    def _check_open(self) -> None:
        if not self._open:
            message = "This Sender is not open; use it as: async with Sender(server) as sender."
            raise RuntimeError(message)

    async def _begun(self, submission: Submission) -> Connection:
        """Give a connection on which MAIL has been taken."""
        if self._connection is not None:
            try:
                await self._connection.mail(submission)
            except SendError as error:
                # A size that the server does not take is no matter of the connection.
                if error.kind is SendFailure.REFUSED and error.code is None:
                    raise
                # Closed while it was idle, or no longer in favour with the server, as after so many messages: nothing
                # of this message has begun, so a fresh connection repeats nothing.
                await self._drop()
            else:
                return self._connection
        connection = await self._new(submission)
        try:
            await connection.mail(submission)
        except SendError as error:
            if error.kind is SendFailure.LOST:
                raise _about_server(error) from None
            raise
        return connection

    async def _new(self, submission: Submission) -> Connection:
        """Make a connection, ready for MAIL; what goes wrong before that is about the server."""
        try:
            connection = await self._opened(submission)
        except SendError as error:
            raise _about_server(error) from None
        # The one that answered comes first the next time, so that a dead one before it costs its time once.
        self._connection, self._address = connection, connection.address
        return connection

    async def _opened(self, submission: Submission) -> Connection:
        context = await self._context(submission.rcpt_to)
        connection = Connection(self._server, context, submission)
        try:
            await connection.open(submission.rcpt_to, self._address)
        except BaseException:
            # Never kept half open: the next message would go without TLS or login.
            await connection.abort()
            raise
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
        of_message = error.code != LEAVING and error.code not in _NO_LOGIN
        refused, clean = of_message and error.kind in {SendFailure.REFUSED, SendFailure.DEFERRED}, False
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


def _about_server(error: SendError) -> SendError:
    """Say that any other message would have met the same."""
    kind = error.kind
    if kind is SendFailure.REFUSED:
        # That is "for good" of what the server says of itself, and not of the message.
        kind = SendFailure.LOGIN if error.code in _NO_LOGIN else SendFailure.CONNECT
    return SendError(error.recipient, kind, error.code, error.reply, of_server=True)
