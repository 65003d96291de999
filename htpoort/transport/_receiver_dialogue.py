"""
Hold one SMTP dialogue of a receiver: aiosmtpd's, with a DATA of our own, and no word too many.

Never does: listen, or tell a peer why a handler failed.
"""

from __future__ import annotations

import asyncio
import logging
import re
import sys
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final, cast, final

from aiosmtpd import smtp

from htpoort import _grammar
from htpoort.transport import _answers, _hosts, _terms
from htpoort.transport._content_reader import ContentReader, Unfit
from htpoort.transport._house import House, where
from htpoort.transport.incoming import Incoming, Refusal

_LOG: Final = logging.getLogger("htpoort.transport")

_COMMAND: Final = 512  # octets of a command (RFC 5321, section 4.5.3.1.4)
_WITH_AUTH: Final = 500  # octets more that AUTH= may take in MAIL (RFC 4954, section 3)
_LINE: Final = 12_288  # octets of a line with a password (RFC 4954, section 4.1); no content is limited by it
_PIECE: Final = 65_536  # octets of content that restart the timeout
_WHOLE: Final = 10  # timeouts in which the whole content has to come
_NO_MORE: Final = 5.0  # seconds in which a peer has to take what is on its way when its time is over
_TOO_LARGE: Final = "552 Error: message size exceeds fixed maximum message size"
"""What aiosmtpd answers to a SIZE at MAIL that is above the limit."""
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
_NULL: Final = "<>"  # the null sender, as aiosmtpd tells it from none

# How often a command may come on one connection. A sender may stay for all its
# messages; a guesser of passwords may not.
_OFTEN: Final = sys.maxsize
_CALLS: Final = {"MAIL": _OFTEN, "RCPT": _OFTEN, "DATA": _OFTEN, "RSET": _OFTEN, "NOOP": _OFTEN, "AUTH": 3, "*": 20}

# What nearly every peer sends; anything else goes to aiosmtpd's parser, which is a hundred times slower.
_PATH: Final = re.compile(rf"<({_grammar.ADDRESS.pattern}|)>(?: (.*))?")
# RFC 3461, section 4; aiosmtpd gives it in upper case.
_XTEXT: Final = re.compile(r"(?:[!-*,-<>-~]|\+[0-9A-F]{2})+")


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
        """Offer no login where none is wanted, and all in one piece; aiosmtpd offers one, line by line."""
        session.host_name = hostname
        if self._terms.authenticator is None:
            responses = [line for line in responses if not line.startswith("250-AUTH")]
        return ["\r\n".join(responses)]

    @staticmethod
    async def handle_MAIL(  # noqa: N802 - the same
        server: smtp.SMTP, _session: smtp.Session, envelope: smtp.Envelope, address: str, options: list[str]
    ) -> str:
        dialogue = cast("Dialogue", server)
        if refusal := dialogue.refusal_of(address):
            return refusal
        if not dialogue.has_room_for(options):
            dialogue.report_unfit(Unfit.NO_ROOM)
            return _answers.NO_ROOM
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return _answers.TAKEN

    async def handle_RCPT(  # noqa: N802 - the same
        self, server: smtp.SMTP, _session: smtp.Session, envelope: smtp.Envelope, address: str, _options: list[str]
    ) -> str:
        mailbox = self._terms.mailbox(address)
        if mailbox is None:
            cast("Dialogue", server).report_recipient()
            return _answers.NOT_OURS
        # One answer to the final dot can stand for one recipient only.
        if envelope.rcpt_tos:
            return _answers.ONE_ONLY
        envelope.rcpt_tos.append(mailbox)
        return _answers.TAKEN


@final
class _Session(smtp.Session):
    """What aiosmtpd sets at each login and calls deprecated, it would warn our users of."""

    login_data: Any = None


@final
class _CommandSizes(dict[str, int]):  # noqa: FURB189 - aiosmtpd looks it up at each command
    """How long commands may be. aiosmtpd's own is one for all connections, and keeps each word that a peer sends."""

    def __missing__(self, command: str) -> int:
        return _COMMAND


class Dialogue(smtp.SMTP):
    """One connection: aiosmtpd's dialogue with a DATA of our own, and no word too many."""

    # aiosmtpd makes its stream of this size, and pauses the connection at twice as much.
    line_length_limit = _LINE

    def __init__(self, house: House, peer: str) -> None:
        self._house = house
        # Known before the transport, whose own look comes too late for a peer that left at once.
        self._peer = peer
        self._storing = False
        self._answers = 0
        self._is_mail = False
        self._content: ContentReader | None = None
        # Where content comes in, and what is done when it has ended.
        self._arriving: tuple[ContentReader, asyncio.Future[None]] | None = None
        self._counted = 0
        self.command_size_limits = _CommandSizes()
        terms = house.terms
        super().__init__(
            _Hooks(terms),
            data_size_limit=terms.size_limit,
            hostname=terms.hostname,
            ident="ESMTP",
            timeout=terms.timeout,
            auth_require_tls=terms.require_tls or not _hosts.is_loopback(terms.host),
            auth_exclude_mechanism=("LOGIN", "PLAIN") if terms.authenticator is None else (),
            authenticator=self._authenticated,
            command_call_limit=_CALLS,
            loop=asyncio.get_running_loop(),
        )
        # Only now: given above, it is warned of at each connection where clients must show a certificate.
        self.tls_context = terms.tls
        self.require_starttls = terms.require_tls
        if terms.authenticator is not None:
            self.command_size_limits["MAIL"] = _COMMAND + _WITH_AUTH

    def _create_session(self) -> smtp.Session:
        return _Session(self.loop)

    # ── the connection ──

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._house.begin(cast("asyncio.Task[None]", self._handler_coroutine))

    def connection_lost(self, error: Exception | None) -> None:
        super().connection_lost(error)
        self._house.forget(self)

    def data_received(self, data: bytes) -> None:
        """Give content to its reader, past the buffer of commands."""
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
        await super().push(status.encode() if isinstance(status, str) else status)
        self._answers += 1
        if self._answers % self._house.terms.limits.commands_per_turn == 0:
            # Neither reading what has come nor writing to a peer that reads waits for anything.
            await asyncio.sleep(0)

    def part(self) -> None:
        """Close the connection, unless a handler runs: then its answer goes first."""
        if not self._storing and self.transport is not None and not self.transport.is_closing():
            self._writer.write(f"{_answers.CLOSING}\r\n".encode())
            self._close()

    def cut(self) -> None:
        """Close the connection, whatever is on its way."""
        if self.transport is None:
            return
        # A transport of TLS that aiosmtpd closed twice cannot be aborted; the one below it can.
        cast("asyncio.WriteTransport", self._original_transport or self.transport).abort()
        if self._is_shaking_hands:
            # asyncio does not say then that the connection is lost.
            self.connection_lost(None)

    @property
    def _is_shaking_hands(self) -> bool:
        return self._original_transport is not None and cast("smtp.Session", self.session).ssl is None

    def _close(self) -> None:
        transport = cast("asyncio.BaseTransport", self.transport)
        if not transport.is_closing():
            transport.close()

    async def _end(self) -> None:
        """Close the connection, and carry out nothing that came before it was closed."""
        self._close()
        # Cancelled when the connection is lost.
        await asyncio.get_running_loop().create_future()

    def _timeout_cb(self) -> None:
        """Close a connection whose time is over; cut it when the peer does not take what is on its way."""
        if self.transport is None:
            return
        if self.transport.is_closing():
            self.cut()
            return
        self.transport.close()
        self._reset_timeout(min(_NO_MORE, self._house.terms.timeout))

    async def _handle_client(self) -> None:
        if self._house.closing:
            self.part()
        else:
            await super()._handle_client()

    # ── login and TLS ──

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
            self._house.log.error("The authenticator failed; answered 454: %s", where(error))  # noqa: TRY400 - no text of it
            return smtp.AuthResult(success=False, handled=False, message=_answers.LOGIN_LATER)
        return smtp.AuthResult(success=right, handled=False, auth_data=login.login if right else None)

    # ── commands ──

    def refusal_of(self, address: str) -> str | None:  # noqa: ARG002 - the simulator looks at it
        """Say why a sender may not send now; None if it may."""
        needed = self._house.terms.authenticator is not None
        return _answers.LOGIN_FIRST if needed and not cast("smtp.Session", self.session).authenticated else None

    def _getaddr(self, arg: str) -> tuple[str | None, str | None]:
        if matched := _PATH.fullmatch(arg):
            return matched[1] or _NULL, matched[3] or ""
        try:
            address, rest = super()._getaddr(arg)
        except (AttributeError, IndexError):
            # What the stdlib's parser does with "<" or "a@[".
            return None, None
        return (address, rest) if address is not None and address.isprintable() else (None, None)

    def has_room_for(self, options: Sequence[str]) -> bool:
        """Tell whether a message of the size that MAIL announces would fit (RFC 1870, section 6.1)."""
        size = next((int(option[5:]) for option in options if option.startswith("SIZE=")), 0)
        return size <= self._house.held.left

    def _getparams(self, params: Sequence[str]) -> dict[str, str | bool] | None:
        found = super()._getparams(params)
        if found is not None and len(found) != len(params):
            return None  # a parameter that comes twice: aiosmtpd checks one of the two alone
        # Who says to have sent the message is no matter of ours (RFC 4954, section 5: as if it were "<>").
        if found is not None and self._is_mail and self._house.terms.authenticator is not None:
            author = found.pop("AUTH", "<>")
            return found if isinstance(author, str) and _XTEXT.fullmatch(author) else None
        return found

    async def smtp_MAIL(self, arg: str | None) -> None:  # noqa: N802 - aiosmtpd's name
        """Begin a message; AUTH= is taken where a login is."""
        self._is_mail = True
        try:
            await super().smtp_MAIL(arg)
        finally:
            self._is_mail = False

    async def smtp_HELP(self, arg: str | None) -> None:  # noqa: N802 - the same
        """Name the commands; aiosmtpd leaves out those that a subclass does differently."""
        offered = {name: getattr(smtp.SMTP, f"smtp_{name}", None) for name in self._smtp_methods}
        can_be_asked = cast("Callable[[Any], bool]", self._syntax_available)
        known = {name: method for name, method in offered.items() if method and can_be_asked(method)}
        if self._house.terms.authenticator is None:
            known.pop("AUTH")
        if method := known.get((arg or "").upper()):
            extended = cast("smtp.Session", self.session).extended_smtp and method.__smtp_syntax_extended__
            await self.push(f"250 Syntax: {method.__smtp_syntax__}{extended or ''}")
        else:
            await self.push(f"{501 if arg else 250} Supported commands: {' '.join(sorted(known))}")

    async def smtp_STARTTLS(self, arg: str) -> None:  # noqa: N802 - the same
        """Begin TLS, once (RFC 3207, section 4.2)."""
        if cast("smtp.Session", self.session).ssl is not None:
            await self.push(_answers.TLS_ALREADY)
            return
        reason: BaseException | None = None
        try:
            await super().smtp_STARTTLS(arg)
        except smtp.TLSSetupException as error:
            reason = error.__cause__
        if self._is_shaking_hands:
            why = getattr(reason, "reason", None) or (type(reason).__name__ if reason else "the time was over")
            self._house.log.warning("%s: the TLS handshake failed: %s", self._peer, why)
            self.cut()

    async def smtp_VRFY(self, arg: str) -> None:  # noqa: N802, ARG002 - aiosmtpd's name and form
        """Tell nobody which mailboxes there are."""
        await self.push(_answers.CANNOT_VERIFY)

    async def smtp_DATA(self, arg: str | None) -> None:  # noqa: N802 - aiosmtpd's name
        """Read a message in pieces, and answer when the handler has returned."""
        if await self.check_helo_needed():
            return
        envelope = cast("smtp.Envelope", self.envelope)
        if arg or not envelope.rcpt_tos:
            await self.push("501 Syntax: DATA" if arg else "503 Error: need RCPT command")
            return
        await self.push("354 End data with <CR><LF>.<CR><LF>")
        content = self._content = ContentReader(self._house.terms.size_limit, self._house.held)
        try:
            await self._receive(content)
            # The time that a handler may take begins now.
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
            await self._finished(incoming)
        finally:
            self._release()

    def _release(self) -> None:
        """Let go of a content, unless a handler has it."""
        if self._content is not None:
            self._content.release()
            self._content = None

    async def _receive(self, content: ContentReader) -> None:
        """Read up to the final dot; what follows it is for the next command."""
        # What came together with DATA. With an octet more there is always something to read, and no waiting.
        self._reader.feed_data(b"\0")
        rest = content.feed((await self._reader.read(sys.maxsize))[:-1])
        if rest is not None:
            self._reader.feed_data(rest)
            return
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[None] = loop.create_future()
        self._arriving, self._counted = (content, ended), content.received
        deadline = loop.call_later(_WHOLE * self._house.terms.timeout, self._timeout_cb)
        try:
            await ended
        finally:
            self._arriving = None
            deadline.cancel()

    def report_unfit(self, unfit: Unfit) -> None:
        """Log that a message is refused, because a reply of Customs may be lost by it."""
        terms = self._house.terms
        limits = {Unfit.TOO_LARGE: (terms.size_limit,), Unfit.NO_ROOM: (terms.limits.held_limit,)}
        self._house.log.warning(_REFUSED[unfit], self._peer, *limits.get(unfit, ()))

    def report_recipient(self) -> None:
        """Log that a recipient is refused; which one is not logged, because strangers choose it."""
        self._house.log.warning(
            "%s: answered 550 to a recipient that is not one of the mailboxes of this inbox", self._peer
        )

    async def _refuse(self, unfit: Unfit) -> None:
        self.report_unfit(unfit)
        await self.push(_answers.UNFIT[unfit])
        if unfit is Unfit.UNCLEAN:
            # What follows may be a message that was hidden in this one.
            await self._end()

    async def _finished(self, incoming: Incoming) -> None:
        """Answer the final dot."""
        await self._shelter(self._settled(incoming))
        if self.transport is not None and self.transport.is_closing():
            await self._end()

    async def _shelter(self, work: Coroutine[Any, Any, None]) -> None:
        """Run what goes on where the connection is lost, and holds the content as long as it runs."""
        content, self._content = cast("ContentReader", self._content), None
        # From now on, and not when the task begins: whoever closes the connection meanwhile has to wait for it.
        self._storing = True
        await self._house.sheltered(work, content.release)

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
            self._close()

    async def _reply(self, incoming: Incoming) -> str:
        try:
            await self._house.terms.handler(incoming)
        except Refusal as refusal:
            return str(refusal)
        except Exception as error:  # noqa: BLE001 - whatever it is, the peer must come again
            _LOG.error("The handler failed; answered 451: %s", where(error))
            return _answers.LATER
        return _answers.TAKEN

    async def handle_exception(self, error: Exception) -> str:
        """Answer an accident in the dialogue; aiosmtpd would answer 500, with the error's text."""
        self._house.log.error("A command failed; answered 451: %s", where(error))
        return _answers.LATER
