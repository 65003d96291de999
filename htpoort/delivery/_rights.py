"""
Keep what is written from everyone but its owner.

Never does: loosen anything, or touch what another program made.
"""

from __future__ import annotations

import contextlib
import stat
from pathlib import Path


def for_the_owner(path: Path, mode: int) -> None:
    """
    Give a file or folder that was just made its rights, whatever the umask.

    Args:
        path: Where it is.
        mode: 0o600 or 0o700.
    """
    if stat.S_IMODE(path.stat().st_mode) & 0o777 != mode:
        # Some file systems have no rights but those that they were mounted with.
        with contextlib.suppress(PermissionError):
            path.chmod(mode)
