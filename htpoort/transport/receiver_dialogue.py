"""
The SMTP dialogue of one connection to a receiver. The only module that imports aiosmtpd.

This module never reveals to a peer why a handler failed.
"""

from __future__ import annotations

import asyncio
import logging
import re
import sys
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final, cast, final

from aiosmtpd import smtp

from htpoort._log import event
from htpoort.core import grammar
from htpoort.transport import hosts
from htpoort.transport.content import ContentReader, Unfit
from htpoort.transport.receiver_connections import ConnectionTracker, error_location
from htpoort.transport.smtp_inbox import Answer, Authenticator, Incoming, Refusal, SmtpInbox

_LOG: Final = logging.getLogger("htpoort.transport")

_MAX_COMMAND: Final = 512  # octets of a command (RFC 5321, section 4.5.3.1.4)
_MAX_AUTH: Final = 500  # further octets for AUTH= in MAIL (RFC 4954, section 3)
_MAX_LINE: Final = 12_288  # octets of a line with a password (RFC 4954, section 4.1); does not limit contents
_PIECE: Final = 65_536  # octets of content that restart the timeout
_CONTENT_TIMEOUTS: Final = 10  # a whole content may take as many times the timeout
_FLUSH_TIMEOUT: Final = 5.0  # seconds after the timeout in which a peer has to take what is being sent to it
_TOO_LARGE: Final = "552 Error: message size exceeds fixed maximum message size"
"""aiosmtpd's answer to a SIZE at MAIL above the limit."""
_REFUSED: Final = {
    Unfit.UNCLEAN: (
        "%s: answered 550 to a message and closed the connection, because the message has a bare CR, a bare LF or "
        "a NUL; its sender will not try again"
    ),
    Unfit.TOO_LARGE: (
        "%s: answered 552 to a message, because it has more octets than size_limit (%d); its sender will not try again"
    ),
    Unfit.NO_ROOM: (
        "%s: answered 452 to a message, because all messages together would have more octets than held_limit (%d); "
        "its sender should try again"
    ),
}
_UNFIT: Final = {
    Unfit.UNCLEAN: Answer.UNCLEAN,
    Unfit.TOO_LARGE: Answer.TOO_LARGE,
    Unfit.NO_ROOM: Answer.NO_ROOM,
}
_NULL: Final = "<>"  # the null sender; aiosmtpd would take an empty text for no MAIL at all

# How often a command may be sent on one connection: as often as a sender has messages, but not to guess passwords.
_MAX_CALLS: Final = {**dict.fromkeys(("MAIL", "RCPT", "DATA", "RSET", "NOOP"), sys.maxsize), "AUTH": 3, "*": 20}

# The form that nearly every peer sends; anything else goes to aiosmtpd's parser, which is a hundred times slower.
_PATH: Final = re.compile(rf"<({grammar.ADDRESS.pattern}|)>(?: (.*))?")
# A control character in an answer, but for the line ends of one with several lines (RFC 5321, section 4.2).
_CONTROL: Final = re.compile(r"[\0-\x09\x0b\x0c\x0e-\x1f\x7f]|\r(?!\n)|(?<!\r)\n")
# RFC 3461, section 4; aiosmtpd passes it in upper case.
_XTEXT: Final = re.compile(r"(?:[!-*,-<>-~]|\+[0-9A-F]{2})+")


@final
class _Hooks:
    """The methods that aiosmtpd calls for a command, by the names that it expects."""

    def __init__(self, inbox: SmtpInbox) -> None:
        self._inbox = inbox

    async def handle_EHLO(  # noqa: N802 - aiosmtpd counts the arguments
        self,
        _server: smtp.SMTP,
        session: smtp.Session,
        _envelope: smtp.Envelope,
        hostname: str,
        responses: list[str],
    ) -> list[str]:
        """Answer in one piece, without AUTH if there is no authenticator; aiosmtpd always offers it, line by line."""
        session.host_name = hostname
        if self._inbox.authenticator is None:
            responses = [line for line in responses if not line.startswith("250-AUTH")]
        return ["\r\n".join(responses)]

    @staticmethod
    async def handle_MAIL(  # noqa: N802 - the same
        server: smtp.SMTP, _session: smtp.Session, envelope: smtp.Envelope, address: str, options: list[str]
    ) -> str:
        dialogue = cast("ReceiverDialogue", server)
        if refusal := dialogue.refusal_of(address):
            return refusal
        if not dialogue.has_room_for(options):
            dialogue.report_unfit(Unfit.NO_ROOM)
            return Answer.NO_ROOM
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return Answer.ACCEPTED

    async def handle_RCPT(  # noqa: N802 - the same
        self, server: smtp.SMTP, _session: smtp.Session, envelope: smtp.Envelope, address: str, _options: list[str]
    ) -> str:
        mailbox = self._inbox.mailbox(address)
        if mailbox is None:
            cast("ReceiverDialogue", server).report_recipient()
            return Answer.UNKNOWN_MAILBOX
        # The one answer to the final dot can be true of one recipient only.
        if envelope.rcpt_tos:
            return Answer.ONE_ONLY
        envelope.rcpt_tos.append(mailbox)
        return Answer.ACCEPTED


@final
class _Session(smtp.Session):
    """Holds the login without the warning: aiosmtpd sets this at each login, and warns that it is deprecated."""

    login_data: Any = None


@final
class _CommandSizes(dict[str, int]):  # noqa: FURB189 - aiosmtpd looks it up at each command
    """How long commands may be. aiosmtpd's own table is shared by all connections, and keeps each word of a peer."""

    def __missing__(self, command: str) -> int:
        return _MAX_COMMAND


class ReceiverDialogue(smtp.SMTP):
    """
    Speak SMTP on one connection: aiosmtpd's dialogue with our own DATA.

    Args:
        tracker: What the connections of the receiver share.
        peer: The peer's numeric address.
    """

    # aiosmtpd makes its stream buffer of this size, and pauses the connection at twice as much.
    line_length_limit = _MAX_LINE

    def __init__(self, tracker: ConnectionTracker, peer: str) -> None:
        self._tracker = tracker
        # Passed in, because the transport cannot know it if the peer has left already.
        self._peer = peer
        self._is_handling = False
        self._answers = 0
        self._is_mail = False
        self._content: ContentReader | None = None
        # While content arrives: its reader, and a future that is done at its end.
        self._arriving: tuple[ContentReader, asyncio.Future[None]] | None = None
        self._counted = 0
        self.command_size_limits = _CommandSizes()
        inbox = tracker.inbox
        super().__init__(
            _Hooks(inbox),
            data_size_limit=inbox.size_limit,
            hostname=inbox.hostname,
            ident="ESMTP",
            timeout=inbox.timeout,
            auth_require_tls=inbox.require_tls or not hosts.is_loopback(inbox.host),
            auth_exclude_mechanism=("LOGIN", "PLAIN") if inbox.authenticator is None else (),
            authenticator=self._check_login,
            command_call_limit=_MAX_CALLS,
            loop=asyncio.get_running_loop(),
        )
        # Set afterwards: passed above, it causes a warning at each connection if clients must present a certificate.
        self.tls_context = inbox.tls
        self.require_starttls = inbox.require_tls
        if inbox.authenticator is not None:
            self.command_size_limits["MAIL"] = _MAX_COMMAND + _MAX_AUTH

    def _create_session(self) -> smtp.Session:
        return _Session(self.loop)

    # ── the connection ──

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._tracker.watch(cast("asyncio.Task[None]", self._handler_coroutine))

    def connection_lost(self, error: Exception | None) -> None:
        super().connection_lost(error)
        self._tracker.remove(self)

    def data_received(self, data: bytes) -> None:
        """Pass content to its reader, bypassing the buffer of commands."""
        if self._arriving is None:
            super().data_received(data)
            return
        content, ended = self._arriving
        rest = content.feed(data)
        if content.received - self._counted >= _PIECE:
            self._counted = content.received
            self._reset_timeout()
        if rest is not None:
            self._arriving = None
            if not ended.done():
                ended.set_result(None)
            super().data_received(rest)

    async def push(self, status: str | bytes) -> None:
        if self._is_mail and status == _TOO_LARGE:
            self.report_unfit(Unfit.TOO_LARGE)
        # aiosmtpd repeats commands in its answers, as the peer sent them.
        text = status if isinstance(status, str) else status.decode("utf-8", "replace")
        await super().push(_CONTROL.sub("?", text).encode())
        self._answers += 1
        if self._answers % self._tracker.inbox.limits.commands_per_turn == 0:
            # Reading what has arrived, and writing to a peer that reads, never wait, so others would get no turn.
            await asyncio.sleep(0)

    def finish(self) -> None:
        """Close the connection; if a handler runs, after its answer."""
        if not self._is_handling and self.transport is not None and not self.transport.is_closing():
            self._writer.write(f"{Answer.CLOSING}\r\n".encode())
            self._close()

    def abort(self) -> None:
        """Close the connection at once, and drop what was still to be sent."""
        if self.transport is None:
            return
        # A TLS transport that aiosmtpd closed twice cannot be aborted; the transport below it can.
        cast("asyncio.WriteTransport", self._original_transport or self.transport).abort()
        if self._is_shaking_hands:
            # asyncio does not report the lost connection in this case.
            self.connection_lost(None)

    @property
    def _is_shaking_hands(self) -> bool:
        return self._original_transport is not None and cast("smtp.Session", self.session).ssl is None

    def _close(self) -> None:
        transport = cast("asyncio.BaseTransport", self.transport)
        if not transport.is_closing():
            transport.close()

    async def _close_and_wait(self) -> None:
        """Close the connection, and do not run commands that had arrived before."""
        self._close()
        # Cancelled when the connection is lost.
        await asyncio.get_running_loop().create_future()

    def _timeout_cb(self) -> None:
        """Close a connection after its timeout; abort it if the peer does not take what is being sent to it."""
        if self.transport is None:
            return
        if self.transport.is_closing():
            self.abort()
            return
        self.transport.close()
        self._reset_timeout(min(_FLUSH_TIMEOUT, self._tracker.inbox.timeout))

    async def _handle_client(self) -> None:
        if self._tracker.closing:
            self.finish()
        else:
            await super()._handle_client()

    # ── login and TLS ──

    def _check_login(
        self,
        _server: smtp.SMTP,
        _session: smtp.Session,
        _envelope: smtp.Envelope,
        _mechanism: str,
        login: smtp.LoginPassword,
    ) -> smtp.AuthResult:
        """Call the authenticator; without one, every mechanism is excluded and this is never called."""
        check = cast("Authenticator", self._tracker.inbox.authenticator)
        try:
            valid = check(login.login.decode(), login.password.decode())
        except UnicodeDecodeError:
            valid = False
        except Exception as error:  # noqa: BLE001 - whatever it is, the peer must try again
            where = error_location(error)  # no text of it
            self._tracker.log.error(  # noqa: TRY400 - the same
                "The authenticator failed; answered 454: %s", where, extra=event("login.not-checked", where=where)
            )
            return smtp.AuthResult(success=False, handled=False, message=Answer.LOGIN_LATER)
        return smtp.AuthResult(success=valid, handled=False, auth_data=login.login if valid else None)

    # ── commands ──

    def refusal_of(self, address: str) -> str | None:  # noqa: ARG002 - the simulator uses it
        """Decide why a sender may not send now; None if it may."""
        login_needed = self._tracker.inbox.authenticator is not None
        return Answer.LOGIN_FIRST if login_needed and not cast("smtp.Session", self.session).authenticated else None

    def _getaddr(self, arg: str) -> tuple[str | None, str | None]:
        if matched := _PATH.fullmatch(arg):
            return matched[1] or _NULL, matched[3] or ""
        try:
            address, rest = super()._getaddr(arg)
        except (AttributeError, IndexError):
            # The stdlib's parser raises these on "<" or "a@[".
            return None, None
        return (address, rest) if address is not None and address.isprintable() else (None, None)

    def has_room_for(self, options: Sequence[str]) -> bool:
        """Check whether a message of the size that MAIL announces would fit (RFC 1870, section 6.1)."""
        size = next((int(option[5:]) for option in options if option.startswith("SIZE=")), 0)
        return size <= self._tracker.held.left

    def _getparams(self, params: Sequence[str]) -> dict[str, str | bool] | None:
        parsed = super()._getparams(params)
        if parsed is not None and len(parsed) != len(params):
            return None  # a repeated parameter: aiosmtpd would check only one of the two
        # The claimed author of the message is ignored (RFC 4954, section 5: as if it were "<>").
        if parsed is not None and self._is_mail and self._tracker.inbox.authenticator is not None:
            author = parsed.pop("AUTH", "<>")
            return parsed if isinstance(author, str) and _XTEXT.fullmatch(author) else None
        return parsed

    async def smtp_MAIL(self, arg: str | None) -> None:  # noqa: N802 - aiosmtpd's name
        """Begin a message; AUTH= is accepted if there is an authenticator."""
        self._is_mail = True
        try:
            await super().smtp_MAIL(arg)
        finally:
            self._is_mail = False

    async def smtp_HELP(self, arg: str | None) -> None:  # noqa: N802 - the same
        """List the commands; aiosmtpd leaves out those that a subclass overrides."""
        methods = {name: getattr(smtp.SMTP, f"smtp_{name}", None) for name in self._smtp_methods}
        is_available = cast("Callable[[Any], bool]", self._syntax_available)
        known = {name: method for name, method in methods.items() if method and is_available(method)}
        if self._tracker.inbox.authenticator is None:
            known.pop("AUTH")
        if method := known.get((arg or "").upper()):
            extended = cast("smtp.Session", self.session).extended_smtp and method.__smtp_syntax_extended__
            await self.push(f"250 Syntax: {method.__smtp_syntax__}{extended or ''}")
        else:
            await self.push(f"{501 if arg else 250} Supported commands: {' '.join(sorted(known))}")

    async def smtp_STARTTLS(self, arg: str) -> None:  # noqa: N802 - the same
        """Start TLS, once (RFC 3207, section 4.2)."""
        if cast("smtp.Session", self.session).ssl is not None:
            await self.push(Answer.TLS_ALREADY)
            return
        reason: BaseException | None = None
        try:
            await super().smtp_STARTTLS(arg)
        except smtp.TLSSetupException as error:
            reason = error.__cause__
        if self._is_shaking_hands:
            why = getattr(reason, "reason", None) or (type(reason).__name__ if reason else "timeout")
            self._tracker.log.warning(
                "%s: the TLS handshake failed: %s",
                *(self._peer, why),
                extra=event("tls.handshake-failed", peer=self._peer, why=why),
            )
            self.abort()

    async def smtp_VRFY(self, arg: str) -> None:  # noqa: N802, ARG002 - aiosmtpd's name and form
        """Do not reveal which mailboxes exist."""
        await self.push(Answer.CANNOT_VERIFY)

    async def smtp_DATA(self, arg: str | None) -> None:  # noqa: N802 - aiosmtpd's name
        """Read a message in pieces, and answer when the handler has returned."""
        if await self.check_helo_needed():
            return
        envelope = cast("smtp.Envelope", self.envelope)
        if arg or not envelope.rcpt_tos:
            await self.push("501 Syntax: DATA" if arg else "503 Error: need RCPT command")
            return
        await self.push("354 End data with <CR><LF>.<CR><LF>")
        content = self._content = ContentReader(self._tracker.inbox.size_limit, self._tracker.held)
        try:
            await self._receive(content)
            # The timeout of the handler begins now.
            self._reset_timeout()
            self.envelope = self._create_envelope()
            if (unfit := content.unfit) is not None:
                await self._refuse(unfit)
                return
            incoming = Incoming(
                mail_from="" if envelope.mail_from == _NULL else str(envelope.mail_from),
                rcpt_to=envelope.rcpt_tos[0],
                peer=self._peer,
                tls=cast("smtp.Session", self.session).ssl is not None,
                raw=content.content(),
            )
            await self._end_content(incoming)
        finally:
            self._drop_content()

    def _drop_content(self) -> None:
        """Free a content, unless a handler has it."""
        if self._content is not None:
            self._content.drop()
            self._content = None

    async def _receive(self, content: ContentReader) -> None:
        """Read up to the final dot; what follows it belongs to the next command."""
        # Read what arrived together with DATA. The extra octet makes sure that read() does not wait.
        self._reader.feed_data(b"\0")
        rest = content.feed((await self._reader.read(sys.maxsize))[:-1])
        if rest is not None:
            self._reader.feed_data(rest)
            return
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[None] = loop.create_future()
        self._arriving, self._counted = (content, ended), content.received
        deadline = loop.call_later(_CONTENT_TIMEOUTS * self._tracker.inbox.timeout, self._timeout_cb)
        try:
            await ended
        finally:
            self._arriving = None
            deadline.cancel()

    def report_unfit(self, unfit: Unfit) -> None:
        """Log that a message is refused, because a reply from Customs may be lost."""
        inbox = self._tracker.inbox
        limits = {Unfit.TOO_LARGE: (inbox.size_limit,), Unfit.NO_ROOM: (inbox.limits.held_limit,)}
        self._tracker.log.warning(
            _REFUSED[unfit],
            *(self._peer, *limits.get(unfit, ())),
            extra=event("message.refused", peer=self._peer, answer=int(_UNFIT[unfit][:3])),
        )

    def report_recipient(self) -> None:
        """Log that a recipient is refused, but not which one, because strangers choose it."""
        self._tracker.log.warning(
            "%s: answered 550 to a recipient that is not one of the mailboxes of this inbox",
            self._peer,
            extra=event("recipient.refused", peer=self._peer, answer=550),
        )

    async def _refuse(self, unfit: Unfit) -> None:
        self.report_unfit(unfit)
        await self.push(_UNFIT[unfit])
        if unfit is Unfit.UNCLEAN:
            # What follows may be a message hidden in this one.
            await self._close_and_wait()

    async def _end_content(self, incoming: Incoming) -> None:
        """Answer the final dot."""
        await self._run_detached(self._handle(incoming))
        if self.transport is not None and self.transport.is_closing():
            await self._close_and_wait()

    async def _run_detached(self, work: Coroutine[Any, Any, None]) -> None:
        """Run what goes on even if the connection is lost, and keep the content as long as it runs."""
        content, self._content = cast("ContentReader", self._content), None
        # Set now and not when the task begins, so that closing the receiver waits for the handler.
        self._is_handling = True
        await self._tracker.run_detached(work, content.drop)

    async def _handle(self, incoming: Incoming) -> None:
        """Pass a message to the handler, and send the answer if the peer is still connected."""
        answer = await self._answer(incoming)
        self._is_handling = False
        if self.transport is None:
            _LOG.warning(
                "%s disconnected before the answer %s",
                *(incoming.peer, answer),
                extra=event("connection.lost", peer=incoming.peer, answer=int(answer[:3])),
            )
            return
        try:
            await self.push(answer)
        except ConnectionError:
            _LOG.warning(
                "%s disconnected during the answer %s",
                *(incoming.peer, answer),
                extra=event("connection.lost", peer=incoming.peer, answer=int(answer[:3])),
            )
            return
        if self._tracker.closing:
            self.finish()
        elif answer.startswith("421"):
            self._close()

    async def _answer(self, incoming: Incoming) -> str:
        try:
            await self._tracker.handler(incoming)
        except Refusal as refusal:
            return str(refusal)
        except Exception as error:  # noqa: BLE001 - whatever it is, the peer must try again
            where = error_location(error)
            _LOG.error(
                "The handler failed; answered 451: %s",
                where,
                extra=event("message.not-handled", peer=incoming.peer, where=where),
            )
            return Answer.TRY_LATER
        return Answer.ACCEPTED

    async def handle_exception(self, error: Exception) -> str:
        """Answer an internal error; aiosmtpd would answer 500, with the error's text."""
        where = error_location(error)
        self._tracker.log.error(
            "A command failed; answered 451: %s", where, extra=event("dialogue.command-failed", where=where)
        )
        return Answer.TRY_LATER
