"""Build the deliveries from their tables; nothing is delivered, and no folder is created."""

from __future__ import annotations

import functools
import os
import shutil
import stat
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Final

from htpoort.config._sources import Sources
from htpoort.config._tables import DeliveryTable
from htpoort.core.toml_reader import Document, KeyPath
from htpoort.delivery import CommandDelivery, Delivery, MaildirDelivery
from htpoort.ledger import Reply

_TIMEOUT: Final = MaildirDelivery("replies").timeout  # a command has the same default


def deliveries(sources: Sources, limit: timedelta) -> dict[str, Delivery[Reply]]:
    """
    Build the deliveries of ``[delivery.SYSTEM]``.

    Args:
        sources: What the file refers to.
        limit: How long the agent lets one delivery run; each needs less, because its own error explains more.

    Returns:
        The deliveries by the name of the system.
    """
    document = sources.document
    by_system: dict[str, Delivery[Reply]] = {}
    for path in document.named_tables("delivery"):
        if not isinstance(document.value(path), Mapping):
            document.report("toml.type", path, "give a table for each system, such as [delivery.DMS].")
            continue
        name = sources.system(path, str(path[-1]))
        table = document.read(path, DeliveryTable)
        if name in by_system:
            document.report("config.twice", path, f"{name} already has a delivery.")
        delivery = None if table is None else _delivery(sources, path, table)
        if delivery is not None and table is not None:
            _check_timeout(document, path, table.timeout, limit)
        if name is not None and delivery is not None:
            by_system[name] = delivery
    return by_system


def _check_timeout(document: Document, path: KeyPath, given: timedelta | None, limit: timedelta) -> None:
    """Report a time limit of a delivery that the agent's own would never let it reach."""
    seconds = _TIMEOUT if given is None else given.total_seconds()
    if seconds < limit.total_seconds() or document.is_refused((), "timing") or document.is_refused(path, "timeout"):
        return
    start = f"timeout, by default {seconds:g} s," if given is None else f"{seconds:g} s"
    message = f"{start} is not below the {limit.total_seconds():g} s of timing.delivery, which ends a delivery first"
    place = path if given is None else (*path, "timeout")
    document.report("delivery.timeout", place, f"{message}; give less here, or more there.")


def _delivery(sources: Sources, path: KeyPath, table: DeliveryTable) -> Delivery[Reply] | None:
    document = sources.document
    if document.is_refused(path, "maildir", "command"):
        return None
    if (table.maildir is None) == (table.command is None):
        message = "give maildir or command" if table.maildir is None else "give maildir or command, not both"
        document.report("toml.value", path, f"{message}.")
        return None
    if table.maildir is not None:
        return _maildir(sources, path, table.maildir, table.timeout)
    return _command(sources, path, table)


def _maildir(sources: Sources, path: KeyPath, text: str, timeout: timedelta | None) -> Delivery[Reply] | None:
    document, place = sources.document, (*path, "maildir")
    build = functools.partial(MaildirDelivery, sources.path(text))
    timed = build if timeout is None else functools.partial(build, timeout=timeout.total_seconds())
    delivery = document.build(path, timed, None, names={"path": "maildir"})
    if delivery is not None and sources.look_up:
        obstacle = _obstacle(sources.path(text))
        if obstacle is not None:
            document.report("config.file", place, f"{sources.path(text)} cannot be written: {obstacle}.")
    return delivery


def _obstacle(folder: Path) -> str | None:
    """Find out why a folder can be neither written nor created, and what to do; None if it can."""
    while True:
        try:
            status = folder.stat()
        except FileNotFoundError:
            folder = folder.parent
        except OSError as error:
            # No permission, a name that is too long, or a parent that is not a folder.
            return f"{error.strerror}; check the path and the permissions of its folders"
        else:
            if not stat.S_ISDIR(status.st_mode):
                return f"{folder} is not a folder; name another"
            if os.access(folder, os.W_OK | os.X_OK):
                return None
            owner = f"user {status.st_uid} owns {folder}, with permissions {stat.S_IMODE(status.st_mode):03o}"
            return (
                f"{owner}; let user {os.geteuid()}, who runs this, write there (chown, chmod), or name another folder"
            )


def _command(sources: Sources, path: KeyPath, table: DeliveryTable) -> Delivery[Reply] | None:
    document, argv = sources.document, list(table.command or ())
    if not argv or not argv[0]:
        document.report("toml.value", (*path, "command"), "give the program and its arguments.")
        return None
    # As in a shell, a name is looked up in PATH, and a path is used as it is.
    if os.sep in argv[0]:
        argv[0] = str(sources.path(argv[0]))
    build = functools.partial(CommandDelivery, tuple(argv))
    timed = build if table.timeout is None else functools.partial(build, timeout=table.timeout.total_seconds())
    delivery = document.build(path, timed, None, names={"argv": "command"})
    if delivery is not None and sources.look_up and shutil.which(argv[0], path=sources.environ.get("PATH")) is None:
        message = f"there is no program {argv[0]} that this user can run; check the path, and chmod +x the file."
        document.report("config.file", (*path, "command", 0), message)
    return delivery
