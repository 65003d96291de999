"""
The handles that fixtures give a test: a gateway, a receiver and a clock that run in a thread of their own.

A test needs neither an event loop nor a plugin for asynchronous tests.
"""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Final, Self, TypeVar, final

import attrs

from htpoort.core.errors import SendError
from htpoort.core.message import Submission
from htpoort.core.routing import Quarantined, Routed, Router, SentRecord
from htpoort.simulator import Declarant, Declaration, Gateway, Mailbox, SentReply, SimulatedClock
from htpoort.transport import Incoming, Pop3Account, Receiver, Security, SmtpServer, TlsSettings

__all__ = ["ReceivedReply", "RunningClock", "RunningGateway", "RunningReceiver"]

T = TypeVar("T")

_HOST: Final = "127.0.0.1"
_TIMEOUT: Final = 60.0  # seconds; generous, for a busy machine
_POLL_INTERVAL: Final = 0.01  # seconds between two checks of a condition


_ADVICE: Final = (
    "If it waits for something in the event loop of the test itself, wait in a thread: "
    "`await asyncio.to_thread(htp_gateway.play)`."
)


@final
class Background:
    """Run an event loop in a thread of its own; the caller may have a loop too, or none."""

    def __init__(self) -> None:
        self._thread = threading.Thread(target=self._run, name="htpoort.testing", daemon=True)
        self._started = threading.Event()

    def __enter__(self) -> Self:
        self._thread.start()
        self._started.wait()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def call(self, work: Callable[[], Awaitable[T]], *, timeout: float) -> T:
        """
        Run something in the loop, and wait for it.

        Args:
            work: Called and awaited in the loop.
            timeout: Seconds.

        Returns:
            Its result.

        Raises:
            TimeoutError: It takes too long; it is cancelled.
        """

        async def done() -> T:
            return await work()

        future = asyncio.run_coroutine_threadsafe(done(), self._loop)
        try:
            return future.result(timeout)
        except TimeoutError as error:
            if future.done() and not future.cancelled():
                raise
            future.cancel()  # nothing may continue after the test
            message = f"This took longer than {timeout:g} seconds. {_ADVICE}"
            raise TimeoutError(message) from error

    def _run(self) -> None:
        # Not the policy of the user: the simulator's implicit TLS needs asyncio's own loop.
        with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
            runner.run(self._main())

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        self._started.set()
        await self._stop.wait()


@final
class RunningClock:
    """
    The clock of a gateway; the fixture ``htp_clock``.

    A call returns the time, aware and in UTC, so it can be the *clock* of an `Agent` too.

    Attributes:
        simulated: The simulated clock, which belongs to the event loop of the gateway.
    """

    def __init__(self, background: Background, clock: SimulatedClock) -> None:
        self._background = background
        self.simulated = clock

    def __call__(self) -> datetime:
        """
        Return the time.

        Returns:
            Aware, in UTC.
        """
        return self.simulated()

    def advance(self, by: timedelta, *, timeout: float = _TIMEOUT) -> None:
        """
        Move the time forward; return when everything due by then is done.

        Args:
            by: How far.
            timeout: Seconds of real time that this may take.

        Raises:
            InputError: *by* is below 0.
            TimeoutError: It takes longer than *timeout*.
        """
        self._background.call(lambda: self.simulated.advance(by), timeout=timeout)


@final
@attrs.frozen(kw_only=True)
class ReceivedReply:
    """
    One message that the receiver accepted.

    Args:
        incoming: The message, with MAIL FROM and RCPT TO.
        verdict: Where it belongs, by the router; or why it is quarantined.
    """

    incoming: Incoming
    verdict: Routed | Quarantined


@final
class RunningReceiver:
    """
    Accept what is pushed to the declarants, keep it, and route it; the fixture ``htp_receiver``.

    Attributes:
        host: Where it listens.
    """

    def __init__(self, background: Background, mailboxes: Iterable[str], parties: Iterable[str]) -> None:
        self.host = _HOST
        self._background = background
        self._replies: list[ReceivedReply] = []
        self._parties = tuple(parties)
        self._router = Router(parties=self._parties)
        self._receiver = Receiver(self._take, hostname="mx.forwarder.example", mailboxes=mailboxes, grace=1.0)

    def start(self) -> None:
        """Start to listen."""
        self._background.call(self._receiver.__aenter__, timeout=_TIMEOUT)

    def stop(self) -> None:
        """Stop listening."""
        self._background.call(lambda: self._receiver.__aexit__(None, None, None), timeout=_TIMEOUT)

    def set_sent(self, sent: Callable[[str], Sequence[SentRecord]]) -> None:
        """
        Give the router what was sent; with ``htp_gateway``, that is what the gateway accepted.

        Args:
            sent: Looks up a K.
        """
        self._router = Router(parties=self._parties, sent=sent)

    @property
    def port(self) -> int:
        """The port for messages."""
        return self._receiver.port

    @property
    def server(self) -> SmtpServer:
        """Its address, for a gateway that pushes."""
        return SmtpServer(host=self.host, port=self.port, security=Security.PLAIN)

    @property
    def replies(self) -> tuple[ReceivedReply, ...]:
        """The messages that arrived, in order."""
        return tuple(self._replies)

    @property
    def routed(self) -> tuple[Routed, ...]:
        """The verdicts of those that were routed, in order."""
        return tuple(reply.verdict for reply in self.replies if isinstance(reply.verdict, Routed))

    @property
    def quarantined(self) -> tuple[Quarantined, ...]:
        """The verdicts of those that were quarantined, in order."""
        return tuple(reply.verdict for reply in self.replies if isinstance(reply.verdict, Quarantined))

    async def _take(self, incoming: Incoming) -> None:
        verdict = self._router.route_message(incoming.raw, incoming.mail_from)
        self._replies.append(ReceivedReply(incoming=incoming, verdict=verdict))


@final
class RunningGateway:
    """
    The gateway beside a test; the fixture ``htp_gateway``.

    Its methods block. If the gateway waits for something in the event loop of the test, call them in a thread:
    ``await asyncio.to_thread(htp_gateway.play)``.

    Attributes:
        host: Where it listens.
        declarant: The first of its declarants.
    """

    def __init__(self, background: Background, gateway: Gateway, declarant: Declarant) -> None:
        self.host = _HOST
        self.declarant = declarant
        self._background = background
        self._gateway = gateway

    def start(self) -> None:
        """Start to listen."""
        self._background.call(self._gateway.__aenter__, timeout=_TIMEOUT)

    def stop(self) -> None:
        """Stop listening; replies that are still to be sent are dropped."""
        self._background.call(lambda: self._gateway.__aexit__(None, None, None), timeout=_TIMEOUT)

    # ── addresses ──

    @property
    def smtp_port(self) -> int:
        """The port for declarations, with STARTTLS if there is TLS."""
        return self._gateway.smtp_port

    @property
    def smtps_port(self) -> int | None:
        """The port for declarations over implicit TLS; None without TLS."""
        return self._gateway.smtps_port

    @property
    def pop3_port(self) -> int | None:
        """The port of the mailboxes, with STLS if there is TLS; None if no declarant has a password."""
        return self._gateway.pop3_port

    @property
    def pop3s_port(self) -> int | None:
        """The port of the mailboxes over implicit TLS; None without TLS, or if no declarant has a password."""
        return self._gateway.pop3s_port

    @property
    def ca_file(self) -> Path | None:
        """The PEM file of the authority that clients must trust; None without TLS."""
        tls = self._gateway.tls
        return None if tls is None or tls.ca_file is None else Path(tls.ca_file)

    @property
    def smtp_server(self) -> SmtpServer:
        """The server that the declarant sends to, with its login, and with STARTTLS if there is TLS."""
        return SmtpServer(
            host=self.host,
            port=self.smtp_port,
            security=self._security,
            username=None if self.declarant.password is None else self.declarant.username,
            password=self.declarant.password,
            tls=self._tls,
        )

    @property
    def pop3_server(self) -> Pop3Account:
        """
        The mailbox that the declarant fetches from, for ``htpoort.transport``.

        Raises:
            LookupError: The declarant has no password, and so no POP3 mailbox.
        """
        if self.pop3_port is None or self.declarant.password is None:
            message = f"{self.declarant.mailbox} has no POP3 mailbox, because it has no password; give it one."
            raise LookupError(message)
        return Pop3Account(
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

    # ── what happened ──

    @property
    def received(self) -> tuple[Declaration, ...]:
        """The declarations that it accepted, in order."""
        return tuple(self._gateway.received)

    @property
    def refused(self) -> tuple[tuple[str, str], ...]:
        """Subject and reason of each message that it refused, in order."""
        return tuple(self._gateway.refused)

    @property
    def sent(self) -> tuple[SentReply, ...]:
        """The replies that it sent or gave up, in order."""
        return tuple(self._gateway.sent)

    @property
    def undelivered(self) -> tuple[SendError, ...]:
        """The errors of those that it gave up, in order."""
        return tuple(self._gateway.undelivered)

    @property
    def next_moment(self) -> datetime | None:
        """When the next reply is due; None if there is none."""
        return self._gateway.next_moment

    def mailbox(self, mailbox: str | None = None) -> Mailbox:
        """
        Return a POP3 mailbox, to inspect it or to add a message.

        Args:
            mailbox: The declarant's mailbox; by default that of the first declarant.

        Returns:
            The messages in it, and those fetched from it.

        Raises:
            KeyError: No declarant of this mailbox has a password.
        """
        return self._gateway.mailbox(mailbox or self.declarant.mailbox)

    # ── actions ──

    def play(self, until: timedelta | None = None, *, timeout: float = _TIMEOUT) -> None:
        """
        Move the time forward until every reply is delivered or given up.

        Args:
            until: How far from now, at most; the clock is moved there. None until no reply is left.
            timeout: Seconds of real time that this may take.

        Raises:
            InputError: *until* is below 0.
            TimeoutError: It takes longer than *timeout*.
        """
        self._background.call(lambda: self._gateway.play(until), timeout=timeout)

    def wait_for(self, condition: Callable[[], object], *, timeout: float = 10.0) -> None:
        """
        Wait until a condition is true, for software that works in the background.

        ::

            htp_gateway.wait_for(lambda: len(htp_gateway.received) == 2)

        Args:
            condition: Called again and again, until its value is true.
            timeout: Seconds between the first and the last call; longer if the calls take time.

        Raises:
            TimeoutError: The condition is still false after *timeout*.
        """
        # Calls are counted, because a test may freeze every clock.
        left = math.ceil(timeout / _POLL_INTERVAL)
        while not condition():
            if left <= 0:
                message = f"The condition was still false after {timeout:g} seconds; {self._summary()}."
                raise TimeoutError(message)
            left -= 1
            time.sleep(_POLL_INTERVAL)

    def register(self, mailbox: str, server: SmtpServer) -> None:
        """
        Set the mail server that replies to a declarant are pushed to from now on.

        Args:
            mailbox: The declarant's mailbox.
            server: The declarant's own mail server.

        Raises:
            InputError: The server is not on this machine.
        """
        self._gateway.register(mailbox, server)

    def push(self, message: Submission, *, timeout: float = _TIMEOUT) -> None:
        """
        Send any message to a declarant's server, such as a forged one.

        Args:
            message: Sent to the server of its *rcpt_to*.
            timeout: Seconds that this may take.

        Raises:
            SendError: The server did not accept it.
            KeyError: *rcpt_to* is not the mailbox of a declarant with a server.
            TimeoutError: It takes longer than *timeout*.
        """
        self._background.call(lambda: self._gateway.push(message), timeout=timeout)

    def _summary(self) -> str:
        counts = f"{len(self.received)} accepted, {len(self.refused)} refused, {len(self.sent)} replies sent"
        return f"the gateway has {counts}"
