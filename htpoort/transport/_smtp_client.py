"""
Speak SMTP over one connection; each step knows what its failure means. The only module that imports aiosmtplib.

This module never continues with a server whose answers are out of step.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import ssl
from base64 import b64decode
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Final, cast, final

import attrs
from aiosmtplib import SMTPException, SMTPResponse, SMTPResponseException, SMTPServerDisconnected
from aiosmtplib.auth import auth_crammd5_verify, auth_login_encode, auth_plain_encode
from aiosmtplib.esmtp import parse_esmtp_extensions
from aiosmtplib.protocol import SMTPProtocol

from htpoort.core.errors import SendError, SendFailure
from htpoort.core.text import Redaction, one_line
from htpoort.transport import hosts
from htpoort.transport.hosts import SocketAddress
from htpoort.transport.servers import Security, SmtpServer
from htpoort.transport.tls import is_of_tls

_PIECE: Final = 65_536  # octets that are written at a time; a socket takes about as many at once
_QUIT_TIMEOUT: Final = 5.0  # seconds for the answer to QUIT; nothing depends on it
_MAX_SHOWN: Final = 500  # characters of an answer that are shown; RFC 5321 allows 512 octets a line
_MAX_ANSWER: Final = 32_768  # octets of an answer, as in aiosmtplib; a long one to EHLO has a thousand

_GREETING: Final = range(220, 221)
_MAIL: Final = range(250, 251)
_RCPT: Final = range(250, 252)  # 251: it will be forwarded
_GO_ON: Final = range(354, 355)
_CHALLENGE: Final = range(334, 335)
_WELCOME: Final = range(235, 236)
_DONE: Final = range(200, 300)
_REFUSALS: Final = range(400, 600)
_PERMANENT: Final = 500
CLOSING_CODE: Final = 421
"""The server closes the connection (RFC 5321, section 3.8); it may answer so at any time."""

_CODE: Final = re.compile(rb"[2-5][0-9]{2}(?=[ \r\n-])")
_SIZE: Final = re.compile(r"0*([0-9]{1,20})")  # RFC 1870, section 4: at most 20 digits


@final
class _Answers(asyncio.Protocol):
    """
    Pass one whole answer to aiosmtplib for each command, and keep what the server sent beyond it.

    aiosmtplib reads the rest of a packet as the answer to its next command, and drops what arrives between two
    commands. So it does not notice a server whose answers are out of step, and reads a refusal as a 250.

    Args:
        protocol: aiosmtplib's reader of answers.
    """

    def __init__(self, protocol: SMTPProtocol) -> None:
        self._protocol = protocol
        self._received = bytearray()
        self._line = 0  # start of the line whose end has not arrived yet
        self._asked = True  # the greeting arrives without a command

    @property
    def unread(self) -> bytes:
        """What arrived without a command that it could answer."""
        return b"" if self._asked else bytes(self._received)

    def ask(self) -> None:
        """
        Expect an answer, because a command is about to be sent.

        Raises:
            SMTPServerDisconnected: Something is unread, so the next answer may belong to another command.
        """
        if self._received:
            stray = self._received[:_MAX_SHOWN].decode("ascii", "replace")
            message = f"The server's answers are out of step; it sent this without being asked: {stray}"
            raise SMTPServerDisconnected(message)
        self._asked = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._protocol.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        # An answer that is too long is invalid, so its rest need not be kept.
        self._received += data[: 2 * _MAX_ANSWER - len(self._received)]
        while self._asked and (end := self._received.find(b"\n", self._line) + 1):
            continues = self._received.startswith(b"-", self._line + 3) and _CODE.match(self._received, self._line)
            self._line = end
            if not continues:
                self._hand_over(end)
        if self._asked and len(self._received) > _MAX_ANSWER:
            self._hand_over(len(self._received))

    def _hand_over(self, end: int) -> None:
        answer = bytes(self._received[:end])
        del self._received[:end]
        self._line, self._asked = 0, False
        if len({line[:3] for line in answer.splitlines()}) > 1:
            # Each line must have the same code (RFC 5321, section 4.2.1). If there are two, neither counts.
            answer = b"several codes in one answer: " + answer
        self._protocol.data_received(answer)

    def eof_received(self) -> bool | None:
        return self._protocol.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self._protocol.connection_lost(exc)

    def pause_writing(self) -> None:
        self._protocol.pause_writing()

    def resume_writing(self) -> None:
        self._protocol.resume_writing()


@final
@attrs.frozen(kw_only=True)
class OutgoingMessage:
    """What SMTP needs of a message: sender, recipient, octets."""

    mail_from: str
    rcpt_to: str
    raw: bytes = attrs.field(repr=False)


@final
class SmtpClient:
    """
    One connection to the server.

    Args:
        server: Where to connect.
        context: For TLS; None for a plain connection.
        hostname: The host name that EHLO sends.
    """

    def __init__(self, server: SmtpServer, context: ssl.SSLContext | None, hostname: str) -> None:
        self._server = server
        self._context = context
        # For this connection alone: each login by CRAM-MD5 adds to it.
        self._redaction = Redaction.of_login(server.username, server.password)
        self._hostname = hostname
        self._protocol = SMTPProtocol(asyncio.get_running_loop())
        self._answers = _Answers(self._protocol)
        self._socket: socket.socket | None = None
        self._transport: asyncio.Transport | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._offers: dict[str, str] = {}
        self._logins: list[str] = []
        self.address: SocketAddress | None = None
        """The address that answered."""

    async def open(self, recipient: str, first: SocketAddress | None) -> None:
        """Connect, trying the address *first* before all others if the host still has it; start TLS; log in."""
        await self.connect(recipient, first)
        await self.secure(recipient)
        await self.log_in(recipient)
        async with self._step(recipient, SendFailure.LOST):
            self._writer = self._stream()

    async def connect(self, recipient: str, first: SocketAddress | None = None) -> None:
        """Connect, with implicit TLS if that is configured, and greet the server."""
        async with self._step(recipient, SendFailure.CONNECT, opening=True):
            await self._connect(first)
            _expected(_GREETING, await self._protocol.read_response())
        async with self._step(recipient, SendFailure.LOST, opening=True):
            await self._greet()

    async def secure(self, recipient: str) -> None:
        """Start TLS, if STARTTLS is configured."""
        if self._server.security is Security.STARTTLS:
            await self._start_tls(recipient)

    async def log_in(self, recipient: str) -> None:
        """Log in, if there is a user name."""
        if self._server.username is not None:
            await self._login(recipient)

    async def noop(self, recipient: str) -> str:
        """Ask for an answer that changes nothing."""
        async with self._step(recipient, SendFailure.LOST):
            answer = _expected(_MAIL, await self._ask(b"NOOP"))
        return self._printable(f"{answer.code} {answer.message}")

    @property
    def tls(self) -> ssl.SSLObject | None:
        """The TLS session; None without TLS."""
        return None if self._transport is None else self._transport.get_extra_info("ssl_object")

    async def _connect(self, first: SocketAddress | None) -> None:
        server = self._server
        addresses = await hosts.addresses(server.host, server.port)
        addresses.sort(key=lambda address: address != first)
        self._socket, self.address = await hosts.connect(addresses, server.timeout)
        implicit = server.security is Security.IMPLICIT
        self._transport, _ = await asyncio.get_running_loop().create_connection(
            lambda: self._answers,
            sock=self._socket,
            ssl=self._context if implicit else None,
            server_hostname=server.host if implicit else None,
            ssl_handshake_timeout=server.timeout if implicit else None,
        )

    async def _greet(self) -> None:
        answer = _expected(_MAIL, await self._ask(b"EHLO", self._hostname.encode("ascii")))
        # What was offered before TLS may have been forged (RFC 3207, section 4.2).
        self._offers, self._logins = parse_esmtp_extensions(answer.message)

    def _stream(self) -> asyncio.StreamWriter:
        """Make the writer of the content; aiosmtplib has none that can be awaited."""
        self._check_connected()
        transport = cast("asyncio.Transport", self._transport)
        # So drain() waits until our buffer is empty; with 0 asyncio's TLS would pause forever.
        transport.set_write_buffer_limits(high=1, low=0)
        return asyncio.StreamWriter(transport, self._protocol, None, asyncio.get_running_loop())

    @property
    def is_connected(self) -> bool:
        """Whether it is still open, as far as the event loop knows."""
        return self._protocol.is_connected

    def _check_connected(self) -> None:
        if not self._protocol.is_connected:
            message = "Connection lost"
            raise SMTPServerDisconnected(message)

    async def _start_tls(self, recipient: str) -> None:
        if "starttls" not in self._offers:
            raise SendError(recipient, SendFailure.TLS, None, "The server offers no STARTTLS.")
        async with self._step(recipient, SendFailure.LOST, refused=SendFailure.TLS, opening=True):
            _expected(_GREETING, await self._ask(b"STARTTLS"))
        if self._answers.unread:
            # Plain octets that would be read as sent under TLS (RFC 3207; CVE-2011-0411).
            message = "The server sent more than its 220 before TLS; an attacker may have inserted that."
            raise SendError(recipient, SendFailure.TLS, None, message)
        async with self._step(recipient, SendFailure.LOST, opening=True):
            await self._shake_hands()
            await self._greet()

    async def _shake_hands(self) -> None:
        self._check_connected()
        plain = cast("asyncio.Transport", self._transport)
        secured = await asyncio.get_running_loop().start_tls(
            plain,
            self._answers,
            cast("ssl.SSLContext", self._context),
            server_hostname=self._server.host,
            ssl_handshake_timeout=self._server.timeout,
        )
        if secured is None:
            message = "Connection lost"
            raise SMTPServerDisconnected(message)
        self._transport = self._protocol.transport = secured

    async def _login(self, recipient: str) -> None:
        """Log in by one mechanism only: each further attempt counts towards a lock-out."""
        mechanisms = {"plain": self._login_plain, "login": self._login_login, "cram-md5": self._login_cram_md5}
        offered = [login for name, login in mechanisms.items() if name in self._logins]
        if not offered:
            # Many servers offer them over TLS only.
            without = " without TLS" if self.tls is None else ""
            message = f"The server offers none of the logins PLAIN, LOGIN and CRAM-MD5{without}."
            raise SendError(recipient, SendFailure.LOGIN, None, message)
        async with self._step(recipient, SendFailure.LOST, refused=SendFailure.LOGIN):
            await offered[0](self._server.username or "", self._server.password or "")

    async def _login_plain(self, username: str, password: str) -> None:
        _expected(_WELCOME, await self._ask(b"AUTH", b"PLAIN", auth_plain_encode(username, password)))

    async def _login_login(self, username: str, password: str) -> None:
        name, word = auth_login_encode(username, password)
        _expected(_CHALLENGE, await self._ask(b"AUTH", b"LOGIN", name))
        _expected(_WELCOME, await self._ask(word))

    async def _login_cram_md5(self, username: str, password: str) -> None:
        challenge = _expected(_CHALLENGE, await self._ask(b"AUTH", b"CRAM-MD5"))
        digest = auth_crammd5_verify(username, password, challenge.message)
        # A weak password can be guessed from the digest, in base64 and as it follows the user name (RFC 2195).
        self._redaction.add(digest.decode("ascii"), b64decode(digest).decode().rpartition(" ")[2])
        _expected(_WELCOME, await self._ask(digest))

    async def mail(self, message: OutgoingMessage) -> None:
        """Begin a message, unless it exceeds the size that the server announced."""
        size, recipient = len(message.raw), message.rcpt_to
        options: list[bytes] = []
        if (offer := self._offers.get("size")) is not None:
            limit = _size_limit(offer)
            if limit is not None and limit < size:
                reply = f"The server accepts {limit} octets, the message has {size}; nothing was sent."
                raise SendError(recipient, SendFailure.REFUSED, None, reply)
            options.append(b"SIZE=%d" % size)
        # `check` has made sure that the mailbox is plain.
        sender = b"FROM:<%s>" % message.mail_from.encode()
        async with self._step(recipient, SendFailure.LOST):
            # The connection may have been idle, so read first what arrived in the meantime.
            await self._read_pending()
            _expected(_MAIL, await self._ask(b"MAIL", sender, *options))

    async def data(self, recipient: str) -> None:
        """After MAIL was accepted, send RCPT and DATA, until the server waits for the content."""
        async with self._step(recipient, SendFailure.LOST):
            _expected(_RCPT, await self._ask(b"RCPT", b"TO:<%s>" % recipient.encode()))
        async with self._step(recipient, SendFailure.LOST):
            _expected(_GO_ON, await self._ask(b"DATA"))

    async def transmit(
        self, recipient: str, content: bytes, checkpoint: Callable[[], Awaitable[None]]
    ) -> tuple[int, str]:
        """Send the content, its dots doubled, to a server that waits for it; return the server's answer."""
        await self._write(recipient, content)
        await checkpoint()
        async with self._step(recipient, SendFailure.LOST):
            # What arrived before the dot does not answer it. Without the dot the server has taken nothing.
            await self._read_pending()
            self._answers.ask()
            self._check_connected()
        # If the connection is lost from here on, the server may or may not have the message.
        async with self._step(recipient, SendFailure.UNKNOWN, seconds=self._server.final_timeout):
            answer = await self._protocol.execute_command(b".")
            if _contradicts(answer.code, self._answers.unread):
                more = self._answers.unread.decode("ascii", "replace")
                both = self._printable(f"The server gave two answers: {answer.code} {answer.message}, and {more}")
                raise SendError(recipient, SendFailure.UNKNOWN, None, both)
            _expected(_DONE, answer)
        return answer.code, self._printable(answer.message)

    async def _write(self, recipient: str, content: bytes) -> None:
        """Write all of the content, and return only when it has left our buffer on a live connection."""
        writer = cast("asyncio.StreamWriter", self._writer)
        for start in range(0, len(content), _PIECE):
            async with self._step(recipient, SendFailure.LOST):
                writer.write(content[start : start + _PIECE])
                await writer.drain()
                # drain() does not report a connection that was closed cleanly; this raises.
                self._check_connected()

    async def _ask(self, *words: bytes) -> SMTPResponse:
        """Send one command and return its answer; raise if something else is still unread."""
        self._answers.ask()
        return await self._protocol.execute_command(*words)

    async def _read_pending(self) -> None:
        """Let the event loop read what has arrived, if anything has."""
        with contextlib.suppress(OSError):  # the connection was closed
            try:
                cast("socket.socket", self._socket).recv(1, socket.MSG_PEEK)
            except BlockingIOError:
                return
        # The loop polls the socket in its next round, and passes on what it read in the round after.
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    async def reset(self) -> bool:
        """Cancel the message with RSET; return whether the connection can be used again."""
        try:
            async with asyncio.timeout(self._server.timeout):
                return (await self._ask(b"RSET")).code in _MAIL
        except (SMTPException, OSError):
            return False

    async def close(self) -> None:
        """Send QUIT and close; the server's answer changes nothing."""
        try:
            with contextlib.suppress(SMTPException, OSError):
                async with asyncio.timeout(min(_QUIT_TIMEOUT, self._server.timeout)):
                    await self._ask(b"QUIT")
        finally:
            await self.abort()

    async def abort(self) -> None:
        """Close without waiting for the server, whatever is in the buffers."""
        if self._transport is not None:
            self._transport.abort()
        # The loop closes the socket in its next round, and may not run one after this.
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
        """Limit the time of one step, and raise what goes wrong as a SendError with its meaning at that step."""
        try:
            async with asyncio.timeout(self._server.timeout if seconds is None else seconds):
                yield
        except SendError:
            raise
        except SMTPResponseException as error:
            code = error.code if error.code in _REFUSALS else None
            kind = refused or (lost if code is None else _refusal(code))
            # The cause would show the server's answer as it is, perhaps with our password in it.
            raise SendError(recipient, kind, code, self._printable(error.message)) from None
        except (SMTPException, OSError) as error:
            kind = SendFailure.TLS if opening and is_of_tls(error) else lost
            raise SendError(
                recipient, kind, None, self._printable(hosts.error_reason(error) if str(error) else "No answer in time")
            ) from None
        except Exception as error:  # noqa: BLE001 - an answer of the server must not raise anything else
            # Its meaning depends on the step alone.
            reply = f"The server's answer could not be read ({type(error).__name__}); show it to the server's operator"
            raise SendError(recipient, lost, None, reply) from None

    def _printable(self, text: str) -> str:
        """Put an answer on one line of printable characters, without our login."""
        return self._redaction(one_line(text[: 4 * _MAX_SHOWN]))[:_MAX_SHOWN]


def _expected(codes: range, answer: SMTPResponse) -> SMTPResponse:
    if answer.code not in codes:
        raise SMTPResponseException(answer.code, answer.message)
    return answer


def _refusal(code: int) -> SendFailure:
    return SendFailure.REFUSED if code >= _PERMANENT else SendFailure.DEFERRED


def _size_limit(offer: str) -> int | None:
    """Read the number after SIZE; None if it is invalid, or 0, which means no limit."""
    match = _SIZE.fullmatch(offer)
    return None if match is None else int(match[1]) or None


def _contradicts(code: int, more: bytes) -> bool:
    r"""
    Check whether what arrived with the answer to the dot contradicts it about whether the message was taken.

    >>> _contradicts(250, b"554 content rejected\r\n"), _contradicts(250, b"421 closing\r\n")
    (True, False)
    """
    others = {int(match[0]) for line in more.splitlines() if (match := _CODE.match(line))}
    return any((other in _DONE) != (code in _DONE) for other in others - {CLOSING_CODE})
