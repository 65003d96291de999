"""
Make the deliveries of their tables.

Never does: deliver, or make a folder.
"""

from __future__ import annotations

import functools
import os
import shutil
import stat
from datetime import timedelta
from pathlib import Path

from htpoort.config import _lines, _systems
from htpoort.config._secrets import Sources
from htpoort.config._tables import DeliveryTable, structured
from htpoort.delivery import CommandDelivery, Delivery, MaildirDelivery
from htpoort.directory import Directory
from htpoort.ledger import Reply


def deliveries(sources: Sources, directory: Directory) -> dict[str, Delivery[Reply]]:
    """Make the deliveries of ``[delivery.SYSTEM]``, by the system's name."""
    document = sources.document
    made: dict[str, Delivery[Reply]] = {}
    for path, entry in document.named("delivery"):
        name = _systems.named(document, directory, path, str(path[-1]))
        table = structured(document, path, entry, DeliveryTable)
        if name in made:
            document.refusal("config.twice", path, f"{name} has a delivery already.")
        delivery = None if table is None else _delivery(sources, path, table)
        if name is not None and delivery is not None:
            made[name] = delivery
    return made


def _delivery(sources: Sources, path: _lines.Path, table: DeliveryTable) -> Delivery[Reply] | None:
    document = sources.document
    if document.refused(path, "maildir", "command"):
        return None
    if (table.maildir is None) == (table.command is None):
        document.refusal("toml.value", path, "give maildir or command.")
        return None
    if table.maildir is not None:
        return _maildir(sources, path, table.maildir, table.timeout)
    return _command(sources, path, table)


def _maildir(sources: Sources, path: _lines.Path, text: str, timeout: timedelta | None) -> Delivery[Reply] | None:
    document, place = sources.document, (*path, "maildir")
    make = functools.partial(MaildirDelivery, sources.path(text))
    timed = make if timeout is None else functools.partial(make, timeout=timeout.total_seconds())
    made = document.made(path, timed, None, {"path": "maildir"})
    if made is not None and sources.real and not _is_writable(sources.path(text)):
        document.refusal("config.file", place, f"{sources.path(text)} cannot be written.")
    return made


def _is_writable(folder: Path) -> bool:
    """Tell whether a folder can be written, or else made."""
    while True:
        try:
            return stat.S_ISDIR(folder.stat().st_mode) and os.access(folder, os.W_OK | os.X_OK)
        except FileNotFoundError:
            folder = folder.parent
        except OSError:
            # It may not be looked at, its name is too long, or what it stands in is no folder.
            return False


def _command(sources: Sources, path: _lines.Path, table: DeliveryTable) -> Delivery[Reply] | None:
    document, argv = sources.document, list(table.command or ())
    if not argv or not argv[0]:
        document.refusal("toml.value", (*path, "command"), "give the program and its arguments.")
        return None
    # Like a shell: a name is looked for in PATH, a path is one.
    if os.sep in argv[0]:
        argv[0] = str(sources.path(argv[0]))
    made = document.made(
        path,
        lambda: (
            CommandDelivery(tuple(argv))
            if table.timeout is None
            else CommandDelivery(tuple(argv), timeout=table.timeout.total_seconds())
        ),
        None,
        {"argv": "command"},
    )
    if made is not None and sources.real and shutil.which(argv[0], path=sources.environ.get("PATH")) is None:
        document.refusal("config.file", (*path, "command", 0), f"there is no program {argv[0]} that can be run.")
    return made
