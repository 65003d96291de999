"""
Deliver a reply to a disk: to a Maildir, or to a folder that programs pick files up from.

A file appears complete or not at all, and a disk that hangs is waited for only a limited time.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import tempfile
from pathlib import Path
from typing import Final, cast, final

import attrs

from htpoort._aio import DiskThreads
from htpoort._disk import (
    HIDDEN,
    free_name,
    is_whole,
    make_folder,
    place,
    safe_name,
    stand_in,
    sync_names,
    try_out,
    write,
)
from htpoort._log import event
from htpoort.core import text
from htpoort.core.errors import InputError, Problem
from htpoort.core.payload import read_payload
from htpoort.delivery.contract import (
    Deliverable,
    DeliveryError,
    is_argument,
    reason_of,
    self_test_error,
    timeout_problems,
)

__all__ = ["DirectoryDelivery", "MaildirDelivery"]

_LOG: Final = logging.getLogger("htpoort.delivery")
_FOLDERS: Final = ("tmp", "new", "cur")
_PLACEHOLDERS: Final = ("system", "party")


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
        if not isinstance(cast("object", self.path), (str, Path)) or not is_argument(str(self.path)):
            problems.append(Problem("delivery.maildir", f"path is {str(self.path)!r}; give the path of a Maildir."))
        problems += timeout_problems(self.timeout)
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
            await self._threads.run(target, lambda: _put_mail(target, name, raw, first=first), self.timeout)
        except OSError as error:
            raise DeliveryError(str(target), reason_of(error)) from error

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
            await self._threads.run(target, lambda: _test_maildir(target), self.timeout)
        except OSError as error:
            raise self_test_error("delivery.maildir", system, str(target), error) from error

    async def rehearse(self, system: str) -> tuple[Path, ...]:
        """
        Do what `self_test` does, and leave nothing behind: no folder is created that stays.

        Args:
            system: The name of the system whose replies are to come.

        Returns:
            The folders that are missing, which an agent creates.

        Raises:
            InputError: No reply can ever be written there, until the configuration or the disk is changed.
            DeliveryError: No reply can be written now; a disk may be full, or hang.
        """
        target = self._target(system)
        try:
            return await self._threads.run(target, lambda: _rehearse_maildir(target), self.timeout)
        except OSError as error:
            raise self_test_error("delivery.maildir", system, str(target), error) from error

    def place_of(self, reply: Deliverable) -> Path:
        """
        Give the place where a reply is written if no other file has its name; a reader may move and mark it.

        Args:
            reply: The reply.

        Returns:
            The path of its file.
        """
        return self._target(reply.system) / "new" / _file_name(reply)

    def _target(self, system: str) -> Path:
        return Path(self.path, safe_name(system)) if self.per_system else Path(self.path)


def _file_name(reply: Deliverable) -> str:
    """
    Name the file of a reply, the same at every delivery.

    The content is part of the name, because another ledger that delivers to the same Maildir has the same keys.
    """
    content = hashlib.sha256(reply.raw).hexdigest()[:16]
    return f"{int(reply.received.timestamp())}.K{reply.key:d}H{content}.htpoort"


def _put_mail(maildir: Path, name: str, raw: bytes, *, first: bool) -> None:
    """Write a file, sync it, and only then let it appear; write nothing if it exists."""
    for each in _FOLDERS:
        make_folder(maildir / each)
    place(
        lambda: _free(maildir, name, raw, first=first),
        lambda free: write(maildir / "tmp", maildir / "new" / free, raw),
    )
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


def _test_maildir(maildir: Path) -> None:
    """Create the folders, write and place a file, and move something to where readers search and back."""
    for each in _FOLDERS:
        make_folder(maildir / each)
    _try_maildir(*(maildir / each for each in _FOLDERS))


def _rehearse_maildir(maildir: Path) -> tuple[Path, ...]:
    """Do the same with a hidden folder in the place of each that is missing; returns those, or their parent."""
    missing = tuple(maildir / each for each in _FOLDERS if not (maildir / each).is_dir())
    with contextlib.ExitStack() as folders:
        _try_maildir(*(folders.enter_context(stand_in(maildir / each)) for each in _FOLDERS))
    return missing if maildir.is_dir() else (maildir,)


def _try_maildir(tmp: Path, new: Path, cur: Path) -> None:
    """Write and place a file, and move something to where readers search and back."""
    # Readers ignore folders, and names that begin with a dot.
    with tempfile.TemporaryDirectory(prefix=HIDDEN, dir=tmp) as name:
        folder, moved = Path(name), new / Path(name).name
        write(folder, folder / "placed", b"x")
        folder.rename(moved)
        moved.rename(folder)
    for each in (new, cur):
        sync_names(each)


@final
@attrs.frozen
class DirectoryDelivery:
    """
    Write each reply into a folder, as a separate file that appears complete or not at all.

    The name of the file is the reference of the reply (K), its key in the ledger, and an ending: such as
    ``22096222734662-17.xml``. A later reply has a higher key. Characters of K other than letters, digits, dots, hyphens
    and underscores are written as their octets, such as ``%2F``; no name leads out of the folder.

    After a crash the same reply may come again. If its file is still there, it is not written a second time; if a
    program has removed the file, it appears again, with the same name. A file of that name with other content is left
    alone, and the reply is written beside it, as ``22096222734662-17.1.xml``.

    A file that is not complete yet has a name that begins with ``.htpoort-``; a crash may leave one behind. Files get
    mode 0600 and new folders 0700, whatever the umask.

    Args:
        path: The folder. ``{system}`` and ``{party}`` stand for the system that sent the reply and the party that it is
            for, such as ``replies/{system}/{party}``; ``{{`` and ``}}`` are braces. Folders that are missing are
            created for their owner alone.
        payload: Write the payload, decoded, and not the whole message. If a reply does not have exactly one payload
            that can be decoded for sure, its whole message is written, with the ending ``eml``, and this is logged.
        timeout: Seconds before a delivery has failed. What a slow disk writes later is recognised when the reply
            comes again.

    Raises:
        InputError: *path* is not a path or has another placeholder, *payload* is not a bool, or *timeout* is not
            above 0; reports all.
    """

    path: Path | str
    payload: bool = attrs.field(default=False, kw_only=True)
    timeout: float = attrs.field(default=60.0, kw_only=True)
    _threads: DiskThreads = attrs.field(factory=DiskThreads, init=False, eq=False, repr=False)

    def __attrs_post_init__(self) -> None:
        problems = [Problem("delivery.directory", problem) for problem in _wrong_path(self.path)]
        if not isinstance(cast("object", self.payload), bool):
            problems.append(Problem("delivery.directory", f"payload is {self.payload!r}; give True or False."))
        problems += timeout_problems(self.timeout)
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
        folder = self._folder({"system": reply.system, "party": reply.party})
        try:
            await self._threads.run(folder, lambda: _put_file(folder, reply, payload=self.payload), self.timeout)
        except OSError as error:
            raise DeliveryError(str(folder), reason_of(error)) from error

    async def self_test(self, system: str) -> None:
        """
        Do what a delivery does, with a file that is hidden and removed, in the folder above that of the first party.

        Args:
            system: The name of the system whose replies are to come.

        Raises:
            InputError: No reply can ever be written there, until the configuration or the disk is changed.
            DeliveryError: No reply can be written now; a disk may be full, or hang.
        """
        folder = self._folder({"system": system})
        try:
            await self._threads.run(folder, lambda: _test_directory(folder), self.timeout)
        except OSError as error:
            raise self_test_error("delivery.directory", system, str(folder), error) from error

    async def rehearse(self, system: str) -> tuple[Path, ...]:
        """
        Do what `self_test` does, and leave nothing behind: no folder is created that stays.

        Args:
            system: The name of the system whose replies are to come.

        Returns:
            The folders that are missing, which an agent creates.

        Raises:
            InputError: No reply can ever be written there, until the configuration or the disk is changed.
            DeliveryError: No reply can be written now; a disk may be full, or hang.
        """
        folder = self._folder({"system": system})
        try:
            return await self._threads.run(folder, lambda: _rehearse_directory(folder), self.timeout)
        except OSError as error:
            raise self_test_error("delivery.directory", system, str(folder), error) from error

    def place_of(self, reply: Deliverable) -> Path:
        """
        Give the place where a reply is written if no other file has its name.

        Args:
            reply: The reply.

        Returns:
            The path of its file.
        """
        folder = self._folder({"system": reply.system, "party": reply.party})
        return folder / f"{_stem(reply)}.{_content(reply, payload=self.payload)[1]}"

    def _folder(self, values: dict[str, str]) -> Path:
        """Fill in the placeholders, up to the first part of the path that has one without a value."""
        safe = {name: safe_name(value, dots=True) for name, value in values.items()}
        folder = Path()
        for part in Path(self.path).parts:
            if any(name not in safe for name in text.placeholders(part)):
                break
            folder /= part.format_map(safe)
        return folder


def _wrong_path(path: Path | str) -> list[str]:
    """List what is wrong with a path that may have placeholders."""
    if not isinstance(cast("object", path), (str, Path)) or not is_argument(str(path)) or not str(path):
        return [f"path is {path!r}; give the path of a folder."]
    allowed = " and ".join(f"{{{name}}}" for name in _PLACEHOLDERS)
    try:
        wrong = text.unknown_placeholders(str(path), _PLACEHOLDERS)
    except ValueError:
        return [f"path is {str(path)!r}, with a brace alone; write {{{{ for a brace, or {allowed}."]
    return [f"path has the placeholder {{{name}}}; only {allowed} can be filled in." for name in wrong]


def _put_file(folder: Path, reply: Deliverable, *, payload: bool) -> None:
    """Write a file, sync it, and only then let it appear; write nothing if it exists."""
    octets, ending, codes = _content(reply, payload=payload)
    if codes:
        _LOG.warning(
            "The payload of reply %d of %s for %s under %s cannot be taken out for sure (%s); its whole message is "
            "delivered.",
            *(reply.key, reply.system, reply.party, reply.reference, codes),
            extra=event("reply.payload-unclear", of=reply, reply=reply.key, codes=codes),
        )
    stem = _stem(reply)
    make_folder(folder)

    def numbered(number: int) -> str:
        return f"{stem}.{number}.{ending}" if number else f"{stem}.{ending}"

    place(
        lambda: free_name(folder, numbered, octets),
        lambda free: write(folder, folder / free, octets, prefix=HIDDEN),
    )
    # Also if the file existed: the process that wrote it may have ended before syncing.
    sync_names(folder)


def _stem(reply: Deliverable) -> str:
    """Name the file of a reply, the same at every delivery, without its ending."""
    return f"{safe_name(reply.reference, dots=True)}-{reply.key:d}"


def _content(reply: Deliverable, *, payload: bool) -> tuple[bytes, str, str]:
    """Choose the content of a file and its ending; with the codes of why a payload is not taken out, if it is not."""
    if not payload:
        return reply.raw, "eml", ""
    found = read_payload(reply.raw)
    if found.octets is None:
        return reply.raw, "eml", ", ".join(problem.code for problem in found.problems) or "no part"
    return found.octets, str(found.ending), ""


def _test_directory(folder: Path) -> None:
    """Create the folder, and write and remove a file."""
    make_folder(folder)
    try_out(folder, folder)
    sync_names(folder)


def _rehearse_directory(folder: Path) -> tuple[Path, ...]:
    """Write and remove a file, in a hidden folder if the folder is missing; returns it if it is."""
    missing = () if folder.is_dir() else (folder,)
    with stand_in(folder) as there:
        try_out(there, there)
        sync_names(there)
    return missing
