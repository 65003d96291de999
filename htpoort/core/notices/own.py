"""
Read a notice that a person typed, in TOML, with the words that published notices are read into.

Such a notice is complete: it states what the person decided. With the reference of a published notice it replaces that
notice from the moment at which it is learned.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Final, final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import attrs

from htpoort.core.errors import did_you_mean, near_names
from htpoort.core.notices.notice import (
    Access,
    Behaviour,
    EndKind,
    Fallback,
    Notice,
    NoticeKind,
    NoticeState,
    Recovery,
    Revision,
    ServiceWindow,
)
from htpoort.core.toml_reader import Document, KeyPath, one_word_of, required

__all__ = ["YEARS", "ZONES", "read_own_notice"]

ZONES: Final[Mapping[str, str]] = {"douane": "Europe/Amsterdam", "toldstyrelsen": "Europe/Copenhagen"}
"""The authorities whose notices are known, with the zones of their times."""
_OVER: Final = frozenset({NoticeState.ENDED, NoticeState.CANCELLED})
_WITHOUT_START: Final = _OVER | {NoticeState.IN_FORCE}
YEARS: Final = range(1900, 3000)
"""The years that a time may be in: an earlier or later one is a slip, and leaves no room for another zone."""
_KINDS: Final = {
    **dict.fromkeys(("outage", "failure", "disruption", "storing", "verstoring"), "incident"),
    **dict.fromkeys(("maintenance", "onderhoud", "gepland"), "planned"),
    **dict.fromkeys(("herstel", "herstelactie"), "recovery"),
}
_STATES: Final = {
    **dict.fromkeys(("over", "closed", "done", "solved", "resolved", "finished", "opgelost"), "ended"),
    **dict.fromkeys(("active", "open", "ongoing", "now"), "in-force"),
    "planned": "announced",
}
_LOCAL: Final = 'give a local date and time such as "2026-11-30T21:00", without an offset.'


@final
@attrs.frozen(kw_only=True)
class _NoticeTable:
    """The top of the file; its stand-ins are valid."""

    authority: str | None = None
    zone: str | None = None
    language: str = ""
    kind: NoticeKind = one_word_of(NoticeKind.PLANNED, _KINDS)
    references: tuple[str, ...] = ()
    revisions: object = None
    state: NoticeState = one_word_of(NoticeState.ANNOUNCED, _STATES)
    windows: object = None


@final
@attrs.frozen(kw_only=True)
class _WindowTable:
    """One ``[[windows]]``."""

    system: str = required("X")
    access: Access = Access.ANY
    messages: tuple[str, ...] = ()
    start: object = None
    end: object = None
    end_kind: EndKind | None = None
    behaviour: Behaviour = required("rejected")
    recovery: Recovery = Recovery.UNSTATED
    fallback: Fallback = Fallback.UNSTATED


def read_own_notice(text: str | bytes, *, name: str = "", now: datetime | None = None) -> Notice:
    """
    Read a notice of one's own.

    Args:
        text: TOML: ``authority`` or ``zone``, ``kind``, ``references``, ``revisions`` (when it became known),
            ``state``, and a ``[[windows]]`` for each system and access.
        name: The file that it comes from, for problems.
        now: The present, aware: a text that is to be published later is refused. None to take any.

    Returns:
        The notice; it is complete.

    Raises:
        InputError: Something is wrong. The error lists every problem, with its line.
    """
    document = Document.parse(text, name=name)
    table = document.read((), _NoticeTable) or _NoticeTable()
    zone = _zone(document, table)
    known = _known(document, table, zone, now)
    places = document.tables(("windows",))
    windows = [_window(document, place, table.state, zone) for place in places]
    if not places and table.state not in _OVER:
        document.report("toml.missing", ("windows",), "add a [[windows]] for each system that is affected.")
    if not table.references and table.state in _OVER:
        advice = f"give the reference of the notice that is {table.state}, or nothing is."
        document.report("toml.missing", ("references",), advice)
    document.finish()
    if isinstance(text, bytes):
        text = text.decode("utf-8-sig")
    revision = Revision(
        known=known,
        stamp="" if known is None else known.isoformat(),
        start=0,
        stop=len(text),
        state=table.state,
        windows=tuple(windows),
        complete=True,
    )
    return Notice(
        text=text,
        authority=table.authority,
        language=table.language,
        kind=table.kind,
        zone=zone,
        references=table.references,
        revisions=(revision,),
        typed=True,
    )


def _zone(document: Document, table: _NoticeTable) -> str:
    """Find the zone of the times; a stand-in if there is none, so that the rest is checked."""
    of_authority = None if table.authority is None else ZONES.get(table.authority)
    if table.authority is not None and of_authority is None and not document.is_refused((), "authority"):
        question = did_you_mean(near_names(table.authority, ZONES))
        advice = f"this authority is not known{question} Known: {', '.join(ZONES)}. For another one, give zone alone."
        document.report("toml.value", ("authority",), advice)
    if table.zone is None:
        if of_authority is None and not document.is_refused((), "authority", "zone"):
            advice = 'give authority or zone, such as zone = "Europe/Amsterdam": without it, no time can be placed.'
            document.report("toml.missing", ("zone",), advice)
        return of_authority or "UTC"
    if of_authority is not None and of_authority != table.zone:
        document.report("toml.value", ("zone",), f"{table.authority} has {of_authority}; leave zone out.")
    elif not _is_zone(table.zone):
        advice = "this zone is not known; give one such as Europe/Amsterdam, whose rule for summer time is known."
        document.report("toml.value", ("zone",), advice)
        return "UTC"
    return table.zone


def _is_zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # a path, or a directory of zones
        return False
    return True


def _known(document: Document, table: _NoticeTable, zone: str, now: datetime | None) -> datetime | None:
    """Read the time of the text; there is one at most, since there is one text."""
    value = table.revisions
    if value is None:
        return None
    if not isinstance(value, list) or len(value) != 1:  # pyright: ignore[reportUnknownArgumentType]
        document.report("toml.value", ("revisions",), "give the time of this text alone, as an array of one time.")
        return None
    path: KeyPath = ("revisions", 0)
    known = _local(document, path, zone)
    moment = ServiceWindow(start=known).opens(zone)
    if now is not None and moment is not None and moment > now:
        advice = (
            "give when this text was published, or leave revisions out; an end that is to come is the end of a window."
        )
        document.report("toml.value", path, f"{known} is in the future; {advice}")
    return known


def _window(document: Document, place: KeyPath, state: NoticeState, zone: str) -> ServiceWindow:
    table = document.read(place, _WindowTable) or _WindowTable(system="X", behaviour=Behaviour.REJECTED)
    start, end = (_minute(document, (*place, key), zone) for key in ("start", "end"))
    kind = table.end_kind or (EndKind.UNKNOWN if end is None else EndKind.FINAL)
    if start is None and state not in _WITHOUT_START and not document.has((*place, "start")):
        advice = 'this setting is needed, unless state is "in-force".'
        document.report("toml.missing", (*place, "start"), advice)
    if start is not None and end is not None and end <= start:
        advice = f"{end.isoformat(' ')} is not after start, {start.isoformat(' ')}."
        document.report("toml.value", (*place, "end"), advice)
    if (end is None) != (kind is EndKind.UNKNOWN) and not document.is_refused(place, "end"):
        advice = "leave it out, or give end." if end is None else "give final or expected, or leave end out."
        document.report("toml.value", (*place, "end_kind"), advice)
    if not table.system.strip():
        document.report("toml.value", (*place, "system"), "give the name of the system.")
    return ServiceWindow(
        system=table.system,
        access=table.access,
        messages=table.messages,
        start=start,
        end=end,
        end_kind=kind,
        behaviour=table.behaviour,
        recovery=table.recovery,
        fallback=table.fallback,
    )


def _minute(document: Document, path: KeyPath, zone: str) -> datetime | None:
    """Read a local time without seconds: everything that shows a window shows minutes."""
    value = _local(document, path, zone)
    if value is not None and (value.second or value.microsecond):
        minute = value.replace(second=0, microsecond=0).isoformat(timespec="minutes")
        document.report("toml.value", path, f'{value.isoformat(" ")} has seconds; give minutes, such as "{minute}".')
        return None
    return value


def _local(document: Document, path: KeyPath, zone: str) -> datetime | None:
    """Read a local time; None if there is none, or if it is wrong."""
    value = document.value(path)
    if value is None:
        return None
    if isinstance(value, str):
        value = _parsed(value)
    if not isinstance(value, datetime) or value.tzinfo is not None:
        is_day = isinstance(value, date) and not isinstance(value, datetime)
        document.report("toml.value", path, f"this is a day without an hour; {_LOCAL}" if is_day else _LOCAL)
        return None
    if value.year not in YEARS:
        document.report("toml.value", path, f"give a year from {YEARS.start} to {YEARS.stop - 1}.")
        return None
    if not _occurs(value, zone):
        advice = f"{value.isoformat(' ')} does not occur in {zone}: the clock is put forward then. Give another time."
        document.report("toml.value", path, advice)
        return None
    return value


def _parsed(text: str) -> object:
    """Read a time as ISO 8601 has it; a day alone is a day."""
    for read in (date.fromisoformat, datetime.fromisoformat):
        try:
            return read(text)
        except ValueError:
            continue
    return None


@functools.lru_cache(maxsize=64)
def _occurs(local: datetime, zone: str) -> bool:
    """Report whether clocks show this time: one that is skipped in spring comes back as another one."""
    place = ZoneInfo(zone)
    return local.replace(tzinfo=place).astimezone(UTC).astimezone(place).replace(tzinfo=None) == local
