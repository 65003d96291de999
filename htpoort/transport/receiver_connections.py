"""
Connections to a server: `Listener` accepts them, `ConnectionTracker` counts and closes them, `LimitedLog` limits what
peers can make the server log.

`Receiver` uses all three; the simulator's POP3 server uses `Listener` and `LimitedLog`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import traceback
from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from typing import Any, Final, Generic, Protocol, TypeVar, final

import attrs

from htpoort._aio import cancel_all
from htpoort._log import event
from htpoort.transport import hosts
from htpoort.transport.content import HeldOctets
from htpoort.transport.smtp_inbox import Handler, SmtpInbox

__all__ = ["Connection", "ConnectionTracker", "LimitedLog", "Listener", "error_location"]

_LOG: Final = logging.getLogger("htpoort.transport")

_MAX_LINES: Final = 10  # of one kind in a period: enough to see the cause, and at most about a megabyte a day
_PERIOD: Final = 60.0  # seconds
_BACKLOG: Final = 100  # connections that the kernel queues for us, as in asyncio
_ACCEPTS_PER_TURN: Final = 20  # connections that are accepted before other tasks get their turn
_PAUSE: Final = 1.0  # seconds without accepting after the system refused to, as in asyncio
_MIN_CANCEL_TIME: Final = 5.0  # seconds that a cancelled handler has at least to end

P = TypeVar("P", bound=asyncio.BaseProtocol)


@attrs.define
class _Kind:
    """Count the lines of one kind in the current period."""

    since: float
    written: int = 0
    left_out: int = 0
    last: tuple[object, ...] = ()
    extra: Mapping[str, object] = attrs.field(factory=dict[str, object])


@final
class LimitedLog:
    """
    Log at most ten lines of each kind a minute, and report how many were left out.

    Args:
        log: The logger to write to.
    """

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._kinds: dict[str, _Kind] = {}

    def warning(self, text: str, *args: object, extra: Mapping[str, object]) -> None:
        """
        Log a warning, unless there were too many of its kind.

        Args:
            text: A format as for `logging`; a constant, which identifies the kind.
            args: The values for the format.
            extra: The event, from `htpoort._log.event`.
        """
        self._write(logging.WARNING, text, args, extra)

    def error(self, text: str, *args: object, extra: Mapping[str, object]) -> None:
        """
        Log an error of our own that a peer can cause repeatedly, unless there were too many of its kind.

        Args:
            text: A format as for `logging`; a constant, which identifies the kind.
            args: The values for the format.
            extra: The event, from `htpoort._log.event`.
        """
        self._write(logging.ERROR, text, args, extra)

    def _write(self, level: int, text: str, args: tuple[object, ...], extra: Mapping[str, object]) -> None:
        now = asyncio.get_running_loop().time()
        kind = self._kinds.setdefault(text, _Kind(now))
        if now - kind.since >= _PERIOD:
            self._report_left_out(text, kind)
            kind = self._kinds[text] = _Kind(now)
        if kind.written < _MAX_LINES:
            kind.written += 1
            self._log.log(level, text, *args, extra=extra)
        else:
            kind.left_out += 1
            kind.last, kind.extra = args, extra

    def close(self) -> None:
        """Log how many lines were left out since the last report."""
        for text, kind in self._kinds.items():
            self._report_left_out(text, kind)
        self._kinds.clear()

    def _report_left_out(self, text: str, kind: _Kind) -> None:
        if kind.left_out:
            self._log.warning(
                f"Left out %d more lines like this one: {text}",
                *(kind.left_out, *kind.last),
                extra=event("lines.left-out", number=kind.left_out, like=kind.extra["event"]),
            )


@final
class Listener(Generic[P]):
    """
    Listen on every address of a host.

    When the process has no file descriptors left, asyncio's own servers log a hundred tracebacks a second; this one
    logs a line and pauses.

    Args:
        admit: Called with a connection and its peer's address; returns the protocol that serves it, or None to have
            the connection closed.
        failed: Called with a protocol whose transport could not be created.
        log: For errors that keep connections from being accepted.
    """

    def __init__(
        self, admit: Callable[[socket.socket, str], P | None], failed: Callable[[P], object], log: LimitedLog
    ) -> None:
        self._admit = admit
        self._failed = failed
        self._log = log
        self._sockets: list[socket.socket] = []
        self._connecting: set[asyncio.Task[Any]] = set()

    async def open(self, host: str, port: int) -> int:
        """
        Begin to listen.

        Args:
            host: A name or a numeric address.
            port: 0 for any free port.

        Returns:
            The port it listens on.

        Raises:
            OSError: An address cannot be listened on; *filename* is ``host:port``, *strerror* the reason.
        """
        loop = asyncio.get_running_loop()
        try:
            bound = await loop.create_server(asyncio.Protocol, host, port, start_serving=False)
        except OSError as error:
            raise OSError(error.errno, hosts.error_reason(error), f"{host}:{port}") from error
        with contextlib.ExitStack() as opening:
            opening.callback(bound.close)
            sockets = [opening.enter_context(each.dup()) for each in bound.sockets]
            for each in sockets:
                each.listen(_BACKLOG)
            opening.pop_all()
        bound.close()
        self._sockets = sockets
        for each in sockets:
            self._resume(each)
        return int(sockets[0].getsockname()[1])

    def stop(self) -> None:
        """Stop listening, and close connections that are not served yet."""
        loop = asyncio.get_running_loop()
        for listening in self._sockets:
            loop.remove_reader(listening)
            listening.close()
        self._sockets = []
        for task in self._connecting:
            task.cancel()

    async def wait_stopped(self) -> None:
        """Wait until `stop` has taken effect."""
        await cancel_all(self._connecting)

    def _resume(self, listening: socket.socket) -> None:
        if listening.fileno() >= 0:
            asyncio.get_running_loop().add_reader(listening, self._accept, listening)

    def _accept(self, listening: socket.socket) -> None:
        for _ in range(_ACCEPTS_PER_TURN):
            try:
                connection, address = listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                self._pause(listening, error)
                return
            connection.setblocking(False)  # noqa: FBT003 - the method has no name for it
            protocol = self._admit(connection, str(address[0]))
            if protocol is None:
                connection.close()
                continue
            self._connect(connection, protocol)

    def _pause(self, listening: socket.socket, error: OSError) -> None:
        # The listening socket stays readable, so without a pause the loop would do nothing else.
        loop = asyncio.get_running_loop()
        loop.remove_reader(listening)
        loop.call_later(_PAUSE, self._resume, listening)
        reason = hosts.error_reason(error)
        self._log.warning(
            "Cannot accept connections; trying again in %g s: %s",
            *(_PAUSE, reason),
            extra=event("listener.paused", seconds=_PAUSE, why=reason),
        )

    def _connect(self, connection: socket.socket, protocol: P) -> None:
        loop = asyncio.get_running_loop()
        task = loop.create_task(loop.connect_accepted_socket(lambda: protocol, connection))
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)
        task.add_done_callback(partial(self._connected, connection, protocol))

    def _connected(self, connection: socket.socket, protocol: P, task: asyncio.Task[Any]) -> None:
        if task.cancelled() or task.exception() is not None:
            connection.close()
            self._failed(protocol)


class Connection(Protocol):
    """One connection, as far as closing it is concerned."""

    def finish(self) -> None:
        """Close it; if a handler runs, after its answer."""

    def abort(self) -> None:
        """Close it at once, and drop what was still to be sent."""


@final
class ConnectionTracker:
    """
    Track what the connections of one receiver share: who is connected, which handlers run, and how much they hold.

    Args:
        inbox: The settings of the receiver.
        handler: Stores each message.

    Attributes:
        closing: Whether the receiver is closing.
        connections: Each connection from the moment it is accepted, with the peer that it counts for.
        held: The octets that all messages hold together.
        log: For what a peer can cause as often as it likes.
    """

    def __init__(self, inbox: SmtpInbox, handler: Handler) -> None:
        self.inbox = inbox
        self.handler = handler
        self.closing = False
        self.connections: dict[Connection, str] = {}
        self.held = HeldOctets(inbox.limits.held_limit)
        self.log = LimitedLog(_LOG)
        self._dialogues: set[asyncio.Task[None]] = set()
        self._handling: set[asyncio.Task[None]] = set()

    def add(self, connection: Connection, peer: str) -> None:
        """Count a connection from now on."""
        self.connections[connection] = hosts.group_of(peer)

    def count_of(self, peer: str) -> int:
        """Count the connections of a peer."""
        return list(self.connections.values()).count(hosts.group_of(peer))

    def remove(self, connection: Connection) -> None:
        """Stop counting a connection."""
        self.connections.pop(connection, None)

    def watch(self, dialogue: asyncio.Task[None]) -> None:
        """Keep track of the task of a connection until it ends."""
        self._dialogues.add(dialogue)
        dialogue.add_done_callback(self._ended)

    def _ended(self, dialogue: asyncio.Task[None]) -> None:
        self._dialogues.discard(dialogue)
        error = None if dialogue.cancelled() else dialogue.exception()
        # Retrieved here, or asyncio logs a traceback each time that a peer resets its connection.
        if isinstance(error, Exception) and not isinstance(error, OSError):
            where = error_location(error)
            self.log.warning("A dialogue failed: %s", where, extra=event("dialogue.failed", where=where))

    async def run_detached(self, handling: Coroutine[Any, Any, None], ended: Callable[[], None]) -> None:
        """Run what must go on when its connection is lost, then call *ended*."""
        task = asyncio.get_running_loop().create_task(handling)
        self._handling.add(task)
        task.add_done_callback(self._handling.discard)
        task.add_done_callback(lambda _: ended())
        await asyncio.shield(task)

    async def close(self) -> None:
        """Give running handlers the grace to finish, and close everything else at once."""
        self.closing = True
        for connection in tuple(self.connections):
            connection.finish()
        # If close() is cancelled, stop waiting but still run every cleanup step.
        async with contextlib.AsyncExitStack() as cleanup:
            cleanup.callback(self.log.close)
            cleanup.push_async_callback(cancel_all, self._dialogues)
            cleanup.callback(self._abort_all)
            cleanup.push_async_callback(self._cancel_handlers)
            if self._handling:
                await asyncio.wait(self._handling, timeout=self.inbox.grace)

    async def _cancel_handlers(self) -> None:
        """Cancel the handlers that still run, and wait a limited time for one that ignores it."""
        late = tuple(self._handling)
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late, timeout=max(self.inbox.grace, _MIN_CANCEL_TIME))

    def _abort_all(self) -> None:
        for connection in tuple(self.connections):
            connection.abort()


def error_location(error: Exception) -> str:
    """Name the class of an error and the line that raised it, without its text: that may hold a payload or password."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} at {last.filename}:{last.lineno}"
