"""Connections that exist in memory only, so that a dialogue takes microseconds and reaches no network."""

from __future__ import annotations

import asyncio
import contextlib
import io
import socket
from collections.abc import Callable, Coroutine, Generator
from typing import Any, Final, TypeVar

SECRET: Final = "canary-geheim-8512"
"""The password of every login here; no error may show it."""
SEPARATOR: Final = b"\0|"
"""Parts what a peer sends at once from what it sends after the next command."""

T = TypeVar("T")


class ScriptedSocket(io.RawIOBase):
    """A socket whose peer sends the next piece after each command, whatever the command is."""

    family = socket.AF_INET

    def __init__(self, data: bytes) -> None:
        super().__init__()
        self._pieces = iter(data.split(SEPARATOR))
        self._arrived = bytearray(next(self._pieces))
        self._timeout: float | None = 60.0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        """Read what has arrived; without a timeout nothing can be awaited, and otherwise nothing more comes."""
        if not self._arrived and self._timeout == 0:
            return None
        count = min(len(buffer), len(self._arrived))
        buffer[:count] = self._arrived[:count]
        del self._arrived[:count]
        return count

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(self)

    def sendall(self, _octets: bytes) -> None:
        self._arrived += next(self._pieces, b"")

    def gettimeout(self) -> float | None:
        return self._timeout

    def settimeout(self, timeout: float | None) -> None:
        self._timeout = timeout

    def dup(self) -> ScriptedSocket:
        return self

    def shutdown(self, _how: int) -> None:
        """Do nothing: there is no peer."""


async def at_once(_client: object, step: Callable[..., T], *args: Any, **_limits: Any) -> T:
    """Run a step of a client without the thread that it has otherwise: this peer never lets anyone wait."""
    return step(*args)


def finish(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that waits for nothing."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        value: T = end.value
        return value
    coroutine.close()
    message = "it waits for something"
    raise AssertionError(message)


class MemoryTransport(asyncio.Transport):
    """A transport that keeps what is written, and calls *answer* after each write."""

    def __init__(self, protocol: asyncio.BaseProtocol, answer: Callable[[], object] | None = None) -> None:
        super().__init__({"peername": ("127.0.0.1", 4), "sockname": ("127.0.0.1", 5)})
        self.written = bytearray()
        self.closed = False
        self.lost = False
        self._protocol = protocol
        self._answer = answer

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if not self.closed:
            self.written += data
            if self._answer is not None:
                self._answer()

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            asyncio.get_running_loop().call_soon(self.lose)

    def lose(self) -> None:
        """Report the lost connection to the protocol, once."""
        if not self.lost:
            self.closed = self.lost = True
            self._protocol.connection_lost(None)

    def abort(self) -> None:
        self.close()

    def is_closing(self) -> bool:
        return self.closed

    def get_protocol(self) -> asyncio.BaseProtocol:
        return self._protocol

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._protocol = protocol

    def pause_reading(self) -> None:
        """Do nothing: all has arrived already."""

    def resume_reading(self) -> None:
        """Do nothing, as above."""

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Do nothing: the buffer is always empty."""

    def get_write_buffer_size(self) -> int:
        return 0


class Loop:
    """One event loop for all executions of a target; what fails in its tasks fails the execution."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._errors: list[dict[str, Any]] = []
        self._loop.set_exception_handler(lambda _, context: self._errors.append(context))

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine to its end."""
        self._errors.clear()
        value = self._loop.run_until_complete(coroutine)
        if self._errors:
            raise AssertionError(str(self._errors[0]))
        return value


async def settle(transport: MemoryTransport, rounds: int = 12) -> None:
    """Give the tasks of a dialogue turns until several pass without an octet."""
    quiet, before = 0, -1
    while quiet < rounds:
        await asyncio.sleep(0)
        quiet, before = (quiet + 1, before) if len(transport.written) == before else (0, len(transport.written))


@contextlib.contextmanager
def only(*kinds: type[Exception]) -> Generator[None, None, None]:
    """Let errors of these kinds pass, if neither their text nor their fields show the password."""
    try:
        yield
    except kinds as error:
        no_secret(error)


def no_secret(*values: object) -> None:
    """Make sure that the password is in none of these values."""
    for value in values:
        assert SECRET not in str(value), value
        assert SECRET not in repr(value), value
