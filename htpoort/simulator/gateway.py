"""
Take declarations by SMTP and answer them by SMTP, as the Handel & Transport Gateway does.

Never does: leave loopback by itself; it sends to the servers that it was given, and listens where it was told.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime
from types import TracebackType
from typing import Final, Self, final

import attrs

from htpoort import _clock
from htpoort._words import ascii_lower
from htpoort.directory import HTPOORT, DeclarationSystem, Directory
from htpoort.envelope import RoutingEnvelope
from htpoort.errors import SendError
from htpoort.message import Submission, read
from htpoort.simulator import answers
from htpoort.transport import Incoming, Receiver, Refusal, SmtpServer, send

__all__ = ["Declaration", "Gateway"]

_HOSTNAME: Final = "gateway.example"


@final
@attrs.frozen(kw_only=True)
class Declaration:
    """
    Hold one declaration that the gateway took.

    Args:
        system: The system that it was for.
        mailbox: The declarant's mailbox, from MAIL FROM.
        subject: The Subject as it stood on the wire.
        envelope: What the Subject says.
        raw: The whole message.
        payload: The body, not decoded.
    """

    system: DeclarationSystem
    mailbox: str
    subject: str
    envelope: RoutingEnvelope
    raw: bytes = attrs.field(repr=False)
    payload: bytes = attrs.field(repr=False)


@final
class Gateway:
    """
    Play the gateway in a box.

    Several can run in one process; each listens on a port of its own.

    Args:
        directory: The systems that it plays; the published ones where not given.
        declarants: The declarants' own mail servers, by their mailbox, where replies are pushed to.
            A declaration from another mailbox is taken and not answered.
        host: The address to listen on; loopback where not given.
        port: The port to listen on; 0 chooses a free one.
        clock: Gives the time for Date headers, aware.

    Attributes:
        smtp_port: Where it listens, once it is started.
        received: The declarations that it took, in order.
        refused: Subject and reason of each message that it refused, in order.
        undelivered: The errors of replies that a declarant's server did not take, in order.
    """

    def __init__(
        self,
        *,
        directory: Directory = HTPOORT,
        declarants: Mapping[str, SmtpServer] | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        clock: Callable[[], datetime] = _clock.now,
    ) -> None:
        self.received: list[Declaration] = []
        self.refused: list[tuple[str, str]] = []
        self.undelivered: list[SendError] = []
        self._directory = directory
        self._declarants = {ascii_lower(mailbox): server for mailbox, server in (declarants or {}).items()}
        self._clock = clock
        self._answers: set[asyncio.Task[None]] = set()
        self._receiver = Receiver(
            self._take, hostname=_HOSTNAME, mailboxes=[system.mailbox for system in directory], host=host, port=port
        )

    @property
    def smtp_port(self) -> int:
        """The port that takes declarations."""
        return self._receiver.port

    async def __aenter__(self) -> Self:
        await self._receiver.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._receiver.__aexit__(kind, error, traceback)
        for task in self._answers:
            task.cancel()
        await asyncio.gather(*self._answers, return_exceptions=True)

    def register(self, mailbox: str, server: SmtpServer) -> None:
        """
        Say where the replies to a declarant go from now on.

        Args:
            mailbox: The declarant's mailbox.
            server: The declarant's own mail server.
        """
        self._declarants[ascii_lower(mailbox)] = server

    async def answered(self) -> None:
        """Wait until every reply that is due was delivered or has failed."""
        while self._answers:
            await asyncio.gather(*self._answers)

    async def push(self, message: Submission) -> None:
        """
        Send any message to a declarant's server, a forged one for example.

        Args:
            message: Goes to the server of its *rcpt_to*.

        Raises:
            SendError: The server did not take it.
            KeyError: No server is known for *rcpt_to*.
        """
        await send(message, self._declarants[ascii_lower(message.rcpt_to)])

    async def _take(self, incoming: Incoming) -> None:
        """Check a declaration, keep it, and answer it."""
        system = self._directory.by_mailbox(incoming.rcpt_to)
        found = read(incoming.raw)
        # What the real gateway does with a bad Subject is unknown; a refusal
        # is what shows the mistake to a person who tests.
        if found.problems or found.envelope is None or found.subject is None:
            self._refuse(found.subject, found.problems[0].message)
        elif ascii_lower(found.envelope.addressee) != ascii_lower(system.process_id):
            self._refuse(found.subject, f"The mailbox is of {system.name}; A must be {system.process_id}.")
        elif ascii_lower(incoming.mail_from) != found.mailbox:
            self._refuse(found.subject, "MAIL FROM and From are not the same mailbox.")
        else:
            taken = Declaration(
                system=system,
                mailbox=incoming.mail_from,
                subject=found.subject,
                envelope=found.envelope,
                raw=incoming.raw,
                payload=found.body,
            )
            self.received.append(taken)
            self._answer(taken)

    def _refuse(self, subject: str | None, why: str) -> None:
        self.refused.append((subject or "", why))
        raise Refusal(554, why.encode("ascii", "replace").decode())

    def _answer(self, taken: Declaration) -> None:
        """Start to answer a declaration, after its 250 and beside whatever comes next."""
        server = self._declarants.get(ascii_lower(taken.mailbox))
        if server is None:
            return
        message = answers.reply(
            system=taken.system,
            mailbox=taken.mailbox,
            request=taken.envelope,
            payload=answers.acceptance(taken.envelope, taken.payload),
            date=self._clock(),
            message_id=_clock.message_id(taken.system.mailbox),
        )
        task = asyncio.create_task(self._deliver(message, server))
        self._answers.add(task)
        task.add_done_callback(self._answers.discard)

    async def _deliver(self, message: Submission, server: SmtpServer) -> None:
        try:
            await send(message, server)
        except SendError as error:
            self.undelivered.append(error)
