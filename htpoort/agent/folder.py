"""
Queue declarations that other programs write as files into a folder.

What a declaration is called follows from its file alone, so that a crash between two steps repeats nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import hashlib
import os
import stat
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, final

import attrs

from htpoort._aio import run_in_thread
from htpoort._disk import HIDDEN, free_name, make_folder, may_pass, move, place, sync_names, try_out, write
from htpoort.agent._context import LOG, WorkerContext, wait_for_event
from htpoort.agent.dispatch import Dispatched, Dispatcher
from htpoort.agent.settings import DeclarationFolder
from htpoort.core.errors import InputError, Problem, UnknownError
from htpoort.core.message import automatic_reference
from htpoort.core.text import one_line

__all__ = ["DeclarationFiles", "FileOutcome"]

SENT: Final = "sent"
BAD: Final = "bad"
REASON: Final = ".reason.txt"
_ADVICE: Final = (
    "Nothing was queued. Correct the file, its name or the configuration, and move it back into the folder."
)
_SELF_TEST_TIMEOUT: Final = 10.0  # seconds; a disk may not be mounted yet


@final
@attrs.frozen(kw_only=True)
class FileOutcome:
    """
    What became of one file.

    Args:
        file: Its path below the folder.
        dispatched: The declaration in the queue; None if the file was refused.
        refusal: Why it was refused, in sentences; empty if it was queued.
        moved_to: Where it is now, below the folder.
    """

    file: str
    dispatched: Dispatched | None
    refusal: str
    moved_to: str


@final
@attrs.frozen
class DeclarationFiles:
    """
    The files of a folder of declarations: what is there, what was refused, and the taking of what is there.

    Args:
        folder: The folder.
    """

    folder: DeclarationFolder

    def take(
        self, dispatcher: Dispatcher, *, at: Callable[[], datetime], proceed: Callable[[], bool] = lambda: True
    ) -> Iterator[FileOutcome]:
        """
        Queue the declarations that are there, oldest first, and move their files. Waits for the disk and the ledger.

        Args:
            dispatcher: Chooses the system and queues the declaration.
            at: Returns the current time, aware.
            proceed: Whether to go on; asked before each file.

        Yields:
            What became of each file, after it was moved.

        Raises:
            LedgerError: The ledger could not be read or written; the file stays where it is.
            OSError: The folder cannot be read, or a file cannot be read or moved; the file stays where it is. If the
                error is one of this file and not of the whole disk, the other files are taken first.
        """
        failed: OSError | None = None
        for name in self.waiting():
            if not proceed():
                return
            try:
                outcome = self._take(dispatcher, name, at)
            except OSError as error:
                if may_pass(error):
                    raise
                failed = failed or error
            else:
                if outcome is not None:
                    yield outcome
        if failed is not None:
            raise failed

    def _take(self, dispatcher: Dispatcher, name: str, at: Callable[[], datetime]) -> FileOutcome | None:
        """Queue and move one file; None if it is left alone."""
        if (content := self._settled(name)) is None:
            return None
        octets, changed = content
        try:
            dispatched, refusal = self._dispatch(dispatcher, name, octets, changed, at()), ""
        except (InputError, UnknownError) as error:
            dispatched, refusal = None, _in_words(error)
        moved_to = self._move(name, octets, refusal)
        return FileOutcome(file=name, dispatched=dispatched, refusal=refusal, moved_to=moved_to)

    def queue(self, dispatcher: Dispatcher, name: str, *, at: datetime, kind: str | None = None) -> Dispatched:
        """
        Queue one file, and leave it where it is. Waits for the disk and the ledger.

        Args:
            dispatcher: Chooses the system and queues the declaration.
            name: Its path below the folder, with ``/`` between folders; a link is followed.
            at: Now, aware.
            kind: The kind of declaration, as the dispatcher's plan names it.

        Returns:
            The exchange and where it goes; *repeated* if the same declaration was queued before under its K.

        Raises:
            InputError: The name does not have the form of the pattern, the file is still being written, or a value
                cannot be sent or kept. Nothing was queued.
            UnknownError: The party or the system is not known. Nothing was queued.
            LedgerError: The ledger could not be read or written. Repeat the call.
            OSError: The file cannot be read.
        """
        if self.folder.match(name) is None:
            message = f"The name does not have the form {self.folder.pattern}."
            raise InputError("", (Problem("folder.name", message),))
        content = _read(self.folder.path / name, self.folder.settle, follow=True)
        if content is None:
            message = "It is still being written, or is not a file; queue it when it is complete."
            raise InputError("", (Problem("folder.file", message),))
        octets, changed = content
        return self._dispatch(dispatcher, name, octets, changed, at, kind=kind)

    def waiting(self) -> list[str]:
        """
        List the files that have the form of the pattern, oldest first, below the folder.

        Raises:
            OSError: The folder cannot be read.
        """
        found = [
            (entry.stat(follow_symlinks=False).st_mtime_ns, name)
            for name, entry in self._entries()
            if self._is_declaration(name, entry)
        ]
        return [name for _, name in sorted(found)]

    def others(self) -> list[str]:
        """
        List the files that are left alone because they do not have the form of the pattern, or are links.

        Raises:
            OSError: The folder cannot be read.
        """
        return sorted(
            name
            for name, entry in self._entries()
            if not self._is_declaration(name, entry) and not entry.is_dir(follow_symlinks=False)
        )

    def _is_declaration(self, name: str, entry: os.DirEntry[str]) -> bool:
        return self.folder.match(name) is not None and entry.is_file(follow_symlinks=False)

    def _entries(self) -> Iterator[tuple[str, os.DirEntry[str]]]:
        """Give what is as deep as the pattern, or less, with its path below the folder; nothing that is hidden."""
        folders = [""]
        for depth in range(self.folder.pattern.count("/"), -1, -1):
            below: list[str] = []
            for folder in folders:
                with os.scandir(self.folder.path / folder) as entries:
                    for entry in entries:
                        name = f"{folder}{entry.name}"
                        if entry.name.startswith(".") or (not folder and entry.name in {SENT, BAD}):
                            continue
                        if depth and entry.is_dir():
                            below.append(f"{name}/")
                        else:
                            yield name, entry
            folders = below

    def refused(self) -> list[str]:
        """
        List the files that were refused and are still there, below the folder.

        Raises:
            OSError: The folder cannot be read.
        """
        return [
            str(Path(folder, name).relative_to(self.folder.path))
            for folder, _, names in os.walk(self.folder.path / BAD)
            for name in sorted(names)
            if not name.endswith(REASON) and not name.startswith(".")
        ]

    def self_test(self) -> None:
        """
        Create the folders for files that were queued or refused, and write, move and remove a hidden file.

        Raises:
            OSError: The folder is missing, or cannot be written; or its parts are on several file systems.
        """
        if not self.folder.path.is_dir():
            raise FileNotFoundError(errno.ENOENT, "There is no such folder; create it", str(self.folder.path))
        for part in (SENT, BAD):
            make_folder(self.folder.path / part)
            try_out(self.folder.path, self.folder.path / part)

    def _settled(self, name: str) -> tuple[bytes, datetime] | None:
        """Read a file and its date; None if it is still being written, or gone."""
        try:
            return _read(self.folder.path / name, self.folder.settle, follow=False)
        except FileNotFoundError:  # another agent has taken it
            return None

    def _dispatch(  # noqa: PLR0913 - what was read, and when
        self,
        dispatcher: Dispatcher,
        name: str,
        octets: bytes,
        changed: datetime,
        at: datetime,
        *,
        kind: str | None = None,
    ) -> Dispatched:
        values = self.folder.match(name) or {}
        party = values.get("party", self.folder.party) or ""
        reference = values.get("reference")
        if reference is None:
            reference = automatic_reference(party, octets)
        identity = b"\0".join((party.lower().encode(errors="surrogateescape"), os.fsencode(reference), octets))
        domain = self.folder.mailbox.rpartition("@")[2]
        return dispatcher.dispatch(
            octets,
            party=party,
            mailbox=self.folder.mailbox,
            reference=reference,
            at=at,
            system=values.get("system", self.folder.system),
            kind=kind,
            layout=self.folder.layout,
            transfer_encoding=self.folder.transfer_encoding,
            date=changed,
            message_id=f"<{hashlib.sha256(identity).hexdigest()[:32]}@{domain}>",
        )

    def _move(self, name: str, octets: bytes, refusal: str) -> str:
        """Move a file to where it belongs; a file with the same content there takes its place."""
        target = self.folder.path / (BAD if refusal else SENT) / name
        make_folder(target.parent)
        if refusal:
            _write_anew(target.with_name(f"{target.name}{REASON}"), f"{refusal}\n".encode(errors="replace"))

        def numbered(number: int) -> str:
            return f"{target.stem}.{number}{target.suffix}" if number else target.name

        source = self.folder.path / name

        def put(free: str) -> None:
            with contextlib.suppress(FileNotFoundError):  # another agent has moved it
                move(source, target.parent / free)

        free = place(lambda: free_name(target.parent, numbered, octets), put)
        if free is None:
            source.unlink(missing_ok=True)
        sync_names(target.parent)
        sync_names(source.parent)
        return str((target.parent / (free or target.name)).relative_to(self.folder.path))


def _read(place: Path, settle: float, *, follow: bool) -> tuple[bytes, datetime] | None:
    """Read a file and its date; None if it is still being written, or is not a file."""
    number = os.open(place, os.O_RDONLY | os.O_NONBLOCK | (0 if follow else os.O_NOFOLLOW))
    with os.fdopen(number, "rb") as file:
        before = os.fstat(number)
        # Also a time in the future, of a server whose clock is ahead, is not now.
        age = abs(time.time() - max(before.st_mtime, before.st_ctime))
        if not stat.S_ISREG(before.st_mode) or age < settle:
            return None
        octets = file.read()
        after = os.fstat(number)
    if (before.st_mtime_ns, len(octets)) != (after.st_mtime_ns, after.st_size):
        return None
    return octets, datetime.fromtimestamp(int(before.st_mtime), UTC)


def _write_anew(place: Path, octets: bytes) -> None:
    """Write a file that may replace an older one."""
    place.unlink(missing_ok=True)
    with contextlib.suppress(FileExistsError):
        write(place.parent, place, octets, prefix=HIDDEN)


def _in_words(error: InputError | UnknownError) -> str:
    """Say why a file was refused, and what to do."""
    why = [one_line(problem.message) for problem in error.problems] if isinstance(error, InputError) else [str(error)]
    return "\n".join((*why, _ADVICE))


@final
class FolderWorker:
    """
    Watch a folder for declarations.

    Args:
        context: What the workers of the agent share.
        folder: The folder.
        dispatcher: Queues the declarations.
        wake: Called when something was queued.
    """

    def __init__(
        self, context: WorkerContext, folder: DeclarationFolder, dispatcher: Dispatcher, wake: Callable[[], None]
    ) -> None:
        self._context = context
        self._dispatcher = dispatcher
        self._folder = folder
        self._wake = wake
        self._reported = ""
        self.taken = asyncio.Event()
        """Set when the folder was looked through, as far as it could be."""

    async def self_test(self) -> tuple[Problem, ...]:
        """Test the folder; return why it can never be used, and log what may pass."""
        folder = self._folder
        try:
            async with asyncio.timeout(_SELF_TEST_TIMEOUT):
                await run_in_thread(DeclarationFiles(folder).self_test)
        except OSError as error:
            why = f"{error.strerror or 'it does not answer'}."
            if may_pass(error):
                LOG.warning("Declarations in %s cannot be queued now, and wait: %s", folder.path, why)
                return ()
            hint = " Its folders sent and bad must be on the same file system." if error.errno == errno.EXDEV else ""
            return (Problem("folder.path", f"Declarations in {folder.path} cannot be queued: {why}{hint}"),)
        return ()

    async def run(self) -> None:
        """Watch until the agent is asked to stop."""
        await self._context.run_repeatedly(f"folder {self._folder.path}", self._take)

    async def _take(self) -> None:
        context, stop = self._context, self._context.stop_event
        loop = asyncio.get_running_loop()

        def take() -> None:
            for outcome in DeclarationFiles(self._folder).take(
                self._dispatcher, at=context.clock, proceed=lambda: not stop.is_set()
            ):
                log(self._folder, outcome)
                if outcome.dispatched is not None:
                    loop.call_soon_threadsafe(self._wake)

        delay = context.timing.poll_interval
        try:
            await run_in_thread(take)
        except OSError as error:
            why = f"{error.filename or self._folder.path}: {error.strerror or error}"
            if why != self._reported:  # not at every poll
                LOG.error("Declarations in %s wait: %s", self._folder.path, one_line(why))
            self._reported, delay = why, context.timing.retry_delay
        else:
            self._reported = ""
        self.taken.set()
        await wait_for_event(stop, delay)


def folder_workers(
    context: WorkerContext,
    folders: Iterable[DeclarationFolder],
    dispatcher: Dispatcher | None,
    wake: Callable[[], None],
) -> list[FolderWorker]:
    """
    Make a worker for each folder.

    Raises:
        InputError: There are folders, and no dispatcher that queues their declarations.
    """
    listed = list(folders)
    if listed and dispatcher is None:
        message = "dispatcher is not given, but folders are; give the Dispatcher that queues their declarations."
        raise InputError("", (Problem("agent.no-dispatcher", message),))
    return [FolderWorker(context, folder, dispatcher, wake) for folder in listed if dispatcher is not None]


def log(folder: DeclarationFolder, outcome: FileOutcome) -> None:
    """Log what became of a file."""
    file, place = one_line(outcome.file), folder.path
    if outcome.dispatched is None:
        LOG.warning("%s in %s was refused and is in %s: %s", file, place, BAD, one_line(outcome.refusal))
        return
    exchange = outcome.dispatched.exchange
    how = "was queued before" if exchange.repeated else "was queued"
    facts = (exchange.system, exchange.party, exchange.reference)
    LOG.info("%s in %s %s for %s of %s under %s", file, place, how, *facts)
