"""
Give a routed reply to the process that waits for it: a callable, a Maildir or a command.

Never does: change a reply, run a shell, or call a reply delivered that is not.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import math
import os
import re
import signal
import tempfile
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, Protocol, TypeVar, cast, final

import attrs

from htpoort.errors import HtpoortError, InputError, Problem

__all__ = [
    "DELIVERY_SCHEDULE",
    "CommandDelivery",
    "Deliverable",
    "Delivery",
    "DeliveryError",
    "MaildirDelivery",
    "redeliver_after",
]


class Deliverable(Protocol):
    """
    What is known of a reply when it is delivered; `htpoort.ledger.records.Reply` is one.

    Attributes:
        key: Its number in the ledger, the same at every delivery.
        system: The name of the system that answers.
        mailbox: Where it came from.
        process_id: V of the reply.
        party: The declarant that it is for.
        reference: K.
        correlation: ``matched``, ``unknown-reference`` or ``not-checked``.
        received: When it first came, aware; the same at every delivery.
        raw: The message as it came.
    """

    @property
    def key(self) -> int: ...
    @property
    def system(self) -> str: ...
    @property
    def mailbox(self) -> str: ...
    @property
    def process_id(self) -> str: ...
    @property
    def party(self) -> str: ...
    @property
    def reference(self) -> str: ...
    @property
    def correlation(self) -> str: ...
    @property
    def received(self) -> datetime: ...
    @property
    def raw(self) -> bytes: ...


AnyReply = TypeVar("AnyReply", bound=Deliverable)

Delivery = Callable[[AnyReply], Awaitable[None]]
"""
What a reply is given to: any async callable; delivered when it returns, not delivered when it raises.
The same reply may come again, after a crash between the delivery and its record: its key tells.
"""

DELIVERY_SCHEDULE: Final = (
    timedelta(seconds=10),
    timedelta(minutes=1),
    timedelta(minutes=5),
    timedelta(minutes=15),
    timedelta(hours=1),
)
"""How long to wait after each delivery that failed; the last one holds for ever, because no reply is given up."""


def redeliver_after(
    attempts: int, *, schedule: tuple[timedelta, ...] = DELIVERY_SCHEDULE, jitter: float = 0.0
) -> timedelta:
    """
    Say how long to wait after a delivery that failed.

    >>> redeliver_after(1), redeliver_after(1_000)
    (datetime.timedelta(seconds=10), datetime.timedelta(seconds=3600))

    Args:
        attempts: How many there were, at least 1.
        schedule: The waits, one for each attempt; the last one for all that follow.
        jitter: From 0 to 1, by chance, given from outside: up to a tenth of the wait is added.

    Returns:
        The wait; there is always one.

    Raises:
        InputError: *attempts* or *jitter* is out of its range, or *schedule* is empty.
    """
    if attempts < 1 or not 0 <= jitter <= 1 or not schedule:
        message = f"attempts is {attempts}, jitter {jitter}, schedule {schedule}; give at least 1, 0 to 1, and waits."
        raise InputError("", (Problem("input.retry", message),))
    return schedule[min(attempts, len(schedule)) - 1] * (1 + jitter / 10)


@final
@attrs.define(eq=False, str=False, slots=False)
class DeliveryError(HtpoortError):
    """
    Tell that a reply was not delivered; it stays in the ledger and is delivered later.

    Args:
        target: The Maildir, or the program without its arguments.
        why: One or two sentences, without anything of the reply.
    """

    target: str
    why: str
    retryable = True

    def __str__(self) -> str:
        return f"Not delivered to {self.target}. {self.why}"


# ── a Maildir ────────────────────────────────────────────────────────────────

_ROOMS: Final = ("tmp", "new", "cur")
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9_-]")


@final
@attrs.frozen
class MaildirDelivery:
    """
    Put each reply into a Maildir, as a file of its own that is there completely or not at all.

    A reply that comes again, after a crash, is recognised by the name of its file and not put there a
    second time, also where a reader has moved it to ``cur`` or marked it. A reader that has taken it
    away finds it again.

    Args:
        path: The Maildir; made where it is missing, for its owner alone.
        per_system: Put the replies of each system into a Maildir of its own below *path*.

    Raises:
        InputError: *path* is no path.
    """

    path: Path | str
    per_system: bool = attrs.field(default=False, kw_only=True)

    def __attrs_post_init__(self) -> None:
        if not isinstance(cast("object", self.path), (str, Path)) or not _is_argument(str(self.path)):
            problem = Problem("delivery.maildir", f"path is {self.path!r}; give the path of a Maildir.")
            raise InputError("path", (problem,))

    async def __call__(self, reply: Deliverable) -> None:
        """
        Put one reply there.

        Args:
            reply: The reply.

        Raises:
            DeliveryError: It cannot be written.
        """
        target = Path(self.path)
        if self.per_system:
            target /= _safe(reply.system)
        try:
            # Who cancels does not stop the thread; what it writes is recognised next time.
            await asyncio.to_thread(_put, target, _file_name(reply), reply.raw)
        except OSError as error:
            raise DeliveryError(str(target), _why(error)) from error


def _safe(name: str) -> str:
    """Make one name of a folder of any text; two texts never share one."""
    return _UNSAFE.sub(lambda match: "".join(f"%{octet:02X}" for octet in match[0].encode()), name)


def _file_name(reply: Deliverable) -> str:
    """
    Name the file of a reply, always the same.

    The content counts, because another ledger that delivers to the same place has the same keys.
    """
    content = hashlib.sha256(reply.raw).hexdigest()[:16]
    return f"{int(reply.received.timestamp())}.K{reply.key:d}H{content}.htpoort"


def _put(maildir: Path, name: str, raw: bytes) -> None:
    """Write a file, sync it, and only then let it appear."""
    for room in _ROOMS:
        _make(maildir / room)
    if not _is_there(maildir, name):
        number, written = tempfile.mkstemp(prefix=f"{name}.", dir=maildir / "tmp")
        try:
            with os.fdopen(number, "wb") as file:
                file.write(raw)
                file.flush()
                os.fsync(file.fileno())
            # Unlike a rename, a link never takes the place of another file.
            with contextlib.suppress(FileExistsError):
                (maildir / "new" / name).hardlink_to(written)
        finally:
            Path(written).unlink()
    # Also for a file that was there: the process that put it there may have ended before this.
    for room in ("new", "cur"):
        _sync(maildir / room)


def _is_there(maildir: Path, name: str) -> bool:
    """Look for a file; in ``new`` first, because readers move it from there to ``cur``."""
    if (maildir / "new" / name).exists():
        return True
    # A reader appends its marks behind a colon, some behind another character.
    with os.scandir(maildir / "cur") as found:
        return any(entry.name.startswith(name) for entry in found)


def _make(folder: Path) -> None:
    """Make a folder and those above it, for the owner alone, and see to it that they stay."""
    if not folder.is_dir():
        _make(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)
        _sync(folder.parent)


def _sync(folder: Path) -> None:
    """Have the disk keep the names in a folder."""
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def _why(error: Exception) -> str:
    """Say what an error of the system is, without its file names: these are in the target."""
    return f"{getattr(error, 'strerror', None) or error}."


# ── a command ────────────────────────────────────────────────────────────────

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
        argv, timeout = cast("object", self.argv), cast("object", self.timeout)
        texts = isinstance(argv, tuple) and all(map(_is_argument, cast("tuple[object, ...]", argv)))
        if not texts or not self.argv or not self.argv[0]:
            problems.append(Problem("delivery.command", "argv is no tuple of texts without NUL, the program first."))
        if not (isinstance(timeout, (int, float)) and 0 < timeout < math.inf):
            problems.append(Problem("delivery.timeout", f"timeout is {timeout!r}; give seconds above 0."))
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
            raise DeliveryError(target, f"It cannot be started: {_why(error)}") from error
        if code != 0:
            how = f"It ended with {code}" if code > 0 else f"It was ended by {signal.strsignal(-code)}"
            raise DeliveryError(target, f"{how}: {told or 'it said nothing'}")

    async def _run(self, reply: Deliverable) -> tuple[int, str]:
        loop = asyncio.get_running_loop()
        # Not create_subprocess_exec: its wait() lasts until the pipes are closed too, by whatever the
        # command has left running in the background.
        transport, running = await loop.subprocess_exec(
            _Running, *self.argv, stdout=asyncio.subprocess.DEVNULL, env=_environment(reply), start_new_session=True
        )
        stdin = cast("asyncio.WriteTransport", transport.get_pipe_transport(0))
        try:
            # A command that does not read it all says with its code whether that is as it should be.
            stdin.write(reply.raw)
            stdin.write_eof()
            await running.exited.wait()
            code = cast("int", transport.get_returncode())
            return code, "" if code == 0 else await running.last_words()
        except BaseException:
            # It may be gone already, or, behind sudo, not be ours to kill.
            with contextlib.suppress(OSError):
                os.killpg(transport.get_pid(), signal.SIGKILL)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_ENDING):
                    await running.exited.wait()
            raise
        finally:
            # What nobody reads any more would keep the pipe open.
            if stdin.get_write_buffer_size():
                stdin.abort()
            transport.close()
            await asyncio.sleep(0)  # the loop closes the pipes in its next round


def _is_argument(value: object) -> bool:
    return isinstance(value, str) and "\0" not in value


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

    def __init__(self) -> None:
        self.exited = asyncio.Event()
        self._silent = asyncio.Event()
        self._said = b""

    def pipe_data_received(self, fd: int, data: bytes) -> None:  # noqa: ARG002 - nothing else is read
        self._said = (self._said + data)[-_KEPT:]

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:  # noqa: ARG002 - either way it is over
        if fd == 2:  # noqa: PLR2004 - standard error
            self._silent.set()

    def process_exited(self) -> None:
        self.exited.set()

    async def last_words(self) -> str:
        """Give what it said, on one line of printable characters."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LAST_WORDS):
                await self._silent.wait()
        text = self._said.decode("utf-8", "replace")
        line = "".join(character if character.isprintable() else " " for character in text)
        return " ".join(line.split())[-_SHOWN:]
