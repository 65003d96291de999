"""
Give a reply to a process by a Maildir, where it is a file of its own.

Never does: change a reply, let half a file appear, or wait for ever for a disk.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import re
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Final, cast, final

import attrs

from htpoort.delivery import _checks
from htpoort.delivery._threads import Threads
from htpoort.delivery.values import Deliverable, DeliveryError
from htpoort.errors import InputError, Problem

__all__ = ["MaildirDelivery"]

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
        target = Path(self.path)
        if self.per_system:
            target /= _safe(reply.system)
        name, raw = _file_name(reply), reply.raw
        limit = asyncio.timeout(self.timeout)
        try:
            # Who cancels does not stop the thread; what it writes is recognised next time.
            async with limit:
                await asyncio.wrap_future(self._threads[target].submit(lambda: _put(target, name, raw)))
        except OSError as error:
            # A disk on the network has a time limit of its own, which is the same error.
            why = f"It took more than {self.timeout:g} s." if limit.expired() else _checks.why(error)
            raise DeliveryError(str(target), why) from error


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
