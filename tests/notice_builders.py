"""Notices for tests, in few words."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from htpoort.notices import (
    Behaviour,
    EndKind,
    Fallback,
    KnownNotice,
    Notice,
    NoticeKind,
    NoticeState,
    Recovery,
    Revision,
    ServiceWindow,
)

local = datetime.fromisoformat


def utc(text: str) -> datetime:
    """Give a moment of a day in January, when Amsterdam is one hour before UTC."""
    return local(text).replace(tzinfo=UTC)


def row(
    behaviour: str = "rejected",
    start: str | None = "2026-01-10T20:00",
    end: str | None = "2026-01-10T23:00",
    **more: Any,
) -> ServiceWindow:
    """State something of DMS; the end is final, or unknown if there is none."""
    values: dict[str, Any] = {"system": "DMS", "end_kind": "unknown" if end is None else "final"}
    values |= more
    words = {"end_kind": EndKind, "recovery": Recovery, "fallback": Fallback}
    values |= {name: kind(values[name]) for name, kind in words.items() if name in values}
    return ServiceWindow(
        behaviour=Behaviour(behaviour),
        start=None if start is None else local(start),
        end=None if end is None else local(end),
        **values,
    )


def text(
    *rows: ServiceWindow, known: str | None = "2026-01-05T09:00", state: str = "announced", whole: bool = True
) -> Revision:
    """Make one text of a notice."""
    return Revision(
        known=None if known is None else local(known), state=NoticeState(state), windows=rows, complete=whole
    )


def notice(*texts: Revision, reference: str = "W1", **more: Any) -> Notice:
    """Make a notice of Dutch Customs about planned maintenance."""
    values: dict[str, Any] = {
        "authority": "douane",
        "zone": "Europe/Amsterdam",
        "kind": NoticeKind.PLANNED,
        "references": (reference,) if reference else (),
    }
    values |= more
    return Notice(revisions=texts, **values)


def learned(given: Notice, moment: str, key: str = "") -> KnownNotice:
    """Let a notice be known from a moment, in UTC."""
    return KnownNotice(notice=given, learned=utc(moment), key=key)


def _section(systems: str, files: str, recovery: str = "") -> str:
    return f"""
{systems}
File access (S2S).

  • Files sent to {systems} {files}.

Online access.

  • The online system of {systems} will be unavailable.
{recovery}
Fallback procedure is allowed.
"""


def _published(start: str) -> str:
    dms = "DMS Import/DMS Eksport/DMS Forsendelse"
    recovery = "\nThe entries must be resubmitted after the service window.\n"
    return (
        f"PRD-servicewindow Friday June 6, 2025, {start} – Saturday June 7, 2025, 2200\n"
        + _section(dms, "will be rejected", recovery)
        + _section("Import", "are queued and will be processed after the service window")
        + _section("Manifest", "will be rejected")
        + "\nThe Danish Customs Agency\n\nWO0000001421830\n"
    )


THREE_TEXTS = f"""\
Last updated
07 Jun 2025 21:31
Type
Scheduled unavailability
Message

Delayed.

Expected end time Saturday, June 7, 2025, 2359

{_published("2100")}
Updated: 02-06-2025 11:08:44

{_published("2100")}
Published: 25-05-2025 12:15:48

{_published("2200")}"""
"""The facts of a published notice in our own words: announced, edited, and delayed while it was going on."""
