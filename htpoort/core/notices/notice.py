"""
What a published notice states: its revisions, and a service window for each system and access.

Every time here is local to the authority and carries no zone, as printed; `ServiceWindow.opens` and
`ServiceWindow.closes` place it. This module reads no text and knows no clock.
"""

from __future__ import annotations

import enum
from datetime import UTC, datetime
from typing import final
from zoneinfo import ZoneInfo

import attrs

from htpoort.core.errors import Problem

__all__ = [
    "Access",
    "Behaviour",
    "EndKind",
    "Fallback",
    "Notice",
    "NoticeKind",
    "NoticeState",
    "Recovery",
    "Revision",
    "ServiceWindow",
]


class NoticeKind(enum.StrEnum):
    """What a notice is about."""

    PLANNED = "planned"
    """Maintenance that was announced (*gepland onderhoud*)."""
    INCIDENT = "incident"
    """A disruption (*verstoring*)."""
    RECOVERY = "recovery"
    """What to do after a disruption (*herstelactie*)."""
    SECURITY_CHANGE = "security-change"
    """A change of certificates, protocols or addresses; no system is down."""
    OTHER = "other"
    """Anything else."""


class NoticeState(enum.StrEnum):
    """What the newest text says of the event."""

    ANNOUNCED = "announced"
    """It is still to come, or no word was said since."""
    DELAYED = "delayed"
    """It takes longer than was announced."""
    MOVED = "moved"
    """It has another time than was announced."""
    CANCELLED = "cancelled"
    """It does not take place; its rows are what the text still says and are not in effect."""
    IN_FORCE = "in-force"
    """It is going on."""
    ENDED = "ended"
    """The text says that it is over."""
    UNCLEAR = "unclear"
    """The text contradicts itself, or says nothing that can be placed."""


class Access(enum.StrEnum):
    """The kind of access that a window concerns."""

    FILE = "file"
    """Messages and files between systems."""
    ONLINE = "online"
    """Pages that people type into."""
    ANY = "any"
    """The notice does not distinguish."""


class EndKind(enum.StrEnum):
    """How sure the end of a window is."""

    FINAL = "final"
    EXPECTED = "expected"
    """The text calls the end expected or estimated (*geschatte eindtijd*)."""
    UNKNOWN = "unknown"
    """The text gives no end that can be read."""


class Behaviour(enum.StrEnum):
    """What happens to what is sent during the window."""

    REJECTED = "rejected"
    """It fails or is refused."""
    QUEUED = "queued"
    """It is kept, and processed after the window."""
    DELAYED = "delayed"
    """It is received; the answer may be late."""
    UNAVAILABLE = "unavailable"
    """The system cannot be used."""
    LIMITED = "limited"
    """A part does not work."""
    UNSTABLE = "unstable"
    """It works at times."""
    NORMAL = "normal"
    """The notice says that it is not affected."""
    UNSTATED = "unstated"


class Recovery(enum.StrEnum):
    """What the notice asks for afterwards."""

    WAIT = "wait"
    """Nothing is to be sent; what was sent is processed."""
    RESUBMIT = "resubmit"
    """What was sent is to be submitted again; the notice does not say under which reference."""
    RESEND_SAME_REFERENCE_OPTIONAL = "resend-same-reference-optional"
    """It may be sent again under the same reference (LRN)."""
    SAME_REFERENCE = "same-reference"
    """It is to be sent again under the same reference (LRN)."""
    NEW_REFERENCE = "new-reference"
    """It is to be declared again under another reference (LRN)."""
    REPORT_LIST = "report-list"
    """Nothing may be sent again; a list of what is unanswered goes to the authority."""
    INVALIDATE_AND_NEW = "invalidate-and-new"
    """The declaration is to be invalidated, and a new one to be filed."""
    UNSTATED = "unstated"


class Fallback(enum.StrEnum):
    """What the notice says of the emergency procedure (*noodprocedure*)."""

    ALLOWED = "allowed"
    AS_NEEDED = "as-needed"
    """Only if the declarant's process needs it."""
    ONLY_IF_NECESSARY = "only-if-necessary"
    REQUIRED = "required"
    NO_LONGER = "no-longer"
    """It was allowed, and no longer is."""
    UNSTATED = "unstated"


def _placed(local: datetime, zone: str, *, last: bool) -> datetime:
    """Place a local time; where the clocks change, take the first or the last moment that it can mean."""
    place = ZoneInfo(zone)
    moments = [local.replace(tzinfo=place, fold=fold).astimezone(UTC) for fold in (0, 1)]
    return max(moments) if last else min(moments)


@final
@attrs.frozen(kw_only=True)
class ServiceWindow:
    """
    What a notice states of one system, one access and one period (*servicevenster*).

    Args:
        system: The system as printed; None if none is named.
        access: The access that the row is about.
        messages: The messages that it is limited to, as printed; empty if it is not limited.
        start: Local time without a zone; None if it is not stated or cannot be read.
        end: Local time without a zone; None if it is not stated or cannot be read.
        end_kind: How sure the end is; `EndKind.UNKNOWN` whenever *end* is None.
        behaviour: What happens to what is sent during the window.
        recovery: What is to be done afterwards.
        fallback: What is said of the emergency procedure.
    """

    system: str | None = None
    access: Access = Access.ANY
    messages: tuple[str, ...] = ()
    start: datetime | None = None
    end: datetime | None = None
    end_kind: EndKind = EndKind.UNKNOWN
    behaviour: Behaviour = Behaviour.UNSTATED
    recovery: Recovery = Recovery.UNSTATED
    fallback: Fallback = Fallback.UNSTATED

    def opens(self, zone: str) -> datetime | None:
        """
        Place the start, in UTC.

        A time that occurs twice, or never, because the clocks change, is taken as the first moment that it can mean.

        Args:
            zone: The zone of the authority, for example ``Europe/Amsterdam``.

        Returns:
            The moment; None if the start is not known.
        """
        return None if self.start is None else _placed(self.start, zone, last=False)

    def closes(self, zone: str) -> datetime | None:
        """
        Place the end, in UTC.

        A time that occurs twice, or never, because the clocks change, is taken as the last moment that it can mean.

        Args:
            zone: The zone of the authority, for example ``Europe/Amsterdam``.

        Returns:
            The moment; None if the end is not known.
        """
        return None if self.end is None else _placed(self.end, zone, last=True)


@final
@attrs.frozen(kw_only=True)
class Revision:
    """
    One text of a notice. The newest one stands; the older ones remain readable.

    Args:
        known: When it was published, in local time without a zone; None if the text does not say.
        stamp: That time exactly as printed: a declarant who reports a disruption quotes it (*storingsnummer*).
        start: The first character of this text in `Notice.text`.
        stop: One past the last.
        state: What this text says of the event.
        windows: What this text states, one row for each system and access.
        complete: Whether all of this text was understood, and nothing guessed.
    """

    known: datetime | None = None
    stamp: str = ""
    start: int = 0
    stop: int = 0
    state: NoticeState = NoticeState.UNCLEAR
    windows: tuple[ServiceWindow, ...] = ()
    complete: bool = False


@final
@attrs.frozen(kw_only=True)
class Notice:
    """
    A published notice as a value (*bericht over onderhoud of verstoring*).

    Args:
        text: The text that was read; spans of problems and revisions count its characters.
        authority: Key of the authority, for example ``douane``; None if it is not known.
        language: ``nl``, ``en``, ``da``, or several joined by ``+``; empty if it is not known.
        kind: What the notice is about.
        zone: The zone of its times; None if the authority is not known.
        references: The authority's references, as printed.
        revisions: Its texts, oldest first; at least one if anything was read.
        problems: What must be reported and was not guessed. The codes are words without dots.
        unread: Every sentence that no rule understood, as (first character, one past the last).
        typed: Whether a person wrote it for htpoort, and so may use the names of the directory.
    """

    text: str = attrs.field(default="", repr=False)
    authority: str | None = None
    language: str = ""
    kind: NoticeKind = NoticeKind.OTHER
    zone: str | None = None
    references: tuple[str, ...] = ()
    revisions: tuple[Revision, ...] = ()
    problems: tuple[Problem, ...] = ()
    unread: tuple[tuple[int, int], ...] = ()
    typed: bool = False

    @property
    def newest(self) -> Revision:
        """The text that stands; an empty one if nothing was read."""
        return self.revisions[-1] if self.revisions else Revision()

    @property
    def state(self) -> NoticeState:
        """What the newest text says of the event."""
        return self.newest.state

    @property
    def windows(self) -> tuple[ServiceWindow, ...]:
        """The rows of the newest text."""
        return self.newest.windows

    @property
    def complete(self) -> bool:
        """Whether nothing was guessed, and nothing that could matter was left unread."""
        return self.newest.complete
