"""
Open the ledger that a configuration names.

Never does: look at passwords or certificates, or keep it open.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING

from htpoort.cli import _input

if TYPE_CHECKING:
    from htpoort.config import AgentConfig, CutoverConfig, LedgerConfig
    from htpoort.ledger import Ledger


@contextlib.contextmanager
def opened(path: Path, *, create: bool = False) -> Generator[tuple[LedgerConfig, Ledger]]:
    """
    Read a configuration and open its ledger.

    Args:
        path: The TOML file.
        create: Whether to make the ledger where none is.

    Yields:
        What was read, and the ledger.

    Raises:
        InputError: Something in the file cannot be taken.
        LedgerError: The ledger cannot be opened.
    """
    from htpoort.config import read_ledger  # noqa: PLC0415 - SQLAlchemy would double the start of every command

    settings = read_ledger(path)
    with settings.open(create=create) as ledger:
        yield settings, ledger


@contextlib.contextmanager
def moving(path: Path) -> Generator[tuple[AgentConfig, CutoverConfig, Ledger]]:
    """
    Read a configuration that says who moves, and open its ledger.

    Args:
        path: The TOML file.

    Yields:
        What was read, with stand-ins for passwords; who moves; the ledger.

    Raises:
        InputError: Something in the file cannot be taken, or it says nothing of a move.
        LedgerError: The ledger cannot be opened.
    """
    from htpoort.config import read_settings  # noqa: PLC0415 - see above

    settings = read_settings(path)
    cutover = cutover_of(settings.ledger, path)
    with settings.ledger.open(create=False) as ledger:
        yield settings, cutover, ledger


def cutover_of(settings: LedgerConfig, path: Path) -> CutoverConfig:
    """
    Give what a configuration says of a move.

    Raises:
        InputError: It says nothing; tells what to add.
    """
    if settings.cutover is None:
        message = (
            f"{path} has no [cutover]; add it, with a [[cutover.move]] of party, system and since for each move, "
            'or with moves = "FILE.csv".'
        )
        raise _input.refusal("toml.missing", message)
    return settings.cutover
