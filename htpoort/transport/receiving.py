"""
Receive replies from Customs by SMTP, and answer 250 only for what has been taken.

Never does: start a thread, relay, or tell a peer why a handler failed.
"""

from __future__ import annotations

import asyncio
import logging
import re
import ssl
import sys
from collections.abc import Iterable
from types import TracebackType
from typing import Any, Final, Self, cast, final

from aiosmtpd import smtp

from htpoort import _grammar
from htpoort.transport import _content, _hosts, _terms
from htpoort.transport._house import House, listening, where
from htpoort.transport.incoming import Incoming, Refusal

__all__ = ["Receiver"]

_LOG: Final = logging.getLogger("htpoort.transport")

_PIECE: Final = 65_536  # octets that are read at a time; no line is limited by it
_TAKEN: Final = "250 OK"
_LATER: Final = "451 4.3.0 Not taken, try again later"
_CLOSING: Final = "421 4.3.2 Closing"
_NO_SERVICE: Final = "554 5.7.1 No service for you here"
_NOT_OURS: Final = "550 5.1.1 No such mailbox here"
_ONE_ONLY: Final = "452 4.5.3 One recipient a message"
_TOO_LARGE: Final = "552 5.3.4 Message too large"
_UNCLEAN: Final = "550 5.6.0 Bare CR, bare LF or NUL in the message"
LOGIN_FIRST: Final = "530 5.7.0 Authentication required"
_LOGIN_LATER: Final = "454 4.7.0 Login cannot be checked, try again later"
_TLS_STANDS: Final = "503 5.5.1 TLS stands already"
_NOTHING_TOLD: Final = "252 2.5.2 Cannot tell; send it and see"
_NULL: Final = "<>"  # the null sender, as aiosmtpd tells it from none

# How often a command may come on one connection. A sender may stay for all its
# messages; a guesser of passwords may not.
_OFTEN: Final = sys.maxsize
_CALLS: Final = {"MAIL": _OFTEN, "RCPT": _OFTEN, "DATA": _OFTEN, "RSET": _OFTEN, "NOOP": _OFTEN, "AUTH": 3, "*": 20}

# What nearly every peer sends; anything else goes to aiosmtpd's parser, which is a hundred times slower.
_PATH: Final = re.compile(rf"<({_grammar.ADDRESS.pattern}|)>(?: (.*))?")


class Receiver:
    r"""
    Listen for messages in the caller's event loop, and give each to a handler.

    ::

        async with Receiver(store, hostname="mx.forwarder.example", mailboxes=["edi@forwarder.example"]) as receiver:
            print(receiver.port)

    The peer gets 250 when the handler has returned, so a handler that stores first loses nothing. If it
    raises, the peer gets 451 and comes again; a `Refusal` chooses another answer. A handler that runs is
    not cancelled when its peer leaves. Lines may be as long as the message.

    Refused before the handler is asked: a message that is not for one of the mailboxes (550), a second
    recipient (452), more than *size_limit* octets (552), a bare CR, a bare LF or a NUL in the content
    (550), a peer outside of *networks* (554 instead of a greeting).

    On leaving the block it stops listening, closes the connections, and gives handlers that run *grace*
    seconds to end, so what is being stored still gets its 250; then it cancels them. The block may be
    entered again.

    The logger ``htpoort.transport`` tells failures by class and line, without texts of errors or
    messages; aiosmtpd's own, ``mail.log``, tells each command at level INFO.

    Args:
        handler: Awaited with each message. Messages of different connections come at the same time.
        hostname: Our name, told in the greeting.
        mailboxes: The mailboxes that are ours; ASCII, letters compare in either case.
        host: The name or numeric address of the interface to listen on.
        port: 0 for one that is free.
        tls: The context for STARTTLS, as from `server_context`; without it there is none.
        require_tls: Take nothing before STARTTLS.
        size_limit: Octets of a message, line ends counted, doubled dots not.
        networks: Where peers may come from, as addresses with a prefix; an empty one lets nobody in.
        timeout: Seconds without a command, or in which less than 65,536 octets of content come, or in
            which the handler does not end, after which the connection is closed.
        grace: Seconds that handlers have to end when the receiver closes; as many again, at least 5, to obey.
        authenticator: Called with user name and password in the loop, so it must be quick. If given,
            peers must log in; only over TLS, unless *host* is this machine.

    Attributes:
        port: The port listened on; the one asked for, before that.

    Raises:
        InputError: Arguments cannot be taken; tells every one.

    Source:
        RFC 5321; RFC 2920 is not offered.
    """

    def __init__(  # noqa: PLR0913 - a server has as many settings; each has its default
        self,
        handler: _terms.Handler,
        *,
        hostname: str,
        mailboxes: Iterable[str],
        host: str = "127.0.0.1",
        port: int = 0,
        tls: ssl.SSLContext | None = None,
        require_tls: bool = False,
        size_limit: int = _grammar.MESSAGE_LIMIT,
        networks: Iterable[str] = ("127.0.0.0/8", "::1/128"),
        timeout: float = 300.0,
        grace: float = 30.0,
        authenticator: _terms.Authenticator | None = None,
    ) -> None:
        self._terms = _terms.Terms(
            handler=handler,
            hostname=hostname,
            mailboxes=_terms.texts(mailboxes),
            host=host,
            port=port,
            tls=tls,
            require_tls=require_tls,
            size_limit=size_limit,
            networks=_terms.texts(networks),
            timeout=timeout,
            grace=grace,
            authenticator=authenticator,
        )
        self.port = port
        self._server: asyncio.Server | None = None
        self._house = House(self._terms)

    async def __aenter__(self) -> Self:
        """
        Begin to listen.

        Raises:
            OSError: The address cannot be listened on.
        """
        loop = asyncio.get_running_loop()
        self._house = house = House(self._terms)
        host, port = self._terms.host, self._terms.port
        made = await loop.create_server(lambda: self._dialogue(house), host, port, start_serving=False)
        self._server = await listening(made)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    def _dialogue(self, house: House) -> Dialogue:  # noqa: PLR6301 - the simulator's misbehaves
        return Dialogue(house)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        server = cast("asyncio.Server", self._server)
        server.close()
        await self._house.close()
        await server.wait_closed()


@final
class _Hooks:
    """What aiosmtpd asks about a command, under the names that it looks for."""

    def __init__(self, terms: _terms.Terms) -> None:
        self._terms = terms

    async def handle_EHLO(  # noqa: N802 - aiosmtpd counts the arguments
        self,
        _server: smtp.SMTP,
        session: smtp.Session,
        _envelope: smtp.Envelope,
        hostname: str,
        responses: list[str],
    ) -> list[str]:
        """Offer no login where none is wanted; aiosmtpd always does."""
        session.host_name = hostname
        if self._terms.authenticator is not None:
            return responses
        return [line for line in responses if not line.startswith("250-AUTH")]

    @staticmethod
    async def handle_MAIL(  # noqa: N802 - the same
        server: smtp.SMTP, _session: smtp.Session, envelope: smtp.Envelope, address: str, options: list[str]
    ) -> str:
        if refusal := cast("Dialogue", server).refusal_of(address):
            return refusal
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return _TAKEN

    async def handle_RCPT(  # noqa: N802 - the same
        self, _server: smtp.SMTP, _session: smtp.Session, envelope: smtp.Envelope, address: str, _options: list[str]
    ) -> str:
        mailbox = self._terms.mailbox(address)
        if mailbox is None:
            return _NOT_OURS
        # One answer to the final dot can stand for one recipient only.
        if envelope.rcpt_tos:
            return _ONE_ONLY
        envelope.rcpt_tos.append(mailbox)
        return _TAKEN


@final
class _Session(smtp.Session):
    """What aiosmtpd sets at each login and calls deprecated, it would warn our users of."""

    login_data: Any = None


class Dialogue(smtp.SMTP):
    """One connection: aiosmtpd's dialogue with a DATA of our own, and no word too many."""

    # aiosmtpd makes its stream of this size. It limits a command line and a
    # piece of the content; stock aiosmtpd refuses each line above it.
    line_length_limit = _PIECE

    def __init__(self, house: House) -> None:
        self._house = house
        self._storing = False
        terms = house.terms
        super().__init__(
            _Hooks(terms),
            data_size_limit=terms.size_limit,
            hostname=terms.hostname,
            ident="ESMTP",
            tls_context=terms.tls,
            require_starttls=terms.require_tls,
            timeout=terms.timeout,
            auth_require_tls=terms.require_tls or not _hosts.is_loopback(terms.host),
            auth_exclude_mechanism=("LOGIN", "PLAIN") if terms.authenticator is None else (),
            authenticator=self._authenticated,
            command_call_limit=_CALLS,
            loop=asyncio.get_running_loop(),
        )

    def _create_session(self) -> smtp.Session:
        return _Session(self.loop)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._house.enter(self, cast("asyncio.Task[None]", self._handler_coroutine))

    def connection_lost(self, error: Exception | None) -> None:
        super().connection_lost(error)
        self._house.talks.discard(self)

    def part(self) -> None:
        """Close the connection, unless a handler runs: then its answer goes first."""
        if not self._storing and not cast("asyncio.BaseTransport", self.transport).is_closing():
            self._writer.write(f"{_CLOSING}\r\n".encode())
            self._closed_by_us()

    def cut(self) -> None:
        """Close the connection, whatever is on its way."""
        # A transport of TLS that aiosmtpd closed twice cannot be aborted; the one below it can.
        cast("asyncio.WriteTransport", self._original_transport or self.transport).abort()
        # During a handshake asyncio does not tell us that the connection is lost.
        cast("asyncio.TimerHandle", self._timeout_handle).cancel()

    def _closed_by_us(self) -> None:
        cast("asyncio.BaseTransport", self.transport).close()

    async def _handle_client(self) -> None:
        if self._house.closing or not self._house.terms.admits(self._peer()):
            await self.push(_NO_SERVICE)
            self._closed_by_us()
        else:
            await super()._handle_client()

    def _peer(self) -> str:
        """The address alone; the port of a peer means nothing."""
        return str(cast("tuple[str, int]", cast("smtp.Session", self.session).peer)[0])

    def _authenticated(
        self,
        _server: smtp.SMTP,
        _session: smtp.Session,
        _envelope: smtp.Envelope,
        _mechanism: str,
        login: smtp.LoginPassword,
    ) -> smtp.AuthResult:
        """Ask the authenticator; there is one, or no mechanism would be left to come here by."""
        check = cast("_terms.Authenticator", self._house.terms.authenticator)
        try:
            right = check(login.login.decode(), login.password.decode())
        except UnicodeDecodeError:
            right = False
        except Exception as error:  # noqa: BLE001 - whatever it is, the peer must come again
            _LOG.error("The authenticator failed; answered 454: %s", where(error))
            return smtp.AuthResult(success=False, handled=False, message=_LOGIN_LATER)
        return smtp.AuthResult(success=right, handled=False, auth_data=login.login if right else None)

    def refusal_of(self, address: str) -> str | None:  # noqa: ARG002 - the simulator looks at it
        """Say why a sender may not send now; None if it may."""
        needed = self._house.terms.authenticator is not None
        return LOGIN_FIRST if needed and not cast("smtp.Session", self.session).authenticated else None

    def _getaddr(self, arg: str) -> tuple[str | None, str | None]:
        if matched := _PATH.fullmatch(arg):
            return matched[1] or _NULL, matched[3] or ""
        try:
            address, rest = super()._getaddr(arg)
        except (AttributeError, IndexError):
            # What the stdlib's parser does with "<" or "a@[".
            return None, None
        return (address, rest) if address is not None and address.isprintable() else (None, None)

    async def smtp_STARTTLS(self, arg: str) -> None:  # noqa: N802 - aiosmtpd's name
        """Begin TLS, once (RFC 3207, section 4.2)."""
        if cast("smtp.Session", self.session).ssl is not None:
            await self.push(_TLS_STANDS)
        else:
            await super().smtp_STARTTLS(arg)

    async def smtp_VRFY(self, arg: str) -> None:  # noqa: N802, ARG002 - aiosmtpd's name and form
        """Tell nobody which mailboxes there are."""
        await self.push(_NOTHING_TOLD)

    async def smtp_DATA(self, arg: str | None) -> None:  # noqa: N802 - aiosmtpd's name
        """Read a message in pieces, and answer when the handler has returned."""
        if await self.check_helo_needed():
            return
        envelope = cast("smtp.Envelope", self.envelope)
        if arg or not envelope.rcpt_tos:
            await self.push("501 Syntax: DATA" if arg else "503 Error: need RCPT command")
            return
        await self.push("354 End data with <CR><LF>.<CR><LF>")
        raw = await self._content()
        # The time that a handler may take begins now.
        self._reset_timeout()
        self.envelope = self._create_envelope()
        if raw is None or not _content.is_clean(raw):
            await self.push(_TOO_LARGE if raw is None else _UNCLEAN)
            return
        incoming = Incoming(
            mail_from=str(envelope.mail_from).replace(_NULL, ""),
            rcpt_to=envelope.rcpt_tos[0],
            peer=self._peer(),
            tls=cast("smtp.Session", self.session).ssl is not None,
            raw=raw,
        )
        await self._finished(incoming)

    async def _finished(self, incoming: Incoming) -> None:
        """Answer the final dot."""
        # From now on, and not when the task begins: whoever closes the connection meanwhile has to wait for it.
        self._storing = True
        await self._house.sheltered(self._settled(incoming))

    async def _content(self) -> bytes | None:
        """Read up to the final dot; None for more octets than we take, which are read and forgotten."""
        limit = self._house.terms.size_limit
        kept, size, counted = bytearray(), 0, 0
        tail = b"\r\n"  # the line end of DATA itself
        while tail != _content.END:
            try:
                piece = await self._reader.readuntil(_content.DOT_LINE)
            except asyncio.LimitOverrunError as overrun:
                piece = await self._reader.readexactly(overrun.consumed)
            tail = (tail + piece)[-len(_content.END) :]
            size += len(piece)
            # Doubled dots go away below, and at most every second octet is one.
            if size <= 2 * limit + len(_content.DOT_LINE):
                kept += piece
            else:
                kept.clear()
            if size - counted >= _PIECE:
                counted = size
                self._reset_timeout()
        del kept[-len(_content.DOT_LINE) :]
        content = _content.unstuffed(bytes(kept))
        return content if size <= 2 * limit + len(_content.DOT_LINE) and len(content) <= limit else None

    async def _settled(self, incoming: Incoming) -> None:
        """Give a message to the handler, and tell the peer, if it is still there, how that ended."""
        reply = await self._reply(incoming)
        self._storing = False
        if self.transport is None:
            _LOG.warning("%s left before the answer %s", incoming.peer, reply)
            return
        try:
            await self.push(reply)
        except ConnectionError:
            _LOG.warning("%s left during the answer %s", incoming.peer, reply)
            return
        if self._house.closing:
            self.part()
        elif reply.startswith("421"):
            self._closed_by_us()

    async def _reply(self, incoming: Incoming) -> str:
        try:
            await self._house.terms.handler(incoming)
        except Refusal as refusal:
            return str(refusal)
        except Exception as error:  # noqa: BLE001 - whatever it is, the peer must come again
            _LOG.error("The handler failed; answered 451: %s", where(error))
            return _LATER
        return _TAKEN

    async def handle_exception(self, error: Exception) -> str:  # noqa: PLR6301 - aiosmtpd's method
        """Answer an accident in the dialogue; aiosmtpd would answer 500, with the error's text."""
        _LOG.error("A command failed; answered 451: %s", where(error))
        return _LATER
