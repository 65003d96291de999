"""Find the notices that a command is about: those of files, or of the ledger of the configuration."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple, TypedDict
from zoneinfo import ZoneInfo

import attrs

from htpoort import _clock
from htpoort.cli import _input, _notice_advice
from htpoort.cli._input import CONFIG
from htpoort.core.errors import InputError
from htpoort.core.notices import Availability, Notice, NoticeName, read_notice, read_own_notice
from htpoort.core.notices.own import YEARS
from htpoort.core.text import decoded_text, folded

if TYPE_CHECKING:
    from htpoort.config import LedgerConfig

__all__ = [
    "KnownNotices",
    "file_name",
    "has_configuration",
    "known_notices",
    "named_notices",
    "read_moment",
    "zones_of",
]

_ZONES_BEHIND: Final = timedelta(hours=12)


class KnownNotices(NamedTuple):
    """
    The notices of files, or of the ledger.

    Args:
        notices: The notices.
        availability: What they say.
        obeyed: What an agent goes by.
        orders: The last order for each event.
        systems: The systems of the configuration; None if there is no configuration.
    """

    notices: list[Notice]
    availability: Availability
    obeyed: Availability
    orders: Mapping[str, tuple[datetime, str]]
    systems: tuple[str, ...] | None


def known_notices(files: list[str] | None, more: list[str] | None, config: Path, known_at: str | None) -> KnownNotices:
    """Read the notices of files, or of the ledger."""
    if more and not files:
        raise _input.refusal("input.usage", f"{more[0]!r} is one argument too many; files follow --notices.")
    if files:
        latest = _latest(known_at)
        notices = [_notice_of(file, latest) for file in [*files, *(more or ())]]
        settings = _ledger_settings(config) if has_configuration(config) else None
        of_files = Availability(notices, () if settings is None else settings.notices.names)
        return KnownNotices(notices, of_files, of_files, {}, None if settings is None else _systems(settings))
    with _input.opened(config) as (settings, ledger):
        stored = ledger.notices
        notices = [known.notice for known in stored.known()]
        return KnownNotices(notices, stored.availability(), stored.obeyed(), stored.orders(), _systems(settings))


def _ledger_settings(config: Path) -> LedgerConfig:
    from htpoort.config import read_ledger  # noqa: PLC0415 - SQLAlchemy, which only a ledger needs

    with _input.configured(config):
        return read_ledger(config)


def _systems(settings: LedgerConfig) -> tuple[str, ...]:
    return tuple(system.name for system in settings.directory)


def _latest(known_at: str | None) -> datetime:
    """Give the last moment at which a notice can have been published: now, or the one of --known-at if it is later."""
    now = _clock.now()
    with contextlib.suppress(ValueError):
        moment = datetime.fromisoformat(known_at or "")
        # A time without a zone is that of the notices, which are not read yet: none is further ahead of UTC.
        return max(now, moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC) + _ZONES_BEHIND)
    return now


def _notice_of(file: str, latest: datetime) -> Notice:
    """
    Read the notice of a file.

    Raises:
        InputError: It has none, or its TOML is wrong.
    """
    octets = _input.octets(file, "--notices")
    if file.endswith(".toml"):
        with _input.file_of("--notices"):
            return read_own_notice(octets, name=file, now=latest)
    notice = read_notice(decoded_text(octets))
    if not notice.revisions:
        named = f"--notices: {file_name(file)}: "
        problems = (attrs.evolve(each, message=f"{named}{each.message}", start=0, stop=0) for each in notice.problems)
        raise InputError("", tuple(problems))
    return notice


class _Played(TypedDict):
    notices: list[Notice]
    notice_names: list[NoticeName]


def named_notices(files: Iterable[str], names: Iterable[str], systems: Sequence[str]) -> _Played:
    """
    Read the values of --notices and --notice-name, as a gateway takes them.

    Raises:
        InputError: A file has no notice, a name has another form, or nothing of them would be played.
        UnknownError: A name is to mean a system that is not played.
    """
    read: list[NoticeName] = []
    for text in names:
        name, _, system = text.rpartition("=")
        if not name.strip() or not system.strip():
            message = f"--notice-name is {text!r}; give NAME=SYSTEM, such as 'DMS Invoer=DMS'."
            raise _input.refusal("input.value", message)
        read.append(NoticeName(name=name.strip(), system=system.strip()))
    played: _Played = {"notices": [_notice_of(file, _clock.now()) for file in files], "notice_names": read}
    _notice_advice.check_played(**played, systems=systems)
    return played


def zones_of(notices: Iterable[Notice], system: str) -> tuple[ZoneInfo, ...]:
    """Find the zones that times without one may have: those of the notices that name a system, or else of all."""
    listed = list(notices)
    wanted = folded(system)
    naming = [
        notice
        for notice in listed
        if any(wanted == folded(row.system or "") for each in notice.revisions for row in each.windows)
    ]
    zones = {notice.zone for notice in naming or listed if notice.zone is not None}
    return tuple(ZoneInfo(zone) for zone in sorted(zones))


def has_configuration(path: Path) -> bool:
    """Report whether there is a configuration, or one was named, which then must be there."""
    return path != CONFIG or path.exists() or _input.config_option(path) != "--config"


def file_name(file: str) -> str:
    return "standard input" if file == "-" else file


def read_moment(text: str, option: str, zones: Iterable[ZoneInfo]) -> datetime:
    """
    Read a time; one without a zone is local to the authority, as the times of its notices are.

    Where the notices have several zones, it is taken if it is the same moment in all of them.

    Raises:
        InputError: It is not a time, or it has no zone and that of the notices is not known.
    """
    moment = None
    with contextlib.suppress(ValueError):
        moment = datetime.fromisoformat(text)
    if moment is None or moment.year not in YEARS:
        message = f"{option} is {text!r}; give a time such as 2026-11-30T21:00, or 2026-11-30T21:00:00+01:00."
        raise _input.refusal("input.date", message)
    if moment.tzinfo is None:
        moments = {moment.replace(tzinfo=zone).astimezone(UTC) for zone in zones}
        moment = moments.pop() if len(moments) == 1 else moment
    if moment.tzinfo is None:
        message = f"{option} is {text!r}, without a time zone, and the notices do not have one zone; "
        raise _input.refusal("input.date", f"{message}give for example {text}+01:00.")
    return moment.astimezone(UTC)
