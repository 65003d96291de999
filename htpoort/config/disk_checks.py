"""
Check disks and folders: the space that is left, whose they are, and whether they can be written.

Never does: leave a file or a folder behind.
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
import os
import pwd
import shlex
import stat
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Final, final

import attrs

from htpoort._aio import run_in_thread
from htpoort._disk import parent_of_missing, place_of
from htpoort.agent import DeclarationFiles, DeclarationFolder
from htpoort.config.configuration import AgentConfig, shown_delivery
from htpoort.core.errors import HtpoortError, InputError
from htpoort.core.text import one_line
from htpoort.delivery import CommandDelivery, Delivery, DirectoryDelivery, MaildirDelivery, SelfTestingDelivery
from htpoort.ledger import Reply, check_url

__all__ = ["Finding", "Verdict", "free_space", "other_owner"]

_SCARCE: Final = 1024**3  # octets; below, a warning
_FULL: Final = 50 * 1024**2
_FEW_FILES: Final = 10_000  # that a disk can still take
TEST_TIMEOUT: Final = 10.0
"""Seconds; a disk may hang."""


class Verdict(enum.Enum):
    """What a check found."""

    OK = "ok"
    """It works."""
    WARNING = "warning"
    """The agent runs, but a person should look at it."""
    WRONG = "wrong"
    """It does not work."""


@final
@attrs.frozen(kw_only=True)
class Finding:
    """
    What one check found.

    Args:
        part: What was checked, such as ``ledger``, ``outbox[0]`` or ``delivery DMS``.
        check: Which check: ``file``, ``open``, ``clock``, ``traffic``, ``paused``, ``space``, ``missing``, ``owner``,
            ``write``, ``refused``, ``left-alone``, ``listen``, ``certificate``, or a step of a server, such as
            ``login``.
        verdict: Whether it works.
        message: What was found, in sentences.
        advice: What to do, in sentences; empty if there is nothing to do.
    """

    part: str
    check: str
    verdict: Verdict
    message: str
    advice: str = ""


def ok(part: str, which: str, message: str) -> Finding:
    """Say that something works."""
    return Finding(part=part, check=which, verdict=Verdict.OK, message=message)


def warning(part: str, which: str, message: str, advice: str) -> Finding:
    """Say what a person should look at."""
    return Finding(part=part, check=which, verdict=Verdict.WARNING, message=message, advice=advice)


def wrong(part: str, which: str, message: str, advice: str) -> Finding:
    """Say what does not work."""
    return Finding(part=part, check=which, verdict=Verdict.WRONG, message=message, advice=advice)


def ledger_file(config: AgentConfig) -> Path | None:
    """Return the file of the ledger; None on a server."""
    url = check_url(config.ledger.url)
    return Path(url.database or "") if url.drivername == "sqlite" else None


# ── disks ────────────────────────────────────────────────────────────────────


def disks(config: AgentConfig) -> dict[Path, list[str]]:
    """Find a folder of each disk that something is written to, and what is written there."""
    file = ledger_file(config)
    places = [*([] if file is None else [("ledger", file.parent)]), *_written(config)]
    disks: dict[int, Path] = {}
    found: dict[Path, list[str]] = {}
    for name, place in places:
        if (folder := _existing(place)) is not None:
            found.setdefault(disks.setdefault(folder.stat().st_dev, folder), []).append(name)
    return found


def _written(config: AgentConfig) -> list[tuple[str, Path]]:
    """List the folders of deliveries and declarations, each with the part that names it."""
    places: list[tuple[str, Path]] = []
    deliveries = {f"delivery {system}": delivery for system, delivery in config.deliveries.items()}
    deliveries |= {f"delivery {system} for {party}": to for (system, party), to in config.party_deliveries.items()}
    for name, delivery in deliveries.items():
        if isinstance(delivery, MaildirDelivery):
            places.append((name, Path(delivery.path)))
        elif isinstance(delivery, DirectoryDelivery):
            # Without its placeholders: what is below does not exist before the first reply.
            places.append((name, Path(str(delivery.path).partition("{")[0])))
        elif isinstance(delivery, CommandDelivery):
            places.append((name, Path(tempfile.gettempdir())))
    places += [(f"folder[{number}]", folder.path) for number, folder in enumerate(config.folders)]
    return places


def _existing(folder: Path) -> Path | None:
    """Find the nearest folder that exists; None if that cannot be seen."""
    try:
        return next((place for place in (folder, *folder.parents) if place.is_dir()), None)
    except OSError:
        return None


def free_space(parts: Iterable[str], folder: Path, *, scarce: int = _SCARCE, full: int = _FULL) -> Finding:
    """
    Check the space that is left on a disk.

    Args:
        parts: What is written there.
        folder: A folder on the disk.
        scarce: Warn if fewer octets are left.
        full: The disk counts as full if fewer octets are left.

    Returns:
        The finding.
    """
    which = ", ".join(parts)
    try:
        disk = os.statvfs(folder)
    except OSError as error:
        return wrong("disk", "space", f"{folder} ({which}): {error.strerror}.", "Check that the disk is mounted.")
    left = disk.f_bavail * disk.f_frsize
    message = f"{left / 1024**3:.1f} GiB are free on the disk of {folder} ({which})."
    advice = "Make room: on a full disk nothing is sent, received or delivered."
    if left < full:
        return wrong("disk", "space", message, advice)
    if left < scarce:
        return warning("disk", "space", message, advice)
    # A file system without a limit has 0 files.
    if disk.f_files and disk.f_favail < _FEW_FILES:
        message = f"The disk of {folder} ({which}) can take {disk.f_favail} more files."
        return warning("disk", "space", message, "Remove files, such as replies that were processed.")
    return ok("disk", "space", message)


# ── who runs this ────────────────────────────────────────────────────────────


def other_owner(config: AgentConfig, *, user: int, writes_all: bool) -> list[Finding]:
    """
    Warn if the ledger or a folder is another user's: what this user may write, an agent of that user may not.

    Args:
        config: The configuration.
        user: The number of the user who runs this.
        writes_all: Whether it can write what is not its own, as root can; then a folder of another user proves nothing.

    Returns:
        The finding, about the first that is another user's; empty if there is none.
    """
    ledger = ledger_file(config)
    places = [] if ledger is None else [ledger]
    if writes_all:
        # Others can write a folder of another user only if its owner lets them.
        places += [place for _, place in _written(config)]
    for place in places:
        with contextlib.suppress(OSError):
            if (owner := place.stat().st_uid) != user:
                message = f"This runs as {_user(user)}, but {place} belongs to {_user(owner)}."
                name = shlex.quote(_user(owner))
                advice = f"Check with sudo -u {name} htpoort check, as the user that the agent runs as."
                return [warning("user", "owner", message, advice)]
    return []


def _user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"#{number}"


def _owner_in_words(place: Path) -> str:
    """Say whose a file or folder is, and who runs this."""
    try:
        status = place.stat()
    except OSError:
        return f"this runs as {_user(os.geteuid())}"
    mode = f"{stat.S_IMODE(status.st_mode):03o}"
    return f"{place} belongs to {_user(status.st_uid)}, with permissions {mode}; this runs as {_user(os.geteuid())}"


# ── folders ──────────────────────────────────────────────────────────────────


async def try_delivery(part: str, system: str, delivery: Delivery[Reply]) -> list[Finding]:
    """Try a delivery, and leave nothing behind."""
    target: object = delivery
    if not isinstance(target, SelfTestingDelivery):
        return []
    missing: tuple[Path, ...] = ()
    try:
        async with asyncio.timeout(TEST_TIMEOUT):
            if isinstance(target, (DirectoryDelivery, MaildirDelivery)):
                missing = await target.rehearse(system)
            else:
                await target.self_test(system)
    except InputError as error:
        return [wrong(part, "write", one_line(problem.message), "") for problem in error.problems]
    except (HtpoortError, OSError) as error:
        why = one_line(str(error)) or f"It took more than {TEST_TIMEOUT:g} s."
        return [wrong(part, "write", why, "Check the disk.")]
    return [ok(part, "write", f"Replies can be delivered: {shown_delivery(delivery)}.{_to_create(missing)}")]


def _to_create(missing: Iterable[Path]) -> str:
    """Name the folders that an agent creates, and where: a wrong path is then seen."""
    in_parent: dict[Path, list[str]] = {}
    for folder in missing:
        with contextlib.suppress(FileExistsError):  # it has appeared since
            parent = parent_of_missing(folder)
            in_parent.setdefault(parent, []).append(str(folder.relative_to(parent)))
    return "".join(
        f" It creates {' and '.join(names)} in {parent} when it starts." for parent, names in in_parent.items()
    ).replace(" It ", " The agent ", 1)


async def try_folder(part: str, folder: DeclarationFolder) -> list[Finding]:
    """Try a folder of declarations, leave nothing behind, and look at what is in it."""
    files = DeclarationFiles(folder)
    try:
        async with asyncio.timeout(TEST_TIMEOUT):
            missing = await run_in_thread(lambda: files.self_test(create=False))
            content = await run_in_thread(files.content)
    except OSError as error:
        if isinstance(error, FileNotFoundError):
            return [wrong(part, "write", f"The folder {folder.path} does not exist.", "Create it.")]
        why = error.strerror or f"It took more than {TEST_TIMEOUT:g} s"
        place = place_of(error) or folder.path
        advice = (
            f"{folder.path} and its folders sent and bad must be writable for this user, and on one file system; "
            f"{_owner_in_words(place)}."
        )
        return [wrong(part, "write", f"{place}: {why}.", advice)]
    message = f"{folder.path} can be used; files that wait in it: {len(content.waiting)}.{_to_create(missing)}"
    found = [ok(part, "write", message)]
    if content.refused:
        message = f"Files that were refused, and are in {folder.path / 'bad'}: {len(content.refused)}."
        advice = "The reason is beside each; correct them and move them back, or remove them."
        found.append(warning(part, "refused", message, advice))
    if content.others:
        # Also what was just written: a person who checks wants to know it before it is too late.
        message = f"{': '.join(files.left_alone_in_words(sorted(content.others)))}."
        advice = "Rename what is to be sent, and move everything else away."
        found.append(warning(part, "left-alone", message, advice))
    return found
