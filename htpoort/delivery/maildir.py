"""
Deliver a reply to a Maildir, as a separate file.

A file appears complete or not at all, and a disk that hangs is waited for only a limited time.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import hashlib
import os
import re
import stat
import tempfile
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar, cast, final

import attrs

from htpoort._aio import DaemonThreads
from htpoort.core.errors import InputError, Problem
from htpoort.delivery import _checks
from htpoort.delivery.contract import Deliverable, DeliveryError

__all__ = ["MaildirDelivery"]

T = TypeVar("T")

_FOLDERS: Final = ("tmp", "new", "cur")
_NAMES: Final = 100  # other files with the name of a reply; more cannot be an accident
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9_-]")


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
    # For each folder separately: the folder of one system may be on a disk that hangs.
    _threads: defaultdict[Path, DaemonThreads] = attrs.field(
        factory=lambda: defaultdict(DaemonThreads), init=False, eq=False, repr=False
    )

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
            await self._within_time(target, lambda: _put(target, name, raw, first=first))
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
            await self._within_time(target, lambda: _self_test(target))
        except OSError as error:
            raise _checks.self_test_error("delivery.maildir", system, str(target), error) from error

    def _target(self, system: str) -> Path:
        return Path(self.path, _safe(system)) if self.per_system else Path(self.path)

    async def _within_time(self, target: Path, work: Callable[[], T]) -> T:
        limit = asyncio.timeout(self.timeout)
        try:
            # Cancelling the caller does not stop the thread; what it writes is recognised next time.
            async with limit:
                return await asyncio.wrap_future(self._threads[target].submit(work))
        except TimeoutError as error:
            # A network disk may raise the same error by itself.
            if limit.expired():
                raise DeliveryError(str(target), f"It took more than {self.timeout:g} s.") from error
            raise


def _safe(name: str) -> str:
    """Make the name of a folder from any text; different texts give different names."""
    return _UNSAFE.sub(lambda match: "".join(f"%{octet:02X}" for octet in match[0].encode()), name)


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
        _make(maildir / each)
    # Another delivery of the same reply may take the name meanwhile; then search again.
    while (free := _free(maildir, name, raw, first=first)) is not None:
        with contextlib.suppress(FileExistsError):
            _write(maildir / "tmp", maildir / "new" / free, raw)
            break
    # Also if the file existed: the process that wrote it may have ended before syncing.
    for each in ("new", "cur"):
        _sync(maildir / each)


def _free(maildir: Path, name: str, raw: bytes, *, first: bool) -> str | None:
    """
    Find a free name for a reply; None if the whole reply is there.

    Raises:
        OSError: A file cannot be read, or too many other files have its name.
    """
    for free in (name, *(f"{name}.{number}" for number in range(1, _NAMES))):
        # In ``new`` first, because readers move files from there to ``cur``. And first whether the name is taken, only
        # then by what: the other way round, another delivery of this reply may take it between the two looks, and its
        # file would be passed over as if it were of another reply.
        if not os.path.lexists(maildir / "new" / free):
            # At a first attempt only if a name was taken: perhaps by this reply, which a reader has just moved.
            search = not first or free != name
            return None if search and any(_is_whole(path, raw) for path in _marked(maildir, name)) else free
        if _is_whole(maildir / "new" / free, raw):
            return None
    raise OSError(errno.EMLINK, f"{_NAMES} other files have the name of the reply")


def _marked(maildir: Path, name: str) -> list[Path]:
    """List the files that readers have moved. They append flags after a colon, some after another character."""
    with os.scandir(maildir / "cur") as entries:
        return [Path(entry.path) for entry in entries if entry.name.startswith(name)]


def _is_whole(path: Path, raw: bytes) -> bool:
    """Check whether a file exists and holds the whole reply, octet for octet."""
    try:
        status = path.lstat()
        if not stat.S_ISREG(status.st_mode) or status.st_size != len(raw):
            return False
        # If it was replaced in this moment: do not follow a link, and do not wait for a pipe.
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
            return file.read() == raw
    except (FileNotFoundError, PermissionError):
        return False


def _write(folder: Path, place: Path, raw: bytes) -> None:
    """
    Write a file in a folder, sync it, and move it to its place.

    Raises:
        FileExistsError: Another file took the place meanwhile.
    """
    number, name = tempfile.mkstemp(prefix=f"{place.name}.", dir=folder)
    written = Path(name)
    try:
        with os.fdopen(number, "wb") as file:
            _restrict(written, 0o600)
            file.write(raw)
            file.flush()
            os.fsync(number)
        try:
            # Unlike a rename, a link never replaces another file.
            place.hardlink_to(written)
        except FileExistsError:
            raise
        except OSError:
            # Not every file system has hard links, and they report this with different errors. Between this check
            # and the rename only the same reply can appear there: its key and its content are in the name.
            if os.path.lexists(place):
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST)) from None
            written.rename(place)
    finally:
        written.unlink(missing_ok=True)


def _self_test(maildir: Path) -> None:
    """Create the folders, write and place a file, and move something to where readers search and back."""
    for each in _FOLDERS:
        _make(maildir / each)
    # Readers ignore folders, and names that begin with a dot.
    with tempfile.TemporaryDirectory(prefix=".htpoort-", dir=maildir / "tmp") as name:
        folder, moved = Path(name), maildir / "new" / Path(name).name
        _write(folder, folder / "placed", b"x")
        folder.rename(moved)
        moved.rename(folder)
    for each in ("new", "cur"):
        _sync(maildir / each)


def _make(folder: Path) -> None:
    """Create a folder and its parents, for the owner alone, and sync their names to the disk."""
    if not folder.is_dir():
        _make(folder.parent)
        try:
            folder.mkdir(mode=0o700)
        except FileExistsError:
            if not folder.is_dir():
                raise
        else:
            _restrict(folder, 0o700)
        _sync(folder.parent)


def _sync(folder: Path) -> None:
    """Sync the names in a folder to the disk."""
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    except OSError as error:
        # A file system that cannot sync a folder keeps the names by other means.
        if error.errno not in {errno.EINVAL, errno.ENOTSUP, errno.ENOSYS}:
            raise
    finally:
        os.close(number)


def _restrict(path: Path, mode: int) -> None:
    """Set the mode of a new file or folder to 0o600 or 0o700, whatever the umask."""
    if stat.S_IMODE(path.stat().st_mode) & 0o777 != mode:
        # Some file systems have no modes but those that they were mounted with.
        with contextlib.suppress(PermissionError):
            path.chmod(mode)
