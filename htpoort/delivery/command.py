"""
Give a reply to a process by running a command.

Never does: run a shell, or call a reply delivered that is not.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Coroutine
from typing import Final, cast, final

import attrs

from htpoort.delivery import _checks
from htpoort.delivery.values import Deliverable, DeliveryError
from htpoort.errors import InputError, Problem

__all__ = ["CommandDelivery"]

_SHOWN: Final = 500  # characters of what a command says in vain
_KEPT: Final = 4 * _SHOWN  # octets: no character has more than four
_LAST_WORDS: Final = 1.0  # seconds for what is still on its way when a command has ended
_ENDING: Final = 5.0  # seconds for a process to end that was killed; one that waits for a dead disk does not
_OURS: Final = "HTPOORT_"


@final
@attrs.frozen
class CommandDelivery:
    """
    Run a command for each reply: the message on its standard input, what is known of it in the environment.

    The reply is delivered when the command has ended with 0. It gets the variables of this process, but
    none that begins with ``HTPOORT_``, where passwords may be; and HTPOORT_KEY, HTPOORT_SYSTEM,
    HTPOORT_MAILBOX, HTPOORT_PROCESS_ID, HTPOORT_PARTY, HTPOORT_REFERENCE, HTPOORT_CORRELATION and
    HTPOORT_RECEIVED (ISO 8601, UTC as the ledger has it). The same reply may come again: its key tells.

    Args:
        argv: The program and its arguments; no shell looks at them.
        timeout: Seconds it may take; then it is killed, with all processes of its group.

    Raises:
        InputError: *argv* is no list of texts, or *timeout* no time; tells both.
    """

    argv: tuple[str, ...]
    timeout: float = attrs.field(default=60.0, kw_only=True)

    def __attrs_post_init__(self) -> None:
        problems: list[Problem] = []
        argv = cast("object", self.argv)
        texts = isinstance(argv, tuple) and all(map(_checks.is_argument, cast("tuple[object, ...]", argv)))
        if not texts or not self.argv or not self.argv[0]:
            problems.append(Problem("delivery.command", "argv is no tuple of texts without NUL, the program first."))
        problems += _checks.timeout(self.timeout)
        if problems:
            raise InputError("", tuple(problems))

    async def __call__(self, reply: Deliverable) -> None:
        """
        Run the command for one reply.

        Args:
            reply: The reply.

        Raises:
            DeliveryError: It could not be started, ended with another code than 0, or took too long.
                Has the end of what it wrote to its standard error.
        """
        # Arguments may hold a password; the program's name does not.
        target = self.argv[0]
        try:
            async with asyncio.timeout(self.timeout):
                code, told = await self._run(reply)
        except TimeoutError:
            raise DeliveryError(target, f"It took more than {self.timeout:g} s and was killed.") from None
        except (OSError, ValueError) as error:
            raise DeliveryError(target, f"It cannot be started: {_checks.why(error)}") from error
        if code != 0:
            how = f"It ended with {code}" if code > 0 else f"It was ended by {signal.strsignal(-code)}"
            raise DeliveryError(target, f"{how}: {told or 'it said nothing'}")

    async def _run(self, reply: Deliverable) -> tuple[int, str]:
        # A task of its own: told to end before the command is known to run, nobody would know whom to kill.
        starting = asyncio.create_task(self._start(reply))
        try:
            running = await asyncio.shield(starting)
            # A command that does not read it all says with its code whether that is as it should be.
            running.stdin.write(reply.raw)
            running.stdin.write_eof()
            await running.exited.wait()
            code = cast("int", running.transport.get_returncode())
            return code, "" if code == 0 else await running.last_words()
        except BaseException:
            await _to_its_end(_killed(starting))
            raise
        finally:
            if not starting.cancelled() and starting.exception() is None:
                starting.result().close()
                await asyncio.sleep(0)  # the loop closes the pipes in its next round

    async def _start(self, reply: Deliverable) -> _Running:
        # Not create_subprocess_exec: its wait() lasts until the pipes are closed too, by whatever the
        # command has left running in the background.
        _, running = await asyncio.get_running_loop().subprocess_exec(
            _Running, *self.argv, stdout=asyncio.subprocess.DEVNULL, env=_environment(reply), start_new_session=True
        )
        return running


async def _to_its_end(work: Coroutine[None, None, None]) -> None:
    """Do what must not be left half done; who is told to end meanwhile ends afterwards."""
    task = asyncio.create_task(work)
    told: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError as error:
            told = error
    task.result()
    if told is not None:
        raise told


async def _killed(starting: asyncio.Task[_Running]) -> None:
    """Kill a command that may not have started, with its group, and wait for its end."""
    with contextlib.suppress(OSError, ValueError):  # it never ran; the caller hears of it from the task
        running = await starting
        # It may be gone already, or, behind sudo, not be ours to kill.
        with contextlib.suppress(OSError):
            os.killpg(running.transport.get_pid(), signal.SIGKILL)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_ENDING):
                await running.exited.wait()


def _environment(reply: Deliverable) -> dict[str, str]:
    """Give the variables of a command."""
    facts = {
        "KEY": str(reply.key),
        "SYSTEM": reply.system,
        "MAILBOX": reply.mailbox,
        "PROCESS_ID": reply.process_id,
        "PARTY": reply.party,
        "REFERENCE": reply.reference,
        "CORRELATION": reply.correlation,
        "RECEIVED": reply.received.isoformat(),
    }
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
    return inherited | {f"{_OURS}{name}": value for name, value in facts.items()}


@final
class _Running(asyncio.SubprocessProtocol):
    """Know when a command has ended, and the end of what it wrote to its standard error."""

    transport: asyncio.SubprocessTransport
    stdin: asyncio.WriteTransport

    def __init__(self) -> None:
        self.exited = asyncio.Event()
        self._silent = asyncio.Event()
        self._said = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.SubprocessTransport", transport)
        self.stdin = cast("asyncio.WriteTransport", self.transport.get_pipe_transport(0))

    def pipe_data_received(self, fd: int, data: bytes) -> None:  # noqa: ARG002 - nothing else is read
        self._said = (self._said + data)[-_KEPT:]

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:  # noqa: ARG002 - either way it is over
        if fd == 2:  # noqa: PLR2004 - standard error
            self._silent.set()

    def process_exited(self) -> None:
        self.exited.set()

    def close(self) -> None:
        # What nobody reads any more would keep the pipe open.
        if self.stdin.get_write_buffer_size():
            self.stdin.abort()
        self.transport.close()

    async def last_words(self) -> str:
        """Give what it said, on one line of printable characters."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LAST_WORDS):
                await self._silent.wait()
        text = self._said.decode("utf-8", "replace")
        line = "".join(character if character.isprintable() else " " for character in text)
        return " ".join(line.split())[-_SHOWN:]
