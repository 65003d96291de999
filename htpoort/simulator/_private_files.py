"""
Write files that only their owner may read: keys, declarations, replies.

Never does: rely on the umask.
"""

from __future__ import annotations

import os
from pathlib import Path


def write_private(path: Path, octets: bytes) -> None:
    """
    Write a file with mode 0600, also where it was there with another.

    Args:
        path: The file.
        octets: Its content.

    Raises:
        OSError: It cannot be written.
    """
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        os.fchmod(file.fileno(), 0o600)
        file.write(octets)
