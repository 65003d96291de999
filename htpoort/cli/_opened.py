"""
Open the ledger that a configuration names.

Never does: look at passwords or certificates, or keep it open.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from htpoort.config import LedgerConfig
    from htpoort.ledger import Ledger


@contextlib.contextmanager
def opened(path: Path) -> Generator[tuple[LedgerConfig, Ledger]]:
    """
    Read a configuration and open its ledger.

    Args:
        path: The TOML file.

    Yields:
        What was read, and the ledger.

    Raises:
        InputError: Something in the file cannot be taken.
        LedgerError: The ledger cannot be opened.
    """
    from htpoort.config import read_ledger  # noqa: PLC0415 - SQLAlchemy would double the start of every command

    settings = read_ledger(path)
    with settings.open() as ledger:
        yield settings, ledger
