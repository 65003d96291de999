"""
Send messages by SMTP, and report for each whether the server took it, did not take it, or may have taken it.

This module never parses, folds or rewrites a message, or repeats one that the server may have taken.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Final, Self, final

import attrs

from htpoort._aio import run_in_thread
from htpoort.core import address, grammar
from htpoort.core.errors import InputError, Problem, SendError, SendFailure
from htpoort.core.message import Submission
from htpoort.transport._smtp_client import CLOSING_CODE, OutgoingMessage, SmtpClient
from htpoort.transport.content import fits, is_clean, stuffed
from htpoort.transport.hosts import SocketAddress
from htpoort.transport.servers import Security, SmtpServer
from htpoort.transport.tls import client_context, file_problem

__all__ = ["Accepted", "Sender", "send"]


_LOGIN_CODES: Final = frozenset({530, 534, 535, 538})
"""The server requires a login, another kind of login (RFC 4954, section 6), or STARTTLS (RFC 3207, section 4)."""


@final
@attrs.frozen(kw_only=True)
class Accepted:
    """
    The mail server's answer that it took a message: transport, never acceptance by Customs.

    Args:
        recipient: The mailbox it was sent to.
        code: The SMTP code, 200 to 299.
        reply: The text of the answer, on one line; often contains the server's queue ID.
    """

    recipient: str
    code: int
    reply: str


async def _proceed() -> None:
    """Raise nothing."""


async def send(submission: Submission, server: SmtpServer) -> Accepted:
    """
    Send one message over a new connection.

    Args:
        submission: A message that `htpoort.build` made.
        server: The server to send it to.

    Returns:
        The server's answer that it took the message.

    Raises:
        InputError: The message, or a file of the TLS settings, cannot be used; nothing was sent.
        SendError: It was not sent, or its outcome is unknown. Has *recipient*, *kind*, *code*, *reply* and
            *retryable*.
    """
    async with Sender(server) as sender:
        return await sender.send(submission)


class Sender:
    """
    Send many messages, one after another, over one connection that is kept open.

    It connects at the first message, and again if the server has closed the connection in between. The files of the
    TLS settings are read for each connection, so a renewed certificate needs no new sender. Several tasks may share a
    sender; they wait for one another.

    Args:
        server: The server to send to.

    Attributes:
        content_begun: Whether the server answered 354 to the last message, so that octets of its content may have been
            sent. If not, as when `send` was cancelled before that, the server cannot have taken the message.
    """

    def __init__(self, server: SmtpServer) -> None:
        self.content_begun = False
        self._server = server
        self._address: SocketAddress | None = None
        self._client: SmtpClient | None = None
        self._lock = asyncio.Lock()
        self._open = False

    async def __aenter__(self) -> Self:
        if self._server.security is not Security.PLAIN:
            # Only to report errors early; each connection reads the files again, which may be renewed by then.
            await run_in_thread(client_context, self._server.tls)
        self._open = True
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            async with self._lock:
                client, self._client = self._client, None
                if client is not None:
                    await client.close()
        finally:
            # If this was cancelled while another task sends, that task closes the connection.
            self._open = False

    @property
    def connected(self) -> bool:
        """Whether a connection is still open, as far as is known."""
        return self._client is not None and self._client.is_connected

    async def send(self, submission: Submission) -> Accepted:
        """
        Send a message that `htpoort.build` made.

        Args:
            submission: The message.

        Returns:
            The server's answer that it took the message.

        Raises:
            InputError: The message cannot go over SMTP as it is; nothing was sent.
            SendError: It was not sent, or its outcome is unknown. Has *recipient*, *kind*, *code*, *reply* and
                *retryable*.
            RuntimeError: The sender is not open; use it as ``async with Sender(server) as sender``.
        """
        return await self.send_raw(mail_from=submission.mail_from, rcpt_to=submission.rcpt_to, raw=submission.data)

    async def send_raw(
        self, *, mail_from: str, rcpt_to: str, raw: bytes, checkpoint: Callable[[], Awaitable[None]] = _proceed
    ) -> Accepted:
        """
        Send the octets of a message.

        Args:
            mail_from: The sender, for MAIL FROM.
            rcpt_to: The one recipient, for RCPT TO.
            raw: The message: 7-bit lines of at most 998 octets, each ended by CRLF.
            checkpoint: Awaited before the first octet of the content, and again before the final dot. If it raises,
                the attempt ends and the error passes through; the server has taken nothing then.

        Returns:
            The server's answer that it took the message.

        Raises:
            InputError: The message cannot go over SMTP as it is; nothing was sent.
            SendError: It was not sent, or its outcome is unknown. Has *recipient*, *kind*, *code*, *reply* and
                *retryable*.
            RuntimeError: The sender is not open; use it as ``async with Sender(server) as sender``.
        """
        message = OutgoingMessage(mail_from=mail_from, rcpt_to=rcpt_to, raw=raw)
        self._check(mail_from, rcpt_to, raw)
        async with self._lock:
            self.content_begun = False
            self._check_open()
            try:
                client = await self._begin(message)
                return await self._finish(client, message, checkpoint)
            except SendError as error:
                await self._recover(error)
                if not self.content_begun and (error.code == CLOSING_CODE or error.code in _LOGIN_CODES):
                    raise _about_server(error) from None
                raise
            except BaseException:
                # Cancelled: the dialogue is somewhere in the middle.
                await self._drop()
                raise
            finally:
                await self._drop_if_closed()

    async def _finish(
        self, client: SmtpClient, message: OutgoingMessage, checkpoint: Callable[[], Awaitable[None]]
    ) -> Accepted:
        """Send a message whose MAIL was accepted."""
        content = stuffed(message.raw)
        await client.data(message.rcpt_to)
        await checkpoint()
        self.content_begun = True  # before its first octet, and nothing is awaited in between
        code, reply = await client.transmit(message.rcpt_to, content, checkpoint)
        return Accepted(recipient=message.rcpt_to, code=code, reply=reply)

    @staticmethod
    def _check(mail_from: str, rcpt_to: str, raw: bytes) -> None:
        """Refuse what should not be sent; the simulator, which plays more than good mail servers, refuses less."""
        check(mail_from, rcpt_to, raw)

    def _check_open(self) -> None:
        if not self._open:
            message = "This Sender is not open; use it as: async with Sender(server) as sender."
            raise RuntimeError(message)

    async def _begin(self, message: OutgoingMessage) -> SmtpClient:
        """Return a connection that has accepted MAIL."""
        if self._client is not None:
            try:
                await self._client.mail(message)
            except SendError as error:
                # A size that the server refuses has nothing to do with the connection.
                if error.kind is SendFailure.REFUSED and error.code is None:
                    raise
                # Closed while it was idle, or no longer welcome, as after so many messages: nothing of this message
                # has begun, so a fresh connection repeats nothing.
                await self._drop()
            else:
                return self._client
        client = await self._connect(message)
        try:
            await client.mail(message)
        except SendError as error:
            if error.kind is SendFailure.LOST:
                raise _about_server(error) from None
            raise
        return client

    async def _connect(self, message: OutgoingMessage) -> SmtpClient:
        """Make a connection, ready for MAIL; an error before that concerns the server, not the message."""
        try:
            client = await self._open_client(message)
        except SendError as error:
            raise _about_server(error) from None
        # The address that answered comes first the next time, so that a dead one before it costs its time once.
        self._client, self._address = client, client.address
        return client

    async def _open_client(self, message: OutgoingMessage) -> SmtpClient:
        context = await self._context(message.rcpt_to)
        # Without a name of our own, DNS would have to be asked for one.
        hostname = self._server.local_hostname or message.mail_from.rpartition("@")[2]
        client = SmtpClient(self._server, context, hostname)
        try:
            await client.open(message.rcpt_to, self._address)
        except BaseException:
            # Never kept half open: the next message would go without TLS or login.
            await client.abort()
            raise
        return client

    async def _context(self, recipient: str) -> ssl.SSLContext | None:
        """Read the files of the TLS settings for a new connection; they may have changed since the start."""
        if self._server.security is Security.PLAIN:
            return None
        try:
            async with asyncio.timeout(self._server.timeout):
                return await run_in_thread(client_context, self._server.tls)
        except InputError as error:
            raise SendError(recipient, SendFailure.TLS, None, file_problem(error)) from error
        except TimeoutError as error:
            raise SendError(recipient, SendFailure.TLS, None, "Reading the TLS files took too long") from error

    async def _recover(self, error: SendError) -> None:
        """Reset the connection for the next message, or drop it."""
        of_message = error.code != CLOSING_CODE and error.code not in _LOGIN_CODES
        refused, clean = of_message and error.kind in {SendFailure.REFUSED, SendFailure.DEFERRED}, False
        try:
            clean = refused and self._client is not None and await self._client.reset()
        finally:
            # Dropped also if this is cancelled: the answer to RSET would be read as the answer to the next MAIL.
            if not clean:
                await self._drop()

    async def _drop_if_closed(self) -> None:
        """Drop the connection if the block was left in the meantime."""
        if not self._open:
            await self._drop()

    async def _drop(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.abort()


def _about_server(error: SendError) -> SendError:
    """Mark an error that any other message would have met too."""
    kind = error.kind
    if kind is SendFailure.REFUSED:
        # The refusal is permanent for the server as it is, not for the message.
        kind = SendFailure.LOGIN if error.code in _LOGIN_CODES else SendFailure.CONNECT
    return SendError(error.recipient, kind, error.code, error.reply, is_server_trouble=True)


def check(mail_from: str, rcpt_to: str, raw: bytes) -> None:
    """
    Refuse what a mail server would see differently than we do; `htpoort.build` makes nothing of the kind.

    Args:
        mail_from: The sender.
        rcpt_to: The recipient.
        raw: The octets of the message.

    Raises:
        InputError: A mailbox is not plain, or the octets are not a message; lists every problem.
    """
    problems = [
        *address.mailbox_problems("mail_from", mail_from),
        *address.mailbox_problems("rcpt_to", rcpt_to),
    ]
    # A line too long is refused by some servers with all of the message (RFC 5321, section 4.5.3.1.6).
    short = fits(raw, grammar.LINE_LIMIT)
    if not (short and raw.endswith(b"\r\n") and raw.isascii() and is_clean(raw)):
        message = (
            "The message is not 7-bit lines of at most 998 octets, each ended by CRLF; make it with htpoort.build."
        )
        problems.append(Problem("input.data", message))
    if problems:
        raise InputError("", tuple(problems))
