"""
Deliver a reply by running a command.

No shell is involved, and only exit code 0 means delivered.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import os
import re
import shutil
import signal
import tempfile
from concurrent.futures import Future
from typing import BinaryIO, Final, cast, final

import attrs

from htpoort._aio import DaemonThreads, run_to_end
from htpoort._log import event
from htpoort.core.errors import InputError, Problem
from htpoort.core.payload import read_payload
from htpoort.core.text import one_line
from htpoort.delivery.contract import (
    Deliverable,
    DeliveryError,
    is_argument,
    reason_of,
    redaction_for,
    self_test_error,
    shown_program,
    timeout_problems,
)

__all__ = ["CommandDelivery"]

_LOG: Final = logging.getLogger("htpoort.delivery")
_SHOWN: Final = 500  # characters of the output of a command
_KEPT: Final = 4 * _SHOWN  # octets: no character has more than four
_QUOTED: Final = 40  # octets: longer than K or a party ID, which a command may print
_BLANKS: Final = b" \t\r\n"
_LAST_OUTPUT: Final = 1.0  # seconds for output that is still on its way when a command has ended
_KILLING: Final = 5.0  # seconds for a killed process to end; one that waits for a dead disk does not
_PREFIX: Final = "HTPOORT_"


@final
@attrs.frozen
class CommandDelivery:
    """
    Run a command for each reply, with the message on its standard input and the facts about it in the environment.

    Standard input is an unnamed file that holds the whole message before the command starts, so a command that
    outlives this process still reads all of it.

    The reply is delivered when the command has ended with exit code 0. The command inherits the variables of this
    process, except those that begin with ``HTPOORT_``, which may hold passwords. It also gets HTPOORT_KEY,
    HTPOORT_SYSTEM, HTPOORT_MAILBOX, HTPOORT_PROCESS_ID, HTPOORT_PARTY, HTPOORT_REFERENCE, HTPOORT_CORRELATION,
    HTPOORT_RECEIVED (ISO 8601, UTC as in the ledger), HTPOORT_LENGTH (octets of the message) and HTPOORT_SHA256
    (its digest, in hexadecimal). The same reply may come again, with the same key. HTPOORT_REDELIVERIES is how often a
    person ordered it to be delivered again after it had been delivered; usually ``0``.

    HTPOORT_PAYLOAD_PARTS is the number of parts that may be the payload. If it is 1 and the part can be decoded,
    HTPOORT_PAYLOAD_FILE names a file with the decoded octets, for as long as the command runs, and
    HTPOORT_PAYLOAD_LENGTH and HTPOORT_PAYLOAD_SHA256 describe it. HTPOORT_PAYLOAD_TYPE, HTPOORT_PAYLOAD_CHARSET and
    HTPOORT_PAYLOAD_NAME are as declared, or empty if they are not declared or are more than plain names;
    HTPOORT_PAYLOAD_ENDING is an ending for a file. HTPOORT_PAYLOAD_PROBLEMS has the codes of what is wrong.

    The end of the output of the command is logged, or is in the error if the command failed; output that is copied
    from the reply is not.

    Args:
        argv: The program and its arguments. They are not interpreted by a shell.
        payload: Give the command the decoded payload on its standard input, and not the whole message. If a reply does
            not have exactly one payload that can be decoded for sure, the command gets the whole message. HTPOORT_INPUT
            is ``payload`` or ``message``.
        timeout: Seconds before the command is killed, with all processes of its group.

    Raises:
        InputError: *argv* is not a tuple of texts, *payload* is not a bool, or *timeout* is not above 0; reports all.
    """

    argv: tuple[str, ...] = attrs.field(repr=shown_program)
    payload: bool = attrs.field(default=False, kw_only=True)
    timeout: float = attrs.field(default=60.0, kw_only=True)
    # Not asyncio's threads: a disk that hangs would take them away from everything else.
    _threads: DaemonThreads = attrs.field(factory=DaemonThreads, init=False, eq=False, repr=False)

    def __attrs_post_init__(self) -> None:
        problems: list[Problem] = []
        argv = cast("object", self.argv)
        texts = isinstance(argv, tuple) and all(map(is_argument, cast("tuple[object, ...]", argv)))
        if not texts or not self.argv or not self.argv[0]:
            problems.append(
                Problem(
                    "delivery.command",
                    "argv is not a command; give the program and its arguments, each a text without NUL.",
                )
            )
        if not isinstance(cast("object", self.payload), bool):
            problems.append(Problem("delivery.command", f"payload is {self.payload!r}; give True or False."))
        problems += timeout_problems(self.timeout)
        if problems:
            raise InputError("", tuple(problems))

    async def __call__(self, reply: Deliverable) -> None:
        """
        Run the command for one reply.

        Args:
            reply: The reply.

        Raises:
            DeliveryError: The command could not be started, ended with an exit code other than 0, or took too
                long. Has the end of its output, that on standard error if there is any.
        """
        # Arguments may contain a password; the name of the program does not.
        target = self.argv[0]
        limit = asyncio.timeout(self.timeout)
        try:
            async with limit:
                code, output = await self._run(reply, limit)
        except TimeoutError:
            raise DeliveryError(target, f"The command took more than {self.timeout:g} s and was killed.") from None
        except (OSError, ValueError) as error:
            raise DeliveryError(target, f"The command cannot be started: {reason_of(error)}") from error
        if code != 0:
            how = (
                f"The command ended with {code}" if code > 0 else f"The command was ended by {signal.strsignal(-code)}"
            )
            raise DeliveryError(target, f"{how}: {output.of_failure or 'it printed nothing'}")
        output.log(target, reply)

    async def self_test(self, system: str) -> None:
        """
        Find the program, and write a file as for a reply. The program is not run.

        Args:
            system: The name of the system whose replies are to come.

        Raises:
            InputError: The program is missing or cannot be run, or no file can be written.
            DeliveryError: A file cannot be written now; a disk may be full, or hang.
        """
        target = self.argv[0]
        if shutil.which(target) is None:
            message = f"Replies of {system} cannot be delivered to {target}: there is no such executable program."
            raise InputError("", (Problem("delivery.command", message),))
        try:
            async with asyncio.timeout(self.timeout):
                (await asyncio.wrap_future(self._threads.submit(lambda: _written(b"x")))).close()
        except OSError as error:
            raise self_test_error("delivery.command", system, f"{target}, as no file can be written", error) from error

    async def _run(self, reply: Deliverable, limit: asyncio.Timeout) -> tuple[int, _Output]:
        files = await self._unnamed_files(reply.raw)
        with files.message, files.payload:
            # A separate task: if it were cancelled before the command is known to run, there would be nothing to kill.
            starting = asyncio.create_task(self._start(reply, files))
            try:
                running = await asyncio.shield(starting)
                await running.exited.wait()
                # The result is known from here on, and no timeout changes it.
                limit.reschedule(None)
                code = cast("int", running.transport.get_returncode())
                return code, await self._output(running, files.contents, code)
            except BaseException:
                await run_to_end(_kill(starting))
                raise
            finally:
                if not starting.cancelled() and starting.exception() is None:
                    starting.result().transport.close()
                    await asyncio.sleep(0)  # the loop closes the pipes in its next round

    async def _unnamed_files(self, raw: bytes) -> _Files:
        """Write the whole message, and its payload, to files without a name, which no crash leaves behind."""
        future = self._threads.submit(lambda: _files(raw))
        try:
            return await asyncio.wrap_future(future)
        except OSError as error:
            folder = tempfile.gettempdir()
            why = f"The reply cannot be written to {folder} for the command: {reason_of(error)}"
            raise DeliveryError(self.argv[0], why) from error
        except asyncio.CancelledError:
            future.add_done_callback(_close)  # the thread may still be writing
            raise

    def _gives_payload(self, files: _Files) -> bool:
        return self.payload and "PAYLOAD_FILE" in files.facts

    async def _output(self, running: _Process, contents: tuple[bytes, ...], code: int) -> _Output:
        """Wait a moment for output that is still on its way, and remove what quotes the reply."""
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LAST_OUTPUT):
                    await running.silent.wait()
            hide = redaction_for(self.argv)
            future = self._threads.submit(
                lambda: _Output(*(hide(_text(running.output[fd], contents)) for fd in (1, 2)))
            )
            return await asyncio.wrap_future(future)
        except asyncio.CancelledError:
            # The command has taken the reply, whether or not the caller still waits.
            if code != 0:
                raise
            return _Output("", "")

    async def _start(self, reply: Deliverable, files: _Files) -> _Process:
        # Not create_subprocess_exec: its wait() also waits until the pipes are closed, which background processes
        # of the command may keep open.
        _, running = await asyncio.get_running_loop().subprocess_exec(
            _Process,
            *self.argv,
            stdin=files.payload if self._gives_payload(files) else files.message,
            env=_environment(reply, files) | {"HTPOORT_INPUT": "payload" if self._gives_payload(files) else "message"},
            pass_fds=(files.payload.fileno(),),
            start_new_session=True,
        )
        return running


def _written(raw: bytes) -> BinaryIO:
    """Write a message to a file without a name, ready to be read from its first octet."""
    with contextlib.ExitStack() as unless_whole:
        file = unless_whole.enter_context(tempfile.TemporaryFile())
        file.write(raw)
        file.flush()
        file.seek(0)
        unless_whole.pop_all()
    return cast("BinaryIO", file)


@final
@attrs.frozen
class _Files:
    """Hold a message and its payload in files without a name, and the facts about the payload."""

    message: BinaryIO
    payload: BinaryIO
    facts: dict[str, str] = attrs.field(repr=False)
    contents: tuple[bytes, ...] = attrs.field(repr=False)
    """What a command may not print into a log: the message, and its parts as they are decoded."""


def _files(raw: bytes) -> _Files:
    payload = read_payload(raw)
    octets = payload.octets
    with contextlib.ExitStack() as unless_whole:
        message = unless_whole.enter_context(_written(raw))
        file = unless_whole.enter_context(_written(octets or b""))
        unless_whole.pop_all()
    name, charset, kind = payload.file_name or "", payload.charset or "", payload.content_type or ""
    facts = {
        "PARTS": str(len(payload.parts)),
        "TYPE": kind if _TYPE.fullmatch(kind) else "",
        "CHARSET": charset if _CHARSET.fullmatch(charset) else "",
        "NAME": name if _NAME.fullmatch(name) else "",
        "ENDING": payload.ending or "",
        "PROBLEMS": " ".join(problem.code for problem in payload.problems),
    }
    if octets is not None:
        facts["FILE"] = f"/dev/fd/{file.fileno()}"
        facts["LENGTH"] = str(len(octets))
        facts["SHA256"] = hashlib.sha256(octets).hexdigest()
    return _Files(
        message,
        file,
        {f"PAYLOAD_{name}": value for name, value in facts.items()},
        (raw, *(part.octets for part in payload.parts if part.octets is not None)),
    )


# What a peer declares goes on only if it is harmless in any shell and no path.
_TYPE: Final = re.compile(r"[a-z0-9][a-z0-9.+-]{0,63}/[a-z0-9][a-z0-9.+-]{0,63}")
_CHARSET: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9.:+_-]{0,63}")
_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}")


def _close(future: Future[_Files]) -> None:
    """Close files that were written too late."""
    if not future.cancelled() and future.exception() is None:
        future.result().message.close()
        future.result().payload.close()


async def _kill(starting: asyncio.Task[_Process]) -> None:
    """Kill a command that may not have started, with its process group, and wait for its end."""
    with contextlib.suppress(OSError, ValueError):  # it never ran; the caller gets the error from the task
        running = await starting
        # It may have ended already, or run under sudo, where this process may not kill it.
        with contextlib.suppress(OSError):
            os.killpg(running.transport.get_pid(), signal.SIGKILL)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_KILLING):
                await running.exited.wait()


def _environment(reply: Deliverable, files: _Files) -> dict[str, str]:
    """Make the environment of a command."""
    facts = {
        "KEY": str(reply.key),
        "SYSTEM": reply.system,
        "MAILBOX": reply.mailbox,
        "PROCESS_ID": reply.process_id,
        "PARTY": reply.party,
        "REFERENCE": reply.reference,
        "CORRELATION": reply.correlation,
        "RECEIVED": reply.received.isoformat(),
        "REDELIVERIES": str(reply.redeliveries),
        "LENGTH": str(len(reply.raw)),
        "SHA256": hashlib.sha256(reply.raw).hexdigest(),
        **files.facts,
    }
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(_PREFIX)}
    return inherited | {f"{_PREFIX}{name}": value for name, value in facts.items()}


def _text(printed: bytes, contents: tuple[bytes, ...]) -> str:
    """Shorten an output to the end of one printable line, unless it quotes the reply."""
    # The command may have changed line ends and indents.
    parts = [part.translate(None, _BLANKS) for part in (printed, *printed.splitlines())]
    if any(len(part) >= _QUOTED for part in parts):
        dense = [content.translate(None, _BLANKS) for content in contents]
        if any(len(part) >= _QUOTED and part in content for part in parts for content in dense):
            return _COPIED
    return one_line(printed.decode("utf-8", "replace"))[-_SHOWN:]


_COPIED: Final = "(it printed a part of the reply, which is left out here)"


@final
@attrs.frozen
class _Output:
    """The end of what a command printed on standard output and on standard error."""

    out: str
    err: str

    @property
    def of_failure(self) -> str:
        """The output that explains a failure."""
        return self.err or self.out

    def log(self, target: str, reply: Deliverable) -> None:
        """Log the output of a command that has taken a reply."""
        named = (reply.key, reply.system, reply.party, reply.reference)
        if self.out == _COPIED:
            _LOG.warning(
                "%s printed reply %d of %s for %s under %s, or a part of it, and ended with 0. The output of a command "
                "is not kept; check that the command stores the reply.",
                *(target, *named),
                extra=event("command.printed-reply", of=reply, reply=reply.key, command=target),
            )
        for stream, text in (("standard output", self.out), ("standard error", self.err)):
            if text and not (stream == "standard output" and text == _COPIED):
                _LOG.info(
                    "%s printed on %s for reply %d of %s for %s under %s: %s",
                    *(target, stream, *named, text),
                    extra=event("command.printed", of=reply, reply=reply.key, command=target, stream=stream),
                )


@final
class _Process(asyncio.SubprocessProtocol):
    """Follow a running command: its end, and the end of its output."""

    transport: asyncio.SubprocessTransport

    def __init__(self) -> None:
        self.exited = asyncio.Event()
        self.silent = asyncio.Event()
        self.output = {1: b"", 2: b""}
        self._printing = {1, 2}

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.SubprocessTransport", transport)

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        self.output[fd] = (self.output[fd] + data)[-_KEPT:]

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:  # noqa: ARG002 - either way it is over
        self._printing.discard(fd)
        if not self._printing:
            self.silent.set()

    def process_exited(self) -> None:
        self.exited.set()
