"""
Speak SMTP over one connection, each step with its own meaning of failure; the only module that knows aiosmtplib.

Never does: decide what is sent, or go on with a server whose answers are out of step.
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

from aiosmtplib import SMTPException, SMTPResponse, SMTPResponseException, SMTPServerDisconnected
from aiosmtplib.auth import auth_crammd5_verify, auth_login_encode, auth_plain_encode
from aiosmtplib.esmtp import parse_esmtp_extensions
from aiosmtplib.protocol import SMTPProtocol

from htpoort._redaction import Redaction
from htpoort.errors import SendError, SendFailure
from htpoort.message import Submission
from htpoort.transport import _connecting
from htpoort.transport._connecting import Address
from htpoort.transport.servers import Security, SmtpServer
from htpoort.transport.tls import is_of_tls

_PIECE: Final = 65_536  # octets that are handed over at a time; a socket takes about as many at once
_GOODBYE: Final = 5.0  # seconds for the answer to QUIT: the message has been taken, nothing depends on it
_SHOWN: Final = 500  # characters of a reply; RFC 5321 allows 512 octets a line
_LONGEST: Final = 32_768  # octets of an answer, as aiosmtplib has it; a long one to EHLO has a thousand

_GREETING: Final = range(220, 221)
_MAIL: Final = range(250, 251)
_RCPT: Final = range(250, 252)  # 251: it will be forwarded
_GO_ON: Final = range(354, 355)
_CHALLENGE: Final = range(334, 335)
_WELCOME: Final = range(235, 236)
_DONE: Final = range(200, 300)
_REFUSALS: Final = range(400, 600)
_FOR_GOOD: Final = 500
LEAVING: Final = 421
"""The server closes the connection (RFC 5321, section 3.8); it may say so at any time."""

_CODE: Final = re.compile(rb"[2-5][0-9]{2}(?=[ \r\n-])")
_SIZE: Final = re.compile(r"0*([0-9]{1,20})")  # RFC 1870, section 4: at most 20 digits


@final
class _Answers(asyncio.Protocol):
    """
    Give aiosmtplib one whole answer for each question, and keep what the server sent beyond it.

    aiosmtplib takes what is left of a packet for the answer to its next command, and drops what comes between two of
    them, so that a server whose answers are out of step is not noticed, and a refusal is read as a 250.

    Args:
        protocol: What reads the answers.
    """

    def __init__(self, protocol: SMTPProtocol) -> None:
        self._protocol = protocol
        self._came = bytearray()
        self._line = 0  # where the line begins whose end has not come yet
        self._asked = True  # the greeting comes without a question

    @property
    def unread(self) -> bytes:
        """What came that nothing was asked for."""
        return b"" if self._asked else bytes(self._came)

    def ask(self) -> None:
        """
        Say that a question is about to leave.

        Raises:
            SMTPServerDisconnected: Something unread is there, so the next answer may be that to another question.
        """
        if self._came:
            said = self._came[:_SHOWN].decode("ascii", "replace")
            message = f"The server's answers are out of step; it sent this without a question: {said}"
            raise SMTPServerDisconnected(message)
        self._asked = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._protocol.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        # What is too long says nothing, so that its rest need not be kept.
        self._came += data[: 2 * _LONGEST - len(self._came)]
        while self._asked and (end := self._came.find(b"\n", self._line) + 1):
            goes_on = self._came.startswith(b"-", self._line + 3) and _CODE.match(self._came, self._line)
            self._line = end
            if not goes_on:
                self._hand_over(end)
        if self._asked and len(self._came) > _LONGEST:
            self._hand_over(len(self._came))

    def _hand_over(self, end: int) -> None:
        answer = bytes(self._came[:end])
        del self._came[:end]
        self._line, self._asked = 0, False
        if len({line[:3] for line in answer.splitlines()}) > 1:
            # Each line has the same code (RFC 5321, section 4.2.1). Of two, neither counts.
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
class Connection:
    """
    Hold one connection to the server.

    Args:
        server: Where to connect.
        context: For TLS; None where there is none.
        submission: The first message that goes over it; its sender's domain is our name where none is set.
    """

    def __init__(self, server: SmtpServer, context: ssl.SSLContext | None, submission: Submission) -> None:
        self._server = server
        self._context = context
        # Of this connection alone: each login by CRAM-MD5 adds to it.
        self._redaction = Redaction.of_login(server.username, server.password)
        # Without a name there is the DNS to ask for ours.
        self._hostname = server.local_hostname or submission.mail_from.rpartition("@")[2]
        self._protocol = SMTPProtocol(asyncio.get_running_loop())
        self._answers = _Answers(self._protocol)
        self._socket: socket.socket | None = None
        self._transport: asyncio.Transport | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._offers: dict[str, str] = {}
        self._logins: list[str] = []
        self.address: Address | None = None
        """The address that answered."""

    async def open(self, recipient: str, first: Address | None) -> None:
        """Connect, to *first* before all others where the host still has it; make the connection safe; log in."""
        async with self._step(recipient, SendFailure.CONNECT, opening=True):
            await self._connect(first)
            _expected(_GREETING, await self._protocol.read_response())
        async with self._step(recipient, SendFailure.LOST, opening=True):
            await self._greet()
        if self._server.security is Security.STARTTLS:
            await self._start_tls(recipient)
        if self._server.username is not None:
            await self._login(recipient)
        async with self._step(recipient, SendFailure.LOST):
            self._writer = self._stream()

    async def _connect(self, first: Address | None) -> None:
        server = self._server
        found = await _connecting.addresses(server.host, server.port)
        found.sort(key=lambda one: one != first)
        self._socket, self.address = await _connecting.connect(found, server.timeout)
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
        """Give what writes the content; aiosmtplib offers nothing that can be waited for."""
        self._check_connected()
        transport = cast("asyncio.Transport", self._transport)
        # So drain() waits until nothing is left in our buffer; with 0 asyncio's TLS pauses for ever.
        transport.set_write_buffer_limits(high=1, low=0)
        return asyncio.StreamWriter(transport, self._protocol, None, asyncio.get_running_loop())

    @property
    def is_connected(self) -> bool:
        """Whether it is open still, as far as the loop has heard."""
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
            # Octets in the clear that would count as said under TLS (RFC 3207; CVE-2011-0411).
            message = "The server sent more than its 220 before TLS; somebody on the way may have put that in."
            raise SendError(recipient, SendFailure.TLS, None, message)
        async with self._step(recipient, SendFailure.LOST, opening=True):
            await self._shake_hands()
            await self._greet()

    async def _shake_hands(self) -> None:
        self._check_connected()
        plain = cast("asyncio.Transport", self._transport)
        safe = await asyncio.get_running_loop().start_tls(
            plain,
            self._answers,
            cast("ssl.SSLContext", self._context),
            server_hostname=self._server.host,
            ssl_handshake_timeout=self._server.timeout,
        )
        if safe is None:
            message = "Connection lost"
            raise SMTPServerDisconnected(message)
        self._transport = self._protocol.transport = safe

    async def _login(self, recipient: str) -> None:
        """Log in by one mechanism: each further try counts towards a lock-out."""
        mechanisms = {"plain": self._login_plain, "login": self._login_login, "cram-md5": self._login_cram_md5}
        offered = [login for name, login in mechanisms.items() if name in self._logins]
        if not offered:
            raise SendError(recipient, SendFailure.LOGIN, None, "The server offers no login that htpoort knows.")
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
        # Weak passwords can be found from it, in base64 and as it is behind the user name (RFC 2195).
        self._redaction.add(digest.decode("ascii"), b64decode(digest).decode().rpartition(" ")[2])
        _expected(_WELCOME, await self._ask(digest))

    async def mail(self, submission: Submission) -> None:
        """Begin a message, unless the server has said that it is too large."""
        size, recipient = len(submission.data), submission.rcpt_to
        options: list[bytes] = []
        if (offer := self._offers.get("size")) is not None:
            limit = _size_limit(offer)
            if limit is not None and limit < size:
                reply = f"The server takes {limit} octets, the message has {size}; nothing was sent."
                raise SendError(recipient, SendFailure.REFUSED, None, reply)
            options.append(b"SIZE=%d" % size)
        # The mailbox is plain, as `check` knows.
        sender = b"FROM:<%s>" % submission.mail_from.encode()
        async with self._step(recipient, SendFailure.LOST):
            # The connection may have been idle, so what came meanwhile is read first.
            await self._look()
            _expected(_MAIL, await self._ask(b"MAIL", sender, *options))

    async def data(self, submission: Submission) -> None:
        """Go on with a message for which MAIL has been taken, until the server waits for its content."""
        recipient = submission.rcpt_to
        async with self._step(recipient, SendFailure.LOST):
            _expected(_RCPT, await self._ask(b"RCPT", b"TO:<%s>" % recipient.encode()))
        async with self._step(recipient, SendFailure.LOST):
            _expected(_GO_ON, await self._ask(b"DATA"))

    async def transmit(self, recipient: str, content: bytes, go_on: Callable[[], Awaitable[None]]) -> tuple[int, str]:
        """Send the content, its dots doubled, to a server that waits for it; gives the server's answer."""
        await self._write(recipient, content)
        await go_on()
        async with self._step(recipient, SendFailure.LOST):
            # What came before the dot is no answer to it. Without the dot the server has taken nothing.
            await self._look()
            self._answers.ask()
            self._check_connected()
        # From here on a loss leaves open whether the server has the message.
        async with self._step(recipient, SendFailure.UNKNOWN, seconds=self._server.final_timeout):
            answer = await self._protocol.execute_command(b".")
            if _contradicts(answer.code, self._answers.unread):
                more = self._answers.unread.decode("ascii", "replace")
                said = self._told(f"The server gave two answers: {answer.code} {answer.message}, and {more}")
                raise SendError(recipient, SendFailure.UNKNOWN, None, said)
            _expected(_DONE, answer)
        return answer.code, self._told(answer.message)

    async def _write(self, recipient: str, content: bytes) -> None:
        """Hand all of the content over, and return only when it has left our buffer on a living connection."""
        writer = cast("asyncio.StreamWriter", self._writer)
        for start in range(0, len(content), _PIECE):
            async with self._step(recipient, SendFailure.LOST):
                writer.write(content[start : start + _PIECE])
                await writer.drain()
                # drain() is silent about a connection that was closed in good order; this raises.
                self._check_connected()

    async def _ask(self, *words: bytes) -> SMTPResponse:
        """Send one command and give its answer, where nothing unread stands before that."""
        self._answers.ask()
        return await self._protocol.execute_command(*words)

    async def _look(self) -> None:
        """Let the loop read what has arrived, where anything has."""
        with contextlib.suppress(OSError):  # of a connection that was closed
            try:
                cast("socket.socket", self._socket).recv(1, socket.MSG_PEEK)
            except BlockingIOError:
                return
        # The loop asks the socket in its next round, and hands over what it reads in the one after.
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    async def reset(self) -> bool:
        """Take back what was begun; tell whether the connection can be used again."""
        try:
            async with asyncio.timeout(self._server.timeout):
                return (await self._ask(b"RSET")).code in _MAIL
        except (SMTPException, OSError):
            return False

    async def close(self) -> None:
        """Say goodbye; how the server takes it changes nothing."""
        try:
            with contextlib.suppress(SMTPException, OSError):
                async with asyncio.timeout(min(_GOODBYE, self._server.timeout)):
                    await self._ask(b"QUIT")
        finally:
            await self.abort()

    async def abort(self) -> None:
        """Close without waiting for the server, whatever stands in the buffers."""
        if self._transport is not None:
            self._transport.abort()
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
        except SendError:
            raise
        except SMTPResponseException as error:
            code = error.code if error.code in _REFUSALS else None
            kind = refused or (lost if code is None else _refusal(code))
            # The cause would show what the server said as it is, perhaps with our password in it.
            raise SendError(recipient, kind, code, self._told(error.message)) from None
        except (SMTPException, OSError) as error:
            kind = SendFailure.TLS if opening and is_of_tls(error) else lost
            raise SendError(recipient, kind, None, self._told(str(error) or "No answer in time")) from None
        except Exception as error:  # noqa: BLE001 - what the server says must not raise anything else
            # What it means depends on the place alone.
            reply = f"{type(error).__name__} when the server's answer was read"
            raise SendError(recipient, lost, None, reply) from None

    def _told(self, text: str) -> str:
        """Put what a server says on one line of printable characters, without our login."""
        line = "".join(character if character.isprintable() else " " for character in text[: 4 * _SHOWN])
        return " ".join(self._redaction(line).split())[:_SHOWN]


def _expected(codes: range, answer: SMTPResponse) -> SMTPResponse:
    if answer.code not in codes:
        raise SMTPResponseException(answer.code, answer.message)
    return answer


def _refusal(code: int) -> SendFailure:
    return SendFailure.REFUSED if code >= _FOR_GOOD else SendFailure.DEFERRED


def _size_limit(offer: str) -> int | None:
    """Read the number behind SIZE; None where it is no limit, as 0 is, and where it is no number that could be one."""
    match = _SIZE.fullmatch(offer)
    return None if match is None else int(match[1]) or None


def _contradicts(code: int, more: bytes) -> bool:
    r"""
    Tell whether what came together with the answer to the dot says otherwise whether the message was taken.

    >>> _contradicts(250, b"554 content rejected\r\n"), _contradicts(250, b"421 closing\r\n")
    (True, False)
    """
    others = {int(match[0]) for line in more.splitlines() if (match := _CODE.match(line))}
    return any((other in _DONE) != (code in _DONE) for other in others - {LEAVING})
