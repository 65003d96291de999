"""
What the forging strategies draw: a reply with its label, and a declaration with all its replies.

The expected verdict is known from how a message was made, never from reading it.
"""

from __future__ import annotations

import enum
from datetime import timedelta
from typing import Any, final

import attrs

from htpoort import PartyId, Submission
from htpoort.testing.strategies import QuarantinedFor, RoutedTo, RouterSetup
from htpoort.testing.strategies._replies import print_fields, shortened


class Label(enum.Enum):
    """The kind of a reply."""

    GENUINE = "genuine"
    """In the form of the official page."""
    TOLERATED = "tolerated"
    """In another form that the reader forgives; it must be routed too."""
    FORGED = "forged"
    """One thing in it is wrong; it must be quarantined."""


class Outcome(enum.Enum):
    """What must happen to a reply in a conversation."""

    DELIVERED = "delivered"
    """It goes to its process."""
    COPY = "copy"
    """It arrived before; it is not delivered again."""
    QUARANTINED = "quarantined"
    """It is held, for the reason that its message expects."""


@final
@attrs.frozen(kw_only=True)
class LabelledReply:
    """
    One message that a declarant receives, and what the router must decide about it.

    Args:
        label: The kind of reply.
        changes: What makes it differ from a genuine one: names of `TOLERATED`, and one of `FORGED` at the end.
        mail_from: MAIL FROM; None for a message from a POP3 mailbox, which has none, and empty for a null sender.
        expected: What a router with this setup must decide.
        raw: The message.
        setup: What the router knows.
    """

    label: Label
    changes: tuple[str, ...]
    mail_from: str | None
    expected: RoutedTo | QuarantinedFor
    raw: bytes = attrs.field(repr=shortened)
    setup: RouterSetup

    def _repr_pretty_(self, printer: Any, _cycle: bool) -> None:  # noqa: FBT001, PLW3201 - Hypothesis' name and form
        print_fields(self, ("label", "changes", "mail_from", "expected", "setup"), self.raw, printer)


@final
@attrs.frozen(kw_only=True)
class TimedReply:
    """
    One reply in a conversation.

    Args:
        after: When it arrives, counted from the acceptance of the declaration.
        number: Its place in the order in which Customs wrote the replies, from 0; a copy has the number of its
            original.
        outcome: What must happen to it if all earlier ones arrived.
        message: The reply.
    """

    after: timedelta
    number: int
    outcome: Outcome
    message: LabelledReply


@final
@attrs.frozen(kw_only=True)
class Conversation:
    """
    A declaration and all replies to it.

    Args:
        submission: The declaration.
        party: The declarant, as the router was given it.
        setup: What the router knows; *sent* includes the declaration, unless it is None.
        replies: In the order in which they arrive.
    """

    submission: Submission
    party: PartyId
    setup: RouterSetup
    replies: tuple[TimedReply, ...]
