"""
What single sentences of a notice state, before rows are made of it.

This module reads no text.
"""

from __future__ import annotations

import enum

import attrs

from htpoort.core.notices.notice import Access, Behaviour, Fallback, NoticeKind, Recovery

__all__ = [
    "AccessHeading",
    "Asks",
    "Event",
    "EventKind",
    "Fact",
    "Heading",
    "KindWord",
    "Listing",
    "MessageList",
    "Named",
    "Permits",
    "Remark",
    "Statement",
    "Subject",
    "TimeRole",
    "Times",
]


class EventKind(enum.StrEnum):
    """What a sentence says of the event as a whole."""

    ENDED = "ended"
    CANCELLED = "cancelled"
    MOVED = "moved"
    DELAYED = "delayed"
    ONGOING = "ongoing"
    EDITED = "edited"
    """The text was changed; nothing is said of the event."""


class TimeRole(enum.StrEnum):
    """What the times of a sentence are the times of."""

    WINDOW = "window"
    END = "end"
    EXPECTED_END = "expected-end"
    START = "start"
    NEW_END = "new-end"
    NEW = "new"
    """They replace the window that was announced."""
    UPDATE = "update"
    """They say when the sentence was written."""
    OTHER = "other"
    """They are no times of a window: a next update, the date of a document."""


@attrs.frozen
class Heading:
    """A section begins: what follows is about these systems."""

    systems: tuple[str, ...]


@attrs.frozen
class AccessHeading:
    """What follows, until the next heading, is about one kind of access."""

    access: Access


@attrs.frozen(kw_only=True)
class Statement:
    """
    A behaviour of systems.

    Args:
        systems: As printed; empty if the sentence names none: those of its section, or of the header.
        access: None if the sentence does not say: that of the heading above it.
        messages: What it is limited to.
        behaviour: What happens; None if the sentence names the systems only.
        general: Whether statements about single systems go before it.
        aside: Whether general statements go before it as well.
    """

    systems: tuple[str, ...] = ()
    access: Access | None = None
    messages: tuple[str, ...] = ()
    behaviour: Behaviour | None = None
    general: bool = False
    aside: bool = False


@attrs.frozen
class Listing:
    """
    A list of systems follows, each with this behaviour; statements about single systems go before it.

    Args:
        behaviour: What happens to each.
        subject: Whether sentences that name no system are about those of the list.
    """

    behaviour: Behaviour
    subject: bool = False


@attrs.frozen
class MessageList:
    """
    A list of messages, to which the notice is limited.

    Args:
        names: Those that stand in the sentence itself; if there are none, they follow as items.
    """

    names: tuple[str, ...] = ()


@attrs.frozen
class Named:
    """
    A title names these systems, or a sentence by the way; it counts where no sentence is about any.

    Args:
        systems: As printed.
        title: Whether it is a title.
    """

    systems: tuple[str, ...]
    title: bool = True


@attrs.frozen
class Subject:
    """The notice is about these systems; sentences that name none are about them."""

    systems: tuple[str, ...]


@attrs.frozen(kw_only=True)
class Asks:
    """
    A recovery, of the section or of the named systems.

    Args:
        recovery: What is asked for.
        systems: As printed; empty if the sentence names none.
        access: None if the sentence does not say.
        of_sentence: Whether it is asked of the systems of which the same sentence says what happens.
    """

    recovery: Recovery
    systems: tuple[str, ...] = ()
    access: Access | None = None
    of_sentence: bool = False


@attrs.frozen
class Permits:
    """
    What is said of the emergency procedure.

    Args:
        fallback: The word.
        weight: The greater one stands when two sentences differ; equal weights contradict each other.
    """

    fallback: Fallback
    weight: int = 1


@attrs.frozen
class Event:
    """What the sentence says of the event."""

    kind: EventKind


@attrs.frozen
class Times:
    """What the times of this sentence are."""

    role: TimeRole


@attrs.frozen
class KindWord:
    """A word that says what the notice is about."""

    kind: NoticeKind


@attrs.frozen
class Remark:
    """A problem that the sentence bears, by its code."""

    code: str
    message: str


Fact = (
    Heading
    | AccessHeading
    | Statement
    | Listing
    | MessageList
    | Named
    | Subject
    | Asks
    | Permits
    | Event
    | Times
    | KindWord
    | Remark
)
