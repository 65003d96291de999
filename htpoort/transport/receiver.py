"""Receive messages by SMTP, and answer 250 only for what the handler has stored."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterable
from types import TracebackType
from typing import Any, Self, cast, overload

import attrs

from htpoort._log import event
from htpoort.transport.receiver_connections import ConnectionTracker, Listener
from htpoort.transport.receiver_dialogue import ReceiverDialogue
from htpoort.transport.smtp_inbox import Answer, Handler, SmtpInbox

__all__ = ["Receiver"]


class Receiver:
    r"""
    Listen for messages in the caller's event loop, and pass each to a handler.

    ::

        async with Receiver(
            store, hostname="mx.forwarder.example", mailboxes=["edi@forwarder.example"]
        ) as receiver:
            print(receiver.port)

    The peer gets 250 when the handler returns, so a handler that stores before it returns loses nothing. If the
    handler raises, the peer gets 451 and tries again later; a `Refusal` chooses another answer. A running handler is
    not cancelled when its peer disconnects. Lines may be as long as the message.

    Refused before the handler is called: a message to another mailbox (550), a second recipient (452), more than
    *size_limit* octets (552), a bare CR, a bare LF or a NUL in the content (550, and the connection is closed: what
    follows may be a message that was hidden in this one), a peer outside of *networks* (554 instead of a greeting).

    Refused for now, by *limits*: a connection too many (421 instead of a greeting), a message for which there is no
    room (452).

    On leaving the block it stops listening, closes the connections, and gives running handlers *grace* seconds to
    finish, so what is being stored still gets its 250; then it cancels them. The block may be entered again.

    The logger ``htpoort.transport`` reports failures by class and line, without texts of errors or messages, and at
    most ten lines a minute of each kind that a peer can cause, among them each message that is refused before the
    handler is called. aiosmtpd's own logger, ``mail.log``, shows each command at level INFO.

    Args:
        handler: Awaited with each message. Messages of different connections arrive at the same time.
        inbox: The settings.
        arguments: Settings one by one, in place of *inbox* or of some of its fields; the arguments of `SmtpInbox`.

    Attributes:
        port: The port it listens on; before that, the port of the settings.

    Raises:
        InputError: Settings are invalid; lists every one.

    Source:
        RFC 5321; RFC 2920 is not offered.
    """

    @overload
    def __init__(self, handler: Handler, inbox: SmtpInbox, **replaced: Any) -> None: ...  # noqa: ANN401 - see SmtpInbox

    @overload
    def __init__(
        self,
        handler: Handler,
        *,
        hostname: str,
        mailboxes: Iterable[str],
        **others: Any,  # noqa: ANN401 - the fields of SmtpInbox, which checks them
    ) -> None: ...

    def __init__(
        self,
        handler: Handler,
        inbox: SmtpInbox | None = None,
        **arguments: Any,
    ) -> None:
        self._inbox = SmtpInbox(**arguments) if inbox is None else attrs.evolve(inbox, **arguments)
        self._handler = handler
        self._listener: Listener[ReceiverDialogue] | None = None
        self._tracker = ConnectionTracker(self._inbox, handler)
        self.port = self._inbox.port

    async def __aenter__(self) -> Self:
        """
        Begin to listen.

        Raises:
            OSError: The address cannot be listened on.
        """
        self._tracker = tracker = ConnectionTracker(self._inbox, self._handler)
        self._listener = Listener(self._admit, tracker.remove, tracker.log)
        self.port = await self._listener.open(self._inbox.host, self._inbox.port)
        return self

    def _dialogue(self, tracker: ConnectionTracker, peer: str) -> ReceiverDialogue:  # noqa: PLR6301 - the simulator's misbehaves
        return ReceiverDialogue(tracker, peer)

    def _in_place_of_greeting(self, response: str) -> bytes:  # noqa: PLR6301 - the simulator's may begin with TLS
        return f"{response}\r\n".encode()

    def _admit(self, connection: socket.socket, peer: str) -> ReceiverDialogue | None:
        """Start the dialogue of a connection; or refuse it, and return None."""
        refusal = self._refusal_of(peer)
        if refusal is None:
            dialogue = self._dialogue(self._tracker, peer)
            self._tracker.add(dialogue, peer)
            return dialogue
        with contextlib.suppress(OSError):
            # A new connection takes a line at once, or has been lost.
            connection.send(self._in_place_of_greeting(refusal))
        return None

    def _refusal_of(self, peer: str) -> Answer | None:
        """Decide why a peer may not connect; None if it may."""
        limits, tracker = self._inbox.limits, self._tracker
        if not self._inbox.admits(peer):
            tracker.log.warning(
                "%s: answered 554, because it is in none of the networks of this inbox",
                peer,
                extra=event("connection.refused", peer=peer, answer=554),
            )
            return Answer.NO_SERVICE
        if (total := len(tracker.connections)) >= limits.connections:
            tracker.log.warning(
                "%s: answered 421, because %d connections are open",
                *(peer, total),
                extra=event("connection.refused", peer=peer, answer=421),
            )
            return Answer.TOO_MANY
        if (count := tracker.count_of(peer)) >= limits.connections_per_peer:
            tracker.log.warning(
                "%s: answered 421, because it has %d connections open",
                *(peer, count),
                extra=event("connection.refused", peer=peer, answer=421),
            )
            return Answer.TOO_MANY_FROM_PEER
        return None

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        listener = cast("Listener[ReceiverDialogue]", self._listener)
        listener.stop()
        try:
            await self._tracker.close()
        finally:
            await listener.wait_stopped()
