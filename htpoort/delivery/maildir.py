"""
Deliver a reply to a Maildir, as a separate file.

A file appears complete or not at all, and a disk that hangs is waited for only a limited time.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from pathlib import Path
from typing import Final, cast, final

import attrs

from htpoort._aio import DiskThreads
from htpoort._disk import free_name, is_whole, make_folder, safe_name, sync_names, write
from htpoort.core.errors import InputError, Problem
from htpoort.delivery import _checks
from htpoort.delivery.contract import Deliverable, DeliveryError

__all__ = ["MaildirDelivery"]

_FOLDERS: Final = ("tmp", "new", "cur")


@final
@attrs.frozen
class MaildirDelivery:
    """
    Write each reply into a Maildir, as a separate file that appears complete or not at all.

    After a crash the same reply may come again. It is recognised by the name and the content of its file and not
    written a second time, even if a reader has moved the file to ``cur`` or marked it. If a reader has removed
    the file, it appears again. A file with the same name but other content is left alone, and the reply is
    written beside it. If ``attempts`` of the reply is 1, ``cur``, which may be large, is not searched.

    Files get mode 0600 and new folders 0700, whatever the umask. Where the file system has no hard links, files
    are renamed.

    Args:
        path: The Maildir. If it is missing, it is created for its owner alone.
        per_system: Use a separate Maildir below *path* for each system.
        timeout: Seconds before a delivery has failed. What a slow disk writes later is recognised when the reply
            comes again.

    Raises:
        InputError: *path* is not a path, or *timeout* is not above 0; reports both.
    """

    path: Path | str
    per_system: bool = attrs.field(default=False, kw_only=True)
    timeout: float = attrs.field(default=60.0, kw_only=True)
    _threads: DiskThreads = attrs.field(factory=DiskThreads, init=False, eq=False, repr=False)

    def __attrs_post_init__(self) -> None:
        problems: list[Problem] = []
        if not isinstance(cast("object", self.path), (str, Path)) or not _checks.is_argument(str(self.path)):
            problems.append(Problem("delivery.maildir", f"path is {str(self.path)!r}; give the path of a Maildir."))
        problems += _checks.timeout(self.timeout)
        if problems:
            raise InputError("", tuple(problems))

    async def __call__(self, reply: Deliverable) -> None:
        """
        Write one reply.

        Args:
            reply: The reply.

        Raises:
            DeliveryError: The reply cannot be written, or writing it took too long.
        """
        name, raw = _file_name(reply), reply.raw
        # At the first attempt it cannot have been written before.
        first = getattr(reply, "attempts", 0) == 1
        target = self._target(reply.system)
        try:
            await self._threads.run(target, lambda: _put(target, name, raw, first=first), self.timeout)
        except OSError as error:
            raise DeliveryError(str(target), _checks.why(error)) from error

    async def self_test(self, system: str) -> None:
        """
        Do what a delivery does, with a file that readers ignore.

        Args:
            system: The name of the system whose replies are to come.

        Raises:
            InputError: No reply can ever be written there, until the configuration or the disk is changed.
            DeliveryError: No reply can be written now; a disk may be full, or hang.
        """
        target = self._target(system)
        try:
            await self._threads.run(target, lambda: _self_test(target), self.timeout)
        except OSError as error:
            raise _checks.self_test_error("delivery.maildir", system, str(target), error) from error

    def _target(self, system: str) -> Path:
        return Path(self.path, safe_name(system)) if self.per_system else Path(self.path)


def _file_name(reply: Deliverable) -> str:
    """
    Name the file of a reply, the same at every delivery.

    The content is part of the name, because another ledger that delivers to the same Maildir has the same keys.
    """
    content = hashlib.sha256(reply.raw).hexdigest()[:16]
    return f"{int(reply.received.timestamp())}.K{reply.key:d}H{content}.htpoort"


def _put(maildir: Path, name: str, raw: bytes, *, first: bool) -> None:
    """Write a file, sync it, and only then let it appear; write nothing if it exists."""
    for each in _FOLDERS:
        make_folder(maildir / each)
    # Another delivery of the same reply may take the name meanwhile; then search again.
    while (free := _free(maildir, name, raw, first=first)) is not None:
        with contextlib.suppress(FileExistsError):
            write(maildir / "tmp", maildir / "new" / free, raw)
            break
    # Also if the file existed: the process that wrote it may have ended before syncing.
    for each in ("new", "cur"):
        sync_names(maildir / each)


def _free(maildir: Path, name: str, raw: bytes, *, first: bool) -> str | None:
    """
    Find a free name for a reply; None if the whole reply is there.

    Raises:
        OSError: A file cannot be read, or too many other files have its name.
    """
    # In ``new`` first, because readers move files from there to ``cur``.
    free = free_name(maildir / "new", lambda number: f"{name}.{number}" if number else name, raw)
    # At a first attempt only if a name was taken: perhaps by this reply, which a reader has just moved.
    search = not first or free != name
    if free is None or (search and any(is_whole(path, raw) for path in _marked(maildir, name))):
        return None
    return free


def _marked(maildir: Path, name: str) -> list[Path]:
    """List the files that readers have moved. They append flags after a colon, some after another character."""
    with os.scandir(maildir / "cur") as entries:
        return [Path(entry.path) for entry in entries if entry.name.startswith(name)]


def _self_test(maildir: Path) -> None:
    """Create the folders, write and place a file, and move something to where readers search and back."""
    for each in _FOLDERS:
        make_folder(maildir / each)
    # Readers ignore folders, and names that begin with a dot.
    with tempfile.TemporaryDirectory(prefix=".htpoort-", dir=maildir / "tmp") as name:
        folder, moved = Path(name), maildir / "new" / Path(name).name
        write(folder, folder / "placed", b"x")
        folder.rename(moved)
        moved.rename(folder)
    for each in ("new", "cur"):
        sync_names(maildir / each)
