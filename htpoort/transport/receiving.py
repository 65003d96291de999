"""
Receive replies from Customs by SMTP, and answer 250 only for what has been taken.

Never does: start a thread, relay, or tell a peer why a handler failed.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Iterable
from types import TracebackType
from typing import Final, Self, cast

from htpoort import _grammar
from htpoort.transport import _answers, _terms
from htpoort.transport._house import House
from htpoort.transport._listener import Listener
from htpoort.transport._receiver_dialogue import Dialogue
from htpoort.transport.limits import Limits

__all__ = ["Receiver"]

_LIMITS: Final = Limits()


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
    (550, and the connection is closed: what follows may be a message that was hidden in this one), a peer
    outside of *networks* (554 instead of a greeting).

    Refused until others have left, by *limits*: a connection more than there may be (421 instead of a
    greeting), a message for which there is no room (452).

    On leaving the block it stops listening, closes the connections, and gives handlers that run *grace*
    seconds to end, so what is being stored still gets its 250; then it cancels them. The block may be
    entered again.

    The logger ``htpoort.transport`` tells failures by class and line, without texts of errors or
    messages, and at most ten lines a minute of each kind that a peer can cause, among them each message that is
    refused before the handler is asked; aiosmtpd's own, ``mail.log``, tells each command at level INFO.

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
            which the handler does not end, after which the connection is closed; so it is when a content has not
            ended after ten times as many.
        grace: Seconds that handlers have to end when the receiver closes; as many again, at least 5, to obey.
        authenticator: Called with user name and password in the loop, so it must be quick. If given,
            peers must log in; only over TLS, unless *host* is this machine.
        limits: How many connections, octets and commands there may be at once.

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
        limits: Limits = _LIMITS,
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
            limits=limits,
        )
        self.port = port
        self._listener: Listener[Dialogue] | None = None
        self._house = House(self._terms)

    async def __aenter__(self) -> Self:
        """
        Begin to listen.

        Raises:
            OSError: The address cannot be listened on.
        """
        self._house = house = House(self._terms)
        self._listener = Listener(self._admitted, house.forget, house.log)
        self.port = await self._listener.open(self._terms.host, self._terms.port)
        return self

    def _dialogue(self, house: House, peer: str) -> Dialogue:  # noqa: PLR6301 - the simulator's misbehaves
        return Dialogue(house, peer)

    def _in_place_of_greeting(self, answer: str) -> bytes:  # noqa: PLR6301 - the simulator's may begin with TLS
        return f"{answer}\r\n".encode()

    def _admitted(self, connection: socket.socket, peer: str) -> Dialogue | None:
        """Give a connection its dialogue; or an answer, and None."""
        answer = self._refusal_of(peer)
        if answer is None:
            dialogue = self._dialogue(self._house, peer)
            self._house.admit(dialogue, peer)
            return dialogue
        with contextlib.suppress(OSError):
            # A connection that is new takes a line at once, or is gone.
            connection.send(self._in_place_of_greeting(answer))
        return None

    def _refusal_of(self, peer: str) -> str | None:
        """Say why a peer may not come in; None if it may."""
        limits, house = self._terms.limits, self._house
        if not self._terms.admits(peer):
            house.log.warning("%s: answered 554, because it is in none of the networks of this inbox", peer)
            return _answers.NO_SERVICE
        if len(house.talks) >= limits.connections:
            house.log.warning("%s: answered 421, because %d connections are open", peer, len(house.talks))
            return _answers.TOO_MANY
        if (count := house.count_of(peer)) >= limits.connections_per_peer:
            house.log.warning("%s: answered 421, because it has %d connections open", peer, count)
            return _answers.TOO_MANY_OF_YOURS
        return None

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        listener = cast("Listener[Dialogue]", self._listener)
        listener.stop()
        try:
            await self._house.close()
        finally:
            await listener.ended()
