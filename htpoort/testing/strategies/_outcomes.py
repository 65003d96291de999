"""
Hold what the strategies draw: a reply with what a router must say to it, a declaration with all its replies.

Never does: draw, or route; what must be said is known from how a message was made, not from reading it.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from contextlib import AbstractContextManager
from datetime import timedelta
from typing import Final, Protocol, final

import attrs

from htpoort import _grammar
from htpoort._words import ascii_lower
from htpoort.directory import HTPOORT, Directory
from htpoort.message import Submission
from htpoort.party import PartyId
from htpoort.routing import Correlation, Quarantined, Reason, Routed, Router, SentRecord

_SHOWN: Final = 2_000  # octets of a message that a failing example shows


class Label(enum.Enum):
    """Tell what kind of reply a message is."""

    GENUINE = "genuine"
    """In the form of the official page."""
    TOLERATED = "tolerated"
    """In another form that the reader forgives; it must be routed too."""
    FORGED = "forged"
    """One thing in it is wrong; it must be quarantined."""


class Outcome(enum.Enum):
    """Tell what must become of a reply in a conversation."""

    DELIVERED = "delivered"
    """It goes to its process."""
    COPY = "copy"
    """It came before; it is not delivered again."""
    QUARANTINED = "quarantined"
    """It is held, for the reason that its message says."""


def _parties(values: Iterable[PartyId | str]) -> tuple[PartyId, ...]:
    return Router(parties=values).parties


def _records(values: Iterable[SentRecord] | None) -> tuple[SentRecord, ...] | None:
    return None if values is None else tuple(values)


@final
@attrs.frozen(kw_only=True)
class RouterSetup:
    """
    Hold what a router is told, so that strategies can write replies for it.

    >>> RouterSetup(parties=["NL123456789.02.05"]).router().directory is HTPOORT
    True

    Args:
        directory: The systems whose replies are taken; the published ones where not given.
        parties: The declarants that replies are taken for; at least one.
        sent: Everything that was sent; None for a router that does not look it up.
        size_limit: Octets of a message that is routed.

    Raises:
        InputError: *parties* is empty, or holds what is no party ID.
    """

    directory: Directory = HTPOORT
    parties: tuple[PartyId, ...] = attrs.field(converter=_parties)
    sent: tuple[SentRecord, ...] | None = attrs.field(default=None, converter=_records)
    size_limit: int = _grammar.MESSAGE_LIMIT

    def lookup(self, reference: str) -> tuple[SentRecord, ...]:
        """
        Look a reference up among what was sent.

        Args:
            reference: K, compared exactly.

        Returns:
            Its records, one for each party that used it.
        """
        return tuple(record for record in self.sent or () if record.reference == reference)

    def own(self, party: PartyId, reference: str) -> tuple[SentRecord, ...]:
        """
        Look up what one party sent under a reference.

        Args:
            party: Compared without regard to case.
            reference: K, compared exactly.

        Returns:
            Its records, one for each system.
        """
        return tuple(
            record for record in self.lookup(reference) if ascii_lower(record.party) == ascii_lower(str(party))
        )

    def router(self) -> Router:
        """
        Make the router of this library that is told all this.

        Returns:
            A router; compare your own with it.
        """
        sent = None if self.sent is None else self.lookup
        return Router(directory=self.directory, parties=self.parties, sent=sent, size_limit=self.size_limit)


@final
@attrs.frozen(kw_only=True)
class RoutedTo:
    """
    Say where a reply belongs.

    Args:
        system: The name of the system that answers, as the directory has it.
        party: The declarant, as the router was given it.
        reference: K as it stands in the reply.
        correlation: Whether that reference is one that was sent.
    """

    system: str
    party: str
    reference: str
    correlation: Correlation


@final
@attrs.frozen(kw_only=True)
class QuarantinedFor:
    """
    Say why a message is quarantined.

    Args:
        reason: The first thing that is wrong.
    """

    reason: Reason


def said(found: Routed | Quarantined) -> RoutedTo | QuarantinedFor:
    """
    Put what a router said into the form that is expected of it.

    >>> router = RouterSetup(parties=["NL123456789.02.05"]).router()
    >>> said(router.route(mailbox="dms@htpoort.nl", subject="Out of office"))
    QuarantinedFor(reason=<Reason.NO_ENVELOPE: 'no-envelope'>)

    Args:
        found: What `Router.route_message` returned.

    Returns:
        What is equal to `ReplyMessage.expected` where the router is right.
    """
    if isinstance(found, Quarantined):
        return QuarantinedFor(reason=found.reason)
    return RoutedTo(
        system=found.system.name, party=str(found.party), reference=found.reference, correlation=found.correlation
    )


class _Printer(Protocol):
    """Show a value over several lines."""

    def group(self, indent: int, open: str, close: str) -> AbstractContextManager[None]:  # noqa: A002 - their name
        """Indent what stands between two texts."""
        ...

    def break_(self) -> None:
        """Begin a line."""

    def text(self, obj: str) -> None:
        """Write a text."""

    def pretty(self, obj: object) -> None:
        """Write a value."""


def _shown(raw: bytes) -> str:
    return repr(raw) if len(raw) <= _SHOWN else f"{raw[:_SHOWN]!r}[and {len(raw) - _SHOWN} octets more]"


@final
@attrs.frozen(kw_only=True)
class ReplyMessage:
    """
    Hold one message that came to a declarant, and what must be said to it.

    Args:
        label: What kind of reply it is.
        done: The names of what makes it differ from a genuine one: several of `TOLERATED`, one of `FORGED` at the end.
        mail_from: MAIL FROM; None for a mail from a mailbox, which has none, and empty for a null sender.
        expected: What a router with this setup must say.
        raw: The message.
        setup: What the router is told.
    """

    label: Label
    done: tuple[str, ...]
    mail_from: str | None
    expected: RoutedTo | QuarantinedFor
    raw: bytes = attrs.field(repr=_shown)
    setup: RouterSetup

    # Without this Hypothesis shows every octet of a message, whatever `repr` does. Name and form are its own.
    def _repr_pretty_(self, printer: _Printer, _cycle: bool) -> None:  # noqa: FBT001, PLW3201  # pyright: ignore[reportUnusedFunction]
        with printer.group(4, "ReplyMessage(", ")"):
            for name in ("label", "done", "mail_from", "expected", "setup"):
                printer.break_()
                printer.text(f"{name}=")
                printer.pretty(getattr(self, name))
                printer.text(",")
            printer.break_()
            printer.text(f"raw={_shown(self.raw)},")


@final
@attrs.frozen(kw_only=True)
class TimedReply:
    """
    Hold one reply in a conversation.

    Args:
        after: How long after the declaration was taken it comes.
        number: Which one it is in the order in which Customs wrote them, from 0; copies have the number of what
            they are a copy of.
        outcome: What must become of it, if those before it came too.
        message: The reply.
    """

    after: timedelta
    number: int
    outcome: Outcome
    message: ReplyMessage


@final
@attrs.frozen(kw_only=True)
class Conversation:
    """
    Hold a declaration and everything that comes back on it.

    Args:
        submission: The declaration.
        party: Who sent it, as the router was given it.
        setup: What the router is told; the declaration stands in *sent*, where it looks that up.
        replies: In the order in which they come.
    """

    submission: Submission
    party: PartyId
    setup: RouterSetup
    replies: tuple[TimedReply, ...]
