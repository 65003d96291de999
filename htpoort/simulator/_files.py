"""Write files that only their owner may read: certificates with keys, and a copy of each message."""

from __future__ import annotations

import contextlib
import os
import re
from functools import partial
from pathlib import Path
from typing import Final, final

from htpoort._aio import run_in_thread


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


_NUMBER: Final = re.compile(r"([0-9]+)-.*\.eml")
_OTHER: Final = re.compile(r"[^A-Za-z0-9]")
_LONGEST: Final = 64  # characters of a K in a name; a file name may have 255 octets


@final
class MessageRecorder:
    """
    Write a copy of each message to a folder, as ``000001-in-K.eml``, ``000002-out-K.eml`` and so on.

    The numbers continue after those in the folder, and no file is replaced: another gateway may record there too. Every
    character of K but letters and digits becomes an underscore.

    Args:
        folder: Created if it is missing; only its owner may read it and its files.

    Raises:
        OSError: The folder cannot be created or read.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        matches = (_NUMBER.fullmatch(path.name) for path in folder.iterdir())
        self._folder = folder
        self._number = max((int(name[1]) for name in matches if name is not None), default=0)

    async def write(self, direction: str, reference: str | None, raw: bytes) -> None:
        """
        Write one message, in a thread.

        Args:
            direction: ``in`` or ``out``.
            reference: K; None if the message has none.
            raw: The octets, written unchanged.

        Raises:
            OSError: The file cannot be written.
        """
        shown = _OTHER.sub("_", reference or "none")[:_LONGEST]
        while True:
            # Counted here and not in the thread, so that the names follow the order of the calls.
            self._number += 1
            path = self._folder / f"{self._number:06}-{direction}-{shown}.eml"
            with contextlib.suppress(FileExistsError):
                return await run_in_thread(partial(write_private, path, raw, new=True))
