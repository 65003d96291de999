"""
Give a reply to a process by a Maildir, where it is a file of its own.

Never does: change a reply, let half a file appear, or wait for ever for a disk.
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

from htpoort.delivery import _checks
from htpoort.delivery._rights import for_the_owner
from htpoort.delivery._threads import Threads
from htpoort.delivery.values import Deliverable, DeliveryError
from htpoort.errors import InputError, Problem

__all__ = ["MaildirDelivery"]

T = TypeVar("T")

_ROOMS: Final = ("tmp", "new", "cur")
_NAMES: Final = 100  # files of a reply's name that are not the reply; more are no accident
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9_-]")


@final
@attrs.frozen
class MaildirDelivery:
    """
    Put each reply into a Maildir, as a file of its own that is there completely or not at all.

    A reply that comes again, after a crash, is recognised by the name and the content of its file and not put
    there a second time, also where a reader has moved it to ``cur`` or marked it. A reader that has taken it
    away finds it again. A file of that name with other content is left alone, and the reply is put beside it.
    A reply that has ``attempts``, and is delivered for the first time by these, is not looked for in ``cur``,
    which may be large.

    Files are 0600 and folders that it makes 0700, whatever the umask. Where the file system has no hard links,
    files are renamed.

    Args:
        path: The Maildir; made where it is missing, for its owner alone.
        per_system: Put the replies of each system into a Maildir of its own below *path*.
        timeout: Seconds that one may take; then it has failed. What a slow disk still writes is
            recognised when the reply comes again.

    Raises:
        InputError: *path* is no path, or *timeout* no time; tells both.
    """

    path: Path | str
    per_system: bool = attrs.field(default=False, kw_only=True)
    timeout: float = attrs.field(default=60.0, kw_only=True)
    # For each folder its own: that of one system may be on a disk that does not answer.
    _threads: defaultdict[Path, Threads] = attrs.field(
        factory=lambda: defaultdict(Threads), init=False, eq=False, repr=False
    )

    def __attrs_post_init__(self) -> None:
        problems: list[Problem] = []
        if not isinstance(cast("object", self.path), (str, Path)) or not _checks.is_argument(str(self.path)):
            problems.append(Problem("delivery.maildir", f"path is {self.path!r}; give the path of a Maildir."))
        problems += _checks.timeout(self.timeout)
        if problems:
            raise InputError("", tuple(problems))

    async def __call__(self, reply: Deliverable) -> None:
        """
        Put one reply there.

        Args:
            reply: The reply.

        Raises:
            DeliveryError: It cannot be written, or took too long.
        """
        name, raw = _file_name(reply), reply.raw
        # Delivered for the first time, it cannot have been put there before.
        first = getattr(reply, "attempts", 0) == 1
        target = self._target(reply.system)
        try:
            await self._within_time(target, lambda: _put(target, name, raw, first=first))
        except OSError as error:
            raise DeliveryError(str(target), _checks.why(error)) from error

    async def try_out(self, system: str) -> None:
        """
        Do what a delivery does, with a file that no reader sees.

        Args:
            system: The name of the system whose replies are to come.

        Raises:
            InputError: No reply can ever be put there, as long as it is as it is.
            DeliveryError: None can be put there now; a disk may be full, or not answer.
        """
        target = self._target(system)
        try:
            await self._within_time(target, lambda: _try_out(target))
        except OSError as error:
            raise _checks.trial_error("delivery.maildir", system, str(target), error) from error

    def _target(self, system: str) -> Path:
        return Path(self.path, _safe(system)) if self.per_system else Path(self.path)

    async def _within_time(self, target: Path, work: Callable[[], T]) -> T:
        limit = asyncio.timeout(self.timeout)
        try:
            # A caller that is cancelled does not stop the thread; what it writes is recognised next time.
            async with limit:
                return await asyncio.wrap_future(self._threads[target].submit(work))
        except TimeoutError as error:
            # A disk on the network has a time limit of its own, which is the same error.
            if limit.expired():
                raise DeliveryError(str(target), f"It took more than {self.timeout:g} s.") from error
            raise


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


def _put(maildir: Path, name: str, raw: bytes, *, first: bool) -> None:
    """Write a file, sync it, and only then let it appear; unless it is there."""
    for room in _ROOMS:
        _make(maildir / room)
    # Another delivery of the same reply may take the name meanwhile; then it is looked at anew.
    while (free := _free(maildir, name, raw, first=first)) is not None:
        with contextlib.suppress(FileExistsError):
            _write(maildir / "tmp", maildir / "new" / free, raw)
            break
    # Also for a file that was there: the process that put it there may have ended before this.
    for room in ("new", "cur"):
        _sync(maildir / room)


def _free(maildir: Path, name: str, raw: bytes, *, first: bool) -> str | None:
    """
    Find the name under which a reply is missing; None where the whole of it is there.

    Raises:
        OSError: A file cannot be read, or too many others have its name.
    """
    for free in (name, *(f"{name}.{number}" for number in range(1, _NAMES))):
        # In ``new`` first, because readers move it from there to ``cur``.
        if _is_whole(maildir / "new" / free, raw):
            return None
        if not os.path.lexists(maildir / "new" / free):
            return None if not first and any(_is_whole(path, raw) for path in _marked(maildir, name)) else free
    raise OSError(errno.EMLINK, f"{_NAMES} other files have the name of the reply")


def _marked(maildir: Path, name: str) -> list[Path]:
    """List what a reader has moved; it appends its marks behind a colon, some behind another character."""
    with os.scandir(maildir / "cur") as found:
        return [Path(entry.path) for entry in found if entry.name.startswith(name)]


def _is_whole(path: Path, raw: bytes) -> bool:
    """Tell whether a file is there and holds the whole reply, octet for octet."""
    try:
        found = path.lstat()
        if not stat.S_ISREG(found.st_mode) or found.st_size != len(raw):
            return False
        # Neither a link to elsewhere nor a pipe, which would keep us waiting, where it was replaced in this moment.
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
            return file.read() == raw
    except (FileNotFoundError, PermissionError):
        return False


def _write(folder: Path, place: Path, raw: bytes) -> None:
    """
    Write a file in a folder, sync it, and give it its place.

    Raises:
        FileExistsError: The place was taken meanwhile.
    """
    number, name = tempfile.mkstemp(prefix=f"{place.name}.", dir=folder)
    written = Path(name)
    try:
        with os.fdopen(number, "wb") as file:
            for_the_owner(written, 0o600)
            file.write(raw)
            file.flush()
            os.fsync(number)
        try:
            # Unlike a rename, a link never takes the place of another file.
            place.hardlink_to(written)
        except FileExistsError:
            raise
        except OSError:
            # Not every file system has hard links, and each says so with an error of its own. In the moment after
            # this look only the same reply can appear there: its key and its content are in the name.
            if os.path.lexists(place):
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST)) from None
            written.rename(place)
    finally:
        written.unlink(missing_ok=True)


def _try_out(maildir: Path) -> None:
    """Make the folders, write and place a file, and move something to where readers look and back."""
    for room in _ROOMS:
        _make(maildir / room)
    # Readers pass over folders, and over names that begin with a dot.
    with tempfile.TemporaryDirectory(prefix=".htpoort-", dir=maildir / "tmp") as name:
        folder, moved = Path(name), maildir / "new" / Path(name).name
        _write(folder, folder / "placed", b"x")
        folder.rename(moved)
        moved.rename(folder)
    for room in ("new", "cur"):
        _sync(maildir / room)


def _make(folder: Path) -> None:
    """Make a folder and those above it, for the owner alone, and see to it that they stay."""
    if not folder.is_dir():
        _make(folder.parent)
        try:
            folder.mkdir(mode=0o700)
        except FileExistsError:
            if not folder.is_dir():
                raise
        else:
            for_the_owner(folder, 0o700)
        _sync(folder.parent)


def _sync(folder: Path) -> None:
    """Have the disk keep the names in a folder."""
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    except OSError as error:
        # A file system that syncs no folders keeps names in a way of its own.
        if error.errno not in {errno.EINVAL, errno.ENOTSUP, errno.ENOSYS}:
            raise
    finally:
        os.close(number)
