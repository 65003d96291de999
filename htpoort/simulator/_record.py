"""
Write every message into a folder.

Never does: change one.
"""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Final, final

from htpoort.simulator._private_files import write_private

_NUMBER: Final = re.compile(r"([0-9]+)-.*\.eml")
_OTHER: Final = re.compile(r"[^A-Za-z0-9]")
_LONGEST: Final = 64  # characters of a K in a name; a file name may have 255 octets


@final
class Record:
    """
    Write messages as ``000001-in-K.eml``, ``000002-out-K.eml`` and so on.

    The names count on from what is in the folder. Letters and digits of K are kept, what else stands in it
    becomes an underscore.

    Args:
        folder: Made where it is not there, for its owner alone; so is each file.

    Raises:
        OSError: The folder cannot be made or read.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = (_NUMBER.fullmatch(path.name) for path in folder.iterdir())
        self._folder = folder
        self._number = max((int(name[1]) for name in found if name is not None), default=0)

    async def write(self, direction: str, reference: str | None, raw: bytes) -> None:
        """
        Write one message, in a thread.

        Args:
            direction: ``in`` or ``out``.
            reference: K; None where there is none.
            raw: The octets, written as they are.

        Raises:
            OSError: The file cannot be written.
        """
        # Counted here and not in the thread, so that the names are in the order of the calls.
        self._number += 1
        shown = _OTHER.sub("_", reference or "none")[:_LONGEST]
        path = self._folder / f"{self._number:06}-{direction}-{shown}.eml"
        await asyncio.to_thread(write_private, path, raw)
