"""Say how a library of an extra is installed. This module installs nothing."""

from __future__ import annotations

import shlex
import sys
from typing import Final

PAGE: Final = "docs/how-to/install.md"
"""The page that shows each way to install htpoort, in its source."""


def how_to_install(extra: str) -> str:
    """
    Say how to install an extra.

    No command names htpoort alone: it is not on the package index, where such a name may belong to someone else. The
    interpreter is named, because the `pip` on the path is often that of another environment.

    Args:
        extra: Its name, as in `pyproject.toml`.
    """
    pip = f"{shlex.quote(sys.executable or 'python3')} -m pip"
    return (
        f"install htpoort again as you installed it, with [{extra}]: in the folder of its source, "
        f"{pip} install '.[{extra}]' ({PAGE} has the other ways)"
    )
