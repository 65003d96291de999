"""
Queue declarations that other programs write as files into a folder.

What a declaration is called follows from its file alone, so that a crash between two steps repeats nothing.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import hashlib
import os
import re
import stat
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, final

import attrs

from htpoort import _clock
from htpoort._disk import (
    ALIKE,
    HIDDEN,
    fitting_name,
    free_name,
    is_whole,
    make_folder,
    may_pass,
    move,
    place,
    stand_in,
    sync_names,
    try_out,
    write,
)
from htpoort.agent.dispatch import Dispatched, Dispatcher
from htpoort.agent.settings import DeclarationFolder
from htpoort.core.errors import InputError, Problem, UnknownError
from htpoort.core.message import automatic_reference
from htpoort.core.party import find_party
from htpoort.core.text import one_line

__all__ = ["DeclarationFiles", "FileOutcome", "FolderContent"]

SENT: Final = "sent"
BAD: Final = "bad"
REASON: Final = ".reason.txt"
_ADVICE: Final = (
    "Nothing was queued. Correct the file, its name or the configuration, and move it back into the folder."
)
_QUIET: Final = timedelta(minutes=1)
"""A file of another form that has not changed for so long is not one that a program will soon rename."""
_MOST_NAMED: Final = 10  # of the files that are left alone
_MOST_RUNS: Final = 8  # of letters and digits in a name, which may have been its K
_RUN: Final = re.compile(r"[A-Za-z0-9]{1,35}")


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
@attrs.frozen(kw_only=True)
class FolderContent:
    """
    What is in a folder of declarations: paths below it, each with the time since when the file is there unchanged.

    Args:
        waiting: Files that have the form of the pattern.
        refused: Files that were refused and are still there.
        others: Files that have another form, as deep as the pattern or one folder deeper.
    """

    waiting: Mapping[str, datetime]
    refused: Mapping[str, datetime]
    others: Mapping[str, datetime]

    @property
    def waiting_since(self) -> datetime | None:
        """Since when the file waits that waits longest; None if there is none."""
        return min(self.waiting.values(), default=None)

    def left_alone(self, at: datetime) -> list[str]:
        """
        List the files of another form that no program is about to rename, the oldest first.

        Args:
            at: Now, aware.

        Returns:
            Those that have not changed for a minute.
        """
        quiet = [(since, name) for name, since in self.others.items() if at - since >= _QUIET]
        return [name for _, name in sorted(quiet)]


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
        found: list[tuple[int, str]] = []
        for name, entry in self._entries():
            if self._is_declaration(name, entry):
                with contextlib.suppress(FileNotFoundError):  # an agent has taken it
                    found.append((entry.stat(follow_symlinks=False).st_mtime_ns, name))
        return [name for _, name in sorted(found)]

    def others(self) -> list[str]:
        """
        List the files that are left alone because they do not have the form of the pattern, or are links.

        Returns:
            Their paths below the folder, as deep as the pattern or one folder deeper.

        Raises:
            OSError: The folder cannot be read.
        """
        return sorted(
            name
            for name, entry in self._entries(deeper=1)
            if not self._is_declaration(name, entry) and not entry.is_dir(follow_symlinks=False)
        )

    def content(self, *, only_others: bool = False) -> FolderContent:
        """
        Look at what is there, or *only_others*: without what waits and what was refused. Reads no file.

        Raises:
            OSError: The folder cannot be read.
        """
        waiting, refused = ((), ()) if only_others else (self.waiting(), self.refused())
        return FolderContent(
            waiting=self._since(waiting), refused=self._since(refused), others=self._since(self.others())
        )

    def _since(self, names: Iterable[str]) -> dict[str, datetime]:
        """Find since when files are there unchanged; leave out those that are gone."""
        found: dict[str, datetime] = {}
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                # Not st_mtime, which a file keeps when it is moved.
                changed = (self.folder.path / name).lstat().st_ctime
                found[name] = datetime.fromtimestamp(changed, UTC)
        return found

    def left_alone_in_words(self, names: Sequence[str]) -> tuple[str, str]:
        """
        Say that files are left alone, and why.

        Args:
            names: What `others` lists, or some of it; at least one.

        Returns:
            Two parts of a sentence.
        """
        if len(names) == 1:
            return f"{one_line(names[0])} in {self.folder.path} is left alone", self.folder.why_left_alone(names[0])
        of_reason: dict[str, list[str]] = {}
        for name in names[:_MOST_NAMED]:
            of_reason.setdefault(self.folder.why_left_alone(name), []).append(one_line(name))
        why = ". ".join(f"{', '.join(found)}: {reason}" for reason, found in of_reason.items())
        if len(names) > _MOST_NAMED:
            why += f". And {len(names) - _MOST_NAMED} more"
        return f"{len(names)} files in {self.folder.path} are left alone", why

    def _is_declaration(self, name: str, entry: os.DirEntry[str]) -> bool:
        return self.folder.match(name) is not None and entry.is_file(follow_symlinks=False)

    def _entries(self, *, deeper: int = 0) -> Iterator[tuple[str, os.DirEntry[str]]]:
        """Give what is as deep as the pattern, or less, with its path below the folder; nothing that is hidden."""
        folders = [""]
        for depth in range(self.folder.pattern.count("/") + deeper, -1, -1):
            below: list[str] = []
            for folder in folders:
                for entry in self._scan(folder):
                    name = f"{folder}{entry.name}"
                    if entry.name.startswith(".") or (not folder and entry.name in {SENT, BAD}):
                        continue
                    if depth and entry.is_dir():
                        below.append(f"{name}/")
                    else:
                        yield name, entry
            folders = below

    def _scan(self, folder: str) -> Iterator[os.DirEntry[str]]:
        """List one folder; one below, which another program has removed meanwhile, is empty."""
        try:
            with os.scandir(self.folder.path / folder) as entries:
                yield from entries
        except FileNotFoundError:
            if not folder:
                raise

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

    def reason_file(self, name: str) -> Path:
        """
        Name the file with the reason why a file was refused.

        Args:
            name: What `refused` lists.

        Returns:
            Its place, which is beside the file.
        """
        return _reason_file(self.folder.path / name)

    def reason(self, name: str) -> str:
        """
        Read why a file was refused.

        Args:
            name: What `refused` lists.

        Returns:
            The reason, on one line, without what to do; if it cannot be read, a sentence about that.
        """
        try:
            text = self.reason_file(name).read_text(encoding="utf-8", errors="replace")
        except OSError:
            return "the reason beside it cannot be read."
        return one_line(text.strip().removesuffix(_ADVICE)).strip()

    def self_test(self, *, create: bool = True) -> tuple[Path, ...]:
        """
        Write, move and remove a hidden file, as for a declaration.

        Args:
            create: Create the folders for files that were queued or refused; otherwise, nothing is left behind.

        Returns:
            Those of the two folders that are missing.

        Raises:
            OSError: The folder is missing, or cannot be written; or its parts are on several file systems.
        """
        if not self.folder.path.is_dir():
            raise FileNotFoundError(errno.ENOENT, "There is no such folder; create it", str(self.folder.path))
        parts = [self.folder.path / part for part in (SENT, BAD)]
        for part in parts:
            if create:
                make_folder(part)
            with stand_in(part) as there:
                try_out(self.folder.path, there)
        return tuple(part for part in parts if not part.is_dir())

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
        automatic = automatic_reference(party, octets)
        reference = values.get("reference", automatic)
        # The K that another pattern would have given this file.
        others = _RUN.findall(name)[:_MOST_RUNS] if reference == automatic else [automatic]
        self._check_not_queued(dispatcher, party, reference, others, octets)
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
            message_id=self._message_id(party, reference, octets),
        )

    def _message_id(self, party: str, reference: str, octets: bytes) -> str:
        """Make the Message-ID, which is the same for the same declaration and K."""
        identity = b"\0".join((party.lower().encode(errors="surrogateescape"), os.fsencode(reference), octets))
        domain = self.folder.mailbox.rpartition("@")[2]
        return f"<{hashlib.sha256(identity).hexdigest()[:32]}@{domain}>"

    def _check_not_queued(
        self, dispatcher: Dispatcher, party: str, reference: str, others: Iterable[str], octets: bytes
    ) -> None:
        """
        Refuse a file that was queued under the K that another pattern gave it: it would be declared twice.

        Raises:
            InputError: It was.
            UnknownError: The party is not known.
        """
        own = str(find_party(dispatcher.parties, party, dispatcher.source))
        find = functools.partial(dispatcher.ledger.exchanges.find, party=own)
        if not _RUN.fullmatch(reference) or find(reference) is not None:
            return  # no K, or one whose declaration is compared with this one
        for other in others:
            before = find(other)
            if before is not None and before.message_id == self._message_id(party, other, octets):
                message = (
                    f"This declaration was queued before as {other}, for {before.system} at "
                    f"{_clock.local(before.created)}; as {reference} it would be declared twice. "
                    "Was pattern changed? To declare it again on purpose: htpoort queue FILE --reference K."
                )
                raise InputError("", (Problem("folder.queued-before", message),))

    def _move(self, name: str, octets: bytes, refusal: str) -> str:
        """Move a file to where it belongs; a file with the same content there takes its place."""
        target = self.folder.path / (BAD if refusal else SENT) / name
        make_folder(target.parent)

        def numbered(number: int) -> str:
            return fitting_name(target.stem, f".{number}{target.suffix}") if number else target.name

        source = self.folder.path / name

        def explain(file: str) -> None:
            if refusal:
                _write_anew(_reason_file(target.parent / file), f"{refusal}\n".encode(errors="replace"))

        def put(free: str) -> None:
            # The reason first: a file in the other folder without one would be a riddle.
            explain(free)
            with contextlib.suppress(FileNotFoundError):  # another agent has moved it
                move(source, target.parent / free)

        moved_to = place(lambda: free_name(target.parent, numbered, octets), put)
        if moved_to is None:
            same = (numbered(number) for number in range(ALIKE))
            moved_to = next((file for file in same if is_whole(target.parent / file, octets)), target.name)
            explain(moved_to)
            source.unlink(missing_ok=True)
        sync_names(target.parent)
        sync_names(source.parent)
        return str((target.parent / moved_to).relative_to(self.folder.path))


def _reason_file(file: Path) -> Path:
    """Name the file with the reason why a file was refused."""
    return file.with_name(fitting_name(file.name, REASON))


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
