"""
Handle what a test asked for: a gateway, a receiver and a clock that run in a thread beside it.

Never does: need an event loop of its user, or a plugin for asynchronous tests.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, final

import attrs

from htpoort.errors import SendError
from htpoort.message import Submission
from htpoort.routing import Quarantined, Routed, Router, SentRecord
from htpoort.simulator import Declarant, Declaration, Gateway, Mailbox, Sent, SimulatedClock
from htpoort.testing._background import Background
from htpoort.transport import Incoming, Pop3Server, Receiver, Security, SmtpServer, TlsSettings

__all__ = ["Reply", "RunningClock", "RunningGateway", "RunningReceiver"]

_HOST: Final = "127.0.0.1"
_PATIENCE: Final = 60.0  # seconds; a busy machine is no bug
_LOOK: Final = 0.01  # seconds between two looks at a condition


@final
class RunningClock:
    """
    Hold the time that a gateway lives by; the fixture ``htp_clock``.

    Called, it tells the time, aware and in UTC, so it can be the *clock* of an `Agent` too.

    Attributes:
        simulated: The clock itself, which lives in the event loop of the gateway.
    """

    def __init__(self, background: Background, clock: SimulatedClock) -> None:
        self._background = background
        self.simulated = clock

    def __call__(self) -> datetime:
        """
        Tell the time.

        Returns:
            Aware, in UTC.
        """
        return self.simulated()

    def advance(self, by: timedelta, *, timeout: float = _PATIENCE) -> None:
        """
        Let time pass; comes back when all that is due by then was done.

        Args:
            by: How much.
            timeout: Seconds of real time that this may take.

        Raises:
            InputError: *by* is below 0.
            TimeoutError: What is due is not done in time.
        """
        self._background.call(lambda: self.simulated.advance(by), timeout=timeout)


@final
@attrs.frozen(kw_only=True)
class Reply:
    """
    Hold a message that came to the receiver.

    Args:
        incoming: The message, with MAIL FROM and RCPT TO.
        found: Where the router says that it belongs, or why that cannot be told.
    """

    incoming: Incoming
    found: Routed | Quarantined


@final
class RunningReceiver:
    """
    Take what is pushed to the declarants, keep it, and route it; the fixture ``htp_receiver``.

    Attributes:
        host: Where it listens.
    """

    def __init__(self, background: Background, mailboxes: Iterable[str], parties: Iterable[str]) -> None:
        self.host = _HOST
        self._background = background
        self._replies: list[Reply] = []
        self._parties = tuple(parties)
        self._router = Router(parties=self._parties)
        self._receiver = Receiver(self._take, hostname="mx.forwarder.example", mailboxes=mailboxes, grace=1.0)

    def start(self) -> None:
        """Begin to listen."""
        self._background.call(self._receiver.__aenter__, timeout=_PATIENCE)

    def stop(self) -> None:
        """Close."""
        self._background.call(lambda: self._receiver.__aexit__(None, None, None), timeout=_PATIENCE)

    def knows(self, sent: Callable[[str], Sequence[SentRecord]]) -> None:
        """
        Let the router know what was sent; with ``htp_gateway`` that is what it took.

        Args:
            sent: Looks a K up.
        """
        self._router = Router(parties=self._parties, sent=sent)

    @property
    def port(self) -> int:
        """The port that takes messages."""
        return self._receiver.port

    @property
    def server(self) -> SmtpServer:
        """How it is reached."""
        return SmtpServer(host=self.host, port=self.port, security=Security.PLAIN)

    @property
    def replies(self) -> tuple[Reply, ...]:
        """What came, in order."""
        return tuple(self._replies)

    @property
    def routed(self) -> tuple[Routed, ...]:
        """Where each reply belongs that could be routed, in order."""
        return tuple(reply.found for reply in self.replies if isinstance(reply.found, Routed))

    @property
    def quarantined(self) -> tuple[Quarantined, ...]:
        """Why the others could not be routed, in order."""
        return tuple(reply.found for reply in self.replies if isinstance(reply.found, Quarantined))

    async def _take(self, incoming: Incoming) -> None:
        found = self._router.route_message(incoming.raw, incoming.mail_from)
        self._replies.append(Reply(incoming=incoming, found=found))


@final
class RunningGateway:
    """
    Play the gateway beside a test; the fixture ``htp_gateway``.

    Whatever waits here waits without an event loop. A test that has one, with something in it that the
    gateway waits for, waits in a thread: ``await asyncio.to_thread(htp_gateway.play)``.

    Attributes:
        host: Where it listens.
        declarant: The first of the declarants that it knows.
    """

    def __init__(self, background: Background, gateway: Gateway, declarant: Declarant) -> None:
        self.host = _HOST
        self.declarant = declarant
        self._background = background
        self._gateway = gateway

    def start(self) -> None:
        """Begin to listen."""
        self._background.call(self._gateway.__aenter__, timeout=_PATIENCE)

    def stop(self) -> None:
        """Close; what is still to come is forgotten."""
        self._background.call(lambda: self._gateway.__aexit__(None, None, None), timeout=_PATIENCE)

    # ── where it is ──

    @property
    def smtp_port(self) -> int:
        """The port that takes declarations, with STARTTLS where there is TLS."""
        return self._gateway.smtp_port

    @property
    def smtps_port(self) -> int | None:
        """The port that takes declarations over implicit TLS; None without TLS."""
        return self._gateway.smtps_port

    @property
    def pop3_port(self) -> int | None:
        """The port of the mailboxes, with STLS where there is TLS; None where no declarant has a password."""
        return self._gateway.pop3_port

    @property
    def pop3s_port(self) -> int | None:
        """The port of the mailboxes over implicit TLS; None without TLS, or where no declarant has a password."""
        return self._gateway.pop3s_port

    @property
    def ca_file(self) -> Path | None:
        """The PEM file of the authority to trust; None without TLS."""
        tls = self._gateway.tls
        return None if tls is None or tls.ca_file is None else Path(tls.ca_file)

    @property
    def smtp_server(self) -> SmtpServer:
        """How the declarant sends, for ``htpoort.transport``: by STARTTLS where there is TLS, with its login."""
        return SmtpServer(
            host=self.host,
            port=self.smtp_port,
            security=self._security,
            username=None if self.declarant.password is None else self.declarant.username,
            password=self.declarant.password,
            tls=self._tls,
        )

    @property
    def pop3_server(self) -> Pop3Server:
        """
        How the declarant fetches, for ``htpoort.transport``.

        Raises:
            LookupError: The declarant has no password, so there is no mailbox to fetch from.
        """
        if self.pop3_port is None or self.declarant.password is None:
            message = f"{self.declarant.mailbox} has no password, so no POP3 mailbox; its replies are pushed."
            raise LookupError(message)
        return Pop3Server(
            host=self.host,
            port=self.pop3_port,
            security=self._security,
            username=self.declarant.username,
            password=self.declarant.password,
            tls=self._tls,
        )

    @property
    def _security(self) -> Security:
        return Security.PLAIN if self._gateway.tls is None else Security.STARTTLS

    @property
    def _tls(self) -> TlsSettings:
        return TlsSettings() if self._gateway.tls is None else self._gateway.tls.for_clients

    # ── what it saw and did ──

    @property
    def received(self) -> tuple[Declaration, ...]:
        """The declarations that it took, in order."""
        return tuple(self._gateway.received)

    @property
    def refused(self) -> tuple[tuple[str, str], ...]:
        """Subject and reason of each message that it refused, in order."""
        return tuple(self._gateway.refused)

    @property
    def sent(self) -> tuple[Sent, ...]:
        """The answers that it gave, or gave up, in order."""
        return tuple(self._gateway.sent)

    @property
    def undelivered(self) -> tuple[SendError, ...]:
        """The errors of what it gave up, in order."""
        return tuple(self._gateway.undelivered)

    @property
    def next_moment(self) -> datetime | None:
        """When the next answer is due; None where nothing is to come."""
        return self._gateway.next_moment

    def mailbox(self, mailbox: str | None = None) -> Mailbox:
        """
        Give a POP3 mailbox, to look into or to put a mail there.

        Args:
            mailbox: Whose; that of the first declarant where not given.

        Returns:
            What is in it, and what was fetched from it.

        Raises:
            KeyError: No declarant of this mailbox has a password.
        """
        return self._gateway.mailbox(mailbox or self.declarant.mailbox)

    # ── what it is to do ──

    def play(self, until: timedelta | None = None, *, timeout: float = _PATIENCE) -> None:
        """
        Let the time of every answer come; comes back when each was delivered or given up.

        Args:
            until: How far from now, at most; the clock stands there afterwards. None until nothing is to come.
            timeout: Seconds of real time that this may take.

        Raises:
            InputError: *until* is below 0.
            TimeoutError: It is not done in time.
        """
        self._background.call(lambda: self._gateway.play(until), timeout=timeout)

    def wait_for(self, condition: Callable[[], object], *, timeout: float = 10.0) -> None:
        """
        Wait until something is so, for software that works in the background.

        ::

            htp_gateway.wait_for(lambda: len(htp_gateway.received) == 2)

        Args:
            condition: Asked again and again; its value is true when the wait is over.
            timeout: Seconds between the first and the last time that it is asked; longer where asking takes time.

        Raises:
            TimeoutError: It did not become so in time.
        """
        # Looks are counted: a test that freezes the time freezes every clock that could be asked.
        left = math.ceil(timeout / _LOOK)
        while not condition():
            if left <= 0:
                message = f"This did not become so in {timeout:g} seconds; {self._told()}."
                raise TimeoutError(message)
            left -= 1
            time.sleep(_LOOK)

    def register(self, mailbox: str, server: SmtpServer) -> None:
        """
        Say where the answers to a declarant are pushed to from now on.

        Args:
            mailbox: The declarant's mailbox.
            server: The declarant's own mail server.

        Raises:
            InputError: The server is not on this machine.
        """
        self._gateway.register(mailbox, server)

    def push(self, message: Submission, *, timeout: float = _PATIENCE) -> None:
        """
        Send any message to a declarant's server, a forged one for example.

        Args:
            message: Goes to the server of its *rcpt_to*.
            timeout: Seconds that this may take.

        Raises:
            SendError: The server did not take it.
            KeyError: No server is known for *rcpt_to*.
            TimeoutError: The server is not done in time.
        """
        self._background.call(lambda: self._gateway.push(message), timeout=timeout)

    def _told(self) -> str:
        return f"the gateway took {len(self.received)}, refused {len(self.refused)} and answered {len(self.sent)}"
