"""
Give a reply to a process by running a command.

Never does: run a shell, or call a reply delivered that is not.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import os
import shutil
import signal
import tempfile
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import BinaryIO, Final, cast, final

import attrs

from htpoort.delivery import _checks
from htpoort.delivery._threads import Threads
from htpoort.delivery.values import Deliverable, DeliveryError
from htpoort.errors import InputError, Problem

__all__ = ["CommandDelivery"]

_LOG: Final = logging.getLogger("htpoort.delivery")
_SHOWN: Final = 500  # characters of what a command prints
_KEPT: Final = 4 * _SHOWN  # octets: no character has more than four
_QUOTED: Final = 40  # octets: longer than K or a party ID, which a command may well print
_BLANKS: Final = b" \t\r\n"
_LAST_WORDS: Final = 1.0  # seconds for what is still on its way when a command has ended
_ENDING: Final = 5.0  # seconds for a process to end that was killed; one that waits for a dead disk does not
_OURS: Final = "HTPOORT_"


@final
@attrs.frozen
class CommandDelivery:
    """
    Run a command for each reply: the message on its standard input, what is known of it in the environment.

    Standard input is a file without a name that holds the whole message before the command starts. So a
    command that outlives this process still reads all of it.

    The reply is delivered when the command has ended with 0. It gets the variables of this process, but
    none that begins with ``HTPOORT_``, where passwords may be; and HTPOORT_KEY, HTPOORT_SYSTEM,
    HTPOORT_MAILBOX, HTPOORT_PROCESS_ID, HTPOORT_PARTY, HTPOORT_REFERENCE, HTPOORT_CORRELATION,
    HTPOORT_RECEIVED (ISO 8601, UTC as the ledger has it), HTPOORT_LENGTH (octets of the message) and
    HTPOORT_SHA256 (its digest, in hexadecimal). The same reply may come again: it has the same key.

    The end of what the command prints is logged, or is in the error where it failed; lines that it copied
    from the reply are not.

    Args:
        argv: The program and its arguments; no shell looks at them.
        timeout: Seconds it may take; then it is killed, with all processes of its group.

    Raises:
        InputError: *argv* is no list of texts, or *timeout* no time; tells both.
    """

    argv: tuple[str, ...] = attrs.field(repr=_checks.program)
    timeout: float = attrs.field(default=60.0, kw_only=True)
    # Not asyncio's threads: a disk that does not answer would keep them from all others.
    _threads: Threads = attrs.field(factory=Threads, init=False, eq=False, repr=False)

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
                Has the end of what it printed, on standard error where it printed there.
        """
        # Arguments may hold a password; the program's name does not.
        target = self.argv[0]
        limit = asyncio.timeout(self.timeout)
        try:
            async with limit:
                code, printed = await self._run(reply, limit)
        except TimeoutError:
            raise DeliveryError(target, f"It took more than {self.timeout:g} s and was killed.") from None
        except (OSError, ValueError) as error:
            raise DeliveryError(target, f"It cannot be started: {_checks.why(error)}") from error
        if code != 0:
            how = f"It ended with {code}" if code > 0 else f"It was ended by {signal.strsignal(-code)}"
            raise DeliveryError(target, f"{how}: {printed.of_failure or 'it said nothing'}")
        printed.log(target, reply)

    async def try_out(self, system: str) -> None:
        """
        Look for the program, and write a file as for a reply; the program is not run.

        Args:
            system: The name of the system whose replies are to come.

        Raises:
            InputError: The program is not there or cannot be run, or no file can be written.
            DeliveryError: A file cannot be written now; a disk may be full, or not answer.
        """
        target = self.argv[0]
        if shutil.which(target) is None:
            message = f"Replies of {system} cannot be delivered to {target}: there is no such program that can be run."
            raise InputError("", (Problem("delivery.command", message),))
        try:
            async with asyncio.timeout(self.timeout):
                (await asyncio.wrap_future(self._threads.submit(lambda: _written(b"x")))).close()
        except OSError as error:
            raise _checks.trial_error(
                "delivery.command", system, f"{target}, as no file can be written", error
            ) from error

    async def _run(self, reply: Deliverable, limit: asyncio.Timeout) -> tuple[int, _Printed]:
        with await self._message(reply.raw) as message:
            # A task of its own: cancelled before the command is known to run, it would leave nothing to kill.
            starting = asyncio.create_task(self._start(reply, message))
            try:
                running = await asyncio.shield(starting)
                await running.exited.wait()
                # What came of it is known from here on, and no limit of time changes it.
                limit.reschedule(None)
                code = cast("int", running.transport.get_returncode())
                return code, await self._printed(running, reply.raw, code)
            except BaseException:
                await _to_its_end(_killed(starting))
                raise
            finally:
                if not starting.cancelled() and starting.exception() is None:
                    starting.result().transport.close()
                    await asyncio.sleep(0)  # the loop closes the pipes in its next round

    async def _message(self, raw: bytes) -> BinaryIO:
        """Give a file that holds the whole message, and that no crash leaves behind: it has no name."""
        future = self._threads.submit(lambda: _written(raw))
        try:
            return await asyncio.wrap_future(future)
        except OSError as error:
            folder = tempfile.gettempdir()
            why = f"The reply cannot be written for it in {folder}: {_checks.why(error)}"
            raise DeliveryError(self.argv[0], why) from error
        except asyncio.CancelledError:
            future.add_done_callback(_closed)  # the thread may still be writing
            raise

    async def _printed(self, running: _Running, raw: bytes, code: int) -> _Printed:
        """Wait a moment for what is still on its way, and take what quotes the reply out of it."""
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LAST_WORDS):
                    await running.silent.wait()
            hide = _checks.redaction(self.argv)
            future = self._threads.submit(lambda: _Printed(*(hide(_text(running.said[fd], raw)) for fd in (1, 2))))
            return await asyncio.wrap_future(future)
        except asyncio.CancelledError:
            # It has the reply; a caller that no longer waits changes nothing about that.
            if code != 0:
                raise
            return _Printed("", "")

    async def _start(self, reply: Deliverable, message: BinaryIO) -> _Running:
        # Not create_subprocess_exec: its wait() lasts until the pipes are closed too, by whatever the
        # command has left running in the background.
        _, running = await asyncio.get_running_loop().subprocess_exec(
            _Running, *self.argv, stdin=message, env=_environment(reply), start_new_session=True
        )
        return running


def _written(raw: bytes) -> BinaryIO:
    """Write a message into a file without a name, ready to be read from its first octet."""
    with contextlib.ExitStack() as unless_whole:
        file = unless_whole.enter_context(tempfile.TemporaryFile())
        file.write(raw)
        file.flush()
        file.seek(0)
        unless_whole.pop_all()
    return cast("BinaryIO", file)


def _closed(future: Future[BinaryIO]) -> None:
    """Close a file that came too late."""
    if not future.cancelled() and future.exception() is None:
        future.result().close()


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
        "LENGTH": str(len(reply.raw)),
        "SHA256": hashlib.sha256(reply.raw).hexdigest(),
    }
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
    return inherited | {f"{_OURS}{name}": value for name, value in facts.items()}


def _text(said: bytes, raw: bytes) -> str:
    """Give the end of an output on one line of printable characters, unless it quotes the reply."""
    # Line ends and indents may have changed on the way.
    parts = [part.translate(None, _BLANKS) for part in (said, *said.splitlines())]
    if any(len(part) >= _QUOTED for part in parts):
        message = raw.translate(None, _BLANKS)
        if any(len(part) >= _QUOTED and part in message for part in parts):
            return _COPIED
    text = said.decode("utf-8", "replace")
    line = "".join(character if character.isprintable() else " " for character in text)
    return " ".join(line.split())[-_SHOWN:]


_COPIED: Final = "(it printed a part of the reply, which is not repeated here)"


@final
@attrs.frozen
class _Printed:
    """Hold the end of what a command has printed: on standard output, and on standard error."""

    out: str
    err: str

    @property
    def of_failure(self) -> str:
        """What says why it failed."""
        return self.err or self.out

    def log(self, target: str, reply: Deliverable) -> None:
        """Log what a command has printed that took a reply."""
        if self.out == _COPIED:
            _LOG.warning(
                "%s printed reply %d of %s, or a part of it, and ended with 0. No one reads what a command prints; "
                "check that it stores the reply too.",
                *(target, reply.key, reply.system),
            )
        for stream, text in (("standard output", self.out), ("standard error", self.err)):
            if text and not (stream == "standard output" and text == _COPIED):
                _LOG.info("%s printed on %s for reply %d of %s: %s", target, stream, reply.key, reply.system, text)


@final
class _Running(asyncio.SubprocessProtocol):
    """Know when a command has ended, and the end of what it has printed."""

    transport: asyncio.SubprocessTransport

    def __init__(self) -> None:
        self.exited = asyncio.Event()
        self.silent = asyncio.Event()
        self.said = {1: b"", 2: b""}
        self._printing = {1, 2}

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.SubprocessTransport", transport)

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        self.said[fd] = (self.said[fd] + data)[-_KEPT:]

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:  # noqa: ARG002 - either way it is over
        self._printing.discard(fd)
        if not self._printing:
            self.silent.set()

    def process_exited(self) -> None:
        self.exited.set()
