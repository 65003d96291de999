"""
Write and move files so that they appear complete or not at all, and files that only their owner may read.

Never does: remove a file whose content is not somewhere else, unless its caller replaces it.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import stat
import tempfile
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Final

HIDDEN: Final = ".htpoort-"
"""Begins the name of a file that is not complete yet, so that programs do not pick it up."""

ALIKE: Final = 100  # other files of one name; more cannot be an accident
_LONGEST: Final = 255  # octets of a name, on every usual file system
_RECOGNISABLE: Final = 50  # characters of a name, which are at most 200 octets
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9_-]")
_PASSING_ERRNOS: Final = frozenset({
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EIO,
    errno.ESTALE,
    errno.ETIMEDOUT,
    errno.EINTR,
    errno.EAGAIN,
    errno.EMFILE,
    errno.ENFILE,
    errno.ENOMEM,
    errno.EBUSY,
})
"""Errors that may be over in an hour; the others last until the configuration or the disks are changed."""


def may_pass(error: OSError) -> bool:
    """Check whether an error of a disk may be over in an hour."""
    return error.errno in _PASSING_ERRNOS or isinstance(error, TimeoutError)


def safe_name(name: str, *, dots: bool = False) -> str:
    """
    Make the name of a file or folder from any text; different texts give different names.

    Args:
        name: The text.
        dots: Keep dots, except one at the start.
    """
    safe = ".".join(_UNSAFE.sub(_octets, part) for part in name.split(".")) if dots else _UNSAFE.sub(_octets, name)
    return f"%2E{safe[1:]}" if safe.startswith(".") else safe


def _octets(match: re.Match[str]) -> str:
    return "".join(f"%{octet:02X}" for octet in match[0].encode())


def fitting_name(stem: str, ending: str) -> str:
    """
    Put an ending behind a stem; if a disk cannot take such a long name, cut the stem, and add a digest of it.

    Args:
        stem: The name, or the first part of it.
        ending: The rest, which stays as it is.
    """
    name = stem + ending
    if len(os.fsencode(name)) <= _LONGEST:
        return name
    ending = f"-{hashlib.sha256(os.fsencode(stem)).hexdigest()[:16]}{ending}"
    while stem and len(os.fsencode(stem + ending)) > _LONGEST:
        stem = stem[:-1]
    return stem + ending


def free_name(folder: Path, name: Callable[[int], str], octets: bytes) -> str | None:
    """
    Find a free name for a file in a folder; None if a file with one of its names has the same content.

    Args:
        folder: Where the file belongs.
        name: Makes the name, and others from a number above 0.
        octets: The whole content.

    Raises:
        OSError: A file cannot be read, or too many other files have its names.
    """
    for number in range(ALIKE):
        # First whether the name is taken, only then by what: the other way round, another writer of this file may take
        # it between the two looks, and its file would be passed over as if it were another one.
        if not os.path.lexists(folder / name(number)):
            return name(number)
        if is_whole(folder / name(number), octets):
            return None
    raise OSError(errno.EMLINK, f"{ALIKE} other files have that name")


def place(find: Callable[[], str | None], put: Callable[[str], None]) -> str | None:
    """
    Put a file under a free name. Another writer may take the name meanwhile; then search again.

    Args:
        find: Finds a free name; None if the file is there.
        put: Puts the file there; raises FileExistsError if the name is taken.

    Returns:
        The name; None if the file was there.
    """
    while (free := find()) is not None:
        with contextlib.suppress(FileExistsError):
            put(free)
            break
    return free


def try_out(folder: Path, target: Path) -> None:
    """
    Write a hidden file in a folder, move it to another one, and remove it there.

    Raises:
        OSError: It cannot be written or moved.
    """
    tried = target / f"{HIDDEN}self-test"
    with contextlib.suppress(FileExistsError):  # another program tests at the same time, or did and ended
        write(folder, tried, b"x", prefix=HIDDEN)
    tried.unlink(missing_ok=True)


@contextlib.contextmanager
def stand_in(folder: Path) -> Generator[Path]:
    """
    Give a folder; if it is missing, a hidden one in its nearest parent that is there, and remove that at the end.

    Unlike a folder that is created and removed under its own name, it takes nothing away from a program beside this.

    Args:
        folder: The folder.

    Raises:
        OSError: Something else is in its place, or it cannot be created.
    """
    if folder.is_dir():
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix=HIDDEN, dir=parent_of_missing(folder)) as name:
        yield Path(name)


def parent_of_missing(folder: Path) -> Path:
    """
    Find the nearest parent that is there, in which a missing folder would be created.

    Raises:
        FileExistsError: Something else is in the place of the folder or of a parent.
    """
    for missing, parent in zip((folder, *folder.parents), folder.parents, strict=False):
        if os.path.lexists(missing):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(missing))
        if parent.is_dir():
            return parent
    return Path(folder.anchor)


def place_of(error: OSError) -> Path | None:
    """Name the file or folder that an error is about, or the folder of a hidden file; None if that is not known."""
    name: object = error.filename2 or error.filename
    if not isinstance(name, str):
        return None
    parts = Path(name).parts
    hidden = next((number for number, part in enumerate(parts) if part.startswith(HIDDEN)), len(parts))
    return Path(*parts[:hidden])


def is_whole(path: Path, octets: bytes) -> bool:
    """Check whether a file exists and has a content, octet for octet."""
    try:
        status = path.lstat()
        if not stat.S_ISREG(status.st_mode) or status.st_size != len(octets):
            return False
        # If it was replaced in this moment: do not follow a link, and do not wait for a pipe.
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
            return file.read() == octets
    except (FileNotFoundError, PermissionError):
        return False


def write(folder: Path, place: Path, octets: bytes, *, prefix: str = "") -> None:
    """
    Write a file in a folder, sync it, and move it to its place.

    Args:
        folder: Where it is written; on the same file system as its place.
        place: Its name and folder when it is complete.
        octets: The whole content.
        prefix: Begins its name until it is complete.

    Raises:
        FileExistsError: Another file took the place meanwhile.
    """
    # Cut, because a disk may take no longer name than that of the place.
    with _written(folder, f"{prefix}{place.name[:_RECOGNISABLE]}.", octets) as file:
        move(file, place)


@contextlib.contextmanager
def _written(folder: Path, prefix: str, octets: bytes) -> Generator[Path]:
    """Write and sync a file that only its owner may read; if the block does not move it, remove it."""
    number, name = tempfile.mkstemp(prefix=prefix, dir=folder)
    written = Path(name)
    try:
        with os.fdopen(number, "wb") as file:
            _restrict(written, 0o600)
            file.write(octets)
            file.flush()
            os.fsync(number)
        yield written
    finally:
        written.unlink(missing_ok=True)


def move(file: Path, place: Path) -> None:
    """
    Move a file to a place on the same file system; after a crash it may be at both.

    Raises:
        FileExistsError: The place is taken.
    """
    try:
        # Unlike a rename, a link never replaces another file.
        place.hardlink_to(file)
    except (FileExistsError, FileNotFoundError):
        raise
    except OSError:
        # Not every file system has hard links, and they report this with different errors. Between this check and the
        # rename another file may appear there; names that hold a key or the content leave no room for this.
        if os.path.lexists(place):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST)) from None
        file.rename(place)
    else:
        file.unlink()


def make_folder(folder: Path) -> None:
    """Create a folder and its parents, for the owner alone, and sync their names to the disk."""
    if not folder.is_dir():
        make_folder(folder.parent)
        try:
            folder.mkdir(mode=0o700)
        except FileExistsError:
            if not folder.is_dir():
                raise
        else:
            _restrict(folder, 0o700)
        sync_names(folder.parent)


def sync_names(folder: Path) -> None:
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


def write_private(path: Path, octets: bytes, *, new: bool = False) -> None:
    """
    Write a file with mode 0600, also if it exists with another.

    Args:
        path: The file.
        octets: Its content.
        new: Whether the file must not exist yet.

    Raises:
        FileExistsError: It must not exist, and does.
        OSError: It cannot be written.
    """
    present = os.O_EXCL if new else os.O_TRUNC
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | present, 0o600), "wb") as file:
        os.fchmod(file.fileno(), 0o600)
        file.write(octets)


def replace_private(path: Path, octets: bytes) -> None:
    """
    Write a file with mode 0600 so that it appears whole or not at all; a file that is there is replaced.

    Args:
        path: The file; of a link, the file that it leads to.
        octets: Its content.

    Raises:
        OSError: It cannot be written, or is something else than a file.
    """
    place = Path(os.path.realpath(path))
    if place.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if place.exists() and not place.is_file():
        raise OSError(errno.EINVAL, "it is not a file; give a file, or another place for the output")
    with _written(place.parent, HIDDEN, octets) as file:
        file.replace(place)
    sync_names(place.parent)
